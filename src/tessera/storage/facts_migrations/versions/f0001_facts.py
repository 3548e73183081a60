"""What is observed on a chain: blocks, transfers, calls, events, code, and what was read when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# 63 bits in both databases; PostgreSQL's INTEGER has 31.
LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables. Amounts are bytes: SQLite's INTEGER ends at 63 bits."""
    op.create_table(
        "facts_chain",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("genesis", sa.LargeBinary, nullable=True),
        sa.Column("head", LONG, nullable=False),
        sa.Column("head_time", LONG, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_facts_chain"),
    )
    op.create_table(
        "facts_reorgs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("fork", LONG, nullable=False),
        sa.Column("tip", LONG, nullable=False),
        sa.Column("at", LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_facts_reorgs"),
    )
    op.create_table(
        "facts_ranges",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("first", LONG, nullable=False),
        sa.Column("last", LONG, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_facts_ranges"),
    )
    op.create_index("ix_facts_ranges_stream", "facts_ranges", ["stream", "last"])
    op.create_table(
        "facts_tokens",
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("last", LONG, nullable=False),
        sa.Column("created", LONG, nullable=True),
        sa.PrimaryKeyConstraint("token", name="pk_facts_tokens"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "facts_blocks",
        sa.Column("number", LONG, autoincrement=False, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("time", LONG, nullable=False),
        sa.PrimaryKeyConstraint("number", "gone", name="pk_facts_blocks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "facts_transfers",
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("block", LONG, autoincrement=False, nullable=False),
        sa.Column("log", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("tx", sa.Integer, nullable=False),
        sa.Column("source", sa.LargeBinary, nullable=False),
        sa.Column("target", sa.LargeBinary, nullable=False),
        sa.Column("amount", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("token", "block", "log", "gone", name="pk_facts_transfers"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "facts_calls",
        sa.Column("block", LONG, autoincrement=False, nullable=False),
        sa.Column("tx", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("sender", sa.LargeBinary, nullable=False),
        sa.Column("target", sa.LargeBinary, nullable=True),
        sa.Column("created", sa.LargeBinary, nullable=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("block", "tx", "gone", name="pk_facts_calls"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_facts_calls_sender", "facts_calls", ["sender", "block"])
    op.create_index("ix_facts_calls_target", "facts_calls", ["target", "block"])
    op.create_table(
        "facts_events",
        sa.Column("block", LONG, autoincrement=False, nullable=False),
        sa.Column("log", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("tx", sa.Integer, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("address", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("topics", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("block", "log", "gone", name="pk_facts_events"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_facts_events_address", "facts_events", ["address", "block"])
    op.create_table(
        "facts_codes",
        sa.Column("address", sa.LargeBinary, nullable=False),
        sa.Column("block", LONG, autoincrement=False, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("code", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("address", "block", "gone", name="pk_facts_codes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "facts_slots",
        sa.Column("address", sa.LargeBinary, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("block", LONG, autoincrement=False, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("address", "key", "block", "gone", name="pk_facts_slots"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "facts_reads",
        sa.Column("contract", sa.LargeBinary, nullable=False),
        sa.Column("calldata", sa.LargeBinary, nullable=False),
        sa.Column("block", LONG, autoincrement=False, nullable=False),
        sa.Column("known_at", LONG, nullable=False),
        sa.Column("gone", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("contract", "calldata", "block", "gone", name="pk_facts_reads"),
        sqlite_with_rowid=False,
    )
