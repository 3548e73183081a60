"""`Launchpad.vy` again in plain Python: which sales it opens, and what lies in its clones.

What a sale does is the twin of its own contract; here are the conditions under which there is one,
and the books that clones report to. Clones are known by their number, in the order in which they
were made. The Share's own refusals are left out. Raw shares, base units, unix seconds. What the
contract reverts raises `TransactionReverted` with the same string and changes nothing.

Held against the contract by `test_launchpad_matches_spec.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.auction import AuctionSale
from tessera.spec.curve import CurveSale, shares_for_curve
from tessera.spec.offering import WHOLE_SHARE, Sale, pool_part
from tessera.spec.signatures import ZERO_ADDRESS, Address
from tessera.spec.vesting import Schedule
from tessera.units import BPS

__all__ = ["Book", "Clone", "LaunchpadModel", "Liquidity", "Situation"]

_MASK_96: Final = 2**96 - 1
_MASK_40: Final = 2**40 - 1
MAX_PRICE: Final = 2**128 - 1
MAX_DURATION: Final = 100 * 365 * 86_400
MAX_SALE: Final = 365 * 86_400
OWNERS_TIME: Final = 365 * 86_400
"""For how long the first pool is the owner's to open, where no sale found a price."""

LEAST_OF_POOL: Final = 10_000
MOST_RAISED: Final = 2**85
LAST_TIER: Final = 3


class Liquidity(NamedTuple):
    """The rest of what a sale says of its pool: the tier, and for how long liquidity is locked."""

    tier: int = 0
    locked: int = 0


class Situation(NamedTuple):
    """What the Launchpad asks others before it opens a sale.

    Attributes
    ----------
    asset
        Whose shares.
    now
        Unix seconds.
    by_owner
        Whether the caller owns the asset.
    tokenized, has_pool
        Whether it has a Share, and that a pool.
    """

    asset: int
    now: int
    by_owner: bool = True
    tokenized: bool = True
    has_pool: bool = False


@dataclass(slots=True)
class Clone:
    """What a clone is.

    Attributes
    ----------
    asset
        Whose shares it holds.
    is_sale
        A vesting or an allocation otherwise.
    counts
        Whether it is an open sale of the owner's.
    promises
        Whether it promised a pool and has not closed.
    """

    asset: int
    is_sale: bool
    counts: bool = False
    promises: bool = False


@dataclass(slots=True)
class Book:
    """What the Launchpad knows of one asset.

    Attributes
    ----------
    in_sales, in_vestings
        Raw shares; allocations count with the vestings.
    open_sales
        By the asset's owner.
    missed_at
        When such a sale last closed without a price.
    priced, promised
        Whether one found a price, and whether one promises the pool.
    """

    in_sales: int = 0
    in_vestings: int = 0
    open_sales: int = 0
    missed_at: int = 0
    priced: bool = False
    promised: bool = False


class LaunchpadModel:
    """All sales, vestings and allocations of one Launchpad.

    Parameters
    ----------
    exchange
        Cannot be anybody's publisher.
    """

    def __init__(self, exchange: Address) -> None:
        self.exchange = exchange
        self.clones: dict[int, Clone] = {}
        self.books: defaultdict[int, Book] = defaultdict(Book)

    # --- Sales ----------------------------------------------------------------------------------

    def offer(self, sale: Sale, liquidity: Liquidity, on: Situation) -> int:
        """Open a sale at a fixed price; the number of its clone."""
        _check_amounts(sale.for_sale, sale.cap_per_buyer)
        _require(sale.soft_cap <= sale.for_sale, "soft cap above what is for sale")
        _require(0 < sale.price <= MAX_PRICE, "price out of range")
        bps = sale.liquidity_bps
        least = sale.soft_cap * sale.price // WHOLE_SHARE
        most = sale.for_sale * sale.price // WHOLE_SHARE
        promises = _check_pool(bps, liquidity, sale.soft_cap, least, most, on)
        shares = sale.for_sale + pool_part(sale.for_sale, bps)
        return self._open(shares, sale.publisher, sale.start, sale.end, promises, on)

    def auction(self, sale: AuctionSale, liquidity: Liquidity, on: Situation) -> int:
        """Open a sale at a falling price; the number of its clone."""
        _check_amounts(sale.for_sale, sale.cap_per_buyer)
        most = sale.for_sale * sale.first_price // WHOLE_SHARE
        in_range = 0 < sale.lowest_price <= sale.first_price <= MAX_PRICE and most <= MAX_PRICE
        _require(in_range, "price out of range")
        least = sale.for_sale * sale.lowest_price // WHOLE_SHARE
        _require(least != 0, "price out of range")
        _require(sale.soft_cap <= least, "soft cap above what is for sale")
        bps = sale.liquidity_bps
        sold = sale.soft_cap * WHOLE_SHARE // sale.first_price
        promises = _check_pool(bps, liquidity, sold, sale.soft_cap, most, on)
        shares = sale.for_sale + pool_part(sale.for_sale, bps)
        return self._open(shares, sale.publisher, sale.start, sale.end, promises, on)

    def curve(self, sale: CurveSale, liquidity: Liquidity, on: Situation) -> int:
        """Open a sale along a bonding curve; the number of its clone."""
        shares_there, money, target = sale.virtual_shares, sale.virtual_currency, sale.target
        bps = sale.liquidity_bps
        in_range = (
            0 < shares_there <= _MASK_96
            and 0 < money <= MOST_RAISED
            and 0 < target <= MOST_RAISED
            and bps <= BPS
        )
        _require(in_range, "curve out of range")
        shares = shares_for_curve(shares_there, money, target, bps)
        _check_amounts(shares, sale.cap_per_buyer)
        calm = sale.surcharge_bps <= BPS and sale.calm <= MAX_SALE
        _require(calm, "surcharge out of range")
        _require_tokenized(on)
        _require(bps != 0, "a curve must open a pool")
        # What is left at the target, at its price: what the pool would take for all that is raised.
        left = target * (shares_there * money // (money + target)) // (money + target)
        promises = _check_pool(bps, liquidity, left, target, target, on)
        return self._open(shares, sale.publisher, sale.start, sale.end, promises, on)

    def _open(
        self, shares: int, publisher: Address, start: int, end: int, promises: bool, on: Situation
    ) -> int:
        _require(publisher != ZERO_ADDRESS, "publisher is the zero address")
        _require(publisher != self.exchange, "publisher is the exchange")
        in_time = start < end and on.now < end <= on.now + MAX_SALE
        _require(in_time, "times out of order")
        book = self.books[on.asset]
        if promises:
            _require(on.by_owner, "only the asset's owner promises a pool")
            _require(not book.promised, "another sale promises the pool")
            book.promised = True
        book.in_sales += shares
        book.open_sales += on.by_owner
        return self._clone(Clone(on.asset, True, on.by_owner, promises))

    # --- Vestings and allocations ---------------------------------------------------------------

    def vest(self, plans: Sequence[tuple[Address, Schedule]], on: Situation) -> list[int]:
        """Lock shares for beneficiaries, for all of them or for none; the numbers of the clones."""
        _require_tokenized(on)
        for beneficiary, schedule in plans:
            _require(beneficiary != ZERO_ADDRESS, "beneficiary is the zero address")
            _check_schedule(schedule)
        self.books[on.asset].in_vestings += sum(schedule.amount for _, schedule in plans)
        return [self._clone(Clone(on.asset, False)) for _ in plans]

    def contribute(self, grant: Schedule, on: Situation, *, contributors: bool) -> int:
        """Set shares aside for the asset's contributors, if it has any; the number of the clone."""
        _require_tokenized(on)
        _require(contributors, "asset names no contributors")
        _check_schedule(grant)
        self.books[on.asset].in_vestings += grant.amount
        return self._clone(Clone(on.asset, False))

    # --- Books ----------------------------------------------------------------------------------

    def report(
        self, number: int | None, left: int, back: int, now: int, *, closes: bool, priced: bool
    ) -> None:
        """Hear of a clone what left it or came back, and, once, that its sale is over.

        Parameters
        ----------
        number
            None for whoever is no clone.
        left, back
            Raw shares; clones never report more than they hold.
        closes, priced
            Whether the sale is over, and found a price.
        """
        if number is None:
            raise _refused("not a clone of ours")
        clone = self.clones[number]
        book = self.books[clone.asset]
        if clone.is_sale:
            book.in_sales += back - left
        else:
            book.in_vestings += back - left
        if closes and clone.counts:
            book.open_sales -= 1
            if priced:
                book.priced = True
            else:
                book.missed_at = now
            book.promised ^= clone.promises
            clone.counts = clone.promises = False

    def anyone_opens(self, asset: int, registered: int, now: int) -> bool:
        """Say whether anyone may open the asset's pool while no sale is open."""
        book = self.books[asset]
        return book.priced or now >= max(registered, book.missed_at) + OWNERS_TIME

    def _clone(self, clone: Clone) -> int:
        number = len(self.clones) + 1
        self.clones[number] = clone
        return number


def _check_pool(
    bps: int, liquidity: Liquidity, shares: int, least: int, most: int, on: Situation
) -> bool:
    """Return whether a sale promises a pool that the Exchange cannot refuse.

    `shares` and `least` are the fewest that a sale which succeeds has sold and raised, `most` is
    the most that it can raise.
    """
    _require_tokenized(on)
    in_range = liquidity.tier <= LAST_TIER and liquidity.locked <= MAX_DURATION
    _require(in_range, "tier or lock out of range")
    if bps == 0:
        return False
    _require(bps <= BPS, "more than all of the proceeds")
    fits = min(pool_part(shares, bps), pool_part(least, bps)) >= LEAST_OF_POOL
    _require(fits and most <= MOST_RAISED, "pool too small or too large")
    _require(not on.has_pool, "there is a pool already")
    return True


def _check_amounts(shares: int, cap_per_buyer: int) -> None:
    _require(0 < shares <= _MASK_96, "amount out of range")
    _require(cap_per_buyer != 0, "nobody could buy")


def _check_schedule(schedule: Schedule) -> None:
    _require(0 < schedule.amount <= _MASK_96, "amount out of range")
    in_order = schedule.start <= _MASK_40 and schedule.cliff <= schedule.duration <= MAX_DURATION
    _require(in_order, "times out of order")


def _require_tokenized(on: Situation) -> None:
    _require(on.tokenized, "asset is not tokenized")


def _refused(reason: str) -> TransactionReverted:
    return TransactionReverted("Launchpad", f"launchpad: {reason}")


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise _refused(reason)
