"""Shares unlock on a schedule that nobody changes, and earn from the first day."""

from __future__ import annotations

import pytest
from rig.clones import clone
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.people import Person, person
from rig.system import DAY, ONE_SHARE, World

GRANT = 100 * ONE_SHARE


@pytest.fixture
def contributor() -> Person:
    return person("contributor")


@pytest.fixture
def share(world: World, publisher: Person) -> Contract:
    return world.new_share(publisher, supply=1_000 * ONE_SHARE)


@pytest.fixture
def vesting(world: World, share: Contract, publisher: Person, contributor: Person) -> Contract:
    share("approve", world.launchpad, GRANT, by=publisher.address)
    schedule = (contributor.address, GRANT, world.now, 10 * DAY, 100 * DAY)
    (address,) = world.launchpad("vest", share("asset"), [schedule], by=publisher.address)
    return Contract(world.engine, compiled("Vesting"), address)


def test_nothing_leaves_before_the_cliff(
    world: World, share: Contract, vesting: Contract, contributor: Person
) -> None:
    world.wait(10 * DAY - 1)
    assert vesting("release", by=contributor.address) == 0
    assert vesting.events() == []
    world.wait(1)
    assert vesting("release", by=contributor.address) == GRANT // 10
    (event,) = vesting.events()
    assert event.arguments == {"beneficiary": contributor.address, "amount": GRANT // 10}
    assert vesting("release", by=contributor.address) == 0
    assert share("balanceOf", contributor.address) == GRANT // 10


def test_a_keeper_releases_to_the_beneficiary(
    world: World, share: Contract, vesting: Contract, contributor: Person, keeper: Person
) -> None:
    world.wait(100 * DAY)
    assert vesting("release", by=keeper.address) == GRANT
    assert share("balanceOf", contributor.address) == GRANT
    assert vesting("released") == GRANT


def test_locked_shares_earn_for_the_beneficiary(
    world: World, share: Contract, vesting: Contract, contributor: Person, attacker: Person
) -> None:
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    for who in (attacker, world.owner):
        with refused("vesting: only the beneficiary"):
            vesting("claim", by=who.address)
    assert vesting("claim", by=contributor.address) == 100
    assert world.held(contributor) == 100
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    assert vesting("claim", world.owner.address, by=contributor.address) == 100
    assert world.held(world.owner) == 100


def test_a_stranger_rescues_other_tokens_for_the_beneficiary(
    world: World, share: Contract, vesting: Contract, contributor: Person, attacker: Person
) -> None:
    token = deployed(world.engine, mock("FalseCurrency"), 6, by=world.owner.address)
    token("mint", vesting, 9)
    token("set_refuses", True)
    with refused("rescue: token refused the transfer"):
        vesting("rescue", token, by=attacker.address)
    token("set_refuses", False)
    assert vesting("rescue", token, by=attacker.address) == 9
    assert token("balanceOf", contributor.address) == 9
    with refused("vesting: the share leaves on its schedule only"):
        vesting("rescue", share, by=contributor.address)


def test_the_schedule_is_public(
    world: World, share: Contract, vesting: Contract, contributor: Person
) -> None:
    assert vesting("schedule") == (
        share.address,
        contributor.address,
        GRANT,
        world.now,
        10 * DAY,
        100 * DAY,
    )
    assert vesting("unlocked_at", world.now + 10 * DAY - 1) == 0
    assert vesting("unlocked_at", world.now + 50 * DAY) == GRANT // 2
    # A moment that does not divide evenly unlocks the smaller number.
    seconds = 50 * DAY + 1
    assert GRANT * seconds % (100 * DAY) != 0
    assert vesting("unlocked_at", world.now + seconds) == GRANT * seconds // (100 * DAY)
    assert vesting("unlocked_at", 2**256 - 1) == GRANT


def test_a_share_that_answers_false_is_believed(
    world: World, publisher: Person, contributor: Person
) -> None:
    share = deployed(world.engine, mock("FalseShare"), world.currency, by=publisher.address)
    implementation = deployed(
        world.engine, compiled("Vesting"), world.launchpad, by=publisher.address
    )
    vesting = clone(
        implementation, share.address, contributor.address, GRANT, world.now, by=publisher
    )
    with refused("vesting: share refused the transfer"):
        vesting("release")
