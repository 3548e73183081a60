"""What was charged becomes money of the Tills, whatever one channel does to the others."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.payments.x402.conftest import KEY, RULES, Payer, Shop, till_of

from tessera.errors import ChainError, PaymentRequired
from tessera.payments.x402.claiming import ClaimsFromBooks, X402Claimer
from tessera.spec.vouchers import TillKey
from tessera.spec.x402 import ChannelState


def claimer(shop: Shop, flushed: list[TillKey], **how: float) -> X402Claimer:
    async def flush(key: TillKey) -> None:
        flushed.append(key)

    async def soon(_: float) -> None:
        await asyncio.sleep(0.001)

    return X402Claimer(
        shop.tender.batch,
        shop.chain,
        flush,
        every_s=how.get("every_s", 3_600),
        at_risk=int(how.get("at_risk", 10**9)),
        sleep=soon,
        steady=shop.steady,
    )


async def test_one_round_claims_settles_and_hands_on(shop: Shop) -> None:
    payers = [Payer(shop, bytes([n]) * 32) for n in range(1, 4)]
    for payer in payers:
        await payer.call(100_000, 30_000)
    flushed: list[TillKey] = []
    report = await claimer(shop, flushed).settle()
    assert (report.total, report.channels, report.settled) == (90_000, 3, [KEY])
    assert shop.chain.sent[3:] == ["claim", "settle"]
    assert shop.chain.money[till_of(*KEY)] == 90_000
    assert flushed == [KEY]
    again = await claimer(shop, flushed).settle()
    assert (again.total, flushed) == (0, [KEY])


async def test_a_channel_that_cannot_be_claimed_holds_nobody_up(shop: Shop) -> None:
    payers = [Payer(shop, bytes([n]) * 32) for n in range(1, 4)]
    calls = [await payer.call(100_000, 30_000) for payer in payers]
    broken = calls[1].book.id  # type: ignore[attr-defined]
    shop.chain.model.channels[broken] = ChannelState(1, 0)
    made = claimer(shop, [])
    report = await made.settle()
    assert (report.total, report.channels) == (60_000, 2)
    assert [refused.reason for refused in report.refused] == ["ClaimExceedsBalance()"]
    sent = len(shop.chain.sent)
    assert (await made.settle(retry_refused=False)).refused == []
    assert len(shop.chain.sent) == sent


async def test_what_was_claimed_before_a_crash_is_sent_on_after_it(payer: Payer) -> None:
    shop = payer.shop
    await payer.call(100_000, 30_000)
    batch = shop.tender.batch
    due = await batch.due()
    await shop.chain.claim(await batch.claims_of(due))
    await batch.look(due[0].id)
    await shop.reopen()
    flushed: list[TillKey] = []
    task = asyncio.create_task(claimer(shop, flushed).run())
    async with asyncio.timeout(5):
        while not flushed:  # noqa: ASYNC110 - the model tells nobody
            await asyncio.sleep(0.01)
    task.cancel()
    assert shop.chain.money[till_of(*KEY)] == 30_000


async def test_it_claims_at_once_when_as_much_is_due_as_is_risked(payer: Payer) -> None:
    shop = payer.shop
    await payer.call(100_000, 30_000)
    made = claimer(shop, [])
    made.hurry()
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(5):
        while "settle" not in shop.chain.sent:  # noqa: ASYNC110 - the model tells nobody
            await asyncio.sleep(0.01)
    task.cancel()


async def test_it_claims_at_once_from_whoever_is_leaving(payer: Payer) -> None:
    """A voucher reserves nothing: what is not claimed when a withdrawal ends is lost."""
    shop = payer.shop
    call = await payer.call(100_000, 30_000)
    config = call.book.config  # type: ignore[attr-defined]
    task = asyncio.create_task(claimer(shop, []).run())
    await asyncio.sleep(0.05)
    assert "claim" not in shop.chain.sent
    shop.chain.model.initiate_withdraw(config, 1_970_000, config.payer, 1_000)
    async with asyncio.timeout(5):
        while "settle" not in shop.chain.sent:  # noqa: ASYNC110 - the model tells nobody
            await asyncio.sleep(0.01)
    task.cancel()
    assert shop.chain.money[till_of(*KEY)] == 30_000


@pytest.mark.parametrize("how", [{"at_risk": 30_000}, {"every_s": 0.0}])
async def test_it_claims_by_amount_and_by_time_and_survives_the_chain(
    payer: Payer, how: dict[str, float]
) -> None:
    shop = payer.shop
    await payer.call(100_000, 30_000)
    shop.chain.fails.append(ChainError("the chain does not answer"))
    task = asyncio.create_task(claimer(shop, [], **how).run())
    async with asyncio.timeout(5):
        while "settle" not in shop.chain.sent:  # noqa: ASYNC110 - the model tells nobody
            await asyncio.sleep(0.01)
    task.cancel()
    assert await shop.tender.batch.due() == []


async def test_books_alone_are_enough_to_claim(payer: Payer) -> None:
    """The gateway is gone, and its channels' delays run."""
    shop = payer.shop
    await payer.call(100_000, 30_000)
    books = ClaimsFromBooks(shop.ledger.look_up, shop.chain)
    assert [book.due for book in await books.due()] == [30_000]

    async def flush(_: TillKey) -> None: ...

    report = await X402Claimer(books, shop.chain, flush, every_s=60, at_risk=1).settle()
    assert (report.total, report.settled) == (30_000, [KEY])
    assert shop.chain.money[till_of(*KEY)] == 30_000
    assert await books.due() == []


async def test_attack_a_voucher_that_a_command_published_pays_for_nothing(payer: Payer) -> None:
    """A command claims from the books and writes nothing; the gateway sees it on the chain."""
    shop = payer.shop
    await payer.call(100_000, 30_000)
    books = ClaimsFromBooks(shop.ledger.look_up, shop.chain)
    await shop.chain.claim(await books.claims_of(await books.due()))
    shop.steady.now += RULES.refresh_s + 1
    with pytest.raises(PaymentRequired, match="others know"):
        await payer.begin(70_000)
    await payer.call(70_001, 1)
