"""A parent that is added later is owed its royalty by terms yet to be written, and by no others."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person
from rig.system import TERMS_GRACE, World


def _royalties(world: World, asset: int, operator: Person, terms: int) -> list[tuple[int, int]]:
    found = world.registry("split_of", asset, operator.address, terms)[2]
    return [(word >> 16, word % 2**16) for word in found]


def test_a_new_parent_binds_new_terms_only(
    world: World, publisher: Person, operator: Person, keeper: Person
) -> None:
    first, second = world.publish(publisher), world.publish(publisher)
    asset = world.publish(publisher, parents=((first, 300),), operator=operator, cut_bps=1_000)
    world.registry("add_parent", asset, second, 700, by=publisher.address)
    (event,) = world.registry.events()
    assert event.name == "ParentAdded"
    assert event.arguments == {"asset": asset, "parent": second, "royalty_bps": 700}
    assert world.registry("parents_of", asset) == ((first, 300), (second, 700))
    assert world.registry("asset_row", asset)[3] == 1_000
    assert _royalties(world, asset, operator, 0) == [(first, 300)]
    assert _royalties(world, asset, operator, 1) == [(first, 300)]

    assert world.registry("renew_terms", asset, operator.address, by=keeper.address) == 2
    (event,) = world.registry.events("TermsRenewed")
    assert event.arguments == {"asset": asset, "operator": operator.address, "terms": 2}
    assert _royalties(world, asset, operator, 1) == [(first, 300)]
    assert _royalties(world, asset, operator, 2) == [(first, 300), (second, 700)]
    assert world.registry("endpoint_of", asset, operator.address) == (
        True, 2, 100, 1_000, (1_000, 0, 0),
    )  # fmt: skip
    assert world.registry("terms_of", asset, operator.address, 1)[2] == world.now + TERMS_GRACE
    # A cut that lapsed leaves the parents what they were.
    world.wait(TERMS_GRACE)
    assert world.registry("split_of", asset, operator.address, 1)[:2] == (100, 0)
    assert _royalties(world, asset, operator, 1) == [(first, 300)]


def test_the_next_endpoint_knows_the_new_parent(
    world: World, publisher: Person, operator: Person
) -> None:
    parent = world.publish(publisher)
    asset = world.publish(publisher, operator=operator, cut_bps=1_000)
    world.registry("add_parent", asset, parent, 1, by=publisher.address)
    assert world.set_endpoint(asset, operator, 1_000, by=publisher) == 2
    assert _royalties(world, asset, operator, 2) == [(parent, 1)]
    assert world.set_endpoint(asset, operator, 1_000, by=publisher) == 2


def test_renewing_changes_nothing_but_the_parents(
    world: World, publisher: Person, operator: Person, keeper: Person
) -> None:
    parent = world.publish(publisher)
    asset = world.publish(publisher, operator=operator, cut_bps=1_000)
    with refused("registry: the terms know every parent"):
        world.registry("renew_terms", asset, operator.address, by=keeper.address)
    with refused("registry: no such endpoint"):
        world.registry("renew_terms", asset, keeper.address, by=keeper.address)
    commons = world.commons.address
    world.registry("set_network", 500, commons, commons, by=world.owner.address)
    world.registry("add_parent", asset, parent, 1, by=publisher.address)
    world.registry("renew_terms", asset, operator.address, by=keeper.address)
    assert world.registry("endpoint_of", asset, operator.address)[2] == 100
    with refused("registry: the terms know every parent"):
        world.registry("renew_terms", asset, operator.address, by=keeper.address)
    world.registry("close_endpoint", asset, operator.address, by=publisher.address)
    with refused("registry: no such endpoint"):
        world.registry("renew_terms", asset, operator.address, by=keeper.address)


def test_renewing_stops_at_the_last_number_of_terms(
    world: World, publisher: Person, operator: Person
) -> None:
    parent = world.publish(publisher)
    asset = world.publish(publisher, operator=operator)
    registry = world.registry
    row = registry.slot("terms_rows", asset, operator.address, 1)
    registry.poke("terms_rows", asset, operator.address, 2**32 - 1, value=row)
    word = registry.slot("endpoints", asset, operator.address)
    registry.poke("endpoints", asset, operator.address, value=word | (2**32 - 1) << 216)
    registry("add_parent", asset, parent, 1, by=publisher.address)
    with refused("registry: too many terms"):
        registry("renew_terms", asset, operator.address)


def test_what_a_new_parent_must_be(
    world: World, publisher: Person, operator: Person, attacker: Person
) -> None:
    parent = world.publish(publisher)
    asset = world.publish(publisher, parents=((parent, 1),), operator=operator, cut_bps=5_000)
    younger = world.publish(publisher)
    other = world.publish(publisher, parents=((asset, 1),))
    add = [
        ("registry: only the asset's controller", (asset, parent, 1), attacker),
        ("registry: no such parent", (asset, 5, 1), publisher),
        ("registry: a parent is older than its child", (asset, younger, 1), publisher),
        ("registry: a parent is older than its child", (asset, asset, 1), publisher),
        ("registry: a parent without royalty", (other, parent, 0), publisher),
        ("registry: parent named twice", (asset, parent, 1), publisher),
        ("registry: royalties too high", (other, parent, 9_500), publisher),
        ("registry: royalties too high", (other, parent, 2**256 - 1), publisher),
    ]
    for reason, arguments, who in add:
        with refused(reason):
            world.registry("add_parent", *arguments, by=who.address)
    world.registry("add_parent", other, parent, 9_499, by=publisher.address)


@pytest.mark.parametrize("floor", [0, 2_000])
def test_a_new_parent_leaves_the_dearest_cut_and_the_floor(
    world: World, publisher: Person, operator: Person, floor: int
) -> None:
    parent = world.publish(publisher)
    asset = world.publish(publisher, operator=operator, cut_bps=5_000)
    world.set_endpoint(asset, operator, 0, by=publisher)
    assert world.registry("largest_cut_of", asset) == 5_000
    world.tokenize(asset, publisher, floor_bps=floor)
    with refused("registry: royalties too high"):
        world.registry("add_parent", asset, parent, 4_501 - floor, by=publisher.address)
    world.registry("add_parent", asset, parent, 4_500 - floor, by=publisher.address)


def test_there_are_eight_parents_at_most(world: World, publisher: Person) -> None:
    parents = [world.publish(publisher) for _ in range(9)]
    asset = world.publish(publisher)
    for parent in parents[:8]:
        world.registry("add_parent", asset, parent, 1, by=publisher.address)
    with refused("registry: too many parents"):
        world.registry("add_parent", asset, parents[8], 1, by=publisher.address)
