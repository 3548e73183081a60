"""A count that is contested: narrowed to one item, which five jurors run.

The re-executors' tree of answers has sixteen children to a node and three levels. They show the
children of a node, the challenger says which one is wrong, and after three such moves one answer is
left. Who does not move in time has lost.
"""

from __future__ import annotations

from typing import Final

from tessera.app.court import case_of
from tessera.app.judging import round_of
from tessera.app.spending import spend
from tessera.app.world import World
from tessera.bindings.court import CaseOpened, Narrowed
from tessera.chain.sender import Sender
from tessera.errors import InputError
from tessera.spec.court import Answer, AnswerTree, choice_of
from tessera.validation.agenda import Stage

__all__ = ["contest", "contest_stake", "move"]

_EXECUTORS: Final = 3
_NO_ANSWER: Final = Answer(bytes(32), correct=False)


async def contest(world: World, sender: Sender, round_: bytes, mine: AnswerTree) -> int:
    """Say that a count is wrong, and return the case; takes the stake of a case.

    Parameters
    ----------
    mine
        One's own answers to all hidden items: a count that is the same is not contested.

    Raises
    ------
    InputError
        The count is the same.
    """
    court, row = world.deployment.court, await round_of(world, round_)
    if row.counted == mine.correct + 1:
        raise InputError(
            f"count of round 0x{round_.hex()}", found=f"{mine.correct} right answers, as yours",
            wanted="another count than one's own", next_step="nothing is wrong with it",
        )  # fmt: skip
    stake = await contest_stake(world, round_)
    await spend(world, sender, court.address, stake, "the stake of a case")
    receipt = await sender.send(court.contest(round_))
    return receipt.one_of(CaseOpened).case


async def contest_stake(world: World, round_: bytes) -> int:
    """Return what contesting a count takes, at most: by the largest of the re-executors' bonds."""
    court, row = world.deployment.court, await round_of(world, round_)
    seats = await world.reader.read_all(
        [court.executors_of(round_, row.attempts, seat) for seat in range(_EXECUTORS)]
    )
    return max(await world.reader.read_all([court.stake_for(round_, seat) for seat in seats]))


async def move(
    world: World,
    sender: Sender,
    number: int,
    *,
    reported: AnswerTree | None = None,
    mine: AnswerTree | None = None,
) -> str:
    """Make the move that is due in a case about a count.

    Parameters
    ----------
    reported
        The answers behind the count, for a move of the re-executors; anybody may make it.
    mine
        The challenger's own, for a move of its.

    Returns
    -------
    str
        What was done: "narrowed", "picked 3", "opened", "claimed".

    Raises
    ------
    InputError
        The answers that the move needs were not given, or nothing is due.
    """
    case, court = await case_of(world, number), world.deployment.court
    match case.stage:
        case Stage.TO_NARROW:
            hashes, sums = _given(reported, number, "the re-executors'").children(
                case.level, case.place
            )
            await sender.send(court.narrow(number, hashes, sums))
            return "narrowed"
        case Stage.TO_PICK:
            return await _pick(world, sender, number, _given(mine, number, "the challenger's"))
        case Stage.TO_OPEN:
            answer = _answer(_given(reported, number, "the re-executors'"), case.place)
            await sender.send(court.open_leaf(number, answer.output, answer.correct))
            return "opened"
        case Stage.TO_CLAIM:
            answer = _answer(_given(mine, number, "the challenger's"), case.place)
            await sender.send(court.claim(number, choice_of(answer)))
            return "claimed"
    raise InputError(
        f"case {number}", found="no move about a count that is due", wanted="one to make",
        next_step=f"tessera approval info 0x{case.round.hex()}",
    )  # fmt: skip


async def _pick(world: World, sender: Sender, number: int, mine: AnswerTree) -> str:
    court, case = world.deployment.court, await case_of(world, number)
    logs = await world.reader.logs(
        Narrowed, address=court.address, topics=Narrowed.topics(case=number),
        first=world.deployment.since,
    )  # fmt: skip
    shown = logs[-1].event
    hashes, sums = mine.children(case.level, case.place)
    theirs = list(zip(shown.hashes, shown.sums, strict=True))
    own = list(zip(hashes, sums, strict=True))
    which = next((at for at, child in enumerate(theirs) if child != own[at]), None)
    if which is None:
        raise InputError(
            f"case {number}", found="children that are all as in one's own answers",
            wanted="one that is wrong", next_step="leave it: a case that is not moved is lost",
        )  # fmt: skip
    await sender.send(court.pick(number, list(shown.hashes), list(shown.sums), which))
    return f"picked {which}"


def _answer(tree: AnswerTree, place: int) -> Answer:
    return tree.answers[place] if place < len(tree.answers) else _NO_ANSWER


def _given(tree: AnswerTree | None, number: int, whose: str) -> AnswerTree:
    if tree is None:
        raise InputError(
            f"case {number}", found="no answers", wanted=f"{whose}, for the move that is due"
        )
    return tree
