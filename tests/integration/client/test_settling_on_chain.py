"""Settlements on a node that takes blocks back, and while gas is dear."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.integration.client.conftest import CALM, Stand, make_settler
from tests.integration.client.test_money import ONE, call

from tessera.payments.onchain import OperatorOnChain
from tessera.payments.settle import Settler
from tessera.payments.settling import State


def states(settler: Settler) -> list[State]:
    return [found.state for found in settler.open]


async def test_a_settlement_outlives_the_blocks_that_are_taken_back(stand: Stand) -> None:
    """A reorganisation throws the settlement's block away, and the node forgets the transaction.
    What was settled is due again at once; the transaction is sent again as it was signed."""
    client = await stand.client()
    await call(client, 3)
    node = stand.world.node
    sender, reader = stand.chain._sender, stand.chain._reader
    sender._resend_after_s = 0.2
    chain = OperatorOnChain(reader, sender, stand.world.deployment, confirmations=2)
    settler = make_settler(stand.ledger, chain, replace(CALM, every_s=0), deep=2)
    settler._flush = False
    before = node.rpc("evm_snapshot")
    assert (await settler.settle()).total == 3 * ONE
    assert states(settler) == [State.MINED]
    assert stand.ledger.exposures.total == 3 * ONE
    assert await stand.ledger.claims() == []
    node.stop_mining()
    try:
        assert node.rpc("evm_revert", before)
        # What a reorganisation leaves is a longer chain.
        node.rpc("anvil_dropAllTransactions")
        node.mine(2)
        await settler.look()
        assert states(settler) == [State.SENT]
        assert [claim.due for claim in await stand.ledger.claims()] == [3 * ONE]
        assert stand.ledger.exposures.total == 3 * ONE
        await settler.look()
        assert len(settler.open) == 1
        async with asyncio.timeout(60):
            while settler.open:
                node.mine(1)
                await settler.look()
                await asyncio.sleep(0.05)
    finally:
        node.rpc("evm_setAutomine", True)
    view = await asyncio.to_thread(client.channel)
    assert view.balance == 10**7 - 3 * ONE
    assert stand.ledger.exposures.total == 0
    # Nobody sits on the account's next number.
    await call(client, 1)
    assert (await settler.settle()).total == ONE


async def test_a_calm_settlement_waits_while_gas_is_dear_and_a_withdrawal_does_not(
    stand: Stand,
) -> None:
    client = await stand.client()
    await call(client, 3)
    node = stand.world.node
    rules = replace(CALM, every_s=0)
    # At 1 gwei, 95,000 gas cost ten of 303 units, at 10 gwei a third of them.
    settler = make_settler(stand.ledger, stand.chain, rules, coin=10**5)
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10 * 10**9))
    node.mine(1)
    number = await asyncio.to_thread(client.open)
    assert (await settler.look()).results == []
    assert settler.too_dear == (number,)
    # The payer waits for a cheap block, and then gas is dear again.
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    leaves_at = await asyncio.to_thread(client.request_withdrawal)
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10 * 10**9))
    node.mine(1)
    assert (await settler.look()).total == 3 * ONE
    assert settler.too_dear == ()
    view = await asyncio.to_thread(client.channel)
    assert (view.balance, view.available_at) == (10**7 - 3 * ONE, leaves_at)
