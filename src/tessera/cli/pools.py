"""`tessera market`: what is traded in pools, at what price, and the liquidity behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import (
    parse_duration,
    parse_percent,
    shown_duration,
    shown_percent,
    shown_time,
)
from tessera.cli.effects import DryRun, Yes, confirmed, effects_json, show_effects
from tessera.cli.naming import find_access
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from fractions import Fraction

    from tessera.app import World
    from tessera.bindings import Exchange
    from tessera.ownership.effects import Effect
    from tessera.ownership.exchange import PoolView, Quote

__all__ = ["register"]

_MONEY = "money"
_FEES = {5: 0, 30: 1, 100: 2, 300: 3}
_Token = Annotated[
    str, typer.Argument(help="An asset with shares, a product's symbol, or an address.")
]
_Amount = Annotated[
    str, typer.Argument(help="How much of what you give; with --out, of what you get.")
]
_Given = Annotated[
    str, typer.Argument(help="What you give: money, TSR, an asset, a product, or an address.")
]
_Got = Annotated[
    str, typer.Argument(help="What you get: money, TSR, an asset, a product, or an address.")
]
_Out = Annotated[bool, typer.Option("--out", help="The amount is what you get.")]
_Slippage = Annotated[str, typer.Option(help="Percent that the price may get worse meanwhile.")]
_Lasts = Annotated[str, typer.Option(help="Nothing happens later than this: 30s, 5m.")]


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a trade: a token, what it is called, and its decimals."""

    address: str
    symbol: str
    decimals: int

    def parse(self, text: str, thing: str = "amount") -> int:
        from tessera.units import parse_amount

        return parse_amount(text, decimals=self.decimals, thing=thing)

    def shown(self, amount: int) -> str:
        from tessera.units import format_amount

        shown = format_amount(amount, decimals=self.decimals, grouped=True)
        return f"{shown} {self.symbol}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    market = typer.Typer(
        help="Trade shares and access in pools, and provide what is traded.", no_args_is_help=True
    )
    app.add_typer(market, name="market")
    _register_trades(market)
    _register_liquidity(market)


def _register_trades(market: typer.Typer) -> None:
    @command(market)
    async def pools(
        session: Session,
        token: Annotated[
            str | None, typer.Argument(help="An asset or an address; else all pools.")
        ] = None,
    ) -> None:
        """List what is traded, at what price, with how much in the pool."""
        from tessera.ownership.exchange import find_pools, read_pool

        async with session.world() as world:
            exchange = world.deployment.exchange
            if token is None:
                tokens = await find_pools(world.reader, exchange, first=world.deployment.since)
            else:
                tokens = [(await _side(session, world, token)).address]
            views = [await read_pool(world.reader, exchange, address) for address in tokens]

            def show(console: Any) -> None:
                columns = ("token", "price>", "tokens>", "money>", "fee>", "locked!", "address!")
                table = session.table(*columns)
                for view in views:
                    side = _Side(view.token, view.symbol, view.decimals)
                    locked = view.locked_until > world.now()
                    table.add_row(
                        view.symbol,
                        _price(world, view.price),
                        side.shown(view.tokens),
                        world.currency.shown(view.currency),
                        shown_percent(view.fee_bps),
                        f"until {shown_time(view.locked_until)}" if locked else "",
                        view.token,
                    )
                console.print(table if views else "nothing is traded yet: tessera market open")

            session.present({"pools": [_pool_json(view) for view in views]}, show)

    @command(market)
    async def quote(
        session: Session,
        amount: _Amount,
        given: _Given,
        got: _Got,
        *,
        out: _Out = False,
        slippage: _Slippage = "0.5",
    ) -> None:
        """Ask what a swap would give now; nothing is signed."""
        async with session.world() as world:
            sides, asked = await _quote(session, world, amount, given, got, slippage, out=out)
            session.say(_quote_json(asked), *_quote_lines(sides, asked))

    @command(market)
    async def swap(
        session: Session,
        amount: _Amount,
        given: _Given,
        got: _Got,
        *,
        out: _Out = False,
        slippage: _Slippage = "0.5",
        lasts: _Lasts = "5m",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Trade one token for another, within a limit and before a deadline."""
        from tessera.ownership.exchange import quoted_effects
        from tessera.ownership.exchange import swap as trade
        from tessera.units import UnixSeconds

        async with session.world() as world:
            sides, asked = await _quote(session, world, amount, given, got, slippage, out=out)
            exchange = _exchange(world, sides)
            trader = world.sender(session.actor("holder"))
            effects = await quoted_effects(world.reader, exchange, asked, trader.address)
            lines = [*_quote_lines(sides, asked), *show_effects(world, effects)]
            data = {**_quote_json(asked), "effects": effects_json(effects)}
            if dry_run:
                session.say({**data, "dry_run": True}, *lines)
                return
            confirmed(session, "Swap", lines, yes=yes)
            done = await trade(
                trader,
                exchange,
                world.deployment.currency,
                asked,
                deadline=UnixSeconds(world.now() + parse_duration(lasts, "--lasts")),
            )
            session.say(
                {
                    **data,
                    "amount_in": str(done.amount_in),
                    "amount_out": str(done.amount_out),
                    "transaction": done.tx_hash,
                },
                f"gave      {sides[0].shown(done.amount_in)}",
                f"got       {sides[1].shown(done.amount_out)}",
            )

    @command(market)
    async def twap(
        session: Session,
        token: _Token,
        *,
        window: Annotated[str, typer.Option(help="Over the last: 10m, 1h, 7d.")] = "1h",
    ) -> None:
        """Show a token's mean price over a time; a moment's price weighs no more than a moment."""
        from tessera.ownership.exchange import read_mean

        async with session.world() as world:
            side = await _side(session, world, token)
            mean = await read_mean(
                world.reader,
                world.deployment.exchange,
                side.address,
                parse_duration(window, "--window"),
            )
            session.say(
                {
                    "token": side.address,
                    "price": f"{float(mean.price):.12g}",
                    "covered_s": mean.covered,
                },
                f"mean      {_price(world, mean.price)} for one {side.symbol}",
                f"over      {shown_duration(mean.covered)}",
            )


def _register_liquidity(market: typer.Typer) -> None:
    @command(market, "open")
    async def open_(
        session: Session,
        token: _Token,
        *,
        tokens: Annotated[str, typer.Option(help="Whole shares, or units of access.")],
        money: Annotated[str, typer.Option(help="In the currency.")],
        fee: Annotated[
            str, typer.Option(help="0.05, 0.3, 1 or 3 percent; all but 0.3 for the controller.")
        ] = "0.3",
        locked: Annotated[str, typer.Option(help="Neither leaves nor moves for: 30d, 365d.")] = "0",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Open a token's one pool with both sides, and so set its first price."""
        from fractions import Fraction

        from tessera.errors import InputError
        from tessera.ownership.exchange import check_opener, open_pool
        from tessera.units import Units, UnixSeconds

        async with session.world() as world:
            side = await _side(session, world, token)
            put, pay = side.parse(tokens, "--tokens"), world.currency.parse(money, "--money")
            fee_bps = parse_percent(fee, "--fee")
            if fee_bps not in _FEES:
                raise InputError("--fee", found=fee, wanted="0.05, 0.3, 1 or 3")
            if not put:
                raise InputError("--tokens", found=tokens, wanted="more than 0")
            held = parse_duration(locked, "--locked")
            until = UnixSeconds(world.now() + held) if held else None
            opener = world.sender(session.actor("publisher"))
            chain = world.deployment
            await check_opener(
                *(world.reader, chain.registry, chain.launchpad, chain.storefront),
                *(side.address, opener.address),
            )
            price = Fraction(pay * 10**side.decimals, put)
            effects = _both(opener.address, world, side, -put, -pay, "into the pool")
            data = {
                "token": side.address,
                "tokens": str(put),
                "money": str(pay),
                "fee_bps": fee_bps,
                "locked_until": until,
                "effects": effects_json(effects),
            }
            lines = [
                f"pool of {side.symbol} at {_price(world, price)}, fee {shown_percent(fee_bps)}"
                + (f", locked until {shown_time(until)}" if until else ""),
                *show_effects(world, effects),
            ]
            if dry_run:
                session.say({**data, "dry_run": True}, *lines)
                return
            confirmed(session, "Open it", lines, yes=yes)
            liquidity, tx_hash = await open_pool(
                opener,
                world.deployment.exchange,
                world.deployment.currency,
                side.address,
                put,
                Units(pay),
                tier=_FEES[fee_bps],
                locked_until=until,
            )
            session.say({**data, "liquidity": str(liquidity), "transaction": tx_hash}, *lines)

    @command(market)
    async def add(
        session: Session,
        token: _Token,
        *,
        tokens: Annotated[str, typer.Option(help="The most: whole shares, or units of access.")],
        money: Annotated[str, typer.Option(help="The most, in the currency.")],
        slippage: _Slippage = "0.5",
        lasts: _Lasts = "5m",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Provide both sides of a pool at its price; you earn fees, and the shares' revenue."""
        from tessera.ownership.exchange import add_liquidity, preview_add
        from tessera.units import Units, UnixSeconds

        async with session.world() as world:
            exchange = world.deployment.exchange
            side = await _side(session, world, token)
            put, pay = side.parse(tokens, "--tokens"), world.currency.parse(money, "--money")
            liquidity, takes, costs = await preview_add(
                world.reader, exchange, side.address, put, pay
            )
            provider = world.sender(session.actor("holder"))
            effects = _both(provider.address, world, side, -takes, -costs, "into the pool")
            data = {
                "token": side.address,
                "liquidity": str(liquidity),
                "tokens": str(takes),
                "money": str(costs),
                "effects": effects_json(effects),
            }
            lines = [
                f"provide {side.shown(takes)} and {world.currency.shown(costs)}",
                *show_effects(world, effects),
            ]
            if dry_run:
                session.say({**data, "dry_run": True}, *lines)
                return
            confirmed(session, "Add it", lines, yes=yes)
            added, tx_hash = await add_liquidity(
                provider,
                exchange,
                world.deployment.currency,
                side.address,
                put,
                Units(pay),
                slippage=parse_percent(slippage, "--slippage"),
                deadline=UnixSeconds(world.now() + parse_duration(lasts, "--lasts")),
            )
            session.say(
                {
                    **data,
                    "liquidity": str(added.liquidity),
                    "tokens": str(added.tokens),
                    "money": str(added.currency_amount),
                    "transaction": tx_hash,
                },
                f"provided  {side.shown(added.tokens)} and "
                f"{world.currency.shown(added.currency_amount)}",
            )

    @command(market)
    async def remove(
        session: Session,
        token: _Token,
        *,
        part: Annotated[str, typer.Option(help="Percent of what you provide.")] = "100",
        slippage: _Slippage = "0.5",
        lasts: _Lasts = "5m",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Take liquidity of yours out of a pool, both sides at its price."""
        from tessera.ownership.exchange import read_position, remove_liquidity
        from tessera.units import BPS, UnixSeconds

        async with session.world() as world:
            exchange = world.deployment.exchange
            side = await _side(session, world, token)
            provider = world.sender(session.actor("holder"))
            position = await read_position(world.reader, exchange, side.address, provider.address)
            liquidity = position.liquidity * parse_percent(part, "--part") // BPS
            tokens, pay = await world.reader.read(exchange.preview_remove(side.address, liquidity))
            effects = _both(provider.address, world, side, tokens, pay, "out of the pool")
            data = {
                "token": side.address,
                "liquidity": str(liquidity),
                "tokens": str(tokens),
                "money": str(pay),
                "effects": effects_json(effects),
            }
            lines = [
                f"take out {side.shown(tokens)} and {world.currency.shown(pay)}",
                *show_effects(world, effects),
            ]
            if dry_run:
                session.say({**data, "dry_run": True}, *lines)
                return
            confirmed(session, "Remove it", lines, yes=yes)
            removed, tx_hash = await remove_liquidity(
                provider,
                exchange,
                side.address,
                liquidity,
                slippage=parse_percent(slippage, "--slippage"),
                deadline=UnixSeconds(world.now() + parse_duration(lasts, "--lasts")),
            )
            session.say(
                {
                    **data,
                    "tokens": str(removed.tokens),
                    "money": str(removed.currency_amount),
                    "transaction": tx_hash,
                },
                f"took out  {side.shown(removed.tokens)} and "
                f"{world.currency.shown(removed.currency_amount)}",
            )

    @command(market)
    async def position(session: Session, token: _Token) -> None:
        """Show what you provide to a pool, and what its shares earned for you."""
        from tessera.ownership.exchange import read_position

        async with session.world() as world:
            side = await _side(session, world, token)
            found = await read_position(
                world.reader,
                world.deployment.exchange,
                side.address,
                world.account(session.actor("holder")).address,
            )
            session.say(
                {
                    "token": side.address,
                    "liquidity": str(found.liquidity),
                    "tokens": str(found.tokens),
                    "money": str(found.currency),
                    "claimable": str(found.claimable),
                },
                f"holds     {side.shown(found.tokens)} and {world.currency.shown(found.currency)}",
                f"earned    {world.currency.shown(found.claimable)}",
            )

    @command(market)
    async def claim(
        session: Session, token: _Token, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Take the revenue that the shares behind your liquidity earned."""
        from tessera.ownership.effects import Effect
        from tessera.ownership.exchange import claim as take
        from tessera.ownership.exchange import read_position

        async with session.world() as world:
            side = await _side(session, world, token)
            exchange, sender = world.deployment.exchange, world.sender(session.actor("holder"))
            found = await read_position(world.reader, exchange, side.address, sender.address)
            money, why = _money(world), f"revenue of {side.symbol} in the pool"
            effects = [
                Effect(exchange.address, money.address, money.symbol, -found.claimable, why),
                Effect(sender.address, money.address, money.symbol, found.claimable, why),
            ]
            data: dict[str, object] = {
                "token": side.address,
                "amount": str(found.claimable),
                "effects": effects_json(effects),
            }
            shown = world.currency.shown(found.claimable)
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would claim {shown}", *lines)
                return
            confirmed(session, f"Claim {shown}", yes=yes, gives=False)
            paid = await take(sender, exchange, side.address)
            session.say(
                {**data, "amount": str(paid.amount), "transaction": paid.tx_hash},
                f"claimed   {world.currency.shown(paid.amount)}",
            )


def _money(world: World) -> _Side:
    currency = world.currency
    return _Side(world.deployment.currency.address, currency.symbol, currency.decimals)


async def _side(session: Session, world: World, name: str) -> _Side:
    """Return the share or access that somebody means: an asset, or its own address."""
    from tessera.assets.references import is_address
    from tessera.bindings import Share
    from tessera.bindings.codec import checksummed

    if is_address(name):
        address = checksummed(name)
        pooled = await world.reader.read(world.deployment.exchange.has_pool(address))
        if not pooled and not await world.reader.read(
            world.deployment.storefront.is_access(address)
        ):
            # What has no pool must at least be ours, so that its name and decimals can be believed.
            address = (await find_access(session, world, name)).address
    else:
        await world.directory.refresh()
        if world.directory.by_slug(name) is None and not name.isdigit():
            address = (await find_access(session, world, name)).address
        else:
            record = await session.asset(world, name)
            address = (await world.share(record.asset)).address
    symbol = await world.reader.read(Share(address).symbol())
    return _Side(address, symbol, await world.reader.read(Share(address).decimals()))


async def _traded(session: Session, world: World, name: str) -> _Side:
    if name.lower() in (_MONEY, world.currency.symbol.lower()):
        return _money(world)
    network = world.network
    if name.lower() == network.symbol.lower():
        return _Side(network.address, network.symbol, network.decimals)
    return await _side(session, world, name)


def _exchange(world: World, sides: tuple[_Side, _Side]) -> Exchange:
    """Return where two tokens are traded: the network's has a market of its own, for money."""
    deployment = world.deployment
    network = deployment.network_token.address
    of_network = any(side.address == network for side in sides)
    return deployment.network_exchange if of_network else deployment.exchange


async def _quote(
    session: Session,
    world: World,
    amount: str,
    given: str,
    got: str,
    slippage: str,
    *,
    out: bool,
) -> tuple[tuple[_Side, _Side], Quote]:
    from tessera.ownership.exchange import quote_exact_in, quote_exact_out

    sides = (await _traded(session, world, given), await _traded(session, world, got))
    ask = quote_exact_out if out else quote_exact_in
    asked = await ask(
        world.reader,
        _exchange(world, sides),
        world.deployment.currency,
        sides[0].address,
        sides[1].address,
        sides[1 if out else 0].parse(amount),
        slippage=parse_percent(slippage, "--slippage"),
    )
    return sides, asked


def _quote_lines(sides: tuple[_Side, _Side], quote: Quote) -> list[str]:
    limit = (
        f"at most {sides[0].shown(quote.limit)}"
        if quote.exact_out
        else f"at least {sides[1].shown(quote.limit)}"
    )
    return [
        f"gives     {sides[0].shown(quote.amount_in)}",
        f"gets      {sides[1].shown(quote.amount_out)}, {limit}",
        f"cost      {shown_percent(quote.cost_bps)} below the price before the trade",
    ]


def _quote_json(quote: Quote) -> dict[str, object]:
    return {
        "token_in": quote.token_in,
        "token_out": quote.token_out,
        "amount_in": str(quote.amount_in),
        "amount_out": str(quote.amount_out),
        "exact_out": quote.exact_out,
        "limit": str(quote.limit),
        "cost_bps": quote.cost_bps,
    }


def _pool_json(view: PoolView) -> dict[str, object]:
    return {
        "token": view.token,
        "symbol": view.symbol,
        "tokens": str(view.tokens),
        "money": str(view.currency),
        "price": f"{float(view.price):.12g}",
        "fee_bps": view.fee_bps,
        "liquidity": str(view.liquidity),
        "locked": str(view.locked),
        "locked_until": view.locked_until or None,
    }


def _both(who: str, world: World, side: _Side, tokens: int, money: int, why: str) -> list[Effect]:
    from tessera.ownership.effects import Effect

    currency = _money(world)
    pool = world.deployment.exchange.address
    return [
        Effect(who, side.address, side.symbol, tokens, why, side.decimals),
        Effect(who, currency.address, currency.symbol, money, why),
        Effect(pool, side.address, side.symbol, -tokens, why, side.decimals),
        Effect(pool, currency.address, currency.symbol, -money, why),
    ]


def _price(world: World, price: Fraction) -> str:
    """Write base units for one whole token; a price may lie between two base units."""
    whole = float(price) / 10**world.currency.decimals
    return f"{whole:,.6g} {world.currency.symbol}"
