"""Every vector holds, and a vector that does not is told from one that does."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tessera.errors import DataError, NotFound
from tessera.spec.consensus.__main__ import main
from tessera.spec.consensus.vectors import judge, judge_folder

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "yuma"


def case(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_a_vector_holds(path: Path) -> None:
    judge(json.loads(path.read_text()))


def test_every_kind_is_among_them() -> None:
    kinds = {json.loads(path.read_text())["kind"] for path in VECTORS.glob("*.json")}
    assert kinds >= {
        "oracle_random",
        "pool_swap",
        "subnet_emission_share",
        "subtensor_rust_test",
        "unit_consensus",
        "unit_max_upscale_u16",
        "unit_sigmoid",
        "unit_topk",
        "unit_weighted_median",
        "yuma_simulation",
    }


def test_the_command_counts_them_and_ends_with_0() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tessera.spec.consensus", "--vectors", str(VECTORS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    number = len(list(VECTORS.glob("*.json")))
    assert ended.stdout == f"{number} passed, 0 failed\n"
    assert ended.stderr == ""
    assert ended.returncode == 0


EPOCH = "rust__test_yuma_3_kappa_moves_first"


@pytest.mark.parametrize(
    "name",
    [
        "active",
        "bonds",
        "consensus",
        "dividends",
        "emission",
        "incentive",
        "server_emission",
        "stake_weight",
        "validator_emission",
        "validator_permit",
        "validator_trust",
    ],
)
def test_an_epoch_that_is_off_by_one_anywhere_fails(name: str) -> None:
    wrong = case(EPOCH)
    values = wrong["steps"][1]["expected"][name]
    if name == "bonds":
        values[0][0][1] += 1
    else:
        values[0] = not values[0] if isinstance(values[0], bool) else values[0] + 1
    with pytest.raises(DataError, match=rf"step 1: {name}\[0\]"):
        judge(wrong)


@pytest.mark.parametrize(
    "name", ["stake", "active_stake", "consensus", "validator_trust", "incentive", "dividends"]
)
def test_a_raw_word_that_is_off_by_one_fails(name: str) -> None:
    wrong = case(EPOCH)
    wrong["steps"][0]["expected"]["raw_i32f32"][name][2] -= 1
    with pytest.raises(DataError, match=rf"step 0: raw {name}\[2\]"):
        judge(wrong)


@pytest.mark.parametrize(
    ("name", "path", "change"),
    [
        ("sim__Case1__yuma3_liquid", ("steps", 3, "expected", "bonds", 0, 1), 1e-4),
        ("unit__consensus", ("cases", 0, "expected", 1), 1e-6),
        ("unit__weighted_median", ("cases", 5, "expected"), 1e-6),
        ("unit__max_upscale", ("cases", 4, "expected", 2), 1),
        ("unit__sigmoid", ("cases", 2, "expected"), 1e-8),
        ("unit__topk", ("cases", 1, "expected_true", 0), 1),
        ("swap__sn1_buy1", ("expected", "out"), 20_000),
        ("swap__sn1_buy1", ("expected", "spot_rao"), 4),
        ("emission_gate__finney_8740402", ("expected", "tao_total_rao", "4"), 10**6),
    ],
)
def test_a_case_outside_its_tolerance_fails(name: str, path: tuple[Any, ...], change: Any) -> None:
    wrong = case(name)
    inner = wrong
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] += change
    with pytest.raises(DataError):
        judge(wrong)


def test_the_float_twin_is_held_to_its_own_bounds_unless_the_step_excepts_it() -> None:
    strict = case("oracle__020")
    strict["tolerance"]["float64_impl"]["emission_rao_abs"] = 0
    strict["tolerance"]["float64_impl"]["emission_rao_rel"] = 0
    with pytest.raises(DataError, match="float"):
        judge(strict)
    for step in strict["steps"]:
        step["float_hostile"] = "for this test"
    judge(strict)


def without(name: str) -> Any:
    given = case(EPOCH)
    del given["steps"][0]["input"][name]
    return given


def changed(name: str, value: Any) -> Any:
    given = case(EPOCH)
    given["steps"][0]["input"][name] = value
    return given


MALFORMED: dict[str, Any] = {
    "no json": "{",
    "not utf-8": b"\xff\xfe\x00",
    "nothing": "",
    "a list": [],
    "a number": 5,
    "no kind": {},
    "unknown kind": {"kind": "yuma_9"},
    "a kind that is a list": {"kind": ["oracle_random"]},
    "no steps": {"kind": "oracle_random", "tolerance": {}, "steps": []},
    "steps that are none": {"kind": "oracle_random", "tolerance": {}, "steps": {"0": 1}},
    "a step that is none": {"kind": "oracle_random", "tolerance": {}, "steps": [7]},
    "no cases": {"kind": "unit_topk", "cases": []},
    "missing field": without("kappa"),
    "NaN": json.dumps(case(EPOCH)).replace('"kappa": 32767', '"kappa": NaN'),
    "a negative stake": changed("stake", [-1] * 5),
    "a stake that is no number": changed("stake", ["much"] * 5),
    "a stake beyond 63 bits": changed("stake", [2**63] * 5),
    "more uids than stakes": changed("n", 6),
    "a uid beyond the last": changed("weights", [[[5, 1]], [], [], [], []]),
    "a weight beyond u16": changed("weights", [[[0, 65_536]], [], [], [], []]),
    "a column twice": changed("bonds", [[[0, 1], [0, 2]], [], [], [], []]),
    "a truth value for a number": changed("kappa", True),
    "deep": "[" * 100_000,
    "an endless number": '{"kind": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_has_failed_and_says_why_on_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = MALFORMED[name]
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    (tmp_path / "bad.json").write_bytes(content)
    assert main(["--vectors", str(tmp_path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert printed[0].startswith("FAILED bad.json: ")
    assert len(printed[0]) < 400
    assert printed[1] == "0 passed, 1 failed"


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(json.dumps(case("unit__topk")))
    (tmp_path / "notes.txt").write_text("no vector")
    verdicts = list(judge_folder(tmp_path))
    assert [(each.name, each.passed) for each in verdicts] == [("a.json", False), ("b.json", True)]


def test_nothing_to_run_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--vectors", str(tmp_path)]) == 2
    assert main(["--vectors", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().out == ""
    with pytest.raises(NotFound):
        list(judge_folder(tmp_path))


def test_a_step_may_state_what_later_versions_of_the_chain_added() -> None:
    given = case(EPOCH)
    for step in given["steps"]:
        uids = step["input"]["n"]
        step["input"]["previous_consensus"] = [0] * uids
        step["input"]["consensus_mode"] = "Current"
        step["input"]["epoch_consensus"] = "Yuma"
    judge(copy.deepcopy(given))
    given["steps"][0]["input"]["stake"] = [str(s) for s in given["steps"][0]["input"]["stake"]]
    judge(given)


def test_a_pool_s_other_side_is_judged_too() -> None:
    sale = case("swap__sn1_buy1")
    sale["input"].update(
        side="sell", amount=10**9, tao=10**12, alpha=10**12, w_quote_e18=5 * 10**17
    )
    sale["expected"] = {"fee": 503_547, "net_in": 999_496_453, "out": 998_498_457}
    judge(sale)
    sale["input"]["side"] = "both"
    with pytest.raises(DataError, match="side"):
        judge(sale)
