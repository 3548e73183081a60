"""`tessera approval`: what validators and challengers do in a round."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, shown_time
from tessera.cli.benchmark import Wish, run_free, run_paid
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.judging import (
    Code,
    Copy,
    KeyEnv,
    Model,
    Own,
    Pool,
    Round,
    TestSet,
    Url,
    answers_of,
    id_of,
    opened,
    pool_of,
    read_source,
    truth_of,
    write_served,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.validation.approving import Approval
    from tessera.validation.task import Benchmark

__all__ = ["Validator", "register_judging", "revealed"]

_MILLION = 1_000_000
_ITEMS = 200
_MOST_REPORT_BYTES = 64 << 20

Validator = Annotated[str, typer.Argument(metavar="VALIDATOR", help="Key or address.")]


def register_judging(approval: typer.Typer) -> None:
    """Add the commands."""
    _register_validator(approval)
    _register_challenger(approval)
    _register_contest(approval)


def _register_validator(approval: typer.Typer) -> None:
    @command(approval, "execute")
    async def execute(
        session: Session,
        round_: Round,
        *,
        benchmark: Pool,
        own: Own = None,
        url: Url = "",
        model: Annotated[
            str, typer.Option(help="What a server calls it; alone: slug at the gateway, paid.")
        ] = "",
        out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report.json"),
        at_once: Annotated[int, typer.Option(help="Items asked at a time.", min=1, max=256)] = 4,
        budget: Annotated[str, typer.Option(help="Most that paid calls may cost.")] = "1",
        validator: Annotated[
            str, typer.Option(help="Whose items: a key or an address.", show_default="yours")
        ] = "",
        key_env: KeyEnv = "",
        allow_python_runners: Code = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Run the 200 items that the round gives a validator, and write a report.

        A run that ends early goes on where it was when it is started again.
        """
        from tessera.app.judging import assignment, check_round_task

        task = await pool_of(session, benchmark, code=allow_python_runners)
        async with session.world() as world:
            name = await id_of(world, round_)
            await check_round_task(world, name, task)
            who = world.address(validator or session.actor("validator"))
            draw = await assignment(world, name, who)
        config = session.config(allow_python_runners=allow_python_runners or None)
        seed, about = "0x" + draw.seed.hex(), "0x" + name.hex()
        wish = Wish(benchmark, model, _ITEMS, seed, about, who, out, at_once)
        if own is None and not url:
            await run_paid(session, config, wish, budget, None, dry_run=dry_run, yes=yes)
        else:
            await run_free(session, config, wish, url, own, key_env, dry_run=dry_run)
        if not session.as_json and not dry_run:
            again = f"tessera approval commit {about} {out} --benchmark {benchmark}"
            session.note(f"next       {again}")

    @command(approval, "commit")
    async def commit(
        session: Session,
        round_: Round,
        report: Annotated[Path, typer.Argument(help="Of the round's 200 items.")],
        *,
        benchmark: Pool,
        allow_python_runners: Code = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Commit to approve or not, by a report; the whole bond is behind it.

        It approves at the threshold and 2 points above. What is committed to is sealed first.
        """
        from tessera.app import approvals
        from tessera.app.judging import check_round_task
        from tessera.validation.approving import approval_of
        from tessera.validation.report import check_against, read_report

        found = await asyncio.to_thread(read_report, report)
        task = await pool_of(session, benchmark, code=allow_python_runners)
        async with session.world() as world:
            name = await id_of(world, round_)
            row = await check_round_task(world, name, task)
            await check_against(found, task, round_=name)
            said = approval_of(found, task, threshold=row.tau)
            sender = world.sender(session.actor("validator"))
            bond = await world.reader.read(world.deployment.bond.bonded(sender.address))
            told: dict[str, Any] = {
                "round": "0x" + name.hex(),
                "approve": said.approve,
                "score": said.score,
                "root": "0x" + said.root.hex(),
                "bond": str(bond),
            }
            word = "approve" if said.approve else "reject"
            line = (
                f"would {word} by a score of {said.score / _MILLION:.4f}, "
                f"with up to {world.network.shown(bond)} behind it"
            )
            question = f"Commit to {word} it"
            if not agreed(session, world, told, (), line, question, dry_run=dry_run, yes=yes):
                return
            await approvals.commit(world, sender, name, found, task)
            held = await approvals.situation(world, name)
            from_ = held.test_set.begun + 6 * held.hour
            session.say(
                told,
                f"committed  to {word}; statement and salt are sealed here",
                f"next       from {shown_time(from_)} on, for 2 hours of the round: "
                f"tessera approval reveal {told['round']} --uri URL; serve {report} there",
            )

    @command(approval, "reveal")
    async def reveal(
        session: Session,
        round_: Round,
        *,
        uri: Annotated[str, typer.Option(help="Where the report is served.")],
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Show what was committed, in hours 6 to 8 of the round; silence costs a hundredth."""
        from tessera.app import approvals

        async with session.world() as world:
            name = await id_of(world, round_)
            sender = world.sender(session.actor("validator"))
            said = await approvals.statement_kept(world, name, sender.address)
            word = "approves" if said.approve else "rejects"
            told: dict[str, Any] = {
                "round": "0x" + name.hex(),
                "approve": said.approve,
                "score": said.score,
                "root": "0x" + said.tree.root.hex(),
            }
            line = f"would reveal that {world.named(sender.address)} {word}"
            question = "Reveal to everybody"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            await approvals.reveal(world, sender, name, uri)
            session.say(
                told,
                f"revealed   {word}, scored {said.score / _MILLION:.4f}",
                f"next       tessera approval info {told['round']}",
            )

    @command(approval, "show")
    async def show(
        session: Session,
        round_: Round,
        *,
        place: Annotated[
            list[int] | None, typer.Option(help="This one, in the place of all that are due.")
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Show your outputs on the chain: the drawn places, and what you are accused of.

        What is not shown in time counts as made up, and costs the whole bond.
        """
        from tessera.app import approvals

        async with session.world() as world:
            name = await id_of(world, round_)
            sender = world.sender(session.actor("validator"))
            wanted = place or await approvals.places_due(world, name, sender.address)
            told: dict[str, Any] = {"round": "0x" + name.hex(), "places": wanted}
            line = f"would show {counted(len(wanted), 'place')}: {', '.join(map(str, wanted))}"
            if not wanted and not dry_run:
                session.say(told, "nothing of yours is due")
                return
            question = f"Show {counted(len(wanted), 'output')}"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            shown = await approvals.show(world, sender, name, wanted)
            session.say({**told, "places": shown}, f"shown      {', '.join(map(str, shown))}")


def _register_challenger(approval: typer.Typer) -> None:
    @command(approval, "check")
    async def check(
        session: Session,
        round_: Round,
        validator: Validator,
        *,
        benchmark: Pool,
        report: Annotated[
            str, typer.Option(help="File or address.", show_default="where it was revealed")
        ] = "",
        sample: Annotated[int, typer.Option(help="Items to run.", min=1, max=_ITEMS)] = 20,
        own: Own = None,
        url: Url = "",
        model: Model = "",
        key_env: KeyEnv = "",
        allow_python_runners: Code = False,
    ) -> None:
        """Run some of a validator's items again, and say where its report differs.

        Exit code 7 where it does: accuse it then, within 168 hours of the truth.
        """
        from tessera.app import court
        from tessera.errors import ModelDiffers

        task = await pool_of(session, benchmark, code=allow_python_runners)
        copy = Copy(own, url, model, key_env, allow_python_runners)
        async with session.world() as world, opened(session, copy) as (endpoint, _):
            name = await id_of(world, round_)
            who = world.address(validator)
            said = await revealed(world, name, who, task, report)
            places = sorted(secrets.SystemRandom().sample(range(_ITEMS), sample))
            with session.progress("running again", counted=True) as progress:
                found = await court.differences(
                    world, name, who, said, task, endpoint, places, progress=progress
                )
            told: dict[str, Any] = {
                "validator": who,
                "places": places,
                "different": [
                    {
                        "place": each.place,
                        "reported": "0x" + each.reported.hex(),
                        "found": "0x" + each.found.hex(),
                    }
                    for each in found
                ],
            }
            if found:
                raise ModelDiffers(
                    f"report of {world.named(who)}: {len(found)} of {sample} outputs are others",
                    next_step=f"tessera approval accuse {round_} {validator} {found[0].place} "
                    f"--benchmark {benchmark}",
                    **told,
                )
            session.say(told, f"the same   {counted(sample, 'output')} of {world.named(who)}")

    @command(approval, "accuse")
    async def accuse(
        session: Session,
        round_: Round,
        validator: Validator,
        place: Annotated[int, typer.Argument(help="Of the validator's items.", min=0, max=199)],
        *,
        benchmark: Pool,
        own: Own = None,
        url: Url = "",
        model: Model = "",
        key_env: KeyEnv = "",
        allow_python_runners: Code = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Run the item at a place, and say that the validator has another output there.

        Five drawn jurors run it, too. Where four agree with you its bond is gone, a fifth of it
        to you; where four agree with the validator your stake is.
        """
        from tessera.app import court

        task = await pool_of(session, benchmark, code=allow_python_runners)
        copy = Copy(own, url, model, key_env, allow_python_runners)
        async with session.world() as world, opened(session, copy) as (endpoint, _):
            name = await id_of(world, round_)
            who, there = world.address(validator), world.deployment.court
            output = await court.rerun_place(world, name, who, place, task, endpoint)
            stake = await world.reader.read(there.stake_for(name, who))
            sender = world.sender(session.actor("challenger"))
            told: dict[str, Any] = {
                "round": "0x" + name.hex(),
                "validator": who,
                "place": place,
                "output": "0x" + output.hex(),
                "stake": str(stake),
            }
            effects = payment(
                world, sender.address, there.address, stake, "stake of a case", world.network
            )
            line = f"would accuse {world.named(who)} of what it has at place {place}"
            if not agreed(session, world, told, effects, line, "Accuse", dry_run=dry_run, yes=yes):
                return
            case = await court.accuse(world, sender, name, who, place, output)
            session.say(
                {**told, "case": case},
                f"accused    case {case}; the validator has 24 hours of the round to show it",
                f"next       tessera approval info {told['round']}",
            )

    @command(approval, "demand")
    async def demand(
        session: Session,
        test_set: TestSet,
        number: Annotated[int, typer.Argument(help="Of the hidden item.", min=0)],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Demand a hidden item that is not where the committer said.

        The fee is the committer's if it shows the item on the chain within 24 hours of the round,
        and comes back if not: then its pledge is gone, a fifth of it to you.
        """
        from tessera.app import court

        async with session.world() as world:
            name = await id_of(world, test_set)
            there = world.deployment.court
            sender = world.sender(session.actor("challenger"))
            cost = await world.reader.read(there.COST())
            told: dict[str, Any] = {"set": "0x" + name.hex(), "item": number, "fee": str(cost)}
            effects = payment(
                world, sender.address, there.address, cost, "fee of a demand", world.network
            )
            line = f"would demand hidden item {number}"
            question = "Demand it"
            if not agreed(session, world, told, effects, line, question, dry_run=dry_run, yes=yes):
                return
            await court.demand(world, sender, name, number)
            session.say(told, f"demanded   hidden item {number}")


def _register_contest(approval: typer.Typer) -> None:
    @command(approval, "recount")
    async def recount(
        session: Session,
        round_: Round,
        *,
        benchmark: Pool,
        truth: Annotated[str, typer.Option(help="File or address of the hidden items.")],
        out: Annotated[Path, typer.Option(help="Where your answers go.")] = Path("answers.json"),
        own: Own = None,
        url: Url = "",
        model: Model = "",
        key_env: KeyEnv = "",
        allow_python_runners: Code = False,
    ) -> None:
        """Answer all hidden items, and say whether the round's count is right.

        Goes on where it was when it is started again. Exit code 7 where you count otherwise.
        """
        from tessera.app.judging import check_round_task
        from tessera.errors import ModelDiffers
        from tessera.spec.court import AnswerTree
        from tessera.validation.hidden import count_hidden, write_answers

        task = await pool_of(session, benchmark, code=allow_python_runners)
        copy = Copy(own, url, model, key_env, allow_python_runners)
        async with session.world() as world, opened(session, copy) as (endpoint, _):
            name = await id_of(world, round_)
            row = await check_round_task(world, name, task)
            hidden = await truth_of(world, row.test_set, task, truth)
            journal = out.with_name(out.name + ".run")
            with session.progress("answering", counted=True) as progress:
                answers = await count_hidden(
                    task, hidden.items, endpoint, about=f"round 0x{name.hex()}",
                    journal=journal, progress=progress,
                )  # fmt: skip
            await asyncio.to_thread(write_served, out, write_answers(answers))
            await asyncio.to_thread(journal.unlink, missing_ok=True)
            mine = AnswerTree(answers).correct
            counted_ = row.counted - 1 if row.counted else None
            told: dict[str, Any] = {"correct": mine, "counted": counted_, "out": str(out)}
            if counted_ not in {None, mine}:
                raise ModelDiffers(
                    f"count of round {round_}: {counted_} right, and {mine} when run again",
                    next_step=f"tessera approval contest {round_} --mine {out}",
                    **told,
                )
            session.say(told, f"right      {mine} of {len(answers)}; answers are in {out}")

    @command(approval, "contest")
    async def contest(
        session: Session,
        round_: Round,
        *,
        mine: Annotated[Path, typer.Option(help="Your answers, from recount.")],
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Say that a count is wrong: it is narrowed to one item, which five jurors run."""
        from tessera.app import contesting

        tree = await answers_of(mine)
        async with session.world() as world:
            name = await id_of(world, round_)
            sender, there = world.sender(session.actor("challenger")), world.deployment.court
            stake = await contesting.contest_stake(world, name)
            told: dict[str, Any] = {"round": "0x" + name.hex(), "correct": tree.correct}
            effects = payment(
                world, sender.address, there.address, stake, "stake of a case", world.network
            )
            line = f"would say that {tree.correct} answers are right, not what was counted"
            question = "Contest the count"
            if not agreed(session, world, told, effects, line, question, dry_run=dry_run, yes=yes):
                return
            case = await contesting.contest(world, sender, name, tree)
            session.say(
                {**told, "case": case},
                f"contested  case {case}; each move has 4 hours of the round",
                f"next       tessera approval move {case} --mine {mine}, when it is your turn",
            )

    @command(approval, "move")
    async def move(
        session: Session,
        case: Annotated[int, typer.Argument(help="Number of the case.", min=1)],
        *,
        mine: Annotated[
            Path | None, typer.Option(help="The challenger's answers, for its moves.")
        ] = None,
        reported: Annotated[
            Path | None, typer.Option(help="The answers behind the count, for the others.")
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make the move that is due in a case about a count. Who does not move has lost."""
        from tessera.app.contesting import move as move_on
        from tessera.app.court import case_of

        own = None if mine is None else await answers_of(mine)
        theirs = None if reported is None else await answers_of(reported)
        async with session.world() as world:
            row = await case_of(world, case)
            told: dict[str, Any] = {"case": case, "round": "0x" + row.round.hex()}
            line = f"would make the move that is due in case {case}"
            question = f"Move in case {case}"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            sender = world.sender(session.actor("challenger"))
            done = await move_on(world, sender, case, reported=theirs, mine=own)
            session.say({**told, "done": done}, f"done       {done}")


async def revealed(world: World, round_: bytes, who: str, task: Benchmark, source: str) -> Approval:
    """Fetch what a validator serves, and hold it against what it revealed."""
    from tessera.app import court
    from tessera.validation.report import parse_report

    where = source or await court.report_uri(world, round_, who)
    data = await read_source(world, where, _MOST_REPORT_BYTES)
    report = await asyncio.to_thread(parse_report, data, where)
    return await court.revealed_approval(world, round_, who, report, task)
