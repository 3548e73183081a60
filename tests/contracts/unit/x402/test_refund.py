"""Refunds: the receiver's side gives back what is free, at once."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import deployed, refused
from rig.people import Person, key_of, person
from rig.x402 import DELAY, DEPLOYER, OPERATOR, PAYER, PAYERS_KEY, RECEIVER, Standard, row_of


@pytest.mark.parametrize("by", [OPERATOR, RECEIVER])
def test_the_receivers_side_gives_back(standard: Standard, by: Person) -> None:
    config = standard.opened(1_000)
    standard.claim(standard.voucher(config, 300, 300))
    standard.channels("refund", row_of(config), 200, by=by.address)
    (refunded,) = standard.channels.events()
    assert refunded.name == "Refunded"
    assert refunded.arguments == {
        "channelId": standard.id(config),
        "sender": by.address,
        "amount": 200,
    }
    assert standard.money(PAYER) == 200
    assert standard.state(config) == (800, 300)
    assert standard.channels("refundNonce", standard.id(config)) == 1


@pytest.mark.parametrize("by", [PAYER, PAYERS_KEY, person("attacker")])
def test_nobody_else_gives_back(standard: Standard, by: Person) -> None:
    config = standard.opened(1_000)
    with refused("NotAuthorizedToRefund()"):
        standard.channels("refund", row_of(config), 1, by=by.address)


def test_no_more_than_what_is_free(standard: Standard) -> None:
    config = standard.opened(1_000)
    standard.claim(standard.voucher(config, 300, 300))
    standard.channels("refund", row_of(config), 10**30, by=OPERATOR.address)
    assert standard.money(PAYER) == 700
    # Nothing is left: nothing moves and nothing is told, but a signed refund would be used up.
    standard.channels("refund", row_of(config), 1, by=OPERATOR.address)
    assert standard.channels.events() == []
    assert standard.channels("refundNonce", standard.id(config)) == 2


def test_a_refund_of_nothing_is_refused(standard: Standard) -> None:
    config = standard.opened(1_000)
    with refused("ZeroRefund()"):
        standard.channels("refund", row_of(config), 0, by=OPERATOR.address)
    with refused("ZeroRefund()"):
        standard.channels(
            "refundWithSignature", row_of(config), 0, 0, standard.refund_signature(config, 0, 0)
        )
    assert standard.channels("refundNonce", standard.id(config)) == 0


def test_an_empty_channel_that_never_paid_is_closed(standard: Standard) -> None:
    config = standard.opened(1_000)
    standard.channels("refund", row_of(config), 1_000, by=OPERATOR.address)
    assert [event.name for event in standard.channels.events()] == ["Refunded", "ChannelClosed"]


@pytest.mark.parametrize(("given", "left"), [(200, (400, 1)), (600, (0, 0)), (900, (0, 0))])
def test_a_refund_counts_for_what_was_announced(
    standard: Standard, given: int, left: tuple[int, int]
) -> None:
    config = standard.opened(1_000)
    standard.channels("initiateWithdraw", row_of(config), 600, by=PAYER.address)
    at = standard.engine.now
    standard.channels("refund", row_of(config), given, by=OPERATOR.address)
    amount, pending = left
    assert standard.pending(config) == (amount, at * pending)
    standard.engine.now += DELAY
    if pending:
        standard.channels("finalizeWithdraw", row_of(config), by=PAYER.address)
        assert standard.money(PAYER) == given + amount
    else:
        with refused("WithdrawalNotPending()"):
            standard.channels("finalizeWithdraw", row_of(config), by=PAYER.address)


def test_anybody_relays_a_signed_refund_once(standard: Standard, keeper: Person) -> None:
    config = standard.opened(1_000)
    signature = standard.refund_signature(config, 200, 0)
    call = ("refundWithSignature", row_of(config), 200, 0, signature)
    standard.channels(*call, by=keeper.address)
    assert standard.channels.events("Refunded")[0].arguments["sender"] == keeper.address
    assert standard.money(PAYER) == 200
    with refused("InvalidRefundNonce()"):
        standard.channels(*call, by=keeper.address)


def test_a_direct_refund_makes_a_signed_one_worthless(standard: Standard) -> None:
    config = standard.opened(1_000)
    signature = standard.refund_signature(config, 200, 0)
    standard.channels("refund", row_of(config), 1, by=OPERATOR.address)
    with refused("InvalidRefundNonce()"):
        standard.channels("refundWithSignature", row_of(config), 200, 0, signature)
    with refused("InvalidSignature()"):
        standard.channels("refundWithSignature", row_of(config), 200, 1, signature)
    again = standard.refund_signature(config, 200, 1)
    standard.channels("refundWithSignature", row_of(config), 200, 1, again)
    assert standard.money(PAYER) == 201


def test_what_was_signed_cannot_be_changed(standard: Standard) -> None:
    config, other = standard.opened(1_000), standard.opened(1_000)
    signature = standard.refund_signature(config, 200, 0)
    for terms, amount in ((config, 201), (other, 200)):
        with refused("InvalidSignature()"):
            standard.channels("refundWithSignature", row_of(terms), amount, 0, signature)
    # Not even the receiver's: only the authorizer's.
    by_receiver = standard.refund_signature(config, 200, 0, by=RECEIVER)
    with refused("InvalidSignature()"):
        standard.channels("refundWithSignature", row_of(config), 200, 0, by_receiver)


def test_an_authorizer_that_is_a_contract_refunds_by_its_word(standard: Standard) -> None:
    wallet = deployed(standard.engine, mock("ContractWallet"), by=DEPLOYER)
    config = standard.opened(1_000, receiver_authorizer=key_of(wallet))
    digest = standard.channels("getRefundDigest", standard.id(config), 0, 200)
    with refused("InvalidSignature()"):
        standard.channels("refundWithSignature", row_of(config), 200, 0, b"")
    wallet("approve", digest, b"")
    standard.channels("refundWithSignature", row_of(config), 200, 0, b"")
    assert standard.money(PAYER) == 200
