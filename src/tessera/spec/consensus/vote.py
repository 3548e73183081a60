"""The stake-weighted vote on a column's weights, over many columns at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.spec.consensus import fixed
from tessera.spec.consensus.columns import Columns
from tessera.spec.consensus.inputs import Subnet
from tessera.spec.consensus.uids import Voters

__all__ = ["Vote"]

I64 = NDArray[np.int64]

_ROW_BITS = 16


@dataclass(frozen=True, slots=True)
class Vote:
    """The stake behind each validator's scores, and how much of it is not enough.

    Attributes
    ----------
    lines
        Entries of a line that have a vote; None if all have.
    stakes
        Theirs, raw.
    silent
        Stake of voters without an entry, raw.
    minority
        Stake that is not enough to support a score, raw.
    """

    lines: NDArray[np.int64] | None
    stakes: I64
    silent: int
    minority: int

    @classmethod
    def of(cls, subnet: Subnet, who: Voters, columns: Columns) -> Vote:
        """Find the voters of an epoch."""
        voting = [uid for uid, stake in enumerate(who.active_stake) if stake > 0]
        stakes = fixed.normalised([who.active_stake[uid] for uid in voting])
        by_uid = np.zeros(subnet.uids, np.int64)
        by_uid[voting] = stakes
        lines = np.flatnonzero(np.array(who.active_stake, np.int64)[columns.uids] > 0)
        counted = by_uid[columns.uids[lines]]
        whole = fixed.total(stakes)
        return cls(
            lines=None if len(lines) == len(columns.uids) else lines,
            stakes=counted,
            # A voter without a weight scores zero, which is below or at every other score.
            silent=whole - int(counted.sum()),
            minority=whole - fixed.from_u16(subnet.parameters.kappa),
        )

    def consensus(self, weights: I64) -> I64:
        """Give each line's largest weight that enough stake supports.

        Parameters
        ----------
        weights
            A line per column, raw.

        Returns
        -------
        ndarray
            Raw, one per line.
        """
        if not len(self.stakes) or (self.silent and self.silent > self.minority):
            return np.zeros(len(weights), np.int64)
        scores = weights if self.lines is None else weights[:, self.lines]
        # The validator's number rides in the low bits, so that one plain sort orders both.
        keys = (scores << _ROW_BITS) | np.arange(len(self.stakes))
        keys.sort(axis=1)
        below = self.stakes[keys & (2**_ROW_BITS - 1)]
        np.cumsum(below, axis=1, out=below)
        place = (below <= self.minority - self.silent).sum(axis=1)
        np.minimum(place, len(self.stakes) - 1, out=place)
        found: I64 = keys[np.arange(len(keys)), place] >> _ROW_BITS
        return found
