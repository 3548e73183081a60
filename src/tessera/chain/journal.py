"""The durable history of an embedded chain: what was put in order, on disk before it is mined.

A block's record (its raw transactions and its timestamp) is synced to disk before the node mines
it. Replaying all records from record zero gives the same chain, hash by hash; so whatever anybody
was ever told about a block can be told again after a crash at any moment.

A seal (a SHA-256 chained over all records) tells a damaged file apart from a node that behaves
differently.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tessera.chain.genesis import Genesis
from tessera.errors import DataError, StorageFull
from tessera.storage.folders import sync_folder

__all__ = ["BlockRecord", "Journal"]

_FORMAT: Final = 1
_SCHEMA: Final = """
CREATE TABLE record_zero (format INTEGER NOT NULL, genesis BLOB NOT NULL) STRICT;
CREATE TABLE block (
    number INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    transactions BLOB NOT NULL,
    seal BLOB NOT NULL,
    hash BLOB
) STRICT;
"""
_ROWS_AT_ONCE: Final = 256
# A write refused for want of room surfaces as one or the other: SQLite knows ENOSPC, but reports
# a file size limit or a quota as a plain write error.
_NO_ROOM: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"})


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One block as it was put in order.

    Parameters
    ----------
    number
        Height, from 1.
    timestamp
        Unix seconds.
    transactions
        Raw signed transactions, in the order in which they are given to the node.
    hash
        The block's hash as the node reported it; None while that is unknown.
    """

    number: int
    timestamp: int
    transactions: tuple[bytes, ...]
    hash: bytes | None = None


class Journal:
    """Append-only block records in one SQLite file; used by one thread at a time.

    Parameters
    ----------
    connection
        An open database with the journal's tables.
    path
        The file, for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._unwritten_hashes: dict[int, bytes] = {}
        row = connection.execute("SELECT format, genesis FROM record_zero").fetchone()
        if row is None or row[0] != _FORMAT:
            raise DataError(
                f"journal {path}",
                found="no record zero" if row is None else f"format {row[0]}",
                wanted=f"format {_FORMAT}",
                next_step="open it with the version of Tessera that wrote it",
            )
        self.genesis = Genesis.from_json(row[1])
        self._seal = self._genesis_seal()
        self._height = 0
        self._timestamp = self.genesis.timestamp
        last = connection.execute(
            "SELECT number, timestamp, seal FROM block ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if last is not None:
            self._height, self._timestamp, self._seal = last

    @classmethod
    def open(cls, path: Path, genesis: Genesis) -> Journal:
        """Open the journal at `path`, or begin it with `genesis` as record zero.

        An existing journal keeps its own record zero; compare `Journal.genesis`.

        Raises
        ------
        StorageFull
            There is no room for a new journal.
        DataError
            The file is no journal, or is damaged.
        """
        fresh = not path.exists()
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                # A crash between creating the file and its first commit leaves it without tables.
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                    for statement in _SCHEMA.split(";")[:-1]:
                        connection.execute(statement)
                    connection.execute(
                        "INSERT INTO record_zero VALUES (?, ?)", (_FORMAT, genesis.to_json())
                    )
                connection.execute("COMMIT")
                if fresh:
                    sync_folder(path.parent)
                return cls(connection, path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.DatabaseError as error:
            raise _explained(error, path) from error

    @property
    def height(self) -> int:
        """Number of the last record; 0 where there is none yet."""
        return self._height

    @property
    def last_timestamp(self) -> int:
        """Timestamp of the last record, or of the genesis; unix seconds."""
        return self._timestamp

    def append(self, record: BlockRecord) -> None:
        """Write one record and return once it is synced to disk.

        Raises
        ------
        StorageFull
            There is no room; the record is not in the journal.
        DataError
            The file cannot be written for another reason; the record is not in the journal.
        """
        assert record.number == self._height + 1, "records are appended in order"
        transactions = _packed(record.transactions)
        seal = _sealed(self._seal, record.number, record.timestamp, transactions)
        with self._transaction():
            self._write_hashes()
            self._connection.execute(
                "INSERT INTO block VALUES (?, ?, ?, ?, ?)",
                (record.number, record.timestamp, transactions, seal, record.hash),
            )
        self._unwritten_hashes.clear()
        self._height, self._timestamp, self._seal = record.number, record.timestamp, seal

    def confirm(self, number: int, block_hash: bytes) -> None:
        """Note the hash under which block `number` was mined.

        Written without a sync: losing it to a power cut only means that a replay has nothing to
        compare this block with. Where there is no room, it goes with the next record instead.
        """
        self._unwritten_hashes[number] = block_hash
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._transaction():
                self._write_hashes()
        except DataError:
            return
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")
        self._unwritten_hashes.clear()

    def withdraw(self, number: int) -> None:
        """Take back the last record, which must never have been confirmed."""
        assert number == self._height, "only the last record can be withdrawn"
        with self._transaction():
            deleted = self._connection.execute(
                "DELETE FROM block WHERE number = ? AND hash IS NULL", (number,)
            ).rowcount
        assert deleted == 1, "a confirmed record is never withdrawn"
        self._unwritten_hashes.pop(number, None)
        last = self._connection.execute(
            "SELECT timestamp, seal FROM block WHERE number = ?", (number - 1,)
        ).fetchone()
        self._height = number - 1
        self._timestamp, self._seal = last or (self.genesis.timestamp, self._genesis_seal())

    def hash_of(self, number: int) -> bytes | None:
        """Return the noted hash of block `number`; None where none was noted."""
        if number in self._unwritten_hashes:
            return self._unwritten_hashes[number]
        row = self._connection.execute(
            "SELECT hash FROM block WHERE number = ?", (number,)
        ).fetchone()
        return None if row is None else row[0]

    def records(self, after: int) -> Iterator[BlockRecord]:
        """Iterate over the records above `after`, checking every seal.

        Raises
        ------
        DataError
            A record is missing or damaged.
        """
        row = self._connection.execute(
            "SELECT seal FROM block WHERE number = ?", (after,)
        ).fetchone()
        if row is None and after > 0:
            raise self._damaged(after)
        seal = self._genesis_seal() if after == 0 else row[0]
        while after < self._height:
            rows = self._connection.execute(
                "SELECT number, timestamp, transactions, seal, hash FROM block"
                " WHERE number > ? ORDER BY number LIMIT ?",
                (after, _ROWS_AT_ONCE),
            ).fetchall()
            if not rows:
                raise self._damaged(after + 1)
            for number, timestamp, transactions, stored_seal, block_hash in rows:
                seal = _sealed(seal, number, timestamp, transactions)
                if number != after + 1 or seal != stored_seal:
                    raise self._damaged(after + 1)
                after = number
                yield BlockRecord(number, timestamp, _unpacked(transactions), block_hash)

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        self._connection.close()

    def _genesis_seal(self) -> bytes:
        return hashlib.sha256(self.genesis.to_json()).digest()

    def _write_hashes(self) -> None:
        self._connection.executemany(
            "UPDATE block SET hash = ? WHERE number = ?",
            [(block_hash, number) for number, block_hash in self._unwritten_hashes.items()],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise _explained(error, self._path) from error

    def _damaged(self, number: int) -> DataError:
        return DataError(
            f"journal {self._path}: record {number}",
            found="a record that is missing or does not match its seal",
            wanted="what was written",
            next_step="restore the folder from a backup: docs/runbooks/embedded-node.md",
        )


def _sealed(previous: bytes, number: int, timestamp: int, transactions: bytes) -> bytes:
    head = number.to_bytes(8, "big") + timestamp.to_bytes(8, "big")
    return hashlib.sha256(previous + head + transactions).digest()


def _packed(transactions: tuple[bytes, ...]) -> bytes:
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in transactions)


def _unpacked(packed: bytes) -> tuple[bytes, ...]:
    transactions = []
    at = 0
    while at < len(packed):
        end = at + 4 + int.from_bytes(packed[at : at + 4], "big")
        transactions.append(packed[at + 4 : end])
        at = end
    return tuple(transactions)


def _explained(error: sqlite3.DatabaseError, path: Path) -> DataError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name in _NO_ROOM:
        return StorageFull(
            f"journal {path}: no room on the disk ({error})",
            next_step="free some space; the chain stays readable and takes transactions again then",
        )
    return DataError(
        f"journal {path}",
        found=str(error),
        wanted="a readable and writable journal",
        next_step="see docs/runbooks/embedded-node.md",
    )
