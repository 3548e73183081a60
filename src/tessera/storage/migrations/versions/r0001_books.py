"""An operator's books: channels, vouchers, lines, receipts, settlements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables. Integers beyond 63 bits are decimal TEXT."""
    op.create_table(
        "domain",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("contract", sa.LargeBinary, nullable=False),
        sa.Column("operator", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_domain"),
    )
    op.create_table(
        "channels",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("payer", sa.LargeBinary, nullable=False),
        sa.Column("signer", sa.LargeBinary, nullable=False),
        sa.Column("restricted", sa.Boolean, nullable=False),
        sa.Column("balance", sa.Text, nullable=False),
        sa.Column("available_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("channel", name="pk_channels"),
    )
    op.create_table(
        "vouchers",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("accepted_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("channel", name="pk_vouchers"),
    )
    op.create_table(
        "lines",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("terms", sa.Integer, nullable=False),
        sa.Column("charged", sa.Text, nullable=False),
        sa.Column("settled", sa.Text, nullable=False),
        sa.Column("cap", sa.Text, nullable=False),
        sa.Column("expires", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("channel", "asset", "terms", name="pk_lines"),
    )
    op.create_table(
        "receipts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("call", sa.String(32), nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("terms", sa.Integer, nullable=False),
        sa.Column("charged", sa.Text, nullable=False),
        sa.Column("cost", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("units", sa.Text, nullable=False),
        sa.Column("time", sa.Integer, nullable=False),
        sa.Column("identity", sa.Integer, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_receipts"),
    )
    op.create_index("ix_receipts_channel_call", "receipts", ["channel", "call"])
    op.create_index(
        "ix_receipts_channel_asset_terms_charged",
        "receipts",
        ["channel", "asset", "terms", "charged"],
    )
    op.create_table(
        "settlements",
        sa.Column("tx_hash", sa.String(66), nullable=False),
        sa.Column("block", sa.Integer, nullable=False),
        sa.Column("settled_at", sa.Integer, nullable=False),
        sa.Column("vouchers", sa.Integer, nullable=False),
        sa.Column("total", sa.Text, nullable=False),
        sa.Column("skipped", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tx_hash", name="pk_settlements"),
    )
    op.create_index("ix_settlements_settled_at", "settlements", ["settled_at"])
