"""Sales and grants are made in one transaction, from shares of the caller, within bounds."""

from __future__ import annotations

from typing import Any

import pytest
from rig.compiling import compiled, mock
from rig.contract import NOBODY, Contract, deployed, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, World


@pytest.fixture
def asset(world: World, publisher: Person) -> int:
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    return asset


def _sale(world: World, who: Person, /, **changes: Any) -> tuple[Any, ...]:
    parts = {
        "publisher": who.address,
        "price": 10**6,
        "for_sale": ONE_SHARE,
        "soft_cap": 0,
        "cap_per_buyer": ONE_SHARE,
        "start": world.now,
        "end": world.now + DAY,
        "allowed": OPEN_TO_ALL[0],
        "liquidity": OPEN_TO_ALL[1],
        **changes,
    }
    return tuple(parts.values())


def _schedule(world: World, publisher: Person, **changes: Any) -> tuple[Any, ...]:
    parts = {
        "beneficiary": publisher.address,
        "amount": ONE_SHARE,
        "start": world.now,
        "cliff": DAY,
        "duration": 2 * DAY,
        **changes,
    }
    return tuple(parts.values())


def test_an_offer_says_all_its_terms(world: World, asset: int, publisher: Person) -> None:
    sale = _sale(world, publisher)
    address = world.launchpad("offer", asset, sale, by=publisher.address)
    (event,) = world.launchpad.events()
    assert event.name == "OfferingOpened"
    assert event.arguments == {
        "asset": asset,
        "offering": address,
        "publisher": publisher.address,
        "sale": sale,
    }
    share = Contract(world.engine, compiled("Share"), world.registry("share_of", asset))
    assert share("balanceOf", address) == ONE_SHARE
    assert world.launchpad("offer", asset, sale, by=publisher.address) != address
    assert world.launchpad("count") == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"publisher": NOBODY}, "launchpad: publisher is the zero address"),
        ({"for_sale": 0}, "launchpad: amount out of range"),
        ({"for_sale": 2**96}, "launchpad: amount out of range"),
        ({"soft_cap": ONE_SHARE + 1}, "launchpad: soft cap above what is for sale"),
        ({"cap_per_buyer": 0}, "launchpad: nobody could buy"),
        ({"price": 0}, "launchpad: price out of range"),
        ({"price": 2**128}, "launchpad: price out of range"),
        ({"start": 2**40}, "launchpad: times out of order"),
        ({"end": 1_800_000_000}, "launchpad: times out of order"),
        ({"start": 0, "end": 1_800_000_000}, "launchpad: times out of order"),
        ({"end": 1_800_000_000 + 365 * DAY + 1}, "launchpad: times out of order"),
        ({"end": 2**40}, "launchpad: times out of order"),
    ],
)
def test_a_sale_out_of_bounds_is_refused(
    world: World, asset: int, publisher: Person, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        world.launchpad("offer", asset, _sale(world, publisher, **changes), by=publisher.address)


def test_a_grant_says_its_schedule(
    world: World, asset: int, publisher: Person, holder: Person
) -> None:
    schedules = [_schedule(world, publisher), _schedule(world, holder, duration=DAY)]
    made = world.launchpad("vest", asset, schedules, by=publisher.address)
    events = world.launchpad.events("VestingOpened")
    assert [event.arguments["vesting"] for event in events] == list(made)
    assert [event.arguments["schedule"] for event in events] == schedules
    assert events[1].arguments["beneficiary"] == holder.address
    assert events[1].arguments["asset"] == asset


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"beneficiary": NOBODY}, "launchpad: beneficiary is the zero address"),
        ({"amount": 0}, "launchpad: amount out of range"),
        ({"amount": 2**96}, "launchpad: amount out of range"),
        ({"start": 2**40}, "launchpad: times out of order"),
        ({"cliff": 2 * DAY + 1}, "launchpad: times out of order"),
        ({"duration": 100 * 365 * DAY + 1}, "launchpad: times out of order"),
    ],
)
def test_a_schedule_out_of_bounds_is_refused(
    world: World, asset: int, publisher: Person, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        world.launchpad(
            "vest", asset, [_schedule(world, publisher, **changes)], by=publisher.address
        )


def test_an_asset_without_a_share_has_nothing_to_sell(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    with refused("launchpad: asset is not tokenized"):
        world.launchpad("offer", asset, _sale(world, publisher), by=publisher.address)
    with refused("launchpad: asset is not tokenized"):
        world.launchpad("vest", asset, [_schedule(world, publisher)], by=publisher.address)


def test_nobody_sells_or_grants_the_shares_of_another(
    world: World, asset: int, publisher: Person, attacker: Person
) -> None:
    with refused("erc20: allowance too low"):
        world.launchpad("offer", asset, _sale(world, attacker), by=attacker.address)
    with refused("erc20: allowance too low"):
        world.launchpad("vest", asset, [_schedule(world, attacker)], by=attacker.address)


def test_a_share_that_answers_false_is_believed(world: World, publisher: Person) -> None:
    registry = world.actor()
    share = deployed(world.engine, mock("FalseShare"), world.currency, by=publisher.address)
    registry("set_share_of", 1, share)
    launchpad = deployed(
        world.engine,
        compiled("Launchpad"),
        registry,
        world.exchange,
        world.offering_implementation,
        world.auction_implementation,
        world.curve_implementation,
        world.vesting_implementation,
        world.allocation_implementation,
        by=publisher.address,
    )
    with refused("launchpad: share refused the transfer"):
        launchpad("offer", 1, _sale(world, publisher), by=publisher.address)
    with refused("launchpad: share refused the transfer"):
        launchpad("vest", 1, [_schedule(world, publisher)], by=publisher.address)
