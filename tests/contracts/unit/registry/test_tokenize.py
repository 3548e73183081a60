"""An asset is tokenized once, within bounds, and never below what its terms already gave away."""

from __future__ import annotations

from typing import Any

import pytest
from rig.contract import refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, World

YEAR = 365 * DAY


def _tokenize(world: World, asset: int, publisher: Person, **changes: Any) -> str:
    request = {
        "name": "Share",
        "symbol": "SHR",
        "supply": ONE_SHARE,
        "period": DAY,
        "floor_bps": 0,
        "max_discount_bps": 0,
        "receiver": publisher.address,
        **changes,
    }
    return str(world.registry("tokenize", asset, tuple(request.values()), by=publisher.address))


def test_tokenize_says_what_it_made(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    share = _tokenize(world, asset, publisher, floor_bps=10, max_discount_bps=20)
    (event,) = world.registry.events("Tokenized")
    assert event.arguments == {
        "asset": asset,
        "share": share,
        "receiver": publisher.address,
        "supply": ONE_SHARE,
        "floor_bps": 10,
        "max_discount_bps": 20,
        "period": DAY,
    }
    assert world.registry("share_of", asset) == share
    with refused("registry: tokenized already"):
        _tokenize(world, asset, publisher)


def test_only_the_controller_tokenizes(world: World, publisher: Person, attacker: Person) -> None:
    with refused("registry: only the asset's controller"):
        _tokenize(world, world.publish(publisher), attacker)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"supply": ONE_SHARE - 1}, "registry: supply out of range"),
        ({"supply": 2**96}, "registry: supply out of range"),
        ({"period": 0}, "registry: period out of range"),
        ({"period": YEAR + 1}, "registry: period out of range"),
        ({"name": ""}, "registry: name or symbol is empty"),
        ({"symbol": ""}, "registry: name or symbol is empty"),
        ({"max_discount_bps": 10_001}, "registry: discount out of range"),
        ({"floor_bps": 9_501}, "registry: floor above what terms leave"),
        ({"floor_bps": 2**256 - 1}, "registry: floor above what terms leave"),
    ],
)
def test_a_share_out_of_bounds_is_refused(
    world: World, publisher: Person, changes: dict[str, Any], reason: str
) -> None:
    with refused(reason):
        _tokenize(world, world.publish(publisher), publisher, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"supply": 2**96 - 1},
        {"period": 1},
        {"period": YEAR},
        {"max_discount_bps": 10_000},
        {"floor_bps": 9_500},
        {"name": "\N{SNOWMAN}" * 10, "symbol": "\N{SNOWMAN}"},
    ],
)
def test_a_share_at_its_bounds_is_made(
    world: World, publisher: Person, changes: dict[str, Any]
) -> None:
    _tokenize(world, world.publish(publisher), publisher, **changes)


def test_the_floor_holds_under_the_dearest_terms_ever_written(
    world: World, publisher: Person, operator: Person
) -> None:
    parent = world.publish(publisher)
    asset = world.publish(publisher, parents=((parent, 1_000),), operator=operator, cut_bps=4_000)
    world.set_endpoint(asset, operator, 0, by=publisher)
    with refused("registry: floor above what terms leave"):
        _tokenize(world, asset, publisher, floor_bps=4_501)
    _tokenize(world, asset, publisher, floor_bps=4_500)


def test_the_supply_never_goes_to_the_share_itself(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    with world.engine.trial():
        unborn = _tokenize(world, asset, publisher)
    with refused("share: receiver is the share itself"):
        _tokenize(world, asset, publisher, receiver=unborn)
