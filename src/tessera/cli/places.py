"""`tessera subnet join`, `leave`, `admit` and `correct`: places of models and validators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.amounts import shown_time
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.app.contests import PlaceView
    from tessera.app.places import Seat
    from tessera.app.subnets import SubnetView
    from tessera.ownership.effects import Effect

__all__ = ["Number", "bonds_of", "place_json", "place_line", "register"]

Number = Annotated[int, typer.Argument(help="Number of the subnet.", min=1)]
_Model = Annotated[
    str | None,
    typer.Argument(help="Slug, URN or id of the model; without one it is about a validator."),
]
_Uid = Annotated[int, typer.Argument(help="Of the place.", min=0)]
_Mirror = Annotated[
    list[str] | None, typer.Option("--mirror", help="Who serves results of epochs, too.")
]
_Validators = Annotated[
    bool, typer.Option("--validators", help="Of a validator's place, not of a model's.")
]


def register(subnet: typer.Typer) -> None:
    """Add the commands."""
    _register_coming(subnet)
    _register_contest(subnet)


async def bonds_of(world: World, validators: list[PlaceView]) -> dict[int, int]:
    """Return what stands behind the validators of some places, by uid; 0 behind nobody."""
    from tessera.app.contests import validator_at

    calls = [world.deployment.bond.bonded(validator_at(each.occupant)) for each in validators]
    found = await world.reader.read_all(calls, at="pending")
    return {each.uid: bond for each, bond in zip(validators, found, strict=True)}


def place_json(place: PlaceView) -> dict[str, object]:
    """Return a place as JSON values: of a model its asset, of a validator its address."""
    return {
        "uid": place.uid,
        "occupant": _occupant(place.side, place.occupant),
        "since": place.since,
        "waiting": _occupant(place.side, place.waiting),
    }


def place_line(world: World, subnet: SubnetView, place: PlaceView, bond: int = 0) -> str:
    """Return a place as a line for people."""
    kind = "validator" if place.side else "model    "
    who = _name(world, place.side, place.occupant) if place.occupant else "nobody"
    line = f"{kind} {place.uid}  {who}"
    if place.occupant and place.side:
        line += f"  {world.network.shown(bond)}"
    if place.since > subnet.epoch:
        line += f"  from epoch {place.since} on"
    if place.waiting:
        line += f"; {_name(world, place.side, place.waiting)} waits for it"
    return line


def _occupant(side: int, number: int) -> str | None:
    from tessera.app.contests import validator_at

    if not number:
        return None
    return validator_at(number) if side else str(number)


def _name(world: World, side: int, number: int) -> str:
    from tessera.app.contests import validator_at

    if side:
        return world.named(validator_at(number))
    record = world.directory.get(number)
    return record.slug if record is not None else str(number)


# --- Coming and going -----------------------------------------------------------------------------


def _register_coming(subnet: typer.Typer) -> None:
    @command(subnet, "join")
    async def join(
        session: Session,
        number: Number,
        model: _Model = None,
        *,
        uid: Annotated[
            int | None, typer.Option(help="The place; else a free one, or the lowest.", min=0)
        ] = None,
        max_cost: Annotated[
            str | None,
            typer.Option("--max-cost", help="The most to burn; else what a place costs now."),
        ] = None,
        mirror: _Mirror = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Put a model into a subnet, or take a validator's place in it.

        Counts from the next epoch on. In a full table the newcomer waits for the lowest, with a
        deposit as high as the burn, which is lost if somebody shows a lower one.
        """
        from tessera.app import contests, places
        from tessera.app.spending import require_tokens

        async with session.world() as world:
            sender = world.sender(session.actor("publisher" if model else "validator"))
            most = world.network.parse(max_cost, "--max-cost") if max_cost else None
            side, asset, who = contests.VALIDATORS, 0, world.named(sender.address)
            if model:
                record = await session.asset(world, model)
                side, asset, who = contests.MODELS, record.asset, record.slug
                seat = await places.plan_model(
                    world, sender.address, number, asset, uid=uid, most=most, mirrors=mirror or ()
                )
            else:
                seat = await places.plan_validator(
                    world, sender.address, number, uid=uid, most=most
                )
            await require_tokens(world, sender.address, seat.cost, "a place")
            told: dict[str, object] = {
                "subnet": number, "side": side, "uid": seat.uid, "burn": str(seat.burn),
                "deposit": str(seat.deposit), "replaces": _occupant(side, seat.replaces),
            }  # fmt: skip
            line = f"would take place {seat.uid} of subnet {number} for {who}"
            if seat.replaces:
                line = (
                    f"would wait for place {seat.uid} of subnet {number} with {who}, in place of "
                )
                line += _name(world, side, seat.replaces)
            if not agreed(
                session, world, told, _effects(world, sender.address, seat), line,
                f"Take place {seat.uid} of subnet {number} for {who}", dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            if model:
                done = await places.join_model(
                    world, sender, number, asset, uid=seat.uid, most=most
                )
            else:
                done = await places.join_validator(world, sender, number, uid=seat.uid, most=most)
            told |= {"burn": str(done.burn), "deposit": str(done.deposit)}
            told |= {"counts_from": done.counts_from, "admitted_from": done.admitted_from}
            told["transactions"] = list(done.transactions)
            if done.admitted_from:
                more = "" if model else " --validators"
                session.say(
                    told,
                    f"waiting   for place {done.uid}, until {shown_time(done.admitted_from)}",
                    f"next      then: tessera subnet admit {number} {done.uid}{more}",
                )
                return
            session.say(
                told,
                f"place     {done.uid} of subnet {number}, from epoch {done.counts_from} on",
                f"next      tessera subnet info {number}"
                if model
                else f"next      tessera validate {number}",
            )

    @command(subnet, "leave")
    async def leave(
        session: Session,
        number: Number,
        model: _Model = None,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Take a model out of a subnet, or give a validator's place up, from the next epoch on."""
        from tessera.app import places
        from tessera.errors import InputError

        async with session.world() as world:
            sender = world.sender(session.actor("publisher" if model else "validator"))
            contract, who, asset = world.deployment.subnets, world.named(sender.address), 0
            if model:
                record = await session.asset(world, model)
                asset, who = record.asset, record.slug
                home = await world.reader.read(contract.subnet_of(asset), at="pending")
                if home != number:
                    raise InputError(
                        who, found=f"in subnet {home}" if home else "in no subnet",
                        wanted=f"in subnet {number}", next_step="tessera subnet list",
                    )  # fmt: skip
            trial = contract.deregister_model(asset) if model else (
                contract.deregister_validator(number)
            )  # fmt: skip
            await world.reader.read(trial, sender=sender.address, at="pending")
            told: dict[str, object] = {"subnet": number, "leaves": str(asset) if model else who}
            what = f"{who} out of subnet {number}"
            if not agreed(
                session, world, told, (), f"would take {what}; what the place cost is gone",
                f"Take {what}", dry_run=dry_run, yes=yes,
            ):  # fmt: skip
                return
            since, tx_hash = (
                await places.leave_model(world, sender, asset)
                if model
                else await places.leave_validator(world, sender, number)
            )
            session.say(
                {**told, "since": since, "transaction": tx_hash},
                f"left      {who}, from epoch {since} on",
            )


def _effects(world: World, account: str, seat: Seat) -> list[Effect]:
    subnets = world.deployment.subnets.address
    return [
        *payment(world, account, "", seat.burn, "burned", world.network),
        *payment(world, account, subnets, seat.deposit, "deposit, until admitted", world.network),
    ]


# --- Being shown a lower place, and admitted ------------------------------------------------------


def _register_contest(subnet: typer.Typer) -> None:
    @command(subnet, "admit")
    async def admit(
        session: Session,
        number: Number,
        uid: _Uid,
        *,
        validators: _Validators = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Give a place to who waits for it, once nobody can show a lower one. Anyone may."""
        from tessera.app import places

        async with session.world() as world:
            sender, side = world.sender(session.actor("publisher")), int(validators)
            trial = world.deployment.subnets.admit(number, side, uid)
            await world.reader.read(trial, sender=sender.address, at="pending")
            told: dict[str, object] = {"subnet": number, "side": side, "uid": uid}
            line = f"would give place {uid} of subnet {number} to who waits for it"
            if not agreed(
                session, world, told, (), line, f"Give place {uid}", dry_run=dry_run, yes=yes,
                gives=False,
            ):  # fmt: skip
                return
            since, tx_hash = await places.admit(world, sender, number, side, uid)
            session.say(
                {**told, "since": since, "transaction": tx_hash},
                f"admitted  place {uid}, from epoch {since} on; the deposit went back",
            )

    @command(subnet, "correct")
    async def correct(
        session: Session,
        number: Number,
        uid: _Uid,
        lower: Annotated[
            int | None, typer.Argument(help="Uid of the lower place; else the lowest.", min=0)
        ] = None,
        *,
        validators: _Validators = False,
        mirror: _Mirror = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Show that a newcomer waits for another place than the lowest, for part of its deposit."""
        from tessera.app import contests

        async with session.world() as world:
            sender, side = world.sender(session.actor("publisher")), int(validators)
            plan = await contests.plan_correction(
                world, number, side, uid, lower, mirrors=mirror or ()
            )
            told: dict[str, object] = {"subnet": number, "side": side, "uid": uid}
            told["lower"] = plan.lower
            line = f"would show that place {plan.lower} of subnet {number} is lower than {uid}"
            if not agreed(
                session, world, told, (), line, f"Show place {plan.lower}", dry_run=dry_run,
                yes=yes, gives=False,
            ):  # fmt: skip
                return
            reward, tx_hash = await contests.correct(world, sender, number, side, plan)
            session.say(
                {**told, "reward": str(reward), "transaction": tx_hash},
                f"shown     {world.network.shown(reward)} of the deposit are yours",
            )
