"""Sparse rows as arrays, for the versions that go through a million weights at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tessera.errors import InputError
from tessera.spec.consensus.fixed import U16_MAX
from tessera.spec.consensus.inputs import Row

__all__ = ["SparseRows"]


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """A square matrix of u16, row after row.

    Attributes
    ----------
    starts
        Where each row begins in the other two, and at last where the last one ends.
    columns
        Ascending within a row.
    values
        u16.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.uint16]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> SparseRows:
        """Take rows as `inputs.rows_of` checked them."""
        entries = [entry for row in rows for entry in row]
        table = np.array(entries, np.int64).reshape(-1, 2)
        return cls(
            np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64),
            np.ascontiguousarray(table[:, 0]),
            table[:, 1].astype(np.uint16),
        )

    @classmethod
    def dense(cls, matrix: NDArray[np.integer]) -> SparseRows:
        """Take every entry of a square matrix that is not zero.

        Parameters
        ----------
        matrix
            Integers.

        Returns
        -------
        SparseRows
            The same numbers.

        Raises
        ------
        InputError
            It is not square, holds no integers, or one below 0 or above 65,535.
        """
        given = np.asarray(matrix)
        if given.ndim != 2 or given.shape[0] != given.shape[1]:
            raise InputError("matrix", found=f"shape {given.shape}", wanted="a square one")
        if not np.issubdtype(given.dtype, np.integer):
            raise InputError("matrix", found=f"{given.dtype}", wanted="integers")
        if given.size and (given.min() < 0 or given.max() > U16_MAX):
            found = int(given.min() if given.min() < 0 else given.max())
            raise InputError("matrix", found=found, wanted="values from 0 to 65,535")
        rows, columns = np.nonzero(given)
        starts = np.searchsorted(rows, np.arange(len(given) + 1))
        return cls(starts, columns, given[rows, columns].astype(np.uint16))

    @property
    def uids(self) -> int:
        """Number of rows, and of columns."""
        return len(self.starts) - 1

    def rows(self) -> tuple[Row, ...]:
        """Give the rows as (column, u16) pairs."""
        pairs = list(zip(self.columns.tolist(), self.values.tolist(), strict=True))
        ends = self.starts.tolist()
        return tuple(tuple(pairs[begin:end]) for begin, end in pairwise(ends))
