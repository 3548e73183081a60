"""A gateway on its address: from its start until its last call has ended."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final

from tessera.gateway.asgi import Gateway
from tessera.gateway.fast import KEEP_ALIVE_S, FastProtocol
from tessera.gateway.listening import QuietServer, bound, url_of

__all__ = ["GatewayServer"]

logger = logging.getLogger(__name__)

_NOTICE_S: Final = 2.0
"""A balancer needs so long to see that a gateway goes, where one looks at all."""
_CUT_S: Final = 2.0
"""What is cut off has so long to write its receipt and to take leave."""


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
        self._socket = bound(host, port, "--gateway-port")
        self._server = QuietServer(
            gateway,
            http=partial(FastProtocol, gateway),
            timeout_keep_alive=round(KEEP_ALIVE_S),
        )
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
        return url_of(self._socket)

    async def start(self) -> None:
        """Begin to answer; returns when the first request would be answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        self._watch = asyncio.create_task(self.gateway.operations.watch())
        await self._server.begun(self._task)

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
