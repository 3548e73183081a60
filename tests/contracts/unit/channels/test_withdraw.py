"""A payer gets the rest back after the delay, and nobody can shorten or lengthen it."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import refused
from rig.people import Person
from rig.system import WITHDRAW_DELAY, World, deploy_world


@pytest.fixture
def channel(world: World, consumer: Person, operator: Person) -> int:
    return world.open_channel(consumer, operator, 500)


def test_the_rest_comes_back_after_the_delay(
    world: World, channel: int, consumer: Person, operator: Person, keeper: Person
) -> None:
    channels = world.channels
    at = (operator.address, channel)
    with refused("channels: no withdrawal requested"):
        channels("withdraw", *at, by=consumer.address)
    available_at = channels("request_withdrawal", *at, by=consumer.address)
    assert available_at == world.now + WITHDRAW_DELAY
    (event,) = channels.events("WithdrawalRequested")
    assert event.arguments["available_at"] == available_at
    with refused("channels: withdrawal requested already"):
        channels("request_withdrawal", *at, by=consumer.address)
    world.wait(WITHDRAW_DELAY - 1)
    with refused("channels: withdrawal is not available yet"):
        channels("withdraw", *at, by=consumer.address)
    world.wait(1)
    assert channels("withdraw", *at, by=keeper.address) == 500
    (event,) = channels.events("Withdrawn")
    assert event.arguments == {
        "operator": operator.address,
        "channel": channel,
        "receiver": consumer.address,
        "amount": 500,
    }
    assert world.held(consumer) == 500
    assert channels("obligations") == 0
    with refused("channels: no withdrawal requested"):
        channels("withdraw", *at, by=keeper.address)


def test_an_emptied_channel_can_be_filled_again(
    world: World, channel: int, consumer: Person, operator: Person
) -> None:
    world.channels("release", channel, by=operator.address)
    world.channels("top_up", operator.address, channel, 500, by=consumer.address)
    assert world.channels("channel_of", operator.address, channel)[3:] == (500, 0)


def test_only_the_payer_asks(
    world: World, channel: int, operator: Person, attacker: Person
) -> None:
    at = (operator.address, channel)
    for who in (operator, attacker):
        with refused("channels: only the payer"):
            world.channels("request_withdrawal", *at, by=who.address)
        with refused("channels: only the payer"):
            world.channels("cancel_withdrawal", *at, by=who.address)
        with refused("channels: only the payer"):
            world.channels("withdraw_to", *at, who.address, by=who.address)


def test_the_payer_changes_its_mind(
    world: World, channel: int, consumer: Person, operator: Person
) -> None:
    at = (operator.address, channel)
    with refused("channels: no withdrawal requested"):
        world.channels("cancel_withdrawal", *at, by=consumer.address)
    world.channels("request_withdrawal", *at, by=consumer.address)
    world.channels("cancel_withdrawal", *at, by=consumer.address)
    assert [event.name for event in world.channels.events()] == ["WithdrawalCancelled"]
    world.wait(WITHDRAW_DELAY)
    with refused("channels: no withdrawal requested"):
        world.channels("withdraw", *at, by=consumer.address)


def test_a_blocked_payer_withdraws_to_another_address(
    consumer: Person, operator: Person, keeper: Person
) -> None:
    world = deploy_world(currency=mock("BlacklistCurrency"))
    channel = world.open_channel(consumer, operator, 500)
    at = (operator.address, channel)
    world.channels("request_withdrawal", *at, by=consumer.address)
    world.wait(WITHDRAW_DELAY)
    world.currency("set_blocked", consumer.address, True)
    with refused("blacklist_currency: blocked"):
        world.channels("withdraw", *at, by=keeper.address)
    assert world.channels("withdraw_to", *at, keeper.address, by=consumer.address) == 500
    assert world.held(keeper) == 500


def test_the_operator_lets_go_at_once(
    world: World, channel: int, consumer: Person, operator: Person, attacker: Person
) -> None:
    with refused("channels: no such channel"):
        world.channels("release", channel, by=attacker.address)
    with refused("channels: no such channel"):
        world.channels("release", 2**64 + channel, by=operator.address)
    assert world.channels("release", channel, by=operator.address) == 500
    assert world.held(consumer) == 500


def test_a_currency_that_answers_false_leaves_the_deposit_where_it_was(
    consumer: Person, operator: Person
) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    channel = world.open_channel(consumer, operator, 500)
    world.currency("set_refuses", True)
    with refused("channels: currency refused the transfer"):
        world.channels("release", channel, by=operator.address)
    assert world.balance_of(operator, channel) == 500
