"""`tessera account`: keys by name, kept in the data folder, and what they hold."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    from tessera.chain.wallet import Account

__all__ = ["register"]

_POCKET_MONEY = "1000"
_COIN_DECIMALS = 18


def register(app: typer.Typer) -> None:
    """Add the commands."""
    account = typer.Typer(
        help="Make, list, import and fund keys; send money.", no_args_is_help=True
    )
    app.add_typer(account, name="account")

    @command(account, "create")
    async def create(
        session: Session,
        name: Annotated[str, typer.Argument(help="Such as holder-1.")],
        *,
        fund: Annotated[
            bool, typer.Option(help="On a development chain: gas and test dollars.")
        ] = True,
    ) -> None:
        """Make a new key."""
        from tessera.app.world import wallet_of

        made = await asyncio.to_thread(wallet_of(session.config()).create, name)
        await _present(session, name, made, fund=fund)

    @command(account, "import")
    async def import_(
        session: Session,
        name: Annotated[str, typer.Argument(help="What to call it here.")],
        *,
        file: Annotated[
            Path | None, typer.Option(help="With the key as 64 hex digits; else stdin or asked.")
        ] = None,
    ) -> None:
        """Keep a key that exists. It is never taken from an argument, which others could see."""
        from tessera.app.world import wallet_of
        from tessera.chain.wallet import Account
        from tessera.errors import InputError

        if file is not None:
            try:
                text = file.read_text(encoding="ascii")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(str(file), wanted="a readable file of hex digits") from error
        elif sys.stdin.isatty():
            text = typer.prompt("private key", hide_input=True, err=True)
        else:
            text = sys.stdin.read()
        try:
            key = bytes.fromhex(text.strip().removeprefix("0x"))
        except ValueError:
            raise InputError("private key: wanted 64 hex digits") from None
        kept = await asyncio.to_thread(wallet_of(session.config()).create, name, Account(key))
        await _present(session, name, kept, fund=False)

    @command(account, "list")
    async def list_(session: Session) -> None:
        """List the keys of this data folder."""
        from tessera.app.world import wallet_of

        wallet = wallet_of(session.config())
        found = {name: wallet.load(name).address for name in wallet.names()}
        table = session.table("name", "address!")
        for name, address in found.items():
            table.add_row(name, address)
        session.present(
            {"accounts": found},
            lambda console: console.print(
                table if found else "no keys yet: tessera account create NAME"
            ),
        )

    @command(account, "faucet")
    async def faucet(
        session: Session,
        name: Annotated[str, typer.Argument(help="Key or address that gets them.")] = "consumer",
        amount: Annotated[str, typer.Argument(help="Test dollars.")] = _POCKET_MONEY,
        tsr: Annotated[
            str, typer.Option(help="Network tokens too, where the embedded chain runs.")
        ] = "0",
    ) -> None:
        """Get gas and test dollars on a development chain; for an address: where the chain runs."""
        from tessera.assets.references import is_address

        async with session.world() as world:
            units, address = world.currency.parse(amount), world.address(name)
            network_units = world.network.parse(tsr, "TSR")
            ours = not is_address(name)
            if world.embedded or not ours:
                await world.fund(address)
            tx_hash = await (world.mint(name, units) if ours else world.give(address, units))
            if network_units:
                await world.endow(address, network_units)
            held, held_tsr = await world.reader.read_all(
                [
                    token.balanceOf(address)
                    for token in (world.deployment.currency, world.deployment.network_token)
                ]
            )
            has = world.currency.shown(held)
            if held_tsr:
                has += f" and {world.network.shown(held_tsr)}"
            session.say(
                {
                    "account": address,
                    "minted": str(units),
                    "held": str(held),
                    "network_held": str(held_tsr),
                    "transaction": tx_hash,
                },
                f"{name} has {has} now",
            )

    @command(account, "send")
    async def send(
        session: Session,
        receiver: Annotated[str, typer.Argument(help="Key or address.")],
        amount: Annotated[str, typer.Argument(help="In the currency; with --coins in coins.")],
        *,
        coins: Annotated[
            bool, typer.Option("--coins", help="The chain's own coins, which pay for gas.")
        ] = False,
        tsr: Annotated[bool, typer.Option("--tsr", help="Network tokens.")] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Send somebody money, network tokens, or coins for gas."""
        from tessera.app.spending import require_tokens
        from tessera.errors import InputError
        from tessera.ownership.effects import Effect
        from tessera.units import parse_amount

        if coins and tsr:
            raise InputError("send", found="--coins and --tsr", wanted="one of them, or neither")

        async with session.world() as world:
            name, to = session.actor("consumer"), world.address(receiver)
            sender = world.sender(name)
            currency = world.network if tsr else world.currency
            if coins:
                units = parse_amount(amount, decimals=_COIN_DECIMALS)
                effects = [
                    Effect(who, "", "coins", change, "sent", _COIN_DECIMALS)
                    for who, change in ((sender.address, -units), (to, units))
                ]
            else:
                units = currency.parse(amount)
                if tsr:
                    await require_tokens(world, sender.address, units, "the payment")
                else:
                    await require_money(world, name, units)
                effects = payment(world, sender.address, to, units, "sent", currency)
            what = f"{amount} coins" if coins else currency.shown(units)
            what += f" to {world.named(to)}"
            data = {
                "receiver": to,
                "amount": str(units),
                "symbol": "coins" if coins else currency.symbol,
                "effects": effects_json(effects),
            }
            if dry_run:
                lines = show_effects(world, effects)
                session.say({**data, "dry_run": True}, f"would send {what}", *lines)
                return
            confirmed(session, f"Send {what}", yes=yes)
            token = world.deployment.network_token if tsr else world.deployment.currency
            receipt = await (
                sender.transfer(to, units) if coins else sender.send(token.transfer(to, units))
            )
            session.say({**data, "transaction": receipt.tx_hash}, f"sent {what}")


async def _present(session: Session, name: str, account: Account, *, fund: bool) -> None:
    from tessera.app import connect, find_running

    config = session.config()
    funded = False
    if fund and not config.rpc_url and find_running(config.data_dir) is not None:
        async with connect(config) as world:
            funded = world.embedded
            if funded:
                await world.fund(account.address)
            if funded and world.deployment.has_faucet:
                await world.mint(name, world.currency.parse(_POCKET_MONEY))
    session.say(
        {"name": name, "address": account.address, "funded": funded},
        f"{name}  {account.address}" + ("  (with gas and test dollars)" if funded else ""),
    )
