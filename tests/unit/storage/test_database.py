"""What the database promises: exact integers, and a schema that is the migrations'."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select

from tessera.errors import Busy, DataError
from tessera.storage import schema
from tessera.storage.engine import open_database


def test_the_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "books.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.METADATA) == []
    engine.dispose()


def test_every_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "books.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    engine.dispose()


@pytest.mark.parametrize("number", [0, 2**53 + 1, 2**63, 2**64 - 1, 2**96 - 1, 2**240 - 1])
def test_an_integer_of_any_size_comes_back_as_it_went_in(tmp_path: Path, number: int) -> None:
    engine = open_database(tmp_path / "books.db")
    row = {"channel": number, "lines": "[]", "signature": b"", "accepted_at": 1}
    with engine.begin() as connection:
        connection.execute(insert(schema.vouchers).values(row))
        assert connection.execute(select(schema.vouchers.c.channel)).scalar_one() == number
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "books.db"
    file.write_bytes(b"these are no books" * 100)
    with pytest.raises(DataError, match="sound SQLite database"):
        open_database(file)
    assert file.read_bytes().startswith(b"these are no books")


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "books.db"
    open_database(file).dispose()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from the future'")
    connection.close()
    with pytest.raises(DataError, match="newer"):
        open_database(file)


def test_a_database_that_another_process_holds_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessera.storage.engine._BUSY_TIMEOUT_S", 0.05)
    file = tmp_path / "books.db"
    open_database(file).dispose()
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        open_database(file)
    holder.close()
