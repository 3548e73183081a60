"""Access and orders: what units cost, what backs them, and where the money of service went."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tessera.bindings import access, orders, test_dollar
from tessera.bindings.storefront import Kind, Product, ProductCreated
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts
from tessera.spec.access import rent_cost, royalty_of
from tessera.spec.orders import LimitOrder, paid_for
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of

__all__ = ["check_rights"]


@dataclass(slots=True)
class _Order:
    """One order of units: since when, and what became of it."""

    units: int
    ordered_at: int
    proved: bool = False
    void: bool = False
    daily_price: int = 0


@dataclass(slots=True)
class _Shelf:
    """One product, written again from its events; money in base units."""

    terms: Product
    held: Counter[str] = field(default_factory=Counter)
    orders: dict[int, _Order] = field(default_factory=dict)
    bought: int = 0
    money: int = 0
    flushed: int = 0

    @property
    def backed(self) -> int:
        """Units that are held, or in orders that wait."""
        waiting = sum(o.units for o in self.orders.values() if not (o.proved or o.void))
        return sum(self.held.values()) + waiting

    @property
    def served(self) -> int:
        """Units whose service was proved."""
        return sum(order.units for order in self.orders.values() if order.proved)


class _Replay:
    def __init__(self, facts: Facts, checks: Checks) -> None:
        self._facts = facts
        self._checks = checks
        self.shelves: dict[str, _Shelf] = {}
        self._book: dict[bytes, orders.Order] = {}
        self._filled: Counter[bytes] = Counter()
        # What moved in a transaction, by sender and receiver.
        self._moved: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        for entry in facts.entries:
            if isinstance(entry.event, test_dollar.Transfer) and entry.address == facts.currency:
                way = (entry.event.sender, entry.event.receiver)
                self._moved[entry.tx][way] += entry.event.value

    def take(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case ProductCreated():
                self.shelves[event.access] = _Shelf(event.product)
            case orders.Listed():
                self._book[event.digest] = event.order
            case orders.Filled():
                self._fill(entry, event)
            case test_dollar.Transfer() if entry.address == self._facts.currency:
                shelf = self.shelves.get(event.sender)
                if shelf is not None and event.receiver in self._facts.tills:
                    shelf.money -= event.value
                    shelf.flushed += event.value
            case _ if entry.address in self.shelves:
                self._product(entry, self.shelves[entry.address])
            case _:
                pass

    def _product(self, entry: Entry, shelf: _Shelf) -> None:
        event, terms = entry.event, shelf.terms
        match event:
            case access.Bought():
                shelf.bought += event.amount
                shelf.money += event.cost
                self._same("units cost their price", event.buyer, event.cost,
                           event.amount * terms.price)  # fmt: skip
            case access.Transfer():
                if event.sender != ZERO_ADDRESS_TEXT:
                    shelf.held[event.sender] -= event.value
                if event.receiver != ZERO_ADDRESS_TEXT:
                    shelf.held[event.receiver] += event.value
            case access.Ordered():
                shelf.orders[event.order] = _Order(event.units, entry.time)
            case access.Proved():
                answer = (entry.address, event.order, event.request, event.response)
                self._same(
                    "a proof is of an answer that a consumer keeps",
                    entry.address,
                    answer in self._facts.uses,
                    True,
                )
                order = shelf.orders.get(event.order, _Order(0, entry.time))
                self._within_window(entry, order, 0, terms.serve_window)
                self._served_once(entry, order)
                order.proved = True
            case access.Refunded():
                order = shelf.orders.get(event.order, _Order(0, entry.time))
                if not event.declined:
                    self._within_window(entry, order, terms.serve_window + 1, entry.time)
                self._served_once(entry, order)
                order.void = True
                shelf.money -= event.amount
                shelf.bought -= order.units
                self._same(
                    "a refund is the price of its units",
                    event.owner,
                    event.amount,
                    order.units * terms.price,
                )
            case access.RentOffered():
                shelf.orders[event.order].daily_price = event.daily_price
            case access.Rented():
                price = shelf.orders[event.order].daily_price
                self._same("a rent costs its price a day, rounded up", event.renter, event.cost,
                           rent_cost(price, event.until - entry.time))  # fmt: skip
                self._royalty(entry, event.royalty, event.cost, terms.royalty_bps)
            case _:
                pass

    def _served_once(self, entry: Entry, order: _Order) -> None:
        rule = "an order is served or given up once"
        self._same(rule, entry.address, order.proved + order.void, 0)

    def _within_window(self, entry: Entry, order: _Order, low: int, high: int) -> None:
        self._checks.within(
            "served within the window, or refunded after it",
            self._facts.name(entry.address),
            entry.time - order.ordered_at,
            low,
            high,
        )

    def _fill(self, entry: Entry, event: orders.Filled) -> None:
        order = self._book[event.digest]
        self._filled[event.digest] += event.sold
        about = self._facts.name(event.maker)
        terms = LimitOrder(
            address_of(order.maker), address_of(order.sell), order.sell_amount,
            address_of(order.buy), order.buy_amount, address_of(order.taker), order.series,
            order.salt, order.expires,
        )  # fmt: skip
        self._checks.same(
            "a fill pays the signed price, rounded up", about, event.paid,
            paid_for(terms, event.sold),
        )  # fmt: skip
        self._checks.within(
            "an order is not filled beyond itself", about,
            self._filled[event.digest], 0, order.sell_amount,
        )  # fmt: skip
        asks = order.sell != self._facts.currency
        price, token = (event.paid, order.sell) if asks else (event.sold, order.buy)
        shelf = self.shelves.get(token)
        self._royalty(entry, event.royalty, price, shelf.terms.royalty_bps if shelf else 0)
        way = (event.taker, event.maker) if asks else (event.maker, event.taker)
        self._checks.same(
            "a seller gets the price less the royalty", about,
            self._moved[entry.tx][way], price - event.royalty,
        )  # fmt: skip

    def _royalty(self, entry: Entry, found: int, price: int, bps: int) -> None:
        about = self._facts.name(entry.address)
        self._checks.same("the creator's royalty, rounded up", about, found, royalty_of(price, bps))
        moved = self._moved[entry.tx].items()
        paid = sum(amount for (_, to), amount in moved if to in self._facts.tills)
        self._checks.same("a royalty goes to the asset's Till", about, paid, found)

    def _same(self, rule: str, address: str, found: int, wanted: int) -> None:
        self._checks.same(rule, self._facts.name(address), found, wanted)


def check_rights(facts: Facts, checks: Checks) -> dict[str, int]:
    """Every unit was bought, used, given back or is there; what backs it is in its product.

    Returns
    -------
    dict
        By what it is: base units that back units and orders at the end.
    """
    replay = _Replay(facts, checks)
    for entry in facts.entries:
        replay.take(entry)
    used = Counter((use[0], use[1]) for use in facts.uses)
    backing: dict[str, int] = {}
    for address, shelf in replay.shelves.items():
        _close(facts, checks, address, shelf, used)
        backing[f"backing of {facts.name(address)}"] = shelf.backed * shelf.terms.price
    for till in facts.tills:
        checks.same("a Till keeps nothing", facts.name(till), facts.balances.get(till, 0), 0)
    if facts.orders:
        held = facts.balances.get(facts.orders, 0)
        checks.same("the order book holds nothing", facts.name(facts.orders), held, 0)
    return backing


def _close(
    facts: Facts, checks: Checks, address: str, shelf: _Shelf, used: Mapping[tuple[str, int], int]
) -> None:
    about, price = facts.name(address), shelf.terms.price
    checks.same_all("units held", facts.units.get(address, {}), shelf.held, facts.name)
    checks.same("a unit is held, waits or was served", about, shelf.bought,
                shelf.backed + shelf.served)  # fmt: skip
    checks.same("the chain backs what is backed", about, facts.backing.get(address, 0),
                shelf.backed * price)  # fmt: skip
    checks.same("a product holds what backs its units", about, facts.balances.get(address, 0),
                shelf.backed * price)  # fmt: skip
    checks.same("a product's money is what came less what went", about,
                facts.balances.get(address, 0), shelf.money)  # fmt: skip
    checks.same("what was served went to the Till", about, shelf.flushed, shelf.served * price)
    for number, order in shelf.orders.items():
        if shelf.terms.kind is Kind.COUNT and not order.void:
            most = order.units * shelf.terms.per_unit
            rule = "an order answers no more calls than it is good for"
            checks.within(rule, f"{about}, order {number}", used[(address, number)], 0, most)
