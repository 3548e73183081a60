"""`tessera route`: an OpenAI-compatible server of one's own; what is asked is routed and paid.

It spends its owner's money for whoever knows its key, so it has one and listens on loopback. What
goes out to operators holds neither that key nor anything else of the caller's headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import AsyncIterator
from typing import Final

import httpx
import msgspec

from tessera.client.router import OPERATOR_HEADER, ROUTE_HEADER, Router
from tessera.errors import BackendFailed, Closed, SignatureRejected, TesseraError
from tessera.gateway.listening import serving
from tessera.gateway.messages import (
    Limits,
    Receive,
    Reply,
    Scope,
    Send,
    header,
    json_reply,
    left,
    read_all,
    send_reply,
)
from tessera.payments.header import COST_HEADER, PROOF_HEADER, RECEIPT_HEADER
from tessera.presenting import http_status, openai_error_body, retry_headers

__all__ = ["RouteDoor", "listening"]

_HOST: Final = "127.0.0.1"
_LAST_S: Final = 30
"""What is under way when it ends was paid for, and has so long."""

_log = logging.getLogger("tessera.route")

_PASSED_BACK: Final = frozenset(
    {
        "content-type",
        "x-request-id",
        "x-should-retry",
        "retry-after",
        "retry-after-ms",
        COST_HEADER,
        PROOF_HEADER,
        RECEIPT_HEADER,
        ROUTE_HEADER,
        OPERATOR_HEADER,
    }
)


class RouteDoor:
    """An ASGI application that routes what it is asked.

    Parameters
    ----------
    router
        Whose calls are made.
    key
        That a caller must show as his bearer token.
    limits
        Of requests.
    """

    def __init__(self, router: Router, key: str, limits: Limits | None = None) -> None:
        self._http = router.async_http()
        self._key = key
        self._limits = limits or Limits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            if scope["path"] == "/healthz":
                await send_reply(send, json_reply({"ok": True}))
                return
            self._check_key(scope)
            body = await read_all(scope, receive, self._limits)
            await self._forward(scope, body, receive, send)
        except Closed:
            return
        except TesseraError as error:
            reply = json_reply(openai_error_body(error), http_status(error), retry_headers(error))
            await send_reply(send, reply)

    async def close(self) -> None:
        """Close the connections to operators."""
        await self._http.aclose()

    def _check_key(self, scope: Scope) -> None:
        shown = header(scope, "authorization") or b""
        if not hmac.compare_digest(shown, b"Bearer " + self._key.encode()):
            raise SignatureRejected(
                "authorization",
                found="no key of this router" if shown else "nothing",
                wanted="Bearer and the key that tessera route showed at its start",
            )

    async def _forward(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        request = self._http.build_request(
            scope["method"],
            scope["path"] + (f"?{query}" if query else ""),
            content=body,
            headers={"content-type": "application/json"},
        )
        response = await self._http.send(request, stream=True)
        try:
            headers = [
                (name.lower().encode(), value.encode())
                for name, value in response.headers.items()
                if name.lower() in _PASSED_BACK
            ]
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                await send_reply(
                    send, Reply(response.status_code, await response.aread(), tuple(headers))
                )
                return
            await send(
                {
                    "type": "http.response.start",
                    "status": response.status_code,
                    "headers": [*headers, (b"cache-control", b"no-store")],
                }
            )
            await self._stream(response, receive, send)
        finally:
            await response.aclose()

    async def _stream(self, response: httpx.Response, receive: Receive, send: Send) -> None:
        """Pass pieces on as they come; stop paying for them when nobody reads any more."""
        gone = asyncio.create_task(left(receive))
        passing = asyncio.create_task(_passed(response, send))
        try:
            await asyncio.wait({gone, passing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, passing):
                if not task.done():
                    task.cancel()
            await asyncio.wait({gone, passing})
        if not passing.cancelled() and (error := passing.exception()) is not None:
            raise error


async def _passed(response: httpx.Response, send: Send) -> None:
    try:
        async for piece in response.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except (TesseraError, httpx.TransportError) as error:
        told = error if isinstance(error, TesseraError) else _broke_off(error)
        _log.warning("a stream ended badly: %s", told.message)
        event = b"data: " + msgspec.json.encode(openai_error_body(told)) + b"\n\n"
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _broke_off(error: httpx.TransportError) -> BackendFailed:
    return BackendFailed(
        "stream",
        found=str(error) or type(error).__name__,
        wanted="its end; what came is incomplete",
    )


@contextlib.asynccontextmanager
async def listening(door: RouteDoor, *, port: int) -> AsyncIterator[str]:
    """Listen on loopback for a context; port 0 takes one that is free.

    Yields
    ------
    str
        The base URL for callers, without `/v1`.

    Raises
    ------
    Busy
        The port is taken.
    """
    try:
        async with serving(door, _HOST, port, last_s=_LAST_S) as url:
            yield url
    finally:
        await door.close()
