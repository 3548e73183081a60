"""Who may make a product, of what terms, and that they stand in its code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rig.contract import NOBODY, refused
from rig.people import Person
from rig.shop import PERIOD, PERPETUAL, Shop
from rig.system import DAY, World


def test_a_product_says_all_its_terms(shop: Shop) -> None:
    world, access, terms = shop.world, shop.access, shop.terms
    (event,) = world.storefront.events("ProductCreated")
    assert event.arguments == {
        "asset": shop.asset,
        "access": access.address,
        "operator": terms.operator,
        "terms": 1,
        "product": terms.row(),
    }
    till = world.channels("till_of", shop.asset, terms.operator, 1)
    assert access("terms") == (
        shop.asset,
        terms.operator,
        1,
        terms.kind,
        terms.price,
        terms.per_unit,
        terms.cap,
        terms.most_per_account,
        terms.serve_window,
        terms.royalty_bps,
        terms.scope,
        terms.newest_version,
        terms.document,
        terms.license,
        till,
    )
    assert (access("name"), access("symbol"), access("decimals")) == ("Calls", "CALL", 0)
    assert access("state") == (0, 0, 0, True)
    assert world.storefront("is_access", access)
    assert world.storefront("count") == 1
    assert world.storefront("asset_of", access) == shop.asset


def test_equal_products_are_two(shop: Shop) -> None:
    assert shop.another().access.address != shop.access.address


def test_texts_of_every_length_come_back(shop: Shop) -> None:
    for length in (1, 31, 32):
        text = "x" * length
        access = shop.another(name=text, symbol=text, license=text).access
        assert access("name") == access("symbol") == access("terms")[13] == text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": 0}, "storefront: kind is not one kind"),
        ({"kind": 3}, "storefront: kind is not one kind"),
        ({"price": 2**96}, "storefront: price out of range"),
        ({"per_unit": 0}, "storefront: what a unit is good for is out of range"),
        ({"per_unit": 2**40}, "storefront: what a unit is good for is out of range"),
        ({"kind": PERPETUAL}, "storefront: what a unit is good for is out of range"),
        ({"kind": PERIOD, "per_unit": 0}, "storefront: what a unit is good for is out of range"),
        ({"cap": 0}, "storefront: cap out of range"),
        ({"cap": 2**64}, "storefront: cap out of range"),
        ({"most_per_account": 1_001}, "storefront: limit for each account out of range"),
        ({"price": 0}, "storefront: limit for each account out of range"),
        ({"serve_window": 0}, "storefront: serve window out of range"),
        ({"serve_window": 90 * DAY + 1}, "storefront: serve window out of range"),
        ({"royalty_bps": 5_001}, "storefront: royalty out of range"),
        ({"scope": 0}, "storefront: scope out of range"),
        ({"scope": 16}, "storefront: scope out of range"),
        ({"newest_version": 2**32}, "storefront: version out of range"),
        ({"document": bytes(32)}, "storefront: no licence"),
        ({"license": ""}, "storefront: no licence"),
        ({"name": ""}, "storefront: name or symbol is empty"),
        ({"symbol": ""}, "storefront: name or symbol is empty"),
        ({"operator": NOBODY}, "storefront: operator is not listed"),
    ],
)
def test_terms_out_of_bounds(shop: Shop, changes: dict[str, Any], reason: str) -> None:
    row = replace(shop.terms, **changes).row()
    with refused(reason):
        shop.world.storefront("create", shop.asset, row, by=shop.publisher.address)


def test_the_outermost_terms_fit(shop: Shop) -> None:
    product = shop.another(
        kind=PERIOD,
        price=2**96 - 1,
        per_unit=2**40 - 1,
        cap=2**64 - 1,
        most_per_account=2**64 - 1,
        serve_window=90 * DAY,
        royalty_bps=5_000,
        scope=15,
        newest_version=2**32 - 1,
    )
    found, wanted = product.access("terms"), product.terms
    assert found[3:12] == wanted.row()[1:10]


def test_only_the_controller_makes_products(shop: Shop, attacker: Person) -> None:
    world, row = shop.world, shop.terms.row()
    for stranger in (attacker, shop.operator):
        with refused("storefront: only the asset's controller"):
            world.storefront("create", shop.asset, row, by=stranger.address)


def test_the_controller_is_the_owner_of_today(shop: Shop, holder: Person) -> None:
    world = shop.world
    world.registry(
        "transferFrom",
        shop.publisher.address,
        holder.address,
        shop.asset,
        by=shop.publisher.address,
    )
    with refused("storefront: only the asset's controller"):
        world.storefront("create", shop.asset, shop.terms.row(), by=shop.publisher.address)
    assert world.storefront("create", shop.asset, shop.terms.row(), by=holder.address)


def test_a_dismissed_operator_gets_no_product(shop: Shop) -> None:
    world = shop.world
    world.registry("close_endpoint", shop.asset, shop.operator.address, by=shop.publisher.address)
    with refused("storefront: operator is not listed"):
        world.storefront("create", shop.asset, shop.terms.row(), by=shop.publisher.address)


def test_a_clone_by_hand_is_no_product(world: World, shop: Shop, attacker: Person) -> None:
    from rig.clones import clone

    words = [shop.asset | 1 << 240, 0, 1 | 1 << 96 | 1 << 160, 0, 0, 0, 0, 0]
    forged = clone(world.access_implementation, *words, by=attacker)
    assert not world.storefront("is_access", forged)
    assert world.storefront("asset_of", forged) == 0


def test_an_assets_terms_at_creation_stay(shop: Shop) -> None:
    """A later cut makes a new terms row; what this product sells is still split under its own."""
    world = shop.world
    world.set_endpoint(shop.asset, shop.operator, 3_000, by=shop.publisher)
    assert shop.access("terms")[2] == 1
    assert shop.another().access("terms")[2] == 2
