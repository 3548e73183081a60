"""A stranger opens the doors that a Share keeps shut.

A Share checks a receiver only while its account word is zero. An attacker moves nothing, zero
units, out of an address that may never receive: no allowance is needed for nothing. The
settlement of that empty account used to write the index into its word, and from then on the
address counted as one that had passed the check. Whoever mistyped a receiver afterwards lost
shares that would have been refused.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rig.contract import NOBODY, Contract, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, World


@pytest.fixture
def share(world: World, holder: Person) -> Contract:
    share = world.new_share(holder)
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    return share


FORBIDDEN: dict[str, tuple[Callable[[World, Contract], str], str]] = {
    "zero": (lambda world, share: NOBODY, "share: receiver is the zero address"),
    "itself": (lambda world, share: share.address, "share: receiver is the share itself"),
    "currency": (
        lambda world, share: world.currency.address,
        "share: receiver is the currency or the registry",
    ),
    "registry": (
        lambda world, share: world.registry.address,
        "share: receiver is the currency or the registry",
    ),
}


@pytest.mark.parametrize("door", FORBIDDEN)
def test_moving_nothing_out_of_a_forbidden_address_opens_no_door(
    world: World, share: Contract, holder: Person, attacker: Person, door: str
) -> None:
    address_of, reason = FORBIDDEN[door]
    address = address_of(world, share)
    with refused(reason):
        share("transfer", address, ONE_SHARE, by=holder.address)
    share("transferFrom", address, attacker.address, 0, by=attacker.address)
    with refused(reason):
        share("transfer", address, ONE_SHARE, by=holder.address)


def test_moving_nothing_out_of_another_share_opens_no_door(
    world: World, share: Contract, publisher: Person, holder: Person, attacker: Person
) -> None:
    other = world.new_share(publisher)
    share("transferFrom", other.address, attacker.address, 0, by=attacker.address)
    with refused("share: receiver is a share"):
        share("transfer", other.address, ONE_SHARE, by=holder.address)


def test_rescuing_the_share_from_itself_opens_no_door(
    share: Contract, holder: Person, attacker: Person
) -> None:
    share("rescue", share.address, by=attacker.address)
    with refused("share: receiver is the share itself"):
        share("transfer", share.address, ONE_SHARE, by=holder.address)
