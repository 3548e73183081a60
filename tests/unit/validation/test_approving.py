"""A report as a validator's word in a round of approvals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.errors import InputError
from tessera.spec.court import output_leaf, pool_leaf
from tessera.spec.places import NumberedTree, leads_to
from tessera.validation.answers import Ask
from tessera.validation.approving import approval_of, output_digest
from tessera.validation.draw import Draw
from tessera.validation.report import ModelName, build_report, check_against
from tessera.validation.running import items_to_ask, run
from tessera.validation.task import Benchmark

ROUND, SEED = b"\3" * 32, b"\5" * 32
DRAW = Draw(SEED, ROUND, b"\7" * 20, 200)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    items = [{"input": [float(n)], "label": n % 3 if n % 5 else 9} for n in range(500)]
    return benchmark(tmp_path_factory.mktemp("task"), "classification", items)


def answer(ask: Ask) -> bytes:
    return as_json({"outputs": [{"label": int(ask.fields["rows"][0][0]) % 3}]})


@pytest.fixture
async def report(task: Benchmark) -> dict[str, Any]:
    found = await run(task, items_to_ask(task, DRAW), Written(answer), about="")
    made = await build_report(task, ModelName("m"), found.measured, draw=DRAW)
    await check_against(made, task, round_=ROUND)
    return made


def test_the_benchmarks_root_is_that_of_the_pool(task: Benchmark) -> None:
    pool = NumberedTree([pool_leaf(at, one) for at, one in enumerate(task.digests)])
    assert task.items_root == pool.root


async def test_each_place_can_be_shown_to_a_contract(
    task: Benchmark, report: dict[str, Any]
) -> None:
    said = approval_of(report, task, threshold=700_000)
    assert len(said.leaves) == 200
    places = DRAW.by_place(task.eligible)
    asks = {item["item"]: item["asks"] for item in report["items"]}
    for place in (0, 39, 40, 199):
        item, output, proof = said.shown(place)
        assert item == task.digests[places[place]]
        assert output == output_digest(asks[places[place]])
        assert leads_to(output_leaf(place, item, output), place, 256, proof, said.root)
    with pytest.raises(InputError, match="place"):
        said.shown(200)


async def test_who_approves_keeps_the_guard(task: Benchmark, report: dict[str, Any]) -> None:
    score = approval_of(report, task, threshold=0).score
    assert score == int(report["core"]["score"] * 1_000_000)
    assert 700_000 < score < 900_000
    assert approval_of(report, task, threshold=score - 20_000).approve
    assert not approval_of(report, task, threshold=score - 19_999).approve


async def test_what_is_no_report_of_the_round_is_refused(
    task: Benchmark, report: dict[str, Any]
) -> None:
    for threshold in (-1, 1_000_001):
        with pytest.raises(InputError, match="millionths"):
            approval_of(report, task, threshold=threshold)
    for draw, said in ((None, "all items"), (Draw(SEED, ROUND, b"\7" * 20, 100), "100 items")):
        found = await run(task, items_to_ask(task, draw), Written(answer), about="")
        other = await build_report(task, ModelName("m"), found.measured, draw=draw)
        with pytest.raises(InputError, match=said):
            approval_of(other, task, threshold=0)
    report["core"]["score"] = None
    with pytest.raises(InputError, match="without a score"):
        approval_of(report, task, threshold=0)
