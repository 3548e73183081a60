"""`Auction.vy` again in plain Python: a price that falls until the bids buy everything.

A bid is money. Everybody pays one price: the one at which the bids bought everything, or the lowest
if they never did. The Share and the currency are left out: `revenue` arguments are what the Share
would pay the Auction at that moment, base units. What the contract reverts raises
`TransactionReverted` with the same string and changes nothing.

Invariants `solvent`, `escrow_until_final`, `can_always_claim`, `conserved`; held against the
contract by `test_auction_promises.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.accruals import AccrualsModel
from tessera.spec.offering import WHOLE_SHARE, check_buyer, pool_part
from tessera.spec.signatures import Address

__all__ = ["AuctionModel", "AuctionSale", "price_at"]


class AuctionSale(NamedTuple):
    """An auction's terms, which nobody can change.

    Attributes
    ----------
    publisher
        Gets the proceeds and what is not sold.
    first_price, lowest_price
        Base units for 10^18 raw shares, at `start` and from `end` on.
    for_sale
        Raw shares.
    soft_cap, cap_per_buyer
        Base units.
    start, end
        Unix seconds; open from `start` until before `end`.
    liquidity_bps
        Part of the proceeds that opens the pool, with as large a part of the shares sold.
    allowed
        Who may bid, and how many base units each; None for everybody.
    """

    publisher: Address
    first_price: int
    lowest_price: int
    for_sale: int
    soft_cap: int
    cap_per_buyer: int
    start: int
    end: int
    liquidity_bps: int = 0
    allowed: Mapping[Address, int] | None = None


def price_at(sale: AuctionSale, time: int) -> int:
    """Compute the price at a time; base units for 10^18 raw shares, rounded up."""
    if time <= sale.start:
        return sale.first_price
    if time >= sale.end:
        return sale.lowest_price
    fall = (sale.first_price - sale.lowest_price) * (time - sale.start) // (sale.end - sale.start)
    return sale.first_price - fall


class AuctionModel:
    """One auction: who bid, what is final, and what the shares here have earned.

    Parameters
    ----------
    sale
        The terms; all of `for_sale` lies here, and the pool's part of it on top.
    """

    def __init__(self, sale: AuctionSale) -> None:
        self.sale = sale
        self.unsold = sale.for_sale
        self.pooled = pool_part(sale.for_sale, sale.liquidity_bps)
        self.raised = self.uncollected = self.sold = self.proceeds = self.escrowed = 0
        self.closed = self.final = self.pool_opened = False
        self.bid_of: defaultdict[Address, int] = defaultdict(int)
        self.accruals = AccrualsModel()

    def worth_at(self, time: int) -> int:
        """Return what buys everything at the price of a time; base units, rounded down."""
        return self.sale.for_sale * price_at(self.sale, time) // WHOLE_SHARE

    def is_over(self, now: int) -> bool:
        """Whether the bids bought everything, or the end has passed."""
        return now >= self.sale.end or 0 < self.raised >= self.worth_at(now)

    def bid(self, bidder: Address, amount: int, now: int, *, revenue: int) -> int:
        """Take a bid, or the part of it that buys all that is left; base units taken."""
        sale = self.sale
        _require(now >= sale.start, "auction: not open yet")
        worth = self.worth_at(now)
        open_now = now < sale.end and not self.closed and self.raised < worth
        _require(open_now, "auction: over")
        taken = min(amount, worth - self.raised)
        _require(taken != 0, "auction: a bid of nothing")
        in_all = self.bid_of[bidder] + taken
        check_buyer(bidder, in_all, sale.cap_per_buyer, sale.allowed)
        _require(bidder != sale.publisher, "auction: the publisher cannot bid")
        self.bid_of[bidder] = in_all
        self.raised += taken
        if self.raised == worth:
            self._close(now, revenue)
        return taken

    def preview_bid(self, amount: int, now: int) -> tuple[int, int]:
        """Return what would be taken now, and the fewest raw shares that it would get."""
        if now < self.sale.start or self.closed or self.is_over(now):
            return 0, 0
        taken = min(amount, self.worth_at(now) - self.raised)
        return taken, taken * WHOLE_SHARE // price_at(self.sale, now)

    def close(self, now: int, *, revenue: int, held_up: bool = False) -> None:
        """Fix the price; `held_up` where the currency lets the Share pay nothing now."""
        _require(not self.closed, "auction: closed already")
        _require(self.is_over(now), "auction: not over yet")
        self._close(now, revenue, held_up=held_up)

    def _close(self, now: int, revenue: int, *, held_up: bool = False) -> None:
        sale = self.sale
        if held_up:
            self.accruals.keep_for_heir(revenue)
        else:
            self._pull(revenue)
        self.closed = True
        if self.raised < sale.soft_cap:
            self.unsold += self.pooled
            self.pooled = 0
            return
        self.final = True
        self.sold = sale.for_sale
        if self.raised < self.worth_at(min(now, sale.end)):
            self.sold = self.raised * WHOLE_SHARE // sale.lowest_price
        kept = self.pooled
        self.pooled = pool_part(self.sold, sale.liquidity_bps)
        self.unsold = sale.for_sale - self.sold + kept - self.pooled
        self.escrowed = self.sold
        self.uncollected = self.raised
        self.proceeds = self.raised - pool_part(self.raised, sale.liquidity_bps)

    def bought_by(self, bidder: Address) -> int:
        """Return the raw shares that wait for a bidder, rounded down."""
        cost = self.bid_of[bidder]
        return cost * self.sold // self.raised if cost and self.final else 0

    def collect(self, bidder: Address, *, revenue: int) -> int:
        """Send a bidder the shares; raw."""
        _require(self.final, "auction: not final")
        cost = self.bid_of[bidder]
        _require(cost != 0, "auction: nothing to collect")
        amount = self.bought_by(bidder)
        self._pull(revenue)
        self.accruals.settle(bidder, amount)
        self.bid_of[bidder] = 0
        self.escrowed -= amount
        self.uncollected -= cost
        if self.uncollected == 0:
            # What rounding left is the publisher's.
            self._settle_publisher()
            self.unsold += self.escrowed
            self.escrowed = 0
        return amount

    def refund(self, bidder: Address) -> int:
        """Pay a bidder back after an auction that missed its soft cap; base units."""
        _require(self.closed and not self.final, "auction: no refunds")
        amount = self.bid_of[bidder]
        _require(amount != 0, "auction: nothing to refund")
        self.bid_of[bidder] = 0
        return amount

    def withdraw_proceeds(self, sender: Address) -> int:
        """Pay the publisher; base units."""
        _require(sender == self.sale.publisher, "auction: only the publisher")
        amount, self.proceeds = self.proceeds, 0
        return amount

    def return_unsold(self, *, held: int, revenue: int) -> int:
        """Give the publisher what belongs to nobody else; raw shares, of `held` ones."""
        _require(self.closed, "auction: not closed")
        amount = held - self.escrowed - self.pooled
        _require(amount != 0, "auction: nothing to return")
        self._pull(revenue)
        self._settle_publisher()
        self.unsold = 0
        return amount

    def open_pool(self, *, revenue: int) -> tuple[int, int]:
        """Open the pool; raw shares and base units that go there."""
        possible = self.final and self.sale.liquidity_bps != 0
        _require(possible, "auction: no pool to open")
        _require(not self.pool_opened, "auction: pool opened already")
        self._pull(revenue)
        self._settle_publisher()
        self.pool_opened = True
        shares, self.pooled = self.pooled, 0
        return shares, pool_part(self.raised, self.sale.liquidity_bps)

    def claim(self, account: Address, *, revenue: int) -> int:
        """Pay what an account's shares here earned; base units, the fraction stays."""
        _require(self.final or account == self.sale.publisher, "auction: not final")
        self._pull(revenue)
        self.accruals.settle(account, self._earning(account))
        return self.accruals.take(account)

    def claimable(self, account: Address, *, revenue: int) -> int:
        """Return what `claim` would pay; 0 for a bidder until it is closed."""
        publisher = self.sale.publisher
        if not self.final and account != publisher:
            return 0
        return self.accruals.claimable(
            account,
            self._earning(account),
            revenue=revenue,
            held=self._earning_here(),
            heir=publisher,
        )

    def _earning(self, account: Address) -> int:
        if account == self.sale.publisher:
            return self.unsold + self.pooled
        return self.bought_by(account)

    def _earning_here(self) -> int:
        # Until it is closed nobody knows whose they are: the publisher's, and the index rests.
        return self.unsold + self.escrowed + self.pooled if self.closed else 0

    def _pull(self, revenue: int) -> None:
        self.accruals.pull(revenue, self._earning_here(), self.sale.publisher)

    def _settle_publisher(self) -> None:
        self.accruals.settle(self.sale.publisher, self._earning(self.sale.publisher))


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Auction", reason)
