"""`Offering.vy` again in plain Python: a sale at a fixed price with a soft cap and refunds.

Until the soft cap is reached, shares and money wait in escrow; from then on every purchase is
final. Shares that wait here earn: what is not sold for the publisher, what is bought for its buyer.
The Share and the currency are left out: `revenue` arguments are what the Share would pay the
Offering at that moment, base units. What the contract reverts raises `TransactionReverted` with the
same string and changes nothing.

Invariants `solvent`, `escrow_until_final`, `can_always_claim`, `conserved`; held against the
contract by `test_offering_promises.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.accruals import AccrualsModel
from tessera.spec.signatures import ZERO_ADDRESS, Address
from tessera.units import BPS

__all__ = ["WHOLE_SHARE", "OfferingModel", "Sale", "check_buyer", "cost_of", "pool_part"]

WHOLE_SHARE: Final = 10**18


class Sale(NamedTuple):
    """A sale's terms, which nobody can change.

    Attributes
    ----------
    publisher
        Gets the proceeds and what is not sold.
    price
        Base units for 10^18 raw shares.
    for_sale, soft_cap, cap_per_buyer
        Raw shares.
    start, end
        Unix seconds; open from `start` until before `end`.
    liquidity_bps
        Part of the proceeds that opens the pool, with as large a part of the shares sold.
    allowed
        Who may buy, and how many raw shares each; None for everybody.
    """

    publisher: Address
    price: int
    for_sale: int
    soft_cap: int
    cap_per_buyer: int
    start: int
    end: int
    liquidity_bps: int = 0
    allowed: Mapping[Address, int] | None = None


def pool_part(whole: int, bps: int) -> int:
    """Compute the part of proceeds, or of shares sold, that goes to the pool; rounded down."""
    return whole * bps // BPS


def check_buyer(
    buyer: Address, in_all: int, cap: int, allowed: Mapping[Address, int] | None
) -> None:
    """Refuse a buyer as `modules/sales.vy` does, who would have `in_all` then."""
    _require(buyer != ZERO_ADDRESS, "sale: receiver is the zero address")
    _require(in_all <= cap, "sale: above the cap for one buyer")
    if allowed is not None:
        _require(buyer in allowed, "sale: not on the list")
        _require(in_all <= allowed[buyer], "sale: above the buyer's part of the list")


def cost_of(amount: int, price: int) -> int:
    """Compute what raw shares cost.

    Parameters
    ----------
    amount
        Raw shares.
    price
        Base units for 10^18 raw shares.

    Returns
    -------
    int
        Base units, rounded up: the publisher never gets less than the price.
    """
    return -(-(amount * price) // WHOLE_SHARE)


class OfferingModel:
    """One sale: who bought, what is final, and what the shares here have earned.

    Parameters
    ----------
    sale
        The terms; all of `for_sale` lies here, and the pool's part of it on top.
    """

    def __init__(self, sale: Sale) -> None:
        self.sale = sale
        self.unsold = sale.for_sale
        self.sold = self.raised = self.proceeds = self.escrowed = 0
        self.pooled = self._pool_part(sale.for_sale)
        self.final = self.returned = self.pool_opened = False
        self.bought: defaultdict[Address, int] = defaultdict(int)
        self.bought_in_all: defaultdict[Address, int] = defaultdict(int)
        self.paid_by: defaultdict[Address, int] = defaultdict(int)
        self.accruals = AccrualsModel()

    def buy(
        self, buyer: Address, wanted: int, now: int, *, revenue: int, least: int | None = None
    ) -> tuple[int, int]:
        """Sell raw shares to `buyer`.

        Parameters
        ----------
        buyer
            Gets the shares, at once if the sale is final.
        wanted
            Raw shares; if fewer are left, all of them.
        now
            Unix seconds.
        revenue
            What the Share would pay the Offering now.
        least
            The fewest raw shares to accept; all that are wanted where it is None.

        Returns
        -------
        tuple of int
            Raw shares, and their cost, base units rounded up.
        """
        sale = self.sale
        _require(now >= sale.start, "offering: not open yet")
        _require(now < sale.end, "offering: over")
        amount = min(wanted, self.unsold)
        enough = amount >= (wanted if least is None else min(wanted, least))
        _require(amount != 0 and enough, "offering: not that many shares left")
        in_all = self.bought_in_all[buyer] + amount
        check_buyer(buyer, in_all, sale.cap_per_buyer, sale.allowed)
        _require(buyer != sale.publisher, "offering: the publisher cannot buy")
        cost = cost_of(amount, sale.price)
        self._pull(revenue)
        self._settle_publisher()
        self.bought_in_all[buyer] = in_all
        self.unsold -= amount
        self.sold += amount
        before = self.raised
        self.raised += cost
        if self.final:
            self.proceeds += cost - (self._pool_part(self.raised) - self._pool_part(before))
        elif self.sold >= sale.soft_cap:
            self.final = True
            self.proceeds = self.raised - self._pool_part(self.raised)
        if not self.final:
            self._settle(buyer, self.bought[buyer])
            self.bought[buyer] += amount
            self.paid_by[buyer] += cost
            self.escrowed += amount
        return amount, cost

    def collect(self, buyer: Address, *, revenue: int) -> int:
        """Send a buyer what was bought before the sale became final; raw shares."""
        _require(self.final, "offering: not final")
        amount = self.bought[buyer]
        _require(amount != 0, "offering: nothing to collect")
        self._pull(revenue)
        self._settle(buyer, amount)
        self.bought[buyer] = 0
        self.escrowed -= amount
        return amount

    def refund(self, buyer: Address, now: int) -> int:
        """Pay a buyer back after a sale that missed its soft cap; base units."""
        _require(now >= self.sale.end and not self.final, "offering: no refunds")
        amount = self.paid_by[buyer]
        _require(amount != 0, "offering: nothing to refund")
        self.paid_by[buyer] = self.bought[buyer] = 0
        return amount

    def withdraw_proceeds(self, sender: Address) -> int:
        """Pay the publisher what final purchases brought; base units."""
        _require(sender == self.sale.publisher, "offering: only the publisher")
        amount, self.proceeds = self.proceeds, 0
        return amount

    def return_unsold(self, now: int, *, held: int, revenue: int) -> int:
        """Give the publisher what belongs to no buyer.

        Parameters
        ----------
        now
            Unix seconds.
        held
            Raw shares that lie here.
        revenue
            What the Share would pay the Offering now.

        Returns
        -------
        int
            Raw shares.
        """
        _require(self.is_over(now), "offering: not over yet")
        _require(not self.returned, "offering: returned already")
        self._pull(revenue)
        self._settle_publisher()
        self.returned = True
        self.unsold = self.pooled = 0
        if not self.final:
            self.escrowed = 0
            self.accruals.leave_all_to(self.sale.publisher)
        elif not self.pool_opened:
            self.pooled = self._pool_part(self.sold)
        return held - self.escrowed - self.pooled

    def open_pool(self, now: int, *, revenue: int) -> tuple[int, int]:
        """Open the pool; raw shares and base units that go there."""
        _require(self.is_over(now), "offering: not over yet")
        _require(self.final and self.sale.liquidity_bps != 0, "offering: no pool to open")
        _require(not self.pool_opened, "offering: pool opened already")
        self._pull(revenue)
        self._settle_publisher()
        self.pool_opened = True
        shares = self._pool_part(self.sold)
        self.unsold += self.pooled - shares
        self.pooled = 0
        return shares, self._pool_part(self.raised)

    def is_over(self, now: int) -> bool:
        """Whether it ended: its time has passed, or everything is sold for good."""
        return now >= self.sale.end or (self.final and self.unsold == 0)

    def claim(self, account: Address, *, revenue: int) -> int:
        """Pay what an account's shares here earned; base units, the fraction stays."""
        _require(self.final or account == self.sale.publisher, "offering: not final")
        self._pull(revenue)
        self._settle(account, self._earning(account))
        return self.accruals.take(account)

    def claimable(self, account: Address, *, revenue: int) -> int:
        """Return what `claim` would pay; 0 for a buyer until the sale is final."""
        publisher = self.sale.publisher
        if not self.final and account != publisher:
            return 0
        return self.accruals.claimable(
            account,
            self._earning(account),
            revenue=revenue,
            held=self.unsold + self.escrowed + self.pooled,
            heir=publisher,
        )

    @property
    def received(self) -> int:
        """Base units of revenue that came in through the Share."""
        return self.accruals.received

    @property
    def distributed(self) -> int:
        """Base units that were paid out of `received`."""
        return self.accruals.distributed

    def _earning(self, account: Address) -> int:
        if account == self.sale.publisher:
            return self.unsold + self.pooled
        return self.bought[account]

    def _pool_part(self, whole: int) -> int:
        return pool_part(whole, self.sale.liquidity_bps)

    def _pull(self, revenue: int) -> None:
        held = self.unsold + self.escrowed + self.pooled
        self.accruals.pull(revenue, held, self.sale.publisher)

    def _settle_publisher(self) -> None:
        self._settle(self.sale.publisher, self._earning(self.sale.publisher))

    def _settle(self, account: Address, earning: int) -> None:
        self.accruals.settle(account, earning)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Offering", reason)
