"""ASGI in a few lines: reading a body within limits, and sending replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tessera.errors import Closed, InputError, TooLarge

__all__ = [
    "CLOSING",
    "JSON",
    "Headers",
    "Limits",
    "RequestHead",
    "Receive",
    "Reply",
    "Scope",
    "Send",
    "body_too_slow",
    "has_left",
    "header",
    "json_reply",
    "left",
    "read_all",
    "send_reply",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
CLOSING: Final = (b"connection", b"close")
"""On an answer: there will be no other on this connection."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a gateway one request may take.

    Attributes
    ----------
    body_bytes
        Of a request.
    read_timeout_s
        To send a whole body.
    write_timeout_s
        To take one piece of a stream; who reads slower is cut off, and pays for what was sent.
    answer_timeout_s
        For the model to answer, or to end its stream.
    silence_s
        A stream whose model was silent for so long when its time was over has failed.
    """

    body_bytes: int = 8 * 1024 * 1024
    read_timeout_s: float = 20.0
    write_timeout_s: float = 20.0
    answer_timeout_s: float = 120.0
    silence_s: float = 20.0


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The headers of an ASGI request, as tenders read them."""

    scope: Scope

    def get(self, name: str) -> bytes | None:
        """As `header`."""
        return header(self.scope, name)


class Reply(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)


def json_reply(value: object, status: int = 200, headers: Headers = ()) -> Reply:
    """Make a reply of anything that msgspec encodes."""
    return Reply(status, msgspec.json.encode(value), (JSON, *headers))


def header(scope: Scope, name: str) -> bytes | None:
    """Return a request header, or None.

    Raises
    ------
    InputError
        It is there twice: readers could disagree about which one counts.
    """
    wanted = name.encode()
    found: list[bytes] = [value for key, value in scope["headers"] if key == wanted]
    if len(found) > 1:
        raise InputError(f"header {name}", found="twice", wanted="once")
    return found[0] if found else None


async def read_all(scope: Scope, receive: Receive, limits: Limits) -> bytes:
    """Read the body.

    Raises
    ------
    TooLarge
        It is, or says that it will be, larger than the limit.
    InputError
        It did not arrive in time.
    Closed
        The client went away.
    """
    announced = header(scope, "content-length")
    if announced is not None and announced.isdigit() and int(announced) > limits.body_bytes:
        raise _too_large(int(announced), limits)
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.read_timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Closed("the client went away before its request was whole")
                piece = message.get("body", b"")
                size += len(piece)
                if size > limits.body_bytes:
                    raise _too_large(size, limits)
                pieces.append(piece)
                if not message.get("more_body"):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except TimeoutError as error:
        raise body_too_slow(size, limits) from error


async def left(receive: Receive) -> None:
    """Return when the client has gone away; for after its request was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def has_left(receive: Receive) -> bool:
    """Tell whether the client has gone away by now; for after its request was read."""
    watch = asyncio.create_task(left(receive))
    # One turn of the loop: a server that knows it says so without waiting.
    await asyncio.sleep(0)
    gone = watch.done()
    watch.cancel()
    await asyncio.wait([watch])
    return gone


async def send_reply(send: Send, reply: Reply, *, more: Headers = (), head: bool = False) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(reply.body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*reply.headers, length, *more],
        }
    )
    await send({"type": "http.response.body", "body": b"" if head else reply.body})


def body_too_slow(size: int, limits: Limits) -> InputError:
    """Build the error for a body of which so many bytes came in its time."""
    return InputError(
        "request body",
        found=f"{size} bytes after {limits.read_timeout_s:g} s",
        wanted="the whole of it",
    )


def _too_large(size: int, limits: Limits) -> TooLarge:
    return TooLarge(
        "request body", found=f"{size} bytes", wanted=f"{limits.body_bytes} bytes or fewer"
    )
