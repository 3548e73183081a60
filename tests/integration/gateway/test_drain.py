"""A gateway that is told to end: it says so, finishes what it has, and charges what it sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.gateway.conftest import (
    PARROT,
    PRICE,
    Parrot,
    Shop,
    make_gateway,
    talking_to,
)
from tests.unit.payments.conftest import Books, Clock, WrittenChain

from tessera.gateway import server as server_module
from tessera.gateway.messages import Limits
from tessera.gateway.server import GatewayServer
from tessera.serving.metering import text_units

MAXIMUM = 900_000


def chat(words: str, **more: object) -> dict[str, object]:
    return {"model": "parrot", "messages": [{"role": "user", "content": words}], **more}


@pytest.fixture
async def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """A shop whose calls have half a second to end."""
    monkeypatch.setattr(server_module, "_CUT_S", 0.5)
    books = Books(tmp_path / "books.db", WrittenChain(), Clock())
    await books.reopen()
    parrot = Parrot()
    limits = Limits(write_timeout_s=20, answer_timeout_s=20)
    server = GatewayServer(make_gateway(books, parrot, limits), drain_s=0.5)
    await server.start()
    async with talking_to(server) as http:
        yield Shop(server, books, parrot, http, limits)
        await server.stop()
    await books.ledger.close()


async def in_flight(shop: Shop) -> None:
    """Wait until a call is in flight."""
    while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.005)


async def test_a_call_in_flight_is_answered_and_hears_that_there_is_no_other(shop: Shop) -> None:
    channel = shop.books.chain.open(10**7)
    pays = shop.pay(channel, (PARROT, MAXIMUM))
    asking = asyncio.create_task(shop.post("/v1/chat/completions", chat("[slow] one"), pays))
    await in_flight(shop)
    await shop.server.stop()
    answer = await asking
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    assert (await shop.charged(channel))[PARROT] == PRICE.cost_ceil(text_units("[slow] one"), 2)
    with pytest.raises(httpx.ConnectError):
        await shop.http.get("/healthz")


async def test_a_stream_is_cut_when_the_time_is_over_and_charged_for_what_was_sent(
    shop: Shop,
) -> None:
    channel = shop.books.chain.open(10**7)
    pays = shop.pay(channel, (PARROT, MAXIMUM))
    body = chat("one two three [hang] four", stream=True, max_tokens=64)
    asking = asyncio.create_task(shop.post("/v1/chat/completions", body, pays))
    await in_flight(shop)
    await asyncio.sleep(0.1)
    await shop.server.stop()
    text = (await asking).text
    assert '"content":"three "' in text
    assert '"finish_reason":"length"' in text
    assert "[DONE]" in text
    assert "event: tessera.receipt" in text
    assert (await shop.charged(channel))[PARROT] == PRICE.cost_ceil(
        text_units("one two three [hang] four"), 3
    )


async def test_whoever_stopped_reading_pays_for_what_was_sent(shop: Shop) -> None:
    channel = shop.books.chain.open(10**9)
    pays = shop.pay(channel, (PARROT, 10**8))
    body = chat("x" * 4_000_000 + " [slow] two [slow] three [slow] four", stream=True, max_tokens=9)
    async with shop.http.stream("POST", "/v1/chat/completions", json=body, headers=pays) as answer:
        assert answer.status_code == 200
        await asyncio.sleep(0.4)
        await shop.server.stop()
        assert (await shop.charged(channel))[PARROT] > 0
    assert shop.books.ledger.in_flight == 0


async def test_what_has_no_answer_when_the_time_is_over_costs_nothing(shop: Shop) -> None:
    channel = shop.books.chain.open(10**7)
    pays = shop.pay(channel, (PARROT, MAXIMUM))
    asking = asyncio.create_task(shop.post("/v1/chat/completions", chat("[hang]"), pays))
    await in_flight(shop)
    await shop.server.stop()
    answer = await asking
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "overloaded"
    assert answer.headers["retry-after"] == "2"
    assert (await shop.charged(channel))[PARROT] == 0
    assert shop.books.ledger.in_flight == 0


async def test_a_second_wish_to_end_waits_for_nobody(shop: Shop) -> None:
    shop.server.drain_s = 60
    channel = shop.books.chain.open(10**7)
    pays = shop.pay(channel, (PARROT, MAXIMUM))
    asking = asyncio.create_task(shop.post("/v1/chat/completions", chat("[hang]"), pays))
    await in_flight(shop)
    stopping = asyncio.create_task(shop.server.stop())
    await asyncio.sleep(0.05)
    shop.server.hurry()
    async with asyncio.timeout(15):
        await stopping
        assert (await asking).status_code == 503


async def test_where_a_balancer_looks_it_hears_first_and_calls_are_still_answered(
    shop: Shop,
) -> None:
    assert (await shop.http.get("/readyz")).json() == {"ok": True, "reasons": []}
    stopping = asyncio.create_task(shop.server.stop())
    await asyncio.sleep(0.05)
    answer = await shop.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"][0]["code"] == "draining"
    assert answer.headers["connection"] == "close"
    channel = shop.books.chain.open(10**7)
    late = await shop.post(
        "/v1/chat/completions", chat("one"), shop.pay(channel, (PARROT, MAXIMUM))
    )
    assert late.status_code == 200
    shop.server.hurry()
    await stopping
