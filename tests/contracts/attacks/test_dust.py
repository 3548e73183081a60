"""Very small payments are made very often.

To hold up the revenue of others, to have the fee rounded away, or to wear an account down by being
settled again and again.
"""

from __future__ import annotations

from rig.market import Market
from rig.people import Person, person
from rig.signing import SignedLine, settle_one
from rig.system import DAY

TIMES = 500


def test_dust_does_not_extend_a_stream(market: Market, attacker: Person) -> None:
    world, share = market.world, market.share
    world.fund(share.address, 10**9)
    share("sync")
    world.wait(DAY - 100)
    end = share("revenue_stream")[3]
    for _ in range(TIMES):
        world.fund(share.address, 1)
        share("sync", by=attacker.address)
    assert share("revenue_stream")[3] == end
    world.wait(100)
    assert share("claim", by=market.holder.address) == 10**9 + TIMES


def test_dust_in_each_second_does_not_slow_a_stream(market: Market, attacker: Person) -> None:
    world, share = market.world, market.share
    world.fund(share.address, 10**9)
    share("sync")
    world.wait(DAY - TIMES)
    for _ in range(TIMES):
        world.fund(share.address, 1)
        share("sync", by=attacker.address)
        world.wait(1)
    # In the very last seconds a unit weighs something beside what is left, so a hair stays behind.
    assert share("claimable", market.holder.address) >= 10**9 * (DAY - 10) // DAY


def test_many_tiny_calls_pay_the_fee_of_one_large_one(market: Market) -> None:
    for charged in range(1, TIMES + 1):
        market.pay(charged)
    credit = market.channels("credit_of", market.world.commons.address)
    # One treasury gets both halves: 0.5 % and 0.5 % of 500, each rounded down.
    assert credit == 2 * (TIMES * 50 // 10_000) == 4
    assert market.channels("demand_of", market.asset) == 2
    assert market.channels("credit_of", market.operator.address) == TIMES // 5
    assert market.channels("pending_of", market.asset) == TIMES * 79 // 100


def test_tiny_calls_to_many_operators_lose_more_than_the_fee(
    market: Market, consumer: Person
) -> None:
    """Each operator's own sum is too small for a fee; what all the floors leave is lost to all."""
    world, paid, back = market.world, 0, 0
    for number in range(50):
        operator = person(f"shell operator {number}")
        channel = world.open_channel(consumer, operator, 199)
        line = SignedLine(market.asset, 0, 199, 199)
        paid += settle_one(market.channels, operator, channel, [line], consumer)
        back += market.channels("credit_of", operator.address)
    back += market.channels("pending_of", market.asset)
    commons = market.channels("demand_of", market.asset)
    assert commons == 0
    assert paid - back >= paid * 50 // 10_000


def test_a_settlement_each_second_wears_no_account_down(
    market: Market, attacker: Person, buyer: Person
) -> None:
    world, share, holder = market.world, market.share, market.holder
    share("transfer", buyer.address, share("totalSupply") // 3, by=holder.address)
    world.fund(share.address, 1_000)
    share("sync")
    for _ in range(TIMES):
        world.wait(DAY // TIMES)
        share("transferFrom", buyer.address, attacker.address, 0, by=attacker.address)
    world.wait(DAY)
    assert share("claimable", buyer.address) == 333
    assert share("claimable", buyer.address) + share("claimable", holder.address) >= 999
