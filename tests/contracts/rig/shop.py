"""Products, uses and limit orders: made and signed by eth_account and not by our signer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from eth_utils import keccak

from rig.compiling import compiled
from rig.contract import NOBODY, Contract
from rig.people import Person, key_of, person
from rig.signing import Signed, compact, domain_of, sign
from rig.system import DAY, World
from tessera.spec.access import Kind, Product
from tessera.spec.orders import LimitOrder

PRICE = 5_000_000
USE_FIELDS = {"order": "uint256", "call": "bytes16", "request": "bytes32", "deadline": "uint64"}
ORDER_FIELDS = {
    "maker": "address",
    "sell": "address",
    "sell_amount": "uint256",
    "buy": "address",
    "buy_amount": "uint256",
    "taker": "address",
    "series": "uint256",
    "salt": "bytes32",
    "expires": "uint256",
}
COUNT, PERIOD, PERPETUAL = Kind


@dataclass(frozen=True)
class ProductTerms:
    """What `Storefront.create` takes, with terms that most stories can live with."""

    operator: str
    kind: int = COUNT
    price: int = PRICE
    per_unit: int = 100
    cap: int = 1_000
    most_per_account: int = 0
    serve_window: int = DAY
    royalty_bps: int = 500
    scope: int = 1
    newest_version: int = 0
    document: bytes = keccak(text="the licence")
    license: str = "LicenseRef-Calls"
    name: str = "Calls"
    symbol: str = "CALL"

    def row(self) -> tuple[Any, ...]:
        return tuple(vars(self).values())

    def product(self) -> Product:
        """The same, as the twin knows it."""
        return Product(
            key_of(self.operator),
            Kind(self.kind),
            self.price,
            self.per_unit,
            self.cap,
            self.most_per_account,
            self.serve_window,
            self.royalty_bps,
        )


@dataclass
class Shop:
    """One asset, its operator, and a product."""

    world: World
    asset: int
    publisher: Person
    operator: Person
    consumer: Person
    terms: ProductTerms
    access: Contract

    def use(
        self,
        order: int,
        signer: Person,
        *,
        number: int = 1,
        deadline: int | None = None,
        access: Contract | None = None,
        response: bytes = b"\x22" * 32,
        chain_id: int | None = None,
    ) -> tuple[Any, ...]:
        """Sign a request, and add the answer's hash as the operator does."""
        call = number.to_bytes(16, "big")
        until = self.world.now + 300 if deadline is None else deadline
        domain = domain_of(access or self.access, "Tessera Access")
        if chain_id is not None:
            domain["chainId"] = chain_id
        message = {"order": order, "call": call, "request": b"\x11" * 32, "deadline": until}
        r, vs = compact(*sign(signer, domain, "Use", {"Use": _fields(USE_FIELDS)}, message))
        return (order, call, b"\x11" * 32, until, response, r, vs)

    def prove(self, *uses: tuple[Any, ...], by: Person | None = None) -> int:
        """Hand uses in as the operator."""
        return int(self.access("prove", list(uses), by=(by or self.operator).address))

    def order(self, units: int = 1, *, by: Person | None = None) -> int:
        """Buy and redeem in one transaction."""
        who = by or self.consumer
        self.world.fund(who, units * self.terms.price, spender=self.access)
        return int(self.access("buy_and_redeem", units, by=who.address))

    def served(self, units: int = 1, *, by: Person | None = None) -> int:
        """Make an order and prove it."""
        number = self.order(units, by=by)
        assert self.prove(self.use(number, by or self.consumer)) == 1
        return number

    def another(self, **changes: Any) -> Shop:
        """Make another product of the same asset."""
        terms = replace(self.terms, **changes)
        return replace(self, terms=terms, access=_created(self.world, self.asset, terms))


def open_shop(world: World, *, cut_bps: int = 2_000, **changes: Any) -> Shop:
    """Publish an asset with an operator and make a product of it."""
    publisher, operator = person("publisher"), person("operator")
    asset = world.publish(publisher, operator=operator, cut_bps=cut_bps)
    terms = ProductTerms(operator.address, **changes)
    access = _created(world, asset, terms)
    return Shop(world, asset, publisher, operator, person("consumer"), terms, access)


def _created(world: World, asset: int, terms: ProductTerms) -> Contract:
    publisher = person("publisher")
    address = world.storefront("create", asset, terms.row(), by=publisher.address)
    return Contract(world.engine, compiled("Access"), address)


def limit_order(world: World, maker: Person, **changes: Any) -> LimitOrder:
    """Write an order of a maker, good for a day, for anyone."""
    parts = {
        "maker": key_of(maker),
        "sell": key_of(world.currency),
        "sell_amount": 1,
        "buy": key_of(world.currency),
        "buy_amount": 1,
        "taker": key_of(NOBODY),
        "series": 0,
        "salt": bytes(32),
        "expires": world.now + DAY,
        **changes,
    }
    return LimitOrder(**parts)


def row_of(order: LimitOrder) -> tuple[Any, ...]:
    """Write an order as the contract takes it."""
    return tuple(_plain(part, name) for name, part in order._asdict().items())


def sign_order(
    world: World, order: LimitOrder, signer: Person, *, domain: dict[str, Any] | None = None
) -> Signed:
    """Sign a limit order as its maker's wallet would."""
    message = {name: _plain(part, name) for name, part in order._asdict().items()}
    domain = domain or domain_of(world.orders, "Tessera Orders")
    return compact(*sign(signer, domain, "Order", {"Order": _fields(ORDER_FIELDS)}, message))


def _fields(fields: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": typ} for name, typ in fields.items()]


def _plain(part: Any, name: str) -> Any:
    return "0x" + part.hex() if isinstance(part, bytes) and name != "salt" else part
