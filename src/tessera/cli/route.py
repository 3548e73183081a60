"""`tessera route`: an OpenAI-compatible server of one's own that picks operators and pays them."""

from __future__ import annotations

import asyncio
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.client.routing import Wish

__all__ = ["register"]

_KEY_BYTES = 24


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def route(
        session: Session,
        *,
        port: Annotated[int, typer.Option(help="Loopback port; 0: any.", min=0, max=65_535)] = 8403,
        deposit: Annotated[str, typer.Option(help="Into a channel per operator.")] = "1",
        budget: Annotated[str, typer.Option(help="Into all channels together.")] = "5",
        max_cost: Annotated[
            str | None, typer.Option(help="Most that one call may cost; else a tenth of a deposit.")
        ] = None,
        sort: Annotated[str, typer.Option(help="price, latency or uptime.")] = "price",
        only: Annotated[
            list[str] | None, typer.Option(help="Operator that may answer; may be repeated.")
        ] = None,
        ignore: Annotated[
            list[str] | None, typer.Option(help="Operator that may not; may be repeated.")
        ] = None,
        try_timeout_s: Annotated[
            float, typer.Option(help="Silence after which the next one is asked.", min=0.1)
        ] = 30.0,
        keep: Annotated[
            Path | None, typer.Option(help="Keep calls and receipts here, for audits.")
        ] = None,
        key: Annotated[
            str | None, typer.Option(help="What callers must show; else made up.")
        ] = None,
    ) -> None:
        """Serve every model of the chain on one address; calls are routed, and paid by you."""
        from tessera.client.router import Router
        from tessera.gateway.logs import log_to
        from tessera.gateway.route_door import RouteDoor, listening

        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        shown_key = key or secrets.token_urlsafe(_KEY_BYTES)
        async with session.world() as world:
            config = world.config
            log_to(config.log_level, config.log_format, (config.passphrase, shown_key))
            money = world.currency
            router = Router(
                account=world.account(session.actor("consumer")),
                deployment=world.deployment,
                rpc_url=world.reader.url,
                deposit=money.parse(deposit, "--deposit"),
                budget=money.parse(budget, "--budget"),
                max_call_cost=None if max_cost is None else money.parse(max_cost, "--max-cost"),
                wish=_wish(sort, only, ignore),
                state_dir=config.data_dir / "purses",
                try_timeout_s=try_timeout_s,
                keep=keep,
            )
            try:
                async with listening(RouteDoor(router, shown_key), port=port) as url:
                    data: dict[str, Any] = {"url": f"{url}/v1", "key": shown_key}
                    session.say(
                        data,
                        f"OPENAI_BASE_URL={url}/v1",
                        f"OPENAI_API_KEY={shown_key}",
                        f"at most {money.shown(money.parse(budget))} go into channels; Ctrl-C ends",
                    )
                    await stopping.wait()
            finally:
                await asyncio.to_thread(router.close)
                session.note(f"{money.shown(router.deposited)} went into channels")


def _wish(sort: str, only: list[str] | None, ignore: list[str] | None) -> Wish:
    from tessera.client.routing import read_wish

    return read_wish({"sort": sort, "only": only or [], "ignore": ignore or []})
