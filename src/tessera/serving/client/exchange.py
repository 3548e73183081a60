"""One request and its response, from waiting for a connection to the last byte, within a time."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tessera.serving.client.connection import Connection, Receiver
from tessera.serving.transport import Unreachable

__all__ = ["Exchange", "Supplier"]


class Supplier(Protocol):
    """Where an exchange gets its connection."""

    def supply(self, exchange: Exchange, *, fresh: bool) -> None:
        """Call `send` or `fail` on it, now or later; `fresh` wants a connection never used."""

    def withdraw(self, exchange: Exchange) -> None:
        """It wants none any more."""


class Exchange:
    """One request; the receiver hears of its response until it ended, failed or was stopped.

    Parameters
    ----------
    loop
        That runs; to ask which one it is takes a call of the kernel.
    supplier
        Where its connection comes from.
    head, body
        Of the request.
    receiver
        Told what is answered.
    timeout_s
        Seconds for the whole, or with `pieces` between two pieces, counted while it reads.
    most_bytes
        Size of the response's body.
    pieces
        Whether each piece has its own time.
    """

    __slots__ = (
        "_connection",
        "_heard",
        "_loop",
        "_paused",
        "_pieces",
        "_receiver",
        "_supplier",
        "_timeout_s",
        "_timer",
        "body",
        "head",
        "most_bytes",
        "on_data",
        "on_head",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        supplier: Supplier,
        head: bytes,
        body: bytes,
        receiver: Receiver,
        *,
        timeout_s: float,
        most_bytes: int,
        pieces: bool = False,
    ) -> None:
        self.head = head
        self.body = body
        self.most_bytes = most_bytes
        self._supplier = supplier
        self._receiver = receiver
        self._timeout_s = timeout_s
        self._pieces = pieces
        self._paused = False
        # Whose pieces have no time of their own hears of them without us in between.
        self.on_head = self._on_head if pieces else receiver.on_head
        self.on_data = self._on_piece if pieces else receiver.on_data
        self._connection: Connection | None = None
        self._loop = loop
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(timeout_s, self._late)
        supplier.supply(self, fresh=False)

    # --- For who asked ------------------------------------------------------------------------

    def stop(self) -> None:
        """Want no answer any more: the connection is dropped, and the receiver hears nothing."""
        if self._timer is None:
            return
        connection = self._over()
        if connection is None:
            self._supplier.withdraw(self)
        else:
            connection.abort()

    def pause(self) -> None:
        """Let the server wait; its time does not run meanwhile."""
        if self._connection is not None and not self._paused:
            self._paused = True
            self._connection.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._connection is not None and self._paused:
            self._paused = False
            self._heard = self._loop.time()
            self._connection.resume_reading()

    # --- For the supplier ---------------------------------------------------------------------

    def send(self, connection: Connection) -> None:
        """Take this connection and ask."""
        self._connection = connection
        connection.ask(self.head, self.body, self, self.most_bytes)

    def fail(self, error: Unreachable) -> None:
        """There is no connection to be had."""
        self._over()
        self._receiver.on_failure(error)

    # --- From the connection ------------------------------------------------------------------

    def _on_head(self, status: int) -> None:
        self._heard = self._loop.time()
        self._receiver.on_head(status)

    def _on_piece(self, piece: bytes) -> None:
        self._heard = self._loop.time()
        self._receiver.on_data(piece)

    def on_end(self) -> None:
        """Pass the end on."""
        if self._paused:
            self.resume()
        self._over()
        self._receiver.on_end()

    def on_failure(self, error: Unreachable) -> None:
        """Ask once more where a kept connection had died before it said a word."""
        connection = self._connection
        if connection is not None and connection.answers and not connection.heard:
            # The server closed it while it was idle, and had not read the request. Where it had,
            # it computes twice at worst: inference changes nothing.
            self._connection, self._paused = None, False
            self._supplier.supply(self, fresh=True)
            return
        self._over()
        self._receiver.on_failure(error)

    # --- Inside -------------------------------------------------------------------------------

    def _over(self) -> Connection | None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connection, self._connection = self._connection, None
        return connection

    def _late(self) -> None:
        now = self._loop.time()
        rest = self._heard + self._timeout_s - now if self._pieces else 0.0
        if self._paused:
            rest = self._timeout_s
        if rest > 0.0:
            self._timer = self._loop.call_later(rest, self._late)
            return
        self.stop()
        self._receiver.on_failure(Unreachable(f"did not answer in {self._timeout_s:g} s"))
