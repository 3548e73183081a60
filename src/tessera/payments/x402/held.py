"""The standard's channels in memory: whose turn it is, what the chain said, what is at stake.

The standard allows one call at a time per channel; further ones wait in line. Anybody can invent
names of channels, so what waits and what is kept is bounded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tessera.errors import Busy, PaymentRequired
from tessera.payments.risk import Exposures
from tessera.payments.x402 import rows
from tessera.payments.x402.book import ChannelBook
from tessera.payments.x402.ports import X402Chain
from tessera.payments.x402.rules import Books
from tessera.payments.x402.wire import Reason, Voucher, refused
from tessera.spec.vouchers import TillKey

__all__ = ["HeldChannel", "HeldChannels"]

_READS_AT_ONCE: Final = 8
_READS_WAITING: Final = 256
_WAITING_PER_CHANNEL: Final = 32

_IN_MEMORY: Final = 10_000
"""Channels that are kept in memory; of more the one that was idle longest is read again."""


@dataclass(slots=True)
class HeldChannel:
    """A channel in memory.

    Attributes
    ----------
    book
        As calls see it; it may be ahead of the disk by what is being written.
    turn, waiting
        Held while a call is answered, and how many wait for it.
    read_at
        When the chain was asked, steady seconds; None before that.
    lost
        Whether something could not be written, so that the book is not to be believed.
    used_at
        When a call last ended on it, steady seconds; None where none did in this process.
    claiming
        The most that this process has claimed, or is about to.
    in_flight
        The most that the call that is being answered may cost.
    """

    book: ChannelBook
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    read_at: float | None = None
    lost: bool = False
    used_at: float | None = None
    claiming: int = 0
    in_flight: int = 0


class HeldChannels:
    """Those that calls came on lately.

    Parameters
    ----------
    books
        Where it is written what was charged.
    chain
        Where channels are.
    exposures
        What is at stake with each payer, over all ways of paying.
    steady
        Seconds that nobody sets.
    wait_s
        Longest that a call waits for its turn.
    """

    def __init__(
        self,
        books: Books,
        chain: X402Chain,
        exposures: Exposures,
        steady: Callable[[], float],
        wait_s: float,
    ) -> None:
        self._books = books
        self._chain = chain
        self._exposures = exposures
        self._steady = steady
        self._wait_s = wait_s
        # In the order in which they were last used.
        self._channels: dict[bytes, HeldChannel] = {}
        # Claimed, and in a block that may still be replaced.
        self._unfinal: dict[bytes, int] = {}
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._reads_waiting = 0

    def names(self) -> list[bytes]:
        """Return what is in memory, the least recently used first."""
        return list(self._channels)

    async def turn(self, voucher: Voucher, line: TillKey) -> HeldChannel:
        """Wait until a voucher's channel is ours, and return it; `leave` it when done.

        Raises
        ------
        PaymentRequired
            It stayed busy, or too many wait already.
        DataError
            The books cannot be read.
        """
        name = voucher.channel
        channel = self._channels.get(name)
        if channel is None:
            book = await self._books.look_up(lambda reading: rows.load_channel(reading, name))
            book = book or ChannelBook(name, voucher.config, line.asset, line.terms)
            channel = self._channels.get(name) or HeldChannel(book)
        self._remember(channel)
        if channel.waiting >= _WAITING_PER_CHANNEL:
            raise _busy()
        channel.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await channel.turn.acquire()
        except TimeoutError as error:
            raise _busy() from error
        finally:
            channel.waiting -= 1
        try:
            await self.restore(channel)
        except BaseException:
            self.leave(channel)
            raise
        return channel

    def leave(self, channel: HeldChannel) -> None:
        """Give the turn to whoever waits."""
        channel.in_flight = 0
        self.note(channel)
        channel.turn.release()
        # Channels that anybody can invent must not fill the memory.
        if not channel.waiting and not channel.book.chain.balance:
            self._forget(channel)

    def _remember(self, channel: HeldChannel) -> None:
        """Keep a channel in memory as the latest; let go of those that were idle longest."""
        self._channels.pop(channel.book.id, None)
        self._channels[channel.book.id] = channel
        if len(self._channels) > _IN_MEMORY:
            idle = (
                c
                for c in self._channels.values()
                if not (c.waiting or c.turn.locked() or c.book.id in self._unfinal)
            )
            if (oldest := next(idle, channel)) is not channel:
                self._forget(oldest)

    def _forget(self, channel: HeldChannel) -> None:
        self._channels.pop(channel.book.id, None)

    async def hold(self, name: bytes) -> HeldChannel | None:
        """Return a channel that stays in memory until `let_go`; None where nobody knows it."""
        found = self._channels.get(name)
        if found is None:
            book = await self._books.look_up(lambda reading: rows.load_channel(reading, name))
            if book is None:
                return None
            found = self._channels.get(name) or HeldChannel(book)
            self._remember(found)
        found.waiting += 1
        try:
            await self.restore(found)
        except BaseException:
            self.let_go([found])
            raise
        return found

    @staticmethod
    def let_go(held: Sequence[HeldChannel | None]) -> None:
        """Need channels no more that were held."""
        for channel in held:
            if channel is not None:
                channel.waiting -= 1

    async def restore(self, channel: HeldChannel) -> None:
        """Take the book from the disk where something of it could not be written."""
        if not channel.lost:
            return
        lost, name = channel.book, channel.book.id
        kept = await self._books.look_up(lambda reading: rows.load_channel(reading, name))
        # Of several who wait for it the first does it; what the second read may be old by then.
        if channel.lost and channel.book is lost:
            channel.book = kept or ChannelBook(name, lost.config, lost.asset, lost.terms)
            channel.read_at, channel.lost = None, False
            self.note(channel)

    async def read(self, channel: HeldChannel) -> None:
        """Ask the chain how a channel stands.

        Raises
        ------
        Busy
            Too many are being asked about, and this one had no money when last seen.
        ChainError
            The chain cannot be asked.
        """
        # Anybody can invent names of channels; so those wait in a bounded line.
        if self._reads_waiting >= _READS_WAITING and not channel.book.chain.balance:
            raise Busy("x402 channels", found=f"{self._reads_waiting} waiting to be looked up")
        self._reads_waiting += 1
        try:
            async with self._reads:
                seen = await self._chain.read_channel(channel.book.id)
        finally:
            self._reads_waiting -= 1
        known = max(channel.book.chain.claimed, channel.claiming)
        channel.book.chain = seen
        if seen.claimed > known:
            # A command claimed from these books, or a process that died: any voucher may be public.
            for voucher in channel.book.vouchers:
                channel.book.publish(voucher.maximum)
        # What the chain has and these books do not was charged by books that are lost.
        channel.book.charged = max(channel.book.charged, seen.claimed)
        channel.read_at = self._steady()
        self.note(channel)

    def age(self, channel: HeldChannel) -> float:
        """Return how long ago the chain was asked, seconds; infinite where it was not."""
        return math.inf if channel.read_at is None else self._steady() - channel.read_at

    def set_unfinal(self, channel: bytes, amount: int) -> None:
        """Learn how much of what the chain has claimed of a channel is not final."""
        if amount:
            self._unfinal[channel] = amount
        else:
            self._unfinal.pop(channel, None)
        if (found := self._channels.get(channel)) is not None:
            self.note(found)

    def note(self, channel: HeldChannel) -> None:
        """Say what is at stake on a channel: with whoever signs, whom nobody else can name."""
        book = channel.book
        at_stake = book.due + self._unfinal.get(book.id, 0) + channel.in_flight
        self._exposures.note(book.config.payer_authorizer, book.id, at_stake)


def _busy() -> PaymentRequired:
    return refused(
        Reason.CHANNEL_BUSY,
        found="a call that is being answered",
        wanted="one at a time on a channel",
        next_step="ask again, or open further channels: one per salt",
        retry_after_s=1,
    )
