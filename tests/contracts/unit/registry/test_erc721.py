"""The asset token: who owns it, who may move it, and whether a contract wants it."""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, Contract, refused
from rig.people import Person
from rig.system import World

RECEIVED = bytes.fromhex("150b7a02")


@pytest.fixture
def asset(world: World, publisher: Person) -> int:
    return world.publish(publisher)


@pytest.fixture
def registry(world: World) -> Contract:
    return world.registry


def test_the_owner_moves_it(
    registry: Contract, asset: int, publisher: Person, buyer: Person
) -> None:
    registry("approve", buyer.address, asset, by=publisher.address)
    registry("transferFrom", publisher.address, buyer.address, asset, by=publisher.address)
    (event,) = registry.events("Transfer")
    assert list(event.arguments.values()) == [publisher.address, buyer.address, asset]
    assert registry("ownerOf", asset) == buyer.address
    assert registry("getApproved", asset) == NOBODY
    assert registry("balanceOf", publisher.address) == 0
    assert registry("balanceOf", buyer.address) == 1


def test_transfer_to_oneself_keeps_it(registry: Contract, asset: int, publisher: Person) -> None:
    registry("transferFrom", publisher.address, publisher.address, asset, by=publisher.address)
    assert registry("ownerOf", asset) == publisher.address
    assert registry("balanceOf", publisher.address) == 1


def test_one_approved_moves_it_once(
    registry: Contract, asset: int, publisher: Person, buyer: Person, keeper: Person
) -> None:
    with refused("erc721: neither owner nor approved"):
        registry("transferFrom", publisher.address, buyer.address, asset, by=keeper.address)
    registry("approve", keeper.address, asset, by=publisher.address)
    assert len(registry.events("Approval")) == 1
    registry("transferFrom", publisher.address, buyer.address, asset, by=keeper.address)
    with refused("erc721: neither owner nor approved"):
        registry("transferFrom", buyer.address, publisher.address, asset, by=keeper.address)


def test_one_approved_for_all_moves_and_approves(
    registry: Contract, asset: int, publisher: Person, buyer: Person, keeper: Person
) -> None:
    with refused("erc721: neither owner nor approved for all"):
        registry("approve", buyer.address, asset, by=keeper.address)
    registry("setApprovalForAll", keeper.address, True, by=publisher.address)
    assert len(registry.events("ApprovalForAll")) == 1
    assert registry("isApprovedForAll", publisher.address, keeper.address) is True
    registry("approve", buyer.address, asset, by=keeper.address)
    registry("transferFrom", publisher.address, buyer.address, asset, by=keeper.address)
    assert registry("ownerOf", asset) == buyer.address


def test_what_makes_no_sense_is_refused(
    registry: Contract, asset: int, publisher: Person, buyer: Person
) -> None:
    me = publisher.address
    with refused("erc721: the owner needs no approval"):
        registry("approve", me, asset, by=me)
    with refused("erc721: the owner needs no approval"):
        registry("setApprovalForAll", me, True, by=me)
    with refused("erc721: receiver is the zero address"):
        registry("transferFrom", me, NOBODY, asset, by=me)
    with refused("erc721: sender is not the owner"):
        registry("transferFrom", buyer.address, me, asset, by=me)
    with refused("erc721: no such id"):
        registry("transferFrom", me, buyer.address, 5, by=me)
    with refused("erc721: no such id"):
        registry("ownerOf", 5)
    with refused("erc721: no such id"):
        registry("getApproved", 5)
    with refused("erc721: the zero address owns nothing"):
        registry("balanceOf", NOBODY)


def test_a_contract_is_asked_whether_it_wants_the_token(
    world: World, registry: Contract, asset: int, publisher: Person, buyer: Person
) -> None:
    receiver = world.actor()
    me = publisher.address
    with refused("erc721: receiver did not accept"):
        registry("safeTransferFrom", me, receiver, asset, by=me)
    receiver("set_answer", RECEIVED)
    registry("safeTransferFrom", me, receiver, asset, b"for the vault", by=me)
    assert receiver("received") == asset
    assert registry("ownerOf", asset) == receiver.address
    other = world.publish(publisher)
    registry("safeTransferFrom", me, buyer.address, other, by=me)
    assert registry("ownerOf", other) == buyer.address


@pytest.mark.parametrize(
    ("interface", "known"),
    [("01ffc9a7", True), ("80ac58cd", True), ("ffffffff", False), ("5b5e139f", False)],
)
def test_interfaces_are_named(registry: Contract, interface: str, known: bool) -> None:
    assert registry("supportsInterface", bytes.fromhex(interface)) is known
