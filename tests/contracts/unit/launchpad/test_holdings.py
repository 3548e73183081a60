"""What the Launchpad knows of its clones: whose they are, what lies in them, what is open."""

from __future__ import annotations

import pytest
from rig.compiling import compiled
from rig.contract import Contract, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, World


@pytest.fixture
def asset(world: World, publisher: Person) -> int:
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    return asset


def _offer(world: World, asset: int, who: Person, *, soft_cap: int = 0) -> Contract:
    sale = (
        who.address,
        10**6,
        10 * ONE_SHARE,
        soft_cap * ONE_SHARE,
        10 * ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", asset, sale, by=who.address)
    return Contract(world.engine, compiled("Offering"), address)


def _holdings(world: World, asset: int) -> tuple[float, float, int]:
    return (
        world.launchpad("held_in_sales", asset) / ONE_SHARE,
        world.launchpad("held_in_vesting", asset) / ONE_SHARE,
        world.launchpad("open_sales", asset),
    )


def test_a_clone_is_known_and_nothing_else(
    world: World, asset: int, publisher: Person, attacker: Person
) -> None:
    offering = _offer(world, asset, publisher)
    assert world.launchpad("asset_of", offering) == asset
    assert world.launchpad("asset_of", attacker.address) == 0
    with refused("launchpad: not a clone of ours"):
        world.launchpad("report", ONE_SHARE, 0, True, True, by=attacker.address)


def test_what_is_delivered_leaves_the_sale(
    world: World, asset: int, publisher: Person, buyer: Person
) -> None:
    offering = _offer(world, asset, publisher, soft_cap=4)
    assert _holdings(world, asset) == (10, 0, 1)
    world.fund(buyer, 10**9, spender=offering)
    offering("buy", 3 * ONE_SHARE, by=buyer.address)
    assert _holdings(world, asset) == (10, 0, 1)
    offering("buy", 2 * ONE_SHARE, by=buyer.address)
    assert _holdings(world, asset) == (8, 0, 1)
    offering("collect", buyer.address)
    assert _holdings(world, asset) == (5, 0, 1)
    world.wait(DAY)
    assert _holdings(world, asset) == (5, 0, 1)
    offering("return_unsold")
    assert _holdings(world, asset) == (0, 0, 0)


def test_a_failed_sale_leaves_nothing_behind(
    world: World, asset: int, publisher: Person, buyer: Person
) -> None:
    offering = _offer(world, asset, publisher, soft_cap=4)
    world.fund(buyer, 10**9, spender=offering)
    offering("buy", 3 * ONE_SHARE, by=buyer.address)
    world.wait(DAY)
    offering("return_unsold")
    assert _holdings(world, asset) == (0, 0, 0)


def test_shares_sent_by_mistake_are_not_counted(
    world: World, asset: int, publisher: Person, keeper: Person
) -> None:
    share = Contract(world.engine, compiled("Share"), world.registry("share_of", asset))
    offering = _offer(world, asset, publisher)
    schedule = (publisher.address, 4 * ONE_SHARE, world.now, 0, 4 * DAY)
    (made,) = world.launchpad("vest", asset, [schedule], by=publisher.address)
    vesting = Contract(world.engine, compiled("Vesting"), made)
    assert _holdings(world, asset) == (10, 4, 1)
    for clone in (offering, vesting):
        share("transfer", clone, 7 * ONE_SHARE, by=publisher.address)
    assert vesting("release", by=keeper.address) == 7 * ONE_SHARE
    assert _holdings(world, asset) == (10, 4, 1)
    world.wait(DAY)
    assert vesting("release", by=keeper.address) == ONE_SHARE
    assert _holdings(world, asset) == (10, 3, 1)
    assert offering("return_unsold", by=keeper.address) == 17 * ONE_SHARE
    assert _holdings(world, asset) == (0, 3, 0)
    world.wait(3 * DAY)
    vesting("release")
    assert _holdings(world, asset) == (0, 0, 0)


def test_a_stranger_cannot_hold_the_asset_in_a_sale(
    world: World, asset: int, publisher: Person, attacker: Person
) -> None:
    """One raw share would be enough to keep the asset from having a pool for a year."""
    share = Contract(world.engine, compiled("Share"), world.registry("share_of", asset))
    share("transfer", attacker.address, 10 * ONE_SHARE, by=publisher.address)
    share("approve", world.launchpad, 2**256 - 1, by=attacker.address)
    offering = _offer(world, asset, attacker)
    assert _holdings(world, asset) == (10, 0, 0)
    world.wait(DAY)
    offering("return_unsold")
    assert _holdings(world, asset) == (0, 0, 0)
