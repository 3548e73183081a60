"""An attacker reveals a row whose data is, it says, inside the networks of those who look.

What they would fetch are doors that only they can reach: their router, a cloud's metadata, a
database. Nothing is to be asked there, under no spelling of the address and through no name.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from tessera.errors import DataError
from tessera.validation.reaching import PrivateAddress, open_http, require_public

PRIVATE = [
    "http://127.0.0.1/row.json",
    "http://localhost:8545/",
    "http://2130706433/",
    "http://10.0.0.7/",
    "http://192.168.1.1/admin",
    "http://172.16.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
    "https://[::1]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "http://[::ffff:10.0.0.7]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:0a00:0001::]/",
]


@pytest.mark.parametrize("url", PRIVATE)
async def test_an_address_inside_is_not_asked(url: str) -> None:
    async with open_http() as http:
        with pytest.raises(PrivateAddress, match="private network"):
            await http.get(url)
    with pytest.raises(PrivateAddress):
        await require_public(url)


async def test_an_address_outside_is_public() -> None:
    await require_public("https://1.1.1.1/row.json")
    for url in ("ftp://1.1.1.1/", "file:///etc/passwd", "row.json"):
        with pytest.raises(DataError, match="http://"):
            await require_public(url)


@pytest.fixture
async def inside() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server of the validator's own network."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://rows.example:{server.sockets[0].getsockname()[1]}/row.json", heard


async def test_a_name_that_changes_its_mind_is_not_asked_twice(
    inside: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is public when it is looked at, and would be the loopback a moment later.

    The connection goes to the address that was looked at; the name is never resolved again.
    """
    url, heard = inside
    asked: list[str] = []

    async def resolved(_loop: object, host: str, port: int, **_more: object) -> object:
        asked.append(host)
        address = "127.0.0.1" if asked.count("rows.example") > 1 else "1.1.1.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", _unreachable)
    async with open_http(timeout_s=1) as http:
        with pytest.raises(httpx.TransportError):
            await http.get(url)
    assert asked.count("rows.example") == 1
    assert heard == []


async def _unreachable(_loop: object, _socket: object, _address: object) -> None:
    raise OSError("unreachable")


async def test_on_a_development_chain_it_is_asked(inside: tuple[str, list[bytes]]) -> None:
    url, heard = inside
    async with open_http(private=True) as http:
        reply = await http.get(url.replace("rows.example", "127.0.0.1"))
    assert (reply.status_code, len(heard)) == (200, 1)
