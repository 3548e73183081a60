"""A report is held to its own roots, to its task, and to the model."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.errors import InputError, NotFound
from tessera.serving.equality.verdict import Finding
from tessera.validation.answers import Ask
from tessera.validation.canonical import digest
from tessera.validation.draw import Draw
from tessera.validation.refusals import ReportWrong
from tessera.validation.report import (
    ModelName,
    build_report,
    check_against,
    check_report,
    read_report,
    write_report,
)
from tessera.validation.rerun import rerun, sample_of
from tessera.validation.running import items_to_ask, run
from tessera.validation.task import Benchmark

Change = Callable[[dict[str, Any]], object]


def right(ask: Ask) -> bytes:
    number = ask.fields["rows"][0][0]
    return as_json({"outputs": [{"label": int(number) % 3, "sure": number / 7}]})


@pytest.fixture
def task(tmp_path: Path) -> Benchmark:
    items = [{"input": [float(n)], "label": n % 3 if n % 5 else 9} for n in range(40)]
    more = '[scorer]\noutput = "label"'
    return benchmark(tmp_path / "task", "classification", items, more)


@pytest.fixture
async def report(task: Benchmark) -> dict[str, Any]:
    draw = Draw(bytes(32), ModelName("m").drawn_by, bytes(20), 25)
    found = await run(task, items_to_ask(task, draw), Written(right), about="m")
    return await build_report(task, ModelName("m"), found.measured, draw=draw, run={"cost": "0"})


async def test_a_report_comes_back_from_a_file_as_it_was(
    task: Benchmark, report: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    write_report(file, report)
    read = read_report(file)
    assert read == report
    await check_against(read, task)
    write_report(tmp_path / "again.json", read)
    assert file.read_bytes() == (tmp_path / "again.json").read_bytes()


def flip_score(report: dict[str, Any]) -> None:
    wrong = next(item for item in report["items"] if item["score"] == 0.0)
    wrong["score"] = 1.0


def swap_output(report: dict[str, Any]) -> None:
    report["items"][0]["asks"][0]["output"] = {"label": 1}


CHANGES: list[Change] = [
    flip_score,
    swap_output,
    lambda report: report["core"].update(score=1.0),
    lambda report: report["core"]["model"].update(name="other"),
    lambda report: report["items"].pop(),
    lambda report: report["items"].reverse(),
    lambda report: report["items"][0]["asks"][0].update(outcome="failed"),
    lambda report: report["items"][0].update(item=39),
    lambda report: report.update(root="0x" + "00" * 32),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_contradicts_a_root(report: dict[str, Any], change: Change) -> None:
    check_report(report)
    change(report)
    with pytest.raises(ReportWrong):
        check_report(report)


def rehashed(report: dict[str, Any]) -> dict[str, Any]:
    """What a forger does: everything that follows is computed again."""
    from tessera.validation.report import _figures, _outputs_root

    core = report["core"] | _figures(report["items"])
    core["outputs_root"] = "0x" + _outputs_root(report["items"]).hex()
    return {**report, "core": core, "root": "0x" + digest(core).hex()}


@pytest.mark.parametrize("change", [flip_score, *CHANGES[4:6], CHANGES[7]])
async def test_a_forger_who_hashes_again_contradicts_the_task(
    task: Benchmark, report: dict[str, Any], change: Change
) -> None:
    change(report)
    forged = rehashed(report)
    check_report(forged)
    with pytest.raises(ReportWrong):
        await check_against(forged, task)


@pytest.mark.parametrize("output", [7, "text", [], None, {"label": [1]}, {}], ids=repr)
async def test_outputs_as_no_run_writes_them_are_refused_or_score_0(
    task: Benchmark, report: dict[str, Any], output: Any
) -> None:
    report["items"][1]["asks"][0]["output"] = output
    with pytest.raises(ReportWrong):
        await check_against(rehashed(report), task)


async def test_another_task_is_said(
    task: Benchmark, report: dict[str, Any], tmp_path: Path
) -> None:
    other = benchmark(tmp_path / "other", "classification", [{"input": [1.0], "label": 1}])
    with pytest.raises(ReportWrong, match="the benchmark that it was made with"):
        await check_against(report, other)


async def test_items_that_were_not_drawn_are_refused(
    task: Benchmark, report: dict[str, Any]
) -> None:
    """Whoever picks the items on which his model is good has another draw than its seed gives."""
    picked = copy.deepcopy(report)
    picked["core"]["draw"]["seed"] = "0x" + "11" * 32
    with pytest.raises(ReportWrong, match="drawn"):
        await check_against(rehashed(picked), task)


async def test_a_draw_for_another_model_is_refused(task: Benchmark, report: dict[str, Any]) -> None:
    """The seed is nobody's choice, but whoever could name any model would name one until it drew
    the items on which his own is good."""
    other = Draw(bytes(32), bytes(32), bytes(20), 25)
    found = await run(task, items_to_ask(task, other), Written(right), about="m")
    chosen = await build_report(task, ModelName("m"), found.measured, draw=other)
    with pytest.raises(ReportWrong, match="this model's"):
        await check_against(chosen, task)
    with pytest.raises(ReportWrong, match="that of the round"):
        await check_against(chosen, task, round_=b"\1" * 32)
    await check_against(chosen, task, round_=bytes(32))


async def test_asked_again_an_honest_report_is_the_same(
    task: Benchmark, report: dict[str, Any]
) -> None:
    verdict = await rerun(report, task, Written(right), sample_of(report, 10, 1))
    assert (verdict.finding, verdict.samples) == (Finding.SAME, 10)


async def test_asked_again_another_machines_last_bits_are_noise(
    task: Benchmark, report: dict[str, Any]
) -> None:
    def nearly(ask: Ask) -> bytes:
        number = ask.fields["rows"][0][0]
        return as_json({"outputs": [{"label": int(number) % 3, "sure": number / 7 * (1 + 1e-9)}]})

    verdict = await rerun(report, task, Written(nearly), sample_of(report, 25, 1))
    assert verdict.finding is Finding.SAME
    assert verdict.details["within_noise"] != 0


async def test_outputs_that_were_made_up_are_found(task: Benchmark, report: dict[str, Any]) -> None:
    """Half of a report is made up, and all roots and scores are computed again. Five items that
    are asked again find it 97 times of 100; here it is ten."""
    for item in report["items"][::2]:
        item["asks"][0]["output"] = {"label": 1, "sure": 0.5}
        item["score"] = float(task.items[item["item"]]["label"] == 1)
    forged = rehashed(report)
    await check_against(forged, task)
    verdict = await rerun(forged, task, Written(right), sample_of(forged, 10, 1))
    assert verdict.accuses
    assert verdict.p_value < 1e-6


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "tessera.report.v2"}', '{"format": "tessera.report.v1"}']
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"tessera\.report\.v1"):
        read_report(file)


def test_a_field_of_the_wrong_type_is_refused(report: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps({**report, "items": [{"item": "x"}]}))
    with pytest.raises(InputError):
        read_report(file)
    with pytest.raises(NotFound):
        read_report(tmp_path / "none.json")
