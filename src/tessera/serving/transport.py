"""The port to a server elsewhere: bytes out, bytes in, within a time and a size.

`HttpxTransport` fills it. The port is small so that a faster client can take its place without
any runner noticing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import msgspec

from tessera.errors import InputError

__all__ = ["HttpxTransport", "Reply", "Streamed", "Transport", "Unreachable", "base_url"]


class Unreachable(Exception):
    """The server did not answer, not in time, or with too much; `args[0]` says which."""


class Reply(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    body: bytes


class Streamed(msgspec.Struct, frozen=True):
    """A response whose body is still coming."""

    status: int
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """Requests to one server. Every method raises `Unreachable` and nothing else."""

    async def get(self, path: str, *, timeout_s: float, most_bytes: int) -> Reply:
        """Ask for a small document."""

    async def post(self, path: str, body: bytes, *, timeout_s: float, most_bytes: int) -> Reply:
        """Send JSON and read the whole answer."""

    def stream(
        self, path: str, body: bytes, *, timeout_s: float, most_bytes: int
    ) -> AbstractAsyncContextManager[Streamed]:
        """Send JSON and read the answer as it comes; `timeout_s` is for each piece."""

    async def close(self) -> None:
        """Drop the connections."""


def base_url(url: str) -> str:
    """Check and complete the base URL of an OpenAI-compatible server.

    Returns
    -------
    str
        Without a trailing slash; with `/v1` where the URL names no path.

    Raises
    ------
    InputError
        It is no http(s) URL, or holds a user name or a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError("upstream", found=url, wanted="a URL such as http://127.0.0.1:11434/v1")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"upstream {parts.hostname}",
            found="a user name or password in its URL",
            wanted="a URL without one",
            next_step="put the key into the setting upstream_key",
        )
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


class HttpxTransport:
    """The port, filled by httpx.

    Follows no redirect and reads no proxy or credentials from the environment: the key goes to
    the named server and nowhere else.

    Parameters
    ----------
    url
        Base URL, as `base_url` returns it.
    key
        Bearer token, or empty.
    """

    def __init__(self, url: str, key: str = "") -> None:
        headers = {"content-type": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._client = httpx.AsyncClient(
            base_url=base_url(url) + "/", headers=headers, trust_env=False, follow_redirects=False
        )

    async def get(self, path: str, *, timeout_s: float, most_bytes: int) -> Reply:
        """Ask for a small document."""
        return await self._whole("GET", path, None, timeout_s, most_bytes)

    async def post(self, path: str, body: bytes, *, timeout_s: float, most_bytes: int) -> Reply:
        """Send JSON and read the whole answer."""
        return await self._whole("POST", path, body, timeout_s, most_bytes)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, body: bytes, *, timeout_s: float, most_bytes: int
    ) -> AsyncGenerator[Streamed]:
        """Send JSON and read the answer as it comes."""
        async with self._open("POST", path, body, timeout_s) as response:
            yield Streamed(response.status_code, _bounded(response, most_bytes))

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def _whole(
        self, method: str, path: str, body: bytes | None, timeout_s: float, most_bytes: int
    ) -> Reply:
        async with self._open(method, path, body, timeout_s) as response:
            parts = [part async for part in _bounded(response, most_bytes)]
            return Reply(response.status_code, b"".join(parts))

    @contextlib.asynccontextmanager
    async def _open(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> AsyncGenerator[httpx.Response]:
        try:
            async with self._client.stream(
                method, path.lstrip("/"), content=body, timeout=timeout_s
            ) as response:
                yield response
        except httpx.TimeoutException as error:
            raise Unreachable(f"did not answer in {timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"broke off: {type(error).__name__}") from error


async def _bounded(response: httpx.Response, most_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most_bytes:
            raise Unreachable(f"sent over {most_bytes} bytes")
        yield part
