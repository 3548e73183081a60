"""Many transactions of one account, and everything that happens to them on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.chain_client.bare_node import CHAIN_ID, RICH, BareNode, until

from tessera.bindings import TestDollar
from tessera.bindings.reverts import Erc20BalanceTooLow, TestDollarMoreThanTheFaucetGives
from tessera.bindings.test_dollar import Transfer
from tessera.chain.jsonrpc import RpcRefused
from tessera.chain.node import EmbeddedNode
from tessera.chain.reader import ChainReader
from tessera.chain.sender import (
    AccountUnfunded,
    NonceMoved,
    Sender,
    TransactionReplaced,
)
from tessera.chain.wallet import Account
from tessera.errors import Closed, NotFinal, TransactionReverted

FAUCET = 10**12
# Any key will do to set another's storage or to replace its transaction.
STRANGER = "0x" + "22" * 20


@pytest.fixture
async def sender(reader: ChainReader, publisher: Account) -> AsyncIterator[Sender]:
    async with Sender(
        reader, publisher, resend_after_s=0.3, give_up_after_s=30, longest_poll_s=0.1
    ) as opened:
        yield opened


@pytest.fixture
async def dollar(sender: Sender) -> TestDollar:
    flight = await sender.create("TestDollar", TestDollar.encode_constructor(6, FAUCET))
    created = (await flight.receipt()).created
    assert created is not None
    return TestDollar(created)


async def test_fifty_at_once_take_fifty_nonces_in_a_row(
    sender: Sender, dollar: TestDollar, reader: ChainReader
) -> None:
    before = await reader.nonce(sender.address)
    receipts = await asyncio.gather(*(sender.send(dollar.faucet(n)) for n in range(1, 51)))
    assert await reader.nonce(sender.address) == before + 50
    assert await reader.read(dollar.balanceOf(sender.address)) == sum(range(1, 51))
    given = [receipt.one_of(Transfer, address=dollar.address).value for receipt in receipts]
    assert given == list(range(1, 51))


async def test_a_revert_is_found_before_anything_is_sent(
    sender: Sender, dollar: TestDollar, reader: ChainReader
) -> None:
    before = await reader.nonce(sender.address, at="pending")
    with pytest.raises(Erc20BalanceTooLow) as caught:
        await sender.send(dollar.transfer(STRANGER, 1))
    assert caught.value.tx_hash is None
    assert caught.value.contract == "TestDollar"
    assert await reader.nonce(sender.address, at="pending") == before


async def test_a_refusal_among_many_leaves_no_gap(sender: Sender, dollar: TestDollar) -> None:
    calls = [dollar.faucet(FAUCET + 1) if n % 3 == 0 else dollar.faucet(1) for n in range(12)]
    outcomes = await asyncio.gather(*(sender.send(call) for call in calls), return_exceptions=True)
    refused = [type(outcome) for outcome in outcomes[::3]]
    assert refused == [TestDollarMoreThanTheFaucetGives] * 4
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 8


async def test_a_mined_revert_says_its_reason_and_its_transaction(
    sender: Sender, dollar: TestDollar
) -> None:
    with pytest.raises(TestDollarMoreThanTheFaucetGives) as caught:
        await sender.send(dollar.faucet(FAUCET + 1), gas=200_000)
    assert caught.value.tx_hash is not None
    assert caught.value.operands["function"] == "faucet"


async def test_too_little_gas_is_called_so(sender: Sender, dollar: TestDollar) -> None:
    with pytest.raises(TransactionReverted, match="out of gas"):
        await sender.send(dollar.faucet(1), gas=30_000)


async def test_a_dropped_transaction_is_sent_again_as_it_was(
    node: BareNode, sender: Sender, dollar: TestDollar
) -> None:
    node.stop_mining()
    flight = await sender.submit(dollar.faucet(5))
    await until(lambda: not flight.on_its_way)
    signed = flight.hash
    assert node.rpc("anvil_dropTransaction", signed) == signed
    await until(lambda: node.rpc("eth_getTransactionByHash", signed) is not None)
    node.mine()
    assert (await flight.receipt()).tx_hash == signed


async def test_everything_dropped_at_once_is_mined_in_the_end(
    node: BareNode, sender: Sender, dollar: TestDollar, reader: ChainReader
) -> None:
    node.stop_mining()
    flights = [await sender.submit(dollar.faucet(1)) for _ in range(20)]
    await until(lambda: not any(flight.on_its_way for flight in flights))
    node.rpc("anvil_dropAllTransactions")
    await until(lambda: int(node.rpc("txpool_status")["pending"], 16) == 20)
    node.mine()
    await asyncio.gather(*(flight.receipt() for flight in flights))
    assert await reader.read(dollar.balanceOf(sender.address)) == 20


async def test_a_transaction_that_is_not_mined_offers_more(
    node: BareNode, sender: Sender, dollar: TestDollar
) -> None:
    node.stop_mining()
    flight = await sender.submit(dollar.faucet(5))
    await until(lambda: len(flight.signed) >= 3 and not flight.on_its_way)
    for earlier, later in zip(flight.signed, flight.signed[1:], strict=False):
        assert later.nonce == earlier.nonce
        assert later.max_fee * 8 >= earlier.max_fee * 9
        assert later.max_priority_fee * 8 >= earlier.max_priority_fee * 9
    node.mine()
    receipt = await flight.receipt()
    assert receipt.tx_hash in {signed.hash for signed in flight.signed}


async def test_a_ceiling_is_never_exceeded(
    node: BareNode, reader: ChainReader, publisher: Account
) -> None:
    node.stop_mining()
    ceiling = 3 * 10**9
    async with Sender(reader, publisher, resend_after_s=0.1, fee_ceiling=ceiling) as frugal:
        flight = await frugal.create("TestDollar", TestDollar.encode_constructor(6, FAUCET))
        await asyncio.sleep(1.0)
        assert max(signed.max_fee for signed in flight.signed) <= ceiling
        node.mine()
        assert (await flight.receipt()).succeeded


async def test_a_nonce_that_somebody_else_used_is_noticed(
    node: BareNode, sender: Sender, dollar: TestDollar, publisher: Account, reader: ChainReader
) -> None:
    async with Sender(reader, publisher) as other:
        await other.send(dollar.faucet(1))
    # Our own count is one behind now.
    assert (await sender.send(dollar.faucet(2))).succeeded
    assert await reader.read(dollar.balanceOf(sender.address)) == 3


async def test_a_nonce_that_is_asked_for_slowly_is_watched_all_the_same(
    sender: Sender,
    dollar: TestDollar,
    publisher: Account,
    reader: ChainReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a flight gets another nonce nothing is on its way, and the watcher may end."""
    async with Sender(reader, publisher) as other:
        await other.send(dollar.faucet(1))
    ask = reader.nonce

    async def slowly(address: str, **options: Any) -> int:
        await asyncio.sleep(0.5)
        return await ask(address, **options)

    monkeypatch.setattr(reader, "nonce", slowly)
    async with asyncio.timeout(20):
        assert (await sender.send(dollar.faucet(2))).succeeded


async def test_a_transaction_that_was_replaced_says_so(
    node: BareNode, sender: Sender, dollar: TestDollar, publisher: Account
) -> None:
    node.stop_mining()
    flight = await sender.submit(dollar.faucet(5))
    await until(lambda: not flight.on_its_way)
    rival = publisher.sign_transaction(
        chain_id=CHAIN_ID,
        nonce=flight.nonce,
        gas=21_000,
        max_fee=10**12,
        max_priority_fee=10**12,
        to=STRANGER,
    )
    node.rpc("eth_sendRawTransaction", f"0x{rival.raw.hex()}")
    node.mine()
    with pytest.raises(TransactionReplaced) as caught:
        await flight.receipt()
    assert caught.value.operands["tx_hash"] == flight.hash
    node.rpc("evm_setAutomine", True)
    assert (await sender.send(dollar.faucet(1))).succeeded


async def test_a_sender_that_never_rests_still_sees_what_was_mined_long_ago(
    node: BareNode, sender: Sender, dollar: TestDollar
) -> None:
    """Each transaction that leaves wakes the sender. Those that wait must be looked for all the
    same: a caller who is told "replaced" of what was mined sends it again, and pays twice."""
    node.stop_mining()
    first = await sender.submit(dollar.faucet(1))
    await until(lambda: not first.on_its_way and not first.look_now)

    async def restless() -> None:
        while True:
            await sender.submit(dollar.faucet(1), gas=100_000)
            await asyncio.sleep(0.02)

    others = asyncio.create_task(restless())
    try:
        async with asyncio.timeout(20):
            await asyncio.sleep(0.2)
            node.mine()
            assert (await first.receipt()).succeeded
            assert not others.done()
    finally:
        others.cancel()
        node.rpc("evm_setAutomine", True)


async def test_a_reorg_that_takes_a_transaction_out_puts_it_back(
    node: BareNode, reader: ChainReader, publisher: Account
) -> None:
    async with Sender(
        reader, publisher, confirmations=4, resend_after_s=0.3, longest_poll_s=0.1
    ) as careful:
        flight = await careful.submit(await dollar_of(careful, node))
        await until(lambda: flight.mined_in is not None)
        first_block = flight.mined_in
        node.rpc("anvil_reorg", 1, [])
        await until(lambda: flight.mined_in not in (None, first_block))
        node.mine(4)
        receipt = await flight.receipt()
        assert receipt.block_hash != first_block
        assert receipt.succeeded


async def test_what_nobody_waits_for_any_more_leaves_no_gap_when_its_block_is_replaced(
    node: BareNode, reader: ChainReader, publisher: Account
) -> None:
    """An operator hands income on and is told so at once; then the block is taken back, and with it
    the transaction. Everything that it sent from then on waited behind a nonce that was missing."""
    async with Sender(
        reader, publisher, watched=5, resend_after_s=0.3, longest_poll_s=0.1
    ) as careful:
        flight = await careful.submit(await dollar_of(careful, node))
        receipt = await flight.receipt()
        node.rpc("anvil_reorg", 1, [])
        again = await careful.send(TestDollar(flight.payload.to or "").faucet(5))
        assert again.succeeded
        await until(lambda: flight.mined_in not in (None, receipt.block_hash))
        node.mine(5)
        await until(lambda: not careful._flights)
        assert await reader.nonce(careful.address, at="pending") == flight.nonce + 2


async def dollar_of(sender: Sender, node: BareNode):  # type: ignore[no-untyped-def]
    made = await sender.create(
        "TestDollar", TestDollar.encode_constructor(6, FAUCET), confirmations=1
    )
    created = (await made.receipt()).created
    assert created is not None
    node.mine(3)
    return TestDollar(created).faucet(5)


async def test_confirmations_are_waited_for(
    node: BareNode, sender: Sender, dollar: TestDollar
) -> None:
    flight = await sender.submit(dollar.faucet(1), confirmations=3)
    await until(lambda: flight.mined_in is not None)
    assert not flight.outcome.done()
    node.mine(2)
    assert (await flight.receipt()).succeeded


async def test_callers_that_are_cancelled_leave_no_gap(
    sender: Sender, dollar: TestDollar, reader: ChainReader
) -> None:
    before = await reader.nonce(sender.address)
    waiting = [asyncio.create_task(sender.send(dollar.faucet(1))) for _ in range(30)]
    for turn, task in enumerate(waiting):
        if turn % 2:
            await asyncio.sleep(0.005)
            task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    # Whoever comes after them is mined, so no nonce before is missing.
    assert (await sender.send(dollar.faucet(1))).succeeded
    after = await reader.nonce(sender.address)
    assert before + 16 <= after <= before + 31
    assert await reader.nonce(sender.address, at="pending") == after


async def test_a_closed_sender_tells_those_who_wait(
    node: BareNode, reader: ChainReader, publisher: Account
) -> None:
    node.stop_mining()
    sender = Sender(reader, publisher)
    flight = await sender.create("TestDollar", TestDollar.encode_constructor(6, FAUCET))
    await sender.close()
    with pytest.raises(Closed, match=flight.hash):
        await flight.receipt()
    assert node.rpc("eth_getTransactionByHash", flight.hash) is not None
    with pytest.raises(Closed):
        await sender.transfer(STRANGER, 1)


async def test_an_account_without_coin_is_told(node: BareNode, reader: ChainReader) -> None:
    async with Sender(reader, Account.generate()) as poor:
        made = await poor.create("TestDollar", TestDollar.encode_constructor(6, FAUCET))
        with pytest.raises(AccountUnfunded, match=r"found 0.*wanted more; send it"):
            await made.receipt()


async def test_a_refusal_after_the_estimate_gives_the_nonce_back(
    node: BareNode, sender: Sender, dollar: TestDollar, reader: ChainReader
) -> None:
    node.stop_mining()
    await sender.reader.block_number()
    nonce = await reader.nonce(sender.address)
    node.fund(sender.address, 0)
    outcomes = await asyncio.gather(
        *(sender.send(dollar.faucet(1), gas=100_000) for _ in range(5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [AccountUnfunded] * 5
    node.fund(sender.address, RICH)
    node.rpc("evm_setAutomine", True)
    assert (await sender.send(dollar.faucet(1))).succeeded
    assert await reader.nonce(sender.address) >= nonce + 1


async def test_who_counts_on_a_nonce_is_told_that_it_moved(
    sender: Sender, dollar: TestDollar, reader: ChainReader
) -> None:
    nonce = await reader.nonce(sender.address)
    with pytest.raises(NonceMoved, match="nothing|start again"):
        await sender.submit(dollar.faucet(1), nonce=nonce + 1)
    assert (await (await sender.submit(dollar.faucet(1), nonce=nonce)).receipt()).succeeded


async def test_waiting_ends_but_the_transaction_is_looked_after(
    node: BareNode, reader: ChainReader, publisher: Account
) -> None:
    node.stop_mining()
    async with Sender(
        reader, publisher, resend_after_s=0.2, give_up_after_s=0.5, longest_poll_s=0.1
    ) as sender:
        flight = await sender.create("TestDollar", TestDollar.encode_constructor(6, FAUCET))
        with pytest.raises(NotFinal, match="do not send it twice"):
            await flight.receipt()
        node.rpc("anvil_dropAllTransactions")
        await until(lambda: int(node.rpc("txpool_status")["pending"], 16) == 1)


async def test_the_embedded_node_mines_a_crowd_in_few_blocks(tmp_path: Path) -> None:
    operator = Account.generate()
    async with (
        EmbeddedNode.start(tmp_path / "chain", prefund={operator.address: RICH}) as embedded,
        ChainReader(embedded.url, chain_id=embedded.chain_id) as reader,
        Sender(reader, operator) as sender,
    ):
        made = await sender.create("TestDollar", TestDollar.encode_constructor(6, FAUCET))
        created = (await made.receipt()).created
        assert created is not None
        dollar = TestDollar(created)
        receipts = await asyncio.gather(*(sender.send(dollar.faucet(1)) for _ in range(50)))
        assert await reader.read(dollar.balanceOf(operator.address)) == 50
        assert len({receipt.block for receipt in receipts}) < 25
        with pytest.raises(Erc20BalanceTooLow):
            await sender.send(dollar.transfer(STRANGER, 51))


async def test_a_node_that_goes_away_and_comes_back_loses_nothing(
    node: BareNode, sender: Sender, dollar: TestDollar
) -> None:
    os.kill(node.process.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(sender.send(dollar.faucet(7)))
    await asyncio.sleep(0.5)
    os.kill(node.process.pid, signal.SIGCONT)
    assert (await waiting).succeeded


class Forgetful:
    """A real node's answers, but for receipts that it refuses to show."""

    def __init__(self, reader: ChainReader, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hidden: set[str] = set()
        self.refusals = 0
        self._batch = reader.rpc.batch
        monkeypatch.setattr(reader.rpc, "batch", self.batch)

    async def batch(self, requests: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        answers = await self._batch(requests)
        for number, (method, params) in enumerate(requests):
            if method == "eth_getTransactionReceipt" and params[0] in self.hidden:
                self.refusals += 1
                answers[number] = RpcRefused(method, -32000, "transaction indexing is in progress")
        return answers


async def test_a_receipt_that_is_refused_at_first_is_waited_for_and_harms_no_other(
    node: BareNode,
    sender: Sender,
    dollar: TestDollar,
    reader: ChainReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgetful = Forgetful(reader, monkeypatch)
    node.stop_mining()
    flights = [await sender.submit(dollar.faucet(n)) for n in range(1, 4)]
    await until(lambda: not any(flight.on_its_way for flight in flights))
    forgetful.hidden = {flights[1].hash}
    node.mine()
    assert (await flights[0].receipt()).succeeded
    assert (await flights[2].receipt()).succeeded
    await until(lambda: forgetful.refusals >= 2)
    assert not flights[1].outcome.done()
    forgetful.hidden.clear()
    assert (await flights[1].receipt()).succeeded


async def test_a_receipt_that_stays_refused_ends_its_own_wait_only(
    node: BareNode,
    sender: Sender,
    dollar: TestDollar,
    reader: ChainReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgetful = Forgetful(reader, monkeypatch)
    node.stop_mining()
    hidden, shown = [await sender.submit(dollar.faucet(n)) for n in (1, 2)]
    await until(lambda: not (hidden.on_its_way or shown.on_its_way))
    forgetful.hidden = {hidden.hash}
    node.mine()
    with pytest.raises(RpcRefused, match="indexing"):
        await hidden.receipt()
    assert (await shown.receipt()).succeeded
    node.rpc("evm_setAutomine", True)
    # The nonces are asked for again: the one of the hidden transaction was used.
    assert (await sender.send(dollar.faucet(3))).succeeded
    assert await reader.read(dollar.balanceOf(sender.address)) == 6
