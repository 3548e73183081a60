"""The end of a subnet: who gets its lock, and what the holders of its token share."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.app.subnets import read_subnet
from tessera.app.world import World
from tessera.bindings.subnet_pool import PoolClosed
from tessera.bindings.subnet_token import SubnetToken
from tessera.bindings.subnets import SubnetDissolved
from tessera.chain.sender import Sender
from tessera.errors import Closed

__all__ = ["Dissolution", "dissolve", "plan_dissolution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dissolution:
    """The end of a subnet; raw network tokens.

    Attributes
    ----------
    owner
        Whose it was.
    to_owner, to_keeper
        Of the lock: to the owner of one that was closed, to who ended an idle one.
    to_commons
        The rest of an idle one's lock, and what its owner gave to open its pool.
    to_holders
        What the holders of its token share; 0 where nobody holds any.
    transactions
        In order.
    """

    owner: str
    to_owner: int
    to_keeper: int
    to_commons: int
    to_holders: int
    transactions: tuple[str, ...] = ()


async def plan_dissolution(world: World, account: str, number: int) -> Dissolution:
    """Return who gets what of a subnet that somebody ends now.

    Raises
    ------
    NotFound, Closed
        There is no such subnet, or all of it ended before.
    TransactionReverted
        It is not due yet.
    """
    subnet = await read_subnet(world, number)
    pool = subnet.pool
    if subnet.dissolved and (pool is None or pool.closed):
        raise Closed(f"subnet {number}", found="dissolved", wanted="one that is not")
    if not subnet.dissolved:
        trial = world.deployment.subnets.dissolve(number)
        await world.reader.read(trial, sender=account, at="pending")
    # Of a subnet that nobody closed a fifth is who ends it, rounded down.
    to_owner = subnet.lock if subnet.closing_at else 0
    to_keeper = 0 if subnet.closing_at else subnet.lock // 5
    to_holders, opening = 0, 0
    if pool is not None and not pool.closed:
        supply = await world.reader.read(SubnetToken(pool.token).totalSupply())
        opening = pool.network_tokens
        if supply > pool.tokens:
            opening = min(pool.network_tokens, pool.opening)
        to_holders = pool.network_tokens - opening
    return Dissolution(
        owner=subnet.owner,
        to_owner=to_owner,
        to_keeper=to_keeper,
        to_commons=subnet.lock - to_owner - to_keeper + opening,
        to_holders=to_holders,
    )


async def dissolve(world: World, sender: Sender, number: int) -> Dissolution:
    """End a subnet that is due, and the market of its token. Anyone may; begun is gone on with.

    Raises
    ------
    NotFound, Closed, TransactionReverted
        As `plan_dissolution`.
    """
    planned = await plan_dissolution(world, sender.address, number)
    subnet = await read_subnet(world, number)
    pool, transactions = subnet.pool, []
    to_owner, to_keeper, to_commons, to_holders = 0, 0, 0, 0
    if not subnet.dissolved:
        receipt = await sender.send(world.deployment.subnets.dissolve(number))
        ended = receipt.one_of(SubnetDissolved)
        to_owner, to_keeper = ended.to_owner, ended.to_keeper
        to_commons = ended.lock - to_owner - to_keeper
        transactions.append(receipt.tx_hash)
    if pool is not None and not pool.closed:
        receipt = await sender.send(world.deployment.subnet_pool.close(number))
        closed = receipt.one_of(PoolClosed)
        to_holders = closed.pot
        to_commons += closed.commons
        transactions.append(receipt.tx_hash)
    return Dissolution(
        owner=planned.owner,
        to_owner=to_owner,
        to_keeper=to_keeper,
        to_commons=to_commons,
        to_holders=to_holders,
        transactions=tuple(transactions),
    )
