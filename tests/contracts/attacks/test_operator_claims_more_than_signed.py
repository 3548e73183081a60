"""An operator settles more than it was promised.

It charges above the maximum, raises the maximum itself, names terms with a higher cut than the
ones that the consumer signed, or lists a grant as larger than it is.
"""

from __future__ import annotations

from rig.market import DEPOSIT, Market
from rig.signing import SignedLine

BAD_SIGNATURE, ABOVE_MAXIMUM, BALANCE_TOO_LOW = 2, 8, 32


def test_charging_above_the_maximum(market: Market) -> None:
    line = market.line(5_000, 5_001)
    assert market.settle((market.channel, line, market.sign(line))) == 0
    assert market.skipped() == [ABOVE_MAXIMUM]


def test_raising_the_maximum(market: Market) -> None:
    signature = market.sign(market.line(5_000))
    assert market.settle((market.channel, market.line(5_001), signature)) == 0
    assert market.skipped() == [BAD_SIGNATURE]


def test_charging_above_the_deposit(market: Market) -> None:
    line = market.line(2**96 - 1)
    assert market.settle((market.channel, line, market.sign(line))) == 0
    assert market.skipped() == [BALANCE_TOO_LOW]
    assert market.left() == DEPOSIT


def test_splitting_under_other_terms_than_were_signed(market: Market) -> None:
    market.world.set_endpoint(market.asset, market.operator, 4_000, by=market.publisher)
    signature = market.sign(market.line(5_000, terms=1))
    dearer = market.line(5_000, terms=2)
    assert market.settle((market.channel, dearer, signature)) == 0
    assert market.skipped() == [BAD_SIGNATURE]


def test_sending_the_money_to_another_asset(market: Market) -> None:
    own = market.world.publish(market.operator, operator=market.operator)
    signature = market.sign(market.line(5_000))
    assert market.settle((market.channel, SignedLine(own, 1, 5_000, 5_000), signature)) == 0
    assert market.skipped() == [BAD_SIGNATURE]
    assert market.channels("pending_of", own) == 0


def test_a_maximum_is_for_all_calls_together(market: Market) -> None:
    line = market.line(5_000)
    voucher = (market.channel, line, market.sign(line))
    assert [market.settle(voucher) for _ in range(3)] == [5_000, 0, 0]
