"""What is proposed is shown in full, voted on by older locks, and done once in its time."""

from __future__ import annotations

import pytest
from rig.compiling import mock
from rig.contract import NOBODY, Contract, deployed, refused
from rig.governing import (
    CANCELLED,
    CLOSING,
    DEFEATED,
    DISCOUNT,
    ENDPOINT,
    EXECUTED,
    EXIT_DELAY,
    EXPIRED,
    LICENCE,
    PARENT,
    PAYMENT,
    PRODUCT,
    READY,
    RELEASE,
    SALE,
    SUPPLY,
    TIMELOCK,
    VOTING,
    VOTING_TIME,
    WAITING,
    WINDOW,
    Council,
    action,
    open_council,
)
from rig.people import Person
from rig.shop import ProductTerms
from rig.system import ONE_SHARE


def test_a_proposal_is_shown_in_full(council: Council) -> None:
    first, now = council.holders[0], council.world.now
    what = action(PAYMENT, receiver=council.operator, amount=5)
    number = council.propose(first, what, "thank the operator")
    (event,) = council.governor.events()
    assert event.name == "Proposed"
    ends = now + VOTING_TIME
    assert event.arguments == {
        "asset": council.asset,
        "proposal": number,
        "proposer": first.address,
        "title": "thank the operator",
        "action": what,
        "grave": False,
        "voting_ends": ends,
        "executable_from": ends + TIMELOCK,
        "expires": ends + TIMELOCK + WINDOW,
    }
    found = council.governor("proposal_of", council.asset, number)
    assert found[0] == first.address
    assert found[2:] == (
        False, now, ends, ends + TIMELOCK, ends + TIMELOCK + WINDOW, 0, 0, SUPPLY, SUPPLY // 5,
    )  # fmt: skip
    assert council.governor("last_proposal_of", council.asset, first.address) == number
    assert council.governor("proposal_count", council.asset) == number


def test_who_may_propose(council: Council, attacker: Person) -> None:
    with refused("governor: too few shares locked to propose"):
        council.propose(attacker, action(PAYMENT))
    small = ONE_SHARE * 10
    first = council.holders[0]
    council.governor("unlock", council.asset, 1, by=first.address)
    council.share("transfer", attacker.address, small, by=first.address)
    council.lock(attacker, small - 1)
    with refused("governor: too few shares locked to propose"):
        council.propose(attacker, action(PAYMENT))
    council.lock(attacker, 1)
    council.propose(attacker, action(PAYMENT))
    with refused("governor: the caller's last proposal is open"):
        council.propose(attacker, action(PAYMENT))
    council.world.wait(VOTING_TIME)
    council.propose(attacker, action(PAYMENT))


@pytest.mark.parametrize("kind", [0, 3, 1 << 6 | 1])
def test_a_proposal_is_of_one_kind(council: Council, kind: int) -> None:
    with refused("governor: kind is not one kind"):
        council.propose(council.holders[0], action(kind))


def test_nothing_is_proposed_for_what_nobody_shares(council: Council) -> None:
    with refused("governor: the asset has no shares"):
        council.governor(
            "propose", council.parent, action(PAYMENT), "", by=council.publisher.address
        )


def test_a_vote_counts_locks_that_are_older_once(council: Council, attacker: Person) -> None:
    first, second, third = council.holders
    proposal = council.propose(first, action(PAYMENT))
    assert council.vote(first, proposal) == 500 * ONE_SHARE
    (event,) = council.governor.events()
    assert event.arguments == {
        "asset": council.asset,
        "proposal": proposal,
        "voter": first.address,
        "support": True,
        "weight": 500 * ONE_SHARE,
        "locks": (1,),
    }
    assert council.vote(second, proposal, support=False) == 300 * ONE_SHARE
    found = council.governor("proposal_of", council.asset, proposal)
    assert found[7:9] == (500 * ONE_SHARE, 300 * ONE_SHARE)
    assert [council.governor("vote_of", council.asset, proposal, n) for n in (1, 2, 3)] == [2, 1, 0]
    vote = ("vote", council.asset, proposal, True)
    with refused("governor: the lock voted already"):
        council.governor(*vote, [1], by=first.address)
    with refused("governor: the lock voted already"):
        council.governor(*vote, [3, 3], by=third.address)
    with refused("governor: not the caller's lock"):
        council.governor(*vote, [3], by=attacker.address)
    with refused("governor: a vote without a lock"):
        council.governor(*vote, [], by=third.address)
    with refused("governor: no such proposal"):
        council.governor("vote", council.asset, 9, True, [3], by=third.address)
    # Shares that were locked in the same second as the proposal are not older.
    council.governor("unlock", council.asset, 3, by=third.address)
    proposal = council.propose(second, action(PAYMENT))
    number = council.lock(third)
    with refused("governor: the lock is not older than the proposal"):
        council.governor("vote", council.asset, proposal, True, [number], by=third.address)
    council.world.wait(VOTING_TIME)
    with refused("governor: not being voted on"):
        council.governor("vote", council.asset, proposal, True, [2], by=second.address)


def test_a_lock_backs_so_many_proposals_at_most(council: Council) -> None:
    first = council.holders[0]
    times = council.governor.slot("lock_times", council.asset, 1)
    full = times | (2**16 - 1) << 80
    council.governor.poke("lock_times", council.asset, 1, value=full)
    proposal = council.propose(first, action(PAYMENT))
    with refused("governor: the lock backs too many proposals"):
        council.vote(first, proposal)


def test_the_states_follow_from_the_clock(council: Council) -> None:
    first, second, third = council.holders
    what = action(PAYMENT)
    passing, failing = council.propose(first, what), council.propose(second, what)
    taken_back = council.propose(third, what)
    council.vote(first, passing)
    council.vote(second, failing, support=False)
    council.governor("cancel", council.asset, taken_back, by=third.address)
    (event,) = council.governor.events()
    assert event.name == "Cancelled"
    assert council.state(taken_back) == CANCELLED
    for seconds, state in (
        (0, VOTING), (VOTING_TIME - 1, VOTING), (1, WAITING), (TIMELOCK - 1, WAITING), (1, READY),
        (WINDOW - 1, READY), (1, EXPIRED),
    ):  # fmt: skip
        council.world.wait(seconds)
        assert council.state(passing) == state
        assert council.state(failing) == (VOTING if state == VOTING else DEFEATED)
    with refused("governor: no such proposal"):
        council.state(9)
    with refused("governor: no such proposal"):
        council.governor("proposal_of", council.asset, 9)


@pytest.mark.parametrize(
    ("yes", "no", "passes"),
    [(0, 0, False), (200, 0, True), (199, 0, False), (200, 200, False), (300, 299, True)],
)
def test_the_quorum_is_a_fifth_in_yes_votes(
    council: Council, yes: int, no: int, passes: bool
) -> None:
    asset, first = council.asset, council.holders[0]
    proposal = council.propose(first, action(PAYMENT))
    tally = (yes * ONE_SHARE) | (no * ONE_SHARE) << 96
    place = council.governor._place("proposals", (asset, proposal)) + 2
    council.world.engine.store(council.governor.address, place, tally)
    council.world.wait(VOTING_TIME)
    assert council.state(proposal) == (WAITING if passes else DEFEATED)


def test_the_proposer_takes_a_proposal_back_until_it_is_over(
    council: Council, attacker: Person
) -> None:
    first, asset = council.holders[0], council.asset
    proposal = council.propose(first, action(PAYMENT))
    council.vote(first, proposal)
    with refused("governor: only the proposer"):
        council.governor("cancel", asset, proposal, by=attacker.address)
    council.world.wait(VOTING_TIME + TIMELOCK)
    council.governor("cancel", asset, proposal, by=first.address)
    with refused("governor: the proposal is over"):
        council.governor("cancel", asset, proposal, by=first.address)
    with refused("governor: not to be executed now"):
        council.execute(proposal, action(PAYMENT))


def test_shares_that_are_sold_vesting_or_pooled_do_not_count(council: Council) -> None:
    first, asset, world = council.holders[0], council.asset, council.world
    council.governor("unlock", asset, 1, by=first.address)
    council.share("approve", world.launchpad, 2**256 - 1, by=first.address)
    grant = (first.address, 100 * ONE_SHARE, world.now, 0, 10)
    world.launchpad("vest", asset, [grant], by=first.address)
    council.pool(50 * ONE_SHARE)
    proposal = council.propose(council.holders[1], action(PAYMENT))
    seen = council.governor("proposal_of", asset, proposal)[9]
    assert seen == SUPPLY - 150 * ONE_SHARE
    council.pool(0)
    assert council.governor("observe", asset, proposal) == SUPPLY - 100 * ONE_SHARE
    council.pool(90 * ONE_SHARE)
    assert council.governor("observe", asset, proposal) == SUPPLY - 100 * ONE_SHARE
    world.wait(VOTING_TIME)
    with refused("governor: not being voted on"):
        council.governor("observe", asset, proposal)


# --- What is executed -------------------------------------------------------------------------


def test_a_version_is_released(council: Council) -> None:
    what = action(RELEASE, root=b"\7" * 32)
    council.pass_through(what)
    assert council.world.registry("root_of", council.asset, 2) == b"\7" * 32


def test_an_endpoint_is_listed_and_closed(council: Council, operator: Person) -> None:
    registry, asset = council.world.registry, council.asset
    council.pass_through(action(ENDPOINT, operator=operator, cut_bps=500, price=(9, 8, 7)))
    assert registry("endpoint_of", asset, operator.address) == (True, 2, 100, 500, (9, 8, 7))
    council.pass_through(action(CLOSING, operator=operator))
    assert registry("endpoint_of", asset, operator.address)[0] is False


def test_a_discount_is_given_and_ended(council: Council, operator: Person) -> None:
    registry, asset = council.world.registry, council.asset
    give = action(DISCOUNT, operator=operator, discount_bps=2_000, min_locked=ONE_SHARE)
    assert council.governor("preview_grave", asset, give) is True
    council.pass_through(give, grave=True)
    assert registry("discount_of", asset, operator.address) == (2_000, 2, ONE_SHARE)
    less = action(DISCOUNT, operator=operator, discount_bps=1_000, min_locked=ONE_SHARE)
    wider = action(DISCOUNT, operator=operator, discount_bps=1_000, min_locked=ONE_SHARE - 1)
    assert council.governor("preview_grave", asset, less) is False
    assert council.governor("preview_grave", asset, wider) is True
    council.pass_through(action(DISCOUNT, operator=operator))
    assert registry("discount_of", asset, operator.address) == (0, 0, 0)


def test_a_licence_is_set(council: Council) -> None:
    council.pass_through(action(LICENCE, document=b"\5" * 32))
    (event,) = council.governor.events("LicenceSet")
    assert event.arguments == {
        "asset": council.asset, "document": b"\5" * 32, "identifier": "MIT", "uri": "",
    }  # fmt: skip
    assert council.governor("licence_of", council.asset) == b"\5" * 32


def test_a_parent_is_added(council: Council, operator: Person) -> None:
    council.pass_through(action(PARENT, parent=council.parent, royalty_bps=700), grave=True)
    assert council.world.registry("parents_of", council.asset) == ((council.parent, 700),)


def test_a_product_is_shown_with_all_its_terms_and_takes_two_thirds(council: Council) -> None:
    terms = ProductTerms(council.operator.address)
    what = action(PRODUCT, product=terms)
    council.propose(council.holders[0], what)
    (event,) = council.governor.events("Proposed")
    assert event.arguments["action"][7] == terms.row()
    assert event.arguments["grave"] is True
    council.governor("cancel", council.asset, 1, by=council.holders[0].address)
    made = council.make(terms)
    assert council.world.storefront("asset_of", made) == council.asset
    assert made("terms")[3:14] == terms.row()[1:12]


def test_stopping_a_sale_takes_a_plain_majority_and_resuming_it_two_thirds(
    council: Council, consumer: Person
) -> None:
    made = council.make(ProductTerms(council.operator.address, price=0, most_per_account=1))
    stop, resume = (action(SALE, access=made, on=on) for on in (False, True))
    preview = ("preview_grave", council.asset)
    assert [council.governor(*preview, what) for what in (stop, resume)] == [False, True]
    council.pass_through(stop)
    assert made("state")[3] is False
    with refused("access: not on sale"):
        made("buy", 1, by=consumer.address)
    council.pass_through(resume, grave=True)
    made("buy", 1, by=consumer.address)


def test_holders_stop_the_sale_of_a_product_of_their_asset_only(council: Council) -> None:
    made = council.make(ProductTerms(council.operator.address))
    other = open_council(council.world)
    for token in (made, NOBODY, council.share):
        with council.world.engine.trial(), refused("governor: not a product of the asset"):
            other.pass_through(action(SALE, access=token))
    assert made("state")[3] is True


def test_the_treasury_pays_what_was_voted_for(
    council: Council, keeper: Person, attacker: Person
) -> None:
    world, asset, governor = council.world, council.asset, council.governor
    world.fund(keeper, 1_000, spender=governor)
    assert governor("deposit", asset, 1_000, by=keeper.address) == 1_000
    (event,) = governor.events()
    assert event.arguments == {"asset": asset, "payer": keeper.address, "amount": 1_000}
    council.pass_through(action(PAYMENT, receiver=attacker, amount=600))
    (event,) = governor.events("TreasuryPaid")
    assert event.arguments == {"asset": asset, "receiver": attacker.address, "amount": 600}
    assert governor.events("Executed")[0].arguments["asset"] == asset
    assert world.held(attacker) == 600
    assert governor("treasury_of", asset) == 400
    what = action(PAYMENT, receiver=attacker, amount=401)
    with refused("governor: treasury too low"):
        council.pass_through(what)
    world.fund(keeper, 1, spender=governor)
    governor("deposit", asset, 1, by=keeper.address)
    council.execute(governor("proposal_count", asset), what)
    assert governor("treasury_of", asset) == 0
    with refused("governor: the asset has no shares"):
        governor("deposit", council.parent, 1, by=keeper.address)


def test_what_is_nobodys_goes_to_the_commons(council: Council, keeper: Person) -> None:
    world, governor = council.world, council.governor
    world.fund(keeper, 1_000, spender=governor)
    governor("deposit", council.asset, 900, by=keeper.address)
    world.currency("transfer", governor.address, 100, by=keeper.address)
    assert governor("rescue", world.currency.address) == 100
    (event,) = governor.events()
    assert event.arguments == {"token": world.currency.address, "amount": 100}
    assert world.held(world.commons) == 100
    assert governor("rescue", council.share.address) == 0
    assert world.held(governor) == 900


def test_a_token_that_refuses_is_not_rescued(council: Council, keeper: Person) -> None:
    token: Contract = deployed(council.world.engine, mock("FalseCurrency"), 6, by=keeper.address)
    token("set_refuses", True)
    with refused("governor: token refused the transfer"):
        council.governor("rescue", token.address)


def test_a_cut_above_every_cut_so_far_takes_two_thirds_and_the_exit_delay(
    council: Council, operator: Person
) -> None:
    first, second, third = council.holders
    what = action(ENDPOINT, operator=operator, cut_bps=1_001)
    proposal = council.propose(first, what)
    found = council.governor("proposal_of", council.asset, proposal)
    assert found[2] is True
    assert found[10] == -(-SUPPLY * 2 // 3)
    council.vote(first, proposal)
    with council.world.engine.trial():
        council.world.wait(VOTING_TIME)
        assert council.state(proposal) == DEFEATED
    council.vote(second, proposal)
    council.world.wait(VOTING_TIME + TIMELOCK)
    assert council.state(proposal) == WAITING
    with refused("governor: not to be executed now"):
        council.execute(proposal, what)
    # Whoever does not like it leaves before it takes effect.
    council.governor("unlock", council.asset, 3, by=third.address)
    council.world.wait(EXIT_DELAY)
    council.execute(proposal, what)
    assert council.state(proposal) == EXECUTED
    assert council.world.registry("largest_cut_of", council.asset) == 1_001
    again = action(ENDPOINT, operator=operator, cut_bps=1_001)
    assert council.governor("preview_grave", council.asset, again) is False
