"""A sale of 1,000 shares at 2.00 each, soft cap 400, 600 for one buyer, open for a week."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from rig.compiling import compiled
from rig.contract import Contract
from rig.people import Person
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, World

PRICE = 2_000_000


@dataclass(frozen=True)
class Plan:
    """The terms of a sale, in whole shares and days from now."""

    for_sale: int = 1_000
    soft_cap: int = 400
    cap_per_buyer: int = 600
    start: int = 0
    end: int = 7


@dataclass
class Store:
    """An open sale and those around it."""

    world: World
    asset: int
    share: Contract
    offering: Contract
    publisher: Person

    def buy(self, who: Person, whole_shares: int) -> int:
        """Fund a buyer exactly and buy."""
        self.world.fund(who, whole_shares * PRICE, spender=self.offering)
        amount, cost = self.offering("buy", whole_shares * ONE_SHARE, by=who.address)
        assert amount == whole_shares * ONE_SHARE
        return int(cost)

    def shares_of(self, who: Person) -> float:
        """Read a balance in whole shares."""
        return self.share("balanceOf", who.address) / ONE_SHARE

    def pay_holders(self, amount: int) -> None:
        """Let revenue come in and stream to its end."""
        self.world.fund(self.share.address, amount)
        self.share("sync")
        self.world.wait(DAY)


def open_store(world: World, publisher: Person, plan: Plan) -> Store:
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher, supply=1_000 * ONE_SHARE, period=DAY)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    sale = (
        publisher.address,
        PRICE,
        plan.for_sale * ONE_SHARE,
        plan.soft_cap * ONE_SHARE,
        plan.cap_per_buyer * ONE_SHARE,
        world.now + plan.start * DAY,
        world.now + plan.end * DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", asset, sale, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    return Store(world, asset, share, offering, publisher)


@pytest.fixture
def plan() -> Plan:
    return Plan()


@pytest.fixture
def store(world: World, publisher: Person, plan: Plan) -> Store:
    return open_store(world, publisher, plan)


@pytest.fixture
def later_store(world: World, publisher: Person, plan: Plan) -> Store:
    return open_store(world, publisher, replace(plan, start=1))
