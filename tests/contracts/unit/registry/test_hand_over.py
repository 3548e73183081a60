"""Control of a tokenized asset moves once, to a contract, and never back."""

from __future__ import annotations

from rig.contract import refused
from rig.people import Person
from rig.system import World


def test_control_moves_to_a_contract_for_good(
    world: World, publisher: Person, buyer: Person, operator: Person
) -> None:
    asset = world.publish(publisher)
    world.tokenize(asset, publisher)
    governor = world.actor()
    world.registry("hand_over", asset, governor, by=publisher.address)
    (event,) = world.registry.events()
    assert event.name == "ControlHandedOver"
    assert event.arguments == {"asset": asset, "controller": governor.address}
    assert world.registry("controller_of", asset) == governor.address
    with refused("registry: only the asset's controller"):
        world.set_endpoint(asset, operator, 0, by=publisher)
    # Whoever owns the token owns no more than the token.
    world.registry("transferFrom", publisher.address, buyer.address, asset, by=publisher.address)
    assert world.registry("controller_of", asset) == governor.address
    endpoint = (operator.address, 0, (0, 0, 0), "")
    world.as_contract(governor, world.registry, "set_endpoint", asset, endpoint)
    with refused("registry: handed over already"):
        world.as_contract(governor, world.registry, "hand_over", asset, world.actor())


def test_control_moves_only_when_there_are_holders_and_code(
    world: World, publisher: Person, buyer: Person, attacker: Person
) -> None:
    asset = world.publish(publisher)
    with refused("registry: not tokenized"):
        world.registry("hand_over", asset, world.actor(), by=publisher.address)
    world.tokenize(asset, publisher)
    with refused("registry: controller is not a contract"):
        world.registry("hand_over", asset, buyer.address, by=publisher.address)
    with refused("registry: only the asset's controller"):
        world.registry("hand_over", asset, world.actor(), by=attacker.address)
