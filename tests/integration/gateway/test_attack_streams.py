"""Streams read in ways that were meant to make them free."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
from tests.integration.gateway.conftest import PARROT, PRICE, Shop, code_of_call
from tests.integration.gateway.test_streams import talk

from tessera.serving.runner import ChatDelta, ChatEnd, ChatRequest, Units

PIECES = 40
PIECE = "x" * 100_000


async def torrent(request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
    """Write far more than sockets hold, at once."""
    for said in range(1, PIECES + 1):
        yield ChatDelta(PIECE * 5, Units(1, said))
    yield ChatEnd("stop", Units(1, PIECES))


async def flood(request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
    """Write all of it as one piece."""
    yield ChatDelta(PIECE * PIECES * 3, Units(1, PIECES))
    yield ChatEnd("stop", Units(1, PIECES))


def open_stream(shop: Shop, channel: int, room: int = 4_096) -> socket.socket:
    """Ask for a stream over a socket that takes `room` bytes at once."""
    body = json.dumps(talk("go", max_tokens=64)).encode()
    paid = shop.pay(channel, (PARROT, 10_000))
    paid["tessera-call-mac"] = code_of_call(paid, body)
    head = "".join(f"{name}: {value}\r\n" for name, value in paid.items())
    taking = socket.socket()
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    taking.connect((shop.server.host, shop.server.port))
    taking.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n{head}"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    taking.setblocking(False)
    return taking


async def test_an_answer_that_is_read_slowly_is_paid_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer reads just fast enough not to be cut off, until the model's time is over: the
    gateway would call the model late, and an answer that was read to its last pieces would cost
    nothing."""
    monkeypatch.setattr(shop.parrot, "chat_stream", torrent)
    channel = shop.books.chain.open(10**6)
    loop = asyncio.get_running_loop()
    got, taking = 0, open_stream(shop, channel, 200_000)
    with taking:
        until = loop.time() + 2 * shop.limits.answer_timeout_s
        while loop.time() < until and (data := await loop.sock_recv(taking, 100_000)):
            got += len(data)
            await asyncio.sleep(0.01)
        await shop.idle()
    read = got // len(PIECE * 5)
    assert read > 1
    charged = (await shop.charged(channel))[PARROT]
    assert charged >= PRICE.cost_ceil(1, read)


async def test_a_piece_that_waits_in_the_socket_is_paid(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model writes its answer as one piece. The consumer stops reading before it, lets the
    gateway give him up, and then reads what was waiting for him all along."""
    monkeypatch.setattr(shop.parrot, "chat_stream", flood)
    channel = shop.books.chain.open(10**6)
    loop = asyncio.get_running_loop()
    got, taking = 0, open_stream(shop, channel, 200_000)
    with taking:
        await asyncio.sleep(0.1)
        await asyncio.wait_for(shop.idle(), 30)
        while data := await asyncio.wait_for(loop.sock_recv(taking, 1 << 20), 30):
            got += len(data)
    assert got > len(PIECE) * PIECES * 3
    assert await shop.charged(channel) == {PARROT: PRICE.cost_ceil(1, PIECES)}


async def test_a_text_longer_than_the_models_time_is_paid_as_far_as_it_came(shop: Shop) -> None:
    """A consumer asks a slow model for more than it can write in its time. The gateway ended the
    stream as failed, and all that had been sent by then was free."""
    channel = shop.books.chain.open(10**6)
    body = talk(" ".join(["[slow]"] * 60), max_tokens=60)
    answer = await shop.post("/v1/chat/completions", body, shop.pay(channel, (PARROT, 10_000)))
    said = answer.content.count(b'"content":"[slow] "')
    assert 3 < said < 60
    assert b'"finish_reason":"length"' in answer.content
    assert b"event: tessera.receipt" in answer.content
    assert await shop.charged(channel) == {PARROT: PRICE.cost_ceil(105, said)}
