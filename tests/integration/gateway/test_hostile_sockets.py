"""Clients that are no clients: slow, endless, malformed. Each is cut off, nobody else waits."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.gateway.conftest import Shop

from tessera.errors import Busy
from tessera.gateway import fast
from tessera.gateway.server import GatewayServer


async def spoken(shop: Shop, *pieces: bytes, wait_s: float = 30.0) -> bytes:
    reader, writer = await asyncio.open_connection(shop.server.host, shop.server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), wait_s)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_head_that_never_ends_is_cut_off(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowloris: a thousand sockets, each sending one header a minute."""
    monkeypatch.setattr(fast, "HEADER_TIMEOUT_S", 0.1)
    assert b"408" in await spoken(shop, b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
    assert b"408" in await spoken(shop, b"")


async def test_connections_beyond_the_most_are_told_and_the_others_stay(shop: Shop) -> None:
    """A connection is a file, and without files there are no books: nobody may take them all."""
    most = shop.server.gateway.operations.most_connections = 3
    open_ones = [
        await asyncio.open_connection(shop.server.host, shop.server.port) for _ in range(most)
    ]
    try:
        told = await spoken(shop, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 503 " in told.splitlines()[0]
        assert b"retry-after: 5" in told
        reader, writer = open_ones[0]
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert b" 200 " in (await asyncio.wait_for(reader.read(), 30)).splitlines()[0]
    finally:
        for _, writer in open_ones:
            writer.close()


async def test_a_head_that_is_too_large_is_cut_off(shop: Shop) -> None:
    lines = [b"x-%d: %s\r\n" % (n, b"y" * 4_000) for n in range(40)]
    told = await spoken(shop, b"GET /healthz HTTP/1.1\r\n", *lines)
    assert told == b"" or b"431" in told


async def test_a_body_that_never_comes_is_refused(shop: Shop) -> None:
    head = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"
    told = await spoken(shop, head + b"connection: close\r\n\r\n{")
    assert b"400" in told.splitlines()[0]
    assert b"the whole of it" in told


async def test_a_chunked_body_is_counted_too(shop: Shop) -> None:
    head = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    told = await spoken(shop, head + b"connection: close\r\n\r\n" + chunk * 3 + b"0\r\n\r\n")
    assert b"413" in told.splitlines()[0]


async def test_what_is_no_http_is_refused(shop: Shop) -> None:
    assert b"400" in (await spoken(shop, b"\x16\x03\x01 hello\r\n\r\n")).splitlines()[0]


async def test_the_gateway_still_answers_after_all_of_this(shop: Shop) -> None:
    for garbage in (b"\0" * 100, b"GET", b"POST /v1/embeddings HTTP/1.1\r\n\r\n"):
        _, writer = await asyncio.open_connection(shop.server.host, shop.server.port)
        writer.write(garbage)
        writer.close()
    assert (await shop.http.get("/healthz")).status_code == 200


async def test_a_busy_port_is_named(shop: Shop) -> None:
    with pytest.raises(Busy, match=f"port {shop.server.port}"):
        GatewayServer(shop.server.gateway, port=shop.server.port)
