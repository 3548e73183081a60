"""`tessera settle`, `claim` and `portfolio`: from charges to money in hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, share_count, shown_shares, shown_time
from tessera.cli.effects import (
    DryRun,
    Yes,
    asks,
    confirmed,
    effects_json,
    show_effects,
)
from tessera.cli.naming import token_names
from tessera.cli.session import Session, command
from tessera.cli.vesting import vesting_json
from tessera.units import SHARE_DECIMALS, format_amount

if TYPE_CHECKING:
    from rich.console import Console

    from tessera.app import Currency, World
    from tessera.assets.directory import AssetRecord
    from tessera.ownership.claiming import Claim, ClaimedItem
    from tessera.ownership.effects import Effect
    from tessera.ownership.income import SentOn, WaitingIncome
    from tessera.ownership.portfolio import Portfolio

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def settle(
        session: Session,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Turn all charges and served orders into money now, and send income on to its owners.

        The running operator does it; with --rpc and none running, this command, from its books.
        """
        from tessera.app import (
            ask_supervisor,
            claim_from_books,
            claims_json,
            income_json,
            proofs_json,
            prove_from_books,
            report_json,
            send_income_on,
            settle_from_books,
        )

        async with session.world() as world:
            if dry_run:
                data, lines = await _due(world)
                session.say(data, *lines)
                return
            if asks(session, yes=yes):
                for line in (await _due(world))[1]:
                    session.note(line)
            confirmed(session, "Settle what is due", yes=yes, gives=False)
            with session.waiting("settling"):
                if world.running is not None:
                    report = await ask_supervisor(world.config.data_dir, "settle")
                else:
                    report = report_json(await settle_from_books(world))
                    report |= proofs_json(await prove_from_books(world))
                    operator = world.sender(world.config.operator)
                    report |= claims_json(await claim_from_books(world))
                    report |= income_json(await send_income_on(world, operator))
            skipped = [f"skipped   channel {n}: {why}" for n, why in report["skipped"]]
            refused = [f"refused   channel {n}: {why}" for n, why in report["refused"]]
            stays = [*report["not_flushed"], *report["x402_not_flushed"]]
            waits = [f"not handed on   asset {n}: {why}" for n, why in stays]
            proved, paid = report["orders_proved"], int(report["orders_paid"])
            claimed = world.currency.shown(int(report["x402_total"]))
            refused += [f"refused   x402 channel {n}: {why}" for n, why in report["x402_refused"]]
            done = []
            if report["transactions"]:
                settled = world.currency.shown(int(report["total"]))
                count = counted(len(report["transactions"]), "transaction")
                done.append(f"settled   {settled} in {count}")
            if proved:
                shown = world.currency.shown(paid)
                done.append(f"proved    {counted(len(proved), 'order')}, {shown} paid on")
            if report["x402_channels"]:
                count = counted(report["x402_channels"], "x402 channel")
                done.append(f"claimed   {claimed} from {count}")
            session.say(
                report,
                *(done or ["nothing was due"]),
                *skipped,
                *refused,
                *waits,
                *(
                    _sent_on_line(world, each)
                    for each in report["sent_on"]
                    if [each["asset"], each["failure"]] not in report["not_flushed"]
                ),
            )

    @command(app)
    async def claim(
        session: Session,
        asset: Annotated[
            str | None, typer.Argument(help="Slug, URN or id; else use --all.")
        ] = None,
        *,
        everything: Annotated[
            bool, typer.Option("--all", help="From every asset, lock, pool, grant, sale, credit.")
        ] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> int:
        """Take what is yours: revenue wherever your shares are, grants, purchases, refunds.

        What lies in Tills of the asset is sent on first, to all of its holders; one claim that
        fails does not stop the others.
        """
        from tessera.errors import InputError
        from tessera.ownership.claiming import claim as take
        from tessera.ownership.income import send_on
        from tessera.presenting import exit_code

        if (asset is None) == (not everything):
            raise InputError(
                "claim", wanted="an asset, or --all", next_step="see: tessera claim --help"
            )
        async with session.world() as world:
            sender = world.sender(session.actor("holder"))
            chosen = None if asset is None else await session.asset(world, asset)
            waiting = await _waiting(world, sender.address, chosen)
            wanted, others = await _claims(world, sender.address, chosen)
            before = [item for each in wanted for item in each.items]
            effects = await _claim_effects(world, sender.address, wanted)
            if (waiting or wanted) and not dry_run:
                if asks(session, yes=yes):
                    for line in (
                        *(_waiting_line(world, each) for each in waiting),
                        *show_effects(world, effects),
                    ):
                        session.note(line)
                confirmed(session, "Claim it", yes=yes, gives=False)
            with session.waiting("claiming"):
                sent = []
                if waiting and not dry_run:
                    records = [r for r in world.directory if r.asset in {w.asset for w in waiting}]
                    made = world.deployment
                    sent = await send_on(sender, made.channels, made.currency, records)
                    wanted, others = await _claims(world, sender.address, chosen)
                done = before if dry_run else await take(sender, wanted)
            total = sum(item.amount for item in done if item.failure is None)
            nothing = not done and not (dry_run and waiting) and not sent
            session.say(
                {
                    "account": sender.address,
                    "total": str(total),
                    "claims": [_item_json(item) for item in done],
                    "elsewhere": [_item_json(item) for each in others for item in each.items],
                    "effects": effects_json(effects),
                    **_sent_json(sent, waiting, dry_run=dry_run),
                },
                *(_waiting_line(world, each) for each in waiting if dry_run),
                *(_sent_on_line(world, each) for each in _sent_json(sent, [])["sent_on"]),
                *(_item_line(world, item) for item in done),
                *(show_effects(world, effects) if dry_run else []),
                *_total_lines(world.currency, done, total),
                *(["nothing to claim now"] if nothing else []),
                *(
                    f"elsewhere: {_item_line(world, item)}"
                    for each in others
                    for item in each.items
                ),
                *(["next: tessera claim --all"] if others else []),
            )
            return next((exit_code(item.failure) for item in done if item.failure), 0)

    @command(app)
    async def portfolio(
        session: Session,
        account: Annotated[str | None, typer.Argument(help="Key or address; else --as.")] = None,
    ) -> None:
        """Show what an account has: money, shares wherever they are, grants, credit, channels."""
        async with session.world() as world:
            address = world.address(account or session.actor("holder"))
            found = await _portfolio(world, address)
            session.present(
                _portfolio_json(found), lambda console: _show(session, world, found, console)
            )


async def _due(world: World) -> tuple[dict[str, Any], list[str]]:
    from tessera.app import (
        ask_supervisor,
        due_from_books,
        waiting_income,
        x402_due_from_books,
    )

    if world.running is not None:
        told = await ask_supervisor(world.config.data_dir, "status")
        operator = world.running.operator
    else:
        told = await due_from_books(world)
        told["x402_due"] = str(await x402_due_from_books(world))
        operator = world.account(world.config.operator).address
    waiting = await waiting_income(world, operator)
    due, channels, orders = told["due"], told["channels_due"], told["orders_due"]
    x402 = int(told["x402_due"])
    lines = [
        *(
            [f"would settle   {world.currency.shown(int(due))} on {counted(channels, 'channel')}"]
            * bool(channels)
        ),
        *([f"would prove    {counted(orders, 'order')}"] * bool(orders)),
        *([f"would claim    {world.currency.shown(x402)} from x402 channels"] * bool(x402)),
        *(_waiting_line(world, each) for each in waiting),
    ]
    data = {
        "due": due,
        "channels_due": channels,
        "orders_due": orders,
        "x402_due": str(x402),
        **_sent_json([], waiting, dry_run=True),
    }
    return data, lines or ["nothing is due"]


async def _waiting(world: World, account: str, chosen: AssetRecord | None) -> list[WaitingIncome]:
    """Return what waits in Tills of an asset, or of all in which the account has a part."""
    from tessera.ownership.income import read_waiting

    await world.directory.refresh()
    if chosen is not None:
        records = [chosen]
    else:
        found = await _portfolio(world, account)
        shares = {
            *(each.share for each in found.holdings if each.amount),
            *(each.share for each in found.locked),
            *(each.share for each in found.vestings),
            *(each.token for each in found.pooled),
        }
        records = [
            record
            for record in world.directory
            if record.share in shares or (record.share is None and record.owner == account)
        ]
    deployment = world.deployment
    return await read_waiting(world.reader, deployment.channels, deployment.currency, records)


async def _claims(
    world: World, account: str, chosen: AssetRecord | None
) -> tuple[list[Claim], list[Claim]]:
    """Return what waits for an account: of the chosen asset, or of all; and the rest."""
    from tessera.ownership.claiming import claims_of

    made = world.deployment
    claims = claims_of(
        await _portfolio(world, account),
        made.channels,
        made.governor,
        made.exchange,
        now=world.now(),
    )
    about = None if chosen is None else await _tokens_of(world, chosen)
    wanted = [each for each in claims if about is None or each.token in about]
    return wanted, [each for each in claims if each not in wanted]


async def _claim_effects(world: World, account: str, claims: list[Claim]) -> list[Effect]:
    """Return what the account gets by claims, and what it gives back for it at most."""
    from tessera.ownership.effects import Effect

    names = await token_names(world)
    money, symbol = world.deployment.currency.address, world.currency.symbol
    effects = []
    for each in claims:
        token = each.token or ""
        name = names.get(token, token)
        for item in each.items:
            effects += [
                Effect(account, money, symbol, item.amount, item.what),
                Effect(account, token, name, item.shares - item.gives, item.what, SHARE_DECIMALS),
            ]
    return [effect for effect in effects if effect.change]


async def _tokens_of(world: World, record: AssetRecord) -> set[str | None]:
    """Return the tokens that stand for something of an asset: its Share and its products."""
    from tessera.ownership.access import find_products

    products = await find_products(
        world.reader,
        world.deployment.storefront,
        asset=record.asset,
        first=world.deployment.since,
    )
    return {record.share, *(access.address for access in products)} - {None}


def _sent_json(
    sent: list[SentOn], waiting: list[WaitingIncome], *, dry_run: bool = False
) -> dict[str, Any]:
    from tessera.app import income_json

    if not dry_run:
        return income_json(sent)
    return {
        "dry_run": True,
        "waiting": [
            {
                "asset": str(each.asset),
                "slug": each.slug,
                "in_tills": str(each.in_tills),
                "pending": str(each.pending),
            }
            for each in waiting
        ],
    }


def _waiting_line(world: World, income: WaitingIncome) -> str:
    shown = world.currency.shown
    return (
        f"would send on  {shown(income.in_tills)} out of Tills of {income.slug}, and "
        f"{shown(income.pending)} that is split already"
    )


def _sent_on_line(world: World, sent: dict[str, Any]) -> str:
    shown = world.currency.shown
    if sent["failure"]:
        return f"not sent on   income of {sent['slug']}: {sent['failure']}"
    return (
        f"sent on   {shown(int(sent['split']))} out of Tills of {sent['slug']}, "
        f"{shown(int(sent['handed_on']))} to whom it is owed"
    )


def _item_json(item: ClaimedItem) -> dict[str, Any]:
    return {
        "what": item.what,
        "address": item.address,
        "amount": str(item.amount),
        "shares": str(item.shares),
        "failure": item.failure and item.failure.message,
    }


def _item_line(world: World, item: ClaimedItem) -> str:
    if item.failure is not None:
        return f"{item.what}: failed: {item.failure.message}"
    if item.shares:
        return f"{item.what}: {share_count(item.shares)}"
    return f"{item.what}: {world.currency.shown(item.amount)}"


def _total_lines(currency: Currency, done: Sequence[ClaimedItem], total: int) -> list[str]:
    """Return what came in all, where any of it was to be money."""
    return [f"{currency.shown(total)} in all"] if any(not item.shares for item in done) else []


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
        governor=world.deployment.governor,
        exchange=world.deployment.exchange,
        storefront=world.deployment.storefront,
        first_block=world.deployment.since,
        now=world.now(),
    )


def _portfolio_json(found: Portfolio) -> dict[str, Any]:
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
        "vestings": [vesting_json(each) for each in found.vestings],
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
        "locked": [
            {
                "asset": str(each.asset),
                "share": each.share,
                "symbol": each.symbol,
                "amount": str(each.amount),
                "claimable": str(each.claimable),
            }
            for each in found.locked
        ],
        "pooled": [
            {
                "token": each.token,
                "symbol": each.symbol,
                "tokens": str(each.tokens),
                "money": str(each.money),
                "claimable": str(each.claimable),
            }
            for each in found.pooled
        ],
        "refundable": [
            {
                "access": each.access,
                "symbol": each.symbol,
                "order": each.number,
                "amount": str(each.amount),
            }
            for each in found.refundable
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
    if found.locked:
        table = session.table("locked", "shares>", "claimable>")
        for lock in found.locked:
            table.add_row(lock.symbol, shown_shares(lock.amount), money(lock.claimable))
        console.print(table)
    if found.pooled:
        table = session.table("in the pool", "tokens>", "money>", "claimable>")
        for pooled in found.pooled:
            tokens = format_amount(pooled.tokens, decimals=pooled.decimals, grouped=True)
            table.add_row(pooled.symbol, tokens, money(pooled.money), money(pooled.claimable))
        console.print(table)
    if found.refundable:
        table = session.table("order not served", "refund>")
        for order in found.refundable:
            table.add_row(f"{order.symbol} {order.number}", money(order.amount))
        console.print(table)
    if found.vestings:
        from tessera.ownership.vesting import calendar

        table = session.table("unlocks at!", "in all>", "released>")
        for grant in found.vestings:
            for step in calendar(grant.schedule):
                table.add_row(
                    shown_time(step.time), shown_shares(step.unlocked), shown_shares(grant.released)
                )
        console.print(table)
    if found.offerings:
        table = session.table(
            "offering!", "stage", "waiting>", "refund>", "claimable>", "proceeds>"
        )
        for sale in found.offerings:
            table.add_row(
                sale.view.address,
                sale.view.stage.value,
                shown_shares(sale.bought),
                *(money(sum_) for sum_ in (sale.refundable, sale.claimable, sale.proceeds)),
            )
        console.print(table)
    if found.auctions:
        table = session.table("auction!", "stage", "bid>", "claimable>", "proceeds>")
        for auction in found.auctions:
            sums = (auction.bid, auction.claimable, auction.proceeds)
            table.add_row(auction.view.address, auction.view.stage.value, *map(money, sums))
        console.print(table)
    if found.curves:
        table = session.table("curve!", "stage", "bought>", "paid>", "claimable>", "proceeds>")
        for curve in found.curves:
            table.add_row(
                curve.view.address,
                curve.view.stage.value,
                shown_shares(curve.bought),
                *(money(sum_) for sum_ in (curve.paid, curve.claimable, curve.proceeds)),
            )
        console.print(table)
    if found.channels:
        table = session.table("channel!", "toward!", "balance>")
        for channel in found.channels:
            table.add_row(str(channel.channel), channel.operator, money(channel.balance))
        console.print(table)
