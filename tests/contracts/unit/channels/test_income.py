"""Income on its way: flushing, Tills, credit, and what was sent to the wrong address."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import Contract, deployed, refused
from rig.people import Person
from rig.signing import SignedLine, settle_one
from rig.system import DAY, ONE_SHARE, World


@pytest.fixture
def asset(world: World, publisher: Person, operator: Person, consumer: Person) -> int:
    asset = world.publish(publisher, operator=operator, cut_bps=2_000)
    channel = world.open_channel(consumer, operator, 10_000)
    settle_one(world.channels, operator, channel, [SignedLine(asset, 1, 10_000, 10_000)], consumer)
    return asset


@pytest.fixture
def token(world: World) -> Contract:
    return deployed(world.engine, mock("PlainCurrency"), 18, by=world.owner.address)


def test_income_of_an_asset_without_a_share_is_its_owners(
    world: World, asset: int, publisher: Person, keeper: Person
) -> None:
    assert world.channels("flush", asset, by=keeper.address) == 7_900
    (event,) = world.channels.events("Flushed")
    assert event.arguments == {"asset": asset, "receiver": publisher.address, "amount": 7_900}
    assert world.channels("withdraw_credit", by=publisher.address) == 7_900
    (event,) = world.channels.events("CreditWithdrawn")
    assert event.arguments == {
        "account": publisher.address,
        "receiver": publisher.address,
        "amount": 7_900,
    }
    assert world.held(publisher) == 7_900


def test_income_of_a_tokenized_asset_streams_to_its_holders(
    world: World, asset: int, publisher: Person, holder: Person
) -> None:
    share = world.tokenize(asset, publisher, receiver=holder)
    assert world.channels("flush", asset) == 7_900
    assert share("obligations") == world.held(share) == 7_900
    world.wait(DAY)
    assert share("claim", by=holder.address) == 7_900


def test_flushing_nothing_is_no_error(world: World, asset: int) -> None:
    world.channels("flush", asset)
    assert world.channels("flush", asset) == 0
    with refused("erc721: no such id"):
        world.channels("flush", 5)


def test_credit_goes_where_its_owner_says(
    world: World, asset: int, operator: Person, keeper: Person, attacker: Person
) -> None:
    assert world.channels("credit_of", operator.address) == 2_000
    assert world.channels("withdraw_credit", keeper.address, by=operator.address) == 2_000
    assert world.held(keeper) == 2_000
    assert world.channels("withdraw_credit", by=operator.address) == 0
    assert world.channels("withdraw_credit", by=attacker.address) == 0


def test_a_till_is_paid_before_it_exists(
    world: World, asset: int, operator: Person, keeper: Person
) -> None:
    till = world.channels("till_of", asset, operator.address, 1)
    demand = world.channels("demand_of", asset)
    for paid in (1_000, 500):
        world.fund(till, paid)
        assert world.channels("flush_till", asset, operator.address, 1, by=keeper.address) == paid
        (event,) = world.channels.events("IncomeReceived")
        assert event.arguments == {
            "asset": asset,
            "operator": operator.address,
            "terms": 1,
            "amount": paid,
        }
    assert world.channels("flush_till", asset, operator.address, 1) == 0
    # Income is income, and no proof of demand.
    assert world.channels("demand_of", asset) == demand
    assert world.channels("gross_of", asset, operator.address, 1) == 11_500


def test_a_till_of_terms_that_are_not_there_keeps_its_money(
    world: World, asset: int, operator: Person
) -> None:
    till = world.channels("till_of", asset, operator.address, 2)
    world.fund(till, 1_000)
    with refused("registry: no such terms"):
        world.channels("flush_till", asset, operator.address, 2)
    assert world.held(till) == 1_000


def test_only_channels_opens_a_till(
    world: World, asset: int, operator: Person, attacker: Person
) -> None:
    address = world.channels("till_of", asset, operator.address, 1)
    world.channels("flush_till", asset, operator.address, 1)
    till = Contract(world.engine, world.till_implementation.compiled, address)
    for contract in (till, world.till_implementation):
        with refused("till: only channels"):
            contract("sweep", by=attacker.address)
        with refused("till: only channels"):
            contract("rescue", world.currency, attacker.address, by=attacker.address)


def test_a_till_gives_other_tokens_to_the_controller(
    world: World, asset: int, operator: Person, publisher: Person, token: Contract
) -> None:
    till = world.channels("till_of", asset, operator.address, 1)
    token("mint", till, 9)
    world.channels("rescue_from_till", asset, operator.address, 1, token)
    assert token("balanceOf", publisher.address) == 9
    with refused("channels: the currency is income; use flush_till"):
        world.channels("rescue_from_till", asset, operator.address, 1, world.currency)


def test_a_till_gives_shares_back_with_what_they_earned(
    world: World, asset: int, operator: Person, publisher: Person, holder: Person
) -> None:
    share = world.new_share(holder, supply=4 * ONE_SHARE)
    till = world.channels("till_of", asset, operator.address, 1)
    share("transfer", till, ONE_SHARE, by=holder.address)
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    world.channels("rescue_from_till", asset, operator.address, 1, share)
    assert share("balanceOf", publisher.address) == ONE_SHARE
    assert world.held(publisher) == 250


def test_a_till_whose_currency_answers_false_keeps_its_money(
    world: World, publisher: Person, operator: Person
) -> None:
    from rig.system import deploy_world

    world = deploy_world(currency=mock("FalseCurrency"))
    asset = world.publish(publisher, operator=operator)
    till = world.channels("till_of", asset, operator.address, 1)
    world.fund(till, 10)
    world.currency("set_refuses", True)
    with refused("till: currency refused the transfer"):
        world.channels("flush_till", asset, operator.address, 1)


def test_what_is_sent_straight_to_channels_is_the_commons(world: World, keeper: Person) -> None:
    world.fund(world.channels.address, 77)
    assert world.channels("absorb_surplus", by=keeper.address) == 77
    (event,) = world.channels.events()
    assert event.name == "SurplusAbsorbed"
    assert event.arguments == {"amount": 77}
    assert world.channels("credit_of", world.commons.address) == 77
    assert world.channels("absorb_surplus") == 0


def test_other_tokens_sent_to_channels_are_the_commons_too(
    world: World, token: Contract, attacker: Person
) -> None:
    token("mint", world.channels, 9)
    assert world.channels("rescue", token, by=attacker.address) == 9
    assert token("balanceOf", world.commons.address) == 9
    with refused("channels: the currency is somebody's; use absorb_surplus"):
        world.channels("rescue", world.currency, by=attacker.address)
