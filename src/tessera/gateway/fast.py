"""The fast door: paid calls from the parser to their answer without ASGI, everything else with it.

A POST on a paid route, whole and with a stated length, goes straight to `PaidCalls`: one task, no
scope, no receive and no send. Whatever is rarer (GETs, chunked bodies, `Expect`, HTTP/1.0) takes
uvicorn's way to the ASGI application. Both share the bounds of this connection: heads, trailers
and wrapping in size and in time, which uvicorn leaves open.
"""

from __future__ import annotations

import asyncio
import http
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tessera.errors import InputError, InvariantViolation
from tessera.gateway.admission import SMALL_BODY_BYTES
from tessera.gateway.asgi import Gateway
from tessera.gateway.deadlines import Deadline
from tessera.gateway.messages import CLOSING, Headers, Reply, body_too_slow
from tessera.gateway.refusals import refusal
from tessera.serving.bodies import PAID_PATHS

__all__ = ["FastProtocol"]

logger = logging.getLogger(__name__)

MAX_HEADER_BYTES: Final = 32 * 1024
HEADER_TIMEOUT_S: Final = 10.0
KEEP_ALIVE_S: Final = 30.0
_FLUSH_S: Final = 20.0
_WRAPPING: Final = 8
_TOLD_AT_ONCE: Final = 128
"""So many connections beyond the most are told so; further ones are cut."""
_ROOM_AGAIN_S: Final = 5

_PATHS: Final = {path.encode(): path for path in PAID_PATHS}
_STATUS: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in http.HTTPStatus
}


def _new_name() -> str:
    # It has to be another for each answer, and need not be hard to guess; asking the kernel for it
    # lets go of the interpreter and waits to have it back.
    return f"{random.getrandbits(128):032x}"


class _Message:
    """One request as far as it came; also stands in for the parser when it is told later."""

    __slots__ = (
        "begun",
        "complete",
        "fast",
        "fields",
        "keep",
        "method",
        "pieces",
        "placed",
        "raw",
        "url",
        "version",
        "where",
    )

    def __init__(self) -> None:
        self.url = b""
        self.raw: list[tuple[bytes, bytes]] = []
        self.fields: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.method = b""
        self.version = ""
        self.keep = True
        self.begun = 0.0
        self.placed = False
        self.complete = False
        self.fast = False
        self.where = _NOWHERE

    @property
    def body(self) -> bytes:
        """All of the body that came."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def get(self, name: str) -> bytes | None:
        """As `tender.Head`."""
        key = name.encode()
        found = self.fields.get(key)
        if (
            found is not None
            and len(self.fields) != len(self.raw)
            and sum(known == key for known, _ in self.raw) > 1
        ):
            raise InputError(f"header {name}", found="twice", wanted="once")
        return found

    # What uvicorn asks the parser when a head is whole.

    def get_http_version(self) -> str:
        """As the parser did."""
        return self.version

    def get_method(self) -> bytes:
        """As the parser did."""
        return self.method

    def should_keep_alive(self) -> bool:
        """As the parser did."""
        return self.keep

    def should_upgrade(self) -> bool:
        """Never: nothing but HTTP is spoken here."""
        return False


_NOWHERE, _FAST, _ASGI, _QUEUED, _REFUSED = range(5)


class FastProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a short way for paid calls, and with bounds.

    Parameters
    ----------
    gateway
        What is served; also the ASGI application of `config`.

    Notes
    -----
    Requests that are pipelined behind a paid call wait here, and are answered in order.
    """

    def __init__(self, gateway: Gateway, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._gateway = gateway
        self._message = _Message()
        self._waiting: deque[_Message] = deque()
        self._call: FastDoor | None = None
        self._deadline = Deadline(self.loop, self._too_slow)
        self._head_open = True
        self._head_bytes = 0
        self._body_bytes = 0
        self._chunked = False
        self._last = False
        self._next = False
        self._refused = False
        self._defaults_of: list[tuple[bytes, bytes]] | None = None
        self._defaults = b""

    # --- The connection -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first head its time."""
        super().connection_made(transport)
        self._deadline.set(HEADER_TIMEOUT_S)
        beyond = len(self.connections) - self._gateway.operations.most_connections
        self._refused = beyond > 0
        if beyond > _TOLD_AT_ONCE:
            # Not even those who are told so may take the files that the books need.
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the client."""
        self._deadline.close()
        self._waiting.clear()
        self._give_up_reading()
        if self._call is not None:
            self._call.lost()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let a call in flight end, and close behind it."""
        self._last = True
        if self._call is None:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Count what arrives and is no body: head, trailers and what chunks are wrapped in."""
        self._body_bytes = 0
        super().data_received(data)
        if self._head_open or self._chunked:
            # A chunk of one byte has five around it.
            self._head_bytes += len(data) - _WRAPPING * self._body_bytes
            if self._head_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
                self._refuse(431)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; behind a call in flight that would be read as its answer."""
        if self._call is None:
            super().send_400_response(msg)
        else:
            self.transport.close()

    # --- The parser ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin to count and to wait."""
        self._message = _Message()
        self._head_open = True
        self._chunked = False
        self._head_bytes = 0
        if self._call is None:
            self._deadline.set(HEADER_TIMEOUT_S)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._message.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is none, and would reach the gateway as if it were."""
        if self._head_open:
            self._message.raw.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the way of this request; its body has limits of its own."""
        self._head_open = False
        self._head_bytes = 0
        if self._refused:
            self._refuse(503, b"retry-after: %d\r\n" % _ROOM_AGAIN_S)
            return
        message = self._message
        fields = message.fields = dict(message.raw)
        message.method = self.parser.get_method()
        message.version = self.parser.get_http_version()
        message.keep = self.parser.should_keep_alive()
        self._chunked = b"transfer-encoding" in fields
        message.fast = (
            message.method == b"POST"
            and message.url in _PATHS
            and message.version == "1.1"
            and not self._chunked
            and b"expect" not in fields
            and b"upgrade" not in fields
            and (length := fields.get(b"content-length", b"")).isdigit()
            and int(length) <= self._gateway.limits.body_bytes
        )
        if self._call is not None or self._waiting:
            message.where = _QUEUED
            self._waiting.append(message)
            self.flow.pause_reading()
        else:
            self._dispatch(message)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body_bytes += len(body)
        if self._message.where == _ASGI:
            super().on_body(body)
        elif self._message.where != _REFUSED:
            self._message.pieces.append(body)

    def on_message_complete(self) -> None:
        """Answer, if it is this request's turn."""
        message = self._message
        message.complete = True
        if message.where in {_FAST, _REFUSED}:
            self._answer(message)
        elif message.where == _ASGI:
            super().on_message_complete()

    # --- Which way ----------------------------------------------------------------------------

    def _dispatch(self, message: _Message) -> None:
        if message.fast and (self.cycle is None or self.cycle.response_complete):
            # Before a large body is read: what is refused must not take memory either.
            message.placed = not message.complete and (
                int(message.fields[b"content-length"]) > SMALL_BODY_BYTES
            )
            reads = not message.placed or self._gateway.operations.admission.begin_reading()
            message.where = _FAST if reads else _REFUSED
            if message.complete:
                self._answer(message)
            else:
                self._deadline.set(self._gateway.limits.read_timeout_s)
            return
        message.where = _ASGI
        self._deadline.clear()
        parser: Any = self.parser
        self.parser = message  # type: ignore[assignment]
        super().on_message_begin()
        self.url = message.url
        for name, value in message.raw:
            super().on_header(name, value)
        try:
            super().on_headers_complete()
        finally:
            self.parser = parser
        for piece in message.pieces:
            super().on_body(piece)
        if message.complete:
            super().on_message_complete()

    def _answer(self, message: _Message) -> None:
        self._deadline.clear()
        self._call = door = FastDoor(self, message)
        admission = self._gateway.operations.admission
        if message.where == _FAST and message.placed:
            admission.has_read()
        elif message.where == _REFUSED or not admission.enter():
            door.reply(admission.refusal(), _new_name())
            return
        message.begun = time.monotonic()
        door.task = self.loop.create_task(door.answer(self._gateway))
        self.tasks.add(door.task)

    def over(self, *, keep: bool) -> None:
        """Take note that a call is answered; the next one, if there is one, begins."""
        self._call = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if not keep or self.close_after_this():
            self._close()
            return
        self._deadline.set(KEEP_ALIVE_S)
        if self._next:
            # Refused at once, inside of the loop below, which goes on.
            return
        self._next = True
        while self._waiting and self._call is None and not self.transport.is_closing():
            self._dispatch(self._waiting.popleft())
        self._next = False
        if not self._waiting:
            self.flow.resume_reading()

    def close_after_this(self) -> bool:
        """Tell whether the answer now sent is the connection's last."""
        return self._last or self._gateway.operations.drain.begun

    def defaults(self) -> bytes:
        """Return the headers that every answer has; uvicorn makes them anew each second."""
        headers = self.server_state.default_headers
        if headers is not self._defaults_of:
            self._defaults_of = headers
            self._defaults = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        return self._defaults

    def _give_up_reading(self) -> None:
        message = self._message
        if message.where == _FAST and not message.complete:
            message.where = _REFUSED
            message.pieces.clear()
            if message.placed:
                self._gateway.operations.admission.give_up_reading()

    # --- Bounds -------------------------------------------------------------------------------

    def _too_slow(self) -> None:
        if self.transport.is_closing():
            # Closed, and the client still does not take what is left for it.
            self.transport.abort()
        elif self._message.where in {_FAST, _REFUSED} and not self._message.complete:
            error = body_too_slow(len(self._message.body), self._gateway.limits)
            self._give_up_reading()
            name = _new_name()
            self._last = True
            self._call = FastDoor(self, self._message)
            self._call.reply(refusal(error, _PATHS[self._message.url], name), name)
        elif self._head_open:
            self._refuse(408)
        else:
            self._close()

    def _refuse(self, status: int, more: bytes = b"") -> None:
        head = _STATUS[status] + more + b"connection: close\r\ncontent-length: 0\r\n\r\n"
        self.transport.write(head)
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._deadline.set(_FLUSH_S)


class FastDoor:
    """The way back for one paid call."""

    __slots__ = ("_begun", "_ended", "_gone", "_message", "_protocol", "task")

    def __init__(self, protocol: FastProtocol, message: _Message) -> None:
        self._protocol = protocol
        self._message = message
        self._gone: asyncio.Future[None] | None = None
        self._begun = False
        self._ended = False
        self.task: asyncio.Task[None] | None = None

    async def answer(self, gateway: Gateway) -> None:
        """Answer the call; whatever happens, this connection goes on or is closed."""
        name = _new_name()
        message, protocol = self._message, self._protocol
        try:
            try:
                if protocol.flow.write_paused:
                    # Who does not take his last answer gets no other.
                    async with asyncio.timeout(_FLUSH_S):
                        await protocol.flow.drain()
                reply = await gateway.paid_calls.answer(
                    _PATHS[message.url], message, message.body, name, self
                )
            finally:
                gateway.operations.admission.leave(time.monotonic() - message.begun)
            if reply is not None:
                self.reply(reply, name)
            else:
                # A stream that was cut off is not ended, and nothing can follow it.
                protocol.over(keep=self._ended and self._keeps())
        except TimeoutError:
            self._give_up()
        except Exception:
            logger.exception("%s failed", message.url)
            self._give_up()
        except BaseException:
            # The server stops, and waits for this call no longer.
            self._give_up()
            raise
        finally:
            # A callback of the task would do the same one turn of the loop later, for its price.
            protocol.tasks.discard(self.task)

    def reply(self, reply: Reply, name: str) -> None:
        """Send a whole answer."""
        # What follows a stream that has begun would be read as a part of it.
        keep = self._keeps() and not self._begun
        if not self._begun and not self._protocol.transport.is_closing():
            length = b"content-length: %d\r\nx-request-id: %b\r\n" % (
                len(reply.body),
                name.encode(),
            )
            head = self._head(reply.status, reply.headers, length, keep=keep)
            self._protocol.transport.write(head + reply.body)
        self._protocol.over(keep=keep)

    def lost(self) -> None:
        """Take note that the client has gone away."""
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    # --- As Door ------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """As `Door.ready`."""
        return not self._protocol.flow.write_paused

    async def has_left(self) -> bool:
        """As `Door.has_left`."""
        return self._protocol.transport.is_closing()

    def left(self) -> asyncio.Future[None]:
        """As `Door.left`."""
        if self._gone is None or self._gone.cancelled():
            self._gone = self._protocol.loop.create_future()
            if self._protocol.transport.is_closing():
                self._gone.set_result(None)
        return self._gone

    async def begin(self, headers: Headers) -> None:
        """As `Door.begin`."""
        self._begun = True
        more = b"transfer-encoding: chunked\r\n"
        await self._send(self._head(200, [*headers], more, keep=self._keeps()))

    def push(self, data: bytes) -> bool:
        """As `Door.push`."""
        protocol = self._protocol
        if protocol.flow.write_paused:
            return False
        if not protocol.transport.is_closing():
            protocol.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    async def write(self, data: bytes) -> None:
        """As `Door.write`."""
        await self._send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self, data: bytes) -> None:
        """As `Door.end`."""
        await self._send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        self._ended = True

    async def _send(self, data: bytes) -> None:
        protocol = self._protocol
        if protocol.flow.write_paused:
            await protocol.flow.drain()
        if not protocol.transport.is_closing():
            protocol.transport.write(data)

    def _give_up(self) -> None:
        self._protocol.transport.abort()
        self._protocol.over(keep=False)

    def _keeps(self) -> bool:
        return self._message.keep and not self._protocol.close_after_this()

    def _head(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], more: bytes, *, keep: bool
    ) -> bytes:
        lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        told = b"".join([part for pair in headers for part in pair])
        if b"\r" in told or b"\n" in told:
            raise InvariantViolation("answer", found="a header of two lines", wanted="one")
        return b"%b%b%b%b%b\r\n" % (
            _STATUS[status],
            self._protocol.defaults(),
            lines,
            more,
            b"" if keep or CLOSING in headers else b"connection: close\r\n",
        )
