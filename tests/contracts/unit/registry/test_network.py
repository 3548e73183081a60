"""The network's owner sets the fee of terms to come and its receivers, and nothing else."""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import NOBODY, deployed, refused
from rig.people import Person
from rig.system import DAY, World


def test_the_owner_sets_the_fee(world: World, keeper: Person) -> None:
    world.registry(
        "set_network", 500, keeper.address, world.commons.address, by=world.owner.address
    )
    (event,) = world.registry.events()
    assert event.name == "NetworkSet"
    assert event.arguments == {
        "fee_bps": 500,
        "commons": keeper.address,
        "validators": world.commons.address,
    }
    assert world.registry("fee_bps") == 500
    assert world.registry("commons") == keeper.address
    assert world.registry("validators") == world.commons.address


@pytest.mark.parametrize(
    ("fee", "commons", "validators", "reason"),
    [
        (501, 1, 1, "registry: fee above the cap"),
        (100, 0, 1, "registry: zero address"),
        (100, 1, 0, "registry: zero address"),
    ],
)
def test_a_fee_above_the_cap_or_to_nobody_is_refused(
    world: World, fee: int, commons: int, validators: int, reason: str
) -> None:
    somebody = world.commons.address
    with refused(reason):
        world.registry(
            "set_network",
            fee,
            somebody if commons else NOBODY,
            somebody if validators else NOBODY,
            by=world.owner.address,
        )


def test_a_stranger_sets_nothing(world: World, attacker: Person) -> None:
    with refused("registry: only the network's owner"):
        world.registry("set_network", 0, attacker.address, attacker.address, by=attacker.address)
    with refused("registry: only the network's owner"):
        world.registry("nominate_owner", attacker.address, by=attacker.address)
    with refused("registry: not nominated"):
        world.registry("accept_ownership", by=attacker.address)


def test_ownership_moves_in_two_steps(world: World, keeper: Person, attacker: Person) -> None:
    registry = world.registry
    registry("nominate_owner", keeper.address, by=world.owner.address)
    assert [event.name for event in registry.events()] == ["OwnerNominated"]
    assert registry("owner") == world.owner.address
    with refused("registry: not nominated"):
        registry("accept_ownership", by=attacker.address)
    registry("accept_ownership", by=keeper.address)
    assert [event.arguments for event in registry.events("OwnerChanged")] == [
        {"owner": keeper.address}
    ]
    assert registry("owner") == keeper.address
    with refused("registry: not nominated"):
        registry("accept_ownership", by=keeper.address)


@pytest.mark.parametrize("missing", ["governor", "owner", "commons"])
def test_a_registry_without_a_governor_an_owner_or_a_commons_is_not_deployed(
    world: World, missing: str
) -> None:
    governor = NOBODY if missing == "governor" else world.owner.address
    owner = NOBODY if missing == "owner" else world.owner.address
    commons = NOBODY if missing == "commons" else world.commons.address
    with refused("registry: zero address"):
        deployed(
            world.engine,
            compiled("Registry"),
            world.share_implementation,
            governor,
            owner,
            commons,
            DAY,
            by=world.owner.address,
        )


def test_a_grace_of_more_than_a_year_is_refused(world: World) -> None:
    with refused("registry: grace out of range"):
        deployed(
            world.engine,
            compiled("Registry"),
            world.share_implementation,
            world.owner.address,
            world.owner.address,
            world.commons.address,
            366 * DAY,
            by=world.owner.address,
        )


def test_a_token_sent_to_the_registry_goes_to_the_networks_owner(
    world: World, attacker: Person
) -> None:
    token = deployed(world.engine, mock("PlainCurrency"), 6, by=world.owner.address)
    token("mint", world.registry, 5)
    assert world.registry("rescue", token, by=attacker.address) == 5
    assert token("balanceOf", world.owner.address) == 5


def test_the_registry_has_a_name(world: World) -> None:
    assert world.registry("name") == "Tessera Assets"
    assert world.registry("symbol") == "TESSERA"
