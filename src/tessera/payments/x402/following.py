"""Claims as `payments.settling` writes them down and follows them: where their channels are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from tessera.payments.books import Change
from tessera.payments.times import Times
from tessera.payments.x402.batch import BatchSettlement

__all__ = ["ClaimBooks"]

Result = TypeVar("Result")

_ID_BYTES: Final = 32


class Books(Protocol):
    """Where claims are written down; `Ledger` is such."""

    @property
    def times(self) -> Times:
        """The clocks."""

    async def keep(self, *changes: Change) -> None:
        """Write rows, and wait until they are on the disk."""

    async def look_up(self, query: Callable[[Connection], Result]) -> Result:
        """Read rows."""


class ClaimBooks:
    """An operator's books, with the standard's channels in place of ours.

    Parameters
    ----------
    books
        Where claims are written down.
    batch
        Has the channels.
    """

    def __init__(self, books: Books, batch: BatchSettlement) -> None:
        self._books = books
        self._batch = batch

    @property
    def times(self) -> Times:
        """The clocks."""
        return self._books.times

    async def keep(self, *changes: Change) -> None:
        """Write rows, and wait until they are on the disk."""
        await self._books.keep(*changes)

    async def look_up(self, query: Callable[[Connection], Result]) -> Result:
        """Read rows."""
        return await self._books.look_up(query)

    async def look_at_chain(self, channels: Sequence[int]) -> None:
        """Read channels anew, and believe the chain."""
        for channel in channels:
            await self._batch.look(channel.to_bytes(_ID_BYTES, "big"))

    def set_unfinal(self, channel: int, amount: int) -> None:
        """Learn how much of what the chain has of a channel is not final."""
        self._batch.held.set_unfinal(channel.to_bytes(_ID_BYTES, "big"), amount)
