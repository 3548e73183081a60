"""Sales of other kinds, pools promised, and a whole launch in one transaction."""

from __future__ import annotations

from typing import Any

import pytest
from rig.contract import refused
from rig.people import Person
from rig.sales import DOLLAR, Stand, auction_terms, curve_terms, open_stand, sale_terms
from rig.system import DAY, ONE_SHARE, World

POOL = (2_500, 1, DAY)


@pytest.fixture
def stand(world: World) -> Stand:
    return open_stand(world)


def test_every_kind_says_all_its_terms(stand: Stand) -> None:
    world, by = stand.world, stand.publisher.address
    auction = auction_terms(world)
    made = world.launchpad("auction", stand.asset, auction, by=by)
    (event,) = world.launchpad.events()
    assert event.name == "AuctionOpened"
    assert event.arguments == {
        "asset": stand.asset,
        "auction": made,
        "publisher": by,
        "sale": auction,
    }
    curve = curve_terms(world)
    made = world.launchpad("curve", stand.asset, curve, by=by)
    (event,) = world.launchpad.events()
    assert event.name == "CurveOpened"
    assert event.arguments["curve"] == made
    assert event.arguments["sale"] == curve
    shares = world.launchpad(
        "shares_for_curve", 2_000 * ONE_SHARE, 2_000 * DOLLAR, 2_000 * DOLLAR, 5_000
    )
    assert event.arguments["shares"] == shares == 1_250 * ONE_SHARE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lowest_price": 0}, "launchpad: price out of range"),
        ({"lowest_price": 10 * DOLLAR + 1}, "launchpad: price out of range"),
        ({"first_price": 2**128}, "launchpad: price out of range"),
        ({"for_sale": 1, "soft_cap": 0}, "launchpad: price out of range"),
        ({"first_price": 2**120, "for_sale": 2**90}, "launchpad: price out of range"),
        ({"soft_cap": 2_000 * DOLLAR + 1}, "launchpad: soft cap above what is for sale"),
        ({"for_sale": 0}, "launchpad: amount out of range"),
        ({"cap_per_buyer": 0}, "launchpad: nobody could buy"),
        ({"publisher": "0x" + "00" * 20}, "launchpad: publisher is the zero address"),
        ({"end": 1_800_000_000}, "launchpad: times out of order"),
    ],
)
def test_an_auction_out_of_bounds_is_refused(
    stand: Stand, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        stand.open("auction", auction_terms(stand.world, **changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"virtual_shares": 0}, "launchpad: curve out of range"),
        ({"virtual_shares": 2**96}, "launchpad: curve out of range"),
        ({"virtual_currency": 0}, "launchpad: curve out of range"),
        ({"virtual_currency": 2**85 + 1}, "launchpad: curve out of range"),
        ({"target": 0}, "launchpad: curve out of range"),
        ({"target": 2**85 + 1}, "launchpad: curve out of range"),
        ({"liquidity": (10_001, 1, 0)}, "launchpad: curve out of range"),
        ({"liquidity": (0, 0, 0)}, "launchpad: a curve must open a pool"),
        ({"liquidity": (1, 0, 0), "target": DOLLAR}, "launchpad: pool too small or too large"),
        ({"surcharge_bps": 10_001}, "launchpad: surcharge out of range"),
        ({"calm": 365 * DAY + 1}, "launchpad: surcharge out of range"),
        ({"cap_per_buyer": 0}, "launchpad: nobody could buy"),
    ],
)
def test_a_curve_out_of_bounds_is_refused(
    stand: Stand, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        stand.open("curve", curve_terms(stand.world, **changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"liquidity": (10_001, 1, DAY)}, "launchpad: more than all of the proceeds"),
        ({"liquidity": (100, 4, DAY)}, "launchpad: tier or lock out of range"),
        ({"liquidity": (100, 1, 101 * 365 * DAY)}, "launchpad: tier or lock out of range"),
        ({"liquidity": POOL, "soft_cap": 0}, "launchpad: pool too small or too large"),
        ({"liquidity": POOL, "price": 2**90}, "launchpad: pool too small or too large"),
    ],
)
def test_a_pool_that_could_not_open_is_not_promised(
    stand: Stand, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        stand.open("offer", sale_terms(stand.world, **changes))


def test_the_exchange_publishes_nothing(stand: Stand) -> None:
    world = stand.world
    with refused("launchpad: publisher is the exchange"):
        stand.open("offer", sale_terms(world, publisher=world.exchange.address))


def test_a_lock_out_of_range_is_refused_with_and_without_a_pool(stand: Stand) -> None:
    for terms in ((0, 4, 0), (0, 1, 2**200)):
        with refused("launchpad: tier or lock out of range"):
            stand.open("offer", sale_terms(stand.world, liquidity=terms))


def test_one_sale_by_the_owner_promises_the_pool(stand: Stand, buyer: Person) -> None:
    world = stand.world
    first = stand.open("offer", sale_terms(world, liquidity=POOL))
    assert stand.shares_of(first) == 1_250
    with refused("launchpad: another sale promises the pool"):
        stand.open("auction", auction_terms(world, liquidity=POOL))
    stand.share("transfer", buyer.address, 2_000 * ONE_SHARE, by=stand.publisher.address)
    stand.share("approve", world.launchpad, 2**256 - 1, by=buyer.address)
    with refused("launchpad: only the asset's owner promises a pool"):
        stand.open("offer", sale_terms(world, liquidity=POOL), by=buyer)
    # A sale that failed promises nothing any more.
    world.wait(7 * DAY)
    first("return_unsold")
    second = stand.open("curve", curve_terms(world))
    world.fund(buyer, 2_000 * DOLLAR, spender=second)
    second("buy", 2_000 * DOLLAR, 0, 2**40, by=buyer.address)
    with refused("launchpad: there is a pool already"):
        stand.open("offer", sale_terms(world, liquidity=POOL))


def test_a_launch_is_one_transaction_or_none(stand: Stand, holder: Person) -> None:
    world, by = stand.world, stand.publisher.address
    schedule = (holder.address, 7 * ONE_SHARE, world.now, 0, 100 * DAY)
    listed, open_to_all = sale_terms(world), auction_terms(world, liquidity=POOL)
    made = world.launchpad(
        "launch", stand.asset, [listed], [open_to_all], [], [schedule], [], by=by
    )
    assert [event.name for event in world.launchpad.events()] == [
        "OfferingOpened",
        "AuctionOpened",
        "VestingOpened",
    ]
    assert len(made) == 3
    assert [world.launchpad("asset_of", clone) for clone in made] == [stand.asset] * 3
    assert world.launchpad("held_in_sales", stand.asset) == 2_250 * ONE_SHARE
    assert world.launchpad("held_in_vesting", stand.asset) == 7 * ONE_SHARE
    assert world.launchpad("open_sales", stand.asset) == 2
    count = world.launchpad("count")
    wrong = (holder.address, 0, world.now, 0, DAY)
    with refused("launchpad: amount out of range"):
        world.launchpad("launch", stand.asset, [listed], [], [], [wrong], [], by=by)
    assert world.launchpad("count") == count


def test_a_launch_can_set_aside_the_contributors_part(stand: Stand) -> None:
    world, by = stand.world, stand.publisher.address
    with refused("launchpad: asset names no contributors"):
        world.launchpad(
            "launch", stand.asset, [], [], [curve_terms(world)], [], [(1, 0, 0, 0)], by=by
        )
