"""`tessera leaderboard`: who stands where in a subnet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.places import Number
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.validation.leaderboard import Row

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    async def leaderboard(
        session: Session,
        number: Number,
        *,
        role: Annotated[str, typer.Option(help="Only model, or only validator.")] = "",
        mirror: Annotated[
            list[str] | None,
            typer.Option(help="URL of a folder in which somebody serves results; may be repeated."),
        ] = None,
    ) -> None:
        """Show rank, trust, consensus, incentive, dividends, APY, stake and changes.

        Results are read where their posters serve them, or computed again from the validators'
        rows, and held against the chain. What cannot be read is unknown, and the reason is shown.
        """
        from tessera.app.epochs import open_desk
        from tessera.app.standings import read_table
        from tessera.errors import NotFound
        from tessera.validation.leaderboard import Role

        if role and role not in set(Role):
            raise NotFound.among("role", role, set(Role))
        async with session.world() as world, open_desk(world, mirror or ()) as desk:
            found = await read_table(world, desk, number)
            await world.directory.refresh()
            rows = [row for row in found.rows if not role or row.role == role]
            if session.as_json:
                session.say(
                    {
                        "subnet": found.subnet,
                        "epoch": found.epoch,
                        "ended_at": found.ended_at,
                        "rows": [{**row.as_json(), "name": _name(world, row)} for row in rows],
                        "unread": [{"epoch": each.epoch, "why": each.why} for each in found.unread],
                    }
                )
                return
            table = session.table(
                "role", "rank>", "uid>", "name!", "trust>", "consensus>", "incentive>",
                "dividends>", "APY>", "stake>", "7 d>", "30 d>",
            )  # fmt: skip
            for row in rows:
                table.add_row(
                    str(row.role),
                    _cell(row, "rank", "{}"),
                    str(row.uid),
                    _name(world, row),
                    *(_cell(row, name, "{:.4f}") for name in _SHARES),
                    _cell(row, "apy", "{:.2%}"),
                    "" if row.stake is None else world.network.shown(row.stake),
                    *(_cell(row, name, "{:+.4f}", "new") for name in ("change_7d", "change_30d")),
                )
            session.out.print(table if rows else f"nobody is in subnet {number}")
            if found.epoch is None:
                session.out.print(
                    f"no epoch is final yet: nobody is ranked; tessera epoch info {number}"
                )
            else:
                session.out.print(f"by epoch {found.epoch}, the latest that is final")
            for each in found.unread:
                session.out.print(f"unknown for the result of epoch {each.epoch}: {each.why}")


_DIGITS = 4
_SHARES = ("trust", "consensus", "incentive", "dividends")


def _cell(row: Row, name: str, shape: str, missing: str = "") -> str:
    if name in row.unknown:
        return "unknown"
    value = getattr(row, name)
    if value is None:
        return missing
    # What rounds to nothing has no sign.
    return shape.format(round(value, _DIGITS) + 0)


def _name(world: World, row: Row) -> str:
    from tessera.validation.leaderboard import Role

    if row.role is Role.VALIDATOR:
        return world.named(row.owner)
    record = world.directory.get(int(row.owner))
    return record.slug if record is not None else row.owner
