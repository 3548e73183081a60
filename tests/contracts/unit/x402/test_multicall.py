"""Several calls in one: all or none, as the same sender."""

from __future__ import annotations

from rig.contract import refused
from rig.people import Person
from rig.x402 import OPERATOR, PAYER, Standard, claim_of, row_of


def test_a_claim_and_a_refund_go_together(standard: Standard, keeper: Person) -> None:
    """As an operator ends a channel: what was earned is recorded, what is left goes back."""
    config = standard.opened(1_000)
    rows = [standard.voucher(config, 400, 250)]
    data = standard.channels.interface.call_data
    calls = [
        data("claimWithSignature", [claim_of(rows[0])], standard.batch_signature(rows)),
        data(
            "refundWithSignature",
            row_of(config),
            10**30,
            0,
            standard.refund_signature(config, 10**30, 0),
        ),
    ]
    assert standard.channels("multicall", calls, by=keeper.address) == (b"", b"")
    assert standard.state(config) == (250, 250)
    assert standard.money(PAYER) == 750


def test_the_sender_stays_who_it_is(standard: Standard, keeper: Person) -> None:
    config = standard.opened(1_000)
    call = standard.channels.interface.call_data("refund", row_of(config), 100)
    with refused("NotAuthorizedToRefund()"):
        standard.channels("multicall", [call], by=keeper.address)
    standard.channels("multicall", [call, call], by=OPERATOR.address)
    assert standard.money(PAYER) == 200


def test_one_refusal_takes_all_back(standard: Standard) -> None:
    config = standard.opened(1_000)
    data = standard.channels.interface.call_data
    calls = [data("refund", row_of(config), 100), data("refund", row_of(config), 0)]
    with refused("ZeroRefund()"):
        standard.channels("multicall", calls, by=OPERATOR.address)
    assert standard.money(PAYER) == 0


def test_answers_come_back_in_order(standard: Standard) -> None:
    config = standard.opened(1_000)
    data = standard.channels.interface.call_data
    calls = [data("getChannelId", row_of(config)), data("channels", standard.id(config))]
    first, second = standard.channels("multicall", calls)
    assert first == standard.id(config)
    assert second == (1_000).to_bytes(32, "big") + bytes(32)
