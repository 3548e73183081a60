"""Waiting transactions leave by nonce and arrival, and a replacement pays for its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.chain import pool as pool_module
from tessera.chain.pool import TransactionPool
from tessera.chain.transactions import SignedTransaction, TransactionRefused
from tessera.errors import QuotaExceeded


def waiting(sender: str, nonce: int, *, fee: int = 100, gas: int = 21_000) -> SignedTransaction:
    return SignedTransaction(
        raw=b"\x02" * 100,
        hash=f"{sender}/{nonce}/{fee}",
        sender=sender,
        nonce=nonce,
        gas=gas,
        max_fee=fee,
        max_priority_fee=fee,
        kind=2,
        to=None,
        value=0,
        data=b"",
    )


def block(
    pool: TransactionPool, *, gas_limit: int = 10**9, at_most: int = 1_000
) -> list[tuple[str, int]]:
    chosen = pool.executable(lambda _: 0, gas_limit=gas_limit, at_most=at_most)
    return [(each.sender, each.nonce) for each in chosen]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), unique=True))
def test_a_block_holds_every_nonce_without_a_gap_in_order(arrivals: list[tuple[str, int]]) -> None:
    pool = TransactionPool()
    for sender, nonce in arrivals:
        pool.add(waiting(sender, nonce))
    chosen = block(pool)
    for sender in "abc":
        nonces = [nonce for who, nonce in chosen if who == sender]
        expected = 0
        while (sender, expected) in arrivals:
            expected += 1
        assert nonces == list(range(expected))
        assert pool.next_nonce(sender, 0) == expected
    for each in list(pool):
        pool.remove(each)
        pool.remove(each)
    assert len(pool) == 0
    assert not pool._accounts
    assert pool._bytes == 0


def test_first_come_is_first_served_between_senders() -> None:
    pool = TransactionPool()
    for sender, nonce in [("b", 0), ("a", 0), ("c", 1), ("b", 1), ("c", 0)]:
        pool.add(waiting(sender, nonce))
    assert block(pool) == [("b", 0), ("a", 0), ("b", 1), ("c", 0), ("c", 1)]
    assert block(pool, at_most=2) == [("b", 0), ("a", 0)]
    assert block(pool, gas_limit=70_000) == [("b", 0), ("a", 0), ("b", 1)]


def test_a_replacement_pays_ten_percent_more_and_keeps_its_place() -> None:
    pool = TransactionPool()
    former = waiting("a", 0, fee=101)
    pool.add(former)
    pool.add(waiting("b", 0))
    with pytest.raises(TransactionRefused, match="underpriced.*at least 112 and 112 wei"):
        pool.add(waiting("a", 0, fee=111))
    assert pool.add(waiting("a", 0, fee=112)) is former
    assert pool.get(former.hash) is None
    assert block(pool) == [("a", 0), ("b", 0)]
    assert len(pool) == 2


def test_what_is_being_mined_is_not_replaced() -> None:
    pool = TransactionPool()
    mined = waiting("a", 0)
    pool.add(mined)
    pool.mark_being_mined([mined])
    with pytest.raises(TransactionRefused, match="being mined"):
        pool.add(waiting("a", 0, fee=1_000))
    pool.mark_being_mined([])
    assert pool.add(waiting("a", 0, fee=1_000)) is mined


def test_a_full_pool_refuses_newcomers_and_takes_replacements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "_MOST_WAITING", 2)
    pool = TransactionPool()
    pool.add(waiting("a", 0))
    pool.add(waiting("b", 0))
    with pytest.raises(QuotaExceeded, match="txpool is full"):
        pool.add(waiting("c", 0))
    assert "c" not in pool._accounts
    pool.add(waiting("a", 0, fee=200))
    assert len(pool) == 2


def test_one_sender_cannot_fill_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_MOST_PER_SENDER", 3)
    pool = TransactionPool()
    for nonce in range(3):
        pool.add(waiting("a", nonce))
    with pytest.raises(QuotaExceeded):
        pool.add(waiting("a", 3))
    pool.add(waiting("b", 0))
