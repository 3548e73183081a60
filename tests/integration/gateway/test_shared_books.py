"""Several gateways on one real PostgreSQL: each call once, each unit once, whoever dies."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.integration.gateway.postgres import Server, postgres
from tests.integration.gateway.serve_books import (
    CHANNELS,
    Nursery,
    nursery,
    open_key,
    written_chain,
)
from tests.integration.gateway.test_kills import BODY, EMBED_COST, Caller, answers
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    EVIDENCE,
    KEY,
    Books,
    Clock,
    quote,
    request,
    sign,
)

from tessera.errors import Busy, Conflict, InputError, PaymentRequired, WrongChain
from tessera.payments.books import load_costs
from tessera.payments.header import parse_receipt, payment_header
from tessera.payments.key_rules import rules_digest
from tessera.payments.ledger import Ledger
from tessera.payments.shared import TakenForDead
from tessera.spec.signatures import Domain, keccak
from tessera.spec.vouchers import call_digest, encode_batch
from tessera.storage import schema
from tessera.storage.shared import SharedDatabase

GATEWAYS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as made:
        yield made


@pytest.fixture
async def database(server: Server) -> AsyncIterator[Server]:
    """The server, its books empty."""
    yield server
    opened = await SharedDatabase.open(server.url)
    names = ", ".join(f'"{name}"' for name in schema.METADATA.tables)
    await opened.run(lambda c: c.exec_driver_sql(f"TRUNCATE {names}"))
    await opened.close()


@pytest.fixture(scope="module")
def made(server: Server) -> Iterator[Nursery]:
    with nursery(server.url) as found:
        yield found


@pytest.fixture
def running(made: Nursery) -> Iterator[dict[int, str]]:
    """Four gateways."""
    found = made.make(GATEWAYS)
    yield found
    for process in found:
        os.kill(process, signal.SIGKILL)


def shared(server: Server, **more: float) -> Books:
    chain, _ = written_chain()
    return Books(server.url, chain, Clock(), **more)  # type: ignore[arg-type]


def signed_call(channel: int, number: int, maximum: int) -> dict[str, str]:
    name = f"{number:032x}"
    digest = call_digest(DOMAIN, channel, bytes.fromhex(name), keccak(BODY))
    return {
        "tessera-payment": payment_header(sign(channel, (KEY, maximum))),
        "tessera-call": name,
        "tessera-call-signature": "0x" + CONSUMER.sign(digest).hex(),
    }


async def test_attack_a_key_s_budget_is_passed_by_asking_four_gateways_at_once(
    database: Server, running: dict[int, str]
) -> None:
    """Counters in each gateway's memory would give each of them the whole budget."""
    chain, _ = written_chain()
    key = open_key(chain)
    bearer = {"authorization": f"Bearer {key.text}"}
    async with httpx.AsyncClient(timeout=60) as http:

        async def rule(url: str, rules: dict[str, object]) -> httpx.Response:
            body = json.dumps(rules).encode()
            signature = CONSUMER.sign(rules_digest(DOMAIN, key.channel, body))
            headers = {"tessera-key-signature": "0x" + signature.hex()}
            return await http.post(f"{url}/v1/keys/{key.id}", content=body, headers=headers)

        async def call(url: str) -> int:
            answer = await http.post(f"{url}/v1/embeddings", content=BODY, headers=bearer)
            return answer.status_code

        urls = list(running.values())
        ruled = await rule(urls[0], {"sequence": 1, "budget": str(10 * EMBED_COST)})
        assert ruled.status_code == 200, ruled.text
        found = await asyncio.gather(*(call(urls[number % GATEWAYS]) for number in range(64)))
        assert sorted(found) == [200] * 10 + [429] * 54
        for url in urls:
            state = (await http.get(f"{url}/v1/keys/{key.id}", headers=bearer)).json()
            assert state["spent"] == state["budget"] == str(10 * EMBED_COST)
        assert (await rule(urls[1], {"sequence": 1, "budget": "1000000"})).status_code == 409
        assert (await rule(urls[1], {"sequence": 2, "budget": str(11 * EMBED_COST)})).is_success
        assert sorted([await call(url) for url in urls]) == [200, 429, 429, 429]
        assert (await rule(urls[2], {"sequence": 3, "revoked": True})).is_success
        assert {await call(url) for url in urls} == {401}


async def test_four_processes_accept_a_voucher_once(
    database: Server, running: dict[int, str]
) -> None:
    """A consumer sends the very same paid request to four gateways of one operator at the same
    moment, and hopes for four answers at the price of one."""
    rounds = 40
    _, channels = written_chain()
    async with httpx.AsyncClient(timeout=30) as http:

        async def everywhere(channel: int, number: int) -> list[int]:
            headers = signed_call(channel, number, EMBED_COST * number)
            found = await asyncio.gather(
                *(
                    http.post(f"{url}/v1/embeddings", content=BODY, headers=headers)
                    for url in running.values()
                )
            )
            return sorted(answer.status_code for answer in found)

        async def consumer(channel: int) -> None:
            for number in range(1, rounds // CHANNELS + 1):
                assert await everywhere(channel, number) == [200, 409, 409, 409]

        await asyncio.gather(*(consumer(channel) for channel in channels))
    books = shared(database)
    ledger = await books.reopen()
    try:
        each = EMBED_COST * (rounds // CHANNELS)
        assert await ledger._log.read(load_costs) == dict.fromkeys(channels, each)
        for claim in await ledger.claims():
            assert claim.charged == {KEY: each}
    finally:
        await ledger.close()


async def until_nothing(ledger: Ledger, table: str) -> None:
    query = schema.METADATA.tables[table].select()
    async with asyncio.timeout(60):
        while await ledger._log.read(lambda c: c.execute(query).first()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Wanderer(Caller):
    """A consumer that goes on with another gateway when one dies."""

    async def wander(self, running: dict[int, str]) -> None:
        while True:
            url = self.source.choice(list(running.values()))
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                try:
                    await self._catch_up(http)
                    for _ in range(self.source.randrange(1, 8)):
                        await self._call(http)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)

    async def _catch_up(self, http: httpx.AsyncClient) -> None:
        for ticket in self.purse.lost:
            path = f"/v1/channels/{self.purse.channel}/calls/{ticket.call}"
            state = (await http.get(path)).json()
            if state["state"] == "answering":
                # Until the others have given up what the dead one had in flight.
                raise httpx.TransportError("not known yet")
            if state["receipt"] is None:
                self.purse.cancel(ticket)
            else:
                receipt = parse_receipt(json.dumps(state["receipt"]))
                self.purse.end(ticket, receipt, None)
                self.receipts.append(receipt)


async def killed(
    server: Server, made: Nursery, running: dict[int, str], deaths: int, seed: int
) -> int:
    source = random.Random(seed)
    chain, channels = written_chain()
    callers: list[Caller] = [Wanderer(channel, source) for channel in channels]
    tasks = [asyncio.create_task(caller.wander(running)) for caller in callers]
    for death in range(deaths):
        before = answers(callers)
        while answers(callers) < before + 10:
            assert not any(task.done() for task in tasks), [
                t.exception() for t in tasks if t.done()
            ]
            await asyncio.sleep(0.01)
        # In turn with a gateway: neither finds only what an orderly death of the other left.
        if death % 2:
            await asyncio.to_thread(server.crash)
            await asyncio.sleep(source.uniform(0, 0.5))
            await asyncio.to_thread(server.start)
        else:
            victim = source.choice(list(running))
            os.kill(victim, signal.SIGKILL)
            del running[victim]
            running.update(await asyncio.to_thread(made.make))
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result
    for process in running:
        os.kill(process, signal.SIGKILL)
    running.clear()
    books = shared(server, reap_s=0.05)
    ledger = await books.reopen()
    try:
        await until_nothing(ledger, "open_calls")
        costs = await ledger._log.read(load_costs)
        for caller in callers:
            for receipt in caller.receipts:
                assert await ledger.receipt(receipt.id(DOMAIN)) == receipt
            account = await ledger.account(caller.purse.channel)
            assert account is not None
            assert account.lines[KEY].charged == costs[caller.purse.channel]
            assert caller.purse.charged <= account.lines[KEY].charged <= caller.purse.exposed
        claims = await ledger.claims()
        result = await chain.settle(*encode_batch([(c.signed, c.charged) for c in claims]))
        assert result.skipped == ()
        assert result.total == sum(costs.values())
    finally:
        await ledger.close()
    return answers(callers)  # type: ignore[arg-type]


async def test_gateways_and_the_database_die_and_nothing_is_lost(
    database: Server, made: Nursery, running: dict[int, str]
) -> None:
    assert await killed(database, made, running, deaths=3, seed=3) > 0


@pytest.mark.deep
async def test_gateways_and_the_database_die_forty_times(
    database: Server, made: Nursery, running: dict[int, str]
) -> None:
    assert await killed(database, made, running, deaths=40, seed=4) > 0


async def test_the_migrations_make_exactly_the_schema_there_too(database: Server) -> None:
    opened = await SharedDatabase.open(database.url)
    differences = await opened.read(
        lambda c: compare_metadata(MigrationContext.configure(c), schema.METADATA)
    )
    await opened.close()
    assert differences == []


@asynccontextmanager
async def two(server: Server) -> AsyncIterator[tuple[Books, Ledger, Ledger]]:
    first, second = shared(server, reap_s=0.05), shared(server, reap_s=0.05)
    second.chain = first.chain
    await first.reopen()
    await second.reopen()
    try:
        yield first, first.ledger, second.ledger
    finally:
        await first.ledger.close()
        await second.ledger.close()


async def test_what_one_has_in_flight_the_other_counts(database: Server) -> None:
    """A consumer with a deposit for one call asks two gateways at the same time."""
    async with two(database) as (books, first, second):
        channel = books.chain.open(100, salt=1_000)
        voucher = sign(channel, (KEY, 100))
        call = await first.accept(voucher, quote(100), request(channel, "01" * 16))
        with pytest.raises(PaymentRequired, match="what was charged plus what is in flight"):
            await second.accept(voucher, quote(1), request(channel, "02" * 16))
        with pytest.raises(PaymentRequired, match="1 base units too little"):
            await second.accept(sign(channel, (KEY, 101)), quote(1), request(channel, "03" * 16))
        assert await second.is_answering(channel, call.id)
        signed = await first.finish(call, 60, EVIDENCE)
        assert await second.receipt_of_call(channel, call.id) == signed
        account = await second.account(channel)
        assert account is not None
        assert (account.lines[KEY].charged, account.lines[KEY].in_flight) == (60, 0)
        call = await second.accept(voucher, quote(40), request(channel, "04" * 16))
        assert (await second.finish(call, 40, EVIDENCE)).receipt.charged == 100


async def test_what_one_charged_and_settled_is_no_stranger_to_the_other(database: Server) -> None:
    """Without shared books, more settled than was charged here is the sign of another gateway."""
    async with two(database) as (books, first, second):
        channel = books.chain.open(100, salt=1_003)
        voucher = sign(channel, (KEY, 100))
        for gateway, cost, name in ((first, 10, "01" * 16), (second, 90, "02" * 16)):
            call = await gateway.accept(voucher, quote(cost), request(channel, name))
            await gateway.finish(call, cost, EVIDENCE)
        await books.chain.settle(*encode_batch([(voucher, {KEY: 100})]))
        (account,) = await first.look_at_chain([channel])
        assert account.lines[KEY].settled == 100
        assert first.others == set()
        assert first.exposures.total == 0


async def test_a_call_that_failed_frees_its_maximum_and_keeps_its_name(database: Server) -> None:
    async with two(database) as (books, first, second):
        channel = books.chain.open(100, salt=1_001)
        voucher = sign(channel, (KEY, 100))
        first.fail(await first.accept(voucher, quote(100), request(channel, "01" * 16)))
        assert await first.receipt_of_call(channel, "01" * 16) is None
        with pytest.raises(Conflict, match="asked before"):
            await second.accept(voucher, quote(100), request(channel, "01" * 16))
        second.fail(await second.accept(voucher, quote(100), request(channel, "02" * 16)))


async def test_a_gateway_that_slept_too_long_charges_nothing(database: Server) -> None:
    """A gateway's machine is frozen and its connection ends; the others give its calls up, and
    the consumer is answered by one of them. When it wakes it must not charge a second time."""
    async with two(database) as (books, first, second):
        channel = books.chain.open(100, salt=1_002)
        voucher = sign(channel, (KEY, 100))
        call = await first.accept(voucher, quote(100), request(channel, "01" * 16))
        assert first._shared is not None
        asleep = first._shared.database
        async with asleep._using:
            await asleep._part()
            await until_nothing(second, "open_calls")
        again = await second.accept(voucher, quote(100), request(channel, "01" * 16))
        with pytest.raises(TakenForDead):
            await first.finish(call, 100, EVIDENCE)
        assert (await second.finish(again, 100, EVIDENCE)).receipt.charged == 100


async def test_one_gateway_leads_and_another_takes_over(database: Server) -> None:
    async with two(database) as (books, first, second):
        assert first.leading is not None
        assert second.leading is not None
        leads = [first.leading.wait(), second.leading.wait()]
        tasks = [asyncio.create_task(wait) for wait in leads]
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.2)
        assert first.leading.is_set() != second.leading.is_set()
        leader, other = (first, second) if first.leading.is_set() else (second, first)
        await leader.close()
        assert other.leading is not None
        await asyncio.wait_for(other.leading.wait(), 60)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*done, *waiting, return_exceptions=True)
        del books


async def test_books_of_another_chain_are_refused(database: Server) -> None:
    books = shared(database)
    await (await books.reopen()).close()
    with pytest.raises(WrongChain):
        await Ledger.open_shared(
            database.url,
            Domain(1, DOMAIN.contract),
            books.ledger._signer,
            books.chain,
            books.clock,
            knows=lambda _key: True,
        )


async def test_a_database_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(Busy, match="PostgreSQL server that answers"):
        await SharedDatabase.open(f"postgresql://nobody@/books?host={tmp_path}")
    with pytest.raises(InputError, match="postgresql://"):
        await SharedDatabase.open("mysql://nobody@/books")
