"""The tables of facts: the migrations' schema, one writer, and readers beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select

from tessera.errors import Busy, InputError, NotFound
from tessera.storage import facts_schema as schema
from tessera.storage.engine import open_database
from tessera.storage.facts_database import insert_rows, open_facts


def test_the_migrations_of_facts_make_exactly_the_schema(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "facts.sqlite", steps="facts_migrations")
    with engine.connect() as connection:
        options = {"version_table": "facts_version"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.METADATA) == []
    engine.dispose()


def test_one_process_writes_facts_and_others_read_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "facts.sqlite"
    with open_facts(file, write=True) as writer:
        with pytest.raises(Busy, match="one user"):
            open_facts(file, write=True)
        with open_facts(file) as reader:
            count = select(func.count()).select_from(schema.blocks)
            assert reader.read(lambda c: c.execute(count).scalar()) == 0
            rows = [(7, b"\1" * 32, 1_700_000_000)] * 2
            columns = ("number", "hash", "time")
            writer.write(lambda c: insert_rows(c, schema.blocks, columns, rows, known_at=1, gone=0))
            assert reader.read(lambda c: c.execute(count).scalar()) == 1
    open_facts(file, write=True).close()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with open_facts(tmp_path / "facts.sqlite", write=True) as database:

        def half(connection: object) -> None:
            columns = ("number", "known_at", "gone", "hash", "time")
            insert_rows(connection, schema.blocks, columns, [(7, 1, 0, b"\1" * 32, 1)])  # type: ignore[arg-type]
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            database.write(half)
        count = select(func.count()).select_from(schema.blocks)
        assert database.read(lambda c: c.execute(count).scalar()) == 0


def test_facts_that_are_not_there_are_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="tessera index"):
        open_facts(tmp_path / "none.sqlite")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="postgresql"):
        open_facts("mysql://somewhere")
