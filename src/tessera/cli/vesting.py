"""`tessera vesting`: shares locked for somebody on a schedule, and what of them is free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import (
    parse_duration,
    parse_shares,
    share_count,
    shown_duration,
    shown_shares,
    shown_time,
)
from tessera.cli.effects import DryRun, Yes, confirmed, effects_json, show_effects
from tessera.cli.naming import token_names
from tessera.cli.session import Session, command
from tessera.units import SHARE_DECIMALS

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.ownership.effects import Effect
    from tessera.ownership.vesting import VestingView

__all__ = ["register", "vesting_json"]

_Vesting = Annotated[str, typer.Argument(help="Address of the grant, from the list.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    vesting = typer.Typer(
        help="Lock shares on a schedule, and take what is free.", no_args_is_help=True
    )
    app.add_typer(vesting, name="vesting")
    _register_grant(vesting)
    _register_reading(vesting)


def _register_grant(vesting: typer.Typer) -> None:
    @command(vesting)
    async def grant(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        beneficiary: Annotated[str, typer.Argument(help="Key or address.")],
        shares: Annotated[str, typer.Argument(help="Whole shares.")],
        *,
        cliff: Annotated[str, typer.Option(help="Nothing before: 30s, 12h, 180d.")] = "180d",
        duration: Annotated[str, typer.Option(help="All of it after: 2y is 730d.")] = "730d",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Lock shares of yours for somebody on a schedule; they earn for them from now on."""
        from tessera.bindings.launchpad import Schedule
        from tessera.ownership.allowing import check_shares
        from tessera.ownership.effects import Effect
        from tessera.ownership.vesting import vest as lock

        async with session.world() as world:
            record = await session.asset(world, asset)
            share = await world.share(record.asset)
            schedule = Schedule(
                beneficiary=world.address(beneficiary),
                amount=parse_shares(shares),
                start=world.now(),
                cliff=parse_duration(cliff, "--cliff"),
                duration=parse_duration(duration, "--duration"),
            )
            sender = world.sender(session.actor("publisher"))
            await check_shares(sender, share, schedule.amount)
            name = f"shares of {record.slug}"
            why = f"locked for {schedule.beneficiary}"
            effects = [
                Effect(sender.address, share.address, name, -schedule.amount, why, SHARE_DECIMALS)
            ]
            first, last = schedule.start + schedule.cliff, schedule.start + schedule.duration
            data: dict[str, object] = {
                "beneficiary": schedule.beneficiary,
                "shares": str(schedule.amount),
                "start": schedule.start,
                "cliff_s": schedule.cliff,
                "duration_s": schedule.duration,
                "effects": effects_json(effects),
            }
            lines = [f"first     {shown_time(first)}", f"all       {shown_time(last)}"]
            what = f"{shown_shares(schedule.amount)} {name} for {shown_duration(schedule.duration)}"
            if dry_run:
                shown = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would lock {what}", *lines, *shown)
                return
            confirmed(session, f"Lock {what}; nobody takes them back", yes=yes)
            made = await lock(sender, world.deployment.launchpad, record.asset, share, [schedule])
            session.say(
                {**data, "vesting": made[0].address}, f"vesting   {made[0].address}", *lines
            )


def _register_reading(vesting: typer.Typer) -> None:
    @command(vesting, "list")
    async def list_(
        session: Session,
        who: Annotated[str | None, typer.Argument(help="Key or address; else you.")] = None,
        *,
        asset: Annotated[
            str | None, typer.Option(help="Everybody's grants of this asset's shares.")
        ] = None,
    ) -> None:
        """List grants: of whom, how much, what is unlocked and what was sent."""
        from tessera.ownership.vesting import find_vestings, read_vesting

        async with session.world() as world:
            of = (await session.asset(world, asset)).asset if asset else None
            whose = None if asset and who is None else world.address(who or session.actor("holder"))
            found = await find_vestings(
                world.reader,
                world.deployment.launchpad,
                asset=of,
                beneficiary=whose,
                first=world.deployment.since,
            )
            views = [await read_vesting(world.reader, each, now=world.now()) for each in found]
            names = await token_names(world)

            def show(console: Any) -> None:
                table = session.table("vesting!", "of", "in all>", "can be sent>", "sent>", "ends!")
                for view in views:
                    table.add_row(
                        view.address,
                        names.get(view.share, view.share),
                        shown_shares(view.schedule.amount),
                        shown_shares(view.releasable),
                        shown_shares(view.released),
                        shown_time(view.schedule.start + view.schedule.duration),
                    )
                console.print(table if views else "no grants")

            session.present({"vestings": [vesting_json(view) for view in views]}, show)

    @command(vesting)
    async def show(session: Session, vesting: _Vesting) -> None:
        """Show a grant and its calendar: from when how much of it is unlocked."""
        from tessera.ownership.vesting import calendar

        async with session.world() as world:
            view = await _read(world, vesting)
            names = await token_names(world)
            schedule, shown = view.schedule, shown_shares
            session.say(
                vesting_json(view),
                f"vesting   {view.address}",
                f"holds     {shown(schedule.amount)} {names.get(view.share, view.share)} in all",
                f"for       {view.beneficiary}",
                f"sent      {shown(view.released)}; {shown(view.releasable)} can be sent now",
                f"earned    {world.currency.shown(view.claimable)}",
                *(
                    f"  {shown_time(step.time)}  {shown(step.unlocked)}"
                    for step in calendar(schedule)
                ),
            )

    @command(vesting)
    async def claim(
        session: Session, vesting: _Vesting, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Send a grant's unlocked shares, and what all of them earned, to whom it is for.

        Anyone may. `tessera claim` takes whatever is yours, grants included.
        """
        from tessera.bindings import Vesting
        from tessera.ownership import vesting as grants

        async with session.world() as world:
            view = await _read(world, vesting)
            sender, grant = world.sender(session.actor("holder")), Vesting(view.address)
            effects = await _claim_effects(world, view)
            data: dict[str, object] = {
                "vesting": view.address,
                "beneficiary": view.beneficiary,
                "amount": str(view.claimable),
                "shares": str(view.releasable),
                "effects": effects_json(effects),
            }
            what = f"{share_count(view.releasable)} and "
            what += f"{world.currency.shown(view.claimable)} to {view.beneficiary}"
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would send {what}", *lines)
                return
            confirmed(session, f"Send {what}", yes=yes, gives=False)
            paid = (await grants.claim(sender, grant)).amount if view.claimable else 0
            sent = await grants.release(sender, grant) if view.releasable else 0
            session.say(
                {**data, "amount": str(paid), "shares": str(sent)},
                f"sent {share_count(sent)} and {world.currency.shown(paid)} to {view.beneficiary}",
            )


def vesting_json(view: VestingView) -> dict[str, Any]:
    """Return a grant as JSON values."""
    from tessera.ownership.vesting import calendar

    return {
        "vesting": view.address,
        "share": view.share,
        "beneficiary": view.beneficiary,
        "amount": str(view.schedule.amount),
        "released": str(view.released),
        "releasable": str(view.releasable),
        "claimable": str(view.claimable),
        "calendar": [
            {"time": step.time, "unlocked": str(step.unlocked)} for step in calendar(view.schedule)
        ],
    }


async def _claim_effects(world: World, view: VestingView) -> list[Effect]:
    from tessera.ownership.effects import Effect

    names, token = await token_names(world), view.share
    money, symbol = world.deployment.currency.address, world.currency.symbol
    name, unlocked = names.get(token, token), "unlocked"
    effects = [
        Effect(token, money, symbol, -view.claimable, "what the grant earned"),
        Effect(view.beneficiary, money, symbol, view.claimable, "what the grant earned"),
        Effect(view.address, token, name, -view.releasable, unlocked, SHARE_DECIMALS),
        Effect(view.beneficiary, token, name, view.releasable, unlocked, SHARE_DECIMALS),
    ]
    return [effect for effect in effects if effect.change]


async def _read(world: World, name: str) -> VestingView:
    from tessera.assets.references import is_address
    from tessera.bindings.codec import checksummed
    from tessera.errors import NotFound
    from tessera.ownership.vesting import find_vestings, read_vesting

    address = checksummed(name) if is_address(name) else name
    found = await find_vestings(
        world.reader, world.deployment.launchpad, first=world.deployment.since
    )
    grant = next((each for each in found if each.address == address), None)
    if grant is None:
        raise NotFound(
            "grant",
            found=name,
            wanted="the address of one that the Launchpad made",
            next_step="tessera vesting list",
        )
    return await read_vesting(world.reader, grant, now=world.now())
