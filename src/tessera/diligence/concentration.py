"""How unevenly a quantity is held, exactly: shares, Gini, Herfindahl-Hirschman and Nakamoto.

Amounts are integers and each result is one exact fraction, turned into a float once at the end, so
a 27-digit balance and one base unit count as what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Concentration", "concentration", "nakamoto"]


@dataclass(frozen=True, slots=True)
class Concentration:
    """What is said of some holders' amounts.

    Attributes
    ----------
    holders
        How many hold anything.
    top10
        Share of the ten largest, 0 to 1.
    gini
        0 where all hold the same, near 1 where one holds nearly all. It depends on how many hold
        dust: never compare two with different cut-offs.
    hhi
        Sum of squared shares, 0 to 1.
    half, third
        The fewest who hold more than 0.5, and more than 0.33, of it.
    """

    holders: int
    total: int
    top10: float
    gini: float
    hhi: float
    half: int
    third: int

    @property
    def effective(self) -> float:
        """As many equal holders would be as concentrated."""
        return 1 / self.hhi


def concentration(amounts: Iterable[int]) -> Concentration | None:
    """Say how concentrated amounts are; None where nobody holds any.

    Parameters
    ----------
    amounts
        Base units; zeros do not count, and there are no negative ones.

    Notes
    -----
    With x_1 <= ... <= x_n: gini = 2 sum(i x_i) / (n sum x) - (n + 1) / n. Source: specification,
    step 3.
    """
    rising = sorted(amount for amount in amounts if amount)
    if not rising:
        return None
    assert rising[0] > 0
    count, total = len(rising), sum(rising)
    ranked = sum(rank * amount for rank, amount in enumerate(rising, 1))
    return Concentration(
        holders=count,
        total=total,
        top10=sum(rising[-10:]) / total,
        gini=float(Fraction(2 * ranked - (count + 1) * total, count * total)),
        hhi=float(Fraction(sum(amount * amount for amount in rising), total * total)),
        half=nakamoto(rising[::-1], Fraction(1, 2)),
        third=nakamoto(rising[::-1], Fraction(33, 100)),
    )


def nakamoto(falling: Sequence[int], part: Fraction) -> int:
    """Return how few hold more than a part of all, between 0 and 1, of amounts sorted falling."""
    # Integers alone: above total x part exactly where above its floor.
    least, held = sum(falling) * part.numerator // part.denominator, 0
    for count, amount in enumerate(falling, 1):
        held += amount
        if held > least:
            return count
    return len(falling)
