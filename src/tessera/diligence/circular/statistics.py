"""What sizes and times of payments look like: how far to trust the rest, never a verdict.

Prices of an API violate Benford's law legitimately, subscriptions are regular, and bots do not
round. So none of these marks a payment; each is told with the reason why it may say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.grouping import order_by, starts_of
from tessera.diligence.circular.payments import Payments
from tessera.diligence.results import Status

__all__ = ["Statistic", "benford", "regularity", "rounding", "tail"]

_LEAST_BENFORD: Final = 1_000
_LEAST_TAIL: Final = 500
_LEAST_PAYMENTS: Final = 10
_LEAST_PRICES: Final = 20
_REGULAR: Final = 0.1
_TAIL: Final = 0.1
_NEAR: Final = 50


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic of all payments.

    Attributes
    ----------
    value
        None where the status is not ok.
    suspicious
        Whether it is what wash trading leaves behind; None where nobody can say.
    """

    name: str
    status: Status
    value: float | None
    suspicious: bool | None
    text: str


def _none(name: str, status: Status, why: str) -> Statistic:
    return Statistic(name, status, None, None, why)


def _list_prices(size: NDArray[np.float64]) -> bool:
    """Whether half of all payments are of so few sizes that there is a price list."""
    counts = np.sort(np.unique(size, return_counts=True)[1])[::-1]
    return bool(counts[:_LEAST_PRICES].sum() * 2 > len(size))


def benford(payments: Payments) -> Statistic:
    """Mean absolute deviation of first digits from Benford's law; above 0.015 is nonconforming."""
    name = "benford_mad"
    size = payments.size[payments.size > 0]
    if len(size) < _LEAST_BENFORD:
        return _none(name, Status.INSUFFICIENT, f"{len(size):,} payments, {_LEAST_BENFORD:,} say")
    if _list_prices(size):
        return _none(name, Status.NOT_APPLICABLE, "list prices have their own first digits")
    digit = np.floor(size / 10.0 ** np.floor(np.log10(size))).clip(1, 9).astype(np.int64)
    found = np.bincount(digit, minlength=10)[1:] / len(size)
    law = np.log10(1 + 1 / np.arange(1, 10))
    mad = float(np.abs(found - law).mean())
    chi2 = float((len(size) * (found - law) ** 2 / law).sum())
    return Statistic(
        name, Status.OK, mad, mad > 0.015, f"first digits differ from Benford's law by {mad:.4f} "
        f"on average (nonconforming above 0.015), chi-squared {chi2:,.0f} with 8 degrees",
    )  # fmt: skip


def rounding(payments: Payments, unit: float) -> Statistic:
    """How much more often a size is a whole number of `unit` than its neighbours are its own.

    Parameters
    ----------
    unit
        What people would round to, base units: one whole token.

    Notes
    -----
    People round; programs that trade with themselves do not. So it is the lack of round sizes that
    is suspicious, on markets where people trade; micropayments are never round.
    """
    name = "round_sizes"
    size = payments.size[payments.size > 0]
    if len(size) < _LEAST_BENFORD:
        return _none(name, Status.INSUFFICIENT, f"{len(size):,} payments, {_LEAST_BENFORD:,} say")
    if float(np.median(size)) < 10 * unit:
        return _none(name, Status.NOT_APPLICABLE, "payments are too small to be rounded")
    hundredths = np.rint(size / unit * 100).astype(np.int64) % 100
    counts = np.bincount(hundredths, minlength=100)
    others = counts[np.r_[1:_NEAR, _NEAR + 1 : 100]]
    share, usual = counts[0] / len(size), float(others.mean()) / len(size)
    spread = float(others.std(ddof=1)) / len(size)
    t = float(share - usual) / max(spread, 1e-12)
    return Statistic(
        name, Status.OK, float(share), bool(t < 2), f"{share:.1%} of sizes are whole, "
        f"{usual:.1%} would be by their neighbours (t = {t:.1f})",
    )  # fmt: skip


def tail(payments: Payments) -> Statistic:
    """Hill's exponent of the largest tenth; reported and never judged.

    Direct evidence from exchanges that washed finds such tests pointing the wrong way.
    """
    name = "tail_exponent"
    size = np.sort(payments.size[payments.size > 0])[::-1]
    count = int(len(size) * _TAIL)
    if count < _LEAST_TAIL:
        return _none(name, Status.INSUFFICIENT, f"{count:,} in the tail, {_LEAST_TAIL} say")
    spread = float(np.log(size[:count] / size[count]).mean())
    if spread <= 0:
        return _none(name, Status.NOT_APPLICABLE, "the largest payments are all the same")
    return Statistic(
        name, Status.OK, 1 / spread, None, f"the tail falls with exponent {1 / spread:.2f}; "
        "between 1 and 2 is usual",
    )  # fmt: skip


def regularity(payments: Payments) -> Statistic:
    """Share of value paid by payers whose times and sums hardly vary (both below 0.1 of the mean).

    Subscribers are regular too, so it says only that programs pay, not who gains.
    """
    name = "regular_payers"
    entities = payments.entities
    order = order_by(payments.source, entities)
    begin = starts_of(payments.source, entities)
    regular = whole = 0.0
    for payer in np.flatnonzero(np.diff(begin) >= _LEAST_PAYMENTS).tolist():
        rows = order[begin[payer] : begin[payer + 1]]
        size, gaps = payments.size[rows], np.diff(payments.time[rows]).astype(np.float64)
        paid = float(size.sum())
        whole += paid
        if gaps.mean() > 0 and gaps.std() < _REGULAR * gaps.mean():
            regular += paid if size.std() < _REGULAR * size.mean() else 0.0
    if not whole:
        return _none(name, Status.INSUFFICIENT, f"no payer paid {_LEAST_PAYMENTS} times")
    part = regular / whole
    return Statistic(
        name, Status.OK, part, None, f"{part:.1%} of what frequent payers pay comes in the same "
        "sums at the same intervals, as subscriptions do, and programs",
    )  # fmt: skip
