"""`tessera diligence`: is this token worth anything?"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import parse_duration, shown_time
from tessera.cli.session import Session, command
from tessera.presenting import EXIT_UNEXPECTED

if TYPE_CHECKING:
    from tessera.app.diligence import Asked
    from tessera.diligence.report import Report
    from tessera.diligence.thresholds import Limit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def diligence(
        session: Session,
        token: Annotated[
            str, typer.Argument(help="Address, slug or id of an asset, or about.toml.")
        ] = "",
        *,
        facts: Annotated[
            Path | None, typer.Option(help="Folder of facts, or Parquet or CSV of transfers.")
        ] = None,
        about: Annotated[
            Path | None, typer.Option(help="File that says what the chain does not.")
        ] = None,
        repo: Annotated[str | None, typer.Option(help="Folder or URL of a git repository.")] = None,
        prices: Annotated[Path | None, typer.Option(help="File of prices by day.")] = None,
        labels: Annotated[Path | None, typer.Option(help="File of labels of addresses.")] = None,
        as_of: Annotated[int | None, typer.Option(help="Last block that counts.", min=0)] = None,
        limit: Annotated[
            list[str] | None,
            typer.Option(help="NAME=VALUE, NAME=VALUE% or NAME=off; may be repeated."),
        ] = None,
        against: Annotated[
            str | None, typer.Option(help="Second token, shown beside the first.")
        ] = None,
        html: Annotated[Path | None, typer.Option(help="Write the whole report as a page.")] = None,
        evidence: Annotated[
            bool, typer.Option("--evidence", help="All metrics, with what is behind each.")
        ] = False,
        watch: Annotated[
            bool, typer.Option("--watch", help="Go on looking, and say what changed.")
        ] = False,
        every: Annotated[str, typer.Option(help="How often a watch looks.")] = "60s",
        limits: Annotated[
            bool, typer.Option("--limits", help="List what counts as bad, and end.")
        ] = False,
    ) -> int:
        """Answer five questions and four fears about a token, from facts.

        What is unknown is said to be unknown, and passes nothing. Exit codes are those of errors: a
        bad verdict is no error.
        """
        from dataclasses import replace

        from tessera.app.diligence import Asked, limits_of
        from tessera.errors import InputError

        chosen = limits_of(session.config(), limit or ())
        if limits:
            _list_limits(session, chosen)
            return 0
        if not token:
            raise InputError(
                "token", found="none", wanted="one to look at", next_step="tessera diligence --help"
            )
        if watch and against is not None:
            raise InputError("--watch", found="two tokens", wanted="one to watch")
        asked = Asked(
            token=token, facts=facts, about=about, repository=repo, prices=prices,
            labels=labels, as_of=as_of, limits=chosen,
        )  # fmt: skip
        first = await _look(session, asked)
        second = None
        if against is not None:
            second = await _look(
                session, replace(asked, token=against, about=None, repository=None)
            )
        if html is not None:
            _write(session, html, first, second)
        _present(session, first, second, everything=evidence)
        if watch:
            await _watch(session, asked, first, parse_duration(every, "every"), html)
        ours = [each for report in (first, second) if report for each in report.failures]
        return EXIT_UNEXPECTED if any(each.ours for each in ours) else 0


async def _look(session: Session, asked: Asked) -> Report:
    from tessera.app.diligence import answered, gathered

    config = session.config()
    async with AsyncExitStack() as kept:
        with session.progress("reading facts", counted=True) as reading:
            facts, subject = await kept.enter_async_context(
                gathered(config, asked, progress=reading, announce=session.note)
            )
        with session.progress(f"looking at {subject.token}", counted=True) as progress:
            return await answered(facts, subject, asked, progress=progress)


def _present(session: Session, first: Report, second: Report | None, *, everything: bool) -> None:
    from tessera.cli.verdict import show_pair, show_report

    if second is None:
        session.present(
            first.as_json(),
            lambda console: show_report(console, first, everything=everything),
        )
        return
    session.present(
        {"reports": [first.as_json(), second.as_json()]},
        lambda console: show_pair(console, first, second, everything=everything),
    )


def _write(session: Session, file: Path, first: Report, second: Report | None) -> None:
    from tessera.app.diligence import analysis
    from tessera.storage.folders import write_whole

    with analysis():
        from tessera.diligence.page import render
    write_whole(file, render(first, second).encode(), private=False)
    session.note(f"page      {file}")


async def _watch(
    session: Session, asked: Asked, report: Report, every: int, html: Path | None
) -> None:
    """Look again and again until Ctrl-C; what fails meanwhile is told, and asked again."""
    from tessera.cli.verdict import show_changes
    from tessera.diligence.comparing import changes
    from tessera.errors import ChainError, DataError

    while True:
        await asyncio.sleep(every)
        try:
            found = await _look(session, asked)
        except (ChainError, DataError) as error:
            session.note(f"{error.message}; looking again in {every} s")
            continue
        different = changes(report, found)
        report = found
        if not different:
            continue
        if html is not None:
            _write(session, html, report, None)
        data = {
            "as_of_block": report.head.block,
            "verdict": str(report.severity),
            "changes": [each.as_json() for each in different],
        }
        if session.as_json:
            session.say(data)
        else:
            session.note(f"block {report.head.block:,}, {shown_time(report.head.time)}")
            show_changes(session.out, different)


def _list_limits(session: Session, chosen: tuple[Limit, ...]) -> None:
    from tessera.diligence.report import plain
    from tessera.diligence.wording import shown_bound

    table = session.table("limit!", "metric!", "bad where", "says", "who says so")
    for each in chosen:
        given = each.given
        also = f", where {given.metric} is {given.side} {given.bound:g}" if given else ""
        table.add_row(
            each.name, each.metric, f"{shown_bound(each, '')}{also}", each.text, each.source
        )
    session.present(
        {"limits": [plain(each) for each in chosen]}, lambda console: console.print(table)
    )
