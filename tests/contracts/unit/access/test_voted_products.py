"""Once an asset has shares its holders decide what is sold: they vote for a product in full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rig.contract import refused
from rig.governing import (
    CLOSING,
    ENDPOINT,
    EXIT_DELAY,
    PRODUCT,
    READY,
    TIMELOCK,
    VOTING_TIME,
    Council,
    action,
    open_council,
)
from rig.people import Person
from rig.shop import PRICE, ProductTerms


@pytest.fixture
def council() -> Council:
    return open_council()


@pytest.fixture
def terms(council: Council) -> ProductTerms:
    return ProductTerms(council.operator.address)


def test_neither_the_owner_nor_a_stranger_decides(
    council: Council, terms: ProductTerms, keeper: Person
) -> None:
    made = council.make(terms)
    for who in (council.publisher, council.holders[0], keeper):
        with refused("storefront: only the asset's controller"):
            council.world.storefront("create", council.asset, terms.row(), by=who.address)
        with refused("access: only the asset's controller"):
            made("set_on_sale", False, by=who.address)


def test_a_voted_product_is_what_was_shown_and_sold(
    council: Council, terms: ProductTerms, consumer: Person
) -> None:
    made = council.make(terms)
    council.world.fund(consumer, PRICE, spender=made)
    assert made("buy", 1, by=consumer.address) == PRICE
    assert made("terms")[2] == 1
    assert council.world.storefront("count") == 1


def meanwhile(council: Council, terms: ProductTerms, change: tuple[Any, ...]) -> int:
    """Propose a product and something else, do the other first; return the product's proposal."""
    first, second = council.holders[:2]
    product = council.propose(first, action(PRODUCT, product=terms))
    other = council.propose(second, change)
    for who in council.holders:
        council.vote(who, product)
        council.vote(who, other)
    council.world.wait(VOTING_TIME + TIMELOCK)
    council.execute(other, change)
    with refused("governor: not to be executed now"):
        council.execute(product, action(PRODUCT, product=terms))
    council.world.wait(EXIT_DELAY)
    return product


def test_a_product_is_split_under_the_terms_of_the_day_it_is_made(
    council: Council, terms: ProductTerms
) -> None:
    lower = action(ENDPOINT, operator=council.operator, cut_bps=900, price=(7, 0, 0))
    proposal = meanwhile(council, terms, lower)
    made = council.made(proposal, terms)
    assert made("terms")[2] == 2


def test_an_operator_who_was_dismissed_meanwhile_gets_no_product(
    council: Council, terms: ProductTerms
) -> None:
    proposal = meanwhile(council, terms, action(CLOSING, operator=council.operator))
    with refused("storefront: operator is not listed"):
        council.made(proposal, terms)
    # Nothing is kept of the attempt: listed again in time, it can still be made.
    assert council.state(proposal) == READY


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": 0}, "storefront: kind is not one kind"),
        ({"cap": 0}, "storefront: cap out of range"),
        ({"price": 0}, "storefront: limit for each account out of range"),
        ({"symbol": ""}, "storefront: name or symbol is empty"),
    ],
)
def test_terms_out_of_bounds_are_made_by_no_vote(
    council: Council, terms: ProductTerms, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        council.make(replace(terms, **changes))
