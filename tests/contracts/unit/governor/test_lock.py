"""Shares are locked to vote; they go on earning, and come back when their time is over."""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import deployed, refused
from rig.governing import (
    EXIT_DELAY,
    MIN_LOCK,
    PAYMENT,
    SUPPLY,
    TIMELOCK,
    VOTING_TIME,
    WINDOW,
    Council,
    action,
    open_council,
)
from rig.people import Person
from rig.system import DAY, GOVERNANCE, ONE_SHARE, World, deploy_world


def test_a_lock_is_numbered_and_counted(council: Council) -> None:
    governor, first = council.governor, council.holders[0]
    assert governor("locked_total", council.asset) == SUPPLY
    assert governor("locked_of", council.asset, first.address) == 500 * ONE_SHARE
    since = council.world.now - DAY
    assert governor("lock_of", council.asset, 1) == (
        first.address, 500 * ONE_SHARE, since, since + MIN_LOCK, 0,
    )  # fmt: skip
    assert governor("lock_count", council.asset) == 3
    assert governor("locked_total", council.parent) == 0


def test_locking_says_so(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.governor, 7, by=publisher.address)
    assert world.governor("lock", asset, 7, by=publisher.address) == 1
    (event,) = world.governor.events()
    assert event.name == "Locked"
    assert event.arguments == {"asset": asset, "owner": publisher.address, "lock": 1, "amount": 7}
    assert share("balanceOf", world.governor) == 7


def test_only_shares_are_locked(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    with refused("governor: the asset has no shares"):
        world.governor("lock", asset, 1, by=publisher.address)
    world.tokenize(asset, publisher)
    with refused("governor: nothing to lock"):
        world.governor("lock", asset, 0, by=publisher.address)
    with refused("erc20: allowance too low"):
        world.governor("lock", asset, 1, by=publisher.address)


def test_a_share_that_does_not_say_yes_is_not_locked(world: World, publisher: Person) -> None:
    registry = world.actor()
    false_share = deployed(world.engine, mock("FalseShare"), world.currency, by=publisher.address)
    registry("set_share_of", 1, false_share.address, by=publisher.address)
    governor = deployed(
        world.engine, compiled("Governor"), registry, world.launchpad, world.exchange,
        world.storefront,
        world.currency, *GOVERNANCE, by=publisher.address,
    )  # fmt: skip
    with refused("governor: share refused the transfer"):
        governor("lock", 1, 5, by=publisher.address)


def test_a_lock_comes_back_after_its_time_and_to_its_owner_only(
    council: Council, attacker: Person
) -> None:
    asset, first = council.asset, council.holders[0]
    with refused("governor: not the caller's lock"):
        council.governor("unlock", asset, 1, by=attacker.address)
    assert council.governor("unlock", asset, 1, by=first.address) == 500 * ONE_SHARE
    (event,) = council.governor.events("Unlocked")
    assert event.arguments == {
        "asset": asset, "owner": first.address, "lock": 1, "amount": 500 * ONE_SHARE,
    }  # fmt: skip
    assert council.share("balanceOf", first.address) == 500 * ONE_SHARE
    assert council.governor("locked_of", asset, first.address) == 0
    assert council.governor("lock_of", asset, 1) == ("0x" + "00" * 20, 0, 0, 0, 0)
    with refused("governor: not the caller's lock"):
        council.governor("unlock", asset, 1, by=first.address)


def test_a_lock_stays_its_shortest_time(council: Council) -> None:
    first = council.holders[0]
    council.governor("unlock", council.asset, 1, by=first.address)
    number = council.lock(first)
    council.world.wait(MIN_LOCK - 1)
    with refused("governor: locked too short a time"):
        council.governor("unlock", council.asset, number, by=first.address)
    council.world.wait(1)
    council.governor("unlock", council.asset, number, by=first.address)


def test_a_lock_that_said_no_stays_until_the_vote_ends(council: Council) -> None:
    first = council.holders[0]
    proposal = council.propose(first, action(PAYMENT))
    council.vote(first, proposal, support=False)
    council.world.wait(VOTING_TIME - 1)
    with refused("governor: a vote of this lock is not over"):
        council.governor("unlock", council.asset, 1, by=first.address)
    council.world.wait(1)
    council.governor("unlock", council.asset, 1, by=first.address)


def test_a_lock_that_said_yes_stays_until_the_proposal_is_over(council: Council) -> None:
    first, asset = council.holders[0], council.asset
    what = action(PAYMENT)
    proposal = council.propose(first, what)
    council.vote(first, proposal)
    council.world.wait(VOTING_TIME)
    with refused("governor: a proposal of this lock is not over"):
        council.governor("unlock", asset, 1, by=first.address)
    with refused("governor: the proposal is not over"):
        council.governor("unlock", asset, 1, [proposal], by=first.address)
    council.world.wait(TIMELOCK)
    with refused("governor: the proposal is not over"):
        council.governor("unlock", asset, 1, [proposal], by=first.address)
    with council.world.engine.trial():
        council.execute(proposal, what)
        council.governor("unlock", asset, 1, [proposal], by=first.address)
        assert council.governor("vote_of", asset, proposal, 1) == 3
    with council.world.engine.trial():
        council.governor("cancel", asset, proposal, by=first.address)
        council.governor("unlock", asset, 1, [proposal], by=first.address)
    council.world.wait(WINDOW)
    with refused("governor: the lock does not back it"):
        council.governor("unlock", asset, 1, [proposal, proposal], by=first.address)
    with refused("governor: no such proposal"):
        council.governor("unlock", asset, 1, [7], by=first.address)
    council.governor("unlock", asset, 1, [proposal], by=first.address)


def test_a_lock_that_backed_many_proposals_leaves_in_parts(
    council: Council, keeper: Person
) -> None:
    """A holder says yes to 17 proposals in a row; `unlock` takes 16 of them at once."""
    first, asset = council.holders[0], council.asset
    backed = []
    for _ in range(17):
        backed.append(council.propose(first, action(PAYMENT)))
        council.vote(first, backed[-1])
        council.governor("cancel", asset, backed[-1], by=first.address)
    council.world.wait(VOTING_TIME)
    with refused("governor: a proposal of this lock is not over"):
        council.governor("unlock", asset, 1, backed[:16], by=first.address)
    council.governor("let_go", asset, 1, backed[:9], by=keeper.address)
    with refused("governor: the lock does not back it"):
        council.governor("let_go", asset, 1, backed[8:], by=keeper.address)
    assert council.governor("unlock", asset, 1, backed[9:], by=first.address) == 500 * ONE_SHARE


def test_nobody_frees_a_lock_of_what_it_still_backs(council: Council, attacker: Person) -> None:
    """Who can free another's lock early could let the yes of a vote be sold before it is done."""
    first = council.holders[0]
    proposal = council.propose(first, action(PAYMENT))
    council.vote(first, proposal)
    for wait in (VOTING_TIME, TIMELOCK):
        with refused("governor: the proposal is not over"):
            council.governor("let_go", council.asset, 1, [proposal], by=attacker.address)
        council.world.wait(wait)


def test_locked_shares_earn_as_if_they_were_held(council: Council, keeper: Person) -> None:
    world, asset, first = council.world, council.asset, council.holders[0]
    world.fund(keeper, 10_000, spender=council.share)
    council.share("distributeRevenue", 10_000, by=keeper.address)
    world.wait(DAY // 2)
    # Half of 5,000 that streamed; what a floor takes comes with the next payment.
    assert council.governor("claimable", asset, first.address) == 2_499
    assert council.governor("claim", asset, by=first.address) == 2_499
    (event,) = council.governor.events("RevenueClaimed")
    assert event.arguments == {
        "asset": asset, "account": first.address, "receiver": first.address, "amount": 2_499,
    }  # fmt: skip
    # Leaving sells nothing that streamed, and buys nothing that will.
    council.governor("unlock", asset, 1, by=first.address)
    world.wait(DAY)
    assert council.governor("claim", asset, keeper.address, by=first.address) == 0
    assert council.share("claim", by=first.address) == 2_500
    assert council.governor("claim", asset, by=council.holders[1].address) == 2_999
    assert council.governor("claim", asset, by=council.holders[2].address) == 1_999
    assert council.governor("reserved", world.currency.address) == world.held(council.governor) == 3


def test_a_currency_that_shuts_the_governor_out_keeps_no_shares(publisher: Person) -> None:
    world = deploy_world(currency=mock("BlacklistCurrency"), governed=True)
    council = open_council(world)
    world.fund(publisher, 10_000, spender=council.share)
    council.share("distributeRevenue", 10_000, by=publisher.address)
    world.wait(DAY)
    world.currency("set_blocked", world.governor.address, True, by=world.owner.address)
    council.governor("unlock", council.asset, 1, by=council.holders[0].address)
    assert council.share("balanceOf", council.holders[0].address) == 500 * ONE_SHARE


def test_a_currency_that_does_not_say_yes_pays_nothing(publisher: Person) -> None:
    world = deploy_world(currency=mock("FalseCurrency"), governed=True)
    council = open_council(world)
    with refused("governor: currency refused the transfer"):
        council.governor("deposit", council.asset, 5, by=publisher.address)


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ((0, 1, 1, 1, 1), "governor: lock out of range"),
        ((2, 1, 1, 1, 1), "governor: lock out of range"),
        ((1, 0, 1, 1, 1), "governor: time out of range"),
        ((1, 366 * DAY, 1, 1, 1), "governor: time out of range"),
        ((1, 1, 366 * DAY, 1, 1), "governor: time out of range"),
        ((1, 1, 1, 366 * DAY, 1), "governor: time out of range"),
        ((1, 1, 1, 1, 0), "governor: time out of range"),
        ((1, 1, 1, 1, 366 * DAY), "governor: time out of range"),
    ],
)
def test_windows_out_of_range_are_refused(
    world: World, windows: tuple[int, ...], reason: str
) -> None:
    with refused(reason):
        deployed(
            world.engine, compiled("Governor"), world.registry, world.launchpad, world.exchange,
            world.storefront,
            world.currency, *windows, by=world.owner.address,
        )  # fmt: skip


def test_the_rules_are_told(council: Council) -> None:
    assert council.governor("rules") == (
        MIN_LOCK, VOTING_TIME, TIMELOCK, EXIT_DELAY, WINDOW, 2_000, 100,
    )  # fmt: skip
