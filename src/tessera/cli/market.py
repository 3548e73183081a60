"""`tessera transfer` and `vest`: shares given away, at once or on a schedule."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.amounts import parse_duration, parse_shares, shown_shares, shown_time
from tessera.cli.session import Session, command

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def transfer(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        receiver: Annotated[str, typer.Argument(help="Key or address.")],
        shares: Annotated[str, typer.Argument(help="Whole shares.")],
    ) -> None:
        """Give shares of yours to somebody; what they earned so far stays yours."""
        from tessera.ownership.share import transfer as pass_on

        async with session.world() as world:
            record = await session.asset(world, asset)
            share = await world.share(record.asset)
            amount, to = parse_shares(shares), world.address(receiver)
            tx_hash = await pass_on(world.sender(session.actor("holder")), share, to, amount)
            session.say(
                {
                    "share": share.address,
                    "receiver": to,
                    "shares": str(amount),
                    "transaction": tx_hash,
                },
                f"sent {shown_shares(amount)} shares of {record.slug} to {to}",
            )

    @command(app)
    async def vest(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        beneficiary: Annotated[str, typer.Argument(help="Key or address.")],
        shares: Annotated[str, typer.Argument(help="Whole shares.")],
        *,
        cliff: Annotated[str, typer.Option(help="Nothing before: 30s, 12h, 180d.")] = "180d",
        duration: Annotated[str, typer.Option(help="All of it after: 2y is 730d.")] = "730d",
    ) -> None:
        """Lock shares of yours for somebody on a schedule; they earn for them from now on."""
        from tessera.bindings.launchpad import Schedule
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
            made = await lock(sender, world.deployment.launchpad, record.asset, share, [schedule])
            session.say(
                {
                    "vesting": made[0].address,
                    "beneficiary": schedule.beneficiary,
                    "shares": str(schedule.amount),
                    "start": schedule.start,
                    "cliff_s": schedule.cliff,
                    "duration_s": schedule.duration,
                },
                f"vesting   {made[0].address}",
                f"first     {shown_time(schedule.start + schedule.cliff)}",
                f"all       {shown_time(schedule.start + schedule.duration)}",
            )
