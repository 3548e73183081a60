"""`tessera upstreams`: model servers that could be offered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.serving.discover import FoundServer

__all__ = ["register", "server_json", "server_line"]

_TIMEOUT_S = 5.0
_SHOWN_MODELS = 6


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def upstreams(
        session: Session,
        urls: Annotated[
            list[str] | None,
            typer.Argument(metavar="URL", help="To ask; else those of the settings."),
        ] = None,
    ) -> None:
        """List model servers, named ones and a local Ollama, with the models that they have."""
        from tessera.app import find_upstreams

        with session.waiting("asking"):
            servers = await find_upstreams(
                session.config(upstreams=urls or None), timeout_s=_TIMEOUT_S
            )
        table = session.table("server", "model")
        for server in servers:
            for number, model in enumerate(server.models or (server.failure or "no models",)):
                table.add_row("" if number else server.url, model)
        session.present(
            {"upstreams": [server_json(server) for server in servers]},
            lambda console: console.print(
                table if servers else "none: no Ollama here, and the setting upstreams names none"
            ),
        )


def server_json(server: FoundServer) -> dict[str, Any]:
    """Return a server as JSON values."""
    return {"url": server.url, "models": list(server.models), "failure": server.failure}


def server_line(server: FoundServer) -> str:
    """Return a server as one line."""
    if server.failure is not None:
        return f"{server.url} {server.failure}"
    shown = ", ".join(server.models[:_SHOWN_MODELS]) or "no models"
    more = len(server.models) - _SHOWN_MODELS
    return f"{server.url} has {shown}" + (f" and {more} more" if more > 0 else "")
