"""Order and group millions of rows by small numbers, without comparing them.

Entities are numbered from 0, so a counting sort orders rows by them in two passes over the rows;
comparing sorts and hash tables took most of the time of a search on 10 M payments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Pairs", "order_by", "starts_of"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Ordered pairs of entities that rows name, by payer and payee.

    Attributes
    ----------
    number
        int64, shape (rows,): the pair of each row, from 0 on.
    source, target
        int64, shape (pairs,): ascending by source, then by target.
    count
        int64, shape (pairs,): rows of each pair.
    """

    number: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    count: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.count)

    @classmethod
    def of(cls, source: NDArray[np.int32], target: NDArray[np.int32], entities: int) -> Pairs:
        """The pairs of these rows."""
        order = order_by(source, entities, order_by(target, entities))
        by_source, by_target = source[order], target[order]
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (by_source[1:] != by_source[:-1]) | (by_target[1:] != by_target[:-1])
        number = np.empty(len(order), dtype=np.int64)
        number[order] = np.cumsum(new) - 1
        first = np.flatnonzero(new)
        return cls(
            number,
            by_source[first].astype(np.int64),
            by_target[first].astype(np.int64),
            np.diff(np.append(first, len(order))),
        )


def order_by(
    key: NDArray[np.int32] | NDArray[np.int64],
    size: int,
    order: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return which rows come in order of a key from 0 to `size` - 1; equal ones stay in `order`."""
    given = np.arange(len(key)) if order is None else order
    return np.asarray(_counted(key.astype(np.int32, copy=False), size, given))


def starts_of(key: NDArray[np.int32] | NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return where each key's rows begin in the order of the key, shape (size + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(key, minlength=size))])


@numba.njit(cache=True, nogil=True)
def _counted(key, size, order):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    place = np.zeros(size + 1, np.int64)
    for row in range(len(key)):
        place[key[row] + 1] += 1
    for each in range(size):
        place[each + 1] += place[each]
    sorted_rows = np.empty(len(order), np.int64)
    for at in range(len(order)):
        row = order[at]
        sorted_rows[place[key[row]]] = row
        place[key[row]] += 1
    return sorted_rows
