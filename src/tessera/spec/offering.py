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
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.accruals import AccrualsModel
from tessera.spec.signatures import ZERO_ADDRESS, Address

__all__ = ["WHOLE_SHARE", "OfferingModel", "Sale", "cost_of"]

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
    """

    publisher: Address
    price: int
    for_sale: int
    soft_cap: int
    cap_per_buyer: int
    start: int
    end: int


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
        The terms; all of `for_sale` lies here.
    """

    def __init__(self, sale: Sale) -> None:
        self.sale = sale
        self.unsold = sale.for_sale
        self.sold = self.raised = self.proceeds = self.escrowed = 0
        self.final = self.returned = False
        self.bought: defaultdict[Address, int] = defaultdict(int)
        self.bought_in_all: defaultdict[Address, int] = defaultdict(int)
        self.paid_by: defaultdict[Address, int] = defaultdict(int)
        self.accruals = AccrualsModel()

    def buy(self, buyer: Address, amount: int, now: int, *, revenue: int) -> int:
        """Sell raw shares to `buyer`.

        Parameters
        ----------
        buyer
            Gets the shares, at once if the sale is final.
        amount
            Raw shares.
        now
            Unix seconds.
        revenue
            What the Share would pay the Offering now.

        Returns
        -------
        int
            The cost, base units, rounded up.
        """
        sale = self.sale
        _require(now >= sale.start, "offering: not open yet")
        _require(now < sale.end, "offering: over")
        _require(0 < amount <= self.unsold, "offering: not that many shares left")
        in_all = self.bought_in_all[buyer] + amount
        _require(in_all <= sale.cap_per_buyer, "offering: above the cap for one buyer")
        _require(buyer != sale.publisher, "offering: the publisher cannot buy")
        _require(buyer != ZERO_ADDRESS, "offering: receiver is the zero address")
        cost = cost_of(amount, sale.price)
        self._pull(revenue)
        self._settle(sale.publisher, self.unsold)
        self.bought_in_all[buyer] = in_all
        self.unsold -= amount
        self.sold += amount
        self.raised += cost
        if self.final:
            self.proceeds += cost
        elif self.sold >= sale.soft_cap:
            self.final = True
            self.proceeds = self.raised
        if not self.final:
            self._settle(buyer, self.bought[buyer])
            self.bought[buyer] += amount
            self.paid_by[buyer] += cost
            self.escrowed += amount
        return cost

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
        _require(now >= self.sale.end, "offering: not over yet")
        _require(not self.returned, "offering: returned already")
        self._pull(revenue)
        self._settle(self.sale.publisher, self.unsold)
        self.returned = True
        self.unsold = 0
        if not self.final:
            self.escrowed = 0
            self.accruals.leave_all_to(self.sale.publisher)
        return held - self.escrowed

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
            held=self.unsold + self.escrowed,
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
        return self.unsold if account == self.sale.publisher else self.bought[account]

    def _pull(self, revenue: int) -> None:
        self.accruals.pull(revenue, self.unsold + self.escrowed, self.sale.publisher)

    def _settle(self, account: Address, earning: int) -> None:
        self.accruals.settle(account, earning)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Offering", reason)
