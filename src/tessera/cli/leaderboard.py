"""`tessera leaderboard`: who stands where in a subnet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tessera.cli.session import Session, command

__all__ = ["register"]

_SHOWN_OWNER = 24
_DECIMALS = 18


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def leaderboard(
        session: Session,
        epochs: Annotated[Path, typer.Argument(help="Results of epochs, as a JSON list.")],
        *,
        role: Annotated[str, typer.Option(help="Only model, or only validator.")] = "",
    ) -> None:
        """Show rank, trust, consensus, incentive, dividends, APY, stake and changes."""
        from tessera.errors import NotFound
        from tessera.units import format_amount
        from tessera.validation.leaderboard import Role, read_epochs
        from tessera.validation.leaderboard import leaderboard as ranked

        if role and role not in set(Role):
            raise NotFound.among("role", role, set(Role))
        lines = await asyncio.to_thread(read_epochs, epochs)
        rows = [row for row in ranked(lines) if not role or row.role == role]
        if session.as_json:
            last = lines[-1].epoch if lines else None
            session.say({"epoch": last, "rows": [row.as_json() for row in rows]})
            return
        table = session.table(
            "role", "rank>", "uid>", "owner", "trust>", "consensus>", "incentive>", "dividends>",
            "APY>", "stake>", "7 d>", "30 d>",
        )  # fmt: skip
        for row in rows:
            stake = "" if row.stake is None else format_amount(
                row.stake, decimals=_DECIMALS, grouped=True
            )  # fmt: skip
            table.add_row(
                str(row.role),
                str(row.rank),
                str(row.uid),
                row.owner[:_SHOWN_OWNER],
                _share(row.trust),
                _share(row.consensus),
                _share(row.incentive),
                _share(row.dividends),
                "" if row.apy is None else f"{row.apy:.2%}",
                stake,
                _change(row.change_7d),
                _change(row.change_30d),
            )
        session.out.print(table)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _change(value: float | None) -> str:
    return "new" if value is None else f"{value:+.4f}"
