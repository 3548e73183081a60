"""Group commit: everything that waits is written in one transaction, with one sync of the disk.

A sync costs milliseconds, so a gateway that made one per call would serve a few hundred a second.
While one transaction is being written the next gathers; each caller waits for the transaction that
holds his change, and no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine

from tessera.errors import InvariantViolation
from tessera.storage.engine import storage_errors

__all__ = ["GroupCommit"]

Change = TypeVar("Change")
Result = TypeVar("Result")


class GroupCommit(Generic[Change]):
    """Writes changes in the order in which they were put, many per transaction.

    Parameters
    ----------
    engine
        Where they are written.
    write
        Writes a batch inside a transaction; runs in a thread of its own, one batch at a time.
    on_failure
        Called in the event loop when a batch could not be written. The transaction was taken back
        and everything put since has failed with it, because it was put on the strength of it.
    """

    def __init__(
        self,
        engine: Engine,
        write: Callable[[Connection, Sequence[Change]], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._write = write
        self._on_failure = on_failure
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._waiting: list[Change] = []
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, *changes: Change) -> asyncio.Future[None]:
        """Queue changes that belong together.

        Returns
        -------
        Future
            Done when they are on the disk; fails as the transaction failed. Whoever awaits it
            shields it, for it is shared.
        """
        if self._closed:
            raise InvariantViolation("the books are closed, yet something was to be written")
        self._waiting.extend(changes)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            # A failure nobody waits for (the reader went away) must not be reported as forgotten.
            self._next.add_done_callback(_retrieved)
        future = self._next
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return future

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query after everything that is being written now."""

        def work() -> Result:
            with storage_errors("books"), self._engine.connect() as connection:
                return query(connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def drain(self) -> None:
        """Wait until nothing is queued."""
        while self._task is not None:
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Write what is queued, then refuse more. Twice is once."""
        await self.drain()
        self._closed = True
        self._thread.shutdown(wait=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._next is not None:
                batch, future = self._waiting, self._next
                self._waiting, self._next = [], None
                try:
                    await loop.run_in_executor(self._thread, self._commit, batch)
                except Exception as error:  # noqa: BLE001 - every waiter gets it
                    self._fail(future, error)
                else:
                    future.set_result(None)
        finally:
            self._task = None

    def _commit(self, batch: Sequence[Change]) -> None:
        with storage_errors("books"), self._engine.begin() as connection:
            self._write(connection, batch)

    def _fail(self, future: asyncio.Future[None], error: Exception) -> None:
        later, self._waiting, self._next = self._next, [], None
        self._on_failure()
        for waiting in (future, later):
            if waiting is not None:
                waiting.set_exception(error)


def _retrieved(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
