"""An operator plays with the order and the number of vouchers.

Totals are cumulative, so a lower voucher after a higher one must give nothing back and take
nothing more, the same voucher twice must count once, and two vouchers that the channel cannot pay
together must pay only the one that it can.
"""

from __future__ import annotations

from rig.contract import refused
from rig.market import DEPOSIT, Market
from rig.people import Person
from rig.signing import Batch, SignedLine

BELOW_SETTLED, ABOVE_MAXIMUM, BALANCE_TOO_LOW = 4, 8, 32


def test_a_lower_voucher_after_a_higher_one(market: Market) -> None:
    market.pay(9_000)
    line = market.line(5_000)
    assert market.settle((market.channel, line, market.sign(line))) == 0
    assert market.skipped() == [BELOW_SETTLED]
    assert market.left() == DEPOSIT - 9_000


def test_an_older_voucher_does_not_cap_a_newer_one(market: Market) -> None:
    low, high = market.line(5_000), market.line(9_000)
    vouchers = [(market.channel, line, market.sign(line)) for line in (high, low)]
    assert market.settle(*reversed(vouchers)) == 9_000
    assert market.settle(*vouchers) == 0
    assert market.left() == DEPOSIT - 9_000


def test_the_same_voucher_twice_in_one_batch(market: Market) -> None:
    line = market.line(5_000)
    voucher = (market.channel, line, market.sign(line))
    assert market.settle(voucher, voucher, voucher) == 5_000
    assert market.skipped() == []
    assert market.left() == DEPOSIT - 5_000


def test_two_vouchers_that_the_channel_cannot_pay_together(market: Market) -> None:
    other = market.world.publish(market.publisher)
    first, second = market.line(DEPOSIT - 1), SignedLine(other, 0, 2, 2)
    taken = market.settle(
        (market.channel, first, market.sign(first)), (market.channel, second, market.sign(second))
    )
    assert taken == DEPOSIT - 1
    assert market.skipped() == [BALANCE_TOO_LOW]
    assert market.left() == 1


def test_one_bad_line_does_not_hold_up_the_others(market: Market) -> None:
    other = market.world.publish(market.publisher)
    lines = sorted(
        (market.line(5_000), SignedLine(other, 0, 100, 101)), key=lambda line: line.asset
    )
    batch = Batch([(line.asset, line.terms) for line in lines])
    batch.add(market.channel, lines, market.sign(*lines))
    taken = market.channels("settle", batch.tills, batch.words, by=market.operator.address)
    assert taken == 5_000
    assert market.skipped() == []
    assert market.left() == DEPOSIT - 5_000
    assert market.channels("pending_of", other) == 0


def test_a_voucher_of_bad_lines_only_names_the_last_reason(market: Market) -> None:
    market.pay(5_000)
    other = market.world.publish(market.publisher)
    lines = sorted(
        (market.line(4_999), SignedLine(other, 0, 100, 101)), key=lambda line: line.asset
    )
    batch = Batch([(line.asset, line.terms) for line in lines])
    batch.add(market.channel, lines, market.sign(*lines))
    assert market.channels("settle", batch.tills, batch.words, by=market.operator.address) == 0
    last = BELOW_SETTLED if lines[-1].asset == market.asset else ABOVE_MAXIMUM
    assert market.skipped() == [last]


def test_a_till_named_twice_to_split_the_same_sum_twice(market: Market, operator: Person) -> None:
    line = market.line(5_000)
    r, vs = market.sign(line)
    tills = [(market.asset, 1), (market.asset, 1)]
    word = 5_000 | 5_000 << 96
    for words in (
        [market.channel | 1 << 64, word | 1 << 192, r, vs],
        [market.channel | 2 << 64, word, word | 1 << 192, r, vs],
    ):
        with refused("channels: tills are not in order"):
            market.channels("settle", tills, words, by=operator.address)


def test_lines_in_an_order_that_was_not_signed(market: Market, operator: Person) -> None:
    other = market.world.publish(market.publisher)
    lines = sorted(
        (market.line(5_000), SignedLine(other, 0, 100, 100)), key=lambda line: line.asset
    )
    tills = [(line.asset, line.terms) for line in lines]
    signature = market.sign(*reversed(lines))
    batch = Batch(tills).add(market.channel, lines, signature)
    assert market.channels("settle", batch.tills, batch.words, by=operator.address) == 0
    assert market.skipped() == [2]
    backwards = Batch(tills).add(market.channel, lines[::-1], signature)
    with refused("channels: malformed batch"):
        market.channels("settle", backwards.tills, backwards.words, by=operator.address)
