"""The court of approvals: who accuses, who runs an item again, who counts, who draws.

As in `tessera.app.approvals`, everything that is committed to is sealed first, and each function
may be called again: it does what is due, or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tessera.app.judging import (
    assignment,
    chain_time,
    check_round_task,
    folder_of,
    round_of,
    set_of,
    situation,
)
from tessera.app.spending import spend
from tessera.app.world import World
from tessera.bindings.approvals import Revealed as ReportRevealed
from tessera.bindings.court import Case, CaseOpened
from tessera.bindings.draws import Revealed
from tessera.chain.sender import Sender
from tessera.errors import Conflict, InputError, NotFinal, NotFound, TransactionReverted
from tessera.spec.court import (
    ASSIGNED,
    Answer,
    choice_of,
    draw_commitment,
    report_commitment,
    vote_commitment,
)
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of
from tessera.validation import sealed
from tessera.validation.agenda import REPORT_IN, VOTE_IN
from tessera.validation.approving import Approval, approval_of
from tessera.validation.endpoints import Endpoint
from tessera.validation.hidden import HiddenSet, rerun_item
from tessera.validation.report import check_against
from tessera.validation.running import Progress
from tessera.validation.statements import SealedCount, Secret, Vote, fresh
from tessera.validation.task import Benchmark

__all__ = [
    "Difference",
    "accuse",
    "case_of",
    "choice_for",
    "count",
    "demand",
    "differences",
    "enlist",
    "jurors",
    "leave",
    "report_uri",
    "rerun_place",
    "revealed_approval",
    "take_part",
    "vote",
]

_NONE: Final = bytes(32)
_COMMITTED: Final = "jury: committed already"


@dataclass(frozen=True, slots=True)
class Difference:
    """A place at which a validator reported what running the item again does not give."""

    place: int
    reported: bytes
    found: bytes


# --- A challenger -------------------------------------------------------------------------------


async def revealed_approval(
    world: World, round_: bytes, validator: str, report: dict[str, Any], task: Benchmark
) -> Approval:
    """Hold a report that a validator serves against what it revealed.

    Raises
    ------
    ReportWrong
        The report contradicts itself, its benchmark or its draw.
    Conflict
        It is another one than was revealed.
    """
    row = await check_round_task(world, round_, task)
    await check_against(report, task, round_=round_)
    said = approval_of(report, task, threshold=row.tau)
    root = (await world.reader.read(world.deployment.approvals.row_of(round_, validator)))[4]
    if said.root != root:
        raise Conflict(
            f"report of {world.named(validator)}", found=f"root 0x{said.root.hex()}",
            wanted=f"0x{root.hex()}, as was revealed",
            next_step="accuse any place: what it cannot show counts as made up",
        )  # fmt: skip
    return said


async def report_uri(world: World, round_: bytes, validator: str) -> str:
    """Return where a validator said that its report is.

    Raises
    ------
    NotFound
        It revealed nothing in that round.
    """
    logs = await world.reader.logs(
        ReportRevealed,
        address=world.deployment.approvals.address,
        topics=ReportRevealed.topics(round=round_, validator=validator),
        first=world.deployment.since,
    )
    if not logs:
        raise NotFound(
            f"report of {world.named(validator)}", found="nothing revealed",
            wanted=f"a reveal in round 0x{round_.hex()}",
        )  # fmt: skip
    return logs[-1].event.uri


async def rerun_place(
    world: World, round_: bytes, validator: str, place: int, task: Benchmark, endpoint: Endpoint
) -> bytes:
    """Run the item at a place of a validator's assignment, and return the hash of its output."""
    if not 0 <= place < ASSIGNED:
        raise InputError("place", found=place, wanted=f"0 to {ASSIGNED - 1}")
    await check_round_task(world, round_, task)
    numbers = (await assignment(world, round_, validator)).by_place(task.eligible)
    return (await rerun_item(task, task.items[numbers[place]], endpoint)).output


async def differences(
    world: World,
    round_: bytes,
    validator: str,
    said: Approval,
    task: Benchmark,
    endpoint: Endpoint,
    places: Sequence[int],
    *,
    progress: Progress = lambda _done, _all: None,
) -> list[Difference]:
    """Run items of a validator again, and return the places at which something else comes.

    Parameters
    ----------
    said
        From `revealed_approval`.
    places
        To look at.
    """
    numbers = (await assignment(world, round_, validator)).by_place(task.eligible)
    found = []
    for done, place in enumerate(places, 1):
        output = (await rerun_item(task, task.items[numbers[place]], endpoint)).output
        if output != said.leaves[place][1]:
            found.append(Difference(place, said.leaves[place][1], output))
        progress(done, len(places))
    return found


async def accuse(
    world: World, sender: Sender, round_: bytes, validator: str, place: int, output: bytes
) -> int:
    """Say that running a place's item gives this output, and that the validator has another.

    Takes a stake: a hundredth of the accused bond, and the cost of re-executions at least. Returns
    the case; one of the same challenger about the same place and output that is open already is
    gone on with.
    """
    court = world.deployment.court
    for each in (await situation(world, round_)).cases:
        case = each.case
        if (case.challenger, case.accused) != (sender.address, validator):
            continue
        if (case.place, case.claim) == (place, output) and case.second == ZERO_ADDRESS_TEXT:
            return each.number
    stake = await world.reader.read(court.stake_for(round_, validator))
    await spend(world, sender, court.address, stake, "the stake of a case")
    receipt = await sender.send(court.accuse(round_, validator, place, output))
    return receipt.one_of(CaseOpened).case


async def demand(world: World, sender: Sender, test_set: bytes, index: int) -> None:
    """Demand a hidden item that is not where the committer said; the fee comes back if it stays
    away.
    """
    court = world.deployment.court
    row = await world.reader.read(court.demands(test_set, index))
    if row.sender != sender.address:
        cost = await world.reader.read(court.COST())
        await spend(world, sender, court.address, cost, "a demand")
        await sender.send(court.demand(test_set, index))


async def case_of(world: World, number: int) -> Case:
    """Read a case.

    Raises
    ------
    NotFound
        There is none of that number.
    """
    case = await world.reader.read(world.deployment.court.case_of(number))
    if case.round == _NONE:
        raise NotFound(
            f"case {number}", found="none", wanted="one of this court",
            next_step="tessera approval info ROUND",
        )  # fmt: skip
    return case


# --- Jurors -------------------------------------------------------------------------------------


async def enlist(world: World, sender: Sender) -> bool:
    """Offer to run items again and to count; whether it was sent, or the key is listed already."""
    jury = world.deployment.jury
    if sender.address in await jurors(world):
        return False
    await sender.send(jury.enlist())
    return True


async def leave(world: World, sender: Sender) -> bool:
    """Leave the list of jurors; False where the key is not on it."""
    if sender.address not in await jurors(world):
        return False
    await sender.send(world.deployment.jury.evict(sender.address))
    return True


async def jurors(world: World) -> list[str]:
    """Return who offers to run items again and to count."""
    jury = world.deployment.jury
    slots = await world.reader.read(jury.slots())
    found = await world.reader.read_all([jury.juror_at(slot) for slot in range(slots)])
    return [who for who in found if who != ZERO_ADDRESS_TEXT]


async def choice_for(
    world: World,
    number: int,
    task: Benchmark,
    endpoint: Endpoint,
    truth: HiddenSet | None = None,
) -> bytes:
    """Run the one item that a case is about, and return what a juror says of it.

    Parameters
    ----------
    truth
        The hidden items, for a case about a count.

    Raises
    ------
    NotFound
        The case is about a hidden item, and none were given.
    """
    case = await case_of(world, number)
    if case.second == ZERO_ADDRESS_TEXT:
        return await rerun_place(world, case.round, case.accused, case.place, task, endpoint)
    if truth is None:
        raise NotFound(
            f"case {number}", found="about a count", wanted="the hidden items",
            next_step="add --truth with what the committer told",
        )  # fmt: skip
    if case.place >= len(truth.items):
        return choice_of(Answer(_NONE, False))
    return choice_of(await rerun_item(task, truth.items[case.place], endpoint))


async def vote(world: World, sender: Sender, number: int, choice: bytes | None = None) -> str:
    """Vote in a case: the first time with a choice, which is sealed and committed to; then again
    without, to reveal it.

    Returns
    -------
    str
        "committed", "revealed", or "waiting" where it is not time to reveal.

    Raises
    ------
    Conflict
        Another choice was sealed: only it can be revealed.
    NotFound
        Nothing was sealed here.
    """
    case, jury = await case_of(world, number), world.deployment.jury
    poll = await world.reader.read(jury.poll_of(case.poll))
    if not poll.seated:
        raise NotFinal(
            f"jury of case {number}", found="not drawn yet", wanted="five jurors",
            next_step=f"tessera approval info 0x{case.round.hex()}",
        )  # fmt: skip
    name = sealed.name_of("vote", world.reader.chain_id, jury.address, case.poll, sender.address)
    about = f"vote in case {number}"
    try:
        found = await asyncio.to_thread(sealed.kept, folder_of(world), name, Vote, about)
        if choice is not None and found.choice != choice:
            raise Conflict(
                about, found="another choice that was sealed", wanted="the same",
                next_step="reveal that one: only what was committed to can be",
            )  # fmt: skip
    except NotFound:
        if choice is None:
            raise
        found = Vote(choice, fresh())
        await asyncio.to_thread(sealed.keep, folder_of(world), name, found)
    hour = await world.reader.read(jury.HOUR())
    if await chain_time(world) >= poll.seated + VOTE_IN * hour:
        at = poll.jurors.index(sender.address) if sender.address in poll.jurors else 0
        if poll.choices[at] != found.choice:
            await sender.send(jury.vote(case.poll, found.choice, found.salt))
        return "revealed"
    commitment = vote_commitment(
        case.poll, address_of(sender.address), found.choice, found.salt,
        chain_id=world.reader.chain_id, jury=address_of(jury.address),
    )  # fmt: skip
    try:
        await sender.send(jury.commit(case.poll, commitment))
    except TransactionReverted as refused:
        # Only the contract knows what it has; what it has is what is sealed here.
        if refused.reason != _COMMITTED:
            raise
        return "waiting"
    return "committed"


# --- Re-executors -------------------------------------------------------------------------------


async def count(
    world: World,
    sender: Sender,
    round_: bytes,
    answers: Sequence[Answer] | None = None,
    uri: str = "",
) -> tuple[str, SealedCount]:
    """Count as a drawn re-executor: the first time with the answers, which are sealed and committed
    to; then again with the address where they are served, to report.

    Returns
    -------
    str, SealedCount
        "committed", "reported" or "waiting"; and what is sealed.

    Raises
    ------
    Conflict
        Other answers were sealed.
    NotFound
        Nothing was sealed here.
    """
    court = world.deployment.court
    row, found = await round_of(world, round_), await situation(world, round_)
    if found.seats is None:
        raise NotFinal(
            f"re-executors of 0x{round_.hex()}", found="not drawn yet", wanted="three",
            next_step=f"tessera approval info 0x{round_.hex()}",
        )  # fmt: skip
    name = sealed.name_of(
        "count", world.reader.chain_id, court.address, round_, row.attempts, sender.address
    )
    about = f"count of round 0x{round_.hex()}"
    given = None if answers is None else [(each.output, each.correct) for each in answers]
    try:
        kept = await asyncio.to_thread(sealed.kept, folder_of(world), name, SealedCount, about)
        if given is not None and kept.answers != given:
            raise Conflict(
                about, found="other answers that were sealed", wanted="the same",
                next_step="report those: only what was committed to can be",
            )  # fmt: skip
    except NotFound:
        if given is None:
            raise
        items = (await set_of(world, row.test_set)).items
        if len(given) != items:
            raise InputError("answers", found=len(given), wanted=f"{items}, one each") from None
        kept = SealedCount(fresh(), given)
        await asyncio.to_thread(sealed.keep, folder_of(world), name, kept)
    tree = kept.tree
    if sender.address not in found.seats.committed:
        commitment = report_commitment(
            round_, address_of(sender.address), tree.root, tree.correct, kept.salt,
            chain_id=world.reader.chain_id, court=address_of(court.address),
        )  # fmt: skip
        await sender.send(court.commit_report(round_, commitment))
        return "committed", kept
    if await chain_time(world) < found.seats.since + REPORT_IN * found.hour:
        return "waiting", kept
    if sender.address not in found.seats.reported:
        await sender.send(court.report(round_, tree.root, tree.correct, kept.salt, uri))
    return "reported", kept


# --- Draws --------------------------------------------------------------------------------------


async def take_part(world: World, sender: Sender, number: int) -> str:
    """Put a secret into a draw, or reveal the one that was put in, whichever is due.

    Takes the draw's deposit, which comes back with the secret. A draw that is held again gets a
    fresh one.

    Returns
    -------
    str
        "committed", "revealed", or "waiting" where it is not time to reveal.

    Raises
    ------
    NotFound
        No draw of that number, or no secret sealed here.
    """
    draws = world.deployment.draws
    row = await world.reader.read(draws.draw_of(number))
    if not row.opened:
        raise NotFound(f"draw {number}", found="none", wanted="one that was asked for")
    window = await world.reader.read(draws.WINDOW())
    there = await world.reader.read(draws.commitment_of(number, sender.address))
    name = sealed.name_of(
        "secret", world.reader.chain_id, draws.address, number, row.opened, sender.address
    )
    about = f"secret of draw {number}"
    if await chain_time(world) >= row.opened + window:
        if there == _NONE:
            topics = Revealed.topics(draw=number, sender=sender.address)
            if await world.reader.logs(Revealed, address=draws.address, topics=topics):
                return "revealed"
            raise NotFound(
                about, found=f"none of {world.named(sender.address)}", wanted="one that was put in",
                next_step=f"take part when it is held again: tessera jury draw {number}",
            )  # fmt: skip
        found = await asyncio.to_thread(sealed.kept, folder_of(world), name, Secret, about)
        await sender.send(draws.reveal(number, found.secret))
        return "revealed"
    if there != _NONE:
        return "waiting"
    try:
        found = await asyncio.to_thread(sealed.kept, folder_of(world), name, Secret, about)
    except NotFound:
        found = Secret(fresh())
        await asyncio.to_thread(sealed.keep, folder_of(world), name, found)
    commitment = draw_commitment(
        number, address_of(sender.address), found.secret,
        chain_id=world.reader.chain_id, draws=address_of(draws.address),
    )  # fmt: skip
    await spend(world, sender, draws.address, row.deposit, "the deposit of a secret")
    await sender.send(draws.commit(number, commitment))
    return "committed"
