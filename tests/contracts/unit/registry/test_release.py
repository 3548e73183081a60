"""Versions are appended by the controller and never change."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person
from rig.system import World


def test_a_release_gets_the_next_number(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    first = world.registry("root_of", asset, 1)
    number = world.registry("release", asset, (b"\x02" * 32, 1, "v2"), by=publisher.address)
    assert number == 2
    (event,) = world.registry.events("VersionReleased")
    assert event.arguments == {
        "asset": asset,
        "version": 2,
        "root": b"\x02" * 32,
        "runner": 1,
        "uri": "v2",
    }
    assert world.registry("root_of", asset, 0) == b"\x02" * 32
    assert world.registry("root_of", asset, 1) == first


def test_only_the_controller_releases(world: World, publisher: Person, attacker: Person) -> None:
    asset = world.publish(publisher)
    with refused("registry: only the asset's controller"):
        world.registry("release", asset, (b"\x02" * 32, 1, ""), by=attacker.address)
    with refused("registry: content root is empty"):
        world.registry("release", asset, (bytes(32), 1, ""), by=publisher.address)


def test_the_last_number_of_a_version_is_not_passed(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    row = world.registry.slot("rows", asset)
    world.registry.poke("rows", asset, value=row | (2**32 - 1) << 40)
    with refused("registry: too many versions"):
        world.registry("release", asset, (b"\x02" * 32, 1, ""), by=publisher.address)


@pytest.mark.parametrize("version", [2, 2**32])
def test_a_version_that_is_not_there_has_no_root(
    world: World, publisher: Person, version: int
) -> None:
    asset = world.publish(publisher)
    with refused("registry: no such version"):
        world.registry("root_of", asset, version)


def test_an_asset_that_is_not_there_has_nothing(world: World, publisher: Person) -> None:
    with refused("registry: no such asset"):
        world.registry("asset_row", 5)
    with refused("registry: no such asset"):
        world.registry("split_of", 5, publisher.address, 0)
    with refused("registry: no such version"):
        world.registry("root_of", 5, 0)
    with refused("erc721: no such id"):
        world.registry("controller_of", 5)
    assert world.registry("parents_of", 5) == ()
