"""What of weights and bonds counts in an epoch, as cache-sized blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.errors import InputError
from tessera.spec.consensus.inputs import Subnet
from tessera.spec.consensus.rows import SparseRows
from tessera.spec.consensus.uids import Voters, commit_blocks, last_epoch_start, liquid_reference

__all__ = ["Columns", "kept_columns"]

I64 = NDArray[np.int64]

_BLOCK_ENTRIES = 16_384
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
        existing = np.ascontiguousarray(exists.T[kept])
        counts = np.zeros(len(permit) + 1, np.int64)
        counts[self.uids[kept] + 1] = np.count_nonzero(existing, axis=1)
        found = np.flatnonzero(existing)
        return SparseRows(
            np.cumsum(counts),
            (found % max(1, len(permit))).astype(np.int32),
            np.ascontiguousarray(values.T[kept]).reshape(-1)[found],
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
    given = np.zeros((len(validators), uids), np.uint16)
    held = np.zeros((len(validators), uids), np.uint16)
    listed = np.zeros((len(validators), uids), bool) if listed_matters else None
    earliest = commit_blocks(subnet)

    for line, uid in enumerate(validators.tolist()):
        begin, end = bonds.starts[uid], bonds.starts[uid + 1]
        held[line, bonds.columns[begin:end]] = bonds.values[begin:end]
        if not has_weights[uid]:
            continue
        begin, end = weights.starts[uid], weights.starts[uid + 1]
        given[line, weights.columns[begin:end]] = weights.values[begin:end]
        if listed is not None:
            listed[line, weights.columns[begin:end]] = True
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
