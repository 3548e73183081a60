"""`tessera index`: follow a chain into facts, once or for ever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, parse_duration, shown_time
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app.indexing import Status
    from tessera.indexer.following import Outcome

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def index(
        session: Session,
        *,
        token: Annotated[
            list[str], typer.Option(help="Address of an ERC-20; may be repeated.")
        ] = [],  # noqa: B006
        contract: Annotated[
            list[str], typer.Option(help="Address whose logs are kept; may be repeated.")
        ] = [],  # noqa: B006
        look: Annotated[
            list[str], typer.Option(help="Address whose code is read, too; may be repeated.")
        ] = [],  # noqa: B006
        from_block: Annotated[
            int | None,
            typer.Option(
                "--from", help="First block.", show_default="of a token its creation", min=0
            ),
        ] = None,
        to_block: Annotated[
            int | None, typer.Option("--to", help="Last block.", show_default="the head", min=0)
        ] = None,
        once: Annotated[bool, typer.Option("--once", help="Up to the head, then end.")] = False,
        every: Annotated[str, typer.Option(help="Between two looks at the head.")] = "2s",
        also: Annotated[
            list[str], typer.Option(help="A further node's URL; may be repeated.")
        ] = [],  # noqa: B006
        agree: Annotated[
            bool, typer.Option("--agree", help="Take only what two nodes say alike.")
        ] = False,
        rate: Annotated[
            float, typer.Option(help="Requests a second to each node; 0: no limit.", min=0)
        ] = 0.0,
        facts: Annotated[
            Path | None, typer.Option(help="File to keep them in.", show_default="of the chain")
        ] = None,
        status: Annotated[
            bool, typer.Option("--status", help="Only say what is there already.")
        ] = False,
    ) -> None:
        """Observe a chain: all of it, or the transfers of some tokens from their creation on.

        What is there is not read again: end it at any time. Blocks that the chain replaces are
        replaced here. One process writes, any number read.
        """
        import asyncio

        from tessera.app.indexing import Wanted, facts_place, open_indexing, read_status
        from tessera.errors import TesseraError

        config = session.config()
        place = facts_place(config, facts)
        if status:
            found = read_status(place)
            session.say(_status_json(found), *_status_lines(found))
            return
        wanted = Wanted(
            tokens=token,
            contracts=contract,
            first=from_block,
            last=to_block,
            further=also,
            agree=agree,
            rate=rate,
        )
        pause = parse_duration(every, "--every")
        with session.progress("blocks", counted=True) as report:
            async with open_indexing(config, wanted, named=facts, report=report) as indexing:
                while True:
                    try:
                        outcome = await indexing.catch_up()
                        looked = await indexing.look(outcome.head, look) if once else 0
                    except TesseraError as error:
                        if once or not error.retryable:
                            raise
                        session.note(error.message)
                    else:
                        if once:
                            break
                        if outcome.blocks or outcome.taken_back:
                            session.say(_json(outcome, 0), _line(outcome, 0))
                    await asyncio.sleep(pause)
        session.say(_json(outcome, looked), _line(outcome, looked))


def _line(outcome: Outcome, looked: int) -> str:
    parts = [
        f"block {outcome.head:,}",
        f"{counted(outcome.blocks, 'block')} read",
        f"{outcome.rows:,} facts",
    ]
    parts += [f"{counted(outcome.taken_back, 'block')} taken back"] if outcome.taken_back else []
    parts += [f"the node is {counted(outcome.behind, 'block')} behind"] if outcome.behind else []
    parts += [f"looked at {looked:,} addresses"] if looked else []
    return "; ".join(parts)


def _json(outcome: Outcome, looked: int) -> dict[str, Any]:
    return {
        "head": outcome.head,
        "blocks": outcome.blocks,
        "rows": outcome.rows,
        "taken_back": outcome.taken_back,
        "behind": outcome.behind,
        "looked_at": looked,
    }


def _status_lines(found: Status) -> list[str]:
    lines = [
        f"chain     {found.chain_id}",
        f"head      block {found.head:,} of {shown_time(found.head_time)}",
        f"known     {shown_time(found.known_at)}",
    ]
    for stream in found.streams:
        ranges = ", ".join(f"{first:,} to {last:,}" for first, last in stream.ranges)
        lines.append(f"{stream.name}  blocks {ranges}")
    lines += [f"{name:<9} {count:,}" for name, count in found.rows.items()]
    if found.reorgs:
        lines.append(f"reorgs    {found.reorgs}, {counted(found.taken_back, 'block')} taken back")
    return lines


def _status_json(found: Status) -> dict[str, Any]:
    return {
        "chain_id": found.chain_id,
        "head": {"block": found.head, "time": found.head_time},
        "known_at": found.known_at,
        "streams": {
            stream.name: [{"first": first, "last": last} for first, last in stream.ranges]
            for stream in found.streams
        },
        "rows": found.rows,
        "reorgs": {"count": found.reorgs, "blocks": found.taken_back},
    }
