"""From scores to a row of weights, as the chain stores it.

Exact: a float is the fraction that it is, and the only rounding is the one that is written here. So
two validators with the same scores have the same row, and anybody can compute it from a report.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

from tessera.validation.refusals import MalformedScores

__all__ = ["MAX_UID", "MAX_WEIGHT", "merit", "merit_of", "row_of", "row_of_reports"]

MAX_WEIGHT: Final = 65_535
MAX_UID: Final = 65_535


def merit(score: float, chance: float = 0.0) -> Fraction:
    """Return how far a score is above what guessing gives, as a part of what is possible.

    Parameters
    ----------
    score
        From 0 to 1.
    chance
        What a model without any knowledge scores, from 0 to below 1.

    Returns
    -------
    Fraction
        (score - chance) / (1 - chance); 0 for a score that guessing reaches.

    Raises
    ------
    MalformedScores
        A number is NaN, infinite or out of its range.
    """
    if not (math.isfinite(score) and 0 <= score <= 1):
        raise MalformedScores("score", found=score, wanted="a number from 0 to 1")
    if not (math.isfinite(chance) and 0 <= chance < 1):
        raise MalformedScores("score of a guess", found=chance, wanted="0 to below 1")
    base = Fraction(chance)
    return max(Fraction(0), (Fraction(score) - base) / (1 - base))


def row_of(scores: Iterable[tuple[int, int | float | Fraction]]) -> tuple[tuple[int, int], ...]:
    """Make a row of weights.

    Parameters
    ----------
    scores
        Per uid of a model one number of 0 or more, in any order; whichever scale they have.

    Returns
    -------
    tuple
        Pairs of uid and weight by ascending uid: ``floor((2 v 65535 / max + 1) / 2)``, so the
        largest is 65,535. A zero is kept as a zero; where all are, all stay.

    Raises
    ------
    MalformedScores
        A uid is none or comes twice; a score is negative, NaN or infinite.
    """
    exact: dict[int, Fraction] = {}
    for uid, score in scores:
        if isinstance(uid, bool) or not isinstance(uid, int) or not 0 <= uid <= MAX_UID:
            raise MalformedScores("uid", found=uid, wanted=f"0 to {MAX_UID}")
        if uid in exact:
            raise MalformedScores(f"uid {uid}", found="two scores", wanted="one")
        if isinstance(score, float) and not math.isfinite(score):
            raise MalformedScores(f"score of uid {uid}", found=score, wanted="a finite number")
        if score < 0:
            raise MalformedScores(f"score of uid {uid}", found=score, wanted="0 or more")
        exact[uid] = Fraction(score)
    most = max(exact.values(), default=Fraction(0))
    return tuple(
        (uid, math.floor((2 * value * MAX_WEIGHT / most + 1) / 2) if most else 0)
        for uid, value in sorted(exact.items())
    )


def row_of_reports(reports: Mapping[int, Mapping[str, Any]]) -> tuple[tuple[int, int], ...]:
    """Make a row of weights from one report per model.

    Parameters
    ----------
    reports
        By uid; checked before. A model that could not be asked has merit 0, and so has one that
        answers well only for validators.

    Raises
    ------
    MalformedScores
        They are of two benchmarks or two draws, so their scores cannot be compared; or as `row_of`.
    """
    asked = {uid: _asked(report["core"]) for uid, report in reports.items()}
    if len(set(asked.values())) > 1:
        raise MalformedScores(
            "reports",
            found="two benchmarks, or two draws",
            wanted="all of one benchmark and draw",
            next_step="run each with the same --items and --seed",
        )
    return row_of((uid, merit_of(report)) for uid, report in reports.items())


def merit_of(report: Mapping[str, Any]) -> Fraction:
    """Return a measured model's merit; 0 for one that answers well only for validators.

    Parameters
    ----------
    report
        Checked before. Whether its two payers were treated alike stands in its `run`, which a
        validator has written for itself.
    """
    if (report.get("run", {}).get("favour") or {}).get("favoured"):
        return Fraction(0)
    return merit(report["core"]["score"] or 0.0, report["core"]["chance"])


def _asked(core: Mapping[str, Any]) -> tuple[object, ...]:
    draw = core["draw"]
    if draw is None:
        return (core["task"],)
    # Each model has its own items of one draw.
    return (core["task"], draw["seed"], draw["validator"], draw["count"], draw["shared_bps"])
