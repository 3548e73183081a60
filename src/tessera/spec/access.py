"""`Access.vy` again in plain Python: a product's units, its orders, their proof, refund and rent.

Every unit is backed by its price until an order made of it was proved or given up. An order is
proved within the product's window or refunded after it; the two times do not meet. The currency and
the Till are left out: money moves are what methods return. What the contract reverts raises
`TransactionReverted` with the same string and changes nothing.

Invariants `solvent`, `conserved`, `settled_once`, `escrow_until_final`, `can_always_claim`; held
against the contract by `test_access_promises.py` and `test_access_matches_spec.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.signatures import ZERO_ADDRESS, Address, Domain, keccak, typed_digest
from tessera.units import BPS

__all__ = [
    "ALL_CALLS",
    "FOR_EVER",
    "AccessModel",
    "Kind",
    "OrderRow",
    "Product",
    "Scope",
    "access_domain",
    "rent_cost",
    "royalty_of",
    "use_digest",
]

FOR_EVER: Final = 2**40 - 1
"""`valid_until` of an order that nothing ends."""

ALL_CALLS: Final = 2**64 - 1
"""`calls` of an order whose calls are not counted."""

_DAY: Final = 86_400
_MASK_96: Final = 2**96 - 1
_MASK_32: Final = 2**32 - 1
_USE_TYPEHASH: Final = keccak(b"Use(uint256 order,bytes16 call,bytes32 request,uint64 deadline)")


class Kind(IntEnum):
    """What a unit is worth: calls, seconds, or the right for good."""

    COUNT = 1
    PERIOD = 2
    PERPETUAL = 4


class Scope(IntFlag):
    """What a licence allows."""

    INFERENCE = 1
    DOWNLOAD = 2
    COMMERCIAL = 4
    DERIVATIVES = 8


class Product(NamedTuple):
    """A product's terms, which nobody can change.

    Attributes
    ----------
    operator
        Serves it, proves that, and may decline.
    kind
        What a unit is worth.
    price
        Base units for one unit; 0 for a free product.
    per_unit
        Calls or seconds for each unit; 0 for a licence.
    cap
        Units in all.
    most_per_account
        Units for one account; 0 for no limit.
    serve_window
        Seconds after an order in which service must be proved.
    royalty_bps
        Of what a unit or a rent is resold for.
    """

    operator: Address
    kind: Kind
    price: int
    per_unit: int
    cap: int
    most_per_account: int
    serve_window: int
    royalty_bps: int


def access_domain(chain_id: int, access: Address) -> Domain:
    """Return where the signatures of one product's users count."""
    return Domain(chain_id, access, name="Tessera Access")


def use_digest(domain: Domain, order: int, call: bytes, request: bytes, deadline: int) -> bytes:
    """Return what the user of an order signs for one request.

    Parameters
    ----------
    domain
        Of the product: `access_domain`.
    order
        Its number.
    call
        16 bytes, new for each request.
    request
        Keccak-256 of the exact body.
    deadline
        Unix seconds; a gateway serves it no later.
    """
    return typed_digest(
        domain,
        keccak(
            _USE_TYPEHASH
            + order.to_bytes(32, "big")
            + call.ljust(32, b"\0")
            + request
            + deadline.to_bytes(32, "big")
        ),
    )


def royalty_of(price: int, bps: int) -> int:
    """Compute the creator's part of a resale; base units, rounded up."""
    return -(-(price * bps) // BPS)


def rent_cost(daily_price: int, duration: int) -> int:
    """Compute what a rent of `duration` seconds costs; base units, rounded up."""
    return -(-(daily_price * duration) // _DAY)


@dataclass(slots=True)
class OrderRow:
    """One order: whose, of how many units, since when, and what became of it."""

    owner: Address
    units: int
    ordered_at: int
    proved: bool = False
    void: bool = False
    at_once: bool = False
    renter: Address = ZERO_ADDRESS
    rented_until: int = 0
    daily_price: int = 0
    most_seconds: int = 0


class AccessModel:
    """One product: its units, and its orders by number.

    Parameters
    ----------
    product
        The terms.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self.on_sale = True
        self.sold = self.pending = self.supply = 0
        self.balances: defaultdict[Address, int] = defaultdict(int)
        self.bought_by: defaultdict[Address, int] = defaultdict(int)
        self.orders: dict[int, OrderRow] = {}

    @property
    def backing(self) -> int:
        """Money that may have to be refunded, base units."""
        return self.product.price * (self.supply + self.pending)

    # --- Buying and redeeming -------------------------------------------------------------------

    def buy(self, buyer: Address, receiver: Address, amount: int) -> int:
        """Sell units; what they cost, base units."""
        cost = self._sell(buyer, receiver, amount)
        self._count(receiver, amount)
        self.supply += amount
        self.balances[receiver] += amount
        return cost

    def redeem(self, sender: Address, units: int, owner: Address, now: int) -> int:
        """Make an order of `owner` from units of `sender`; its number."""
        _require(self.balances[sender] >= units, "erc20: balance too low")
        self._check_order(units, owner)
        self.balances[sender] -= units
        self.supply -= units
        return self._order(units, owner, now)

    def buy_and_redeem(
        self, buyer: Address, units: int, owner: Address, now: int
    ) -> tuple[int, int]:
        """Sell units and make an order of `owner` from them; what it cost, and its number."""
        cost = self._sell(buyer, owner, units)
        self._check_order(units, owner)
        self._count(owner, units)
        number = self._order(units, owner, now)
        self.orders[number].at_once = True
        return cost, number

    def _sell(self, buyer: Address, receiver: Address, amount: int) -> int:
        product = self.product
        _require(self.on_sale, "access: not on sale")
        _require(receiver != ZERO_ADDRESS, "access: receiver is the zero address")
        _require(0 < amount <= product.cap - self.sold, "access: not that many units left")
        if product.most_per_account:
            _require(buyer == receiver, "access: with a limit, accounts buy for themselves")
            in_all = self.bought_by[receiver] + amount
            _require(in_all <= product.most_per_account, "access: above the limit for one account")
        return amount * product.price

    def _count(self, receiver: Address, amount: int) -> None:
        self.sold += amount
        if self.product.most_per_account:
            self.bought_by[receiver] += amount

    def _check_order(self, units: int, owner: Address) -> None:
        _require(owner != ZERO_ADDRESS, "access: owner is the zero address")
        _require(0 < units <= _MASK_32, "access: units out of range")
        licence = self.product.kind is Kind.PERPETUAL
        _require(units == 1 or not licence, "access: a licence is one unit")

    def _order(self, units: int, owner: Address, now: int) -> int:
        number = len(self.orders) + 1
        self.orders[number] = OrderRow(owner, units, now)
        self.pending += units
        return number

    # --- Service or refund ----------------------------------------------------------------------

    def prove(self, sender: Address, uses: list[tuple[int, Address]], now: int) -> int:
        """Take uses as proof of service.

        Parameters
        ----------
        sender
            Must be the operator.
        uses
            For each the order, and who signed the use (the zero address for garbage).
        now
            Unix seconds.

        Returns
        -------
        int
            How many counted; the others are skipped.
        """
        _require(sender == self.product.operator, "access: only the operator")
        proved = 0
        for number, signer in uses:
            order = self.orders.get(number)
            if (
                order is None
                or order.proved
                or order.void
                or now > order.ordered_at + self.product.serve_window
                or signer != order.owner
            ):
                continue
            order.proved = True
            self.pending -= order.units
            proved += 1
        return proved

    def refund(self, sender: Address | None, number: int, now: int) -> int:
        """Give an order's money back after its window; None as sender is `refund_for`."""
        order = self._open_order(number)
        late = now > order.ordered_at + self.product.serve_window
        _require(late, "access: the operator may still serve")
        _require(sender is None or sender == order.owner, "access: only the order's owner")
        return self._give_back(order)

    def decline(self, sender: Address, number: int) -> int:
        """Give an order's money back before its service, as the operator; base units."""
        _require(sender == self.product.operator, "access: only the operator")
        return self._give_back(self._open_order(number))

    def _open_order(self, number: int) -> OrderRow:
        order = self._known(number)
        _require(not order.proved, "access: served already")
        _require(not order.void, "access: given up already")
        return order

    def _give_back(self, order: OrderRow) -> int:
        order.void = True
        self.sold -= order.units
        self.pending -= order.units
        if order.at_once and self.product.most_per_account:
            self.bought_by[order.owner] -= order.units
        return order.units * self.product.price

    # --- Rent -----------------------------------------------------------------------------------

    def offer_rent(self, sender: Address, number: int, daily_price: int, most_seconds: int) -> None:
        """Offer an order for rent; 0 seconds end the offer."""
        order = self.orders.get(number)
        _require(order is not None and order.owner == sender, "access: only the order's owner")
        counted = self.product.kind is Kind.COUNT
        _require(not counted, "access: calls are not rented, sell the units")
        within = daily_price <= _MASK_96 and most_seconds <= FOR_EVER
        _require(within, "access: rent out of range")
        assert order is not None
        order.daily_price, order.most_seconds = daily_price, most_seconds

    def rent(
        self, number: int, duration: int, most_cost: int, renter: Address, now: int
    ) -> tuple[int, int, int]:
        """Rent an order; until when, what it costs in all, and the royalty in that."""
        order = self.orders.get(number) or OrderRow(ZERO_ADDRESS, 0, 0)
        _require(renter != ZERO_ADDRESS, "access: renter is the zero address")
        offered = 0 < duration <= order.most_seconds
        _require(offered, "access: not for rent, or not for so long")
        _require(order.proved and not order.void, "access: not served yet")
        _require(now >= order.rented_until, "access: rented already")
        until = now + duration
        _require(until <= self.valid_until(number), "access: the right ends before the rent")
        cost = rent_cost(order.daily_price, duration)
        _require(cost <= most_cost, "access: dearer than the limit")
        order.renter, order.rented_until = renter, until
        return until, cost, royalty_of(cost, self.product.royalty_bps)

    # --- Views ----------------------------------------------------------------------------------

    def user_of(self, number: int, now: int) -> Address:
        """Return who may use an order now."""
        order = self._known(number)
        return order.renter if now < order.rented_until else order.owner

    def valid_until(self, number: int) -> int:
        """Return before when an order is good, unix seconds; 0 if it was given up."""
        order = self._known(number)
        if order.void:
            return 0
        if self.product.kind is not Kind.PERIOD:
            return FOR_EVER
        return min(order.ordered_at + order.units * self.product.per_unit, FOR_EVER)

    def calls_of(self, number: int) -> int:
        """Return how many calls an order is good for in all."""
        order = self._known(number)
        if order.void:
            return 0
        if self.product.kind is not Kind.COUNT:
            return ALL_CALLS
        return min(order.units * self.product.per_unit, ALL_CALLS)

    def _known(self, number: int) -> OrderRow:
        order = self.orders.get(number)
        if order is None:
            raise TransactionReverted("Access", "access: no such order")
        return order


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Access", reason)
