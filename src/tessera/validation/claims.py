"""Whether a claimed score is so: verified, contradicted or unverifiable, with an interval.

The interval is Wilson's: it stays within 0 and 1 and keeps its promise for few items and for scores
near the ends. A mean of scores between 0 and 1 varies at most as much as a coin with the same mean
does, so for graded scores the interval is, if anything, too wide.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from tessera.errors import InputError

__all__ = ["CONFIDENCE", "LEAST_ITEMS", "Claim", "Interval", "Standing", "judge_claim", "wilson"]

CONFIDENCE: Final = 0.95
LEAST_ITEMS: Final = 200
"""Fewer verify nothing."""


class Standing(enum.StrEnum):
    """What may be said about a claim."""

    VERIFIED = "verified"
    """It lies within the interval of 200 items or more."""

    CONTRADICTED = "contradicted"
    """It is above the interval: the model does not reach it."""

    UNVERIFIABLE = "unverifiable"
    """Neither of both can be said from what there is."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Between these the true score lies, with the stated confidence."""

    low: float
    high: float
    confidence: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim and what came of it.

    Attributes
    ----------
    interval
        None where nothing was measured that has one.
    why
        The standing in a sentence.
    """

    claimed: float
    standing: Standing
    score: float | None
    items: int
    interval: Interval | None
    why: str

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return {
            "claimed": self.claimed,
            "standing": str(self.standing),
            "score": self.score,
            "items": self.items,
            "low": self.interval and self.interval.low,
            "high": self.interval and self.interval.high,
            "confidence": self.interval and self.interval.confidence,
            "why": self.why,
        }


def wilson(score: float, items: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's interval.

    Parameters
    ----------
    score
        Mean over the items, from 0 to 1.
    items
        How many, 1 or more.
    confidence
        Part of such intervals that hold the true score, between 0 and 1.

    Raises
    ------
    InputError
        A number is out of its range.
    """
    if not (math.isfinite(score) and 0 <= score <= 1):
        raise InputError("score", found=score, wanted="0 to 1")
    if items < 1:
        raise InputError("items", found=items, wanted="1 or more")
    if not 0 < confidence < 1:
        raise InputError("confidence", found=confidence, wanted="between 0 and 1, such as 0.95")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    square = z * z / items
    centre = (score + square / 2) / (1 + square)
    reach = z * math.sqrt(score * (1 - score) / items + square / (4 * items)) / (1 + square)
    # The ends are exactly 0 and 1 there, which floats miss by a last bit.
    low = 0.0 if score == 0 else max(0.0, centre - reach)
    high = 1.0 if score == 1 else min(1.0, centre + reach)
    return Interval(low, high, confidence)


def judge_claim(
    claimed: float,
    score: float | None,
    items: int,
    *,
    proportion: bool = True,
    confidence: float = CONFIDENCE,
) -> Claim:
    """Hold a claim against what was measured.

    Parameters
    ----------
    claimed
        What is said to be scored, from 0 to 1.
    score
        What was measured; None where nothing could be.
    items
        On so many items of a hashed list.
    proportion
        Whether the score is a mean over items, of which an interval can be given.

    Raises
    ------
    InputError
        The claim is no number from 0 to 1.
    """
    if not (math.isfinite(claimed) and 0 <= claimed <= 1):
        raise InputError(
            "claimed score", found=claimed, wanted="0 to 1", next_step="write 92 % as 0.92"
        )
    if score is None or items < 1:
        why = "nothing was measured: no endpoint, no weights or no outputs"
        return Claim(claimed, Standing.UNVERIFIABLE, None, items, None, why)
    if not proportion:
        why = "this metric is no mean of items, so no interval can be given"
        return Claim(claimed, Standing.UNVERIFIABLE, score, items, None, why)
    found = wilson(score, items, confidence)
    between = f"{found.low:.4f} to {found.high:.4f}"
    if claimed > found.high:
        standing, why = Standing.CONTRADICTED, f"the model scores {between}, which is less"
    elif claimed < found.low:
        standing, why = (
            Standing.UNVERIFIABLE,
            (f"the model scores {between}, which is more: the claim is about something else"),
        )
    elif items < LEAST_ITEMS:
        standing, why = (
            Standing.UNVERIFIABLE,
            (f"the model scores {between}, but {items} items verify nothing: {LEAST_ITEMS} do"),
        )
    else:
        standing, why = Standing.VERIFIED, f"the model scores {between}"
    return Claim(claimed, standing, score, items, found, why)
