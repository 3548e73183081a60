"""Opening the database: SQLite in WAL mode, every commit on the disk before it counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as MigrationConfig
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from tessera.errors import Busy, DataError, StorageFull, TesseraError

__all__ = ["migrate", "open_database", "storage_errors"]

_BUSY_TIMEOUT_S = 10.0


def open_database(path: Path, *, steps: str = "migrations", durable: bool = True) -> Engine:
    """Open a database file, make it if it is not there, and bring its schema up to date.

    Parameters
    ----------
    path
        The file; its folder must exist. Two more files, with -wal and -shm behind the name, live
        beside it and belong to it.
    steps
        Folder of this room with the schema's history: an operator's books, or facts.
    durable
        Whether a commit is on the disk when it returns. Where not, a kill loses nothing and a power
        cut the last commits, whole ones: for what can be read again.

    Returns
    -------
    Engine
        Connections with `synchronous=FULL` where durable. Transactions begin IMMEDIATE, so two
        writers wait for each other instead of failing half-way.

    Raises
    ------
    DataError
        It is no database, or a newer Tessera wrote it.
    StorageFull
        The disk has no room for it.
    Busy
        Another process holds it for longer than ten seconds.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_S},
    )
    event.listen(engine, "connect", _configure if durable else _configure_lightly)
    event.listen(engine, "begin", _begin)
    try:
        with storage_errors(str(path)), engine.begin() as connection:
            migrate(connection, steps)
    except TesseraError:
        engine.dispose()
        raise
    return engine


@contextmanager
def storage_errors(thing: str) -> Iterator[None]:
    """Turn what the database raises into our own errors; the transaction has been taken back."""
    try:
        yield
    except DBAPIError as error:
        raise _translated(thing, error.orig or error) from error
    except sqlite3.Error as error:
        raise _translated(thing, error) from error
    except CommandError as error:
        raise DataError(
            thing,
            found=str(error),
            wanted="a schema that this version knows",
            next_step="use the newer Tessera that wrote it, or another data folder",
        ) from error


def _translated(thing: str, error: BaseException) -> TesseraError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == sqlite3.SQLITE_FULL:
        return StorageFull(thing, found=str(error), wanted="room on the disk")
    if primary == sqlite3.SQLITE_IOERR:
        return StorageFull(thing, found=str(error), wanted="a disk that takes writes")
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Busy(thing, found=str(error), next_step="is another process using it?")
    return DataError(thing, found=str(error), wanted="a sound SQLite database")


def _configure(connection: Any, _record: object) -> None:
    # The driver's own transactions begin late and DEFERRED; ours begin in `_begin`.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _configure_lightly(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    # Each checkpoint waits for the disk: one for 64 MB, not for 4.
    cursor.execute("PRAGMA wal_autocheckpoint=16384")
    cursor.close()


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def migrate(connection: Connection, steps: str = "migrations") -> None:
    """Bring a database's schema up to date, in the transaction that was begun."""
    config = MigrationConfig()
    config.set_main_option(
        "script_location", str(resources.files("tessera.storage").joinpath(steps))
    )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
