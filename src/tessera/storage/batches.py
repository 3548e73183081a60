"""The log: everything that waits is one row, one transaction and one sync of the disk.

A sync costs milliseconds, so a gateway that made one per call would serve a few hundred a second;
a row per call costs more CPU than judging the call. So calls are opaque entries here, and a batch
of them is one row of `batches`. While one batch is being written the next gathers; each caller
waits for the batch that holds its entries, and no longer. What an entry means, and when it is
copied into tables that can be searched, belongs to the room that writes it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tessera.errors import Busy, InvariantViolation
from tessera.storage.engine import storage_errors

__all__ = ["BatchLog", "BatchWriter", "Seal", "Written", "batch_body"]

logger = logging.getLogger(__name__)

Change = TypeVar("Change")
Change_contra = TypeVar("Change_contra", contravariant=True)
Result = TypeVar("Result")

FOLD_AT: Final = 1_024
"""So many entries wait for their tables before a fold; a fold of them holds the log up for
some milliseconds, and a crash for as long at the next start. Keys are random, so each fold writes
most pages of the tables anew: the fewer entries at a time, the dearer each."""

SPACING_S: Final = 0.004
"""Signing and syncing a batch takes as much CPU as judging several calls, and whoever comes in that
time shares it. Whoever is alone in a batch keeps nobody waiting."""

_BEHIND: Final = "the books' tables stay behind their log: %s"
_LAST: Final = "SELECT coalesce(max(n), 0) FROM batches"
_INSERT: Final = "INSERT INTO batches (n, body, root, signature) VALUES (?, ?, ?, ?)"


class Seal(NamedTuple):
    """What vouches for the leaves of a batch.

    Attributes
    ----------
    root
        Over all of them; None where each was signed for itself.
    signature
        Of the root; without one the signatures of the leaves in their order, 65 bytes each.
    proofs
        What leads each leaf to the root, in the order of the leaves. Not kept: whoever has all
        leaves makes them again.
    """

    root: bytes | None
    signature: bytes
    proofs: Sequence[tuple[bytes, ...]] = ()


class Written(NamedTuple):
    """Where a caller's leaf is on the disk.

    Attributes
    ----------
    seal
        Of its batch; None where the batch had no leaves.
    leaves
        All of the batch, in order.
    place
        Of the caller's among them; of no meaning where it gave none.
    """

    seal: Seal | None
    leaves: Sequence[bytes]
    place: int


class BatchWriter(Protocol[Change_contra]):
    """What the log leaves to whoever knows what stands in it; all run in the log's thread."""

    def write(self, connection: Connection, changes: Sequence[Change_contra]) -> None:
        """Write rows of other tables inside a batch's transaction."""

    def seal(self, leaves: Sequence[bytes]) -> Seal:
        """Vouch for the leaves of a batch; there is at least one."""

    def fold(self, connection: Connection, most: int) -> int:
        """Copy entries that are only in the log, at least `most` if there are, into tables.

        Returns
        -------
        int
            How many it copied; 0 when there are no more.
        """


class _Gathering(Generic[Change]):
    """The batch that is being gathered."""

    __slots__ = ("changes", "entries", "leaves", "waiting")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.entries: list[bytes] = []
        self.leaves: list[bytes] = []
        self.waiting: list[tuple[asyncio.Future[Written], int]] = []


class BatchLog(Generic[Change]):
    """Writes entries and changes in the order in which they were put, many per transaction.

    Parameters
    ----------
    engine
        Where they are written; one SQLite file.
    writer
        Knows what they mean.
    on_failure
        Called in the event loop when a batch could not be written. The transaction was taken back
        and everything put since has failed with it, because it was put on the strength of it.

    Attributes
    ----------
    failure
        What the latest batch failed with; None where it is on the disk.
    on_batch
        Called in the event loop with the entries of each batch that was written, and the seconds
        that this took, the disk's sync included.
    spacing_s
        How far apart batches begin at least while callers come together.
    """

    def __init__(
        self, engine: Engine, writer: BatchWriter[Change], on_failure: Callable[[], None]
    ) -> None:
        self.writer = writer
        self.failure: Exception | None = None
        self.on_batch: Callable[[int, float], None] | None = None
        self.spacing_s = SPACING_S
        self._engine = engine
        self._on_failure = on_failure
        self._gathering: _Gathering[Change] = _Gathering()
        self._busy = False
        self._next_at = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._unfolded = 0
        # Each batch takes the number behind the last that this log knows; where somebody else took
        # it, two processes answer on the same deposits, and the one that is late writes no more.
        with storage_errors("books"), engine.connect() as connection:
            self._last = int(connection.exec_driver_sql(_LAST).scalar_one())
        # Both belong to the thread; the connection is made when it is first needed.
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def put(
        self, *changes: Change, entries: Sequence[bytes] = (), leaf: bytes | None = None
    ) -> asyncio.Future[Written]:
        """Queue what belongs together: rows of other tables, entries of the log, or both.

        Parameters
        ----------
        changes, entries
            All of them become true, or none.
        leaf
            32 bytes to be vouched for with the batch.

        Returns
        -------
        Future
            Done when they are on the disk; fails as the transaction failed. It is the caller's
            own: cancelling it takes nothing back.
        """
        if self._closed:
            raise InvariantViolation("the books are closed, yet something was to be written")
        batch = self._gathering
        batch.changes.extend(changes)
        batch.entries.extend(entries)
        place = len(batch.leaves)
        if leaf is not None:
            batch.leaves.append(leaf)
        future: asyncio.Future[Written] = self._loop.create_future()
        batch.waiting.append((future, place))
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._send_when_due()
        return future

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query on tables that hold every entry that was handed to the disk before it."""

        def work(connection: Connection) -> Result:
            while self.writer.fold(connection, FOLD_AT):
                pass
            found = query(connection)
            try:
                connection.commit()
                self._unfolded = 0
            except DBAPIError as error:
                # The disk is full: the query saw the fold, which is made again when there is room.
                logger.warning(_BEHIND, error)
            return found

        return await self._ask(work)

    async def read_tables(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query on the tables as they are; entries of the log may be missing from them."""
        return await self._ask(query)

    async def drain(self) -> None:
        """Wait until nothing is queued."""
        await self._idle.wait()

    async def close(self) -> None:
        """Write what is queued, copy all entries into their tables, then refuse more."""
        await self.drain()
        if self._closed:
            return
        self._closed = True
        self._jobs.put(lambda: self._fold(0))
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- In the event loop --------------------------------------------------------------------

    def _send_when_due(self) -> None:
        if self._loop.time() < self._next_at:
            self._loop.call_at(self._next_at, self._send)
        else:
            # What others put in this turn of the loop comes along.
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        batch, self._gathering = self._gathering, _Gathering()
        self._next_at = self._loop.time() + self.spacing_s if len(batch.waiting) > 1 else 0.0
        self._jobs.put(lambda: self._write(batch))

    def _written(self, batch: _Gathering[Change], seal: Seal | None, seconds: float) -> None:
        # First, so that the disk works while the callers are told.
        if self._gathering.waiting:
            self._send_when_due()
        else:
            self._busy = False
            self._idle.set()
        self.failure = None
        if self.on_batch is not None:
            self.on_batch(len(batch.entries), seconds)
        leaves = batch.leaves
        for future, place in batch.waiting:
            if not future.done():
                future.set_result(Written(seal, leaves, place))

    def _failed(self, batch: _Gathering[Change], error: Exception) -> None:
        later, self._gathering = self._gathering, _Gathering()
        self._busy = False
        self._idle.set()
        self.failure = error
        self._on_failure()
        for future, _ in (*batch.waiting, *later.waiting):
            if not future.done():
                future.set_exception(error)
                # Where nobody waits (the reader went away) it must not be reported as forgotten.
                future.exception()

    async def _ask(self, query: Callable[[Connection], Result]) -> Result:
        future: asyncio.Future[Result] = self._loop.create_future()

        def work() -> None:
            try:
                with storage_errors("books"):
                    connection = self._opened()
                    try:
                        found = query(connection)
                    finally:
                        connection.rollback()
            except Exception as error:  # noqa: BLE001 - who asked gets it
                self._tell(_fail, future, error)
            else:
                self._tell(_answer, future, found)

        if self._closed:
            raise InvariantViolation("the books are closed, yet something was to be read")
        self._jobs.put(work)
        return await future

    # --- In the thread ------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        if self._connection is not None:
            self._connection.close()

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        # A loop that was closed has nobody left who waits.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _write(self, batch: _Gathering[Change]) -> None:
        seal = None
        begun = time.perf_counter()
        try:
            with storage_errors("books"):
                connection = self._opened()
                if batch.leaves:
                    seal = self.writer.seal(batch.leaves)
                if batch.changes:
                    with connection.begin():
                        self.writer.write(connection, batch.changes)
                        _insert(connection, self._last + 1, batch.entries, seal)
                elif batch.entries:
                    # One statement is one transaction.
                    _insert(connection, self._last + 1, batch.entries, seal)
        except Exception as error:  # noqa: BLE001 - every waiter gets it
            self._tell(self._failed, batch, error)
            return
        self._last += bool(batch.entries)
        self._tell(self._written, batch, seal, time.perf_counter() - begun)
        self._unfolded += len(batch.entries)
        if self._unfolded >= FOLD_AT:
            self._fold(FOLD_AT)

    def _fold(self, most: int) -> None:
        """Copy entries into their tables: `most` and a few, or all where that is 0."""
        try:
            with storage_errors("books"), self._opened().begin():
                while self.writer.fold(self._opened(), most or FOLD_AT) and not most:
                    pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread goes on writing
            # Nothing is lost: they stay in the log, and the next fold takes them along.
            logger.warning(_BEHIND, error)
        self._unfolded = 0


def batch_body(entries: Sequence[bytes]) -> bytes:
    """Join encoded entries into one msgpack array."""
    return b"\xdd" + len(entries).to_bytes(4, "big") + b"".join(entries)


def _insert(connection: Connection, n: int, entries: Sequence[bytes], seal: Seal | None) -> None:
    if not entries:
        return
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    kept = (None, None) if seal is None else (seal.root, seal.signature)
    try:
        driver.execute(_INSERT, (n, batch_body(entries), *kept))
    except sqlite3.IntegrityError as error:
        raise Busy(
            "books",
            found=f"batch {n}, which another process wrote",
            wanted="one gateway that writes them",
            next_step="stop one of the two, and start the other one again",
        ) from error


def _answer(future: asyncio.Future[Any], found: object) -> None:
    if not future.done():
        future.set_result(found)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
