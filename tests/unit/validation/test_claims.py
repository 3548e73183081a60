"""Claims of a score, held against an interval."""

from __future__ import annotations

import math
import random

import pytest

from tessera.errors import InputError
from tessera.validation.claims import Standing, judge_claim, wilson


def test_the_interval_is_wilsons() -> None:
    """Computed by hand: 15 of 20 at 95 % (Newcombe 1998 gives 81 of 263 as 0.2553 to 0.3662)."""
    found = wilson(81 / 263, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    found = wilson(15 / 148, 148)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0624, 0.1605)


def test_the_interval_stays_within_0_and_1() -> None:
    none, all_of_them = wilson(0.0, 20), wilson(1.0, 29)
    assert none.low == 0.0
    assert round(none.high, 4) == 0.1611
    assert all_of_them.high == 1.0
    assert round(all_of_them.low, 4) == 0.8830


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """2,000 models of a true accuracy of 0.9, each measured on 200 items."""
    draw = random.Random(5)
    held = 0
    for _ in range(2_000):
        right = sum(draw.random() < 0.9 for _ in range(200))
        held += 0.9 in wilson(right / 200, 200)
    assert 0.93 < held / 2_000 < 0.97


@pytest.mark.parametrize(
    ("claimed", "items", "standing"),
    [
        (0.92, 200, Standing.VERIFIED),
        (0.90, 200, Standing.VERIFIED),
        (0.92, 199, Standing.UNVERIFIABLE),
        (0.99, 200, Standing.CONTRADICTED),
        (0.97, 20, Standing.UNVERIFIABLE),
        (1.0, 50, Standing.CONTRADICTED),
        (0.5, 200, Standing.UNVERIFIABLE),
    ],
)
def test_a_claim_is_verified_within_the_interval_of_200_items_only(
    claimed: float, items: int, standing: Standing
) -> None:
    judged = judge_claim(claimed, 0.9, items)
    assert judged.standing is standing, judged.why
    assert judged.interval is not None
    assert judged.interval.low < 0.9 < judged.interval.high


def test_a_claim_of_less_than_was_measured_is_about_something_else() -> None:
    assert "which is more" in judge_claim(0.5, 0.9, 1_000).why


def test_what_could_not_be_measured_is_unverifiable() -> None:
    for judged in (judge_claim(0.9, None, 0), judge_claim(0.9, 0.9, 500, proportion=False)):
        assert judged.standing is Standing.UNVERIFIABLE
        assert judged.as_json()["low"] is None


def test_more_confidence_is_a_wider_interval() -> None:
    usual, sure = wilson(0.9, 200), wilson(0.9, 200, 0.999)
    assert sure.low < usual.low < usual.high < sure.high


@pytest.mark.parametrize("claimed", [92.0, -0.1, math.nan, math.inf])
def test_what_is_no_score_is_refused(claimed: float) -> None:
    with pytest.raises(InputError, match="0.92"):
        judge_claim(claimed, 0.9, 200)


def test_what_has_no_interval_is_refused() -> None:
    for score, items, confidence in ((1.2, 10, 0.95), (0.5, 0, 0.95), (0.5, 10, 1.0)):
        with pytest.raises(InputError):
            wilson(score, items, confidence)
