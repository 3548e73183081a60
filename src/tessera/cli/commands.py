"""All commands in one tree. Importing it imports no room: each command does so when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli import (
    access,
    accounts,
    approval,
    assets,
    attribution,
    audit,
    benchmark,
    bond,
    calling,
    channels,
    diligence,
    disclosure,
    epoch,
    facilitating,
    facts,
    govern,
    index,
    inspecting,
    jury,
    keeping,
    keys,
    leaderboard,
    orders,
    pools,
    publishing,
    receipts,
    revenue,
    route,
    sales,
    starting,
    subnet,
    transferring,
    upstreams,
    validate,
    vesting,
)

__all__ = ["app"]

app = typer.Typer(
    name="tessera",
    help="Publish a model, own it in shares, pay per call, and let the chain pay every owner.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from tessera import __version__

        typer.echo(f"tessera {__version__}")
        raise typer.Exit


@app.callback()
def _whole_program(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say it and end."),
    ] = False,
) -> None:
    pass


starting.register(app)
upstreams.register(app)
facilitating.register(app)
publishing.register(app)
attribution.register(app)
sales.register(app)
transferring.register(app)
vesting.register(app)
access.register(app)
disclosure.register(app)
orders.register(app)
pools.register(app)
govern.register(app)
calling.register(app)
route.register(app)
channels.register(app)
keys.register(app)
revenue.register(app)
assets.register(app)
receipts.register(app)
audit.register(app)
benchmark.register(app)
validate.register(app)
approval.register(app)
jury.register(app)
epoch.register(app)
keeping.register(app)
subnet.register(app)
bond.register(app)
leaderboard.register(app)
diligence.register(app)
facts.register(app)
index.register(app)
accounts.register(app)
inspecting.register(app)
