"""Network tokens at stake behind validators and operators: one's own, delegated, and what leaves.

Delegating is staking behind somebody else. Whoever may slash a pool is chosen by its validator, at
once while nobody has staked, and from then on with notice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from tessera.app.spending import spend
from tessera.app.world import World
from tessera.bindings.bond import (
    Enlisted,
    Left,
    Restaked,
    Slashed,
    Staked,
    TakeSet,
    Unstaked,
    Withdrawn,
)
from tessera.bindings.calls import Call
from tessera.chain.sender import Sender
from tessera.errors import Closed, Conflict, InputError, NotFound
from tessera.spec.bond import SHARES_PER_TOKEN
from tessera.units import UnixSeconds

__all__ = [
    "Leaving",
    "PoolView",
    "SlashView",
    "SlasherView",
    "StakeView",
    "Staking",
    "Withdrawal",
    "check_stake",
    "enlist",
    "find_pools",
    "find_slashes",
    "find_stakes",
    "leave",
    "plan_unstake",
    "read_pool",
    "read_stake",
    "restake",
    "set_take",
    "slasher_of",
    "stake",
    "unstake",
    "withdraw",
]

SLASHERS: Final = ("Scores", "Conduct", "Approvals", "Jury")
"""Contracts of a deployment to which validators, operators and jurors answer with their bond."""


@dataclass(frozen=True, slots=True)
class SlasherView:
    """Who may take stake of a pool.

    Attributes
    ----------
    address
        A contract.
    since
        From when it has power, unix seconds.
    leaves_at
        When its power was asked to end; 0 where it was not.
    backed_until
        Until when the pool answers to it in any case.
    has_power
        Whether it may open cases now.
    """

    address: str
    since: UnixSeconds
    leaves_at: UnixSeconds
    backed_until: UnixSeconds
    has_power: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """All that stands behind a validator or an operator; raw network tokens and unix seconds.

    Attributes
    ----------
    validator
        Whose pool.
    bonded, shares
        At stake, and in how many shares.
    own
        The validator's own part of what is slashable.
    slashable
        At stake, leaving, and still streaming in.
    coming, streams_until
        Reward that still streams in, and until when; 0 and 0 where none does.
    leaving
        What was taken back and can still be slashed.
    take_bps, next_take_bps, take_from
        The validator's part of rewards; and the one that was announced, from when (0: none was).
    frozen_until
        When an accusation's freeze ends at the latest; 0 where there is none.
    closed
        Whether slashes left so little that nobody can stake here any more.
    slashers
        Who may slash, or could once.
    """

    validator: str
    bonded: int
    shares: int
    own: int
    slashable: int
    coming: int
    streams_until: UnixSeconds
    leaving: int
    take_bps: int
    next_take_bps: int
    take_from: UnixSeconds
    frozen_until: UnixSeconds
    closed: bool
    slashers: tuple[SlasherView, ...]

    @property
    def empty(self) -> bool:
        """Whether nobody has anything in it: then it can enlist at once."""
        return not self.shares and not self.leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeView:
    """One account's part of one pool; raw network tokens and unix seconds.

    Attributes
    ----------
    validator, account
        Whose pool, and whose part.
    shares, worth
        At stake.
    leaving, ready_at
        Taken back, and from when it can be withdrawn; 0 and 0 where nothing leaves.
    """

    validator: str
    account: str
    shares: int
    worth: int
    leaving: int
    ready_at: UnixSeconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashView:
    """A loss of a pool.

    Attributes
    ----------
    at
        Unix seconds.
    slasher, case
        Which contract took it, and what for.
    taken
        Raw network tokens, of all stake in proportion.
    whistle_blower, bounty
        Who got how much of it; the rest went to the commons.
    """

    at: UnixSeconds
    slasher: str
    case: bytes
    taken: int
    whistle_blower: str
    bounty: int


@dataclass(frozen=True, slots=True)
class Staking:
    """What went to stake: shares of the pool for raw network tokens."""

    validator: str
    amount: int
    shares: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """What was taken back: raw network tokens, and from when they can be withdrawn."""

    validator: str
    amount: int
    shares: int
    ready_at: UnixSeconds
    tx_hash: str


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What was paid out, raw network tokens."""

    amount: int
    tx_hash: str


# --- What is there --------------------------------------------------------------------------------


async def read_pool(world: World, validator: str) -> PoolView:
    """Read a pool as it is in the next block; an account that never staked has an empty one."""
    bond, reader = world.deployment.bond, world.reader
    calls: list[Call[Any]] = [
        bond.pool_of(validator),
        bond.own_bond(validator),
        bond.slashable(validator),
        bond.take_of(validator),
        bond.frozen_until(validator),
        bond.slashers_of(validator),
    ]
    pool, own, slashable, take, frozen, slashers = await reader.read_all(calls, at="pending")
    enlistments = await reader.read_all(
        [bond.enlistment_of(validator, each) for each in slashers], at="pending"
    )
    bonded, shares, coming, streams_until, leaving, _, closed = pool
    return PoolView(
        validator=validator,
        bonded=bonded,
        shares=shares,
        own=own,
        slashable=slashable,
        coming=coming,
        streams_until=streams_until,
        leaving=leaving,
        take_bps=take[0],
        next_take_bps=take[1],
        take_from=take[2],
        frozen_until=frozen,
        closed=closed,
        slashers=tuple(
            SlasherView(
                address, UnixSeconds(row[0]), UnixSeconds(row[1]), UnixSeconds(row[2]), row[3]
            )
            for address, row in zip(slashers, enlistments, strict=True)
        ),
    )


async def find_pools(world: World) -> list[PoolView]:
    """Read all pools that somebody ever staked in, the largest first."""
    found = await world.reader.logs(
        Staked, address=world.deployment.bond.address, first=world.deployment.since
    )
    validators = dict.fromkeys(log.event.validator for log in found)
    pools = await asyncio.gather(*(read_pool(world, validator) for validator in validators))
    return sorted(pools, key=lambda pool: pool.bonded, reverse=True)


async def read_stake(world: World, validator: str, account: str) -> StakeView:
    """Read an account's part of a pool as it is in the next block."""
    bond = world.deployment.bond
    (shares, worth), (leaving, ready_at) = await world.reader.read_all(
        [bond.stake_of(validator, account), bond.exit_of(validator, account)], at="pending"
    )
    return StakeView(
        validator=validator,
        account=account,
        shares=shares,
        worth=worth,
        leaving=leaving,
        ready_at=UnixSeconds(ready_at),
    )


async def find_stakes(world: World, account: str) -> list[StakeView]:
    """Read an account's parts of all pools in which it has one."""
    found = await world.reader.logs(
        Staked,
        address=world.deployment.bond.address,
        topics=Staked.topics(account=account),
        first=world.deployment.since,
    )
    # A validator also has what rewards gave it, but only beside what it staked itself.
    validators = dict.fromkeys(log.event.validator for log in found)
    stakes = await asyncio.gather(*(read_stake(world, each, account) for each in validators))
    return [each for each in stakes if each.shares or each.leaving]


async def find_slashes(world: World, validator: str) -> list[SlashView]:
    """Read what a validator's pool lost so far, the latest first."""
    found = await world.reader.logs(
        Slashed,
        address=world.deployment.bond.address,
        topics=Slashed.topics(validator=validator),
        first=world.deployment.since,
    )
    heads = await asyncio.gather(*(world.reader.block(log.block) for log in found))
    return [
        SlashView(
            at=UnixSeconds(head.timestamp),
            slasher=log.event.slasher,
            case=log.event.case,
            taken=log.event.taken,
            whistle_blower=log.event.whistle_blower,
            bounty=log.event.bounty,
        )
        for log, head in zip(reversed(found), reversed(heads), strict=True)
    ]


# --- Stake ----------------------------------------------------------------------------------------


async def check_stake(world: World, account: str, amount: int, validator: str = "") -> PoolView:
    """Refuse what cannot be staked; return the pool as it is before.

    Parameters
    ----------
    account
        Who stakes.
    amount
        Raw network tokens.
    validator
        Behind whom; behind the account itself where empty.

    Raises
    ------
    InputError
        The amount is 0.
    Closed
        The pool is closed for good.
    Conflict
        The validator has nothing at stake itself.
    """
    validator = validator or account
    if amount < 1:
        raise InputError("stake", found=amount, wanted="more than 0")
    pool = await read_pool(world, validator)
    if pool.closed:
        raise Closed(
            f"pool of {world.named(validator)}",
            found="closed: slashes left next to nothing",
            wanted="one that takes stake",
            next_step="choose another: tessera bond list",
        )
    own = await read_stake(world, validator, validator)
    if account != validator and not own.shares:
        raise Conflict(
            f"pool of {world.named(validator)}",
            found="no stake of its own",
            wanted="a validator that stakes first",
            next_step="choose another: tessera bond list",
        )
    return pool


async def stake(world: World, sender: Sender, amount: int, validator: str = "") -> Staking:
    """Put network tokens at stake behind a validator, or behind oneself.

    Raises
    ------
    InputError, Closed, Conflict
        As `check_stake`; or the sender has too few.
    """
    validator = validator or sender.address
    await check_stake(world, sender.address, amount, validator)
    bond = world.deployment.bond
    await spend(world, sender, bond.address, amount, "the stake")
    receipt = await sender.send(bond.stake(validator, amount))
    event = receipt.one_of(Staked, address=bond.address)
    return Staking(validator, event.amount, event.shares, receipt.tx_hash)


async def plan_unstake(
    world: World, account: str, validator: str, amount: int | None
) -> tuple[int, int]:
    """Return how many shares give that amount, and what they give now; None for all.

    Raises
    ------
    NotFound
        The account has nothing at stake there.
    InputError
        It has less, or it is 0.
    """
    held = await read_stake(world, validator, account)
    if not held.shares:
        raise NotFound(
            f"stake of {world.named(account)} behind {world.named(validator)}",
            found="none",
            wanted="some",
            next_step="see where there is: tessera bond info",
        )
    if amount is None or amount == held.worth:
        return held.shares, held.worth
    if not 0 < amount < held.worth:
        raise InputError(
            "unstake",
            found=world.network.shown(amount),
            wanted=f"more than 0, and at most {world.network.shown(held.worth)}",
            next_step="leave the amount out to take all of it",
        )
    pool = await read_pool(world, validator)
    # Rounded up, so that what leaves is not less than was asked for.
    shares = -(-amount * (pool.shares + SHARES_PER_TOKEN) // (pool.bonded + 1))
    shares = min(shares, held.shares)
    return shares, shares * (pool.bonded + 1) // (pool.shares + SHARES_PER_TOKEN)


async def unstake(
    world: World, sender: Sender, validator: str, amount: int | None = None
) -> Leaving:
    """Begin to take stake back; all that leaves is ready when the last of it is.

    Raises
    ------
    NotFound, InputError
        As `plan_unstake`.
    """
    shares, _ = await plan_unstake(world, sender.address, validator, amount)
    bond = world.deployment.bond
    receipt = await sender.send(bond.unstake(validator, shares))
    event = receipt.one_of(Unstaked, address=bond.address)
    return Leaving(
        validator, event.amount, event.shares, UnixSeconds(event.ready_at), receipt.tx_hash
    )


async def restake(world: World, sender: Sender, validator: str) -> Staking:
    """Put all that leaves at stake again."""
    bond = world.deployment.bond
    receipt = await sender.send(bond.restake(validator))
    event = receipt.one_of(Restaked, address=bond.address)
    return Staking(validator, event.amount, event.shares, receipt.tx_hash)


async def withdraw(world: World, sender: Sender, validator: str, receiver: str = "") -> Withdrawal:
    """Have paid out what was taken back, once its delay is over and nothing is frozen."""
    bond = world.deployment.bond
    receipt = await sender.send(bond.withdraw(validator, receiver or sender.address))
    event = receipt.one_of(Withdrawn, address=bond.address)
    return Withdrawal(event.amount, receipt.tx_hash)


# --- What a validator decides ---------------------------------------------------------------------


async def set_take(world: World, sender: Sender, bps: int) -> tuple[UnixSeconds, str]:
    """Set the sender's part of its pool's rewards; return from when, and the transaction."""
    bond = world.deployment.bond
    receipt = await sender.send(bond.set_take(bps))
    since = receipt.one_of(TakeSet, address=bond.address).effective_from
    return UnixSeconds(since), receipt.tx_hash


def slasher_of(world: World, name: str) -> str:
    """Return the contract that somebody means: one of the deployment's slashers, or any address.

    Raises
    ------
    NotFound
        The deployment has no such slasher.
    """
    if name.startswith("0x"):
        return world.address(name)
    known = {each.lower(): each for each in SLASHERS}
    if name.lower() not in known:
        raise NotFound.among("slasher", name, known)
    return world.deployment.address_of(known[name.lower()])


async def enlist(world: World, sender: Sender, slasher: str) -> tuple[UnixSeconds, str]:
    """Let a contract hold the sender's pool to account; return from when, and the transaction."""
    bond = world.deployment.bond
    receipt = await sender.send(bond.enlist(slasher))
    event = receipt.one_of(Enlisted, address=bond.address)
    return UnixSeconds(event.effective_from), receipt.tx_hash


async def leave(world: World, sender: Sender, slasher: str) -> tuple[UnixSeconds, str]:
    """Take a slasher's power away; return until when it has it, and the transaction."""
    bond = world.deployment.bond
    receipt = await sender.send(bond.leave(slasher))
    event = receipt.one_of(Left, address=bond.address)
    backed_until = (await world.reader.read(bond.enlistment_of(sender.address, slasher)))[2]
    # What it was told to back counts to its end.
    return UnixSeconds(max(event.effective_from, backed_until)), receipt.tx_hash
