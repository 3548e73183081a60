"""Revenue is paid to the holder, or to whom the holder or its nominee says."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import NOBODY, Contract, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, World, deploy_world


@pytest.fixture
def share(world: World, holder: Person) -> Contract:
    share = world.new_share(holder, supply=3 * ONE_SHARE)
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    return share


def test_claim_pays_the_holder(world: World, share: Contract, holder: Person) -> None:
    assert share("claim", by=holder.address) == 1_000
    (event,) = share.events("RevenueClaimed")
    assert event.arguments["holder"] == holder.address
    assert event.arguments["amount"] == 1_000
    assert world.held(holder) == 1_000
    assert share("paid") == 1_000
    assert share("obligations") == 0


def test_claim_pays_to_another_address(
    world: World, share: Contract, holder: Person, keeper: Person
) -> None:
    assert share("claim", keeper.address, by=holder.address) == 1_000
    assert (world.held(holder), world.held(keeper)) == (0, 1_000)


def test_a_second_claim_pays_nothing(share: Contract, holder: Person) -> None:
    share("claim", by=holder.address)
    assert share("claim", by=holder.address) == 0
    assert share.events() == []


def test_a_stranger_claims_nothing(share: Contract, attacker: Person) -> None:
    assert share("claim", by=attacker.address) == 0


def test_fractions_wait_until_they_are_whole(
    world: World, share: Contract, holder: Person, buyer: Person
) -> None:
    share("claim", by=holder.address)
    share("transfer", buyer.address, ONE_SHARE, by=holder.address)
    paid = 0
    for _ in range(3):
        world.fund(share.address, 1)
        share("sync")
        world.wait(DAY)
        paid += share("claim", by=buyer.address)
    # Thirds are rounded down to 2^-32 of a unit, so the third one falls short by a hair.
    assert paid in {0, 1}
    world.fund(share.address, 1)
    share("sync")
    world.wait(DAY)
    assert paid + share("claim", by=buyer.address) == 1


def test_only_the_nominee_claims_for_a_holder(
    world: World, share: Contract, holder: Person, keeper: Person, attacker: Person
) -> None:
    with refused("share: not the holder's nominee"):
        share("claim_for", holder.address, attacker.address, by=attacker.address)
    share("set_nominee", keeper.address, by=holder.address)
    (event,) = share.events("NomineeSet")
    assert event.arguments == {"holder": holder.address, "nominee": keeper.address}
    with refused("share: not the holder's nominee"):
        share("claim_for", holder.address, attacker.address, by=attacker.address)
    assert share("claim_for", holder.address, keeper.address, by=keeper.address) == 1_000
    assert world.held(keeper) == 1_000
    share("set_nominee", NOBODY, by=holder.address)
    with refused("share: not the holder's nominee"):
        share("claim_for", holder.address, keeper.address, by=keeper.address)


def test_a_currency_that_answers_false_leaves_the_claim_as_it_was(holder: Person) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    share = world.new_share(holder)
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    world.currency("set_refuses", True)
    with refused("share: currency refused the transfer"):
        share("claim", by=holder.address)
    world.currency("set_refuses", False)
    assert share("claim", by=holder.address) == 1_000


def test_a_blocked_holder_claims_to_another_address(holder: Person, keeper: Person) -> None:
    world = deploy_world(currency=mock("BlacklistCurrency"))
    share = world.new_share(holder)
    world.fund(share.address, 1_000)
    share("sync")
    world.wait(DAY)
    world.currency("set_blocked", holder.address, True)
    with refused("blacklist_currency: blocked"):
        share("claim", by=holder.address)
    assert share("claim", keeper.address, by=holder.address) == 1_000
