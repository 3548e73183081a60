"""A Share is born once, by the Registry, with its terms in its own code."""

from __future__ import annotations

import pytest
from rig.clones import clone
from rig.compiling import compiled
from rig.contract import deployed, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, World


def test_the_terms_are_those_of_the_tokenization(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    share = world.tokenize(
        asset,
        publisher,
        supply=7 * ONE_SHARE + 1,
        period=DAY,
        floor_bps=1_234,
        max_discount_bps=567,
        name="x" * 32,
        symbol="S",
    )
    assert share("totalSupply") == 7 * ONE_SHARE + 1
    assert share("balanceOf", publisher.address) == 7 * ONE_SHARE + 1
    assert share("asset") == asset
    assert share("period") == DAY
    assert share("floor_bps") == 1_234
    assert share("max_discount_bps") == 567
    assert share("name") == "x" * 32
    assert share("symbol") == "S"
    assert share("decimals") == 18
    assert share("currency") == world.currency.address
    assert share("revenue_stream") == (0, 0, world.now, world.now)


def test_nobody_initializes_a_second_time(
    world: World, publisher: Person, attacker: Person
) -> None:
    share = world.new_share(publisher)
    with refused("share: only the registry initializes"):
        share("initialize", attacker.address, by=attacker.address)


def test_not_even_a_registry_initializes_twice(world: World, holder: Person) -> None:
    registry = world.actor()
    implementation = deployed(
        world.engine, compiled("Share"), world.currency, registry, by=world.owner.address
    )
    share = clone(implementation, ONE_SHARE | DAY << 96, 1, 0, 0, by=world.owner)
    world.as_contract(registry, share, "initialize", holder.address)
    assert share("balanceOf", holder.address) == ONE_SHARE
    with refused("share: initialized already"):
        world.as_contract(registry, share, "initialize", holder.address)


def test_the_implementation_belongs_to_nobody(world: World, attacker: Person) -> None:
    with refused("share: only the registry initializes"):
        world.share_implementation("initialize", attacker.address, by=attacker.address)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody", "share: receiver is the zero address"),
        ("currency", "share: receiver is the currency or the registry"),
        ("registry", "share: receiver is the currency or the registry"),
    ],
)
def test_the_supply_goes_only_where_it_can_leave_again(
    world: World, publisher: Person, name: str, reason: str
) -> None:
    receiver = {
        "nobody": "0x" + "00" * 20,
        "currency": world.currency.address,
        "registry": world.registry.address,
    }[name]
    request = ("Share", "SHR", ONE_SHARE, DAY, 0, 0, receiver)
    asset = world.publish(publisher)
    with refused(reason):
        world.registry("tokenize", asset, request, by=publisher.address)
