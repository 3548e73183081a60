"""Receivers for readers who wait: for a whole answer, or for its pieces one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from tessera.serving.client.exchange import Exchange
from tessera.serving.transport import Reply, Unreachable

__all__ = ["Pieces", "Whole"]

_HIGH_WATER: Final = 256 * 1024
"""Bytes that are read ahead of a reader who is slower than the server."""


class Whole:
    """Collects a response; `reply` is done when it was whole, or failed."""

    __slots__ = ("_parts", "_status", "reply")

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._parts: list[bytes] = []

    def on_head(self, status: int) -> None:
        """Keep the status."""
        self._status = status

    def on_data(self, piece: bytes) -> None:
        """Keep a piece."""
        self._parts.append(piece)

    def on_end(self) -> None:
        """Hand over what was kept."""
        if not self.reply.done():
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            self.reply.set_result(Reply(self._status, body))

    def on_failure(self, error: Unreachable) -> None:
        """Hand over the failure."""
        if not self.reply.done():
            self.reply.set_exception(error)


class Pieces:
    """Holds pieces until they are read; lets the server wait when they pile up."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.exchange: Exchange | None = None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._error: Unreachable | None = None
        self._more: asyncio.Future[None] | None = None

    def on_head(self, status: int) -> None:
        """Tell the status."""
        if not self.status.done():
            self.status.set_result(status)

    def on_data(self, piece: bytes) -> None:
        """Hold a piece."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > _HIGH_WATER and self.exchange is not None:
            self.exchange.pause()
        self._wake()

    def on_end(self) -> None:
        """Let the reader come to the end."""
        self._over = True
        self._wake()

    def on_failure(self, error: Unreachable) -> None:
        """Let the reader come to the failure, behind what came before it."""
        self._error = error
        if not self.status.done():
            self.status.set_exception(error)
        self._wake()

    async def read(self) -> AsyncGenerator[bytes]:
        """Yield the pieces.

        Raises
        ------
        Unreachable
            There will be no more, though it was not the end.
        """
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._size -= len(piece)
                if self._size <= _HIGH_WATER // 4 and self.exchange is not None:
                    self.exchange.resume()
                yield piece
            if self._error is not None:
                raise self._error
            if self._over:
                return
            self._more = asyncio.get_running_loop().create_future()
            await self._more

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
