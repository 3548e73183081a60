"""`tessera benchmark` against a real `tessera up`, and without one."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import Program, wait_served, write_bundle
from tests.unit.validation.folders import write_benchmark

MEANS = [{"input": [float(n), float(n + 2)], "label": n + 1} for n in range(40)]
DATASET = """\
name = "{name}"
title = "Means"
kind = "dataset"
version = "1.0.0"
licence = "CC0-1.0"
[price]
per_call = "0"
"""
CHEAP = "def predict(rows):\n    return [sum(row) // 2 - (sum(row) % 3 == 1) for row in rows]\n"
WRITER = """
import math


def write(messages, options):
    return "so it is"


def score_text(text):
    return [(1, None if at == 0 else -math.log(2)) for at in range(len(text.encode()))]
"""
OTHER = "def predict(rows):\n    return [max(row) - 1.0 for row in rows]\n"


def means(folder: Path, wrong: int = 4) -> Path:
    """Means of two numbers, of which a model of means cannot get some right."""
    items: list[dict[str, Any]] = [
        {**item, "label": item["label"] if at >= wrong else -1} for at, item in enumerate(MEANS)
    ]
    return write_benchmark(folder, "classification", items, name="means")


def when_topped_up(world: Program, *run: object) -> dict[str, Any]:
    """Run again until the operator has seen the deposit; each time it goes on where it was."""
    for _ in range(60):
        outcome = world(*run, "--json")
        if outcome.code == 0:
            break
        assert outcome.json["code"] == "payment_required", outcome.out
        time.sleep(0.3)
    return outcome.json


def test_a_benchmark_is_published_paid_for_verified_and_claimed(
    world: Program, tmp_path: Path
) -> None:
    world.ok("publish", write_bundle(tmp_path / "mean", "measured-mean"))
    folder = means(tmp_path / "means")
    (folder / "tessera.toml").write_text(DATASET.format(name="means-of-two"))
    world.ok("publish", folder)
    wait_served(world, "measured-mean")
    listed = {row["name"]: row for row in world.ok("benchmark", "list")["benchmarks"]}
    assert (listed["means-of-two"]["items"], listed["means-of-two"]["metric"]) == (40, "accuracy")

    world.ok("account", "create", "measurer")
    out = tmp_path / "report.json"
    run = (
        "benchmark", "run", "means-of-two", "--model", "measured-mean", "--out", out,
        "--as", "measurer",
    )  # fmt: skip
    dry = world.ok(*run, "--dry-run")
    assert (dry["calls"], dry["cost_at_most"], dry["channel"]) == (40, "400000", None)
    assert dry["effects"][0]["change"] == "-1000000"
    unasked = world(*run)
    assert (unasked.code, "add --yes" in unasked.err, out.exists()) == (2, True, False)

    # A budget of ten calls: it stops, keeps what was answered, and goes on with more.
    poor = world(*run, "--budget", "0.1", "--json")
    assert (poor.code, poor.json["code"]) == (3, "payment_required")
    world.ok("channel", "top-up", "1", "--as", "measurer")
    told = when_topped_up(world, *run)
    assert (told["score"], told["scored"], told["cost"]) == (0.9, 40, "400000")
    assert told["resumed"] >= 10
    assert (told["model"]["version"], told["model"]["identity"]) == (1, "hashed")
    assert not (tmp_path / "report.json.run").exists()
    again = world.ok(*run[:5], "--out", tmp_path / "again.json", "--yes")
    assert again["root"] == told["root"]

    verify = ("benchmark", "verify", out, "--benchmark", folder)
    calls = tmp_path / "report.json.calls"
    found = world.ok(
        *verify, "--receipts", calls, "--own", tmp_path / "mean", "--allow-python-runners"
    )
    assert (found["hashes"], found["benchmark"], found["receipts"]) == (True, True, 40)
    assert (found["again"]["finding"], found["again"]["sample"]) == ("same", 20)
    next(calls.glob("*.json")).unlink()
    missing = world(*verify, "--receipts", calls, "--json")
    assert (missing.code, missing.json["code"]) == (6, "report_wrong")

    claim = ("benchmark", "claim", out, "--claimed")
    assert world.ok(*claim, "0.9")["standing"] == "unverifiable"
    over = world(*claim, "0.99", "--json")
    assert (over.code, over.json["code"]) == (6, "claim_contradicted")
    assert over.json["details"]["standing"] == "contradicted"


def test_a_writer_is_measured_by_how_probable_it_finds_given_texts(
    world: Program, tmp_path: Path
) -> None:
    """Paid through the gateway, and the same root from one's own copy."""
    bundle = write_bundle(tmp_path / "writer", "writer-of-words")
    manifest = (bundle / "tessera.toml").read_text()
    changed = manifest.replace('task = "predict"', 'task = "chat"').replace('"predict"', '"write"')
    (bundle / "tessera.toml").write_text(changed)
    (bundle / "model.py").write_text(WRITER)
    world.ok("publish", bundle)
    wait_served(world, "writer-of-words")
    items = [{"prompt": "so ", "text": f"it is {n}"} for n in range(4)]
    folder = write_benchmark(tmp_path / "texts", "perplexity", items, name="texts")
    world.ok("account", "create", "reader")
    told = when_topped_up(
        world, "benchmark", "run", folder, "--model", "writer-of-words",
        "--out", tmp_path / "paid.json", "--as", "reader",
    )  # fmt: skip
    # 7 bytes, each half as probable as the one before it would have it.
    assert (told["status"], told["details"]["bits_per_byte"]) == ("measured", 1.0)
    assert told["score"] == pytest.approx(0.5)
    assert int(told["cost"]) == 4 * 10_000
    own = world.ok(
        "benchmark", "run", folder, "--own", bundle, "--allow-python-runners",
        "--out", tmp_path / "own.json",
    )  # fmt: skip
    reports = [json.loads((tmp_path / name).read_text()) for name in ("paid.json", "own.json")]
    assert reports[0]["core"]["outputs_root"] == reports[1]["core"]["outputs_root"]
    assert own["score"] == told["score"]


def test_a_model_for_validators_only_is_found(program: Program, tmp_path: Path) -> None:
    """One bundle answers the known key, another one strangers, under one name."""
    folder, good = means(tmp_path / "means"), write_bundle(tmp_path / "mean")
    cheap = write_bundle(tmp_path / "cheap")
    (cheap / "model.py").write_text(CHEAP)
    reports = []
    for number, bundle in enumerate((good, cheap, good)):
        reports.append(tmp_path / f"{number}.json")
        program.ok(
            "benchmark", "run", folder, "--own", bundle, "--allow-python-runners",
            "--out", reports[-1],
        )  # fmt: skip
    known, unknown, honest = reports
    found = program("benchmark", "compare", known, unknown, "--json")
    assert (found.code, found.json["code"]) == (7, "model_differs")
    assert found.json["details"]["method"] == "signs"
    told = program.ok("benchmark", "weights", f"7={unknown}", f"3={known}")
    # 24 and 36 of 40 are right.
    assert told["row"] == [[3, 65_535], [7, 43_690]]
    for wrong in ("7", f"x={known}", f"70000={known}", "1=nowhere.json"):
        refused = program("benchmark", "weights", wrong, "--json")
        assert refused.code == 2, refused.out
    assert program.ok("benchmark", "compare", known, honest, "--repeats")["favoured"] is False
    shown = program("benchmark", "compare", known, honest)
    assert "nothing that an honest endpoint would not show" in shown.out


def test_ones_own_copy_is_measured_without_a_chain(program: Program, tmp_path: Path) -> None:
    write_bundle(tmp_path / "mean")
    folder = means(tmp_path / "means")
    own = ("--own", tmp_path / "mean", "--allow-python-runners")
    run = ("benchmark", "run", folder, *own, "--out", tmp_path / "report.json")
    refused = program(*run[:-3], "--json")
    assert (refused.code, refused.json["code"]) == (3, "not_allowed")
    drawn = (*run, "--items", "10", "--seed", "a block's randomness")
    told = program.ok(*drawn)
    assert told["scored"] == 10
    assert program.ok(*drawn)["root"] == told["root"]
    other = program.ok(*drawn, "--validator", "0x" + "11" * 20)
    assert other["root"] != told["root"]
    shown = program(*run)
    assert (shown.code, "0.9000 accuracy on 40 items, 0.7695 to 0.9604" in shown.out) == (0, True)


def test_a_round_of_approvals_is_voted_in(program: Program, tmp_path: Path) -> None:
    items = [{"input": [float(n), float(n)], "label": n if n % 10 else -1} for n in range(300)]
    folder = write_benchmark(tmp_path / "pool", "classification", items, name="pool")
    bundle, out = write_bundle(tmp_path / "mean"), tmp_path / "round.json"
    own, round_ = ("--own", bundle, "--allow-python-runners"), "0x" + "ab" * 32
    told = program.ok(
        "benchmark", "run", folder, *own, "--out", out, "--items", "200",
        "--seed", "0x" + "5e" * 32, "--round", round_, "--validator", "0x" + "11" * 20,
    )  # fmt: skip
    vote = ("benchmark", "approval", out, "--benchmark", folder, "--round")
    said = program.ok(*vote, round_, "--threshold", "0.8")
    assert (said["approve"], int(said["score"])) == (True, round(told["score"] * 1_000_000))
    assert said["pool_items"] == 300
    assert program.ok(*vote, round_, "--threshold", "0.9")["approve"] is False
    other = program(*vote, "0x" + "cd" * 32, "--threshold", "0.8", "--json")
    assert (other.code, other.json["code"]) == (6, "report_wrong")
    for given in (("0x12", "0.8"), (round_, "80")):
        refused = program(*vote, given[0], "--threshold", given[1], "--json")
        assert refused.code == 2, refused.out


def test_what_was_made_up_is_found(program: Program, tmp_path: Path) -> None:
    """A report whose outputs nobody gave: its hashes are right, and a copy says otherwise."""
    folder, bundle = means(tmp_path / "means"), write_bundle(tmp_path / "mean")
    other = write_bundle(tmp_path / "other")
    (other / "model.py").write_text(
        "def predict(rows):\n    return [max(row) - 1.0 for row in rows]\n"
    )
    out = tmp_path / "report.json"
    flags = ("--allow-python-runners", "--json")
    made = ("benchmark", "run", folder, "--own", other, "--out", out, *flags)
    # It answers right, but for the last bits of nothing: the same numbers by another way.
    assert program(*made).json["score"] == 0.9
    report = json.loads(out.read_text())
    assert report["core"]["model"]["content_root"] is not None
    verify = ("benchmark", "verify", out, "--benchmark", folder, *flags)
    assert program(*verify).json["ok"] is True
    conflict = program(*verify, "--own", bundle)
    assert (conflict.code, conflict.json["code"]) == (4, "conflict")
    report["items"][7]["asks"][0]["output"] = {"output": 5.0}
    out.write_text(json.dumps(report))
    changed = program(*verify)
    assert (changed.code, changed.json["code"]) == (6, "report_wrong")


def test_any_openai_compatible_server_is_measured(
    program: Program, model_server: str, tmp_path: Path
) -> None:
    """It says "Hello there" to everything: no letter stands alone."""
    quiz = [
        {"question": f"{n} + 1?", "choices": [f"{n}", f"{n + 1}"], "answer": 1} for n in range(6)
    ]
    folder = write_benchmark(tmp_path / "quiz", "choice", quiz)
    out = tmp_path / "report.json"
    run = ("--url", model_server, "--model", "tiny:latest", "--out", out)
    told = program.ok("benchmark", "run", folder, *run)
    assert (told["score"], told["details"]) == (0.0, {"without_a_pick": 6})
    texts = write_benchmark(tmp_path / "texts", "perplexity", [{"text": "hello"}])
    told = program.ok("benchmark", "run", texts, *run)
    assert (told["status"], told["score"]) == ("unsupported", None)
    assert program.ok("benchmark", "claim", out, "--claimed", "0.9")["standing"] == "unverifiable"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("run", "nowhere", "--own", "{mean}"), "tessera benchmark list"),
        (("run", "{means}", "--own", "{mean}", "--url", "http://x"), "one of them"),
        (("run", "{means}", "--url", "http://x"), "--model"),
        (("run", "{means}", "--url", "ftp://x", "--model", "m"), "http://HOST/v1"),
        (("run", "{means}", "--url", "http://key@x", "--model", "m"), "without a key"),
        (("run", "{means}", "--url", "http://x", "--model", "m", "--key-env", "NO_KEY"), "NO_KEY"),
        (("run", "{means}", "--own", "{mean}", "--seed", "x"), "--items"),
        (("run", "{means}", "--own", "{mean}", "--items", "3"), "--seed"),
        (("run", "{means}", "--own", "{mean}", "--items", "99", "--seed", "x"), "1 to 40"),
        (("verify", "nowhere.json"), "nowhere.json"),
        (("verify", "{means}/items.jsonl"), "tessera.report.v1"),
        (("claim", "nowhere.json", "--claimed", "0.9"), "nowhere.json"),
    ],
)
def test_what_cannot_be_done_is_said(
    program: Program, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    places = {"means": means(tmp_path / "means"), "mean": write_bundle(tmp_path / "mean")}
    filled = [each.format(**places) for each in given]
    more = ["--allow-python-runners"] if given[0] == "run" else []
    refused = program("benchmark", *filled, *more, "--json")
    assert refused.code == 2, refused.out
    assert said in refused.json["message"]


WORDS = """
GLAD = ("lovely", "come back")


def classify(texts):
    glad = [any(word in text for word in GLAD) for text in texts]
    return [{"positive": float(each), "negative": float(not each), "other": 0.0} for each in glad]
"""


def test_the_guide_tells_what_happens(
    program: Program, model_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are written, its commands are run in order, and print what it says."""
    page = (Path(__file__).parents[3] / "docs/guides/benchmarks.md").read_text(encoding="utf-8")
    fences = re.findall(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "moods").mkdir()
    (tmp_path / "moods" / "benchmark.toml").write_text(fences[0][1])
    (tmp_path / "moods" / "items.jsonl").write_text(fences[1][1])
    bundle = write_bundle(tmp_path / "sentiment", "moods-by-words")
    manifest = (bundle / "tessera.toml").read_text()
    changed = manifest.replace('task = "predict"', 'task = "classification"')
    (bundle / "tessera.toml").write_text(changed.replace('"predict"', '"classify"'))
    (bundle / "model.py").write_text(WORDS)
    monkeypatch.chdir(tmp_path)
    ran = 0
    for kind, text in fences:
        if kind != "console":
            continue
        first, *expected = text.splitlines()
        done = program(*shlex.split(first.removeprefix("$ tessera ")))
        assert done.code == 0, done.err
        shown = re.sub(r"0x[0-9a-f]{64}", "0x…", done.out).splitlines()
        assert not expected or shown == expected
        ran += 1
    assert ran == 4

    polite, scorer = (text for kind, text in fences[-2:])
    (tmp_path / "polite").mkdir()
    (tmp_path / "polite" / "benchmark.toml").write_text(polite)
    (tmp_path / "polite" / "scorer.py").write_text(scorer)
    request = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
    item = {"path": "/v1/chat/completions", "request": request}
    (tmp_path / "polite" / "items.jsonl").write_text(json.dumps(item))
    told = program.ok(
        "benchmark", "run", "polite", "--url", model_server, "--model", "tiny:latest",
        "--allow-python-runners",
    )  # fmt: skip
    assert (told["score"], told["details"]) == (0.0, {"not_scored": 0})
