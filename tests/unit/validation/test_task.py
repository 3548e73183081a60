"""A benchmark's folder, and what it hashes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.folders import benchmark, write_benchmark

from tessera.errors import NotFound
from tessera.validation.canonical import canonical, in_list, list_proof, list_root
from tessera.validation.refusals import TaskInvalid
from tessera.validation.task import find_benchmarks, open_benchmark

SENTENCES: list[dict[str, Any]] = [
    {"input": "good", "label": "positive"},
    {"input": "bad", "label": "negative"},
]


def test_one_task_has_one_id_however_it_is_written(tmp_path: Path) -> None:
    task = benchmark(tmp_path / "a", "classification", SENTENCES)
    other = write_benchmark(tmp_path / "b", "classification", [])
    (other / "items.jsonl").write_text(
        '\n{"label": "positive",   "input": "g\\u006fod"}\n\n{"label":"negative","input":"bad"}\n'
    )
    assert open_benchmark(other).id == task.id
    assert open_benchmark(other).items_root == task.items_root


@pytest.mark.parametrize(
    ("items", "more"),
    [
        (SENTENCES[::-1], ""),
        (SENTENCES[:1], ""),
        (SENTENCES, "chance = 0.5"),
        (SENTENCES, '[scorer]\nlabels = ["positive", "negative"]'),
        (SENTENCES, "[decoding]\nseed = 1"),
    ],
)
def test_whatever_decides_a_score_is_in_the_id(
    tmp_path: Path, items: list[dict[str, Any]], more: str
) -> None:
    task = benchmark(tmp_path / "a", "classification", SENTENCES)
    assert benchmark(tmp_path / "b", "classification", items, more).id != task.id


def test_a_title_is_not_in_the_id(tmp_path: Path) -> None:
    task = benchmark(tmp_path / "a", "classification", SENTENCES)
    titled = benchmark(tmp_path / "b", "classification", SENTENCES, 'title = "Moods"')
    assert (titled.id, titled.title) == (task.id, "Moods")


def test_an_item_is_proved_with_its_place() -> None:
    digests = [bytes([n]) * 32 for n in range(7)]
    root = list_root(digests)
    for at, one in enumerate(digests):
        proof = list_proof(digests, at)
        assert in_list(root, at, 7, one, proof)
        assert not in_list(root, (at + 1) % 7, 7, one, proof)
    assert not in_list(root, 0, 7, digests[1], list_proof(digests, 1))
    # Two that are alike are still two.
    assert list_root([digests[0]] * 2) != list_root([digests[0]] * 3)


def test_the_only_form_of_a_value() -> None:
    assert canonical({"b": [1.0, 0.1, 1e300], "a": "é\ud800"}) == (
        b'{"a":"\\u00e9\\ud800","b":[1.0,0.1,1e+300]}'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [
        ("classification", {"input": "", "label": "x"}, "an empty input"),
        ("classification", {"input": "x", "label": 1.5}, "a label that is no text"),
        ("classification", {"input": [[1]], "label": 1}, "no text and no row"),
        ("retrieval", {"id": "d"}, "not one of document and query"),
        ("retrieval", {"id": "q", "query": "x"}, "without relevant documents"),
        ("retrieval", {"id": "q", "query": "x", "relevant": {"d": 0}}, "not above 0"),
        ("retrieval", {"id": "q", "query": "x", "relevant": {"d": 1}}, "document 'd'"),
        ("perplexity", {"text": ""}, "no text"),
        ("choice", {"question": "x", "choices": ["a"], "answer": 0}, "2 to 26 different"),
        ("choice", {"question": "x", "choices": ["a", "a"], "answer": 0}, "2 to 26 different"),
        ("choice", {"question": "x", "choices": ["a", "b"], "answer": 2}, "answer 2 of 2"),
    ],
)
def test_what_is_wrong_with_an_item_is_said(
    tmp_path: Path, kind: str, item: dict[str, Any], said: str
) -> None:
    with pytest.raises(TaskInvalid, match="items.jsonl") as refused:
        benchmark(tmp_path, kind, [item])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"', "kind"),
        ('name = "X Y"\nkind = "classification"', "name"),
        ('name = "x"\nkind = "guess"', "wanted one of"),
        ('name = "x"\nkind = "classification"\nmetrics = 1', "metrics"),
        ('name = "x"\nkind = "choice"\n[scorer]\nby = "luck"', "option 'by'"),
        ('name = "x"\nkind = "retrieval"\n[scorer]\ndepth = 0', "option 'depth'"),
        ('name = "x"\nkind = "perplexity"\n[scorer]\ndepth = 1', "option 'depth'"),
        ('name = "x"\nkind = "python"', "scorer.py"),
        ('name = "x"\nkind = "python"\n[scorer]\nfile = "../x.py"', "option 'file'"),
        ('name = "x"\nkind = "choice"\nitems = "../../secret"', "the name of a file"),
        ('name = "x"\nkind = "choice"\n[decoding]\ntemperature = 3', "temperature"),
        ("name = ", "benchmark.toml"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "benchmark.toml").write_text(text)
    with pytest.raises(TaskInvalid) as refused:
        open_benchmark(tmp_path)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "line", ["[1]", "{", '{"input": NaN, "label": "x"}', "\udcff", "[" * 5_000]
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    folder = write_benchmark(tmp_path, "classification", SENTENCES)
    with (folder / "items.jsonl").open("ab") as file:
        file.write(line.encode(errors="surrogateescape"))
    with pytest.raises(TaskInvalid, match="line 3"):
        open_benchmark(folder)


def test_a_list_without_anything_to_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskInvalid, match="no item that is scored"):
        benchmark(tmp_path / "a", "classification", [])
    with pytest.raises(TaskInvalid, match="no item that is scored"):
        benchmark(tmp_path / "b", "retrieval", [{"id": "d", "document": "x"}])


def test_a_folder_that_is_none_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="tessera benchmark list"):
        open_benchmark(tmp_path / "nothing")


def test_installed_benchmarks_are_found_and_their_code_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that would stop whoever imports it."""
    package = tmp_path / "brought_along"
    write_benchmark(package / "moods", "classification", SENTENCES)
    (package / "__init__.py").write_text("raise SystemExit('run')\n")
    info = tmp_path / "brought_along-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought-along\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tessera.benchmarks]\nmoods = brought_along.moods\ngone = nowhere_at_all\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = find_benchmarks()
    assert found == {"moods": package / "moods"}
    assert json.dumps(SENTENCES[0]) in (found["moods"] / "items.jsonl").read_text()
