"""Somebody buys shares right before a payment, or sells them right after.

Revenue streams, so a holder of one block gets the part of one block; what streamed before a
purchase stays with the seller, even if all of the supply changes hands.
"""

from __future__ import annotations

from rig.market import Market
from rig.people import Person
from rig.system import DAY

PAYMENT = 86_400_000


def test_buying_right_before_a_payment_and_selling_right_after(
    market: Market, attacker: Person
) -> None:
    world, share, holder = market.world, market.share, market.holder
    supply = share("totalSupply")
    share("transfer", attacker.address, supply, by=holder.address)
    world.fund(share.address, PAYMENT)
    share("sync", by=attacker.address)
    assert share("claim", by=attacker.address) == 0
    share("transfer", holder.address, supply, by=attacker.address)
    world.wait(DAY)
    assert share("claim", by=attacker.address) == 0
    assert share("claim", by=holder.address) == PAYMENT


def test_holding_for_one_block_earns_one_block(market: Market, attacker: Person) -> None:
    world, share, holder = market.world, market.share, market.holder
    supply = share("totalSupply")
    world.fund(share.address, PAYMENT)
    share("sync")
    share("transfer", attacker.address, supply, by=holder.address)
    world.wait(12)
    share("transfer", holder.address, supply, by=attacker.address)
    world.wait(DAY)
    assert share("claim", by=attacker.address) == PAYMENT * 12 // DAY
    assert share("claim", by=holder.address) == PAYMENT - PAYMENT * 12 // DAY


def test_buying_right_after_a_stream_gets_nothing_of_it(market: Market, attacker: Person) -> None:
    world, share, holder = market.world, market.share, market.holder
    world.fund(share.address, PAYMENT)
    share("sync")
    world.wait(DAY)
    share("transfer", attacker.address, share("totalSupply"), by=holder.address)
    assert share("claimable", attacker.address) == 0
    assert share("claim", by=holder.address) == PAYMENT


def test_the_one_who_triggers_a_flush_gains_nothing_by_its_time(
    market: Market, attacker: Person
) -> None:
    world, share, holder = market.world, market.share, market.holder
    market.pay(900_000)
    supply = share("totalSupply")
    share("transfer", attacker.address, supply // 2, by=holder.address)
    flushed = market.channels("flush", market.asset, by=attacker.address)
    share("transfer", holder.address, supply // 2, by=attacker.address)
    world.wait(DAY)
    assert share("claim", by=attacker.address) == 0
    assert share("claim", by=holder.address) == flushed


def test_shares_passed_around_in_a_circle_earn_once(market: Market, attacker: Person) -> None:
    world, share, holder = market.world, market.share, market.holder
    world.fund(share.address, PAYMENT)
    share("sync")
    supply = share("totalSupply")
    for _ in range(24):
        share("transfer", attacker.address, supply, by=holder.address)
        share("transfer", holder.address, supply, by=attacker.address)
        world.wait(DAY // 24)
    assert share("claim", by=attacker.address) == 0
    assert share("claim", by=holder.address) == PAYMENT
