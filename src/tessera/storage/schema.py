"""The tables of an operator's books, in SQLite and in PostgreSQL.

Integers that may exceed 63 bits (channel numbers are uint64, amounts uint96, asset ids 240 bits)
are TEXT, canonical decimal digits: SQLite's INTEGER is 64 bits signed and silently becomes a
float beyond, PostgreSQL's bigint refuses. A BLOB would sort by value, but nothing here is sorted
or summed by the database, and a person with a SQL shell can read digits.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
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
    "Long",
    "batches",
    "call_places",
    "channels",
    "checkpoint",
    "claims",
    "domain",
    "gateways",
    "keys",
    "line_places",
    "lines",
    "open_calls",
    "order_uses",
    "orders",
    "receipt_places",
    "vouchers",
    "x402_channels",
    "x402_payments",
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


# SQLite's INTEGER holds 64 bits, and only a column of exactly that name is a row's own number.
Long: Final = BigInteger().with_variant(Integer, "sqlite")
"""Unix seconds, block heights and serial numbers: 63 bits in both databases."""

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
    Column("available_at", Long, nullable=False),
)

# The best voucher of each channel, in the words that were signed.
vouchers = Table(
    "vouchers",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("lines", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("accepted_at", Long, nullable=False),
)

# What a line was charged in all, and how much of that the chain has.
lines = Table(
    "lines",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("asset", ExactInteger, primary_key=True),
    Column("terms", Long, primary_key=True),
    Column("charged", ExactInteger, nullable=False),
    Column("settled", ExactInteger, nullable=False),
    Column("cap", ExactInteger, nullable=False),
    Column("expires", Long, nullable=False),
)

# Every use of an order of Access; `state` 0 in flight, 1 answered, 2 failed.
order_uses = Table(
    "order_uses",
    METADATA,
    Column("access", LargeBinary, primary_key=True),
    Column("order", ExactInteger, primary_key=True),
    Column("call", String(32), primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("deadline", Long, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("signer", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=True),
    Column("state", Integer, nullable=False),
    Column("time", Long, nullable=False),
)

# Orders that were served; `proof` 0 to be proved, 1 proved, 2 not taken by the chain.
orders = Table(
    "orders",
    METADATA,
    Column("access", LargeBinary, primary_key=True),
    Column("order", ExactInteger, primary_key=True),
    Column("serve_by", Long, nullable=False),
    Column("proof", Integer, nullable=False),
    Column("tx_hash", String(66), nullable=False),
)

# The log: each row one group commit, its body a msgpack array of entries (payments.entries), with
# the root over the receipts in it and the operator's signature of that where there is one.
batches = Table(
    "batches",
    METADATA,
    Column("n", Long, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=True),
    Column("signature", LargeBinary, nullable=True),
)

# One row: the last batch whose entries are in the other tables as well.
checkpoint = Table(
    "checkpoint",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("n", Long, nullable=False),
)

# Where a receipt stands in the log; `id` is the first half of its digest.
receipt_places = Table(
    "receipt_places",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("batch", Long, nullable=False),
    Column("place", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The latest receipt of a call; `call` is its channel's number in 8 bytes, then its name's 16.
call_places = Table(
    "call_places",
    METADATA,
    Column("call", LargeBinary, primary_key=True),
    Column("batch", Long, nullable=False),
    Column("place", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The receipt that proves what a line was charged in all.
line_places = Table(
    "line_places",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("asset", ExactInteger, primary_key=True),
    Column("terms", Long, primary_key=True),
    Column("batch", Long, nullable=False),
    Column("place", Integer, nullable=False),
)

# Channels of the x402 standard: what the chain said, what was charged, the vouchers kept, and of
# which maxima strangers have the voucher; the last two are msgpack arrays. `withdraw_at` is when
# the payer asked for his money, 0 where he did not.
x402_channels = Table(
    "x402_channels",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("config", LargeBinary, nullable=False),
    Column("balance", ExactInteger, nullable=False),
    Column("claimed", ExactInteger, nullable=False),
    Column("withdraw_at", Long, nullable=False),
    Column("refund_nonce", ExactInteger, nullable=False),
    Column("charged", ExactInteger, nullable=False),
    Column("asset", ExactInteger, nullable=False),
    Column("terms", Long, nullable=False),
    Column("vouchers", LargeBinary, nullable=False),
    Column("published", LargeBinary, nullable=False),
)

# Transactions that x402 payments ask for, written before they are sent: deposits and `exact`
# payments, by the nonce of their authorization; `body` is the hash of the one that was paid for.
x402_payments = Table(
    "x402_payments",
    METADATA,
    Column("nonce", LargeBinary, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("payer", LargeBinary, nullable=False),
    Column("asset", ExactInteger, nullable=False),
    Column("terms", Long, nullable=False),
    Column("amount", ExactInteger, nullable=False),
    Column("tx", String(66), nullable=False),
    Column("body", LargeBinary, nullable=True),
    Column("time", Long, nullable=False),
)

# Settlements from plan to finality, each written before it is sent; `body` is what they settle.
claims = Table(
    "claims",
    METADATA,
    Column("n", Long, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("nonce", Long, nullable=True),
    Column("tx", String(66), nullable=False),
    Column("block", Long, nullable=True),
    Column("block_hash", LargeBinary, nullable=True),
    Column("fee", ExactInteger, nullable=False),
    Column("value", ExactInteger, nullable=False),
    Column("body", LargeBinary, nullable=True),
    Column("reason", Text, nullable=False),
    Column("time", Long, nullable=False),
)

# API keys: what their channel's payer rules about them, as he signed it. `bases` is what each asset
# had been charged when the period began. No secret is kept: whose key it is, the chain knows.
keys = Table(
    "keys",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("rules", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("period_start", Long, nullable=False),
    Column("bases", Text, nullable=False),
    Column("changed_at", Long, nullable=False),
)

# Gateways that share these books; each holds the advisory lock of its number while it lives.
gateways = Table(
    "gateways",
    METADATA,
    Column("id", Long, primary_key=True),
    Column("started", Long, nullable=False),
)

# Calls in flight in shared books, each with the most that it may cost.
open_calls = Table(
    "open_calls",
    METADATA,
    Column("channel", ExactInteger, primary_key=True),
    Column("call", String(32), primary_key=True),
    Column("gateway", Long, nullable=False),
    Column("asset", ExactInteger, nullable=False),
    Column("terms", Long, nullable=False),
    Column("ceiling", ExactInteger, nullable=False),
)

# Not unique: the consumer chooses `call`, and his mistake must not stop everybody's commit.
# For the latest receipt of a line: the proof of what it was charged.
Index(None, claims.c.state)
Index(None, open_calls.c.gateway)
