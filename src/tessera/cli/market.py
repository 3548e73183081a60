"""`tessera offer`, `buy`, `transfer` and `vest`: shares changing hands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import parse_duration, parse_shares, shown_shares, shown_time
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.assets.directory import AssetRecord
    from tessera.bindings import Offering
    from tessera.ownership.offering import OfferingView

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def offer(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        *,
        shares: Annotated[str, typer.Option(help="Whole shares for sale.")],
        price: Annotated[str, typer.Option(help="For one whole share, in the currency.")],
        soft_cap: Annotated[
            str, typer.Option(help="Below it everybody gets the money back.")
        ] = "0",
        cap_per_buyer: Annotated[str | None, typer.Option(help="Whole shares.")] = None,
        lasts: Annotated[str, typer.Option(help="How long: 30s, 12h, 7d.")] = "30d",
    ) -> None:
        """Put shares of yours up for sale at a fixed price."""
        from tessera.bindings.launchpad import Sale
        from tessera.ownership.offering import EVERYBODY, NO_POOL
        from tessera.ownership.offering import offer as open_sale

        async with session.world() as world:
            record = await session.asset(world, asset)
            sender = world.sender(session.actor("publisher"))
            amount = parse_shares(shares, "--shares")
            start = world.now()
            sale = Sale(
                publisher=sender.address,
                price=world.currency.parse(price, "--price"),
                for_sale=amount,
                soft_cap=parse_shares(soft_cap, "--soft-cap"),
                cap_per_buyer=(
                    amount
                    if cap_per_buyer is None
                    else parse_shares(cap_per_buyer, "--cap-per-buyer")
                ),
                start=start,
                end=start + parse_duration(lasts, "--lasts"),
                allowed=EVERYBODY,
                liquidity=NO_POOL,
            )
            share = await world.share(record.asset)
            made = await open_sale(sender, world.deployment.launchpad, record.asset, share, sale)
            session.say(
                {
                    "offering": made.address,
                    "asset": str(record.asset),
                    "slug": record.slug,
                    "shares": str(amount),
                    "price": str(sale.price),
                    "soft_cap": str(sale.soft_cap),
                    "end": sale.end,
                },
                f"offering  {made.address}",
                f"sells     {shown_shares(amount)} shares of {record.slug} at "
                f"{world.currency.shown(sale.price)}, until {shown_time(sale.end)}",
                f"next: tessera buy {record.slug} N --as holder",
            )

    @command(app)
    async def buy(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        shares: Annotated[str, typer.Argument(help="Whole shares, such as 12.5.")],
        *,
        max_cost: Annotated[
            str | None, typer.Option(help="Refuse to pay more, in the currency.")
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say the cost.")] = False,
        yes: Annotated[
            bool, typer.Option("--yes", help="Do not ask; without a terminal needed.")
        ] = False,
    ) -> None:
        """Buy shares in an open offering, after a look at what they cost."""
        from tessera.ownership.offering import buy as purchase
        from tessera.ownership.offering import preview_buy

        async with session.world() as world:
            record = await session.asset(world, asset)
            offering = await _open_offering(world, record)
            amount = parse_shares(shares)
            now = world.now()
            buyer = world.sender(session.actor("holder"))
            cost = await preview_buy(world.reader, offering, amount, buyer=buyer.address, now=now)
            preview = (
                f"{shown_shares(amount)} shares of {record.slug} cost {world.currency.shown(cost)}"
            )
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "offering": offering.address,
                "shares": str(amount),
                "cost": str(cost),
            }
            if dry_run:
                session.say({**data, "dry_run": True}, preview)
                return
            if not yes and not session.as_json:
                _confirm(preview)
            limit = cost if max_cost is None else world.currency.parse(max_cost, "--max-cost")
            await _require_money(session, world, cost)
            bought = await purchase(
                buyer,
                offering,
                world.deployment.currency,
                amount,
                max_cost=limit,
                now=now,
            )
            session.say(
                {**data, "delivered": bought.delivered, "transaction": bought.tx_hash},
                f"bought {preview.replace(' cost ', ' for ')}",
                "they are yours"
                if bought.delivered
                else "they wait for the soft cap; then: tessera claim",
            )

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


def _confirm(preview: str) -> None:
    from tessera.errors import InputError

    if not sys.stdin.isatty():
        raise InputError(
            preview,
            found="no terminal to ask at",
            wanted="a yes",
            next_step="add --yes, and --max-cost to be safe",
        )
    typer.confirm(f"{preview}. Buy?", abort=True, err=True)


async def _require_money(session: Session, world: World, cost: int) -> None:
    from tessera.errors import InputError

    name = session.actor("holder")
    held = await world.reader.read(world.deployment.currency.balanceOf(world.account(name).address))
    if held < cost:
        raise InputError(
            f"account {name}",
            found=world.currency.shown(held),
            wanted=world.currency.shown(cost),
            next_step=world.how_to_fund(name),
        )


async def _open_offering(world: World, record: AssetRecord) -> Offering:
    """Return the newest offering of an asset that is open."""
    from tessera.errors import NotFound
    from tessera.ownership.offering import Stage, find_offerings, read_offering

    found = await find_offerings(
        world.reader,
        world.deployment.launchpad,
        asset=record.asset,
        first=world.deployment.since,
    )
    latest = "none"
    for offering in reversed(found):
        view = await read_offering(world.reader, offering, now=world.now())
        if view.stage is Stage.OPEN and view.unsold:
            return offering
        if latest == "none":
            latest = _stood(view)
    raise NotFound(
        f"offering of {record.slug}",
        found=latest,
        wanted="one that is open",
        next_step=f"its publisher can open one: tessera offer {record.slug} --shares N --price P",
    )


def _stood(view: OfferingView) -> str:
    from tessera.ownership.offering import Stage

    if view.stage is Stage.UPCOMING:
        return f"one that begins at {shown_time(view.start)}"
    if view.stage is Stage.FAILED:
        return "one that failed its soft cap"
    return "one that is over" if view.unsold else "one that is sold out"
