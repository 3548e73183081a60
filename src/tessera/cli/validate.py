"""`tessera validate`: commit to a row of scores, reveal it, answer for it, watch the others'."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted
from tessera.cli.effects import DryRun, Yes, confirmed
from tessera.cli.reports import reports_by_uid
from tessera.cli.session import Session, command
from tessera.cli.validating import OrSubnet, register_loop

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.validation.rounds import Place

__all__ = ["register"]

Subnet = Annotated[int, typer.Argument(help="Number of the subnet.")]
Epoch = Annotated[int, typer.Argument(help="Number of the epoch.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    validate = typer.Typer(
        cls=OrSubnet,
        help="Measure a subnet's models, epoch after epoch.",
        no_args_is_help=True,
    )
    app.add_typer(validate, name="validate")
    register_loop(validate)

    @command(validate, "commit")
    async def commit(
        session: Session,
        subnet: Subnet,
        reports: Annotated[
            list[str], typer.Argument(metavar="UID=REPORT...", help="One report per model.")
        ],
        *,
        uid: Annotated[int, typer.Option(help="Your place among the validators.")],
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make a row of weights from reports, keep it with a salt, and commit to it.

        Only from this data folder can it be revealed.
        """
        from tessera.validation import rounds
        from tessera.validation.weights import row_of_reports

        row = row_of_reports(await reports_by_uid(reports))
        told: dict[str, Any] = {"subnet": subnet, "uid": uid, "row": [list(pair) for pair in row]}
        weighed = counted(sum(weight > 0 for _, weight in row), "model")
        lines = [f"would commit to a row for subnet {subnet} in which {weighed} weigh something"]
        async with session.world() as world:
            contract = world.deployment.scores
            if dry_run:
                session.say({**told, "dry_run": True}, *lines)
                return
            confirmed(session, f"Commit in subnet {subnet}", lines, yes=yes)
            sealed = await rounds.commit(
                world.sender(session.actor("validator")),
                contract,
                _folder(world),
                subnet=subnet,
                uid=uid,
                weights=row,
                first=world.deployment.since,
            )
            epoch = sealed.place.epoch
            kept = _folder(world) / sealed.place.name
            session.say(
                {**told, "epoch": epoch, "commitment": "0x" + sealed.commitment.hex()},
                f"committed  epoch {epoch} of subnet {subnet}; row and salt are in {kept}",
                f"next       tessera validate reveal {subnet} {epoch}, in its third quarter",
            )

    @command(validate, "reveal")
    async def reveal(
        session: Session,
        subnet: Subnet,
        epoch: Epoch,
        *,
        uri: Annotated[str, typer.Option(help="Where the row's data will be served.")],
        out: Annotated[
            Path | None, typer.Option(help="Write that data here, to be served there.")
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Open a commit, in the third quarter of its epoch."""
        from tessera.storage.folders import write_whole
        from tessera.validation import rounds

        async with session.world() as world:
            contract = world.deployment.scores
            place = _place(session, world, subnet, epoch)
            sealed = await asyncio.to_thread(rounds.kept, _folder(world), place)
            told = {"subnet": subnet, "epoch": epoch, "root": "0x" + sealed.row.root.hex()}
            lines = [f"would reveal the row of epoch {epoch} of subnet {subnet} to everybody"]
            if dry_run:
                session.say({**told, "dry_run": True}, *lines)
                return
            confirmed(session, f"Reveal in subnet {subnet}", lines, yes=yes, gives=False)
            if out is not None:
                # Before anybody can look for it.
                await asyncio.to_thread(write_whole, out, rounds.write_row(sealed), private=False)
            sender = world.sender(session.actor("validator"))
            number = await rounds.reveal(sender, contract, _folder(world), place, uri)
            session.say({**told, "row": number}, f"revealed   row {number}, root {told['root']}")

    @command(validate, "answer")
    async def answer(
        session: Session,
        subnet: Subnet,
        epoch: Epoch,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Show the leaves of your row that somebody asked for.

        A row of which one is not shown in time counts for nothing, and costs a hundredth of the
        bond.
        """
        from tessera.validation import rounds

        async with session.world() as world:
            contract = world.deployment.scores
            place = _place(session, world, subnet, epoch)
            asked = await rounds.asked_for(world.reader, contract, _folder(world), place)
            told = {"subnet": subnet, "epoch": epoch, "leaves": asked}
            lines = [f"would show {counted(len(asked), 'leaf').replace('leafs', 'leaves')}"]
            if dry_run or not asked:
                nothing = "nobody asks for anything"
                more = {"dry_run": True} if dry_run else {}
                session.say({**told, **more}, *(lines if asked else [nothing]))
                return
            confirmed(session, f"Answer in subnet {subnet}", lines, yes=yes, gives=False)
            sender = world.sender(session.actor("validator"))
            shown = await rounds.answer(sender, contract, _folder(world), place)
            session.say({**told, "leaves": shown}, f"shown      {shown}")

    @command(validate, "watch")
    async def watch(
        session: Session,
        subnet: Subnet,
        epoch: Epoch,
        *,
        ask: Annotated[
            bool, typer.Option("--ask", help="Ask on the chain for what is not served.")
        ] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Fetch every revealed row and hold it against the chain.

        What is not served can be asked for on the chain until the epoch ends; the fee comes back
        if it is never shown.
        """
        from tessera.app.askers import may_reach_private
        from tessera.app.spending import spend
        from tessera.validation import rounds
        from tessera.validation.reaching import open_http

        async with session.world() as world:
            contract, first = world.deployment.scores, world.deployment.since
            async with open_http(private=may_reach_private(world)) as http:
                rows = await rounds.look_at_rows(
                    world.reader, http, contract, subnet, epoch, first=first
                )
            missing = [each for each in rows if each.row is None]
            told: dict[str, Any] = {
                "subnet": subnet,
                "epoch": epoch,
                "rows": [
                    {
                        "row": each.number,
                        "validator": each.validator,
                        "uri": each.uri,
                        "served": each.row is not None,
                        "why": each.why,
                    }
                    for each in rows
                ],
            }
            lines = [
                f"row {each.number}  {world.named(each.validator)}  {each.why or 'served'}"
                for each in rows
            ] or ["no row was revealed"]
            if not ask or not missing or dry_run:
                more = {"dry_run": True} if dry_run else {}
                session.say({**told, **more}, *lines)
                return
            fee = await world.reader.read(contract.data_fee())
            leaves = sum(each.leaves for each in missing)
            cost = world.network.shown(fee * leaves)
            question = f"Ask for {counted(len(missing), 'row')}, for up to {cost}"
            confirmed(session, question, lines, yes=yes)
            sender = world.sender(session.actor("validator"))
            await spend(world, sender, contract.address, fee * leaves, "asking for data")
            asked = await rounds.ask_for(sender, contract, subnet, epoch, missing)
            session.say({**told, "asked": asked}, *lines, f"asked      {asked}")


def _folder(world: World) -> Path:
    folder: Path = world.config.data_dir / "rows"
    return folder


def _place(session: Session, world: World, subnet: int, epoch: int) -> Place:
    from tessera.validation.rounds import Place

    validator = world.account(session.actor("validator")).address
    scores = world.deployment.scores.address
    return Place(world.reader.chain_id, scores, subnet, epoch, validator)
