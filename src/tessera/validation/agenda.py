"""What is due in a round of approvals: by whom, until when, and what anybody may do now.

Hours are the contracts' own: a deployment says how many seconds stand for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tessera.bindings.approvals import Round
from tessera.spec.approvals import State, penalty_bps
from tessera.validation.situation import OpenCase, Situation, Standing

__all__ = ["ANYONE", "Due", "Stage", "Step", "agenda", "final_from", "steps"]

ANYONE: Final = "anyone"

COMMITTED_BY: Final = 6
REVEALED_BY: Final = 8
TRUTH_BY: Final = 80
CONTESTED_BY: Final = 168
RESOLVED_IN: Final = 72
SHOW_IN: Final = 24
REPORT_IN: Final = 36
VOTE_IN: Final = 16
VOTED_IN: Final = 24
_BPS: Final = 10_000


class Stage:
    """Stages of a case: who has to move."""

    TO_SHOW: Final = 1
    TO_NARROW: Final = 2
    TO_PICK: Final = 3
    TO_OPEN: Final = 4
    TO_CLAIM: Final = 5
    TO_VOTE: Final = 6


@dataclass(frozen=True, slots=True)
class Due:
    """Something that somebody can do, or has to.

    Attributes
    ----------
    who
        The role; `account` where it is one address.
    what
        In a few words.
    since, until
        Unix seconds; no end where it stays possible.
    command
        That does it.
    """

    who: str
    what: str
    since: int
    until: int | None
    command: str
    account: str = ""


class Step(NamedTuple):
    """What anybody may send, if the contracts take it: its name, and what it is about."""

    name: str
    about: tuple[str | int, ...] = ()


def agenda(s: Situation) -> list[Due]:
    """List what can be done now or later, the nearest end first."""
    found = [*_of_set(s), *_of_draws(s)]
    if s.row is not None:
        found += [*_of_round(s, s.row), *(due for case in s.cases for due in _of_case(s, case))]
    return sorted(
        (due for due in found if due.until is None or due.until > s.now),
        key=lambda due: (due.since > s.now, due.until is None, due.until or 0),
    )


def final_from(s: Situation) -> int:
    """Return from when a round can be finished, unless a dispute holds it; 0 while unknown."""
    if s.row is None or not s.test_set.truth_at:
        return 0
    return max(s.test_set.truth_at + CONTESTED_BY * s.hour, s.row.deadline)


def _id(name: bytes | None) -> str:
    return "0x" + (name or b"").hex()


def _of_set(s: Situation) -> Iterator[Due]:
    row, name = s.test_set, _id(s.set_name)
    if row.failed:
        return
    if not row.begun:
        if s.now < row.until:
            command = f"tessera approval open {name} ASSET --benchmark POOL --tau 0.8 --prior 0.7"
            yield Due("issuer", "submit a version", 0, row.until, command)
        return
    hour = s.hour
    if not row.truth_at:
        since, until = row.begun + REVEALED_BY * hour, row.begun + TRUTH_BY * hour
        command = f"tessera approval truth {name} --uri URL --out FILE"
        yield Due("committer", "tell the hidden items", since, until, command, row.committer)
    else:
        until = row.truth_at + (CONTESTED_BY - SHOW_IN) * hour
        command = f"tessera approval demand {name} NUMBER"
        yield Due(
            "challenger", "demand a hidden item that is not served", row.truth_at, until, command
        )
    for index, demand in s.demands.items():
        yield Due(
            "committer", f"show hidden item {index} on the chain", 0, demand.deadline,
            f"tessera approval supply {name}", row.committer,
        )  # fmt: skip


def _of_draws(s: Situation) -> Iterator[Due]:
    for number, (row, closed) in s.draws.items():
        half, end = row.opened + s.window, row.opened + 2 * s.window
        command = f"tessera jury draw {number}"
        if s.now < half:
            yield Due(ANYONE, f"put a secret into draw {number}", row.opened, half, command)
        for who in closed:
            yield Due(
                "who put one in", f"reveal the secret of draw {number}", half, end, command, who
            )


def _of_round(s: Situation, row: Round) -> Iterator[Due]:
    hour, begun, name = s.hour, s.test_set.begun, _id(s.name)
    if not begun or row.state >= State.GOOD:
        return
    if s.now < begun + COMMITTED_BY * hour:
        command = f"tessera approval execute {name} --benchmark POOL --own FOLDER"
        until = begun + COMMITTED_BY * hour
        yield Due("validator", "run the 200 items and commit", begun, until, command)
    for each in s.validators:
        if not each.revealed:
            since, until = begun + COMMITTED_BY * hour, begun + REVEALED_BY * hour
            command = f"tessera approval reveal {name} --uri URL --out FILE"
            yield Due("validator", "reveal", since, until, command, each.address)
        missing = len(set(each.checks) - each.shown)
        if s.checks_from and missing and each.taken < each.bond:
            until = s.checks_from + RESOLVED_IN * hour
            yield Due(
                "validator", f"show {missing} drawn outputs", s.checks_from, until,
                f"tessera approval show {name}", each.address,
            )  # fmt: skip
    if any(each.revealed for each in s.validators):
        told = s.test_set.truth_at or begun + TRUTH_BY * hour
        command = f"tessera approval check {name} VALIDATOR --benchmark POOL --own FOLDER"
        since, until = begun + COMMITTED_BY * hour, told + CONTESTED_BY * hour
        yield Due("challenger", "run a validator's items again, and accuse", since, until, command)
    yield from _of_count(s, row)


def _of_count(s: Situation, row: Round) -> Iterator[Due]:
    hour, name, seats = s.hour, _id(s.name), s.seats
    command = f"tessera jury count {name} --benchmark POOL --truth FILE --own FOLDER"
    if seats is not None and not row.counted:
        for who in seats.executors:
            half, end = seats.since + REPORT_IN * hour, seats.since + 2 * REPORT_IN * hour
            if who not in seats.committed:
                what = "answer all hidden items and commit"
                yield Due("re-executor", what, seats.since, half, command, who)
            elif who not in seats.reported:
                more = f"tessera jury count {name} --uri URL --out FILE"
                yield Due("re-executor", "report the count", half, end, more, who)
    if row.counted:
        yield Due(
            "challenger", "contest the count", 0, final_from(s),
            f"tessera approval contest {name} --mine ANSWERS",
        )  # fmt: skip


def _of_case(s: Situation, each: OpenCase) -> Iterator[Due]:
    case, number, hour = each.case, each.number, s.hour
    moves = {
        Stage.TO_NARROW: ("re-executor", "show the children of the node", case.accused),
        Stage.TO_OPEN: ("re-executor", "show the answer that is left", case.accused),
        Stage.TO_PICK: ("challenger", "say which child is wrong", case.challenger),
        Stage.TO_CLAIM: ("challenger", "say what the answer should be", case.challenger),
    }
    if case.stage == Stage.TO_SHOW and not any(each.shown):
        yield Due(
            "validator", f"case {number}: show the output at place {case.place}", 0,
            case.deadline, f"tessera approval show {_id(s.name)}", case.accused,
        )  # fmt: skip
    if case.stage in moves:
        who, what, account = moves[case.stage]
        command = f"tessera approval move {number}"
        yield Due(who, f"case {number}: {what}", 0, case.deadline, command, account)
    poll = each.poll
    if case.stage == Stage.TO_VOTE and poll is not None and poll.seated:
        half, end = poll.seated + VOTE_IN * hour, poll.seated + VOTED_IN * hour
        for juror in poll.jurors:
            if int(juror, 16):
                command = f"tessera jury vote {number}"
                what = f"case {number}: run the item and commit to a vote"
                yield Due("juror", what, poll.seated, half, command, juror)
                yield Due("juror", f"case {number}: reveal the vote", half, end, command, juror)


# --- What anybody may send ----------------------------------------------------------------------


def steps(s: Situation) -> list[Step]:
    """List what anybody may try to send now; where the chain alone knows, it refuses some."""
    found = [*_steps_of_set(s), *_steps_of_draws(s)]
    if s.row is not None:
        found += [*_steps_of_round(s, s.row), *(x for each in s.cases for x in _of_open(s, each))]
    return found


def _steps_of_set(s: Situation) -> Iterator[Step]:
    row, hour = s.test_set, s.hour
    if not row.failed and not row.begun and s.now >= row.until:
        if row.open_rounds and not row.draw:
            yield Step("draw")
        elif s.seeded:
            yield Step("begin")
        if s.now >= row.until + RESOLVED_IN * hour:
            yield Step("abandon")
    late = row.begun and not row.truth_at and s.now >= row.begun + TRUTH_BY * hour
    if late and not row.failed:
        yield Step("fail_set")
    told = row.truth_at
    called_by = told + (CONTESTED_BY - RESOLVED_IN) * hour
    if told and s.check_seeded and not s.checks_from and s.now < called_by:
        yield Step("call_checks")
    for index, demand in s.demands.items():
        if s.now >= demand.deadline:
            yield Step("punish_withheld", (index,))
    over = told and s.now >= told + (CONTESTED_BY + RESOLVED_IN) * hour
    if row.pledge and not row.open_rounds and not s.held and (row.failed or over):
        yield Step("withdraw_pledge")


def _steps_of_draws(s: Situation) -> Iterator[Step]:
    for number, (row, closed) in s.draws.items():
        if s.now >= row.opened + 2 * s.window:
            for who in closed:
                yield Step("forfeit", (number, who))
            # Behind what is sent here, if anything is.
            yield Step("again", (number,))


def _steps_of_round(s: Situation, row: Round) -> Iterator[Step]:
    begun, hour, told = s.test_set.begun, s.hour, s.test_set.truth_at
    revealed = begun and s.now >= begun + REVEALED_BY * hour
    if revealed and row.state == State.OPEN:
        yield Step("close")
    if revealed:
        for each in s.validators:
            if not each.revealed and each.taken < each.bond // 100:
                yield Step("punish_silence", (each.address,))
    if told and not row.counted and row.state < State.GOOD:
        if s.seats is None:
            yield Step("seat_executors")
        elif s.now >= s.seats.since + 2 * REPORT_IN * hour:
            yield Step("call_others")
    since, late = s.checks_from + RESOLVED_IN * hour, s.checks_from + 2 * RESOLVED_IN * hour
    if s.checks_from and since <= s.now < late:
        for each in s.validators:
            missing = [at for at, place in enumerate(each.checks) if place not in each.shown]
            if missing and each.taken < each.bond:
                yield Step("punish_missing", (each.address, missing[0]))
    final = s.test_set.failed or (told and not s.held and s.now >= final_from(s))
    if row.state < State.GOOD and final:
        yield Step("finish")
    if row.state >= State.GOOD:
        yield from _steps_of_finished(s, row)


def _steps_of_finished(s: Situation, row: Round) -> Iterator[Step]:
    graded = s.now >= row.finished_at + RESOLVED_IN * s.hour
    for each in s.validators:
        if row.state == State.BAD and each.approves and each.taken < _penalty(row, each):
            yield Step("punish_approval", (each.address,))
        if row.state != State.VOID and each.revealed:
            if not graded:
                yield Step("grade", (each.address,))
            elif row.reward_weight:
                yield Step("reward", (each.address,))
    if graded and row.budget and not row.reward_weight:
        yield Step("return_budget")


def _penalty(row: Round, each: Standing) -> int:
    return each.bond * penalty_bps(row.in_favour, row.weight) // _BPS


def _of_open(s: Situation, each: OpenCase) -> Iterator[Step]:
    case, poll = each.case, each.poll
    if case.stage == Stage.TO_SHOW and any(each.shown):
        yield Step("answer", (each.number,))
        return
    deadline = case.deadline
    if case.stage == Stage.TO_VOTE and poll is not None:
        if poll.seated:
            deadline = poll.seated + VOTED_IN * s.hour
        elif poll.draw not in s.draws:
            yield Step("seat", (case.poll,))
    if s.now >= deadline:
        yield Step("resolve", (each.number,))
