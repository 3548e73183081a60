"""Governance: shares locked, voted with and freed again, and what was voted for done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.gas.chain import ZERO_ADDRESS, MeasurementFailed, account
from bench.gas.ours.market import CUT_BPS, DAY, PRICE, SUPPLY, WHO, Market, code
from bench.gas.rows import Action, Row

_ENDPOINT, _PAYMENT = 2, 32
_VOTING, _TIMELOCK = 3 * DAY, DAY
_WINDOWS = (DAY, _VOTING, _TIMELOCK, 5 * DAY, 7 * DAY)
_UNLIMITED = 2**256 - 1


def measure(market: Market) -> list[Row]:
    """Measure an asset of a registry of its own, which the Governor decides about."""
    chain, founder = market.chain, account("founder")
    to_be = [chain.next_contract(founder, ahead) for ahead in range(4)]
    dollar, launchpad = market.dollar.address, market.launchpad.address
    exchange = chain.deploy(founder, code("Exchange"), dollar, to_be[2], launchpad, ZERO_ADDRESS)
    shares = chain.deploy(founder, code("Share"), dollar, to_be[2])
    registry = chain.deploy(
        founder, code("Registry"), shares.address, to_be[3], founder.address, founder.address, DAY
    )
    governor = chain.deploy(
        *(founder, code("Governor"), registry.address, launchpad, exchange.address, ZERO_ADDRESS),
        *(dollar, *_WINDOWS),
    )
    if [part.address for part in (exchange, shares, registry, governor)] != to_be:
        raise MeasurementFailed("deployment of the Governor: an address is not what was foreseen")
    governed = replace(market, registry=registry)
    asset, _ = governed.publish()
    holders = [account("holder"), account("second holder")]
    share, _ = governed.tokenize(asset, holders[0].address)
    chain.transact(holders[0], share, "transfer", holders[1].address, SUPPLY // 4)
    for holder in holders:
        chain.transact(holder, share, "approve", governor.address, _UNLIMITED)
    market.fund(founder, governor)
    chain.transact(founder, governor, "deposit", asset, 10**6)

    def lock(who: int, amount: int) -> int:
        return chain.transact(holders[who], governor, "lock", asset, amount).gas

    first_lock = lock(0, SUPPLY // 4)
    warm_lock = lock(0, SUPPLY // 8)
    lock(1, SUPPLY // 8)
    chain.pass_time(DAY)
    rows: dict[str, list[int]] = {"propose": [], "vote": [], "execute": [], "pay": []}
    for turn in range(2):
        actions = [
            _action(_ENDPOINT, per_call=PRICE[0] + turn + 1),
            _action(_PAYMENT, receiver=account("operator").address, amount=1_000),
        ]
        numbers = []
        for who, action in enumerate(actions):
            receipt = chain.transact(holders[who], governor, "propose", asset, action, "a change")
            rows["propose"].append(receipt.gas)
            numbers.append(chain.read(governor, "proposal_count", asset))
        for number in numbers:
            for who, locks in ((0, [1]), (1, [3])):
                done = chain.transact(holders[who], governor, "vote", asset, number, True, locks)
                rows["vote"].append(done.gas)
        chain.pass_time(_VOTING + _TIMELOCK)
        for name, number, action in zip(("execute", "pay"), numbers, actions, strict=True):
            done = chain.transact(founder, governor, "execute", asset, number, action)
            rows[name].append(done.gas)
    free = chain.transact(holders[0], governor, "unlock", asset, 1, [1, 2, 3, 4]).gas
    plain = chain.transact(holders[0], governor, "unlock", asset, 2).gas
    return [
        Row(
            Action.LOCK, WHO, "Governor.lock", "shares moved in; no new revenue",
            warm_lock, first_lock,
        ),
        Row(
            Action.PROPOSE, WHO, "Governor.propose",
            "a price with its endpoint, hashed and shown in the event", rows["propose"][-2],
            rows["propose"][0],
        ),
        Row(
            Action.VOTE, WHO, "Governor.vote", "one lock; who could vote is counted",
            rows["vote"][-1], rows["vote"][0],
        ),
        Row(
            Action.EXECUTE, WHO, "Governor.execute", "a new price", rows["execute"][-1],
            rows["execute"][0],
        ),
        Row(
            Action.EXECUTE, WHO, "Governor.execute", "a payment out of the treasury",
            rows["pay"][-1], rows["pay"][0],
        ),
        Row(Action.UNLOCK, WHO, "Governor.unlock", "shares moved out; voted for nothing", plain),
        Row(
            Action.UNLOCK, WHO, "Governor.unlock",
            "shares moved out; four proposals let the lock go", free,
        ),
    ]  # fmt: skip


def _action(
    kind: int, *, per_call: int = 0, receiver: str = ZERO_ADDRESS, amount: int = 0
) -> tuple[Any, ...]:
    nothing = bytes(32)
    endpoint = (
        (account("operator").address, CUT_BPS, (per_call, 0, 0), "https://models.example.org/v1")
        if kind == _ENDPOINT
        else (ZERO_ADDRESS, 0, (0, 0, 0), "")
    )
    return (
        kind,
        (nothing, 0, ""),
        endpoint,
        (0, 0),
        (nothing, "", ""),
        (receiver, amount),
        (0, 0),
        (ZERO_ADDRESS, 0, 0, 0, 0, 0, 0, 0, 0, 0, nothing, "", "", ""),
        (ZERO_ADDRESS, False),
    )
