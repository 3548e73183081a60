"""A subnet epoch by epoch: models whose quality drifts, validators who measure it, the consensus.

Consensus is the program's own (`tessera.spec.consensus`), bit for bit what the chain checks. Made
up are the models' qualities, how they change, and the noise of asking a number of questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tessera.spec.consensus.fast import fast_epoch
from tessera.spec.consensus.fixed import ONE, U16_MAX
from tessera.spec.consensus.inputs import Parameters, Subnet
from tessera.spec.consensus.rows import SparseRows

__all__ = ["Floats", "Outcome", "Scores", "Seen", "World", "run", "weights_of"]

Floats = NDArray[np.float64]

_EMISSION = 10**12
_STAKE = 10**12
_CHANCE = 0.5
"""What guessing answers right: a model that is no better gets no weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a run is made of.

    Attributes
    ----------
    validators, models, epochs
        How many.
    items
        Questions that a validator asks each model in an epoch.
    drift
        Standard deviation of a model's change of accuracy from an epoch to the next.
    replaced
        Part of the models that are another one in the next epoch.
    parameters
        The subnet's.
    """

    validators: int = 10
    models: int = 20
    epochs: int = 60
    items: int = 200
    drift: float = 0.02
    replaced: float = 0.02
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a strategy knows when it commits.

    Attributes
    ----------
    measured
        The accuracies that this validator measured, per model.
    published
        The consensus of the epoch before, per model; zeros in the first.
    rng
        Its dice.
    """

    measured: Floats
    published: Floats
    rng: np.random.Generator


Scores = Callable[[Seen], Floats]
"""The weights that a validator gives, of any scale."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Mean parts per epoch: of the validators' reward, and of the models'.

    Attributes
    ----------
    stakes
        Of 1, per validator.
    dividends, incentive
        Of 1, per validator and per model.
    """

    stakes: Floats
    dividends: Floats
    incentive: Floats

    def per_stake(self, who: slice) -> float:
        """What some validators earned for their stake; 1 is the mean of all."""
        return float(self.dividends[who].sum() / self.stakes[who].sum())


def weights_of(accuracy: Floats) -> Floats:
    """What an honest validator gives for accuracies: the square of what is above guessing."""
    given: Floats = np.clip(accuracy - _CHANCE, 0.0, None) ** 2
    return given


def run(
    world: World,
    stakes: Floats,
    strategies: dict[int, Scores],
    seed: int,
    *,
    fixed: dict[int, float] | None = None,
) -> Outcome:
    """Play a subnet.

    Parameters
    ----------
    world
        Its size.
    stakes
        Of 1, per validator.
    strategies
        By validator; who has none is honest.
    seed
        The same seed, the same figures.
    fixed
        Accuracy by model, where it neither drifts nor is replaced.
    """
    rng = np.random.default_rng(seed)
    count, uids = world.validators, world.validators + world.models
    true = rng.uniform(0.6, 0.95, world.models)
    staked = tuple(int(each * _STAKE) for each in stakes) + (0,) * world.models
    bonds = SparseRows.dense(np.zeros((uids, uids), np.int64))
    published = np.zeros(world.models)
    dividends, incentive = np.zeros(count), np.zeros(world.models)
    for epoch in range(1, world.epochs + 1):
        true = _moved(world, true, rng)
        for model, accuracy in (fixed or {}).items():
            true[model] = accuracy
        measured = rng.binomial(world.items, true, (count, world.models)) / world.items
        given = np.zeros((uids, uids), np.int64)
        for validator in range(count):
            choose = strategies.get(validator, _honest)
            scores = choose(Seen(measured[validator], published, rng))
            given[validator, count:] = _stored(scores)
        block = epoch * world.parameters.tempo
        result = fast_epoch(
            Subnet(
                world.parameters,
                block,
                _EMISSION,
                staked,
                (True,) * count + (False,) * world.models,
                last_update=(block - 1,) * uids,
                registered=(0,) * uids,
                last_step_block=block - world.parameters.tempo,
            ),
            SparseRows.dense(given),
            bonds,
        )
        bonds = result.bonds
        published = np.array(result.consensus[count:]) / ONE
        dividends += np.array(result.dividends[:count]) / ONE
        incentive += np.array(result.incentive[count:]) / ONE
    return Outcome(stakes, dividends / world.epochs, incentive / world.epochs)


def _honest(seen: Seen) -> Floats:
    return weights_of(seen.measured)


def _moved(world: World, true: Floats, rng: np.random.Generator) -> Floats:
    drifted = np.clip(true + rng.normal(0.0, world.drift, world.models), _CHANCE, 0.97)
    other = rng.random(world.models) < world.replaced
    return np.where(other, rng.uniform(0.6, 0.95, world.models), drifted)


def _stored(scores: Floats) -> NDArray[np.int64]:
    """Scale a row so that its largest weight is 65,535, each rounded to the nearest."""
    most = scores.max()
    if most <= 0:
        return np.zeros(len(scores), np.int64)
    return np.floor((2 * scores * U16_MAX / most + 1) / 2).astype(np.int64)
