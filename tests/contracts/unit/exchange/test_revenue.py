"""Shares in a pool earn for those who provide, each for its own time; gifts change no price."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import refused
from rig.people import Person
from rig.pools import CURRENCY, TOKENS, Floor, open_floor
from rig.system import DAY, ONE_SHARE, deploy_world

REVENUE = 10_000_000


def test_the_pools_part_of_the_revenue_is_its_providers(floor: Floor, publisher: Person) -> None:
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    part = REVENUE * TOKENS // floor.share("totalSupply")
    assert floor.exchange("claimable", floor.share.address, publisher.address) == part - 1
    reserves = floor.reserves()
    before = floor.world.held(publisher)
    assert floor.exchange("claim", floor.share.address, by=publisher.address) == part - 1
    assert floor.exchange.events("RevenueClaimed")[0].arguments == {
        "token": floor.share.address,
        "provider": publisher.address,
        "receiver": publisher.address,
        "amount": part - 1,
    }
    assert floor.world.held(publisher) == before + part - 1
    assert floor.exchange("revenue_of", floor.share.address) == (part, part - 1)
    assert floor.reserves() == reserves
    assert floor.exchange("claim", floor.share.address, by=publisher.address) == 0
    with refused("exchange: receiver is the exchange"):
        floor.exchange("claim", floor.share.address, floor.exchange.address, by=publisher.address)
    with refused("exchange: no such pool"):
        floor.exchange("claimable", publisher.address, publisher.address)


def test_each_earns_for_the_time_that_it_provided(
    floor: Floor, publisher: Person, provider: Person
) -> None:
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY // 2)
    floor.arm(provider, shares=TOKENS, money=CURRENCY)
    floor.add(provider, TOKENS, CURRENCY)
    assert floor.exchange("claimable", floor.share.address, provider.address) == 0
    floor.world.wait(DAY)
    share = floor.share.address
    first = floor.exchange("claim", share, publisher.address, by=publisher.address)
    second = floor.exchange("claim", share, provider.address, by=provider.address)
    part = REVENUE * TOKENS // floor.share("totalSupply")
    # Half the time alone, half the time with somebody who had as much in it.
    assert first == pytest.approx(part // 2 + part // 2, abs=3)
    assert second == pytest.approx(part // 2, abs=3)


def test_who_moves_a_position_keeps_what_it_earned(
    floor: Floor, publisher: Person, holder: Person
) -> None:
    floor.pay_holders(REVENUE)
    floor.world.wait(2 * DAY)
    earned = floor.exchange("claimable", floor.share.address, publisher.address)
    floor.exchange(
        *("transfer", holder.address, floor.key(), floor.liquidity(publisher)),
        by=publisher.address,
    )
    assert floor.exchange("claimable", floor.share.address, holder.address) == 0
    assert floor.exchange("claim", floor.share.address, by=publisher.address) == earned


def test_revenue_of_a_pool_without_providers_waits_for_the_next(
    floor: Floor, publisher: Person, provider: Person
) -> None:
    floor.share("transfer", floor.exchange.address, ONE_SHARE, by=publisher.address)
    floor.remove(publisher, floor.liquidity(publisher))
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    assert floor.exchange("claim", floor.share.address, by=publisher.address) == 0
    floor.arm(provider, shares=ONE_SHARE, money=10**9)
    floor.add(provider, ONE_SHARE, 10**9)
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    assert floor.exchange("claim", floor.share.address, by=provider.address) >= 10


def test_surplus_shares_go_to_the_controller(
    floor: Floor, publisher: Person, keeper: Person
) -> None:
    floor.share("transfer", floor.exchange.address, 5 * ONE_SHARE, by=publisher.address)
    reserves = floor.reserves()
    assert floor.exchange("skim", floor.share.address, by=keeper.address) == 5 * ONE_SHARE
    assert floor.exchange.events("Skimmed")[0].arguments == {
        "token": floor.share.address,
        "receiver": publisher.address,
        "amount": 5 * ONE_SHARE,
    }
    assert floor.reserves() == reserves
    assert floor.exchange("skim", floor.share.address, by=keeper.address) == 0
    access = floor.new_access()
    access("transfer", floor.exchange.address, 7, by=publisher.address)
    assert floor.exchange("skim", access.address) == 7


def test_while_revenue_is_held_up_one_may_leave_but_not_come(
    publisher: Person, provider: Person, holder: Person
) -> None:
    floor = open_floor(deploy_world(currency=mock("PartlyClosedCurrency")))
    floor.arm(provider, shares=ONE_SHARE, money=2_000_000)
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    floor.currency("set_closed", floor.share.address, True)
    with refused("exchange: revenue is held up"):
        floor.add(provider, ONE_SHARE, 2_000_000)
    with refused("exchange: revenue is held up"):
        floor.exchange("transfer", holder.address, floor.key(), 1, by=publisher.address)
    tokens, currency = floor.remove(publisher, floor.liquidity(publisher) // 2)
    assert tokens > 0
    assert currency > 0
    assert floor.exchange("claim", floor.share.address, by=publisher.address) == 0
    floor.currency("set_closed", floor.share.address, False)
    part = REVENUE * TOKENS // floor.share("totalSupply")
    assert floor.exchange("claim", floor.share.address, by=publisher.address) == part - 1
