"""A payer opens a channel toward one operator; its number is a hash that nobody else can take."""

from __future__ import annotations

import pytest
from eth_abi import encode
from eth_utils import keccak
from rig.compiling import compiled, mock
from rig.contract import NOBODY, deployed, refused
from rig.people import Person
from rig.system import DAY, World, deploy_world

SALT = b"\x05" * 32


def test_open_takes_the_deposit_and_says_so(
    world: World, consumer: Person, operator: Person
) -> None:
    channels = world.channels
    world.fund(consumer, 500, spender=channels)
    channel = channels(
        "open", operator.address, SALT, 500, consumer.address, [], by=consumer.address
    )
    opened, deposited = channels.events()
    assert (opened.name, deposited.name) == ("ChannelOpened", "Deposited")
    assert opened.arguments == {
        "operator": operator.address,
        "payer": consumer.address,
        "channel": channel,
        "signer": consumer.address,
        "restricted": False,
    }
    assert deposited.arguments == {"operator": operator.address, "channel": channel, "amount": 500}
    parts = encode(["address", "address", "bytes32"], [consumer.address, operator.address, SALT])
    assert channel == int.from_bytes(keccak(parts), "big") % 2**64
    assert channel == channels("channel_number", consumer.address, operator.address, SALT)
    assert channels("channel_of", operator.address, channel) == (
        consumer.address,
        consumer.address,
        False,
        500,
        0,
    )


def test_a_session_key_is_held_to_its_grants(
    world: World, consumer: Person, operator: Person, session_key: Person
) -> None:
    grants = ((7, 1, 300, world.now + DAY),)
    channel = world.open_channel(consumer, operator, 500, signer=session_key, grants=grants)
    (event,) = world.channels.events("Granted")
    assert event.arguments == {
        "operator": operator.address,
        "channel": channel,
        "asset": 7,
        "terms": 1,
        "cap": 300,
        "expires": world.now + DAY,
    }
    assert world.channels("channel_of", operator.address, channel)[1:3] == (
        session_key.address,
        True,
    )
    assert world.channels("line_of", operator.address, channel, 7, 1) == (
        0,
        300,
        world.now + DAY,
    )


def test_a_channel_is_opened_once(world: World, consumer: Person, operator: Person) -> None:
    for attempt in range(2):
        arguments = (operator.address, SALT, 0, consumer.address, [])
        if attempt == 0:
            world.channels("open", *arguments, by=consumer.address)
            continue
        with refused("channels: channel exists"):
            world.channels("open", *arguments, by=consumer.address)


@pytest.mark.parametrize("missing", ["operator", "signer"])
def test_nobody_is_no_operator_and_no_signer(
    world: World, consumer: Person, operator: Person, missing: str
) -> None:
    to = NOBODY if missing == "operator" else operator.address
    signer = NOBODY if missing == "signer" else consumer.address
    with refused("channels: zero address"):
        world.channels("open", to, SALT, 0, signer, [], by=consumer.address)


def test_a_deposit_fits_its_word(world: World, consumer: Person, operator: Person) -> None:
    channel = world.open_channel(consumer, operator, 2**95 - 1)
    world.fund(consumer, 2**95)
    for amount in (1, 2**95):
        with refused("channels: balance too large"):
            world.channels("top_up", operator.address, channel, amount, by=consumer.address)


def test_anyone_tops_a_channel_up(
    world: World, consumer: Person, operator: Person, keeper: Person
) -> None:
    channel = world.open_channel(consumer, operator, 500)
    world.fund(keeper, 50, spender=world.channels)
    world.channels("top_up", operator.address, channel, 50, by=keeper.address)
    (event,) = world.channels.events()
    assert event.arguments == {"operator": operator.address, "channel": channel, "amount": 50}
    assert world.balance_of(operator, channel) == 550
    for number in (channel + 1, 2**64 + channel):
        with refused("channels: no such channel"):
            world.channels("top_up", operator.address, number, 0, by=keeper.address)


def test_only_what_arrived_is_deposited(consumer: Person, operator: Person) -> None:
    world = deploy_world(currency=mock("FeeCurrency"), currency_arguments=(6, 1_000))
    channel = world.open_channel(consumer, operator, 1_000)
    assert world.balance_of(operator, channel) == 900
    assert world.channels("obligations") == world.held(world.channels) == 900


def test_a_currency_that_answers_false_is_believed(consumer: Person, operator: Person) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    world.currency("set_refuses", True)
    with refused("channels: currency refused the transfer"):
        world.open_channel(consumer, operator, 5)


@pytest.mark.parametrize("delay", [0, 30 * DAY + 1])
def test_a_delay_that_protects_nobody_is_refused(world: World, delay: int) -> None:
    with refused("channels: delay out of range"):
        deployed(
            world.engine,
            compiled("Channels"),
            world.currency,
            world.registry,
            world.till_implementation,
            delay,
            by=world.owner.address,
        )


def test_the_domain_is_told_as_eip_5267_wants_it(world: World) -> None:
    fields, name, version, chain_id, contract, salt, extensions = world.channels("eip712Domain")
    assert (fields, name, version) == (b"\x0f", "Tessera Channels", "1")
    assert (chain_id, contract) == (world.engine.chain_id, world.channels.address)
    assert (salt, extensions) == (bytes(32), ())
    assert world.channels("currency") == world.currency.address
    assert world.channels("registry") == world.registry.address
    assert world.channels("withdraw_delay") == 3_600
