"""What x402's clients can discover: the models of a gateway, and what a facilitator lists.

A resource says by example how it is called, with a JSON schema that the example follows (the
standard's extension `bazaar`). A facilitator lists what its operator named, and of that only what
each server itself says in its answer 402.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec

from tessera.gateway.catalogue import Offer
from tessera.payments.x402.wire import REQUIRED_HEADER
from tessera.serving.bodies import PAID_PATHS
from tessera.serving.runner import Task

__all__ = ["Listed", "bazaar_of", "paths_of", "resources_of"]

_EVERY_S: Final = 600.0
_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 64 * 1024
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

_EXAMPLES: Final[Mapping[Task, dict[str, Any]]] = {
    Task.EMBEDDINGS: {"input": "text"},
    Task.CHAT: {"messages": [{"role": "user", "content": "text"}]},
    Task.MODERATION: {"input": "text"},
    Task.CLASSIFICATION: {"input": "text"},
    Task.PREDICT: {"rows": [[1.0]]},
}


def bazaar_of(offer: Offer, path: str) -> dict[str, Any]:
    """Return how a model is called on a route, as the extension `bazaar` tells it."""
    body = {"model": offer.slug, **_EXAMPLES[PAID_PATHS[path]]}
    said = {"type": "http", "method": "POST", "bodyType": "json"}
    return {
        "info": {"input": {**said, "body": body}, "output": {"type": "json"}},
        "schema": {
            "$schema": _DRAFT,
            "type": "object",
            "properties": {
                "input": {
                    "type": "object",
                    "properties": {
                        **{
                            name: {"type": "string", "const": value} for name, value in said.items()
                        },
                        "body": {
                            "type": "object",
                            "properties": {"model": {"type": "string", "const": offer.slug}},
                            "required": sorted(body),
                        },
                    },
                    "required": [*said, "body"],
                },
                "output": {"type": "object"},
            },
            "required": ["input"],
        },
    }


def paths_of(offer: Offer) -> Iterator[str]:
    """Yield the paid routes that a model can answer."""
    return (path for path, task in PAID_PATHS.items() if task in offer.runner.tasks)


def resources_of(
    offers: Sequence[Offer],
    url: str,
    accepts: Callable[[Offer], Sequence[Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    """Return a gateway's models as resources, one for each route of each.

    Parameters
    ----------
    offers
        What is served.
    url
        Of the gateway.
    accepts
        How a model is paid; the prices are those of an example.
    """
    return [
        _resource(
            f"{url}/x402/{offer.slug}{path}",
            [dict(one) for one in accepts(offer)],
            f"{offer.slug}: {PAID_PATHS[path].value}",
            {"bazaar": bazaar_of(offer, path)},
            datetime.fromtimestamp(offer.created, UTC),
        )
        for offer in offers
        for path in paths_of(offer)
    ]


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

    def __call__(self) -> list[dict[str, Any]]:
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
    return _resource(
        url,
        said.accepts,
        str(said.resource.get("description", "")),
        said.extensions,
        datetime.now(UTC),
    )


def _resource(
    url: str,
    accepts: list[dict[str, Any]],
    description: str,
    extensions: dict[str, Any] | None,
    updated: datetime,
) -> dict[str, Any]:
    return {
        "resource": url,
        "type": "http",
        "x402Version": 2,
        "accepts": accepts,
        "lastUpdated": updated.isoformat(),
        "description": description,
        "mimeType": "application/json",
        **({} if extensions is None else {"extensions": extensions}),
    }
