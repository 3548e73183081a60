"""Paid resources of others that a facilitator lists: what each server says of itself."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec

from tessera.gateway.discovery import resource_json
from tessera.gateway.messages import Scope
from tessera.payments.x402.wire import REQUIRED_HEADER

__all__ = ["Listed"]

_EVERY_S: Final = 600.0
_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 64 * 1024


class Listed:
    """Resources of others, as they describe themselves; called, it returns them.

    Parameters
    ----------
    urls
        Each answers GET with 402 and the standard's header.
    transport
        How requests travel.
    """

    def __init__(
        self, urls: Sequence[str], transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._urls = list(urls)
        self._transport = transport
        self._found: dict[str, dict[str, Any]] = {}

    def __call__(self, _scope: Scope | None = None) -> list[dict[str, Any]]:
        """Return what was found at the last look, in the order of the URLs."""
        return [self._found[url] for url in self._urls if url in self._found]

    @asynccontextmanager
    async def kept(self, announce: Callable[[str], None]) -> AsyncIterator[None]:
        """Look now, and every ten minutes for the length of a context."""
        await self.look(announce)
        looking = asyncio.create_task(self._kept(announce), name="tessera-listed")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    async def look(self, announce: Callable[[str], None]) -> None:
        """Ask each; what cannot be asked, or says nothing, is no longer listed."""
        async with httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT_S) as client:
            for url in self._urls:
                try:
                    self._found[url] = await _asked(client, url)
                except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                    self._found.pop(url, None)
                    announce(f"{url} is not listed: {str(error) or type(error).__name__}")

    async def _kept(self, announce: Callable[[str], None]) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.look(announce)


class _Said(msgspec.Struct, rename="camel"):
    accepts: list[dict[str, Any]]
    resource: dict[str, Any] = {}
    extensions: dict[str, Any] | None = None


async def _asked(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Ask a server what it wants for a resource; raises ValueError where it does not say."""
    answer = await client.get(url)
    header = answer.headers.get(REQUIRED_HEADER)
    if answer.status_code != httpx.codes.PAYMENT_REQUIRED or header is None:
        raise ValueError(f"it answers {answer.status_code} without {REQUIRED_HEADER}")
    if len(header) > _MOST_BYTES:
        raise ValueError(f"its {REQUIRED_HEADER} has {len(header)} bytes")
    try:
        said = msgspec.json.decode(base64.b64decode(header, validate=True), type=_Said)
    except (binascii.Error, msgspec.MsgspecError) as error:
        raise ValueError(f"its {REQUIRED_HEADER} cannot be read: {error}") from error
    return resource_json(
        url,
        said.accepts,
        str(said.resource.get("description", "")),
        said.extensions,
        datetime.now(UTC),
    )
