"""Holders vote a discount for whoever locks enough; the gateway gives it, and the chain settles it.

The whole way on a real chain: shares, a lock, a proposal, a vote, its execution, the operator's
directory, a paid call at the lower price, its settlement under the discount's own terms.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from tests.integration.chain_client.bare_node import BareNode
from tests.integration.client.conftest import Stand, World, built, open_stand
from tests.integration.gateway.conftest import PRICE

from tessera.app.stakes import LockedShares, read_from
from tessera.assets.directory import AssetDirectory
from tessera.bindings import Share
from tessera.bindings.governor import Locked, Proposed, State
from tessera.bindings.registry import Tokenization, Tokenized
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.client import Client
from tessera.ownership.governance import discount
from tessera.units import Shares

SUPPLY = 1_000 * 10**18
LEAST = 100 * 10**18
NOBODY = "0x" + "00" * 20


async def voted(world: World, reader: ChainReader, asset: int, holder: Account) -> None:
    """Make the asset's shares, lock most of them for the holder, and vote a discount of 20 %."""
    governor = world.deployment.governor
    async with Sender(reader, world.publisher) as publisher, Sender(reader, holder) as sender:
        tokenization = Tokenization("Parrot", "PRT", SUPPLY, 1, 5_000, 2_000, holder.address)
        receipt = await publisher.send(world.deployment.registry.tokenize(asset, tokenization))
        share = Share(receipt.one_of(Tokenized).share)
        await sender.send(share.approve(governor.address, SUPPLY))
        locked = await sender.send(governor.lock(asset, SUPPLY * 7 // 10))
        number = locked.one_of(Locked).lock
        # A lock votes on what is proposed later than it.
        await asyncio.sleep(1.1)
        action = discount(world.operator.address, 2_000, Shares(LEAST))
        proposed = await sender.send(governor.propose(asset, action, "less for holders"))
        proposal = proposed.one_of(Proposed).proposal
        await sender.send(governor.vote(asset, proposal, True, [number]))
        async with asyncio.timeout(60):
            while True:
                world.node.mine()
                state = await reader.read(governor.state_of(asset, proposal), at="pending")
                if state == State.READY:
                    break
                await asyncio.sleep(0.2)
        await publisher.send(governor.execute(asset, proposal, action))


async def test_a_discount_that_holders_voted_is_what_a_locked_holder_pays(tmp_path: Path) -> None:
    node = BareNode.start(tmp_path)
    try:
        world = await built(
            node,
            tmp_path,
            min_lock_s=1,
            voting_time_s=2,
            timelock_s=0,
            exit_delay_s=1,
            execution_window_s=600,
        )
        async with world.reader() as reader, Sender(reader, world.operator) as sender:
            stand = await open_stand(world, tmp_path, reader, sender)
            try:
                await _story(world, reader, stand)
            finally:
                for client in stand.clients:
                    await asyncio.to_thread(client.close)
                await stand.server.stop()
                await stand.ledger.close()
    finally:
        node.end()


async def _story(world: World, reader: ChainReader, stand: Stand) -> None:
    asset, holder = world.assets[0], await world.consumer()
    await voted(world, reader, asset, holder)
    directory = AssetDirectory(reader, world.deployment.registry, first_block=0)
    await directory.refresh()
    record = directory.get(asset)
    assert record is not None
    endpoint = record.endpoints[world.operator.address]
    assert endpoint.discount is not None
    assert (endpoint.discount.bps, endpoint.discount.min_locked) == (2_000, LEAST)
    assert endpoint.last_terms == endpoint.discount.terms > endpoint.terms

    read = read_from(reader, world.deployment.governor, lambda _: SUPPLY)
    stakes = LockedShares(read, time.monotonic)
    stand.server.gateway.cashier._stakes = stakes
    first, *rest = (o for o in stand.models.offers() if o.asset == asset)
    assert not rest
    stand.models.replace([replace(first, discount=endpoint.discount)])
    assert stakes.locked(asset, bytes.fromhex(holder.address[2:])) == 0.0

    client = await stand.client(account=holder, holders=True)
    await call(client)
    (receipt,) = client.receipts
    assert receipt.receipt.terms == endpoint.discount.terms
    assert receipt.cost == PRICE.discounted(2_000).cost_ceil(1, 0) < PRICE.cost_ceil(1, 0)
    assert stakes.locked(asset, bytes.fromhex(holder.address[2:])) == 0.7

    stranger = await stand.client(holders=True)
    with pytest.raises(openai.PermissionDeniedError):
        await call(stranger)

    settled = await stand.settler.settle()
    assert settled.total == receipt.cost
    assert (settled.skipped, settled.refused) == ([], [])
    await stakes.close()


async def call(client: Client) -> None:
    async with client.async_openai(max_retries=0) as ai:
        await ai.embeddings.create(model="parrot", input="four")
