"""`tessera bond watch`, `accuse` and what follows: a bond answers for its operator's receipts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import counted, parse_duration, shown_percent, shown_time
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.app.conduct import CaseView, LineView
    from tessera.payments.header import SignedReceipt

__all__ = ["register"]

_Case = Annotated[str, typer.Argument(help="Its name, as the cases are listed.")]
_CASE_BYTES = 32


def register(bond: typer.Typer) -> None:
    """Add the commands."""
    _register_receipts(bond)
    _register_cases(bond)


# --- Receipts -------------------------------------------------------------------------------------


def _register_receipts(bond: typer.Typer) -> None:
    @command(bond, "watch")
    async def watch(
        session: Session,
        receipts: Annotated[
            list[Path], typer.Argument(help="Receipts as files, or folders of them.")
        ],
        *,
        accuse: Annotated[
            bool, typer.Option("--accuse", help="Accuse whoever is overdue; costs deposits.")
        ] = False,
        older: Annotated[
            str, typer.Option(help="How long an operator is given to settle by itself.")
        ] = "7d",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Hold your receipts against what their operators have settled."""
        from tessera.app.conduct import look_at_lines, overdue

        older_s = parse_duration(older, "--older")
        async with session.world() as world:
            lines = await look_at_lines(world, _read(receipts))
            if accuse:
                now = (await world.reader.block("pending")).timestamp
                late = overdue(lines, now, older_s)
                await _accuse_all(session, world, lines, late, dry_run=dry_run, yes=yes)
                return
            table = session.table("operator!", "channel!", "charged>", "settled>", "missing>", "")
            for line in lines:
                told = line.signed.receipt
                table.add_row(
                    world.named(line.operator), str(told.channel),
                    *map(world.currency.shown, (told.charged, line.settled, line.missing)),
                    _standing(line),
                )  # fmt: skip
            session.present(
                {"lines": [_line_json(world, line) for line in lines]},
                lambda console: console.print(
                    table if lines else "no channel paid for any of them"
                ),
            )

    @command(bond, "accuse")
    async def accuse(
        session: Session,
        name: Annotated[str, typer.Argument(metavar="FILE|ID", help="JSON file, or id.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Accuse an operator by a receipt above what it settled; freezes its bond.

        The deposit is the operator's if it settles, which it may until the window is over and
        after. It is yours again, and a part of what the operator loses, if it does not.
        """
        from tessera.app import conduct
        from tessera.app.spending import require_tokens
        from tessera.cli.receipts import receipt_data
        from tessera.payments.header import parse_receipt

        async with session.world() as world:
            sender = world.sender(session.actor("consumer"))
            signed = parse_receipt(await receipt_data(session, world, name))
            line = await conduct.check_accusation(world, signed)
            contract = world.deployment.conduct
            _, part, deposit = await world.reader.read(contract.rules())
            await require_tokens(world, sender.address, deposit, "the deposit")
            told = _line_json(world, line) | {"deposit": str(deposit)}
            effects = payment(
                world, sender.address, contract.address, deposit, "deposit", world.network
            )
            missing, operator = world.currency.shown(line.missing), world.named(line.operator)
            would = (
                f"would accuse {operator} of {missing} that it charged and did not settle: "
                f"{shown_percent(part)} of the {world.network.shown(line.bonded)} that it has at "
                "stake, if it is not settled in time"
            )
            if not agreed(
                session, world, told, effects, would, f"Accuse {operator}",
                dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            case = await conduct.accuse(world, sender, signed)
            session.say(
                {**told, **_case_json(case)},
                f"accused   {operator}, case 0x{case.case.hex()}",
                f"until     {shown_time(case.until)} it can settle",
                f"next      then: tessera bond convict 0x{case.case.hex()}",
            )


async def _accuse_all(
    session: Session,
    world: World,
    lines: list[LineView],
    late: list[LineView],
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Accuse the operators of some lines, after one question about all."""
    from tessera.app import conduct
    from tessera.app.spending import require_tokens

    contract = world.deployment.conduct
    deposit = (await world.reader.read(contract.rules()))[2]
    told: dict[str, object] = {"lines": [_line_json(world, line) for line in lines], "cases": []}
    if not late:
        session.say(told, "nobody is overdue")
        return
    sender = world.sender(session.actor("consumer"))
    cost = deposit * len(late)
    await require_tokens(world, sender.address, cost, "the deposits")
    effects = payment(world, sender.address, contract.address, cost, "deposits", world.network)
    names = ", ".join(dict.fromkeys(world.named(line.operator) for line in late))
    what = f"{names} by {counted(len(late), 'receipt')}"
    if not agreed(
        session, world, told, effects, f"would accuse {what}", f"Accuse {what}",
        dry_run=dry_run, yes=yes,
    ):  # fmt: skip
        return
    cases = [await conduct.accuse(world, sender, line.signed) for line in late]
    session.say(
        {**told, "cases": [_case_json(case) for case in cases]},
        *(
            f"accused   {world.named(case.operator)}, case 0x{case.case.hex()}, "
            f"until {shown_time(case.until)}"
            for case in cases
        ),
        "next      then: tessera bond convict CASE",
    )


def _read(paths: list[Path]) -> list[SignedReceipt]:
    from tessera.errors import InputError
    from tessera.payments.header import parse_receipt

    files = []
    for path in paths:
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            found.append(parse_receipt(file.read_bytes()))
        except OSError as error:
            raise InputError(str(file), found=error.strerror, wanted="a receipt") from error
    if not found:
        raise InputError(
            ", ".join(map(str, paths)),
            found="no receipts",
            wanted="ID.json, as tessera call and tessera audit keep them with --keep",
        )
    return found


def _standing(line: LineView) -> str:
    if not line.missing:
        return "settled"
    if line.convicted:
        return "convicted"
    if line.case:
        return "accused"
    return "can be accused" if line.answers else "its bond does not answer for it"


def _line_json(world: World, line: LineView) -> dict[str, object]:
    from tessera.payments.onchain import channels_domain

    told = line.signed.receipt
    return {
        "receipt": line.signed.id(channels_domain(world.deployment)),
        "operator": line.operator,
        "channel": str(told.channel),
        "asset": str(told.asset),
        "terms": told.terms,
        "time": told.time,
        "charged": str(told.charged),
        "settled": str(line.settled),
        "missing": str(line.missing),
        "bonded": str(line.bonded),
        "answers": line.answers,
        "convicted": line.convicted,
        "case": f"0x{line.case.hex()}" if line.case else None,
    }


# --- Cases ----------------------------------------------------------------------------------------


def _register_cases(bond: typer.Typer) -> None:
    @command(bond, "cases")
    async def cases(
        session: Session,
        operator: Annotated[str | None, typer.Argument(help="Key or address; else all.")] = None,
    ) -> None:
        """List accusations, the latest first."""
        from tessera.app.conduct import find_cases

        async with session.world() as world:
            found = await find_cases(world, world.address(operator) if operator else "")
            now = (await world.reader.block("pending")).timestamp
            table = session.table("case!", "operator!", "charged>", "settled>", "until!", "state")
            for case in found:
                table.add_row(
                    f"0x{case.case.hex()}", world.named(case.operator),
                    *map(world.currency.shown, (case.charged, case.settled)),
                    shown_time(case.until), _state(case, now),
                )  # fmt: skip
            session.present(
                {"cases": [_case_json(case) | {"state": _state(case, now)} for case in found]},
                lambda console: console.print(table if found else "no accusations"),
            )

    @command(bond, "acquit")
    async def acquit(
        session: Session, case: _Case, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """End a case whose line was settled. Anyone may; the deposit is the operator's."""
        from tessera.app import conduct

        async with session.world() as world:
            found = await conduct.read_case(world, _name(case))
            sender = world.sender(session.actor("operator"))
            trial = world.deployment.conduct.acquit(found.case)
            await world.reader.read(trial, sender=sender.address, at="pending")
            told, operator = _case_json(found), world.named(found.operator)
            if not agreed(
                session, world, told, (), f"would acquit {operator}", f"Acquit {operator}",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            tx_hash = await conduct.acquit(world, sender, found.case)
            session.say(
                {**told, "open": False, "transaction": tx_hash},
                f"acquitted {operator}; the deposit is its own: tessera bond deposits",
            )

    @command(bond, "convict")
    async def convict(
        session: Session, case: _Case, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Slash an operator whose line is behind its receipt after the window. Anyone may."""
        from tessera.app import conduct

        async with session.world() as world:
            found = await conduct.read_case(world, _name(case))
            sender = world.sender(session.actor("consumer"))
            trial = world.deployment.conduct.convict(found.case)
            taken = await world.reader.read(trial, sender=sender.address, at="pending")
            told, operator = _case_json(found), world.named(found.operator)
            effects = payment(
                world, world.deployment.bond.address, "", taken,
                "slashed: to the commons, and of the operator's own a fifth to the accuser",
                world.network,
            )  # fmt: skip
            if not agreed(
                session, world, told, effects, f"would convict {operator}", f"Convict {operator}",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            taken, tx_hash = await conduct.convict(world, sender, found.case)
            session.say(
                {**told, "open": False, "taken": str(taken), "transaction": tx_hash},
                f"convicted {operator} loses {world.network.shown(taken)}",
                "next      the accuser's deposit: tessera bond deposits",
            )

    @command(bond, "deposits")
    async def deposits(session: Session, *, dry_run: DryRun = False, yes: Yes = False) -> None:
        """Have paid out the deposits of cases that ended in your favour."""
        from tessera.app import conduct

        async with session.world() as world:
            sender, contract = world.sender(session.actor("consumer")), world.deployment.conduct
            due = await world.reader.read(contract.credit_of(sender.address), at="pending")
            told: dict[str, object] = {"amount": str(due)}
            effects = payment(
                world, contract.address, sender.address, due, "deposits", world.network
            )
            shown = world.network.shown(due)
            if not due:
                session.say({**told, "effects": []}, "no deposits are yours")
                return
            if not agreed(
                session, world, told, effects, f"would pay {shown}", f"Pay {shown}",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            paid, tx_hash = await conduct.take_deposits(world, sender)
            session.say(
                {**told, "amount": str(paid), "transaction": tx_hash},
                f"paid      {world.network.shown(paid)}",
            )


def _state(case: CaseView, now: int) -> str:
    if not case.open:
        shown = "acquitted" if case.taken is None else "convicted"
    elif case.is_settled:
        shown = "settled: to be acquitted"
    else:
        shown = "open" if now < case.until else "to be convicted"
    return shown


def _case_json(case: CaseView) -> dict[str, object]:
    return {
        "case": f"0x{case.case.hex()}",
        "operator": case.operator,
        "accuser": case.accuser,
        "channel": str(case.channel),
        "asset": str(case.asset),
        "terms": case.terms,
        "charged": str(case.charged),
        "settled": str(case.settled),
        "until": case.until,
        "open": case.open,
        "taken": None if case.taken is None else str(case.taken),
    }


def _name(text: str) -> bytes:
    from tessera.errors import InputError

    try:
        case = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        case = b""
    if len(case) != _CASE_BYTES:
        raise InputError(
            "case", found=text, wanted="0x and 64 hex digits", next_step="tessera bond cases"
        )
    return case
