"""What Alembic runs: every missing step, inside the transaction that `open_database` began."""

from alembic import context

from tessera.storage.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
