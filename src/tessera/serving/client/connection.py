"""One connection to an upstream: bytes of one request out, one response in, then the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import httptools

from tessera.serving.transport import Unreachable

__all__ = ["MAX_HEAD_BYTES", "Connection", "Receiver"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""Of a response: its head, interim ones before it, trailers, and what chunks are wrapped in."""

_WRAPPING: Final = 8
"""Bytes around a chunk of one byte: its size, and two line ends."""

_FIRST_FINAL: Final = 200

_LENGTHS: Final = frozenset(
    {len("content-length"), len("transfer-encoding"), len("content-encoding")}
)


class Receiver(Protocol):
    """Who is told what a server answers; none of these may raise."""

    def on_head(self, status: int) -> None:
        """Take the status; the body follows."""

    def on_data(self, piece: bytes) -> None:
        """Take the next piece of the body, as the network cut it."""

    def on_end(self) -> None:
        """The response was whole."""

    def on_failure(self, error: Unreachable) -> None:
        """There will be no more of it."""


class Connection(asyncio.Protocol):
    """HTTP/1.1 with one request at a time.

    Parameters
    ----------
    on_idle
        Called when a response was whole and the server keeps the connection.
    on_lost
        Called once when the connection is over.

    Attributes
    ----------
    answers
        Responses that came over it.
    heard
        Whether the response to the present request has begun.
    """

    def __init__(
        self, on_idle: Callable[[Connection], None], on_lost: Callable[[Connection], None]
    ) -> None:
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._receiver: Receiver | None = None
        self._most_bytes = 0
        self._wrong: str | None = None
        self._forget()
        self.answers = 0
        self.heard = False

    def _forget(self) -> None:
        self._in_head = True
        self._complete = False
        self._measured = False
        self._keep = False
        self._final = False
        self._size = 0
        self._around = 0

    # --- For the pool and the exchange --------------------------------------------------------

    def ask(self, head: bytes, body: bytes, receiver: Receiver, most_bytes: int) -> None:
        """Send a request; the receiver is told what comes back."""
        self._receiver = receiver
        self._most_bytes = most_bytes
        self._forget()
        self.heard = False
        self._transport.write(head + body)

    def abort(self) -> None:
        """Drop the connection; its receiver hears nothing more."""
        self._receiver = None
        self._transport.abort()

    def close(self) -> None:
        """Say goodbye; for a connection that is idle."""
        self._transport.close()

    @property
    def usable(self) -> bool:
        """Whether it still stands."""
        return not self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take nothing more from the network for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what comes again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # --- From the event loop ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Parse what came, and end a response only when all of it is looked at."""
        if self._receiver is None:
            # Nobody asked: an answer to nothing would be taken for the next one.
            self._transport.abort()
            return
        self.heard = True
        self._around += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._wrong = self._wrong or "wants another protocol than HTTP"
        except httptools.HttpParserError:
            self._wrong = self._wrong or "does not speak HTTP"
        if self._wrong is None and self._around > MAX_HEAD_BYTES:
            self._wrong = f"sent over {MAX_HEAD_BYTES} bytes around its answer"
        if self._wrong is not None:
            self._fail(self._wrong)
        elif self._complete:
            self._end(keep=self._keep)

    def eof_received(self) -> bool | None:
        """Take the end of the connection for that of a body without a stated length."""
        if self._receiver is not None and not self._in_head and not self._measured:
            self._end(keep=False)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if self._receiver is not None:
            self._fail("broke off")
        self._on_lost(self)

    # --- From the parser ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse a second response to one request."""
        if self._complete:
            self._wrong = "answered twice"

    def on_header(self, name: bytes, value: bytes) -> None:
        """Look at the few that matter."""
        if len(name) not in _LENGTHS or not self._in_head:
            return
        match name.lower():
            case b"content-length":
                self._measured = True
            case b"transfer-encoding":
                self._measured = True
            case b"content-encoding" if value.strip().lower() != b"identity":
                self._wrong = "sent a compressed answer, which nobody asked for"

    def on_headers_complete(self) -> None:
        """Tell the status, unless it is an interim one."""
        status = self._parser.get_status_code()
        self._final = status >= _FIRST_FINAL
        if not self._final or self._wrong is not None:
            return
        self._in_head = False
        self._keep = self._parser.should_keep_alive()
        # These have no body, whatever their head says.
        self._measured = self._measured or status in {204, 304}
        if self._receiver is not None:
            self._receiver.on_head(status)

    def on_body(self, body: bytes) -> None:
        """Pass a piece on, as long as it is not too much."""
        size = len(body)
        self._size += size
        self._around -= size + _WRAPPING * size
        if self._size > self._most_bytes:
            self._wrong = f"sent over {self._most_bytes} bytes"
        if self._wrong is None and self._receiver is not None:
            self._receiver.on_data(body)

    def on_message_complete(self) -> None:
        """Take note; more bytes behind this would be nobody's."""
        if self._final:
            self._complete = True

    # --- Inside -------------------------------------------------------------------------------

    def _end(self, *, keep: bool) -> None:
        receiver, self._receiver = self._receiver, None
        self.answers += 1
        if keep and not self._transport.is_closing():
            self._on_idle(self)
        else:
            self._transport.close()
        if receiver is not None:
            receiver.on_end()

    def _fail(self, reason: str) -> None:
        receiver, self._receiver = self._receiver, None
        self._transport.abort()
        if receiver is not None:
            receiver.on_failure(Unreachable(reason))
