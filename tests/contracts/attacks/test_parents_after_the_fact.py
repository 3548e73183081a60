"""Royalties of parents cannot be changed behind a child's back, nor run in a circle.

Story Protocol let a parent raise what its licence takes after derivatives were registered, which
they could not foresee; https://github.com/storyprotocol/protocol-core-v1/pull/364 tells of it.
Here a royalty stands in the child's own row and in the terms that its payers signed: nothing that a
parent does, and nothing that the child adds later, moves a unit of calls already made.
"""

from __future__ import annotations

from rig.contract import refused
from rig.people import Person
from rig.system import World


def _pay_till(world: World, asset: int, operator: Person, terms: int, amount: int) -> None:
    world.fund(world.channels("till_of", asset, operator.address, terms), amount)
    world.channels("flush_till", asset, operator.address, terms)


def test_a_parent_cannot_raise_its_royalty_after_the_child_was_made(
    world: World, publisher: Person, attacker: Person, operator: Person
) -> None:
    parent = world.publish(attacker)
    child = world.publish(publisher, parents=((parent, 500),), operator=operator)
    before = world.registry("split_of", child, operator.address, 1)
    # Everything that the parent's owner can do: a price, a version, shares, terms of its own.
    world.set_endpoint(parent, operator, 9_000, by=attacker, price=(10**9, 0, 0))
    world.registry("release", parent, (b"\1" * 32, 1, "dearer"), by=attacker.address)
    with refused("registry: only the asset's controller"):
        world.registry("add_parent", child, parent, 9_000, by=attacker.address)
    assert world.registry("split_of", child, operator.address, 1) == before
    # Nor can the child be talked into a second, higher royalty to the same parent.
    with refused("registry: parent named twice"):
        world.registry("add_parent", child, parent, 9_000, by=publisher.address)


def test_a_parent_added_later_takes_nothing_of_calls_already_made(
    world: World, publisher: Person, attacker: Person, operator: Person
) -> None:
    parent = world.publish(attacker)
    child = world.publish(publisher, operator=operator)
    _pay_till(world, child, operator, 1, 10_000)
    world.registry("add_parent", child, parent, 5_000, by=publisher.address)
    world.registry("renew_terms", child, operator.address, by=attacker.address)
    # Money under the old terms, arriving late, is still split as its payer saw.
    _pay_till(world, child, operator, 1, 10_000)
    assert world.channels("pending_of", parent) == 0
    assert world.channels("pending_of", child) == 2 * 9_900
    _pay_till(world, child, operator, 2, 10_000)
    assert world.channels("pending_of", parent) == 5_000


def test_two_assets_cannot_pay_each_other_in_a_circle(world: World, attacker: Person) -> None:
    older, younger = world.publish(attacker), world.publish(attacker)
    world.registry("add_parent", younger, older, 5_000, by=attacker.address)
    with refused("registry: a parent is older than its child"):
        world.registry("add_parent", older, younger, 5_000, by=attacker.address)
    with refused("registry: a parent is older than its child"):
        world.registry("add_parent", older, older, 5_000, by=attacker.address)
