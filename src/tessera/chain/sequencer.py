"""The one place where transactions get their order, and the order becomes durable.

One task does, over and over: take what can be executed, let the node judge each transaction, sync
the block's record to disk, have it mined, tell the senders. Who sends while a block is being
synced is in the next one. When the node's process is lost, the same task makes a new one from the
journal and goes on.

A sender is told "mined" only after the sync, and "refused" only for what is in no record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from eth_utils.address import to_checksum_address

from tessera.chain.genesis import BLOCK_GAS_LIMIT
from tessera.chain.ipc import IpcLost
from tessera.chain.journal import BlockRecord, Journal
from tessera.chain.pool import TransactionPool
from tessera.chain.replica import MinedBlock, Replica, replay_cost_s
from tessera.chain.snapshots import SnapshotStore
from tessera.chain.transactions import SignedTransaction, TransactionRefused, decode_transaction
from tessera.chain.upkeep import Upkeep
from tessera.errors import (
    DataError,
    InvariantViolation,
    RpcUnavailable,
    StorageFull,
    TesseraError,
)

__all__ = ["Sequencer", "Ticket"]

_MOST_PER_BLOCK: Final = 500
_SNAPSHOT_AFTER_S: Final = 1.5
_SNAPSHOT_AT_CLOSE_AFTER_S: Final = 0.3
_CLOSE_WAIT_S: Final = 10.0

_log = logging.getLogger("tessera.chain.node")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A transaction that was taken.

    Parameters
    ----------
    hash
        Of the transaction, 0x-hex.
    executable
        Whether it goes into the next block; otherwise it waits for an earlier nonce.
    mined
        Done when it is in a durable block; fails where it was refused after all.
    """

    hash: str
    executable: bool
    mined: asyncio.Future[None]


class Sequencer:
    """Puts transactions in order, durably.

    Parameters
    ----------
    boot
        Makes a node with the journal's history.
    journal
        Used by this object alone from now on, and closed by `close`.
    snapshots
        Where states are kept now and then.
    clock
        Wall clock, unix seconds.
    """

    def __init__(
        self,
        *,
        boot: Callable[[], Awaitable[Replica]],
        journal: Journal,
        snapshots: SnapshotStore,
        clock: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._snapshots = snapshots
        self._clock = clock
        self._pool = TransactionPool()
        self._mined_counts: dict[str, int] = {}
        self._outcomes: dict[str, asyncio.Future[None]] = {}
        self._asked_blocks: list[asyncio.Future[int]] = []
        self._wake = asyncio.Event()
        self._upkeep = Upkeep(boot=boot, withdraw=self._withdraw, on_loss=self._wake.set)
        self._task: asyncio.Task[None] | None = None
        # SQLite's sync would hold up every reader if it ran on the event loop.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="tessera-journal")
        self._stopping = False
        self._tail_cost_s = 0.0
        self._dump_cost_s = 0.0
        self.storage_error: TesseraError | None = None
        self.failed = asyncio.Event()

    @property
    def chain_id(self) -> int:
        """EIP-155 number of the chain."""
        return self._journal.genesis.chain_id

    @property
    def height(self) -> int:
        """Number of the last block in the journal."""
        return self._journal.height

    @property
    def waiting(self) -> int:
        """How many transactions wait."""
        return len(self._pool)

    @property
    def node_pid(self) -> int | None:
        """Pid of the node's process; None while there is none."""
        replica = self._upkeep.replica
        return None if replica is None else replica.process.pid

    @property
    def restarts(self) -> int:
        """How often the node's process was lost and replaced."""
        return self._upkeep.restarts

    @property
    def failure(self) -> TesseraError | None:
        """Why the sequencer has stopped; None while it runs."""
        return self._upkeep.failure

    def now(self) -> int:
        """Return the timestamp that a block mined now would get, unix seconds.

        The wall clock, except that time never falls: several blocks may share a second.
        """
        return max(self._journal.last_timestamp, int(self._clock()))

    async def start(self) -> None:
        """Bring up the node and begin; raises what `Replica.boot` raises."""
        await self._renew()
        self._task = asyncio.create_task(self._run(), name="tessera-sequencer")

    async def close(self) -> None:
        """Stop between two blocks, keep a snapshot where that saves time, and end the node."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            # Cancelled by the timeout where the node does not answer any more.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _CLOSE_WAIT_S)
        if self.failure is None:
            with contextlib.suppress(IpcLost):
                await self._keep_snapshot(when_longer_than_s=_SNAPSHOT_AT_CLOSE_AFTER_S)
        await self._upkeep.drop()
        self._give_up(RpcUnavailable("embedded node: shutting down", next_step="start it again"))
        self._disk.shutdown(wait=True)
        self._journal.close()

    async def admit(self, raw: bytes) -> Ticket:
        """Take a raw transaction.

        Raises
        ------
        TransactionRefused
            It can never be mined as things stand.
        QuotaExceeded
            Too many wait.
        RpcUnavailable
            The node is down and was not back in time.
        """
        transaction = decode_transaction(raw, chain_id=self.chain_id)
        mined = self._mined_counts.get(transaction.sender)
        if mined is None:
            mined = await self._upkeep.ask(
                lambda replica: replica.transaction_count(transaction.sender)
            )
            # Another request may have asked meanwhile, and blocks been mined since.
            mined = self._mined_counts.setdefault(transaction.sender, mined)
        if self._pool.get(transaction.hash) is not None:
            return self._ticket(transaction)
        if transaction.nonce < mined:
            if await self._upkeep.ask(lambda replica: replica.has_transaction(transaction.hash)):
                return Ticket(transaction.hash, True, _done())
            raise TransactionRefused(
                "nonce too low: transaction",
                found=transaction.nonce,
                wanted=f"{self._pool.next_nonce(transaction.sender, mined)} or more",
                next_step="sign it again with the next nonce",
            )
        replaced = self._pool.add(transaction)
        if replaced is not None:
            self._refuse(replaced, TransactionRefused(f"replaced by {transaction.hash}"))
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        outcome.add_done_callback(_retrieve)
        self._outcomes[transaction.hash] = outcome
        self._wake.set()
        return self._ticket(transaction)

    async def mine(self) -> int:
        """Make a block now, even an empty one, and return its number.

        Raises
        ------
        StorageFull
            There is no room for its record.
        RpcUnavailable
            The node is down for good.
        """
        self._check_alive()
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asked.add_done_callback(_retrieve)
        self._asked_blocks.append(asked)
        self._wake.set()
        return await asyncio.shield(asked)

    async def next_nonce(self, address: str) -> int:
        """Return the nonce after all of the address's transactions, mined or waiting.

        Raises
        ------
        NodeRefused
            `address` is none.
        """
        mined = await self._upkeep.ask(lambda replica: replica.transaction_count(address))
        return self._pool.next_nonce(to_checksum_address(address), mined)

    def waiting_transaction(self, tx_hash: str) -> SignedTransaction | None:
        """Return a transaction that is in no block yet."""
        return self._pool.get(tx_hash)

    def waiting_counts(self) -> tuple[int, int]:
        """Return how many transactions can be executed now and how many wait for another."""
        executable = self._pool.executable(
            lambda sender: self._mined_counts.get(sender, -1),
            gas_limit=len(self._pool) * BLOCK_GAS_LIMIT,
            at_most=len(self._pool),
        )
        return len(executable), len(self._pool) - len(executable)

    async def read(self, request: bytes, *, timeout_s: float) -> bytes:
        """Have the node answer an encoded request that changes nothing.

        A request that was lost with the node's process is asked again of the next one.

        Raises
        ------
        RpcUnavailable
            No answer within `timeout_s`.
        """
        return await self._upkeep.ask(
            lambda replica: replica.reads.exchange(request, timeout_s=timeout_s)
        )

    async def _run(self) -> None:
        try:
            while not self._stopping:
                await self._wake.wait()
                self._wake.clear()
                try:
                    while not self._stopping and await self._seal_next():
                        pass
                    await self._keep_snapshot(
                        when_longer_than_s=_SNAPSHOT_AFTER_S + 2 * self._dump_cost_s
                    )
                except IpcLost as error:
                    _log.warning("node process lost (%s); starting another", error)
                    await self._renew()
                    self._wake.set()
        except asyncio.CancelledError:
            raise
        except TesseraError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it
            _log.exception("sequencer stopped")
            self._fail(InvariantViolation(f"embedded node: sequencer stopped: {error!r}"))

    async def _seal_next(self) -> bool:
        """Make one block, if anything asks for one; return whether another may be due."""
        replica = self._upkeep.replica
        if replica is None or not replica.process.running:
            raise IpcLost("node process: ended")
        candidates = self._pool.executable(
            lambda sender: self._mined_counts[sender],
            gas_limit=BLOCK_GAS_LIMIT,
            at_most=_MOST_PER_BLOCK,
        )
        if not candidates and not self._asked_blocks:
            return False
        self._pool.mark_being_mined(candidates)
        try:
            accepted = await self._offered(replica, candidates)
            asked, self._asked_blocks = self._asked_blocks, []
            if not accepted and not asked:
                return True
            try:
                await self._seal(replica, accepted, asked)
            except TesseraError as error:
                _fail_all(asked, error)
                raise
        finally:
            self._pool.mark_being_mined([])
        return True

    async def _offered(
        self, replica: Replica, candidates: list[SignedTransaction]
    ) -> list[SignedTransaction]:
        accepted: list[SignedTransaction] = []
        refused_senders: set[str] = set()
        for transaction in candidates:
            if transaction.sender in refused_senders:
                # The node would keep it for later; ours is the only pool that does that.
                continue
            refusal = await replica.submit(transaction.raw)
            if refusal is None:
                accepted.append(transaction)
            else:
                refused_senders.add(transaction.sender)
                self._refuse(transaction, refusal)
        return accepted

    async def _seal(
        self,
        replica: Replica,
        transactions: list[SignedTransaction],
        asked: list[asyncio.Future[int]],
    ) -> None:
        record = BlockRecord(
            self._journal.height + 1, self.now(), tuple(each.raw for each in transactions)
        )
        try:
            await self._on_disk(self._journal.append, record)
        except DataError as error:
            self._note_storage_error(error)
            for transaction in transactions:
                self._refuse(transaction, error)
            _fail_all(asked, error)
            await replica.clear()
            return
        self.storage_error = None
        try:
            block = await replica.mine(record)
            await self._on_disk(self._journal.confirm, record.number, block.hash)
        except IpcLost as error:
            _log.warning("node process lost (%s) at block %d", error, record.number)
            found = await self._renew(at_stake=record.number)
            if found is None:
                withdrawn = TransactionRefused(
                    f"transaction: block {record.number} ended the node's process each time",
                    next_step="nothing was changed; report it with the transaction",
                )
                for transaction in transactions:
                    self._refuse(transaction, withdrawn)
                _fail_all(asked, withdrawn)
                return
            block = found
        self._tail_cost_s += replay_cost_s(len(transactions))
        self._settle(transactions, block)
        for future in asked:
            if not future.done():
                future.set_result(block.number)

    def _settle(self, transactions: list[SignedTransaction], block: MinedBlock) -> None:
        for transaction in transactions:
            if transaction.hash in block.transactions:
                self._mined_counts[transaction.sender] = transaction.nonce + 1
                self._pool.remove(transaction)
                outcome = self._outcomes.pop(transaction.hash, None)
                if outcome is not None and not outcome.done():
                    outcome.set_result(None)
            elif not block.transactions:
                # Those that were left out are offered again, and the node then says why it
                # refuses them. A block in which nothing worked must not be repeated for ever.
                self._refuse(
                    transaction, TransactionRefused("transaction: the node could not execute it")
                )

    async def _renew(self, at_stake: int | None = None) -> MinedBlock | None:
        """Get a new node, and return the block `at_stake` or None where it was withdrawn."""

        async def look(replica: Replica) -> MinedBlock | None:
            for sender in {*self._mined_counts, *(waiting.sender for waiting in self._pool)}:
                self._mined_counts[sender] = await replica.transaction_count(sender)
            self._tail_cost_s = replica.replayed_cost_s
            return await replica.block(self.height) if at_stake == self.height else None

        return await self._upkeep.renew(look)

    async def _withdraw(self, number: int) -> bool:
        if number != self.height or self._journal.hash_of(number) is not None:
            return False
        # It was never made, so nobody was ever told of it; with it, there is no chain.
        _log.error("block %d crashes the node each time; withdrawn", number)
        await self._on_disk(self._journal.withdraw, number)
        return True

    async def _keep_snapshot(self, *, when_longer_than_s: float) -> None:
        replica = self._upkeep.replica
        if self._tail_cost_s <= when_longer_than_s or replica is None:
            return
        begun = time.monotonic()
        # Reset also where it fails: the next attempt comes after as long a stretch again.
        self._tail_cost_s = 0.0
        packed = await replica.dump()
        try:
            await self._on_disk(self._snapshots.save, self._journal.height, packed)
        except OSError as error:
            _log.warning("no snapshot kept: %s", error)
            return
        finally:
            self._dump_cost_s = time.monotonic() - begun
        _log.info("snapshot of block %d kept", self._journal.height)

    async def _on_disk(self, action: Callable[..., None], *arguments: object) -> None:
        # Shielded: a write that was begun is finished before anybody closes the file.
        await asyncio.shield(
            asyncio.get_running_loop().run_in_executor(self._disk, action, *arguments)
        )

    def _ticket(self, transaction: SignedTransaction) -> Ticket:
        mined = self._mined_counts[transaction.sender]
        executable = transaction.nonce < self._pool.next_nonce(transaction.sender, mined)
        return Ticket(transaction.hash, executable, self._outcomes[transaction.hash])

    def _refuse(self, transaction: SignedTransaction, error: TesseraError) -> None:
        self._pool.remove(transaction)
        outcome = self._outcomes.pop(transaction.hash, None)
        if outcome is not None and not outcome.done():
            outcome.set_exception(error)

    def _note_storage_error(self, error: DataError) -> None:
        if self.storage_error is None:
            _log.error("%s", error)
        self.storage_error = error if isinstance(error, StorageFull) else DataError(str(error))

    def _check_alive(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _fail(self, error: TesseraError) -> None:
        _log.critical("embedded node stopped: %s", error)
        self._give_up(error)
        self.failed.set()

    def _give_up(self, error: TesseraError) -> None:
        self._upkeep.give_up(error)
        for transaction in self._pool:
            self._refuse(transaction, error)
        _fail_all(self._asked_blocks, error)
        self._asked_blocks = []


def _fail_all(asked: list[asyncio.Future[int]], error: TesseraError) -> None:
    for future in asked:
        if not future.done():
            future.set_exception(error)


def _retrieve(future: asyncio.Future[None] | asyncio.Future[int]) -> None:
    # Not every sender waits for the outcome; asyncio would log those that nobody looked at.
    if not future.cancelled():
        future.exception()


def _done() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
