"""`tessera bond`: network tokens at stake, one's own and delegated, and whom a bond answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli import accusing
from tessera.cli.amounts import (
    parse_percent,
    shown_duration,
    shown_percent,
    shown_time,
)
from tessera.cli.effects import DryRun, Yes, agreed, payment
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.app.bonding import PoolView, SlasherView, SlashView, StakeView

__all__ = ["register"]

_Amount = Annotated[str, typer.Argument(help="In network tokens, such as 1000.")]
_Behind = Annotated[
    str | None,
    typer.Option("--behind", help="Key or address of the validator; else your own pool."),
]
_Slasher = Annotated[
    str,
    typer.Argument(help="scores, conduct, approvals, jury, or a contract's address."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bond = typer.Typer(
        help="Stake, delegate, take back; accuse operators.",
        no_args_is_help=True,
    )
    app.add_typer(bond, name="bond")
    _register_views(bond)
    _register_stake(bond)
    _register_rules(bond)
    accusing.register(bond)


def _actor(session: Session, behind: str | None) -> str:
    return session.actor("validator" if behind is None else "delegator")


# --- What is there --------------------------------------------------------------------------------


def _register_views(bond: typer.Typer) -> None:
    @command(bond, "list")
    async def list_(session: Session) -> None:
        """List all that ever had stake, the largest bond first."""
        from tessera.app.bonding import find_pools

        async with session.world() as world:
            pools = await find_pools(world)
            table = session.table("validator!", "bonded>", "its own>", "take>", "state")
            for pool in pools:
                table.add_row(
                    world.named(pool.validator), world.network.shown(pool.bonded),
                    world.network.shown(pool.own), shown_percent(pool.take_bps), _state(pool),
                )  # fmt: skip
            session.present(
                {"pools": [_pool_json(pool) for pool in pools]},
                lambda console: console.print(table if pools else "nobody has staked yet"),
            )

    @command(bond, "info")
    async def info(
        session: Session,
        validator: Annotated[
            str | None, typer.Argument(help="Key or address; else your validator.")
        ] = None,
    ) -> None:
        """Show what stands behind somebody, who may slash it, and your part of it."""
        from tessera.app.bonding import find_slashes, find_stakes, read_pool, read_stake
        from tessera.errors import InputError

        async with session.world() as world:
            name = validator or session.actor("validator")
            if validator is None and name not in world.wallet.names():
                raise InputError(
                    "pool", found="none named", wanted="a validator's",
                    next_step="name one: tessera bond info VALIDATOR; or be one: --as KEY",
                )  # fmt: skip
            who = world.address(name)
            pool = await read_pool(world, who)
            stakes = await find_stakes(world, who)
            slashes = await find_slashes(world, who)
            held = await world.reader.read(world.deployment.network_token.balanceOf(who))
            if (name := session.actor("delegator")) in world.wallet.names():
                mine = await read_stake(world, who, world.address(name))
                stakes += [mine] if mine.account != who and (mine.shares or mine.leaving) else []
            times = await world.reader.read(world.deployment.bond.times())
            delay, notice, max_freeze, _ = times
            session.say(
                {
                    **_pool_json(pool),
                    "stakes": [_stake_json(each) for each in stakes],
                    "held": str(held),
                    "slashes": [_slash_json(each) for each in slashes],
                    "delay_s": delay,
                    "notice_s": notice,
                    "max_freeze_s": max_freeze,
                },
                *_pool_lines(world, pool),
                *(_slash_line(world, each) for each in slashes),
                *(_stake_line(world, each) for each in stakes),
                f"free      {world.network.shown(held)}, not at stake",
                f"delay     {shown_duration(delay)} until what is taken back is paid out; a new "
                f"slasher or a higher take waits {shown_duration(notice)}",
            )


def _state(pool: PoolView) -> str:
    if pool.closed:
        return "closed"
    return f"frozen until {shown_time(pool.frozen_until)}" if pool.frozen_until else ""


def _pool_lines(world: World, pool: PoolView) -> list[str]:
    shown = world.network.shown
    announced = (
        f", {shown_percent(pool.next_take_bps)} from {shown_time(pool.take_from)}"
        if pool.take_from
        else ""
    )
    lines = [
        f"pool      {world.named(pool.validator)}",
        f"bonded    {shown(pool.bonded)}; {shown(pool.own)} of what can be slashed is its own",
    ]
    if pool.leaving:
        lines.append(f"leaving   {shown(pool.leaving)}, slashable until it is paid out")
    if pool.coming:
        until = shown_time(pool.streams_until)
        lines.append(f"coming    {shown(pool.coming)} of rewards, until {until}")
    lines.append(f"take      {shown_percent(pool.take_bps)}{announced}")
    if state := _state(pool):
        lines.append(f"state     {state}")
    if not pool.slashers:
        lines.append("slashers  none: nobody can take any of it, and no subnet takes it as bond")
    return lines + [
        f"slasher   {world.named(each.address)}  {_power(each)}" for each in pool.slashers
    ]


def _power(slasher: SlasherView) -> str:
    if not slasher.has_power:
        return "no more" if slasher.leaves_at else f"from {shown_time(slasher.since)}"
    if slasher.leaves_at:
        return f"until {shown_time(max(slasher.leaves_at, slasher.backed_until))}"
    return f"since {shown_time(slasher.since)}"


def _stake_line(world: World, stake: StakeView) -> str:
    line = f"stake     {world.named(stake.account)} has {world.network.shown(stake.worth)}"
    if stake.validator != stake.account:
        line += f" behind {world.named(stake.validator)}"
    if stake.leaving:
        ready = shown_time(stake.ready_at)
        line += f"; takes {world.network.shown(stake.leaving)} back, ready at {ready}"
    return line


def _slash_line(world: World, slash: SlashView) -> str:
    by = world.named(slash.slasher)
    return f"slashed   {world.network.shown(slash.taken)} at {shown_time(slash.at)} by {by}"


def _slash_json(slash: SlashView) -> dict[str, object]:
    return {
        "at": slash.at,
        "slasher": slash.slasher,
        "case": f"0x{slash.case.hex()}",
        "taken": str(slash.taken),
        "whistle_blower": slash.whistle_blower,
        "bounty": str(slash.bounty),
    }


def _pool_json(pool: PoolView) -> dict[str, object]:
    return {
        "validator": pool.validator,
        "bonded": str(pool.bonded),
        "shares": str(pool.shares),
        "own": str(pool.own),
        "slashable": str(pool.slashable),
        "coming": str(pool.coming),
        "streams_until": pool.streams_until,
        "leaving": str(pool.leaving),
        "take_bps": pool.take_bps,
        "next_take_bps": pool.next_take_bps,
        "take_from": pool.take_from,
        "frozen_until": pool.frozen_until,
        "closed": pool.closed,
        "slashers": [
            {
                "address": each.address,
                "since": each.since,
                "leaves_at": each.leaves_at,
                "backed_until": each.backed_until,
                "has_power": each.has_power,
            }
            for each in pool.slashers
        ],
    }


def _stake_json(stake: StakeView) -> dict[str, object]:
    return {
        "validator": stake.validator,
        "account": stake.account,
        "shares": str(stake.shares),
        "worth": str(stake.worth),
        "leaving": str(stake.leaving),
        "ready_at": stake.ready_at,
    }


# --- Stake ----------------------------------------------------------------------------------------


def _register_stake(bond: typer.Typer) -> None:
    @command(bond)
    async def stake(
        session: Session,
        amount: _Amount,
        *,
        behind: _Behind = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Put network tokens at stake: as your own bond, or behind a validator."""
        from tessera.app import bonding
        from tessera.app.spending import require_tokens

        async with session.world() as world:
            sender = world.sender(_actor(session, behind))
            validator = world.address(behind) if behind else sender.address
            units = world.network.parse(amount)
            pool = await bonding.check_stake(world, sender.address, units, validator)
            await require_tokens(world, sender.address, units, "the stake")
            what = f"{world.network.shown(units)} behind {world.named(validator)}"
            told: dict[str, object] = {"validator": validator, "amount": str(units)}
            told["slashers"] = [each.address for each in pool.slashers if each.has_power]
            effects = payment(
                world, sender.address, world.deployment.bond.address, units, "at stake",
                world.network,
            )  # fmt: skip
            if behind is None and not pool.slashers and not session.as_json:
                session.note(
                    "note: this bond answers to nobody yet, and no subnet takes it; at once only "
                    "before the first stake: tessera bond enlist scores"
                )
            line = f"would stake {what}; {_risk(world, pool)}"
            if not agreed(
                session, world, told, effects, line, f"Stake {what}", dry_run=dry_run, yes=yes
            ):
                return
            done = await bonding.stake(world, sender, units, validator)
            session.say(
                {**told, "shares": str(done.shares), "transaction": done.tx_hash},
                f"staked    {what}",
                f"next      tessera bond info {behind or sender.address}",
            )

    @command(bond)
    async def unstake(
        session: Session,
        amount: Annotated[str | None, typer.Argument(help="Network tokens; else all.")] = None,
        *,
        behind: _Behind = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Begin to take stake back; until it is ready it earns nothing and can be slashed."""
        from tessera.app import bonding

        async with session.world() as world:
            sender = world.sender(_actor(session, behind))
            validator = world.address(behind) if behind else sender.address
            units = None if amount is None else world.network.parse(amount)
            before = await bonding.read_stake(world, validator, sender.address)
            shares, gives = await bonding.plan_unstake(world, sender.address, validator, units)
            delay = (await world.reader.read(world.deployment.bond.times()))[0]
            what = f"{world.network.shown(gives)} from behind {world.named(validator)}"
            told: dict[str, object] = {
                "validator": validator, "amount": str(gives), "shares": str(shares),
            }  # fmt: skip
            line = f"would take {what} back, ready {shown_duration(delay)} from now"
            if before.leaving:
                line += (
                    f", and with it the {world.network.shown(before.leaving)} that leave already"
                )
            if not agreed(
                session, world, told, (), line, f"Take {what} back", dry_run=dry_run, yes=yes
            ):
                return
            done = await bonding.unstake(world, sender, validator, units)
            told |= {"amount": str(done.amount), "ready_at": done.ready_at}
            more = f" --behind {behind}" if behind else ""
            session.say(
                {**told, "transaction": done.tx_hash},
                f"leaving   {world.network.shown(done.amount)}",
                f"ready     at {shown_time(done.ready_at)}",
                f"next      then: tessera bond withdraw{more}; or back: tessera bond restake{more}",
            )

    @command(bond)
    async def restake(
        session: Session, *, behind: _Behind = None, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Put all that leaves at stake again."""
        from tessera.app import bonding

        async with session.world() as world:
            sender = world.sender(_actor(session, behind))
            validator = world.address(behind) if behind else sender.address
            held = await bonding.read_stake(world, validator, sender.address)
            trial = world.deployment.bond.restake(validator)
            await world.reader.read(trial, sender=sender.address, at="pending")
            what = f"{world.network.shown(held.leaving)} behind {world.named(validator)}"
            told: dict[str, object] = {"validator": validator, "amount": str(held.leaving)}
            line = f"would stake {what} again"
            if not agreed(
                session, world, told, (), line, f"Stake {what} again", dry_run=dry_run, yes=yes
            ):
                return
            done = await bonding.restake(world, sender, validator)
            told |= {"amount": str(done.amount), "shares": str(done.shares)}
            session.say({**told, "transaction": done.tx_hash}, f"staked    {what}")

    @command(bond)
    async def withdraw(
        session: Session,
        *,
        behind: _Behind = None,
        to: Annotated[str | None, typer.Option(help="Key or address; else yourself.")] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Have paid out what you took back, once its delay is over and nothing is frozen."""
        from tessera.app import bonding

        async with session.world() as world:
            sender = world.sender(_actor(session, behind))
            validator = world.address(behind) if behind else sender.address
            receiver = world.address(to) if to else sender.address
            trial = world.deployment.bond.withdraw(validator, receiver)
            due = await world.reader.read(trial, sender=sender.address, at="pending")
            what = f"{world.network.shown(due)} to {world.named(receiver)}"
            told: dict[str, object] = {"validator": validator, "receiver": receiver}
            told["amount"] = str(due)
            effects = payment(
                world, world.deployment.bond.address, receiver, due, "taken back", world.network
            )
            if not agreed(
                session, world, told, effects, f"would pay {what}", f"Pay {what}",
                dry_run=dry_run, yes=yes, gives=receiver != sender.address,
            ):  # fmt: skip
                return
            done = await bonding.withdraw(world, sender, validator, receiver)
            told["amount"] = str(done.amount)
            session.say({**told, "transaction": done.tx_hash}, f"paid      {what}")


def _risk(world: World, pool: PoolView) -> str:
    names = [world.named(each.address) for each in pool.slashers if not each.leaves_at]
    return f"it answers to {', '.join(names)}" if names else "it answers to nobody"


# --- What a validator decides ---------------------------------------------------------------------


def _register_rules(bond: typer.Typer) -> None:
    @command(bond)
    async def take(
        session: Session,
        percent: Annotated[str, typer.Argument(help="Of your pool's rewards, up to 18.")],
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Set your part of your pool's rewards; a higher one counts after the notice."""
        from tessera.app import bonding

        async with session.world() as world:
            sender = world.sender(session.actor("validator"))
            bps = parse_percent(percent, "take")
            trial = world.deployment.bond.set_take(bps)
            since = await world.reader.read(trial, sender=sender.address, at="pending")
            told: dict[str, object] = {"take_bps": bps, "effective_from": since}
            line = f"would keep {shown_percent(bps)} of rewards from {shown_time(since)} on"
            question = f"Keep {shown_percent(bps)} of rewards"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            since, tx_hash = await bonding.set_take(world, sender, bps)
            session.say(
                {**told, "effective_from": since, "transaction": tx_hash},
                f"take      {shown_percent(bps)} from {shown_time(since)} on",
            )

    @command(bond)
    async def enlist(
        session: Session, slasher: _Slasher, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Let a contract hold your bond to account: at once before the first stake, else later.

        Scores wants it of validators, Conduct of operators, Approvals and Jury of who votes there.
        """
        from tessera.app import bonding

        async with session.world() as world:
            sender = world.sender(session.actor("validator"))
            address = bonding.slasher_of(world, slasher)
            trial = world.deployment.bond.enlist(address)
            since = await world.reader.read(trial, sender=sender.address, at="pending")
            told: dict[str, object] = {"slasher": address, "effective_from": since}
            what = f"{world.named(address)} slash the bond of {world.named(sender.address)}"
            line = f"would let {what} where it has proof, from {shown_time(since)} on"
            if not agreed(session, world, told, (), line, f"Let {what}", dry_run=dry_run, yes=yes):
                return
            since, tx_hash = await bonding.enlist(world, sender, address)
            session.say(
                {**told, "effective_from": since, "transaction": tx_hash},
                f"enlisted  {world.named(address)} from {shown_time(since)} on",
                "next      tessera bond stake AMOUNT",
            )

    @command(bond)
    async def leave(
        session: Session, slasher: _Slasher, *, dry_run: DryRun = False, yes: Yes = False
    ) -> None:
        """Take a contract's power over your bond away, after the delay."""
        from tessera.app import bonding

        async with session.world() as world:
            sender = world.sender(session.actor("validator"))
            address = bonding.slasher_of(world, slasher)
            trial = world.deployment.bond.leave(address)
            until = await world.reader.read(trial, sender=sender.address, at="pending")
            told: dict[str, object] = {"slasher": address, "until": until}
            line = f"would end the power of {world.named(address)} at {shown_time(until)}"
            question = f"End the power of {world.named(address)}"
            if not agreed(
                session, world, told, (), line, question, dry_run=dry_run, yes=yes, gives=False
            ):
                return
            until, tx_hash = await bonding.leave(world, sender, address)
            session.say(
                {**told, "until": until, "transaction": tx_hash},
                f"leaving   {world.named(address)} has power until {shown_time(until)}",
            )
