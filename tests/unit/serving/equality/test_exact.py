"""Answers compared one by one: what counts as the same, and what may be said about the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import InputError
from tessera.serving.equality.exact import (
    Item,
    Likeness,
    chance_of,
    compare,
    items_of,
    least_share_found,
    vector_item,
)
from tessera.serving.equality.verdict import ALPHA, Finding, judge_answers
from tessera.serving.runner import (
    ChatResult,
    Choice,
    ClassifyResult,
    EmbeddingsResult,
    PredictResult,
    Task,
    Units,
)

ONE = Units(1)


def vectors(count: int, seed: int = 1) -> list[Item]:
    return [
        vector_item(row.tolist()) for row in np.random.default_rng(seed).normal(size=(count, 8))
    ]


def moved(items: list[Item], part: float, seed: int = 2) -> list[Item]:
    """Move every number by a part of the answer's largest."""
    random = np.random.default_rng(seed)
    return [
        Item(i.shape, i.numbers + part * np.abs(i.numbers).max() * random.uniform(-1, 1, 8), ())
        for i in items
    ]


def test_equal_numbers_are_identical_and_last_bits_are_noise() -> None:
    own = vectors(20)
    assert compare(own, own).count(Likeness.IDENTICAL) == 20
    found = compare(moved(own, 9e-6), own)
    assert found.count(Likeness.NOISE) == 20
    assert judge_answers(found).finding is Finding.SAME


def test_small_differences_everywhere_are_close_and_large_ones_are_not() -> None:
    own = vectors(50)
    close = judge_answers(compare(moved(own, 0.02), own))
    assert (close.finding, close.accuses) == (Finding.CLOSE, True)
    assert close.p_value < 1e-100
    far = judge_answers(compare(vectors(50, seed=9), own))
    assert far.finding is Finding.DIFFERENT


def test_a_common_part_of_all_answers_does_not_make_another_model_close() -> None:
    """Vectors of two models can point nearly the same way, all of them, whatever was asked."""
    shift = np.full(8, 100.0)
    own = [Item(i.shape, i.numbers + shift, ()) for i in vectors(50)]
    other = [Item(i.shape, i.numbers + shift, ()) for i in vectors(50, seed=9)]
    assert judge_answers(compare(other, own)).finding is Finding.DIFFERENT


def test_one_spoilt_answer_of_200_accuses_nobody_and_two_do() -> None:
    own = vectors(200)
    for spoilt, finding in ((1, Finding.NOT_TOLD_APART), (2, Finding.DIFFERENT)):
        theirs = vectors(spoilt, seed=9) + own[spoilt:]
        verdict = judge_answers(compare(theirs, own))
        assert verdict.details["different"] == spoilt
        assert verdict.finding is finding or verdict.finding is Finding.CLOSE
        assert verdict.accuses is (spoilt == 2)


def test_right_numbers_with_another_decision_are_no_noise() -> None:
    """An operator sends the right scores and another label."""
    (own,) = items_of(ClassifyResult([{"good": 0.9, "bad": 0.1}], ONE))
    other = Item(own.shape, own.numbers, ("bad",))
    assert compare([other], [own]).count(Likeness.DIFFERENT) == 1


def test_answers_of_another_shape_are_infinitely_far_and_the_json_has_no_infinity() -> None:
    own = vectors(10)
    short = [vector_item([1.0, 2.0]) for _ in own]
    verdict = judge_answers(compare(short, own))
    assert verdict.finding is Finding.DIFFERENT
    assert verdict.as_json()["typical_distance"] is None


def test_every_kind_of_result_is_taken_apart() -> None:
    assert items_of(EmbeddingsResult([[1.0, 2.0]], ONE))[0].shape == (("embedding", 2),)
    (scores,) = items_of(ClassifyResult([{"b": 0.7, "a": 0.6}], ONE))
    assert (scores.decisions, scores.numbers.tolist()) == (("b",), [0.6, 0.7])
    (flags,) = items_of(ClassifyResult([{"b": 0.7, "a": 0.6}], ONE), Task.MODERATION)
    assert flags.decisions == ("a", "b")
    (row,) = items_of(PredictResult([{"digit": 3, "p": [0.5, 0.5], "name": "x"}], ONE))
    assert (row.decisions, row.numbers.tolist()) == (("3", "'x'"), [0.5, 0.5])
    (text,) = items_of(ChatResult((Choice("hello", "stop"),), ONE))
    assert text.decisions == ("hello", "stop")


def test_as_many_answers_are_needed_on_both_sides() -> None:
    with pytest.raises(InputError, match="as many of each"):
        compare(vectors(2), vectors(3))
    with pytest.raises(InputError, match="as many of each"):
        compare([], [])


@given(st.integers(1, 40), st.floats(1e-6, 0.999))
def test_the_chance_is_the_binomial_tail(trials: int, probability: float) -> None:
    for count in range(trials + 2):
        wanted = sum(
            math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k)
            for k in range(count, trials + 1)
        )
        assert chance_of(count, trials, probability) == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_the_share_that_would_be_found_is_stated() -> None:
    share = least_share_found(200, ALPHA, 1e-4)
    # Two different answers accuse; with this share there are two or more in 95 % of audits.
    assert chance_of(2, 200, share) == pytest.approx(0.95, abs=1e-6)
    assert 0.02 < share < 0.03
    assert least_share_found(1, 1e-9, 1e-4) == 1.0
