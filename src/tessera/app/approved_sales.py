"""Selling shares on an approval that is still to come: money waits until the round is over."""

from __future__ import annotations

from tessera.app.judging import round_of
from tessera.app.world import World
from tessera.bindings import Offering
from tessera.bindings.approved_sale import (
    Escrow,
    Liquidity,
    Refunded,
    Released,
    Sale,
    SaleOpened,
)
from tessera.chain.sender import Sender
from tessera.errors import NotFound
from tessera.ownership.allowing import allow, check_shares
from tessera.ownership.selling import EVERYBODY
from tessera.spec.signatures import ZERO_ADDRESS_TEXT
from tessera.units import Shares, Units, UnixSeconds

__all__ = ["escrow_of", "refund", "release", "releasable", "sell", "take_back"]


async def escrow_of(world: World, offering: str) -> Escrow:
    """Read what lies in escrow for a sale.

    Raises
    ------
    NotFound
        The sale is not on an approval.
    """
    row = await world.reader.read(world.deployment.approved_sale.escrow_of(offering))
    if row.share == ZERO_ADDRESS_TEXT:
        raise NotFound(
            f"sale {offering}", found="none on an approval", wanted="the address of one",
            next_step="tessera approval sell ROUND says it",
        )  # fmt: skip
    return row


async def sell(
    world: World,
    sender: Sender,
    round_: bytes,
    *,
    shares: Shares,
    price: Units,
    soft_cap: Shares,
    cap_per_buyer: Shares,
    start: UnixSeconds,
    end: UnixSeconds,
) -> str:
    """Put shares of the issuer up for sale on its round; return the offering.

    Parameters
    ----------
    shares, soft_cap, cap_per_buyer
        Raw shares.
    price
        Base units for one whole share.
    """
    there, row = world.deployment.approved_sale, await round_of(world, round_)
    share = await world.share(row.asset)
    await check_shares(sender, share, shares)
    await allow(sender, share, there.address, shares)
    sale = Sale(
        there.address, price, shares, soft_cap, cap_per_buyer, start, end, EVERYBODY,
        Liquidity(0, 0, 0),
    )  # fmt: skip
    receipt = await sender.send(there.open(round_, sale))
    return receipt.one_of(SaleOpened).offering


async def releasable(world: World, sender: Sender, offering: str) -> int:
    """Return what the issuer would get now, base units."""
    call = world.deployment.approved_sale.release(offering)
    return await world.reader.read(call, sender=sender.address, at="pending")


async def release(world: World, sender: Sender, offering: str) -> int:
    """Pay the issuer what it may have: all once the approval is final, before it a fifth of what
    the approving bonds are worth. Returns base units.
    """
    receipt = await sender.send(world.deployment.approved_sale.release(offering))
    return receipt.one_of(Released).amount


async def refund(world: World, sender: Sender, offering: str, shares: Shares) -> int:
    """Bring shares back after a round without an approval; return what came, base units.

    Purchases that wait to be collected are collected first.
    """
    there, row = world.deployment.approved_sale, await escrow_of(world, offering)
    share, sale = await world.share((await round_of(world, row.round)).asset), Offering(offering)
    if await world.reader.read(share.balanceOf(sender.address)) < shares:
        await sender.send(sale.collect(sender.address))
    await allow(sender, share, there.address, shares)
    receipt = await sender.send(there.refund(offering, shares))
    return receipt.one_of(Refunded).amount


async def take_back(world: World, sender: Sender, offering: str) -> tuple[int, int]:
    """When a sale is over, send the issuer what was not sold, and what that earned meanwhile.

    Anybody may. Returns raw shares and base units.
    """
    there = world.deployment.approved_sale
    await escrow_of(world, offering)
    done = []
    for call in (there.return_unsold(offering), there.claim_revenue(offering)):
        amount = await world.reader.read(call, sender=sender.address, at="pending")
        if amount:
            await sender.send(call)
        done.append(amount)
    return done[0], done[1]
