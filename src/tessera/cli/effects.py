"""What every command that sends has: it shows its effects, and asks, before anything is signed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tessera.app import Currency, World
    from tessera.cli.session import Session
    from tessera.ownership.effects import Effect
    from tessera.units import Units

__all__ = [
    "DryRun",
    "Yes",
    "agreed",
    "asks",
    "confirmed",
    "effects_json",
    "limit_of",
    "payment",
    "require_money",
    "show_effects",
]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show every effect; sign and send nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; without a terminal needed.")]


def asks(session: Session, *, yes: bool) -> bool:
    """Return whether somebody will be asked, who should see before what it is about."""
    return not (yes or session.as_json) and sys.stdin.isatty()


def confirmed(
    session: Session, question: str, lines: Sequence[str] = (), *, yes: bool, gives: bool = True
) -> None:
    """Ask before anything is signed; `--yes` or `--json` have said so already.

    What it is about, `lines`, is shown before, also to who is then refused. Where there is nobody
    to ask, only what gives something of the sender's away is refused.
    """
    from tessera.errors import InputError

    if yes or session.as_json:
        return
    for line in lines:
        session.note(line)
    if not sys.stdin.isatty():
        if not gives:
            return
        raise InputError(
            question,
            found="no terminal to ask at",
            wanted="a yes",
            next_step="add --yes; --dry-run shows every effect first",
        )
    typer.confirm(f"{question}?", abort=True, err=True)


def limit_of(world: World, max_cost: str | None, cost: Units) -> Units:
    """Return the most that may be paid: `--max-cost`, or what it costs now.

    Raises
    ------
    StaleQuote
        It costs more.
    """
    from tessera.errors import StaleQuote

    if max_cost is None:
        return cost
    limit = world.currency.parse(max_cost, "--max-cost")
    if cost > limit:
        raise StaleQuote(
            "cost",
            found=world.currency.shown(cost),
            wanted=f"at most {world.currency.shown(limit)}, as --max-cost says",
            next_step="take less, or pay more",
        )
    return limit


def payment(
    world: World, payer: str, receiver: str, amount: int, why: str, money: Currency | None = None
) -> list[Effect]:
    """Return what it changes that somebody pays somebody, in the currency or in other `money`.

    An empty name is nobody's account: what comes from nowhere, or is burned.
    """
    from tessera.ownership.effects import Effect

    money = money or world.currency
    changes = ((payer, -amount), (receiver, amount)) if amount else ()
    return [
        Effect(account, money.address, money.symbol, change, why, money.decimals)
        for account, change in changes
        if account
    ]


def agreed(
    session: Session,
    world: World,
    told: dict[str, object],
    effects: Sequence[Effect],
    line: str,
    question: str,
    *,
    dry_run: bool,
    yes: bool,
    gives: bool = True,
) -> bool:
    """Show what would happen; return whether it should, which a dry run never says.

    Parameters
    ----------
    told
        What it is about, as JSON values; `effects` are put to it.
    line
        What would happen, in a sentence that begins with "would".
    gives
        As for `confirmed`.
    """
    told["effects"] = effects_json(effects)
    lines = (line, *show_effects(world, effects))
    if dry_run:
        session.say({**told, "dry_run": True}, *lines)
        return False
    confirmed(session, question, lines, yes=yes, gives=gives)
    return True


async def require_money(world: World, name: str, cost: int) -> None:
    """Refuse what a key has too little money for, and say how it gets some."""
    from tessera.errors import InputError

    held = await world.reader.read(world.deployment.currency.balanceOf(world.account(name).address))
    if held < cost:
        raise InputError(
            f"account {name}",
            found=world.currency.shown(held),
            wanted=world.currency.shown(cost),
            next_step=world.how_to_fund(name),
        )


def effects_json(effects: Sequence[Effect]) -> list[dict[str, str]]:
    """Return effects as JSON values."""
    return [
        {
            "account": effect.account,
            "token": effect.token,
            "symbol": effect.symbol,
            "change": str(effect.change),
            "why": effect.why,
        }
        for effect in effects
    ]


def show_effects(world: World, effects: Sequence[Effect]) -> list[str]:
    """Return effects as lines for people."""
    from tessera.units import format_amount

    money = world.deployment.currency.address
    lines = []
    for effect in effects:
        sign, amount = "-" if effect.change < 0 else "+", abs(effect.change)
        if effect.token == money:
            shown = world.currency.shown(amount)
        else:
            number = format_amount(amount, decimals=effect.decimals, grouped=True)
            shown = f"{number} {effect.symbol}"
        lines.append(f"  {world.named(effect.account)}  {sign}{shown}  {effect.why}")
    return lines
