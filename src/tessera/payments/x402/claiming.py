"""Turning charges of x402 channels into money: claims in batches, then each Till's transfer.

A voucher reserves nothing on the chain; only a claim does. So whoever asks for his money back is
claimed from in haste, and everybody else by time and by amount, at a fee that is a small part of
what it brings (`payments.risk`). Claims are followed until they are final (`payments.settling`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection

from tessera.errors import TesseraError, TransactionReverted
from tessera.payments.risk import Due, GasPrice, Plan, RiskRules, plan
from tessera.payments.settle import Follow
from tessera.payments.settling import OpenSettlement
from tessera.payments.x402 import rows
from tessera.payments.x402.book import ChannelBook
from tessera.payments.x402.ports import Claim, X402Chain
from tessera.payments.x402.wire import hex_text
from tessera.spec.signatures import Address
from tessera.spec.vouchers import TillKey
from tessera.units import BPS

__all__ = ["ClaimReport", "ClaimsFromBooks", "Dues", "Refused", "X402Claimer"]

logger = logging.getLogger(__name__)

CLAIMS_PER_BATCH: Final = 100
"""As many as the contract takes; about 2.5 million gas."""

BATCH_GAS: Final = 50_000
CLAIM_GAS: Final = 30_000
TILL_GAS: Final = 200_000
"""Of a claim whatever it holds, of each channel in it, and from the contract to the holders."""

_LEAST_PAUSE_S: Final = 1.0


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
    not_flushed
        Whose money stays where it is for now, with what the contract said.
    refused
        What could not be claimed.
    """

    total: int = 0
    channels: int = 0
    settled: list[TillKey] = field(default_factory=list)
    not_flushed: list[tuple[TillKey, str]] = field(default_factory=list)
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

    A claim makes money the receiver's for good; from there to its Till it may wait until the way
    is worth its gas.

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
    follow
        Sends claims, writes them down and weighs what they cost; None only sends.
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
        follow: Follow | None = None,
    ) -> None:
        self._batch = batch
        self._chain = chain
        self._flush = flush
        self._rules = RiskRules(0, 0, at_risk, every_s, BPS, 0) if follow is None else follow.rules
        self._watch_s = min(watch_s, every_s)
        self._sleep = sleep
        self._steady = steady
        self._follow = follow
        self._one_round = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._in_vain: dict[bytes, int] = {}
        self._last = self._forgot_at = steady()
        self._looked_at = -math.inf
        # Whose money may lie with the contract: to be sent on now, and when there is more of it.
        self._tills: dict[TillKey, Address] = {}
        self._small: dict[TillKey, Address] = {}
        self._knows_tills = False
        self.too_dear: tuple[int, ...] = ()

    @property
    def open(self) -> tuple[OpenSettlement, ...]:
        """Claims that are not final yet, oldest first."""
        return () if self._follow is None else self._follow.settlements.open

    async def settle(self) -> ClaimReport:
        """Claim everything that is due, now and whatever it costs, and hand it on.

        Raises
        ------
        ChainError
            The chain could not be reached; what was claimed before that stays claimed.
        """
        async with self._one_round:
            report = ClaimReport()
            await self._send(await self._batch.due(), None, report)
            await self._hand_on(None, report)
            return report

    def hurry(self) -> None:
        """Look now at what is due; a limit of what is risked was reached."""
        # Who runs into it again and again must not have us ask the chain as often.
        if self._steady() - self._looked_at >= _LEAST_PAUSE_S:
            self._wanted.set()

    async def run(self) -> None:
        """Claim by time, by amount, and from whoever is leaving, until cancelled."""
        self._last = self._steady()
        while True:
            await self._waited()
            self._wanted.clear()
            try:
                report = await self.look()
                for channel, reason in report.refused:
                    logger.warning("x402 channel %s was not claimed: %s", channel, reason)
                for key, reason in report.not_flushed:
                    logger.warning("x402 income of asset %d stays: %s", key.asset, reason)
            except TesseraError as error:
                logger.warning("claiming has to wait: %s", error)

    async def look(self) -> ClaimReport:
        """Claim what it is time for, and hand on what is worth it.

        Raises
        ------
        ChainError
            The chain could not be reached, or has a claim in no block yet.
        """
        async with self._one_round:
            report = ClaimReport()
            self._looked_at = now = self._steady()
            price = GasPrice(0, 0)
            if self._follow is not None:
                await self._follow.settlements.watch()
                price = await self._follow.price()
            if now - self._forgot_at >= self._rules.every_s:
                # What a full block or a short outage refused is claimed the next time.
                self._in_vain.clear()
                self._tills |= self._small
                self._small.clear()
                self._forgot_at = now
            due = await self._batch.due()
            made = await self._planned(due, price)
            self.too_dear = made.too_dear
            books = {_number(book): book for book in due}
            for group in made.groups:
                chosen = [books[number] for number in group.channels]
                await self._send(chosen, group.fee_ceiling, report)
            if not due or (made.groups and now - self._last >= self._rules.every_s):
                self._last = now
            await self._hand_on(price, report)
            return report

    async def _planned(self, due: Sequence[ChannelBook], price: GasPrice) -> Plan:
        now, on_its_way = 0.0, frozenset[int]()
        refused: Collection[Hashable] = ()
        if self._follow is not None:
            now, refused = self._follow.now(), self._follow.waiting()
            on_its_way = self._follow.settlements.waiting
        dues = []
        for kept in due:
            seen = await self._batch.look(kept.id)
            state = kept.chain if seen is None else seen.chain
            asked_at, value = state.withdraw_at, kept.charged - state.claimed
            waits = self._in_vain.get(kept.id) == kept.charged or _number(kept) in on_its_way
            # Whoever leaves is claimed from as long as there is anything to try.
            if value > 0 and (asked_at or not waits):
                dues.append(
                    Due(
                        channel=_number(kept),
                        payer=kept.config.payer_authorizer,
                        value=value,
                        at_stake=value,
                        leaves_at=asked_at and asked_at + kept.config.withdraw_delay,
                        first_gas=CLAIM_GAS,
                    )
                )
        since = self._steady() - self._last
        return plan(dues, now, since, price, self._rules, waiting=refused, batch_gas=BATCH_GAS)

    async def _waited(self) -> None:
        """Wait for the next look, or until somebody is in a hurry."""
        timer = asyncio.ensure_future(self._sleep(self._watch_s))
        hurry = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait((timer, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            hurry.cancel()

    async def _send(
        self, due: Sequence[ChannelBook], fee_ceiling: int | None, report: ClaimReport
    ) -> None:
        for start in range(0, len(due), CLAIMS_PER_BATCH):
            await self._claim(due[start : start + CLAIMS_PER_BATCH], fee_ceiling, report)

    async def _claim(
        self, due: Sequence[ChannelBook], fee_ceiling: int | None, report: ClaimReport
    ) -> None:
        claims = await self._batch.claims_of(due)
        try:
            if self._follow is None:
                await self._chain.claim(claims)
            else:
                await self._follow.settlements.settle(
                    lambda ceiling: self._chain.submit_claim(claims, ceiling),
                    [_number(book) for book in due],
                    sum(book.due for book in due),
                    fee_ceiling,
                )
        except TransactionReverted as error:
            # One that the contract cannot take must not hold up the others.
            if len(due) == 1:
                self._in_vain[due[0].id] = due[0].charged
                report.refused.append(Refused(hex_text(due[0].id), error.reason))
                return
            middle = len(due) // 2
            await self._claim(due[:middle], fee_ceiling, report)
            await self._claim(due[middle:], fee_ceiling, report)
            return
        for book in due:
            self._in_vain.pop(book.id, None)
            report.total += book.due
            report.channels += 1
            self._tills[TillKey(book.asset, book.terms)] = book.config.receiver
            await self._batch.look(book.id)

    async def _hand_on(self, price: GasPrice | None, report: ClaimReport) -> None:
        """Send Tills what was claimed for them; without a price whatever it costs."""
        if not self._knows_tills:
            # A process that died may have claimed and not come to this.
            self._tills |= await self._batch.tills()
            self._knows_tills = True
        if price is None:
            self._tills |= self._small
            self._small.clear()
        for key, receiver in list(self._tills.items()):
            owed = await self._chain.owed(receiver)
            if owed and price is not None:
                cost = price.cost_ceil(TILL_GAS)
                if cost > owed * self._rules.fee_bps // BPS:
                    self._small[key] = self._tills.pop(key)
                    continue
            if owed:
                try:
                    await self._chain.settle(receiver)
                    await self._flush(key)
                except TransactionReverted as error:
                    # A share that can take no more must not hold up the income of the others.
                    report.not_flushed.append((key, error.reason))
                    self._small[key] = self._tills.pop(key)
                    continue
                report.settled.append(key)
            del self._tills[key]


def _number(book: ChannelBook) -> int:
    return int.from_bytes(book.id, "big")
