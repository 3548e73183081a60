"""Locked shares as the queue sees them: from memory, at once, and never older than stated."""

from __future__ import annotations

import asyncio

import pytest

from tessera.app.stakes import Locked, LockedShares
from tessera.errors import RpcUnavailable

HOLDER, STRANGER = b"\x01" * 20, b"\x02" * 20


class Chain:
    def __init__(self) -> None:
        self.locked = {HOLDER: 0.25}
        self.reads: list[bytes] = []
        self.down = False

    async def read(self, asset: int, account: bytes) -> Locked:
        assert asset == 7
        self.reads.append(account)
        await asyncio.sleep(0)
        if self.down:
            raise RpcUnavailable("chain", found="no answer")
        return Locked(int(self.locked.get(account, 0.0) * 1_000), 1_000)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_account_counts_as_without_shares_until_one_read_is_back() -> None:
    chain, now = Chain(), [0.0]
    shares = LockedShares(chain.read, lambda: now[0])
    assert shares.locked(7, HOLDER) == 0.0
    assert shares.locked(7, HOLDER) == 0.0
    await settled()
    assert shares.locked(7, HOLDER) == 0.25
    assert chain.reads == [HOLDER]


async def test_what_is_known_is_looked_up_again_behind_the_callers_back() -> None:
    chain, now = Chain(), [0.0]
    shares = LockedShares(chain.read, lambda: now[0], fresh_s=5)
    shares.locked(7, HOLDER)
    await settled()
    chain.locked[HOLDER] = 0.5
    now[0] = 4.0
    assert shares.locked(7, HOLDER) == 0.25
    await settled()
    assert len(chain.reads) == 1
    now[0] = 6.0
    assert shares.locked(7, HOLDER) == 0.25
    await settled()
    assert shares.locked(7, HOLDER) == 0.5


async def test_a_chain_that_does_not_answer_changes_nothing() -> None:
    chain, now = Chain(), [0.0]
    shares = LockedShares(chain.read, lambda: now[0], fresh_s=5)
    shares.locked(7, HOLDER)
    await settled()
    chain.down, now[0] = True, 6.0
    shares.locked(7, HOLDER)
    await settled()
    assert shares.locked(7, HOLDER) == 0.25
    assert len(chain.reads) == 2


async def test_free_calls_are_nobodys_and_many_accounts_are_read_a_few_at_a_time() -> None:
    chain = Chain()
    shares = LockedShares(chain.read, lambda: 0.0)
    assert shares.locked(7, None) == 0.0
    for number in range(100):
        shares.locked(7, number.to_bytes(20, "big"))
    await settled()
    assert len(chain.reads) == 8
    shares.locked(7, STRANGER)
    await shares.close()


async def test_money_is_decided_by_nothing_that_is_not_fresh() -> None:
    chain, now = Chain(), [0.0]
    shares = LockedShares(chain.read, lambda: now[0], fresh_s=5)
    assert await asyncio.gather(shares.amount(7, HOLDER), shares.amount(7, HOLDER)) == [250, 250]
    assert chain.reads == [HOLDER]
    assert shares.locked(7, HOLDER) == 0.25
    now[0], chain.locked[HOLDER] = 4.0, 0.0
    assert await shares.amount(7, HOLDER) == 250
    now[0] = 6.0
    assert await shares.amount(7, HOLDER) == 0
    now[0], chain.down = 12.0, True
    with pytest.raises(RpcUnavailable):
        await shares.amount(7, HOLDER)
    assert await shares.amount(7, None) == 0
