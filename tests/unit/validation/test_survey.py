"""Surveys: two payers, one score; who answers well only for validators; kills and budgets."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.errors import BackendFailed, DataError, InputError, PaymentRequired, WrongVersionServed
from tessera.serving.runner import Identity
from tessera.validation.answers import Ask
from tessera.validation.endpoints import Served
from tessera.validation.report import ModelName, Report, check_against
from tessera.validation.rounds import Place
from tessera.validation.survey import (
    Subject,
    Survey,
    SurveyFolder,
    bounds,
    decided,
    judge,
    measure,
    most_items,
)
from tessera.validation.task import Benchmark

ITEMS = 60
VALIDATOR = "0x" + "11" * 20
PLACE = Place(31_337, "0x" + "22" * 20, 1, 7, VALIDATOR)
ROOT = "0x" + "33" * 32
NAME = ModelName("mean", content_root=ROOT)
PAYERS = (VALIDATOR, "0x" + "44" * 20)


@pytest.fixture
def task(tmp_path: Path) -> Benchmark:
    items = [{"input": [float(number)], "label": number % 2} for number in range(100)]
    return benchmark(tmp_path / "task", "classification", items, "chance = 0.5")


@pytest.fixture
def survey(task: Benchmark) -> Survey:
    return decided(PLACE, task, bytes(32), ITEMS, 10**6, [(0, 5), (1, 6), (2, 7)])


def subject(uid: int = 0, most: tuple[int, int] = (10**6, 10**6)) -> Subject:
    return Subject(uid, "5", "mean", 1, ROOT, "0x" + "55" * 20, "https://gateway", most)


def knows(ask: Ask) -> bytes:
    return as_json({"outputs": [{"label": int(ask.fields["rows"][0][0]) % 2}]})


def guesses(_ask: Ask) -> bytes:
    return as_json({"outputs": [{"label": 0}]})


async def surveyed(
    task: Benchmark, survey: Survey, folder: SurveyFolder, known: Written, unknown: Written,
    model: Callable[[Served | None], ModelName] = lambda _served: NAME,
    which: Subject | None = None,
) -> Report:  # fmt: skip
    return await measure(
        task, survey, which or subject(), folder, known, unknown, model=model, payers=PAYERS
    )


async def test_both_payers_make_one_report_that_anybody_can_check(
    task: Benchmark, survey: Survey, tmp_path: Path
) -> None:
    folder = SurveyFolder(tmp_path, PLACE)
    known, unknown = Written(knows, cost=3), Written(knows, cost=3)
    report = await surveyed(task, survey, folder, known, unknown)
    await check_against(report, task)
    assert (report["core"]["score"], report["core"]["scored"]) == (1.0, ITEMS)
    assert (len(known.asked), len(unknown.asked)) == (30, 30)
    assert not {repr(ask.fields) for ask in known.asked} & {
        repr(ask.fields) for ask in unknown.asked
    }
    assert report["run"]["cost"] == str(3 * ITEMS)
    assert report["run"]["favour"]["favoured"] is False
    # A second start asks nothing.
    assert await surveyed(task, survey, folder, known, unknown) == report
    assert len(known.asked) == 30
    (judged, *rest) = judge(survey, {0: report}, {1: "its gateway does not answer"})
    assert (judged.weight, judged.score, "1.0000 accuracy" in judged.why) == (65_535, 1.0, True)
    assert [(each.weight, each.why) for each in rest] == [
        (0, "its gateway does not answer"),
        (0, "not measured in time"),
    ]
    folder.weighed((judged, *rest))


async def test_a_model_that_answers_well_only_for_validators_weighs_nothing(
    task: Benchmark, survey: Survey, tmp_path: Path
) -> None:
    """Its operator knows the validator's key and serves the promised model to it alone."""
    cheat = await surveyed(
        task, survey, SurveyFolder(tmp_path, PLACE), Written(knows), Written(guesses)
    )
    honest = await surveyed(
        task,
        survey,
        SurveyFolder(tmp_path, PLACE),
        Written(knows),
        Written(knows),
        which=subject(1),
    )
    assert cheat["core"]["score"] > 0.6
    found, other, _ = judge(survey, {0: cheat, 1: honest}, {})
    assert (found.weight, other.weight) == (0, 65_535)
    assert found.why.startswith("answers well only for validators: 1.0000 for the known key")
    assert found.favour is not None
    assert found.favour["p_value"] < 0.001


async def test_a_model_that_guesses_weighs_nothing(
    task: Benchmark, survey: Survey, tmp_path: Path
) -> None:
    folder = SurveyFolder(tmp_path, PLACE)
    empty = Written(lambda _ask: as_json({"outputs": [{}]}))
    report = await surveyed(task, survey, folder, empty, Written(guesses))
    assert judge(survey, {0: report}, {})[0].weight == 0
    assert "which guessing reaches" in judge(survey, {0: report}, {})[0].why


async def test_after_a_kill_nothing_is_asked_twice(
    task: Benchmark, survey: Survey, tmp_path: Path
) -> None:
    """It is cancelled in the middle, which leaves what a kill leaves: journals and no report."""
    folder, asked = SurveyFolder(tmp_path, PLACE), 0
    folder.decide(survey)
    enough = asyncio.Event()

    class Slow(Written):
        async def ask(self, ask: Ask) -> Any:
            nonlocal asked
            asked += 1
            if asked == 20:
                enough.set()
            if enough.is_set():
                await asyncio.Event().wait()
            return await super().ask(ask)

    first = Slow(knows, cost=3), Slow(knows, cost=3)
    work = asyncio.create_task(surveyed(task, survey, folder, *first))
    async with asyncio.timeout(10):
        await enough.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    again = Written(knows, cost=3), Written(knows, cost=3)
    kept = folder.survey()
    assert kept == survey
    report = await surveyed(task, kept, SurveyFolder(tmp_path, PLACE), *again)
    answered = sum(len(each.asked) for each in (*first, *again))
    assert answered == ITEMS
    assert report["run"]["resumed"] == ITEMS - sum(len(each.asked) for each in again) > 0
    assert report["run"]["cost"] == str(3 * ITEMS)
    whole = await surveyed(task, survey, SurveyFolder(tmp_path / "b", PLACE), *again)
    assert whole["root"] == report["root"]


async def test_no_more_is_spent_than_was_planned(
    task: Benchmark, survey: Survey, tmp_path: Path
) -> None:
    """The gateway raises its price after the survey was decided."""
    folder = SurveyFolder(tmp_path, PLACE)
    folder.decide(survey)
    planned = subject(most=bounds(task, survey, subject(), Written(knows, cost=3)))
    folder.begin(planned)
    assert (planned.most, folder.spent()) == ((90, 90), 180)
    dearer = Written(knows, cost=4), Written(knows, cost=4)
    with pytest.raises(PaymentRequired):
        await surveyed(task, survey, folder, *dearer, which=planned)
    assert 4 * sum(len(each.asked) for each in dearer) <= 180


async def test_two_payers_and_two_versions_are_refused(
    task: Benchmark, survey: Survey, tmp_path: Path
) -> None:
    sides = [
        Written(knows, cost=1, served=lambda version=version: Served(5, version, Identity.HASHED))  # type: ignore[misc]
        for version in (1, 2)
    ]
    with pytest.raises(WrongVersionServed, match="for the unknown payer"):
        await surveyed(task, survey, SurveyFolder(tmp_path, PLACE), *sides)


async def test_an_outage_of_one_side_keeps_the_others_answers(
    task: Benchmark, survey: Survey, tmp_path: Path
) -> None:
    folder = SurveyFolder(tmp_path, PLACE)
    down = Written(lambda _ask: BackendFailed("gateway", found="nothing", wanted="an answer"))
    known = Written(knows)
    with pytest.raises(BackendFailed):
        await surveyed(task, survey, folder, known, down)
    await surveyed(task, survey, folder, known, Written(knows))
    assert len(known.asked) == 30


def test_items_are_as_many_as_the_budget_covers(task: Benchmark) -> None:
    assert most_items(task, 200, 10**6, lambda count: 3 * count) == 100
    assert most_items(task, 50, 10**6, lambda count: 3 * count) == 50
    assert most_items(task, 200, 100, lambda count: 3 * count) == 33
    assert most_items(task, 200, 0, lambda _count: 0) == 100
    with pytest.raises(InputError, match="--budget"):
        most_items(task, 200, 5, lambda count: 3 * count)


def test_what_is_damaged_is_named(survey: Survey, tmp_path: Path) -> None:
    folder = SurveyFolder(tmp_path, PLACE)
    assert folder.survey() is None
    assert folder.report(0) is None
    folder.decide(dataclasses.replace(survey, items=3))
    (folder.path / "survey.json").write_text("{")
    with pytest.raises(DataError, match=r"survey\.json"):
        folder.survey()
