"""I32F32: the numbers that an epoch counts in, as plain Python integers.

A raw integer x in [-2**63, 2**63) stands for x / 2**32. Every operation saturates and every
rounding direction is in the name's description: an epoch is exact only if all of these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = [
    "FRACTION_BITS",
    "HALF",
    "MAX_RAW",
    "MIN_RAW",
    "ONE",
    "U16_MAX",
    "add",
    "div",
    "exp",
    "from_float",
    "from_u16",
    "max_upscaled",
    "mul",
    "normalised",
    "parts",
    "saturated",
    "sigmoid",
    "sub",
    "to_u16",
    "total",
]

FRACTION_BITS = 32
ONE = 1 << FRACTION_BITS
HALF = ONE // 2
MAX_RAW = 2**63 - 1
MIN_RAW = -(2**63)
U16_MAX = 65_535

_EXP_ARGUMENT_MAX = 20 * ONE
_EXP_TERMS = 31
# The chain's library answers exp(1) with a constant, which its own series would miss by some units.
_EXP_OF_ONE = 11_674_931_200


def saturated(raw: int) -> int:
    """Bring an exact result back into the 64 bits."""
    return MIN_RAW if raw < MIN_RAW else min(raw, MAX_RAW)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return saturated(a + b)


def sub(a: int, b: int) -> int:
    """Subtract b from a."""
    return saturated(a - b)


def mul(a: int, b: int) -> int:
    """Multiply; rounds down, for negative products too."""
    return saturated((a * b) >> FRACTION_BITS)


def div(a: int, b: int) -> int:
    """Divide; rounds towards zero, and anything divided by zero is zero."""
    if b == 0:
        return 0
    quotient = (abs(a) << FRACTION_BITS) // abs(b)
    return saturated(quotient if (a < 0) == (b < 0) else -quotient)


def total(values: Iterable[int]) -> int:
    """Sum in order, saturating at each step."""
    listed = list(values)
    if min(listed, default=0) >= 0:
        # Without a negative one, saturating once at the end comes to the same.
        return saturated(sum(listed))
    result = 0
    for value in listed:
        result = add(result, value)
    return result


def parts(values: Sequence[int], whole: int) -> list[int]:
    """Divide each by one number; a whole of zero makes all of them zero."""
    if whole > 0 and min(values, default=0) >= 0 and max(values, default=0) <= whole:
        # The common case of `div`, for thousands of values: nothing here can saturate.
        return [(value << FRACTION_BITS) // whole for value in values]
    return [div(value, whole) for value in values]


def normalised(values: Sequence[int]) -> list[int]:
    """Divide each by the sum of all; a sum of zero leaves them as they are."""
    whole = total(values)
    return parts(values, whole) if whole else list(values)


def from_u16(ratio: int) -> int:
    """Read a stored ratio of 65,535; rounds down."""
    return (ratio << FRACTION_BITS) // U16_MAX


def to_u16(raw: int) -> int:
    """Store a number as a ratio of 65,535; rounds down, and clamps to [0, 65,535]."""
    return max(0, min((raw * U16_MAX) >> FRACTION_BITS, U16_MAX))


def max_upscaled(values: Sequence[int]) -> list[int]:
    """Scale to u16 so that the largest is 65,535, as weights are stored; halves round up.

    Parameters
    ----------
    values
        Raw or whole numbers, none below 0.

    Returns
    -------
    list[int]
        u16; all zero where all values are.
    """
    largest = max(values, default=0)
    return [(2 * value * U16_MAX // largest + 1) // 2 if largest else 0 for value in values]


def from_float(value: float) -> int:
    """Read a binary float: to the nearest raw integer, halves to even.

    The chain's tests write their literals as floats; an epoch itself never meets one.
    """
    return saturated(round(value * ONE))


def exp(raw: int) -> int:
    """Raise e to a number clamped to [-20, 20], by the chain's own truncated series."""
    clamped = max(-_EXP_ARGUMENT_MAX, min(raw, _EXP_ARGUMENT_MAX))
    if clamped == 0:
        return ONE
    if clamped == ONE:
        return _EXP_OF_ONE
    size = abs(clamped)
    term, result = size, ONE + size
    for index in range(2, _EXP_TERMS + 1):
        term = mul(term, size) // index
        if not term:
            break
        result = add(result, term)
    return result if clamped > 0 else ONE * ONE // result


def sigmoid(raw: int) -> int:
    """Compute 1 / (1 + e**raw): a larger argument gives a smaller result."""
    return div(ONE, add(ONE, exp(raw)))
