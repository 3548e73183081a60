"""The tables of what was observed on one chain, in SQLite and in PostgreSQL.

Nothing is ever deleted. Each row has `known_at`, the second in which it was written here, and
`gone`: 0 while the chain has it, else the number of the reorganization that took it away. So what
was known at a moment can be read again: rows of that time, without those that were gone by then.

Addresses are 20 bytes, hashes and slots 32; amounts are big-endian without leading zeros, empty for
0, as SQLite's INTEGER ends at 63 bits and they do not. Primary keys are clustered in SQLite, so one
token's transfers lie together, in the chain's order.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from tessera.storage.schema import METADATA as BOOKS
from tessera.storage.schema import Long

__all__ = [
    "METADATA",
    "OBSERVED",
    "blocks",
    "calls",
    "chain",
    "codes",
    "events",
    "ranges",
    "reads",
    "reorgs",
    "slots",
    "tokens",
    "transfers",
]

METADATA: Final = MetaData(naming_convention=BOOKS.naming_convention)


def _known() -> tuple[Column[int], Column[int]]:
    return Column("known_at", Long, nullable=False), Column("gone", Integer, primary_key=True)


# One row: the chain that all of this is of. Development chains share a number, never a first block.
chain = Table(
    "facts_chain",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("chain_id", Text, nullable=False),
    Column("genesis", LargeBinary, nullable=True),
    Column("head", Long, nullable=False),
    Column("head_time", Long, nullable=False),
    Column("known_at", Long, nullable=False),
)

# What the chain took back: all that was observed above `fork`. Their numbers ascend with time.
reorgs = Table(
    "facts_reorgs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("fork", Long, nullable=False),
    Column("tip", Long, nullable=False),
    Column("at", Long, nullable=False),
)

# What has been read whole: of a stream ("chain", "token:0x..", "contract:0x..") all between two
# blocks, both included.
ranges = Table(
    "facts_ranges",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("stream", Text, nullable=False),
    Column("first", Long, nullable=False),
    Column("last", Long, nullable=False),
    Column("known_at", Long, nullable=False),
    Column("gone", Integer, nullable=False),
    Index("ix_facts_ranges_stream", "stream", "last"),
)

# Tokens with transfers; `created` is the block that first had code there, where that was found.
tokens = Table(
    "facts_tokens",
    METADATA,
    Column("token", LargeBinary, primary_key=True),
    Column("last", Long, nullable=False),
    Column("created", Long, nullable=True),
    sqlite_with_rowid=False,
)

# Heads of blocks in which something was seen, and of the last of each range that was read.
blocks = Table(
    "facts_blocks",
    METADATA,
    Column("number", Long, primary_key=True, autoincrement=False),
    *_known(),
    Column("hash", LargeBinary, nullable=False),
    Column("time", Long, nullable=False),
    sqlite_with_rowid=False,
)

transfers = Table(
    "facts_transfers",
    METADATA,
    Column("token", LargeBinary, primary_key=True),
    Column("block", Long, primary_key=True, autoincrement=False),
    Column("log", Integer, primary_key=True, autoincrement=False),
    *_known(),
    Column("tx", Integer, nullable=False),
    Column("source", LargeBinary, nullable=False),
    Column("target", LargeBinary, nullable=False),
    Column("amount", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Transactions; `target` is NULL and `created` the new contract where one was created.
calls = Table(
    "facts_calls",
    METADATA,
    Column("block", Long, primary_key=True, autoincrement=False),
    Column("tx", Integer, primary_key=True, autoincrement=False),
    *_known(),
    Column("hash", LargeBinary, nullable=False),
    Column("sender", LargeBinary, nullable=False),
    Column("target", LargeBinary, nullable=True),
    Column("created", LargeBinary, nullable=True),
    Column("value", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("ok", Boolean, nullable=False),
    Index("ix_facts_calls_sender", "sender", "block"),
    Index("ix_facts_calls_target", "target", "block"),
    sqlite_with_rowid=False,
)

# Logs of contracts that have our code, whose `kind` is the contract's name, and of others that are
# followed, where it is empty.
events = Table(
    "facts_events",
    METADATA,
    Column("block", Long, primary_key=True, autoincrement=False),
    Column("log", Integer, primary_key=True, autoincrement=False),
    *_known(),
    Column("tx", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("address", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("topics", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_facts_events_address", "address", "block"),
    sqlite_with_rowid=False,
)

codes = Table(
    "facts_codes",
    METADATA,
    Column("address", LargeBinary, primary_key=True),
    Column("block", Long, primary_key=True, autoincrement=False),
    *_known(),
    Column("code", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

slots = Table(
    "facts_slots",
    METADATA,
    Column("address", LargeBinary, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("block", Long, primary_key=True, autoincrement=False),
    *_known(),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# What a contract answered, or reverted with where it is not `ok`.
reads = Table(
    "facts_reads",
    METADATA,
    Column("contract", LargeBinary, primary_key=True),
    Column("calldata", LargeBinary, primary_key=True),
    Column("block", Long, primary_key=True, autoincrement=False),
    *_known(),
    Column("ok", Boolean, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

OBSERVED: Final = (blocks, transfers, calls, events, codes, slots, reads)
"""What a reorganization can take away, with `gone` in each key."""
