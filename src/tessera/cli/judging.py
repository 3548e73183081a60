"""What the commands about approvals share: what is run again, tokens that move, and what is due."""

from __future__ import annotations

import asyncio
import string
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tessera.cli.amounts import shown_duration, shown_time
from tessera.cli.measuring import benchmarks_here, endpoint_of, round_id
from tessera.cli.reports import Code
from tessera.cli.session import Session
from tessera.units import parse_amount

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.spec.court import AnswerTree
    from tessera.validation.agenda import Due
    from tessera.validation.endpoints import Endpoint
    from tessera.validation.hidden import HiddenSet
    from tessera.validation.task import Benchmark

__all__ = [
    "Code",
    "Copy",
    "KeyEnv",
    "Model",
    "Own",
    "Pool",
    "Round",
    "TestSet",
    "Url",
    "answers_of",
    "due_json",
    "due_lines",
    "id_of",
    "opened",
    "parse_accuracy",
    "pool_of",
    "read_source",
    "truth_of",
    "write_served",
]

_MILLIONTHS = 6
_FEW, _ALL = 6, 64
_WITHIN_S = 60.0

Round = Annotated[
    str, typer.Argument(metavar="ROUND", help="Id of the round, or its first digits.")
]
TestSet = Annotated[
    str, typer.Argument(metavar="SET", help="Id of the test set, or its first digits.")
]
Pool = Annotated[str, typer.Option("--benchmark", help="The round's public pool: a benchmark.")]
Own = Annotated[Path | None, typer.Option(help="Folder of your copy of the model's bundle.")]
Url = Annotated[str, typer.Option(help="An OpenAI-compatible server that has the model.")]
Model = Annotated[str, typer.Option(help="What that server calls the model.")]
KeyEnv = Annotated[str, typer.Option(help="Environment variable with the key of --url.")]


class Copy(NamedTuple):
    """Where a model is run."""

    own: Path | None
    url: str
    model: str
    key_env: str
    code: bool

    @property
    def named(self) -> bool:
        """Whether one was named at all."""
        return self.own is not None or bool(self.url)


async def id_of(world: World, text: str) -> bytes:
    """Read the id of a round or a test set: all of it, or its first digits where they are enough.

    Raises
    ------
    InputError
        It is none.
    NotFound
        No id begins so, or several do.
    """
    from tessera.app.judging import find_rounds, find_sets
    from tessera.errors import NotFound

    digits = text.removeprefix("0x").lower()
    if not (_FEW <= len(digits) < _ALL and set(digits) <= set(string.hexdigits)):
        return round_id(text)
    known = [name.hex() for name, _ in [*await find_sets(world), *await find_rounds(world)]]
    found = [name for name in known if name.startswith(digits)]
    if len(found) != 1:
        raise NotFound(
            f"id {text}", found=f"{len(found)} that begin so", wanted="one round or test set",
            next_step="tessera approval list",
        )  # fmt: skip
    return bytes.fromhex(found[0])


async def pool_of(session: Session, name: str, *, code: bool = False) -> Benchmark:
    """Open the benchmark that is a round's public pool."""
    from tessera.app.benchmarking import folder_of, open_task
    from tessera.errors import InputError

    if not name:
        raise InputError("--benchmark", found="nothing", wanted="the round's public pool")
    config = session.config(allow_python_runners=code or None)
    folder = folder_of(name, await benchmarks_here(session, name))
    return await asyncio.to_thread(open_task, folder, config)


@asynccontextmanager
async def opened(session: Session, copy: Copy) -> AsyncIterator[tuple[Endpoint, Any]]:
    """Open one's own copy, or reach a server, for a context.

    Raises
    ------
    InputError
        Neither is named.
    """
    from tessera.errors import InputError

    if not copy.named:
        raise InputError(
            "model", found="nothing to run", wanted="--own with your copy, or --url with a server"
        )
    config = session.config(allow_python_runners=copy.code or None)
    async with endpoint_of(config, copy.url, copy.own, copy.model, copy.key_env) as found:
        yield found


async def read_source(world: World, source: str, most_bytes: int) -> bytes:
    """Read a file, or fetch what a stranger serves, up to a bound.

    Raises
    ------
    NotFound
        There is no such file.
    DataError
        The address serves nothing, or more.
    """
    from tessera.errors import InputError, NotFound

    if source.startswith(("http://", "https://")):
        return await _fetched(world, source, most_bytes)
    try:
        return await asyncio.to_thread(Path(source).read_bytes)
    except FileNotFoundError as error:
        raise NotFound(source, found="nothing", wanted="a file, or http:// or https://") from error
    except OSError as error:
        raise InputError(source, found=error.strerror, wanted="a file") from error


async def _fetched(world: World, uri: str, most_bytes: int) -> bytes:
    from tessera.app.askers import may_reach_private
    from tessera.errors import DataError
    from tessera.validation.fetching import FETCH_ERRORS, fetched
    from tessera.validation.reaching import open_http

    async with open_http(private=may_reach_private(world)) as http:
        try:
            return await fetched(http, uri, most_bytes=most_bytes, within_s=_WITHIN_S)
        except FETCH_ERRORS as error:
            raise DataError(
                uri[:200], found=str(error) or type(error).__name__, wanted="what is served there",
                next_step="name a file that you have got otherwise",
            ) from error  # fmt: skip


async def truth_of(world: World, test_set: bytes, task: Benchmark, source: str) -> HiddenSet:
    """Read the hidden items that a committer told, and hold them against its root."""
    from tessera.app.judging import set_of
    from tessera.validation.hidden import MAX_ITEM_BYTES, read_truth

    row = await set_of(world, test_set)
    data = await read_source(world, source, row.items * 2 * MAX_ITEM_BYTES)
    return await asyncio.to_thread(read_truth, data, row.root, row.items, task)


async def answers_of(file: Path) -> AnswerTree:
    """Read a file of answers to all hidden items."""
    from tessera.errors import NotFound
    from tessera.spec.court import AnswerTree
    from tessera.validation.hidden import read_answers

    try:
        data = await asyncio.to_thread(file.read_bytes)
    except OSError as error:
        raise NotFound(
            f"answers {file}", found=error.strerror, wanted="a file",
            next_step="tessera approval recount ROUND writes one",
        ) from error  # fmt: skip
    return AnswerTree(read_answers(data))


def parse_accuracy(text: str, thing: str) -> int:
    """Read an accuracy such as 0.8, exactly, as millionths."""
    from tessera.errors import InputError

    found = int(parse_amount(text, decimals=_MILLIONTHS, thing=thing))
    if found > 10**_MILLIONTHS:
        raise InputError(thing, found=text, wanted="0 to 1, such as 0.8")
    return found


def due_json(due: Sequence[Due]) -> list[dict[str, Any]]:
    """Return what is due as JSON values."""
    return [
        {
            "who": each.who,
            "account": each.account or None,
            "what": each.what,
            "since": each.since or None,
            "until": each.until,
            "command": each.command,
        }
        for each in due
    ]


def due_lines(world: World, due: Sequence[Due], now: int) -> list[str]:
    """Return what is due as lines for people: what can be done now, and what comes."""
    lines = []
    for each in due:
        who = world.named(each.account) if each.account else each.who
        if each.since > now:
            when = f"from {shown_time(each.since)}"
        elif each.until is None:
            when = "now"
        else:
            when = f"until {shown_time(each.until)}, {shown_duration(_coarse(each.until - now))}"
        role = f"{each.who} " if each.account else ""
        lines += [f"  {role}{who}: {each.what}; {when}", f"      {each.command}"]
    return lines


def _coarse(seconds: int) -> int:
    """Leave out what nobody waits for: minutes of days, seconds of hours."""
    size = 3_600 if seconds >= 2 * 86_400 else 60 if seconds >= 2 * 3_600 else 1
    return seconds - seconds % size


def write_served(file: Path, data: bytes) -> None:
    """Write what is to be served.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    from tessera.errors import InputError

    try:
        file.write_bytes(data)
    except OSError as error:
        raise InputError(
            f"--out {file}", found=error.strerror, wanted="a place to write"
        ) from error
