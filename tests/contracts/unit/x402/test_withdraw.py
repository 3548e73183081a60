"""Withdrawals: the payer announces, waits, and gets what is still free."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person, key_of, person
from rig.x402 import DELAY, OPERATOR, PAYER, PAYERS_KEY, RECEIVER, Standard, row_of

from tessera.spec.signatures import ZERO_ADDRESS


def _announce(standard: Standard, config: object, amount: int, by: Person = PAYER) -> None:
    standard.channels("initiateWithdraw", row_of(config), amount, by=by.address)  # type: ignore[arg-type]


@pytest.mark.parametrize("by", [PAYER, PAYERS_KEY])
def test_the_payer_gets_back_what_it_announced(standard: Standard, by: Person) -> None:
    config = standard.opened(1_000)
    _announce(standard, config, 600, by)
    (announced,) = standard.channels.events()
    assert announced.name == "WithdrawInitiated"
    assert announced.arguments == {
        "channelId": standard.id(config),
        "amount": 600,
        "finalizeAfter": standard.engine.now + DELAY,
    }
    assert standard.pending(config) == (600, standard.engine.now)
    standard.engine.now += DELAY - 1
    with refused("WithdrawDelayNotElapsed()"):
        standard.channels("finalizeWithdraw", row_of(config), by=by.address)
    standard.engine.now += 1
    standard.channels("finalizeWithdraw", row_of(config), by=by.address)
    (finalized,) = standard.channels.events()
    assert finalized.name == "WithdrawFinalized"
    assert finalized.arguments == {
        "channelId": standard.id(config),
        "sender": by.address,
        "amount": 600,
    }
    # To the payer, whoever of its side asked.
    assert standard.money(PAYER) == 600
    assert standard.state(config) == (400, 0)
    assert standard.pending(config) == (0, 0)
    with refused("WithdrawalNotPending()"):
        standard.channels("finalizeWithdraw", row_of(config), by=by.address)


@pytest.mark.parametrize("by", [OPERATOR, RECEIVER, person("attacker")])
def test_nobody_else_withdraws(standard: Standard, by: Person) -> None:
    config = standard.opened(1_000)
    with refused("InvalidChannel()"):
        _announce(standard, config, 1, by)
    _announce(standard, config, 1)
    standard.engine.now += DELAY
    with refused("NotAuthorizedToFinalizeWithdraw()"):
        standard.channels("finalizeWithdraw", row_of(config), by=by.address)


def test_what_cannot_be_announced(standard: Standard) -> None:
    config = standard.opened(1_000)
    standard.claim(standard.voucher(config, 300, 300))
    with refused("NothingToWithdraw()"):
        _announce(standard, config, 0)
    with refused("WithdrawAmountExceedsAvailable()"):
        _announce(standard, config, 701)
    _announce(standard, config, 700)
    with refused("WithdrawalAlreadyPending()"):
        _announce(standard, config, 1)


def test_a_claim_is_possible_until_the_end_and_comes_first(standard: Standard) -> None:
    config = standard.opened(1_000)
    _announce(standard, config, 1_000)
    standard.engine.now += DELAY + 5
    standard.claim(standard.voucher(config, 900, 900))
    standard.channels("finalizeWithdraw", row_of(config), by=PAYER.address)
    assert standard.money(PAYER) == 100
    assert standard.state(config) == (900, 900)


def test_with_nothing_free_a_withdrawal_ends_and_moves_nothing(standard: Standard) -> None:
    config = standard.opened(1_000)
    _announce(standard, config, 1_000)
    standard.claim(standard.voucher(config, 1_000, 1_000))
    standard.engine.now += DELAY
    standard.channels("finalizeWithdraw", row_of(config), by=PAYER.address)
    assert standard.channels.events()[0].arguments["amount"] == 0
    assert standard.pending(config) == (0, 0)
    assert standard.money(PAYER) == 0


def test_an_empty_channel_that_never_paid_is_closed(standard: Standard) -> None:
    config = standard.opened(1_000)
    _announce(standard, config, 1_000)
    standard.engine.now += DELAY
    standard.channels("finalizeWithdraw", row_of(config), by=PAYER.address)
    closed = standard.channels.events("ChannelClosed")
    assert [event.arguments["config"] for event in closed] == [row_of(config)]


def test_nobody_is_not_the_key_of_a_channel_without_one(standard: Standard) -> None:
    config = standard.opened(1_000, payer_authorizer=ZERO_ADDRESS)
    with refused("InvalidChannel()"):
        _announce(standard, config, 1, person("attacker"))
    _announce(standard, config, 1)


def test_the_payer_may_be_the_receiver(standard: Standard) -> None:
    """Somebody who pays itself: all of it comes back, by whichever way."""
    config = standard.opened(1_000, receiver=key_of(PAYER))
    standard.claim(standard.voucher(config, 400, 400), by=PAYER)
    standard.channels("settle", PAYER.address, standard.token.address)
    standard.channels("refund", row_of(config), 100, by=PAYER.address)
    _announce(standard, config, 500)
    standard.engine.now += DELAY
    standard.channels("finalizeWithdraw", row_of(config), by=PAYER.address)
    assert standard.money(PAYER) == 1_000
    assert standard.money(standard.channels) == 0
