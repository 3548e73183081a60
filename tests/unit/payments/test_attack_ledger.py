"""Attacks on an operator's ledger: moments in which one deposit could pay twice, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy
from msgspec.structs import replace
from sqlalchemy import Engine
from tests.unit.payments.conftest import (
    EVIDENCE,
    KEY,
    STRANGER,
    Books,
    WrittenChain,
    quote,
    request,
    sign,
)

from tessera.errors import (
    Busy,
    Conflict,
    DataError,
    PaymentRequired,
    SignatureRejected,
    StorageFull,
)
from tessera.payments.callers import SignedRequest
from tessera.payments.ports import ChannelView
from tessera.spec.vouchers import TillKey

Name = Callable[[], str]


class LateChain:
    """Shows no channel to the first who asks, as in the moment in which it is being opened."""

    def __init__(self, chain: WrittenChain) -> None:
        self._chain = chain
        self.asked = 0
        self.answer = asyncio.Event()

    async def read_channel(self, channel: int, keys: Sequence[TillKey]) -> ChannelView | None:
        self.asked += 1
        first = self.asked == 1
        await self.answer.wait()
        return None if first else await self._chain.read_channel(channel, keys)


async def test_a_channel_asked_for_while_it_is_opened_has_one_account(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """An attacker calls twice while his deposit is on its way into a block. The first call finds no
    channel and the ledger forgets the number; the second, which waited for it, goes on with an
    account that nobody else knows. A third call gets another account with the same deposit."""
    channel = chain.open(100)
    late = LateChain(chain)
    books.ledger._chain = late  # type: ignore[assignment]
    voucher = sign(channel, (KEY, 100))
    calls = [asyncio.create_task(books.accept(voucher, quote(100), name())) for _ in range(2)]
    waiting = lambda: books.ledger._accounts[channel].reading._waiters  # noqa: E731
    while not late.asked or not waiting():  # noqa: ASYNC110 - a lock tells nobody
        await asyncio.sleep(0.001)
    late.answer.set()
    first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, PaymentRequired)
    assert not isinstance(second, BaseException)
    with pytest.raises(PaymentRequired):
        await books.accept(voucher, quote(100), name())
    assert (await books.ledger.finish(second, 100, EVIDENCE)).receipt.charged == 100


async def test_nothing_is_charged_on_a_voucher_that_the_disk_does_not_have(
    books: Books, chain: WrittenChain, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the voucher comes, and has room again when the model is done. The
    charge would be written, beside an older voucher that does not cover it: served for nothing."""
    channel = chain.open()
    call = await books.accept(sign(channel, (KEY, 100)), quote(100), name())
    await books.ledger.finish(call, 100, EVIDENCE)

    def refuse(*_: object) -> None:
        raise StorageFull("books", found="no room", wanted="room on the disk")

    with monkeypatch.context() as disk:
        disk.setattr("tessera.storage.batches._insert", refuse)
        call = await books.accept(sign(channel, (KEY, 200)), quote(100), name())
        assert call.durable is not None
        with pytest.raises(StorageFull):
            await asyncio.shield(call.durable)
    with pytest.raises(StorageFull):
        await books.ledger.finish(call, 100, EVIDENCE)
    (claim,) = await books.ledger.claims()
    assert claim.charged == {KEY: 100}
    account = await books.ledger.account(channel)
    assert account is not None
    assert (account.lines[KEY].charged, account.lines[KEY].in_flight) == (100, 0)


async def test_invented_numbers_do_not_crowd_out_channels_that_exist(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """An attacker asks for hundreds of channels that nobody opened, each of which must be looked
    up on the chain. A consumer whose channel is known must not wait behind a refusal."""
    channel = chain.open()
    call = await books.accept(sign(channel, (KEY, 100)), quote(50), name())
    await books.ledger.finish(call, 50, EVIDENCE)
    books.clock.now += 60
    books.ledger._reads_waiting = 10**6
    with pytest.raises(Busy):
        await books.ledger.account(4_711)
    call = await books.accept(sign(channel, (KEY, 100)), quote(50), name())
    assert call.channel == channel


async def test_a_request_that_the_signer_did_not_sign_reserves_nothing(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """A voucher can be copied from its settlement. Through whatever door a thief comes with it, the
    ledger itself asks who signed the request, and holds nothing of the deposit meanwhile."""
    channel = chain.open(100)
    voucher = sign(channel, (KEY, 100))
    unsigned = SignedRequest(name(), EVIDENCE.request, None)
    other_channel = replace(request(channel + 1, name()), name=name())
    other_body = replace(request(channel, name()), body=EVIDENCE.response)
    for forged in (unsigned, request(channel, name(), signer=STRANGER), other_channel, other_body):
        with pytest.raises(SignatureRejected, match="whoever signed the voucher"):
            await books.ledger.accept(voucher, quote(100), forged)
    assert books.ledger.in_flight == 0
    await books.accept(voucher, quote(100), name())


async def test_of_two_copies_that_come_together_one_is_answered(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    voucher, once = sign(channel, (KEY, 200)), request(channel, name())
    first, second = await asyncio.gather(
        *(books.ledger.accept(voucher, quote(100), once) for _ in range(2)), return_exceptions=True
    )
    assert not isinstance(first, BaseException)
    assert isinstance(second, Conflict)
    assert books.ledger.in_flight == 1
    books.ledger.fail(first)
    with pytest.raises(Conflict, match="asked before"):
        await books.ledger.accept(voucher, quote(100), once)


async def test_attack_two_processes_without_a_lock_between_them_answer_no_call_twice(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """Somebody removes the lock file, or the disk of a network keeps no locks, and a second gateway
    opens the same books. Each judges by its own memory: the deposit would pay for two answers."""
    assert isinstance(books.path, Path)
    channel = chain.open(100)
    books.path.with_name("books.db.lock").unlink()
    second = Books(books.path, chain)
    await second.reopen()
    voucher = sign(channel, (KEY, 100))
    early = await books.accept(voucher, quote(60), name())
    # The voucher of a stream is written at once, so that the second one's is too late.
    await early.durable  # type: ignore[misc]
    late = await second.accept(voucher, quote(60), name())
    assert (await books.ledger.finish(early, 60, EVIDENCE)).receipt.charged == 60
    for _ in range(2):
        with pytest.raises(Busy, match="another process"):
            await second.ledger.finish(late, 40, EVIDENCE)
        late = await second.accept(voucher, quote(40), name())
    second.ledger.fail(late)
    await second.ledger.close()
    last = await books.accept(voucher, quote(40), name())
    assert (await books.ledger.finish(last, 40, EVIDENCE)).receipt.charged == 100


@pytest.mark.parametrize("table", ["domain", "keys", "lines", "checkpoint"])
async def test_attack_a_page_that_the_disk_lost_is_said_to_be_so(
    books: Books, chain: WrittenChain, name: Name, table: str
) -> None:
    assert isinstance(books.path, Path)
    channel = chain.open(100)
    call = await books.accept(sign(channel, (KEY, 100)), quote(60), name())
    await books.ledger.finish(call, 60, EVIDENCE)
    await books.ledger.close()
    with contextlib.closing(sqlite3.connect(books.path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(books.path.read_bytes())
    data[(page - 1) * size : page * size] = bytes(size)
    books.path.write_bytes(data)
    with pytest.raises(DataError, match="malformed"):
        await books.reopen()


async def test_attack_many_payers_do_not_make_looking_at_what_is_due_hold_up_all_calls(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """Whoever reads the books beside a gateway keeps it from writing meanwhile. With three queries
    per channel, 12,000 payers who owe a unit took longer than a gateway waits, and every call
    failed for as long as somebody looked."""

    async def queries_with(channels: int) -> int:
        for _ in range(channels):
            channel = chain.open(100, salt=len(opened))
            opened.append(channel)
            call = await books.accept(sign(channel, (KEY, 100)), quote(60), name())
            await books.ledger.finish(call, 60, EVIDENCE)
        await books.ledger.claims()
        made: list[str] = []

        def count(*event: object) -> None:
            made.append(str(event[2]))

        assert isinstance(books.ledger._engine, Engine)
        sqlalchemy.event.listen(books.ledger._engine, "before_cursor_execute", count)
        claims = await books.ledger.claims()
        sqlalchemy.event.remove(books.ledger._engine, "before_cursor_execute", count)
        assert [claim.signed.voucher.channel for claim in claims] == sorted(opened)
        assert {(claim.charged[KEY], claim.due) for claim in claims} == {(60, 60)}
        return len(made)

    opened: list[int] = []
    assert await queries_with(2) == await queries_with(20)
