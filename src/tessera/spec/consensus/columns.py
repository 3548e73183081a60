"""What of weights and bonds counts in an epoch, as cache-sized blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.errors import InputError
from tessera.spec.consensus.inputs import Subnet
from tessera.spec.consensus.rows import SparseRows
from tessera.spec.consensus.uids import Voters, commit_blocks, last_epoch_start, liquid_reference

__all__ = ["Columns", "kept_columns"]

I64 = NDArray[np.int64]

_BLOCK_ENTRIES = 16_384
_PADDING = 32
# Beyond this a sum of weights could saturate, which only the plain version does.
_UIDS_MAX = 32_767


@dataclass(frozen=True, slots=True)
class Columns:
    """Weights and bonds that count, a line per column, an entry per validator.

    Attributes
    ----------
    uids
        Whom each entry of a line belongs to: who has weights that count, or bonds.
    weights
        u16; 0 where there is none.
    listed
        Where a weight is listed; None if nothing depends on it.
    weight_sums
        Per validator, at least 1.
    bonds
        u16; 0 where there is none.
    """

    uids: NDArray[np.int64]
    weights: NDArray[np.uint16]
    listed: NDArray[np.bool_] | None
    weight_sums: I64
    bonds: NDArray[np.uint16]

    def blocks(self) -> Iterator[slice]:
        """Cut the columns into blocks that stay in the cache."""
        columns = len(self.weights)
        step = max(1, _BLOCK_ENTRIES // max(1, len(self.uids)))
        for start in range(0, columns, step):
            yield slice(start, min(start + step, columns))

    def per_uid(self, values: I64) -> list[int]:
        """Give each uid its validator's value; 0 to all others."""
        spread = np.zeros(len(self.weights), values.dtype)
        spread[self.uids] = values
        found: list[int] = spread.tolist()
        return found

    def rows(
        self, values: NDArray[np.uint16], exists: NDArray[np.bool_], permit: Sequence[bool]
    ) -> SparseRows:
        """Turn columns back into rows.

        Parameters
        ----------
        values
            A line per column, an entry per validator.
        exists
            Which of them are entries; zeros can be.
        permit
            Whose rows are kept.

        Returns
        -------
        SparseRows
            A row per uid.
        """
        kept = np.array(permit, bool)[self.uids]
        existing = np.ascontiguousarray(exists.T)[kept]
        counts = np.zeros(len(permit) + 1, np.int64)
        per_line = np.count_nonzero(existing, axis=1)
        counts[self.uids[kept] + 1] = per_line
        found = np.flatnonzero(existing)
        return SparseRows(
            np.cumsum(counts),
            found - np.repeat(np.arange(len(existing)) * len(permit), per_line),
            np.ascontiguousarray(values.T)[kept].reshape(-1)[found],
        )


def kept_columns(subnet: Subnet, who: Voters, weights: SparseRows, bonds: SparseRows) -> Columns:
    """Drop what does not count, and turn rows into columns.

    Parameters
    ----------
    subnet
        Of the epoch.
    who
        Its voters.
    weights, bonds
        As stored.

    Returns
    -------
    Columns
        What the epoch is computed from.

    Raises
    ------
    InputError
        The matrices are of another size than the subnet, or it has more than 32,767 uids.
    """
    uids = subnet.uids
    if uids > _UIDS_MAX:
        raise InputError("uids", found=uids, wanted=f"at most {_UIDS_MAX:,} in arrays")
    for name, rows in (("weights", weights), ("bonds", bonds)):
        if rows.uids != uids:
            raise InputError(name, found=f"{rows.uids} rows", wanted=f"{uids}, one per uid")
    permitted = np.array(who.permit, bool)
    has_weights = (np.diff(weights.starts) > 0) & permitted
    validators = np.flatnonzero(has_weights | (np.diff(bonds.starts) > 0))
    registered = np.array(subnet.registered, np.uint64)
    newest = max(subnet.registered, default=0)
    listed_matters = liquid_reference(subnet, [1]) is not None
    given = _lines(len(validators), uids, np.uint16)
    held = _lines(len(validators), uids, np.uint16)
    listed = _lines(len(validators), uids, bool) if listed_matters else None
    earliest = commit_blocks(subnet)

    for line, uid in enumerate(validators.tolist()):
        begin, end = bonds.starts[uid], bonds.starts[uid + 1]
        _fill(held[line], bonds.columns[begin:end], bonds.values[begin:end])
        if not has_weights[uid]:
            continue
        begin, end = weights.starts[uid], weights.starts[uid + 1]
        _fill(given[line], weights.columns[begin:end], weights.values[begin:end])
        if listed is not None:
            _fill(listed[line], weights.columns[begin:end], np.ones(end - begin, bool))
        # A model counts if it was registered before the update, and not after the pending commit.
        committed = earliest[uid]
        before = subnet.last_update[uid]
        if committed is not None:
            before = min(before, committed + 1)
        dropped = registered >= np.uint64(before) if newest >= before else np.zeros(0, bool)
        itself = slice(uid, uid + 1) if uid != subnet.owner else slice(0, 0)
        for matrix in (given, listed) if listed is not None else (given,):
            matrix[line, itself] = 0
            if len(dropped):
                matrix[line, dropped] = 0
    if newest >= (start := last_epoch_start(subnet)):
        held[:, registered >= np.uint64(start)] = 0
    return Columns(
        uids=validators,
        weights=np.ascontiguousarray(given.T),
        listed=None if listed is None else np.ascontiguousarray(listed.T),
        weight_sums=np.maximum(given.sum(axis=1, dtype=np.int64), 1),
        bonds=np.ascontiguousarray(held.T),
    )


def _lines(number: int, length: int, kind: type[Any]) -> NDArray[Any]:
    # A line more than a power of two long: else all entries of a column meet in a few cache lines.
    return np.zeros((number, length + _PADDING), kind)[:, :length]


def _fill(line: NDArray[Any], columns: I64, values: NDArray[Any]) -> None:
    """Put a row's entries where they belong; full rows, and those without themselves, in one go."""
    missing = len(line) - len(columns)
    if missing == 0:
        line[:] = values
    elif missing == 1:
        gap = len(line) * (len(line) - 1) // 2 - int(columns.sum())
        line[:gap] = values[:gap]
        line[gap + 1 :] = values[gap:]
    else:
        line[columns] = values
