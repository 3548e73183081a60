"""An epoch with NumPy as one would first write it: whole matrices, one operation after the other.

What the fast version is measured against. Bit for bit the same for the subnets of this bench:
everybody is active, nobody was registered lately, no commit is pending, bonds follow clipped
weights wholly (the default), and an exponent stays within 5. Nothing here is shared with what it
is compared with but the numbers per uid, which are small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.spec.consensus import fixed
from tessera.spec.consensus.fixed import ONE, U16_MAX
from tessera.spec.consensus.inputs import Subnet
from tessera.spec.consensus.rows import SparseRows
from tessera.spec.consensus.uids import bond_rate, paid, voters

I64 = NDArray[np.int64]
_EXP_TERMS = 31


@dataclass(frozen=True, slots=True)
class PlainEpoch:
    """What is compared: raw vectors, what is paid, and the rows to store."""

    consensus: tuple[int, ...]
    incentive: tuple[int, ...]
    dividends: tuple[int, ...]
    emission: tuple[int, ...]
    bonds: SparseRows


def plain_epoch(
    subnet: Subnet, weights: SparseRows, bonds: SparseRows, validators: int
) -> PlainEpoch:
    """Compute one epoch of a subnet whose first uids are its validators."""
    parameters = subnet.parameters
    who = voters(subnet)
    stakes = np.array(who.active_stake[:validators])
    given = matrix(weights, validators)
    given[np.arange(validators), np.arange(validators)] = 0
    parts = divided(given, given.sum(axis=1, keepdims=True))
    consensus = agreed(parts, stakes, fixed.from_u16(parameters.kappa))
    clipped = np.minimum(parts, consensus)
    rank = times(clipped, stakes[:, None]).sum(axis=0)
    incentive = divided(rank, rank.sum())

    old = matrix(bonds, validators)
    if parameters.yuma3:
        old = divided(old, np.int64(U16_MAX))
        rate: I64 | np.int64 = np.int64(bond_rate(parameters.bonds_moving_average))
        if parameters.liquid_alpha:
            rate = liquid_rate(subnet, clipped, old, consensus)
        new = times(clipped, rate) + times(old, ONE - rate)
        if parameters.liquid_alpha:
            new[(parts > 0) & (consensus == 0)] = 0
        earned = times(shares(new), incentive).sum(axis=1)
        dividends = times(earned, stakes)
        stored = new
    else:
        rate = np.int64(bond_rate(parameters.bonds_moving_average))
        bought = shares(times(clipped, stakes[:, None]))
        new = shares(times(bought, rate) + times(shares(old), ONE - rate))
        dividends = times(new, incentive).sum(axis=1)
        stored = divided(new, new.max(axis=0))
    dividends = divided(dividends, dividends.sum())
    every = np.zeros(subnet.uids, np.int64)
    every[:validators] = dividends
    return PlainEpoch(
        tuple(consensus.tolist()),
        tuple(incentive.tolist()),
        tuple(every.tolist()),
        tuple(paid(subnet, who, incentive.tolist(), every.tolist()).combined),
        sparse(((stored * U16_MAX) >> 32).astype(np.uint16), stored > 0, subnet.uids),
    )


def matrix(rows: SparseRows, validators: int) -> I64:
    filled = np.zeros((validators, rows.uids), np.int64)
    lines = np.repeat(np.arange(rows.uids), np.diff(rows.starts))
    counted = lines < validators
    filled[lines[counted], rows.columns[counted]] = rows.values[counted]
    return filled


def sparse(values: NDArray[np.uint16], exists: NDArray[np.bool_], uids: int) -> SparseRows:
    lines, columns = np.nonzero(exists)
    starts = np.searchsorted(lines, np.arange(uids + 1))
    return SparseRows(starts, columns, values[lines, columns])


def times(a: I64, b: I64 | np.int64) -> I64:
    """Multiply, with one factor in halves so that no part passes 64 bits."""
    high, low = a >> 16, a & 0xFFFF
    return (high * b + ((low * b) >> 16)) >> 16


def divided(a: I64, b: I64 | np.int64) -> I64:
    """Divide in two steps of 16 bits, so that no dividend passes 64."""
    whole = np.maximum(b, 1)
    first, rest = np.divmod(a << 16, whole)
    return (first << 16) + (rest << 16) // whole


def shares(values: I64) -> I64:
    return divided(values, values.sum(axis=0))


def agreed(parts: I64, stakes: I64, kappa: int) -> I64:
    stakes = divided(stakes, stakes.sum())
    order = np.argsort(parts, axis=0)
    sorted_parts = np.take_along_axis(parts, order, axis=0)
    below = np.cumsum(stakes[order], axis=0)
    enough = below > stakes.sum() - kappa
    place = np.where(enough.any(axis=0), enough.argmax(axis=0), len(stakes) - 1)
    return np.take_along_axis(sorted_parts, place[None, :], axis=0)[0]


def liquid_rate(subnet: Subnet, followed: I64, old: I64, consensus: I64) -> I64:
    parameters = subnet.parameters
    distance = np.where(followed >= old, followed - consensus, old - followed)
    distance = np.clip(distance, 0, ONE)
    slope = -(parameters.alpha_sigmoid_steepness * ONE // 100)
    exponent = times(distance - ONE // 2, np.int64(slope))
    steep = exponential(exponent).astype(np.uint64)
    steep = (np.uint64(2**64 - 1) // (steep + np.uint64(ONE))).astype(np.int64)
    low, high = fixed.from_u16(parameters.alpha_low), fixed.from_u16(parameters.alpha_high)
    return np.clip(low + times(steep, np.int64(high - low)), low, high)


def exponential(exponent: I64) -> I64:
    size = np.abs(exponent)
    term, result = size, ONE + size
    for index in range(2, _EXP_TERMS + 1):
        term = times(term, size) // index
        result = result + term
    result[exponent == ONE] = fixed.exp(ONE)
    inverse = (np.uint64(2**64 - 1) // result.astype(np.uint64)).astype(np.int64)
    return np.where(exponent < 0, inverse, result)
