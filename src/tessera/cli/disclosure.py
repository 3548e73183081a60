"""`tessera disclosure` and `mark`: what a buyer of shares asks, answered from the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import shown_shares, shown_time
from tessera.cli.effects import DryRun, Yes, confirmed
from tessera.cli.session import Session, command
from tessera.units import BPS

if TYPE_CHECKING:
    from rich.console import Console

    from tessera.app import World
    from tessera.ownership.disclosure import Disclosure

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def disclosure(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        *,
        top: Annotated[int, typer.Option(help="How many holders, 1 to 64.")] = 10,
        months: Annotated[int, typer.Option(help="Length of the calendar, 0 to 63.")] = 12,
    ) -> None:
        """Say where the shares are, when they unlock, who has them, what they earned."""
        from tessera.ownership.disclosure import read_disclosure

        async with session.world() as world:
            record = await session.asset(world, asset)
            made = world.deployment
            found = await read_disclosure(
                world.reader,
                made.lens,
                record.asset,
                await world.share(record.asset),
                launchpad=made.launchpad,
                governor=made.governor,
                exchange=made.exchange.address,
                first=made.since,
                now=world.now(),
                top=top,
                months=months,
            )
            session.present(_as_json(found), lambda console: _show(session, world, console, found))

    @command(app)
    async def mark(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Write down on chain what an asset earned until now: a point of its history."""
        from tessera.ownership.disclosure import mark as write_mark

        async with session.world() as world:
            record = await session.asset(world, asset)
            sender = world.sender(session.actor("operator"))
            lens = world.deployment.lens
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "effects": [],
            }
            if dry_run:
                trial = lens.mark(record.asset)
                due = await world.reader.read(trial, sender=sender.address, at="pending")
                session.say(
                    {**data, "dry_run": True, "written": due},
                    f"would mark {record.slug}; nothing moves"
                    if due
                    else "this epoch has its mark already",
                )
                return
            confirmed(session, f"Mark {record.slug}", yes=yes, gives=False)
            written = await write_mark(sender, lens, record.asset)
            session.say(
                {**data, "written": written},
                f"{record.slug} is marked" if written else "this epoch has its mark already",
            )


def _as_json(found: Disclosure) -> dict[str, object]:
    return {
        "asset": str(found.asset),
        **{
            name: str(getattr(found, name))
            for name in ("total", "for_sale", "vesting", "pooled", "locked", "circulating")
        },
        "calendar": [{"time": row.time, "locked": str(row.locked)} for row in found.calendar],
        "calendar_leaves_out": str(found.calendar_leaves_out),
        "holders": [
            {
                "account": part.account,
                "free": str(part.free),
                "locked": str(part.locked),
                "vesting": str(part.vesting),
                "total": str(part.total),
            }
            for part in found.holders
        ],
        "others": str(found.others),
        "complete": found.complete,
        "revenue": [
            {
                "first": row.first,
                "last": row.last,
                "revenue": str(row.revenue),
                "demand": str(row.demand),
            }
            for row in found.revenue
        ],
    }


def _show(session: Session, world: World, console: Console, found: Disclosure) -> None:
    def part(amount: int) -> str:
        return f"{amount * 100 * BPS // found.total / BPS:.2f} %"

    supply = session.table("supply", "shares>", "part>")
    for title, amount in (
        ("in all", found.total),
        ("for sale", found.for_sale),
        ("vesting", found.vesting),
        ("in the pool", found.pooled),
        ("circulating", found.circulating),
        ("  of it locked for votes", found.locked),
    ):
        supply.add_row(title, shown_shares(amount), part(amount))
    console.print(supply)
    holders = session.table("largest holders!", "in hand>", "locked>", "vesting>", "part>")
    for holder in found.holders:
        holders.add_row(
            world.named(holder.account),
            *(shown_shares(much) for much in (holder.free, holder.locked, holder.vesting)),
            part(holder.total),
        )
    holders.add_row("everybody else together", "", "", "", part(found.others))
    console.print(holders)
    if not found.complete:
        console.print("others may hold more than the last of these", markup=False)
    if found.vesting:
        calendar = session.table("still locked at!", "shares>", "part>")
        last = None
        for row in found.calendar:
            if row.locked != last:
                calendar.add_row(shown_time(row.time), shown_shares(row.locked), part(row.locked))
            last = row.locked
        console.print(calendar)
    if found.calendar_leaves_out:
        console.print(
            f"{shown_shares(found.calendar_leaves_out)} more in vesting that this calendar leaves "
            "out: contributors who have not claimed, or grants beyond the first 64",
            markup=False,
        )
    if found.revenue:
        revenue = session.table("earned from!", "to!", "holders' revenue>", "commons>")
        for span in found.revenue:
            revenue.add_row(
                shown_time(span.first),
                shown_time(span.last),
                world.currency.shown(span.revenue),
                world.currency.shown(span.demand),
            )
        console.print(revenue)
    else:
        console.print("no history yet; anyone begins one: tessera mark ASSET", markup=False)
