"""The same epoch with NumPy, bit for bit, in cache-sized blocks of columns.

A block holds the columns of some models as contiguous lines, one entry per validator. So each
column's sort, sum and division (by one number, which NumPy does several entries at a time) runs
along memory, and nothing as large as the whole matrix is ever written but the u16 that are stored.

Numbers are raw I32F32 in [0, ONE]. A product of two fits 64 bits without a sign, but for ONE * ONE;
so does a dividend, but for ONE. Both cases are looked for and answered apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.spec.consensus import fixed
from tessera.spec.consensus.columns import Columns, kept_columns
from tessera.spec.consensus.exponential import steep_sigmoid
from tessera.spec.consensus.fixed import FRACTION_BITS, HALF, ONE, U16_MAX
from tessera.spec.consensus.inputs import EpochKind, Parameters, Subnet
from tessera.spec.consensus.results import EpochResult, result_of
from tessera.spec.consensus.rows import SparseRows
from tessera.spec.consensus.uids import Voters, bond_rate, liquid_reference, voters
from tessera.spec.consensus.vote import Vote

__all__ = ["fast_epoch"]

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_SHIFT = np.uint64(FRACTION_BITS)
_ONE = np.uint64(ONE)


def fast_epoch(subnet: Subnet, weights: SparseRows, bonds: SparseRows) -> EpochResult[SparseRows]:
    """Compute one epoch, with the same result as `epoch.run_epoch`.

    Parameters
    ----------
    subnet
        At most 32,767 uids.
    weights, bonds
        A row per uid.

    Returns
    -------
    EpochResult
        Bit for bit that of the plain version.

    Raises
    ------
    InputError
        The matrices are of another size than the subnet, or it has too many uids.
    """
    who = voters(subnet)
    columns = kept_columns(subnet, who, weights, bonds)
    if subnet.parameters.kind is EpochKind.NULL:
        zeros = [0] * subnet.uids
        return result_of(subnet, who, zeros, zeros, zeros, zeros, bonds)

    stakes = np.array(who.active_stake, np.uint64)[columns.uids]
    consensus, trust, rank = _agreed(subnet, who, columns, stakes)
    incentive = fixed.normalised(rank.tolist())
    reference = liquid_reference(subnet, consensus.tolist())
    new = _Bonds(subnet.parameters, columns, stakes, consensus, reference)
    earned, stored = new.moved(np.array(incentive, np.uint64))
    if subnet.parameters.yuma3:
        pairs = zip(earned.tolist(), stakes.tolist(), strict=True)
        shares = fixed.normalised([fixed.mul(part, stake) for part, stake in pairs])
    else:
        shares = fixed.normalised(earned.tolist())
    return result_of(
        subnet,
        who,
        consensus.tolist(),
        columns.per_uid(trust),
        incentive,
        columns.per_uid(np.array(shares, np.int64)),
        columns.rows(*stored, who.next_permit),
    )


def _agreed(subnet: Subnet, who: Voters, columns: Columns, stakes: U64) -> tuple[I64, I64, I64]:
    """Consensus and rank per column, trust per validator."""
    consensus = np.zeros(subnet.uids, np.int64)
    rank = np.zeros(subnet.uids, np.int64)
    trust = np.zeros(len(columns.uids), np.int64)
    vote = Vote.of(subnet, who, columns)
    parts = _Parts(columns)
    for block in columns.blocks():
        weights = parts.weights(block)
        agreed = vote.consensus(weights)
        clipped = np.minimum(weights, agreed[:, None])
        consensus[block] = agreed
        trust += clipped.sum(axis=0)
        rank[block] = _times_each(clipped.view(np.uint64), stakes).sum(axis=1)
    return consensus, trust, rank


@dataclass(frozen=True, slots=True)
class _Parts:
    """Weights as raw parts of their row's sum."""

    columns: Columns
    sums: NDArray[np.float64]

    def __init__(self, columns: Columns) -> None:
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "sums", columns.weight_sums / ONE)

    def weights(self, block: slice) -> I64:
        # Exact: a quotient of integers below 2**53 never rounds up to the next integer.
        return (self.columns.weights[block] / self.sums).astype(np.int64)


class _Bonds:
    """One epoch's movement of bonds, block by block."""

    def __init__(
        self,
        parameters: Parameters,
        columns: Columns,
        stakes: U64,
        consensus: I64,
        reference: list[int] | None,
    ) -> None:
        self._parameters = parameters
        self._columns = columns
        self._parts = _Parts(columns)
        self._stakes = stakes
        self._consensus = consensus
        self._reference = None if reference is None else np.array(reference, np.int64)
        self._penalty = fixed.from_u16(parameters.bonds_penalty)
        self._rate = bond_rate(parameters.bonds_moving_average)
        self._low = fixed.from_u16(parameters.alpha_low)
        self._high = fixed.from_u16(parameters.alpha_high)

    def moved(self, incentive: U64) -> tuple[I64, tuple[NDArray[np.uint16], NDArray[np.bool_]]]:
        """What each validator earns, and the u16 to store with where there is one."""
        stored = np.empty(self._columns.bonds.shape, np.uint16)
        exists = np.empty(self._columns.bonds.shape, bool)
        earned = np.zeros(len(self._columns.uids), np.int64)
        for block in self._columns.blocks():
            bonds = self._yuma3(block) if self._parameters.yuma3 else self._yuma2(block)
            np.greater(bonds, 0, out=exists[block])
            shares = _columns_divided(bonds, bonds.sum(axis=1))
            earned += _times_lines(shares, incentive[block]).sum(axis=0).view(np.int64)
            if self._parameters.yuma3:
                scaled = bonds
            else:
                scaled = _columns_divided(shares, shares.max(axis=1, initial=0))
            stored[block] = (scaled * np.uint64(U16_MAX)) >> _SHIFT
        return earned, (stored, exists)

    def _yuma2(self, block: slice) -> U64:
        followed, _ = self._followed(block)
        bought = _times_each(followed, self._stakes)
        bought = _columns_divided(bought, bought.sum(axis=1))
        held = self._columns.bonds[block]
        sums = np.maximum(held.sum(axis=1, dtype=np.int64), 1) / ONE
        # Exact for the same reason as a row's weights.
        old = (held / sums[:, None]).astype(np.int64).view(np.uint64)
        return _mixed(bought, old, self._rate)

    def _yuma3(self, block: slice) -> U64:
        followed, dropped = self._followed(block)
        old = self._columns.bonds[block].astype(np.uint64)
        old <<= _SHIFT
        old //= np.uint64(U16_MAX)
        if self._reference is None:
            return _mixed(followed, old, self._rate)
        rate = self._liquid_rate(followed.view(np.int64), old.view(np.int64), block)
        # The two parts of one cannot pass it, so the clamp of the plain version never bites.
        if isinstance(rate, int):
            bonds = _mixed(followed, old, rate)
        else:
            bonds = _times(_ONE - rate, old) + _times(rate, followed)
        assert self._columns.listed is not None
        bonds[~self._columns.listed[block] | dropped] = 0
        return bonds

    def _followed(self, block: slice) -> tuple[U64, Any]:
        """The weights that bonds grow towards, and which of the listed ones fall off the list."""
        weights = self._parts.weights(block)
        if self._penalty == 0:
            return weights.view(np.uint64), False
        agreed = self._consensus[block][:, None]
        clipped = np.minimum(weights, agreed)
        if self._penalty == ONE:
            return clipped.view(np.uint64), (weights > 0) & (agreed == 0)
        weights -= clipped
        lost = weights.view(np.uint64)
        # floor(-x) is -ceil(x); the sum stays below 2**64 as the penalty is below ONE.
        lost = (lost * np.uint64(self._penalty) + np.uint64(ONE - 1)) >> _SHIFT
        followed = clipped.view(np.uint64) + weights.view(np.uint64) - lost
        return followed, followed == 0

    def _liquid_rate(self, followed: I64, old: I64, block: slice) -> U64 | int:
        if self._high <= self._low:
            return self._low
        assert self._reference is not None
        distance = followed - self._reference[block][:, None]
        away = old - followed
        np.copyto(distance, away, where=away > 0)
        np.maximum(distance, 0, out=distance)
        steepness = self._parameters.alpha_sigmoid_steepness
        slope = -fixed.div(steepness << FRACTION_BITS, 100 << FRACTION_BITS)
        steep = steep_sigmoid(distance, slope, HALF)
        steep *= np.uint64(self._high - self._low)
        steep >>= _SHIFT
        steep += np.uint64(self._low)
        return steep


def _times(a: U64, b: U64) -> U64:
    product = (a * b) >> _SHIFT
    both = (a == _ONE) & (b == _ONE)
    if both.any():
        product[both] = _ONE
    return product


def _times_each(matrix: U64, factors: U64) -> U64:
    """Multiply each line's entries by factors of their own."""
    product = (matrix * factors) >> _SHIFT
    for entry in np.flatnonzero(factors == _ONE):
        product[:, entry] = matrix[:, entry]
    return product


def _times_lines(matrix: U64, factors: U64) -> U64:
    """Multiply each line by one factor."""
    product = (matrix * factors[:, None]) >> _SHIFT
    whole = factors == _ONE
    if whole.any():
        product[whole] = matrix[whole]
    return product


def _mixed(new: U64, old: U64, rate: int) -> U64:
    if rate in (0, ONE):
        return new if rate else old
    return ((new * np.uint64(rate)) >> _SHIFT) + ((old * np.uint64(ONE - rate)) >> _SHIFT)


def _columns_divided(matrix: U64, divisors: U64) -> U64:
    """Divide each line by one number; a line of zeros stays what it is."""
    divisors = np.maximum(divisors, np.uint64(1))[:, None]
    quotients = matrix << _SHIFT
    quotients //= divisors
    if len(matrix) and matrix.max(initial=np.uint64(0)) >= _ONE:
        # 2**64 / d, of which 2**64 - 1 falls short where d is a power of two.
        whole = np.uint64(2**64 - 1) // divisors
        whole += (divisors & (divisors - np.uint64(1))) == 0
        np.copyto(quotients, whole, where=matrix == _ONE)
    return quotients
