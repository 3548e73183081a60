"""The port to a server elsewhere: bytes out, bytes in, within a time and a size.

`tessera.serving.client.HttpClient` fills it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from tessera.errors import InputError

__all__ = ["Reply", "Streamed", "Transport", "Unreachable", "base_url"]


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
        """Ask for a small document; `timeout_s` is for the whole."""

    async def post(self, path: str, body: bytes, *, timeout_s: float, most_bytes: int) -> Reply:
        """Send JSON and read the whole answer; `timeout_s` is for the whole."""

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
