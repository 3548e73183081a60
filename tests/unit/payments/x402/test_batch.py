"""Taking vouchers of the standard's channels: nothing unpaid is served, or unserved is taken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.payments.x402.conftest import EVIDENCE, OPERATOR, RULES, Head, Payer, till_of
from x402.http.utils import encode_payment_signature_header
from x402.mechanisms.evm.batch_settlement.client.channel import build_channel_config
from x402.mechanisms.evm.batch_settlement.client.refund import _build_refund_payment_payload
from x402.schemas import PaymentRequired as OfficialRequired

from tessera.errors import (
    ChainError,
    Closed,
    DataError,
    PaymentRequired,
    QuotaExceeded,
    RiskReached,
    TransactionReverted,
)
from tessera.payments.risk import NO_LIMITS, Exposures
from tessera.payments.tender import Outcome
from tessera.payments.x402.batch import BatchCall
from tessera.payments.x402.wire import Deposit, Reason, parse_payment
from tessera.spec.vouchers import TillKey
from tessera.spec.x402 import VoucherClaim
from tessera.spec.x402_digests import ChannelConfig


def book_of(call: object):  # type: ignore[no-untyped-def]
    assert isinstance(call, BatchCall)
    return call.book


async def test_the_deposit_is_on_the_chain_before_anything_is_served(payer: Payer) -> None:
    call = await payer.begin(40_000)
    book = book_of(call)
    assert payer.shop.chain.sent == ["deposit"]
    assert book.chain.balance == 2_000_000
    signed = await payer.shop.tender.finish(call, 30_000, EVIDENCE)
    assert (signed.cost, signed.receipt.charged) == (30_000, 30_000)
    told = payer.hear(payer.shop.tender.headers(call, Outcome.EARNED, 30_000))
    assert told.success
    assert told.transaction.startswith("0x")
    assert payer.base == 30_000


async def test_the_second_call_is_a_voucher_alone(payer: Payer) -> None:
    await payer.call(40_000, 30_000)
    call = await payer.call(50_000, 50_000)
    assert payer.shop.chain.sent == ["deposit"]
    assert book_of(call).charged == payer.base == 80_000
    receipt = await payer.shop.ledger.receipt_of_call(0, call.id)
    assert receipt is not None
    assert receipt.receipt.charged == 80_000


async def test_a_stream_names_its_ceiling_and_the_next_call_takes_it_back(payer: Payer) -> None:
    shop = payer.shop
    call = await payer.begin(40_000, stream=True)
    payer.hear(shop.tender.headers(call, Outcome.BEGUN))
    await shop.tender.finish(call, 10_000, EVIDENCE)
    assert (payer.base, book_of(call).charged) == (40_000, 10_000)
    await payer.call(40_000, 35_000)
    assert (payer.base, book_of(call).charged) == (45_000, 45_000)


async def test_a_stream_that_is_cut_off_by_a_crash_can_still_be_charged(payer: Payer) -> None:
    """Its voucher is on the disk before its first byte leaves."""
    call = await payer.begin(40_000, stream=True)
    kept = book_of(call)
    await payer.shop.reopen()
    found = await payer.shop.tender.batch.look(kept.id)
    assert found is not None
    assert [v.maximum for v in found.vouchers] == [40_000]
    assert found.charged == 0


async def test_an_upstream_that_fails_after_the_deposit_costs_nothing(payer: Payer) -> None:
    """The client hears of a success without a charge: else it would deposit a second time."""
    shop = payer.shop
    call = await payer.begin(40_000)
    shop.tender.fail(call)
    told = payer.hear(shop.tender.headers(call, Outcome.FAILED))
    assert told.success
    assert told.extra is not None
    assert told.extra["chargedAmount"] == "0"
    await payer.call(40_000, 30_000)
    assert shop.chain.sent == ["deposit"]
    assert book_of(call).charged == 30_000


async def test_books_remember_over_a_restart(payer: Payer) -> None:
    await payer.call(40_000, 30_000)
    await payer.shop.reopen()
    call = await payer.call(40_000, 5_000)
    assert book_of(call).charged == 35_000
    assert payer.shop.chain.sent == ["deposit"]


async def test_what_cannot_be_written_is_not_charged(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await payer.call(40_000, 30_000)
    call = await payer.begin(40_000)
    real = payer.shop.ledger.issue

    async def full(*_: object) -> None:
        raise DataError("books", found="a full disk", wanted="room")

    monkeypatch.setattr(payer.shop.ledger, "issue", full)
    with pytest.raises(DataError):
        await payer.shop.tender.finish(call, 10_000, EVIDENCE)
    payer.hear(payer.shop.tender.headers(call, Outcome.FAILED))
    monkeypatch.setattr(payer.shop.ledger, "issue", real)
    again = await payer.call(40_000, 1_000)
    assert book_of(again).charged == 31_000


# --- One call at a time --------------------------------------------------------------------------


async def test_a_second_call_on_a_channel_waits_for_the_first(payer: Payer) -> None:
    await payer.call(40_000, 40_000)
    shop, first = payer.shop, await payer.begin(40_000)
    waiting = asyncio.create_task(payer.begin(40_000))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    shop.tender.fail(first)
    second = await waiting
    assert book_of(second).charged == 40_000
    shop.tender.fail(second)


async def test_a_waiter_whose_voucher_became_stale_is_corrected(payer: Payer) -> None:
    await payer.call(40_000, 40_000)
    shop, first = payer.shop, await payer.begin(40_000)
    waiting = asyncio.create_task(payer.begin(40_000))
    await asyncio.sleep(0.01)
    await shop.tender.finish(first, 10_000, EVIDENCE)
    with pytest.raises(PaymentRequired) as refusal:
        await waiting
    assert refusal.value.operands["x402"] == str(Reason.AMOUNT_MISMATCH)
    offer = refusal.value.operands["accepts"][0]  # type: ignore[index]
    assert offer["extra"]["channelState"]["chargedCumulativeAmount"] == "50000"
    assert int(offer["extra"]["voucherState"]["signedMaxClaimable"]) >= 50_000


async def test_a_busy_channel_says_so_after_a_while(payer: Payer) -> None:
    payer.shop.rules = replace(RULES, wait_s=0.05)
    await payer.shop.reopen()
    first = await payer.begin(40_000)
    with pytest.raises(PaymentRequired) as refusal:
        await payer.begin(40_000)
    assert refusal.value.operands["x402"] == str(Reason.CHANNEL_BUSY)
    assert refusal.value.operands["retry_after_s"] == 1
    payer.shop.tender.fail(first)


# --- What is refused -----------------------------------------------------------------------------


async def refused(payer: Payer, most: int = 40_000) -> str:
    with pytest.raises(PaymentRequired) as refusal:
        await payer.begin(most)
    assert payer.shop.ledger.in_flight == 0
    return str(refusal.value.operands["x402"])


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("receiver", "0x" + "11" * 20, Reason.RECEIVER_MISMATCH),
        ("receiver_authorizer", "0x" + "11" * 20, Reason.AUTHORIZER_MISMATCH),
        ("token", "0x" + "11" * 20, Reason.CURRENCY_MISMATCH),
        ("withdraw_delay", 7_199, Reason.DELAY_MISMATCH),
        ("withdraw_delay", 2_592_001, Reason.DELAY_OUT_OF_RANGE),
        ("payer_authorizer", "0x" + "00" * 20, Reason.VOUCHER_SIGNATURE),
        ("payer_authorizer", "0x" + "11" * 20, Reason.VOUCHER_SIGNATURE),
    ],
)
async def test_attack_other_terms_than_the_announced_are_refused(
    payer: Payer, monkeypatch: pytest.MonkeyPatch, field: str, value: object, reason: Reason
) -> None:
    """A payer signs for a channel whose money is not ours, or not ours for long enough.

    Its name hashes right: another receiver earns what we serve, another authorizer refunds it away,
    another token is worth nothing, a short delay ends before we settle, and the signature of a
    contract is good only until the contract says otherwise.
    """

    def wrong(*args: Any) -> object:
        config = build_channel_config(*args)
        setattr(config, field, value)
        return config

    module = "x402.mechanisms.evm.batch_settlement.client.scheme.build_channel_config"
    monkeypatch.setattr(module, wrong)
    assert await refused(payer) == str(reason)
    assert payer.shop.chain.sent == []


async def test_a_delay_that_was_announced_before_stays_good(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await payer.call(40_000, 30_000)
    payer.shop.rules = replace(RULES, withdraw_delay_s=172_800)
    await payer.shop.reopen()

    def kept(*args: Any) -> object:
        config = build_channel_config(*args)
        config.withdraw_delay = 86_400
        return config

    module = "x402.mechanisms.evm.batch_settlement.client.scheme.build_channel_config"
    monkeypatch.setattr(module, kept)
    call = await payer.begin(40_000)
    assert book_of(call).charged == 30_000


async def test_attack_a_channel_that_is_not_the_one_it_is_called(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terms are ours, the name is that of a channel with money that somebody else has."""
    module = "x402.mechanisms.evm.batch_settlement.client.eip3009.compute_channel_id"
    monkeypatch.setattr(module, lambda *_: "0x" + "42" * 32)
    assert await refused(payer) == str(Reason.CHANNEL_ID_MISMATCH)


async def test_attack_a_replayed_request_is_not_served_again(payer: Payer) -> None:
    shop = payer.shop
    demand = shop.demand(40_000)
    head = payer.head(demand)
    call = await shop.tender.take(head, demand)
    await shop.tender.finish(call, 1, EVIDENCE)
    with pytest.raises(PaymentRequired) as refusal:
        await shop.tender.take(head, demand)
    assert refusal.value.operands["x402"] == str(Reason.AMOUNT_MISMATCH)
    assert shop.chain.sent == ["deposit"]


async def test_attack_a_voucher_that_a_claim_published_pays_for_nothing(payer: Payer) -> None:
    """A stranger reads a claim's calldata and spends what the voucher has left."""
    shop = payer.shop
    call = await payer.call(100_000, 30_000)
    book = book_of(call)
    claims = await shop.tender.batch.claims_of(await shop.tender.batch.due())
    assert [(c.maximum, c.charged) for c in claims] == [(100_000, 30_000)]
    await shop.chain.claim(claims)
    await shop.tender.batch.look(book.id)
    # What remains of it is the price of this call, so official code signs the very same voucher.
    assert await refused(payer, 70_000) == str(Reason.AMOUNT_MISMATCH)
    await shop.reopen()
    assert await refused(payer, 70_000) == str(Reason.AMOUNT_MISMATCH)
    later = await payer.call(70_001, 70_001)
    assert book_of(later).charged == 100_001
    assert not book_of(later).published


async def test_attack_a_payer_who_is_leaving_is_not_served(payer: Payer) -> None:
    """A withdrawal was asked for; what is served now might be claimed too late."""
    call = await payer.call(40_000, 30_000)
    book = book_of(call)
    payer.shop.chain.model.initiate_withdraw(book.config, 1_000_000, book.config.payer, 1_000)
    payer.shop.steady.now += RULES.refresh_s + 1
    with pytest.raises(Closed, match="withdrawal"):
        await payer.begin(40_000)


async def test_attack_a_deposit_that_fails_is_not_served(payer: Payer) -> None:
    payer.shop.chain.money[payer.address] = 10
    assert await refused(payer) == str(Reason.DEPOSIT_FAILED)
    payer.shop.chain.money[payer.address] = 10_000_000
    call = await payer.call(40_000, 30_000)
    assert book_of(call).chain.balance == 2_000_000


async def test_a_chain_that_does_not_answer_is_no_refusal_of_the_payment(payer: Payer) -> None:
    payer.shop.chain.fails.append(ChainError("the chain does not answer"))
    with pytest.raises(ChainError):
        await payer.begin(40_000)
    await payer.call(40_000, 30_000)


async def test_a_deposit_below_the_least_is_refused(payer: Payer) -> None:
    payer.shop.rules = replace(RULES, least_deposit=3_000_000)
    await payer.shop.reopen()
    assert await refused(payer) == str(Reason.DEPOSIT_BELOW_MINIMUM)


@pytest.mark.parametrize(
    ("now", "reason"), [(1_000, None), (9_000_000_000, Reason.DEPOSIT_EXPIRED)]
)
async def test_a_deposit_that_may_end_before_it_is_in_a_block_is_refused(
    payer: Payer, now: int, reason: Reason | None
) -> None:
    payer.shop.now = now
    if reason is None:
        payer.shop.tender.fail(await payer.begin(40_000))
    else:
        assert await refused(payer) == str(reason)


async def test_attack_a_deposit_that_another_signed(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's authorization for another amount is put beside one's own voucher."""
    demand = payer.shop.demand(40_000)
    payment = parse_payment(payer.head(demand).payment)
    assert payment.deposit is not None
    more = replace_deposit(payment, payment.deposit.amount + 1)
    with pytest.raises(PaymentRequired) as refusal:
        await payer.shop.tender.batch.take(more, demand.quote, demand.name, stream=False)
    assert refusal.value.operands["x402"] == str(Reason.DEPOSIT_SIGNATURE)


def replace_deposit(payment, amount: int):  # type: ignore[no-untyped-def]

    deposit = msgspec.structs.replace(payment.deposit, amount=amount)
    return msgspec.structs.replace(payment, deposit=deposit)


async def test_a_voucher_without_any_deposit_is_refused(payer: Payer) -> None:
    demand = payer.shop.demand(40_000)
    payment = parse_payment(payer.head(demand).payment)

    bare = msgspec.structs.replace(payment, deposit=None)
    with pytest.raises(PaymentRequired) as refusal:
        await payer.shop.tender.batch.take(bare, demand.quote, demand.name, stream=False)
    assert refusal.value.operands["x402"] == str(Reason.CHANNEL_NOT_FOUND)


async def test_a_payment_for_another_price_is_refused(payer: Payer) -> None:
    head = payer.head(payer.shop.demand(40_000))
    with pytest.raises(PaymentRequired) as refusal:
        await payer.shop.tender.take(head, payer.shop.demand(40_001))
    assert refusal.value.operands["x402"] == str(Reason.NO_MATCH)
    other = payer.shop.demand(40_000, key=TillKey(8, 1))
    with pytest.raises(PaymentRequired):
        await payer.shop.tender.take(head, other)


async def test_the_deposit_of_a_request_that_is_sent_twice_is_made_once(payer: Payer) -> None:
    """The answer got lost after the deposit; an impatient library sends the same bytes again."""
    shop = payer.shop
    demand = shop.demand(40_000)
    head = payer.head(demand)
    shop.tender.fail(await shop.tender.take(head, demand))
    again = await shop.tender.take(head, demand)
    assert shop.chain.sent == ["deposit"]
    assert book_of(again).chain.balance == 2_000_000


async def test_a_deposit_that_somebody_hands_in_meanwhile_is_there(payer: Payer) -> None:
    """Whoever sees it on its way may; the money is in the channel all the same."""
    shop = payer.shop
    demand = shop.demand(40_000)
    head = payer.head(demand)
    payment = parse_payment(head.payment)
    assert payment.voucher is not None
    assert payment.deposit is not None
    real = shop.chain.deposit

    async def raced(config: ChannelConfig, deposit: Deposit) -> str:
        await real(config, deposit)
        return await real(config, deposit)

    shop.chain.deposit = raced  # type: ignore[method-assign]
    call = await shop.tender.take(head, demand)
    assert book_of(call).chain.balance == 2_000_000


async def test_as_much_as_is_risked_is_served_and_then_claimed(payer: Payer) -> None:
    shop = payer.shop
    shop.exposures = Exposures(replace(NO_LIMITS, channel_units=100_000), retry_after_s=15)
    await shop.reopen()
    hurried: list[int] = []
    shop.exposures.on_reached(lambda: hurried.append(1))
    await payer.call(60_000, 60_000)
    with pytest.raises(RiskReached) as refusal:
        await payer.begin(60_000)
    assert hurried == [1]
    assert refusal.value.operands["retry_after_s"] == 15
    batch = shop.tender.batch
    await shop.chain.claim(await batch.claims_of(await batch.due()))
    shop.steady.now += RULES.refresh_s + 1
    await payer.call(60_000, 60_000)
    # And who owes is known before his first call to the next process.
    shop.exposures = Exposures(replace(NO_LIMITS, payer_units=100_000))
    await shop.reopen()
    assert shop.exposures.of_payer(payer.address) == 60_000
    with pytest.raises(RiskReached, match="this payer"):
        await payer.begin(60_000)


async def test_attack_a_payer_has_one_limit_whichever_way_he_pays(payer: Payer) -> None:
    """Who was served up to his limit on our channels opened one of the standard's, and had the
    same again. His other channels and their calls in flight count for both ways now."""
    shop = payer.shop
    shop.exposures = Exposures(replace(NO_LIMITS, payer_units=100_000))
    await shop.reopen()
    shop.exposures.note(payer.address, 1, 50_000)
    call = await payer.begin(40_000)
    assert shop.exposures.of_payer(payer.address) == 90_000
    with pytest.raises(RiskReached):
        shop.exposures.check(payer.address, 1, 10_001)
    shop.tender.fail(call)
    assert shop.exposures.of_payer(payer.address) == 50_000
    with pytest.raises(RiskReached):
        await payer.begin(50_001)
    assert shop.exposures.of_payer(payer.address) == 50_000


async def test_attack_a_stranger_uses_up_nobodys_limit(payer: Payer) -> None:
    """A channel may name anybody as its payer, who need not know of it. A stranger opened one in a
    payer's name, signed for it himself and owed as much as is risked: the payer was refused."""
    shop = payer.shop
    shop.exposures = Exposures(replace(NO_LIMITS, payer_units=100_000))
    await shop.reopen()
    stranger = Payer(shop, b"\x66" * 32)
    call = await stranger.begin(100_000)
    book = book_of(call)
    book.config = book.config._replace(payer=payer.address)
    await shop.tender.finish(call, 100_000, EVIDENCE)
    assert shop.exposures.of_payer(payer.address) == 0
    await payer.call(100_000, 1)


async def test_what_is_claimed_stays_at_stake_until_it_is_final(payer: Payer) -> None:
    shop = payer.shop
    await payer.call(60_000, 60_000)
    batch = shop.tender.batch
    due = await batch.due()
    await shop.chain.claim(await batch.claims_of(due))
    batch.held.set_unfinal(due[0].id, 60_000)
    await batch.look(due[0].id)
    assert shop.exposures.of_payer(payer.address) == 60_000
    batch.held.set_unfinal(due[0].id, 0)
    assert shop.exposures.total == 0


async def test_attack_nobody_spoils_the_repeat_of_a_call_that_failed(payer: Payer) -> None:
    """Whoever has a voucher of an old claim showed it and was told another that covers what was
    charged: the one of a stream that had just failed. Its payer asked again for the same, signed
    that very voucher, and was refused because strangers knew it."""
    shop = payer.shop
    await payer.call(5_000, 5_000)
    demand = shop.demand(5_000)
    shown = payer.head(demand)
    call = await shop.tender.take(shown, demand)
    await shop.tender.finish(call, 5_000, EVIDENCE)
    payer.hear(shop.tender.headers(call, Outcome.EARNED, 5_000))
    batch = shop.tender.batch
    await shop.chain.claim(await batch.claims_of(await batch.due()))
    await payer.call(90_000, 10_000)
    failed = await payer.begin(40_000, stream=True)
    shop.tender.fail(failed)
    payer.hear(shop.tender.headers(failed, Outcome.FAILED))
    with pytest.raises(PaymentRequired):
        await shop.tender.take(shown, shop.demand(5_000))
    again = await payer.begin(40_000, stream=True)
    await shop.tender.finish(again, 1, EVIDENCE)


async def test_channels_beyond_the_memory_are_read_again(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessera.payments.x402.held._IN_MEMORY", 2)
    shop = payer.shop
    others = [Payer(shop, bytes([n]) * 32) for n in range(20, 24)]
    for _ in range(2):
        for each in (payer, *others):
            await each.call(40_000, 10_000)
    batch = shop.tender.batch
    assert len(batch.held.names()) == 2
    assert {book.charged for book in await batch.due()} == {20_000}
    assert shop.chain.sent == ["deposit"] * 5


# --- Settling and giving back --------------------------------------------------------------------


async def test_a_claim_is_what_was_charged_and_goes_to_the_till(payer: Payer) -> None:
    shop = payer.shop
    await payer.call(100_000, 30_000)
    batch = shop.tender.batch
    claims = await batch.claims_of(await batch.due())
    await shop.chain.claim(claims)
    await shop.chain.settle(till_of(7, 1))
    assert shop.chain.money[till_of(7, 1)] == 30_000
    book = await batch.look((await batch.due())[0].id)
    assert book is not None
    assert await batch.due() == []


async def test_a_lost_file_never_charges_less_than_was_claimed(payer: Payer) -> None:
    shop = payer.shop
    call = await payer.call(100_000, 30_000)
    voucher = book_of(call).vouchers[-1]
    row = VoucherClaim(book_of(call).config, *voucher, 30_000)
    shop.chain.model.claim([row], OPERATOR.address)
    shop.path = shop.path.with_name("new.db")
    await shop.reopen()
    again = await payer.call(40_000, 10_000)
    assert book_of(again).charged == 40_000


async def refund(payer: Payer, amount: str | None = None):  # type: ignore[no-untyped-def]
    """Ask for money back as official code does."""
    demand = payer.shop.demand(11_000)
    offer = payer.shop.offers(demand)[0]
    asked = OfficialRequired(accepts=[offer])
    payload = _build_refund_payment_payload(payer.scheme._deps(), asked, offer, amount)
    head = Head(encode_payment_signature_header(payload).encode())
    return await payer.shop.tender.refund(head, demand.quote)


async def test_a_payer_gets_back_what_was_not_charged(payer: Payer) -> None:
    shop = payer.shop
    await payer.call(100_000, 30_000)
    before = shop.chain.money[payer.address]
    done = await refund(payer)
    assert done.success
    assert done.amount == "1970000"
    assert shop.chain.money[payer.address] - before == 1_970_000
    assert await shop.tender.batch.due() == []
    with pytest.raises(PaymentRequired) as refusal:
        await refund(payer)
    assert refusal.value.operands["x402"] == str(Reason.REFUND_NO_BALANCE)


async def test_a_part_may_be_given_back_and_calls_go_on(payer: Payer) -> None:
    await payer.call(100_000, 30_000)
    done = await refund(payer, "500000")
    assert done.amount == "500000"
    call = await payer.call(100_000, 10_000)
    assert book_of(call).chain.balance == 1_500_000


async def test_more_than_is_free_is_not_given_back(payer: Payer) -> None:
    await payer.call(100_000, 30_000)
    with pytest.raises(PaymentRequired) as refusal:
        await refund(payer, "1970001")
    assert refusal.value.operands["x402"] == str(Reason.REFUND_AMOUNT)
    payer.shop.chain.fails.append(TransactionReverted("X402Channels", "InvalidRefundNonce()"))
    with pytest.raises(PaymentRequired) as refusal:
        await refund(payer)
    assert refusal.value.operands["x402"] == str(Reason.REFUND_FAILED)


async def test_attack_a_stranger_does_not_end_a_channel_that_is_in_use(payer: Payer) -> None:
    """He sends a claim's voucher as a wish for money back: the payer's own, but he calls on."""
    shop = payer.shop
    await payer.call(30_000, 30_000)
    batch = shop.tender.batch
    await shop.chain.claim(await batch.claims_of(await batch.due()))
    with pytest.raises(PaymentRequired) as refusal:
        await refund(payer)
    assert refusal.value.operands["x402"] == str(Reason.CHANNEL_BUSY)
    assert refusal.value.operands["retry_after_s"] == RULES.quiet_s + 1
    shop.steady.now += RULES.quiet_s
    assert (await refund(payer)).amount == "1970000"


async def test_attack_one_deposit_does_not_cause_refunds_without_end(payer: Payer) -> None:
    """He signs for nothing but his own money, one base unit after the other, and each is a
    transaction whose gas the operator pays: two million from the least deposit, at no cost to him.
    An operator without gas cannot claim what others owe.
    """
    shop = payer.shop
    await payer.call(100_000, 30_000)
    for _ in range(RULES.refunds_of_payer):
        assert (await refund(payer, "1")).amount == "1"
    sent = len(shop.chain.sent)
    with pytest.raises(QuotaExceeded) as refusal:
        await refund(payer, "1")
    assert refusal.value.operands["retry_after_s"] == 3_600
    assert len(shop.chain.sent) == sent
    # Calls go on, and in an hour refunds do.
    await payer.call(100_000, 30_000)
    shop.steady.now += 3_600
    await refund(payer)


async def test_attack_many_payers_do_not_cause_refunds_without_end(payer: Payer) -> None:
    """The same by a new account for each deposit, the money handed on from one to the next."""
    payer.shop.rules = replace(RULES, refunds_per_hour=2)
    await payer.shop.reopen()
    for number in range(3):
        stranger = Payer(payer.shop, bytes([30 + number]) * 32)
        await stranger.call(100_000, 30_000)
        if number < 2:
            await refund(stranger)
        else:
            with pytest.raises(QuotaExceeded):
                await refund(stranger)


async def test_a_refund_waits_for_a_call_in_flight(payer: Payer) -> None:
    """Else it would give back what the call is about to cost."""
    await payer.call(100_000, 30_000)
    call = await payer.begin(100_000)
    waiting = asyncio.create_task(refund(payer))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await payer.shop.tender.finish(call, 50_000, EVIDENCE)
    payer.hear(payer.shop.tender.headers(call, Outcome.EARNED, 50_000))
    with pytest.raises(PaymentRequired) as refusal:
        # What was signed before the call covers less than was charged by now.
        await waiting
    assert refusal.value.operands["x402"] == str(Reason.AMOUNT_MISMATCH)
    assert (await refund(payer)).amount == "1920000"
