"""`tessera approval`: rounds in which validators put their bonds behind a model's version."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, parse_duration, shown_time
from tessera.cli.approved import register_sale
from tessera.cli.approving import register_judging
from tessera.cli.convicting import register_proofs
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.judging import (
    Pool,
    TestSet,
    due_json,
    due_lines,
    id_of,
    parse_accuracy,
    pool_of,
    write_served,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.validation.situation import Situation

__all__ = ["register"]

_STATES = ("open", "closed", "good", "bad", "void")
_MILLION = 1_000_000

Uri = Annotated[str, typer.Option(help="Where everybody will find it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    approval = typer.Typer(
        help="Approve models with a bond; a hidden test judges.",
        no_args_is_help=True,
    )
    app.add_typer(approval, name="approval")
    _register_looking(approval)
    _register_committer(approval)
    _register_issuer(approval)
    register_judging(approval)
    register_proofs(approval)
    register_sale(approval)


def _register_looking(approval: typer.Typer) -> None:
    @command(approval, "list")
    async def list_(session: Session) -> None:
        """Show all test sets and rounds."""
        from tessera.app.judging import find_rounds, find_sets

        async with session.world() as world:
            sets, rounds = await find_sets(world), await find_rounds(world)
            await world.directory.refresh()
        told = {
            "sets": [
                {
                    "set": "0x" + name.hex(),
                    "committer": row.committer,
                    "items": row.items,
                    "pool": "0x" + row.pool.hex(),
                    "pledge": str(row.pledge),
                    "until": row.until,
                    "open_rounds": row.open_rounds,
                }
                for name, row in sets
            ],
            "rounds": [
                {
                    "round": "0x" + name.hex(),
                    "set": "0x" + row.test_set.hex(),
                    "asset": str(row.asset),
                    "version": row.version,
                    "state": _STATES[row.state],
                    "listed": row.listed,
                    "validators": row.validators,
                }
                for name, row in rounds
            ],
        }
        if session.as_json or not sets:
            session.say(told, "no test set yet; begin one: tessera approval commit-set")
            return
        table = session.table("set!", "committer", "items>", "until!", "open rounds>")
        for name, row in sets:
            who = world.named(row.committer)
            cells = (str(row.items), shown_time(row.until), str(row.open_rounds))
            table.add_row("0x" + name.hex(), who, *cells)
        session.out.print(table)
        table = session.table("round!", "model", "version>", "state", "listed", "validators>")
        for name, each in rounds:
            cells = (str(each.version), _STATES[each.state], "yes" if each.listed else "no")
            table.add_row(
                "0x" + name.hex(), _model(world, each.asset), *cells, str(each.validators)
            )
        session.out.print(table)

    @command(approval, "info")
    async def info(
        session: Session,
        name: Annotated[str, typer.Argument(metavar="ID", help="Of a round, or of a test set.")],
    ) -> None:
        """Show where a round is, and what is due: by whom, until when, by which command."""
        from tessera.app.approvals import possible
        from tessera.app.judging import situation
        from tessera.validation.agenda import agenda

        async with session.world() as world:
            found = await situation(world, await id_of(world, name))
            due = agenda(found)
            # As somebody would: whose address it is changes nothing.
            somebody = found.test_set.committer
            ready = [step.name for step in await possible(world, found, somebody)]
            await world.directory.refresh()
            lines = _told(world, found)
            if ready:
                lines += [
                    f"anyone     {', '.join(dict.fromkeys(ready))}",
                    f"      tessera approval advance {name}",
                ]
            lines += due_lines(world, due, found.now)
            session.say({**_json(found), "anyone": ready, "due": due_json(due)}, *lines)

    @command(approval, "advance")
    async def advance(
        session: Session,
        name: Annotated[str, typer.Argument(metavar="ID", help="Of a round, or of a test set.")],
        *,
        only: Annotated[
            list[str] | None, typer.Option(help="Only this step, as info names it.")
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Send everything that anybody may send now: draw, close, resolve, punish, finish, pay.

        It costs gas. Who shows that a validator was silent, or made something up, gets a fifth of
        what that validator's own stake loses.
        """
        from tessera.app import approvals
        from tessera.app.judging import situation

        async with session.world() as world:
            sender = world.sender(session.actor("keeper"))
            found = await situation(world, await id_of(world, name))
            ready = [
                step
                for step in await approvals.possible(world, found, sender.address)
                if not only or step.name in only
            ]
            told: dict[str, Any] = {"id": name, "steps": [step.name for step in ready]}
            if not ready:
                session.say(told, "nothing to do now", f"next       tessera approval info {name}")
                return
            line = "would send " + ", ".join(
                " ".join(map(str, (step.name, *step.about))) for step in ready
            )
            question = f"Send {counted(len(ready), 'step')}"
            if not agreed(session, world, told, (), line, question, dry_run=dry_run, yes=yes):
                return
            about = found.name or found.set_name
            sent = await approvals.advance(world, sender, about, only=only or ())
            told["steps"] = [step.name for step in sent]
            session.say(
                told,
                *(f"sent       {' '.join(map(str, (step.name, *step.about)))}" for step in sent),
                f"next       tessera approval info {name}",
            )


def _register_committer(approval: typer.Typer) -> None:
    @command(approval, "commit-set")
    async def commit_set(
        session: Session,
        pool: Annotated[
            str, typer.Argument(metavar="BENCHMARK", help="What validators are given items of.")
        ],
        hidden: Annotated[Path, typer.Argument(help="File of hidden items, one per line.")],
        *,
        pledge: Annotated[
            str, typer.Option(help="TSR that cover the bonds of all whom it can cost.")
        ],
        submissions: Annotated[str, typer.Option(help="How long they are open: 24h, 7d.")] = "24h",
        uri: Annotated[str, typer.Option(help="Where the pool is.")] = "",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Commit to hidden items, before any model that they will judge is submitted.

        Items and salts are sealed in the data folder first; only from there can they be told.
        """
        from tessera.app import approvals
        from tessera.app.judging import chain_time
        from tessera.validation.hidden import open_hidden

        task = await pool_of(session, pool)
        items = await asyncio.to_thread(open_hidden, hidden, task)
        async with session.world() as world:
            sender, there = world.sender(session.actor("committer")), world.deployment.approvals
            amount = world.network.parse(pledge, "--pledge")
            until = await chain_time(world) + parse_duration(submissions, "--submissions")
            told: dict[str, Any] = {
                "items": len(items),
                "pool": "0x" + task.items_root.hex(),
                "pledge": str(amount),
                "until": until,
            }
            effects = payment(world, sender.address, there.address, amount, "pledge", world.network)
            line = (
                f"would commit to {len(items)} hidden items beside the {len(task.items)} of "
                f"{task.name}, with submissions until {shown_time(until)}"
            )
            if not agreed(
                session, world, told, effects, line, "Commit to a test set",
                dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            name = await approvals.commit_set(
                world, sender, task, items, pledge=amount, until=until, uri=uri
            )
            row = await world.reader.read(there.set_of(name))
            session.say(
                {**told, "set": "0x" + name.hex(), "until": row.until},
                f"committed  test set 0x{name.hex()}; items and salts are sealed here",
                f"next       issuers, until {shown_time(row.until)}: tessera approval open "
                f"0x{name.hex()} ASSET --benchmark {pool} --tau 0.8 --prior 0.7",
            )

    @command(approval, "truth")
    async def truth(
        session: Session,
        test_set: TestSet,
        *,
        uri: Uri,
        out: Annotated[Path, typer.Option(help="Write the items here, to be served there.")],
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Tell the hidden items, 8 to 80 hours after the round began; later costs the pledge."""
        from tessera.app import approvals
        from tessera.validation.hidden import write_truth

        async with session.world() as world:
            name = await id_of(world, test_set)
            hidden = await approvals.hidden_kept(world, name)
            told: dict[str, Any] = {"set": "0x" + name.hex(), "items": len(hidden.items)}
            line = f"would tell everybody {len(hidden.items)} hidden items, at {uri}"
            question = "Tell the hidden items"
            if not agreed(session, world, told, (), line, question, dry_run=dry_run, yes=yes):
                return
            # Before anybody can look for it.
            await asyncio.to_thread(write_served, out, write_truth(hidden))
            await approvals.reveal_truth(world, world.sender(session.actor("committer")), name, uri)
            session.say(
                {**told, "out": str(out)},
                f"told       {len(hidden.items)} items; serve {out} at {uri}",
                f"next       tessera approval info 0x{name.hex()}",
            )

    @command(approval, "supply")
    async def supply(
        session: Session, test_set: TestSet, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Show on the chain the hidden items that somebody demanded; within 24 hours.

        What is not shown costs the pledge.
        """
        from tessera.app import approvals
        from tessera.app.judging import situation

        async with session.world() as world:
            name = await id_of(world, test_set)
            wanted = sorted((await situation(world, name)).demands)
            told: dict[str, Any] = {"set": "0x" + name.hex(), "items": wanted}
            line = f"would show hidden items {', '.join(map(str, wanted)) or 'none'}"
            if not wanted and not dry_run:
                session.say(told, "nobody demands anything")
                return
            question = f"Show {counted(len(wanted), 'hidden item')}"
            if not agreed(session, world, told, (), line, question, dry_run=dry_run, yes=yes):
                return
            sender = world.sender(session.actor("committer"))
            shown = await approvals.supply(world, sender, name)
            session.say({**told, "items": shown}, f"shown      {', '.join(map(str, shown))}")


def _register_issuer(approval: typer.Typer) -> None:
    @command(approval, "open")
    async def open_(
        session: Session,
        test_set: TestSet,
        asset: Annotated[str, typer.Argument(help="Slug, URN or id.")],
        *,
        benchmark: Pool,
        tau: Annotated[str, typer.Option(help="Accuracy that it must reach, such as 0.8.")],
        prior: Annotated[str, typer.Option(help="Accuracy that the public expects.")],
        version: Annotated[
            int | None, typer.Option(help="Number of the version.", show_default="the latest")
        ] = None,
        budget: Annotated[str, typer.Option(help="TSR for whoever judges well.")] = "0",
        cap: Annotated[
            str, typer.Option(help="Money that shares may be sold for on the approval.")
        ] = "0",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Submit a version of an asset of yours to a test set, before its submissions end."""
        from tessera.app import approvals

        task = await pool_of(session, benchmark)
        async with session.world() as world:
            name = await id_of(world, test_set)
            record = await session.asset(world, asset)
            number = version or record.latest.version
            sender = world.sender(session.actor("publisher"))
            there = world.deployment.approvals
            amount = world.network.parse(budget, "--budget")
            most = world.currency.parse(cap, "--cap")
            terms = {
                "asset": record.asset,
                "version": number,
                "tau": parse_accuracy(tau, "--tau"),
                "prior": parse_accuracy(prior, "--prior"),
                "budget": amount,
                "cap": most,
            }
            told: dict[str, Any] = {
                "set": "0x" + name.hex(),
                **{key: str(value) for key, value in terms.items()},
            }
            effects = payment(
                world, sender.address, there.address, amount, "rewards", world.network
            )
            line = f"would submit {record.slug}@{number}; it must reach {tau}"
            question = f"Submit {record.slug}@{number}"
            if not agreed(session, world, told, effects, line, question, dry_run=dry_run, yes=yes):
                return
            round_ = await approvals.open_round(world, sender, name, task, **terms)
            session.say(
                {**told, "round": "0x" + round_.hex()},
                f"submitted  {record.slug}@{number}: round 0x{round_.hex()}",
                f"next       tessera approval info 0x{round_.hex()}",
            )


# --- Presenting ---------------------------------------------------------------------------------


def _model(world: World, asset: int) -> str:
    record = world.directory.get(asset)
    return record.slug if record is not None else f"asset {asset}"


def _told(world: World, found: Situation) -> list[str]:
    test_set, row = found.test_set, found.row
    committer, pledge = world.named(test_set.committer), world.network.shown(test_set.pledge)
    lines = [
        f"test set   0x{found.set_name.hex()}, {test_set.items} hidden items",
        f"committer  {committer}, pledge {pledge}",
    ]
    if row is None or found.name is None:
        return lines
    state = _STATES[row.state] + (", listed" if row.listed else "")
    lines += [
        f"round      0x{found.name.hex()}: {state}",
        f"model      {_model(world, row.asset)}@{row.version}, of {world.named(row.issuer)}",
        f"required   {row.tau / _MILLION:g}; the public expects {row.prior / _MILLION:g}",
    ]
    if row.counted:
        lines.append(f"count      {row.counted - 1} of {test_set.items} right")
    for each in found.validators:
        said = "silent"
        if each.revealed:
            said = "approves" if each.approves else "rejects"
            said += f", scored {each.score / _MILLION:.4f}"
        lost = f", lost {world.network.shown(each.taken)}" if each.taken else ""
        bond = world.network.shown(each.bond)
        lines.append(f"validator  {world.named(each.address)}: {bond}, {said}{lost}")
    for over in found.ended:
        lines.append(
            f"case       {over.number}: {over.outcome}; {world.named(over.case.challenger)} "
            f"against {world.named(over.case.accused)}, place {over.case.place}"
        )
    for case in found.cases:
        row_ = case.case
        lines.append(
            f"case       {case.number}: {world.named(row_.challenger)} against "
            f"{world.named(row_.accused)}, place {row_.place}"
        )
    return lines


def _json(found: Situation) -> dict[str, Any]:
    test_set, row = found.test_set, found.row
    told: dict[str, Any] = {
        "set": "0x" + found.set_name.hex(),
        "committer": test_set.committer,
        "items": test_set.items,
        "pledge": str(test_set.pledge),
        "until": test_set.until,
        "begun": test_set.begun or None,
        "truth_at": test_set.truth_at or None,
        "now": found.now,
        "draws": sorted(found.draws),
    }
    if row is None or found.name is None:
        return told
    return {
        **told,
        "round": "0x" + found.name.hex(),
        "asset": str(row.asset),
        "version": row.version,
        "issuer": row.issuer,
        "tau": row.tau,
        "prior": row.prior,
        "state": _STATES[row.state],
        "listed": row.listed,
        "score": row.score,
        "counted": row.counted - 1 if row.counted else None,
        "validators": [
            {
                "validator": each.address,
                "bond": str(each.bond),
                "revealed": each.revealed,
                "approves": each.approves if each.revealed else None,
                "score": each.score if each.revealed else None,
                "taken": str(each.taken),
            }
            for each in found.validators
        ],
        "executors": list(found.seats.executors) if found.seats else [],
        "ended": [
            {
                "case": over.number,
                "outcome": over.outcome,
                "accused": over.case.accused,
                "challenger": over.case.challenger,
                "place": over.case.place,
            }
            for over in found.ended
        ],
        "cases": [
            {
                "case": each.number,
                "accused": each.case.accused,
                "challenger": each.case.challenger,
                "place": each.case.place,
                "stake": str(each.case.stake),
                "draw": each.poll.draw if each.poll else None,
                "jurors": list(each.poll.jurors) if each.poll and each.poll.seated else [],
            }
            for each in found.cases
        ],
    }
