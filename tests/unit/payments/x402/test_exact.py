"""One authorization, one answer: the answer leaves when the money has moved, and only then."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.unit.payments.x402.conftest import EVIDENCE, RULES, Head, Payer, till_of

from tessera.errors import ChainError, DataError, PaymentRequired, TransactionReverted
from tessera.payments.ledger import Evidence
from tessera.payments.tender import Demand, Outcome
from tessera.payments.x402.exact import ExactCall
from tessera.payments.x402.wire import Authorization, Reason, parse_payment
from tessera.spec.signatures import keccak


def signed(payer: Payer, most: int = 40_000) -> tuple[Head, Demand, Authorization]:
    demand = payer.shop.demand(most)
    head = payer.head(demand, "exact")
    authorization = parse_payment(head.payment).authorization
    assert authorization is not None
    return head, demand, authorization


async def refused(payer: Payer, head: Head, demand: Demand) -> str:
    with pytest.raises(PaymentRequired) as refusal:
        await payer.shop.tender.take(head, demand)
    assert payer.shop.ledger.in_flight == 0
    return str(refusal.value.operands["x402"])


async def test_the_money_moves_after_the_answer_was_made_and_before_it_leaves(
    payer: Payer,
) -> None:
    shop = payer.shop
    call = await payer.begin(40_000, scheme="exact")
    assert call.held_back
    assert call.payer == payer.address
    assert shop.chain.sent == []
    receipt = await shop.tender.finish(call, 10_000, EVIDENCE)
    assert shop.chain.sent == ["transfer"]
    # The whole price: an authorization is for one amount.
    assert (receipt.cost, shop.chain.money[till_of(7, 1)]) == (40_000, 40_000)
    told = payer.hear(shop.tender.headers(call, Outcome.EARNED, receipt.cost))
    assert (told.success, told.amount) == (True, "40000")
    assert told.transaction.startswith("0x")


async def test_an_upstream_that_fails_costs_nothing_and_the_answer_says_so(payer: Payer) -> None:
    shop = payer.shop
    call = await payer.begin(40_000, scheme="exact")
    shop.tender.fail(call)
    told = payer.hear(shop.tender.headers(call, Outcome.FAILED))
    assert not told.success
    assert told.error_message == "nothing was taken"
    assert shop.chain.sent == []
    assert shop.chain.money[payer.address] == 100_000_000


async def test_a_repeat_is_refused(payer: Payer) -> None:
    shop = payer.shop
    head, demand, _ = signed(payer)
    await shop.tender.finish(await shop.tender.take(head, demand), 1, EVIDENCE)
    assert await refused(payer, head, demand) == str(Reason.EXACT_NONCE_USED)
    await shop.reopen()
    assert await refused(payer, head, demand) == str(Reason.EXACT_NONCE_USED)
    assert shop.chain.sent == ["transfer"]


async def test_attack_copies_that_come_together_are_served_once(payer: Payer) -> None:
    shop = payer.shop
    head, demand, _ = signed(payer)
    results = await asyncio.gather(
        *(shop.tender.take(head, demand) for _ in range(8)), return_exceptions=True
    )
    calls = [r for r in results if isinstance(r, ExactCall)]
    assert len(calls) == 1
    await shop.tender.finish(calls[0], 1, EVIDENCE)
    assert shop.chain.sent == ["transfer"]


async def test_attack_money_for_one_call_does_not_set_a_model_to_work_for_many(
    payer: Payer,
) -> None:
    """He signs a hundred authorizations at once, each for all that he has. One is paid; the others
    are found to be worth nothing when the model has answered them all.
    """
    shop = payer.shop
    shop.chain.money[payer.address] = 100_000
    calls = [await payer.begin(40_000, scheme="exact") for _ in range(2)]
    head, demand, _ = signed(payer)
    with pytest.raises(PaymentRequired) as refusal:
        await shop.tender.take(head, demand)
    assert refusal.value.operands["x402"] == str(Reason.EXACT_BALANCE)
    shop.tender.fail(calls[0])
    third = await shop.tender.take(head, demand)
    for call in (calls[1], third):
        await shop.tender.finish(call, 1, EVIDENCE)
    exact = shop.tender.exact
    assert exact is not None
    assert (exact._open, exact._promised) == ({}, {})


async def test_attack_an_authorization_that_was_used_elsewhere(payer: Payer) -> None:
    """Its payer handed it in himself: the money came, but this call did not bring it."""
    head, demand, by = signed(payer)
    await payer.shop.chain.transfer(by)
    assert await refused(payer, head, demand) == str(Reason.EXACT_NONCE_USED)


async def test_an_authorization_that_somebody_hands_in_meanwhile_has_paid(payer: Payer) -> None:
    """Anybody may: what counts is that the money is where it should be."""
    shop = payer.shop
    head, demand, by = signed(payer)
    call = await shop.tender.take(head, demand)
    await shop.chain.transfer(by)
    await shop.tender.finish(call, 1, EVIDENCE)
    assert shop.chain.money[till_of(7, 1)] == 40_000
    assert await refused(payer, head, demand) == str(Reason.EXACT_NONCE_USED)


async def test_attack_a_nonce_that_is_used_up_for_somebody_else(payer: Payer) -> None:
    """While the answer is made its payer spends the nonce on himself, then asks for a repeat."""
    shop = payer.shop
    head, demand, by = signed(payer)
    call = await shop.tender.take(head, demand)
    shop.chain.used[by.payer, by.nonce] = (payer.address, 40_000, "0x01")
    with pytest.raises(PaymentRequired) as refusal:
        await shop.tender.finish(call, 1, EVIDENCE)
    assert refusal.value.operands["x402"] == str(Reason.TRANSACTION_FAILED)
    told = payer.hear(shop.tender.headers(call, Outcome.FAILED))
    assert told.error_reason == str(Reason.TRANSACTION_FAILED)
    assert await refused(payer, head, demand) == str(Reason.EXACT_NONCE_USED)


async def test_attack_money_that_is_gone_when_it_is_asked_for(payer: Payer) -> None:
    shop = payer.shop
    call = await payer.begin(40_000, scheme="exact")
    shop.chain.money[payer.address] = 0
    with pytest.raises(PaymentRequired) as refusal:
        await shop.tender.finish(call, 1, EVIDENCE)
    assert refusal.value.operands["x402"] == str(Reason.TRANSACTION_FAILED)
    assert shop.chain.money.get(till_of(7, 1), 0) == 0


async def test_what_was_paid_and_not_answered_pays_for_the_repeat_and_for_nothing_else(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the transaction and the answer."""
    shop = payer.shop
    head, demand, _ = signed(payer)
    call = await shop.tender.take(head, demand)

    async def killed(*_: object) -> None:
        raise DataError("books", found="a kill", wanted="time")

    monkeypatch.setattr(shop.ledger, "issue", killed)
    with pytest.raises(DataError):
        await shop.tender.finish(call, 1, EVIDENCE)
    await shop.reopen()
    other = msgspec.structs.replace(demand, request=keccak(b"another request"))
    assert await refused(payer, head, other) == str(Reason.EXACT_NONCE_USED)
    again = await shop.tender.take(head, demand)
    receipt = await shop.tender.finish(again, 1, EVIDENCE)
    told = payer.hear(shop.tender.headers(again, Outcome.EARNED, receipt.cost))
    assert told.success
    assert told.transaction.startswith("0x")
    assert shop.chain.sent == ["transfer"]
    assert await refused(payer, head, demand) == str(Reason.EXACT_NONCE_USED)


async def test_a_transaction_that_never_left_is_made_by_the_repeat(payer: Payer) -> None:
    shop = payer.shop
    head, demand, _ = signed(payer)
    shop.chain.fails.append(ChainError("the chain does not answer"))
    with pytest.raises(ChainError):
        await shop.tender.finish(await shop.tender.take(head, demand), 1, EVIDENCE)
    await shop.tender.finish(await shop.tender.take(head, demand), 1, EVIDENCE)
    assert shop.chain.sent == ["transfer"]


async def test_a_contract_that_refuses_takes_nothing(payer: Payer) -> None:
    shop = payer.shop
    head, demand, _ = signed(payer)
    shop.chain.fails.append(TransactionReverted("TestDollar", "test dollar: paused"))
    call = await shop.tender.take(head, demand)
    with pytest.raises(PaymentRequired) as refusal:
        await shop.tender.finish(call, 1, Evidence(b"", b"", 0))
    assert refusal.value.operands["x402"] == str(Reason.TRANSACTION_FAILED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"receiver": b"\x11" * 20}, Reason.EXACT_RECIPIENT),
        ({"value": 39_999}, Reason.EXACT_VALUE),
        ({"valid_after": 9_000_000_000}, Reason.EXACT_NOT_YET),
        ({"valid_before": 1}, Reason.EXACT_EXPIRED),
        ({"nonce": b"\x11" * 32}, Reason.EXACT_SIGNATURE),
        ({"payer": b"\x00" * 20}, Reason.EXACT_SIGNATURE),
    ],
)
async def test_attack_an_authorization_that_does_not_pay_for_this_call(
    payer: Payer, change: dict[str, object], reason: Reason
) -> None:
    head, demand, by = signed(payer)
    payment = msgspec.structs.replace(
        parse_payment(head.payment), authorization=msgspec.structs.replace(by, **change)
    )
    assert payer.shop.tender.exact is not None
    with pytest.raises(PaymentRequired) as refusal:
        await payer.shop.tender.exact.take(payment, demand.quote, demand.name, demand.request)
    assert refusal.value.operands["x402"] == str(reason)


async def test_an_authorization_must_outlast_the_answer(payer: Payer) -> None:
    payer.shop.rules = replace(RULES, answer_s=170, timeout_s=160)
    await payer.shop.reopen()
    head, demand, _ = signed(payer)
    assert await refused(payer, head, demand) == str(Reason.EXACT_EXPIRED)


async def test_a_payer_without_the_money_is_not_served(payer: Payer) -> None:
    payer.shop.chain.money[payer.address] = 39_999
    head, demand, _ = signed(payer)
    assert await refused(payer, head, demand) == str(Reason.EXACT_BALANCE)


async def test_attack_calls_that_are_cheaper_than_their_gas_are_not_taken_by_exact(
    payer: Payer,
) -> None:
    """A stranger buys the cheapest call again and again: the price of each is a base unit, and the
    transaction that moves it costs the operator sixty thousand gas. When his coins are gone he can
    claim nothing."""
    shop = payer.shop
    shop.rules = replace(RULES, exact_least=10_000)
    await shop.reopen()
    cheap = shop.demand(9_999)
    assert [offer.scheme for offer in shop.offers(cheap)] == ["batch-settlement"]
    large, _, _ = signed(payer, 10_000)
    # Nor by a payment that was offered for another call.
    with pytest.raises(PaymentRequired, match="10000 or more") as refusal:
        await shop.tender.take(large, cheap)
    assert refusal.value.operands["x402"] == str(Reason.NO_MATCH)
    assert shop.chain.sent == []
    await payer.call(10_000, 10_000, scheme="exact")
    await payer.call(9_999, 1)
