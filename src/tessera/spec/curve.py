"""`Curve.vy` again in plain Python: a bonding curve that graduates by itself.

A constant product of (virtual shares - sold) and (virtual currency + raised). The purchase that
reaches the target opens the pool at the curve's price; a curve that misses its target gives back
what was paid, since no sale back before brings more. What the contract reverts raises
`TransactionReverted` with the same string and changes nothing.

Invariants `solvent`, `conserved`, `price_honest`, `escrow_until_final`, `can_always_claim`; held
against the contract by `test_curve_promises.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.offering import WHOLE_SHARE, check_buyer, pool_part
from tessera.spec.signatures import Address
from tessera.units import BPS

__all__ = [
    "CurveModel",
    "CurveSale",
    "Shape",
    "shape_of",
    "shares_for_curve",
    "spend_for",
    "surcharge_at",
]


class CurveSale(NamedTuple):
    """A curve's terms, which nobody can change.

    Attributes
    ----------
    publisher
        Gets the proceeds and what is not sold.
    virtual_shares, virtual_currency
        Raw shares and base units; the first price is their ratio.
    target
        Base units at which it graduates.
    cap_per_buyer
        Raw shares that one buyer may hold from here.
    start, end
        Unix seconds; open from `start` until before `end`.
    liquidity_bps
        Part of the target that opens the pool.
    surcharge_bps, calm
        On top of the curve's price at `start`; falls to nothing in `calm` seconds.
    allowed
        Who may buy, and how many raw shares each; None for everybody.
    """

    publisher: Address
    virtual_shares: int
    virtual_currency: int
    target: int
    cap_per_buyer: int
    start: int
    end: int
    liquidity_bps: int
    surcharge_bps: int = 0
    calm: int = 0
    allowed: Mapping[Address, int] | None = None


class Shape(NamedTuple):
    """A curve for people: how much it sells, from which price to which.

    Attributes
    ----------
    virtual_shares, virtual_currency, target
        As in `CurveSale`.
    """

    virtual_shares: int
    virtual_currency: int
    target: int


def shape_of(for_sale: int, first_price: int, last_price: int) -> Shape:
    """Find the curve that sells so many shares between two prices.

    Parameters
    ----------
    for_sale
        Raw shares sold at the target, without the pool's.
    first_price, last_price
        Base units for 10^18 raw shares; the last one above the first.

    Returns
    -------
    Shape
        Rounded down; the prices are met to the precision of a base unit and a raw share.
    """
    from math import isqrt

    # Price grows with the square of (virtual shares / shares left): left = virtual * sqrt(p0/p1).
    one = 10**18
    root = isqrt(first_price * one * one // last_price)
    virtual_shares = for_sale * one // (one - root)
    virtual_currency = virtual_shares * first_price // WHOLE_SHARE
    target = virtual_currency * for_sale // (virtual_shares - for_sale)
    return Shape(virtual_shares, virtual_currency, target)


def shares_for_curve(
    virtual_shares: int, virtual_currency: int, target: int, liquidity_bps: int
) -> int:
    """Compute the raw shares that a curve takes: what it sells, and what its pool needs."""
    sold = virtual_shares * target // (virtual_currency + target)
    pool = pool_part(target, liquidity_bps)
    return sold + pool * (virtual_shares - sold) // (virtual_currency + target)


def spend_for(left: int, money: int, amount: int, surcharge_bps: int) -> int:
    """Compute the least money that buys so many shares.

    Parameters
    ----------
    left, money
        Virtual shares that were not sold, raw, and virtual currency with what was raised.
    amount
        Raw shares, fewer than `left`.
    surcharge_bps
        Now.

    Returns
    -------
    int
        Base units, rounded up twice, as the purchase rounds down twice.
    """
    net = -(-money * amount // (left - amount))
    return -(-net * (BPS + surcharge_bps) // BPS)


def surcharge_at(sale: CurveSale, time: int) -> int:
    """Compute the bps on top of the curve's price at a time, rounded up."""
    if sale.calm == 0 or time >= sale.start + sale.calm:
        return 0
    left = sale.start + sale.calm - max(time, sale.start)
    return -(-sale.surcharge_bps * left // sale.calm)


class CurveModel:
    """One curve: who bought what for how much, and where the price is.

    Parameters
    ----------
    sale
        The terms; `shares_for_curve` of them lie here.
    """

    def __init__(self, sale: CurveSale) -> None:
        self.sale = sale
        self.unsold = shares_for_curve(
            sale.virtual_shares, sale.virtual_currency, sale.target, sale.liquidity_bps
        )
        self.sold = self.raised = self.paid = self.proceeds = 0
        self.graduated = False
        self.pool = (0, 0)
        self.bought: defaultdict[Address, int] = defaultdict(int)
        self.paid_by: defaultdict[Address, int] = defaultdict(int)

    @property
    def shares_left(self) -> int:
        """Virtual shares that were not sold, raw."""
        return self.sale.virtual_shares - self.sold

    @property
    def money(self) -> int:
        """Virtual currency and what was raised, base units."""
        return self.sale.virtual_currency + self.raised

    def price(self) -> int:
        """Return the price of the next share; base units for 10^18 raw shares, rounded up."""
        return -(-self.money * WHOLE_SHARE // self.shares_left)

    def preview_buy(self, spend: int, now: int) -> tuple[int, int]:
        """Return raw shares and base units of a purchase; zeros while it is not open."""
        if not self.sale.start <= now < self.sale.end or self.graduated:
            return 0, 0
        return self._bought_for(spend, now)

    def buy(
        self, buyer: Address, spend: int, now: int, *, least: int = 0, deadline: int | None = None
    ) -> tuple[int, int]:
        """Sell raw shares for up to `spend` base units; shares and base units taken."""
        sale = self.sale
        _require(deadline is None or now <= deadline, "curve: past the deadline")
        _require(now >= sale.start, "curve: not open yet")
        _require(now < sale.end and not self.graduated, "curve: over")
        amount, cost = self._bought_for(spend, now)
        raised = self.raised + cost
        reached = raised == sale.target
        _require(amount != 0 or (reached and cost != 0), "curve: too little for a share")
        _require(amount >= least, "curve: fewer than the buyer's least")
        in_all = self.bought[buyer] + amount
        check_buyer(buyer, in_all, sale.cap_per_buyer, sale.allowed)
        self.bought[buyer] = in_all
        self.paid_by[buyer] += cost
        self.paid += cost
        self.sold += amount
        self.unsold -= amount
        self.raised = raised
        if reached:
            self._graduate()
        return amount, cost

    def preview_sell(self, seller: Address, amount: int, now: int) -> int:
        """Return the base units that a sale back brings; 0 where it is refused."""
        bought = self.bought[seller]
        if not 0 < amount <= bought or self.graduated:
            return 0
        return self._sold_for(amount, self._basis(seller, amount), now)

    def sell(
        self, seller: Address, amount: int, now: int, *, least: int = 0, deadline: int | None = None
    ) -> int:
        """Take raw shares back; base units."""
        _require(deadline is None or now <= deadline, "curve: past the deadline")
        _require(not self.graduated, "curve: graduated; sell on the exchange")
        _require(0 < amount <= self.bought[seller], "curve: more than was bought here")
        basis = self._basis(seller, amount)
        paid = self._sold_for(amount, basis, now)
        _require(paid >= least, "curve: less than the seller's least")
        self.bought[seller] -= amount
        self.paid_by[seller] -= basis
        self.paid -= basis
        self.sold -= amount
        self.unsold += amount
        self.raised -= paid
        return paid

    def withdraw_proceeds(self, sender: Address) -> int:
        """Pay the publisher what was raised, or left behind, without the pool's part."""
        _require(sender == self.sale.publisher, "curve: only the publisher")
        amount, self.proceeds = self.proceeds, 0
        return amount

    def return_unsold(self, now: int, *, held: int) -> int:
        """Give the publisher the shares here; raw, all `held` ones."""
        _require(self.graduated or now >= self.sale.end, "curve: not over yet")
        if not self.graduated:
            # What people who left before the end lost is nobody else's.
            self.proceeds += self.raised - self.paid
            self.raised = self.paid
        self.unsold = 0
        return held

    def _graduate(self) -> None:
        money = pool_part(self.raised, self.sale.liquidity_bps)
        shares = money * self.shares_left // self.money
        self.graduated = True
        self.unsold -= shares
        self.proceeds = self.raised - money
        self.pool = (shares, money)

    def _bought_for(self, spend: int, now: int) -> tuple[int, int]:
        cost = min(spend, self.sale.target - self.raised)
        # Without the surcharge; rounded down, as the shares are.
        net = cost * BPS // (BPS + surcharge_at(self.sale, now))
        return self.shares_left * net // (self.money + net), cost

    def _basis(self, seller: Address, amount: int) -> int:
        bought, paid_by = self.bought[seller], self.paid_by[seller]
        return paid_by - paid_by * (bought - amount) // bought

    def _sold_for(self, amount: int, basis: int, now: int) -> int:
        if now >= self.sale.end:
            return basis
        # At most what was paid, so that the money back is always there.
        return min(basis, self.money * amount // (self.shares_left + amount))


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Curve", reason)
