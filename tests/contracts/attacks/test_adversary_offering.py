"""A buyer takes the revenue of the others while the currency is closed to the offering.

`collect` may be called by anyone, for anyone, and goes on when the Share cannot pay the
offering. Then the shares leave without what they earned since the last pull, and that revenue
is divided among those who are still there: the attacker pushes everybody else out first.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from rig.compiling import compiled, mock
from rig.contract import Contract
from rig.engines import Reverted
from rig.people import Person
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, World, deploy_world

REVENUE = 1_000_000


@pytest.fixture
def world() -> World:
    return deploy_world(currency=mock("BlacklistCurrency"))


@pytest.fixture
def share(world: World, publisher: Person) -> Contract:
    return world.new_share(publisher, supply=100 * ONE_SHARE)


def sell(world: World, share: Contract, publisher: Person) -> Contract:
    """Offer all the shares; final at 99 of 100."""
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    sale = (
        publisher.address,
        1_000_000,
        100 * ONE_SHARE,
        99 * ONE_SHARE,
        100 * ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", share("asset"), sale, by=publisher.address)
    return Contract(world.engine, compiled("Offering"), address)


def test_nobody_is_pushed_out_of_revenue_while_the_currency_is_closed(
    world: World,
    share: Contract,
    publisher: Person,
    buyer: Person,
    attacker: Person,
    keeper: Person,
) -> None:
    offering = sell(world, share, publisher)
    for who, amount in ((buyer, 97), (attacker, 1), (keeper, 2)):
        world.fund(who, 10**12, spender=offering)
        offering("buy", amount * ONE_SHARE, by=who.address)
    world.fund(share.address, REVENUE)
    share("sync")
    world.wait(DAY)
    earned = offering("claimable", buyer.address)
    assert earned >= REVENUE * 97 // 100 - 1
    world.currency("set_blocked", offering.address, True)
    # A refusal keeps everything in its place, which is as good.
    with suppress(Reverted):
        offering("collect", buyer.address, by=attacker.address)
    world.currency("set_blocked", offering.address, False)
    got = offering("claim", by=attacker.address)
    assert got <= REVENUE // 100 + 1
    assert offering("claimable", buyer.address) >= earned - 1
