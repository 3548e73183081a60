"""Never serve what is not paid, never take for what is not served: x402 with everything failing."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.payments.x402.conftest import EVIDENCE, KEY, Payer, Shop, till_of

from tessera.errors import ChainError, DataError, TesseraError
from tessera.payments.tender import Outcome
from tessera.payments.x402.batch import BatchCall
from tessera.payments.x402.claiming import X402Claimer

PAYERS = 2
STEPS = st.lists(
    st.tuples(
        st.integers(0, PAYERS - 1),
        st.sampled_from(["batch", "exact"]),
        st.sampled_from(["whole", "stream"]),
        st.sampled_from(
            ["well", "well", "well", "upstream", "chain", "disk", "restart", "claim", "poor"]
        ),
        st.integers(1, 90_000),
        st.floats(0, 1),
    ),
    min_size=4,
    max_size=16,
)


class Town:
    """Payers with official clients, an operator, and what was answered and what it cost."""

    def __init__(self, folder: Path) -> None:
        self.shop = Shop(folder / "books.db")
        self.paid = {"batch": 0, "exact": 0}
        self.promised = 0

    async def open(self) -> None:
        await self.shop.reopen()
        self.payers = [Payer(self.shop, bytes([5 + n]) * 32) for n in range(PAYERS)]

    async def step(self, who: int, way: str, kind: str, fault: str, most: int, part: float) -> None:
        shop, payer = self.shop, self.payers[who]
        if fault == "restart":
            await shop.reopen()
        if fault == "claim":
            await self.claim()
        if fault == "chain":
            shop.chain.fails.append(ChainError("the chain does not answer"))
        money = shop.chain.money[payer.address]
        if fault == "poor":
            shop.chain.money[payer.address] = 0
        demand = shop.demand(most, stream=kind == "stream")
        head = payer.head(demand, "batch-settlement" if way == "batch" else "exact")
        try:
            call = await shop.tender.take(head, demand)
        except TesseraError:
            self.rich(payer, fault, money)
            return
        self.promised += most
        if fault == "upstream":
            shop.tender.fail(call)
            payer.hear(shop.tender.headers(call, Outcome.FAILED))
            return
        begun = shop.tender.headers(call, Outcome.BEGUN) if kind == "stream" else None
        real: Any = shop.ledger.issue
        if fault == "disk":
            shop.ledger.issue = full  # type: ignore[assignment, method-assign]
        try:
            receipt = await shop.tender.finish(call, int(part * most), EVIDENCE)
        except TesseraError:
            shop.ledger.issue = real  # type: ignore[method-assign]
            self.rich(payer, fault, money)
            streamed = begun if way == "batch" else None
            payer.hear(streamed or shop.tender.headers(call, Outcome.FAILED))
            if way == "exact" and fault == "disk":
                # It was paid, so the same request is answered, for no more money.
                again = await shop.tender.take(head, demand)
                await shop.tender.finish(again, 0, EVIDENCE)
                self.paid[way] += most
            return
        self.rich(payer, fault, money)
        payer.hear(begun or shop.tender.headers(call, Outcome.EARNED, receipt.cost))
        self.paid[way] += receipt.cost
        if isinstance(call, BatchCall):
            book = call.book
            best = book.best()
            assert book.charged <= book.chain.balance
            assert best is None or best.maximum >= book.charged

    def rich(self, payer: Payer, fault: str, money: int) -> None:
        self.shop.chain.fails.clear()
        if fault == "poor":
            self.shop.chain.money[payer.address] += money

    async def claim(self) -> None:
        async def flush(_: object) -> None: ...

        claimer = X402Claimer(
            self.shop.tender.batch, self.shop.chain, flush, every_s=60, at_risk=10**9
        )
        report = await claimer.settle()
        assert report.refused == []

    async def check(self) -> None:
        batch = sum(self.paid.values())
        assert batch <= self.promised
        assert self.shop.ledger.in_flight == 0
        await self.shop.reopen()
        await self.claim()
        assert self.shop.chain.money.get(till_of(*KEY), 0) == batch
        await self.shop.ledger.close()


async def full(*_: object) -> None:
    raise DataError("books", found="a full disk", wanted="room")


@settings(max_examples=max(8, settings.default.max_examples // 5))
@given(STEPS)
def test_what_the_tills_get_is_what_was_answered(
    steps: list[tuple[int, str, str, str, int, float]],
) -> None:
    """`answered <=> charged`, `charged <= promised`, and all that was charged can be claimed."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            town = Town(Path(folder))
            await town.open()
            for step in steps:
                await town.step(*step)
            await town.check()

    asyncio.run(run())
