"""A licence is rented out, and one of the two wants more than the bargain.

The owner goes on using it, sells it to a second renter, raises the price in front of the renter's
transaction, or rents out what is about to be refunded or to expire. The renter wants it for longer
than the licence lasts, or to prove service in the owner's place. Both want to keep the creator's
royalty; where the chain cannot see the bargain it is kept from the creator, and the page says so.
"""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person, key_of, person
from rig.shop import PERIOD, PERPETUAL, PRICE, Shop, limit_order, open_shop, row_of, sign_order
from rig.system import DAY, World

DAILY = 1_000_000
RENTER = person("renter")


@pytest.fixture
def licence(world: World) -> Shop:
    return open_shop(world, kind=PERPETUAL, per_unit=0, royalty_bps=1_000)


def _offered(shop: Shop, seconds: int = 30 * DAY) -> int:
    order = shop.served()
    shop.access("offer_rent", order, DAILY, seconds, by=shop.consumer.address)
    shop.world.fund(RENTER, 100 * DAILY, spender=shop.access)
    return order


def test_the_owner_is_not_the_user_meanwhile(licence: Shop) -> None:
    order = _offered(licence)
    licence.access("rent", order, DAY, DAILY, by=RENTER.address)
    assert licence.access("user_of", order) == RENTER.address
    # Neither taking the offer back nor another offer changes that.
    for seconds in (0, 10 * DAY):
        licence.access("offer_rent", order, 1, seconds, by=licence.consumer.address)
        assert licence.access("user_of", order) == RENTER.address


def test_one_licence_has_one_renter(licence: Shop, attacker: Person) -> None:
    order = _offered(licence)
    licence.access("rent", order, DAY, DAILY, by=RENTER.address)
    licence.world.fund(attacker, DAILY, spender=licence.access)
    with refused("access: rented already"):
        licence.access("rent", order, DAY, DAILY, by=attacker.address)


def test_a_price_raised_in_front_of_the_renter(licence: Shop) -> None:
    order = _offered(licence)
    licence.access("offer_rent", order, 50 * DAILY, DAY, by=licence.consumer.address)
    with refused("access: dearer than the limit"):
        licence.access("rent", order, DAY, DAILY, by=RENTER.address)


def test_what_may_still_be_refunded_is_not_rented_out(licence: Shop) -> None:
    order = licence.order()
    licence.access("offer_rent", order, DAILY, DAY, by=licence.consumer.address)
    licence.world.fund(RENTER, DAILY, spender=licence.access)
    with refused("access: not served yet"):
        licence.access("rent", order, DAY, DAILY, by=RENTER.address)


def test_a_rent_never_outlives_the_licence(world: World) -> None:
    shop = open_shop(world, kind=PERIOD, per_unit=10 * DAY)
    order = _offered(shop)
    world.wait(9 * DAY)
    with refused("access: the right ends before the rent"):
        shop.access("rent", order, DAY + 1, 100 * DAILY, by=RENTER.address)
    until = shop.access("rent", order, DAY, DAILY, by=RENTER.address)
    assert until == shop.access("valid_until", order)


def test_a_renter_proves_nothing_in_the_owners_place(licence: Shop) -> None:
    """A proof is the owner's use; whoever else signs does not make the owner's money flow."""
    order = licence.order()
    assert licence.prove(licence.use(order, RENTER)) == 0


def test_a_rent_of_many_seconds_pays_the_royalty_of_the_whole(licence: Shop) -> None:
    """A thousand rents of a second each: each is rounded up, so all are dearer, never cheaper."""
    order = _offered(licence)
    world, till = licence.world, licence.access("terms")[14]
    for _ in range(1_000):
        licence.access("rent", order, 1, DAILY, by=RENTER.address)
        world.wait(1)
    whole, royalty = licence.access("preview_rent", order, 1_000)
    assert world.held(till) >= royalty
    assert 100 * DAILY - world.held(RENTER) >= whole


def test_what_a_royalty_cannot_see(licence: Shop, attacker: Person, buyer: Person) -> None:
    """Evasion, stated: a unit given away and paid for elsewhere brings the creator nothing."""
    world, access = licence.world, licence.access
    world.fund(attacker, PRICE, spender=access)
    access("buy", 1, by=attacker.address)
    access("transfer", buyer.address, 1, by=attacker.address)
    world.fund(buyer, DAILY)
    world.currency("transfer", attacker.address, DAILY, by=buyer.address)
    assert world.held(access("terms")[14]) == 0


def test_where_a_royalty_is_seen_it_is_paid(licence: Shop, buyer: Person) -> None:
    """In Orders neither an order in many parts nor one with a friend as taker goes without it."""
    world, access = licence.world, licence.access
    maker = licence.consumer
    world.fund(maker, 10 * PRICE, spender=access)
    access("buy", 10, by=maker.address)
    access("approve", world.orders, 10, by=maker.address)
    world.fund(buyer, 10**6, spender=world.orders)
    order = limit_order(
        world,
        maker,
        sell=key_of(access),
        sell_amount=10,
        buy_amount=10,
        taker=key_of(buyer),
    )
    signature = sign_order(world, order, maker)
    for _ in range(10):
        world.orders("fill", row_of(order), *signature, 1, 1, by=buyer.address)
    # A price of one unit each: the creator gets all of it, since its part is rounded up.
    assert world.held(access("terms")[14]) == 10
