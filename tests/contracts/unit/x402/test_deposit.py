"""Deposits: what a channel is, what arrives, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from rig.compiling import mock
from rig.contract import NOBODY, refused
from rig.people import Person
from rig.x402 import DELAY, PAYER, UINT128, Standard, deploy_standard, row_of

from tessera.spec.signatures import ZERO_ADDRESS
from tessera.spec.x402_digests import MAX_WITHDRAW_DELAY_S, MIN_WITHDRAW_DELAY_S


def test_the_first_deposit_opens_a_channel(standard: Standard, keeper: Person) -> None:
    config = standard.config()
    standard.fund(config, 700, by=keeper)
    created, deposited = standard.channels.events()
    assert created.name == "ChannelCreated"
    assert created.arguments["channelId"] == standard.id(config)
    assert created.arguments["config"] == row_of(config)
    assert deposited.name == "Deposited"
    assert deposited.arguments == {
        "channelId": standard.id(config),
        "sender": keeper.address,
        "amount": 700,
        "newBalance": 700,
    }
    assert standard.state(config) == (700, 0)
    assert standard.money(standard.channels) == 700


def test_a_further_deposit_adds_to_it(standard: Standard) -> None:
    config = standard.opened(700)
    standard.fund(config, 50)
    (deposited,) = standard.channels.events()
    assert (deposited.arguments["amount"], deposited.arguments["newBalance"]) == (50, 750)
    assert standard.state(config) == (750, 0)


def test_a_deposit_after_everything_was_given_back_opens_it_again(standard: Standard) -> None:
    config = standard.opened(700)
    standard.channels("refund", row_of(config), 700, by="0x" + config.receiver.hex())
    standard.fund(config, 10)
    assert [event.name for event in standard.channels.events()] == ["ChannelCreated", "Deposited"]


def test_a_deposit_into_an_emptied_channel_that_paid_does_not_open_it(standard: Standard) -> None:
    config = standard.opened(700)
    standard.claim(standard.voucher(config, 300, 300))
    standard.channels("refund", row_of(config), 400, by="0x" + config.receiver.hex())
    assert standard.state(config) == (300, 300)
    standard.fund(config, 10)
    assert [event.name for event in standard.channels.events()] == ["Deposited"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"payer": ZERO_ADDRESS}, "InvalidChannel()"),
        ({"receiver": ZERO_ADDRESS}, "InvalidChannel()"),
        ({"receiver_authorizer": ZERO_ADDRESS}, "InvalidChannel()"),
        ({"token": ZERO_ADDRESS}, "InvalidChannel()"),
        ({"withdraw_delay": 0}, "WithdrawDelayOutOfRange()"),
        ({"withdraw_delay": MIN_WITHDRAW_DELAY_S - 1}, "WithdrawDelayOutOfRange()"),
        ({"withdraw_delay": MAX_WITHDRAW_DELAY_S + 1}, "WithdrawDelayOutOfRange()"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(
    standard: Standard, change: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        standard.fund(standard.config(**change), 1)


@pytest.mark.parametrize(
    "change",
    [
        {"payer_authorizer": ZERO_ADDRESS},
        {"withdraw_delay": MIN_WITHDRAW_DELAY_S},
        {"withdraw_delay": MAX_WITHDRAW_DELAY_S},
    ],
)
def test_the_edges_of_what_a_channel_can_be(standard: Standard, change: dict[str, Any]) -> None:
    standard.fund(standard.config(**change), 1)


def test_nothing_is_no_deposit(standard: Standard) -> None:
    with refused("ZeroDeposit()"):
        standard.fund(standard.config(), 0)


def test_nobody_is_no_collector(standard: Standard) -> None:
    with refused("InvalidCollector()"):
        standard.channels("deposit", row_of(standard.config()), 1, NOBODY, b"")


def test_a_collector_without_code_is_refused(standard: Standard, attacker: Person) -> None:
    with refused(""):
        standard.channels("deposit", row_of(standard.config()), 1, attacker.address, b"")


def test_a_channel_holds_128_bits_and_no_more(standard: Standard) -> None:
    config = standard.opened(UINT128)
    with refused("DepositOverflow()"):
        standard.fund(config, 1)
    assert standard.state(config) == (UINT128, 0)


@pytest.mark.parametrize("brings", [0, 99, 101])
def test_what_arrives_must_be_what_was_said(standard: Standard, brings: int) -> None:
    """A false collector brings less, or more, than the deposit that it is asked for."""
    standard.any_collector("bring", brings)
    with refused("DepositCollectionFailed()"):
        standard.fund(standard.config(), 100)


def test_a_token_that_takes_a_fee_is_refused() -> None:
    """The channel would be worth less than its books say, and the last receiver pays for it."""
    standard = deploy_standard(mock("FeeCurrency"), 6, 100)
    collector = standard.any_collector
    standard.token("mint", collector.address, 1_000)
    call = standard.token.interface.call_data("transfer", standard.channels.address, 1_000)
    collector("bring", 0)
    collector("arm", standard.token.address, call)
    with refused("DepositCollectionFailed()"):
        standard.fund(standard.config(), 1_000)
    # What does arrive is a deposit like any other.
    standard.fund(standard.config(), 990)


def test_terms_of_a_channel_are_its_name(standard: Standard) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"withdraw_delay": DELAY + 1},
        {"salt": b"\x01" * 32},
        {"payer_authorizer": ZERO_ADDRESS},
        {"receiver": standard.config().payer},
    ]
    ids = {standard.channels("getChannelId", row_of(standard.config(**c))) for c in changes}
    assert len(ids) == len(changes)


def test_the_payers_authorization_brings_a_deposit(dollars: Standard, keeper: Person) -> None:
    config = dollars.config()
    data = dollars.authorization(config, 600, salt=5)
    call = ("deposit", row_of(config), 600, dollars.collector, data)
    dollars.channels(*call, by=keeper.address)
    assert dollars.state(config) == (600, 0)
    assert dollars.money(PAYER) == 400
    with refused("test_dollar: authorization used or cancelled"):
        dollars.channels(*call, by=keeper.address)
