"""Signed limit orders: listed, filled in parts, cancelled one by one and all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from rig.clones import clone
from rig.compiling import mock
from rig.contract import NOBODY, refused
from rig.people import Person, key_of, person
from rig.shop import Shop, limit_order, open_shop, row_of, sign_order
from rig.signing import Signed
from rig.system import DAY, ONE_SHARE, World, deploy_world

from tessera.spec.orders import LimitOrder, order_digest, orders_domain

MAKER, TAKER = person("maker"), person("taker")
PLENTY = 2**128


@dataclass
class Book:
    """A maker and a taker who trust the Orders contract with what they have."""

    world: World
    shop: Shop

    def ask(self, units: int, money: int, **changes: Any) -> LimitOrder:
        """Offer units of the Access token that the maker holds."""
        self.world.fund(MAKER, units * self.shop.terms.price, spender=self.shop.access)
        if units <= self.shop.terms.cap:
            self.shop.access("buy", units, by=MAKER.address)
        self.shop.access("approve", self.world.orders, PLENTY, by=MAKER.address)
        terms = {"sell": key_of(self.shop.access), "sell_amount": units, "buy_amount": money}
        return limit_order(self.world, MAKER, **{**terms, **changes})

    def bid(self, money: int, units: int, **changes: Any) -> LimitOrder:
        """Offer money of the maker's for units."""
        self.world.fund(MAKER, money, spender=self.world.orders)
        terms = {"buy": key_of(self.shop.access), "sell_amount": money, "buy_amount": units}
        return limit_order(self.world, MAKER, **{**terms, **changes})

    def fill(
        self,
        order: LimitOrder,
        amount: int,
        limit: int = PLENTY,
        *,
        by: Person = TAKER,
        signed: Signed | None = None,
    ) -> int:
        """Fill a part."""
        signature = signed or sign_order(self.world, order, MAKER)
        row = row_of(order)
        return int(self.world.orders("fill", row, *signature, amount, limit, by=by.address))


@pytest.fixture
def book(world: World) -> Book:
    return open_book(world)


def open_book(world: World) -> Book:
    shop = open_shop(world, royalty_bps=500)
    world.fund(TAKER, 10**9, spender=world.orders)
    shop.access("approve", world.orders, PLENTY, by=TAKER.address)
    return Book(world, shop)


def test_an_ask_is_filled_in_parts_and_pays_the_creator(book: Book) -> None:
    world, access = book.world, book.shop.access
    order = book.ask(10, 1_000)
    assert world.orders("preview_fill", row_of(order), 4) == (400, 20)
    assert book.fill(order, 4, 400) == 400
    (event,) = world.orders.events("Filled")
    assert event.arguments["sold"] == 4
    assert (event.arguments["paid"], event.arguments["royalty"]) == (400, 20)
    assert access("balanceOf", TAKER.address) == 4
    assert world.held(MAKER) == 380
    assert world.held(access("terms")[14]) == 20
    assert world.orders("left_of", row_of(order)) == 6
    book.fill(order, 6)
    assert world.orders("left_of", row_of(order)) == 0
    with refused("orders: filled or cancelled"):
        book.fill(order, 1)


def test_a_bid_is_filled_and_the_seller_pays_the_creator(book: Book, holder: Person) -> None:
    world, access = book.world, book.shop.access
    order = book.bid(1_000, 10)
    world.fund(TAKER, 10 * book.shop.terms.price, spender=access)
    access("buy", 10, by=TAKER.address)
    signature = sign_order(world, order, MAKER)
    row = row_of(order)
    assert world.orders("preview_fill", row, 500) == (5, 25)
    paid = world.orders("fill", row, *signature, 500, 5, holder.address, by=TAKER.address)
    assert paid == 5
    assert access("balanceOf", MAKER.address) == 5
    assert world.held(holder) == 475
    assert world.held(access("terms")[14]) == 25
    assert world.held(MAKER) == 500


def test_a_share_is_traded_without_royalty(book: Book) -> None:
    world = book.world
    share = world.new_share(MAKER)
    share("approve", world.orders, PLENTY, by=MAKER.address)
    order = limit_order(
        world, MAKER, sell=key_of(share), sell_amount=2 * ONE_SHARE, buy_amount=3_000_001
    )
    assert book.fill(order, ONE_SHARE) == 1_500_001
    assert world.held(MAKER) == 1_500_001
    assert share("balanceOf", TAKER.address) == ONE_SHARE


def test_a_listed_order_is_in_the_event(book: Book, keeper: Person) -> None:
    world = book.world
    order = book.ask(10, 1_000)
    signature = sign_order(world, order, MAKER)
    digest = world.orders("list", row_of(order), *signature, by=keeper.address)
    (event,) = world.orders.events("Listed")
    assert event.arguments["order"] == row_of(order)
    assert (event.arguments["r"], event.arguments["vs"]) == signature
    assert event.arguments["token"] == book.shop.access.address
    domain = orders_domain(world.engine.chain_id, key_of(world.orders))
    assert digest == event.arguments["digest"] == order_digest(domain, order)
    assert digest == world.orders("digest_of", row_of(order))
    bid = book.bid(5, 5)
    world.orders("list", row_of(bid), *sign_order(world, bid, MAKER))
    (event,) = world.orders.events("Listed")
    assert event.arguments["token"] == book.shop.access.address
    world.orders("cancel", row_of(order), by=MAKER.address)
    with refused("orders: filled or cancelled"):
        world.orders("list", row_of(order), *signature)


def test_a_named_taker_only(book: Book, attacker: Person) -> None:
    order = book.ask(2, 200, taker=key_of(TAKER))
    book.world.fund(attacker, 10**6, spender=book.world.orders)
    with refused("orders: for another taker"):
        book.fill(order, 1, by=attacker)
    book.fill(order, 1)


def test_nobody_trades_alone(book: Book) -> None:
    with refused("orders: maker and taker are one"):
        book.fill(book.ask(2, 200), 1, by=MAKER)


def test_it_ends_when_it_says(book: Book) -> None:
    order = book.ask(2, 200)
    book.world.wait(DAY)
    book.fill(order, 1)
    book.world.wait(1)
    assert book.world.orders("left_of", row_of(order)) == 0
    with refused("orders: expired"):
        book.fill(order, 1)


def test_what_a_fill_refuses(book: Book, attacker: Person) -> None:
    order = book.ask(2, 201)
    with refused("orders: dearer than the limit"):
        book.fill(order, 1, 100)
    for amount in (0, 3):
        with refused("orders: not that much left"):
            book.fill(order, amount)
    with refused("orders: not signed by the maker"):
        book.fill(order, 1, signed=sign_order(book.world, order, attacker))
    with refused("orders: not signed by the maker"):
        book.fill(order, 1, signed=(1, 1))
    with refused("orders: not signed by the maker"):
        book.fill(order._replace(buy_amount=1), 1, signed=sign_order(book.world, order, MAKER))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sell_amount": 0}, "orders: amount out of range"),
        ({"sell_amount": 2**128}, "orders: amount out of range"),
        ({"buy_amount": 0}, "orders: amount out of range"),
        ({"buy_amount": 2**128}, "orders: amount out of range"),
        ({"series": 1}, "orders: of a cancelled series"),
        ({"buy": bytes(19) + b"\x01"}, "orders: one side must be the currency"),
        ({"sell": bytes(19) + b"\x01"}, "orders: no such share or access"),
    ],
)
def test_orders_that_are_none(book: Book, changes: dict[str, Any], reason: str) -> None:
    order = book.ask(1, 100)._replace(**changes)
    signature = sign_order(book.world, order, MAKER)
    for name, more in (("list", ()), ("fill", (1, PLENTY))):
        with refused(reason):
            book.world.orders(name, row_of(order), *signature, *more, by=TAKER.address)


def test_the_currency_for_itself_is_no_order(book: Book) -> None:
    order = limit_order(book.world, MAKER)
    with refused("orders: one side must be the currency"):
        book.fill(order, 1)


def test_strangers_tokens_are_not_traded(book: Book) -> None:
    """Contracts without `asset()`, a person, and a clone of our Share that names our asset."""
    world = book.world
    lying = clone(world.share_implementation, 10**18, book.shop.asset, 0, 0, by=MAKER)
    assert lying("asset") == book.shop.asset
    for token in (world.registry, world.channels, world.launchpad, lying, TAKER):
        order = limit_order(world, MAKER, sell=key_of(token))
        with refused("orders: no such share or access"):
            book.fill(order, 1)


def test_cancelling_needs_the_maker_and_is_final(book: Book, attacker: Person) -> None:
    order = book.ask(2, 200)
    with refused("orders: only the maker"):
        book.world.orders("cancel", row_of(order), by=attacker.address)
    book.fill(order, 1)
    book.world.orders("cancel", row_of(order), by=MAKER.address)
    (event,) = book.world.orders.events("Cancelled")
    assert event.arguments["digest"] == book.world.orders("digest_of", row_of(order))
    assert book.world.orders("left_of", row_of(order)) == 0
    with refused("orders: filled or cancelled"):
        book.fill(order, 1)


def test_a_series_is_cancelled_at_once(book: Book) -> None:
    orders = [book.ask(1, 100, salt=bytes([n]) * 32) for n in range(3)]
    book.fill(orders[0], 1)
    assert book.world.orders("cancel_series", by=MAKER.address) == 1
    (event,) = book.world.orders.events("SeriesCancelled")
    assert event.arguments == {"maker": MAKER.address, "series": 1}
    for order in orders[1:]:
        assert book.world.orders("left_of", row_of(order)) == 0
        with refused("orders: of a cancelled series"):
            book.fill(order, 1)
    book.fill(book.ask(1, 100, series=1), 1)


def test_an_order_without_funds_fails_whole(book: Book) -> None:
    order = book.ask(2, 200)
    book.shop.access("transfer", NOBODY[:-1] + "9", 2, by=MAKER.address)
    before = book.world.held(TAKER)
    with refused("erc20: balance too low"):
        book.fill(order, 1)
    assert book.world.held(TAKER) == before


def test_a_currency_that_takes_a_fee_or_says_no() -> None:
    for name, reason in (
        ("FeeCurrency", "orders: token takes a fee"),
        ("FalseCurrency", "orders: token refused the transfer"),
    ):
        arguments = (6, 137) if name == "FeeCurrency" else (6,)
        world = deploy_world(currency=mock(name), currency_arguments=arguments)
        share = world.new_share(MAKER)
        share("approve", world.orders, PLENTY, by=MAKER.address)
        world.fund(TAKER, 1_000, spender=world.orders)
        if name == "FalseCurrency":
            world.currency("set_refuses", True)
        order = limit_order(
            world, MAKER, sell=key_of(share), sell_amount=ONE_SHARE, buy_amount=1_000
        )
        signature = sign_order(world, order, MAKER)
        arguments = (ONE_SHARE // 2, PLENTY)
        with refused(reason):
            world.orders("fill", row_of(order), *signature, *arguments, by=TAKER.address)


def test_it_says_what_it_signs(book: Book) -> None:
    orders = book.world.orders
    fields, name, version, chain_id, contract, _, _ = orders("eip712Domain")
    assert (fields, name, version, contract) == (b"\x0f", "Tessera Orders", "1", orders.address)
    assert orders("DOMAIN_SEPARATOR") == orders_domain(chain_id, key_of(orders)).separator
