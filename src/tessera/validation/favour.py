"""Models that answer well only for validators: found by asking as somebody else.

An operator can serve the model that it promised to those who score it, and a cheaper one to all who
only pay. What it has to tell them apart by is who pays, since questions are written alike. So the
items of a benchmark are dealt at random into two piles: one is asked by the validator's known key,
the other by a key that nobody knows, and both are scored alike. Dealing at random is what makes the
test exact: if the operator treats both alike, every other dealing was as likely, and an honest one
is accused with a probability of at most `alpha`, whatever the scores are and however few.

Where both have asked the very same items, the differences per item are compared instead, which
finds more; and of a model that repeats itself the outputs themselves, answer by answer.
"""

from __future__ import annotations

import math
import random as randomness
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tessera.errors import InputError
from tessera.serving.equality.exact import chance_of
from tessera.serving.equality.verdict import ALPHA
from tessera.validation.canonical import canonical

__all__ = ["Favour", "compare_reports", "deal", "favoured"]

PERMUTATIONS: Final = 19_999
_POWER: Final = 0.95
_SPOILT: Final = 1e-4
_TIE: Final = 1e-9
_AT_A_TIME: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Favour:
    """What a comparison found.

    Attributes
    ----------
    accused
        Whether the model answers better for validators.
    p_value
        Probability of such a lead, or a larger one, if it treats all alike.
    alpha
        The rate of false alarms that it was compared with.
    method
        `fisher`, `permutation`, `signs` or `outputs`.
    known, unknown
        Mean scores of the calls of the validator's key, and of the other's.
    items
        On each side.
    found_from
        The lead that this comparison would have found 95 times of 100; None where none would be.
    """

    accused: bool
    p_value: float
    alpha: float
    method: str
    known: float
    unknown: float
    items: tuple[int, int]
    found_from: float | None
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "favoured": self.accused,
            "p_value": self.p_value,
            "alpha": self.alpha,
            "method": self.method,
            "known": self.known,
            "unknown": self.unknown,
            "items": list(self.items),
            "found_from": self.found_from,
            **self.details,
        }


def deal(items: Sequence[int], seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Deal items at random into two piles of one size (the first may have one more), each in order.

    Parameters
    ----------
    seed
        Kept secret until all were asked: whoever knows it knows which calls are the validator's.
    """
    shuffled = randomness.Random(seed).sample(items, len(items))  # noqa: S311 - dealt, no secret
    half = (len(items) + 1) // 2
    return tuple(sorted(shuffled[:half])), tuple(sorted(shuffled[half:]))


def favoured(
    known: Sequence[float],
    unknown: Sequence[float],
    *,
    alpha: float = ALPHA,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Favour:
    """Test whether a known asker's scores are better than an unknown one's.

    Parameters
    ----------
    known, unknown
        Scores of items that were dealt at random, from 0 to 1.
    alpha
        At most this part of the honest endpoints is accused.
    permutations
        Of scores that are not only 0 and 1; those have an exact test.
    seed
        Draws them.

    Raises
    ------
    InputError
        A side has no scores, or one that is none.
    """
    _check(known, unknown)
    both = [*known, *unknown]
    if all(score in {0.0, 1.0} for score in both):
        method = "fisher"
        p_value = _fisher(int(sum(known)), len(known), int(sum(both)), len(both))
    else:
        method = "permutation"
        p_value = _permuted(known, unknown, permutations, seed)
    return Favour(
        accused=p_value <= alpha,
        p_value=p_value,
        alpha=alpha,
        method=method,
        known=_mean(known),
        unknown=_mean(unknown),
        items=(len(known), len(unknown)),
        found_from=_found_from(len(known), len(unknown), _mean(known), alpha),
    )


def compare_reports(
    known: dict[str, Any],
    unknown: dict[str, Any],
    *,
    alpha: float = ALPHA,
    repeats: bool = False,
    seed: int = 0,
) -> Favour:
    """Compare a report that was asked for by a known key with one asked for by an unknown one.

    Parameters
    ----------
    known, unknown
        Checked; of one benchmark.
    repeats
        Whether the model is known to repeat itself. Then, on items that both asked, a different
        output is evidence by itself; the score's test and this one get half of `alpha` each.

    Raises
    ------
    InputError
        They are of two benchmarks, or a report has no score.
    """
    if known["core"]["task"] != unknown["core"]["task"]:
        raise InputError("reports", found="of two benchmarks", wanted="two of one")
    left, right = _scored(known), _scored(unknown)
    shared = sorted(left.keys() & right.keys())
    part = alpha / 2 if repeats and shared else alpha
    if shared and left.keys() == right.keys():
        found = _paired([left[at] for at in shared], [right[at] for at in shared], part, seed)
    else:
        # What both asked says the same on both sides, so it is left out.
        found = favoured(
            [score for at, score in left.items() if at not in right],
            [score for at, score in right.items() if at not in left],
            alpha=part,
            seed=seed,
        )
    if not repeats or not shared:
        return found
    different = sum(
        canonical(one) != canonical(other)
        for one, other in zip(_outputs(known, shared), _outputs(unknown, shared), strict=True)
    )
    p_value = chance_of(different, len(shared), _SPOILT)
    details = {"compared": len(shared), "different": different, "p_value_of_scores": found.p_value}
    outputs = p_value < found.p_value
    return Favour(
        accused=min(p_value, found.p_value) <= part,
        p_value=min(1.0, 2 * min(p_value, found.p_value)),
        alpha=alpha,
        method="outputs" if outputs else found.method,
        known=found.known,
        unknown=found.unknown,
        items=found.items,
        found_from=found.found_from,
        details=details,
    )


def _paired(known: Sequence[float], unknown: Sequence[float], alpha: float, seed: int) -> Favour:
    """Compare item by item: where nobody is favoured, a difference has either sign as often."""
    _check(known, unknown)
    gaps = [one - other for one, other in zip(known, unknown, strict=True) if one != other]
    if all(abs(gap) == 1 for gap in gaps):
        p_value = chance_of(sum(gap > 0 for gap in gaps), len(gaps), 0.5)
    else:
        signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(PERMUTATIONS, len(gaps)))
        sums = np.einsum("ij,j->i", signs, np.asarray(gaps))
        p_value = _share(sums, math.fsum(gaps))
    return Favour(
        accused=p_value <= alpha,
        p_value=p_value,
        alpha=alpha,
        method="signs",
        known=_mean(known),
        unknown=_mean(unknown),
        items=(len(known), len(unknown)),
        found_from=None,
        details={"items_that_differ": len(gaps)},
    )


def _fisher(hits: int, size: int, all_hits: int, total: int) -> float:
    """Return the probability that as many hits or more were dealt to the first pile."""

    def log_ways(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    most = min(size, all_hits)
    every = log_ways(total, size)
    terms = (
        math.exp(log_ways(all_hits, k) + log_ways(total - all_hits, size - k) - every)
        for k in range(most, hits - 1, -1)
        if size - k <= total - all_hits
    )
    return min(1.0, math.fsum(terms))


def _permuted(
    known: Sequence[float], unknown: Sequence[float], permutations: int, seed: int
) -> float:
    random = np.random.default_rng(seed)
    both = np.asarray([*known, *unknown])
    # In pieces, which fit into memory however many scores there are.
    step = max(1, _AT_A_TIME // len(both))
    sums = [
        random.permuted(np.tile(both, (min(step, permutations - at), 1)), axis=1)[
            :, : len(known)
        ].sum(axis=1)
        for at in range(0, permutations, step)
    ]
    return _share(np.concatenate(sums), math.fsum(known))


def _share(drawn: np.ndarray[Any, np.dtype[np.float64]], observed: float) -> float:
    """Count the arrangements at least as far out as the observed one, itself included."""
    return float((drawn >= observed - _TIE).sum() + 1) / (len(drawn) + 1)


def _found_from(known: int, unknown: int, score: float, alpha: float) -> float | None:
    """Return the lead that would be found with 95 %, by the normal approximation."""
    from statistics import NormalDist

    usual = NormalDist()
    reach = usual.inv_cdf(1 - alpha) + usual.inv_cdf(_POWER)

    def seen(lead: float) -> bool:
        other = score - lead
        pooled = (known * score + unknown * other) / (known + unknown)
        spread = math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / known + 1 / unknown))
        return lead >= reach * spread

    if not seen(score):
        return None
    low, high = 0.0, score
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def _scored(report: dict[str, Any]) -> dict[int, float]:
    if report["core"]["score"] is None:
        raise InputError("report", found="one without a score", wanted="one that was measured")
    return {item["item"]: item["score"] for item in report["items"] if item["score"] is not None}


def _outputs(report: dict[str, Any], numbers: Sequence[int]) -> list[Any]:
    by_number = {
        item["item"]: [[ask["outcome"], ask["output"]] for ask in item["asks"]]
        for item in report["items"]
    }
    return [by_number[number] for number in numbers]


def _check(known: Sequence[float], unknown: Sequence[float]) -> None:
    if not known or not unknown:
        raise InputError(
            "scores",
            found=f"{len(known)} and {len(unknown)}",
            wanted="some on both sides",
            next_step="items that both asked are left out: draw each by another --seed",
        )
    for score in (*known, *unknown):
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise InputError("score", found=score, wanted="0 to 1")


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
