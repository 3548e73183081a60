"""`tessera transfer`: shares given away."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.amounts import parse_shares, shown_shares
from tessera.cli.effects import DryRun, Yes, confirmed, effects_json, show_effects
from tessera.cli.session import Session, command
from tessera.units import SHARE_DECIMALS

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def transfer(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        receiver: Annotated[str, typer.Argument(help="Key or address.")],
        shares: Annotated[str, typer.Argument(help="Whole shares.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Give shares of yours to somebody; what they earned so far stays yours."""
        from tessera.ownership.effects import Effect
        from tessera.ownership.share import check_transfer
        from tessera.ownership.share import transfer as pass_on

        async with session.world() as world:
            record = await session.asset(world, asset)
            share = await world.share(record.asset)
            amount, to = parse_shares(shares), world.address(receiver)
            sender, name = world.sender(session.actor("holder")), f"shares of {record.slug}"
            await check_transfer(world.reader, share, sender.address, to, amount)
            effects = [
                Effect(sender.address, share.address, name, -amount, "sent", SHARE_DECIMALS),
                Effect(to, share.address, name, amount, "sent", SHARE_DECIMALS),
            ]
            data: dict[str, object] = {
                "share": share.address,
                "receiver": to,
                "shares": str(amount),
                "effects": effects_json(effects),
            }
            what = f"{shown_shares(amount)} {name} to {world.named(to)}"
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would send {what}", *lines)
                return
            confirmed(session, f"Send {what}", yes=yes)
            tx_hash = await pass_on(sender, share, to, amount)
            session.say({**data, "transaction": tx_hash}, f"sent {what}")
