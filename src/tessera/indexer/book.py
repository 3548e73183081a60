"""What is written down of a chain: pieces and what they cover, whole or not at all; and taken back.

Every change is one transaction, so a kill leaves the state before it or after it, and what covers a
stretch of blocks is written with what was in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, select, text, update

from tessera.errors import InputError, ReorgDetected
from tessera.indexer.pieces import Piece, Seen
from tessera.indexer.wire import CallRow, EventRow, TransferRow
from tessera.storage import facts_schema as schema
from tessera.storage.facts_database import FactsDatabase, insert_rows

__all__ = ["Book", "Look", "Range", "merged", "without"]

Range = tuple[int, int]
"""Blocks, both included."""

_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at at a block: code by address, slots, and answers to calls."""

    block: int
    codes: dict[bytes, bytes]
    slots: dict[tuple[bytes, bytes], bytes]
    reads: dict[tuple[bytes, bytes], tuple[bool, bytes]]


class Book:
    """One chain's facts, to be written.

    Parameters
    ----------
    database
        Opened for writing.
    now
        Unix seconds.
    """

    def __init__(self, database: FactsDatabase, *, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    def begin(self, chain_id: int, genesis: bytes | None) -> None:
        """Write down whose facts these are, or hold it against what is written.

        Raises
        ------
        InputError
            They are of another chain; development chains share a number, not a first block.
        """

        def work(connection: Connection) -> None:
            row = connection.execute(select(schema.chain)).one_or_none()
            if row is None:
                connection.execute(
                    insert(schema.chain).values(
                        id=1,
                        chain_id=str(chain_id),
                        genesis=genesis,
                        head=-1,
                        head_time=0,
                        known_at=int(self._now()),
                    )
                )
                return
            same = row.genesis is None or genesis is None or row.genesis == genesis
            if row.chain_id != str(chain_id) or not same:
                raise InputError(
                    "facts",
                    found=f"those of chain {row.chain_id} with first block {_shown(row.genesis)}",
                    wanted=f"those of chain {chain_id} with first block {_shown(genesis)}",
                    next_step="keep each chain's facts apart: --facts FILE, or another --data-dir",
                )

        self._database.write(work)

    def covered(self, stream: str) -> list[Range]:
        """Return what is there of a stream, ascending and joined."""

        def query(connection: Connection) -> list[Range]:
            found = connection.execute(
                select(schema.ranges.c.first, schema.ranges.c.last).where(
                    schema.ranges.c.stream == stream, schema.ranges.c.gone == 0
                )
            )
            return merged((row.first, row.last) for row in found)

        return self._database.read(query)

    def seen_up_to(self, block: int | None, count: int) -> list[Seen]:
        """Return blocks that are there, from a block down, the highest first."""

        def query(connection: Connection) -> list[Seen]:
            table = schema.blocks
            asked = select(table).where(table.c.gone == 0)
            if block is not None:
                asked = asked.where(table.c.number <= block)
            found = connection.execute(asked.order_by(table.c.number.desc()).limit(count))
            return [Seen(row.number, row.hash, row.time) for row in found]

        return self._database.read(query)

    def add(self, piece: Piece, streams: Sequence[str]) -> None:
        """Write a piece, and that these streams are there for its blocks.

        Raises
        ------
        ReorgDetected
            It does not link to what is there: the chain moved since.
        StorageFull, DataError, Busy
            Nothing was written.
        """
        known_at = int(self._now())

        def work(connection: Connection) -> None:
            _check_links(connection, piece)
            heads = [(seen.number, seen.hash, seen.time) for seen in piece.blocks.values()]
            for table, columns, rows in (
                (schema.blocks, Seen.__slots__, heads),
                (schema.transfers, TransferRow._fields, piece.transfers),
                (schema.calls, CallRow._fields, piece.calls),
                (schema.events, EventRow._fields, piece.events),
            ):
                insert_rows(connection, table, columns, rows, known_at=known_at, gone=0)
            lasts = {row.token: row.block for row in piece.transfers}
            for stream in streams:
                kind, _, address = stream.partition(":")
                if kind == "token":
                    lasts.setdefault(bytes.fromhex(address[2:]), piece.first)
                _cover(connection, stream, piece.first, piece.last, known_at)
            for token, last in lasts.items():
                _raise_last(connection, token, last)
            last_block = piece.blocks[piece.last]
            connection.execute(
                update(schema.chain)
                .where(schema.chain.c.head < piece.last)
                .values(head=piece.last, head_time=last_block.time)
            )
            connection.execute(update(schema.chain).values(known_at=known_at))

        self._database.write(work)

    def take_back(self, fork: int) -> int:
        """Take back all that was observed above a block; it stays readable as what was known.

        Returns
        -------
        int
            How many blocks the chain had taken back, as far as these were seen.
        """
        at = int(self._now())

        def work(connection: Connection) -> int:
            seen = connection.execute(
                select(func.max(schema.blocks.c.number)).where(schema.blocks.c.gone == 0)
            ).scalar()
            tip = max(fork, seen or fork)
            made = connection.execute(
                insert(schema.reorgs)
                .values(fork=fork, tip=tip, at=at)
                .returning(schema.reorgs.c.id)
            ).scalar_one()
            for table in schema.OBSERVED:
                _take_back_rows(connection, table, fork, made)
            _take_back_ranges(connection, fork, made)
            tokens = schema.tokens
            connection.execute(update(tokens).where(tokens.c.last > fork).values(last=fork))
            connection.execute(update(tokens).where(tokens.c.created > fork).values(created=None))
            time = connection.execute(
                select(schema.blocks.c.time)
                .where(schema.blocks.c.gone == 0)
                .order_by(schema.blocks.c.number.desc())
                .limit(1)
            ).scalar()
            connection.execute(
                update(schema.chain).values(head=fork, head_time=time or 0, known_at=at)
            )
            return int(tip - fork)

        return self._database.write(work)

    def note_creation(self, token: str, block: int) -> None:
        """Write down the first block that had code at a token's address."""

        def work(connection: Connection) -> None:
            address = bytes.fromhex(token[2:])
            _raise_last(connection, address, block)
            connection.execute(
                update(schema.tokens).where(schema.tokens.c.token == address).values(created=block)
            )

        self._database.write(work)

    def creation(self, token: str) -> int | None:
        """Return the first block that had code at a token's address, where that was found."""

        def query(connection: Connection) -> int | None:
            found: int | None = connection.execute(
                select(schema.tokens.c.created).where(
                    schema.tokens.c.token == bytes.fromhex(token[2:])
                )
            ).scalar()
            return found

        return self._database.read(query)

    def note(self, look: Look, seen: Seen) -> None:
        """Write what was looked at at a block, with the block.

        Raises
        ------
        ReorgDetected
            Another block is there under that number.
        """
        known_at = int(self._now())

        def work(connection: Connection) -> None:
            _check_links(connection, Piece(seen.number, seen.number, b"", {seen.number: seen}))
            codes = list(look.codes.items())
            slots = [(*place, value) for place, value in look.slots.items()]
            reads = [(*asked, *answer) for asked, answer in look.reads.items()]
            known = {"known_at": known_at, "gone": 0}
            head = [(seen.number, seen.hash, seen.time)]
            insert_rows(connection, schema.blocks, Seen.__slots__, head, **known)
            for table, columns, rows in (
                (schema.codes, ("address", "code"), codes),
                (schema.slots, ("address", "key", "value"), slots),
                (schema.reads, ("contract", "calldata", "ok", "answer"), reads),
            ):
                insert_rows(connection, table, columns, rows, block=look.block, **known)
            connection.execute(update(schema.chain).values(known_at=known_at))

        self._database.write(work)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return ranges ascending, those joined that touch."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def without(first: int, last: int, ranges: Iterable[Range]) -> list[Range]:
    """Return what of a stretch lies in none of these ranges, which are ascending and apart."""
    left: list[Range] = []
    for low, high in ranges:
        if low > first:
            left.append((first, min(last, low - 1)))
        first = max(first, high + 1)
        if first > last:
            break
    if first <= last:
        left.append((first, last))
    return [(low, high) for low, high in left if low <= high]


def _check_links(connection: Connection, piece: Piece) -> None:
    table = schema.blocks
    known = {
        row.number: row.hash
        for row in connection.execute(
            select(table.c.number, table.c.hash).where(
                table.c.gone == 0, table.c.number.between(piece.first - 1, piece.last)
            )
        )
    }
    for number, seen in piece.blocks.items():
        if known.get(number, seen.hash) != seen.hash:
            raise _replaced(number, known[number], seen.hash)
    before = known.get(piece.first - 1)
    if before is not None and piece.parent and before != piece.parent:
        raise _replaced(piece.first - 1, before, piece.parent)


def _replaced(number: int, had: bytes, has: bytes) -> ReorgDetected:
    return ReorgDetected(
        f"block {number}",
        found=f"0x{has.hex()}",
        wanted=f"0x{had.hex()}, which was read before",
        next_step="the chain was reorganized: run it again, it goes on from the last common block",
    )


def _cover(connection: Connection, stream: str, first: int, last: int, known_at: int) -> None:
    """Write that a stretch is there: in the row of the one before where both are of one minute."""
    table = schema.ranges
    grown = connection.execute(
        update(table)
        .where(
            table.c.stream == stream,
            table.c.gone == 0,
            table.c.last == first - 1,
            table.c.known_at >= known_at - known_at % _MINUTE_S,
        )
        # Who asks what was known within that minute hears of less, never of more.
        .values(last=last, known_at=known_at)
    )
    if not grown.rowcount:
        connection.execute(
            insert(table).values(stream=stream, first=first, last=last, known_at=known_at, gone=0)
        )


def _raise_last(connection: Connection, token: bytes, last: int) -> None:
    connection.execute(
        text(
            "INSERT INTO facts_tokens (token, last, created) VALUES (:token, :last, NULL) "
            "ON CONFLICT (token) DO UPDATE SET last = excluded.last "
            "WHERE excluded.last > facts_tokens.last"
        ),
        {"token": token, "last": last},
    )


def _take_back_rows(connection: Connection, table: Table, fork: int, reorg: int) -> None:
    block: Any = table.c.number if table is schema.blocks else table.c.block
    gone = update(table).where(block > fork, table.c.gone == 0).values(gone=reorg)
    if table is not schema.transfers:
        connection.execute(gone)
        return
    # Transfers lie by token, and only few tokens moved in the last blocks.
    tokens = schema.tokens
    for token in connection.execute(select(tokens.c.token).where(tokens.c.last > fork)).scalars():
        connection.execute(gone.where(table.c.token == token))


def _take_back_ranges(connection: Connection, fork: int, reorg: int) -> None:
    table = schema.ranges
    cut = connection.execute(select(table).where(table.c.gone == 0, table.c.last > fork)).all()
    for row in cut:
        connection.execute(update(table).where(table.c.id == row.id).values(gone=reorg))
        if row.first <= fork:
            connection.execute(
                insert(table).values(
                    stream=row.stream,
                    first=row.first,
                    last=fork,
                    known_at=row.known_at,
                    gone=0,
                )
            )


def _shown(hashed: bytes | None) -> str:
    return "unknown" if hashed is None else f"0x{hashed.hex()}"
