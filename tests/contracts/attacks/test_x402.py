"""What somebody might try with the standard's channels, and what it gets: nothing."""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import refused
from rig.engines import new_engine
from rig.people import Person, key_of, person
from rig.x402 import (
    COLLECTOR,
    DELAY,
    OPERATOR,
    PAYER,
    RECEIVER,
    UINT128,
    Standard,
    claim_of,
    deploy_standard,
    row_of,
)


@pytest.fixture
def standard() -> Standard:
    return deploy_standard()


def _books_hold(standard: Standard) -> None:
    assert standard.money(standard.channels) == 0


def test_a_claim_after_the_payer_left_finds_nothing(standard: Standard) -> None:
    """A voucher reserves nothing: the operator slept through the delay, and the money is gone."""
    config = standard.opened(1_000)
    row = standard.voucher(config, 900, 900)
    standard.channels("initiateWithdraw", row_of(config), 1_000, by=PAYER.address)
    standard.engine.now += DELAY
    standard.channels("finalizeWithdraw", row_of(config), by=PAYER.address)
    with refused("ClaimExceedsBalance()"):
        standard.claim(row)
    # Nor does it take the next payer's money.
    other = standard.opened(1_000)
    with refused("ClaimExceedsBalance()"):
        standard.claim(row)
    assert standard.state(other) == (1_000, 0)


def test_a_voucher_that_was_claimed_is_worth_nothing_again(
    standard: Standard, attacker: Person
) -> None:
    """It is public from then on. Only the receiver's side may claim, and only what is more."""
    config = standard.opened(1_000)
    row = standard.voucher(config, 500, 500)
    standard.claim(row)
    with refused("NotAuthorizedToClaim()"):
        standard.claim(row, by=attacker)
    for _ in range(3):
        standard.claim(row, row)
    assert standard.earned() == (500, 0)
    standard.channels("settle", RECEIVER.address, standard.token.address)
    standard.channels("settle", RECEIVER.address, standard.token.address)
    assert standard.money(RECEIVER) == 500


def test_a_refund_cannot_be_replayed_after_a_new_deposit(
    standard: Standard, attacker: Person
) -> None:
    """The payer comes back with new money; the old signed refund must not take it away again."""
    config = standard.opened(1_000)
    call = (
        "refundWithSignature",
        row_of(config),
        1_000,
        0,
        standard.refund_signature(config, 1_000, 0),
    )
    standard.channels(*call, by=attacker.address)
    standard.fund(config, 1_000)
    with refused("InvalidRefundNonce()"):
        standard.channels(*call, by=attacker.address)
    assert standard.state(config) == (1_000, 0)


@pytest.mark.parametrize(
    "name", ["deposit", "claim", "settle", "finalizeWithdraw", "refund", "multicall"]
)
def test_nothing_can_be_done_in_the_middle_of_a_deposit(standard: Standard, name: str) -> None:
    """The balance grows before the collector is asked, so a collector may not act on it.

    A false collector is the receiver of a channel. Asked to bring 1,000, it brings nothing and
    tries to claim, refund, deposit with another collector, or settle in the meantime.
    """
    collector = standard.any_collector
    config = standard.config(
        receiver=key_of(collector), receiver_authorizer=key_of(collector), payer=key_of(collector)
    )
    row = standard.voucher(config, 1_000, 1_000)
    data = standard.channels.interface.call_data
    refund = data("refund", row_of(config), 1_000)
    tries = {
        "deposit": data("deposit", row_of(config), 1_000, collector.address, b""),
        "claim": data("claim", [claim_of(row)]),
        "settle": data("settle", RECEIVER.address, standard.token.address),
        "finalizeWithdraw": data("finalizeWithdraw", row_of(config)),
        "refund": refund,
        "multicall": data("multicall", [refund]),
    }
    collector("arm", standard.channels.address, tries[name])
    collector("bring", 1_000)
    standard.fund(config, 1_000)
    assert collector("hits") == 0
    assert standard.state(config) == (1_000, 0)
    collector("bring", 0)
    with refused("DepositCollectionFailed()"):
        standard.fund(config, 1_000)


def test_reading_in_the_middle_of_a_deposit_is_possible(standard: Standard) -> None:
    """As in the standard: a collector may ask for the channel's id."""
    collector, config = standard.any_collector, standard.config()
    call = standard.channels.interface.call_data("getChannelId", row_of(config))
    collector("arm", standard.channels.address, call)
    standard.fund(config, 1_000)
    assert collector("answer") == standard.id(config)


@pytest.mark.parametrize("name", ["settle", "finalizeWithdraw", "refund"])
def test_a_token_that_calls_back_is_paid_out_once(name: str) -> None:
    standard = deploy_standard(mock("ReentrantCurrency"), 6)
    token = standard.token
    config = standard.opened(1_000, receiver=key_of(token), payer=key_of(token))
    standard.claim(standard.voucher(config, 400, 400))
    data = standard.channels.interface.call_data
    calls = {
        "settle": data("settle", token.address, token.address),
        "finalizeWithdraw": data("finalizeWithdraw", row_of(config)),
        "refund": data("refund", row_of(config), 600),
    }
    channels = standard.channels.address
    token("call", channels, data("initiateWithdraw", row_of(config), 600))
    standard.engine.now += DELAY
    token("arm", channels, calls[name])
    token("call", channels, calls[name])
    assert token("tries") >= 1
    assert token("hits") == 0
    assert standard.money(token) == (400 if name == "settle" else 600)
    assert standard.money(channels) == 1_000 - standard.money(token)


def test_a_voucher_of_one_chain_is_nothing_on_another() -> None:
    """The contract lies at one address everywhere, so only the chain's number tells them apart."""
    here, there = deploy_standard(chain_id=84_532), deploy_standard(engine=new_engine(31_337))
    terms = here.config()
    assert there.config() == terms
    here.fund(terms, 1_000)
    there.fund(terms, 1_000)
    assert here.id(terms) != there.id(terms)
    row = here.voucher(terms, 500, 500)
    with refused("InvalidSignature()"):
        there.claim(row)
    signed = here.batch_signature([row])
    with refused("InvalidSignature()"):
        there.channels("claimWithSignature", [claim_of(row)], signed)
    back = here.refund_signature(terms, 1_000, 0)
    with refused("InvalidSignature()"):
        there.channels("refundWithSignature", row_of(terms), 1_000, 0, back)
    here.claim(row)


def test_a_deposit_of_one_chain_is_nothing_on_another() -> None:
    dollars = deploy_standard(compiled("TestDollar"), 6, 10**12)
    dollars.token("faucet", 1_000, by=PAYER.address)
    config = dollars.config()
    data = dollars.authorization(config, 600, chain_id=8_453)
    with refused("test_dollar: not signed by the authorizer"):
        dollars.channels("deposit", row_of(config), 600, dollars.collector, data)


def test_an_authorization_in_the_open_brings_the_money_to_its_channel_only(
    attacker: Person,
) -> None:
    """Somebody copies a deposit from the mempool: it may pay the payer's gas, and nothing else."""
    dollars = deploy_standard(compiled("TestDollar"), 6, 10**12)
    dollars.token("faucet", 1_000, by=PAYER.address)
    config = dollars.config()
    data = dollars.authorization(config, 600)
    own = dollars.config(receiver=key_of(attacker), receiver_authorizer=key_of(attacker))
    with refused("test_dollar: not signed by the authorizer"):
        dollars.channels("deposit", row_of(own), 600, dollars.collector, data, by=attacker.address)
    with refused("test_dollar: only the receiver may use this authorization"):
        dollars.token(
            "receiveWithAuthorization",
            *(PAYER.address, COLLECTOR, 600, 0, 2**40, bytes(32), 27, bytes(32), bytes(32)),
            by=attacker.address,
        )
    dollars.channels("deposit", row_of(config), 600, dollars.collector, data, by=attacker.address)
    assert dollars.state(config) == (600, 0)


def test_a_collector_of_somebodys_own_moves_no_other_channels_money(
    standard: Standard, attacker: Person
) -> None:
    """It shows the contract its own money as if it were a deposit: nothing came, so no deposit."""
    standard.opened(5_000)
    standard.any_collector("bring", 0)
    own = standard.config(payer=key_of(attacker), receiver=key_of(attacker))
    with refused("DepositCollectionFailed()"):
        standard.fund(own, 5_000, by=attacker)
    assert standard.money(standard.channels) == 5_000


def test_money_sent_by_mistake_is_nobodys_deposit(standard: Standard, attacker: Person) -> None:
    """A transfer to the contract credits no channel; whoever comes next cannot claim it as its."""
    standard.token("mint", standard.channels.address, 777)
    standard.any_collector("bring", 0)
    with refused("DepositCollectionFailed()"):
        standard.fund(standard.config(payer=key_of(attacker)), 777, by=attacker)


def test_the_largest_channel_pays_out_whole(standard: Standard) -> None:
    config = standard.opened(UINT128)
    half = UINT128 // 2
    standard.claim(standard.voucher(config, UINT128, half))
    standard.channels("refund", row_of(config), UINT128, by=OPERATOR.address)
    standard.channels("settle", RECEIVER.address, standard.token.address)
    assert standard.money(RECEIVER) == half
    assert standard.money(PAYER) == UINT128 - half
    _books_hold(standard)


def test_a_receiver_cannot_be_made_to_pay_for_anothers_rows(standard: Standard) -> None:
    """An operator batches a row of its own beside one of somebody else's: only both or none."""
    theirs = standard.opened(1_000, receiver_authorizer=key_of(person("other operator")))
    own = standard.opened(1_000)
    rows = [standard.voucher(own, 5, 5), standard.voucher(theirs, 5, 5)]
    with refused("NotAuthorizedToClaim()"):
        standard.claim(*rows)
    assert standard.earned() == (0, 0)
