"""TSR: a genesis for all to read, one minter for ever, and a cap over everything ever minted."""

from __future__ import annotations

import pytest
from rig.compiling import compiled
from rig.contract import NOBODY, Contract, deployed, refused
from rig.people import Person, person
from rig.system import World

CAP = 21_000_000 * 10**18
GENESIS = 1_000_000 * 10**18
MINTER = person("minter")


@pytest.fixture
def token(world: World, holder: Person) -> Contract:
    arguments = (GENESIS, holder.address)
    return deployed(world.engine, compiled("NetworkToken"), *arguments, by=world.owner.address)


@pytest.fixture
def minted(world: World, token: Contract) -> Contract:
    token("set_minter", MINTER.address, by=world.owner.address)
    return token


def test_the_genesis_is_public_and_whole(token: Contract, holder: Person) -> None:
    assert token("genesis") == token("minted") == token("totalSupply") == GENESIS
    assert token("balanceOf", holder.address) == GENESIS
    assert token("cap") == CAP
    assert (token("name"), token("symbol")) == ("Tessera", "TSR")
    assert (token("decimals"), token("version")) == (18, "1")


def test_a_genesis_above_the_cap_or_of_nobody_is_refused(world: World, holder: Person) -> None:
    deployer = world.owner.address
    with refused("network_token: above the cap"):
        deployed(world.engine, compiled("NetworkToken"), CAP + 1, holder.address, by=deployer)
    with refused("erc20: receiver is the zero address"):
        deployed(world.engine, compiled("NetworkToken"), 1, NOBODY, by=deployer)
    empty = deployed(world.engine, compiled("NetworkToken"), 0, NOBODY, by=deployer)
    assert empty("totalSupply") == empty("genesis") == empty("minted") == 0


def test_the_deployer_names_the_minter_once(
    world: World, token: Contract, attacker: Person
) -> None:
    assert token("minter") == NOBODY
    with refused("network_token: only the deployer"):
        token("set_minter", attacker.address, by=attacker.address)
    with refused("network_token: minter is the zero address"):
        token("set_minter", NOBODY, by=world.owner.address)
    with refused("network_token: only the minter"):
        token("mint", attacker.address, 1, by=world.owner.address)
    # Nobody set a minter, and the zero address is nobody.
    with refused("network_token: only the minter"):
        token("mint", attacker.address, 1, by=NOBODY)
    token("set_minter", MINTER.address, by=world.owner.address)
    (event,) = token.events("MinterSet")
    assert event.arguments == {"minter": MINTER.address}
    with refused("network_token: the minter is set"):
        token("set_minter", attacker.address, by=world.owner.address)


def test_only_the_minter_mints(minted: Contract, consumer: Person, attacker: Person) -> None:
    with refused("network_token: only the minter"):
        minted("mint", attacker.address, 1, by=attacker.address)
    minted("mint", consumer.address, 5, by=MINTER.address)
    assert minted("balanceOf", consumer.address) == 5
    assert minted("totalSupply") == minted("minted") == GENESIS + 5


def test_what_is_burned_does_not_come_back(minted: Contract, holder: Person) -> None:
    """The cap is over everything ever minted, so burning makes no room."""
    minted("mint", holder.address, CAP - GENESIS, by=MINTER.address)
    with refused("network_token: above the cap"):
        minted("mint", holder.address, 1, by=MINTER.address)
    minted("burn", CAP, by=holder.address)
    assert minted("totalSupply") == 0
    assert minted("minted") == CAP
    with refused("network_token: above the cap"):
        minted("mint", holder.address, 1, by=MINTER.address)
    with refused("erc20: balance too low"):
        minted("burn", 1, by=holder.address)


def test_burning_says_so(minted: Contract, holder: Person) -> None:
    minted("burn", 7, by=holder.address)
    (event,) = minted.events("Transfer")
    assert event.arguments == {"sender": holder.address, "receiver": NOBODY, "value": 7}
    assert minted("totalSupply") == GENESIS - 7
