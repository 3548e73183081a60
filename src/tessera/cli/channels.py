"""`tessera channel`: money set aside for one operator, and back again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import shown_time
from tessera.cli.effects import (
    DryRun,
    Yes,
    confirmed,
    effects_json,
    payment,
    require_money,
    show_effects,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.ownership.effects import Effect
    from tessera.payments.onchain import ConsumerOnChain
    from tessera.payments.ports import ChannelView

__all__ = ["register"]

_Channel = Annotated[
    str | None, typer.Option("--channel", help="Its number; else your latest one.")
]
_Operator = Annotated[
    str | None, typer.Option("--operator", help="Key or address; else the running one.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    channel = typer.Typer(
        help="Open, fill, look at and empty payment channels.", no_args_is_help=True
    )
    app.add_typer(channel, name="channel")

    @command(channel, "open")
    async def open_(
        session: Session,
        deposit: Annotated[str, typer.Argument(help="In the currency.")],
        *,
        operator: _Operator = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Open a further channel toward an operator."""
        from tessera.spec.signatures import address_of

        async with session.world() as world:
            payer = _payer(session, world, operator)
            amount = world.currency.parse(deposit, "deposit")
            account = world.account(session.actor("consumer"))
            what = f"{world.currency.shown(amount)} in a new channel"
            effects = await _deposit(session, world, payer, amount, what, dry_run=dry_run, yes=yes)
            if effects is None:
                return
            number = await payer.open(amount, address_of(account.address))
            await _show(session, world, payer, number, "opened", effects)

    @command(channel, "top-up")
    async def top_up(
        session: Session,
        amount: Annotated[str, typer.Argument(help="In the currency.")],
        *,
        channel_number: _Channel = None,
        operator: _Operator = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Add to a channel."""
        async with session.world() as world:
            payer = _payer(session, world, operator)
            number = await _number(payer, channel_number)
            await _view(payer, number)
            units = world.currency.parse(amount)
            what = f"{world.currency.shown(units)} more in channel {number}"
            effects = await _deposit(session, world, payer, units, what, dry_run=dry_run, yes=yes)
            if effects is None:
                return
            await payer.top_up(number, units)
            await _show(session, world, payer, number, "filled", effects)

    @command(channel, "show")
    async def show(
        session: Session, *, channel_number: _Channel = None, operator: _Operator = None
    ) -> None:
        """Show a channel as the chain has it."""
        async with session.world() as world:
            payer = _payer(session, world, operator)
            number = await _number(payer, channel_number)
            await _show(session, world, payer, number, "", ())

    @command(channel, "withdraw")
    async def withdraw(
        session: Session,
        *,
        channel_number: _Channel = None,
        operator: _Operator = None,
        wait: Annotated[bool, typer.Option("--wait", help="Until the money is here.")] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Ask for what is left, and take it once the delay is over."""
        from tessera.spec.signatures import address_text

        async with session.world() as world:
            payer = _payer(session, world, operator)
            number = await _number(payer, channel_number)
            view = await _view(payer, number)
            why = "what is left in the channel"
            effects = payment(
                world, world.deployment.channels.address, address_text(payer.payer),
                view.balance, why,
            )  # fmt: skip
            told: dict[str, object] = {
                "channel": str(number),
                "available_at": view.available_at,
                "effects": effects_json(effects),
            }
            shown = world.currency.shown(view.balance)
            if dry_run:
                session.say(
                    {**told, "dry_run": True, "withdrawn": None},
                    f"would take back at most {shown} of channel {number}, "
                    + (
                        f"from {shown_time(view.available_at)} on"
                        if view.available_at
                        else "once the delay is over, which begins with the request"
                    ),
                    *show_effects(world, effects),
                    "  less what the operator settles until then",
                )
                return
            confirmed(session, f"Take {shown} of channel {number} back", yes=yes, gives=False)
            available = view.available_at or await payer.request_withdrawal(number)
            if wait:
                session.note(f"waiting until {shown_time(available)}")
                await asyncio.sleep(max(0.0, available - world.clock() + 1))
            if world.clock() < available:
                session.say(
                    {**told, "available_at": available, "withdrawn": None},
                    f"channel {number}: the rest can be taken from {shown_time(available)} on",
                    "then: tessera channel withdraw",
                )
                return
            amount = await payer.withdraw(number)
            session.say(
                {**told, "available_at": available, "withdrawn": str(amount)},
                f"channel {number}: {world.currency.shown(amount)} came back",
            )

    @command(channel, "list")
    async def list_(session: Session) -> None:
        """List the channels that you pay from."""
        from tessera.ownership.portfolio import read_channels

        async with session.world() as world:
            account = world.account(session.actor("consumer"))
            found = await read_channels(
                world.reader,
                account.address,
                world.deployment.channels,
                first_block=world.deployment.since,
            )
            table = session.table("channel!", "operator!", "balance>", "withdrawal")
            for holding in found:
                table.add_row(
                    str(holding.channel),
                    holding.operator,
                    world.currency.shown(holding.balance),
                    shown_time(holding.available_at) if holding.available_at else "-",
                )
            session.present(
                {
                    "channels": [
                        {
                            "channel": str(holding.channel),
                            "operator": holding.operator,
                            "balance": str(holding.balance),
                            "available_at": holding.available_at,
                        }
                        for holding in found
                    ]
                },
                lambda console: console.print(table if found else "no channels yet"),
            )


def _payer(session: Session, world: World, operator: str | None) -> ConsumerOnChain:
    from tessera.errors import InputError
    from tessera.payments.onchain import ConsumerOnChain
    from tessera.spec.signatures import address_of

    if operator is not None:
        address = world.address(operator)
    elif world.running is not None:
        address = world.running.operator
    else:
        raise InputError("operator", wanted="whom to pay", next_step="name it with --operator")
    sender = world.sender(session.actor("consumer"))
    return ConsumerOnChain(world.reader, sender, world.deployment, address_of(address))


async def _number(payer: ConsumerOnChain, given: str | None) -> int:
    from tessera.errors import InputError

    if given is None:
        return await payer.latest()
    if not (given.isascii() and given.isdigit()):
        raise InputError("--channel", found=given, wanted="a channel's number")
    return int(given)


async def _view(payer: ConsumerOnChain, number: int) -> ChannelView:
    from tessera.errors import NotFound

    view = await payer.read(number)
    if view is None:
        raise NotFound(
            "channel", found=number, wanted="one of yours", next_step="see: tessera channel list"
        )
    return view


async def _deposit(
    session: Session,
    world: World,
    payer: ConsumerOnChain,
    amount: int,
    what: str,
    *,
    dry_run: bool,
    yes: bool,
) -> list[Effect] | None:
    """Show a deposit's effects and ask for a yes; return them, or None where it was a dry run."""
    from tessera.spec.signatures import address_text

    await require_money(world, session.actor("consumer"), amount)
    channels, operator = world.deployment.channels.address, address_text(payer.operator)
    why = f"set aside for {operator}"
    effects = payment(world, address_text(payer.payer), channels, amount, why)
    if dry_run:
        session.say(
            {
                "operator": operator,
                "deposit": str(amount),
                "effects": effects_json(effects),
                "dry_run": True,
            },
            f"would put {what}",
            *show_effects(world, effects),
        )
        return None
    confirmed(session, f"Put {what}", yes=yes)
    return effects


async def _show(
    session: Session,
    world: World,
    payer: ConsumerOnChain,
    number: int,
    what: str,
    effects: Sequence[Effect],
) -> None:
    from tessera.spec.signatures import address_text

    view = await _view(payer, number)
    lines = [
        f"channel   {number}" + (f" ({what})" if what else ""),
        f"operator  {address_text(payer.operator)}",
        f"balance   {world.currency.shown(view.balance)}",
    ]
    if view.available_at:
        lines.append(f"leaves    {shown_time(view.available_at)}")
    session.say(
        {
            "channel": str(number),
            "operator": address_text(payer.operator),
            "payer": address_text(view.payer),
            "signer": address_text(view.signer),
            "balance": str(view.balance),
            "available_at": view.available_at,
            **({"effects": effects_json(effects)} if effects else {}),
        },
        *lines,
    )
