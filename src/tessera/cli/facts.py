"""`tessera facts`: tables of transfers become facts, and facts travel in folders."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, shown_time
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.facts import Facts
    from tessera.facts.files import Clock

__all__ = ["register"]

_SHOWN_TOKENS = 20
_TABLES = frozenset({".csv", ".tsv", ".gz", ".parquet", ".pq"})

_Source = Annotated[
    Path | None,
    typer.Argument(
        help="A folder of facts, a table of transfers, or a file that tessera index keeps.",
        show_default="what tessera index keeps of the chain",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    facts = typer.Typer(
        help="Keep what was observed on a chain in folders of files.", no_args_is_help=True
    )
    app.add_typer(facts, name="facts")
    _register_import(facts)
    _register_info(facts)
    _register_export(facts)


def _register_import(facts: typer.Typer) -> None:
    @command(facts, name="import")
    async def import_(
        session: Session,
        table: Annotated[
            list[Path], typer.Argument(help="Parquet or CSV of transfers; one or more.")
        ],
        *,
        into: Annotated[Path, typer.Option(help="Folder to make.")],
        token: Annotated[
            str | None, typer.Option(help="Whose transfers they are, where no column says.")
        ] = None,
        head: Annotated[
            str | None,
            typer.Option(
                help="BLOCK@TIME until which the exporter looked, in unix seconds.",
                show_default="the last transfer",
            ),
        ] = None,
        headers: Annotated[
            Path | None, typer.Option(help="Table of block and time, where transfers have none.")
        ] = None,
        clock: Annotated[
            str | None,
            typer.Option(help="BLOCK@TIME@MILLISECONDS a block: estimates of missing times."),
        ] = None,
        complete: Annotated[
            bool,
            typer.Option("--complete", help="They begin at each token's creation, without a gap."),
        ] = False,
    ) -> None:
        """Make a folder of facts of tables of transfers.

        Amounts are base units, exact up to 2^256 - 1. A table that is truncated, lacks a column,
        or contradicts itself is refused with its row.
        """
        from tessera.app.diligence import analysis
        from tessera.errors import InputError
        from tessera.facts import Facts, Head
        from tessera.facts.memory import Memory, joined

        if headers is not None and clock is not None:
            raise InputError("--clock", found="--headers too", wanted="one of both")
        newest = None if head is None else Head(*_numbers(head, "--head", "BLOCK@TIME"))
        with analysis():
            from tessera.facts.files import read_headers, read_transfers
            from tessera.facts.writing import write_folder
        _refuse_taken(into)
        times = read_headers(headers) if headers is not None else _clock(clock)
        parts: list[Memory] = []
        with session.progress("transfers", counted=True) as report:
            for each in table:
                before = sum(map(len, (rows for part in parts for rows in part.held.values())))
                part = await asyncio.to_thread(
                    read_transfers,
                    each,
                    chain_id=_chain_id(session),
                    token=token,
                    head=newest,
                    times=times,
                    complete=complete,
                    progress=_reported(report, before),
                )
                parts.append(part)
            found = Facts(joined(parts))
            await asyncio.to_thread(write_folder, found, into, progress=_reported(report, 0))
        _say(session, found, f"written to {into}", folder=str(into))


def _register_info(facts: typer.Typer) -> None:
    @command(facts)
    async def info(session: Session, source: _Source = None) -> None:
        """Say what facts there are: chain, head, kinds, tokens, and where they come from."""
        with ExitStack() as kept:
            found = await _opened(session, source, kept)
            await asyncio.to_thread(_say, session, found)


def _register_export(facts: typer.Typer) -> None:
    @command(facts)
    async def export(
        session: Session,
        source: _Source = None,
        *,
        into: Annotated[
            Path, typer.Option(help="Folder to make; or a table of transfers, NAME.csv.")
        ],
        token: Annotated[
            list[str], typer.Option(help="Only this token, in a table; may be repeated.")
        ] = [],  # noqa: B006
        as_of: Annotated[int | None, typer.Option(help="Last block that counts.", min=0)] = None,
    ) -> None:
        """Copy facts into a folder that is read without a node, or transfers into a table."""
        from tessera.app.diligence import analysis
        from tessera.errors import InputError

        with analysis():
            from tessera.facts.tables import write_table
            from tessera.facts.writing import write_folder
        _refuse_taken(into)
        is_table = into.suffix == ".csv"
        if token and not is_table:
            raise InputError("--token", found="a folder", wanted="a table, --into NAME.csv")
        with ExitStack() as kept:
            found = await _opened(session, source, kept)
            found = found if as_of is None else found.as_of(as_of)
            with session.progress("transfers", counted=True) as report:
                told = _reported(report, 0)
                if is_table:
                    tokens = token or found.tokens()
                    await asyncio.to_thread(write_table, found, tokens, into, progress=told)
                else:
                    await asyncio.to_thread(write_folder, found, into, progress=told)
            _say(session, found, f"written to {into}", into=str(into))


async def _opened(session: Session, source: Path | None, kept: ExitStack) -> Facts:
    from tessera.app.diligence import analysis
    from tessera.app.indexing import live_facts

    if source is None or not _is_files(source):
        return kept.enter_context(live_facts(session.config(), source))
    with analysis():
        from tessera.facts.opening import open_facts
    report = kept.enter_context(session.progress("transfers", counted=True))
    return await asyncio.to_thread(
        open_facts, source, chain_id=_chain_id(session), progress=_reported(report, 0)
    )


def _is_files(source: Path) -> bool:
    return source.is_dir() or source.suffix.lower() in _TABLES


def _chain_id(session: Session) -> int:
    from tessera.config import Origin

    config = session.config()
    # The setting has a default, which says nothing of the chain that a table is about.
    return 0 if config.origin("chain_id") is Origin.DEFAULT else config.chain_id


def _reported(report: Callable[[int, int], None], before: int) -> Callable[[int], None]:
    return lambda rows: report(before + rows, before + rows)


def _refuse_taken(path: Path) -> None:
    from tessera.errors import InputError

    if path.exists():
        raise InputError(f"{path}: exists", next_step="name what does not exist yet: --into")


def _clock(text: str | None) -> Clock | None:
    from tessera.facts.files import Clock

    if text is None:
        return None
    return Clock(*_numbers(text, "--clock", "BLOCK@TIME@MILLISECONDS"))


def _numbers(text: str, option: str, form: str) -> list[int]:
    from tessera.errors import InputError

    if not re.fullmatch("@".join([r"\d{1,15}"] * len(form.split("@"))), text):
        raise InputError(option, found=text, wanted=f"{form}, whole numbers")
    return [int(each) for each in text.split("@")]


def _say(session: Session, found: Facts, *last: str, **further: str) -> None:
    tokens = [
        (token, len(found.transfers(token)), found.coverage(token)) for token in found.tokens()
    ]
    data: dict[str, Any] = {
        "chain_id": found.chain_id,
        "head": {"block": found.head.block, "time": found.head.time},
        "known_at": found.known_at,
        "kinds": sorted(found.kinds),
        "origin": [
            {"what": each.what, "sha256": each.sha256, "note": each.note} for each in found.origin
        ],
        "tokens": [
            {
                "token": token,
                "transfers": count,
                "first": seen.first,
                "last": seen.last,
                "gaps": [list(gap) for gap in seen.gaps],
                "complete": seen.complete,
            }
            for token, count, seen in tokens
        ],
        **further,
    }

    def show(console: Any) -> None:
        from tessera.diligence.wording import legible

        chain = found.chain_id or "unknown"
        console.print(f"chain     {chain}")
        console.print(f"head      block {found.head.block:,} of {shown_time(found.head.time)}")
        console.print(f"kept      {', '.join(sorted(found.kinds))}")
        for each in found.origin:
            said = " ".join(part for part in (each.what, each.sha256[:16], each.note) if part)
            console.print(f"from      {legible(said)}", markup=False, highlight=False)
        table = session.table("token!", "transfers>", "first>", "last>", "whole")
        for token, count, seen in tokens[:_SHOWN_TOKENS]:
            table.add_row(
                token,
                f"{count:,}",
                str(seen.first),
                str(seen.last),
                _whole(seen.complete, len(seen.gaps)),
            )
        console.print(table)
        if len(tokens) > _SHOWN_TOKENS:
            console.print(f"and {counted(len(tokens) - _SHOWN_TOKENS, 'further token')}")
        for line in last:
            console.print(line, markup=False, highlight=False)

    session.present(data, show)


def _whole(complete: bool, gaps: int) -> str:
    if gaps:
        return counted(gaps, "gap")
    return "yes" if complete else "not said"
