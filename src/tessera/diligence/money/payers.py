"""Who pays: how many, how unevenly, whether they come back, and whether they are new wallets.

Everything here takes sums by payer, so it says nothing about where they come from; `money.py` asks
it for each month. Shares are statistics and floats; what they are shares of is exact.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from tessera.diligence.results import DAY_S

__all__ = [
    "FRESH_S",
    "TOP",
    "Concentration",
    "Freshness",
    "concentration",
    "freshness",
    "retention",
]

TOP: Final = 10
FRESH_S: Final = 7 * DAY_S
"""A payer whose wallet got its first money less than this before its first payment is fresh."""


@dataclass(frozen=True, slots=True)
class Concentration:
    """How payments are spread over payers.

    Attributes
    ----------
    count
        Payers that paid more than nothing.
    top
        Share of the `TOP` largest.
    hhi
        Sum of squared shares, 1 / count to 1.
    entropy
        In nats: 0 where one pays all, the logarithm of `count` where all pay alike.
    """

    count: int
    top: float
    hhi: float
    entropy: float

    @property
    def effective(self) -> float:
        """How many equal payers would be spread as widely."""
        return math.exp(self.entropy)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How much comes from wallets that are as young as their first payment.

    Attributes
    ----------
    fresh, dated
        Sums paid by fresh payers, and by all of whom it is known when they first got money.
    total
        Paid by all.
    """

    fresh: int
    dated: int
    total: int


def concentration(paid: Iterable[int]) -> Concentration | None:
    """Return how payments are spread.

    Parameters
    ----------
    paid
        The sum of each payer, 0 or more, in one unit.

    Returns
    -------
    Concentration or None
        None where nobody paid anything.
    """
    sums = [amount for amount in paid if amount]
    whole = sum(sums)
    if not whole:
        return None
    # What fits a machine's word is exact there, and much faster. In order of size, since sums of
    # floats depend on the order.
    if whole < 1 << 63:
        column = np.sort(np.array(sums, np.int64))
        largest = int(column[-TOP:].sum())
        shares = column / whole
    else:
        largest = sum(heapq.nlargest(TOP, sums))
        shares = np.array([amount / whole for amount in sorted(sums)])
    # A share that a float cannot hold adds nothing that a float could.
    known = shares[shares > 0]
    return Concentration(
        count=len(sums),
        top=largest / whole,
        hhi=float(shares @ shares),
        entropy=max(0.0, -float(known @ np.log(known))),
    )


def retention(before: Collection[int], now: Collection[int]) -> float | None:
    """Return which part of the payers of one month pays in the next.

    Returns
    -------
    float or None
        0 to 1; None where nobody paid in the month before.
    """
    earlier = set(before)
    return len(earlier.intersection(now)) / len(earlier) if earlier else None


def freshness(
    paid: Mapping[int, int], first_paid: Mapping[int, int], first_funded: Mapping[int, int]
) -> Freshness:
    """Return how much is paid by wallets that are as young as their first payment.

    Parameters
    ----------
    paid
        Sums by payer.
    first_paid
        Unix seconds of each payer's first payment, ever.
    first_funded
        Unix seconds at which a payer first got anything; a payer who is missing is undated, and
        counts neither as fresh nor as old.
    """
    fresh = dated = 0
    for payer, amount in paid.items():
        if payer not in first_funded:
            continue
        dated += amount
        if first_paid[payer] - first_funded[payer] < FRESH_S:
            fresh += amount
    return Freshness(fresh, dated, sum(paid.values()))
