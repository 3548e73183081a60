"""What a token's privileged accounts can do to its holders, found by doing it.

The booleans that token scanners give (mint, pause, blacklist, tax, hidden owner, proxy, selling),
each from an experiment: a transfer works, a privileged function is called, the transfer is tried
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tessera.diligence.behaviour.functions import Function
from tessera.diligence.behaviour.profiles import Profile
from tessera.diligence.behaviour.proxies import Behind
from tessera.diligence.behaviour.runs import Exhausted
from tessera.diligence.behaviour.scripts import Step
from tessera.diligence.behaviour.search import Stage
from tessera.diligence.behaviour.solutions import Solution

__all__ = ["Safety", "look_for_dangers", "works_twice"]

_TRANSFER = bytes.fromhex("a9059cbb")
_ATTEMPTS = 24
_MOST_PRIVILEGED = 24


@dataclass(frozen=True, slots=True)
class Safety:
    """What can be done to holders; None where it could not be tried.

    Parameters
    ----------
    mintable
        Somebody can make more of it for nothing.
    anybody_mints
        And it is not only a privileged account.
    pausable
        A privileged account can stop every transfer.
    blacklist
        A privileged account can stop one holder's.
    tax
        Share of a transfer that does not arrive, 0 to 1.
    tax_changeable
        A privileged account can change that.
    hidden_owner
        A privileged account is kept where no function of the contract shows it.
    proxy
        Its code can be replaced.
    sellable
        A holder can send it to a contract, as a sale to a pool does.
    by
        Function that does it, by what it does.
    """

    mintable: bool | None = None
    anybody_mints: bool | None = None
    pausable: bool | None = None
    blacklist: bool | None = None
    tax: float | None = None
    tax_changeable: bool | None = None
    hidden_owner: bool | None = None
    proxy: bool | None = None
    sellable: bool | None = None
    by: tuple[tuple[str, str], ...] = ()


def look_for_dangers(stage: Stage, profiles: Mapping[bytes, Profile], behind: Behind) -> Safety:
    """Try what privileged accounts can do to holders of a token.

    A contract whose balances were not found, or that has no `transfer`, is no token here: only
    what needs no transfer is answered.
    """
    by: dict[str, str] = {}
    privileged = [p for p in profiles.values() if p.gated and p.works][:_MOST_PRIVILEGED]
    hidden = _hidden_owner(stage, privileged, by)
    transfer = next((f for f in stage.functions if f.selector == _TRANSFER), None)
    proxy = behind.kind.changeable
    if transfer is None or not (stage.base or stage.asks_balances):
        return Safety(hidden_owner=hidden, proxy=proxy, by=tuple(sorted(by.items())))
    minters = [p for p in profiles.values() if _mints(p) and works_twice(stage, p)]
    if minters:
        by["mintable"] = minters[0].function.name
    cast = stage.cast
    plain = stage.solve([Step(transfer, cast.first, cast.second)], attempts=_ATTEMPTS)
    tax = _tax(stage, plain) if plain.works else None
    if tax is None:
        return Safety(
            mintable=bool(minters),
            anybody_mints=any(not p.gated for p in minters),
            hidden_owner=hidden,
            proxy=proxy,
            by=tuple(sorted(by.items())),
        )
    try:
        stops: tuple[bool, bool, bool] | None = _stops(stage, transfer, plain, privileged, tax, by)
    except Exhausted:
        stops = None
    return Safety(
        mintable=bool(minters),
        anybody_mints=any(not p.gated for p in minters),
        pausable=stops[0] if stops else None,
        blacklist=stops[1] if stops else None,
        tax=tax,
        tax_changeable=stops[2] if stops else None,
        hidden_owner=hidden,
        proxy=proxy,
        sellable=_sellable(stage, transfer, plain),
        by=tuple(sorted(by.items())),
    )


def _mints(profile: Profile) -> bool:
    """Whether a call left the accounts with more of the token in all, and cost nothing."""
    made = sum(profile.own.values()) > 0 and not profile.gave_up
    return profile.works and not profile.ether and made


def works_twice(stage: Stage, profile: Profile) -> bool:
    """Whether it can be called again: what sets a contract up, once, is no power over holders."""
    sender = stage.cast.owner if profile.gated else stage.cast.outsider
    step = Step(profile.function, sender, stage.cast.first, open=not profile.gated)
    once = stage.solve([step], attempts=_ATTEMPTS)
    return once.works and stage.solve([step, step], attempts=1, start=once).works


def _tax(stage: Stage, solution: Solution) -> float | None:
    """Share of a transfer that did not arrive; None where nothing moved."""
    gained = solution.outcomes[-1].gained
    sent = -gained.get(stage.cast.first, {}).get("own", 0)
    arrived = gained.get(stage.cast.second, {}).get("own", 0)
    return 1 - arrived / sent if sent > 0 else None


def _stops(
    stage: Stage,
    transfer: Function,
    plain: Solution,
    privileged: list[Profile],
    tax: float,
    by: dict[str, str],
) -> tuple[bool, bool, bool]:
    """Whether a privileged call stops all transfers, one holder's, or changes what arrives."""
    cast = stage.cast
    move = Step(transfer, cast.first, cast.second)
    other = Step(transfer, cast.rest, cast.outsider)
    for profile in privileged:
        act = Step(profile.function, cast.owner, cast.first, open=False)
        done = stage.solve([act], attempts=_ATTEMPTS, fixed=plain.assumed)
        if not done.works:
            continue
        again = stage.solve([act, move], attempts=1, start=done)
        name = profile.function.name
        if not again.works:
            others = stage.solve([act, other], attempts=1, start=done)
            by.setdefault("blacklist" if others.works else "pausable", name)
        elif abs((_tax(stage, again) or 0.0) - tax) > 1e-9:
            by.setdefault("tax_changeable", name)
    return "pausable" in by, "blacklist" in by, "tax_changeable" in by


def _sellable(stage: Stage, transfer: Function, plain: Solution) -> bool:
    """Whether a holder can send the token to a contract that is not its owner's."""
    pool = stage.cast.account("pool that it is sold to")
    stage.machine.world.strangers.add(pool)
    sale = stage.solve([Step(transfer, stage.cast.first, pool)], attempts=1, fixed=plain.assumed)
    return sale.works


def _hidden_owner(stage: Stage, privileged: list[Profile], by: dict[str, str]) -> bool | None:
    """Whether who passes a gate is kept where no view shows it."""
    asked = [
        (profile, gate.field)
        for profile in privileged
        for gate in profile.gates
        if gate.field is not None and not gate.listed and gate.field.where == stage.name
        if not stage.machine.keys.is_entry(gate.field.key)
    ]
    if not asked:
        return False
    shown: set[int] = set()
    for function in stage.functions:
        if function.reads_only and not function.types:
            shown |= {load.key for load in stage.ask(function.selector).loads}
    for profile, where in asked:
        if where.key not in shown:
            by["hidden_owner"] = profile.function.name
            return True
    return False
