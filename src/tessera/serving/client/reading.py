"""A receiver for whoever waits for a whole answer."""

from __future__ import annotations

import asyncio

from tessera.serving.transport import Reply, Unreachable

__all__ = ["Whole"]


class Whole:
    """Collects a response; `reply` is done when it was whole, or failed."""

    __slots__ = ("_parts", "_status", "reply")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reply: asyncio.Future[Reply] = loop.create_future()
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
