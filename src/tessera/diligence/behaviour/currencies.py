"""Real currencies of an observed chain: everybody is given some, in the currency's own slots."""

from __future__ import annotations

from tessera.diligence.behaviour.functions import functions_of
from tessera.diligence.behaviour.scripts import calldata
from tessera.diligence.behaviour.search import BALANCE_OF, Stage
from tessera.diligence.behaviour.world import address_text

__all__ = ["acquaint"]

_TRANSFER = bytes.fromhex("a9059cbb")
_APPROVE = bytes.fromhex("095ea7b3")
_LIMITLESS = (1 << 256) - 1
_PROBE = 1_234_567_891


def acquaint(stage: Stage) -> None:
    """Find the observed tokens that the contract calls, and let everybody have some.

    Each function is called once, by one who holds nothing, to see whom it calls. A token is given
    by writing the slot that its `balanceOf` reads, found by trying; the cast allows the contract to
    take its own, so that functions which collect money work.
    """
    world = stage.machine.world
    mark = world.record()
    called: set[str] = set()
    for function in stage.functions:
        data = calldata(function, stage.cast.first, {}, (stage.cast.first, stage.cast.second))
        run = stage.machine.call(stage.subject, data, stage.cast.outsider)
        called |= run.called
    world.discard(mark)
    for address in sorted(called - {stage.name}):
        account = bytes.fromhex(address[2:])
        if account in world.strangers:
            continue
        selectors = {function.selector for function in functions_of(world.get_code(account))}
        if not {BALANCE_OF, _TRANSFER} <= selectors:
            continue
        key = _balance_key(stage, account)
        if key is not None:
            stage.currencies[account] = key
    for currency in stage.currencies:
        for member in stage.cast.everybody():
            stage.give(currency, member)
            allowance = _APPROVE + stage.subject.rjust(32, b"\x00") + _LIMITLESS.to_bytes(32, "big")
            stage.machine.call(currency, allowance, member)
    stage.bare = world.record()


def _balance_key(stage: Stage, currency: bytes) -> int | None:
    """The slot in which `currency` keeps the first holder's balance."""
    data = BALANCE_OF + stage.cast.first.rjust(32, b"\x00")
    machine = stage.machine
    text = address_text(currency)
    first = int.from_bytes(stage.cast.first, "big")
    for load in machine.call(currency, data, stage.cast.outsider, static=True).loads:
        if load.where != text or not machine.keys.mentions(load.key, first):
            continue
        mark = machine.world.record()
        machine.world.set_storage(currency, load.key, _PROBE)
        found = machine.call(currency, data, stage.cast.outsider, static=True).word == _PROBE
        machine.world.discard(mark)
        if found:
            return load.key
    return None
