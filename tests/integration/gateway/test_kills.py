"""`kill -9` of the gateway in the middle of everything: no voucher, no receipt, no unit is lost."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from tests.integration.gateway.conftest import PRICE
from tests.integration.gateway.serve_books import CHANNELS, Nursery, nursery, written_chain
from tests.unit.payments.conftest import CONSUMER, DOMAIN, KEY, OPERATOR, Books, Clock

from tessera.errors import TesseraError
from tessera.payments.books import load_costs
from tessera.payments.header import SignedReceipt, parse_proof, parse_receipt, payment_header
from tessera.payments.purse import Purse, Ticket
from tessera.spec.signatures import keccak

BODY = json.dumps({"model": "parrot", "input": "four"}).encode()
TALK = json.dumps(
    {"model": "parrot", "messages": [{"role": "user", "content": "a b"}], "stream": True}
).encode()
EMBED_COST, TALK_COST = PRICE.cost_ceil(1, 0), PRICE.cost_ceil(1, 2)


class Caller:
    """A consumer that calls as fast as it is answered, and keeps every receipt it got."""

    def __init__(self, channel: int, source: random.Random) -> None:
        self.purse = Purse(DOMAIN, OPERATOR.address, channel, CONSUMER)
        self.receipts: list[SignedReceipt] = []
        self.source = source
        self.calls = 0

    async def run(self, url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            await self._catch_up(http)
            while True:
                await self._call(http)

    async def _call(self, http: httpx.AsyncClient) -> None:
        stream = self.source.random() < 0.3
        body, path = (TALK, "/v1/chat/completions") if stream else (BODY, "/v1/embeddings")
        most = PRICE.cost_ceil(3 + 16, 16) if stream else EMBED_COST
        self.calls += 1
        ticket = Ticket(f"{self.calls:032x}", KEY, most, keccak(body))
        headers = {
            "tessera-payment": payment_header(self.purse.begin(ticket)),
            "tessera-call": ticket.call,
        }
        header, value = self.purse.vouch(ticket, OPERATOR.public_key)
        headers[header] = value
        try:
            answer = await http.post(path, content=body, headers=headers)
        except httpx.TransportError:
            self.purse.lose(ticket)
            raise
        if '"code":"taken_for_dead"' in answer.text:
            # Of gateways that share books one may be slow to come back to its database.
            self.purse.lose(ticket)
            raise httpx.TransportError("given up by the others")
        assert answer.status_code == 200, answer.text
        if stream:
            before, _, event = answer.content.partition(b"event: tessera.receipt\ndata: ")
            receipt = parse_receipt(event.strip())
            self.purse.end(ticket, receipt, keccak(before))
        else:
            receipt = parse_proof(answer.headers["tessera-proof"])
            self.purse.end(ticket, receipt, keccak(answer.content))
        self.receipts.append(receipt)

    async def _catch_up(self, http: httpx.AsyncClient) -> None:
        for ticket in self.purse.lost:
            path = f"/v1/channels/{self.purse.channel}/calls/{ticket.call}"
            state = (await http.get(path)).json()
            if state["receipt"] is None:
                self.purse.cancel(ticket)
            else:
                self.purse.end(ticket, parse_receipt(json.dumps(state["receipt"])), None)


async def one_life(
    made: Nursery, callers: list[Caller], lifetime_s: float, *, from_first_answer: bool
) -> None:
    ((process, url),) = (await asyncio.to_thread(made.make)).items()
    calls = [asyncio.create_task(c.run(url)) for c in callers]
    before = answers(callers)
    while from_first_answer and answers(callers) == before:
        assert not all(call.done() for call in calls), [call.exception() for call in calls]
        await asyncio.sleep(0.01)
    await asyncio.sleep(lifetime_s)
    await made.kill(process)
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, httpx.TransportError), result


async def check_books(folder: Path, callers: list[Caller]) -> int:
    chain, _ = written_chain()
    books = Books(folder / "books.db", chain, Clock())
    ledger = await books.reopen()
    try:
        costs = await ledger._log.read(load_costs)
        for caller in callers:
            channel = caller.purse.channel
            for receipt in caller.receipts:
                assert await ledger.receipt(receipt.id(DOMAIN)) == receipt
            account = await ledger.account(channel)
            assert account is not None
            charged = account.lines[KEY].charged if KEY in account.lines else 0
            assert costs.get(channel, 0) == charged
            assert caller.purse.charged <= charged <= caller.purse.exposed
            if charged:
                (latest,) = await ledger.latest_receipts(channel)
                assert latest.receipt.charged == charged
                assert account.voucher is not None
                assert account.voucher.voucher.maximum(KEY) >= charged
        claims = await ledger.claims()
        result = await chain.settle(*_batch(claims))
        assert result.skipped == ()
        assert result.total == sum(claim.due for claim in claims)
    finally:
        await ledger.close()
    return answers(callers)


def answers(callers: Sequence[Caller]) -> int:
    return sum(len(caller.receipts) for caller in callers)


def _batch(claims: list) -> tuple:  # type: ignore[type-arg]
    from tessera.spec.vouchers import encode_batch

    return encode_batch([(claim.signed, claim.charged) for claim in claims])


async def killed(folder: Path, lives: int, seed: int) -> int:
    source = random.Random(seed)
    _, channels = written_chain()
    assert len(channels) == CHANNELS
    callers = [Caller(channel, source) for channel in channels]
    with nursery(folder) as made:
        for life in range(lives):
            # Some die before they answer at all, however slow the machine is, and some do not.
            lifetime_s = source.uniform(0.05, 1.0)
            await one_life(made, callers, lifetime_s, from_first_answer=life % 3 != 1)
            try:
                answered = await check_books(folder, callers)
            except TesseraError as error:
                pytest.fail(f"the books do not open again: {error}")
    return answered


async def test_a_gateway_killed_under_load_opens_with_its_books_right(tmp_path: Path) -> None:
    assert await killed(tmp_path, lives=5, seed=1) > 0


@pytest.mark.deep
async def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    assert await killed(tmp_path, lives=100, seed=2) > 0
