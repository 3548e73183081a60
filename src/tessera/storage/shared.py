"""PostgreSQL that several gateways share: one connection each, whose end everybody can see.

A gateway is known by a number in `gateways` and holds the advisory lock of that number on its own
connection. The server lets go of the lock when the connection ends, however it ends; so whoever
gets the lock knows that its owner is gone, without asking any clock.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from sqlalchemy import Connection, delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from tessera.errors import (
    Busy,
    DataError,
    InputError,
    InvariantViolation,
    StorageFull,
    TesseraError,
)
from tessera.storage import schema
from tessera.storage.engine import migrate, storage_errors

if TYPE_CHECKING:
    # Importing it takes greenlet, which only the extra for PostgreSQL brings.
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["ConnectionLost", "SharedDatabase", "database_errors"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_GATEWAYS: Final = 0x7E55_0001
_OFFICES: Final = 0x7E55_0002
_MIGRATIONS: Final = 1
_SETTLING: Final = 2
"""Advisory locks: (_GATEWAYS, number of a gateway) and (_OFFICES, what only one may do)."""

_CONNECT_S: Final = 10.0
_TRANSACTION_S: Final = 10.0
"""A server that has not ended a transaction of some statements by then is taken for gone."""
_QUERY_S: Final = 30.0
"""As long for a query, which may look at all that is due."""
_SETTINGS: Final = """
    SET idle_in_transaction_session_timeout = '5s';
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET default_transaction_isolation = 'read committed';
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
"""
"""Of each connection, whatever the server's keeper prefers. So long the server waits for a gateway
that stands still with locks in hand, and so long for one that the network has cut off, before the
others may bury it. Who waited for a lock has to see what was done under it, which a transaction of
one moment does not. And what was committed is on the disk."""
_READERS: Final = 4
_DISK_FULL: Final = "53100"
# Connection exceptions, a transaction that stood still or was rolled back for another's sake, and a
# server that is stopped, starting or out of connections.
_LOST: Final = ("08", "25P03", "40", "57P0", "53300")


class ConnectionLost(Busy):
    """The database does not answer; what was asked last may have been done or not."""


class SharedDatabase:
    """One gateway's place in the shared books.

    Use `SharedDatabase.open`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._using = asyncio.Lock()
        self.gateway = 0
        self.leading = asyncio.Event()

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, bring the schema up to date, and take a number among the gateways.

        Parameters
        ----------
        url
            `postgresql://user:password@host:port/name`, as PostgreSQL's own tools read it;
            `?host=/folder` for a socket.

        Raises
        ------
        InputError
            It is no such URL, or the extra `postgres` is not installed.
        ConnectionLost
            The server does not answer.
        DataError
            A newer Tessera made its tables.
        """
        if not url.startswith(("postgresql://", "postgres://")):
            raise InputError(
                "database", found=url.split("://", maxsplit=1)[0], wanted="postgresql://..."
            )
        if any(importlib.util.find_spec(part) is None for part in ("asyncpg", "greenlet")):
            raise InputError(
                "database",
                found="PostgreSQL, without the driver for it",
                wanted="asyncpg",
                next_step="pip install 'tessera-market[postgres]'",
            )
        import asyncpg
        from sqlalchemy.ext.asyncio import create_async_engine

        async def connect() -> Any:
            try:
                made = await asyncpg.connect(url, timeout=_CONNECT_S)
                await made.execute(_SETTINGS, timeout=_CONNECT_S)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise _lost(error) from error
            return made

        made = cls(
            create_async_engine(
                "postgresql+asyncpg://", async_creator=connect, pool_size=_READERS + 1
            )
        )
        try:
            await made._on_new_connection(_migrate)
            async with made._using:
                await made._joined()
        except BaseException:
            await made.close()
            raise
        return made

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do work in one transaction on the gateway's own connection, one at a time.

        Raises
        ------
        ConnectionLost
            Whether it was done is not known. The next `run` connects anew, under a new number
            where others took this gateway for dead.
        StorageFull, DataError
            It was taken back.
        """
        async with self._using:
            try:
                with database_errors():
                    connection = await self._joined()
                    with _bounded(connection):
                        async with connection.begin():
                            return await connection.run_sync(work)
            except ConnectionLost:
                await self._part()
                raise
            except asyncio.CancelledError:
                # In the middle of a statement: what the connection does next nobody can tell.
                await self._part()
                raise

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on another connection, beside what `run` does.

        Raises
        ------
        ConnectionLost, DataError
            It was not answered.
        """
        with database_errors():
            async with self._engine.connect() as connection:
                with _bounded(connection, _QUERY_S):
                    # All that one query sees is of one moment.
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                    return await connection.run_sync(query)

    async def bury_the_dead(self, bury: Callable[[Connection, int], None]) -> None:
        """Look for gateways that ended without leaving, and take one chance to lead.

        Parameters
        ----------
        bury
            Undoes what a gateway left open, in the transaction that forgets its number.
        """

        def look(connection: Connection) -> bool:
            others = connection.execute(
                select(schema.gateways.c.id).where(schema.gateways.c.id != self.gateway)
            ).scalars()
            for other in list(others):
                if _try_lock(connection, "pg_try_advisory_xact_lock", _GATEWAYS, other):
                    bury(connection, other)
                    connection.execute(delete(schema.gateways).where(schema.gateways.c.id == other))
                    logger.warning("gateway %d ended without leaving; its calls are void", other)
            # Kept for as long as the connection; whoever has it already gets it once more.
            return self.leading.is_set() or _try_lock(
                connection, "pg_try_advisory_lock", _OFFICES, _SETTLING
            )

        if await self.run(look):
            self.leading.set()

    async def close(self, bury: Callable[[Connection, int], None] | None = None) -> None:
        """Leave: the number is given back, the connections end.

        Parameters
        ----------
        bury
            Undoes what this gateway leaves open, as of one that ended without leaving.
        """

        def leave(connection: Connection) -> None:
            if bury is not None:
                bury(connection, self.gateway)
            mine = schema.gateways.c.id == self.gateway
            connection.execute(delete(schema.gateways).where(mine))

        async with self._using:
            connection = self._connection
            if connection is not None and not connection.closed:
                # Whoever finds the number later, with nobody behind it, gives it back too.
                with suppress(DBAPIError, OSError), _bounded(connection):
                    async with connection.begin():
                        await connection.run_sync(leave)
            await self._part()
        await self._engine.dispose()

    # --- Inside -------------------------------------------------------------------------------

    async def _on_new_connection(self, work: Callable[[Connection], T]) -> T:
        with database_errors():
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    async def _joined(self) -> AsyncConnection:
        """Return the gateway's own connection, its lock held."""
        if self._connection is None:
            connection = await self._engine.connect()
            try:
                with _bounded(connection):
                    async with connection.begin():
                        self.gateway = await connection.run_sync(_join, self.gateway)
            except BaseException:
                await connection.invalidate()
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    async def _part(self) -> None:
        """Let go of the connection, and of the locks with it."""
        connection, self._connection = self._connection, None
        self.leading.clear()
        if connection is not None:
            with suppress(DBAPIError, OSError):
                # Not back into the pool: its locks must end.
                await connection.invalidate()
                await connection.close()


@contextmanager
def _bounded(connection: AsyncConnection, seconds: float = 0.0) -> Iterator[None]:
    """End the connection under whatever waits for it for too long, without asking the server."""
    if connection.sync_connection is None:
        raise InvariantViolation("database", found="a connection that ended", wanted="one")
    driver: Any = connection.sync_connection.connection.driver_connection
    late = asyncio.get_running_loop().call_later(seconds or _TRANSACTION_S, driver.terminate)
    try:
        yield
    finally:
        late.cancel()


def _migrate(connection: Connection) -> None:
    # Several gateways start at once, and one makes the tables.
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:space, :which)"),
        {"space": _OFFICES, "which": _MIGRATIONS},
    )
    migrate(connection)


def _join(connection: Connection, before: int) -> int:
    """Take the lock of the number that this gateway had, or else a new number."""
    if before and _try_lock(connection, "pg_try_advisory_lock", _GATEWAYS, before):
        known = connection.execute(
            select(schema.gateways.c.id).where(schema.gateways.c.id == before)
        ).one_or_none()
        if known is not None:
            return before
    made = connection.execute(
        insert(schema.gateways).values(started=int(time.time())).returning(schema.gateways.c.id)
    ).scalar_one()
    # Nobody sees the number before this transaction ends, so nobody finds it without its lock.
    if not _try_lock(connection, "pg_try_advisory_lock", _GATEWAYS, made):
        raise Busy("books", found=f"a lock on the new number {made}", wanted="nobody's")
    return int(made)


def _try_lock(connection: Connection, how: str, space: int, which: int) -> bool:
    return bool(
        connection.execute(
            text(f"SELECT {how}(CAST(:space AS int), CAST(:which AS int))"),
            {"space": space, "which": which},
        ).scalar_one()
    )


class database_errors:  # noqa: N801 - reads as a statement
    """Turns what the driver raises into our own errors."""

    def __init__(self, thing: str = "books") -> None:
        self._thing = thing

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TesseraError) or error is None:
            return
        if isinstance(error, OSError):
            raise _lost(error) from error
        if isinstance(error, DBAPIError):
            state = getattr(error.orig, "sqlstate", None) or ""
            if error.connection_invalidated or state.startswith(_LOST) or not state:
                raise _lost(error.orig or error) from error
            if state == _DISK_FULL:
                raise StorageFull(self._thing, found=str(error.orig), wanted="room on the disk")
            raise DataError(
                self._thing, found=str(error.orig), wanted="a sound PostgreSQL database"
            )
        with storage_errors(self._thing):
            raise error


def _lost(error: BaseException) -> ConnectionLost:
    return ConnectionLost(
        "database",
        found=str(error) or type(error).__name__,
        wanted="a PostgreSQL server that answers",
        next_step="see whether it runs, and whether `database` names it rightly",
    )
