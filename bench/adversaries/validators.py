"""Validators who do not measure, and cabals that praise their own model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.adversaries.epochs import Floats, Scores, Seen, World, run, weights_of
from bench.adversaries.rows import Row
from tessera.spec.consensus.inputs import Parameters

__all__ = ["boosted", "cabals", "validators"]

_ONE_IN_TEN = 0.1
_MIDDLING = 0.75
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.45, 0.49)
_RULES = {
    "Yuma 2": Parameters(),
    "Yuma 3": Parameters(yuma3=True),
    "Yuma 3, liquid alpha": Parameters(yuma3=True, liquid_alpha=True),
}


def _copied(seen: Seen) -> Floats:
    return seen.published if seen.published.any() else np.ones_like(seen.published)


def _same_for_all(seen: Seen) -> Floats:
    return np.ones_like(seen.measured)


def _guessed(seen: Seen) -> Floats:
    return seen.rng.random(len(seen.measured))


def _measured_less(seen: Seen) -> Floats:
    # A tenth of the questions: the same mean, about three times the noise.
    noise = seen.rng.normal(0.0, np.sqrt(seen.measured * (1 - seen.measured) / 20))
    return weights_of(np.clip(seen.measured + noise, 0.0, 1.0))


_LAZY: dict[str, tuple[Scores, float, str]] = {
    "copies the last epoch's consensus": (
        _copied, 0.0, "weights are committed: what can be copied is an epoch old",
    ),
    "asks a tenth of the questions": (
        _measured_less, 0.1, "noise is clipped where others agree, bonds follow it late",
    ),
    "gives all models the same": (_same_for_all, 0.0, "bonds to models that earn nothing"),
    "guesses": (_guessed, 0.0, "clipped wherever the others gave less"),
}  # fmt: skip


def validators(world: World, seeds: range, cost: float) -> list[Row]:
    """Compare validators who save the work with those who do it, at a tenth of the stake.

    Parameters
    ----------
    world
        Its size.
    seeds
        One run each.
    cost
        What measuring costs, as a part of an honest validator's reward.
    """
    stakes = _with(_ONE_IN_TEN, world.validators)
    rows = []
    for rules, parameters in _RULES.items():
        for name, (scores, part_of_cost, why) in _LAZY.items():
            earned = []
            for seed in seeds:
                outcome = run(replace(world, parameters=parameters), stakes, {0: scores}, seed)
                earned.append(outcome.per_stake(slice(0, 1)) / outcome.per_stake(slice(1, None)))
            gross = float(np.mean(earned))
            rows.append(
                Row(
                    strategy=f"{name} ({rules})",
                    honest=1.0 - cost,
                    earns=gross - cost * part_of_cost,
                    error=float(np.std(earned) / np.sqrt(len(earned))),
                    why=f"{gross:.2f} of an honest reward before costs: {why}",
                )
            )
    return rows


def cabals(world: World, seeds: range, cost: float) -> list[Row]:
    """Let part of the stake give everything to a model of its own that is no better than guessing.

    Income is the cabal's part of both rewards, validators' and models', per its part of the stake.
    """
    rows = []
    for share in _SHARES:
        stakes = _with(share, world.validators)

        def praised(seen: Seen) -> Floats:
            return np.eye(1, len(seen.measured))[0]

        earned, model = [], []
        for seed in seeds:
            outcome = run(world, stakes, {0: praised}, seed, fixed={0: 0.5})
            own = outcome.dividends[0] + outcome.incentive[0]
            others = outcome.dividends[1:].sum() / (1 - share)
            earned.append(own / share / others)
            model.append(outcome.incentive[0])
        rows.append(
            Row(
                strategy=f"a cabal with {share:.0%} of the stake praises its own bad model",
                honest=1.0 - cost,
                earns=float(np.mean(earned)),
                error=float(np.std(earned) / np.sqrt(len(earned))),
                why=f"its model gets {float(np.mean(model)):.2%} of the models' reward: what less "
                "than half of the stake supports is cut off, and so are the bonds to it",
            )
        )
    return rows


def boosted(world: World, seeds: range, cost: float) -> list[Row]:
    """Measure as everybody does, and give a middling model of one's own the most.

    Income as for `cabals`; honest is who owns the same model and measures it truly.
    """
    rows = []
    for share in _SHARES:
        stakes = _with(share, world.validators)

        def boosting(seen: Seen) -> Floats:
            given = weights_of(seen.measured)
            given[0] = given.max()
            return given

        honest, earned = [], []
        for seed in seeds:
            for scores, into in (({}, honest), ({0: boosting}, earned)):
                outcome = run(world, stakes, scores, seed, fixed={0: _MIDDLING})
                others = outcome.dividends[1:].sum() / (1 - share)
                own = outcome.dividends[0] + outcome.incentive[0]
                into.append(own / share / others)
        rows.append(
            Row(
                strategy=f"a cabal with {share:.0%} of the stake praises its own middling model",
                honest=float(np.mean(honest)) - cost,
                earns=float(np.mean(earned)) - cost,
                error=float(np.std(np.subtract(earned, honest)) / np.sqrt(len(earned))),
                why="what it gives above the median is cut off, and its bonds pay less for it",
            )
        )
    return rows


def _with(share: float, validators: int) -> Floats:
    """Give the first validator a part of the stake, and the others the same each."""
    stakes = np.full(validators, (1 - share) / (validators - 1))
    stakes[0] = share
    return stakes
