"""`tessera transfer`: shares given away."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.amounts import parse_shares, shown_shares
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
