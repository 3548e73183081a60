"""`tessera offer`, `buy`, `sell`, `bid` and `sales`: the first sale of shares, of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tessera.cli.amounts import (
    counted,
    parse_duration,
    parse_percent,
    parse_shares,
    share_count,
    shown_percent,
    shown_shares,
    shown_time,
)
from tessera.cli.effects import (
    DryRun,
    Yes,
    confirmed,
    effects_json,
    limit_of,
    require_money,
    show_effects,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.assets.directory import AssetRecord
    from tessera.bindings import Curve
    from tessera.bindings.launchpad import (
        AuctionSale,
        CurveSale,
        Grant,
        Liquidity,
        Sale,
        Schedule,
    )
    from tessera.ownership.auction import AuctionView
    from tessera.ownership.curve import CurveView
    from tessera.ownership.effects import Effect
    from tessera.ownership.launch import AnySale
    from tessera.ownership.offering import OfferingView

    AnyView = OfferingView | AuctionView | CurveView

__all__ = ["register"]

_Asset = Annotated[str, typer.Argument(help="Slug, URN or id.")]
_List = Annotated[
    Path | None,
    typer.Option("--list", help="Buyers: one address and amount in each line."),
]
_Lasts = Annotated[str, typer.Option(help="On a curve nothing happens later than this: 30s, 5m.")]
_KINDS = ("fixed", "auction", "curve")
_SHARE_DECIMALS = 18


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app)
    async def offer(
        session: Session,
        asset: _Asset,
        *,
        shares: Annotated[str, typer.Option(help="Whole shares for sale.")],
        price: Annotated[
            str, typer.Option(help="For one whole share; an auction or a curve begins there.")
        ],
        kind: Annotated[str, typer.Option(help="fixed, auction or curve.")] = "fixed",
        last_price: Annotated[
            str | None,
            typer.Option(help="An auction falls to it; a curve rises to it, and graduates."),
        ] = None,
        soft_cap: Annotated[
            str,
            typer.Option(help="Shares (auction: money) below which all get their money back."),
        ] = "0",
        cap_per_buyer: Annotated[
            str | None, typer.Option(help="Whole shares (auction: money).")
        ] = None,
        starts: Annotated[
            str, typer.Option(help="It and its schedules begin after: 30s, 12h.")
        ] = "0s",
        lasts: Annotated[str, typer.Option(help="How long: 30s, 12h, 7d.")] = "30d",
        liquidity: Annotated[
            str | None, typer.Option(help="Percent of the proceeds that opens the pool, locked.")
        ] = None,
        tier: Annotated[int, typer.Option(help="Of that pool: 0 to 3.")] = 1,
        locked: Annotated[str, typer.Option(help="How long that liquidity stays.")] = "365d",
        buyers: _List = None,
        surcharge: Annotated[
            str, typer.Option(help="Percent on top of a curve's price at its start.")
        ] = "0",
        calm: Annotated[str, typer.Option(help="In which the surcharge falls to 0.")] = "10m",
        vesting: Annotated[
            list[str] | None,
            typer.Option(help="WHO:SHARES:CLIFF:DURATION, locked in the same transaction."),
        ] = None,
        contributors: Annotated[
            str | None,
            typer.Option(help="SHARES:CLIFF:DURATION, set aside for all contributors in it too."),
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Put shares of yours up for sale: at a fixed price, by auction, or along a curve."""
        from tessera.bindings.launchpad import Liquidity
        from tessera.errors import NotFound
        from tessera.ownership.allowing import check_shares
        from tessera.ownership.contributing import check_contributors
        from tessera.ownership.effects import Effect
        from tessera.ownership.launch import check_terms, launch, read_list, shares_needed
        from tessera.ownership.selling import EVERYBODY
        from tessera.spec.launchpad import LaunchpadModel, Situation
        from tessera.spec.signatures import address_of
        from tessera.units import UnixSeconds

        if kind not in _KINDS:
            raise NotFound.among("kind of sale", kind, _KINDS)
        async with session.world() as world:
            record = await session.asset(world, asset)
            sender = world.sender(session.actor("publisher"))
            part = liquidity if liquidity is not None else ("50" if kind == "curve" else "0")
            bps = parse_percent(part, "--liquidity")
            pool = Liquidity(bps, tier, parse_duration(locked, "--locked")) if bps else _no_pool()
            decimals = world.currency.decimals if kind == "auction" else _SHARE_DECIMALS
            listed = read_list(buyers, decimals=decimals) if buyers else None
            now = world.now()
            start = UnixSeconds(now + parse_duration(starts, "--starts"))
            common = _Common(
                sender.address,
                parse_shares(shares, "--shares"),
                start,
                start + parse_duration(lasts, "--lasts"),
                listed.root if listed else EVERYBODY,
                pool,
            )
            asked = _Asked(price, last_price, soft_cap, cap_per_buyer, surcharge, calm)
            sales, auctions, curves = _terms_of(world, kind, common, asked)
            schedules = [_schedule(world, text, start) for text in vesting or ()]
            grants = []
            if contributors is not None:
                check_contributors(record)
                grants.append(_grant(contributors, start))
            terms = (sales, auctions, curves, schedules, grants)
            exchange = address_of(world.deployment.exchange.address)
            check_terms(LaunchpadModel(exchange), Situation(record.asset, now), *terms)
            needed = shares_needed(*terms)
            share = await world.share(record.asset)
            await check_shares(sender, share, needed)
            preview = _offer_preview(
                *(world, record.slug, kind, common),
                (*sales, *auctions, *curves),
                later=start > now,
            )
            shares_of = f"shares of {record.slug}"
            apart = [(part.amount, f"vesting of {part.beneficiary}") for part in schedules]
            apart += [(part.amount, "for its contributors, by weight") for part in grants]
            sold = needed - sum(amount for amount, _ in apart)
            effects = [
                Effect(sender.address, share.address, shares_of, -amount, why, _SHARE_DECIMALS)
                for amount, why in ((sold, "for sale and pool"), *apart)
            ]
            data: dict[str, Any] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "kind": kind,
                "shares": str(common.shares),
                "price": str(world.currency.parse(price, "--price")),
                "soft_cap": str(_soft_cap(sales, auctions)),
                "start": start,
                "end": common.end,
                "liquidity_bps": bps,
                "allowed": "0x" + common.allowed.hex(),
                "taken": str(needed),
                "effects": effects_json(effects),
            }
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would offer {preview}", *lines)
                return
            # A plain sale gives away nothing but what it sells, so it needs no yes.
            plain = kind == "fixed" and not bps and not apart
            confirmed(session, f"Offer {preview}", yes=yes or plain)
            made, tx_hash = await launch(
                sender,
                world.deployment.launchpad,
                record.asset,
                share,
                sales=sales,
                auctions=auctions,
                curves=curves,
                schedules=schedules,
                grants=grants,
            )
            vestings, allocations = made[1 : 1 + len(schedules)], made[1 + len(schedules) :]
            verb = "bid" if kind == "auction" else "buy"
            session.say(
                {
                    **data,
                    "offering": made[0],
                    "sale": made[0],
                    "vestings": vestings,
                    "allocation": allocations[0] if allocations else None,
                    "transaction": tx_hash,
                },
                f"{'offering' if kind == 'fixed' else kind:9} {made[0]}",
                f"sells     {preview}",
                *(f"vesting   {address}" for address in vestings),
                *(
                    f"claims    by contributors, at {address}: tessera attribution claim"
                    for address in allocations
                ),
                f"next: tessera {verb} {record.slug} N --as holder"
                + (f", from {shown_time(start)} on" if start > now else ""),
            )

    @command(app)
    async def buy(
        session: Session,
        asset: _Asset,
        shares: Annotated[str, typer.Argument(help="Whole shares, such as 12.5.")],
        *,
        max_cost: Annotated[
            str | None, typer.Option(help="Refuse to pay more, in the currency.")
        ] = None,
        buyers: _List = None,
        lasts: _Lasts = "5m",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Buy shares at a fixed price or along a curve, after a look at what they cost."""
        from tessera.bindings import Curve, Offering
        from tessera.ownership import curve as curves
        from tessera.ownership import offering as sales
        from tessera.ownership.launch import read_list, shown_part
        from tessera.ownership.selling import least_of
        from tessera.units import Shares, UnixSeconds

        async with session.world() as world:
            record = await session.asset(world, asset)
            sale, view = await _open_sale(world, record, Offering, Curve)
            amount = parse_shares(shares)
            now = world.now()
            buyer = world.sender(session.actor("holder"))
            listed = read_list(buyers, decimals=_SHARE_DECIMALS) if buyers else None
            part = shown_part(view.allowed, listed, buyer.address)
            if isinstance(sale, Curve):
                most = min(view.cap_per_buyer, part[0] if part else view.cap_per_buyer)
                most -= await world.reader.read(sale.bought(buyer.address))
                spend = curves.spend_for(view, amount, most=Shares(most))
                got, cost = await curves.preview_buy(
                    world.reader, sale, spend, buyer=buyer.address, now=now
                )
            else:
                cost = await sales.preview_buy(
                    world.reader, sale, amount, buyer=buyer.address, now=now
                )
                got = amount
            least = least_of(min(got, amount))
            preview = f"{share_count(got)} of {record.slug} cost {world.currency.shown(cost)}"
            limit = limit_of(world, max_cost, cost)
            effects = _trade_effects(world, record, view, buyer.address, got, -cost)
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "offering": sale.address,
                "shares": str(got),
                "least_shares": str(least),
                "cost": str(cost),
                "effects": effects_json(effects),
            }
            if dry_run:
                fewer = f"  if others are faster: no fewer than {shown_shares(least)}"
                session.say(
                    {**data, "dry_run": True}, preview, *show_effects(world, effects), fewer
                )
                return
            confirmed(session, f"{preview}. Buy", yes=yes)
            deadline = UnixSeconds(world.now() + parse_duration(lasts, "--lasts"))
            await require_money(world, session.actor("holder"), cost)
            currency = world.deployment.currency
            if isinstance(sale, Curve):
                made = await curves.buy(
                    buyer,
                    sale,
                    currency,
                    cost,
                    least=least,
                    now=now,
                    listed=part,
                    deadline=deadline,
                )
                delivered, came, paid = True, made.shares, made.cost
                tx_hash = made.tx_hash
                data |= {"graduated": made.graduated}
            else:
                bought = await sales.buy(
                    buyer,
                    sale,
                    currency,
                    amount,
                    max_cost=limit,
                    now=now,
                    least=least,
                    listed=part,
                )
                delivered, came, paid = bought.delivered, bought.shares, bought.cost
                tx_hash = bought.tx_hash
            session.say(
                {
                    **data,
                    "shares": str(came),
                    "cost": str(paid),
                    "delivered": delivered,
                    "transaction": tx_hash,
                },
                f"bought {share_count(came)} of {record.slug} for {world.currency.shown(paid)}",
                "they are yours"
                if delivered
                else "they wait for the soft cap; then: tessera claim",
            )

    @command(app)
    async def sell(
        session: Session,
        asset: _Asset,
        shares: Annotated[str, typer.Argument(help="Whole shares that you bought there.")],
        *,
        least: Annotated[
            str | None, typer.Option(help="Refuse to take less, in the currency.")
        ] = None,
        lasts: _Lasts = "5m",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Sell shares back to a curve; after a missed end, for what you paid."""
        from tessera.ownership import curve as curves
        from tessera.units import UnixSeconds

        async with session.world() as world:
            record = await session.asset(world, asset)
            seller = world.sender(session.actor("holder"))
            sale, view = await _curve_of(world, record, seller.address)
            amount, now = parse_shares(shares), world.now()
            paid = await curves.preview_sell(
                world.reader, sale, amount, seller=seller.address, now=now
            )
            preview = f"{share_count(amount)} of {record.slug} bring {world.currency.shown(paid)}"
            effects = _trade_effects(world, record, view, seller.address, -amount, paid)
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "curve": sale.address,
                "shares": str(amount),
                "paid": str(paid),
                "effects": effects_json(effects),
            }
            if dry_run:
                session.say({**data, "dry_run": True}, preview, *show_effects(world, effects))
                return
            confirmed(session, f"{preview}. Sell", yes=yes)
            deadline = UnixSeconds(world.now() + parse_duration(lasts, "--lasts"))
            limit = paid if least is None else world.currency.parse(least, "--least")
            share = await world.share(record.asset)
            came, tx_hash = await curves.sell(
                seller, sale, share, amount, least=limit, now=now, deadline=deadline
            )
            session.say(
                {**data, "paid": str(came), "transaction": tx_hash},
                f"sold {preview.replace(' bring ', ' for ')}",
            )

    @command(app)
    async def bid(
        session: Session,
        asset: _Asset,
        amount: Annotated[str, typer.Argument(help="Money, in the currency.")],
        *,
        buyers: _List = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Bid money in an open auction; everybody pays one price, known when it closes."""
        from tessera.bindings import Auction
        from tessera.ownership import auction as auctions
        from tessera.ownership.launch import read_list, shown_part

        async with session.world() as world:
            record = await session.asset(world, asset)
            sale, view = await _open_sale(world, record, Auction)
            assert isinstance(sale, Auction)
            money, now = world.currency.parse(amount), world.now()
            bidder = world.sender(session.actor("holder"))
            listed = read_list(buyers, decimals=world.currency.decimals) if buyers else None
            part = shown_part(view.allowed, listed, bidder.address)
            taken, fewest = await auctions.preview_bid(
                world.reader, sale, money, bidder=bidder.address, now=now
            )
            preview = (
                f"{world.currency.shown(taken)} for at least {share_count(fewest)} of "
                f"{record.slug}, at {world.currency.shown(view.price)} or less each"
            )
            effects = _trade_effects(world, record, view, bidder.address, 0, -taken)
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "auction": sale.address,
                "amount": str(taken),
                "least_shares": str(fewest),
                "price": str(view.price),
                "effects": effects_json(effects),
            }
            if dry_run:
                session.say(
                    {**data, "dry_run": True}, f"would bid {preview}", *show_effects(world, effects)
                )
                return
            confirmed(session, f"Bid {preview}", yes=yes)
            await require_money(world, session.actor("holder"), taken)
            made = await auctions.bid(
                bidder,
                sale,
                world.deployment.currency,
                money,
                least=fewest,
                now=now,
                listed=part,
            )
            session.say(
                {
                    **data,
                    "amount": str(made.amount),
                    "closed": made.closed,
                    "transaction": made.tx_hash,
                },
                f"bid {preview}",
                f"when it is over: tessera claim {record.slug}",
            )

    sales_app = typer.Typer(help="See first sales of shares, and end them.", no_args_is_help=True)
    app.add_typer(sales_app, name="sales")

    @command(sales_app, "list")
    async def list_(
        session: Session,
        asset: Annotated[str | None, typer.Argument(help="Slug, URN or id; else all.")] = None,
    ) -> None:
        """List first sales of every kind: where they stand, and their price now."""
        from tessera.ownership.launch import find_sales

        async with session.world() as world:
            wanted = (await session.asset(world, asset)).asset if asset else None
            found = await find_sales(
                world.reader,
                world.deployment.launchpad,
                asset=wanted,
                first=world.deployment.since,
            )
            views = [await _read(world, sale) for sale in found]
            await world.directory.refresh()
            slugs = {record.share: record.slug for record in world.directory}

            def show(console: Any) -> None:
                table = session.table("of", "sale!", "kind", "stage", "price>", "raised>", "ends!")
                for view in views:
                    table.add_row(
                        slugs.get(view.share, view.share),
                        view.address,
                        _kind_of(view),
                        _stage(view),
                        world.currency.shown(view.price),
                        world.currency.shown(view.raised),
                        shown_time(view.end),
                    )
                console.print(table if views else "no sales yet")

            session.present({"sales": [_view_json(view) for view in views]}, show)

    @command(sales_app)
    async def close(
        session: Session,
        asset: _Asset,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """End sales that are over: fix an auction's price, open the pool, give unsold shares back.

        Anyone may; proceeds are taken out only for the publisher.
        """
        from tessera.bindings import Auction, Offering
        from tessera.errors import NotFound
        from tessera.ownership import auction as auctions
        from tessera.ownership import curve as curves
        from tessera.ownership import offering as sales
        from tessera.ownership.launch import find_sales
        from tessera.ownership.selling import Stage

        async with session.world() as world:
            record = await session.asset(world, asset)
            sender = world.sender(session.actor("publisher"))
            over: list[tuple[AnySale, AnyView]] = []
            for sale in await find_sales(
                world.reader,
                world.deployment.launchpad,
                asset=record.asset,
                first=world.deployment.since,
            ):
                view = await _read(world, sale)
                if view.stage in (Stage.FINISHED, Stage.FAILED) or getattr(view, "over", False):
                    over.append((sale, view))
            if not over:
                raise NotFound(
                    f"sales of {record.slug}", found="none that is over", wanted="one to end"
                )
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "sales": [sale.address for sale, _ in over],
            }
            preview = f"{counted(len(over), 'sale')} of {record.slug}"
            if dry_run:
                lines = [f"  {view.address}  {view.stage.value}" for _, view in over]
                session.say({**data, "dry_run": True}, f"would end {preview}", *lines)
                return
            confirmed(session, f"End {preview}", yes=yes)
            done = []
            for sale, _ in over:
                try:
                    if isinstance(sale, Auction):
                        done.append(await auctions.close(sender, sale, now=world.now()))
                    elif isinstance(sale, Offering):
                        done.append(await sales.close(sender, sale, now=world.now()))
                    else:
                        done.append(await curves.close(sender, sale, now=world.now()))
                except NotFound:
                    # Ended before; nothing is left in it.
                    continue
            proceeds = sum(closing.proceeds for closing in done)
            in_pool = sum(closing.in_pool for closing in done)
            unsold = sum(closing.unsold for closing in done)
            session.say(
                {
                    **data,
                    "proceeds": str(proceeds),
                    "in_pool": str(in_pool),
                    "unsold": str(unsold),
                    "transactions": [tx for closing in done for tx in closing.tx_hashes],
                },
                f"proceeds  {world.currency.shown(proceeds)}",
                f"pool      {world.currency.shown(in_pool)}",
                f"returned  {share_count(unsold)}",
            )


# --- Terms ----------------------------------------------------------------------------------------


class _Common(NamedTuple):
    """What the terms of every kind have."""

    publisher: str
    shares: int
    start: int
    end: int
    allowed: bytes
    liquidity: Liquidity


class _Asked(NamedTuple):
    """Options whose meaning depends on the kind."""

    price: str
    last_price: str | None
    soft_cap: str
    cap_per_buyer: str | None
    surcharge: str
    calm: str


def _terms_of(
    world: World, kind: str, common: _Common, asked: _Asked
) -> tuple[list[Sale], list[AuctionSale], list[CurveSale]]:
    from tessera.bindings.launchpad import AuctionSale, CurveSale, Sale
    from tessera.errors import InputError
    from tessera.spec.curve import shape_of

    first = world.currency.parse(asked.price, "--price")
    if kind == "fixed":
        cap = asked.cap_per_buyer
        return (
            [
                Sale(
                    common.publisher,
                    first,
                    common.shares,
                    parse_shares(asked.soft_cap, "--soft-cap"),
                    common.shares if cap is None else parse_shares(cap, "--cap-per-buyer"),
                    common.start,
                    common.end,
                    common.allowed,
                    common.liquidity,
                )
            ],
            [],
            [],
        )
    if asked.last_price is None:
        raise InputError(
            "--last-price",
            found="none",
            wanted="the lowest price of an auction, or the price at which a curve graduates",
        )
    last = world.currency.parse(asked.last_price, "--last-price")
    if kind == "auction":
        cap = asked.cap_per_buyer
        return (
            [],
            [
                AuctionSale(
                    common.publisher,
                    first,
                    last,
                    common.shares,
                    world.currency.parse(asked.soft_cap, "--soft-cap"),
                    2**256 - 1 if cap is None else world.currency.parse(cap, "--cap-per-buyer"),
                    common.start,
                    common.end,
                    common.allowed,
                    common.liquidity,
                )
            ],
            [],
        )
    if not 0 < first < last:
        raise InputError(
            "prices of the curve", found=f"{first} to {last}", wanted="a last one above the first"
        )
    shape = shape_of(common.shares, first, last)
    cap = asked.cap_per_buyer
    surcharge = parse_percent(asked.surcharge, "--surcharge")
    return (
        [],
        [],
        [
            CurveSale(
                common.publisher,
                shape.virtual_shares,
                shape.virtual_currency,
                shape.target,
                shape.virtual_shares if cap is None else parse_shares(cap, "--cap-per-buyer"),
                common.start,
                common.end,
                common.allowed,
                common.liquidity,
                surcharge,
                parse_duration(asked.calm, "--calm") if surcharge else 0,
            )
        ],
    )


def _schedule(world: World, text: str, start: int) -> Schedule:
    from tessera.bindings.launchpad import Schedule
    from tessera.errors import InputError

    parts = text.split(":")
    if len(parts) != 4:
        raise InputError("--vesting", found=text, wanted="WHO:SHARES:CLIFF:DURATION")
    who, shares, cliff, duration = parts
    return Schedule(
        beneficiary=world.address(who),
        amount=parse_shares(shares, "--vesting"),
        start=start,
        cliff=parse_duration(cliff, "--vesting"),
        duration=parse_duration(duration, "--vesting"),
    )


def _grant(text: str, start: int) -> Grant:
    from tessera.bindings.launchpad import Grant
    from tessera.errors import InputError

    parts = text.split(":")
    if len(parts) != 3:
        raise InputError("--contributors", found=text, wanted="SHARES:CLIFF:DURATION")
    shares, cliff, duration = parts
    return Grant(
        parse_shares(shares, "--contributors"),
        start,
        parse_duration(cliff, "--contributors"),
        parse_duration(duration, "--contributors"),
    )


def _no_pool() -> Liquidity:
    from tessera.ownership.selling import NO_POOL

    return NO_POOL


def _soft_cap(sales: Sequence[Sale], auctions: Sequence[AuctionSale]) -> int:
    return sum(sale.soft_cap for sale in sales) + sum(sale.soft_cap for sale in auctions)


# --- Presenting -----------------------------------------------------------------------------------


def _offer_preview(
    world: World,
    slug: str,
    kind: str,
    common: _Common,
    terms: Sequence[Sale | AuctionSale | CurveSale],
    *,
    later: bool,
) -> str:
    from tessera.bindings.launchpad import AuctionSale, CurveSale, Sale

    (sale,) = terms
    shown = world.currency.shown
    if isinstance(sale, Sale):
        price = f"at {shown(sale.price)}"
    elif isinstance(sale, AuctionSale):
        price = f"from {shown(sale.first_price)} down to {shown(sale.lowest_price)}"
    else:
        assert isinstance(sale, CurveSale)
        price = f"along a curve to a target of {shown(sale.target)}"
    pool = (
        f", {shown_percent(common.liquidity.bps)} of the proceeds locked in the pool"
        if common.liquidity.bps
        else ""
    )
    until = shown_time(common.end)
    when = f"from {shown_time(common.start)} until {until}" if later else f"until {until}"
    return f"{share_count(common.shares)} of {slug} {price}, {when}{pool}"


def _trade_effects(
    world: World, record: AssetRecord, view: AnyView, person: str, shares: int, money: int
) -> list[Effect]:
    from tessera.ownership.effects import Effect

    currency, symbol = world.deployment.currency.address, world.currency.symbol
    token, name, why = view.share, f"shares of {record.slug}", "bought" if money < 0 else "sold"
    effects = [
        Effect(person, token, name, shares, why, _SHARE_DECIMALS),
        Effect(view.address, token, name, -shares, why, _SHARE_DECIMALS),
        Effect(person, currency, symbol, money, "the price"),
        Effect(view.address, currency, symbol, -money, "the price"),
    ]
    return [effect for effect in effects if effect.change]


def _kind_of(view: AnyView) -> str:
    from tessera.ownership.auction import AuctionView
    from tessera.ownership.curve import CurveView

    if isinstance(view, AuctionView):
        return "auction"
    return "curve" if isinstance(view, CurveView) else "fixed"


def _view_json(view: AnyView) -> dict[str, Any]:
    from dataclasses import asdict

    raw = asdict(view)
    return {"kind": _kind_of(view)} | {
        name: f"0x{value.hex()}"
        if isinstance(value, bytes)
        else value
        if isinstance(value, (bool, str)) or name in ("start", "end", "liquidity_bps")
        else str(value)
        for name, value in raw.items()
    }


# --- Finding --------------------------------------------------------------------------------------


async def _read(world: World, sale: AnySale) -> AnyView:
    from tessera.bindings import Auction, Offering
    from tessera.ownership.auction import read_auction
    from tessera.ownership.curve import read_curve
    from tessera.ownership.offering import read_offering

    if isinstance(sale, Auction):
        return await read_auction(world.reader, sale, now=world.now())
    if isinstance(sale, Offering):
        return await read_offering(world.reader, sale, now=world.now())
    return await read_curve(world.reader, sale, now=world.now())


async def _open_sale(world: World, record: AssetRecord, *kinds: type[AnySale]) -> tuple[Any, Any]:
    """Return the newest open sale of an asset that is one of these kinds."""
    from tessera.bindings import Auction
    from tessera.errors import NotFound
    from tessera.ownership.launch import find_sales
    from tessera.ownership.selling import Stage

    found = [
        sale
        for sale in await find_sales(
            world.reader,
            world.deployment.launchpad,
            asset=record.asset,
            first=world.deployment.since,
        )
        if isinstance(sale, kinds)
    ]
    latest = "none"
    for sale in reversed(found):
        view = await _read(world, sale)
        if view.stage is Stage.OPEN and not getattr(view, "over", False):
            return sale, view
        if latest == "none":
            latest = _stood(view)
    verb = "--kind auction " if kinds == (Auction,) else ""
    raise NotFound(
        f"offering of {record.slug}",
        found=latest,
        wanted="one that is open",
        next_step=f"its publisher can open one: tessera offer {record.slug} {verb}"
        "--shares N --price P",
    )


def _stage(view: AnyView) -> str:
    """Write where a sale stands; one with nothing left is open in name only."""
    from tessera.ownership.offering import OfferingView
    from tessera.ownership.selling import Stage

    sold_out = isinstance(view, OfferingView) and view.stage is Stage.OPEN and not view.unsold
    return "sold out" if sold_out else view.stage.value


def _stood(view: AnyView) -> str:
    from tessera.ownership.selling import Stage

    if view.stage is Stage.UPCOMING:
        return f"one that begins at {shown_time(view.start)}"
    if view.stage is Stage.FAILED:
        return "one that failed its soft cap"
    return "one that is over" if view.unsold else "one that is sold out"


async def _curve_of(world: World, record: AssetRecord, seller: str) -> tuple[Curve, CurveView]:
    """Return the newest curve on which somebody can sell back."""
    from tessera.errors import NotFound
    from tessera.ownership.curve import find_curves, read_curve

    found = await find_curves(
        world.reader,
        world.deployment.launchpad,
        asset=record.asset,
        first=world.deployment.since,
    )
    for curve in reversed(found):
        view = await read_curve(world.reader, curve, now=world.now())
        bought = await world.reader.read(curve.bought(seller))
        if bought and not view.graduated:
            return curve, view
    raise NotFound(
        f"curve of {record.slug}",
        found="none that takes shares back from this account",
        wanted="one where it bought, and that has not graduated",
        next_step=f"sell in the pool or by an order: tessera orders sell {record.slug}",
    )
