"""`Orders.vy` again in plain Python: signed limit orders, filled in parts, cancelled at once.

An order says the most that its maker gives and the least that the maker gets for all of it. Every
part is rounded against the taker, so in however many parts an order is filled, the maker gets at
least the price. The tokens are left out: `fill` returns what would move. What the contract reverts
raises `TransactionReverted` with the same string and changes nothing.

Invariants `conserved`, `settled_once`; held against the contract by `test_access_promises.py` and
`test_orders_match_spec.py`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.signatures import ZERO_ADDRESS, Address, Domain, keccak, typed_digest

__all__ = [
    "CANCELLED",
    "Fill",
    "LimitOrder",
    "OrdersModel",
    "order_digest",
    "orders_domain",
    "paid_for",
]

CANCELLED: Final = 2**256 - 1
"""What `filled` says of an order that its maker cancelled."""

_MAX_AMOUNT: Final = 2**128 - 1
_ORDER_TYPEHASH: Final = keccak(
    b"Order(address maker,address sell,uint256 sell_amount,address buy,uint256 buy_amount,"
    b"address taker,uint256 series,bytes32 salt,uint256 expires)"
)


class LimitOrder(NamedTuple):
    """What a maker signs.

    Attributes
    ----------
    maker
        Who gives `sell` and gets `buy`.
    sell, sell_amount
        The token given, and the most of it, raw units.
    buy, buy_amount
        The token wanted, and the least for all of `sell_amount`, raw units.
    taker
        The only one who may fill it; the zero address for anyone.
    series
        The maker's present series; raising it cancels all orders of the earlier ones.
    salt
        Makes equal orders different.
    expires
        Unix seconds; the last at which it can be filled.
    """

    maker: Address
    sell: Address
    sell_amount: int
    buy: Address
    buy_amount: int
    taker: Address
    series: int
    salt: bytes
    expires: int


class Fill(NamedTuple):
    """What a fill moves, raw units.

    Attributes
    ----------
    sold
        From the maker.
    paid
        From the taker.
    royalty
        To the creator, out of the money that the seller of the token gets.
    """

    sold: int
    paid: int
    royalty: int


def orders_domain(chain_id: int, orders: Address) -> Domain:
    """Return where signed orders count."""
    return Domain(chain_id, orders, name="Tessera Orders")


def order_digest(domain: Domain, order: LimitOrder) -> bytes:
    """Return what the maker signs; the order's name in events."""
    words = (
        _address_word(order.maker),
        _address_word(order.sell),
        order.sell_amount.to_bytes(32, "big"),
        _address_word(order.buy),
        order.buy_amount.to_bytes(32, "big"),
        _address_word(order.taker),
        order.series.to_bytes(32, "big"),
        order.salt,
        order.expires.to_bytes(32, "big"),
    )
    return typed_digest(domain, keccak(_ORDER_TYPEHASH + b"".join(words)))


def paid_for(order: LimitOrder, amount: int) -> int:
    """Compute what a taker gives for `amount` of what the maker sells; rounded up."""
    return -(-(amount * order.buy_amount) // order.sell_amount)


class OrdersModel:
    """Which orders were filled how far, and which are cancelled.

    Parameters
    ----------
    domain
        Chain and contract.
    currency
        One side of every order.
    tokens
        What may be the other side, with the royalty of a resale in bps (0 for a Share).
    """

    def __init__(self, domain: Domain, currency: Address, tokens: dict[Address, int]) -> None:
        self.domain = domain
        self.currency = currency
        self.tokens = tokens
        self.filled: defaultdict[bytes, int] = defaultdict(int)
        self.series_of: defaultdict[Address, int] = defaultdict(int)

    def check(self, order: LimitOrder, signer: Address, now: int) -> bytes:
        """Check an order whose signature recovers to `signer`; its digest."""
        _require(now <= order.expires, "orders: expired")
        present = order.series == self.series_of[order.maker]
        _require(present, "orders: of a cancelled series")
        amounts = (order.sell_amount, order.buy_amount)
        within = all(0 < amount <= _MAX_AMOUNT for amount in amounts)
        _require(within, "orders: amount out of range")
        one_side = (order.sell == self.currency) != (order.buy == self.currency)
        _require(one_side, "orders: one side must be the currency")
        _require(self._token(order) in self.tokens, "orders: no such share or access")
        signed = signer != ZERO_ADDRESS and signer == order.maker
        _require(signed, "orders: not signed by the maker")
        return order_digest(self.domain, order)

    def list(self, order: LimitOrder, signer: Address, now: int) -> bytes:
        """Check an order that is to be published; its digest."""
        digest = self.check(order, signer, now)
        _require(self.filled[digest] < order.sell_amount, "orders: filled or cancelled")
        return digest

    def fill(
        self,
        order: LimitOrder,
        signer: Address,
        amount: int,
        most_paid: int,
        taker: Address,
        now: int,
    ) -> Fill:
        """Fill a part of an order, raw units of what the maker sells."""
        digest = self.check(order, signer, now)
        allowed = order.taker in {ZERO_ADDRESS, taker}
        _require(allowed, "orders: for another taker")
        _require(taker != order.maker, "orders: maker and taker are one")
        done = self.filled[digest]
        _require(done < order.sell_amount, "orders: filled or cancelled")
        _require(0 < amount <= order.sell_amount - done, "orders: not that much left")
        paid = paid_for(order, amount)
        _require(paid <= most_paid, "orders: dearer than the limit")
        self.filled[digest] = done + amount
        money = amount if order.sell == self.currency else paid
        bps = self.tokens[self._token(order)]
        # Rounded up, as `Access.royaltyInfo` does.
        return Fill(amount, paid, -(-(money * bps) // 10_000))

    def cancel(self, order: LimitOrder, sender: Address) -> None:
        """End one order."""
        _require(sender == order.maker, "orders: only the maker")
        self.filled[order_digest(self.domain, order)] = CANCELLED

    def cancel_series(self, sender: Address) -> int:
        """End all orders of the sender's present series; the next one's number."""
        self.series_of[sender] += 1
        return self.series_of[sender]

    def left(self, order: LimitOrder, now: int) -> int:
        """Return what can still be filled, funds aside."""
        if now > order.expires or order.series != self.series_of[order.maker]:
            return 0
        return max(0, order.sell_amount - self.filled[order_digest(self.domain, order)])

    def _token(self, order: LimitOrder) -> Address:
        return order.buy if order.sell == self.currency else order.sell


def _address_word(address: Address) -> bytes:
    return bytes(12) + address


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Orders", reason)
