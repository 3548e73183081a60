"""Listening: uvicorn on uvloop and httptools, with the limits that it leaves to others."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tessera.errors import Busy, InputError
from tessera.gateway.asgi import Gateway

__all__ = ["GatewayServer", "GuardedProtocol", "require_free"]

logger = logging.getLogger(__name__)

MAX_HEADER_BYTES: Final = 32 * 1024
HEADER_TIMEOUT_S: Final = 10.0
_BACKLOG: Final = 1024
_WRAPPING: Final = 8
_NOTICE_S: Final = 2.0
"""A balancer needs so long to see that a gateway goes, where one looks at all."""
_CUT_S: Final = 2.0
"""What is cut off has so long to write its receipt and to take leave."""


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose request heads are bounded in size and in time.

    Without it a client may send header after header, or one byte a minute, for ever.
    """

    _head_bytes = 0
    _body_bytes = 0
    _chunked = False
    _head_open = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first head its time."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives and is no body: head, trailers and what chunks are wrapped in."""
        self._body_bytes = 0
        super().data_received(data)
        if self._head_open or self._chunked:
            # A chunk of one byte has five around it.
            self._head_bytes += len(data) - _WRAPPING * self._body_bytes
            if self._head_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
                self._refuse(431, b"Request Header Fields Too Large")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is none, and would reach the gateway as if it were."""
        if self._head_open:
            if name.lower() == b"transfer-encoding":
                self._chunked = True
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Count the body off."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_begin(self) -> None:
        """Begin to count and to wait."""
        super().on_message_begin()
        self._head_open = True
        self._chunked = False
        self._head_bytes = 0
        self._start_timer()

    def on_headers_complete(self) -> None:
        """The head is whole; the body has limits of its own."""
        self._head_open = False
        self._head_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        if self._head_open and not self.transport.is_closing():
            self._refuse(408, b"Request Timeout")

    def _refuse(self, status: int, phrase: bytes) -> None:
        line = b"HTTP/1.1 %d %b\r\n" % (status, phrase)
        self.transport.write(line + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()


class GatewayServer:
    """Serves a gateway on one address until it is stopped.

    Parameters
    ----------
    gateway
        What is served.
    host, port
        Where; port 0 takes one that is free.
    drain_s
        How long calls in flight may take to end after `stop`.
    """

    def __init__(
        self, gateway: Gateway, *, host: str = "127.0.0.1", port: int = 0, drain_s: float = 10.0
    ) -> None:
        self.gateway = gateway
        self.drain_s = drain_s
        self._socket = _bound(host, port)
        config = uvicorn.Config(
            gateway,
            http=GuardedProtocol,
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=30,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    @property
    def host(self) -> str:
        """The address that is listened on."""
        host: str = self._socket.getsockname()[0]
        return host

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """What consumers call."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Begin to answer; returns when the first request would be answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        self._watch = asyncio.create_task(self.gateway.operations.watch())
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait((self._task, listening), return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Take no more requests, let those in flight end, close. Twice is once.

        Where somebody watches `/readyz`, it says no for a moment before connections are refused.
        Calls in flight have `drain_s` to end; then streams are cut and charged for what was sent,
        and whatever has no answer yet gets none and costs nothing.
        """
        operations = self.gateway.operations
        operations.drain.begin()
        if self._task is not None:
            if operations.readiness.watched:
                await self._hurried(_NOTICE_S)
            self._server.should_exit = True
            await self._hurried(self.drain_s, self._task)
            if not self._task.done():
                logger.warning("the time to end is over: %d calls are cut", len(self._calls))
                operations.drain.cut()
                await asyncio.wait({self._task}, timeout=_CUT_S)
            await self._abandon()
            await self._task
            self._task = None
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
            operations.tell()
            self._watch = None
        self._socket.close()

    def hurry(self) -> None:
        """End without waiting for calls in flight; for whoever asks a second time."""
        self._hurry.set()

    @property
    def _calls(self) -> set[asyncio.Task[None]]:
        return self._server.server_state.tasks

    async def _hurried(self, seconds: float, *others: asyncio.Task[Any]) -> None:
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({hurry, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        await asyncio.wait({hurry})

    async def _abandon(self) -> None:
        self._server.force_exit = True
        left = [*self._calls]
        for call in left:
            call.cancel()
        if left:
            # What they hold, they give back; the books are closed behind them.
            await asyncio.wait(left)
        for connection in [*self._server.server_state.connections]:
            connection.transport.abort()

    async def wait(self) -> None:
        """Wait until it has stopped."""
        if self._task is not None:
            await asyncio.shield(self._task)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals belong to the process, which may run more than this server.
        yield


def require_free(host: str, port: int) -> None:
    """Refuse an address before anything else is begun that would then have to be ended.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    _bound(host, port).close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Busy(
                f"port {port} of {host}",
                found="in use by another process",
                wanted="a port that is free",
                next_step="stop that process or choose another: --gateway-port (0: any)",
            ) from error
        raise InputError(
            f"address {host}:{port}", found=error.strerror, wanted="one that can be listened on"
        ) from error
    listener.setblocking(False)
    return listener
