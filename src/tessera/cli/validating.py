"""`tessera validate SUBNET`: a validator's whole program, epoch after epoch."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tessera.cli.amounts import counted, shown_time
from tessera.cli.effects import DryRun, Yes, confirmed
from tessera.cli.session import Session, command
from tessera.cli.shelving import shelf_at

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.app.validating import Done, Outlook, Plan, Validator
    from tessera.validation.task import Benchmark

__all__ = ["OrSubnet", "register_loop"]

_FAILED = 1


class OrSubnet(TyperGroup):
    """Commands, and a number that stands for the whole program in that subnet."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return which command is meant: `1` is `run 1`."""
        if args and args[0].isdecimal():
            args = ["run", *args]
        return super().resolve_command(ctx, args)


def register_loop(validate: typer.Typer) -> None:
    """Add the command."""

    @command(validate, "run")
    async def run(
        session: Session,
        subnet: Annotated[int, typer.Argument(help="Number of the subnet.", min=1)],
        *,
        benchmark: Annotated[
            str,
            typer.Option(help="Folder or name.", show_default="the one that the owner names"),
        ] = "",
        unknown: Annotated[
            str, typer.Option(help="Key that nobody connects with you; pays half of the calls.")
        ] = "unknown",
        budget: Annotated[str, typer.Option(help="Most that an epoch's calls may cost.")] = "1",
        tsr: Annotated[str, typer.Option(help="Most TSR for an epoch's questions.")] = "10",
        items: Annotated[int, typer.Option(help="Asked of each model at most.", min=2)] = 200,
        at_once: Annotated[
            int, typer.Option(help="Items per payer at a time.", min=1, max=256)
        ] = 4,
        listen: Annotated[
            str, typer.Option(help="Serve rows on this HOST:PORT; port 0: any.")
        ] = "127.0.0.1:8404",
        url: Annotated[
            str, typer.Option(help="Where others find them.", show_default="as --listen says")
        ] = "",
        every: Annotated[
            float, typer.Option(help="Seconds between two looks, at most.", min=0.05)
        ] = 15.0,
        once: Annotated[
            bool, typer.Option("--once", help="Do all that is due now, and end; serve nothing.")
        ] = False,
        allow_python_runners: Annotated[
            bool, typer.Option("--allow-python-runners", help="Let a benchmark's own scorer run.")
        ] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> int:
        """Measure the models, commit, reveal, answer, watch the others, and object: until ended.

        Started again it goes on where it was, after a kill too. With --json each thing done is a
        line.
        """
        from tessera.app.validating import Plan, Validator, served_folder

        config = session.config(allow_python_runners=allow_python_runners or None)
        async with session.world() as world, AsyncExitStack() as stack:
            task = await _task(world, subnet, benchmark, config)
            place = url or f"http://{listen}/served/"
            if not (once or dry_run):
                found = await shelf_at(stack, served_folder(world), listen)
                place = url or found
            plan = Plan(
                subnet=subnet,
                task=task,
                url=place if place.endswith("/") else f"{place}/",
                validator=session.actor("validator"),
                unknown=unknown,
                budget=world.currency.parse(budget, "--budget"),
                network_budget=world.network.parse(tsr, "--tsr"),
                items=items,
                at_once=at_once,
            )
            progress = stack.enter_context(session.progress("measuring", counted=True))
            validator = Validator(
                world, plan, progress=lambda _model, count, total: progress(count, total)
            )
            if dry_run or not (yes or session.as_json):
                told, lines = _shown(world, plan, await validator.outlook())
                if dry_run:
                    session.say({**told, "dry_run": True}, *lines)
                    return 0
                confirmed(session, f"Validate in subnet {subnet}", lines, yes=yes)
            if once:
                done = await validator.step()
                session.say(
                    {"subnet": subnet, "done": [each.as_json() for each in done]},
                    *([_line(each) for each in done] or ["nothing is due"]),
                )
                return _FAILED if any(each.failed for each in done) else 0
            session.note(f"rows are served at {plan.url}; Ctrl-C ends")
            await _until_ended(session, validator, every)
        return 0


async def _until_ended(session: Session, validator: Validator, every: float) -> None:
    def tell(done: Done) -> None:
        session.say(done.as_json(), _line(done))
        sys.stdout.flush()

    work = asyncio.create_task(validator.run(tell, every_s=every))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        session.note("ended; start it again to go on")
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _task(world: World, subnet: int, wanted: str, config: Any) -> Benchmark:
    from tessera.app.benchmarking import benchmarks_of_chain, find_task, folder_of, open_task
    from tessera.errors import InputError
    from tessera.validation.turns import named_task, turn_of

    await world.directory.refresh()
    if wanted:
        known = await asyncio.to_thread(benchmarks_of_chain, world, wanted)
        return await asyncio.to_thread(open_task, folder_of(wanted, known), config)
    subnets = world.deployment.subnets
    turn = await turn_of(world.reader, subnets, subnet)
    named = await named_task(world.reader, subnets, turn, first=world.deployment.since)
    if named is None:
        raise InputError(
            "--benchmark",
            found=f"nothing, and the subnet's owner names none for epoch {turn.epoch}",
            wanted="what to measure with",
            next_step=(
                f"what it names counts from the next epoch on: tessera subnet info {subnet}"
            ),
        )
    folder = await asyncio.to_thread(find_task, world, named.task, named.uri)
    return await asyncio.to_thread(open_task, folder, config)


def _shown(world: World, plan: Plan, outlook: Outlook) -> tuple[dict[str, Any], list[str]]:
    turn, most = outlook.turn, world.currency.shown(outlook.cost)
    told: dict[str, Any] = {
        "subnet": plan.subnet,
        "epoch": turn.epoch,
        "phase": str(turn.phase),
        "next_epoch": turn.began + turn.tempo,
        "task": f"0x{plan.task.id.hex()}",
        "task_name": plan.task.name,
        "named": outlook.named,
        "items": outlook.items,
        "cost": str(outlook.cost),
        "network_budget": str(plan.network_budget),
        "models": [
            {"uid": each.uid, "model": each.slug, "version": each.version, "url": each.url}
            for each in outlook.models
        ],
        "faults": {str(uid): why for uid, why in outlook.faults.items()},
    }
    ends = shown_time(turn.began + turn.tempo)
    asked = f"{plan.task.name}, {counted(outlook.items, 'item')} of each model"
    questions = world.network.shown(plan.network_budget)
    lines = [
        f"epoch     {turn.epoch} of subnet {plan.subnet}, phase {turn.phase}; it ends {ends}",
        f"task      {asked}{'' if outlook.named else '; the owner of the subnet names none'}",
        f"pays      at most {most} for calls in an epoch, and {questions} for questions",
        *(
            f"model     {each.uid}  {each.slug}@{each.version}  {each.url}"
            for each in outlook.models
        ),
        *(f"model     {uid}  {why}" for uid, why in outlook.faults.items()),
    ]
    return told, lines


def _line(done: Done) -> str:
    what = f"{done.what} failed" if done.failed else done.what
    return f"epoch {done.epoch:<6} {what:<12} {done.text}"
