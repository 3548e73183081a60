"""The run that misses a refusal fails, and names it; a part of a run is judged by nobody."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.contracts import refusals


def session(args: list[str], **options: Any) -> Any:
    option = SimpleNamespace(**{"keyword": "", "ignore": None, "deselect": None, **options})
    return SimpleNamespace(config=SimpleNamespace(args=args, option=option), exitstatus=0)


def verdict(run: Any) -> int:
    refusals.pytest_sessionfinish(run, pytest.ExitCode.OK)
    return int(run.exitstatus)


def test_there_are_reasons() -> None:
    assert "orders: filled or cancelled" in refusals.reasons()
    assert len(refusals.reasons()) > 250


def test_a_run_of_all_fails_for_what_nobody_provoked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_here", set)
    monkeypatch.setattr(refusals, "_provoked", refusals.reasons() - {"orders: filled or cancelled"})
    assert verdict(session(["tests"])) == pytest.ExitCode.TESTS_FAILED
    assert verdict(session(["tests/contracts/"])) == pytest.ExitCode.TESTS_FAILED
    assert verdict(session(["tests"], keyword="orders")) == 0
    assert verdict(session(["tests/contracts/unit"])) == 0

    lines: list[str] = []
    reporter: Any = SimpleNamespace(write_line=lambda line, **_: lines.append(line))
    refusals.pytest_terminal_summary(reporter, 0, session(["tests"]).config)
    assert lines == ["no test provokes the refusal: orders: filled or cancelled"]


def test_what_a_worker_provoked_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_provoked", set())
    monkeypatch.setattr(refusals, "_here", refusals.reasons)
    worker = session(["tests"])
    worker.config.workeroutput = {}
    assert verdict(worker) == 0

    monkeypatch.setattr(refusals, "_here", set)
    refusals.pytest_testnodedown(worker.config, None)
    assert verdict(session(["tests"])) == 0
