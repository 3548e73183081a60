"""What the gateway believes about a holder is what the Governor's contract says, and no more."""

from __future__ import annotations

import time

from tests.integration.client.conftest import World

from tessera.app.stakes import Locked, LockedShares, read_from
from tessera.bindings import Share
from tessera.bindings.registry import Tokenization, Tokenized
from tessera.chain.sender import Sender
from tessera.spec.signatures import address_of

SUPPLY = 1_000 * 10**18


async def test_only_what_is_locked_counts_and_only_for_its_owner(world: World) -> None:
    governor, asset = world.deployment.governor, world.assets[2]
    holder = await world.consumer()
    async with world.reader() as reader, Sender(reader, world.publisher) as publisher:
        receipt = await publisher.send(
            world.deployment.registry.tokenize(
                asset,
                Tokenization("Parrot", "PRT", SUPPLY, 60, 5_000, 2_000, world.publisher.address),
            )
        )
        share = Share(receipt.one_of(Tokenized).share)
        await publisher.send(share.transfer(holder.address, SUPPLY // 4))
        async with Sender(reader, holder) as sender:
            await sender.send(share.approve(governor.address, SUPPLY))
            await sender.send(governor.lock(asset, SUPPLY // 10))
        supplies = {asset: SUPPLY}
        read = read_from(reader, governor, lambda number: supplies.get(number, 0))
        stakes = LockedShares(read, time.monotonic)
        account = address_of(holder.address)
        # A quarter is his, a tenth is locked.
        assert await stakes.amount(asset, account) == SUPPLY // 10
        assert stakes.locked(asset, account) == 0.1
        assert await stakes.amount(asset, address_of(world.publisher.address)) == 0
        assert await read(world.assets[0], account) == Locked(0, 0)
        await stakes.close()
