"""The log of calls, places of receipts in it, x402, settlements' states, keys, shared books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# 63 bits in both databases; PostgreSQL's INTEGER has 31.
LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_WIDENED = {
    "channels": ("available_at",),
    "vouchers": ("accepted_at",),
    "lines": ("terms", "expires"),
    "order_uses": ("deadline", "time"),
    "orders": ("serve_by",),
}


def upgrade() -> None:
    """Add them. SQLite knows one width of integers, so only PostgreSQL's columns are widened."""
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _WIDENED.items():
            for column in columns:
                op.alter_column(table, column, type_=sa.BigInteger())
    op.create_table(
        "batches",
        sa.Column("n", LONG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=True),
        sa.Column("signature", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("n", name="pk_batches"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("n", LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoint"),
    )
    op.create_table(
        "receipt_places",
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("batch", LONG, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_receipt_places"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "call_places",
        sa.Column("call", sa.LargeBinary, nullable=False),
        sa.Column("batch", LONG, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("call", name="pk_call_places"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "line_places",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("terms", LONG, nullable=False),
        sa.Column("batch", LONG, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("channel", "asset", "terms", name="pk_line_places"),
    )
    op.create_table(
        "x402_channels",
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("config", sa.LargeBinary, nullable=False),
        sa.Column("balance", sa.Text, nullable=False),
        sa.Column("claimed", sa.Text, nullable=False),
        sa.Column("withdraw_at", LONG, nullable=False),
        sa.Column("refund_nonce", sa.Text, nullable=False),
        sa.Column("charged", sa.Text, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("terms", LONG, nullable=False),
        sa.Column("vouchers", sa.LargeBinary, nullable=False),
        sa.Column("published", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_x402_channels"),
    )
    op.create_table(
        "x402_payments",
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("payer", sa.LargeBinary, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("terms", LONG, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("tx", sa.String(66), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=True),
        sa.Column("time", LONG, nullable=False),
        sa.PrimaryKeyConstraint("nonce", name="pk_x402_payments"),
    )
    op.create_table(
        "claims",
        sa.Column("n", LONG, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("nonce", LONG, nullable=True),
        sa.Column("tx", sa.String(66), nullable=False),
        sa.Column("block", LONG, nullable=True),
        sa.Column("block_hash", sa.LargeBinary, nullable=True),
        sa.Column("fee", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("time", LONG, nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_claims"),
    )
    op.create_table(
        "keys",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("rules", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("period_start", LONG, nullable=False),
        sa.Column("bases", sa.Text, nullable=False),
        sa.Column("changed_at", LONG, nullable=False),
        sa.PrimaryKeyConstraint("channel", name="pk_keys"),
    )
    op.create_table(
        "gateways",
        sa.Column("id", LONG, nullable=False),
        sa.Column("started", LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_gateways"),
    )
    op.create_table(
        "open_calls",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("call", sa.String(32), nullable=False),
        sa.Column("gateway", LONG, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("terms", LONG, nullable=False),
        sa.Column("ceiling", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("channel", "call", name="pk_open_calls"),
    )
    op.create_index("ix_claims_state", "claims", ["state"])
    op.create_index("ix_open_calls_gateway", "open_calls", ["gateway"])
