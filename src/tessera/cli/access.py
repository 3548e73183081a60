"""`tessera access`: rights to use an asset, bought, redeemed, rented, resold and refunded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import (
    counted,
    parse_duration,
    parse_percent,
    shown_duration,
    shown_percent,
    shown_time,
)
from tessera.cli.effects import DryRun, Yes, confirmed, effects_json, limit_of, show_effects
from tessera.cli.naming import (
    OrderName,
    ProductName,
    find_access,
    find_order,
    order_name,
    token_names,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.ownership.access import OrderState, ProductView

__all__ = ["register"]

_MaxCost = Annotated[str | None, typer.Option(help="Refuse to pay more, in the currency.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    access = typer.Typer(
        help="Sell, buy, redeem, rent and resell the right to use an asset.", no_args_is_help=True
    )
    app.add_typer(access, name="access")

    @command(access)
    async def create(
        session: Session,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        *,
        kind: Annotated[str, typer.Option(help="calls, period or licence.")],
        price: Annotated[str, typer.Option(help="For one unit, in the currency; 0 is free.")],
        units: Annotated[int, typer.Option(help="Units in all.")],
        calls: Annotated[int, typer.Option(help="Calls for each unit.")] = 0,
        lasts: Annotated[str, typer.Option(help="Time for each unit: 12h, 30d.")] = "0",
        per_account: Annotated[int, typer.Option(help="Most units for one account.")] = 0,
        serve_within: Annotated[
            str, typer.Option(help="Then the operator must have served, or the money goes back.")
        ] = "1d",
        royalty: Annotated[str, typer.Option(help="Percent of a resale or a rent.")] = "0",
        allows: Annotated[
            str, typer.Option(help="inference, download, commercial, derivatives.")
        ] = "inference",
        newest_version: Annotated[int, typer.Option(help="Covered up to it; 0: all.")] = 0,
        licence: Annotated[str, typer.Option(help="Short name, as SPDX has them.")] = "",
        document: Annotated[
            Path | None, typer.Option(help="The licence's text; its hash goes on the chain.")
        ] = None,
        name: Annotated[str | None, typer.Option(help="Of the token.")] = None,
        symbol: Annotated[str | None, typer.Option(help="Of the token.")] = None,
        operator: Annotated[str | None, typer.Option(help="Who serves it.")] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make a product: a token for the right to use an asset. If it has shares, propose one."""
        from tessera.bindings.storefront import Kind, Product
        from tessera.cli.govern import put
        from tessera.ownership.access import create as make
        from tessera.ownership.access import scope_named
        from tessera.ownership.governance import product as proposed
        from tessera.spec.signatures import keccak

        async with session.world() as world:
            record = await session.asset(world, asset)
            kinds = {"calls": 1, "period": 2, "licence": 4}
            _one_of(kind, kinds, "--kind")
            _require_worth(kind, calls, lasts)
            text = _text_of(document) or f"licence of {record.slug}".encode()
            short = licence or f"LicenseRef-{record.slug}"[:32]
            product = Product(
                operator=world.address(operator or world.config.operator),
                kind=Kind(kinds[kind]),
                price=world.currency.parse(price, "--price"),
                per_unit={"calls": calls, "period": parse_duration(lasts, "--lasts")}.get(kind, 0),
                cap=units,
                most_per_account=per_account,
                serve_window=parse_duration(serve_within, "--serve-within"),
                royalty_bps=parse_percent(royalty, "--royalty"),
                scope=int(scope_named([word.strip() for word in allows.split(",")])),
                newest_version=newest_version,
                document=keccak(text),
                license=short,
                name=(name or f"{record.slug} {kind}")[:32],
                symbol=(symbol or _symbol(record.slug, kind, calls, lasts))[:32],
            )
            storefront = world.deployment.storefront
            if record.share is not None:
                # As the chain would judge it, if it was voted for already.
                trial = storefront.create(record.asset, product)
                await world.reader.read(trial, sender=world.deployment.governor.address)
                action, title = proposed(product), f"sell {product.name}"
                await put(session, world, record, action, title, dry_run=dry_run, yes=yes)
                return
            preview = (
                f"{counted(units, 'unit')} of {product.symbol} at "
                f"{world.currency.shown(product.price)}, each "
                + _worth(kinds[kind], product.per_unit)
            )
            data: dict[str, object] = {
                "asset": str(record.asset),
                "slug": record.slug,
                "operator": product.operator,
                "kind": kind,
                "price": str(product.price),
                "units": units,
                "per_unit": product.per_unit,
                "serve_window_s": product.serve_window,
                "royalty_bps": product.royalty_bps,
                "allows": allows,
                "document": "0x" + product.document.hex(),
                "licence": product.license,
            }
            if dry_run:
                # As the chain would judge it.
                asking = world.address(session.actor("publisher"))
                await world.reader.read(storefront.create(record.asset, product), sender=asking)
                session.say({**data, "dry_run": True, "effects": []}, f"would sell {preview}")
                return
            confirmed(session, f"Sell {preview}", yes=yes)
            sender = world.sender(session.actor("publisher"))
            made, tx_hash = await make(sender, storefront, record.asset, product)
            session.say(
                {**data, "access": made.address, "transaction": tx_hash},
                f"access    {made.address}",
                f"sells     {preview}",
                f"next: tessera access buy {(await token_names(world))[made.address]} 1 --redeem",
            )

    @command(access, "list")
    async def list_(
        session: Session,
        asset: Annotated[str | None, typer.Argument(help="Slug, URN or id; else all.")] = None,
    ) -> None:
        """List what is sold: products, prices, and what is left."""
        from tessera.ownership.access import find_products, read_product

        async with session.world() as world:
            wanted = (await session.asset(world, asset)).asset if asset else None
            found = await find_products(
                world.reader,
                world.deployment.storefront,
                asset=wanted,
                first=world.deployment.since,
            )
            views = [await read_product(world.reader, access) for access in found]
            names = await token_names(world)

            def show(console: Any) -> None:
                table = session.table("product!", "a unit is", "price>", "left>", "licence")
                for view in views:
                    table.add_row(
                        names[view.address],
                        _worth(view.kind, view.per_unit),
                        world.currency.shown(view.price),
                        str(view.left),
                        view.licence,
                    )
                console.print(table if views else "no products yet")

            session.present({"products": [_product_json(view) for view in views]}, show)

    @command(access)
    async def show(session: Session, product: ProductName) -> None:
        """Show a product: its terms, its licence, and the money that backs it."""
        from tessera.ownership.access import read_product

        async with session.world() as world:
            view = await read_product(world.reader, await find_access(session, world, product))
            session.say(_product_json(view), *_product_lines(world, view))

    @command(access)
    async def buy(
        session: Session,
        product: ProductName,
        units: Annotated[int, typer.Argument(help="How many.")] = 1,
        *,
        redeem: Annotated[
            bool, typer.Option("--redeem", help="Make an order of them at once.")
        ] = False,
        receiver: Annotated[
            str | None, typer.Option("--for", help="Key or address that gets them.")
        ] = None,
        max_cost: _MaxCost = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Buy units, after a look at what they cost; the money waits until service is proved."""
        from tessera.ownership.access import buy as purchase
        from tessera.ownership.access import preview_buy, read_product

        async with session.world() as world:
            access = await find_access(session, world, product)
            view = await read_product(world.reader, access)
            buyer = world.sender(session.actor("consumer"))
            to = world.address(receiver) if receiver else buyer.address
            currency = world.deployment.currency
            cost, effects = await preview_buy(
                world.reader,
                access,
                currency,
                units,
                buyer=buyer.address,
                receiver=to,
                order=redeem,
            )
            preview = f"{counted(units, 'unit')} of {view.symbol} for {world.currency.shown(cost)}"
            limit = limit_of(world, max_cost, cost)
            data: dict[str, object] = {
                "access": access.address,
                "units": units,
                "cost": str(cost),
                "receiver": to,
                "effects": effects_json(effects),
            }
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would buy {preview}", *lines)
                return
            confirmed(session, f"Buy {preview}", yes=yes)
            paid, number, tx_hash = await purchase(
                buyer, access, currency, units, max_cost=limit, receiver=to, order=redeem
            )
            product_name = (await token_names(world))[access.address]
            session.say(
                {**data, "cost": str(paid), "order": number, "transaction": tx_hash},
                f"bought {preview}",
                f"order     {product_name}/{number}"
                if redeem
                else f"next: tessera access redeem {product_name} {units}",
            )

    @command(access)
    async def redeem(
        session: Session,
        product: ProductName,
        units: Annotated[int, typer.Argument(help="How many.")] = 1,
        *,
        owner: Annotated[
            str | None, typer.Option("--for", help="Key or address whose order it is.")
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make an order of units of yours; the gateway honours it."""
        from tessera.ownership.access import check_units, read_product
        from tessera.ownership.access import redeem as make
        from tessera.ownership.effects import Effect

        async with session.world() as world:
            access = await find_access(session, world, product)
            view = await read_product(world.reader, access)
            sender = world.sender(session.actor("consumer"))
            to = world.address(owner) if owner else sender.address
            effects = [Effect(sender.address, view.address, view.symbol, -units, "redeemed")]
            data: dict[str, object] = {
                "access": access.address,
                "units": units,
                "owner": to,
                "effects": effects_json(effects),
            }
            await check_units(world.reader, access, sender.address, units)
            if dry_run:
                await world.reader.read(access.redeem(units, to), sender=sender.address)
                lines = show_effects(world, effects)
                session.say(
                    {**data, "dry_run": True}, f"would redeem {counted(units, 'unit')}", *lines
                )
                return
            confirmed(session, f"Redeem {counted(units, 'unit')} of {view.symbol}", yes=yes)
            number, tx_hash = await make(sender, access, units, owner=to)
            name = order_name(await token_names(world), access.address, number)
            record = world.directory.get(view.asset)
            session.say(
                {**data, "order": number, "name": name, "transaction": tx_hash},
                f"order     {name}, of {world.named(to)}",
                f"next: tessera call {record.slug if record else 'MODEL'} INPUT --order {name}",
            )

    @command(access, "order")
    async def order_(
        session: Session,
        order: OrderName,
    ) -> None:
        """Show an order: who may use it, until when, and what became of its money."""
        from tessera.ownership.access import read_order

        async with session.world() as world:
            access, number = await find_order(session, world, order)
            name = order_name(await token_names(world), access.address, number)
            state = await read_order(world.reader, access, number)
            session.say(_order_json(state, name), *_order_lines(world, state, name))

    @command(access)
    async def orders(
        session: Session,
        who: Annotated[str | None, typer.Argument(help="Key or address; else you.")] = None,
    ) -> None:
        """List the orders that somebody owns or rented."""
        from tessera.ownership.access import orders_of

        async with session.world() as world:
            address = world.address(who or session.actor("consumer"))
            found = await orders_of(
                world.reader,
                world.deployment.storefront,
                address,
                first=world.deployment.since,
            )
            names = await token_names(world)

            def show(console: Any) -> None:
                table = session.table("order!", "units>", "until!", "state")
                for state in found:
                    table.add_row(
                        order_name(names, state.access, state.number),
                        str(state.units),
                        shown_time(state.user_until) if state.ends else "for good",
                        _stage(state),
                    )
                console.print(table if found else "no orders yet")

            session.present(
                {
                    "orders": [
                        _order_json(state, order_name(names, state.access, state.number))
                        for state in found
                    ]
                },
                show,
            )

    @command(access)
    async def refund(
        session: Session,
        order: OrderName,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Take the money of an order back that the operator did not serve in time."""
        from tessera.ownership.access import read_order, read_product
        from tessera.ownership.access import refund as take_back
        from tessera.ownership.effects import Effect

        async with session.world() as world:
            access, number = await find_order(session, world, order)
            name = order_name(await token_names(world), access.address, number)
            state = await read_order(world.reader, access, number)
            view = await read_product(world.reader, access)
            amount = view.price * state.units
            money, symbol = world.deployment.currency.address, world.currency.symbol
            effects = [
                Effect(view.address, money, symbol, -amount, "no longer kept"),
                Effect(state.owner, money, symbol, amount, "the price of the order"),
            ]
            data: dict[str, object] = {
                "access": access.address,
                "order": number,
                "name": name,
                "amount": str(amount),
                "effects": effects_json(effects),
            }
            if dry_run:
                asking = world.address(session.actor("consumer"))
                await world.reader.read(access.refund_for(number), at="pending", sender=asking)
                lines = show_effects(world, effects)
                shown = f"would take back {world.currency.shown(amount)}"
                session.say({**data, "dry_run": True}, shown, *lines)
                return
            confirmed(session, f"Take back {world.currency.shown(amount)}", yes=yes)
            sender = world.sender(session.actor("consumer"))
            paid, tx_hash = await take_back(sender, access, number)
            session.say(
                {**data, "amount": str(paid), "transaction": tx_hash},
                f"{world.currency.shown(paid)} back to {world.named(state.owner)}",
            )

    @command(access, "rent-out")
    async def rent_out(
        session: Session,
        order: OrderName,
        *,
        price_per_day: Annotated[str, typer.Option(help="In the currency.")] = "0",
        most: Annotated[str, typer.Option(help="Longest rent: 12h, 30d; 0 ends it.")] = "30d",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Offer an order of yours for rent; while it is rented you cannot use it."""
        from tessera.ownership.access import check_rentable, offer_rent

        async with session.world() as world:
            access, number = await find_order(session, world, order)
            name = order_name(await token_names(world), access.address, number)
            price = world.currency.parse(price_per_day, "--price-per-day")
            seconds = parse_duration(most, "--most")
            data: dict[str, object] = {
                "access": access.address,
                "order": number,
                "name": name,
                "price_per_day": str(price),
                "most_seconds": seconds,
                "effects": [],
            }
            await check_rentable(world.reader, access)
            shown = f"order {name} for rent at {world.currency.shown(price)} a day"
            if dry_run:
                asking = world.address(session.actor("consumer"))
                call = access.offer_rent(number, price, seconds)
                await world.reader.read(call, at="pending", sender=asking)
                session.say({**data, "dry_run": True}, f"would offer {shown}")
                return
            confirmed(session, f"Offer {shown}", yes=yes)
            owner = world.sender(session.actor("consumer"))
            tx_hash = await offer_rent(
                owner, access, number, daily_price=price, most_seconds=seconds
            )
            session.say({**data, "transaction": tx_hash}, f"offered {shown}")

    @command(access)
    async def rent(
        session: Session,
        order: OrderName,
        lasts: Annotated[str, typer.Argument(help="How long: 12h, 7d.")],
        *,
        max_cost: _MaxCost = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Rent somebody's order for a time; it ends by itself."""
        from tessera.ownership.access import preview_rent
        from tessera.ownership.access import rent as take

        async with session.world() as world:
            access, number = await find_order(session, world, order)
            name = order_name(await token_names(world), access.address, number)
            renter = world.sender(session.actor("consumer"))
            seconds, currency = parse_duration(lasts, "lasts"), world.deployment.currency
            cost, effects = await preview_rent(
                world.reader, access, currency, number, seconds, renter=renter.address
            )
            limit = limit_of(world, max_cost, cost)
            shown = f"order {name} for {lasts} at {world.currency.shown(cost)}"
            data: dict[str, object] = {
                "access": access.address,
                "order": number,
                "name": name,
                "cost": str(cost),
                "effects": effects_json(effects),
            }
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would rent {shown}", *lines)
                return
            confirmed(session, f"Rent {shown}", yes=yes)
            paid, until, tx_hash = await take(
                renter, access, currency, number, seconds, max_cost=limit
            )
            session.say(
                {**data, "cost": str(paid), "until": until, "transaction": tx_hash},
                f"rented {shown}, until {shown_time(until)}",
            )

    @command(access)
    async def resell(
        session: Session,
        product: ProductName,
        units: Annotated[str, typer.Argument(help="How many.")],
        *,
        price: Annotated[str, typer.Option(help="For all of them, in the currency.")],
        lasts: Annotated[str, typer.Option(help="Good for: 12h, 7d.")] = "7d",
        taker: Annotated[str | None, typer.Option(help="Only for this key or address.")] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Offer units of yours to others by a signed order; the creator's royalty comes off."""
        from tessera.cli.orders import post

        async with session.world() as world:
            token = (await find_access(session, world, product)).address
        await post(
            session,
            token,
            units,
            price,
            lasts,
            taker,
            asks=True,
            dry_run=dry_run,
            yes=yes,
            usual="consumer",
        )

    @command(access)
    async def sale(
        session: Session,
        product: ProductName,
        *,
        on: Annotated[bool, typer.Option("--on/--off", help="Whether units are sold.")],
        yes: Yes = False,
        dry_run: DryRun = False,
    ) -> None:
        """Stop or resume a product's sale; what was sold stays good. With shares, propose it."""
        from tessera.cli.govern import put
        from tessera.ownership.governance import sale as proposed

        async with session.world() as world:
            access = await find_access(session, world, product)
            record = await session.asset(
                world, str((await world.reader.read(access.terms())).asset)
            )
            if record.share is not None:
                title = f"{'resume' if on else 'stop'} the sale of {access.address}"
                action = proposed(access.address, on)
                await put(session, world, record, action, title, dry_run=dry_run, yes=yes)
                return
            data: dict[str, object] = {"access": access.address, "on": on, "effects": []}
            said = "on sale" if on else "no longer on sale"
            if dry_run:
                asking = world.address(session.actor("publisher"))
                await world.reader.read(access.set_on_sale(on), sender=asking)
                session.say({**data, "dry_run": True}, f"would be {said}")
                return
            confirmed(session, f"{access.address} {said}", yes=yes)
            sender = world.sender(session.actor("publisher"))
            tx_hash = (await sender.send(access.set_on_sale(on))).tx_hash
            session.say({**data, "transaction": tx_hash}, f"{access.address} is {said}")


# --- Within ---------------------------------------------------------------------------------------


def _require_worth(kind: str, calls: int, lasts: str) -> None:
    """Refuse a unit that is worth nothing because its size was left out."""
    from tessera.errors import InputError

    if kind == "calls" and calls < 1:
        raise InputError("--calls", found=calls, wanted="1 or more for each unit")
    if kind == "period" and parse_duration(lasts, "--lasts") < 1:
        raise InputError("--lasts", found=lasts, wanted="a time for each unit, such as 30d")


def _text_of(document: Path | None) -> bytes:
    from tessera.errors import InputError

    try:
        return document.read_bytes() if document else b""
    except OSError as error:
        raise InputError(
            f"--document {document}", found=error.strerror or "nothing", wanted="a file"
        ) from error


def _one_of(value: str, allowed: dict[str, int], option: str) -> None:
    from tessera.errors import NotFound

    if value not in allowed:
        raise NotFound.among(option, value, list(allowed))


def _symbol(slug: str, kind: str, calls: int, lasts: str) -> str:
    """Return what a product is called: its asset, and what tells it from the asset's others."""
    unit = {"calls": f"{calls}CALLS", "period": lasts.strip()}.get(kind, "LICENCE")
    return f"{slug.replace('-', '')[:11]}-{unit}".upper()


def _worth(kind: int, per_unit: int) -> str:
    if kind == 1:
        return f"{counted(per_unit, 'call')}"
    return shown_duration(per_unit) if kind == 2 else "for good"


def _product_json(view: ProductView) -> dict[str, object]:
    return {
        "access": view.address,
        "name": view.name,
        "symbol": view.symbol,
        "asset": str(view.asset),
        "operator": view.operator,
        "terms": view.terms,
        "kind": view.kind.name.lower(),
        "per_unit": view.per_unit,
        "price": str(view.price),
        "cap": view.cap,
        "sold": view.sold,
        "left": view.left,
        "most_per_account": view.most_per_account,
        "serve_window_s": view.serve_window,
        "royalty_bps": view.royalty_bps,
        "allows": _scope_words(view),
        "newest_version": view.newest_version,
        "document": "0x" + view.document.hex(),
        "licence": view.licence,
        "on_sale": view.on_sale,
        "waiting": view.waiting,
        "backing": str(view.backing),
    }


def _scope_words(view: ProductView) -> list[str]:
    return [scope.name.lower() for scope in view.scope if scope.name]


def _product_lines(world: World, view: ProductView) -> list[str]:
    shown = world.currency.shown
    return [
        f"{view.name} ({view.symbol})  {view.address}",
        f"a unit    {_worth(view.kind, view.per_unit)}, {shown(view.price)}",
        f"left      {view.left} of {view.cap}" + ("" if view.on_sale else ", not on sale"),
        f"licence   {view.licence}: {', '.join(_scope_words(view))}"
        + (f", versions up to {view.newest_version}" if view.newest_version else ""),
        f"document  0x{view.document.hex()}",
        f"operator  {view.operator}, must serve within {shown_duration(view.serve_window)}",
        f"royalty   {shown_percent(view.royalty_bps)}",
        (
            f"kept      {shown(view.backing)}, {counted(view.waiting, 'unit')} in orders that wait "
            "for service"
        ),
    ]


def _order_json(state: OrderState, name: str) -> dict[str, object]:
    return {
        "name": name,
        "access": state.access,
        "order": state.number,
        "owner": state.owner,
        "user": state.user,
        "units": state.units,
        "ordered_at": state.ordered_at,
        "valid_until": state.valid_until if state.ends else None,
        "user_until": state.user_until if state.user != state.owner or state.ends else None,
        "calls": state.calls if state.counted else None,
        "state": _stage(state),
        "price_per_day": str(state.daily_price),
        "most_seconds": state.most_seconds,
    }


def _stage(state: OrderState) -> str:
    if state.void:
        return "refunded"
    if state.user != state.owner:
        return "rented"
    return "served" if state.proved else "waiting"


def _order_lines(world: World, state: OrderState, name: str) -> list[str]:
    good = shown_time(state.valid_until) if state.ends else "for good"
    if state.void:
        good = "no more"
    elif state.counted:
        good += f", {counted(state.calls, 'call')} in all"
    daily, longest = world.currency.shown(state.daily_price), shown_duration(state.most_seconds)
    rent = f"{daily} a day, at most {longest}" if state.most_seconds else "no"
    return [
        f"order     {name}, {_stage(state)}",
        f"product   {state.access}",
        f"owner     {world.named(state.owner)}",
        f"user      {state.user}"
        + ("" if state.user == state.owner else f", until {shown_time(state.user_until)}"),
        f"good      {good}",
        f"for rent  {rent}",
    ]
