"""The list of buyers, and the part of the proceeds that opens the pool."""

from __future__ import annotations

import pytest
from rig.contract import Contract, refused
from rig.people import Person, key_of
from rig.sales import DOLLAR, Stand, open_stand, pool_of, sale_terms
from rig.system import DAY, ONE_SHARE, World

from tessera.spec.merkle import AllowList


@pytest.fixture
def stand(world: World) -> Stand:
    return open_stand(world)


def buy(stand: Stand, offering: Contract, who: Person, whole: int) -> int:
    stand.world.fund(who, whole * 2 * DOLLAR, spender=offering)
    _, cost = offering("buy", whole * ONE_SHARE, by=who.address)
    return int(cost)


def test_anyone_opens_the_pool_of_a_final_sale_at_its_price(
    stand: Stand, buyer: Person, keeper: Person
) -> None:
    world = stand.world
    offering = stand.open("offer", sale_terms(world, liquidity=(3_000, 1, 180 * DAY)))
    assert offering("pooled") == 300 * ONE_SHARE
    buy(stand, offering, buyer, 500)
    assert offering("proceeds") == 700 * DOLLAR
    with refused("offering: not over yet"):
        offering("open_pool")
    world.wait(7 * DAY)
    assert offering("return_unsold") == 650 * ONE_SHARE
    # Until the pool is open nobody else may open it.
    assert world.launchpad("open_sales", stand.asset) == 1
    offering("open_pool", by=keeper.address)
    assert world.exchange("fee_bps_of", stand.share) == 30
    assert pool_of(world, stand.share) == (
        150 * ONE_SHARE,
        300 * DOLLAR,
        stand.publisher.address,
        world.now + 180 * DAY,
    )
    with refused("offering: pool opened already"):
        offering("open_pool")
    assert world.launchpad("open_sales", stand.asset) == 0
    assert world.launchpad("held_in_sales", stand.asset) == 500 * ONE_SHARE - 500 * ONE_SHARE
    assert offering("withdraw_proceeds", by=stand.publisher.address) == 700 * DOLLAR
    assert world.held(offering) == 0


def test_a_sale_that_is_sold_out_is_over(stand: Stand, buyer: Person) -> None:
    offering = stand.open("offer", sale_terms(stand.world, liquidity=(10_000, 1, DAY)))
    buy(stand, offering, buyer, 1_000)
    assert offering("proceeds") == 0
    offering("open_pool")
    assert offering("return_unsold") == 0
    assert stand.world.launchpad("held_in_sales", stand.asset) == 0


def test_a_failed_sale_opens_no_pool(stand: Stand, buyer: Person) -> None:
    offering = stand.open("offer", sale_terms(stand.world, liquidity=(3_000, 1, DAY)))
    buy(stand, offering, buyer, 399)
    stand.world.wait(7 * DAY)
    with refused("offering: no pool to open"):
        offering("open_pool")
    assert offering("return_unsold") == 1_300 * ONE_SHARE
    assert offering("refund", by=buyer.address) == 798 * DOLLAR
    assert stand.world.launchpad("open_sales", stand.asset) == 0


def test_a_sale_without_a_part_for_the_pool_opens_none(stand: Stand, buyer: Person) -> None:
    offering = stand.open("offer", sale_terms(stand.world))
    buy(stand, offering, buyer, 1_000)
    with refused("offering: no pool to open"):
        offering("open_pool")


def test_only_who_is_listed_buys_and_only_so_much(
    stand: Stand, buyer: Person, holder: Person, attacker: Person
) -> None:
    listed = AllowList({key_of(buyer): 10 * ONE_SHARE, key_of(holder): 20 * ONE_SHARE})
    offering = stand.open("offer", sale_terms(stand.world, allowed=listed.root))
    assert tuple(offering("conditions")) == (listed.root, 0, 0, 0)
    for who in (buyer, attacker):
        stand.world.fund(who, 10**12, spender=offering)
    most, proof = listed.proof(key_of(buyer))
    with refused("sale: not on the list"):
        offering("buy", ONE_SHARE, by=buyer.address)
    offering("buy", 6 * ONE_SHARE, buyer.address, most, list(proof), by=buyer.address)
    with refused("sale: above the buyer's part of the list"):
        offering("buy", 5 * ONE_SHARE, buyer.address, most, list(proof), by=buyer.address)
    # Whoever shows a buyer's leaf buys for that buyer.
    offering("buy", 4 * ONE_SHARE, buyer.address, most, list(proof), by=attacker.address)
    assert offering("bought", buyer.address) == 10 * ONE_SHARE
