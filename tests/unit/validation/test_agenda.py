"""What is due in a round, for whom and until when, at every hour of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from tessera.bindings.approvals import Round
from tessera.bindings.approvals import TestSet as SetRow
from tessera.bindings.court import Case, Demand
from tessera.bindings.draws import Draw
from tessera.bindings.jury import Poll
from tessera.spec.approvals import State
from tessera.validation.agenda import Stage, agenda, final_from, steps
from tessera.validation.situation import OpenCase, Seats, Situation, Standing

HOUR, TSR = 3_600, 10**18
NOBODY = "0x" + "0" * 40
WHO = [f"0x{number:040x}" for number in range(1, 9)]
SET = SetRow(
    committer=WHO[0], root=b"\1" * 32, items=100, pool=b"\2" * 32, pool_items=500,
    pledge=TSR, covered=0, until=100 * HOUR, begun=0, truth_at=0, draw=0, check_draw=0,
    open_rounds=1, failed=False,
)  # fmt: skip
ROUND = Round(
    test_set=b"\3" * 32, asset=1, version=1, model=b"\4" * 32, issuer=WHO[1], tau=800_000,
    prior=700_000, cap=0, budget=TSR, validators=2, state=State.OPEN, listed=False, score=0,
    in_favour=0, weight=0, most=0, approving=0, counted=0, deadline=0, attempts=0,
    finished_at=0, reward_weight=0,
)  # fmt: skip
HONEST = Standing(
    WHO[2], 100 * TSR, 0, revealed=False, approves=False, root=b"\5" * 32, cases=0, taken=0,
    removed=False,
)  # fmt: skip
BEGUN = 102 * HOUR
START = Situation(b"\3" * 32, SET, b"\6" * 32, ROUND, 99 * HOUR, HOUR, HOUR)


def at(hours: float, **changes: Any) -> Situation:
    """Go so many hours behind the assignments."""
    later = {name: changes.pop(name) for name in ("truth_at", "failed") if name in changes}
    fields = set(ROUND.__struct_fields__) - {"validators"}
    row = {name: changes.pop(name) for name in list(changes) if name in fields}
    return replace(
        START,
        now=BEGUN + int(hours * HOUR),
        test_set=changed(SET, begun=BEGUN, draw=1, **later),
        row=changed(ROUND, **row),
        seeded=True,
        **changes,
    )


def whats(found: Situation) -> list[str]:
    return [f"{due.who}: {due.what}" for due in agenda(found) if due.since <= found.now]


def names(found: Situation) -> list[str]:
    return [step.name for step in steps(found)]


def test_before_the_assignments() -> None:
    assert whats(START) == ["issuer: submit a version"]
    assert names(START) == []
    over = replace(START, now=100 * HOUR)
    assert (whats(over), names(over)) == ([], ["draw"])
    asked = replace(
        over, test_set=changed(SET, draw=1),
        draws={1: (Draw(100 * HOUR, 1, 0, 0, 0, 10), (WHO[5],))},
    )  # fmt: skip
    assert whats(asked) == ["anyone: put a secret into draw 1"]
    shown = replace(asked, now=101 * HOUR)
    assert whats(shown) == ["who put one in: reveal the secret of draw 1"]
    late = replace(asked, now=102 * HOUR)
    assert [(step.name, step.about) for step in steps(late)] == [
        ("forfeit", (1, WHO[5])), ("again", (1,)),
    ]  # fmt: skip
    assert names(replace(asked, draws={}, seeded=True)) == ["begin"]
    assert "abandon" in names(replace(asked, now=172 * HOUR))


@pytest.mark.parametrize(
    ("hours", "due", "anybody"),
    [
        (0, "validator: run the 200 items and commit", []),
        (5.99, "validator: run the 200 items and commit", []),
        (6, "validator: reveal", []),
        (8, "committer: tell the hidden items", ["close", "punish_silence"]),
        (79.99, "committer: tell the hidden items", ["close", "punish_silence"]),
        (80, None, ["fail_set", "close", "punish_silence"]),
    ],
)
def test_the_hours_up_to_the_truth(hours: float, due: str | None, anybody: list[str]) -> None:
    found = at(hours, validators=(HONEST,))
    assert whats(found)[:1] == ([due] if due else [])
    assert names(found) == anybody


def test_after_the_truth() -> None:
    shown = replace(HONEST, revealed=True, checks=(3, 9, 11, 50, 60), shown=frozenset({3, 9}))
    told = {"truth_at": BEGUN + 10 * HOUR, "state": State.CLOSED, "validators": (shown,)}
    found = at(12, check_seeded=True, **told)
    assert names(found) == ["call_checks", "seat_executors"]
    seats = Seats((WHO[3], WHO[4]), BEGUN + 12 * HOUR, frozenset({WHO[4]}))
    called = {"checks_from": BEGUN + 12 * HOUR, "seats": seats, "check_seeded": True, **told}
    found = at(13, **called)
    assert {due.account for due in agenda(found) if due.who == "re-executor"} == set(WHO[3:5])
    assert "validator: show 3 drawn outputs" in whats(found)
    assert names(found) == []
    found = at(50, **called)
    assert "re-executor: report the count" in whats(found)
    missing = at(84, **called)
    assert [(step.name, step.about) for step in steps(missing)] == [
        ("call_others", ()), ("punish_missing", (WHO[2], 2)),
    ]  # fmt: skip
    assert names(at(156, **called)) == ["call_others"]
    convicted = {**called, "validators": (replace(shown, taken=shown.bond),)}
    assert names(at(83, **convicted)) == []
    over = at(178, counted=81, **called)
    assert final_from(over) == over.now
    assert names(over) == ["finish"]
    assert names(replace(over, held=True)) == []


def test_after_the_end() -> None:
    approved = replace(HONEST, revealed=True, approves=True)
    done = {
        "truth_at": BEGUN, "counted": 61, "finished_at": BEGUN + 170 * HOUR, "in_favour": 1,
        "weight": 1, "validators": (approved,),
    }  # fmt: skip
    assert names(at(170, state=State.BAD, **done)) == ["punish_approval", "grade"]
    assert names(at(170, state=State.GOOD, **done)) == ["grade"]
    assert names(at(242, state=State.GOOD, reward_weight=1, **done)) == ["reward"]
    assert "return_budget" in names(at(242, state=State.GOOD, **done))
    assert whats(at(400, state=State.VOID, **done)) == []


@pytest.mark.parametrize(
    ("stage", "who", "command"),
    [
        (Stage.TO_SHOW, "validator", "tessera approval show"),
        (Stage.TO_NARROW, "re-executor", "tessera approval move 4"),
        (Stage.TO_PICK, "challenger", "tessera approval move 4"),
        (Stage.TO_OPEN, "re-executor", "tessera approval move 4"),
        (Stage.TO_CLAIM, "challenger", "tessera approval move 4"),
    ],
)
def test_a_case_names_whose_move_it_is_and_ends_without_it(
    stage: int, who: str, command: str
) -> None:
    found = at(9, cases=(open_case(stage),))
    (due,) = [due for due in agenda(found) if "case 4" in due.what]
    assert due.who == who
    assert due.command.startswith(command)
    assert names(found) == ["close"]
    assert names(at(13, cases=(open_case(stage),)))[-1] == "resolve"


def open_case(stage: int, poll: Poll | None = None, shown: bytes = bytes(32)) -> OpenCase:
    case = Case(
        stage=stage, round=b"\6" * 32, accused=WHO[2], second=NOBODY, challenger=WHO[6],
        stake=TSR, place=7, level=0, attempt=0, node=bytes(32), total=0, shown=bytes(32),
        claim=b"\7" * 32, deadline=BEGUN + 13 * HOUR, poll=2,
    )  # fmt: skip
    return OpenCase(4, case, poll, shown)


def test_jurors_commit_and_then_reveal_and_anybody_ends_it() -> None:
    shown = at(9, cases=(open_case(Stage.TO_SHOW, shown=b"\1" * 32),))
    assert names(shown) == ["close", "answer"]
    poll = Poll(
        round=b"\6" * 32, first=NOBODY, second=NOBODY, draw=8, asked=1, seated=0,
        jurors=(NOBODY,) * 5, choices=(bytes(32),) * 5,
    )  # fmt: skip
    waits = open_case(Stage.TO_VOTE, poll)
    assert names(at(9, cases=(waits,))) == ["close", "seat"]
    draws = {8: (Draw(BEGUN, 1, 0, 0, 0, 10), ())}
    assert "seat" not in names(at(9, cases=(waits,), draws=draws))
    seated = changed(poll, seated=BEGUN + 9 * HOUR, jurors=(*WHO[3:7], NOBODY))
    voting = open_case(Stage.TO_VOTE, seated)
    found = at(9, cases=(voting,))
    assert sum("commit to a vote" in due for due in whats(found)) == 4
    assert sum("reveal the vote" in due for due in whats(at(25, cases=(voting,)))) == 4
    assert "resolve" not in names(at(32, cases=(voting,)))
    assert "resolve" in names(at(33, cases=(voting,)))


def test_what_is_demanded_is_the_committers_to_show() -> None:
    found = at(12, truth_at=BEGUN + 10 * HOUR, demands={7: Demand(WHO[5], BEGUN + 13 * HOUR)})
    assert "committer: show hidden item 7 on the chain" in whats(found)
    assert "punish_withheld" not in names(found)
    late = at(13, truth_at=BEGUN + 10 * HOUR, demands={7: Demand(WHO[5], BEGUN + 13 * HOUR)})
    assert "punish_withheld" in names(late)
