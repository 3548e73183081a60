"""The door of a facilitator: four routes of x402, as its official clients call them.

By itself it is an ASGI application (`tessera facilitator`); a gateway mounts it for the models that
it serves.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qs

import uvicorn

from tessera.errors import InputError, InvariantViolation, NotFound
from tessera.gateway.messages import (
    Limits,
    Receive,
    Reply,
    Scope,
    Send,
    json_reply,
    read_all,
    send_reply,
)
from tessera.gateway.refusals import refused, wrong_method
from tessera.gateway.server import QuietServer, bound
from tessera.payments.x402.facilitator import Facilitator

__all__ = ["FacilitatorDoor", "listed", "serve_facilitator"]

Resources = Callable[[], Sequence[dict[str, Any]]]
"""What can be discovered: each as the standard lists a resource."""

_READS: Final = ("/supported", "/discovery/resources", "/healthz")
_WRITES: Final = ("/verify", "/settle")
_LIMITS: Final = Limits(body_bytes=256 * 1024)
"""A claim of a hundred vouchers takes 110 kB."""

_MOST_AT_ONCE: Final = 64
_PAGE: Final = 20
_LONGEST_PAGE: Final = 100
_KEEP_ALIVE_S: Final = 30

_log = logging.getLogger("tessera.facilitator")


class FacilitatorDoor:
    """Answers for a facilitator.

    Parameters
    ----------
    facilitator
        What verifies and settles.
    resources
        What can be discovered here.
    """

    def __init__(self, facilitator: Facilitator, resources: Resources = tuple) -> None:
        self._facilitator = facilitator
        self._resources = resources
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, where this is all that is served."""
        if scope["type"] != "http":
            raise InvariantViolation("facilitator", found=scope["type"], wanted="http")
        name = os.urandom(16).hex()
        path: str = scope["path"]
        try:
            reply = await self.answer(scope, receive, path, name)
        except Exception as error:  # noqa: BLE001 - every failure is answered
            reply = refused(error, scope["method"], path, name)
        more = ((b"x-request-id", name.encode()),)
        await send_reply(send, reply, more=more, head=scope["method"] == "HEAD")

    async def answer(self, scope: Scope, receive: Receive, path: str, name: str) -> Reply:
        """Answer one request; `path` is what stands behind the facilitator's own URL.

        Raises
        ------
        TesseraError
            The chain, the rates or the request; the caller says so in its shape.
        """
        method = scope["method"]
        if path in _READS:
            if method not in {"GET", "HEAD"}:
                return wrong_method(method, "GET", path, name)
            match path:
                case "/supported":
                    return json_reply(await self._facilitator.supported())
                case "/healthz":
                    left = self._facilitator.relay.gas_left
                    return json_reply({"ok": True, "gas_left": left})
                case _:
                    return json_reply(listed(self._resources(), scope["query_string"]))
        if path not in _WRITES:
            raise NotFound.among("route", path, [*_READS, *_WRITES])
        if method != "POST":
            return wrong_method(method, "POST", path, name)
        body = await read_all(scope, receive, _LIMITS)
        async with self._turns:
            if path == "/verify":
                return json_reply(await self._facilitator.verify(body))
            done = await self._facilitator.settle(body)
        if not done.success:
            _log.info("not settled: %s (%s)", done.error_reason, done.error_message)
        return json_reply(done)


def listed(resources: Sequence[dict[str, Any]], query: bytes) -> dict[str, Any]:
    """Return a page of resources, as `GET /discovery/resources` of the standard.

    Parameters
    ----------
    query
        `type`, `network`, `scheme`, `payTo` choose; `limit` (at most 100) and `offset` turn pages.

    Raises
    ------
    InputError
        A number is none.
    """
    asked = {key: values[-1] for key, values in parse_qs(query.decode("latin-1")).items()}
    limit = min(_LONGEST_PAGE, _number(asked, "limit", _PAGE))
    offset = _number(asked, "offset", 0)
    found = [each for each in resources if _matches(each, asked)]
    return {
        "x402Version": 2,
        "items": found[offset : offset + limit],
        "pagination": {"limit": limit, "offset": offset, "total": len(found)},
    }


def _matches(resource: dict[str, Any], asked: dict[str, str]) -> bool:
    if asked.get("type", resource["type"]) != resource["type"]:
        return False
    wanted = {key: asked[key] for key in ("network", "scheme", "payTo") if key in asked}
    return not wanted or any(
        all(str(accept.get(key)).lower() == value.lower() for key, value in wanted.items())
        for accept in resource["accepts"]
    )


def _number(asked: dict[str, str], key: str, default: int) -> int:
    text = asked.get(key, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(2**31)):
        raise InputError(key, found=text[:32], wanted="a whole number")
    return int(text)


@asynccontextmanager
async def serve_facilitator(door: FacilitatorDoor, host: str, port: int) -> AsyncIterator[str]:
    """Serve a facilitator for the length of a context; its URL.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    listener = bound(host, port, "--port")
    server = QuietServer(
        uvicorn.Config(
            door,
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="tessera-facilitator")
    try:
        await server.listening.wait()
        at, actual = listener.getsockname()[:2]
        yield f"http://[{at}]:{actual}" if ":" in at else f"http://{at}:{actual}"
    finally:
        server.should_exit = True
        await serving
        listener.close()
