"""A gateway with more channels than it keeps in memory: what is forgotten is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.payments.conftest import EVIDENCE, KEY, Books, WrittenChain, quote, sign

from tessera.errors import PaymentRequired

Name = Callable[[], str]
MOST = 4


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tessera.payments.ledger._MOST_ACCOUNTS", MOST)


async def test_memory_holds_so_many_channels_and_the_books_all(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channels = [chain.open(salt=salt) for salt in range(12)]
    for charged in (10, 20, 30):
        for channel in channels:
            call = await books.accept(sign(channel, (KEY, charged)), quote(10), name())
            signed = await books.ledger.finish(call, 10, EVIDENCE)
            assert signed.receipt.charged == charged
            assert len(books.ledger._accounts) <= MOST + 1
    for channel in channels:
        with pytest.raises(PaymentRequired):
            await books.accept(sign(channel, (KEY, 30)), quote(1), name())


async def test_a_channel_with_a_call_in_flight_is_not_forgotten(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """A consumer with a deposit for one call begins one, opens many channels that push the first
    out of memory, and asks again: were it forgotten, both would be answered on the deposit."""
    first = chain.open(100)
    call = await books.accept(sign(first, (KEY, 100)), quote(100), name())
    for salt in range(1, 40):
        await books.ledger.account(chain.open(salt=salt))
    with pytest.raises(PaymentRequired):
        await books.accept(sign(first, (KEY, 100)), quote(100), name())
    # Neither is one whose charge is on its way to the disk.
    ending = asyncio.create_task(books.ledger.finish(call, 60, EVIDENCE))
    await asyncio.sleep(0)
    for salt in range(40, 80):
        await books.ledger.account(chain.open(salt=salt))
    with pytest.raises(PaymentRequired):
        await books.accept(sign(first, (KEY, 100)), quote(41), name())
    assert (await ending).receipt.charged == 60
