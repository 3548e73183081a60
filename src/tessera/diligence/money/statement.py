"""The income statement of a token: what users paid, what was no real demand, and who got it.

Fees are all that users pay; a part goes to who does the work (the supply side), and a part reaches
the holders. Each line is exact in base units by currency and, where prices are known, in dollars.
`money.py` says what it means; here it is only added up.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.money.flows import Flows, Refund
from tessera.diligence.money.prices import ATOMS, Quotes, worth
from tessera.diligence.results import Window, hash_inputs
from tessera.facts import Amounts

__all__ = ["Clean", "Line", "Money", "Statement", "line_of", "months_between", "statement"]


@dataclass(frozen=True, slots=True)
class Money:
    """A currency that users pay in, or that holders are paid in.

    Attributes
    ----------
    quotes
        None: nobody knows what it is worth.
    """

    address: str
    decimals: int
    symbol: str = ""
    quotes: Quotes | None = None

    def digest(self) -> str:
        """Return what it and its prices are."""
        known = "" if self.quotes is None else self.quotes.digest()
        return hash_inputs(self.address, self.decimals, known)


@dataclass(frozen=True, slots=True)
class Clean:
    """What of the payments is no demand from outside.

    Attributes
    ----------
    circular
        Mask of shape (n,) over the payments; None where nobody looked.
    insiders
        Mask of shape (n,): paid by the team or its treasury.
    refunded
        What went back to who paid.
    """

    circular: NDArray[np.bool_] | None
    insiders: NDArray[np.bool_]
    refunded: Sequence[Refund] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the statement.

    Attributes
    ----------
    units
        Base units by currency, over all months.
    atoms
        1 / `ATOMS` dollars by month, of what has a price.
    by_month
        Base units by currency, by month.
    unpriced
        Currencies in which something moved that has no price, by month.
    """

    units: Mapping[str, int]
    by_month: Mapping[str, tuple[int, ...]]
    atoms: tuple[int, ...]
    unpriced: tuple[frozenset[str], ...]

    def dollars(self, month: int) -> float | None:
        """Return a month's sum for a ratio; None where not all of it has a price."""
        return None if self.unpriced[month] else self.atoms[month] / ATOMS

    def plus(self, other: Line, sign: int = 1) -> Line:
        """Return this line and another of the same months, which `sign` -1 takes off."""
        none = (0,) * len(self.atoms)
        by_month = {
            token: tuple(
                mine + sign * theirs
                for mine, theirs in zip(
                    self.by_month.get(token, none), other.by_month.get(token, none), strict=True
                )
            )
            for token in {**self.by_month, **other.by_month}
        }
        pairs = zip(self.atoms, other.atoms, strict=True)
        return Line(
            {token: sum(sums) for token, sums in by_month.items()},
            by_month,
            tuple(mine + sign * theirs for mine, theirs in pairs),
            tuple(
                mine | theirs for mine, theirs in zip(self.unpriced, other.unpriced, strict=True)
            ),
        )

    def minus(self, other: Line) -> Line:
        """Return this line less another of the same months."""
        return self.plus(other, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """All lines over the same months.

    Attributes
    ----------
    months
        Calendar months, in order.
    gross, clean
        Fees, and fees without what is no demand from outside; `clean` is None where nobody looked
        for circular payments.
    removed
        What was taken from gross, by reason; what is two things at once counts as the first.
    supply_side, holders
        What went to who does the work, and what reached the holders.
    inputs
        What all of it was computed from.
    """

    months: tuple[Window, ...]
    gross: Line
    clean: Line | None
    removed: Mapping[str, Line]
    supply_side: Line
    holders: Line
    monies: Mapping[str, Money] = field(default_factory=dict)
    inputs: str = ""


def months_between(first: int, head: int) -> tuple[Window, ...]:
    """Return the calendar months from a moment to another, the last one whole or not."""
    return tuple(Window(first, max(first, head) + 1).months())


def statement(
    payments: Flows,
    clean: Clean,
    supply_side: Flows,
    holders: Sequence[Flows],
    monies: Mapping[str, Money],
    months: tuple[Window, ...],
) -> Statement:
    """Add up a token's money.

    Parameters
    ----------
    payments
        By users.
    clean
        What of these is no demand from outside.
    supply_side
        To who does the work.
    holders
        To holders, in each way that there is, net of what was minted for the purpose.
    monies
        By currency's address; those of all flows.
    """
    gross = line_of(payments, monies, months)
    circular = clean.circular
    masks = {
        "circular": np.zeros(len(payments), np.bool_) if circular is None else circular,
        "team": clean.insiders,
    }
    removed: dict[str, Line] = {}
    seen = np.zeros(len(payments), np.bool_)
    for reason, mask in masks.items():
        removed[reason] = line_of(payments.select(mask & ~seen), monies, months)
        seen |= mask
    removed["refunded"] = line_of(_refunded(payments, clean.refunded, seen), monies, months)
    left = gross
    for taken in removed.values():
        left = left.minus(taken)
    return Statement(
        months=months,
        gross=gross,
        clean=None if circular is None else left,
        removed=removed,
        supply_side=line_of(supply_side, monies, months),
        holders=functools.reduce(Line.plus, [line_of(each, monies, months) for each in holders]),
        monies=monies,
        inputs=hash_inputs(
            payments.digest(),
            supply_side.digest(),
            *(each.digest() for each in holders),
            b"" if circular is None else np.packbits(circular).tobytes(),
            np.packbits(clean.insiders).tobytes(),
            repr([(each.row, each.amount) for each in clean.refunded]),
            *(monies[token].digest() for token in sorted(monies)),
        ),
    )


def line_of(flows: Flows, monies: Mapping[str, Money], months: Sequence[Window]) -> Line:
    """Add flows up by currency and month; what lies outside the months is left out."""
    starts = np.array([month.start for month in months], np.int64)
    within = np.zeros(len(flows), np.int64)
    if len(months):
        place = np.searchsorted(starts, flows.time, side="right") - 1
        outside = (place < 0) | (flows.time >= months[-1].end)
        within = np.where(outside, len(months), place)
    units: dict[str, int] = {}
    by_month: dict[str, tuple[int, ...]] = {}
    atoms = [0] * len(months)
    unpriced: list[set[str]] = [set() for _ in months]
    for index, token in enumerate(flows.currencies):
        rows = flows.currency == index
        money = monies[token]
        groups, amounts = within[rows], flows.amount[rows]
        sums = amounts.totals_by(groups, len(months) + 1)[:-1]
        units[token], by_month[token] = sum(sums), tuple(sums)
        found = worth(
            money.quotes, money.decimals, amounts, flows.time[rows], groups, len(months) + 1
        )
        for month in range(len(months)):
            atoms[month] += found.atoms[month]
            if found.unpriced[month]:
                unpriced[month].add(token)
    return Line(units, by_month, tuple(atoms), tuple(frozenset(each) for each in unpriced))


def _refunded(payments: Flows, found: Iterable[Refund], seen: NDArray[np.bool_]) -> Flows:
    """Return refunds at the time of what they refund, without what is taken off already."""
    kept = [refund for refund in found if not seen[refund.row]]
    rows = np.array([refund.row for refund in kept], np.int64)
    return Flows(
        payments.currencies,
        payments.addresses,
        payments.block[rows],
        payments.time[rows],
        payments.tx[rows],
        payments.log[rows],
        payments.party[rows],
        payments.other[rows],
        payments.currency[rows],
        Amounts.of([refund.amount for refund in kept]),
    )
