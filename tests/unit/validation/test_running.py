"""A run: what it asks, what it may cost, and how it goes on after an end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.client.consumer import Client
from tessera.errors import BackendFailed, Conflict, PaymentRequired, WrongVersionServed
from tessera.serving.runner import Identity
from tessera.validation.answers import Ask
from tessera.validation.draw import Draw
from tessera.validation.endpoints import Served, body_of
from tessera.validation.report import ModelName, build_report
from tessera.validation.running import Finished, Limits, items_to_ask, run
from tessera.validation.task import Benchmark


@pytest.fixture
def task(tmp_path: Path) -> Benchmark:
    items = [{"input": [float(n)], "label": n % 3} for n in range(30)]
    return benchmark(tmp_path / "task", "classification", items)


def third(ask: Ask) -> bytes:
    return as_json({"outputs": [{"label": int(ask.fields["rows"][0][0]) % 3}]})


async def finished(task: Benchmark, endpoint: Written, **options: Any) -> Finished:
    return await run(task, items_to_ask(task, None), endpoint, about="m", **options)


async def root(task: Benchmark, found: Finished) -> str:
    report = await build_report(task, ModelName("m"), found.measured)
    return str(report["root"])


async def test_two_runs_of_a_model_that_repeats_itself_have_one_root(task: Benchmark) -> None:
    one, other = Written(third), Written(third, cost=7)
    first = await finished(task, one, limits=Limits(at_once=1))
    second = await finished(task, other, limits=Limits(at_once=9))
    assert await root(task, first) == await root(task, second)
    assert (first.cost, second.cost) == (0, 210)
    # Not in the order of the list, and in another one each time.
    orders = [[ask.fields["rows"][0][0] for ask in end.asked] for end in (one, other)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


async def test_one_other_answer_is_another_root(task: Benchmark) -> None:
    def nearly(ask: Ask) -> bytes:
        right = third(ask)
        return right.replace(b"2", b"2.0") if ask.fields["rows"] == [[29.0]] else right

    first = await finished(task, Written(third))
    second = await finished(task, Written(nearly))
    assert await root(task, first) != await root(task, second)


async def test_a_run_that_was_ended_goes_on_without_asking_again(
    task: Benchmark, tmp_path: Path
) -> None:
    """An operator goes away in the middle, and comes back."""
    journal = tmp_path / "run.jsonl"
    broken = Written(lambda ask: BackendFailed("gateway") if len(broken.asked) > 12 else third(ask))
    broken._cost = 5
    with pytest.raises(BackendFailed):
        await finished(task, broken, journal=journal)
    lines = journal.read_bytes().splitlines()
    assert len(lines) >= 13
    # A kill in the middle of a line leaves half of one.
    journal.write_bytes(b"\n".join(lines) + b"\n" + lines[-1][:20])
    again = Written(third, cost=5)
    found = await finished(task, again, journal=journal)
    assert found.resumed == len(lines) - 1
    assert len(again.asked) == 30 - found.resumed
    assert found.cost == 150
    assert await root(task, found) == await root(task, await finished(task, Written(third)))
    # And once more asks nothing.
    idle = Written(third)
    assert (await finished(task, idle, journal=journal)).resumed == 30
    assert not idle.asked


async def test_a_journal_of_another_run_is_refused(task: Benchmark, tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    await finished(task, Written(third), journal=journal)
    with pytest.raises(Conflict, match="delete the file"):
        await run(task, items_to_ask(task, None), Written(third), about="other", journal=journal)


async def test_a_budget_is_never_passed_and_what_was_answered_is_kept(
    task: Benchmark, tmp_path: Path
) -> None:
    journal = tmp_path / "run.jsonl"
    endpoint = Written(third, cost=10)
    with pytest.raises(PaymentRequired, match="kept"):
        await finished(task, endpoint, journal=journal, limits=Limits(at_once=8, budget=95))
    assert len(endpoint.asked) == 9
    more = Written(third, cost=10)
    found = await finished(task, more, journal=journal, limits=Limits(budget=300))
    assert (found.cost, found.resumed, len(more.asked)) == (300, 9, 21)


async def test_a_version_that_changes_on_the_way_ends_the_run(task: Benchmark) -> None:
    count = iter(range(100))

    def served() -> Served:
        return Served(5, 1 if next(count) < 10 else 2, Identity.HASHED)

    with pytest.raises(WrongVersionServed, match="begin again"):
        await finished(task, Written(third, cost=1, served=served))


async def test_a_failure_of_one_item_is_that_items(task: Benchmark) -> None:
    def answer(ask: Ask) -> bytes | Exception:
        return ValueError("broke") if ask.fields["rows"] == [[4.0]] else third(ask)

    found = await finished(task, Written(answer))
    core = (await build_report(task, ModelName("m"), found.measured))["core"]
    assert core["outcomes"] == {"answered": 29, "failed": 1}
    assert core["score"] == 29 / 30
    assert found.why == "broke"


async def test_drawn_items_only_are_asked(task: Benchmark) -> None:
    draw = Draw(bytes(32), bytes(32), bytes(20), 5)
    endpoint = Written(third)
    found = await run(task, items_to_ask(task, draw), endpoint, about="m")
    assert len(endpoint.asked) == 5
    assert found.measured.numbers == draw.of(range(30))


def test_a_validators_body_is_that_of_any_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that answers well only for validators must not tell them by their JSON."""
    sent: list[bytes] = []

    class Heard(Client):
        def __init__(self) -> None:
            pass

        def _reach(self, method: str, path: str, **options: Any) -> Any:
            import httpx

            request = httpx.Request(method, "http://x" + path, **options)
            sent.append(request.content)
            return httpx.Response(200, content=b'{"outputs": [], "data": []}')

    client = Heard()
    client.predict("digits", [[1.0, 2, "é"]])
    client.classify("moods", ["so-so"])
    ours = [
        body_of("digits", Ask("/v1/predict", {"rows": [[1.0, 2, "é"]]})),
        body_of("moods", Ask("/v1/classify", {"input": ["so-so"]})),
    ]
    assert sent == ours
    assert json.loads(ours[0])["model"] == "digits"
