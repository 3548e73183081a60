"""Once an asset has shares its holders decide what is sold, by voting for a licence document."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.engines import new_engine
from rig.people import Person, person
from rig.shop import PRICE, Shop, open_shop
from rig.system import World, deploy_world


@pytest.fixture
def governor() -> Contract:
    return deployed(new_engine(), mock("VotedLicence"), by=person("network owner").address)


@pytest.fixture
def world(governor: Contract) -> World:
    return deploy_world(engine=governor.engine, governor=governor.address)


@pytest.fixture
def shop(world: World) -> Shop:
    """A product of an asset that was tokenized afterwards."""
    shop = open_shop(world)
    world.tokenize(shop.asset, shop.publisher)
    return shop


def test_the_owner_decides_no_more(shop: Shop) -> None:
    with refused("storefront: only the asset's controller"):
        shop.world.storefront("create", shop.asset, shop.terms.row(), by=shop.publisher.address)
    with refused("access: the holders did not vote for it"):
        shop.access("set_on_sale", False, by=shop.publisher.address)


def test_a_voted_product_is_made_once_by_anyone_and_only_as_it_was_shown(
    shop: Shop, governor: Contract, keeper: Person
) -> None:
    storefront = shop.world.storefront
    terms = replace(shop.terms, price=7, name="Voted")
    governor("vote", shop.asset, storefront("digest_of", shop.asset, terms.row()))
    for other in (replace(terms, price=6), replace(terms, cap=terms.cap + 1)):
        with refused("storefront: only the asset's controller"):
            storefront("create", shop.asset, other.row(), by=keeper.address)
    address = storefront("create", shop.asset, terms.row(), by=keeper.address)
    made = Contract(shop.world.engine, compiled("Access"), address)
    assert made("terms")[4] == 7
    # Twice would be twice its cap.
    with refused("storefront: only the asset's controller"):
        storefront("create", shop.asset, terms.row(), by=keeper.address)
    assert storefront("voted", storefront("digest_of", shop.asset, terms.row()))


def test_a_vote_of_one_asset_makes_nothing_of_another(
    shop: Shop, governor: Contract, keeper: Person
) -> None:
    world = shop.world
    other = open_shop(world)
    world.tokenize(other.asset, other.publisher)
    document = world.storefront("digest_of", shop.asset, shop.terms.row())
    governor("vote", other.asset, document)
    for asset in (shop.asset, other.asset):
        with refused("storefront: only the asset's controller"):
            world.storefront("create", asset, shop.terms.row(), by=keeper.address)


def test_before_it_has_shares_no_vote_counts(
    world: World, governor: Contract, keeper: Person
) -> None:
    shop = open_shop(world)
    governor("vote", shop.asset, world.storefront("digest_of", shop.asset, shop.terms.row()))
    with refused("storefront: only the asset's controller"):
        world.storefront("create", shop.asset, shop.terms.row(), by=keeper.address)
    governor("vote", shop.asset, shop.access("sale_digest", False))
    with refused("access: only the asset's controller"):
        shop.access("set_on_sale", False, by=keeper.address)


def test_holders_stop_and_resume_a_sale(shop: Shop, governor: Contract, keeper: Person) -> None:
    governor("vote", shop.asset, shop.access("sale_digest", False))
    with refused("access: the holders did not vote for it"):
        shop.access("set_on_sale", True, by=keeper.address)
    shop.access("set_on_sale", False, by=keeper.address)
    shop.world.fund(shop.consumer, PRICE, spender=shop.access)
    with refused("access: not on sale"):
        shop.access("buy", 1, by=shop.consumer.address)
    governor("vote", shop.asset, shop.access("sale_digest", True))
    shop.access("set_on_sale", True, by=keeper.address)
    assert shop.access("buy", 1, by=shop.consumer.address) == PRICE


def test_a_vote_to_stop_one_product_stops_no_other(
    world: World, governor: Contract, keeper: Person
) -> None:
    first = open_shop(world)
    second = first.another(name="Second")
    world.tokenize(first.asset, first.publisher)
    governor("vote", first.asset, first.access("sale_digest", False))
    with refused("access: the holders did not vote for it"):
        second.access("set_on_sale", False, by=keeper.address)
