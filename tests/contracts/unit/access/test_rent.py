"""An order is rented out: its owner is paid, its renter uses it, and it ends by itself."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import NOBODY, refused
from rig.people import Person, person
from rig.shop import PERIOD, PERPETUAL, Shop, open_shop
from rig.system import DAY, World, deploy_world

DAILY = 1_000_000
RENTER = person("renter")


@pytest.fixture
def licence(world: World) -> Shop:
    return open_shop(world, kind=PERPETUAL, per_unit=0, royalty_bps=1_000)


@pytest.fixture
def order(licence: Shop) -> int:
    order = licence.served()
    licence.access("offer_rent", order, DAILY, 30 * DAY, by=licence.consumer.address)
    licence.world.fund(RENTER, 10**12, spender=licence.access)
    return order


def _rent(licence: Shop, order: int, seconds: int, limit: int = 10**12) -> int:
    return int(licence.access("rent", order, seconds, limit, by=RENTER.address))


def test_the_renter_uses_it_until_the_end(licence: Shop, order: int) -> None:
    world, access = licence.world, licence.access
    until = _rent(licence, order, 3 * DAY)
    assert until == world.now + 3 * DAY
    (event,) = access.events("Rented")
    assert event.arguments["cost"] == 3 * DAILY
    assert event.arguments["royalty"] == 300_000
    assert access("user_of", order) == RENTER.address
    assert access("order_of", order)[:2] == (licence.consumer.address, RENTER.address)
    assert access("order_of", order)[5] == until
    assert access("rent_of", order) == (RENTER.address, until, DAILY, 30 * DAY)
    world.wait(3 * DAY - 1)
    assert access("user_of", order) == RENTER.address
    world.wait(1)
    assert access("user_of", order) == licence.consumer.address


def test_the_owner_and_the_creator_are_paid(licence: Shop, order: int) -> None:
    world = licence.world
    before = world.held(licence.consumer)
    assert licence.access("preview_rent", order, DAY) == (DAILY, 100_000)
    _rent(licence, order, DAY, DAILY)
    assert world.held(licence.consumer) - before == 900_000
    till = licence.access("terms")[14]
    assert world.held(till) == 100_000
    world.channels("flush_till", licence.asset, licence.operator.address, 1)
    assert world.channels("gross_of", licence.asset, licence.operator.address, 1) == 100_000


def test_a_second_costs_a_unit_and_not_nothing(licence: Shop, order: int) -> None:
    licence.access("offer_rent", order, 1, DAY, by=licence.consumer.address)
    assert licence.access("preview_rent", order, 1) == (1, 1)
    _rent(licence, order, 1)


def test_rented_twice_only_one_after_the_other(licence: Shop, order: int) -> None:
    _rent(licence, order, DAY)
    with refused("access: rented already"):
        _rent(licence, order, DAY)
    licence.world.wait(DAY)
    _rent(licence, order, DAY)


def test_an_offer_that_was_taken_back(licence: Shop, order: int) -> None:
    _rent(licence, order, DAY)
    licence.access("offer_rent", order, DAILY, 0, by=licence.consumer.address)
    assert licence.access("user_of", order) == RENTER.address
    licence.world.wait(DAY)
    with refused("access: not for rent, or not for so long"):
        _rent(licence, order, 1)


def test_what_is_not_rented(licence: Shop, order: int, attacker: Person) -> None:
    with refused("access: dearer than the limit"):
        _rent(licence, order, DAY, DAILY - 1)
    with refused("access: not for rent, or not for so long"):
        _rent(licence, order, 30 * DAY + 1)
    with refused("access: not for rent, or not for so long"):
        _rent(licence, order, 0)
    with refused("access: renter is the zero address"):
        licence.access("rent", order, DAY, 10**12, NOBODY, by=RENTER.address)
    with refused("access: only the order's owner"):
        licence.access("offer_rent", order, 1, 1, by=attacker.address)
    with refused("access: only the order's owner"):
        licence.access("offer_rent", 77, 1, 1, by=attacker.address)
    for price, seconds in ((2**96, 1), (1, 2**40)):
        with refused("access: rent out of range"):
            licence.access("offer_rent", order, price, seconds, by=licence.consumer.address)


def test_an_order_that_was_never_served_is_not_rented(licence: Shop) -> None:
    order = licence.order()
    licence.access("offer_rent", order, DAILY, DAY, by=licence.consumer.address)
    with refused("access: not served yet"):
        _rent(licence, order, DAY)
    licence.world.wait(DAY + 1)
    licence.access("refund_for", order)
    with refused("access: not served yet"):
        _rent(licence, order, DAY)


def test_a_pack_of_calls_is_not_rented(world: World) -> None:
    shop = open_shop(world)
    order = shop.served()
    with refused("access: calls are not rented, sell the units"):
        shop.access("offer_rent", order, 1, 1, by=shop.consumer.address)


def test_a_rent_ends_with_the_period(world: World) -> None:
    shop = open_shop(world, kind=PERIOD, per_unit=DAY)
    order = shop.served(2)
    shop.access("offer_rent", order, DAILY, 30 * DAY, by=shop.consumer.address)
    world.fund(RENTER, 10**12, spender=shop.access)
    with refused("access: the right ends before the rent"):
        _rent(shop, order, 2 * DAY + 1)
    _rent(shop, order, 2 * DAY)


def test_a_rent_for_somebody_else(licence: Shop, order: int, holder: Person) -> None:
    licence.access("rent", order, DAY, 10**12, holder.address, by=RENTER.address)
    assert licence.access("user_of", order) == holder.address


def test_the_owner_rents_from_itself_for_the_royalty(licence: Shop, order: int) -> None:
    world, owner = licence.world, licence.consumer
    world.fund(owner, DAILY, spender=licence.access)
    before = world.held(owner)
    licence.access("rent", order, DAY, DAILY, by=owner.address)
    assert before - world.held(owner) == 100_000


def test_a_currency_that_takes_a_fee_or_says_no() -> None:
    for name, reason in (
        ("FeeCurrency", "access: currency takes a fee"),
        ("FalseCurrency", "access: currency refused the transfer"),
    ):
        arguments = (6, 137) if name == "FeeCurrency" else (6,)
        world = deploy_world(currency=mock(name), currency_arguments=arguments)
        shop = open_shop(world, kind=PERPETUAL, per_unit=0, price=0, most_per_account=1)
        order = shop.access("buy_and_redeem", 1, by=shop.consumer.address)
        shop.prove(shop.use(order, shop.consumer))
        shop.access("offer_rent", order, DAILY, DAY, by=shop.consumer.address)
        if name == "FeeCurrency":
            world.fund(RENTER, 10 * DAILY, spender=shop.access)
        with refused(reason):
            _rent(shop, order, DAY)
