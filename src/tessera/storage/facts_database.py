"""Where facts are kept: a SQLite file with one writer, or a PostgreSQL database with one.

The same statements run on both. PostgreSQL is spoken to on a loop of its own thread, so that
whoever reads facts needs no loop, and whoever follows a chain is in none of its way.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.engine import URL

from tessera.errors import Busy, InputError, NotFound
from tessera.storage.engine import migrate, open_database, storage_errors
from tessera.storage.lock import FileLock

if TYPE_CHECKING:
    # Importing it takes greenlet, which only the extra for PostgreSQL brings.
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["FactsDatabase", "insert_rows", "open_facts"]

T = TypeVar("T")

_STEPS: Final = "facts_migrations"
_WRITER: Final = (0x7E55_0003, 1)
"""Advisory lock of PostgreSQL: whoever writes facts holds it."""
_CONNECT_S: Final = 10.0


class FactsDatabase(ABC):
    """One chain's facts; use `open_facts`, and `close` it."""

    @abstractmethod
    def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in one transaction: all of it is there, or nothing.

        In a file a power cut may take the last ones away again, whole; a kill takes none.

        Raises
        ------
        StorageFull, DataError, Busy
            It was taken back.
        """

    @abstractmethod
    def read(self, query: Callable[[Connection], T]) -> T:
        """Run queries that all see one moment, beside whoever writes.

        Raises
        ------
        DataError, Busy
            They were not answered.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of it, and of the writer's place."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_facts(where: Path | str, *, write: bool = False) -> FactsDatabase:
    """Open facts.

    Parameters
    ----------
    where
        A file, or `postgresql://...`.
    write
        Whether to be the one who writes. It makes the file and brings the schema up to date.

    Raises
    ------
    NotFound
        To read there is no such file.
    Busy
        Somebody else writes there.
    InputError, DataError, StorageFull
        It is no such URL or the driver is missing; no database or a newer one; no room.
    """
    if isinstance(where, str):
        return _Server.open(where, write=write)
    return _File(where, write=write)


def insert_rows(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    **same: int,
) -> None:
    """Insert rows; what is there already stays.

    Past the builder of statements, which takes longer for a row than the database does.

    Parameters
    ----------
    columns
        What the rows hold, in their order.
    same
        Further columns, with the one value of all rows.
    """
    if not rows:
        return
    count = len(columns)
    server = connection.dialect.name == "postgresql"
    marks = [f"${n + 1}" for n in range(count)] if server else ["?"] * count
    values = ", ".join([*marks, *(str(int(value)) for value in same.values())])
    names = ", ".join(table.c[name].name for name in (*columns, *same))
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING",  # noqa: S608
        list(rows),
    )


class _File(FactsDatabase):
    def __init__(self, path: Path, *, write: bool) -> None:
        self._thing = str(path)
        self._lock: FileLock | None = None
        self._writer: Engine | None = None
        if write:
            self._lock = FileLock(
                path.with_name(path.name + ".lock"),
                f"facts {path}",
                next_step="an indexer runs already (process {owner}); its `--status` shows how far",
            )
            try:
                self._writer = open_database(path, steps=_STEPS, durable=False)
            except BaseException:
                self._lock.release()
                raise
        elif not path.is_file():
            raise NotFound(
                "facts",
                found=str(path),
                wanted="what an indexer wrote",
                next_step="make them: tessera index --once",
            )
        self._reader = create_engine(
            URL.create("sqlite", database=str(path)), connect_args={"check_same_thread": False}
        )
        event.listen(self._reader, "connect", _read_only)
        event.listen(self._reader, "begin", _begin)

    def write(self, work: Callable[[Connection], T]) -> T:
        assert self._writer is not None, "opened for reading"
        with storage_errors(self._thing), self._writer.begin() as connection:
            return work(connection)

    def read(self, query: Callable[[Connection], T]) -> T:
        with storage_errors(self._thing), self._reader.begin() as connection:
            return query(connection)

    def close(self) -> None:
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose()
        if self._lock is not None:
            self._lock.release()


def _read_only(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")


class _Server(FactsDatabase):
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="facts", daemon=True)
        self._thread.start()
        self._engine: AsyncEngine | None = None
        self._writer: AsyncConnection | None = None

    @classmethod
    def open(cls, url: str, *, write: bool) -> _Server:
        if not url.startswith(("postgresql://", "postgres://")):
            raise InputError(
                "facts_database", found=url.split("://", maxsplit=1)[0], wanted="postgresql://..."
            )
        if any(importlib.util.find_spec(part) is None for part in ("asyncpg", "greenlet")):
            raise InputError(
                "facts_database",
                found="PostgreSQL, without the driver for it",
                wanted="asyncpg",
                next_step="pip install 'tessera-market[postgres]'",
            )
        made = cls()
        try:
            made._do(made._connect(url, write=write))
        except BaseException:
            made.close()
            raise
        return made

    def write(self, work: Callable[[Connection], T]) -> T:
        return self._do(self._write(work))

    def read(self, query: Callable[[Connection], T]) -> T:
        return self._do(self._read(query))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._do(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        from tessera.storage.shared import database_errors

        with database_errors("facts"):
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connect(self, url: str, *, write: bool) -> None:
        import asyncpg
        from sqlalchemy.ext.asyncio import create_async_engine

        async def connect() -> Any:
            return await asyncpg.connect(url, timeout=_CONNECT_S)

        self._engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
        if not write:
            return
        self._writer = await self._engine.connect()
        async with self._writer.begin():
            await self._writer.run_sync(_take_place)
        async with self._writer.begin():
            await self._writer.run_sync(lambda connection: migrate(connection, _STEPS))

    async def _write(self, work: Callable[[Connection], T]) -> T:
        assert self._writer is not None, "opened for reading"
        async with self._writer.begin():
            return await self._writer.run_sync(work)

    async def _read(self, query: Callable[[Connection], T]) -> T:
        assert self._engine is not None
        async with self._engine.connect() as connection:
            # All that one query sees is of one moment.
            await connection.execution_options(isolation_level="REPEATABLE READ")
            return await connection.run_sync(query)

    async def _disconnect(self) -> None:
        if self._writer is not None:
            # Not back into the pool: its lock must end.
            await self._writer.invalidate()
            await self._writer.close()
        if self._engine is not None:
            await self._engine.dispose()


def _take_place(connection: Connection) -> None:
    space, which = _WRITER
    taken = connection.execute(
        text("SELECT pg_try_advisory_lock(CAST(:space AS int), CAST(:which AS int))"),
        {"space": space, "which": which},
    ).scalar_one()
    if not taken:
        raise Busy(
            "facts",
            found="another indexer on this database",
            wanted="one writer",
            next_step="let it do the work, or end it",
        )
