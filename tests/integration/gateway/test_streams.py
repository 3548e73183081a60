"""Chats that are answered piece by piece: charged for what was sent, and no more."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.integration.chain_client.bare_node import until
from tests.integration.gateway.conftest import PARROT, PRICE, Shop
from tests.unit.payments.conftest import DOMAIN, OPERATOR

from tessera.gateway.fast import FastDoor
from tessera.payments.header import parse_receipt
from tessera.serving.receipts import check_receipt
from tessera.serving.runner import ChatDelta, ChatEnd, ChatRequest, Units


def talk(words: str, **more: object) -> dict[str, object]:
    return {
        "model": "parrot",
        "messages": [{"role": "user", "content": words}],
        "stream": True,
        **more,
    }


def events_of(content: bytes) -> list[bytes]:
    return [event for event in content.split(b"\n\n") if event]


async def test_a_stream_ends_with_done_and_then_its_receipt(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    body = talk("one two three", stream_options={"include_usage": True})
    answer = await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 9_000)))
    assert answer.headers["content-type"].startswith("text/event-stream")
    *pieces, done, receipt = events_of(answer.content)
    chunks = [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert said == "one two three "
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert done == b"data: [DONE]"
    event, data = receipt.split(b"\n", 1)
    assert event == b"event: tessera.receipt"
    before, _, _ = answer.content.partition(b"event: tessera.receipt")
    checked = check_receipt(
        data.removeprefix(b"data: "),
        DOMAIN,
        OPERATOR.address,
        request=answer.request.content,
        response=before,
    )
    assert checked.signed.receipt.charged == PRICE.cost_ceil(4, 3)


async def test_a_machine_that_stood_still_answers_or_says_so(shop: Shop) -> None:
    """Before its first word was out every limit had passed, and the answer was an empty 500."""
    channel = shop.books.chain.open(10**6)
    body = talk("[freeze] one")
    answer = await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 9_000)))
    if answer.status_code == 502:
        assert "parrot" in answer.json()["error"]["message"]
        assert await shop.charged(channel) in ({}, {PARROT: 0})
    else:
        assert b"data: [DONE]\n\nevent: tessera.receipt" in answer.content
        assert await shop.charged(channel) == {PARROT: PRICE.cost_ceil(3, 2)}


async def test_an_answer_is_cut_at_the_limit_that_bounds_its_price(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    body = talk("one two three four", max_tokens=2)
    answer = await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 9_000)))
    assert b'"finish_reason":"length"' in answer.content
    assert await shop.charged(channel) == {PARROT: PRICE.cost_ceil(5, 2)}


async def test_a_model_that_breaks_off_is_paid_nothing_and_the_stream_says_so(
    shop: Shop,
) -> None:
    """The upstream dies after half an answer; the consumer would pay for half a sentence."""
    channel = shop.books.chain.open(10**6)
    for words in ("one two [fail]", "one [break]", "one [bug]", "one [hang]"):
        paid = shop.pay(channel, (PARROT, 9_000))
        answer = await shop.post("/v1/chat/completions", talk(words), paid)
        assert answer.status_code == 200
        last = events_of(answer.content)[-1]
        assert b'"error"' in last
        assert b"[DONE]" not in answer.content
        call = await shop.http.get(f"/v1/channels/{channel}/calls/{paid['tessera-call']}")
        assert call.json()["state"] == "unknown"
    assert await shop.charged(channel) == {PARROT: 0}


async def test_a_model_that_fails_before_its_first_word_gets_a_status(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    paid = shop.pay(channel, (PARROT, 9_000))
    answer = await shop.post("/v1/chat/completions", talk("[fail]"), paid)
    assert answer.status_code == 502
    assert await shop.charged(channel) == {PARROT: 0}


async def test_a_consumer_who_leaves_pays_for_what_was_sent_and_no_more(shop: Shop) -> None:
    """A consumer reads half an answer and hangs up, hoping that an unfinished call is free."""
    channel = shop.books.chain.open(10**6)
    words = " ".join(["[slow]"] * 60)
    paid = shop.pay(channel, (PARROT, 9_000))
    body = talk(words, max_tokens=60)
    async with shop.http.stream("POST", "/v1/chat/completions", json=body, headers=paid) as answer:
        seen = 0
        async for line in answer.aiter_lines():
            seen += '"content":"[slow] "' in line
            if seen == 3:
                break
    await shop.idle()
    call = await shop.http.get(f"/v1/channels/{channel}/calls/{paid['tessera-call']}")
    receipt = parse_receipt(json.dumps(call.json()["receipt"]))
    receipt.verify(DOMAIN, OPERATOR.address)
    taken = 105
    assert PRICE.cost_ceil(taken, 3) <= receipt.receipt.charged <= PRICE.cost_ceil(taken, 10)
    assert shop.parrot.closed_streams == 1


async def test_a_reader_who_stops_reading_is_cut_off(shop: Shop) -> None:
    """A consumer opens many streams and reads none of them, to hold the gateway's memory."""
    channel = shop.books.chain.open(10**9)
    words = " ".join(["x" * 15_000])
    body = json.dumps(talk(words, max_tokens=1)).encode()
    host, port = shop.server.host, shop.server.port
    paid = shop.pay(channel, (PARROT, 10**8))
    head = "".join(f"{name}: {value}\r\n" for name, value in paid.items())
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{head}"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    await asyncio.wait_for(shop.idle(), 30)
    assert shop.books.ledger.in_flight == 0
    writer.close()
    del reader


async def test_a_piece_leaves_in_the_step_in_which_it_came(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, seen = 0, []
    push = FastDoor.push

    def counted(door: FastDoor, data: bytes) -> bool:
        nonlocal left
        left += 1
        return push(door, data)

    async def watching(request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        for said in range(1, 5):
            before = left
            yield ChatDelta("word ", Units(1, said))
            seen.append(left)
            await until(lambda before=before: left > before)
            # Whoever sends is waiting for the next piece now.
            await asyncio.sleep(0.02)
        yield ChatEnd("stop", Units(1, 4))

    monkeypatch.setattr(FastDoor, "push", counted)
    monkeypatch.setattr(shop.parrot, "chat_stream", watching)
    channel = shop.books.chain.open(10**6)
    body = talk("go", max_tokens=8)
    answer = await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 9_000)))
    assert answer.content.count(b"word ") == 4
    # The first waits until the voucher is on the disk; with it goes the beginning of the turn.
    assert seen == [0, 3, 4, 5]


async def test_no_piece_overtakes_one_that_waits_for_its_reader(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader's buffer is free again, and what waited for that has not had its turn yet."""
    full = False
    push, write = FastDoor.push, FastDoor.write

    async def late(door: FastDoor, data: bytes) -> None:
        nonlocal full
        full = False
        await asyncio.sleep(0.05)
        await write(door, data)

    async def numbered(request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        nonlocal full
        for number in range(12):
            full = number == 6
            yield ChatDelta(f"#{number}", Units(1, number + 1))
            await asyncio.sleep(0.01)
        yield ChatEnd("stop", Units(1, 12))

    monkeypatch.setattr(FastDoor, "ready", property(lambda door: not full))
    monkeypatch.setattr(FastDoor, "push", lambda door, data: not full and push(door, data))
    monkeypatch.setattr(FastDoor, "write", late)
    monkeypatch.setattr(shop.parrot, "chat_stream", numbered)
    channel = shop.books.chain.open(10**6)
    body = talk("go", max_tokens=16)
    answer = await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 9_000)))
    found = re.findall(rb"#([0-9]+)", answer.content)
    assert [int(number) for number in found] == list(range(12))


async def test_a_stream_begins_before_it_ends(shop: Shop) -> None:
    channel = shop.books.chain.open(10**6)
    paid = shop.pay(channel, (PARROT, 9_000))
    async with shop.http.stream(
        "POST", "/v1/chat/completions", json=talk("[slow] [slow] [slow]"), headers=paid
    ) as answer:
        response: httpx.Response = answer
        async for _ in response.aiter_bytes():
            assert shop.books.ledger.in_flight == 1
            break
    await shop.idle()
