"""What every kind of first sale shares: its stages, its end, its times, its part for a pool."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from tessera.bindings.launchpad import Liquidity
from tessera.errors import InputError
from tessera.units import BPS, Shares, Units

__all__ = ["EVERYBODY", "NO_POOL", "Closing", "Stage", "check_times", "least_of", "with_pool"]

EVERYBODY: Final = bytes(32)
"""The root of a sale's list of buyers where there is none."""

NO_POOL: Final = Liquidity(0, 0, 0)
"""The terms of a sale whose proceeds all go to the publisher."""


class Stage(enum.StrEnum):
    """Where a sale stands."""

    UPCOMING = "upcoming"
    OPEN = "open"
    FINISHED = "finished"
    """It is over, and reached its soft cap."""
    FAILED = "failed"
    """It is over below its soft cap: buyers get their money back."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What was taken out of a sale: base units, raw shares that nobody bought, and the pool's part.

    Attributes
    ----------
    proceeds, unsold
        The publisher's, base units and raw shares.
    tx_hashes
        Of all transactions.
    in_pool
        Base units that opened the pool.
    """

    proceeds: Units
    unsold: Shares
    tx_hashes: tuple[str, ...]
    in_pool: Units = Units(0)  # noqa: RUF009


def with_pool(for_sale: int, liquidity: Liquidity) -> int:
    """Compute the raw shares that a sale takes: those for sale, and those kept for its pool."""
    return for_sale + for_sale * liquidity.bps // BPS


def least_of(shares: int) -> Shares:
    """Compute the fewest shares with which a buyer of so many is content: 99 %, rounded up.

    A little less will do, or anybody could stop a purchase by buying a dust before it.
    """
    return Shares(-(-shares * 99 // 100))


def check_times(start: int, end: int) -> None:
    """Refuse a sale that ends before it begins."""
    if start >= end:
        raise InputError("sale: times", found=f"{start} to {end}", wanted="a start before the end")
