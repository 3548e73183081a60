"""`tessera keep`: do what is due for anybody, once or for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, parse_duration
from tessera.cli.effects import DryRun, Yes, confirmed
from tessera.cli.epoch import Mirrors
from tessera.cli.session import Session, command
from tessera.cli.shelving import shelf_at

if TYPE_CHECKING:
    from tessera.app.keeping import Chore

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "keep")
    async def keep(
        session: Session,
        *,
        subnet: Annotated[
            list[int], typer.Option(help="Only this subnet; may be repeated.", min=1)
        ] = [],  # noqa: B006
        once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
        every: Annotated[str, typer.Option(help="Between two rounds.")] = "60s",
        gas: Annotated[
            int | None, typer.Option(help="The most gas to use in a round.", min=1)
        ] = None,
        back: Annotated[
            int, typer.Option(help="How many past epochs to look at.", min=1, max=4_096)
        ] = 64,
        least: Annotated[
            str, typer.Option(help="TSR; claims of less are left to whom they pay.")
        ] = "0",
        post: Annotated[
            bool, typer.Option("--post", help="Post results too, each with a bond.")
        ] = False,
        watch: Annotated[
            bool, typer.Option("--watch", help="Check others' results; challenge false ones.")
        ] = False,
        mirror: Mirrors = [],  # noqa: B006
        listen: Annotated[
            str | None,
            typer.Option(help="Serve results that were found or made on this HOST:PORT."),
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> int:
        """Do what is due for anybody: end epochs, count demand, pay models and validators.

        It keeps nothing: end it at any time, run it twice, or beside others. What reverts is said
        and the rest goes on; a single round then exits with 1.
        """
        import asyncio
        from contextlib import AsyncExitStack

        from tessera.app.epochs import open_desk
        from tessera.app.keeping import Errand, keep
        from tessera.errors import RpcUnavailable

        pause = parse_duration(every, "--every")
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(session.world())
            desk = await stack.enter_async_context(open_desk(world, mirror))
            sender = world.sender(session.actor("keeper"))
            errand = Errand(
                subnet or None,
                gas,
                back,
                world.network.parse(least, "--least"),
                post,
                watch,
                dry_run,
            )
            if not dry_run:
                bond = world.network.shown((await desk.terms()).bond)
                limit = f"up to {gas:,} gas a round" if gas else "as much gas as it takes"
                lines = [f"would pay {limit}, from {sender.address}"]
                lines += [f"would post results with {bond} each"] if post else []
                lines += ["would ask for parts of false results, a fee for each"] if watch else []
                confirmed(session, "Keep", lines, yes=yes, gives=post or watch)
            if listen and not (once or dry_run):
                place = await shelf_at(stack, desk.read.served, listen)
                session.note(f"results are served at {place}; Ctrl-C ends")
            while True:
                # Rounds of an endless one are told as they happen.
                live = not (once or dry_run or session.as_json)
                told = (lambda chore: session.note(_line(chore))) if live else (lambda _: None)
                try:
                    chores = await keep(world, sender, desk, errand, told=told)
                except RpcUnavailable as error:
                    if once or dry_run:
                        raise
                    session.note(error.message)
                    chores = []
                if not live:
                    session.say(_json(chores, dry_run=dry_run), *_lines(chores))
                if once or dry_run:
                    return int(any(chore.failed for chore in chores))
                await asyncio.sleep(pause)


def _line(chore: Chore) -> str:
    used = f"  {chore.gas:,} gas" if chore.gas else ""
    why = f": {chore.why}" if chore.why else ""
    return f"{chore.state:<9} {chore.what:<16} {chore.about}{used}{why}"


def _lines(chores: list[Chore]) -> list[str]:
    done = [chore for chore in chores if chore.state == "done"]
    used = sum(chore.gas for chore in done)
    end = f"{counted(len(done), 'thing')} done with {used:,} gas" if done else "nothing done"
    return [*map(_line, chores), end if chores else "nothing is due"]


def _json(chores: list[Chore], *, dry_run: bool) -> dict[str, Any]:
    return {
        "chores": [
            {
                "what": chore.what,
                "about": chore.about,
                "state": chore.state,
                "gas": chore.gas,
                "why": chore.why,
                "code": chore.code,
                "transaction": chore.tx_hash,
            }
            for chore in chores
        ],
        **({"dry_run": True} if dry_run else {}),
    }
