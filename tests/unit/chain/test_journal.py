"""The journal gives back what it took, notices every change, and is whole when the disk is full."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.chain.genesis import Genesis
from tessera.chain.journal import BlockRecord, Journal
from tessera.errors import DataError, InputError, StorageFull

GENESIS = Genesis.of(chain_id=31337, timestamp=1_800_000_000, prefund={"0x" + "aB" * 20: 2**100})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "journal.sqlite", GENESIS)
    yield opened
    opened.close()


def record(number: int, *transactions: bytes) -> BlockRecord:
    return BlockRecord(number, 1_800_000_000 + number, transactions)


def reopened(journal: Journal, folder: Path) -> Journal:
    journal.close()
    return Journal.open(folder / "journal.sqlite", Genesis.of(chain_id=5, timestamp=0))


@given(st.lists(st.lists(st.binary(max_size=50), max_size=4).map(tuple), max_size=6))
def test_records_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[bytes, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(folder / "journal.sqlite", GENESIS)
    for number, transactions in enumerate(blocks, 1):
        journal.append(record(number, *transactions))
        journal.confirm(number, bytes([number]) * 32)
    journal = reopened(journal, folder)
    assert journal.genesis == GENESIS
    assert journal.height == len(blocks)
    found = list(journal.records(after=0))
    assert [each.transactions for each in found] == blocks
    assert [each.hash for each in found] == [bytes([n + 1]) * 32 for n in range(len(blocks))]
    assert list(journal.records(after=len(blocks))) == []
    journal.close()


def test_a_record_that_was_never_confirmed_has_no_hash_and_can_be_withdrawn(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(record(1, b"one"))
    journal.confirm(1, b"\1" * 32)
    journal.append(record(2, b"two"))
    assert journal.hash_of(1) == b"\1" * 32
    assert journal.hash_of(2) is None
    journal.withdraw(2)
    assert (journal.height, journal.last_timestamp) == (1, 1_800_000_001)
    with pytest.raises(AssertionError, match="confirmed"):
        journal.withdraw(1)
    journal.append(record(2, b"another"))
    journal = reopened(journal, tmp_path)
    assert [each.transactions for each in journal.records(after=0)] == [(b"one",), (b"another",)]
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE block SET timestamp = timestamp + 1 WHERE number = 2",
        "UPDATE block SET transactions = X'00000001FF' WHERE number = 2",
        "DELETE FROM block WHERE number = 2",
        "UPDATE block SET seal = zeroblob(32) WHERE number = 2",
    ],
)
def test_every_change_to_a_record_is_noticed(journal: Journal, tmp_path: Path, change: str) -> None:
    for number in range(1, 4):
        journal.append(record(number, b"transaction"))
    with sqlite3.connect(tmp_path / "journal.sqlite") as vandal:
        vandal.execute(change)
    vandal.close()
    with pytest.raises(DataError, match="record 2"):
        list(journal.records(after=0))


def test_a_full_disk_takes_back_the_record_whole_and_goes_on_later(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(record(1, b"first"))
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull, match="free some space"):
        journal.append(record(2, b"x" * 20_000))
    assert journal.height == 1
    # The hash of block 1 needs no new page; were there no room, the next record would carry it.
    journal.confirm(1, b"\1" * 32)
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 100}")
    journal.append(record(2, b"y" * 20_000))
    journal = reopened(journal, tmp_path)
    assert [each.transactions for each in journal.records(0)] == [(b"first",), (b"y" * 20_000,)]
    assert journal.hash_of(1) == b"\1" * 32
    journal.close()


def test_a_hash_that_could_not_be_written_goes_with_the_next_record(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append(record(1, b"first"))
    blocker = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    journal._connection.execute("PRAGMA busy_timeout = 0")
    blocker.execute("BEGIN IMMEDIATE")
    journal.confirm(1, b"\1" * 32)
    assert blocker.execute("SELECT hash FROM block").fetchone() == (None,)
    assert journal.hash_of(1) == b"\1" * 32
    blocker.execute("ROLLBACK")
    journal.append(record(2, b"second"))
    assert blocker.execute("SELECT hash FROM block").fetchone() == (b"\1" * 32,)
    blocker.close()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"nonsense" * 1_000)
    with pytest.raises(DataError, match="journal"):
        Journal.open(tmp_path / "journal.sqlite", GENESIS)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE something (else_ TEXT)")
    other.commit()
    other.close()
    with pytest.raises(DataError, match="journal"):
        Journal.open(tmp_path / "other.sqlite", GENESIS)


def test_a_beginning_is_checked() -> None:
    for wrong in ("0x12", "ab" * 21, "0x" + "zz" * 20):
        with pytest.raises(InputError, match="40 hexadecimal digits"):
            Genesis.of(chain_id=1, timestamp=0, prefund={wrong: 1})
    with pytest.raises(InputError, match="prefund"):
        Genesis.of(chain_id=1, timestamp=0, prefund={"0x" + "11" * 20: -1})
    with pytest.raises(InputError, match="chain id"):
        Genesis.of(chain_id=0, timestamp=0)
    with pytest.raises(DataError, match="record zero"):
        Genesis.from_json(b"{}")
    genesis = Genesis.of(chain_id=1, timestamp=7, code={"0x" + "11" * 20: b"\xfe"})
    assert Genesis.from_json(genesis.to_json()) == genesis
    assert genesis.as_node_genesis()["alloc"]["0x" + "11" * 20] == {
        "balance": "0x0",
        "code": "0xfe",
    }
