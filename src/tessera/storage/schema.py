"""The tables of an operator's books.

Integers that may exceed 63 bits (channel numbers are uint64, amounts uint96, asset ids 240 bits)
are TEXT, canonical decimal digits: SQLite's INTEGER is 64 bits signed and silently becomes a
float beyond, PostgreSQL's bigint refuses. A BLOB would sort by value, but nothing here is sorted
or summed by the database, and a person with a SQL shell can read digits.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

__all__ = [
    "METADATA",
    "ExactInteger",
    "channels",
    "domain",
    "lines",
    "order_uses",
    "orders",
    "receipts",
    "settlements",
    "vouchers",
]

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class ExactInteger(TypeDecorator[int]):
    """A non-negative integer of any size, stored as its decimal digits."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """Write the digits."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Read the digits."""
        return None if value is None else int(value)


# One row: the EIP-712 domain that every signature in these books is for.
domain = Table(
    "domain",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("chain_id", ExactInteger, nullable=False),
    Column("contract", LargeBinary, nullable=False),
    Column("operator", LargeBinary, nullable=False),
)

# What the chain said about a channel when it was last read.
channels = Table(
    "channels",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("payer", LargeBinary, nullable=False),
    Column("signer", LargeBinary, nullable=False),
    Column("restricted", Boolean, nullable=False),
    Column("balance", ExactInteger, nullable=False),
    Column("available_at", Integer, nullable=False),
)

# The best voucher of each channel, in the words that were signed.
vouchers = Table(
    "vouchers",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("lines", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("accepted_at", Integer, nullable=False),
)

# What a line was charged in all, and how much of that the chain has.
lines = Table(
    "lines",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("asset", ExactInteger, primary_key=True),
    Column("terms", Integer, primary_key=True),
    Column("charged", ExactInteger, nullable=False),
    Column("settled", ExactInteger, nullable=False),
    Column("cap", ExactInteger, nullable=False),
    Column("expires", Integer, nullable=False),
)

receipts = Table(
    "receipts",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("channel", ExactInteger, nullable=False),
    Column("call", String(32), nullable=False),
    Column("asset", ExactInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("terms", Integer, nullable=False),
    Column("charged", ExactInteger, nullable=False),
    Column("cost", ExactInteger, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("units", ExactInteger, nullable=False),
    Column("time", Integer, nullable=False),
    Column("identity", Integer, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

settlements = Table(
    "settlements",
    METADATA,
    Column("tx_hash", String(66), primary_key=True),
    Column("block", Integer, nullable=False),
    Column("settled_at", Integer, nullable=False),
    Column("vouchers", Integer, nullable=False),
    Column("total", ExactInteger, nullable=False),
    Column("skipped", Text, nullable=False),
)

# Every use of an order of Access; `state` 0 in flight, 1 answered, 2 failed.
order_uses = Table(
    "order_uses",
    METADATA,
    Column("access", LargeBinary, primary_key=True),
    Column("order", ExactInteger, primary_key=True),
    Column("call", String(32), primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("deadline", Integer, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("signer", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=True),
    Column("state", Integer, nullable=False),
    Column("time", Integer, nullable=False),
)

# Orders that were served; `proof` 0 to be proved, 1 proved, 2 not taken by the chain.
orders = Table(
    "orders",
    METADATA,
    Column("access", LargeBinary, primary_key=True),
    Column("order", ExactInteger, primary_key=True),
    Column("serve_by", Integer, nullable=False),
    Column("proof", Integer, nullable=False),
    Column("tx_hash", String(66), nullable=False),
)

# Not unique: the consumer chooses `call`, and his mistake must not stop everybody's commit.
Index(None, receipts.c.channel, receipts.c.call)
# For the latest receipt of a line: the proof of what it was charged.
Index(None, receipts.c.channel, receipts.c.asset, receipts.c.terms, receipts.c.charged)
Index(None, settlements.c.settled_at)
