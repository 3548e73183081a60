"""A bad day of the database that several gateways share: what must never stay behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from tests.integration.gateway.postgres import Server, postgres
from tests.unit.payments.conftest import EVIDENCE, KEY, Books, Clock, WrittenChain, quote, sign
from tests.unit.payments.conftest import request as signed_request

from tessera.errors import PaymentRequired
from tessera.payments import shared as shared_books
from tessera.payments.ledger import Evidence, Ledger
from tessera.payments.shared import SharedBooks, TakenForDead
from tessera.storage import shared as shared_database
from tessera.storage.shared import ConnectionLost, SharedDatabase

T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands still for a second is given up."""
    monkeypatch.setattr(shared_database, "_TRANSACTION_S", 1.0)
    monkeypatch.setattr(shared_database, "_QUERY_S", 1.0)
    settings = shared_database._SETTINGS.replace("'5s'", "'500ms'")
    monkeypatch.setattr(shared_database, "_SETTINGS", settings)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of a second is longer than the books wait for the server."""
    monkeypatch.setattr(shared_books, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(shared_books, "_TRY_AGAIN_S", 0.05)


@asynccontextmanager
async def gateway(server: Server, reap_s: float = 0.1) -> AsyncIterator[tuple[Books, Ledger]]:
    books = Books(server.url, WrittenChain(), Clock(), reap_s=reap_s)
    await books.reopen()
    try:
        yield books, books.ledger
    finally:
        await books.ledger.close()


def books_of(ledger: Ledger) -> SharedBooks:
    assert ledger._shared is not None
    return ledger._shared


async def in_flight(ledger: Ledger, channel: int) -> int:
    account = await ledger.account(channel)
    assert account is not None
    return sum(line.in_flight for line in account.lines.values())


async def none_in_flight(ledger: Ledger, channel: int) -> None:
    for _ in range(250):
        if not await in_flight(ledger, channel):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("something is in flight still")


@pytest.mark.usefixtures("impatient")
async def test_attack_an_outage_keeps_no_deposit_reserved(server: Server) -> None:
    """The server is gone for longer than the gateway waits. The call that failed meanwhile had
    reserved the whole deposit; the gateway comes back under its old number, so nobody buries the
    call: were it forgotten, the payer could not call again before the gateway ends."""
    async with gateway(server) as (books, ledger):
        channel = books.chain.open(100, salt=1)
        voucher = sign(channel, (KEY, 100))
        call = await ledger.accept(voucher, quote(100), signed_request(channel, "01" * 16))
        await asyncio.to_thread(server.crash)
        ledger.fail(call)
        await asyncio.sleep(0.5)
        assert isinstance(ledger.failure, ConnectionLost)
        await asyncio.to_thread(server.start)
        await none_in_flight(ledger, channel)
        again = await ledger.accept(voucher, quote(100), signed_request(channel, "02" * 16))
        assert (await ledger.finish(again, 100, EVIDENCE)).receipt.charged == 100


@pytest.mark.usefixtures("impatient")
async def test_attack_a_reservation_whose_end_was_not_seen_is_let_go(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits a reservation, its word is lost, and it is not heard of again for as long
    as the gateway waits. The consumer is told to come back later; nobody has the call in hand."""
    async with gateway(server) as (books, ledger):
        channel = books.chain.open(100, salt=2)
        voucher = sign(channel, (KEY, 100))
        ledger.fail(await ledger.accept(voucher, quote(1), signed_request(channel, "01" * 16)))
        await none_in_flight(ledger, channel)
        run, lost = SharedDatabase.run, True

        async def deaf(self: SharedDatabase, work: Callable[[Connection], T]) -> T:
            done = await run(self, work)
            if lost:
                raise ConnectionLost("database", found="no answer", wanted="one")
            return done

        monkeypatch.setattr(SharedDatabase, "run", deaf)
        with pytest.raises(ConnectionLost):
            await ledger.accept(voucher, quote(100), signed_request(channel, "02" * 16))
        lost = False
        await none_in_flight(ledger, channel)
        again = await ledger.accept(voucher, quote(100), signed_request(channel, "03" * 16))
        assert (await ledger.finish(again, 100, EVIDENCE)).receipt.charged == 100


async def test_attack_a_gateway_that_stands_still_in_a_transaction_stops_no_other(
    server: Server,
) -> None:
    """A gateway's machine is frozen between two statements, its connection open: it holds the
    locks of its channels, and every other gateway's transaction that needs one of them waits, and
    all the calls of other channels in that transaction with it."""
    async with gateway(server) as (books, ledger):
        channel = books.chain.open(100, salt=3)
        frozen = await SharedDatabase.open(server.url)
        connection = await frozen._joined()
        await connection.run_sync(shared_books._lock, {channel})
        voucher = sign(channel, (KEY, 100))
        async with asyncio.timeout(30):
            call = await ledger.accept(voucher, quote(9), signed_request(channel, "01" * 16))
        await ledger.finish(call, 9, EVIDENCE)
        # It wakes, finds its connection ended, and goes on with another one.
        with pytest.raises(DBAPIError):
            await connection.run_sync(shared_books._lock, {channel})
        await frozen._part()
        assert await frozen.run(lambda c: c.execute(text("SELECT 1")).scalar_one()) == 1
        await frozen.close()


async def test_a_transaction_that_the_server_ended_is_tried_again(server: Server) -> None:
    """What a gateway hears that stood still in the middle of one is no verdict on its calls."""
    database = await SharedDatabase.open(server.url)

    def stands_still(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        time.sleep(1)
        connection.execute(text("SELECT 2"))

    with pytest.raises(ConnectionLost):
        await database.run(stands_still)
    await database.close()


async def test_attack_who_leaves_keeps_no_deposit_reserved(server: Server) -> None:
    """A gateway ends in good order while a call is in hand that would not end. Its number is given
    back at once, so no other gateway ever finds it to bury what it left."""
    async with gateway(server) as (books, ledger):
        channel = books.chain.open(100, salt=5)
        voucher = sign(channel, (KEY, 100))
        async with gateway(server) as (leaves, leaving):
            leaves.chain.model = books.chain.model
            await leaving.accept(voucher, quote(100), signed_request(channel, "01" * 16))
        call = await ledger.accept(voucher, quote(100), signed_request(channel, "02" * 16))
        assert (await ledger.finish(call, 100, EVIDENCE)).receipt.charged == 100


async def test_attack_a_query_is_not_waited_for_without_end(server: Server) -> None:
    """As below, for who asks for a receipt."""
    async with gateway(server) as (_, ledger):
        pid = text("SELECT pg_backend_pid()")
        found = await books_of(ledger).read(lambda c: c.execute(pid).scalar_one())
        os.kill(found, signal.SIGSTOP)
        try:
            async with asyncio.timeout(8):
                assert await ledger.receipt_of_call(1, "01" * 16) is None
        finally:
            os.kill(found, signal.SIGCONT)


async def test_attack_a_server_that_stops_answering_is_not_waited_for_without_end(
    server: Server,
) -> None:
    """The network between a gateway and the server is cut, and nobody says so: no call would end
    before the kernel gives up, a quarter of an hour later."""
    async with gateway(server) as (books, ledger):
        channel = books.chain.open(100, salt=4)
        database = books_of(ledger).database
        found = await database.run(
            lambda c: c.execute(text("SELECT pg_backend_pid()")).scalar_one()
        )
        os.kill(found, signal.SIGSTOP)
        try:
            voucher = sign(channel, (KEY, 100))
            async with asyncio.timeout(60):
                call = await ledger.accept(voucher, quote(9), signed_request(channel, "01" * 16))
                await ledger.finish(call, 9, EVIDENCE)
        finally:
            os.kill(found, signal.SIGCONT)


async def test_attack_a_call_that_another_gateway_answered_is_answered_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway loses its connection while it charges, and is taken for dead; the consumer asks
    another one under the same name, and pays there. The first comes back, asks whether its charge
    was written, and finds a receipt: of another answer."""
    async with gateway(server, 60.0) as (books, first), gateway(server) as (others, second):
        others.chain.model = books.chain.model
        channel = books.chain.open(100, salt=6)
        voucher = sign(channel, (KEY, 100))
        call = await first.accept(voucher, quote(50), signed_request(channel, "01" * 16))
        asleep = books_of(first).database
        run = SharedDatabase.run

        async def cut(self: SharedDatabase, work: Callable[[Connection], T]) -> T:
            if self is not asleep:
                return await run(self, work)
            monkeypatch.setattr(SharedDatabase, "run", run)
            async with self._using:
                await self._part()
                await none_in_flight(second, channel)
            again = await second.accept(voucher, quote(50), signed_request(channel, "01" * 16))
            await second.finish(again, 50, Evidence(EVIDENCE.request, bytes(32), 1))
            raise ConnectionLost("database", found="no answer", wanted="one")

        monkeypatch.setattr(SharedDatabase, "run", cut)
        with pytest.raises(TakenForDead, match="another gateway"):
            await first.finish(call, 50, EVIDENCE)
        account = await second.account(channel)
        assert account is not None
        assert (account.lines[KEY].charged, account.lines[KEY].in_flight) == (50, 0)


@pytest.fixture
async def careless(server: Server) -> AsyncIterator[Server]:
    """A server whose keeper has set what a session begins with, as other programs like it."""
    role = "ALTER ROLE gateway"
    opened = await SharedDatabase.open(server.url)
    for name, value in (
        ("default_transaction_isolation", "repeatable read"),
        ("synchronous_commit", "off"),
    ):
        await opened.run(lambda c, n=name, v=value: c.exec_driver_sql(f"{role} SET {n} = '{v}'"))
    yield server
    await opened.run(lambda c: c.exec_driver_sql(f"{role} RESET ALL"))
    await opened.close()


async def test_attack_a_server_with_other_defaults_lets_no_deposit_pay_twice(
    careless: Server,
) -> None:
    """Where transactions are repeatable by default, one sees what was there when it began to wait
    for a channel's lock, and not what the other gateway did before it let go of it."""
    async with gateway(careless) as (books, first), gateway(careless) as (others, second):
        others.chain.model = books.chain.model
        channel = books.chain.open(100, salt=7)
        voucher = sign(channel, (KEY, 100))
        for each, name in ((first, "03"), (second, "04")):
            call = await each.accept(voucher, quote(1), signed_request(channel, name * 16))
            await each.finish(call, 1, EVIDENCE)
        holder = await SharedDatabase.open(careless.url)
        connection = await holder._joined()
        await connection.run_sync(shared_books._lock, {channel})
        waiting = [
            asyncio.create_task(each.accept(voucher, quote(60), signed_request(channel, name * 16)))
            for each, name in ((first, "01"), (second, "02"))
        ]
        await asyncio.sleep(0.2)
        await connection.rollback()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        await holder.close()
        assert sorted(isinstance(each, PaymentRequired) for each in done) == [False, True]
        shown = text("SELECT current_setting('synchronous_commit')")
        found = await books_of(first).database.run(lambda c: c.execute(shown).scalar_one())
        assert found == "on"
