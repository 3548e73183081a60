"""`tessera orders`: limit orders for shares and access, signed, listed, filled and cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import parse_duration, parse_shares, shown_shares, shown_time
from tessera.cli.effects import DryRun, Yes, confirmed, effects_json, show_effects
from tessera.cli.naming import find_access, token_names
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.ownership.orders import BookEntry, Token

__all__ = ["post", "register"]

_Token = Annotated[
    str, typer.Argument(help="An asset with shares; or a product, by its symbol or address.")
]
_Amount = Annotated[str, typer.Argument(help="Whole shares, or units of access.")]
_Price = Annotated[str, typer.Option(help="For all of it, in the currency.")]
_Lasts = Annotated[str, typer.Option(help="Good for: 12h, 7d.")]
_Taker = Annotated[str | None, typer.Option(help="Only for this key or address.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    orders = typer.Typer(
        help="Trade shares and access at a fixed price, by signed orders.", no_args_is_help=True
    )
    app.add_typer(orders, name="orders")

    @command(orders)
    async def sell(
        session: Session,
        token: _Token,
        amount: _Amount,
        *,
        price: _Price,
        lasts: _Lasts = "7d",
        taker: _Taker = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Sign and list an order to sell; nothing moves until somebody fills it."""
        await post(session, token, amount, price, lasts, taker, asks=True, dry_run=dry_run, yes=yes)

    @command(orders)
    async def bid(
        session: Session,
        token: _Token,
        amount: _Amount,
        *,
        price: _Price,
        lasts: _Lasts = "7d",
        taker: _Taker = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Sign and list an order to buy; nothing moves until somebody fills it."""
        await post(
            session, token, amount, price, lasts, taker, asks=False, dry_run=dry_run, yes=yes
        )

    @command(orders)
    async def book(
        session: Session,
        token: Annotated[
            str | None, typer.Argument(help="An asset, or a product's symbol; else all.")
        ] = None,
        *,
        everything: Annotated[
            bool, typer.Option("--all", help="Also what cannot be filled any more.")
        ] = False,
    ) -> None:
        """Show the book as the chain has it: who sells and who buys, at what price."""
        from tessera.ownership.orders import read_book

        async with session.world() as world:
            wanted = (await _token(session, world, token)).address if token else None
            found = await read_book(
                world.reader,
                world.deployment.orders,
                world.deployment.currency,
                token=wanted,
                first=world.deployment.since,
                everything=everything,
            )
            decimals = {entry.token: await _decimals(world, entry.token) for entry in found}
            names = await token_names(world)

            def show(console: Any) -> None:
                table = session.table(
                    "order!", "side", "token!", "left>", "price of one>", "until!"
                )
                for entry in found:
                    one = entry.price * 10 ** decimals[entry.token]
                    table.add_row(
                        entry.digest,
                        "sells" if entry.asks else "buys",
                        names.get(entry.token, entry.token),
                        _shown(entry.tokens_left, decimals[entry.token]),
                        world.currency.shown(round(one)),
                        shown_time(min(entry.order.expires, 2**40)),
                    )
                console.print(table if found else "the book is empty")

            session.present({"orders": [_json(entry) for entry in found]}, show)

    @command(orders)
    async def fill(
        session: Session,
        digest: Annotated[str, typer.Argument(help="The order's digest, from the book.")],
        amount: _Amount,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Buy from an order that sells, or sell into one that buys, in part or whole."""
        from tessera.ownership.orders import fill as take
        from tessera.ownership.orders import find_order, preview_fill

        async with session.world() as world:
            orders_, currency = world.deployment.orders, world.deployment.currency
            entry = await find_order(
                world.reader, orders_, currency, digest, first=world.deployment.since
            )
            decimals = await _decimals(world, entry.token)
            tokens = _parsed(amount, decimals)
            taker = world.sender(session.actor("holder"))
            _, paid, effects = await preview_fill(
                world.reader, orders_, currency, entry, tokens, taker=taker.address
            )
            verb = "buy" if entry.asks else "sell"
            names = await token_names(world)
            shown = f"{verb} {_amount(tokens, decimals, names.get(entry.token, entry.token))}"
            data: dict[str, object] = {
                "order": entry.digest,
                "side": verb,
                "amount": str(tokens),
                "paid": str(paid),
                "effects": effects_json(effects),
            }
            lines = show_effects(world, effects)
            if dry_run:
                session.say({**data, "dry_run": True}, f"would {shown}", *lines)
                return
            confirmed(session, "Do it", [shown.capitalize(), *lines], yes=yes)
            given, paid, tx_hash = await take(
                taker, orders_, currency, entry, tokens, max_paid=paid
            )
            session.say(
                {**data, "received": str(given), "paid": str(paid), "transaction": tx_hash},
                f"done: {shown}",
                *lines,
            )

    @command(orders)
    async def cancel(
        session: Session,
        digest: Annotated[str | None, typer.Argument(help="The order's digest.")] = None,
        *,
        every: Annotated[
            bool, typer.Option("--all", help="All orders that you ever signed, listed or not.")
        ] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """End an order of yours, or all of them at once, for good."""
        from tessera.errors import InputError
        from tessera.ownership.orders import cancel as end
        from tessera.ownership.orders import cancel_all, find_order

        if (digest is None) != every:
            raise InputError("orders cancel", found="both or neither", wanted="a digest, or --all")
        async with session.world() as world:
            orders_ = world.deployment.orders
            entry = None
            if digest is not None:
                entry = await find_order(
                    world.reader,
                    orders_,
                    world.deployment.currency,
                    digest,
                    first=world.deployment.since,
                )
            data: dict[str, object] = {"order": digest, "all": every, "effects": []}
            shown = f"order {digest}" if entry else "all your orders"
            if dry_run:
                session.say({**data, "dry_run": True}, f"would end {shown}")
                return
            confirmed(session, f"End {shown}", yes=yes)
            maker = world.sender(session.actor("holder"))
            tx_hash = (
                await end(maker, orders_, entry) if entry else await cancel_all(maker, orders_)
            )
            session.say({**data, "transaction": tx_hash}, f"ended {shown}")


async def post(
    session: Session,
    token_name: str,
    amount: str,
    price: str,
    lasts: str,
    taker: str | None,
    *,
    asks: bool,
    dry_run: bool,
    yes: bool,
    usual: str = "holder",
) -> None:
    """Sign and list an order of the acting key, by default that of the `usual` role."""
    from tessera.ownership.orders import bid, sell
    from tessera.units import UnixSeconds

    async with session.world() as world:
        token = await _token(session, world, token_name)
        decimals = await _decimals(world, token.address)
        tokens = _parsed(amount, decimals)
        total = world.currency.parse(price, "--price")
        expires = UnixSeconds(world.now() + parse_duration(lasts, "--lasts"))
        verb = "sell" if asks else "buy"
        names = await token_names(world)
        name = names.get(token.address, token.address)
        shown = (
            f"{verb} {_amount(tokens, decimals, name)} for "
            f"{world.currency.shown(total)}, until {shown_time(expires)}"
        )
        data: dict[str, object] = {
            "token": token.address,
            "side": verb,
            "amount": str(tokens),
            "price": str(total),
            "expires": expires,
            "taker": world.address(taker) if taker else None,
            "effects": [],
        }
        if dry_run:
            session.say(
                {**data, "dry_run": True},
                f"would offer to {shown}",
                f"would approve {'the token' if asks else 'the money'} to the Orders contract",
            )
            return
        confirmed(session, f"Offer to {shown}", yes=yes)
        name = session.actor(usual)
        make = sell if asks else bid
        entry, tx_hash = await make(
            world.sender(name),
            world.account(name),
            world.deployment.orders,
            world.deployment.currency,
            token,
            tokens,
            total,
            expires=expires,
            taker=world.address(taker) if taker else None,
        )
        session.say(
            {**data, "order": entry.digest, "transaction": tx_hash},
            f"order     {entry.digest}",
            f"offers to {shown}",
        )


async def _token(session: Session, world: World, name: str) -> Token:
    await world.directory.refresh()
    if world.directory.by_slug(name.partition("@")[0]) is None and not name.isdigit():
        return await find_access(session, world, name)
    record = await session.asset(world, name)
    return await world.share(record.asset)


async def _decimals(world: World, token: str) -> int:
    from tessera.bindings import Share

    return await world.reader.read(Share(token).decimals())


def _parsed(amount: str, decimals: int) -> int:
    from tessera.units import parse_amount

    return parse_shares(amount) if decimals else parse_amount(amount, decimals=0, thing="units")


def _amount(amount: int, decimals: int, name: str) -> str:
    """Write so many shares of an asset, or units of a product."""
    return f"{_shown(amount, decimals)} {name if decimals else f'units of {name}'}"


def _shown(amount: int, decimals: int) -> str:
    return shown_shares(amount) if decimals else str(amount)


def _json(entry: BookEntry) -> dict[str, object]:
    from tessera.spec.signatures import ZERO_ADDRESS, address_text

    order = entry.order
    return {
        "order": entry.digest,
        "side": "sell" if entry.asks else "buy",
        "token": entry.token,
        "maker": address_text(order.maker),
        "taker": None if order.taker == ZERO_ADDRESS else address_text(order.taker),
        "sell_amount": str(order.sell_amount),
        "buy_amount": str(order.buy_amount),
        "left": str(entry.left),
        "funded": str(entry.funded),
        "tokens_left": str(entry.tokens_left),
        "expires": order.expires,
    }
