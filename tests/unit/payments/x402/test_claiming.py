"""What was charged becomes money of the Tills, whatever one channel does to the others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select
from tests.unit.payments.x402.conftest import EVIDENCE, KEY, RULES, Payer, Shop, till_of

from tessera.errors import ChainError, PaymentRequired, RiskReached, TransactionReverted
from tessera.payments.risk import NO_LIMITS, GasPrice, RiskRules
from tessera.payments.settle import Follow
from tessera.payments.settling import Kind, Settlements
from tessera.payments.x402.claiming import ClaimsFromBooks, X402Claimer
from tessera.payments.x402.following import ClaimBooks
from tessera.spec.vouchers import TillKey
from tessera.spec.x402 import ChannelState
from tessera.storage import schema

GWEI = 10**9
COIN = 3_000_000_000
WEIGHED = RiskRules(20_000_000, 50_000_000, 10**9, 3_600, 500, 86_400)


def claimer(shop: Shop, flushed: list[TillKey], **how: float) -> X402Claimer:
    async def flush(key: TillKey) -> None:
        flushed.append(key)

    async def soon(_: float) -> None:
        await asyncio.sleep(0.001)

    async def price() -> GasPrice:
        return GasPrice(GWEI, int(how["coin"]))

    follow = None
    if "coin" in how:
        rules = replace(WEIGHED, at_risk_units=int(how.get("at_risk", 10**9)))
        batch = shop.tender.batch
        settlements = Settlements(
            ClaimBooks(shop.ledger, batch), shop.chain, kind=Kind.X402, confirmations=2
        )
        follow = Follow(settlements, rules, price, shop.clock, lambda: shop.exposures.waiting)

    return X402Claimer(
        shop.tender.batch,
        shop.chain,
        flush,
        every_s=how.get("every_s", 3_600),
        at_risk=int(how.get("at_risk", 10**9)),
        sleep=soon,
        steady=shop.steady,
        follow=follow,
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
    assert (await made.look()).refused == []


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
    async with asyncio.timeout(30):
        while not flushed:  # noqa: ASYNC110 - the model tells nobody
            await asyncio.sleep(0.01)
    task.cancel()
    assert shop.chain.money[till_of(*KEY)] == 30_000


async def test_it_claims_at_once_from_whoever_was_refused_for_what_is_at_stake(
    payer: Payer,
) -> None:
    shop = payer.shop
    await payer.call(100_000, 30_000)
    made = claimer(shop, [], coin=0)
    shop.exposures.on_reached(made.hurry)
    shop.exposures.rules = replace(NO_LIMITS, payer_units=100_000)
    with pytest.raises(RiskReached):
        await payer.begin(70_001)
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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


async def test_attack_channels_of_one_unit_are_not_claimed_for_more_than_they_bring(
    shop: Shop,
) -> None:
    """An attacker opens many channels and is charged a unit on each; every hour each was claimed
    for twenty-five thousand gas. What is worth less than its gas waits, and a channel that is worth
    it is claimed without them."""
    crowd = [Payer(shop, bytes([n]) * 32) for n in range(1, 6)]
    for each in crowd:
        await each.call(100_000, 1)
    flushed: list[TillKey] = []
    made = claimer(shop, flushed, coin=COIN)
    shop.steady.now += 3_601
    report = await made.look()
    assert (report.channels, len(made.too_dear)) == (0, 5)
    assert "claim" not in shop.chain.sent
    # 80,000 gas of a gwei cost 0.24; five percent of 10 dollars bear it, and not a Till's transfer.
    rich = Payer(shop, b"\x77" * 32)
    for _ in range(10):
        await rich.call(1_000_000, 1_000_000)
    report = await made.look()
    assert (report.channels, report.total, len(made.too_dear)) == (1, 10_000_000, 5)
    assert report.settled == flushed == []
    # Never for more than it may cost, whatever gas costs until it is in a block.
    (ceiling,) = shop.chain.ceilings
    assert ceiling is not None
    assert ceiling > GWEI
    assert GasPrice(ceiling, COIN).cost_ceil(80_000) <= 500_000
    # From the contract to the holders it goes on with the next one.
    await rich.call(1_000_000, 1_000_000)
    for _ in range(4):
        await rich.call(1_000_000, 1_000_000)
    shop.steady.now += 3_601
    assert (await made.look()).settled == [KEY] == flushed
    assert (await made.settle()).channels == 5


async def test_attack_dust_that_leaves_is_not_claimed_at_any_price(payer: Payer) -> None:
    """Whoever withdraws is claimed from in haste, and could choose the most expensive moment."""
    shop = payer.shop
    call = await payer.call(100_000, 1_000)
    config = call.book.config  # type: ignore[attr-defined]
    shop.chain.model.initiate_withdraw(config, 1_970_000, config.payer, int(shop.clock()))
    made = claimer(shop, [], coin=COIN)
    assert (await made.look()).channels == 0
    assert len(made.too_dear) == 1


async def test_a_claim_is_followed_until_it_is_final_and_again_when_its_block_is_gone(
    payer: Payer,
) -> None:
    """A block can be taken back, and the money with it: until it is final it is at stake."""
    shop = payer.shop
    await payer.call(100_000, 30_000)
    made = claimer(shop, [], coin=0, at_risk=30_000)
    assert (await made.look()).channels == 1
    assert [found.state.name for found in made.open] == ["MINED"]
    assert shop.exposures.total == 30_000
    book = (await shop.tender.batch.look(payer_channel(shop))) or pytest.fail("no book")
    assert book.due == 0
    # The block is gone, and its transaction with it; a process that starts knows of the claim.
    mined = dict(shop.chain.mined)
    shop.chain.mined.clear()
    shop.chain.model.channels[book.id] = ChannelState(book.chain.balance, 0)
    await made.look()
    assert [found.state.name for found in made.open] == ["SENT"]
    assert [each.due for each in await shop.tender.batch.due()] == [30_000]
    await shop.reopen()
    made = claimer(shop, [], coin=0)
    await made.look()
    assert [found.state.name for found in made.open] == ["SENT"]
    shop.chain.mined, shop.chain.deep = mined, 2
    shop.chain.model.channels[book.id] = ChannelState(book.chain.balance, 30_000)
    await made.look()
    assert made.open == ()
    assert await shop.tender.batch.due() == []
    assert shop.exposures.total == 0


def payer_channel(shop: Shop) -> bytes:
    (name,) = shop.tender.batch.held.names()
    return name


async def test_attack_a_claim_that_was_refused_once_is_not_lost(payer: Payer) -> None:
    """A block was full when a channel was claimed, and the claim reverted. Nobody called on that
    channel again, so it was not tried again, not even when its payer asked for his money back."""
    shop = payer.shop
    call = await payer.call(100_000, 30_000)
    config = call.book.config  # type: ignore[attr-defined]
    made = claimer(shop, [])
    for step in ("time", "leaving"):
        shop.steady.now += 3_601
        shop.chain.fails.append(TransactionReverted("X402Channels", "out of gas"))
        assert len((await made.look()).refused) == 1
        # Not at once, which would be in vain again; but with the next settlement by time.
        assert (await made.look()).channels == 0
        if step == "time":
            shop.steady.now += 3_601
        else:
            shop.chain.model.initiate_withdraw(config, 1_000_000, config.payer, 1_000)
        assert (await made.look()).channels == 1
        if step == "time":
            await payer.call(100_000, 30_000)


async def test_claims_and_settlements_share_a_table_and_no_row_of_it(payer: Payer) -> None:
    shop = payer.shop
    await payer.call(100_000, 30_000)
    batch = shop.tender.batch
    claims = await batch.claims_of(await batch.due())
    for _ in range(2):
        kinds = [
            Settlements(ClaimBooks(shop.ledger, batch), shop.chain, kind=kind, confirmations=9)
            for kind in Kind
        ]
        for settlements in (*kinds, *reversed(kinds)):
            await settlements.recover()
            await settlements.settle(lambda c: shop.chain.submit_claim(claims, c), [2**63], 5)
    rows = await shop.ledger.look_up(lambda c: c.execute(select(schema.claims)).all())
    assert len({row.n for row in rows}) == len(rows) == 8
    assert [[found.value for found in each.open] for each in kinds] == [[5] * 4] * 2


@pytest.mark.parametrize("stuck", [KEY, TillKey(9, 1)])
async def test_attack_a_till_that_takes_nothing_holds_up_no_other_assets_income(
    payer: Payer, stuck: TillKey
) -> None:
    """The holders of one asset make its share refuse income. The operator's round ended there, and
    what came after in it, other assets' income, was never sent on."""
    shop, keys = payer.shop, [KEY, TillKey(9, 1)]
    for number, key in enumerate(keys, start=1):
        one = Payer(shop, bytes([number]) * 32)
        demand = shop.demand(100_000, key=key)
        call = await shop.tender.take(one.head(demand), demand)
        await shop.tender.finish(call, 30_000, EVIDENCE)

    async def flush(key: TillKey) -> None:
        if key == stuck:
            raise TransactionReverted("Share", "share: full")

    made = X402Claimer(shop.tender.batch, shop.chain, flush, every_s=60, at_risk=1)
    report = await made.settle()
    assert report.total == 60_000
    assert report.settled == [key for key in keys if key != stuck]
    assert report.not_flushed == [(stuck, "share: full")]
