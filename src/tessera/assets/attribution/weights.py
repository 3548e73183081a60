"""From values to the whole numbers of a manifest, which sum exactly.

The rule, in full: a negative value counts as 0. Each value's part of the sum of all is multiplied
by the total and rounded down; what is missing to the total then goes, one each, to those with the
largest remainders (largest remainder, or Hamilton's method), of equals to who has the larger
value, then to who is named first. Values are taken as the exact binary fractions that they are,
so the same values give the same weights on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tessera.errors import InputError
from tessera.units import BPS, Bps

__all__ = ["weights_of"]


def weights_of(values: Sequence[float], total: int = BPS) -> tuple[Bps, ...]:
    """Return weights that sum to `total`, in the order of the values.

    Parameters
    ----------
    values
        Finite; negative ones count as 0 and get weight 0.
    total
        What is to be divided, 10,000 for the whole of an asset.

    Raises
    ------
    InputError
        No value is above 0: there is nothing to divide by.
    """
    parts = [max(Fraction(0), Fraction(value)) for value in values]
    whole = sum(parts)
    if whole == 0:
        raise InputError(
            "values",
            found="none above 0",
            wanted="at least one contributor who adds something",
            next_step="look at the scores: with these, nobody's part can be told from nothing",
        )
    exact = [part * total / whole for part in parts]
    weights = [int(part) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (weights[i] - exact[i], -parts[i], i))
    for i in by_remainder[: total - sum(weights)]:
        weights[i] += 1
    return tuple(Bps(weight) for weight in weights)
