"""Models that answer well only for validators, and honest ones that must not be accused."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.errors import InputError
from tessera.validation.answers import Ask
from tessera.validation.favour import compare_reports, deal, favoured
from tessera.validation.report import ModelName, build_report
from tessera.validation.running import run
from tessera.validation.task import Benchmark


def test_a_deal_uses_each_item_once_and_its_seed_decides() -> None:
    one, other = deal(range(101), 7)
    assert sorted((*one, *other)) == list(range(101))
    assert (len(one), len(other)) == (51, 50)
    assert deal(range(101), 7) == (one, other)
    assert deal(range(101), 8) != (one, other)


def test_the_exact_test_is_fishers() -> None:
    """The lady who tastes tea: 4 of 4 cups, of 8 with 4 of each kind, is 1 in 70."""
    found = favoured([1.0] * 4, [0.0] * 4)
    assert (found.method, found.p_value) == ("fisher", pytest.approx(1 / 70))
    assert favoured([1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]).p_value == pytest.approx(17 / 70)
    assert favoured([0.0] * 9, [0.0] * 9).p_value == pytest.approx(1)
    assert favoured([0.0] * 4, [1.0] * 4).p_value == pytest.approx(1)


@pytest.mark.parametrize("graded", [False, True])
def test_honest_models_are_accused_as_rarely_as_is_said(graded: bool) -> None:
    """200 honest ones at a rate of 5 %; each item has its own difficulty."""
    draw = random.Random(11)
    accused = 0
    for trial in range(200):
        items = [draw.betavariate(4, 1) for _ in range(60)]
        scores = items if graded else [float(draw.random() < item) for item in items]
        one, other = deal(range(60), trial)
        found = favoured(
            [scores[at] for at in one], [scores[at] for at in other],
            alpha=0.05, permutations=399, seed=trial,
        )  # fmt: skip
        accused += found.accused
    # 10 are expected at most, with a deviation of 3.1.
    assert accused <= 20


def test_a_model_that_is_worse_for_strangers_is_found() -> None:
    """0.9 for validators, 0.6 for who pays; 150 items each, one false alarm in a thousand."""
    draw = random.Random(3)
    found = 0
    for _ in range(100):
        known = [float(draw.random() < 0.9) for _ in range(150)]
        unknown = [float(draw.random() < 0.6) for _ in range(150)]
        found += favoured(known, unknown).accused
    assert found >= 98


def test_what_would_have_been_found_is_said_and_is_so() -> None:
    lead = favoured([1.0] * 180 + [0.0] * 20, [1.0] * 180 + [0.0] * 20).found_from
    assert lead is not None
    assert 0.1 < lead < 0.25
    draw = random.Random(4)
    found = sum(
        favoured(
            [float(draw.random() < 0.9) for _ in range(200)],
            [float(draw.random() < 0.9 - lead) for _ in range(200)],
        ).accused
        for _ in range(200)
    )
    assert found >= 180
    assert favoured([1.0], [1.0]).found_from is None


def test_a_model_that_is_better_for_strangers_is_not_accused() -> None:
    assert not favoured([0.0] * 50, [1.0] * 50).accused


@pytest.mark.parametrize(
    ("known", "unknown"), [([], [1.0]), ([1.0], []), ([math.nan], [1.0]), ([2.0], [1.0])]
)
def test_what_cannot_be_compared_is_refused(known: list[float], unknown: list[float]) -> None:
    with pytest.raises(InputError):
        favoured(known, unknown)


# --- Reports --------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path: Path) -> Benchmark:
    items = [{"input": [float(n)], "label": n % 3} for n in range(120)]
    return benchmark(tmp_path, "classification", items, '[scorer]\noutput = "label"')


def right(ask: Ask) -> bytes:
    number = ask.fields["rows"][0][0]
    return as_json({"outputs": [{"label": int(number) % 3, "sure": number / 7}]})


def careless(ask: Ask) -> bytes:
    """Wrong for every third number, and with other numbers."""
    number = ask.fields["rows"][0][0]
    label = int(number) % 3 if int(number) % 5 else 7
    return as_json({"outputs": [{"label": label, "sure": number / 8}]})


async def report(
    task: Benchmark, numbers: tuple[int, ...], answer: Callable[[Ask], bytes]
) -> dict[str, Any]:
    found = await run(task, numbers, Written(answer), about="")
    return await build_report(task, ModelName("m"), found.measured)


async def test_the_same_items_are_compared_one_by_one(task: Benchmark) -> None:
    every = tuple(range(120))
    good, bad = await report(task, every, right), await report(task, every, careless)
    found = compare_reports(good, bad)
    # 24 items differ, all in one direction.
    assert (found.method, found.accused) == ("signs", True)
    assert found.p_value == pytest.approx(2**-24)
    assert not compare_reports(good, good).accused
    assert not compare_reports(bad, good).accused


async def test_items_that_were_dealt_are_compared_as_two_piles(task: Benchmark) -> None:
    one, other = deal(range(120), 5)
    found = compare_reports(await report(task, one, right), await report(task, other, careless))
    assert (found.method, found.accused, found.items) == ("fisher", True, (60, 60))
    honest = compare_reports(await report(task, one, right), await report(task, other, right))
    assert not honest.accused


async def test_of_a_model_that_repeats_itself_another_output_is_enough(task: Benchmark) -> None:
    """An operator serves strangers a rounded copy: the labels are right, the numbers are not."""
    every = tuple(range(120))
    good = await report(task, every, right)

    def rounded(ask: Ask) -> bytes:
        return right(ask).replace(b'"sure": 1', b'"sure": 2')

    cheap = await report(task, every, rounded)
    assert not compare_reports(good, cheap).accused
    found = compare_reports(good, cheap, repeats=True)
    assert (found.method, found.accused) == ("outputs", True)
    assert found.details["different"] > 10
    assert not compare_reports(good, good, repeats=True).accused


async def test_one_spoilt_answer_accuses_nobody(task: Benchmark) -> None:
    every = tuple(range(120))
    good = await report(task, every, right)
    spoilt = copy.deepcopy(good)
    spoilt["items"][3]["asks"][0]["output"]["sure"] = 0.0
    assert not compare_reports(good, spoilt, repeats=True).accused


async def test_two_benchmarks_are_not_compared(task: Benchmark, tmp_path: Path) -> None:
    other = benchmark(tmp_path / "other", "classification", [{"input": [1.0], "label": 1}])
    with pytest.raises(InputError, match="two benchmarks"):
        compare_reports(await report(task, (0,), right), await report(other, (0,), right))
