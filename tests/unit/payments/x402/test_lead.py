"""What we name as charged keeps official clients right, however a call ends: `lead_bounded`.

On the other side stands the official client's own code, with neither a chain to ask nor a file to
remember by: whatever state it gets into, it has to get out of by what our answers say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from eth_account import Account as EthAccount
from hypothesis import given
from hypothesis import strategies as st
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.schemas import (
    PaymentPayload,
    PaymentRequirements,
    PaymentResponseContext,
    SettleResponse,
)

from tessera.errors import MeterMismatch, PaymentRequired
from tessera.payments.x402.book import (
    KEPT_VOUCHERS,
    ChannelBook,
    ChannelState,
    KeptVoucher,
    named_charge,
)
from tessera.payments.x402.wire import Reason
from tessera.spec.signatures import Address, address_text, recover
from tessera.spec.x402_digests import ChannelConfig, channel_id, voucher_digest

CHAIN = 84_532
NETWORK = f"eip155:{CHAIN}"
PAYER = EthAccount.from_key(b"\x05" * 32)
TILL, OPERATOR, DOLLAR = (Address(bytes([n]) * 20) for n in (1, 2, 3))
DELAY = 86_400
MIN_DEPOSIT = 2_000_000

CEILINGS = st.integers(1, 90_000)
CALLS = st.lists(
    st.tuples(st.sampled_from(["whole", "stream", "failed", "lost"]), CEILINGS, st.floats(0, 1)),
    max_size=25,
)


def requirements(ceiling: int) -> PaymentRequirements:
    return PaymentRequirements(
        scheme="batch-settlement",
        network=NETWORK,
        asset=address_text(DOLLAR),
        amount=str(ceiling),
        pay_to=address_text(TILL),
        max_timeout_seconds=60,
        extra={
            "name": "Test Dollar",
            "version": "1",
            "receiverAuthorizer": address_text(OPERATOR),
            "withdrawDelay": DELAY,
            "minDeposit": str(MIN_DEPOSIT),
        },
    )


def opened(payer: Address | None = None) -> ChannelBook:
    payer = payer or Address(bytes.fromhex(PAYER.address[2:]))
    config = ChannelConfig(payer, payer, TILL, OPERATOR, DOLLAR, DELAY, bytes(32))
    return ChannelBook(channel_id(CHAIN, config), config, asset=7, terms=1)


@dataclass
class Both:
    """The official client, and our book of its channel."""

    book: ChannelBook = field(default_factory=opened)
    client: BatchSettlementEvmScheme = field(
        default_factory=lambda: BatchSettlementEvmScheme(PAYER)
    )
    deposits: int = 0

    @property
    def base(self) -> int:
        kept = self.client._storage.get("0x" + self.book.id.hex())
        return int(kept.charged_cumulative_amount or 0) if kept else 0

    def ask(self, ceiling: int) -> tuple[dict[str, Any], int, KeptVoucher]:
        """Let the client sign, and judge what it signed."""
        payload = self.client.create_payment_payload(requirements(ceiling))
        voucher = payload["voucher"]
        assert voucher["channelId"] == "0x" + self.book.id.hex()
        signed = KeptVoucher(
            int(voucher["maxClaimableAmount"]), bytes.fromhex(voucher["signature"][2:])
        )
        digest = voucher_digest(CHAIN, self.book.id, signed.maximum)
        assert recover(digest, signed.signature) == self.book.config.payer_authorizer
        if payload["type"] == "deposit":
            self.deposits += 1
            more = self.book.chain.balance + int(payload["deposit"]["amount"])
            self.book.chain = self.book.chain._replace(balance=more)
        return payload, self.book.base(signed.maximum, ceiling), signed

    def tell(self, payload: dict[str, Any], ceiling: int, named: int, base: int) -> None:
        """Let the client hear PAYMENT-RESPONSE."""
        asked = requirements(ceiling)
        self.client.scheme_hooks.on_payment_response(
            PaymentResponseContext(
                payment_payload=PaymentPayload(payload=payload, accepted=asked),
                requirements=asked,
                settle_response=SettleResponse(
                    success=True,
                    transaction="",
                    network=NETWORK,
                    extra={
                        "chargedAmount": str(named),
                        "channelState": {
                            "channelId": "0x" + self.book.id.hex(),
                            "balance": str(self.book.chain.balance),
                            "totalClaimed": "0",
                            "chargedCumulativeAmount": str(base + named),
                        },
                    },
                ),
            )
        )

    def call(self, kind: str, ceiling: int, cost: int) -> None:
        payload, base, signed = self.ask(ceiling)
        assert base == self.base
        if kind == "failed":
            named = 0
        else:
            named = named_charge(
                self.book.charged, base, ceiling, None if kind == "stream" else cost
            )
            self.book.keep(signed)
            self.book.charge(signed, ceiling, cost)
        assert 0 <= named <= ceiling
        self.tell(payload, ceiling, named, base)


@given(CALLS)
def test_lead_bounded(calls: list[tuple[str, int, float]]) -> None:
    """No unconfigured client is ever refused, nor leads by more than one call's ceiling."""
    both = Both()
    largest = 0
    for kind, ceiling, part in calls:
        both.call("stream" if kind == "lost" else kind, ceiling, int(part * ceiling))
        lead = both.base - both.book.charged
        largest = max(largest, ceiling) if lead else 0
        assert 0 <= lead <= largest
        assert both.book.charged <= both.book.vouchers[-1].maximum if both.book.vouchers else True
    assert both.book.charged <= both.book.chain.balance


@given(CALLS)
def test_an_answer_that_got_lost_is_noticed_and_never_charged_twice(
    calls: list[tuple[str, int, float]],
) -> None:
    """A client that did not hear is behind: it is refused with the word that makes it ask."""
    both = Both()
    paid = 0
    words: set[object] = set()
    for kind, ceiling, part in calls:
        cost = int(part * ceiling)
        if kind == "lost":
            try:
                _, _, signed = both.ask(ceiling)
            except PaymentRequired:
                continue
            both.book.charge(signed, ceiling, cost)
            paid += cost
            continue
        try:
            both.call(kind, ceiling, cost)
        except PaymentRequired as error:
            words.add(error.operands["x402"])
            assert both.base < both.book.charged
            continue
        paid += 0 if kind == "failed" else cost
    assert words <= {str(Reason.AMOUNT_MISMATCH)}
    assert both.book.charged == paid
    assert not both.book.due or both.book.best() is not None


def test_a_client_makes_one_deposit_for_many_calls() -> None:
    both = Both()
    for _ in range(40):
        both.call("whole", 45_000, 40_000)
    assert both.deposits == 1
    assert both.base == both.book.charged == 1_600_000


def test_what_is_claimed_is_the_tightest_voucher_that_covers_what_was_charged() -> None:
    book = opened()
    book.chain = ChannelState(balance=1_000)
    for maximum, cost in ((500, 20), (300, 20), (120, 10)):
        book.charge(KeptVoucher(maximum, bytes(65)), 100, cost)
    assert book.charged == 50
    best = book.best()
    assert best is not None
    assert best.maximum == 120
    for step in range(20):
        book.charge(KeptVoucher(200 + step, bytes(65)), 100, 1)
        best = book.best()
        assert best is not None
        assert best.maximum >= book.charged
        assert len(book.vouchers) <= KEPT_VOUCHERS


def test_a_call_never_costs_more_than_its_ceiling_or_its_voucher() -> None:
    book = opened()
    with pytest.raises(MeterMismatch, match="at most the 10"):
        book.charge(KeptVoucher(100, bytes(65)), 10, 11)
    with pytest.raises(MeterMismatch):
        book.charge(KeptVoucher(5, bytes(65)), 10, 6)
    assert book.charged == 0


def test_attack_a_published_voucher_is_refused_until_it_is_worth_nothing() -> None:
    """A reader of a claim sends the voucher in it for a call of his own.

    The call of 100 cost 30, so 70 of its voucher are left; x402 signs no request, so nothing but
    the voucher itself tells the payer from the reader.
    """
    book = opened()
    book.chain = ChannelState(balance=1_000)
    signed = KeptVoucher(100, bytes(65))
    book.charge(signed, 100, 30)
    assert book.best() == signed
    book.publish(signed.maximum)
    with pytest.raises(PaymentRequired, match="others know") as refusal:
        book.base(100, 70)
    assert refusal.value.operands["x402"] == str(Reason.AMOUNT_MISMATCH)
    assert book.base(110, 80) == 30
    book.charge(KeptVoucher(110, bytes(65)), 80, 80)
    assert not book.published


def test_attack_nobody_gets_a_fresh_voucher_by_showing_an_old_one() -> None:
    """Whoever knows an old, published voucher asks to be corrected, and uses what he is told."""
    book = opened()
    book.chain = ChannelState(balance=1_000)
    book.charge(KeptVoucher(40, bytes(65)), 40, 40)
    book.charge(KeptVoucher(140, bytes(65)), 100, 50)
    told = book.told(KeptVoucher(40, bytes(65)))
    assert told is not None
    assert told.maximum == 140
    with pytest.raises(PaymentRequired, match="others know"):
        book.base(140, 50)


def test_a_voucher_covers_what_was_charged_and_the_call_and_no_more_than_is_there() -> None:
    book = opened()
    book.chain = ChannelState(balance=200, claimed=30)
    book.charged = 50
    for maximum, reason in (
        (60, "BELOW_CLAIMED"),
        (90, "AMOUNT_MISMATCH"),
        (201, "EXCEEDS_BALANCE"),
    ):
        with pytest.raises(PaymentRequired) as refusal:
            book.base(maximum, 50)
        assert refusal.value.operands["x402"] == str(Reason[reason])
    assert book.base(200, 50) == 150
    assert book.base(250, 50, arriving=50) == 200
    assert book.free == 150
    assert book.due == 20
