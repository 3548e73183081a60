"""`tessera approval sell`, `release` and `refund`: shares that are sold on an approval to come."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tessera.cli.amounts import parse_duration, parse_shares, share_count, shown_time
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.judging import Round, id_of
from tessera.cli.session import Session, command
from tessera.units import SHARE_DECIMALS

__all__ = ["register_sale"]

OfferingAt = Annotated[str, typer.Argument(metavar="OFFERING", help="Address of the sale.")]


def register_sale(approval: typer.Typer) -> None:
    """Add the commands."""

    @command(approval, "sell")
    async def sell(
        session: Session,
        round_: Round,
        *,
        shares: Annotated[str, typer.Option(help="Whole shares for sale.")],
        price: Annotated[str, typer.Option(help="For one whole share.")],
        soft_cap: Annotated[
            str, typer.Option(help="Shares below which all get their money back.")
        ] = "0",
        cap_per_buyer: Annotated[
            str, typer.Option(help="Whole shares.", show_default="all of them")
        ] = "",
        starts: Annotated[str, typer.Option(help="It begins after: 30s, 12h.")] = "0s",
        lasts: Annotated[str, typer.Option(help="How long: 30s, 12h, 7d.")] = "30d",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Sell shares on the approval that a round of yours is about, up to the round's cap.

        What buyers pay waits until the round is over. If it ends without an approval, they bring
        the shares back and get their part of what is left.
        """
        from tessera.app import approved_sales
        from tessera.app.judging import chain_time, round_of
        from tessera.ownership.effects import Effect
        from tessera.units import UnixSeconds

        async with session.world() as world:
            name = await id_of(world, round_)
            row = await round_of(world, name)
            share = await world.share(row.asset)
            sender = world.sender(session.actor("publisher"))
            amount, each = parse_shares(shares, "--shares"), world.currency.parse(price, "--price")
            most = parse_shares(cap_per_buyer, "--cap-per-buyer") if cap_per_buyer else amount
            start = await chain_time(world) + parse_duration(starts, "--starts")
            end = start + parse_duration(lasts, "--lasts")
            told: dict[str, Any] = {
                "round": "0x" + name.hex(),
                "shares": str(amount),
                "price": str(each),
                "end": end,
            }
            symbol = await world.reader.read(share.symbol())
            effects = [
                Effect(sender.address, share.address, symbol, -amount, "for sale", SHARE_DECIMALS)
            ]
            line = (
                f"would sell {share_count(amount)} of asset {row.asset} on its approval, until "
                f"{shown_time(end)}"
            )
            question = f"Sell {share_count(amount)}"
            if not agreed(session, world, told, effects, line, question, dry_run=dry_run, yes=yes):
                return
            offering = await approved_sales.sell(
                world, sender, name, shares=amount, price=each,
                soft_cap=parse_shares(soft_cap, "--soft-cap"), cap_per_buyer=most,
                start=UnixSeconds(start), end=UnixSeconds(end),
            )  # fmt: skip
            session.say(
                {**told, "offering": offering},
                f"for sale   {share_count(amount)} in {offering}",
                f"next       buyers: tessera buy {row.asset} SHARES; you, when it is approved: "
                f"tessera approval release {offering}",
            )

    @command(approval, "release")
    async def release(
        session: Session, offering: OfferingAt, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Take what you may have of a sale on an approval.

        All of it once the approval is final; before that a fifth of what the approving bonds of a
        listed round are worth.
        """
        from tessera.app import approved_sales

        async with session.world() as world:
            sender, at = world.sender(session.actor("publisher")), world.address(offering)
            await approved_sales.escrow_of(world, at)
            due = await approved_sales.releasable(world, sender, at)
            there = world.deployment.approved_sale.address
            effects = payment(world, there, sender.address, due, "released")
            told: dict[str, Any] = {"offering": at, "amount": str(due)}
            line = f"would take {world.currency.shown(due)}"
            if not agreed(
                session, world, told, effects, line, "Take it", dry_run=dry_run, yes=yes,
                gives=False,
            ):  # fmt: skip
                return
            amount = await approved_sales.release(world, sender, at)
            session.say(
                {**told, "amount": str(amount)}, f"released   {world.currency.shown(amount)}"
            )

    @command(approval, "refund")
    async def refund(
        session: Session,
        offering: OfferingAt,
        shares: Annotated[str, typer.Argument(help="Whole shares; as many as you bought there.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """After a round without an approval: bring shares back, for their part of what is left."""
        from tessera.app import approved_sales
        from tessera.app.judging import round_of
        from tessera.ownership.effects import Effect

        async with session.world() as world:
            sender, at = world.sender(session.actor("holder")), world.address(offering)
            row = await approved_sales.escrow_of(world, at)
            asset = (await round_of(world, row.round)).asset
            amount = parse_shares(shares)
            symbol = await world.reader.read((await world.share(asset)).symbol())
            effects = [
                Effect(sender.address, row.share, symbol, -amount, "brought back", SHARE_DECIMALS)
            ]
            told: dict[str, Any] = {"offering": at, "shares": str(amount)}
            line = f"would bring {share_count(amount)} of asset {asset} back"
            question = f"Bring {share_count(amount)} back"
            if not agreed(session, world, told, effects, line, question, dry_run=dry_run, yes=yes):
                return
            got = await approved_sales.refund(world, sender, at, amount)
            session.say({**told, "amount": str(got)}, f"got back   {world.currency.shown(got)}")

    @command(approval, "unsold")
    async def unsold(
        session: Session, offering: OfferingAt, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """When a sale on an approval is over, send the issuer its unsold shares. Anyone may."""
        from tessera.app import approved_sales

        async with session.world() as world:
            sender, at = world.sender(session.actor("publisher")), world.address(offering)
            row = await approved_sales.escrow_of(world, at)
            told: dict[str, Any] = {"offering": at, "issuer": row.issuer}
            line = f"would send what was not sold to {world.named(row.issuer)}"
            if not agreed(
                session, world, told, (), line, "Send it", dry_run=dry_run, yes=yes, gives=False
            ):
                return
            shares, money = await approved_sales.take_back(world, sender, at)
            session.say(
                {**told, "shares": str(shares), "revenue": str(money)},
                f"sent       {share_count(shares)}, and {world.currency.shown(money)} they earned",
            )
