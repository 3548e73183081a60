"""Who would like to decide about other people's shares, and what becomes of it.

Each story happened somewhere, or was reported before it did: votes of borrowed tokens took 182
million dollars from Beanstalk in 2022 (proposed, voted on and executed within a flash loan and a
day), a proposal that did other things than its text said took Tornado Cash's governance in 2023,
and stakes that were moved and counted again are in most audit reports of voting contracts.
"""

from __future__ import annotations

import itertools

import pytest
from rig.contract import Contract, refused
from rig.governing import (
    CANCELLED,
    DEFEATED,
    DISCOUNT,
    ENDPOINT,
    EXIT_DELAY,
    LICENCE,
    MIN_LOCK,
    PARENT,
    PAYMENT,
    PRODUCT,
    READY,
    SALE,
    SUPPLY,
    TIMELOCK,
    VOTING_TIME,
    WAITING,
    WINDOW,
    Council,
    action,
    open_council,
)
from rig.people import Person, person
from rig.shop import PERPETUAL, ProductTerms, open_shop
from rig.system import ONE_SHARE, deploy_world


@pytest.fixture
def council() -> Council:
    """One holder keeps his 500 shares unlocked: there is something to borrow."""
    council = open_council()
    council.governor("unlock", council.asset, 1, by=council.holders[0].address)
    council.locks[council.holders[0].address] = []
    keeper = person("keeper")
    council.world.fund(keeper, 1_000_000, spender=council.governor)
    council.governor("deposit", council.asset, 1_000_000, by=keeper.address)
    return council


def _borrow(council: Council, who: Person | Contract, shares: int) -> None:
    council.share("transfer", who.address, shares, by=council.holders[0].address)


def test_shares_of_a_flash_loan_cannot_be_given_back_in_time(
    council: Council, attacker: Person
) -> None:
    """Within one second: borrow, lock, propose, vote, unlock, give back. The lock holds them."""
    _borrow(council, attacker, 500 * ONE_SHARE)
    number = council.lock(attacker)
    what = action(PAYMENT, receiver=attacker, amount=1_000_000)
    proposal = council.propose(attacker, what)
    with refused("governor: the lock is not older than the proposal"):
        council.vote(attacker, proposal)
    with refused("governor: not to be executed now"):
        council.execute(proposal, what, by=attacker)
    with refused("governor: locked too short a time"):
        council.governor("unlock", council.asset, number, by=attacker.address)
    council.world.wait(MIN_LOCK - 1)
    with refused("governor: locked too short a time"):
        council.governor("unlock", council.asset, number, by=attacker.address)


def test_shares_borrowed_when_a_proposal_is_seen_do_not_vote_on_it(
    council: Council, attacker: Person
) -> None:
    """A lender's shares, locked in the block of the proposal or later, are not older than it."""
    second = council.holders[1]
    proposal = council.propose(second, action(PAYMENT, receiver=attacker, amount=1_000_000))
    _borrow(council, attacker, 500 * ONE_SHARE)
    council.lock(attacker)
    with refused("governor: the lock is not older than the proposal"):
        council.vote(attacker, proposal)
    council.world.wait(VOTING_TIME - 1)
    with refused("governor: the lock is not older than the proposal"):
        council.vote(attacker, proposal)


def test_one_stake_does_not_vote_twice_through_another_account(
    council: Council, attacker: Person
) -> None:
    """Vote, unlock, pass the shares on, lock them again elsewhere, vote again."""
    second, third, asset = council.holders[1], council.holders[2], council.asset
    proposal = council.propose(second, action(PAYMENT))
    council.vote(third, proposal)
    with refused("governor: the lock voted already"):
        council.vote(third, proposal)
    with refused("governor: the lock voted already"):
        council.vote(third, proposal, support=False)
    # A yes is held to the end, a no until the vote is over: neither comes out while it counts.
    council.world.wait(MIN_LOCK)
    with refused("governor: a vote of this lock is not over"):
        council.governor("unlock", asset, 3, by=third.address)
    # And a lock that did not vote comes out, but what is locked again is younger.
    council.governor("unlock", asset, 2, by=second.address)
    council.share("transfer", attacker.address, 300 * ONE_SHARE, by=second.address)
    council.lock(attacker)
    with refused("governor: the lock is not older than the proposal"):
        council.vote(attacker, proposal)
    assert council.governor("proposal_of", asset, proposal)[7] == 200 * ONE_SHARE


def test_a_moment_of_few_shares_does_not_lower_the_quorum(
    council: Council, attacker: Person
) -> None:
    """Move everybody's shares into a pool for one block, propose and vote with a small stake."""
    world, asset = council.world, council.asset
    _borrow(council, attacker, 20 * ONE_SHARE)
    council.lock(attacker)
    world.wait(1)
    council.pool(920 * ONE_SHARE)
    what = action(PAYMENT, receiver=attacker, amount=1_000_000)
    proposal = council.propose(attacker, what)
    council.vote(attacker, proposal)
    needed = council.governor("proposal_of", asset, proposal)[10]
    assert needed == 16 * ONE_SHARE
    # The moment is over; one look by anyone is enough, and nothing lowers it again.
    council.pool(0)
    council.governor("observe", asset, proposal, by=person("keeper").address)
    council.pool(920 * ONE_SHARE)
    council.governor("observe", asset, proposal, by=attacker.address)
    assert council.governor("proposal_of", asset, proposal)[10] == SUPPLY // 5
    world.wait(VOTING_TIME)
    assert council.state(proposal) == DEFEATED


def test_parking_ones_own_shares_lowers_the_quorum_by_less_than_the_votes(
    council: Council, attacker: Person
) -> None:
    """A vesting takes shares out of the count, and out of its maker's votes at the same time."""
    first, asset, world = council.holders[0], council.asset, council.world
    council.share("approve", world.launchpad, 2**256 - 1, by=first.address)
    grant = (attacker.address, 500 * ONE_SHARE, world.now, 0, 10)
    world.launchpad("vest", asset, [grant], by=first.address)
    proposal = council.propose(council.holders[2], action(PAYMENT))
    assert council.governor("proposal_of", asset, proposal)[10] == 100 * ONE_SHARE


def test_a_benign_title_pays_nothing_that_was_not_shown(council: Council, attacker: Person) -> None:
    """What is executed is the action of the event, to the byte; the title is decoration."""
    second, third = council.holders[1:]
    shown = action(PAYMENT, receiver=third, amount=10)
    proposal = council.propose(second, shown, "coffee for the contributors")
    (event,) = council.governor.events("Proposed")
    assert event.arguments["action"] == shown
    council.vote(second, proposal)
    council.vote(third, proposal)
    council.world.wait(VOTING_TIME + TIMELOCK)
    for other in (
        action(PAYMENT, receiver=attacker, amount=10),
        action(PAYMENT, receiver=third, amount=1_000_000),
        action(ENDPOINT, operator=attacker, cut_bps=900),
        action(PAYMENT, receiver=third, amount=10, document=b"\1" * 32),
    ):
        with refused("governor: not what was voted for"):
            council.execute(proposal, other, by=attacker)
    council.execute(proposal, shown, by=attacker)
    assert council.world.held(third) == 10
    assert council.governor("treasury_of", council.asset) == 1_000_000 - 10


def test_a_licence_for_good_does_not_hide_under_the_name_of_another(
    council: Council, attacker: Person
) -> None:
    """A vote for "the MIT licence" whose document was the digest of a product.

    It was shown as a bare hash, passed by 30 % that nobody opposed, without the exit delay, and for
    as long as no other licence was voted for anyone could make that product: free, for good, for
    every use. Now a licence's document makes nothing, and a product is proposed as what it is.
    """
    world, asset, second = council.world, council.asset, council.holders[1]
    free = ProductTerms(
        council.operator.address, kind=PERPETUAL, per_unit=0, price=0, cap=2**63,
        most_per_account=2**62, scope=15, serve_window=1, license="MIT",
    )  # fmt: skip
    council.locks[council.holders[2].address] = []
    council.pass_through(action(LICENCE, document=b"\5" * 32), by=second)
    for who in (attacker, second, council.publisher):
        with refused("storefront: only the asset's controller"):
            world.storefront("create", asset, free.row(), by=who.address)
    # The same 30 % propose it openly: everybody reads what it is, and it takes two thirds of all.
    what = action(PRODUCT, product=free)
    proposal = council.propose(second, what, "adopt the MIT licence")
    (event,) = council.governor.events("Proposed")
    assert event.arguments["action"][7] == free.row()
    council.vote(second, proposal)
    world.wait(VOTING_TIME)
    assert council.state(proposal) == DEFEATED
    assert world.storefront("count") == 0


def test_who_disagrees_with_a_product_leaves_before_it_is_sold(council: Council) -> None:
    """What was sold of it no later vote takes back: so there is the exit delay."""
    first, second, third = council.holders
    council.lock(first)
    council.world.wait(1)
    what = action(PRODUCT, product=ProductTerms(council.operator.address, price=1))
    proposal = council.propose(first, what)
    council.vote(first, proposal)
    council.vote(second, proposal)
    council.vote(third, proposal, support=False)
    council.world.wait(VOTING_TIME + TIMELOCK + EXIT_DELAY - 1)
    assert council.state(proposal) == WAITING
    council.governor("unlock", council.asset, 3, by=third.address)
    council.world.wait(1)
    council.execute(proposal, what)


def test_the_owners_cheap_product_is_not_resumed_by_a_few(attacker: Person) -> None:
    """The owner makes a product of next to no price, stops its sale, and sells the shares.

    Later a small part of the holders, who are friends of the owner, would resume the sale while
    nobody looks: rights of a product that no buyer of shares ever agreed to.
    """
    world = deploy_world(governed=True)
    shop = open_shop(world, price=1)
    shop.access("set_on_sale", False, by=shop.publisher.address)
    share = world.tokenize(shop.asset, shop.publisher, supply=SUPPLY)
    share("approve", world.governor, SUPPLY, by=shop.publisher.address)
    world.governor("lock", shop.asset, SUPPLY * 65 // 100, by=shop.publisher.address)
    world.wait(1)
    resume = action(SALE, access=shop.access, on=True)
    proposal = world.governor("propose", shop.asset, resume, "", by=shop.publisher.address)
    world.governor("vote", shop.asset, proposal, True, [1], by=shop.publisher.address)
    world.wait(VOTING_TIME)
    assert world.governor("state_of", shop.asset, proposal) == DEFEATED
    with refused("access: only the asset's controller"):
        shop.access("set_on_sale", True, by=shop.publisher.address)


def test_a_proposal_is_executed_once_and_in_its_time(council: Council, attacker: Person) -> None:
    """Executed twice, it would pay twice; executed late, under circumstances nobody voted for."""
    second, third = council.holders[1:]
    what = action(PAYMENT, receiver=second, amount=10)
    once, late = council.propose(second, what), council.propose(third, what)
    for proposal in (once, late):
        council.vote(second, proposal)
        council.vote(third, proposal)
    with refused("governor: not to be executed now"):
        council.execute(once, what)
    council.world.wait(VOTING_TIME)
    with refused("governor: not to be executed now"):
        council.execute(once, what)
    council.world.wait(TIMELOCK)
    council.execute(once, what)
    with refused("governor: executed already"):
        council.execute(once, what)
    council.world.wait(WINDOW)
    with refused("governor: not to be executed now"):
        council.execute(late, what)
    assert council.world.held(second) == 10


def test_a_majority_cannot_lower_the_holders_part_by_itself(
    council: Council, attacker: Person
) -> None:
    """Half the votes list their own operator at a cut that nobody ever agreed to."""
    first, second, third = council.holders
    council.lock(first)
    council.world.wait(1)
    grabs = (
        action(ENDPOINT, operator=attacker, cut_bps=6_000),
        action(DISCOUNT, operator=council.operator, discount_bps=4_000, min_locked=1),
        action(PARENT, parent=council.parent, royalty_bps=5_000),
    )
    for grab in grabs:
        with council.world.engine.trial():
            proposal = council.propose(first, grab)
            council.vote(first, proposal)
            council.vote(third, proposal, support=False)
            council.world.wait(VOTING_TIME)
            assert council.state(proposal) == DEFEATED
    # With two thirds it passes, but whoever disagrees is out before it takes effect.
    proposal = council.propose(first, grabs[0])
    council.vote(first, proposal)
    council.vote(second, proposal)
    council.vote(third, proposal, support=False)
    council.world.wait(VOTING_TIME + TIMELOCK + EXIT_DELAY - 1)
    assert council.state(proposal) == WAITING
    council.governor("unlock", council.asset, 3, by=third.address)
    council.share("transfer", attacker.address, 200 * ONE_SHARE, by=third.address)
    council.world.wait(1)
    council.execute(proposal, grabs[0])
    # Calls made under the old terms are split as before.
    before = council.world.registry("split_of", council.asset, council.operator.address, 1)
    assert before[1] == 1_000


def test_nothing_takes_the_holders_below_their_floor(council: Council, attacker: Person) -> None:
    """All of them together vote for a cut that the Share's floor does not leave."""
    first = council.holders[0]
    council.lock(first)
    council.world.wait(1)
    for grab, reason in (
        (action(ENDPOINT, operator=attacker, cut_bps=6_501), "registry: cut leaves too little"),
        (
            action(DISCOUNT, operator=council.operator, discount_bps=4_001, min_locked=1),
            "registry: discount above the bound",
        ),
        (
            action(PARENT, parent=council.parent, royalty_bps=5_501),
            "registry: royalties too high",
        ),
    ):
        with council.world.engine.trial(), refused(reason):
            council.pass_through(grab, grave=True)


def test_what_became_grave_since_it_was_proposed_is_not_executed(
    council: Council, operator: Person
) -> None:
    """Propose a discount that is not larger, and end the present one before it is executed."""
    first, second, third = council.holders
    council.lock(first)
    council.world.wait(1)
    large = action(DISCOUNT, operator=operator, discount_bps=2_000, min_locked=5)
    council.pass_through(large, grave=True)
    sleeping, ending = large, action(DISCOUNT, operator=operator)
    late = council.propose(second, sleeping)
    early = council.propose(third, ending)
    assert council.governor("proposal_of", council.asset, late)[2] is False
    for proposal in (late, early):
        council.vote(first, proposal)
    council.world.wait(VOTING_TIME + TIMELOCK)
    council.execute(early, ending)
    with refused("governor: takes two thirds by now; propose it again"):
        council.execute(late, sleeping)


def test_a_griefer_neither_fills_the_list_nor_blocks_it(council: Council, attacker: Person) -> None:
    """A hundredth of the supply buys one proposal at a time, and hinders nobody else's."""
    _borrow(council, attacker, 10 * ONE_SHARE)
    number = council.lock(attacker)
    council.world.wait(MIN_LOCK)
    council.propose(attacker, action(PAYMENT))
    with refused("governor: the caller's last proposal is open"):
        council.propose(attacker, action(PAYMENT))
    # The stake can be walked to another account, but only at the pace of the shortest lock.
    accomplice = person("accomplice")
    council.governor("unlock", council.asset, number, by=attacker.address)
    council.share("transfer", accomplice.address, 10 * ONE_SHARE, by=attacker.address)
    number = council.lock(accomplice)
    council.propose(accomplice, action(PAYMENT))
    with refused("governor: locked too short a time"):
        council.governor("unlock", council.asset, number, by=accomplice.address)
    useful = council.propose(council.holders[1], action(PAYMENT))
    council.vote(council.holders[1], useful)
    council.world.wait(VOTING_TIME + TIMELOCK)
    assert council.state(useful) == READY
    # Nor does a vote against everything: a no alone has no quorum to block with.
    council.governor("cancel", council.asset, useful, by=council.holders[1].address)
    assert council.state(useful) == CANCELLED


def test_one_stake_does_not_earn_many_accounts_a_discount(
    council: Council, attacker: Person
) -> None:
    """Lock, get the discount, unlock, hand the shares to the next account, and so on."""
    accounts = [attacker, *(person(f"account {number}") for number in range(3))]
    _borrow(council, attacker, 5 * ONE_SHARE)
    for giver, taker in itertools.pairwise(accounts):
        number = council.lock(giver)
        with refused("governor: locked too short a time"):
            council.governor("unlock", council.asset, number, by=giver.address)
        qualified = [
            who
            for who in accounts
            if council.governor("locked_of", council.asset, who.address) >= 5 * ONE_SHARE
        ]
        assert qualified == [giver]
        council.world.wait(MIN_LOCK)
        council.governor("unlock", council.asset, number, by=giver.address)
        assert council.governor("locked_of", council.asset, giver.address) == 0
        council.share("transfer", taker.address, 5 * ONE_SHARE, by=giver.address)


def test_a_receiver_that_calls_back_is_paid_once(council: Council) -> None:
    """The treasury is debited before the money moves, and the Governor is shut while it does."""
    world = council.world
    actor = world.actor()
    second, third = council.holders[1:]
    what = action(PAYMENT, receiver=actor.address, amount=10)
    proposal = council.propose(second, what)
    council.vote(second, proposal)
    council.vote(third, proposal)
    world.wait(VOTING_TIME + TIMELOCK)
    world.as_contract(actor, council.governor, "execute", council.asset, proposal, what)
    with refused("governor: executed already"):
        council.execute(proposal, what)
    assert world.held(actor) == 10
