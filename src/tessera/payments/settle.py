"""Turning charges into money: batches of vouchers, sent in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tessera.errors import ChainError, TesseraError, TransactionReverted
from tessera.payments.account import Account
from tessera.payments.ledger import Claim
from tessera.payments.ports import Clock, SettleResult, SettlingChain
from tessera.payments.risk import Due, GasPrice, Plan, RiskRules, plan
from tessera.payments.settling import OpenSettlement, Settlements
from tessera.spec.vouchers import MAX_TILLS, MAX_WORDS, Reason, TillKey, encode_batch
from tessera.units import BPS

__all__ = ["Dues", "Follow", "SettlementReport", "Settler", "batches", "grant_margin_s"]

logger = logging.getLogger(__name__)

VOUCHERS_PER_BATCH: Final = 100
"""About two million gas; a batch this long costs hardly more per voucher than a longer one."""


_TIME_TO_SETTLE_S: Final = 600.0
_LEAST_PAUSE_S: Final = 1.0


def grant_margin_s(every_s: float) -> float:
    """How much longer than a call a session key's grant must last, for it to be served.

    The chain asks whether a grant lasts when it is settled, so a grant that ends before the next
    settlement pays for nothing.
    """
    return every_s + _TIME_TO_SETTLE_S


@dataclass(slots=True)
class SettlementReport:
    """What one round of settling did.

    Attributes
    ----------
    results
        One per transaction.
    refused
        Channels whose vouchers the contract would not take even alone, with what it said.
    flushed
        Assets whose income was handed on.
    not_flushed
        Assets whose income stays where it is for now, with what the contract said.
    """

    results: list[SettleResult] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    flushed: list[int] = field(default_factory=list)
    not_flushed: list[tuple[int, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Base units taken from all channels."""
        return sum(result.total for result in self.results)

    @property
    def skipped(self) -> list[tuple[int, Reason]]:
        """(channel, reason) per voucher that was skipped."""
        return [entry for result in self.results for entry in result.skipped]


def batches(claims: Sequence[Claim], *, most: int = VOUCHERS_PER_BATCH) -> list[list[Claim]]:
    """Cut claims into batches that the contract takes: 32 tills, 1,024 words, `most` vouchers."""
    made: list[list[Claim]] = []
    tills: set[TillKey] = set()
    words = 0
    for claim in claims:
        keys = {line.key for line in claim.signed.voucher.lines}
        size = len(claim.signed.voucher.lines) + 3
        fits = made and (
            len(made[-1]) < most and len(tills | keys) <= MAX_TILLS and words + size <= MAX_WORDS
        )
        if not fits:
            made.append([])
            tills, words = set(), 0
        made[-1].append(claim)
        tills |= keys
        words += size
    return made


class Dues(Protocol):
    """What is due, and who is told what became of it; `Ledger` and `BooksReader` are such."""

    async def claims(self) -> list[Claim]:
        """Return all that is charged and not settled."""

    async def look_at_chain(self, channels: Sequence[int]) -> list[Account]:
        """Look at channels anew."""


@dataclass(frozen=True, slots=True)
class Follow:
    """What a settler needs to follow its settlements and to weigh what they cost.

    Attributes
    ----------
    settlements
        Sends and follows them.
    rules
        What is risked, and what settling may cost.
    price
        Asks what gas costs.
    now
        Unix seconds, as the chain's deadlines go.
    waiting
        Payers who were refused until something of theirs is settled.
    """

    settlements: Settlements
    rules: RiskRules
    price: Callable[[], Awaitable[GasPrice]]
    now: Clock
    waiting: Callable[[], Collection[Hashable]] = tuple


class Settler:
    """Settles what a ledger holds.

    Parameters
    ----------
    ledger
        Says what is due: a `Ledger`, or a `BooksReader` beside one.
    chain
        Where it is settled.
    steady
        Seconds that nobody sets: how long ago the last round was.
    every_s
        Settle at least so often while something is due.
    at_risk
        Settle at once when so many base units are due.
    watch_s
        How often channels with something due are looked at for a withdrawal; together with the
        time of a call, far below the withdrawal delay.
    flush
        Whether income is handed on to the holders after each round.
    sleep
        How to wait.
    follow
        Sends settlements, writes them down and weighs what they cost; None only sends.
    """

    def __init__(
        self,
        ledger: Dues,
        chain: SettlingChain,
        steady: Clock,
        *,
        every_s: float,
        at_risk: int,
        watch_s: float = 15.0,
        flush: bool = True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        follow: Follow | None = None,
    ) -> None:
        self._ledger = ledger
        self._chain = chain
        self._steady = steady
        self._rules = RiskRules(0, 0, at_risk, every_s, BPS, 0) if follow is None else follow.rules
        self._watch_s = min(watch_s, every_s)
        self._flush = flush
        self._sleep = sleep
        self._follow = follow
        self._one_round = asyncio.Lock()
        self._hurried = asyncio.Event()
        # What the contract skipped, for good, and what it took no transaction with, for now.
        self._in_vain: dict[int, Claim] = {}
        self._reverted: dict[int, Claim] = {}
        self._last = self._looked_at = self._forgot_at = steady()
        self.too_dear: tuple[int, ...] = ()

    @property
    def open(self) -> tuple[OpenSettlement, ...]:
        """Settlements that are not final yet, oldest first."""
        return () if self._follow is None else self._follow.settlements.open

    def hurry(self) -> None:
        """Look now at what is due; a limit of what is risked was reached."""
        # Who runs into it again and again must not have us ask the chain as often.
        if self._steady() - self._looked_at >= _LEAST_PAUSE_S:
            self._hurried.set()

    async def settle(self, *, retry_skipped: bool = True) -> SettlementReport:
        """Settle everything that is due, now, whatever it costs.

        Parameters
        ----------
        retry_skipped
            Also send what the contract skipped before and has not changed since.

        Returns
        -------
        SettlementReport
            Empty where nothing was due.

        Raises
        ------
        ChainError
            The chain could not be reached; what was settled before that stays settled.
        """
        async with self._one_round:
            report = SettlementReport()
            claims = await self._ledger.claims()
            if not retry_skipped:
                claims = [c for c in self._promising(claims) if not self._is_reverted(c)]
            await self._send(claims, None, report)
            await self._hand_all_on(report)
            return report

    async def run(self) -> None:
        """Settle by time, by amount at risk and by withdrawals, until cancelled.

        A chain that does not answer is asked again; nothing that it says ends the loop.
        """
        self._last = self._steady()
        while True:
            await self._pause()
            try:
                report = await self.look()
                for channel, reason in report.skipped:
                    logger.warning("channel %d was not settled: %s", channel, reason.name)
                for asset, said in report.not_flushed:
                    logger.warning("income of asset %d was not handed on: %s", asset, said)
            except TesseraError as error:
                logger.warning("settling has to wait: %s", error)

    async def look(self) -> SettlementReport:
        """Settle what it is time for.

        Raises
        ------
        ChainError
            The chain could not be reached, or has a settlement in no block yet.
        """
        async with self._one_round:
            report = SettlementReport()
            self._looked_at = self._steady()
            if self._looked_at - self._forgot_at >= self._rules.every_s:
                # A full block may have been the reason, or what has been mended since.
                self._reverted.clear()
                self._forgot_at = self._looked_at
            if self._follow is not None:
                await self._follow.settlements.watch()
            claims = await self._ledger.claims()
            if not claims:
                self._last, self.too_dear = self._steady(), ()
                return report
            made = await self._planned(self._promising(claims))
            self.too_dear = made.too_dear
            by_channel = {_channel(claim): claim for claim in claims}
            for group in made.groups:
                chosen = [by_channel[channel] for channel in group.channels]
                await self._send(chosen, group.fee_ceiling, report)
            if made.groups and self._steady() - self._last >= self._rules.every_s:
                self._last = self._steady()
            await self._hand_all_on(report)
            return report

    async def _pause(self) -> None:
        slept = asyncio.ensure_future(self._sleep(self._watch_s))
        hurried = asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait((slept, hurried), return_when=asyncio.FIRST_COMPLETED)
            if slept.done():
                slept.result()
        finally:
            slept.cancel()
            hurried.cancel()
        self._hurried.clear()

    async def _planned(self, claims: Sequence[Claim]) -> Plan:
        accounts = await self._ledger.look_at_chain([_channel(claim) for claim in claims])
        known = {account.number: account for account in accounts}
        price, now, on_its_way = GasPrice(0, 0), 0.0, frozenset[int]()
        refused: Collection[Hashable] = ()
        if self._follow is not None:
            price, now = await self._follow.price(), self._follow.now()
            on_its_way = self._follow.settlements.waiting
            refused = self._follow.waiting()
        dues = [_due(claim, known[_channel(claim)]) for claim in claims if _channel(claim) in known]
        # What is on its way is not sent twice, unless there is haste.
        # Nor is what reverted, which costs nothing to try from somebody who leaves.
        waiting = {_channel(claim) for claim in claims if self._is_reverted(claim)} | on_its_way
        dues = [due for due in dues if due.channel not in waiting or due.leaves_at]
        # A block may have had it since the books were asked.
        dues = [due for due in dues if due.value > 0]
        since = self._steady() - self._last
        return plan(dues, now, since, price, self._rules, waiting=refused)

    def _promising(self, claims: Sequence[Claim]) -> list[Claim]:
        return [claim for claim in claims if self._in_vain.get(_channel(claim)) != claim]

    def _is_reverted(self, claim: Claim) -> bool:
        return self._reverted.get(_channel(claim)) == claim

    async def _send(
        self, claims: Sequence[Claim], fee_ceiling: int | None, report: SettlementReport
    ) -> None:
        for batch in batches(claims):
            await self._settle_batch(batch, fee_ceiling, report)

    async def _hand_all_on(self, report: SettlementReport) -> None:
        if self._flush:
            assets = {asset for result in report.results for asset in result.assets}
            for asset in sorted(assets):
                await self._hand_on(asset, report)

    async def _hand_on(self, asset: int, report: SettlementReport) -> None:
        try:
            await self._chain.flush(asset)
        except TransactionReverted as error:
            # A share that can take no more must not hold up the income of the others.
            report.not_flushed.append((asset, error.reason))
        else:
            report.flushed.append(asset)

    async def _settle_batch(
        self, batch: list[Claim], fee_ceiling: int | None, report: SettlementReport
    ) -> None:
        tills, words = encode_batch([(claim.signed, claim.charged) for claim in batch])
        try:
            if self._follow is None:
                result = await self._chain.settle(tills, words)
            else:
                result = await self._follow.settlements.settle(
                    lambda ceiling: self._chain.submit(tills, words, ceiling),
                    [_channel(claim) for claim in batch],
                    sum(claim.due for claim in batch),
                    fee_ceiling,
                )
        except TransactionReverted as error:
            # One voucher that the contract cannot even skip must not hold up the others.
            if len(batch) == 1:
                self._reverted[_channel(batch[0])] = batch[0]
                report.refused.append((_channel(batch[0]), error.reason))
                return
            middle = len(batch) // 2
            await self._settle_batch(batch[:middle], fee_ceiling, report)
            await self._settle_batch(batch[middle:], fee_ceiling, report)
            return
        report.results.append(result)
        skipped = {channel for channel, _ in result.skipped}
        for claim in batch:
            if _channel(claim) in skipped:
                self._in_vain[_channel(claim)] = claim
            else:
                self._in_vain.pop(_channel(claim), None)
            self._reverted.pop(_channel(claim), None)
        try:
            await self._ledger.look_at_chain([_channel(claim) for claim in batch])
        except ChainError as error:
            logger.warning("settled in %s, not yet read back: %s", result.tx_hash, error)


def _channel(claim: Claim) -> int:
    return claim.signed.voucher.channel


def _due(claim: Claim, account: Account) -> Due:
    chain = account.chain
    ends = [account.lines[key].expires for key in claim.charged if key in account.lines]
    return Due(
        channel=account.number,
        payer=account.payer,
        value=min(claim.due, account.due),
        at_stake=account.at_stake,
        lines=len(claim.signed.voucher.lines),
        leaves_at=chain.available_at if chain is not None else 0,
        grant_ends=min(ends, default=0) if chain is not None and chain.restricted else 0,
    )
