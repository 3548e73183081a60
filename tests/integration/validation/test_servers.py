"""Servers that refuse, break, or answer nonsense, on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.upstream import Upstream, running_upstream
from tests.unit.validation.folders import benchmark

from tessera.app.benchmarking import open_server
from tessera.errors import BackendFailed, TesseraError
from tessera.validation.report import ModelName, build_report
from tessera.validation.running import run

DOCUMENTS = [
    {"id": "d1", "document": "red"},
    {"id": "d2", "document": "green"},
    {"id": "q1", "query": "blood", "relevant": {"d1": 1}},
]
QUIZ = [{"question": "2 + 2?", "choices": ["3", "4"], "answer": 1}]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as server:
        yield server


async def core_of(
    upstream: Upstream, folder: Path, kind: str, items: list[Any], more: str = ""
) -> dict[str, Any]:
    task = benchmark(folder, kind, items, more)
    async with open_server(upstream.url, "tiny:latest", "a-key") as endpoint:
        finished = await run(task, tuple(range(len(items))), endpoint, about="")
    report = await build_report(task, ModelName("tiny:latest"), finished.measured)
    core: dict[str, Any] = report["core"]
    return core


async def test_a_server_is_asked_as_its_clients_ask_it(upstream: Upstream, tmp_path: Path) -> None:
    core = await core_of(upstream, tmp_path, "choice", QUIZ)
    assert core["status"] == "measured"
    assert upstream.asked[0]["model"] == "tiny:latest"
    assert upstream.headers[0]["authorization"] == "Bearer a-key"


async def test_log_probabilities_are_read_where_they_are_given(
    upstream: Upstream, tmp_path: Path
) -> None:
    core = await core_of(upstream, tmp_path, "choice", QUIZ, '[scorer]\nby = "logprobs"')
    assert core["outcomes"] == {"answered": 1}
    assert core["details"] == {"without_a_pick": 1}


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("400", "refused"), ("500", "failed"), ("huge", "malformed"), ("redirect", None)],
)
async def test_what_breaks_has_its_outcome_and_scores_0(
    upstream: Upstream, tmp_path: Path, mode: str, outcome: str | None
) -> None:
    upstream.mode = mode
    if outcome is None:
        with pytest.raises(TesseraError):
            await core_of(upstream, tmp_path, "choice", QUIZ)
        return
    core = await core_of(upstream, tmp_path, "choice", QUIZ)
    assert (core["outcomes"], core["score"]) == ({outcome: 1}, 0.0)


async def test_a_vector_of_nan_is_no_answer(upstream: Upstream, tmp_path: Path) -> None:
    upstream.mode = "nan"
    core = await core_of(upstream, tmp_path, "retrieval", DOCUMENTS)
    assert (core["outcomes"], core["score"]) == ({"malformed": 3}, 0.0)


async def test_a_wrong_key_ends_the_run_and_is_nobodys_score(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.mode = "401"
    with pytest.raises(TesseraError):
        await core_of(upstream, tmp_path, "choice", QUIZ)


async def test_a_server_that_is_not_there_ends_the_run(tmp_path: Path) -> None:
    task = benchmark(tmp_path, "choice", QUIZ)
    async with open_server("http://127.0.0.1:9/v1", "tiny") as endpoint:
        with pytest.raises(BackendFailed):
            await run(task, (0,), endpoint, about="")
