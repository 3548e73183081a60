"""`tessera status` and `tessera config`: how things are, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.amounts import counted, shown_time
from tessera.cli.served import served_lines
from tessera.cli.session import Session, command

__all__ = ["register"]

_NO_MODELS = "none; publish one (tessera publish FOLDER), or offer a server's: tessera upstreams"


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def status(session: Session) -> None:
        """Say what runs here: chain, gateway, models, and what is due."""
        from tessera.app import ask_supervisor, connect, find_running
        from tessera.app.world import BOOKS

        config = session.config()
        running = find_running(config.data_dir)
        if running is None and not config.rpc_url:
            session.say(
                {"running": False, "data_dir": str(config.data_dir)},
                f"nothing runs in {config.data_dir}; start it: tessera up",
            )
            return
        async with connect(config) as world:
            height = await world.reader.block_number()
            data: dict[str, object] = {
                "running": running is not None,
                "data_dir": str(config.data_dir),
                "chain_id": world.reader.chain_id,
                "height": height,
                "registry": world.deployment.registry.address,
                "channels": world.deployment.channels.address,
            }
            lines = [f"chain     id {world.reader.chain_id}, block {height}"]
            if running is not None:
                told = await ask_supervisor(config.data_dir, "status")
                data |= {
                    "pid": running.pid,
                    "rpc_url": running.rpc_url,
                    "gateway_url": running.gateway_url,
                    **told,
                }
                due = world.currency.shown(int(told["due"]))
                x402 = world.currency.shown(int(told["x402_due"]))
                lines += [
                    f"rpc       {running.rpc_url}",
                    (
                        f"gateway   {running.gateway_url}/v1 (process {running.pid}, "
                        f"since {shown_time(running.started)})"
                    ),
                    f"operator  {running.operator}",
                    f"due       {due} on {counted(told['channels_due'], 'channel')}",
                    *([f"x402      {x402} due"] if told["x402"] else []),
                    *served_lines(told["models"], told["refused"], none=_NO_MODELS),
                ]
            elif (config.data_dir / BOOKS).is_file():
                lines.append(
                    f"gateway   none here; what its books say is due: tessera settle --rpc "
                    f"{config.rpc_url}"
                )
            session.say(data, *lines)

    @command(app, "config")
    def config_(
        session: Session,
        name: Annotated[str | None, typer.Argument(help="Only this setting.")] = None,
    ) -> None:
        """Show every setting, its value, and where it came from."""
        from tessera.config import SETTINGS
        from tessera.errors import NotFound

        if name is not None and name not in SETTINGS:
            raise NotFound.among("setting", name, SETTINGS)
        rows = [row for row in session.config().shown() if name in (None, row.name)]
        table = session.table("setting", "value", "from", "meaning")
        for row in rows:
            table.add_row(row.name, row.value, row.origin.value, row.help)
        session.present(
            {
                "settings": {
                    row.name: {"value": row.value, "origin": row.origin.value, "help": row.help}
                    for row in rows
                }
            },
            lambda console: console.print(table),
        )
