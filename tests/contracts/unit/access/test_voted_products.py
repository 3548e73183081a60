"""Once an asset has shares its holders decide what is sold, by voting for a licence document."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from rig.compiling import compiled
from rig.contract import Contract, refused
from rig.governing import LICENCE, Council, action, open_council
from rig.people import Person
from rig.shop import PRICE, ProductTerms, open_shop
from rig.system import World, deploy_world


@dataclass
class Hall:
    """A governed asset, and what somebody wants to sell of it."""

    council: Council
    terms: ProductTerms

    @property
    def world(self) -> World:
        return self.council.world

    def vote(self, document: bytes) -> None:
        """Let the holders take a document as the asset's licence."""
        self.council.pass_through(action(LICENCE, document=document))

    def digest(self, terms: ProductTerms | None = None) -> bytes:
        row = (terms or self.terms).row()
        return bytes(self.world.storefront("digest_of", self.council.asset, row))

    def create(self, by: Person, terms: ProductTerms | None = None) -> Contract:
        row = (terms or self.terms).row()
        address = self.world.storefront("create", self.council.asset, row, by=by.address)
        return Contract(self.world.engine, compiled("Access"), address)


@pytest.fixture
def hall() -> Hall:
    council = open_council()
    return Hall(council, ProductTerms(council.operator.address))


def test_neither_the_owner_nor_a_stranger_decides(hall: Hall, keeper: Person) -> None:
    for who in (hall.council.publisher, hall.council.holders[0], keeper):
        with refused("storefront: only the asset's controller"):
            hall.create(who)


def test_a_voted_product_is_made_once_by_anyone_and_only_as_it_was_shown(
    hall: Hall, keeper: Person
) -> None:
    hall.vote(hall.digest())
    for other in (replace(hall.terms, price=6), replace(hall.terms, cap=hall.terms.cap + 1)):
        with refused("storefront: only the asset's controller"):
            hall.create(keeper, other)
    made = hall.create(keeper)
    assert made("terms")[4] == hall.terms.price
    assert hall.world.storefront("voted", hall.digest())
    # Twice would be twice its cap.
    with refused("storefront: only the asset's controller"):
        hall.create(keeper)


def test_a_vote_of_one_asset_makes_nothing_of_another(hall: Hall, keeper: Person) -> None:
    other = Hall(open_council(hall.world), hall.terms)
    other.vote(hall.digest())
    for asset in (hall, other):
        with refused("storefront: only the asset's controller"):
            asset.create(keeper)


def test_before_it_has_shares_there_is_nobody_to_vote(keeper: Person) -> None:
    world = deploy_world(governed=True)
    shop = open_shop(world)
    with refused("storefront: only the asset's controller"):
        world.storefront("create", shop.asset, shop.terms.row(), by=keeper.address)
    with refused("access: only the asset's controller"):
        shop.access("set_on_sale", False, by=keeper.address)


def test_holders_stop_and_resume_a_sale_of_one_product(
    hall: Hall, keeper: Person, consumer: Person
) -> None:
    hall.vote(hall.digest())
    made = hall.create(keeper)
    second = replace(hall.terms, name="Second")
    hall.vote(hall.digest(second))
    other = hall.create(keeper, second)
    for who in (hall.council.publisher, keeper):
        with refused("access: the holders did not vote for it"):
            made("set_on_sale", False, by=who.address)
    hall.vote(made("sale_digest", False))
    with refused("access: the holders did not vote for it"):
        made("set_on_sale", True, by=keeper.address)
    with refused("access: the holders did not vote for it"):
        other("set_on_sale", False, by=keeper.address)
    made("set_on_sale", False, by=keeper.address)
    hall.world.fund(consumer, PRICE, spender=made)
    with refused("access: not on sale"):
        made("buy", 1, by=consumer.address)
    hall.vote(made("sale_digest", True))
    made("set_on_sale", True, by=keeper.address)
    assert made("buy", 1, by=consumer.address) == PRICE
