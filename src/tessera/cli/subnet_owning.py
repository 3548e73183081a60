"""`tessera subnet open`, `task`, `close` and what else its owner decides; its end, and earnings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import shown_time
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.places import Number
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World

__all__ = ["register"]

_ID_BYTES = 32
_ID = re.compile(r"0x[0-9a-fA-F]{64}")


def register(subnet: typer.Typer) -> None:
    """Add the commands."""
    _register_owning(subnet)
    _register_end(subnet)
    _register_earned(subnet)


# --- An owner's business --------------------------------------------------------------------------


def _register_owning(subnet: typer.Typer) -> None:
    @command(subnet, "open")
    async def open_(
        session: Session,
        number: Number,
        amount: Annotated[str, typer.Argument(help="Network tokens; they do not come back.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make a subnet's token and its market; its bootstrap is a part of what you give."""
        from tessera.app import subnets
        from tessera.app.spending import require_tokens

        async with session.world() as world:
            sender, network = world.sender(session.actor("publisher")), world.network
            units = network.parse(amount)
            await subnets.check_opening(world, sender.address, number, units)
            await require_tokens(world, sender.address, units, "the pool's opening")
            told: dict[str, object] = {"subnet": number, "amount": str(units)}
            pool = world.deployment.subnet_pool.address
            effects = payment(world, sender.address, pool, units, "given for good", network)
            what = f"the market of subnet {number} with {network.shown(units)}"
            if not agreed(
                session, world, told, effects, f"would open {what}", f"Open {what}",
                dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            token, tx_hash = await subnets.open_pool(world, sender, number, units)
            session.say(
                {**told, "token": token, "transaction": tx_hash},
                f"token     {token}",
                f"next      once a period, by anybody: tessera subnet bootstrap {number}",
            )

    @command(subnet, "bootstrap")
    async def bootstrap(
        session: Session, number: Number, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Count a subnet's bootstrap for this period. Anyone may."""
        from tessera.app import subnets

        async with session.world() as world:
            sender = world.sender(session.actor("publisher"))
            trial = world.deployment.emission.bootstrap(number)
            amount = await world.reader.read(trial, sender=sender.address, at="pending")
            shown = world.network.shown(amount)
            told: dict[str, object] = {"subnet": number, "amount": str(amount)}
            line = f"would count {shown} for subnet {number} in this period's emission"
            if not agreed(
                session, world, told, (), line, f"Count {shown}", dry_run=dry_run, yes=yes,
                gives=False,
            ):  # fmt: skip
                return
            amount, tx_hash = await subnets.bootstrap(world, sender, number)
            session.say(
                {**told, "amount": str(amount), "transaction": tx_hash},
                f"counted   {world.network.shown(amount)}",
            )

    @command(subnet, "task")
    async def task(
        session: Session,
        number: Number,
        benchmark: Annotated[
            str, typer.Argument(help="Folder or name of a benchmark, its id, or none.")
        ],
        *,
        uri: Annotated[str, typer.Option(help="Where others fetch it.")] = "",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Name the benchmark by which models are measured, from the next epoch on."""
        from tessera.app import subnets

        async with session.world() as world:
            sender = world.sender(session.actor("publisher"))
            view = await subnets.read_subnet(world, number)
            subnets.check_owner(world, sender.address, view)
            named = await _task(world, benchmark)
            told: dict[str, object] = {"subnet": number, "task": f"0x{named.hex()}", "uri": uri}
            line = f"would measure models of subnet {number} by {benchmark} from the next epoch on"
            if not agreed(
                session, world, told, (), line, f"Measure by {benchmark}", dry_run=dry_run, yes=yes
            ):
                return
            since, tx_hash = await subnets.name_task(world, sender, number, named, uri)
            session.say(
                {**told, "since": since, "transaction": tx_hash},
                f"task      0x{named.hex()} from epoch {since} on",
                f"next      models: tessera subnet join {number} MODEL",
            )

    @command(subnet, "hand-over")
    async def hand_over(
        session: Session,
        number: Number,
        to: Annotated[str, typer.Argument(help="Key or address.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Give a subnet to somebody else, with its lock."""
        from tessera.app import subnets

        async with session.world() as world:
            sender, receiver = world.sender(session.actor("publisher")), world.address(to)
            view = await subnets.read_subnet(world, number)
            subnets.check_owner(world, sender.address, view)
            lock = world.network.shown(view.lock)
            what = f"subnet {number} and its lock of {lock} to {world.named(receiver)}"
            told: dict[str, object] = {"subnet": number, "owner": receiver}
            if not agreed(
                session, world, told, (), f"would give {what}", f"Give {what}",
                dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            tx_hash = await subnets.hand_over(world, sender, number, receiver)
            session.say({**told, "transaction": tx_hash}, f"owner     {world.named(receiver)}")

    @command(subnet, "close")
    async def close(
        session: Session, number: Number, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Give notice that a subnet ends. It is not taken back."""
        from tessera.app import subnets

        async with session.world() as world:
            sender = world.sender(session.actor("publisher"))
            view = await subnets.read_subnet(world, number)
            subnets.check_owner(world, sender.address, view)
            trial = world.deployment.subnets.close(number)
            await world.reader.read(trial, sender=sender.address, at="pending")
            told: dict[str, object] = {"subnet": number}
            line = (
                f"would end subnet {number} after its closing time; nobody new comes in from now on"
            )
            if not agreed(
                session, world, told, (), line, f"End subnet {number}", dry_run=dry_run, yes=yes
            ):
                return
            at, tx_hash = await subnets.close(world, sender, number)
            session.say(
                {**told, "at": at, "transaction": tx_hash},
                f"closing   at {shown_time(at)}",
                f"next      then, for the lock: tessera subnet dissolve {number}",
            )


async def _task(world: World, text: str) -> bytes:
    """Return the id of the benchmark that somebody means."""
    from tessera.app.benchmarking import benchmarks_of_chain, folder_of
    from tessera.validation.task import open_benchmark

    if text == "none":
        return bytes(_ID_BYTES)
    if _ID.fullmatch(text):
        return bytes.fromhex(text[2:])
    await world.directory.refresh()
    return open_benchmark(folder_of(text, benchmarks_of_chain(world, text))).id


# --- Its end --------------------------------------------------------------------------------------


def _register_end(subnet: typer.Typer) -> None:
    @command(subnet, "dissolve")
    async def dissolve(
        session: Session, number: Number, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """End a subnet that was closed, or that was idle for too long. Anyone may."""
        from tessera.app import dissolving

        async with session.world() as world:
            sender, network = world.sender(session.actor("publisher")), world.network
            plan = await dissolving.plan_dissolution(world, sender.address, number)
            told: dict[str, object] = {"subnet": number}
            lock, pool = world.deployment.subnets.address, world.deployment.subnet_pool.address
            commons = world.deployment.parameters.commons
            effects = [
                *payment(world, lock, plan.owner, plan.to_owner, "its lock", network),
                *payment(world, lock, sender.address, plan.to_keeper, "of its lock", network),
                *payment(world, "", commons, plan.to_commons, "of lock and pool", network),
                *payment(world, pool, "", plan.to_holders, "for its token's holders", network),
            ]
            if not agreed(
                session, world, told, effects, f"would end subnet {number}",
                f"End subnet {number}", dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            done = await dissolving.dissolve(world, sender, number)
            told |= {
                "to_owner": str(done.to_owner),
                "to_keeper": str(done.to_keeper),
                "to_commons": str(done.to_commons),
                "to_holders": str(done.to_holders),
                "transactions": list(done.transactions),
            }
            session.say(
                told,
                f"ended     subnet {number}; {network.shown(done.to_owner)} to its owner, "
                f"{network.shown(done.to_keeper)} to its keeper, {network.shown(done.to_commons)} "
                f"to the commons, {network.shown(done.to_holders)} for its token's holders",
            )


# --- What was earned ------------------------------------------------------------------------------


def _register_earned(subnet: typer.Typer) -> None:
    @command(subnet, "withdraw")
    async def withdraw(session: Session, *, dry_run: DryRun = False, yes: Yes = False) -> None:
        """Have paid out what you earned in all subnets, as an owner, by a model or as a validator.

        A validator's network tokens go to its pool at once; here are its part of the fees, and
        what an owner and a model's owner get.
        """
        from tessera.app import subnets

        async with session.world() as world:
            sender = world.sender(session.actor("publisher"))
            due = await subnets.earned_by(world, sender.address)
            emission, why = world.deployment.emission.address, "earned in subnets"
            effects = [
                *payment(world, emission, sender.address, due.tokens, why, world.network),
                *payment(world, emission, sender.address, due.fees, why),
            ]
            told: dict[str, object] = {"tokens": str(due.tokens), "fees": str(due.fees)}
            shown = f"{world.network.shown(due.tokens)} and {world.currency.shown(due.fees)}"
            if not due.tokens and not due.fees:
                session.say({**told, "effects": []}, "nothing is yours yet")
                return
            if not agreed(
                session, world, told, effects, f"would pay {shown}", f"Pay {shown}",
                dry_run=dry_run, yes=yes, gives=False,
            ):  # fmt: skip
                return
            paid = await subnets.withdraw_earned(world, sender)
            told |= {"tokens": str(paid.tokens), "fees": str(paid.fees)}
            session.say({**told, "transactions": list(paid.transactions)}, f"paid      {shown}")
