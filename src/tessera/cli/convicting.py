"""`tessera approval convict`: what a validator's own report proves against it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tessera.cli.amounts import counted
from tessera.cli.approving import Validator, revealed
from tessera.cli.effects import DryRun, Yes, agreed
from tessera.cli.judging import Code, Pool, Round, id_of, pool_of
from tessera.cli.session import Session, command

__all__ = ["register_proofs"]


def register_proofs(approval: typer.Typer) -> None:
    """Add the command."""

    @command(approval, "convict")
    async def convict(
        session: Session,
        round_: Round,
        validator: Validator,
        *,
        benchmark: Pool,
        report: Annotated[
            str, typer.Option(help="File or address.", show_default="where it was revealed")
        ] = "",
        allow_python_runners: Code = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Prove from a report that it has other items than were assigned.

        No model is run and no jury asked: the whole bond is gone, a fifth of what the validator's
        own stake loses to you.
        """
        from tessera.app import convicting

        task = await pool_of(session, benchmark, code=allow_python_runners)
        async with session.world() as world:
            name = await id_of(world, round_)
            who = world.address(validator)
            said = await revealed(world, name, who, task, report)
            other = await convicting.other_items(world, name, who, said, task)
            told: dict[str, Any] = {
                "round": "0x" + name.hex(),
                "validator": who,
                "other_items": other,
            }
            if not other:
                session.say(told, "nothing: its items are those that were assigned")
                return
            line = (
                f"would prove that {counted(len(other), 'item')} of {world.named(who)} are not "
                "the assigned ones"
            )
            question = f"Convict {world.named(who)}"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            sender = world.sender(session.actor("challenger"))
            await convicting.convict_other_item(world, sender, name, who, said, task, other[0])
            session.say(
                told,
                f"convicted  {world.named(who)}; it never judges again",
                f"next       tessera approval info {told['round']}",
            )
