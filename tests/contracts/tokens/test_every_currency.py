"""One paid month in every currency: all that comes in goes out again, to the last base unit."""

from __future__ import annotations

import pytest
from rig.currencies import CURRENCIES, LARGEST
from rig.market import open_market
from rig.people import Person, person
from rig.signing import SignedLine, settle_one
from rig.system import DAY, WITHDRAW_DELAY


@pytest.mark.parametrize("name", CURRENCIES)
def test_every_unit_is_accounted_for(name: str, buyer: Person) -> None:
    world = CURRENCIES[name].world()
    market = open_market(world)
    channels, share = world.channels, market.share
    share("transfer", buyer.address, share("totalSupply") // 3, by=market.holder.address)
    deposit = LARGEST[world.currency("decimals")]
    before_supply = world.currency("totalSupply")
    channel = world.open_channel(market.consumer, market.operator, deposit)
    arrived = world.balance_of(market.operator, channel)
    assert arrived == deposit or name == "fee in transit"

    charged = 0
    for day in range(30):
        charged += arrived * (day + 1) // 600
        line = SignedLine(market.asset, 1, charged, charged)
        settle_one(channels, market.operator, channel, [line], market.consumer)
        if day % 7 == 0:
            channels("flush", market.asset)
        if day % 10 == 0:
            share("claim", by=buyer.address)
        world.wait(DAY)
    assert charged > 0
    channels("flush", market.asset)
    world.wait(2 * DAY)

    for who in (market.holder, buyer):
        claimable = share("claimable", who.address)
        assert share("claim", by=who.address) == claimable
    for creditor in (market.operator, world.commons):
        channels("withdraw_credit", by=creditor.address)
    for number in (channel, market.channel):
        at = (market.operator.address, number)
        channels("request_withdrawal", *at, by=market.consumer.address)
        world.wait(WITHDRAW_DELAY)
        channels("withdraw", *at, by=market.consumer.address)
    # What floors leave: a few units in Channels, less than one for each holder in the Share.
    assert world.held(channels) == channels("obligations") < 5
    assert world.held(share) == share("obligations") < 3

    everybody = (
        *(market.holder, buyer, market.operator, world.commons, market.consumer),
        *(channels.address, share.address),
    )
    assert sum(world.held(who) for who in everybody) == world.currency("totalSupply")
    burnt = before_supply + deposit - world.currency("totalSupply")
    assert (burnt > 0) == (name == "fee in transit")


@pytest.mark.parametrize("name", CURRENCIES)
def test_one_base_unit_finds_its_holder(name: str) -> None:
    world = CURRENCIES[name].world()
    holder = person("holder")
    share = world.new_share(holder)
    world.fund(share.address, 1)
    assert share("sync") == 1
    world.wait(DAY)
    assert share("claim", by=holder.address) == 1


def test_money_that_cannot_be_returned_now_is_returned_later(consumer: Person) -> None:
    """A currency that refuses everybody for a while takes nothing from anybody."""
    world = CURRENCIES["false for no"].world()
    market = open_market(world)
    world.fund(market.share.address, 1_000)
    market.share("sync")
    market.pay(10_000)
    world.wait(DAY)
    world.currency("set_refuses", True)
    before = market.share("claimable", market.holder.address), market.left()
    for contract, name, arguments, who in (
        (market.share, "claim", (), market.holder),
        (market.channels, "release", (market.channel,), market.operator),
        (market.channels, "withdraw_credit", (), market.operator),
        (market.channels, "flush", (market.asset,), consumer),
    ):
        with pytest.raises(Exception, match="currency refused the transfer"):
            contract(name, *arguments, by=who.address)
    assert before == (market.share("claimable", market.holder.address), market.left())
    world.currency("set_refuses", False)
    assert market.share("claim", by=market.holder.address) == 1_000
    assert market.channels("release", market.channel, by=market.operator.address) == before[1]
    assert market.channels("withdraw_credit", by=market.operator.address) == 2_000
    assert market.channels("flush", market.asset) == 7_900
