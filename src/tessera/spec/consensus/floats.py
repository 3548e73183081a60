"""The same epoch in float64, for analysis: what a strategy changes, not what is paid.

It counts in units of the fixed point and drops what is below one wherever the exact versions do:
without that, a stake of a few units would earn what theirs loses. What is left to differ is a unit
where a product of more than 53 bits was rounded up to the next, and the exponential function. That
is within 3e-8 of every result and 2 of its u16, where each stake that votes is at least a
thousandth of all, alpha_low at least 1,638 and the steepness within 2,000; beyond these a result
can be the quotient of two numbers of a few units each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.spec.consensus.columns import Columns, kept_columns
from tessera.spec.consensus.fixed import ONE, U16_MAX, from_u16
from tessera.spec.consensus.inputs import EpochKind, Parameters, Subnet
from tessera.spec.consensus.rows import SparseRows
from tessera.spec.consensus.uids import Voters, bond_rate, voters
from tessera.spec.consensus.vote import Vote

__all__ = ["FloatEpoch", "float_epoch"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FloatEpoch:
    """The outcome of one epoch, as fractions of one and as base units.

    Attributes
    ----------
    stake, active_stake, consensus, validator_trust, incentive, dividends
        Fractions, per uid.
    model_emission, validator_emission, emission
        Base units, with their fractions.
    active, permit
        As in the exact versions.
    bonds
        Rows to store, as u16.
    """

    stake: Floats
    active_stake: Floats
    consensus: Floats
    validator_trust: Floats
    incentive: Floats
    dividends: Floats
    model_emission: Floats
    validator_emission: Floats
    emission: Floats
    active: NDArray[np.bool_]
    permit: NDArray[np.bool_]
    bonds: SparseRows


def float_epoch(subnet: Subnet, weights: SparseRows, bonds: SparseRows) -> FloatEpoch:
    """Compute one epoch in float64.

    Parameters
    ----------
    subnet
        At most 32,767 uids.
    weights, bonds
        A row per uid.

    Returns
    -------
    FloatEpoch
        Near the exact result.

    Raises
    ------
    InputError
        The matrices are of another size than the subnet, or it has too many uids.
    """
    who = voters(subnet)
    columns = kept_columns(subnet, who, weights, bonds)
    stake = np.array(who.stake, np.float64)
    active = np.array(who.active_stake, np.float64)
    if subnet.parameters.kind is EpochKind.NULL:
        zeros = np.zeros(subnet.uids)
        half = stake / ONE * (subnet.emission // 2)
        return _epoch(who, (zeros, zeros, zeros, zeros), (zeros, half, half), bonds)

    consensus, trust, rank = _agreed(subnet, who, columns, active)
    incentive = _parts(rank)
    earned, stored = _moved(subnet, columns, active[columns.uids], consensus, incentive)
    spread = np.zeros((2, subnet.uids))
    spread[0, columns.uids] = trust
    spread[1, columns.uids] = _parts(earned)
    dividends = spread[1]
    whole = incentive.sum() + dividends.sum()
    if whole:
        shares = (incentive / whole, dividends / whole, (incentive + dividends) / whole)
    else:
        by_stake = (active if active.any() else stake) / ONE
        shares = (incentive, by_stake, by_stake)
    models, validators, combined = (share * subnet.emission for share in shares)
    vectors = (consensus, spread[0], incentive, dividends)
    rows = columns.rows(*stored, who.next_permit)
    return _epoch(who, vectors, (models, validators, combined), rows)


def _epoch(
    who: Voters,
    vectors: tuple[Floats, Floats, Floats, Floats],
    amounts: tuple[Floats, Floats, Floats],
    bonds: SparseRows,
) -> FloatEpoch:
    consensus, trust, incentive, dividends = (vector / ONE for vector in vectors)
    models, validators, combined = amounts
    return FloatEpoch(
        stake=np.array(who.stake, np.float64) / ONE,
        active_stake=np.array(who.active_stake, np.float64) / ONE,
        consensus=consensus,
        validator_trust=trust,
        incentive=incentive,
        dividends=dividends,
        model_emission=models,
        validator_emission=validators,
        emission=combined,
        active=np.array(who.active, bool),
        permit=np.array(who.next_permit, bool),
        bonds=bonds,
    )


def _agreed(
    subnet: Subnet, who: Voters, columns: Columns, active: Floats
) -> tuple[Floats, Floats, Floats]:
    consensus, rank = np.zeros(subnet.uids), np.zeros(subnet.uids)
    trust = np.zeros(len(columns.uids))
    stakes = active[columns.uids]
    vote = Vote.of(subnet, who, columns)
    sums = columns.weight_sums / ONE
    for block in columns.blocks():
        weights = np.floor(columns.weights[block] / sums)
        # A vote has no rounding of its own: both twins count the same whole units.
        consensus[block] = vote.consensus(weights.astype(np.int64))
        clipped = np.minimum(weights, consensus[block][:, None])
        trust += clipped.sum(axis=0)
        rank[block] = _times(clipped, stakes).sum(axis=1)
    return consensus, trust, rank


def _moved(
    subnet: Subnet, columns: Columns, stakes: Floats, consensus: Floats, incentive: Floats
) -> tuple[Floats, tuple[NDArray[np.uint16], NDArray[np.bool_]]]:
    parameters = subnet.parameters
    reference = _liquid_reference(subnet, consensus)
    stored = np.empty(columns.bonds.shape, np.uint16)
    exists = np.empty(columns.bonds.shape, bool)
    earned = np.zeros(len(columns.uids))
    rate = float(bond_rate(parameters.bonds_moving_average))
    for block in columns.blocks():
        followed, dropped = _followed(parameters, columns, consensus, block)
        old = columns.bonds[block].astype(np.float64)
        if not parameters.yuma3:
            bought = _lines(_times(followed, stakes))
            bonds = _times(bought, rate) + _times(_lines(old), ONE - rate)
            shares = _lines(bonds)
            scaled = _lines_by(shares, shares.max(axis=1, initial=0))
        else:
            old = np.floor(old * ONE / U16_MAX)
            if reference is None:
                bonds = _times(followed, rate) + _times(old, ONE - rate)
            else:
                moving = _liquid_rate(parameters, followed, old, reference[block])
                bonds = _times(old, ONE - moving) + _times(followed, moving)
                assert columns.listed is not None
                bonds[~columns.listed[block] | dropped] = 0
            shares, scaled = _lines(bonds), bonds
        earned += _times(shares, incentive[block][:, None]).sum(axis=0)
        exists[block] = bonds > 0
        stored[block] = scaled * (U16_MAX / ONE)
    return _times(earned, stakes) if parameters.yuma3 else earned, (stored, exists)


def _followed(
    parameters: Parameters, columns: Columns, consensus: Floats, block: slice
) -> tuple[Floats, NDArray[np.bool_] | bool]:
    weights: Floats = np.floor(columns.weights[block] / (columns.weight_sums / ONE))
    if not parameters.bonds_penalty:
        return weights, False
    agreed = consensus[block][:, None]
    clipped = np.minimum(weights, agreed)
    if parameters.bonds_penalty == U16_MAX:
        return clipped, (weights > 0) & (agreed == 0)
    followed = weights + _times(clipped - weights, from_u16(parameters.bonds_penalty))
    return followed, followed == 0


def _liquid_reference(subnet: Subnet, consensus: Floats) -> Floats | None:
    parameters = subnet.parameters
    if not parameters.yuma3 or not parameters.liquid_alpha:
        return None
    if subnet.previous_consensus is not None and parameters.follows_previous:
        consensus = np.floor(np.array(subnet.previous_consensus) * ONE / U16_MAX)
    return consensus if consensus.any() else None


def _liquid_rate(
    parameters: Parameters, followed: Floats, old: Floats, reference: Floats
) -> Floats:
    low, high = from_u16(parameters.alpha_low), from_u16(parameters.alpha_high)
    if high <= low:
        return np.full_like(followed, low)
    distance = followed - reference[:, None]
    away = old - followed
    np.copyto(distance, away, where=away > 0)
    np.maximum(distance, 0, out=distance)
    exponent = (0.5 - distance / ONE) * (parameters.alpha_sigmoid_steepness / 100)
    rate: Floats = (high - low) / (1 + np.exp(np.clip(exponent, -20, 20)))
    return low + np.floor(rate, out=rate)


def _times(a: Floats, b: Floats | float) -> Floats:
    product: Floats = a * b
    product *= 1 / ONE
    return np.floor(product, out=product)


def _lines(matrix: Floats) -> Floats:
    """Divide each line by its sum."""
    return _lines_by(matrix, matrix.sum(axis=1))


def _lines_by(matrix: Floats, divisors: Floats) -> Floats:
    quotients: Floats = matrix / (np.maximum(divisors, 1) / ONE)[:, None]
    return np.floor(quotients, out=quotients)


def _parts(values: Floats) -> Floats:
    whole = values.sum()
    return np.floor(values * ONE / whole) if whole else values
