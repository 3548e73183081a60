"""How much of a token is outside some addresses, at any time and on average; exact."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.results import Window
from tessera.facts import ZERO_ID, Transfers

__all__ = ["Supply", "supply_outside"]


@dataclass(frozen=True, slots=True)
class Supply:
    """Raw units outside, as steps.

    Attributes
    ----------
    times
        Unix seconds, ascending, none twice.
    levels
        From each of them on; before the first there was nothing.
    """

    times: tuple[int, ...]
    levels: tuple[int, ...]

    def at(self, moment: int) -> int:
        """Return what is outside at the end of a second."""
        place = bisect_right(self.times, moment)
        return self.levels[place - 1] if place else 0

    def average(self, window: Window) -> Fraction:
        """Return the mean over a window, by time; 0 for an empty one."""
        if not window.seconds:
            return Fraction(0)
        first, last = (bisect_left(self.times, at) for at in (window.start + 1, window.end))
        edges = [window.start, *self.times[first:last], window.end]
        levels = [self.at(window.start), *self.levels[first:last]]
        area = sum(
            level * (end - start)
            for level, start, end in zip(levels, edges[:-1], edges[1:], strict=True)
        )
        return Fraction(area, window.seconds)


def supply_outside(transfers: Transfers, excluded: NDArray[np.bool_]) -> Supply:
    """Return how much is not with some addresses.

    Parameters
    ----------
    transfers
        All of the token, from its first.
    excluded
        Mask over the transfers' addresses; the zero address is excluded whatever it says.
    """
    inside = excluded.copy()
    inside[ZERO_ID] = True
    comes, goes = inside[transfers.source], inside[transfers.target]
    crossing = comes != goes
    moved = transfers.select(crossing)
    times, place = np.unique(moved.time, return_inverse=True)
    outward = comes[crossing]
    gained = moved.amount[outward].totals_by(place[outward], len(times))
    lost = moved.amount[~outward].totals_by(place[~outward], len(times))
    level, levels = 0, []
    for more, less in zip(gained, lost, strict=True):
        level += more - less
        levels.append(level)
    return Supply(tuple(times.tolist()), tuple(levels))
