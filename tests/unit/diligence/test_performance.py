"""Step 2: scores that were computed again, gaps that may be chance, and what lying costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.validation.folders import Written, as_json, write_benchmark

from tessera.bindings import approvals, bond, network_token
from tessera.diligence.performance import measure, paired_gap
from tessera.diligence.results import Metric, Status
from tessera.diligence.subject import BenchmarkClaim, Subject
from tessera.diligence.view import View
from tessera.facts import ZERO, Event, Facts, Head, Row, Transfers
from tessera.facts.memory import Memory
from tessera.validation.answers import Ask
from tessera.validation.report import ModelName, build_report, write_report
from tessera.validation.running import items_to_ask, run
from tessera.validation.task import open_benchmark

TOKEN, BOND, VALIDATOR, APPROVALS, SLASHER = (f"0x{number:040x}" for number in range(71, 76))
ITEMS = 240
ROUND, SET = b"\1" * 32, b"\2" * 32


def answers(subject: Subject, *events: Event, moved: Transfers | None = None) -> dict[str, Metric]:
    held = {TOKEN: moved or Transfers.of(TOKEN, [Row(1, 12, 0, 0, ZERO, VALIDATOR, 1_000)])}
    memory = Memory(chain_id=1, newest=Head(9, 2_000), held=held, emitted=events)
    return {each.name: each for each in measure(View(Facts(memory), subject))}


def said(block: int, address: str, event: Any) -> Event:
    return Event(block, 12 * block, 0, block, "0x", address, event)


async def reported(folder: Path, name: str, wrong: int) -> None:
    """A model that is wrong on every `wrong`-th item."""

    def answer(ask: Ask) -> bytes:
        number = int(ask.fields["rows"][0][0])
        return as_json({"outputs": [{"label": 1 if number % wrong else 0}]})

    if not (folder / "task").exists():
        listed = [{"input": [float(n)], "label": 1} for n in range(ITEMS)]
        write_benchmark(folder / "task", "classification", listed, '[scorer]\noutput = "label"')
    task = open_benchmark(folder / "task")
    found = await run(task, items_to_ask(task, None), Written(answer), about=name)
    write_report(folder / name, await build_report(task, ModelName(name), found.measured))


def claim(*references: str) -> BenchmarkClaim:
    return BenchmarkClaim(
        text="90 % accuracy", score=0.9, benchmark="task", report="ours", references=references
    )


async def test_a_gap_is_held_against_the_best_reference(tmp_path: Path) -> None:
    """Ours is right on nine of ten; the references on four of five, and on nineteen of twenty."""
    for name, wrong in (("ours", 10), ("weak", 5), ("strong", 20)):
        await reported(tmp_path, name, wrong)
    about = Subject(token=TOKEN, claims=(claim("weak", "strong"),), folder=str(tmp_path))
    found = answers(about)
    assert found["claim_status"].value == "verified"
    assert found["score"].value == pytest.approx(0.9)
    assert found["score"].parts["items"] == ITEMS
    gap = found["gap"]
    assert gap.value == pytest.approx(-0.05)
    assert gap.parts["references"] == {"weak": pytest.approx(0.1), "strong": pytest.approx(-0.05)}
    # Wrong where the other is, and elsewhere: the interval does not reach 0.
    assert gap.parts["high"] < 0  # type: ignore[operator]
    assert answers(about)["gap"].parts == gap.parts


async def test_a_reference_that_was_tampered_with_counts_for_nothing(tmp_path: Path) -> None:
    """A project makes itself look good beside a competitor whose report it wrote."""
    await reported(tmp_path, "ours", 10)
    (tmp_path / "forged").write_text((tmp_path / "ours").read_text().replace("1.0", "0.0", 9))
    about = Subject(token=TOKEN, claims=(claim("forged"),), folder=str(tmp_path))
    gap = answers(about)["gap"]
    assert gap.status is Status.UNKNOWN
    assert "no reference that counts" in gap.text


def test_nothing_claimed_and_nothing_measured() -> None:
    found = answers(Subject(token=TOKEN))
    assert found["claim_status"].value == "absent"
    assert {found[name].status for name in ("score", "gap", "stake_at_risk")} == {Status.UNKNOWN}


def test_a_claim_is_as_good_as_the_worst_of_them() -> None:
    empty = BenchmarkClaim(text="state of the art reasoning")
    found = answers(Subject(token=TOKEN, claims=(empty, BenchmarkClaim(text="nice"))))
    assert found["claim_status"].value == "unverifiable"


def test_equal_models_are_apart_by_chance() -> None:
    rng = np.random.default_rng(7)
    ours, theirs = rng.integers(0, 2, (2, 400)).astype(np.float64)
    gap = paired_gap(ours, theirs, b"seed")
    assert gap.low < 0 < gap.high
    assert gap.low < gap.mean < gap.high
    same = paired_gap(ours, ours, b"seed")
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def opened(asset: int) -> tuple[Event, ...]:
    return (
        said(1, BOND, bond.Enlisted(validator=VALIDATOR, slasher=APPROVALS, effective_from=0)),
        said(1, APPROVALS, approvals.SetCommitted(
            test_set=SET, committer=VALIDATOR, root=SET, items=200, pool=SET, pool_items=0,
            pledge=0, until=0, uri="",
        )),
        said(2, APPROVALS, approvals.RoundOpened(
            round=ROUND, test_set=SET, asset=asset, version=1, model=SET, issuer=VALIDATOR,
            tau=0, prior=0, cap=0, budget=0,
        )),
    )  # fmt: skip


def closed(score: int, *, weight: int = 10) -> Event:
    return said(3, APPROVALS, approvals.Closed(
        round=ROUND, listed=True, score=score, in_favour=weight, weight=weight
    ))  # fmt: skip


def test_bonded_validators_score_an_asset_of_our_own() -> None:
    found = answers(Subject(token=TOKEN, asset=7), *opened(7), closed(850_000))
    assert found["score"].value == 0.85
    assert found["score"].parts["items"] == 200
    assert 0.79 < found["score"].parts["low"] < 0.85 < found["score"].parts["high"] < 0.9  # type: ignore[operator]
    assert found["stake_at_risk"].status is Status.NOT_APPLICABLE


def test_a_copy_of_approvals_approves_nothing() -> None:
    """An attacker deploys our contracts again, votes alone, and its model scores 99 %."""
    copy = "0x" + "c" * 40
    false = [Event(e.block, e.time, 0, e.log + 9, "0x", copy, e.event)
             for e in (*opened(7)[1:], closed(990_000))]  # fmt: skip
    about = Subject(token=TOKEN, asset=7)
    assert answers(about, *false)["score"].status is Status.UNKNOWN
    assert answers(about, *opened(7), closed(850_000), *false)["score"].value == 0.85


def test_a_round_without_votes_or_about_another_asset_is_no_score() -> None:
    nobody = answers(Subject(token=TOKEN, asset=7), *opened(7), closed(0, weight=0))
    other = answers(Subject(token=TOKEN, asset=8), *opened(7), closed(850_000))
    assert nobody["score"].status is other["score"].status is Status.UNKNOWN


def test_what_could_be_slashed_of_the_networks_own_token() -> None:
    """1,000 minted, 250 bonded, 50 slashed from it and gone to the commons."""
    moved = Transfers.of(
        TOKEN,
        [
            Row(1, 12, 0, 0, ZERO, VALIDATOR, 1_000),
            Row(2, 24, 0, 0, VALIDATOR, BOND, 250),
            Row(3, 36, 0, 0, BOND, SLASHER, 50),
        ],
    )
    found = answers(
        Subject(token=TOKEN, decimals=0),
        said(1, TOKEN, network_token.MinterSet(minter=SLASHER)),
        said(3, BOND, bond.Slashed(
            validator=VALIDATOR, slasher=SLASHER, case=ROUND, evidence=SET, taken=50,
            whistle_blower=SLASHER, bounty=10,
        )),
        # A copy of our code that an attacker deployed and slashes itself in.
        said(4, APPROVALS, bond.Slashed(
            validator=VALIDATOR, slasher=SLASHER, case=ROUND, evidence=SET, taken=10**9,
            whistle_blower=SLASHER, bounty=10,
        )),
        moved=moved,
    )["stake_at_risk"]  # fmt: skip
    assert found.value == pytest.approx(0.2)
    assert found.parts == {"staked": "200", "slashed": "50", "slashings": 1}
