"""Seats of a round are held by friends, and one stake is behind more money than it can lose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_utils import keccak
from rig.approving import (
    BUDGET,
    HOUR,
    ITEMS,
    LEAST_BOND,
    PRIOR,
    SALT,
    TAU,
    Approving,
    answers,
    open_approving,
    stage,
)
from rig.compiling import compiled
from rig.contract import Contract, refused
from rig.people import Person, key_of, person
from rig.system import DAY, ONE_SHARE
from rig.twins import both

from tessera.spec.approvals import ApprovalsModel, RoundModel, SetModel, largest_weight

ROOT, SCORE = keccak(text="root"), 850_000
CAP = 10**9


@pytest.fixture
def begun() -> Iterator[Approving]:
    with stage("begun") as approving:
        yield approving


def twin_of(it: Approving) -> ApprovalsModel:
    """Begin the twin's round where the contract's is."""
    model = ApprovalsModel(HOUR, LEAST_BOND)
    begun = it.row_of_set("begun")
    model.sets[it.test_set] = SetModel(
        key_of(it.committer), ITEMS, it.row_of_set("pledge"), begun, begun=begun, open_rounds=1
    )
    terms = (it.row_of_round("model"), key_of(it.issuer), TAU, PRIOR, BUDGET)
    model.rounds[it.round] = RoundModel(it.test_set, *terms, it.row_of_round("cap"))
    return model


def commit(it: Approving, who: Person, model: ApprovalsModel | None = None) -> None:
    """Commit an approval, and on the twin too; both may refuse, with the same words."""
    said = it.commitment(who, True, SCORE, ROOT)
    if model is None:
        it.approvals("commit", it.round, said, by=who.address)
        return
    own, bonded = it.bonding.bond("stake_of", who.address, who.address)[1], it.bonded(who)
    bears = 50 * it.price("value_of", min(bonded, 5 * own))
    key, now = key_of(who), it.world.now

    def told() -> None:
        model.commit(it.round, key, said, bonded, now, own=own, bears=bears)

    def asked() -> None:
        it.approvals("commit", it.round, said, by=who.address)

    both(told, asked)


def reveal(it: Approving, who: Person) -> None:
    """Reveal it."""
    it.approvals("reveal", it.round, True, SCORE, ROOT, SALT, "", by=who.address)


def test_friends_keep_no_judge_out_of_a_round(begun: Approving) -> None:
    """The issuer's 32 friends take all seats in the first second, each with the least bond.

    A judge with a larger bond takes the seat of the smallest, until commits end. Who lost a seat
    reveals nothing, answers for nothing, and may come again with more.
    """
    model = twin_of(begun)
    friends = [begun.validator(f"friend {number}") for number in range(32)]
    for friend in friends:
        commit(begun, friend, model)
    equal, judges = begun.validator("equal"), []
    commit(begun, equal, model)
    assert key_of(equal) not in model.rounds[begun.round].opinions
    for number in range(3):
        judges.append(begun.validator(f"judge {number}", (2 + number) * LEAST_BOND))
        commit(begun, judges[-1], model)
        (lost,) = begun.approvals.events("Displaced")
        assert lost.arguments["validator"] == friends[number].address
    assert begun.row_of_round("validators") == 32
    assert begun.row_of_set("covered") == model.sets[begun.test_set].covered == 38 * LEAST_BOND
    begun.bonding.stake(friends[0], friends[0], 2 * LEAST_BOND)
    commit(begun, friends[0], model)
    (lost,) = begun.approvals.events("Displaced")
    assert lost.arguments["validator"] == friends[3].address
    seats = [begun.approvals("validator_at", begun.round, place) for place in range(32)]
    assert [bytes.fromhex(seat[2:]) for seat in seats] == list(model.rounds[begun.round].opinions)
    begun.hours(6)
    with refused("approvals: not what was committed"):
        reveal(begun, friends[1])
    for who in (*judges, friends[0]):
        reveal(begun, who)
    begun.hours(2)
    with refused("approvals: nothing to punish"):
        begun.approvals("punish_silence", begun.round, friends[1].address)
    begun.approvals("punish_silence", begun.round, friends[4].address)


def test_a_pledge_that_friends_fill_has_room_for_a_larger_bond_in_their_place() -> None:
    """What a displaced bond covered is free again; what a pledge cannot cover stays outside."""
    with stage("fresh") as it:
        it.world.wait(1)
        it.commit_set(33 * LEAST_BOND)
        it.open_round()
        it.begin()
        for number in range(32):
            commit(it, it.validator(f"friend {number}"))
        commit(it, it.validator("judge", 2 * LEAST_BOND))
        assert it.row_of_set("covered") == it.row_of_set("pledge")
        with refused("approvals: the pledge covers no more bonds"):
            commit(it, it.validator("another judge", 2 * LEAST_BOND))


def approve_all(it: Approving, rounds: list[tuple[bytes, bytes]], people: list[Person]) -> None:
    """Let everybody approve in all rounds, which began at most an hour apart, and close them."""
    for step in (commit, reveal):
        for it.test_set, it.round in rounds:
            for who in people:
                step(it, who)
        it.world.engine.now = it.row_of_set("begun") + 6 * HOUR
    it.hours(2)
    for it.test_set, it.round in rounds:
        bonds = [it.approvals("bond_behind", it.round, who.address) for who in people]
        it.close(largest_weight(bonds), SCORE)


def test_one_stake_bears_what_leaves_early_of_three_sales_at_once() -> None:
    """Five accomplices approve four bad models at once: a penalty each, and a fifth early each.

    Of three, what they lose (thirty percent each) is more than what leaves early (twenty). Of a
    fourth nothing would be left to lose, and nothing leaves; once a round is over, there is room.
    """
    with stage("fresh") as it:
        people = [it.validator(f"accomplice {number}") for number in range(5)]
        it.world.wait(1)
        it.commit_set()
        rounds = []
        for _ in range(4):
            asset = it.world.publish(it.issuer)
            it.open_round(asset=asset, cap=CAP)
            rounds.append((it.test_set, it.round))
        free = it.open_round(asset=it.world.publish(it.issuer))
        it.begin()
        # A round without a sale takes none of the three.
        approve_all(it, [(it.test_set, free), *rounds], people)
        told = [it.row_of_round("approving", round_) for _, round_ in rounds]
        assert told == [5 * LEAST_BOND] * 3 + [0]
        assert all(it.row_of_round("listed", round_) for _, round_ in rounds)
        it.hours(80)
        it.approvals("fail_set", it.test_set, it.committer.address)
        for _, round_ in rounds:
            it.approvals("finish", round_)
        it.commit_set(until=it.world.now + DAY)
        it.open_round(asset=it.world.publish(it.issuer), cap=CAP)
        it.begin()
        approve_all(it, [(it.test_set, it.round)], people)
        assert it.row_of_round("approving") == 5 * LEAST_BOND


def test_a_stake_that_a_penalty_waits_for_bears_no_other_sale() -> None:
    """In one transaction three bad rounds are finished and three more sales are committed to.

    The bonds would be whole then, and the penalties come a moment later: six fifths would leave.
    """
    with stage("judged") as it:
        it.validators[:] = it.validators[:5]
        old = it.round
        it.reveal_truth()
        it.count(answers(60))
        it.finish()
        it.commit_set(until=it.world.now + DAY)
        rounds = [it.open_round(asset=it.world.publish(it.issuer), cap=CAP) for _ in range(3)]
        it.begin()

        def borne() -> list[int]:
            with it.world.engine.trial():
                approve_all(it, [(it.test_set, each) for each in rounds], it.validators)
                return [it.row_of_round("approving", each) for each in rounds]

        assert borne() == [5 * LEAST_BOND, 5 * LEAST_BOND, 0]
        for who in it.validators:
            it.approvals("punish_approval", old, who.address)
            # What is left is less than the least bond.
            it.bonding.stake(who, who, LEAST_BOND)
        assert min(borne()) > 0


def test_a_model_in_two_rounds_lends_once() -> None:
    """One bad model before two test sets: it is punished once, so a fifth leaves once."""
    it = open_approving()
    people = [it.validator(f"accomplice {number}") for number in range(5)]
    share = it.world.tokenize(it.asset, it.issuer, supply=1_000 * ONE_SHARE)
    share("approve", it.sale, 2**256 - 1, by=it.issuer.address)
    it.price("set_price", 10**5)
    it.world.wait(1)
    rounds, victim = [], person("buyer")
    for later in range(2):
        it.commit_set(until=it.world.now + DAY + later)
        rounds.append((it.test_set, it.open_round(cap=CAP)))
    for it.test_set, it.round in rounds:
        it.begin()
    sales = []
    for _, round_ in rounds:
        now, some = it.world.now, 300 * ONE_SHARE
        terms = (it.sale.address, 10**6, some, 0, some, now, now + DAY, bytes(32), (0, 0, 0))
        sales.append(it.sale("open", round_, terms, by=it.issuer.address))
        it.world.fund(victim, 300 * 10**6)
        it.world.currency("approve", sales[-1], 2**256 - 1, by=victim.address)
        selling = Contract(it.world.engine, compiled("Offering"), sales[-1])
        selling("buy", some, by=victim.address)
    approve_all(it, rounds, people)
    early = [it.sale("release", sale, by=it.issuer.address) for sale in sales]
    assert early == [it.price("value_of", 5 * LEAST_BOND) // 5, 0]


def test_other_peoples_stake_is_not_lent_on() -> None:
    """Four fifths of an accomplice's bond are delegators': they would lose for what it takes."""
    with stage("begun") as it:
        it.bonding.stake(person("delegator"), it.validators[0], 4 * LEAST_BOND)
        approve_all(it, [(it.test_set, it.round)], it.validators)
        assert it.approvals("bond_behind", it.round, it.validators[0].address) == 5 * LEAST_BOND
        assert it.row_of_round("approving") == 5 * LEAST_BOND
