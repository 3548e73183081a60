"""`BadCounts.vy` again in plain Python: when a count shows, beyond doubt, that a model is bad.

The exact one-sided 99.9 % upper bound of Clopper and Pearson on an accuracy is below `least`
exactly where P(X <= count) < 1/1000 for a binomial X of probability `least`: the bound is the
probability at which that tail is 1/1000, and the tail falls as the probability grows. So no bound
is computed, only a tail, in whole numbers; `bad_count` does it exactly, and `proves` as the
contract does. Accuracies are in millionths.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from tessera.errors import InputError

__all__ = ["MAX_ITEMS", "MIN_ITEMS", "WHOLE", "bad_count", "proves"]

MIN_ITEMS: Final = 100
MAX_ITEMS: Final = 4_096
WHOLE: Final = 1_000_000
_ONE: Final = 1 << 200


@cache
def bad_count(items: int, least: int) -> int:
    """Find the largest count whose upper bound is below `least`, by exact whole numbers.

    Parameters
    ----------
    items
        100 to 4,096.
    least
        Millionths, above 0 and below 1,000,000.

    Returns
    -------
    int
        Items answered correctly; -1 where not even none of them shows it.

    Raises
    ------
    InputError
        A number is out of range.
    """
    _check(items, least)
    rest = WHOLE - least
    # Weights over the common denominator WHOLE^items, from none correct upwards.
    weight, tail, limit = rest**items, 0, WHOLE**items
    for correct in range(items + 1):
        tail += weight
        if tail * 1_000 >= limit:
            return correct - 1
        weight = weight * (items - correct) * least // ((correct + 1) * rest)
    return items


def proves(items: int, least: int, correct: int) -> bool:
    """Whether the contract takes `correct` as the largest bad count.

    It weighs against the mode, each weight floored at 2^-200 of it. Each step away from the mode
    multiplies by a ratio of 1 at most, so a weight is short by less than its distance, and any sum
    by less than the square of the number of items.

    Raises
    ------
    InputError
        A number is out of range.
    """
    _check(items, least)
    rest = WHOLE - least
    mode = (items + 1) * least // WHOLE
    if correct >= mode:
        return False
    weight, whole, tail = _ONE, _ONE, 0
    following = _ONE if correct + 1 == mode else 0
    for k in range(mode, 0, -1):
        weight = weight * k * rest // ((items + 1 - k) * least)
        if weight == 0:
            break
        whole += weight
        if k - 1 <= correct:
            tail += weight
        elif k - 1 == correct + 1:
            following = weight
    weight = _ONE
    for k in range(mode, items):
        weight = weight * (items - k) * least // ((k + 1) * rest)
        if weight == 0:
            break
        whole += weight
    short = items * items
    return (tail + short) * 1_000 < whole and (tail + following) * 1_000 >= whole + short


def _check(items: int, least: int) -> None:
    if not MIN_ITEMS <= items <= MAX_ITEMS:
        raise InputError("items", found=items, wanted=f"{MIN_ITEMS} to {MAX_ITEMS}")
    if not 0 < least < WHOLE:
        raise InputError("threshold", found=least, wanted="1 to 999,999 millionths")
