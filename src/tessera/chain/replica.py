"""A node process brought to the state that the journal describes, and fed block by block.

The process is disposable: whatever becomes of it, `Replica.boot` makes another with the same
history, hash by hash.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tessera.chain.anvil import AnvilProcess, LaunchFailed
from tessera.chain.ipc import IpcConnection, IpcLost, IpcPool, NodeRefused
from tessera.chain.journal import BlockRecord, Journal
from tessera.chain.snapshots import Snapshot, SnapshotStore
from tessera.errors import ChainError, DataError, InvariantViolation

__all__ = ["HistoryDiverged", "MinedBlock", "Replica", "ReplayInterrupted", "replay_cost_s"]

_READERS: Final = 4
_PROGRESS_EVERY_S: Final = 5.0
# Measured on two cores: replaying a block of one transaction, and each further one.
_BLOCK_COST_S: Final = 0.0008
_TRANSACTION_COST_S: Final = 0.00036

_log = logging.getLogger("tessera.chain.node")


class HistoryDiverged(InvariantViolation):
    """The node did not make the block that the journal remembers."""


class ReplayInterrupted(ChainError):
    """The process was lost while it replayed a block.

    Attributes
    ----------
    number
        Of the block that it was at.
    crashed
        Whether it ended by itself; False where it was killed, by somebody or for want of memory.
    """

    def __init__(self, number: int, cause: str, *, crashed: bool) -> None:
        super().__init__(f"embedded node: lost while replaying block {number} ({cause})")
        self.number = number
        self.crashed = crashed


@dataclass(frozen=True, slots=True)
class MinedBlock:
    """What the node made of a record.

    Parameters
    ----------
    number, hash
        Of the block.
    transactions
        Hashes (0x-hex) of what it holds: the record's, less those that could not be executed
        after the ones before them.
    """

    number: int
    hash: bytes
    transactions: frozenset[str]


def replay_cost_s(record_transactions: int) -> float:
    """Estimate how long replaying one block takes, in seconds."""
    return _BLOCK_COST_S + _TRANSACTION_COST_S * record_transactions


class Replica:
    """A running node that holds the journal's history; made by `boot`.

    Attributes
    ----------
    process
        The node.
    reads
        Connections for requests that change nothing.
    replayed_cost_s
        Estimated seconds that the part of the history after the snapshot took.
    """

    def __init__(self, process: AnvilProcess, control: IpcConnection) -> None:
        self.process = process
        self.reads = IpcPool(process.socket, _READERS)
        self.replayed_cost_s = 0.0
        self._control = control

    @classmethod
    async def boot(
        cls, program: Path, folder: Path, journal: Journal, snapshots: SnapshotStore
    ) -> Replica:
        """Start a node from the newest usable snapshot and replay what follows it.

        Parameters
        ----------
        program
            The anvil program.
        folder
            The process's own; emptied first.
        journal
            Its history.
        snapshots
            Those that turn out unusable are removed.

        Raises
        ------
        HistoryDiverged
            Replayed from record zero, a block got another hash than it had.
        ReplayInterrupted, LaunchFailed
            The process ended on the way.
        DataError
            The journal is damaged.
        """
        for snapshot in snapshots.newest_first(at_most=journal.height):
            replica = await cls._from_snapshot(program, folder, journal, snapshots, snapshot)
            if replica is not None:
                return replica
        return await cls._from_start(program, folder, journal)

    @classmethod
    async def _from_start(cls, program: Path, folder: Path, journal: Journal) -> Replica:
        _empty(folder)
        process = await AnvilProcess.launch(program, folder, journal.genesis)
        return await cls._replayed(process, journal, after=0)

    @classmethod
    async def _from_snapshot(
        cls,
        program: Path,
        folder: Path,
        journal: Journal,
        snapshots: SnapshotStore,
        snapshot: Snapshot,
    ) -> Replica | None:
        if journal.hash_of(snapshot.height) is None:
            # Nothing to recognise it by, which a power cut can cause; an older one will do.
            return None
        _empty(folder)
        state = folder / "state.json"
        try:
            await asyncio.to_thread(snapshot.unpack, state)
            process = await AnvilProcess.launch(program, folder, journal.genesis, state=state)
            return await cls._replayed(process, journal, after=snapshot.height)
        except OSError as error:
            _log.warning("snapshot %s left out: %s", snapshot.path.name, error)
            return None
        except (DataError, HistoryDiverged, LaunchFailed) as error:
            _log.warning("snapshot %s removed: %s", snapshot.path.name, error)
            snapshots.discard(snapshot)
            return None
        finally:
            state.unlink(missing_ok=True)

    @classmethod
    async def _replayed(cls, process: AnvilProcess, journal: Journal, *, after: int) -> Replica:
        number = after
        try:
            control = await IpcConnection.open(process.socket)
        except IpcLost as error:
            await process.end()
            raise ReplayInterrupted(number, str(error), crashed=False) from error
        replica = cls(process, control)
        try:
            remembered = journal.hash_of(after)
            if remembered is not None:
                _compare(await replica.block(after), remembered)
            begun = shown = time.monotonic()
            for record in journal.records(after):
                number = record.number
                for raw in record.transactions:
                    # Refused now means that it was left out of the block then.
                    await replica.submit(raw)
                block = await replica.mine(record)
                if record.hash is None:
                    journal.confirm(record.number, block.hash)
                else:
                    _compare(block, record.hash)
                replica.replayed_cost_s += replay_cost_s(len(record.transactions))
                if time.monotonic() - shown > _PROGRESS_EVERY_S:
                    shown = time.monotonic()
                    _log.info(
                        "replayed %d of %d blocks in %.0f s",
                        number - after,
                        journal.height - after,
                        shown - begun,
                    )
        except IpcLost as error:
            replica.close()
            crashed = await process.end() not in (-signal.SIGKILL, -signal.SIGTERM)
            raise ReplayInterrupted(number, str(error), crashed=crashed) from error
        except BaseException:
            replica.close()
            await process.end()
            raise
        return replica

    async def submit(self, raw: bytes) -> NodeRefused | None:
        """Hand a transaction to the node for the next block; return its refusal, if any."""
        try:
            await self._control.call("eth_sendRawTransaction", "0x" + raw.hex())
        except NodeRefused as refusal:
            return refusal
        return None

    async def mine(self, record: BlockRecord) -> MinedBlock:
        """Make the block of `record`, whose transactions have been submitted.

        Raises
        ------
        InvariantViolation
            The node refused, or made another block than asked for.
        IpcLost
            The node was lost; the block may or may not be made.
        """
        try:
            await self._control.call("evm_mine", hex(record.timestamp))
            block = await self.block(record.number)
            if len(block.transactions) != len(record.transactions):
                # What was left out must not slip into a later block: a replay would not see it.
                await self.clear()
        except NodeRefused as refusal:
            raise InvariantViolation(
                f"embedded node: block {record.number} was refused: {refusal}",
                next_step="keep the data folder and see docs/runbooks/embedded-node.md",
            ) from refusal
        return block

    async def clear(self) -> None:
        """Make the node forget what was submitted and not mined."""
        await self._control.call("anvil_dropAllTransactions")

    async def block(self, number: int) -> MinedBlock:
        """Return the block at the top of the chain, which must have that number."""
        found = await self._control.call("eth_getBlockByNumber", "latest", False)
        if int(found["number"], 16) != number:
            raise HistoryDiverged(
                "embedded node: height",
                found=int(found["number"], 16),
                wanted=str(number),
                next_step="keep the data folder and see docs/runbooks/embedded-node.md",
            )
        return MinedBlock(
            number, bytes.fromhex(found["hash"][2:]), frozenset(found["transactions"])
        )

    async def transaction_count(self, address: str) -> int:
        """Return how many transactions of `address` are in the chain."""
        count = await self.reads.call("eth_getTransactionCount", address, "latest")
        return int(count, 16)

    async def has_transaction(self, tx_hash: str) -> bool:
        """Return whether a transaction is in a block."""
        return await self.reads.call("eth_getTransactionReceipt", tx_hash) is not None

    async def dump(self) -> bytes:
        """Return the gzipped state and history."""
        packed: str = await self._control.call("anvil_dumpState")
        return await asyncio.to_thread(bytes.fromhex, packed[2:])

    async def end(self) -> None:
        """Close the connections and kill the process."""
        self.close()
        await self.process.end()

    def close(self) -> None:
        """Close the connections; the process is left alone."""
        self._control.close()
        self.reads.close()


def _compare(block: MinedBlock, remembered: bytes) -> None:
    if block.hash != remembered:
        raise HistoryDiverged(
            f"embedded chain: hash of block {block.number} after a replay",
            found=block.hash,
            wanted="0x" + remembered.hex(),
            next_step=(
                "nothing was changed; keep the data folder and start it with the version of the "
                "node that wrote it: docs/runbooks/embedded-node.md"
            ),
        )


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
