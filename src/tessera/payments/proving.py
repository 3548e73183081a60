"""Turning served orders into money: batches of proofs, sent before their windows end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tessera.errors import TesseraError, TransactionReverted
from tessera.payments.ports import Clock, OrderProof, OrdersChain, ProofResult
from tessera.spec.signatures import Address

__all__ = ["OrderProver", "ProofReport", "Proofs"]

logger = logging.getLogger(__name__)

PROOFS_PER_BATCH: Final = 32
"""About half a million gas; the contract takes 64."""

_WRITTEN_WITHIN_S: Final = 0.05


class Proofs(Protocol):
    """What is to be proved, and who is told what became of it; a `Ledger` is such."""

    async def proofs(self) -> list[OrderProof]:
        """Return what would prove orders, the most urgent first."""

    async def record_proofs(self, proofs: Sequence[OrderProof], result: ProofResult) -> None:
        """Remember what the chain made of them."""


@dataclass(slots=True)
class ProofReport:
    """What one round of proving did.

    Attributes
    ----------
    proved, refused
        Orders by product; a refused one was given up, or proved already.
    paid
        Base units that went on to the assets.
    transactions
        0x-hex.
    """

    proved: list[tuple[Address, int]] = field(default_factory=list)
    refused: list[tuple[Address, int]] = field(default_factory=list)
    paid: int = 0
    transactions: list[str] = field(default_factory=list)


class OrderProver:
    """Proves what a ledger has served.

    Parameters
    ----------
    ledger
        Says what is to be proved.
    chain
        Where.
    clock
        Unix seconds.
    every_s
        Prove at least so often while something waits.
    late_s
        Prove at once what has only so long left.
    watch_s
        How often to look.
    steady
        Seconds that nobody sets.
    """

    def __init__(
        self,
        ledger: Proofs,
        chain: OrdersChain,
        clock: Clock,
        *,
        every_s: float,
        late_s: float,
        watch_s: float = 15.0,
        steady: Clock = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._chain = chain
        self._clock = clock
        self._steady = steady
        self._every_s = every_s
        self._late_s = late_s
        self._watch_s = min(watch_s, every_s)
        self._one_round = asyncio.Lock()
        self._news = asyncio.Event()

    def hurry(self) -> None:
        """Look again soon: something was served."""
        self._news.set()

    async def prove(self) -> ProofReport:
        """Prove everything that was served, now.

        Raises
        ------
        ChainError
            The chain could not be reached; what was proved before that stays proved.
        """
        async with self._one_round:
            report = ProofReport()
            by_product: dict[Address, list[OrderProof]] = {}
            for proof in await self._ledger.proofs():
                by_product.setdefault(proof.access, []).append(proof)
            for access, proofs in by_product.items():
                for first in range(0, len(proofs), PROOFS_PER_BATCH):
                    await self._prove(access, proofs[first : first + PROOFS_PER_BATCH], report)
            return report

    async def run(self) -> None:
        """Prove by time and by urgency, until cancelled; nothing that the chain says ends it."""
        last = self._steady()
        while True:
            await self._next_look()
            try:
                waiting = await self._ledger.proofs()
                if not waiting:
                    last = self._steady()
                    continue
                urgent = any(proof.serve_by - self._clock() <= self._late_s for proof in waiting)
                if (
                    urgent
                    or self._steady() - last >= self._every_s
                    or len(waiting) >= PROOFS_PER_BATCH
                ):
                    report = await self.prove()
                    last = self._steady()
                    for _, order in report.refused:
                        logger.warning("order %d was served and is not paid for", order)
            except TesseraError as error:
                logger.warning("proving has to wait: %s", error)

    async def _next_look(self) -> None:
        try:
            async with asyncio.timeout(self._watch_s):
                await self._news.wait()
        except TimeoutError:
            return
        # What was served is on its way to the disk.
        await asyncio.sleep(_WRITTEN_WITHIN_S)
        self._news.clear()

    async def _prove(self, access: Address, proofs: list[OrderProof], report: ProofReport) -> None:
        try:
            result = await self._chain.prove(access, proofs)
        except TransactionReverted as error:
            if len(proofs) > 1:
                middle = len(proofs) // 2
                await self._prove(access, proofs[:middle], report)
                await self._prove(access, proofs[middle:], report)
                return
            logger.warning("order %d cannot be proved: %s", proofs[0].order, error.reason)
            result = ProofResult(error.tx_hash or "", (), 0)
        await self._ledger.record_proofs(proofs, result)
        report.paid += result.paid
        report.transactions.append(result.tx_hash)
        for proof in proofs:
            kept = report.proved if proof.order in result.proved else report.refused
            kept.append((access, proof.order))
