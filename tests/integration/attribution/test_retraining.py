"""Real retraining in child processes: same seed, same bytes, also after an interruption."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tessera.app.attributing import (
    REPORT_NAME,
    Attribution,
    Settings,
    attribute,
    read_game,
    write_attribution,
)
from tessera.assets.attribution.shapley import Method, Sampling
from tessera.assets.contributions import verify_contribution
from tessera.demo.models.digits_game import write_example
from tessera.errors import BackendFailed, Conflict

SLICE = {
    "archive": "0:120",
    "school": "120:180",
    "library": "180:210",
    "prankster": "0:60 mislabelled",
}
PROGRAM = """\
def score(parts, seed):
    print("noise of the program")
    return sum(len(part) for part in parts) / 10
"""
GAME = """\
[game]
program = "training.py"
[[players]]
name = "archive"
part = "aaaa"
[[players]]
name = "school"
part = "bb"
[[players]]
name = "library"
part = "cc"
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_example(folder, SLICE)
    return folder


@pytest.fixture(scope="module")
def left_out(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Attribution:
    """What each part is worth to the demo's classifier by leaving it out."""
    settings = Settings(method=Method.LEAVE_ONE_OUT)
    journals = tmp_path_factory.mktemp("journals")
    return asyncio.run(attribute(read_game(example), settings, journals=journals))


def toy(folder: Path, program: str = PROGRAM) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "training.py").write_text(program)
    (folder / "attribution.toml").write_text(GAME)
    return folder


async def test_the_demos_classifier_is_retrained_and_its_values_add_up(
    example: Path, tmp_path: Path
) -> None:
    game = read_game(example)
    settings = Settings(permutations=20, sampling=Sampling.STRATIFIED)
    done = await attribute(game, settings, journals=tmp_path, jobs=2)
    assert done.outcome.nobody == 0.1
    assert done.outcome.everybody > 0.7
    assert abs(done.outcome.gap) <= done.outcome.error < 1e-8
    values = [value.value for value in done.outcome.values]
    assert values[0] > values[2] > 0 > values[3]
    assert done.weights[3] == 0
    assert sum(done.weights) == 10_000
    exact = await attribute(
        game, replace(settings, method=Method.EXACT), journals=tmp_path, resume=True
    )
    assert exact.trained <= 1 + 16 - done.coalitions
    inside = [
        found.low <= truth.value <= found.high
        for found, truth in zip(done.outcome.values, exact.outcome.values, strict=True)
    ]
    assert sum(inside) >= 3
    write_attribution(done, decimals=6)
    first = (example / REPORT_NAME).read_bytes(), (example / "tessera.toml").read_bytes()
    again = await attribute(game, settings, journals=tmp_path / "other")
    write_attribution(again, decimals=6)
    assert ((example / REPORT_NAME).read_bytes(), (example / "tessera.toml").read_bytes()) == first


async def test_the_leaves_are_what_publishing_would_put_on_the_chain(
    example: Path, left_out: Attribution
) -> None:
    from tessera.assets.attribution.leaves import leaves_of

    write_attribution(left_out, decimals=6)
    accounts = {name: f"0x{number:040x}" for number, name in enumerate(SLICE, 1)}
    found = leaves_of(example, accounts, decimals=6)
    assert sum(leaf.contribution.weight for leaf in found.leaves) == 10_000
    for leaf in found.leaves:
        assert verify_contribution(found.root, leaf.contribution, leaf.proof)
        assert leaf.contribution.evidence != bytes(32)


async def test_an_interrupted_run_goes_on_and_ends_with_the_same_report(tmp_path: Path) -> None:
    game = read_game(toy(tmp_path / "toy"))
    settings = Settings(permutations=12, seed=3)
    whole = await attribute(game, settings, journals=tmp_path / "one")

    class Enough(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 1:
            raise Enough

    with pytest.raises(Enough):
        await attribute(game, settings, journals=tmp_path / "two", told=stop)
    (journal,) = (tmp_path / "two").glob("*.jsonl")
    with journal.open("a") as file:
        file.write('{"coalition": "0x7", "sco')
    resumed = await attribute(game, settings, journals=tmp_path / "two", resume=True)
    assert json.dumps(resumed.report()) == json.dumps(whole.report())
    assert resumed.trained < whole.trained
    anew = await attribute(game, settings, journals=tmp_path / "two")
    assert anew.trained == whole.trained


async def test_another_program_or_seed_never_takes_up_old_scores(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    settings = Settings(method=Method.EXACT)
    before = await attribute(read_game(folder), settings, journals=tmp_path / "j")
    toy(folder, PROGRAM.replace("/ 10", "/ 20"))
    after = await attribute(read_game(folder), settings, journals=tmp_path / "j", resume=True)
    assert after.outcome.everybody == before.outcome.everybody / 2
    assert after.trained == before.trained


async def test_a_program_that_draws_without_its_seed_is_refused(tmp_path: Path) -> None:
    drawn = "import random\ndef score(parts, seed): return random.random()\n"
    game = read_game(toy(tmp_path / "toy", drawn))
    with pytest.raises(Conflict, match="same score each time"):
        await attribute(game, Settings(), journals=tmp_path / "j")


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("def score(parts, seed): return 1 / 0\n", "ZeroDivisionError"),
        ("def score(parts, seed): return float('nan')\n", "no score"),
        ("import os\ndef score(parts, seed): os._exit(3)\n", "its process ended"),
        ("def other(): pass\n", "no attribute 'score'"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError"),
    ],
)
async def test_a_program_that_fails_is_told_of_and_nothing_is_left_running(
    tmp_path: Path, program: str, told: str
) -> None:
    game = read_game(toy(tmp_path / "toy", program))
    with pytest.raises(BackendFailed, match=told):
        await attribute(game, Settings(), journals=tmp_path / "j", jobs=2)


async def test_a_program_that_hangs_is_given_up(tmp_path: Path) -> None:
    hangs = "import time\ndef score(parts, seed): time.sleep(60)\n"
    game = replace(read_game(toy(tmp_path / "toy", hangs)), timeout_s=1)
    async with asyncio.timeout(40):
        with pytest.raises(BackendFailed, match="no score within 1 s"):
            await attribute(game, Settings(), journals=tmp_path / "j")


async def test_weights_beside_other_contributors_must_fill_the_whole(left_out: Attribution) -> None:
    part = replace(left_out, game=replace(left_out.game, weight=6_000))
    with pytest.raises(Conflict, match="10000 together"):
        write_attribution(part, decimals=6)
