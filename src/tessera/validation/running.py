"""A run: every question once, so many at a time, within a budget, and resumable after any end.

What was answered is written down at once, so that an answer that was paid for is never asked again.
Questions go out in an order that says nothing: neither the place of an item in its list nor which
of them are shared can be told from it.
"""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from tessera.errors import Conflict, InputError, PaymentRequired, WrongVersionServed
from tessera.serving.runner import Identity
from tessera.validation.answers import Answer, Ask, Outcome
from tessera.validation.canonical import canonical
from tessera.validation.draw import Draw
from tessera.validation.endpoints import Endpoint, Said, Served
from tessera.validation.report import Measured
from tessera.validation.task import Benchmark

__all__ = ["USUAL", "Finished", "Limits", "Progress", "items_to_ask", "most_of", "run"]

Progress = Callable[[int, int], None]
"""Told how many of how many items are done."""

_FORMAT: Final = "tessera.run.v1"
_TOLD_OFTEN_ENOUGH: Final = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take.

    Attributes
    ----------
    at_once
        Items that are asked at the same time.
    budget
        Base units that its calls may cost in all, those of an earlier part included; None for no
        limit.
    """

    at_once: int = 4
    budget: int | None = None


USUAL: Final = Limits()


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that came to its end.

    Attributes
    ----------
    measured
        The answers.
    served
        What the operator signed that it served; None without receipts.
    cost
        Base units, all parts of the run together.
    resumed
        Items that an earlier part had asked.
    why
        For people: the first reason why something was no answer.
    """

    measured: Measured
    served: Served | None
    cost: int
    resumed: int
    why: str


def items_to_ask(task: Benchmark, draw: Draw | None) -> tuple[int, ...]:
    """Return the numbers of the items that a run asks, in order.

    Raises
    ------
    InputError
        More are to be drawn than there are.
    """
    if draw is None:
        return tuple(range(len(task.items)))
    return tuple(sorted((*draw.of(task.eligible), *task.always)))


def most_of(task: Benchmark, numbers: Sequence[int], endpoint: Endpoint) -> int:
    """Return the most that asking these items can cost, base units."""
    asks = (ask for number in numbers for ask in task.scoring.asks(task.items[number]))
    return sum(endpoint.most(ask) for ask in asks)


async def run(
    task: Benchmark,
    numbers: Sequence[int],
    endpoint: Endpoint,
    *,
    about: str,
    journal: Path | None = None,
    limits: Limits = USUAL,
    progress: Progress = lambda _done, _all: None,
) -> Finished:
    """Ask an endpoint about items.

    Parameters
    ----------
    numbers
        From `items_to_ask`.
    about
        What else tells this run from another: the model, and how it is reached.
    journal
        Written while it runs; one that is there is gone on from. It may be deleted afterwards.

    Raises
    ------
    PaymentRequired
        The budget does not cover the next call. What was answered is kept.
    WrongVersionServed
        The operator changed the version on the way.
    Conflict
        The journal is of another run.
    TesseraError
        The endpoint cannot be reached, or refuses whoever asks. What was answered is kept.
    """
    state = _Run(task, endpoint, limits)
    with _journal(journal, _header(task, numbers, about), state, numbers) as note:
        state.resumed = len(state.done)
        left = [number for number in numbers if number not in state.done]
        # A secret order: no seed of it exists, and none is needed to make the report again.
        randomness.SystemRandom().shuffle(left)
        await state.all_of(left, note, lambda: progress(len(state.done), len(numbers)))
    return Finished(
        Measured(tuple(numbers), tuple(state.done[number] for number in numbers)),
        state.served,
        state.spent,
        state.resumed,
        state.why,
    )


@dataclass
class _Run:
    task: Benchmark
    endpoint: Endpoint
    limits: Limits
    done: dict[int, tuple[Answer, ...]] = field(default_factory=dict)
    served: Served | None = None
    spent: int = 0
    reserved: int = 0
    resumed: int = 0
    why: str = ""
    unsupported: int = 0
    answered: bool = False

    async def all_of(
        self, numbers: list[int], note: Callable[[bytes], None], progress: Callable[[], None]
    ) -> None:
        """Ask; the first refusal ends it when those that are under way have ended too.

        A call that was begun is paid for, so it is waited for.
        """
        failures: list[Exception] = []

        async def worker() -> None:
            while numbers and not failures:
                number = numbers.pop()
                try:
                    said = await self._item(number)
                    self._take(number, said)
                except Exception as error:  # noqa: BLE001 - raised below, when all have ended
                    failures.append(error)
                    return
                note(_line(number, said))
                progress()

        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, self.limits.at_once)):
                group.create_task(worker())
        if failures:
            raise failures[0]

    async def _item(self, number: int) -> list[Said]:
        asks = self.task.scoring.asks(self.task.items[number])
        if self.unsupported >= _TOLD_OFTEN_ENOUGH and not self.answered:
            # Nobody need pay for being told so a hundred times. Told once, it may be this item.
            return [Said(Answer(Outcome.UNSUPPORTED)) for _ in asks]
        return [await self._one(ask) for ask in asks]

    async def _one(self, ask: Ask) -> Said:
        most = self.endpoint.most(ask)
        budget = self.limits.budget
        if budget is not None and self.spent + self.reserved + most > budget:
            raise PaymentRequired(
                f"benchmark {self.task.name}",
                found=f"{self.spent + self.reserved} base units spent, and a call of up to {most}",
                wanted=f"{budget} in all, as the budget says",
                next_step="go on with a larger one: what was answered is kept",
            )
        self.reserved += most
        try:
            said = await self.endpoint.ask(ask)
        finally:
            self.reserved -= most
        self.spent += said.answer.cost
        return said

    def _take(self, number: int, said: Sequence[Said]) -> None:
        for each in said:
            if each.served is not None and self.served not in {None, each.served}:
                raise WrongVersionServed(
                    f"benchmark {self.task.name}",
                    found=f"version {each.served.version} of asset {each.served.asset}",
                    wanted=f"{self.served}, as in the calls before",
                    next_step="begin again: what was asked before is about another version",
                )
            self.served = each.served or self.served
            self.why = self.why or each.why
            self.unsupported += each.answer.outcome is Outcome.UNSUPPORTED
            self.answered |= each.answer.outcome is not Outcome.UNSUPPORTED
        self.done[number] = tuple(each.answer for each in said)


# --- The journal ----------------------------------------------------------------------------


class _AnswerWire(msgspec.Struct):
    outcome: Outcome
    output: Any
    receipt: str | None
    cost: int
    served: tuple[str, int, int] | None
    why: str


class _LineWire(msgspec.Struct):
    item: int
    said: list[_AnswerWire]


def _header(task: Benchmark, numbers: Sequence[int], about: str) -> bytes:
    return canonical(
        {"format": _FORMAT, "task": task.id.hex(), "items": list(numbers), "about": about}
    )


def _line(number: int, said: Sequence[Said]) -> bytes:
    return canonical(
        {
            "item": number,
            "said": [
                {
                    "outcome": str(each.answer.outcome),
                    "output": each.answer.output,
                    "receipt": each.answer.receipt,
                    "cost": each.answer.cost,
                    "served": None
                    if each.served is None
                    else [str(each.served.asset), each.served.version, int(each.served.identity)],
                    "why": each.why,
                }
                for each in said
            ],
        }
    )


@contextmanager
def _journal(
    file: Path | None, header: bytes, state: _Run, numbers: Sequence[int]
) -> Iterator[Callable[[bytes], None]]:
    if file is None:
        yield lambda _line: None
        return
    try:
        end = _resume(file, header, state, frozenset(numbers))
        opened: BinaryIO = file.open("r+b" if end else "wb")
    except OSError as error:
        raise InputError(
            f"journal {file}", found=error.strerror, wanted="a place to write"
        ) from error
    with opened:
        # A line that a kill cut short is written over.
        opened.truncate(end)
        opened.seek(end)
        if not end:
            opened.write(header + b"\n")
            opened.flush()

        def note(line: bytes) -> None:
            opened.write(line + b"\n")
            opened.flush()

        yield note


def _resume(file: Path, header: bytes, state: _Run, numbers: frozenset[int]) -> int:
    """Take what an earlier part had answered; return where its last whole line ends."""
    if not file.exists():
        return 0
    text = file.read_bytes()
    lines = text.split(b"\n")
    if len(lines) == 1:
        return 0
    if lines[0] != header:
        raise Conflict(
            f"journal {file}",
            found="another run: another task, model or draw",
            wanted="this one",
            next_step="finish that one, or delete the file to begin anew",
        )
    end = len(lines[0]) + 1
    for line in lines[1:-1]:
        try:
            wire = msgspec.json.decode(line, type=_LineWire)
        except (msgspec.MsgspecError, RecursionError):
            break
        if wire.item in numbers:
            state._take(wire.item, [_said(each) for each in wire.said])  # noqa: SLF001
            state.spent += sum(each.cost for each in wire.said)
        end += len(line) + 1
    return end


def _said(wire: _AnswerWire) -> Said:
    served = None
    if wire.served is not None:
        asset, version, identity = wire.served
        served = Served(int(asset), version, Identity(identity))
    answer = Answer(wire.outcome, wire.output, wire.receipt, wire.cost)
    return Said(answer, served, wire.why)
