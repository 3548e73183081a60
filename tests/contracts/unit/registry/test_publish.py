"""An asset is registered once, with content, a name, one kind, and parents that came before it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak
from rig.contract import NOBODY, refused
from rig.people import Person
from rig.system import World

PRICE = (1_000, 20, 30)


def publication(**changes: Any) -> tuple[Any, ...]:
    parts = {
        "slug": "sentiment",
        "kind": 1,
        "salt": bytes(32),
        "contributions": b"\x07" * 32,
        "parents": [],
        "release": (b"\x01" * 32, 2, "bundle://sentiment"),
        **changes,
    }
    return tuple(parts.values())


def endpoint(operator: str = NOBODY, cut_bps: int = 0) -> tuple[Any, ...]:
    return (operator, cut_bps, PRICE, "http://localhost:8402")


def test_publish_registers_the_first_version_and_says_so(world: World, publisher: Person) -> None:
    registry = world.registry
    asset = registry("publish", publication(), endpoint(), by=publisher.address)
    assert [event.name for event in registry.events()] == [
        "Transfer",
        "AssetRegistered",
        "VersionReleased",
    ]
    _, registered, released = registry.events()
    assert registered.arguments == {
        "asset": asset,
        "creator": publisher.address,
        "number": 1,
        "kind": 1,
        "slug": "sentiment",
        "contributions": b"\x07" * 32,
        "parents": (),
    }
    assert released.arguments == {
        "asset": asset,
        "version": 1,
        "root": b"\x01" * 32,
        "runner": 2,
        "uri": "bundle://sentiment",
    }
    assert registry("asset_row", asset) == (1, 1, 1, 0, world.now)
    assert registry("root_of", asset, 0) == registry("root_of", asset, 1) == b"\x01" * 32
    assert registry("contributions_of", asset) == b"\x07" * 32
    assert registry("controller_of", asset) == publisher.address
    assert registry("asset_count") == 1


def test_an_id_is_a_hash_of_chain_registry_creator_content_and_salt(
    world: World, publisher: Person
) -> None:
    asset = world.registry("publish", publication(), endpoint(), by=publisher.address)
    parts = encode(
        ["uint256", "address", "address", "bytes32", "bytes32"],
        [
            world.engine.chain_id,
            world.registry.address,
            publisher.address,
            b"\x01" * 32,
            bytes(32),
        ],
    )
    assert asset == int.from_bytes(keccak(parts), "big") >> 16
    assert asset == world.registry("asset_id", publisher.address, b"\x01" * 32, bytes(32))


def test_the_same_content_twice_needs_another_salt(world: World, publisher: Person) -> None:
    world.registry("publish", publication(), endpoint(), by=publisher.address)
    with refused("erc721: id exists"):
        world.registry("publish", publication(), endpoint(), by=publisher.address)
    world.registry("publish", publication(salt=b"\x01" * 32), endpoint(), by=publisher.address)


def test_nobody_else_gets_the_id_of_copied_content(
    world: World, publisher: Person, attacker: Person
) -> None:
    copied = world.registry("publish", publication(), endpoint(), by=attacker.address)
    asset = world.registry("publish", publication(), endpoint(), by=publisher.address)
    assert asset != copied


def test_publish_lists_the_first_operator(
    world: World, publisher: Person, operator: Person
) -> None:
    asset = world.registry(
        "publish", publication(), endpoint(operator.address, 2_000), by=publisher.address
    )
    (event,) = world.registry.events("EndpointSet")
    assert event.arguments == {
        "asset": asset,
        "operator": operator.address,
        "terms": 1,
        "cut_bps": 2_000,
        "fee_bps": 100,
        "price": PRICE,
        "url": "http://localhost:8402",
    }
    assert world.registry("endpoint_of", asset, operator.address) == (True, 1, 100, 2_000, PRICE)


@pytest.mark.parametrize("kind", [0, 3, 31])
def test_an_asset_is_of_exactly_one_kind(world: World, publisher: Person, kind: int) -> None:
    with refused("registry: kind is not one kind"):
        world.registry("publish", publication(kind=kind), endpoint(), by=publisher.address)


@pytest.mark.parametrize("kind", [1, 2, 4, 8, 16])
def test_every_kind_can_be_published(world: World, publisher: Person, kind: int) -> None:
    asset = world.registry("publish", publication(kind=kind), endpoint(), by=publisher.address)
    assert world.registry("asset_row", asset)[1] == kind


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slug": ""}, "registry: slug is empty"),
        ({"release": (bytes(32), 0, "")}, "registry: content root is empty"),
        ({"parents": [(77, 100)]}, "registry: no such parent"),
    ],
)
def test_an_empty_or_orphaned_publication_is_refused(
    world: World, publisher: Person, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        world.registry("publish", publication(**changes), endpoint(), by=publisher.address)


def test_parents_are_kept_with_their_royalties(world: World, publisher: Person) -> None:
    parents = [(world.publish(publisher), 100 + number) for number in range(8)]
    asset = world.publish(publisher, parents=tuple(parents))
    assert world.registry("parents_of", asset) == tuple(parents)
    assert world.registry("asset_row", asset)[3] == sum(bps for _, bps in parents)


@pytest.mark.parametrize(
    ("royalties", "reason"),
    [
        ([0], "registry: a parent without royalty"),
        ([9_501], "registry: royalties too high"),
        ([9_000, 501], "registry: royalties too high"),
        ([2**255], "registry: royalties too high"),
    ],
)
def test_royalties_leave_room_for_the_fee(
    world: World, publisher: Person, royalties: list[int], reason: str
) -> None:
    parents = tuple((world.publish(publisher), bps) for bps in royalties)
    with refused(reason):
        world.publish(publisher, parents=parents)


def test_a_parent_is_named_once(world: World, publisher: Person) -> None:
    parent, other = world.publish(publisher), world.publish(publisher)
    with refused("registry: parent named twice"):
        world.publish(publisher, parents=((parent, 1), (other, 1), (parent, 2)))


def test_there_are_no_loops_in_a_lineage(world: World, publisher: Person) -> None:
    content = publication()
    unborn = world.registry("asset_id", publisher.address, b"\x01" * 32, bytes(32))
    with refused("registry: no such parent"):
        world.registry(
            "publish", publication(parents=[(unborn, 100)]), endpoint(), by=publisher.address
        )
    assert len(content) == 6
