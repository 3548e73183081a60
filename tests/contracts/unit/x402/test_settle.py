"""Settling: what was claimed goes to the receiver, once."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import refused
from rig.people import Person, key_of, person
from rig.x402 import RECEIVER, Standard, deploy_standard


def test_anybody_settles(standard: Standard, keeper: Person) -> None:
    for amount in (100, 250):
        standard.claim(standard.voucher(standard.opened(1_000), 400, amount))
    standard.channels("settle", RECEIVER.address, standard.token.address, by=keeper.address)
    (settled,) = standard.channels.events()
    assert settled.name == "Settled"
    assert settled.arguments == {
        "receiver": RECEIVER.address,
        "token": standard.token.address,
        "sender": keeper.address,
        "amount": 350,
    }
    assert standard.money(RECEIVER) == 350
    assert standard.earned() == (350, 350)


def test_nothing_to_settle_is_no_error(standard: Standard) -> None:
    for _ in range(2):
        standard.channels("settle", RECEIVER.address, standard.token.address)
        assert standard.channels.events() == []
        standard.claim(standard.voucher(standard.opened(10), 10, 10))
        standard.channels("settle", RECEIVER.address, standard.token.address)
    assert standard.money(RECEIVER) == 20


def test_receivers_and_tokens_are_apart(standard: Standard) -> None:
    other = person("other receiver")
    standard.claim(standard.voucher(standard.opened(1_000), 400, 100))
    standard.claim(standard.voucher(standard.opened(1_000, receiver=key_of(other)), 400, 30))
    standard.channels("settle", other.address, standard.token.address)
    assert (standard.money(other), standard.money(RECEIVER)) == (30, 0)
    standard.channels("settle", RECEIVER.address, other.address)
    assert standard.earned() == (100, 0)


def test_a_token_that_answers_nothing_is_paid_out() -> None:
    standard = deploy_standard(mock("SilentCurrency"), 6)
    standard.claim(standard.voucher(standard.opened(1_000), 400, 100))
    standard.channels("settle", RECEIVER.address, standard.token.address)
    assert standard.money(RECEIVER) == 100


@pytest.mark.parametrize("name", ["FalseCurrency", "BlacklistCurrency"])
def test_a_token_that_refuses_leaves_the_claim_as_it_was(name: str) -> None:
    standard = deploy_standard(mock(name), 6)
    standard.claim(standard.voucher(standard.opened(1_000), 400, 100))
    if name == "BlacklistCurrency":
        standard.token("set_blocked", RECEIVER.address, True)
        reason = "blacklist_currency: blocked"
    else:
        # It says no where others revert.
        standard.token("set_refuses", True)
        reason = "x402_channels: token refused the transfer"
    with refused(reason):
        standard.channels("settle", RECEIVER.address, standard.token.address)
    assert standard.earned() == (100, 0)
