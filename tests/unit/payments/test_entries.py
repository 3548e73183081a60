"""Entries of the log: frozen bytes, what a crash leaves of them, and what is made of them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import Connection
from tests.unit.payments.conftest import (
    DOMAIN,
    EVIDENCE,
    KEY,
    OPERATOR,
    Books,
    WrittenChain,
    quote,
    sign,
)

from tessera.errors import Conflict, DataError
from tessera.payments import books as tables
from tessera.payments import entries
from tessera.payments.reading import BooksReader
from tessera.spec.vouchers import Line, Receipt, SignedVoucher, Voucher, receipt_digest
from tessera.storage.batches import batch_body

Name = Callable[[], str]

VOUCHER = SignedVoucher(
    Voucher(2**64 - 1, (Line(1, 2, 3), Line(2**240 - 1, 2**32 - 1, 2**96 - 1))), bytes(range(65))
)
RECEIPT = Receipt(
    channel=2**64 - 1,
    asset=2**240 - 1,
    version=2**32 - 1,
    terms=3,
    charged=2**96 - 1,
    request=bytes(range(32)),
    response=bytes(range(32, 64)),
    units=2**64 - 1,
    time=1_800_000_000,
    identity=1,
)
CALL = "00112233445566778899aabbccddeeff"
FROZEN = (
    "dd0000000296a25631cfffffffffffffffff9293c420000000000000000000000000000000000000000000000000"
    "000000000000000102c40c00000000000000000000000393c4200000ffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffffffffffffceffffffffc40cffffffffffffffffffffffffc441000102030405060708090a0b0c"
    "0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a"
    "3b3c3d3e3f40c41000112233445566778899aabbccddeeffce6b49d2009ea24331c410d0585528d9ee0bc2e1e0e8"
    "c30515f4dbcfffffffffffffffffc41000112233445566778899aabbccddeeffc4200000ffffffffffffffffffff"
    "ffffffffffffffffffffffffffffffffffffffff03ceffffffff01c40cffffffffffffffffffffffffc40c800000"
    "000000000000000000cfffffffffffffffffce6b49d200c420000102030405060708090a0b0c0d0e0f1011121314"
    "15161718191a1b1c1d1e1fc420202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
)


def test_the_bytes_of_an_entry_never_change() -> None:
    """Books are read by every later version: a change of these bytes needs a new name of entry."""
    digest = receipt_digest(DOMAIN, RECEIPT)
    body = batch_body(
        [
            entries.voucher_entry(VOUCHER, CALL, 1_800_000_000),
            entries.charge_entry(digest, RECEIPT, 2**95, CALL),
        ]
    )
    assert body.hex() == FROZEN
    voucher, charge = entries.read_batch(body)
    assert isinstance(voucher, entries.VoucherEntry)
    assert isinstance(charge, entries.ChargeEntry)
    assert (voucher.channel, voucher.signature) == (VOUCHER.voucher.channel, VOUCHER.signature)
    assert entries.receipt_of(charge) == RECEIPT
    assert (int.from_bytes(charge.cost), charge.call.hex()) == (2**95, CALL)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader_of_a_batch(body: bytes) -> None:
    with contextlib.suppress(DataError):
        entries.read_batch(body)


def test_an_entry_of_a_newer_program_is_refused() -> None:
    newer = entries.voucher_entry(VOUCHER, CALL, 1).replace(b"V1", b"V9")
    with pytest.raises(DataError, match="newer Tessera"):
        entries.read_batch(batch_body([newer]))


async def spend(books: Books, name: Name, channel: int, amount: int, total: int) -> str:
    call = await books.accept(sign(channel, (KEY, total)), quote(amount), name())
    await books.ledger.finish(call, amount, EVIDENCE)
    return call.id


async def test_books_that_were_cut_off_are_replayed_from_the_log(
    books: Books, chain: WrittenChain, name: Name, tmp_path: Path
) -> None:
    """The files as they are on the disk in the middle of everything are what a power cut leaves:
    nothing of the log was copied into tables yet."""
    channel = chain.open()
    for number in range(1, 6):
        last = await spend(books, name, channel, 10, 10 * number)
    for suffix in ("", "-wal"):
        shutil.copy(f"{books.path}{suffix}", tmp_path / f"cut.db{suffix}")
    cut = Books(tmp_path / "cut.db", chain, books.clock)
    ledger = await cut.reopen()
    try:
        (claim,) = await ledger.claims()
        assert (claim.signed, claim.charged) == (sign(channel, (KEY, 50)), {KEY: 50})
        receipt = await ledger.receipt_of_call(channel, last)
        assert receipt is not None
        receipt.verify(DOMAIN, OPERATOR.address)
        assert await ledger.latest_receipts(channel) == [receipt]
        assert await ledger.receipt(receipt.id(DOMAIN)) == receipt
        assert await ledger._log.read(tables.load_costs) == {channel: 50}
    finally:
        await ledger.close()


@pytest.mark.parametrize("field", ["charged", "asset", "units", "time"])
async def test_attack_a_bit_that_the_disk_changed_is_not_charged(
    books: Books, chain: WrittenChain, name: Name, tmp_path: Path, field: str
) -> None:
    """One bit of the log, and a channel was charged more than there is money: its payer is refused
    every call, and its voucher is settled by nobody. Or another channel pays."""
    channel = chain.open()
    await spend(books, name, channel, 10, 100)
    for suffix in ("", "-wal"):
        shutil.copy(f"{books.path}{suffix}", tmp_path / f"cut.db{suffix}")
    with contextlib.closing(sqlite3.connect(tmp_path / "cut.db")) as connection:
        (body,) = connection.execute("SELECT body FROM batches ORDER BY n DESC").fetchone()
        read = entries.read_batch(body)
        charge = next(entry for entry in read if isinstance(entry, entries.ChargeEntry))
        value = getattr(charge, field)
        worse = bytes([value[0] ^ 1]) + value[1:] if isinstance(value, bytes) else -value
        changed = [replace(e, **{field: worse}) if e is charge else e for e in read]
        connection.execute("UPDATE batches SET body = ?", (msgspec.msgpack.encode(changed),))
        connection.commit()
    with pytest.raises(DataError, match="not what was written"):
        await Books(tmp_path / "cut.db", chain, books.clock).reopen()


async def test_a_call_that_was_answered_before_a_restart_is_a_copy_after_it(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """Somebody who read a request in clear sends it again when the gateway was restarted, and hopes
    that what it knew was only in memory."""
    channel = chain.open()
    used = await spend(books, name, channel, 10, 100)
    await books.reopen()
    with pytest.raises(Conflict, match="asked before"):
        await books.accept(sign(channel, (KEY, 100)), quote(10), used)


async def test_a_command_beside_the_gateway_reads_the_log_and_writes_nothing(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    used = await spend(books, name, channel, 10, 100)
    reader = await BooksReader.open(books.path, DOMAIN, OPERATOR.address)
    (claim,) = await reader.claims()
    assert claim.due == 10
    await reader.close()
    checkpoint = await books.ledger._log.read_tables(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM checkpoint").scalar_one()
    )
    assert checkpoint == 0
    assert await books.ledger.receipt_of_call(channel, used) is not None


async def test_folding_again_changes_nothing_and_never_lowers_a_line(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """A line that the chain has more of than the log (books restored from a copy) stays as high."""
    channel = chain.open()
    await spend(books, name, channel, 9, 100)
    await books.ledger.claims()

    def again(connection: Connection) -> object:
        connection.exec_driver_sql("DELETE FROM checkpoint")
        connection.exec_driver_sql("UPDATE lines SET charged = '10'")
        while tables.fold(connection, 1):
            pass
        return connection.exec_driver_sql("SELECT charged FROM lines").scalar_one()

    assert await books.ledger._log.read_tables(again) == "10"
