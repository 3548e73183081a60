"""A disk without room: nobody is charged for what could not be written down."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.payments.conftest import EVIDENCE, KEY, Books, WrittenChain, quote, sign

from tessera.errors import StorageFull
from tessera.payments.ledger import Evidence
from tessera.spec.signatures import keccak


async def test_a_charge_that_cannot_be_written_is_taken_back(
    books: Books, chain: WrittenChain, name: Callable[[], str]
) -> None:
    channel = chain.open()
    voucher = sign(channel, (KEY, 300))
    call = await books.accept(voucher, quote(100), name())
    await books.ledger.finish(call, 100, EVIDENCE)

    async def pages(limit: str) -> int:
        pragma = f"PRAGMA max_page_count{limit}"
        return await books.ledger._commit.read(
            lambda connection: int(connection.exec_driver_sql(pragma).scalar_one())
        )

    used = await pages("=1")
    for number in range(500):
        evidence = Evidence(keccak(b"%d" % number), keccak(b"response"), 1)
        call = await books.accept(voucher, quote(100), name())
        try:
            await books.ledger.finish(call, 0, evidence)
        except StorageFull:
            break
    else:
        pytest.fail("the disk never became full")
    call = await books.accept(voucher, quote(100), name())
    with pytest.raises(StorageFull):
        await books.ledger.finish(call, 100, EVIDENCE)
    account = await books.ledger.account(channel)
    assert account is not None
    assert (account.lines[KEY].charged, account.lines[KEY].in_flight) == (100, 0)

    await pages(f"={used + 10_000}")
    call = await books.accept(voucher, quote(100), name())
    assert (await books.ledger.finish(call, 100, EVIDENCE)).receipt.charged == 200
