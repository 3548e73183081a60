"""What holders were paid: each distribution held against who held how much, and what was minted.

A payout in a token that was minted for it is emission, not revenue. A pro-rata payout lies on a
line over the balances at the block before it began; one that somebody decides does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.money.flows import Flows
from tessera.diligence.results import DAY_S, Window
from tessera.facts import Amounts, Transfers

__all__ = ["PRO_RATA_R2", "Distribution", "Fit", "distributions", "fit", "net_of_minted"]

PRO_RATA_R2: Final = 0.99
"""Payouts that follow balances less closely than this are somebody's discretion."""

_GAP_S: Final = DAY_S
_FEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A line through payouts over balances, by least squares: statistics, so floats.

    Attributes
    ----------
    slope
        Base units paid for each raw unit held.
    r2
        Share of the payouts' variance that the line explains.
    count
        Holders.
    """

    slope: float
    r2: float
    count: int

    @property
    def pro_rata(self) -> bool:
        """Whether payouts follow balances."""
        return self.r2 > PRO_RATA_R2 and self.slope > 0


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution: payouts in one currency with less than a day between them.

    Attributes
    ----------
    first_block
        Of its first payout; balances are those at the end of the block before.
    window
        From its first payout to its last.
    total
        Base units of `currency`.
    paid, eligible
        Distinct holders that got something, and that held something.
    paid_eligible
        Of `paid`, those that held something.
    fit
        None where fewer than three holders were paid, or all held alike.
    """

    currency: str
    first_block: int
    window: Window
    total: int
    paid: int
    eligible: int
    paid_eligible: int
    fit: Fit | None


def net_of_minted(payouts: Flows, minted: Flows, months: Sequence[Window]) -> Flows:
    """Return payouts without what was minted to who pays, in the same currency and month.

    The first payouts of a month are those that minted tokens were for.

    Parameters
    ----------
    minted
        To distributors, from the zero address.
    """
    if not len(minted):
        return payouts
    amounts = payouts.amount.tolist()
    for month in months:
        new, rows = minted.within(month), payouts.rows_within(month)
        for index, token in enumerate(payouts.currencies):
            left = new.totals().get(token, 0) if len(new) else 0
            for row in range(rows.start, rows.stop):
                if not left:
                    break
                if payouts.currency[row] == index:
                    part = min(left, amounts[row])
                    amounts[row] -= part
                    left -= part
    return replace(payouts, amount=Amounts.of(amounts))


def distributions(
    payouts: Flows, token: Transfers, excluded: NDArray[np.bool_], most: int = 12
) -> list[Distribution]:
    """Return the newest distributions, the oldest of them first.

    Parameters
    ----------
    payouts
        To holders.
    token
        All transfers of what they hold, from the first.
    excluded
        Mask over the token's addresses: who cannot be paid, such as burn addresses, the token and
        the distributors themselves.
    """
    spans: list[tuple[int, NDArray[np.int64]]] = []
    for index in range(len(payouts.currencies)):
        rows = np.flatnonzero((payouts.currency == index) & payouts.amount.limbs.any(axis=1))
        if not len(rows):
            continue
        breaks = np.flatnonzero(np.diff(payouts.time[rows]) >= _GAP_S) + 1
        spans += [(index, part) for part in np.split(rows, breaks)]
    spans.sort(key=lambda span: (int(payouts.block[span[1][0]]), span[0]))
    return [_one(payouts, index, rows, token, excluded) for index, rows in spans[-most:]]


def fit(held: NDArray[np.float64], paid: NDArray[np.float64]) -> Fit | None:
    """Return the line through payouts over balances; None where there is none to draw."""
    if len(held) < _FEWEST:
        return None
    # Sums of floats depend on their order, and the order of holders means nothing.
    order = np.lexsort((paid, held))
    held, paid = held[order], paid[order]
    x, y = held / held.max(), paid / paid.max()
    spread = x - x.mean()
    across, along = float(spread @ spread), float((y - y.mean()) @ (y - y.mean()))
    if across < 1e-18:
        return None
    slope = float(spread @ y) / across
    rest = y - y.mean() - slope * spread
    # Everybody got the same whatever they held: no line over balances explains anything of it.
    r2 = 0.0 if along < 1e-18 else max(0.0, 1.0 - float(rest @ rest) / along)
    scaled = slope * float(paid.max()) / float(held.max())
    return Fit(scaled, r2, len(held)) if math.isfinite(scaled) else None


def _one(
    payouts: Flows,
    index: int,
    rows: NDArray[np.int64],
    token: Transfers,
    excluded: NDArray[np.bool_],
) -> Distribution:
    first = int(payouts.block[rows[0]])
    people, place = np.unique(payouts.party[rows], return_inverse=True)
    sums = payouts.amount[rows].totals_by(place, len(people))
    before = token.before(first)
    count = len(token.addresses)
    gained = before.amount.totals_by(before.target, count)
    lost = before.amount.totals_by(before.source, count)
    held = [more - less for more, less in zip(gained, lost, strict=True)]
    eligible = [at for at in range(count) if held[at] > 0 and not excluded[at] and at]
    ids = token.addresses.ids_of(payouts.addresses.texts(people))
    known = [
        (held[int(at)], amount)
        for at, amount in zip(ids, sums, strict=True)
        if at > 0 and held[int(at)] > 0 and not excluded[int(at)]
    ]
    times = payouts.time[rows]
    return Distribution(
        currency=payouts.currencies[index],
        first_block=first,
        window=Window(int(times[0]), int(times[-1]) + 1),
        total=sum(sums),
        paid=len(people),
        eligible=len(eligible),
        paid_eligible=len(known),
        fit=fit(
            np.array([balance for balance, _ in known], np.float64),
            np.array([amount for _, amount in known], np.float64),
        )
        if known
        else None,
    )
