"""The last acts: income reaches the holders, everybody claims, and unspent money goes home."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tessera.app import World
from tessera.bindings import Offering, Share
from tessera.bindings.channels import CreditWithdrawn
from tessera.chain.sender import Sender
from tessera.demo.market import Listed
from tessera.errors import InvariantViolation
from tessera.ownership import auction as auctions
from tessera.ownership import offering as sales
from tessera.ownership import selling
from tessera.ownership import share as shares
from tessera.ownership import vesting as grants
from tessera.units import Units

__all__ = [
    "claim_everything",
    "close_sales",
    "failed_sales_end",
    "flush_everything",
    "give_to_till",
    "refund_buyers",
    "stream_ends",
    "wait_for_middle",
    "wait_until",
    "withdraw_credits",
]


async def give_to_till(world: World, listed: Listed, giver: str, amount: Units) -> str:
    """Send the currency to an asset's Till by a plain transfer, and let anyone split it.

    Returns
    -------
    str
        The Till's address.
    """
    channels, currency = world.deployment.channels, world.deployment.currency
    operator = world.account(world.config.operator).address
    record = world.directory.get(listed.asset)
    if record is None:
        raise InvariantViolation(f"asset of {listed.plan.slug}", wanted="one that is published")
    terms = record.endpoints[operator].terms
    till = await world.reader.read(channels.till_of(listed.asset, operator, terms))
    await world.sender(giver).send(currency.transfer(till, amount))
    await world.sender(giver).send(channels.flush_till(listed.asset, operator, terms))
    return till


async def flush_everything(world: World, market: Mapping[str, Listed], payer: str) -> None:
    """Hand on what waits in `Channels` for any Share; anyone may."""
    channels = world.deployment.channels
    for listed in market.values():
        if await world.reader.read(channels.pending_of(listed.asset)):
            await world.sender(payer).send(channels.flush(listed.asset))


async def stream_ends(world: World, market: Mapping[str, Listed]) -> int:
    """Return when the last stream will have reached its holders, unix seconds."""
    rows = await asyncio.gather(
        *(world.reader.read(listed.share.revenue_stream()) for listed in market.values())
    )
    return max(end for _, _, _, end in rows)


async def wait_for_middle(world: World, listed: Listed) -> None:
    """Wait until half of a stream that runs now has reached the holders."""
    _, _, last, end = await world.reader.read(listed.share.revenue_stream())
    await wait_until(world, (last + end) // 2)


async def failed_sales_end(world: World, market: Mapping[str, Listed]) -> int:
    """Return when the last sale that was meant to fail is over, unix seconds."""
    rows = await asyncio.gather(
        *(
            world.reader.read(listed.offering.terms())
            for listed in market.values()
            if listed.plan.fails and isinstance(listed.offering, Offering)
        )
    )
    return max((row[7] for row in rows), default=0)


async def wait_until(world: World, moment: int) -> None:
    """Wait until the chain's next block is later than a moment (unix seconds)."""
    # Blocks have whole seconds; a moment that has just begun may belong to the one before.
    await asyncio.sleep(max(0.0, moment + 1.0 - world.clock()))


async def refund_buyers(world: World, listed: Listed) -> dict[str, Units]:
    """Pay the buyers of a failed sale back; return what each got, base units."""
    names, sale = list(listed.bought), listed.offering
    if not isinstance(sale, Offering):
        return {}
    amounts = await asyncio.gather(*(sales.refund(world.sender(name), sale) for name in names))
    return dict(zip(names, amounts, strict=True))


async def close_sales(world: World, market: Mapping[str, Listed]) -> dict[str, selling.Closing]:
    """Let publishers take out proceeds, and the shares of sales that are over; by slug."""
    found: dict[str, selling.Closing] = {}
    for slug, listed in market.items():
        sender = world.sender(listed.plan.publisher)
        if isinstance(listed.offering, Offering):
            found[slug] = await sales.close(sender, listed.offering, now=world.now())
        else:
            found[slug] = await auctions.close(sender, listed.offering, now=world.now())
    return found


async def claim_everything(world: World, market: Mapping[str, Listed]) -> None:
    """Let everybody claim: holders, beneficiaries of grants, and publishers for unsold shares."""
    for listed in market.values():
        publisher = world.sender(listed.plan.publisher)
        if isinstance(listed.offering, Offering):
            await sales.claim(publisher, listed.offering)
        else:
            await auctions.claim(publisher, listed.offering)
        for name, vesting in listed.grants:
            await grants.claim(world.sender(name), vesting)
            # What has unlocked so far leaves the grant; it earns for the same person as before.
            await grants.release(world.sender(name), vesting)
    owners = {world.account(name).address: name for name in world.wallet.names()}
    for listed in market.values():
        await asyncio.gather(
            *(
                shares.claim(world.sender(name), listed.share)
                for name in await _earners(world, listed.share, owners)
            )
        )


async def _earners(world: World, share: Share, owners: Mapping[str, str]) -> list[str]:
    amounts = await world.reader.read_all(
        [share.claimable(address) for address in owners], at="pending"
    )
    return [name for name, amount in zip(owners.values(), amounts, strict=True) if amount]


async def withdraw_credits(world: World) -> dict[str, Units]:
    """Pay out the operator's cut and both halves of the network fee; base units by name."""
    names = (world.config.operator, "commons")
    amounts = await asyncio.gather(*(_withdraw(world, world.sender(name)) for name in names))
    return dict(zip(names, amounts, strict=True))


async def _withdraw(world: World, sender: Sender) -> Units:
    channels = world.deployment.channels
    receipt = await sender.send(channels.withdraw_credit())
    return Units(receipt.one_of(CreditWithdrawn, address=channels.address).amount)
