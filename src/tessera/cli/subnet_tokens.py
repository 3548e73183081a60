"""`tessera subnet buy`, `sell` and `redeem`: a subnet's token against the network's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import parse_percent
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.places import Number
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import Currency, World
    from tessera.app.subnet_tokens import Quote
    from tessera.ownership.effects import Effect

__all__ = ["register"]

_Slippage = Annotated[str, typer.Option(help="Percent by which less may come out than quoted.")]


def register(subnet: typer.Typer) -> None:
    """Add the commands."""

    @command(subnet, "buy")
    async def buy(
        session: Session,
        number: Number,
        amount: Annotated[str, typer.Argument(help="Network tokens to give.")],
        *,
        slippage: _Slippage = "1",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Buy a subnet's token in its market."""
        from tessera.app import subnet_tokens
        from tessera.app.spending import require_tokens

        async with session.world() as world:
            sender = world.sender(session.actor("holder"))
            units, bps = world.network.parse(amount), parse_percent(slippage, "--slippage")
            quote = await subnet_tokens.plan_buy(world, number, units, bps)
            await require_tokens(world, sender.address, units, "the purchase")
            token = _token(number, quote)
            effects = _swap(world, sender.address, quote, (world.network, token))
            told = _told(number, quote)
            what = f"about {token.shown(quote.gets)} for {world.network.shown(units)}"
            line = f"would buy {what}, at least {token.shown(quote.least)}"
            if not agreed(
                session, world, told, effects, line, f"Buy {what}", dry_run=dry_run, yes=yes
            ):
                return
            tokens, tx_hash = await subnet_tokens.buy(world, sender, number, units, bps)
            session.say(
                {**told, "gets": str(tokens), "transaction": tx_hash},
                f"bought    {token.shown(tokens)}",
            )

    @command(subnet, "sell")
    async def sell(
        session: Session,
        number: Number,
        amount: Annotated[str, typer.Argument(help="Of the subnet's tokens to give.")],
        *,
        slippage: _Slippage = "1",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Sell a subnet's token in its market."""
        from tessera.app import subnet_tokens

        async with session.world() as world:
            sender = world.sender(session.actor("holder"))
            units, bps = world.network.parse(amount), parse_percent(slippage, "--slippage")
            quote = await subnet_tokens.plan_sell(world, sender.address, number, units, bps)
            token = _token(number, quote)
            effects = _swap(world, sender.address, quote, (token, world.network))
            told = _told(number, quote)
            what = f"{token.shown(units)} for about {world.network.shown(quote.gets)}"
            line = f"would sell {what}, at least {world.network.shown(quote.least)}"
            if not agreed(
                session, world, told, effects, line, f"Sell {what}", dry_run=dry_run, yes=yes
            ):
                return
            paid, tx_hash = await subnet_tokens.sell(world, sender, number, units, bps)
            session.say(
                {**told, "gets": str(paid), "transaction": tx_hash},
                f"sold      for {world.network.shown(paid)}",
            )

    @command(subnet, "redeem")
    async def redeem(
        session: Session, number: Number, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Give all your tokens of a dissolved subnet back for their part of what is left."""
        from tessera.app import subnet_tokens

        async with session.world() as world:
            sender = world.sender(session.actor("holder"))
            quote = await subnet_tokens.plan_redeem(world, sender.address, number)
            token = _token(number, quote)
            effects = _swap(world, sender.address, quote, (token, world.network))
            told = _told(number, quote)
            what = f"{token.shown(quote.gives)} for {world.network.shown(quote.gets)}"
            if not agreed(
                session, world, told, effects, f"would give {what}", f"Give {what}",
                dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            paid, tx_hash = await subnet_tokens.redeem(world, sender, number)
            session.say(
                {**told, "gets": str(paid), "transaction": tx_hash},
                f"redeemed  for {world.network.shown(paid)}",
            )


def _token(number: int, quote: Quote) -> Currency:
    from tessera.app import Currency
    from tessera.units import NETWORK_DECIMALS

    # All have as many decimals as TSR, which their market's arithmetic counts on.
    return Currency(quote.token, f"tokens of subnet {number}", NETWORK_DECIMALS)


def _swap(
    world: World, account: str, quote: Quote, sides: tuple[Currency, Currency]
) -> list[Effect]:
    pool, (given, got) = world.deployment.subnet_pool.address, sides
    return [
        *payment(world, account, pool, quote.gives, "given", given),
        *payment(world, pool, account, quote.gets, "about", got),
    ]


def _told(number: int, quote: Quote) -> dict[str, object]:
    return {
        "subnet": number,
        "token": quote.token,
        "gives": str(quote.gives),
        "gets": str(quote.gets),
        "least": str(quote.least),
    }
