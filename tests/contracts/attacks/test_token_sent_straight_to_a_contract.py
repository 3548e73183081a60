"""Somebody sends money or shares to a contract without calling it.

By mistake nothing may be lost; by intent nothing may be gained: no contract may take what it was
sent for a payment that its books never saw.
"""

from __future__ import annotations

from rig.compiling import mock
from rig.contract import Contract, deployed
from rig.market import Market
from rig.people import Person
from rig.signing import SignedLine, settle_one
from rig.system import DAY, ONE_SHARE


def test_money_sent_to_a_share_is_revenue(market: Market) -> None:
    market.world.fund(market.share.address, 1_000)
    assert market.share("claimable", market.holder.address) == 0
    assert market.share("sync") == 1_000
    market.world.wait(DAY)
    assert market.share("claim", by=market.holder.address) == 1_000


def test_money_sent_to_channels_fills_no_channel(market: Market, attacker: Person) -> None:
    world = market.world
    channel = world.open_channel(attacker, attacker, 0)
    world.fund(market.channels.address, 5_000)
    line = SignedLine(market.asset, 0, 5_000, 5_000)
    assert settle_one(market.channels, attacker, channel, [line], attacker) == 0
    assert market.channels("absorb_surplus", by=attacker.address) == 5_000
    assert market.channels("credit_of", world.commons.address) == 5_000


def test_money_sent_to_channels_during_a_deposit_is_not_the_depositors(
    market: Market, attacker: Person
) -> None:
    market.world.fund(market.channels.address, 5_000)
    channel = market.world.open_channel(attacker, attacker, 1)
    assert market.world.balance_of(attacker, channel) == 1


def test_money_sent_to_a_till_is_income_for_ever(market: Market, keeper: Person) -> None:
    world = market.world
    at = (market.asset, market.operator.address, 1)
    till = market.channels("till_of", *at)
    world.set_endpoint(market.asset, market.operator, 0, by=market.publisher)
    world.wait(1_000 * DAY)
    world.fund(till, 10_000)
    assert market.channels("flush_till", *at, by=keeper.address) == 10_000
    assert market.channels("demand_of", market.asset) == 0


def test_money_sent_to_an_implementation_or_the_registry_moves_nothing(market: Market) -> None:
    world = market.world
    for contract in (
        world.registry,
        world.share_implementation,
        world.till_implementation,
        world.offering_implementation,
        world.vesting_implementation,
    ):
        world.fund(contract.address, 1_000)
    assert world.registry("rescue", world.currency) == 1_000
    assert world.held(world.owner) == 1_000


def test_a_foreign_token_goes_to_whom_the_contract_belongs(
    market: Market, attacker: Person
) -> None:
    world = market.world
    token = deployed(world.engine, mock("PlainCurrency"), 18, by=world.owner.address)
    owners = {
        market.share.address: market.publisher.address,
        market.channels.address: world.commons.address,
        world.registry.address: world.owner.address,
    }
    for contract in (market.share, market.channels, world.registry):
        token("mint", contract, 7)
        contract("rescue", token, by=attacker.address)
        assert token("balanceOf", contract.address) == 0
        assert token("balanceOf", owners[contract.address]) == 7
    assert token("balanceOf", attacker.address) == 0


def test_shares_sent_to_channels_go_to_the_commons_with_what_they_earned(
    market: Market, attacker: Person
) -> None:
    world, share = market.world, market.share
    supply = share("totalSupply")
    share("transfer", market.channels, supply // 4, by=market.holder.address)
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    assert market.channels("rescue", share, by=attacker.address) == supply // 4
    assert share("balanceOf", world.commons.address) == supply // 4
    assert world.held(world.commons) + share("claimable", world.commons.address) == 250
    assert world.held(market.channels) == market.channels("obligations")


def test_a_hostile_token_cannot_make_a_contract_claim_for_somebody_else(
    market: Market, attacker: Person
) -> None:
    """`rescue` calls `claim(address)` on what it is given: only ever for the contract itself."""
    share: Contract = market.share
    market.world.fund(share.address, 1_000)
    share("sync")
    market.world.wait(DAY)
    share("transfer", market.channels, ONE_SHARE, by=market.holder.address)
    before = share("claimable", market.holder.address)
    market.channels("rescue", share, by=attacker.address)
    assert share("claimable", market.holder.address) == before
    assert market.world.held(attacker) == 0
