"""`tessera subnet`: make one, look at it, and what its owner decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli import places, subnet_owning, subnet_tokens
from tessera.cli.amounts import (
    parse_duration,
    parse_percent,
    shown_duration,
    shown_percent,
    shown_time,
)
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.places import Number
from tessera.cli.session import Session, command
from tessera.units import BPS

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.app.subnets import SubnetView
    from tessera.bindings.subnets import Rules

__all__ = ["register"]

_WHOLE = 65_535
_MILLION = 1_000_000
_Cost = Annotated[
    str | None,
    typer.Option("--max-cost", help="The most to pay, in network tokens; else what it costs now."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    subnet = typer.Typer(
        help="Make and run a subnet; take a place in one.",
        no_args_is_help=True,
    )
    app.add_typer(subnet, name="subnet")
    _register_views(subnet)
    _register_making(subnet)
    places.register(subnet)
    subnet_owning.register(subnet)
    subnet_tokens.register(subnet)


# --- What there is --------------------------------------------------------------------------------


def _register_views(subnet: typer.Typer) -> None:
    @command(subnet, "list")
    async def list_(session: Session) -> None:
        """List all subnets."""
        from tessera.app.subnets import list_subnets

        async with session.world() as world:
            found = await list_subnets(world)
            table = session.table(
                "subnet>", "owner!", "models>", "validators>", "epoch>", "a place burns>", "state"
            )
            for view in found:
                table.add_row(
                    str(view.number), world.named(view.owner), str(view.models[0] - view.models[1]),
                    str(view.validators[0] - view.validators[1]), str(view.epoch),
                    world.network.shown(view.burn), _state(view),
                )  # fmt: skip
            session.present(
                {"subnets": [_json(view) for view in found]},
                lambda console: console.print(
                    table if found else "no subnets yet: tessera subnet create"
                ),
            )

    @command(subnet, "info")
    async def info(session: Session, number: Number) -> None:
        """Show a subnet: its rules, its clock, and who has which place."""
        from tessera.app.contests import MODELS, VALIDATORS, read_places
        from tessera.app.subnets import read_subnet

        async with session.world() as world:
            view = await read_subnet(world, number)
            await world.directory.refresh()
            models = await read_places(world, view, MODELS)
            validators = await read_places(world, view, VALIDATORS)
            bonds = await places.bonds_of(world, validators)
            session.say(
                {
                    **_json(view),
                    "models": [places.place_json(each) for each in models],
                    "validators": [
                        {**places.place_json(each), "bonded": str(bonds[each.uid])}
                        for each in validators
                    ],
                },
                *_lines(world, view),
                *(places.place_line(world, view, each) for each in models),
                *(places.place_line(world, view, each, bonds[each.uid]) for each in validators),
            )


def _state(view: SubnetView) -> str:
    if view.dissolved:
        return "dissolved"
    if not view.live:
        return "closed, to be dissolved"
    return f"closes at {shown_time(view.closing_at)}" if view.closing_at else "open"


def _lines(world: World, view: SubnetView) -> list[str]:
    shown, rules, pool = world.network.shown, view.rules, view.pool
    models, validators = view.models[0] - view.models[1], view.validators[0] - view.validators[1]
    final = "none is final" if view.last_final is None else f"{view.last_final} is final"
    lines = [
        f"subnet    {view.number} of {world.named(view.owner)}, {_state(view)}",
        f"epoch     {view.epoch}, until {shown_time(view.ends)}; {final}",
        *_rules_lines(world, rules),
        (
            f"places    {models} of {rules.max_models} for models, {validators} of "
            f"{rules.max_validators} for validators; one burns {shown(view.burn)} now"
        ),
        f"lock      {shown(view.lock)}, the owner's again when it closes the subnet",
    ]
    for each in view.tasks[-2:]:
        what = f"0x{each.task.hex()}" if any(each.task) else "none"
        lines.append(f"task      {what} {each.uri} from epoch {each.since} on")
    if pool is None:
        lines.append(
            f"pool      none: its owner can open one: tessera subnet open {view.number} AMOUNT"
        )
    elif pool.closed:
        lines.append(f"pool      closed; {shown(pool.network_tokens)} for who redeems {pool.token}")
    else:
        lines.append(
            f"pool      {shown(pool.network_tokens)}, opened with {shown(pool.opening)}; "
            f"a token {pool.token} is {shown(pool.price)}"
        )
    return lines


def _rules_lines(world: World, rules: Rules) -> list[str]:
    yuma = "Yuma 3" if rules.yuma3 else "Yuma 2"
    return [
        (
            f"rules     {yuma}, an epoch of {shown_duration(rules.tempo)}, "
            f"kappa {_share(rules.kappa, _WHOLE)}, "
            f"bonds' penalty {_share(rules.bonds_penalty, _WHOLE)}, "
            f"average {_share(rules.bonds_moving_average, _MILLION)}"
        ),
        (
            f"          a validator's bond is {world.network.shown(rules.threshold)} or more; "
            f"newcomers are immune for {shown_duration(rules.immunity)}"
        ),
    ]


def _share(part: int, whole: int) -> str:
    # Rounded to the nearest hundredth, as 32,767 of 65,535 is what people call a half.
    return shown_percent((part * BPS + whole // 2) // whole)


def _json(view: SubnetView) -> dict[str, object]:
    rules, pool = view.rules, view.pool
    return {
        "subnet": view.number,
        "owner": view.owner,
        "state": _state(view),
        "live": view.live,
        "lock": str(view.lock),
        "burn": str(view.burn),
        "epoch": view.epoch,
        "began": view.began,
        "ends": view.ends,
        "last_final": view.last_final,
        "tasks": [
            {"task": f"0x{each.task.hex()}", "uri": each.uri, "since": each.since}
            for each in view.tasks
        ],
        "closing_at": view.closing_at,
        "model_count": view.models[0] - view.models[1],
        "validator_count": view.validators[0] - view.validators[1],
        "rules": _rules_json(rules),
        "pool": None
        if pool is None
        else {
            "token": pool.token,
            "tokens": str(pool.tokens),
            "network_tokens": str(pool.network_tokens),
            "price": str(pool.price),
            "mean": str(pool.mean),
            "opening": str(pool.opening),
            "closed": pool.closed,
        },
    }


def _rules_json(rules: Rules) -> dict[str, object]:
    return {
        "tempo_s": rules.tempo,
        "kappa": rules.kappa,
        "bonds_penalty": rules.bonds_penalty,
        "bonds_moving_average": rules.bonds_moving_average,
        "yuma3": rules.yuma3,
        "max_models": rules.max_models,
        "max_validators": rules.max_validators,
        "immunity_s": rules.immunity,
        "burn_half_life_s": rules.burn_half_life,
        "min_burn": str(rules.min_burn),
        "threshold": str(rules.threshold),
    }


# --- Making one -----------------------------------------------------------------------------------


def _register_making(subnet: typer.Typer) -> None:
    @command(subnet, "create")
    async def create(
        session: Session,
        *,
        tempo: Annotated[str | None, typer.Option(help="Of an epoch, such as 24h.")] = None,
        kappa: Annotated[
            str | None, typer.Option(help="Percent of the stake behind a weight, 50 to 90.")
        ] = None,
        bonds_penalty: Annotated[
            str | None, typer.Option(help="Percent that weights above the consensus cost.")
        ] = None,
        bonds_average: Annotated[
            str | None, typer.Option(help="Percent of the old bonds that stays in an epoch.")
        ] = None,
        yuma3: Annotated[bool, typer.Option("--yuma3", help="Count bonds as Yuma 3 does.")] = False,
        models: Annotated[int | None, typer.Option(help="Places, up to 4,096.")] = None,
        validators: Annotated[int | None, typer.Option(help="Places, up to 256.")] = None,
        immunity: Annotated[
            str | None, typer.Option(help="Time in which a newcomer goes last, such as 4d.")
        ] = None,
        burn_half_life: Annotated[
            str | None, typer.Option(help="In which a place's price halves.")
        ] = None,
        min_burn: Annotated[
            str | None, typer.Option(help="Least price of a place, in network tokens.")
        ] = None,
        threshold: Annotated[
            str | None, typer.Option(help="Least bond of a validator, in network tokens.")
        ] = None,
        max_cost: _Cost = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make a subnet. Its rules never change; its lock is yours again when you close it."""
        import msgspec

        from tessera.app import subnets
        from tessera.app.spending import require_tokens

        async with session.world() as world:
            sender, network = world.sender(session.actor("publisher")), world.network
            given: dict[str, int | None] = {
                "tempo": _duration(tempo, "--tempo"),
                "kappa": _part(kappa, "--kappa", _WHOLE),
                "bonds_penalty": _part(bonds_penalty, "--bonds-penalty", _WHOLE),
                "bonds_moving_average": _part(bonds_average, "--bonds-average", _MILLION),
                "max_models": models,
                "max_validators": validators,
                "immunity": _duration(immunity, "--immunity"),
                "burn_half_life": _duration(burn_half_life, "--burn-half-life"),
                "min_burn": network.parse(min_burn, "--min-burn") if min_burn else None,
                "threshold": network.parse(threshold, "--threshold") if threshold else None,
            }
            chosen = {name: value for name, value in given.items() if value is not None}
            default = subnets.default_rules(world.deployment.parameters.hour_s)
            rules = msgspec.structs.replace(default, yuma3=yuma3, **chosen)
            await subnets.check_rules(world, rules)
            most = network.parse(max_cost, "--max-cost") if max_cost else None
            lock = await subnets.plan_lock(world, most)
            await require_tokens(world, sender.address, lock, "the lock")
            told: dict[str, object] = {"rules": _rules_json(rules), "lock": str(lock)}
            effects = payment(
                world, sender.address, world.deployment.subnets.address, lock, "locked", network
            )
            line = f"would make a subnet for {network.shown(lock)}, locked until it ends"
            if not session.as_json:
                for each in _rules_lines(world, rules):
                    session.note(each)
            if not agreed(
                session, world, told, effects, line, "Make this subnet", dry_run=dry_run, yes=yes
            ):
                return
            done = await subnets.create(world, sender, rules, lock if most is None else most)
            session.say(
                {
                    **told,
                    "subnet": done.subnet,
                    "lock": str(done.lock),
                    "transaction": done.tx_hash,
                },
                f"subnet    {done.subnet}",
                f"next      tessera subnet open {done.subnet} AMOUNT; then models: "
                f"tessera subnet join {done.subnet} MODEL",
            )


def _part(text: str | None, thing: str, whole: int) -> int | None:
    # Rounded down.
    return None if text is None else parse_percent(text, thing) * whole // BPS


def _duration(text: str | None, thing: str) -> int | None:
    return None if text is None else parse_duration(text, thing)
