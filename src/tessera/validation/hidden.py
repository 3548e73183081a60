"""A hidden test set: committed to by its root, told later, and answered by those who count.

A hidden item is one line of a benchmark's list that is not in its public pool. The leaf has the
hash of the whole line, as in the pool, so an item that leaked into a report is known by its hash;
what is right is part of the line, so the leaf's word for a label stays zero. Each leaf has a salt
of its own, by which one item can be shown and the others stay unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from tessera.errors import BackendFailed, DataError, InputError
from tessera.spec.bad_counts import MAX_ITEMS, MIN_ITEMS
from tessera.spec.court import Answer, AnswerTree, hidden_leaf
from tessera.spec.places import NumberedTree, word
from tessera.spec.signatures import keccak
from tessera.validation.answers import Answer as Said
from tessera.validation.answers import Outcome
from tessera.validation.approving import outputs_digest
from tessera.validation.canonical import canonical, digest
from tessera.validation.endpoints import Endpoint
from tessera.validation.kinds.scoring import Answered, Item
from tessera.validation.running import USUAL, Limits, Progress, run
from tessera.validation.task import Benchmark, read_items

__all__ = [
    "MAX_ITEM_BYTES",
    "MIN_POOL",
    "NO_LABEL",
    "HiddenSet",
    "check_pool",
    "count_hidden",
    "open_hidden",
    "read_answers",
    "read_truth",
    "rerun_item",
    "write_answers",
    "write_truth",
]

MIN_POOL: Final = 400
MAX_ITEM_BYTES: Final = 4_096
"""What the contract takes of an item that is demanded."""

NO_LABEL: Final = bytes(32)

_TRUTH: Final = "tessera.truth.v1"
_ANSWERS: Final = "tessera.answers.v1"


@dataclass(frozen=True)
class HiddenSet:
    """The hidden items, with the secret that their salts are made of.

    Attributes
    ----------
    items
        In order; a place in it is an item's number.
    salts
        One each.
    """

    items: tuple[Item, ...]
    salts: tuple[bytes, ...]

    @classmethod
    def of(cls, items: Sequence[Item], secret: bytes) -> HiddenSet:
        """Make the salts of one secret."""
        salts = tuple(keccak(secret + word(number)) for number in range(len(items)))
        return cls(tuple(items), salts)

    @cached_property
    def tree(self) -> NumberedTree:
        """What the committer commits to by its root."""
        return NumberedTree(
            [
                hidden_leaf(number, salt, digest(item), NO_LABEL)
                for number, (item, salt) in enumerate(zip(self.items, self.salts, strict=True))
            ]
        )

    def shown(self, number: int) -> tuple[bytes, bytes, list[bytes]]:
        """Return an item's salt, its content as the contract takes it, and its proof.

        Raises
        ------
        InputError
            There is no such item.
        """
        proof = self.tree.proof(number)
        return self.salts[number], canonical(self.items[number]), proof


def check_pool(task: Benchmark) -> None:
    """Refuse a benchmark that cannot be the public pool of a round.

    Raises
    ------
    InputError
        It has too few items, items that only serve others, or answers that are not right or wrong.
    """
    about = f"benchmark {task.name}"
    if task.always or not task.scoring.proportion:
        raise InputError(
            about, found=f"one of kind {task.kind}",
            wanted="items that each are answered rightly or wrongly: classification or choice",
        )  # fmt: skip
    if len(task.items) < MIN_POOL:
        raise InputError(about, found=f"{len(task.items)} items", wanted=f"{MIN_POOL} or more")


def open_hidden(file: Path, pool: Benchmark) -> tuple[Item, ...]:
    """Read a file of hidden items, one JSON object per line, and hold it against the public pool.

    Raises
    ------
    TaskInvalid
        A line is no item of the pool's kind.
    InputError
        There are too many or too few, an item is too long, comes twice, or is public.
    """
    check_pool(pool)
    items = read_items(file, pool.scoring)
    if not MIN_ITEMS <= len(items) <= MAX_ITEMS:
        raise InputError(str(file), found=len(items), wanted=f"{MIN_ITEMS} to {MAX_ITEMS} items")
    public, seen = set(pool.digests), set[bytes]()
    for number, item in enumerate(items):
        one = digest(item)
        if one in public or one in seen:
            found = "an item of the public pool" if one in public else "an item that comes twice"
            raise InputError(f"{file}: item {number}", found=found, wanted="one that nobody knows")
        if len(canonical(item)) > MAX_ITEM_BYTES:
            raise InputError(
                f"{file}: item {number}", found=f"{len(canonical(item))} bytes",
                wanted=f"at most {MAX_ITEM_BYTES}, as it may have to be shown on the chain",
            )  # fmt: skip
        seen.add(one)
    return items


# --- What is served -----------------------------------------------------------------------------


class _HiddenWire(msgspec.Struct, forbid_unknown_fields=True):
    salt: str
    item: dict[str, Any]


class _TruthWire(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    items: list[_HiddenWire]


class _AnswersWire(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    answers: list[tuple[str, bool]]


def write_truth(hidden: HiddenSet) -> bytes:
    """Write a hidden set for everybody, once it is told."""
    rows = [
        _HiddenWire(salt.hex(), dict(item))
        for item, salt in zip(hidden.items, hidden.salts, strict=True)
    ]
    return msgspec.json.encode(_TruthWire(_TRUTH, rows))


def read_truth(data: bytes, root: bytes, count: int, pool: Benchmark) -> HiddenSet:
    """Read what a committer serves, and hold it against what it committed to.

    Parameters
    ----------
    root, count
        From the chain.
    pool
        Says which items can be asked.

    Raises
    ------
    DataError
        It is no hidden set, or another one: demand its items on the chain.
    """
    try:
        wire = msgspec.json.decode(data, type=_TruthWire)
        if wire.format != _TRUTH:
            raise ValueError(f"format {wire.format!r}")
        hidden = HiddenSet(
            tuple(row.item for row in wire.items),
            tuple(bytes.fromhex(row.salt) for row in wire.items),
        )
        faults = [pool.scoring.fault(item) for item in hidden.items]
        if any(faults):
            raise ValueError(next(filter(None, faults)))
        if any(len(salt) != len(root) for salt in hidden.salts) or not hidden.items:
            raise ValueError("a salt of another length, or no item")
        found = hidden.tree.root
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DataError("hidden items", found=str(error), wanted=f"a {_TRUTH}") from error
    if (found, len(hidden.items)) != (root, count):
        raise DataError(
            "hidden items", found=f"{len(hidden.items)} of root 0x{found.hex()}",
            wanted=f"{count} of root 0x{root.hex()}, as was committed to",
            next_step="demand them on the chain: tessera approval demand",
        )  # fmt: skip
    return hidden


def write_answers(answers: Sequence[Answer]) -> bytes:
    """Write a re-executor's answers, for whoever would contest its count."""
    rows = [(answer.output.hex(), answer.correct) for answer in answers]
    return msgspec.json.encode(_AnswersWire(_ANSWERS, rows))


def read_answers(data: bytes, root: bytes | None = None) -> tuple[Answer, ...]:
    """Read a re-executor's answers, and hold them against the root that it reported.

    Raises
    ------
    DataError
        They are none, or others.
    """
    try:
        wire = msgspec.json.decode(data, type=_AnswersWire)
        if wire.format != _ANSWERS:
            raise ValueError(f"format {wire.format!r}")
        answers = tuple(Answer(bytes.fromhex(output), right) for output, right in wire.answers)
        if any(len(answer.output) != len(NO_LABEL) for answer in answers):
            raise ValueError("an output that is no hash")
        found = AnswerTree(answers).root
    except (msgspec.MsgspecError, ValueError, InputError) as error:
        raise DataError("answers", found=str(error), wanted=f"a {_ANSWERS}") from error
    if root is not None and found != root:
        raise DataError(
            "answers", found=f"root 0x{found.hex()}", wanted=f"0x{root.hex()}, as was reported"
        )
    return answers


# --- Running it again ---------------------------------------------------------------------------


async def rerun_item(task: Benchmark, item: Item, endpoint: Endpoint) -> Answer:
    """Run one item: the hash of what came, and whether it is right.

    Raises
    ------
    BackendFailed
        It broke, which says nothing about the model.
    TesseraError
        The endpoint cannot be reached.
    """
    said = tuple([(await endpoint.ask(ask)).answer for ask in task.scoring.asks(item)])
    if any(answer.outcome is Outcome.FAILED for answer in said):
        raise BackendFailed(
            f"item of {task.name}", found="a failure", wanted="an answer, whatever it is",
            next_step="run it again: a failure is no output that a court could judge",
        )  # fmt: skip
    (answer,) = await _judged(task, [item], [said])
    return answer


async def count_hidden(
    task: Benchmark,
    hidden: Sequence[Item],
    endpoint: Endpoint,
    *,
    about: str,
    journal: Path | None = None,
    limits: Limits = USUAL,
    progress: Progress = lambda _done, _all: None,
) -> tuple[Answer, ...]:
    """Answer all hidden items, as a re-executor; goes on from `journal` after any end.

    Parameters
    ----------
    task
        The round's public pool: how items are asked and scored.
    about, journal, limits, progress
        As for `running.run`.

    Raises
    ------
    BackendFailed
        An item broke, which says nothing about the model.
    TesseraError
        As for `running.run`.
    """
    secret = replace(task, items=tuple(hidden))
    numbers = range(len(secret.items))
    done = await run(
        secret, numbers, endpoint, about=about, journal=journal, limits=limits, progress=progress
    )
    failed = [
        number
        for number, answers in zip(numbers, done.measured.answers, strict=True)
        if any(answer.outcome is Outcome.FAILED for answer in answers)
    ]
    if failed:
        raise BackendFailed(
            f"hidden item {failed[0]}", found=f"a failure ({len(failed)} in all): {done.why}",
            wanted="an answer, whatever it is",
            next_step="delete the run's journal and count again",
        )  # fmt: skip
    return await _judged(secret, secret.items, done.measured.answers)


async def _judged(
    task: Benchmark, items: Sequence[Item], said: Sequence[tuple[Said, ...]]
) -> tuple[Answer, ...]:
    answered = [Answered(item, answers) for item, answers in zip(items, said, strict=True)]
    scores = await task.scoring.scores(answered)
    return tuple(
        Answer(outputs_digest(answers), value == 1.0)
        for answers, value in zip(said, scores.values, strict=True)
    )
