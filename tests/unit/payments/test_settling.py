"""Batches that the contract takes, and the loop that sends them in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    EVIDENCE,
    KEY,
    OPERATOR,
    OTHER,
    Books,
    WrittenChain,
    quote,
    sign,
)

from tessera.errors import RpcUnavailable, TransactionReverted
from tessera.payments.ledger import Claim
from tessera.payments.reading import BooksReader
from tessera.payments.settle import Settler, batches
from tessera.spec.vouchers import (
    MAX_TILLS,
    MAX_WORDS,
    Line,
    Reason,
    SignedVoucher,
    TillKey,
    Voucher,
    encode_batch,
)

Name = Callable[[], str]


def settler(books: Books, **more: float) -> Settler:
    options = {"every_s": 3_600, "at_risk": 10**9, **more}
    return Settler(books.ledger, books.chain, books.clock, **options)  # type: ignore[arg-type]


async def spend(books: Books, name: Name, channel: int, amount: int, total: int) -> None:
    call = await books.accept(sign(channel, (KEY, total)), quote(amount), name())
    await books.ledger.finish(call, amount, EVIDENCE)


@given(
    st.lists(
        st.sets(st.tuples(st.integers(0, 60), st.integers(0, 1)), min_size=1, max_size=16),
        max_size=120,
    )
)
def test_every_claim_is_in_one_batch_that_the_contract_takes(
    keys: list[set[tuple[int, int]]],
) -> None:
    signature = CONSUMER.sign(bytes(32))
    claims = [
        Claim(
            SignedVoucher(
                Voucher(number, tuple(Line(*key, 5) for key in sorted(found))), signature
            ),
            {TillKey(*min(found)): 5},
            5,
        )
        for number, found in enumerate(keys)
    ]
    made = batches(claims)
    assert [claim for batch in made for claim in batch] == claims
    for batch in made:
        tills, words = encode_batch([(claim.signed, claim.charged) for claim in batch])
        assert len(tills) <= MAX_TILLS
        assert len(words) <= MAX_WORDS


async def test_what_is_settled_is_not_settled_again(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    await spend(books, name, channel, 60, 100)
    rounds = settler(books)
    assert (await rounds.settle()).total == 60
    assert chain.flushed == [KEY.asset]
    assert (await rounds.settle()).results == []
    await spend(books, name, channel, 40, 100)
    assert (await rounds.settle()).total == 40
    await books.reopen()
    assert await books.ledger.claims() == []


async def test_a_skipped_voucher_is_reported_and_not_sent_again_by_itself(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel, other = chain.open(), chain.open(salt=1)
    await spend(books, name, channel, 60, 100)
    await spend(books, name, other, 70, 100)
    chain.model.release(OPERATOR.address, channel)
    rounds = settler(books)
    report = await rounds.settle()
    assert report.total == 70
    assert report.skipped == [(channel, Reason.BALANCE_TOO_LOW)]
    assert (await rounds.settle(retry_skipped=False)).results == []
    assert len((await rounds.settle()).results) == 1


async def test_one_claim_that_reverts_does_not_hold_up_the_others(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    """An asset whose terms the registry does not know makes the contract revert the whole batch;
    an attacker would pay one unit to stop an operator's settlements for good."""
    channels = [chain.open(salt=salt) for salt in range(4)]
    for channel in channels:
        await spend(books, name, channel, 10, 10)
    poisoned = sorted(channels)[2]

    def credit(asset: int, *_: object) -> None:
        raise TransactionReverted("Registry", "registry: no such terms")

    whole = chain.settle

    async def settle(tills: list[TillKey], words: list[int]) -> object:
        chain.model._credit = credit if any(w & (2**64 - 1) == poisoned for w in words) else None
        return await whole(tills, words)

    chain.settle = settle  # type: ignore[method-assign, assignment]
    report = await settler(books).settle()
    assert report.total == 30
    assert report.refused == [(poisoned, "registry: no such terms")]


async def test_one_asset_whose_income_cannot_be_handed_on_does_not_hold_up_the_others(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    await spend(books, name, channel, 60, 100)
    call = await books.accept(sign(channel, (KEY, 60), (OTHER, 40)), quote(40, OTHER), name())
    await books.ledger.finish(call, 40, EVIDENCE)
    whole = chain.flush

    async def flush(asset: int) -> str:
        if asset == min(KEY.asset, OTHER.asset):
            raise TransactionReverted("Share", "share: lifetime limit")
        return await whole(asset)

    chain.flush = flush  # type: ignore[method-assign]
    report = await settler(books).settle()
    assert report.total == 100
    assert report.flushed == chain.flushed == [OTHER.asset]
    assert report.not_flushed == [(KEY.asset, "share: lifetime limit")]


async def test_the_loop_survives_a_chain_that_does_not_answer(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    await spend(books, name, chain.open(), 60, 100)
    chain.settle_fails = [RpcUnavailable("node"), RpcUnavailable("node")]
    ticks = 0

    async def sleep(_seconds: float) -> None:
        nonlocal ticks
        ticks += 1
        books.clock.now += 100
        await asyncio.sleep(0)

    rounds = Settler(
        books.ledger, chain, books.clock, every_s=50, at_risk=10**9, watch_s=1, sleep=sleep
    )
    loop = asyncio.create_task(rounds.run())
    async with asyncio.timeout(60):
        while await books.ledger.claims():  # noqa: ASYNC110 - the loop tells nobody
            await asyncio.sleep(0.01)
    loop.cancel()
    assert ticks >= 3


async def test_the_loop_settles_at_once_when_a_consumer_withdraws(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    await spend(books, name, channel, 60, 100)
    chain.model.request_withdrawal(CONSUMER.address, OPERATOR.address, channel, chain.now)
    rounds = Settler(books.ledger, chain, books.clock, every_s=10**9, at_risk=10**9, watch_s=0.01)
    loop = asyncio.create_task(rounds.run())
    async with asyncio.timeout(60):
        while await books.ledger.claims():  # noqa: ASYNC110 - the loop tells nobody
            await asyncio.sleep(0.01)
    loop.cancel()
    assert chain.model.channels[OPERATOR.address, channel].balance == 10_000 - 60


async def test_a_command_settles_beside_a_running_gateway(
    books: Books, chain: WrittenChain, name: Name
) -> None:
    channel = chain.open()
    await spend(books, name, channel, 60, 200)
    reader = await BooksReader.open(books.path, DOMAIN, OPERATOR.address)
    beside = Settler(reader, chain, books.clock, every_s=1, at_risk=1)
    assert (await beside.settle()).total == 60
    await reader.close()
    books.clock.now += 60
    await spend(books, name, channel, 40, 100)
    (account,) = await books.ledger.look_at_chain([channel])
    line = account.lines[KEY]
    assert (line.charged, line.settled) == (100, 60)
    assert (await settler(books).settle()).total == 40
