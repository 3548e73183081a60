"""Where a round of approvals is: everything about it that the chain knows, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tessera.bindings.approvals import Approvals, CountVoided, Round, TestSet
from tessera.bindings.bond import Bond
from tessera.bindings.court import (
    Case,
    CaseClosed,
    CaseOpened,
    Court,
    Demand,
    Demanded,
    ExecutorsSeated,
)
from tessera.bindings.court import Reported as CountReported
from tessera.bindings.draws import Committed as SecretCommitted
from tessera.bindings.draws import Draw, Draws, Requested
from tessera.bindings.jury import Jury, Poll
from tessera.chain.reader import ChainReader
from tessera.errors import NotFound
from tessera.spec.court import checked_places
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of

__all__ = ["Courts", "EndedCase", "OpenCase", "Seats", "Situation", "Standing", "read_situation"]

_NONE: Final = bytes(32)
_OVER: Final = 7


@dataclass(frozen=True, slots=True)
class Courts:
    """The contracts that a round concerns, and the first block to look for its events in."""

    approvals: Approvals
    court: Court
    jury: Jury
    draws: Draws
    bond: Bond
    since: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A validator in a round.

    Attributes
    ----------
    bond
        Behind it, base units; `taken` is what penalties for the model came to so far.
    root
        Of its outputs; before it revealed, the commitment.
    checks
        Places that it must show, once they are drawn; `shown` are those that were.
    """

    address: str
    bond: int
    score: int
    revealed: bool
    approves: bool
    root: bytes
    cases: int
    taken: int
    removed: bool
    checks: tuple[int, ...] = ()
    shown: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A dispute that is not over; `poll` where jurors were asked for, `shown` what was shown."""

    number: int
    case: Case
    poll: Poll | None = None
    shown: bytes = _NONE


@dataclass(frozen=True, slots=True)
class EndedCase:
    """A dispute that is over: upheld, dismissed without harm, or else lost by who began it."""

    number: int
    case: Case
    upheld: bool
    dismissed: bool

    @property
    def outcome(self) -> str:
        """In a word."""
        if self.upheld:
            return "upheld"
        return "dismissed" if self.dismissed else "lost"


@dataclass(frozen=True, slots=True)
class Seats:
    """The re-executors of the attempt that runs; who of them committed, and who reported."""

    executors: tuple[str, ...]
    since: int
    committed: frozenset[str] = frozenset()
    reported: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Situation:
    """A test set, and a round over it.

    Attributes
    ----------
    name, row
        Of the round; None where only the set was asked for.
    now
        The time that it is judged at, unix seconds.
    hour, window
        Seconds of an hour of rounds, and of each half of a draw.
    seeded, check_seeded
        Whether the seeds of assignments and of checks are known.
    draws
        Those that are waited for, by number: their row, and secrets that are still closed.
    """

    set_name: bytes
    test_set: TestSet
    name: bytes | None
    row: Round | None
    now: int
    hour: int
    window: int
    seeded: bool = False
    check_seeded: bool = False
    draws: Mapping[int, tuple[Draw, tuple[str, ...]]] = field(default_factory=dict)
    validators: tuple[Standing, ...] = ()
    seats: Seats | None = None
    checks_from: int = 0
    cases: tuple[OpenCase, ...] = ()
    ended: tuple[EndedCase, ...] = ()
    demands: Mapping[int, Demand] = field(default_factory=dict)
    held: bool = False


async def read_situation(reader: ChainReader, courts: Courts, name: bytes, now: int) -> Situation:
    """Read where a round is, or a test set.

    Parameters
    ----------
    name
        Id of either.
    now
        The time that a transaction would have, unix seconds.

    Raises
    ------
    NotFound
        Neither has that id.
    """
    approvals, court, draws = courts.approvals, courts.court, courts.draws
    row = await reader.read(approvals.round_of(name))
    set_name = row.test_set if row.test_set != _NONE else name
    test_set = await reader.read(approvals.set_of(set_name))
    if int(test_set.committer, 16) == 0:
        raise NotFound(
            f"round 0x{name.hex()}", found="none", wanted="a round of approvals, or a test set",
            next_step="tessera approval list",
        )  # fmt: skip
    hour, window = await reader.read_all([approvals.HOUR(), draws.WINDOW()])
    seeds = await reader.read_all(
        [draws.seed_of(test_set.draw), draws.seed_of(test_set.check_draw)]
    )
    waiting = [
        number
        for number, seed in zip((test_set.draw, test_set.check_draw), seeds, strict=True)
        if number and seed == _NONE
    ]
    about = _NONE if row.test_set == _NONE else name
    cases: tuple[OpenCase, ...] = ()
    ended: tuple[EndedCase, ...] = ()
    if about != _NONE:
        cases, ended = await _cases(reader, courts, name)
    waiting += [
        each.poll.draw
        for each in cases
        if each.poll is not None
        and not each.poll.seated
        and await reader.read(draws.seed_of(each.poll.draw)) == _NONE
    ]
    checks_from = await reader.read(court.checks_from(set_name))
    holds = await reader.read(approvals.holds(set_name))
    if about != _NONE:
        holds += await reader.read(approvals.holds(name))
    if about != _NONE and row.attempts:
        waiting += await _recount_draw(reader, courts, name, row)
    found = Situation(
        set_name,
        test_set,
        None,
        None,
        now,
        hour,
        window,
        seeded=seeds[0] != _NONE,
        check_seeded=seeds[1] != _NONE,
        draws={number: await _draw(reader, courts, number) for number in waiting},
        checks_from=checks_from,
        demands=await _demands(reader, courts, set_name),
        held=bool(holds),
    )
    if about == _NONE:
        return found
    return replace(
        found,
        name=name,
        row=row,
        cases=cases,
        ended=ended,
        validators=await _validators(reader, courts, name, row, seeds[1]),
        seats=await _seats(reader, courts, name, row),
    )


async def _recount_draw(reader: ChainReader, courts: Courts, name: bytes, row: Round) -> list[int]:
    """Return the draw of those who count once more, while it has no number.

    No view names it: it was asked for when the count before was voided, in that transaction.
    """
    there, draws = courts.approvals.address, courts.draws
    topics = CountVoided.topics(round=name)
    voided = await reader.logs(CountVoided, address=there, topics=topics, first=courts.since)
    if len(voided) < row.attempts:
        return []
    last = voided[row.attempts - 1]
    logs = await reader.logs(Requested, address=draws.address, first=last.block, last=last.block)
    found = [log.event.draw for log in logs if log.tx_hash == last.tx_hash]
    seeds = await reader.read_all([draws.seed_of(number) for number in found])
    return [number for number, seed in zip(found, seeds, strict=True) if seed == _NONE]


async def _draw(reader: ChainReader, courts: Courts, number: int) -> tuple[Draw, tuple[str, ...]]:
    """Return a draw, and whose secrets are not revealed yet."""
    draws = courts.draws
    row = await reader.read(draws.draw_of(number))
    if not row.open_secrets:
        return row, ()
    committed = await reader.logs(
        SecretCommitted, address=draws.address, topics=SecretCommitted.topics(draw=number),
        first=courts.since,
    )  # fmt: skip
    senders = tuple(dict.fromkeys(log.event.sender for log in committed))
    closed = await reader.read_all([draws.commitment_of(number, who) for who in senders])
    return row, tuple(who for who, hash_ in zip(senders, closed, strict=True) if hash_ != _NONE)


async def _cases(
    reader: ChainReader, courts: Courts, name: bytes
) -> tuple[tuple[OpenCase, ...], tuple[EndedCase, ...]]:
    """Return the disputes of a round that are open, and those that are over."""
    court, since = courts.court, courts.since
    topics = CaseOpened.topics(round=name)
    logs = await reader.logs(CaseOpened, address=court.address, topics=topics, first=since)
    numbers = [log.event.case for log in logs]
    rows = await reader.read_all([court.case_of(number) for number in numbers])
    found, over = [], []
    for number, case in zip(numbers, rows, strict=True):
        if case.stage == _OVER:
            ends = CaseClosed.topics(case=number)
            (end,) = await reader.logs(CaseClosed, address=court.address, topics=ends, first=since)
            over.append(EndedCase(number, case, end.event.upheld, end.event.dismissed))
            continue
        poll = None
        if case.poll:
            poll = await reader.read(courts.jury.poll_of(case.poll))
        shown = await reader.read(court.shown(case.round, case.accused, case.place))
        found.append(OpenCase(number, case, poll, shown))
    return tuple(found), tuple(over)


async def _demands(reader: ChainReader, courts: Courts, set_name: bytes) -> dict[int, Demand]:
    """Return the demands that were not met yet, by number of the hidden item."""
    court = courts.court
    logs = await reader.logs(
        Demanded, address=court.address, topics=Demanded.topics(test_set=set_name),
        first=courts.since,
    )  # fmt: skip
    rows = {log.event.index: None for log in logs}
    found = await reader.read_all([court.demands(set_name, index) for index in rows])
    return {
        index: row for index, row in zip(rows, found, strict=True)
        if row.sender != ZERO_ADDRESS_TEXT
    }  # fmt: skip


async def _validators(
    reader: ChainReader, courts: Courts, name: bytes, row: Round, check_seed: bytes
) -> tuple[Standing, ...]:
    approvals, court = courts.approvals, courts.court
    who = await reader.read_all([approvals.validator_at(name, at) for at in range(row.validators)])
    rows = await reader.read_all([approvals.row_of(name, each) for each in who])
    taken = await reader.read_all([approvals.taken(row.model, each) for each in who])
    removed = await reader.read_all([approvals.removed(each) for each in who])
    found = []
    for address, values, lost, gone in zip(who, rows, taken, removed, strict=True):
        bond, score, revealed, approves, root, cases = values
        checks: Sequence[int] = ()
        if revealed and check_seed != _NONE:
            checks = checked_places(check_seed, name, address_of(address))
        outputs = await reader.read_all([court.shown(name, address, place) for place in checks])
        shown = frozenset(
            place for place, output in zip(checks, outputs, strict=True) if output != _NONE
        )
        found.append(
            Standing(
                address, bond, score, revealed, approves, root, cases, lost, gone,
                tuple(checks), shown,
            )
        )  # fmt: skip
    return tuple(found)


async def _seats(reader: ChainReader, courts: Courts, name: bytes, row: Round) -> Seats | None:
    court, approvals = courts.court, courts.approvals
    topics = ExecutorsSeated.topics(round=name)
    logs = await reader.logs(
        ExecutorsSeated, address=court.address, topics=topics, first=courts.since
    )
    if len(logs) <= row.attempts:
        return None
    seated = logs[row.attempts]
    executors = tuple(who for who in seated.event.executors if who != ZERO_ADDRESS_TEXT)
    bonds = await reader.read_all([approvals.bond_behind(name, who) for who in executors])
    reported = await reader.logs(
        CountReported, address=court.address, topics=CountReported.topics(round=name),
        first=seated.block,
    )  # fmt: skip
    return Seats(
        executors,
        (await reader.block(seated.block)).timestamp,
        frozenset(who for who, bond in zip(executors, bonds, strict=True) if bond),
        frozenset(log.event.executor for log in reported),
    )
