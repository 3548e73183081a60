"""Owners of models who cheat: a face for validators, many uids for one model."""

from __future__ import annotations

import numpy as np
import scipy

from bench.adversaries.epochs import Floats, Scores, Seen, World, run, weights_of
from bench.adversaries.rows import Row

__all__ = ["sybils", "two_faced"]

_GOOD, _BAD = 0.9, 0.6
_ALARM = 0.01
_RECOGNISED = (1.0, 0.5, 0.2)
_BURN_GROWTH = 1.26


def two_faced(seeds: range, *, calls: int = 200, draws: int = 400) -> list[Row]:
    """Answer well whoever is taken for a validator, and cheaply everybody else.

    Validators also score answers that ordinary consumers were given (their own calls under other
    names, and receipts that consumers hand them), and compare both by Fisher's exact test.

    Parameters
    ----------
    seeds
        The first one is used.
    calls
        Answers scored of each kind.
    draws
        Comparisons that are drawn.

    Returns
    -------
    list[Row]
        Earned is the probability of a whole epoch's reward; honest is that of an honest model.
    """
    rng = np.random.default_rng(seeds.start)
    honest_passes = 1.0 - _found(rng, _GOOD, _GOOD, calls, draws)
    rows = []
    for part in _RECOGNISED:
        # Who does not know a validator's call for sure answers some of them cheaply.
        shown = part * _GOOD + (1 - part) * _BAD
        passes = 1.0 - _found(rng, shown, _BAD, calls, draws)
        weight = ((shown - 0.5) / (_GOOD - 0.5)) ** 2
        rows.append(
            Row(
                strategy=f"answers well for validators alone, and knows {part:.0%} of their calls",
                honest=honest_passes,
                earns=passes * weight,
                error=float(np.sqrt(max(passes * (1 - passes), 1e-9) / draws)) * weight,
                why=f"found in {1 - passes:.1%} of epochs by comparing {calls} answers of each "
                f"kind, false alarms {1 - honest_passes:.1%}; it would get {weight:.0%} of a good "
                "model's weight",
            )
        )
    return rows


def _found(
    rng: np.random.Generator, shown: float, ordinary: float, calls: int, draws: int
) -> float:
    right = rng.binomial(calls, (shown, ordinary), (draws, 2))
    alarms = [
        scipy.stats.fisher_exact([[a, calls - a], [b, calls - b]], alternative="greater").pvalue
        < _ALARM
        for a, b in right
    ]
    return float(np.mean(alarms))


def sybils(world: World, seeds: range, burn: float) -> list[Row]:
    """Register one good model under many uids, each of which earns as if it were another.

    Parameters
    ----------
    world
        Its size.
    seeds
        One run each.
    burn
        What the first registration burns, as a part of a good model's reward over the run. Each
        one after it in a row burns 1.26 times as much.

    Returns
    -------
    list[Row]
        In good models' rewards over the run.
    """
    stakes = np.full(world.validators, 1 / world.validators)
    honest = np.mean([run(world, stakes, {}, s, fixed={0: _GOOD}).incentive[0] for s in seeds])
    rows = []
    for uids in (2, 5, 10):
        fixed = dict.fromkeys(range(uids), _GOOD)
        gross = [run(world, stakes, {}, s, fixed=fixed).incentive[:uids].sum() for s in seeds]
        earned = float(np.mean(gross) / honest)
        cost = burn * sum(_BURN_GROWTH**place for place in range(uids))
        rows.append(
            Row(
                strategy=f"one model under {uids} uids, nobody looks",
                honest=1.0 - burn,
                earns=earned - cost,
                error=float(np.std(gross) / honest / np.sqrt(len(gross))),
                why=f"{earned:.2f} rewards for {cost:.2f} burnt",
            )
        )
        once = dict.fromkeys(range(world.validators), _counted_once(uids))
        seen = [run(world, stakes, once, s, fixed=fixed).incentive[:uids].sum() for s in seeds]
        rows.append(
            Row(
                strategy=f"one model under {uids} uids, equal answers count once",
                honest=1.0 - burn,
                earns=float(np.mean(seen) / honest) - cost,
                error=float(np.std(seen) / honest / np.sqrt(len(seen))),
                why="validators give a weight to the uid that was registered first, and none to "
                "those whose answers hash to the same",
            )
        )
    return rows


def _counted_once(uids: int) -> Scores:
    def scores(seen: Seen) -> Floats:
        given = weights_of(seen.measured)
        given[1:uids] = 0.0
        return given

    return scores
