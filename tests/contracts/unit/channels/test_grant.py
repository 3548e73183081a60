"""A session key may be given more, for longer, and never less."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person
from rig.system import DAY, World


@pytest.fixture
def channel(world: World, consumer: Person, operator: Person, session_key: Person) -> int:
    grants = ((7, 1, 300, world.now + DAY),)
    return world.open_channel(consumer, operator, 500, signer=session_key, grants=grants)


def test_a_grant_grows(world: World, channel: int, consumer: Person, operator: Person) -> None:
    for cap, expires in ((300, world.now + DAY), (400, world.now + DAY), (400, 2**40 - 1)):
        item = (7, 1, cap, expires)
        world.channels("grant", operator.address, channel, [item], by=consumer.address)
        assert world.channels("line_of", operator.address, channel, 7, 1) == (0, cap, expires)


@pytest.mark.parametrize(("cap", "life"), [(299, DAY), (300, DAY - 1), (299, 2 * DAY)])
def test_a_grant_never_shrinks(
    world: World, channel: int, consumer: Person, operator: Person, cap: int, life: int
) -> None:
    item = (7, 1, cap, world.now + life)
    with refused("channels: a grant never shrinks"):
        world.channels("grant", operator.address, channel, [item], by=consumer.address)


@pytest.mark.parametrize(("cap", "expires"), [(2**96, 0), (0, 2**40), (2**256 - 1, 0)])
def test_a_grant_fits_its_word(
    world: World, channel: int, consumer: Person, operator: Person, cap: int, expires: int
) -> None:
    with refused("channels: grant out of range"):
        world.channels(
            "grant", operator.address, channel, [(8, 1, cap, expires)], by=consumer.address
        )


def test_only_the_payer_grants(
    world: World, channel: int, operator: Person, session_key: Person
) -> None:
    for who in (operator, session_key):
        with refused("channels: only the payer"):
            world.channels("grant", operator.address, channel, [], by=who.address)


def test_a_signer_without_limits_gets_none(
    world: World, consumer: Person, operator: Person
) -> None:
    channel = world.open_channel(consumer, operator, 500)
    with refused("channels: the signer is not restricted"):
        world.channels("grant", operator.address, channel, [], by=consumer.address)
