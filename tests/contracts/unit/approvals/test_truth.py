"""The truth, what a model turns out to be, what that costs, and who is paid."""

from __future__ import annotations

import pytest
from eth_utils import keccak
from rig.approving import (
    BUDGET,
    COST,
    HOUR,
    ITEMS,
    LEAST_BOND,
    PRIOR,
    SALT,
    Approving,
    answers,
    hidden,
)
from rig.bonding import EVIDENCE
from rig.contract import refused
from rig.people import Person, key_of

from tessera.spec.approvals import gain_of, penalty_bps
from tessera.spec.court import report_commitment

EXECUTORS = BUDGET // 10


def test_the_truth_has_its_time(judged: Approving, attacker: Person) -> None:
    approvals, committer = judged.approvals, judged.committer
    with refused("approvals: only the committer"):
        approvals("reveal_truth", judged.test_set, "", by=attacker.address)
    with refused("approvals: the committer has time"):
        approvals("fail_set", judged.test_set, attacker.address, by=attacker.address)
    assert approvals("check_seed_of", judged.test_set) == bytes(32)
    with refused("court: no seed yet"):
        judged.court("seat_executors", judged.round)
    judged.reveal_truth()
    with refused("approvals: not to be revealed now"):
        approvals("reveal_truth", judged.test_set, "", by=committer.address)
    with refused("approvals: not final yet"):
        approvals("finish", judged.round)


def test_before_the_assignments_there_is_no_truth(fresh: Approving) -> None:
    with refused("approvals: not to be revealed now"):
        fresh.approvals("reveal_truth", fresh.test_set, "", by=fresh.committer.address)


def test_a_committer_that_is_late_pays_its_pledge(judged: Approving, keeper: Person) -> None:
    approvals = judged.approvals
    pledge = judged.row_of_set("pledge")
    judged.world.engine.now = judged.row_of_set("begun") + 80 * HOUR
    with refused("approvals: not to be revealed now"):
        approvals("reveal_truth", judged.test_set, "", by=judged.committer.address)
    told, commons = judged.held(keeper), judged.held(judged.world.commons)
    approvals("fail_set", judged.test_set, judged.issuer.address, by=keeper.address)
    assert judged.held(keeper) - told == pledge // 5
    assert judged.held(judged.world.commons) - commons == pledge * 4 // 5
    with refused("approvals: failed already"):
        approvals("fail_set", judged.test_set, keeper.address)
    with refused("approvals: no pledge"):
        approvals("withdraw_pledge", judged.test_set)
    before = judged.held(judged.issuer)
    approvals("finish", judged.round)
    assert judged.row_of_round("state") == 4
    assert judged.held(judged.issuer) - before == BUDGET
    with refused("approvals: finished already"):
        approvals("finish", judged.round)
    with refused("approvals: no truth to grade by"):
        approvals("grade", judged.round, judged.validators[0].address)


def test_a_set_without_a_seed_is_given_up(fresh: Approving) -> None:
    approvals = fresh.approvals
    fresh.open_round()
    with refused("approvals: it may still begin"):
        approvals("abandon", fresh.test_set)
    fresh.world.engine.now = fresh.row_of_set("until") + 72 * HOUR
    with refused("approvals: failed already"):
        approvals("abandon", keccak(text="no such set"))
    approvals("abandon", fresh.test_set)
    with refused("approvals: failed already"):
        approvals("abandon", fresh.test_set)
    with refused("approvals: rounds are open"):
        approvals("withdraw_pledge", fresh.test_set)
    approvals("finish", fresh.round)
    before = fresh.held(fresh.committer)
    approvals("withdraw_pledge", fresh.test_set)
    assert fresh.held(fresh.committer) - before == 100 * LEAST_BOND
    assert fresh.approvals("obligations") == fresh.held(fresh.approvals) == 0


def test_a_good_model_is_final_after_a_week(good: Approving) -> None:
    approvals = good.approvals
    assert not approvals("is_final", good.asset, 1)
    good.world.engine.now = good.row_of_set("truth_at") + 168 * HOUR - 1
    with refused("approvals: not final yet"):
        approvals("finish", good.round)
    assert good.finish() == 2
    assert approvals("is_final", good.asset, 1)
    assert approvals("approval_of", good.asset, 1) == good.round
    assert not approvals("is_final", good.asset, 2)
    with refused("approvals: nothing to punish"):
        approvals("punish_approval", good.round, good.validators[0].address)
    with refused("approvals: the pledge is bound"):
        approvals("withdraw_pledge", good.test_set)
    good.hours(72)
    before = good.held(good.committer)
    approvals("withdraw_pledge", good.test_set)
    assert good.held(good.committer) - before == 100 * LEAST_BOND


def test_a_round_is_closed_before_it_is_finished(begun: Approving) -> None:
    begun.judge(dict.fromkeys(begun.validators, (True, 850_000)))
    begun.reveal_truth()
    begun.count(answers(85))
    with refused("approvals: close it first"):
        begun.finish()
    begun.close(LEAST_BOND, 850_000)
    assert begun.finish() == 2


def test_five_approvers_of_a_bad_model_lose_thirty_percent(bad: Approving, keeper: Person) -> None:
    approvals, (one, *others) = bad.approvals, bad.validators
    with refused("approvals: nothing to punish"):
        approvals("punish_approval", bad.round, one.address)
    assert bad.finish() == 3
    assert not approvals("is_final", bad.asset, 1)
    assert approvals("penalty_bps", bad.round) == penalty_bps(1, 1) == 3_000
    before, commons = bad.held(keeper), bad.held(bad.world.commons)
    approvals("punish_approval", bad.round, one.address, by=keeper.address)
    lost = LEAST_BOND * 3 // 10
    assert bad.bonded(one) == LEAST_BOND - lost
    assert bad.held(keeper) == before
    assert bad.held(bad.world.commons) - commons == lost
    (event,) = approvals.events("Punished")
    assert (event.arguments["kind"], event.arguments["amount"]) == (2, lost)
    with refused("approvals: punished already"):
        approvals("punish_approval", bad.round, one.address)
    with refused("approvals: nothing to punish"):
        approvals("punish_approval", bad.round, keeper.address)
    assert all(bad.bonded(who) == LEAST_BOND for who in others)


@pytest.mark.parametrize(
    ("in_favour", "bps"), [(1, 0), (4, 20), (20, 500), (67, 1_910), (104, 3_000), (1_000, 3_000)]
)
def test_the_penalty_grows_with_those_who_were_wrong_too(in_favour: int, bps: int) -> None:
    """5 % + 3 * (x - 2 %), of a weight of 1,000; never below nothing, never above 30 %."""
    assert penalty_bps(in_favour, 1_000) == bps
    assert penalty_bps(in_favour, 0) == 0


def test_rewards_follow_the_gain_over_the_public(begun: Approving) -> None:
    """Who says what the public said gets nothing; who is worse than it too."""
    near, nearer, public, worse, rejects = begun.validators
    scores = {near: 820_000, nearer: 840_000, public: PRIOR, worse: 400_000, rejects: 830_000}
    begun.judge({who: (who is not rejects, score) for who, score in scores.items()})
    begun.close(LEAST_BOND, 820_000)
    begun.reveal_truth()
    begun.count(answers(85))
    before = begun.held(begun.bonding.bond)
    begun.finish()
    assert begun.held(begun.bonding.bond) - before == 2 * EXECUTORS
    for who in scores:
        begun.approvals("grade", begun.round, who.address)
    with refused("approvals: graded already"):
        begun.approvals("grade", begun.round, near.address)
    with refused("approvals: nothing to grade"):
        begun.approvals("grade", begun.round, begun.jurors[8].address)
    with refused("approvals: grading is not over"):
        begun.approvals("reward", begun.round, near.address)
    with refused("approvals: grading is not over"):
        begun.approvals("return_budget", begun.round)
    begun.hours(72)
    with refused("approvals: grading is over"):
        begun.approvals("grade", begun.round, near.address)
    gains = {who: max(0, gain_of(PRIOR, score, 850_000)) for who, score in scores.items()}
    left, weight = BUDGET - 2 * EXECUTORS, sum(gains.values())
    for who in (near, nearer, rejects):
        expected = left * gains[who] // weight
        assert begun.approvals("reward", begun.round, who.address) == expected
        left, weight = left - expected, weight - gains[who]
    assert (left, weight) == (0, 0)
    for who in (public, worse, near):
        with refused("approvals: nothing to pay"):
            begun.approvals("reward", begun.round, who.address)
    with refused("approvals: nothing to return"):
        begun.approvals("return_budget", begun.round)
    assert begun.approvals("obligations") == begun.row_of_set("pledge")


def test_a_budget_that_nobody_earned_goes_back(begun: Approving) -> None:
    begun.judge(dict.fromkeys(begun.validators, (True, PRIOR)))
    begun.close(LEAST_BOND, PRIOR)
    begun.reveal_truth()
    begun.count(answers(85))
    begun.finish()
    for who in begun.validators:
        begun.approvals("grade", begun.round, who.address)
    begun.hours(72)
    before = begun.held(begun.issuer)
    begun.approvals("return_budget", begun.round)
    assert begun.held(begun.issuer) - before == BUDGET - 2 * EXECUTORS


def test_counts_of_three(told: Approving, attacker: Person) -> None:
    court = told.court
    with refused("court: not a re-executor of this round"):
        court("commit_report", told.round, EVIDENCE, by=attacker.address)
    one, two, three = told.seat_executors()
    with refused("court: seated already"):
        court("seat_executors", told.round)
    tree = answers(85)
    told.promise_report(one, tree)
    with refused("court: committed already"):
        told.promise_report(one, tree)
    told.promise_report(two, answers(84))
    with refused("court: not the time to reveal"):
        told.give_report(one, tree)
    # The third took its stake back before it said anything.
    told.bonding.leave_all(three, three)
    with refused("approvals: bond too low"):
        told.promise_report(three, tree)
    told.hours(36)
    with refused("court: not the time to commit"):
        told.promise_report(three, tree)
    with refused("court: not what was committed"):
        told.give_report(one, answers(84))
    told.give_report(one, tree)
    told.give_report(two, answers(84))
    assert told.row_of_round("counted") == 0
    assert told.finish() == 4


def test_a_count_is_of_the_items(told: Approving) -> None:
    one, *_ = told.seat_executors()
    commitment = report_commitment(
        told.round, key_of(one), EVIDENCE, ITEMS + 1, SALT,
        chain_id=told.world.engine.chain_id, court=key_of(told.court),
    )  # fmt: skip
    shown = told.court("commitment_of_report", told.round, one.address, EVIDENCE, ITEMS + 1, SALT)
    assert shown == commitment
    told.court("commit_report", told.round, commitment, by=one.address)
    told.hours(36)
    with refused("court: more than all items"):
        told.court("report", told.round, EVIDENCE, ITEMS + 1, SALT, "", by=one.address)


def test_a_count_that_could_not_be_contested_comes_too_late(told: Approving) -> None:
    told.world.engine.now = told.row_of_set("truth_at") + 60 * HOUR
    executors, tree = told.seat_executors(), answers(85)
    for who in executors:
        told.promise_report(who, tree)
    told.hours(36)
    told.give_report(executors[0], tree)
    with refused("approvals: too late to count"):
        told.give_report(executors[1], tree)
    assert told.finish() == 4
    with refused("court: nothing to count"):
        told.court("seat_executors", told.round)


def test_the_courts_powers_are_the_courts(good: Approving, attacker: Person) -> None:
    round_, who = good.round, good.validators[0].address
    for name, arguments in (
        ("convict", (round_, who, 1, EVIDENCE, EVIDENCE, attacker.address)),
        ("open_case", (round_, who, EVIDENCE)),
        ("close_case", (round_, who, EVIDENCE)),
        ("back_executor", (round_, who)),
        ("set_count", (round_, 1, EVIDENCE, [who, who])),
        ("hold", (round_, True)),
        ("void_count", (round_,)),
    ):
        with refused("approvals: only the court"):
            good.approvals(name, *arguments, by=attacker.address)


def test_hidden_items_are_shown_on_demand(told: Approving, consumer: Person) -> None:
    court, rows, tree = told.court, *hidden()
    told.fund(consumer, 10 * COST)
    with refused("court: nothing to demand"):
        court("demand", told.test_set, ITEMS, by=consumer.address)
    with refused("court: not demanded"):
        court("supply", told.test_set, 7, bytes(32), b"", bytes(32), [])
    court("demand", told.test_set, 7, by=consumer.address)
    with refused("court: demanded already"):
        court("demand", told.test_set, 7, by=consumer.address)
    with refused("court: it has time"):
        court("punish_withheld", told.test_set, 7)
    content, salt, label = rows[7]
    for wrong in ((7, salt, b"other", label), (7, salt, content, salt)):
        with refused("court: not a hidden item"):
            court("supply", told.test_set, *wrong, tree.proof(7))
    before = told.held(told.committer)
    court("supply", told.test_set, 7, salt, content, label, tree.proof(7))
    assert told.held(told.committer) - before == COST
    with refused("court: not demanded"):
        court("punish_withheld", told.test_set, 7)
    told.world.engine.now = told.row_of_set("truth_at") + 144 * HOUR
    with refused("court: too late"):
        court("demand", told.test_set, 8, by=consumer.address)


def test_an_item_that_is_withheld_costs_the_pledge(good: Approving, consumer: Person) -> None:
    """Everything that the set judged is void, and an open demand holds the end up."""
    court, pledge = good.court, good.row_of_set("pledge")
    good.fund(consumer, 2 * COST)
    for item in (7, 8):
        court("demand", good.test_set, item, by=consumer.address)
    good.world.engine.now = good.row_of_set("truth_at") + 168 * HOUR
    with refused("approvals: not final yet"):
        good.approvals("finish", good.round)
    before = good.held(consumer)
    for item in (7, 8):
        court("punish_withheld", good.test_set, item)
    assert good.held(consumer) - before == pledge // 5 + 2 * COST
    assert good.finish() == 4
    assert court("obligations") == good.held(court) == 0
