"""Orders of Access: their uses, and whether service was proved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables of orders."""
    op.create_table(
        "order_uses",
        sa.Column("access", sa.LargeBinary, nullable=False),
        sa.Column("order", sa.Text, nullable=False),
        sa.Column("call", sa.String(32), nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("deadline", sa.Integer, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("signer", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=True),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("time", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("access", "order", "call", name="pk_order_uses"),
    )
    op.create_table(
        "orders",
        sa.Column("access", sa.LargeBinary, nullable=False),
        sa.Column("order", sa.Text, nullable=False),
        sa.Column("serve_by", sa.Integer, nullable=False),
        sa.Column("proof", sa.Integer, nullable=False),
        sa.Column("tx_hash", sa.String(66), nullable=False),
        sa.PrimaryKeyConstraint("access", "order", name="pk_orders"),
    )
