"""The first red flag: claims of performance, and the ways to make an empty one look proved."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.folders import Written, as_json, write_benchmark

from tessera.diligence.claims import (
    ClaimKind,
    ClaimStatus,
    assess,
    assess_claim,
    judge,
    kind_of,
)
from tessera.diligence.results import Severity
from tessera.diligence.subject import BenchmarkClaim, Subject
from tessera.diligence.view import View
from tessera.facts import Facts, Head
from tessera.facts.memory import Memory
from tessera.validation.answers import Ask
from tessera.validation.canonical import digest
from tessera.validation.draw import Draw
from tessera.validation.report import ModelName, build_report, write_report
from tessera.validation.running import items_to_ask, run
from tessera.validation.task import open_benchmark

TOKEN = "0x" + "1" * 40
ITEMS = 240


def view_of(subject: Subject) -> View:
    return View(Facts(Memory(chain_id=1, newest=Head(9, 2_000), held={})), subject)


def answers(ask: Ask) -> bytes:
    number = int(ask.fields["rows"][0][0])
    return as_json({"outputs": [{"label": 1 if number % 10 else 0}]})


def items(count: int = ITEMS) -> list[dict[str, Any]]:
    return [{"input": [float(n)], "label": 1} for n in range(count)]


async def reported(
    folder: Path, listed: list[dict[str, Any]], *, drawn: int = 0, kept: str = "report.json"
) -> dict[str, Any]:
    """Run a model that is right nine times of ten, and keep the report beside the benchmark."""
    write_benchmark(folder / "task", "classification", listed, '[scorer]\noutput = "label"')
    task = open_benchmark(folder / "task")
    draw = Draw(bytes(32), ModelName("m").drawn_by, bytes(20), drawn) if drawn else None
    found = await run(task, items_to_ask(task, draw), Written(answers), about="m")
    report = await build_report(task, ModelName("m"), found.measured, draw=draw)
    write_report(folder / kept, report)
    return report


def claimed(score: float | None, *, text: str = "90 % accuracy", **named: Any) -> BenchmarkClaim:
    return BenchmarkClaim(text=text, score=score, **{"benchmark": "task", **named})


@pytest.mark.parametrize(
    ("score", "status", "severity"),
    [
        (0.9, ClaimStatus.VERIFIED, Severity.CLEAR),
        (0.99, ClaimStatus.CONTRADICTED, Severity.SEVERE),
        (0.5, ClaimStatus.UNVERIFIABLE, Severity.FLAG),
    ],
)
async def test_a_number_is_held_against_outputs_that_are_scored_again(
    tmp_path: Path, score: float, status: ClaimStatus, severity: Severity
) -> None:
    report = await reported(tmp_path, items())
    claim = claimed(score, report="report.json")
    view = view_of(Subject(token=TOKEN, claims=(claim,), folder=str(tmp_path)))
    (found,) = assess(view)
    assert (found.status, found.score, found.items) == (status, 0.9, ITEMS)
    assert found.root == report["root"]
    flag = judge(view)
    assert (flag.name, flag.severity) == ("RF1", severity)


def forge(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    """A forger who knows the format changes a report and computes all its hashes again."""

    def forged(report: dict[str, Any]) -> None:
        from tessera.validation.report import _figures, _outputs_root

        change(report)
        core = report["core"]
        core["outputs_root"] = "0x" + _outputs_root(report["items"]).hex()
        core.update(_figures(report["items"]))
        report["root"] = "0x" + digest(core).hex()

    return forged


def _all_right(report: dict[str, Any]) -> None:
    for item in report["items"]:
        item["score"] = 1.0


def _fewer(report: dict[str, Any]) -> None:
    report["items"] = [item for item in report["items"] if item["score"]]


@pytest.mark.parametrize(
    "change", [forge(_all_right), forge(_fewer), lambda report: report["core"].update(score=1.0)]
)
async def test_a_forged_report_proves_nothing(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """Scores raised, wrong items left out, the total changed; the hashes are right again."""
    report = await reported(tmp_path, items())
    change(report)
    (tmp_path / "report.json").write_text(json.dumps(report))
    claim = claimed(1.0, report="report.json")
    found = assess_claim(claim, Subject(token=TOKEN, folder=str(tmp_path)))
    assert found.status is ClaimStatus.UNVERIFIABLE
    assert "no proof" in found.why


async def test_items_that_the_maker_drew_verify_nothing(tmp_path: Path) -> None:
    """An attacker tries seeds until the drawn items are those that its model knows."""
    await reported(tmp_path, items(400), drawn=ITEMS)
    claim = claimed(0.9, report="report.json")
    found = assess_claim(claim, Subject(token=TOKEN, folder=str(tmp_path)))
    assert found.status is ClaimStatus.UNVERIFIABLE
    assert "until it flatters" in found.why


async def test_one_item_many_times_is_one_item(tmp_path: Path) -> None:
    """A project publishes a benchmark of 300 items that are all the same easy one."""
    await reported(tmp_path, [{"input": [1.0], "label": 1}] * 300)
    claim = claimed(1.0, report="report.json")
    found = assess_claim(claim, Subject(token=TOKEN, folder=str(tmp_path)))
    assert (found.status, found.items) == (ClaimStatus.UNVERIFIABLE, 1)


async def test_a_report_without_its_benchmark_cannot_be_scored_again(tmp_path: Path) -> None:
    await reported(tmp_path, items())
    subject = Subject(token=TOKEN, folder=str(tmp_path))
    for name in ("", "elsewhere"):
        found = assess_claim(claimed(0.9, report="report.json", benchmark=name), subject)
        assert found.status is ClaimStatus.UNVERIFIABLE
        assert "benchmark" in found.why


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_report_proves_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    claim = claimed(0.9, report="report.json")
    found = assess_claim(claim, Subject(token=TOKEN, folder=str(tmp_path)))
    assert found.status is ClaimStatus.UNVERIFIABLE


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda place: place.symlink_to(place)])
def test_a_report_that_is_no_file_proves_nothing(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "report.json")
    claim = claimed(0.9, report="report.json")
    found = assess_claim(claim, Subject(token=TOKEN, folder=str(tmp_path)))
    assert found.status is ClaimStatus.UNVERIFIABLE


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("state of the art", ClaimKind.SUPERLATIVE),
        ("Ｓｔａｔｅ‑of‑the–art reasoning", ClaimKind.SUPERLATIVE),
        ("S\u200bO\u200bT\u200bA", ClaimKind.SUPERLATIVE),
        ("outperforms every open model", ClaimKind.SUPERLATIVE),
        ("GPT-4-level answers", ClaimKind.SUPERLATIVE),
        ("92 % on everything", ClaimKind.NUMBER),
        ("3x faster than others", ClaimKind.NUMBER),
        ("MMLU of 88", ClaimKind.NUMBER),
        ("scores 99 on our proprietary intelligence benchmark", ClaimKind.PRIVATE),
        ("fast, friendly and decentralized", ClaimKind.VAGUE),
        ("the best community", ClaimKind.VAGUE),
    ],
)
def test_claims_are_told_apart_however_they_are_written(text: str, kind: ClaimKind) -> None:
    assert kind_of(BenchmarkClaim(text=text)) is kind


def test_a_superlative_without_outputs_is_flagged_and_a_vague_word_is_not() -> None:
    best = BenchmarkClaim(text="state of the art", endpoint="https://api.example/v1")
    vague = BenchmarkClaim(text="powered by community")
    flag = judge(view_of(Subject(token=TOKEN, claims=(best, vague))))
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "unverifiable")
    assert flag.text == "1 of 1 claim cannot be verified by anybody"
    flag = judge(view_of(Subject(token=TOKEN, claims=(vague,))))
    assert (flag.severity, flag.verdict) == (Severity.UNDECIDED, "absent")


def test_an_endpoint_that_nobody_asked_is_undecided_and_no_pass() -> None:
    claim = claimed(0.9, endpoint="https://api.example/v1")
    flag = judge(view_of(Subject(token=TOKEN, claims=(claim,))))
    assert (flag.severity, flag.verdict) == (Severity.UNDECIDED, "unmeasured")


def test_nothing_listed_is_undecided_and_no_pass() -> None:
    flag = judge(view_of(Subject(token=TOKEN)))
    assert flag.severity is Severity.UNDECIDED
    assert "about.toml" in flag.text
