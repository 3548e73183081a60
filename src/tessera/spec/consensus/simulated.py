"""The epoch as the public float32 simulator runs it, for its published cases.

It is not the chain's: rows are divided by a little more than their sum, consensus is brought to a
sum of one and cut to steps of 1/65,535 before it clips, the columns of Yuma 3 and all dividends
have the same little more in their divisors, and liquid alpha begins with the second epoch.
Analysis of ours belongs in `floats`; this module only reproduces those cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.spec.consensus.fixed import U16_MAX

__all__ = ["SimulatedEpoch", "SimulatedParameters", "simulated_epoch"]

Floats = NDArray[np.float32]

_LITTLE = 1e-6
# Where no model has a majority the simulator divides 0 by 0 and makes an int32 of it.
_NO_CONSENSUS = -(2**31) / U16_MAX


@dataclass(frozen=True, slots=True)
class SimulatedParameters:
    """The simulator's settings, as fractions.

    Attributes
    ----------
    yuma3
        Bonds that each validator owns for itself.
    kappa, bond_penalty
        As on the chain.
    rate
        At which a bond follows its weight.
    liquid_alpha
        Whether the rate depends on the distance, between `alpha_low` and `alpha_high`.
    alpha_low, alpha_high, steepness
        Of liquid alpha.
    winner_takes_all
        The models with the highest rank share all of the incentive.
    """

    yuma3: bool
    kappa: float
    bond_penalty: float
    rate: float
    liquid_alpha: bool = False
    alpha_low: float = 0.7
    alpha_high: float = 0.9
    steepness: float = 10.0
    winner_takes_all: bool = False


@dataclass(frozen=True, slots=True)
class SimulatedEpoch:
    """What the simulator reports of one epoch; a row per validator, a column per model."""

    consensus: Floats
    clipped: Floats
    incentive: Floats
    bonds: Floats
    dividends_normalized: Floats
    validator_trust: Floats


def simulated_epoch(
    parameters: SimulatedParameters,
    weights: Any,
    stake: Any,
    bonds_old: Any = None,
    consensus_old: Any = None,
) -> SimulatedEpoch:
    """Run one epoch of the simulator.

    Parameters
    ----------
    parameters
        Of the case.
    weights
        A row per validator.
    stake
        Per validator.
    bonds_old
        A row per validator, None before the first epoch.
    consensus_old
        Of the epoch before, None before the first.

    Returns
    -------
    SimulatedEpoch
        In float32, as the simulator.
    """
    given = np.asarray(weights, np.float32)
    given = given / (given.sum(axis=1, keepdims=True) + _LITTLE)
    stakes = np.asarray(stake, np.float32)
    stakes = stakes / stakes.sum()
    consensus = _consensus(given, stakes, parameters.kappa)
    clipped = np.minimum(given, consensus)
    rank = stakes @ clipped
    incentive = _part(rank, rank.sum())
    if parameters.winner_takes_all:
        winners = rank == rank.max()
        incentive = winners / winners.sum(dtype=np.float32)
    trust = _part(clipped.sum(axis=1), given.sum(axis=1))
    followed = given + parameters.bond_penalty * (clipped - given)

    if parameters.yuma3:
        old = np.zeros_like(given) if bonds_old is None else np.asarray(bonds_old, np.float32)
        rate: Floats | float = parameters.rate
        if parameters.liquid_alpha and consensus_old is not None:
            rate = _liquid_rate(parameters, followed, old, consensus)
        bonds = np.minimum((1 - rate) * old + rate * followed, 1)
        earned = stakes * ((bonds / (bonds.sum(axis=0) + _LITTLE)) @ incentive)
    else:
        bought = stakes[:, None] * followed
        bonds = _part(bought, bought.sum(axis=0))
        if bonds_old is not None:
            bonds = parameters.rate * bonds + (1 - parameters.rate) * np.asarray(bonds_old)
        earned = bonds @ incentive
    return SimulatedEpoch(
        consensus=consensus,
        clipped=clipped,
        incentive=incentive,
        bonds=bonds,
        dividends_normalized=earned / (earned.sum() + _LITTLE),
        validator_trust=trust,
    )


def _consensus(weights: Floats, stakes: Floats, kappa: float) -> Floats:
    supported = np.einsum("i,ijk->jk", stakes, weights[:, None, :] >= weights[None, :, :]) > kappa
    found = np.where(supported, weights, 0).max(axis=0)
    if not found.any():
        return np.full_like(found, _NO_CONSENSUS)
    steps: Floats = np.floor(found / found.sum() * np.float32(U16_MAX)) / np.float32(U16_MAX)
    return steps


def _liquid_rate(
    parameters: SimulatedParameters, followed: Floats, old: Floats, consensus: Floats
) -> Floats:
    buying = followed >= old
    distance = np.clip(np.where(buying, followed - consensus, old - followed), 0, 1)
    steep = 1 / (1 + np.exp(-parameters.steepness * (distance - 0.5)))
    spread = parameters.alpha_high - parameters.alpha_low
    rate: Floats = np.clip(
        parameters.alpha_low + steep * spread, parameters.alpha_low, parameters.alpha_high
    )
    return rate


def _part(values: Floats, of: Any) -> Floats:
    of = np.broadcast_to(of, values.shape)
    parts: Floats = np.divide(values, of, out=np.zeros_like(values), where=of != 0)
    return parts
