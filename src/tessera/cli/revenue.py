"""`tessera settle`, `claim` and `portfolio`: from charges to money in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import shown_shares, shown_time
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from tessera.app import World
    from tessera.ownership.portfolio import Portfolio

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def settle(session: Session) -> None:
        """Turn all charges into money now, in one transaction.

        The running operator does it; with --rpc and none running, this command, from its books.
        """
        from tessera.app import (
            ask_supervisor,
            proofs_json,
            prove_from_books,
            report_json,
            settle_from_books,
        )

        async with session.world() as world:
            with session.waiting("settling"):
                if world.running is not None:
                    report = await ask_supervisor(world.config.data_dir, "settle")
                else:
                    report = report_json(await settle_from_books(world))
                    report |= proofs_json(await prove_from_books(world))
            skipped = [f"skipped   channel {n}: {why}" for n, why in report["skipped"]]
            refused = [f"refused   channel {n}: {why}" for n, why in report["refused"]]
            waits = [f"not handed on   asset {n}: {why}" for n, why in report["not_flushed"]]
            proved, paid = report["orders_proved"], int(report["orders_paid"])
            session.say(
                report,
                f"settled   {world.currency.shown(int(report['total']))} in "
                f"{_transactions(len(report['transactions']))}"
                if report["transactions"]
                else "nothing was due",
                *(
                    [f"proved    {len(proved)} orders, {world.currency.shown(paid)} paid on"]
                    if proved
                    else []
                ),
                *skipped,
                *refused,
                *waits,
            )

    @command(app)
    async def claim(
        session: Session,
        asset: Annotated[
            str | None, typer.Argument(help="Slug, URN or id; else use --all.")
        ] = None,
        *,
        everything: Annotated[
            bool, typer.Option("--all", help="From every asset, grant, sale and credit.")
        ] = False,
    ) -> None:
        """Take what is yours: revenue of shares, unlocked grants, purchases and refunds."""
        from tessera.errors import InputError
        from tessera.ownership.claiming import claim_everything

        if (asset is None) == (not everything):
            raise InputError(
                "claim", wanted="an asset, or --all", next_step="see: tessera claim --help"
            )
        async with session.world() as world:
            sender = world.sender(session.actor("holder"))
            chosen = None if asset is None else (await session.asset(world, asset)).share
            portfolio = await _portfolio(world, sender.address)
            if asset is not None and chosen is None:
                from tessera.errors import NotFound

                raise NotFound(f"shares of {asset}", found="none", wanted="a tokenized asset")
            with session.waiting("claiming"):
                done = await claim_everything(
                    sender, portfolio, world.deployment.channels, share=chosen, now=world.now()
                )
            lines = [
                f"{item.what}: "
                + (
                    shown_shares(item.shares) + " shares"
                    if item.shares
                    else world.currency.shown(item.amount)
                )
                for item in done
            ]
            total = sum(item.amount for item in done)
            session.say(
                {
                    "account": sender.address,
                    "total": str(total),
                    "claims": [
                        {
                            "what": item.what,
                            "address": item.address,
                            "amount": str(item.amount),
                            "shares": str(item.shares),
                        }
                        for item in done
                    ],
                },
                *lines,
                f"{world.currency.shown(total)} in all" if done else "nothing to claim now",
            )

    @command(app)
    async def portfolio(
        session: Session,
        account: Annotated[str | None, typer.Argument(help="Key or address; else --as.")] = None,
    ) -> None:
        """Show what an account has: money, shares, grants, purchases, credit and channels."""
        async with session.world() as world:
            address = world.address(account or session.actor("holder"))
            found = await _portfolio(world, address)
            session.present(
                _portfolio_json(found), lambda console: _show(session, world, found, console)
            )


async def _portfolio(world: World, address: str) -> Portfolio:
    from tessera.ownership.portfolio import read_portfolio

    await world.directory.refresh()
    return await read_portfolio(
        world.reader,
        address,
        shares=[(r.asset, r.share) for r in world.directory if r.share is not None],
        launchpad=world.deployment.launchpad,
        channels=world.deployment.channels,
        currency=world.deployment.currency,
        first_block=world.deployment.since,
        now=world.now(),
    )


def _portfolio_json(found: Portfolio) -> dict[str, Any]:
    from tessera.ownership.vesting import calendar

    return {
        "account": found.account,
        "money": str(found.money),
        "credit": str(found.credit),
        "claimable": str(found.claimable),
        "shares": [
            {
                "asset": str(each.asset),
                "share": each.share,
                "symbol": each.symbol,
                "amount": str(each.amount),
                "supply": str(each.supply),
                "claimable": str(each.claimable),
                "claimed": str(each.claimed),
            }
            for each in found.holdings
        ],
        "vestings": [
            {
                "vesting": each.address,
                "share": each.share,
                "amount": str(each.schedule.amount),
                "released": str(each.released),
                "releasable": str(each.releasable),
                "claimable": str(each.claimable),
                "calendar": [
                    {"time": step.time, "unlocked": str(step.unlocked)}
                    for step in calendar(each.schedule)
                ],
            }
            for each in found.vestings
        ],
        "offerings": [
            {
                "offering": each.view.address,
                "stage": each.view.stage.value,
                "bought": str(each.bought),
                "refundable": str(each.refundable),
                "claimable": str(each.claimable),
                "proceeds": str(each.proceeds),
            }
            for each in found.offerings
        ],
        "auctions": [
            {
                "auction": each.view.address,
                "stage": each.view.stage.value,
                "bid": str(each.bid),
                "claimable": str(each.claimable),
                "proceeds": str(each.proceeds),
            }
            for each in found.auctions
        ],
        "curves": [
            {
                "curve": each.view.address,
                "stage": each.view.stage.value,
                "bought": str(each.bought),
                "paid": str(each.paid),
                "claimable": str(each.claimable),
                "proceeds": str(each.proceeds),
            }
            for each in found.curves
        ],
        "channels": [
            {
                "operator": each.operator,
                "channel": str(each.channel),
                "balance": str(each.balance),
                "available_at": each.available_at,
            }
            for each in found.channels
        ],
    }


def _show(session: Session, world: World, found: Portfolio, console: Console) -> None:
    money = world.currency.shown
    console.print(f"account    {found.account}")
    console.print(f"money      {money(found.money)}")
    console.print(f"claimable  {money(found.claimable)}")
    if found.credit:
        console.print(f"credit     {money(found.credit)} of it, from settlements")
    if found.holdings:
        table = session.table("shares", "held>", "part>", "claimable>", "claimed>")
        for each in found.holdings:
            part = f"{100 * each.amount / each.supply:.4g} %"
            row = (each.symbol, shown_shares(each.amount), part)
            table.add_row(*row, money(each.claimable), money(each.claimed))
        console.print(table)
    if found.vestings:
        from tessera.ownership.vesting import calendar

        table = session.table("unlocks at", "in all>", "released>")
        for grant in found.vestings:
            for step in calendar(grant.schedule):
                table.add_row(
                    shown_time(step.time), shown_shares(step.unlocked), shown_shares(grant.released)
                )
        console.print(table)
    if found.offerings:
        table = session.table("offering", "stage", "waiting>", "refund>", "claimable>", "proceeds>")
        for sale in found.offerings:
            table.add_row(
                sale.view.address,
                sale.view.stage.value,
                shown_shares(sale.bought),
                *(money(sum_) for sum_ in (sale.refundable, sale.claimable, sale.proceeds)),
            )
        console.print(table)
    if found.auctions:
        table = session.table("auction", "stage", "bid>", "claimable>", "proceeds>")
        for auction in found.auctions:
            sums = (auction.bid, auction.claimable, auction.proceeds)
            table.add_row(auction.view.address, auction.view.stage.value, *map(money, sums))
        console.print(table)
    if found.curves:
        table = session.table("curve", "stage", "bought>", "paid>", "claimable>", "proceeds>")
        for curve in found.curves:
            table.add_row(
                curve.view.address,
                curve.view.stage.value,
                shown_shares(curve.bought),
                *(money(sum_) for sum_ in (curve.paid, curve.claimable, curve.proceeds)),
            )
        console.print(table)
    if found.channels:
        table = session.table("channel", "toward", "balance>")
        for channel in found.channels:
            table.add_row(str(channel.channel), channel.operator, money(channel.balance))
        console.print(table)


def _transactions(count: int) -> str:
    return f"{count} transaction" if count == 1 else f"{count} transactions"
