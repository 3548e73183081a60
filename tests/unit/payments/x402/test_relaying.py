"""Sending for others: once for each thing asked, and only so often for one party."""

from __future__ import annotations

import asyncio

import pytest

from tessera.errors import QuotaExceeded
from tessera.payments.x402.rates import PerParty
from tessera.payments.x402.relaying import Once, to_the_end


async def test_who_asks_while_it_is_done_waits_and_hears_the_same() -> None:
    once, begun, go = Once(), 0, asyncio.Event()

    async def work() -> str:
        nonlocal begun
        begun += 1
        await go.wait()
        return f"answer {begun}"

    asked = [asyncio.create_task(once.do(b"a", work, keep=bool)) for _ in range(3)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*asked) == ["answer 1"] * 3
    assert await once.do(b"a", work, keep=bool) == "answer 1"
    assert await once.do(b"b", work, keep=bool) == "answer 2"


async def test_what_failed_may_be_tried_again() -> None:
    once, tries = Once(), 0

    async def work() -> bool:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("no")
        return tries > 2

    with pytest.raises(OSError, match="no"):
        await once.do(b"a", work, keep=bool)
    assert await once.do(b"a", work, keep=bool) is False
    assert await once.do(b"a", work, keep=bool) is True
    assert await once.do(b"a", work, keep=bool) is True
    assert tries == 3


async def test_work_goes_on_when_nobody_waits_for_it_any_more() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    once = Once()
    for waiting in (to_the_end(work()), once.do(b"a", work, keep=lambda _: True)):
        done.clear()
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.wait_for(done.wait(), 30)


def test_a_party_that_asks_too_often_hears_when_to_ask_again() -> None:
    now = 1_000.0
    parties = PerParty(2, lambda: now)
    parties.check(b"a")
    now += 20
    parties.check(b"a")
    parties.check(b"b")
    with pytest.raises(QuotaExceeded) as refused:
        parties.check(b"a")
    assert refused.value.operands["retry_after_s"] == 40
    now += 40
    parties.check(b"a")
    with pytest.raises(QuotaExceeded):
        parties.check(b"a")
