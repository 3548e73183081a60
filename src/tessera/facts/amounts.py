"""Many exact amounts at once: each from 0 to 2**256 - 1, as columns that a kernel can add.

A uint64 holds no 27-digit amount and a float none exactly, so an amount is some 64-bit limbs, the
least significant first. All amounts of one object have the same number of limbs: enough for the
sum of them all, so nobody who adds some of them can overflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from tessera.errors import DataError
from tessera.units import MAX_UINT256

__all__ = ["WIDTHS", "Amounts", "Selection"]

Selection: TypeAlias = slice | NDArray[np.bool_] | NDArray[np.integer]
"""What chooses rows: a slice, a mask or indices."""

WIDTHS: Final = (1, 2, 4, 5)
"""Numbers of limbs. Five hold 2**64 amounts of 2**256 - 1, which only a hostile token moves."""

_LIMB_BITS: Final = 64
_HALF_BITS: Final = 32
# Sums of this many 32-bit halves stay below 2**53, where a float64 is still exact.
_EXACT_ROWS: Final = 1 << 21
_AMOUNT_BYTES: Final = 32


class Amounts:
    """Exact amounts in base units, in a fixed order.

    Equal where they hold the same amounts, however wide. `amounts[i]` is an `int`; a slice, a mask
    or an array of indices gives Amounts of the same width.

    Parameters
    ----------
    limbs
        uint64 of shape (n, width), the least significant limb first; width is one of `WIDTHS` and
        holds the sum of all n. Not copied; held for reading only. Who is not sure of the width uses
        `from_limbs`.
    """

    __slots__ = ("limbs",)

    def __init__(self, limbs: NDArray[np.uint64]) -> None:
        assert limbs.dtype == np.uint64
        assert limbs.shape[1] in WIDTHS
        self.limbs = limbs.view()
        self.limbs.flags.writeable = False

    @classmethod
    def of(cls, values: Iterable[int]) -> Self:
        """Return these amounts.

        Raises
        ------
        DataError
            One is negative or above 2**256 - 1.
        """
        if isinstance(values, np.ndarray):
            return cls._of_array(values)
        held = values if isinstance(values, Sequence) else list(values)
        try:
            data = b"".join([int(v).to_bytes(_AMOUNT_BYTES, "little") for v in held])
        except OverflowError:
            row, wrong = next((i, v) for i, v in enumerate(held) if not 0 <= v <= MAX_UINT256)
            raise _out_of_range(row, wrong) from None
        return cls.from_limbs(np.frombuffer(data, "<u8").astype(np.uint64).reshape(len(held), 4))

    @classmethod
    def _of_array(cls, values: NDArray[np.integer]) -> Self:
        assert np.issubdtype(values.dtype, np.integer)
        if np.issubdtype(values.dtype, np.signedinteger) and (values < 0).any():
            row = int(np.argmax(values < 0))
            raise _out_of_range(row, int(values[row]))
        return cls.from_limbs(values.astype(np.uint64).reshape(-1, 1))

    @classmethod
    def from_limbs(cls, limbs: NDArray[np.uint64]) -> Self:
        """Return the amounts with these limbs, in the least width that holds their sum.

        Parameters
        ----------
        limbs
            uint64 of shape (n, any number from 1 to 5), the least significant limb first.
        """
        assert limbs.dtype == np.uint64
        needed = _sum_of(limbs).bit_length()
        width = next(w for w in WIDTHS if needed <= w * _LIMB_BITS)
        if width == limbs.shape[1]:
            return cls(limbs)
        sized = np.zeros((len(limbs), width), dtype=np.uint64)
        shared = min(width, limbs.shape[1])
        sized[:, :shared] = limbs[:, :shared]
        return cls(sized)

    @classmethod
    def joined(cls, parts: Sequence[Amounts]) -> Self:
        """Return the amounts of all parts, one part after the other."""
        width = max((part.width for part in parts), default=1)
        limbs = np.zeros((sum(map(len, parts)), width), dtype=np.uint64)
        row = 0
        for part in parts:
            limbs[row : row + len(part), : part.width] = part.limbs
            row += len(part)
        return cls.from_limbs(limbs)

    @property
    def width(self) -> int:
        """Number of limbs of each amount."""
        return int(self.limbs.shape[1])

    def __len__(self) -> int:
        return len(self.limbs)

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    @overload
    def __getitem__(self, chosen: int) -> int: ...
    @overload
    def __getitem__(self, chosen: Selection) -> Amounts: ...
    def __getitem__(self, chosen: int | Selection) -> int | Amounts:
        if isinstance(chosen, slice | np.ndarray):
            if isinstance(chosen, np.ndarray) and chosen.dtype != np.bool_:
                # Taken more than once, rows may sum to more than the width holds.
                return Amounts.from_limbs(self.limbs[chosen])
            return Amounts(self.limbs[chosen])
        return _number(self.limbs[chosen].tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Amounts):
            return NotImplemented
        return len(self) == len(other) and self.significant().tobytes() == (
            other.significant().tobytes()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self[:3])) + (", ..." if len(self) > 3 else "")
        return f"Amounts([{shown}], n={len(self)}, width={self.width})"

    def tolist(self) -> list[int]:
        """Return all amounts as Python integers; for few of them."""
        found: list[int] = self.limbs[:, 0].tolist()
        for limb in range(1, self.width):
            shift = limb * _LIMB_BITS
            for row in np.flatnonzero(self.limbs[:, limb]).tolist():
                found[row] |= int(self.limbs[row, limb]) << shift
        return found

    def total(self) -> int:
        """Return the exact sum of all."""
        return _sum_of(self.limbs)

    def totals_by(self, groups: NDArray[np.integer], count: int) -> list[int]:
        """Return the exact sum of each group.

        Parameters
        ----------
        groups
            Shape (n,): the group of each amount, from 0 to `count` - 1.
        count
            Number of groups.

        Returns
        -------
        list of int
            `count` sums, 0 for a group that has no amount.
        """
        assert len(groups) == len(self)
        halves = _halves(self.limbs)
        sums = np.zeros((count, halves.shape[1]), dtype=np.uint64)
        for start in range(0, len(self), _EXACT_ROWS):
            rows = slice(start, start + _EXACT_ROWS)
            for half in range(halves.shape[1]):
                part = np.bincount(groups[rows], weights=halves[rows, half], minlength=count)
                sums[:, half] += part.astype(np.uint64)
        totals: list[int] = sums[:, 0].tolist()
        for half in range(1, halves.shape[1]):
            if sums[:, half].any():
                shift = half * _HALF_BITS
                column: list[int] = sums[:, half].tolist()
                totals = [low + (high << shift) for low, high in zip(totals, column, strict=True)]
        return totals

    def approximate(self) -> NDArray[np.float64]:
        """Return each amount as a float64 of shape (n,), off by at most some 2**-52 of it.

        For statistics, which are floats by nature; never for money.
        """
        scales = 2.0 ** (_LIMB_BITS * np.arange(self.width))
        return np.asarray(self.limbs.astype(np.float64) @ scales)

    def significant(self) -> NDArray[np.uint64]:
        """Return the limbs without columns that are zero for all: the same for equal amounts."""
        used = self.width
        while used > 1 and not self.limbs[:, used - 1].any():
            used -= 1
        return np.ascontiguousarray(self.limbs[:, :used])


def _halves(limbs: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(limbs, dtype="<u8").view("<u4")


def _sum_of(limbs: NDArray[np.uint64]) -> int:
    # A column of 2**32 halves sums to less than 2**64.
    sums: list[int] = _halves(limbs).sum(axis=0, dtype=np.uint64).tolist()
    return sum(part << (index * _HALF_BITS) for index, part in enumerate(sums))


def _number(limbs: Sequence[int]) -> int:
    return sum(limb << (index * _LIMB_BITS) for index, limb in enumerate(limbs))


def _out_of_range(row: int, value: int) -> DataError:
    return DataError(
        f"amount {row}", found=int(value), wanted="0 to 2**256 - 1 base units", row=row
    )
