"""Turning charges of x402 channels into money: claims in batches, then each Till's transfer.

A voucher reserves nothing on the chain; only a claim does. So whoever asks for his money back is
claimed from at once, and everybody else by time and by amount.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection

from tessera.errors import TesseraError, TransactionReverted
from tessera.payments.x402 import rows
from tessera.payments.x402.book import ChannelBook
from tessera.payments.x402.ports import Claim, X402Chain
from tessera.payments.x402.wire import hex_text
from tessera.spec.signatures import Address
from tessera.spec.vouchers import TillKey

__all__ = ["ClaimReport", "ClaimsFromBooks", "Dues", "Refused", "X402Claimer"]

logger = logging.getLogger(__name__)

CLAIMS_PER_BATCH: Final = 100
"""As many as the contract takes; about 2.5 million gas."""


class Refused(NamedTuple):
    """A channel whose claim the contract would not take, even alone, and what it said."""

    channel: str
    reason: str


@dataclass(slots=True)
class ClaimReport:
    """What one round did.

    Attributes
    ----------
    total
        Base units that were claimed.
    channels
        From how many channels.
    settled
        The assets and terms whose Tills got their money.
    refused
        What could not be claimed.
    """

    total: int = 0
    channels: int = 0
    settled: list[TillKey] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


class Dues(Protocol):
    """What is due; `BatchSettlement` is such, and books without a gateway are."""

    async def due(self) -> list[ChannelBook]:
        """Return every channel that was charged more than is claimed."""

    async def claims_of(self, books: Sequence[ChannelBook]) -> list[Claim]:
        """Return what claims these channels."""

    async def look(self, channel: bytes) -> ChannelBook | None:
        """Read a channel anew."""

    async def tills(self) -> dict[TillKey, Address]:
        """Return whose Tills channels have ever paid."""


class ClaimsFromBooks:
    """What books say is due, compared with the chain; for a command while no gateway runs.

    It writes nothing: the gateway sees on the chain that others claimed, and takes every voucher
    that it kept for published.

    Parameters
    ----------
    look_up
        Reads the books.
    chain
        Where it is claimed.
    """

    def __init__(
        self, look_up: Callable[[Callable[[Connection], Any]], Awaitable[Any]], chain: X402Chain
    ) -> None:
        self._look_up = look_up
        self._chain = chain

    async def due(self) -> list[ChannelBook]:
        """Return what books and chain say together is due."""
        found = []
        for book in await self._look_up(rows.load_due):
            book.chain = await self._chain.read_channel(book.id)
            if book.due:
                found.append(book)
        return found

    async def claims_of(self, books: Sequence[ChannelBook]) -> list[Claim]:
        """Return what claims these channels."""
        pairs = [(book, book.best()) for book in books]
        return [
            Claim(book.config, voucher.maximum, voucher.signature, book.charged)
            for book, voucher in pairs
            if voucher is not None
        ]

    async def look(self, channel: bytes) -> ChannelBook | None:
        """Leave it to the gateway."""

    async def tills(self) -> dict[TillKey, Address]:
        """Return whose Tills channels have ever paid."""
        found: dict[TillKey, Address] = await self._look_up(rows.load_tills)
        return found


class X402Claimer:
    """Claims what the standard's channels owe, and hands it on.

    Parameters
    ----------
    batch
        Says what is due.
    chain
        Where it is claimed.
    flush
        Hands on what lies in the Till of (asset, terms).
    every_s, at_risk
        Claim at least so often while something is due, and at once where so many base units are.
    watch_s
        How often channels with something due are looked at for a withdrawal.
    sleep, steady
        How to wait, and seconds that nobody sets.
    """

    def __init__(
        self,
        batch: Dues,
        chain: X402Chain,
        flush: Callable[[TillKey], Awaitable[object]],
        *,
        every_s: float,
        at_risk: int,
        watch_s: float = 15.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch = batch
        self._chain = chain
        self._flush = flush
        self._every_s = every_s
        self._at_risk = at_risk
        self._watch_s = min(watch_s, every_s)
        self._sleep = sleep
        self._steady = steady
        self._one_round = asyncio.Lock()
        self._in_vain: dict[bytes, int] = {}
        self._looked = False
        self._wanted = asyncio.Event()

    async def settle(self, *, retry_refused: bool = True) -> ClaimReport:
        """Claim everything that is due, now, and hand it on.

        Raises
        ------
        ChainError
            The chain could not be reached; what was claimed before that stays claimed.
        """
        async with self._one_round:
            report = ClaimReport()
            due = await self._batch.due()
            if not retry_refused:
                due = [book for book in due if self._in_vain.get(book.id) != book.charged]
            for start in range(0, len(due), CLAIMS_PER_BATCH):
                await self._claim(due[start : start + CLAIMS_PER_BATCH], report)
            tills = {TillKey(b.asset, b.terms): b.config.receiver for b in due}
            wanted = {key: tills[key] for key in report.settled}
            if not self._looked:
                # A process that died may have claimed and not come to this.
                wanted |= await self._batch.tills()
            report.settled = []
            for key, receiver in wanted.items():
                if await self._chain.owed(receiver):
                    await self._chain.settle(receiver)
                    await self._flush(key)
                    report.settled.append(key)
            self._looked = True
            return report

    def hurry(self) -> None:
        """Let the loop claim now, without waiting for its time."""
        self._wanted.set()

    async def run(self) -> None:
        """Claim by time, by amount, and from whoever is leaving, until cancelled."""
        last = self._steady()
        while True:
            await self._waited()
            hurried = self._wanted.is_set()
            self._wanted.clear()
            try:
                due = await self._batch.due()
                if not due and self._looked:
                    last = self._steady()
                    continue
                seen = [await self._batch.look(book.id) for book in due]
                leaving = any(book is not None and book.chain.withdraw_at for book in seen)
                total = sum(book.due for book in due)
                waited = self._steady() - last
                time_is_up = waited >= self._every_s or not due
                if hurried or leaving or total >= self._at_risk or time_is_up:
                    report = await self.settle(retry_refused=False)
                    last = self._steady()
                    for channel, reason in report.refused:
                        logger.warning("x402 channel %s was not claimed: %s", channel, reason)
            except TesseraError as error:
                logger.warning("claiming has to wait: %s", error)

    async def _waited(self) -> None:
        """Wait for the next look, or until somebody is in a hurry."""
        timer = asyncio.ensure_future(self._sleep(self._watch_s))
        hurry = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait((timer, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            hurry.cancel()

    async def _claim(self, due: Sequence[ChannelBook], report: ClaimReport) -> None:
        claims = await self._batch.claims_of(due)
        try:
            await self._chain.claim(claims)
        except TransactionReverted as error:
            # One that the contract cannot take must not hold up the others.
            if len(due) == 1:
                self._in_vain[due[0].id] = due[0].charged
                report.refused.append(Refused(hex_text(due[0].id), error.reason))
                return
            middle = len(due) // 2
            await self._claim(due[:middle], report)
            await self._claim(due[middle:], report)
            return
        for book in due:
            self._in_vain.pop(book.id, None)
            report.total += book.due
            report.channels += 1
            report.settled.append(TillKey(book.asset, book.terms))
            await self._batch.look(book.id)
