"""`tessera jury`: who runs items again, votes, counts, and draws the numbers that decide by lot."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.judging import (
    Code,
    Copy,
    KeyEnv,
    Model,
    Own,
    Round,
    Url,
    due_json,
    due_lines,
    id_of,
    opened,
    pool_of,
    truth_of,
    write_served,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.validation.agenda import Due

__all__ = ["register"]

MaybePool = Annotated[
    str, typer.Option("--benchmark", help="The round's public pool; the first time.")
]
Truth = Annotated[str, typer.Option(help="File or address of the hidden items.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    jury = typer.Typer(
        help="Judge approvals: run items again, vote, count, draw.",
        no_args_is_help=True,
    )
    app.add_typer(jury, name="jury")
    _register_list(jury)
    _register_votes(jury)
    _register_counts(jury)
    _register_draws(jury)


def _register_list(jury: typer.Typer) -> None:
    @command(jury, "list")
    async def list_(session: Session) -> None:
        """Show who is on the list, and what is due for jurors, re-executors and draws."""
        from tessera.app import court
        from tessera.app.judging import chain_time

        async with session.world() as world:
            found, due = await court.jurors(world), await _due(world)
            now = await chain_time(world)
            lines = [f"juror      {world.named(who)}" for who in found] or ["nobody is listed"]
            session.say(
                {"jurors": found, "due": due_json(due)}, *lines, *due_lines(world, due, now)
            )

    @command(jury, "enlist")
    async def enlist(session: Session, *, dry_run: DryRun = False, yes: Yes = False) -> None:
        """Offer to run items again and to count; asks for a bond of 1,000 TSR.

        A vote costs nothing, whatever it says; a false count costs the bond.
        """
        from tessera.app import court

        async with session.world() as world:
            sender = world.sender(session.actor("juror"))
            told: dict[str, Any] = {"juror": sender.address}
            line = f"would put {world.named(sender.address)} on the list of jurors"
            question = "Enlist as a juror"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            sent = await court.enlist(world, sender)
            shown = "enlisted" if sent else "listed already"
            session.say({**told, "sent": sent}, shown, "next       tessera jury list")

    @command(jury, "leave")
    async def leave(session: Session, *, dry_run: DryRun = False, yes: Yes = False) -> None:
        """Leave the list of jurors; seats that were drawn stay."""
        from tessera.app import court

        async with session.world() as world:
            sender = world.sender(session.actor("juror"))
            told: dict[str, Any] = {"juror": sender.address}
            line = f"would take {world.named(sender.address)} off the list of jurors"
            question = "Leave the list"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            sent = await court.leave(world, sender)
            session.say({**told, "sent": sent}, "left" if sent else "not on the list")


def _register_votes(jury: typer.Typer) -> None:
    @command(jury, "vote")
    async def vote(
        session: Session,
        case: Annotated[int, typer.Argument(help="Number of the case.", min=1)],
        *,
        benchmark: MaybePool = "",
        truth: Truth = "",
        own: Own = None,
        url: Url = "",
        model: Model = "",
        key_env: KeyEnv = "",
        allow_python_runners: Code = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Run the item of a case and commit to what it gave; later, again, reveal the vote.

        16 hours of the round to commit, 8 to reveal. Whoever votes is paid, whatever it says. The
        second time no model is needed: what was committed to is sealed here.
        """
        from tessera.app import court

        copy = Copy(own, url, model, key_env, allow_python_runners)
        async with session.world() as world:
            sender, choice = world.sender(session.actor("juror")), None
            told: dict[str, Any] = {"case": case, "juror": sender.address}
            if copy.named:
                task = await pool_of(session, benchmark, code=allow_python_runners)
                row = await court.case_of(world, case)
                hidden = None
                if truth:
                    test_set = await _set_of_round(world, row.round)
                    hidden = await truth_of(world, test_set, task, truth)
                async with opened(session, copy) as (endpoint, _):
                    choice = await court.choice_for(world, case, task, endpoint, hidden)
                told["choice"] = "0x" + choice.hex()
            line = f"would vote in case {case}" if choice else f"would reveal the vote in {case}"
            question = f"Vote in case {case}"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            done = await court.vote(world, sender, case, choice)
            more = [] if done == "revealed" else [f"next       later: tessera jury vote {case}"]
            session.say({**told, "done": done}, f"{done:<10} case {case}", *more)


def _register_counts(jury: typer.Typer) -> None:
    @command(jury, "count")
    async def count(
        session: Session,
        round_: Round,
        *,
        benchmark: MaybePool = "",
        truth: Truth = "",
        uri: Annotated[str, typer.Option(help="Where the answers are served.")] = "",
        out: Annotated[
            Path | None, typer.Option(help="Write the answers here, to be served there.")
        ] = None,
        own: Own = None,
        url: Url = "",
        model: Model = "",
        key_env: KeyEnv = "",
        allow_python_runners: Code = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Answer all hidden items and commit to the count; later, again with --uri, report it.

        36 hours of the round for each. Two that agree are the count, and get a tenth of the budget
        each; a count that is shown to be wrong costs the bond. A run goes on where it was.
        """
        from tessera.app import court
        from tessera.app.judging import check_round_task, folder_of
        from tessera.validation.hidden import count_hidden, write_answers

        copy = Copy(own, url, model, key_env, allow_python_runners)
        async with session.world() as world:
            name = await id_of(world, round_)
            sender, answers = world.sender(session.actor("juror")), None
            told: dict[str, Any] = {"round": "0x" + name.hex(), "executor": sender.address}
            if copy.named:
                task = await pool_of(session, benchmark, code=allow_python_runners)
                row = await check_round_task(world, name, task)
                hidden = await truth_of(world, row.test_set, task, truth)
                line = f"would answer {counted(len(hidden.items), 'hidden item')} and commit"
            else:
                line = f"would report the count of round {told['round']}"
            question = "Count"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            if copy.named:
                journal = folder_of(world) / f"count-{name.hex()[:16]}-{sender.address}.run"
                await asyncio.to_thread(journal.parent.mkdir, parents=True, exist_ok=True)
                async with opened(session, copy) as (endpoint, _):
                    with session.progress("answering", counted=True) as progress:
                        answers = await count_hidden(
                            task, hidden.items, endpoint, about=told["round"],
                            journal=journal, progress=progress,
                        )  # fmt: skip
            done, kept = await court.count(world, sender, name, answers, uri)
            if out is not None:
                await asyncio.to_thread(write_served, out, write_answers(kept.found))
            told |= {"done": done, "correct": kept.tree.correct}
            more = "" if done == "reported" else f"later: tessera jury count {round_} --uri URL"
            session.say(
                told,
                f"{done:<10} {kept.tree.correct} of {len(kept.answers)} right",
                f"next       {more or 'tessera approval info ' + round_}",
            )


def _register_draws(jury: typer.Typer) -> None:
    @command(jury, "draw")
    async def draw(
        session: Session,
        number: Annotated[int, typer.Argument(help="Of the draw.", min=1)],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Put a secret into a draw, or reveal the one you put in, whichever is due.

        A draw is fair as soon as one secret of it is not known to the others. The deposit comes
        back with the secret; whoever keeps it loses it, and all draw again.
        """
        from tessera.app import court

        async with session.world() as world:
            sender, there = world.sender(session.actor("keeper")), world.deployment.draws
            row = await world.reader.read(there.draw_of(number))
            mine = await world.reader.read(there.commitment_of(number, sender.address))
            told: dict[str, Any] = {"draw": number, "deposit": str(row.deposit)}
            giver, receiver = sender.address, there.address
            if any(mine):
                giver, receiver, line = receiver, giver, f"would reveal a secret of draw {number}"
            else:
                line = f"would put a secret into draw {number}"
            effects = payment(
                world, giver, receiver, row.deposit, "deposit of a secret", world.network
            )
            question = f"Take part in draw {number}"
            if not agreed(session, world, told, effects, line, question, dry_run=dry_run, yes=yes):
                return
            done = await court.take_part(world, sender, number)
            more = [] if done == "revealed" else [f"next       later: tessera jury draw {number}"]
            session.say({**told, "done": done}, f"{done:<10} draw {number}", *more)


async def _set_of_round(world: World, round_: bytes) -> bytes:
    from tessera.app.judging import round_of

    row = await round_of(world, round_)
    return row.test_set


async def _due(world: World) -> list[Due]:
    """Return what is due for jurors, re-executors and draws in all rounds that are not over."""
    from tessera.app.judging import find_rounds, situation
    from tessera.spec.approvals import State
    from tessera.validation.agenda import agenda

    found: dict[Due, None] = {}
    for name, row in await find_rounds(world):
        if row.state < State.GOOD:
            for due in agenda(await situation(world, name)):
                if due.command.startswith("tessera jury"):
                    found[due] = None
    return list(found)
