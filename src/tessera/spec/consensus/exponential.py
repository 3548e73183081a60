"""The chain's truncated series for e**x over arrays, every truncation included.

Most terms are certain in floating point: each is computed a little too small and a little too
large, and where both round down to the same integer that is the term. The rest, and arguments whose
terms pass 53 bits, are computed again in integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tessera.spec.consensus import fixed
from tessera.spec.consensus.fixed import FRACTION_BITS, ONE

__all__ = ["steep_sigmoid"]

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_ARGUMENT_MAX = 20 * ONE
_TERMS = 31
# e**8 in raw units has 44 bits: the margin of 51 leaves about one argument in a hundred uncertain.
_FLOAT_ARGUMENT_MAX = 8 * ONE
_CHUNK = 8_192
_BELOW = [(1 - 2.0**-51) / (index * ONE) if index else 0.0 for index in range(_TERMS + 1)]
_ABOVE = [(1 + 2.0**-51) / (index * ONE) if index else 0.0 for index in range(_TERMS + 1)]
_LOW_HALF = np.uint64(2**16 - 1)
_LOW_WORD = np.uint64(2**32 - 1)


def steep_sigmoid(distance: I64, slope: int, middle: int) -> U64:
    """Compute 1 / (1 + e**(slope * (distance - middle))), raw.

    Parameters
    ----------
    distance
        Raw, in [0, ONE].
    slope
        Raw, of at most 10 bits before the point.
    middle
        Raw, in [0, ONE]: where the result is one half.

    Returns
    -------
    ndarray
        Raw, in the shape of `distance`; the same as `fixed.sigmoid` of each.
    """
    at_zero = fixed.sigmoid(fixed.mul(slope, -middle))
    results = np.full(distance.shape, at_zero, np.uint64)
    flat, given = results.reshape(-1), distance.reshape(-1)
    # Most distances of a subnet that agrees are zero.
    moved = np.flatnonzero(given)
    for start in range(0, len(moved), _CHUNK):
        chunk = moved[start : start + _CHUNK]
        flat[chunk] = _sigmoid(_product(given[chunk] - middle, slope))
    return results


def _product(values: I64, factor: int) -> I64:
    """Multiply raw numbers of up to 33 bits by one of up to 41, rounding down."""
    high, low = values >> 16, values & 0xFFFF
    return (high * factor + ((low * factor) >> 16)) >> 16


def _sigmoid(exponents: I64) -> U64:
    sizes = np.minimum(np.abs(exponents), _ARGUMENT_MAX)
    powers = _series(sizes)
    powers[exponents == ONE] = fixed.exp(ONE)
    negative = np.flatnonzero(exponents < 0)
    powers[negative] = _reciprocal(powers[negative])
    return _reciprocal(powers + np.uint64(ONE))


def _reciprocal(values: U64) -> U64:
    """Divide ONE by each: 2**64 / v, of which 2**64 - 1 falls short for powers of two."""
    quotients = np.uint64(2**64 - 1) // values
    quotients += (values & (values - np.uint64(1))) == 0
    return quotients


def _series(sizes: I64) -> U64:
    argument = sizes.astype(np.float64)
    term = argument.copy()
    least = argument + ONE
    most = least.copy()
    above = np.empty_like(term)
    for index in range(2, _TERMS + 1):
        term *= argument
        np.multiply(term, _ABOVE[index], out=above)
        np.floor(above, out=above)
        most += above
        term *= _BELOW[index]
        np.floor(term, out=term)
        least += term
        if index % 4 == 0 and not above.any():
            break
    results = least.astype(np.uint64)
    uncertain = np.flatnonzero((least != most) | (sizes > _FLOAT_ARGUMENT_MAX))
    if len(uncertain):
        results[uncertain] = _integer_series(sizes[uncertain].astype(np.uint64))
    return results


def _integer_series(sizes: U64) -> U64:
    """The series with products of 95 bits in three parts; sizes up to 20."""
    shift, half = np.uint64(FRACTION_BITS), np.uint64(16)
    high, low = sizes >> half, sizes & _LOW_HALF
    term, results = sizes, sizes + np.uint64(ONE)
    for index in range(2, _TERMS + 1):
        fraction = term & _LOW_WORD
        below = (fraction * high + ((fraction * low) >> half)) >> half
        term = ((term >> shift) * sizes + below) // np.uint64(index)
        if not term.any():
            break
        results = results + term
    return results
