"""Before an asset has a Share its owner decides about it; from then on the Governor does."""

from __future__ import annotations

from rig.compiling import mock
from rig.contract import deployed, refused
from rig.people import Person, person
from rig.system import create_address, deploy_world


def test_tokenizing_hands_control_to_the_governor_for_good(
    publisher: Person, buyer: Person, operator: Person
) -> None:
    keeper = person("the governor's deployer")
    world = deploy_world(governor=create_address(keeper.address, 0))
    governor = deployed(world.engine, mock("Actor"), by=keeper.address)
    assert world.registry("governor") == governor.address
    asset = world.publish(publisher)
    assert world.registry("controller_of", asset) == publisher.address
    world.tokenize(asset, publisher)
    (event,) = world.registry.events("ControlHandedOver")
    assert event.arguments == {"asset": asset, "controller": governor.address}
    assert world.registry("controller_of", asset) == governor.address
    with refused("registry: only the asset's controller"):
        world.set_endpoint(asset, operator, 0, by=publisher)
    with refused("registry: only the asset's controller"):
        world.registry("release", asset, (b"\1" * 32, 1, ""), by=publisher.address)
    # Whoever owns the token owns no more than the token.
    world.registry("transferFrom", publisher.address, buyer.address, asset, by=publisher.address)
    assert world.registry("controller_of", asset) == governor.address
    endpoint = (operator.address, 0, (0, 0, 0), "")
    world.as_contract(governor, world.registry, "set_endpoint", asset, endpoint)
    # It never comes back: there is nothing to hand on, and no second Share.
    with refused("registry: tokenized already"):
        world.tokenize(asset, buyer)
