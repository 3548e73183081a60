"""What Alembic runs for the tables of facts, also beside books in one database."""

from alembic import context

from tessera.storage.facts_schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="facts_version",
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
