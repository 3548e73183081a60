"""A subnet's token: bought and sold in its market, and redeemed once that is closed."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.app.spending import spend
from tessera.app.subnets import PoolView, read_subnet
from tessera.app.world import World
from tessera.bindings.subnet_pool import Bought, Redeemed, Sold
from tessera.bindings.subnet_token import SubnetToken
from tessera.chain.sender import Sender
from tessera.errors import Closed, InputError, NotFound
from tessera.ownership.allowing import allow
from tessera.units import BPS, shown_shares

__all__ = ["Quote", "buy", "plan_buy", "plan_redeem", "plan_sell", "redeem", "sell"]

_LASTS_S = 600
"""A trade that is not in a block by then is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What would go in and come out now, raw; one is the subnet's token, the other TSR.

    Attributes
    ----------
    token
        Address of the subnet's token.
    gives, gets
        Of this moment.
    least
        What must come out, or nothing happens.
    """

    token: str
    gives: int
    gets: int
    least: int


async def plan_buy(world: World, number: int, amount: int, slippage_bps: int) -> Quote:
    """Quote a subnet's tokens for so many raw network tokens.

    Parameters
    ----------
    slippage_bps
        How much less than this quote may come out, hundredths of a percent.

    Raises
    ------
    NotFound, Closed
        There is no market, or no more.
    TransactionReverted
        It is too little, or more than the market takes at once.
    """
    pool = await _market(world, number, closed=False)
    preview = world.deployment.subnet_pool.preview_buy(number, amount)
    gets = await world.reader.read(preview, at="pending")
    return _quote(pool.token, amount, gets, slippage_bps)


async def plan_sell(
    world: World, account: str, number: int, tokens: int, slippage_bps: int
) -> Quote:
    """Quote raw network tokens for so many of a subnet's; parameters as for `plan_buy`.

    Raises
    ------
    InputError
        The account has fewer.
    NotFound, Closed, TransactionReverted
        As `plan_buy`.
    """
    pool = await _market(world, number, closed=False)
    await _require(world, pool.token, account, tokens)
    preview = world.deployment.subnet_pool.preview_sell(number, tokens)
    gets = await world.reader.read(preview, at="pending")
    return _quote(pool.token, tokens, gets, slippage_bps)


async def plan_redeem(world: World, account: str, number: int) -> Quote:
    """Quote what an account gets for all that it has of a token whose subnet is no more.

    Raises
    ------
    NotFound, Closed, InputError
        There never was a market, it is not closed yet, or the account has nothing of it.
    """
    pool = await _market(world, number, closed=True)
    held = await world.reader.read(SubnetToken(pool.token).balanceOf(account))
    await _require(world, pool.token, account, max(held, 1))
    gets = await world.reader.read(world.deployment.subnet_pool.preview_redeem(number, held))
    return Quote(pool.token, held, gets, gets)


async def buy(
    world: World, sender: Sender, number: int, amount: int, slippage_bps: int
) -> tuple[int, str]:
    """Buy for exactly so many raw network tokens; return raw tokens and the transaction.

    Raises
    ------
    NotFound, Closed, InputError, TransactionReverted
        As `plan_buy`; the sender has too little, or the price moved too far.
    """
    quote = await plan_buy(world, number, amount, slippage_bps)
    pool = world.deployment.subnet_pool
    await spend(world, sender, pool.address, amount, "the purchase")
    call = pool.buy(number, amount, quote.least, await _deadline(world), sender.address)
    receipt = await sender.send(call)
    return receipt.one_of(Bought, address=pool.address).tokens, receipt.tx_hash


async def sell(
    world: World, sender: Sender, number: int, tokens: int, slippage_bps: int
) -> tuple[int, str]:
    """Sell exactly so many raw tokens; return raw network tokens and the transaction.

    Raises
    ------
    NotFound, Closed, InputError, TransactionReverted
        As `plan_sell`; or the price moved too far.
    """
    quote = await plan_sell(world, sender.address, number, tokens, slippage_bps)
    pool = world.deployment.subnet_pool
    await allow(sender, SubnetToken(quote.token), pool.address, tokens)
    call = pool.sell(number, tokens, quote.least, await _deadline(world), sender.address)
    receipt = await sender.send(call)
    return receipt.one_of(Sold, address=pool.address).proceeds, receipt.tx_hash


async def redeem(world: World, sender: Sender, number: int) -> tuple[int, str]:
    """Give all that the sender has back for its part; return raw network tokens.

    Raises
    ------
    NotFound, Closed, InputError
        As `plan_redeem`.
    """
    quote = await plan_redeem(world, sender.address, number)
    pool = world.deployment.subnet_pool
    await allow(sender, SubnetToken(quote.token), pool.address, quote.gives)
    receipt = await sender.send(pool.redeem(number, quote.gives, sender.address))
    return receipt.one_of(Redeemed, address=pool.address).amount, receipt.tx_hash


def _quote(token: str, gives: int, gets: int, slippage_bps: int) -> Quote:
    # Rounded up: what is promised at least is not less than was allowed.
    return Quote(token, gives, gets, -(-gets * (BPS - slippage_bps) // BPS))


async def _market(world: World, number: int, *, closed: bool) -> PoolView:
    pool = (await read_subnet(world, number)).pool
    if pool is None:
        raise NotFound(
            f"market of subnet {number}",
            found="none",
            wanted="one that its owner opened",
            next_step=f"its owner can: tessera subnet open {number} AMOUNT",
        )
    if pool.closed != closed:
        raise Closed(
            f"market of subnet {number}",
            found="closed" if pool.closed else "open",
            wanted="one that was closed" if closed else "an open one",
            next_step=f"tessera subnet {'redeem' if pool.closed else 'sell'} {number}",
        )
    return pool


async def _require(world: World, token: str, account: str, tokens: int) -> None:
    held = await world.reader.read(SubnetToken(token).balanceOf(account))
    if held < tokens:
        raise InputError(
            f"token {token} of {world.named(account)}",
            found=f"{shown_shares(held)} tokens",
            wanted=f"{shown_shares(tokens)} or more",
        )


async def _deadline(world: World) -> int:
    return (await world.reader.block("pending")).timestamp + _LASTS_S
