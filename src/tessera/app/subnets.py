"""Subnets as their owners and everybody else see them: made, read, funded, handed over, closed.

Who has which place in one is the business of `tessera.app.places`, how one ends that of
`tessera.app.dissolving`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tessera.app.spending import spend
from tessera.app.world import World
from tessera.bindings.calls import Call
from tessera.bindings.emission import Bootstrapped
from tessera.bindings.emission import Withdrawn as EarningsWithdrawn
from tessera.bindings.reverts import reverted
from tessera.bindings.subnet_pool import PoolOpened
from tessera.bindings.subnets import (
    Rules,
    SubnetClosing,
    SubnetCreated,
    TaskNamed,
)
from tessera.chain.sender import Sender
from tessera.errors import Closed, Conflict, InputError, NotAllowed, NotFound, StaleQuote
from tessera.spec.signatures import ZERO_ADDRESS_TEXT
from tessera.spec.subnets import Rules as SpecRules
from tessera.spec.subnets import fault_in
from tessera.units import Units, UnixSeconds

__all__ = [
    "Created",
    "Earned",
    "PoolView",
    "SubnetView",
    "TaskView",
    "bootstrap",
    "check_opening",
    "check_owner",
    "check_rules",
    "close",
    "create",
    "default_rules",
    "earned_by",
    "hand_over",
    "list_subnets",
    "name_task",
    "open_pool",
    "plan_lock",
    "read_subnet",
    "withdraw_earned",
]

TSR: Final = 10**18
"""Raw network tokens of a whole one."""

_TEMPO_HOURS: Final = 24
_IMMUNITY_HOURS: Final = 96
_HALF_LIFE_HOURS: Final = 48


@dataclass(frozen=True, slots=True)
class PoolView:
    """The market of a subnet's token; raw tokens of both kinds.

    Attributes
    ----------
    token
        Its address.
    tokens, network_tokens
        In the pool; of a closed one, what was not redeemed and what that shares.
    price, mean
        Raw network tokens for 10^18 raw tokens, now and over the pool's window; 0 once closed.
    opening
        What the owner gave, which never comes back.
    closed
        Whether the subnet was dissolved and its tokens are only redeemed.
    """

    token: str
    tokens: int
    network_tokens: int
    price: int
    mean: int
    opening: int
    closed: bool


@dataclass(frozen=True, slots=True)
class TaskView:
    """A benchmark that an owner named.

    Attributes
    ----------
    task
        Its id; zeros for none.
    uri
        Where it can be fetched.
    since
        The first epoch in which models are measured by it.
    """

    task: bytes
    uri: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetView:
    """A subnet as it is in the next block; raw network tokens and unix seconds.

    Attributes
    ----------
    number, owner, rules
        Which, whose, and what was fixed for ever.
    lock
        What comes back to the owner when it closes the subnet.
    burn
        What a place costs now.
    epoch, began, ends
        The one that runs.
    models, validators
        Places that there are, and how many of them nobody has.
    last_final
        Newest epoch whose result is final; None while there is none.
    tasks
        Benchmarks that its owner named, in order.
    closing_at
        From when it is no more; 0 where nobody closed it.
    live, dissolved
        Whether it takes part in anything, and whether its lock was given back.
    pool
        None where its owner opened none.
    """

    number: int
    owner: str
    rules: Rules
    lock: int
    burn: int
    epoch: int
    began: UnixSeconds
    ends: UnixSeconds
    models: tuple[int, int]
    validators: tuple[int, int]
    last_final: int | None
    tasks: tuple[TaskView, ...]
    closing_at: UnixSeconds
    live: bool
    dissolved: bool
    pool: PoolView | None


@dataclass(frozen=True, slots=True)
class Created:
    """A new subnet, and what it locked, raw network tokens."""

    subnet: int
    lock: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class Earned:
    """What an account can withdraw: raw network tokens, and base units of the currency."""

    tokens: int
    fees: Units
    transactions: tuple[str, ...] = ()


def default_rules(hour_s: int) -> Rules:
    """Return the rules of a subnet whose owner has no reason for others.

    Parameters
    ----------
    hour_s
        Seconds that stand for an hour in the deployment's windows.
    """
    return Rules(
        tempo=_TEMPO_HOURS * hour_s,
        kappa=32_767,
        bonds_penalty=65_535,
        bonds_moving_average=900_000,
        yuma3=False,
        max_models=256,
        max_validators=64,
        immunity=_IMMUNITY_HOURS * hour_s,
        burn_half_life=_HALF_LIFE_HOURS * hour_s,
        min_burn=TSR // 10,
        threshold=1_000 * TSR,
    )


# --- What there is --------------------------------------------------------------------------------


async def read_subnet(world: World, number: int) -> SubnetView:
    """Read a subnet.

    Raises
    ------
    NotFound
        There is none of that number.
    """
    subnets, reader = world.deployment.subnets, world.reader
    count = await reader.read(subnets.subnet_count())
    if not 1 <= number <= count:
        raise NotFound(
            f"subnet {number}",
            found="none",
            wanted=f"1 to {count}" if count else "one that was made",
            next_step="tessera subnet list" if count else "make one: tessera subnet create",
        )
    now = (await reader.block("pending")).timestamp
    calls: list[Call[Any]] = [
        subnets.owner_of(number),
        subnets.rules_of(number),
        subnets.lock_of(number),
        subnets.burn_cost(number),
        subnets.clock_of(number),
        subnets.table_of(number, 0),
        subnets.table_of(number, 1),
        world.deployment.epochs.last_final(number),
        subnets.closing_at(number),
        subnets.is_live(number),
        subnets.is_dissolved(number),
    ]
    (
        owner,
        rules,
        lock,
        burn,
        clock,
        models,
        validators,
        final,
        closing,
        live,
        dissolved,
    ) = await reader.read_all(calls, at="pending")
    start, tempo = clock
    epoch = (now - start) // tempo
    return SubnetView(
        number=number,
        owner=owner,
        rules=rules,
        lock=lock,
        burn=burn,
        epoch=epoch,
        began=UnixSeconds(start + epoch * tempo),
        ends=UnixSeconds(start + (epoch + 1) * tempo),
        models=models,
        validators=validators,
        last_final=final - 1 if final else None,
        tasks=await _tasks(world, number),
        closing_at=UnixSeconds(closing),
        live=live,
        dissolved=dissolved,
        pool=await _pool(world, number),
    )


async def _tasks(world: World, number: int) -> tuple[TaskView, ...]:
    found = await world.reader.logs(
        TaskNamed,
        address=world.deployment.subnets.address,
        topics=TaskNamed.topics(subnet=number),
        first=world.deployment.since,
    )
    return tuple(TaskView(log.event.task, log.event.uri, log.event.since) for log in found)


async def _pool(world: World, number: int) -> PoolView | None:
    pool, reader = world.deployment.subnet_pool, world.reader
    token = await reader.read(pool.token_of(number))
    if token == ZERO_ADDRESS_TEXT:
        return None
    calls: list[Call[Any]] = [pool.pool_of(number), pool.opening_of(number)]
    (tokens, network_tokens, _, closed), opening = await reader.read_all(calls)
    price, mean = 0, 0
    if not closed:
        price, mean = await reader.read_all(
            [pool.price_of(number), pool.twap(number)], at="pending"
        )
    return PoolView(token, tokens, network_tokens, price, mean, opening, closed)


async def list_subnets(world: World) -> list[SubnetView]:
    """Read all subnets that there ever were, by number."""
    count = await world.reader.read(world.deployment.subnets.subnet_count())
    numbers = range(1, count + 1)
    return list(await asyncio.gather(*(read_subnet(world, number) for number in numbers)))


# --- An owner's business --------------------------------------------------------------------------


async def plan_lock(world: World, most: int | None = None) -> int:
    """Return what a subnet that is made now locks, raw network tokens.

    Raises
    ------
    StaleQuote
        It is more than that.
    """
    cost = await world.reader.read(world.deployment.subnets.lock_cost(), at="pending")
    if most is not None and cost > most:
        raise StaleQuote(
            "lock of a new subnet",
            found=world.network.shown(cost),
            wanted=f"at most {world.network.shown(most)}",
            next_step="pay more, or wait: it falls with time since the last one was made",
        )
    return cost


async def check_rules(world: World, rules: Rules) -> None:
    """Refuse rules that no subnet of this deployment can have, in the contract's words.

    Raises
    ------
    TransactionReverted
        One of them is out of range.
    """
    delay, _, max_freeze, _ = await world.reader.read(world.deployment.bond.times())
    _, min_tempo = world.deployment.told("Subnets")["min_tempo"]
    assert isinstance(min_tempo, int)
    fault = fault_in(SpecRules(*msgspec.structs.astuple(rules)), min_tempo, delay, max_freeze)
    if fault:
        raise reverted("Subnets", fault, None, function="create")


async def create(world: World, sender: Sender, rules: Rules, most: int | None = None) -> Created:
    """Make a subnet whose rules never change.

    Parameters
    ----------
    most
        The highest lock that the sender pays, raw network tokens; what it costs now where None.

    Raises
    ------
    StaleQuote, InputError
        It costs more; or the sender has too little.
    TransactionReverted
        As `check_rules`; nothing was sent then.
    """
    await check_rules(world, rules)
    cost = await plan_lock(world, most)
    subnets = world.deployment.subnets
    await spend(world, sender, subnets.address, cost, "the lock")
    receipt = await sender.send(subnets.create(rules, cost))
    event = receipt.one_of(SubnetCreated, address=subnets.address)
    return Created(event.subnet, event.lock, receipt.tx_hash)


def check_owner(world: World, account: str, subnet: SubnetView) -> None:
    """Refuse who does not own a subnet.

    Raises
    ------
    NotAllowed
        Somebody else does.
    """
    if subnet.owner != account:
        raise NotAllowed(
            f"subnet {subnet.number}",
            found=f"owned by {world.named(subnet.owner)}",
            wanted=f"owned by {world.named(account)}",
            next_step="act with its owner's key: --as KEY",
        )


async def name_task(
    world: World, sender: Sender, number: int, task: bytes, uri: str = ""
) -> tuple[int, str]:
    """Say by which benchmark models are measured; return from which epoch on, and the transaction.

    Parameters
    ----------
    task
        The benchmark's id; zeros for none.
    uri
        Where it can be fetched, up to 256 bytes.
    """
    receipt = await sender.send(world.deployment.subnets.name_task(number, task, uri))
    return receipt.one_of(TaskNamed).since, receipt.tx_hash


async def hand_over(world: World, sender: Sender, number: int, owner: str) -> str:
    """Give a subnet and its lock to somebody else; return the transaction."""
    return (await sender.send(world.deployment.subnets.hand_over(number, owner))).tx_hash


async def close(world: World, sender: Sender, number: int) -> tuple[UnixSeconds, str]:
    """Give notice that a subnet ends; return when it does, and the transaction."""
    subnets = world.deployment.subnets
    receipt = await sender.send(subnets.close(number))
    return UnixSeconds(receipt.one_of(SubnetClosing).at), receipt.tx_hash


async def check_opening(world: World, account: str, number: int, amount: int) -> None:
    """Refuse a pool that cannot be opened.

    Raises
    ------
    NotAllowed, Conflict, Closed, InputError
        The account is not the owner; there is a pool; the subnet is no more; it is too little.
    """
    subnet = await read_subnet(world, number)
    check_owner(world, account, subnet)
    if subnet.pool is not None:
        raise Conflict(
            f"pool of subnet {number}",
            found=subnet.pool.token,
            wanted="none yet",
            next_step=f"see it: tessera subnet info {number}",
        )
    if not subnet.live:
        raise Closed(f"subnet {number}", found="closed", wanted="one that lives")
    if amount < TSR:
        raise InputError(
            "opening",
            found=world.network.shown(amount),
            wanted=f"{world.network.shown(TSR)} or more",
        )


async def open_pool(world: World, sender: Sender, number: int, amount: int) -> tuple[str, str]:
    """Make a subnet's token and its market; return the token and the transaction.

    Parameters
    ----------
    amount
        Raw network tokens that the owner gives and never gets back; bootstraps are a part of it.

    Raises
    ------
    NotAllowed, Conflict, Closed, InputError
        As `check_opening`; or the sender has too little.
    """
    await check_opening(world, sender.address, number, amount)
    pool = world.deployment.subnet_pool
    await spend(world, sender, pool.address, amount, "the pool's opening")
    receipt = await sender.send(pool.open(number, amount))
    return receipt.one_of(PoolOpened).token, receipt.tx_hash


async def bootstrap(world: World, sender: Sender, number: int) -> tuple[int, str]:
    """Count a subnet's bootstrap for this period; return raw network tokens. Anyone may."""
    receipt = await sender.send(world.deployment.emission.bootstrap(number))
    return receipt.one_of(Bootstrapped).amount, receipt.tx_hash


# --- What was earned ------------------------------------------------------------------------------


async def earned_by(world: World, account: str) -> Earned:
    """Read what an account can withdraw: of subnets, models and a validator's part of fees."""
    emission = world.deployment.emission
    tokens, fees = await world.reader.read_all(
        [emission.credit_of(account), emission.fees_credit_of(account)], at="pending"
    )
    return Earned(tokens, Units(fees))


async def withdraw_earned(world: World, sender: Sender) -> Earned:
    """Have paid out what the sender earned, of both kinds; nothing is sent for what is 0."""
    due = await earned_by(world, sender.address)
    emission, paid, transactions = world.deployment.emission, [0, 0], []
    calls = (emission.withdraw(sender.address), emission.withdraw_fees(sender.address))
    for place, (amount, call) in enumerate(zip((due.tokens, due.fees), calls, strict=True)):
        if amount:
            receipt = await sender.send(call)
            paid[place] = receipt.one_of(EarningsWithdrawn, address=emission.address).amount
            transactions.append(receipt.tx_hash)
    return Earned(paid[0], Units(paid[1]), tuple(transactions))
