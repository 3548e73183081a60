"""Scores as a row of weights, exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.validation.refusals import MalformedScores
from tessera.validation.weights import MAX_WEIGHT, merit, row_of, row_of_reports


def test_the_largest_is_65535_and_zeros_are_kept() -> None:
    assert row_of([(3, 0.5), (1, 1.0), (2, 0.0)]) == ((1, 65_535), (2, 0), (3, 32_768))


def test_all_zeros_stay_zeros_and_nothing_stays_nothing() -> None:
    assert row_of([(1, 0.0), (2, 0)]) == ((1, 0), (2, 0))
    assert row_of([]) == ()


def test_a_weight_is_rounded_half_up() -> None:
    """floor((2 v 65535 / max + 1) / 2): v = 1 of 131,070 is exactly a half."""
    assert row_of([(0, 131_070), (1, 1), (2, 3)]) == ((0, 65_535), (1, 1), (2, 2))
    assert row_of([(0, 131_071), (1, 1)]) == ((0, 65_535), (1, 0))


@pytest.mark.parametrize("bad", [-1.0, -0.1, math.nan, math.inf, -math.inf])
def test_what_is_no_score_is_refused(bad: float) -> None:
    with pytest.raises(MalformedScores, match="uid 2"):
        row_of([(1, 1.0), (2, bad)])


@pytest.mark.parametrize("uid", [-1, 65_536, True])
def test_what_is_no_uid_is_refused(uid: int) -> None:
    with pytest.raises(MalformedScores, match="0 to 65535"):
        row_of([(uid, 1.0)])


def test_a_score_larger_than_any_float_is_a_score() -> None:
    assert row_of([(1, 10**400), (2, 5 * 10**399)]) == ((1, 65_535), (2, 32_768))


def test_a_uid_comes_once() -> None:
    with pytest.raises(MalformedScores, match="two scores"):
        row_of([(1, 1.0), (1, 0.5)])


@given(
    st.dictionaries(
        st.integers(0, 65_535), st.floats(0, 1e300, allow_nan=False), min_size=1, max_size=20
    )
)
def test_a_row_keeps_the_order_of_scores_and_its_scale_does_not_matter(
    scores: dict[int, float],
) -> None:
    row = dict(row_of(scores.items()))
    assert set(row) == set(scores)
    assert max(row.values()) in {0, MAX_WEIGHT}
    for one, score in scores.items():
        for other, more in scores.items():
            assert not (score <= more and row[one] > row[other])
    scaled = row_of((uid, Fraction(score) * 7) for uid, score in scores.items())
    assert dict(scaled) == row


def test_merit_is_what_is_above_a_guess() -> None:
    assert merit(1.0, 0.5) == 1
    assert merit(0.75, 0.5) == Fraction(1, 2)
    assert merit(0.4, 0.5) == 0
    for score, chance in ((1.1, 0.0), (math.nan, 0.0), (0.5, 1.0), (0.5, -0.1)):
        with pytest.raises(MalformedScores):
            merit(score, chance)


def report(score: float | None, *, task: str = "t", chance: float = 0.5) -> dict[str, Any]:
    return {"core": {"task": task, "draw": None, "score": score, "chance": chance}}


def test_reports_give_a_row_by_merit() -> None:
    found = row_of_reports({4: report(0.75), 2: report(1.0), 3: report(None), 1: report(0.5)})
    assert found == ((1, 0), (2, 65_535), (3, 0), (4, 32_768))


def test_reports_of_two_benchmarks_or_draws_are_no_row() -> None:
    with pytest.raises(MalformedScores, match="one benchmark and draw"):
        row_of_reports({1: report(0.5), 2: report(0.5, task="other")})
    drawn = report(0.5)
    drawn["core"]["draw"] = {"seed": "1", "validator": "2", "count": 3, "shared_bps": 4}
    with pytest.raises(MalformedScores, match="one benchmark and draw"):
        row_of_reports({1: report(0.5), 2: drawn})
