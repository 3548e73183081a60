"""`tessera facilitator`: verifies and settles x402 payments for servers."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from tessera.cli.session import Session, command

__all__ = ["register"]

_PORT = 8404


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def facilitator(
        session: Session,
        *,
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="Port to listen on; 0: any.")] = _PORT,
        token: Annotated[
            list[str] | None,
            typer.Option("--token", help="Address of a token to settle in; may be repeated."),
        ] = None,
        any_token: Annotated[
            bool, typer.Option("--any-token", help="Settle in every token.")
        ] = False,
        per_minute: Annotated[
            int, typer.Option(min=1, help="Transactions a minute for one party.")
        ] = 30,
        gas_per_hour: Annotated[
            int, typer.Option(min=21_000, help="The most gas in an hour.")
        ] = 30_000_000,
        receiver: Annotated[
            list[str] | None,
            typer.Option("--receiver", help="Serve only this receiver; may be repeated."),
        ] = None,
        least: Annotated[
            int, typer.Option(min=1, help="Least that a transaction moves, base units.")
        ] = 1_000,
        listed: Annotated[
            list[str] | None,
            typer.Option("--list", metavar="URL", help="A paid resource to list; may be repeated."),
        ] = None,
    ) -> int:
        """Verify and settle x402 payments for servers, at this key's expense; Ctrl-C ends it."""
        from tessera.app.facilitator import open_facilitator
        from tessera.gateway.facilitating import FacilitatorDoor
        from tessera.gateway.listening import serving
        from tessera.gateway.listing import Listed

        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        name = session.actor("facilitator")
        resources = Listed(listed or [])
        async with (
            open_facilitator(
                session.config(),
                name,
                tokens=token or (),
                any_token=any_token,
                per_minute=per_minute,
                gas_per_hour=gas_per_hour,
                receivers=receiver or (),
                least_units=least,
            ) as found,
            resources.kept(session.note),
            serving(FacilitatorDoor(found, resources), host, port) as url,
        ):
            supported = await found.supported()
            kinds = [kind["scheme"] for kind in supported["kinds"]]
            tokens = found.rules.tokens
            session.say(
                {
                    "url": url,
                    "network": found.network,
                    "schemes": kinds,
                    "sender": found.relay.address,
                    "gas_per_hour": gas_per_hour,
                },
                f"facilitator  {url} ({found.network}: {', '.join(kinds)})",
                f"pays gas     {name} {found.relay.address}, {gas_per_hour:,} an hour at most",
                f"tokens       {'every token' if tokens is None else len(tokens)}",
                "Ctrl-C ends it.",
            )
            await stopping.wait()
        return 0
