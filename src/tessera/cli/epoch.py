"""`tessera epoch`: results of subnets' epochs: post, check, challenge, answer for, make final."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, shown_time
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.app.epoch_views import EpochStatus, Verdict
    from tessera.app.epochs import EpochDesk
    from tessera.ownership.effects import Effect

__all__ = ["Mirrors", "register"]

_Subnet = Annotated[int, typer.Argument(help="Number of the subnet.", min=1)]
_Epoch = Annotated[
    int | None, typer.Argument(help="Number of the epoch; else the next to be settled.", min=0)
]
Mirrors = Annotated[
    list[str],
    typer.Option("--mirror", help="A folder on the web with parts of results; may be repeated."),
]

_STAGES = {
    "running": "its scores are not fixed yet",
    "waiting": "epochs before it are not settled",
    "empty": "nobody revealed a row, or there are no models: it can be skipped",
    "postable": "its result can be posted",
    "late": "nobody posted in time: its result can be posted, or it is skipped",
    "posted": "its result is on trial",
    "final": "final",
    "skipped": "skipped, without a result",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    epoch = typer.Typer(
        help="Post, check and challenge results of epochs.",
        no_args_is_help=True,
    )
    app.add_typer(epoch, name="epoch")
    _register_views(epoch)
    _register_posting(epoch)
    _register_trial(epoch)
    _register_ends(epoch)


async def _number(desk: EpochDesk, subnet: int, epoch: int | None) -> int:
    return (await desk.status(subnet)).epoch if epoch is None else epoch


# --- Looking --------------------------------------------------------------------------------------


def _register_views(epoch: typer.Typer) -> None:
    @command(epoch, "info")
    async def info(session: Session, subnet: _Subnet, number: _Epoch = None) -> None:
        """Say how far an epoch is, and what can be done about it."""
        from tessera.app.epochs import open_desk

        async with session.world() as world, open_desk(world) as desk:
            status = await desk.status(subnet, number)
            session.say(_status_json(status), *_status_lines(world, status))

    @command(epoch, "check")
    async def check(
        session: Session,
        subnet: _Subnet,
        number: _Epoch = None,
        *,
        mirror: Mirrors = [],  # noqa: B006
    ) -> int:
        """Compute a posted result again from the validators' rows; exit 1 where it is false."""
        from tessera.app.epochs import open_desk

        async with session.world() as world, open_desk(world, mirror) as desk:
            at = await _number(desk, subnet, number)
            with session.waiting("computing the epoch again"):
                verdict = await desk.check(subnet, at)
            told = {"subnet": subnet, "epoch": at, **_verdict_json(verdict)}
            session.say(told, _verdict_line(verdict, subnet, at))
            return 0 if verdict.true else 1


def _status_json(status: EpochStatus) -> dict[str, Any]:
    return {
        "subnet": status.subnet,
        "epoch": status.epoch,
        "stage": status.stage,
        "rows": status.rows,
        "models": status.columns,
        "closes_at": status.closes_at,
        "late_at": status.late_at,
        "poster": status.poster,
        "ends_at": status.ends_at,
        "digest": f"0x{status.digest.hex()}" if status.digest else "",
        "voided": status.voided,
        "questions": [
            {"part": each.part, "requester": each.requester, "due": each.due}
            for each in status.questions
        ],
    }


def _status_lines(world: World, status: EpochStatus) -> list[str]:
    at = f"{status.subnet} {status.epoch}"
    rows = f"{counted(status.rows, 'row')} of {counted(status.columns, 'model')}"
    lines = [
        f"epoch     {status.epoch} of subnet {status.subnet}: {_STAGES[status.stage]}",
        f"inputs    {rows}, fixed from {shown_time(status.closes_at)} on",
    ]
    if status.poster:
        lines.append(f"result    0x{status.digest.hex()} by {world.named(status.poster)}")
    if status.voided:
        lines.append(f"voided    {counted(status.voided, 'result')} before")
    lines += [
        f"asked     part {each.part}, to be shown until {shown_time(each.due)}"
        for each in status.questions
    ]
    match status.stage:
        case "postable" | "late":
            lines.append(f"late      from {shown_time(status.late_at)} on it can be skipped")
            lines.append(f"next      tessera epoch post {at}")
        case "empty":
            lines.append(f"next      tessera epoch skip {at}")
        case "posted" if status.questions:
            lines.append(f"next      tessera epoch answer {at}")
        case "posted" if status.now < status.ends_at:
            lines.append(f"window    open until {shown_time(status.ends_at)}")
            lines.append(f"next      tessera epoch check {at}")
        case "posted":
            lines.append(f"next      tessera epoch finalize {at}")
        case "final":
            lines.append("next      tessera keep --once, which pays who earned in it")
    return lines


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "true": verdict.true,
        "fault": verdict.fault.function if verdict.fault else "",
        "ask": [each.arguments[0] for each in verdict.questions],
    }


def _verdict_line(verdict: Verdict, subnet: int, epoch: int) -> str:
    if verdict.true:
        return "true: it is what the rows and the result before it lead to"
    if verdict.fault is not None:
        how = f"false, and can be proved so ({verdict.fault.function})"
    else:
        how = f"false; where is found by asking for {counted(len(verdict.questions), 'part')}"
    return f"{how}: tessera epoch challenge {subnet} {epoch}"


# --- Posting --------------------------------------------------------------------------------------


def _register_posting(epoch: typer.Typer) -> None:
    @command(epoch, "post")
    async def post(
        session: Session,
        subnet: _Subnet,
        number: _Epoch = None,
        *,
        mirror: Mirrors = [],  # noqa: B006
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Compute an epoch's result and post it with a bond.

        Its parts are written into the folder that you serve. The bond comes back when the result
        is final; it is lost if the result is false, or if you do not show what is asked for.
        """
        from tessera.app.epochs import open_desk
        from tessera.app.spending import require_tokens
        from tessera.validation.parts import name_of

        async with session.world() as world, open_desk(world, mirror) as desk:
            sender = world.sender(session.actor("poster"))
            at = await _number(desk, subnet, number)
            with session.waiting("computing the epoch"):
                made = await desk.built(subnet, at)
            bond = (await desk.terms()).bond
            await require_tokens(world, sender.address, bond, "the bond of a result")
            told: dict[str, object] = {
                "subnet": subnet,
                "epoch": at,
                "digest": f"0x{made.header.digest.hex()}",
                "bond": str(bond),
            }
            effects = _to_epochs(world, sender.address, bond, "bond of a result")
            what = f"the result of epoch {at} of subnet {subnet}"
            if not agreed(
                session, world, told, effects, f"would post {what}", f"Post {what}",
                dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            await desk.post(sender, subnet, at)
            status = await desk.status(subnet, at)
            file = desk.read.served / name_of(made.header.digest)
            session.say(
                {**told, "parts": str(file), "ends_at": status.ends_at},
                f"posted    {what}, with {world.network.shown(bond)}",
                f"parts     {file}: serve this folder, and answer what is asked",
                f"window    open until {shown_time(status.ends_at)}",
                "next      tessera keep --post, which answers and ends it",
            )

    @command(epoch, "answer")
    async def answer(
        session: Session,
        subnet: _Subnet,
        number: _Epoch = None,
        *,
        mirror: Mirrors = [],  # noqa: B006
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Show the parts of a result that somebody asked for; each pays a fee to who shows it."""
        from tessera.app.epochs import open_desk

        async with session.world() as world, open_desk(world, mirror) as desk:
            sender = world.sender(session.actor("poster"))
            at = await _number(desk, subnet, number)
            status = await desk.status(subnet, at)
            fee = (await desk.terms()).fee * len(status.questions)
            parts = [each.part for each in status.questions]
            told: dict[str, object] = {"subnet": subnet, "epoch": at, "parts": parts}
            if not parts:
                session.say(told, "nobody asks for anything")
                return
            effects = _owed(world, sender.address, fee, "fees of answers")
            what = counted(len(parts), "part")
            if not agreed(
                session, world, told, effects, f"would show {what}", f"Show {what}",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            shown = await desk.answer(sender, subnet, at)
            session.say(
                {**told, "shown": shown},
                f"shown     {counted(len(shown), 'part')}",
                f"next      tessera epoch info {subnet} {at}",
            )


def _to_epochs(world: World, payer: str, amount: int, why: str) -> list[Effect]:
    return payment(world, payer, world.deployment.epochs.address, amount, why, world.network)


def _owed(world: World, payee: str, amount: int, why: str) -> list[Effect]:
    why = f"{why}, to be collected"
    return payment(world, world.deployment.epochs.address, payee, amount, why, world.network)


# --- Challenging ----------------------------------------------------------------------------------


def _register_trial(epoch: typer.Typer) -> None:
    @command(epoch, "challenge")
    async def challenge(
        session: Session,
        subnet: _Subnet,
        number: _Epoch = None,
        *,
        mirror: Mirrors = [],  # noqa: B006
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Prove a posted result false, or ask for what shows where it is; again until it is void.

        A fifth of the poster's bond is yours then. A question costs a fee, which goes to who
        answers, and comes back if nobody does.
        """
        from tessera.app.epochs import open_desk

        async with session.world() as world, open_desk(world, mirror) as desk:
            sender = world.sender(session.actor("challenger"))
            at = await _number(desk, subnet, number)
            with session.waiting("computing the epoch again"):
                verdict = await desk.check(subnet, at)
            told: dict[str, object] = {"subnet": subnet, "epoch": at, **_verdict_json(verdict)}
            if verdict.true:
                session.say(told, _verdict_line(verdict, subnet, at))
                return
            terms, status = await desk.terms(), await desk.status(subnet, at)
            asked = {each.part for each in status.questions}
            new = [each for each in verdict.questions if each.arguments[0] not in asked]
            fees = terms.fee * len(new)
            effects = _to_epochs(world, sender.address, fees, "fees of questions")
            if verdict.fault is not None:
                effects = _owed(world, sender.address, terms.bond // 5, "a fifth of the bond")
            line = f"would send {verdict.fault.function if verdict.fault else 'questions'}"
            if not agreed(
                session, world, told, effects, line, f"Challenge epoch {at} of subnet {subnet}",
                dry_run=dry_run, yes=yes, gives=bool(fees),
            ):  # fmt: skip
                return
            sent = await desk.challenge(sender, subnet, at)
            status = await desk.status(subnet, at)
            over = status.stage != "posted"
            session.say(
                {**told, "sent": sent, "voided": over},
                f"sent      {', '.join(sent) or 'nothing: answers are waited for'}",
                "void      the result is; tessera epoch collect"
                if over
                else f"next      tessera epoch challenge {subnet} {at}, once it is answered or due",
            )


# --- Ending ---------------------------------------------------------------------------------------


def _register_ends(epoch: typer.Typer) -> None:
    @command(epoch, "finalize")
    async def finalize(
        session: Session,
        subnet: _Subnet,
        number: _Epoch = None,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """End an epoch whose result stood; its bond is the poster's again."""
        from tessera.app.epochs import open_desk

        async with session.world() as world, open_desk(world) as desk:
            sender = world.sender(session.actor("keeper"))
            at = await _number(desk, subnet, number)
            status = await desk.status(subnet, at)
            told: dict[str, object] = {"subnet": subnet, "epoch": at, "digest": status.digest.hex()}
            bond = (await desk.terms()).bond if status.stage == "posted" else 0
            effects = _owed(world, status.poster, bond, "bond of a result")
            what = f"epoch {at} of subnet {subnet}"
            if not agreed(
                session, world, told, effects, f"would make {what} final", f"Make {what} final",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            await desk.finalize(sender, subnet, at)
            session.say(
                told,
                f"final     {what}",
                "next      tessera keep --once, which pays who earned in it",
            )

    @command(epoch, "skip")
    async def skip(
        session: Session,
        subnet: _Subnet,
        number: _Epoch = None,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """End an epoch without a result: empty, or not posted in time; it pays nothing."""
        from tessera.app.epochs import open_desk

        async with session.world() as world, open_desk(world) as desk:
            sender = world.sender(session.actor("keeper"))
            at = await _number(desk, subnet, number)
            told: dict[str, object] = {"subnet": subnet, "epoch": at}
            what = f"epoch {at} of subnet {subnet}"
            line = f"would skip {what}, which then pays nothing"
            if not agreed(
                session, world, told, [], line, f"Skip {what}",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            await desk.skip(sender, subnet, at)
            session.say(told, f"skipped   {what}", f"next      tessera epoch info {subnet}")

    @command(epoch, "collect")
    async def collect(session: Session, *, dry_run: DryRun = False, yes: Yes = False) -> None:
        """Take what you are owed: bonds of results that stood, fees, parts of liars' bonds."""
        from tessera.app.epochs import open_desk

        async with session.world() as world, open_desk(world) as desk:
            sender = world.sender(session.actor("poster"))
            owed = await world.reader.read(desk.epochs.owed_of(sender.address))
            fees = len(await desk.take_backs(sender.address)) * (await desk.terms()).fee
            owed += fees
            told: dict[str, object] = {"amount": str(owed)}
            shown = world.network.shown(owed)
            effects = payment(
                world, desk.epochs.address, sender.address, owed, "collected", world.network
            )
            if not agreed(
                session, world, told, effects, f"would take {shown}", f"Take {shown}",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            await desk.collect(sender)
            session.say(told, f"collected {shown}")
