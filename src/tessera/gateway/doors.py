"""The way back to one client for one request, whichever protocol it came through."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tessera.gateway.messages import Headers, Receive, Send, has_left, left

__all__ = ["AsgiDoor", "Door", "HeldBack"]


class Door(Protocol):
    """Where the answer to one request goes, once its body was read.

    What is given to a client who has gone away is dropped without a word; `has_left` and `left`
    tell. `begin`, `write` and `end` wait for a reader who is slower than the model.
    """

    @property
    def ready(self) -> bool:
        """Whether `push` would send a piece now."""

    async def has_left(self) -> bool:
        """Tell whether the client has gone away by now."""

    def left(self) -> asyncio.Future[None]:
        """Return what is done when the client has gone away; cancel it in the end."""

    async def begin(self, headers: Headers) -> None:
        """Start an answer with status 200 that comes in pieces."""

    def push(self, data: bytes) -> bool:
        """Send a piece at once, or tell that the reader is behind, so that nothing was sent."""

    async def write(self, data: bytes) -> None:
        """Send a piece; what was given up while it waited was not sent."""

    async def end(self, data: bytes) -> None:
        """Send the last piece."""


class AsgiDoor:
    """The door of an ASGI server."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    @property
    def ready(self) -> bool:
        """As `Door.ready`: never, see `push`."""
        return False

    async def has_left(self) -> bool:
        """As `Door.has_left`."""
        return await has_left(self._receive)

    def left(self) -> asyncio.Future[None]:
        """As `Door.left`."""
        return asyncio.ensure_future(left(self._receive))

    async def begin(self, headers: Headers) -> None:
        """As `Door.begin`."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [*headers]})

    def push(self, data: bytes) -> bool:
        """As `Door.push`: an ASGI server does not say, so it is always asked to wait."""
        return False

    async def write(self, data: bytes) -> None:
        """As `Door.write`."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """As `Door.end`."""
        await self._send({"type": "http.response.body", "body": data})


class HeldBack:
    """A door that opens when all is paid: what is written waits in memory until then.

    Parameters
    ----------
    door
        Where it will go; only asked whether the client is still there.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._pieces: list[bytes] = []

    @property
    def ready(self) -> bool:
        """As `Door.ready`: memory is always there."""
        return True

    @property
    def body(self) -> bytes:
        """All that was written."""
        return b"".join(self._pieces)

    async def has_left(self) -> bool:
        """As `Door.has_left`."""
        return await self._door.has_left()

    def left(self) -> asyncio.Future[None]:
        """As `Door.left`."""
        return self._door.left()

    async def begin(self, _headers: Headers) -> None:
        """As `Door.begin`; the head is made when it is known what it has to say."""

    def push(self, data: bytes) -> bool:
        """As `Door.push`."""
        self._pieces.append(data)
        return True

    async def write(self, data: bytes) -> None:
        """As `Door.write`."""
        self._pieces.append(data)

    async def end(self, data: bytes) -> None:
        """As `Door.end`."""
        self._pieces.append(data)
