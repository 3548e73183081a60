"""A stranger settles by receipt, with a voucher or a receipt that is not what it should be.

The stranger may be an accomplice of the consumer (who would like to pay less), of the operator
(who would like more), or simply somebody who read both on the wire.
"""

from __future__ import annotations

from typing import Any

import pytest
from rig.contract import refused
from rig.market import DEPOSIT, Market
from rig.people import Person
from rig.signing import compact, domain_of, receipt_for, sign_receipt
from rig.system import WITHDRAW_DELAY


def _settle(
    market: Market,
    maximum: int,
    receipt: dict[str, Any],
    by: Person,
    signer: Person | None = None,
) -> int:
    line = market.line(maximum)
    signed = sign_receipt(signer or market.operator, domain_of(market.channels), receipt)
    return int(
        market.channels(
            "settle_by_receipt",
            market.operator.address,
            [(line.asset, line.terms, line.maximum)],
            *market.sign(line),
            tuple(receipt.values()),
            [],
            *compact(*signed),
            by=by.address,
        )
    )


def _receipt(market: Market, charged: int) -> dict[str, Any]:
    return receipt_for(market.channel, market.asset, 1, charged, market.world.now)


def test_the_holders_get_their_part_where_the_operator_never_settles(
    market: Market, keeper: Person
) -> None:
    assert _settle(market, 10_000, _receipt(market, 10_000), keeper) == 10_000
    assert market.channels("pending_of", market.asset) == 7_900
    assert market.world.held(keeper) == 0


def test_a_forged_receipt(market: Market, attacker: Person) -> None:
    with refused("channels: receipt not signed by the operator"):
        _settle(market, 10_000, _receipt(market, 10_000), attacker, signer=attacker)
    with refused("channels: receipt not signed by the operator"):
        _settle(market, 10_000, _receipt(market, 10_000), attacker, signer=market.consumer)
    assert market.left() == DEPOSIT


def test_a_low_receipt_does_not_stop_the_operator(market: Market, attacker: Person) -> None:
    """An accomplice of the consumer settles the oldest receipt first, to no avail."""
    assert _settle(market, 100, _receipt(market, 100), attacker) == 100
    assert market.pay(10_000) == 9_900


def test_a_receipt_after_the_settlement_takes_nothing_again(
    market: Market, attacker: Person
) -> None:
    market.pay(10_000)
    assert _settle(market, 10_000, _receipt(market, 10_000), attacker) == 0
    with refused("channels: settled already"):
        _settle(market, 10_000, _receipt(market, 9_999), attacker)
    assert market.left() == DEPOSIT - 10_000


@pytest.mark.parametrize("field", ["charged", "request", "response", "units", "time", "version"])
def test_a_changed_receipt_is_not_the_operators(
    market: Market, attacker: Person, field: str
) -> None:
    receipt = _receipt(market, 5_000)
    signed = compact(*sign_receipt(market.operator, domain_of(market.channels), receipt))
    changed = {**receipt}
    changed[field] = b"\x33" * 32 if isinstance(receipt[field], bytes) else receipt[field] + 1
    line = market.line(10_000)
    with refused("channels: receipt not signed by the operator"):
        market.channels(
            "settle_by_receipt",
            market.operator.address,
            [(line.asset, line.terms, line.maximum)],
            *market.sign(line),
            tuple(changed.values()),
            [],
            *signed,
            by=attacker.address,
        )


def test_a_withdrawn_channel_owes_nothing(market: Market, keeper: Person) -> None:
    at = (market.operator.address, market.channel)
    market.channels("request_withdrawal", *at, by=market.consumer.address)
    market.world.wait(WITHDRAW_DELAY)
    market.channels("withdraw", *at)
    with refused("channels: balance too low"):
        _settle(market, 10_000, _receipt(market, 10_000), keeper)
