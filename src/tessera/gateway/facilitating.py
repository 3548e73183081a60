"""The door of a facilitator: four routes of x402, as its official clients call them.

By itself it is an ASGI application (`tessera facilitator`); a gateway mounts it for the models that
it serves.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from tessera.errors import InvariantViolation, NotFound
from tessera.gateway.discovery import listed
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
from tessera.payments.x402.facilitator import Facilitator

__all__ = ["FacilitatorDoor"]

Resources = Callable[[Scope], Sequence[dict[str, Any]]]
"""What can be discovered by a request: each as the standard lists a resource."""

_READS: Final = ("/supported", "/discovery/resources", "/healthz")
_WRITES: Final = ("/verify", "/settle")
_LIMITS: Final = Limits(body_bytes=256 * 1024)
"""A claim of a hundred vouchers takes 110 kB."""

_MOST_AT_ONCE: Final = 64

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

    def __init__(self, facilitator: Facilitator, resources: Resources = lambda _: ()) -> None:
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
                    return json_reply(listed(self._resources(scope), scope["query_string"]))
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
