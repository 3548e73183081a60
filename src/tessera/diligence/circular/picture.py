"""Who pays whom, and which of it goes in circles, as few enough lines to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.composite import Circular
from tessera.diligence.circular.views import circular_by_currency
from tessera.diligence.subject import Currency
from tessera.diligence.view import View

__all__ = ["MOST_LINES", "picture"]

MOST_LINES: Final = 300


def picture(
    view: View, currency: str | None = None, *, most: int = MOST_LINES
) -> dict[str, object]:
    """Return what the graph of payers draws.

    Parameters
    ----------
    currency
        Which payments; None for those in the currency in which users pay most often.

    Returns
    -------
    dict
        `payments`: lists of payer, receiver, amount and the number of the ring that it is part of,
        from 1, or None; those in rings first, then by amount. `receivers`: the revenue set. `unit`:
        of the amounts: "USD" where the currency is worth some, else its symbol, in whole units.
        Empty where no payment to the revenue set was observed, nor any in a circle.

    Raises
    ------
    TesseraError
        What is needed of the facts is not there.
    """
    revenue = set(view.subject.payments.contracts)
    currencies = {each.address: each for each in view.subject.payments.currencies}
    best: tuple[int, str] | None = None
    chosen: Mapping[str, Circular] = circular_by_currency(view)
    for token in sorted(chosen) if currency is None else [currency]:
        found = chosen[token]
        count = int((_paid(found, revenue) | found.rows).sum())
        if count and (best is None or count > best[0]):
            best = (count, token)
    if best is None:
        return {}
    token = best[1]
    lines = _lines(chosen[token], revenue, currencies[token], most)
    coin = currencies[token]
    unit = "USD" if coin.usd is not None else coin.symbol or "whole units"
    return {"payments": lines, "receivers": sorted(revenue), "unit": unit}


def _paid(found: Circular, revenue: set[str]) -> NDArray[np.bool_]:
    """Which transfers are payments to the revenue set."""
    table = found.transfers.addresses
    ids = table.ids_of(sorted(revenue))
    takes = np.zeros(len(table), np.bool_)
    takes[ids[ids > 0]] = True
    return takes[found.transfers.target] & ~takes[found.transfers.source] & found.counted


def _lines(found: Circular, revenue: set[str], coin: Currency, most: int) -> list[list[object]]:
    moved, circles = found.transfers, found.rows
    rows = np.flatnonzero(circles | _paid(found, revenue))
    width = np.int64(len(moved.addresses))
    keys = (moved.source[rows] * width + moved.target[rows]) * 2 + circles[rows]
    pairs, group = np.unique(keys, return_inverse=True)
    sums = moved.amount[rows].totals_by(group.astype(np.int64), len(pairs))
    ends = moved.addresses.texts(pairs // 2 // width), moved.addresses.texts(pairs // 2 % width)
    worth = (coin.usd or 1.0) / 10**coin.decimals
    edges = [
        (source, target, total * worth, bool(ring))
        for source, target, total, ring in zip(*ends, sums, pairs % 2, strict=True)
        if total
    ]
    rings = _rings([(one, other) for one, other, _, ring in edges if ring], revenue)
    edges.sort(key=lambda edge: (not edge[3], -edge[2], edge[0], edge[1]))
    return [
        [source, target, amount, _ring_of(rings, source, target) if ring else None]
        for source, target, amount, ring in edges[:most]
    ]


def _rings(pairs: Sequence[tuple[str, str]], revenue: set[str]) -> dict[str, int]:
    """Number who is joined by circular payments; the revenue set joins nobody, as all pay it."""
    above: dict[str, str] = {}

    def top(who: str) -> str:
        while above.setdefault(who, who) != who:
            above[who] = above[above[who]]
            who = above[who]
        return who

    for one, other in pairs:
        inside = [who for who in (one, other) if who not in revenue]
        for who in inside:
            top(who)
        if len(inside) == 2:
            first, second = sorted(map(top, inside))
            above[second] = first
    groups = sorted({top(who) for who in above})
    number = {group: place for place, group in enumerate(groups, start=1)}
    return {who: number[top(who)] for who in above}


def _ring_of(rings: Mapping[str, int], source: str, target: str) -> int:
    """Return the ring of a circular payment: its payer's, or else its receiver's."""
    return rings.get(source) or rings.get(target) or len(rings) + 1
