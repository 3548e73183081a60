"""Hidden test sets: committed to by a root, told in a file, answered one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.errors import BackendFailed, DataError, InputError, TesseraError
from tessera.spec.approvals import commitment_of
from tessera.spec.court import (
    Answer,
    AnswerTree,
    hidden_leaf,
    output_leaf,
    outputs_tree,
    pool_leaf,
)
from tessera.spec.places import leads_to
from tessera.spec.signatures import Address, keccak
from tessera.validation.answers import Answer as Said
from tessera.validation.answers import Outcome
from tessera.validation.approving import outputs_digest
from tessera.validation.canonical import digest
from tessera.validation.hidden import (
    NO_LABEL,
    HiddenSet,
    count_hidden,
    open_hidden,
    read_answers,
    read_truth,
    rerun_item,
    write_answers,
    write_truth,
)
from tessera.validation.task import Benchmark

ITEMS = [{"input": [n], "label": n % 2} for n in range(1_000, 1_100)]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    rows = [{"input": [n], "label": n % 2} for n in range(400)]
    return benchmark(tmp_path_factory.mktemp("pool"), "classification", rows)


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "hidden.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_each_item_can_be_shown_to_a_contract(pool: Benchmark, tmp_path: Path) -> None:
    hidden = HiddenSet.of(open_hidden(written(tmp_path, ITEMS), pool), b"\1" * 32)
    for number in (0, 63, 99):
        salt, content, proof = hidden.shown(number)
        leaf = hidden_leaf(number, salt, keccak(content), NO_LABEL)
        assert leads_to(leaf, number, 100, proof, hidden.tree.root)
        assert json.loads(content) == ITEMS[number]
    with pytest.raises(InputError):
        hidden.shown(100)
    assert HiddenSet.of(ITEMS, b"\2" * 32).tree.root != hidden.tree.root
    told = read_truth(write_truth(hidden), hidden.tree.root, 100, pool)
    assert told == hidden


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ITEMS[:99], "100 to 4096"),
        ([*ITEMS[:99], {"input": [3], "label": 1}], "public pool"),
        ([*ITEMS[:99], ITEMS[0]], "twice"),
        ([*ITEMS[:99], {"input": "x" * 4_096, "label": "a"}], "at most 4096"),
        ([*ITEMS[:99], {"input": [], "label": 1}], "line 100"),
    ],
)
def test_what_cannot_be_a_hidden_set_is_refused(
    pool: Benchmark, tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(TesseraError, match=said):
        open_hidden(written(tmp_path, rows), pool)


def test_a_pool_is_large_enough_and_its_answers_are_right_or_wrong(tmp_path: Path) -> None:
    small = benchmark(tmp_path / "a", "classification", ITEMS)
    texts = benchmark(tmp_path / "b", "perplexity", [{"text": f"t{n}"} for n in range(400)])
    for task, said in ((small, "400 or more"), (texts, "rightly or wrongly")):
        with pytest.raises(InputError, match=said):
            open_hidden(written(tmp_path, ITEMS), task)


def other_item(wire: dict[str, Any]) -> None:
    wire["items"][7]["item"]["label"] = 5


def short_salt(wire: dict[str, Any]) -> None:
    wire["items"][7]["salt"] = "00"


def no_item(wire: dict[str, Any]) -> None:
    wire["items"][7]["item"] = {}


def fewer(wire: dict[str, Any]) -> None:
    del wire["items"][7]


def other_format(wire: dict[str, Any]) -> None:
    wire["format"] = "x"


def nan(wire: dict[str, Any]) -> None:
    wire["items"][7]["item"]["input"] = [float("nan")]


@pytest.mark.parametrize("change", [other_item, short_salt, no_item, fewer, other_format, nan])
def test_attack_a_committer_that_serves_something_else_is_told_from_one_that_serves(
    pool: Benchmark, change: Callable[[dict[str, Any]], None]
) -> None:
    """A committer whose set turned out inconvenient serves other items than it committed to."""
    hidden = HiddenSet.of(ITEMS, b"\1" * 32)
    wire = json.loads(write_truth(hidden))
    change(wire)
    with pytest.raises(DataError):
        read_truth(json.dumps(wire).encode(), hidden.tree.root, 100, pool)


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 100_000, b'{"format":"tessera.truth.v1"}'])
def test_attack_what_is_no_file_at_all_is_an_error_of_ours(pool: Benchmark, data: bytes) -> None:
    with pytest.raises(DataError):
        read_truth(data, bytes(32), 100, pool)
    with pytest.raises(DataError):
        read_answers(data)


async def test_who_counts_and_who_runs_one_item_find_the_same(pool: Benchmark) -> None:
    zero = Written(lambda _ask: as_json({"outputs": [{"label": 0}]}))
    answers = await count_hidden(pool, ITEMS, zero, about="")
    assert sum(answer.correct for answer in answers) == 50
    assert await rerun_item(pool, ITEMS[3], zero) == answers[3] != answers[4]
    assert read_answers(write_answers(answers)) == answers
    with pytest.raises(DataError, match="as was reported"):
        read_answers(write_answers(answers), bytes(32))
    short = write_answers([Answer(b"\1", correct=True)])
    with pytest.raises(DataError, match="no hash"):
        read_answers(short)


async def test_a_failure_is_no_output_that_anybody_is_judged_by(pool: Benchmark) -> None:
    broken = Written(lambda _ask: ValueError("out of memory"))
    with pytest.raises(BackendFailed):
        await rerun_item(pool, ITEMS[0], broken)
    with pytest.raises(BackendFailed, match="100 in all"):
        await count_hidden(pool, ITEMS, broken, about="")


def test_the_example_of_the_specification() -> None:
    page = (Path(__file__).parents[3] / "docs/spec/approvals.md").read_text(encoding="utf-8")
    stated = re.findall(r"`([0-9a-f]{64})` \|", page)
    item, secret = {"input": [7], "label": 1}, b"\1" * 32
    output = outputs_digest([Said(Outcome.ANSWERED, {"label": 1})])
    hidden = HiddenSet.of([item], secret)
    report = outputs_tree({3: (digest(item), output)})
    committed = commitment_of(
        b"\x33" * 32, Address(b"\x11" * 20), approve=True, score=850_000, root=report.root,
        salt=secret, chain_id=31_337, approvals=Address(b"\x22" * 20),
    )  # fmt: skip
    environment = digest({"format": "tessera.environment.v1", "task": "55" * 32})
    found = [
        digest(item), pool_leaf(7, digest(item)), output, output_leaf(3, digest(item), output),
        report.root, hidden.salts[0], hidden.tree.root,
        AnswerTree([Answer(output, correct=True)]).root, environment, committed,
    ]  # fmt: skip
    assert [each.hex() for each in found] == stated
