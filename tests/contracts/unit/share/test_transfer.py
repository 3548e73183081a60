"""Shares move as any ERC-20 does, and revenue stays with who earned it."""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, Contract, refused
from rig.people import Person
from rig.system import DAY, ONE_SHARE, World

SUPPLY = 1_000 * ONE_SHARE


@pytest.fixture
def share(world: World, holder: Person) -> Contract:
    return world.new_share(holder, supply=SUPPLY)


def test_transfer_moves_shares_and_says_so(share: Contract, holder: Person, buyer: Person) -> None:
    assert share("transfer", buyer.address, 7, by=holder.address) is True
    (event,) = share.events()
    assert event.name == "Transfer"
    assert event.arguments == {"sender": holder.address, "receiver": buyer.address, "value": 7}
    assert share("balanceOf", buyer.address) == 7
    assert share("balanceOf", holder.address) == SUPPLY - 7


def test_transfer_of_nothing_is_allowed(share: Contract, holder: Person, buyer: Person) -> None:
    assert share("transfer", holder.address, 0, by=buyer.address) is True
    assert share("transfer", buyer.address, 0, by=holder.address) is True


def test_transfer_to_oneself_changes_no_balance(
    world: World, share: Contract, holder: Person
) -> None:
    world.fund(share.address, 10**9)
    share("sync")
    world.wait(DAY // 2)
    claimable = share("claimable", holder.address)
    share("transfer", holder.address, SUPPLY, by=holder.address)
    assert len(share.events("Transfer")) == 1
    assert share("balanceOf", holder.address) == SUPPLY
    assert share("claimable", holder.address) == claimable


def test_transfer_above_the_balance_is_refused(
    share: Contract, holder: Person, buyer: Person
) -> None:
    with refused("share: balance too low"):
        share("transfer", buyer.address, SUPPLY + 1, by=holder.address)
    with refused("share: balance too low"):
        share("transfer", holder.address, 2**256 - 1, by=holder.address)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody", "share: receiver is the zero address"),
        ("itself", "share: receiver is the share itself"),
        ("currency", "share: receiver is the currency or the registry"),
        ("registry", "share: receiver is the currency or the registry"),
        ("another share", "share: receiver is a share"),
    ],
)
def test_shares_never_go_where_they_cannot_leave(
    world: World, share: Contract, holder: Person, name: str, reason: str
) -> None:
    receiver = {
        "nobody": NOBODY,
        "itself": share.address,
        "currency": world.currency.address,
        "registry": world.registry.address,
        "another share": world.new_share(holder).address,
    }[name]
    with refused(reason):
        share("transfer", receiver, 1, by=holder.address)
    share("approve", holder.address, 1, by=holder.address)
    with refused(reason):
        share("transferFrom", holder.address, receiver, 1, by=holder.address)


def test_an_allowance_is_used_up(
    share: Contract, holder: Person, buyer: Person, keeper: Person
) -> None:
    share("approve", keeper.address, 10, by=holder.address)
    (event,) = share.events()
    assert event.arguments == {"owner": holder.address, "spender": keeper.address, "value": 10}
    share("transferFrom", holder.address, buyer.address, 6, by=keeper.address)
    assert share("allowance", holder.address, keeper.address) == 4
    with refused("erc20: allowance too low"):
        share("transferFrom", holder.address, buyer.address, 5, by=keeper.address)


def test_an_endless_allowance_stays(
    share: Contract, holder: Person, buyer: Person, keeper: Person
) -> None:
    share("approve", keeper.address, 2**256 - 1, by=holder.address)
    share("transferFrom", holder.address, buyer.address, 6, by=keeper.address)
    assert share("allowance", holder.address, keeper.address) == 2**256 - 1


def test_nobody_approves_the_zero_address(share: Contract, holder: Person) -> None:
    with refused("erc20: spender is the zero address"):
        share("approve", NOBODY, 1, by=holder.address)


def test_revenue_stays_with_who_held_while_it_streamed(
    world: World, share: Contract, holder: Person, buyer: Person
) -> None:
    world.fund(share.address, 10**9)
    share("sync")
    world.wait(DAY // 4)
    share("transfer", buyer.address, SUPPLY, by=holder.address)
    world.wait(DAY)
    assert share("claimable", holder.address) == 10**9 // 4
    assert share("claimable", buyer.address) == 10**9 - 10**9 // 4


def test_settled_revenue_too_large_for_the_pocket_is_kept_all_the_same(
    world: World, share: Contract, holder: Person, buyer: Person
) -> None:
    for _ in range(3):
        world.fund(share.address, 2**40)
        share("sync")
        world.wait(DAY)
        share("transfer", buyer.address, 0, by=holder.address)
    assert share.slot("owed", holder.address) == 3 * 2**40
    assert share("claim", by=holder.address) == 3 * 2**40
    assert share("claim", by=holder.address) == 0
