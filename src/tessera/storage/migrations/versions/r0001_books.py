"""An operator's books: channels, vouchers, lines."""

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
