"""Answers of a runner that repeats itself, compared one by one with those of one's own copy.

Two honest machines may differ in the last bits of a float, since processors add up in other orders.
What differs by more was computed from other weights. How much it differs says what kind of other:
rounding weights to 8 bits moves numbers by a percent or so and leaves the decisions alone.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tessera.errors import InputError
from tessera.serving.runner import (
    FLAGGED_FROM,
    Cell,
    ChatResult,
    ClassifyResult,
    EmbeddingsResult,
    PredictResult,
    Result,
    ScoreResult,
    Task,
)

__all__ = [
    "CLOSE_COSINE",
    "CLOSE_PART",
    "NOISE",
    "Item",
    "Likeness",
    "OneByOne",
    "Pair",
    "chance_of",
    "compare",
    "flagged",
    "items_of",
    "least_share_found",
    "outputs_item",
    "scores_item",
    "text_item",
    "tokens_item",
    "vector_item",
]

NOISE: Final = 1e-5
"""Largest difference of honest machines, as a part of the largest number of an answer."""

CLOSE_COSINE: Final = 0.99
"""From here on two answers point the same way, once what all answers share is taken away."""

CLOSE_PART: Final = 0.95
"""Part of the answers that must, and part of the decisions that must agree."""

_Numbers = npt.NDArray[np.float64]


class Likeness(enum.StrEnum):
    """How alike two answers are."""

    IDENTICAL = "identical"
    NOISE = "within float noise"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Item:
    """The answer for one text or one row, without its wrapping.

    Attributes
    ----------
    shape
        Names of its parts and how many numbers each has; answers of other shapes are not alike.
    numbers
        Its floats, in the order of the names; 1-dimensional.
    decisions
        What it comes to: the likeliest label, whole numbers, texts.
    """

    shape: tuple[tuple[str, int], ...]
    numbers: _Numbers
    decisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison.

    Attributes
    ----------
    likeness
        Of the two.
    distance
        Length of the difference as a part of the length of the own answer; infinite where they
        have other shapes, 0 where neither has numbers.
    agreed
        Whether they come to the same decisions.
    """

    likeness: Likeness
    distance: float
    agreed: bool


@dataclass(frozen=True, slots=True)
class OneByOne:
    """What comparing all answers found.

    Attributes
    ----------
    pairs
        In the order of the answers.
    p_value
        Probability of so many different answers, or more, from an honest machine of which each
        answer is spoilt with the probability `spoilt`.
    spoilt
        Granted to an honest machine per answer.
    typical_distance
        Median of the different answers' distances; 0 where none differs.
    close
        Whether the different answers say nearly the same: as after rounding the weights, or a
        light training of the same model.
    """

    pairs: tuple[Pair, ...]
    p_value: float
    spoilt: float
    typical_distance: float
    close: bool

    def count(self, likeness: Likeness) -> int:
        """Count the answers of one likeness."""
        return sum(pair.likeness is likeness for pair in self.pairs)

    @property
    def agreed(self) -> int:
        """Answers that come to the same decisions."""
        return sum(pair.agreed for pair in self.pairs)


def items_of(
    result: Result,
    task: Task | None = None,
) -> list[Item]:
    """Take a result apart: one item per text or row; a chat's are decisions, its texts.

    Parameters
    ----------
    result
        Of a runner.
    task
        That was asked; scores of a moderation decide which labels are flagged, those of a
        classification which is likeliest.
    """
    match result:
        case EmbeddingsResult(vectors=vectors):
            return [vector_item(vector) for vector in vectors]
        case ClassifyResult(scores=scores) if task is Task.MODERATION:
            return [scores_item(row, flagged(row)) for row in scores]
        case ClassifyResult(scores=scores):
            return [scores_item(row, (max(row, key=lambda name: row[name]),)) for row in scores]
        case PredictResult(outputs=outputs):
            return [outputs_item(row) for row in outputs]
        case ChatResult(choices=choices):
            return [text_item(choice.text or "", choice.finish) for choice in choices]
        case ScoreResult(tokens=tokens, logs=logs):
            return [tokens_item(tokens, logs)]


def vector_item(vector: Sequence[float]) -> Item:
    """Return an embedding."""
    return Item((("embedding", len(vector)),), np.asarray(vector, dtype=np.float64), ())


def text_item(text: str, finish: str) -> Item:
    """Return a text and why it ended."""
    return Item((("text", 0),), np.zeros(0), (text, finish))


def tokens_item(tokens: Sequence[str], logs: Sequence[float | None]) -> Item:
    """Return how probable a text's tokens are; a first one that has no probability counts 0."""
    numbers = np.asarray([0.0 if log is None else log for log in logs], dtype=np.float64)
    return Item((("logprobs", len(numbers)),), numbers, tuple(tokens))


def flagged(scores: Mapping[str, float]) -> tuple[str, ...]:
    """Return the labels of a moderation that are flagged, by name."""
    return tuple(sorted(name for name, score in scores.items() if score >= FLAGGED_FROM))


def scores_item(scores: Mapping[str, float], decisions: tuple[str, ...]) -> Item:
    """Return scores by label and what they come to."""
    names = sorted(scores)
    numbers = np.asarray([scores[name] for name in names], dtype=np.float64)
    return Item(tuple((name, 1) for name in names), numbers, decisions)


def compare(
    theirs: Sequence[Item], own: Sequence[Item], *, noise: float = NOISE, spoilt: float = 1e-4
) -> OneByOne:
    """Compare answers one by one.

    Parameters
    ----------
    theirs, own
        To the same requests, in the same order.
    noise
        Largest difference of honest machines, as a part of an answer's largest number.
    spoilt
        Probability that an honest machine spoils one answer.

    Raises
    ------
    InputError
        There are none, or not as many on both sides.
    """
    if not own or len(own) != len(theirs):
        raise InputError("answers", found=f"{len(theirs)} and {len(own)}", wanted="as many of each")
    pairs = tuple(_pair(left, right, noise) for left, right in zip(theirs, own, strict=True))
    different = [at for at, pair in enumerate(pairs) if pair.likeness is Likeness.DIFFERENT]
    distances = [pairs[at].distance for at in different]
    return OneByOne(
        pairs=pairs,
        p_value=chance_of(len(different), len(pairs), spoilt),
        spoilt=spoilt,
        typical_distance=float(np.median(distances)) if distances else 0.0,
        close=bool(different) and _close(theirs, own, pairs),
    )


def chance_of(count: int, trials: int, probability: float) -> float:
    """Return the probability of `count` or more successes.

    Returns
    -------
    float
        The upper tail of the binomial distribution, exactly; 1 for a count of 0.
    """
    if count <= 0:
        return 1.0
    # From the smallest terms up, so that none is lost beside a larger one.
    return min(1.0, math.fsum(_mass(k, trials, probability) for k in range(trials, count - 1, -1)))


def least_share_found(trials: int, alpha: float, spoilt: float, power: float = 0.95) -> float:
    """Return which part of the calls must be answered by another model for it to be found.

    Returns
    -------
    float
        Found with probability `power` or more from here up; 1 where not even that suffices.
    """
    needed = next(
        (k for k in range(1, trials + 1) if chance_of(k, trials, spoilt) <= alpha), trials + 1
    )
    low, high = 0.0, 1.0
    if chance_of(needed, trials, high) < power:
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if chance_of(needed, trials, middle) >= power:
            high = middle
        else:
            low = middle
    return high


def _mass(count: int, trials: int, probability: float) -> float:
    if probability >= 1.0:
        return 1.0 if count == trials else 0.0
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(
        ways + count * math.log(probability) + (trials - count) * math.log1p(-probability)
    )


def outputs_item(row: Mapping[str, Cell | list[float]]) -> Item:
    """Return the outputs of one row: floats are numbers, everything else decides."""
    shape: list[tuple[str, int]] = []
    numbers: list[float] = []
    decisions: list[str] = []
    for name in sorted(row):
        value = row[name]
        if isinstance(value, list):
            shape.append((name, len(value)))
            numbers += [float(number) for number in value]
        elif isinstance(value, float):
            shape.append((name, 1))
            numbers.append(value)
        else:
            shape.append((name, 0))
            decisions.append(repr(value))
    return Item(tuple(shape), np.asarray(numbers, dtype=np.float64), tuple(decisions))


def _pair(theirs: Item, own: Item, noise: float) -> Pair:
    if theirs.shape != own.shape or theirs.numbers.shape != own.numbers.shape:
        return Pair(Likeness.DIFFERENT, math.inf, agreed=False)
    agreed = theirs.decisions == own.decisions
    if not own.numbers.size:
        likeness = Likeness.IDENTICAL if agreed else Likeness.DIFFERENT
        return Pair(likeness, 0.0, agreed=agreed)
    # What overflowed on its way is infinite, and so far away.
    with np.errstate(all="ignore"):
        gap = theirs.numbers - own.numbers
    if agreed and not gap.any():
        return Pair(Likeness.IDENTICAL, 0.0, agreed=True)
    length = float(np.linalg.norm(own.numbers))
    distance = float(np.linalg.norm(gap)) / length if length else math.inf
    largest = float(np.abs(own.numbers).max())
    small = float(np.abs(gap).max()) <= noise * largest
    # Numbers alone are not enough: who answers with the right ones may still decide otherwise.
    likeness = Likeness.NOISE if small and agreed else Likeness.DIFFERENT
    return Pair(likeness, distance, agreed=agreed)


def _close(theirs: Sequence[Item], own: Sequence[Item], pairs: Sequence[Pair]) -> bool:
    """Tell whether all answers together say nearly the same.

    What all own answers share is taken away first: vectors of any two models of one shape have a
    common part, and only the rest depends on what was asked.
    """
    if any(left.shape != right.shape for left, right in zip(theirs, own, strict=True)):
        return False
    if sum(pair.agreed for pair in pairs) < CLOSE_PART * len(pairs):
        return False
    if not own[0].numbers.size or any(item.shape != own[0].shape for item in own):
        return False
    left = np.stack([item.numbers for item in theirs])
    right = np.stack([item.numbers for item in own])
    shared = right.mean(axis=0)
    with np.errstate(all="ignore"):
        left, right = left - shared, right - shared
        lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        told = lengths > 0
        cosines = (left * right).sum(axis=1)[told] / lengths[told]
    return bool(cosines.size) and float((cosines >= CLOSE_COSINE).mean()) >= CLOSE_PART
