"""Paid calls that an upstream answers, badly: nothing is charged for what did not arrive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
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
    offer,
    sign_call,
    talking_to,
)
from tests.integration.gateway.test_streams import talk
from tests.unit.payments.conftest import Books, Clock, WrittenChain
from tests.unit.serving.test_http_client import CHUNKED, OK, Server

from tessera.gateway.catalogue import ListedModels
from tessera.gateway.messages import Limits
from tessera.gateway.server import GatewayServer
from tessera.serving.runner import Task
from tessera.serving.runners.upstream import UpstreamLimits, UpstreamRunner

TURN = {"role": "assistant", "content": "one two three"}


def said(content: str, usage: dict[str, int] | None = None) -> bytes:
    body = json.dumps(
        {
            "choices": [{"message": {**TURN, "content": content}, "finish_reason": "stop"}],
            "usage": usage,
        }
    ).encode()
    return OK + b"content-length: %d\r\n\r\n" % len(body) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def wrote(text: str) -> bytes:
    return chunk(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % text.encode())


STOP = chunk(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')
USAGE = chunk(b'data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":2}}\n\n')
DONE = chunk(b"data: [DONE]\n\n")


@pytest.fixture
async def upstream() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    await made.stop()


@pytest.fixture
async def shop(tmp_path: Path, upstream: Server) -> AsyncIterator[Shop]:
    books = Books(tmp_path / "books.db", WrittenChain(), Clock())
    await books.reopen()
    runner = UpstreamRunner(
        "parrot",
        upstream.url,
        "their-name",
        frozenset({Task.CHAT}),
        limits=UpstreamLimits(timeout_s=0.5),
    )
    limits = Limits(write_timeout_s=0.5, answer_timeout_s=5.0)
    parrot = Parrot()
    gateway = make_gateway(books, parrot, limits)
    assert isinstance(gateway.catalogue, ListedModels)
    gateway.catalogue.replace([offer("parrot", 7, runner)])
    server = GatewayServer(gateway, drain_s=1)
    await server.start()
    async with talking_to(server) as http:
        yield Shop(server, books, parrot, http, limits)
    await server.stop()
    await runner.close()
    await books.ledger.close()


async def ask(shop: Shop, channel: int, *, stream: bool = False) -> httpx.Response:
    body = talk("hello", max_tokens=50, stream=stream)
    return await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 10**6)))


async def test_an_answer_is_charged_by_its_count_within_bounds(
    shop: Shop, upstream: Server
) -> None:
    """An upstream that counts a million tokens would empty the consumer's channel."""
    channel = shop.books.chain.open(10**7)
    upstream.speak = upstream.says(
        said("one two three", {"prompt_tokens": 2, "completion_tokens": 3}), then_close=True
    )
    answer = await ask(shop, channel)
    assert answer.json()["choices"][0]["message"]["content"] == "one two three"
    assert answer.json()["model"] == "parrot@3"
    assert await shop.charged(channel) == {PARROT: PRICE.cost_ceil(2, 3)}
    upstream.speak = upstream.says(
        said("x" * 13, {"prompt_tokens": 10**9, "completion_tokens": 10**9})
    )
    assert (await ask(shop, channel)).json()["usage"]["completion_tokens"] == 13
    sent = json.loads(upstream.requests[-1].partition(b"\r\n\r\n")[2])
    assert (sent["model"], sent["max_tokens"]) == ("their-name", 50)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n",
        OK + b"content-length: 100\r\n\r\n{",
        OK + b"content-length: 2\r\n\r\n{}",
        OK + b'content-length: 14\r\n\r\n{"choices":[]}',
        b"garbage\r\n\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_fails_is_paid_nothing(
    shop: Shop, upstream: Server, answer: bytes, stream: bool
) -> None:
    channel = shop.books.chain.open(10**7)
    upstream.speak = upstream.says(answer, then_close=True)
    refused = await ask(shop, channel, stream=stream)
    assert refused.status_code == 502
    assert "tessera-receipt" not in refused.headers
    assert await shop.charged(channel) == {PARROT: 0}
    assert shop.books.ledger.in_flight == 0


@pytest.mark.parametrize(
    "ending",
    [
        b"",
        b"zz no chunk",
        b"0\r\n\r\n",
        DONE + b"0\r\n\r\n",
        chunk(b'data: {"error":{"message":"out of memory"}}\n\n'),
        chunk(b"data: {not json\n\n"),
        chunk(b'data: {"choices":[{"index":7,"delta":{"content":"x"}}]}\n\n'),
    ],
)
async def test_a_stream_that_fails_midway_is_paid_nothing_and_says_so(
    shop: Shop, upstream: Server, ending: bytes
) -> None:
    channel = shop.books.chain.open(10**7)
    upstream.speak = upstream.says(CHUNKED + wrote("one "), wrote("two "), ending, then_close=True)
    answer = await ask(shop, channel, stream=True)
    assert answer.status_code == 200
    assert b'"content":"two "' in answer.content
    assert b'"error"' in answer.content
    assert b"[DONE]" not in answer.content
    assert await shop.charged(channel) == {PARROT: 0}


@pytest.mark.parametrize("behind", [b"0\r\n\r\n", b"", wrote("more"), b"garbage"])
async def test_what_an_upstream_says_behind_the_end_changes_nothing(
    shop: Shop, upstream: Server, behind: bytes
) -> None:
    """It says that it is done and then goes on, or never closes: the consumer has his answer."""
    channel = shop.books.chain.open(10**7)
    upstream.speak = upstream.says(
        CHUNKED + wrote("one ") + wrote("two") + STOP + USAGE + DONE + behind
    )
    for number in (1, 2):
        answer = await asyncio.wait_for(ask(shop, channel, stream=True), 30)
        assert answer.content.count(b"[DONE]") == 1
        assert b"tessera.receipt" in answer.content
        assert b"more" not in answer.content
        assert await shop.charged(channel) == {PARROT: number * PRICE.cost_ceil(2, 2)}
    # Only a connection whose answer was whole is used again.
    assert upstream.connections == (1 if behind == b"0\r\n\r\n" else 2)


async def test_a_consumer_who_leaves_stops_the_upstream_and_pays_for_what_was_sent(
    shop: Shop, upstream: Server
) -> None:
    left = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.heard(reader)
        writer.write(CHUNKED)
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                writer.write(wrote("word"))
                await writer.drain()
                await asyncio.sleep(0.005)
        left.set()

    upstream.speak = speak
    channel = shop.books.chain.open(10**7)
    body = talk("hello", max_tokens=50)
    paid = shop.pay(channel, (PARROT, 10**6))
    async with shop.http.stream("POST", "/v1/chat/completions", json=body, headers=paid) as answer:
        async for line in answer.aiter_lines():
            if "word" in line:
                break
    await asyncio.wait_for(left.wait(), 30)
    await shop.idle()
    charged = (await shop.charged(channel))[PARROT]
    assert PRICE.cost_ceil(2, 1) <= charged <= PRICE.cost_ceil(2, 30)


@pytest.mark.parametrize(
    "piece",
    [
        '"delta":{"content":"' + "x" * 16_000 + '"}',
        '"delta":{"content":"x"},"logprobs":"' + "y" * 16_000 + '"',
        '"delta":{"tool_calls":["' + "z" * 16_000 + '"]}',
    ],
    ids=["text", "logprobs", "tools"],
)
async def test_a_reader_who_does_not_read_makes_the_upstream_wait(
    shop: Shop, upstream: Server, piece: str
) -> None:
    """A consumer asks for long texts and reads none, so that they lie in the gateway's memory; or
    for short ones with much beside them."""
    written = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await upstream.heard(reader)
        writer.write(CHUNKED)
        for _ in range(900):
            writer.write(chunk(b'data: {"choices":[{%b}]}\n\n' % piece.encode()))
            await writer.drain()
            written += 16_000

    upstream.speak = speak
    channel = shop.books.chain.open(10**12)
    body = json.dumps(talk("hello", max_tokens=64)).encode()
    paid = shop.pay(channel, (PARROT, 10**11))
    paid["tessera-call-signature"] = sign_call(paid, body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in paid.items())
    raw = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{lines}"
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect((shop.server.host, shop.server.port))
        slow.sendall(f"{raw}content-length: {len(body)}\r\n\r\n".encode() + body)
        while not shop.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.005)
        await asyncio.wait_for(shop.idle(), 30)
    assert written < 12 << 20
    assert (await shop.charged(channel))[PARROT] > 0
