"""Whoever approves for money, hides the truth or turns the court on the honest loses by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_utils import keccak
from rig.approving import (
    COST,
    HOUR,
    LEAST_BOND,
    PRIOR,
    SALT,
    TAU,
    Approving,
    answers,
    open_approving,
    output_of,
    pool,
    stage,
)
from rig.compiling import compiled
from rig.contract import Contract, refused
from rig.engines import CHAIN_ID
from rig.people import Person, key_of, person
from rig.system import DAY, ONE_SHARE, deploy_world

from tessera.spec.approvals import commitment_of
from tessera.spec.bad_counts import bad_count
from tessera.spec.court import deposit_of_draw, hidden_leaf, outputs_tree
from tessera.spec.places import NumberedTree, word

STAKE = max(LEAST_BOND // 100, COST)
MADE_UP, OTHER = keccak(text="made up"), keccak(text="another output")


@pytest.fixture
def begun() -> Iterator[Approving]:
    with stage("begun") as approving:
        yield approving


@pytest.fixture
def judged() -> Iterator[Approving]:
    with stage("judged") as approving:
        yield approving


@pytest.fixture
def bad() -> Iterator[Approving]:
    with stage("bad") as approving:
        yield approving


def honest(approving: Approving, who: Person, place: int) -> bytes:
    return output_of(approving.reports[who.address][place][0])


def test_an_issuer_and_five_approvers_of_its_own_lose_more_than_they_take() -> None:
    """A bad model is listed by its issuer's own validators, who report themselves at the end.

    They sell, and take what leaves early: what they lose is more than what they took.
    """
    it = open_approving()
    share = it.world.tokenize(it.asset, it.issuer, supply=1_000 * ONE_SHARE)
    it.add_jurors(6)
    it.start(cap=10**9)
    it.price("set_price", 10**5)
    share("approve", it.sale, 2**256 - 1, by=it.issuer.address)
    now = it.world.now
    terms = (it.sale.address, 10**6, 900 * ONE_SHARE, 0, 900 * ONE_SHARE, now, now + DAY)
    row = (*terms, bytes(32), (0, 0, 0))
    offering = it.sale("open", it.round, row, by=it.issuer.address)
    victim = person("buyer")
    it.world.fund(victim, 900 * 10**6)
    it.world.currency("approve", offering, 2**256 - 1, by=victim.address)
    selling = Contract(it.world.engine, compiled("Offering"), offering)
    selling("buy", 900 * ONE_SHARE, by=victim.address)
    it.all_approve()
    took = it.sale("release", offering, by=it.issuer.address)
    assert took == it.price("value_of", 5 * LEAST_BOND) // 5
    it.reveal_truth()
    it.count(answers(60))
    it.finish()
    accomplice = person("accomplice")
    for who in it.validators:
        it.approvals("punish_approval", it.round, who.address, by=accomplice.address)
    lost = 5 * LEAST_BOND - sum(it.bonded(who) for who in it.validators)
    assert it.held(accomplice) == 0
    assert it.price("value_of", lost) > took
    share("approve", it.sale, 2**256 - 1, by=victim.address)
    back = it.sale("refund", offering, 900 * ONE_SHARE, by=victim.address)
    assert back == 900 * 10**6 - took


def test_an_issuer_cannot_be_first_to_bring_shares_back() -> None:
    """Its model is bad, and it has shares it never sold: they would come straight back to it."""
    it = open_approving()
    share = it.world.tokenize(it.asset, it.issuer, supply=1_000 * ONE_SHARE)
    it.start(cap=10**9)
    share("approve", it.sale, 2**256 - 1, by=it.issuer.address)
    now, some = it.world.now, 400 * ONE_SHARE
    terms = (it.sale.address, 10**6, some, 0, some, now, now + DAY, bytes(32), (0, 0, 0))
    offering = it.sale("open", it.round, terms, by=it.issuer.address)
    victim = person("buyer")
    it.world.fund(victim, 400 * 10**6)
    it.world.currency("approve", offering, 2**256 - 1, by=victim.address)
    selling = Contract(it.world.engine, compiled("Offering"), offering)
    selling("buy", some, by=victim.address)
    it.hours(80)
    it.approvals("fail_set", it.test_set, it.committer.address)
    it.approvals("finish", it.round)
    with refused("approved_sale: more than the caller bought"):
        it.sale("refund", offering, 1, by=it.issuer.address)
    share("approve", it.sale, 2**256 - 1, by=victim.address)
    assert it.sale("refund", offering, some, by=victim.address) == 400 * 10**6
    share("transfer", victim.address, some, by=it.issuer.address)
    with refused("approved_sale: more than the caller bought"):
        it.sale("refund", offering, 1, by=victim.address)


def test_silence_does_not_use_up_the_name_of_another_case(bad: Approving) -> None:
    """An approver commits to what its case will be named, elsewhere, and is silent on purpose.

    Bond slashes a case once: for a hundredth there it would escape three tenths here.
    """
    cheat, round_, test_set = bad.validators[0], bad.round, bad.test_set
    name = keccak(round_ + word(bad.row_of_round("counted")))
    bad.commit_set(until=bad.world.now + HOUR)
    other = bad.approvals(
        "open_round", bad.test_set, bad.asset, 1, keccak(text="another runner"), TAU, TAU, 0, 0,
        by=bad.issuer.address,
    )  # fmt: skip
    bad.begin()
    bad.approvals("commit", other, name, by=cheat.address)
    bad.hours(8)
    bad.approvals("punish_silence", other, cheat.address)
    bad.round, bad.test_set = round_, test_set
    bad.finish()
    bad.approvals("punish_approval", round_, cheat.address)
    assert bad.bonded(cheat) == LEAST_BOND * (99 - 30) // 100


def test_gains_of_a_friends_round_move_nobody_elses_money() -> None:
    """A friend names a prior of 0, so that being right gains 72 times as much as anywhere else.

    Elsewhere the cheat repeats the public's guess: that earns nothing, whatever its friend gave.
    """
    it = open_approving()
    it.add_jurors(10)
    it.validators.extend(it.validator(f"validator {number}") for number in range(6))
    cheat, *honest = it.validators
    it.commit_set()
    round_ = it.open_round()
    owner, it.issuer = it.issuer, person("friend")
    friends = it.open_round(asset=it.world.publish(it.issuer), prior=0, budget=0)
    it.issuer = owner
    it.begin()
    opinions = {cheat: (True, PRIOR), **dict.fromkeys(honest, (True, 850_000))}
    root = it.root_of(cheat, execute=False)
    # The rig's round is the friend's now.
    commitment = it.commitment(cheat, True, 850_000, root)
    it.approvals("commit", friends, commitment, by=cheat.address)
    it.round = round_
    for who, (approve, score) in opinions.items():
        commitment = it.commitment(who, approve, score, root)
        it.approvals("commit", round_, commitment, by=who.address)
    it.hours(6)
    it.approvals("reveal", friends, True, 850_000, root, SALT, "", by=cheat.address)
    for who, (approve, score) in opinions.items():
        it.approvals("reveal", round_, approve, score, root, SALT, "", by=who.address)
    it.hours(2)
    it.close(6 * LEAST_BOND // 5, 850_000)
    it.approvals("close", friends, 0, 0)
    it.reveal_truth()
    for it.round in (friends, round_):
        it.count(answers(85))
    for it.round in (friends, round_):
        it.finish()
    it.approvals("grade", friends, cheat.address)
    for who in it.validators:
        it.approvals("grade", round_, who.address)
    it.hours(72)
    with refused("approvals: nothing to pay"):
        it.approvals("reward", round_, cheat.address)
    assert it.approvals("reward", round_, honest[0].address) > 0


def test_an_approver_that_reports_itself_loses_all_of_it(bad: Approving) -> None:
    bad.finish()
    (one, *_), accomplice = bad.validators, person("accomplice")
    bad.approvals("punish_approval", bad.round, one.address, by=accomplice.address)
    assert bad.bonded(one) == LEAST_BOND * 7 // 10
    assert bad.held(accomplice) == 0
    with refused("approvals: punished already"):
        bad.approvals("punish_approval", bad.round, one.address, by=accomplice.address)


def test_a_committer_earns_nothing_by_wrong_labels(bad: Approving) -> None:
    """Labels are the committer's word: a good model fails them, and it denounces all approvers.

    It gets its pledge back, and nothing of what they lose: that is what trusting it costs them.
    """
    bad.finish()
    before = bad.held(bad.committer)
    for who in bad.validators:
        bad.approvals("punish_approval", bad.round, who.address, by=bad.committer.address)
    bad.hours(72)
    bad.approvals("withdraw_pledge", bad.test_set)
    assert bad.held(bad.committer) - before == 100 * LEAST_BOND


def test_who_paid_for_a_model_does_not_approve_it_again(bad: Approving) -> None:
    """Penalties for one model are counted together: a second approval of it would be free."""
    bad.finish()
    cheat = bad.validators[0]
    bad.approvals("punish_approval", bad.round, cheat.address)
    bad.bonding.stake(cheat, cheat, LEAST_BOND)
    model = bad.row_of_round("model")
    bad.commit_set(until=bad.world.now + HOUR)
    bad.open_round()
    bad.begin()
    assert bad.row_of_round("model") == model
    with refused("approvals: removed"):
        bad.approvals("commit", bad.round, keccak(text="again"), by=cheat.address)


def test_other_peoples_stake_counts_up_to_four_times_its_own(begun: Approving) -> None:
    """A validator with little of its own approves its own bad model with what delegators brought.

    Its weight, and what leaves the sale early, were theirs to lose.
    """
    one, poor = begun.validators[0], person("validator of others' money")
    begun.bonding.stake(person("delegator"), one, 50 * LEAST_BOND)
    begun.approvals("commit", begun.round, keccak(text="an opinion"), by=one.address)
    assert begun.bonded(one) == 51 * LEAST_BOND
    assert begun.approvals("bond_behind", begun.round, one.address) == 5 * LEAST_BOND
    begun.bonding.bond("enlist", begun.approvals, by=poor.address)
    begun.bonding.stake(poor, poor, LEAST_BOND // 10)
    begun.bonding.stake(person("delegator"), poor, 50 * LEAST_BOND)
    with refused("approvals: bond too low"):
        begun.approvals("commit", begun.round, keccak(text="an opinion"), by=poor.address)


def test_a_case_that_nobody_ended_in_time_holds_nothing_up(
    judged: Approving, attacker: Person
) -> None:
    """The accused leaves Approvals, and nobody ends the case before the freeze is over.

    Nothing of its bond can be taken any more; it is convicted, and the challenger has its stake.
    """
    cheat = judged.validators[0]
    case = judged.accuse(attacker, cheat, 3, OTHER)
    before = judged.held(attacker)
    judged.bonding.bond("leave", judged.approvals, by=cheat.address)
    judged.hours(24 * 40)
    assert not judged.bonding.bond(
        "may_slash", cheat.address, judged.approvals.address, case.to_bytes(32, "big")
    )
    judged.court("resolve", case, by=attacker.address)
    assert judged.held(attacker) - before == STAKE
    assert judged.approvals("removed", cheat.address)
    assert judged.bonded(cheat) == LEAST_BOND


def test_a_committer_that_hides_the_truth_loses_more_than_it_saves(judged: Approving) -> None:
    """Its friends approved a bad model; without a truth nobody can show it."""
    most = sum(judged.bonded(who) for who in judged.validators)
    before = judged.held(judged.committer)
    assert judged.row_of_set("pledge") >= most
    judged.hours(80)
    judged.approvals(
        "fail_set", judged.test_set, judged.committer.address, by=judged.committer.address
    )
    kept = judged.held(judged.committer) - before
    assert judged.row_of_set("pledge") == 0
    assert 100 * LEAST_BOND - kept == 80 * LEAST_BOND
    judged.approvals("finish", judged.round)
    assert not judged.approvals("is_final", judged.asset, 1)


def test_a_committer_cannot_call_a_public_item_a_leak(begun: Approving, attacker: Person) -> None:
    """It hides an item that everybody is given, and waits for it in reports."""
    begun.world.wait(1)
    public = pool()[0]
    rows = [(keccak(text=f"s{n}"), public[n], bytes(32)) for n in range(100)]
    tree = NumberedTree([hidden_leaf(n, *row) for n, row in enumerate(rows)])
    begun.commit_set(until=begun.world.now + HOUR, root=tree.root)
    begun.open_round()
    begun.begin()
    begun.all_approve(reports=True)
    victim = begun.validators[0]
    numbers = begun.items_of(victim)
    place, number = next((p, n) for p, n in enumerate(numbers) if n < 100)
    report = begun.reports[victim.address]
    shown = (place, *report[place], outputs_tree(report).proof(place))
    assigned = (public[number], pool()[1].proof(number))
    salt, _, label = rows[number]
    leak = (number, salt, label, tree.proof(number))
    with refused("court: it is the assigned item"):
        begun.court(
            "punish_leak", begun.round, victim.address, *shown, *assigned, *leak,
            by=attacker.address,
        )  # fmt: skip


def test_whoever_copies_a_commitment_cannot_reveal_it(begun: Approving) -> None:
    """The copy binds the other validator: its owner is silent, which costs a hundredth."""
    author, copier = begun.validators[:2]
    root = keccak(text="report")
    commitment = begun.commitment(author, True, 850_000, root)
    for who in (author, copier):
        begun.approvals("commit", begun.round, commitment, by=who.address)
    begun.hours(6)
    shown = (begun.round, True, 850_000, root, SALT, "")
    begun.approvals("reveal", *shown, by=author.address)
    with refused("approvals: not what was committed"):
        begun.approvals("reveal", *shown, by=copier.address)
    begun.hours(2)
    begun.approvals("punish_silence", begun.round, copier.address)
    assert begun.bonded(copier) == LEAST_BOND * 99 // 100


def test_many_secrets_are_not_many_throws(begun: Approving, attacker: Person) -> None:
    """Eight secrets of one hand, the last to reveal: it would leave that one out which spoils most.

    A draw of which any secret is kept has no number, so that keeping one costs a deposit for one
    more throw, in which all others throw too, and the next costs two.
    """
    draws, number = begun.draws, begun.draws("request")
    deposit = draws("DEPOSIT")
    hands = [person(f"accomplice {place}") for place in range(8)]
    for held in range(3):
        everybody = [person("keeper"), *hands]
        secrets = {who: keccak(text=f"{held} {who}") for who in everybody}
        for who, secret in secrets.items():
            begun.fund(who, draws("draw_of", number)[-1])
            draws("commit", number, begun.secret_of(number, who, secret), by=who.address)
        begun.hours(1)
        *shown, kept = everybody
        for who in shown:
            draws("reveal", number, secrets[who], by=who.address)
        begun.hours(1)
        assert draws("seed_of", number) == bytes(32)
        before = begun.held(begun.world.commons)
        draws("forfeit", number, kept.address, by=attacker.address)
        assert begun.held(begun.world.commons) - before == deposit_of_draw(deposit, kept=held)
        draws("again", number, by=attacker.address)
    assert draws("draw_of", number)[-1] == 8 * deposit
    assert begun.seed(number) != bytes(32)


def test_slots_of_who_left_keep_no_seat_empty(judged: Approving, attacker: Person) -> None:
    """Jurors enlist one after the other, leave with their stake, and leave a row of dead slots.

    A seat that is looked for among neighbours would stay empty, and with two of them every case.
    """
    passing = [judged.validator(f"passer-by {number}") for number in range(36)]
    for who in passing:
        judged.jury("enlist", by=who.address)
    for who in passing:
        judged.bonding.leave_all(who, who)
        judged.jury("evict", who.address, by=attacker.address)
    seats = [
        judged.jury(
            "drawn", keccak(text=f"seed {n}"), 2**63, 5, judged.round, *[attacker.address] * 2
        )
        for n in range(8)
    ]
    listed = {who.address for who in judged.jurors}
    assert all(len(set(five)) == 5 and set(five) <= listed for five in seats)


def test_a_leaf_that_was_punished_for_little_is_punished_elsewhere_too(
    begun: Approving, attacker: Person
) -> None:
    """The same made-up leaf in a cheap round and in a dear one, and the cheap one is told first.

    A case is of one round: else a small bond would have paid for a large one.
    """
    cheat, leaf = begun.validators[0], (keccak(text="easy"), keccak(text="output"))
    report = {7: leaf}
    root, proof = outputs_tree(report).root, outputs_tree(report).proof(7)
    rounds = [(begun.round, begun.test_set)]
    begun.commit_set(until=begun.world.now + HOUR)
    runner = keccak(text="another runner")
    terms = (begun.test_set, begun.asset, 1, runner, TAU, TAU, 0, 0)
    rounds.append((begun.approvals("open_round", *terms, by=begun.issuer.address), begun.test_set))
    begun.begin()
    for begun.round, _ in rounds:
        commitment = begun.commitment(cheat, True, TAU, root)
        begun.approvals("commit", begun.round, commitment, by=cheat.address)
        begun.bonding.stake(cheat, cheat, 9 * LEAST_BOND)
    begun.hours(4)
    for round_, _ in rounds:
        begun.approvals("reveal", round_, True, TAU, root, SALT, "", by=cheat.address)
        begun.hours(2)
    for number, (begun.round, begun.test_set) in enumerate(rounds):
        item = begun.items_of(cheat)[7]
        shown = (7, *leaf, proof, pool()[0][item], pool()[1].proof(item))
        begun.court("punish_wrong_item", begun.round, cheat.address, *shown, by=attacker.address)
        assert begun.bonded(cheat) == (18 - 10 * number) * LEAST_BOND


def test_evidence_of_another_chain_is_none(begun: Approving) -> None:
    """The same contracts at the same addresses on a fork: what was signed there counts there."""
    fork = open_approving(world=deploy_world(chain_id=CHAIN_ID + 1))
    fork.add_jurors(12)
    fork.start(cap=10**9)
    assert fork.approvals.address == begun.approvals.address
    one = fork.validators[0]
    root = keccak(text="report")
    commitment = commitment_of(
        fork.round, key_of(one), approve=True, score=TAU, root=root, salt=SALT,
        chain_id=CHAIN_ID, approvals=key_of(fork.approvals),
    )  # fmt: skip
    fork.approvals("commit", fork.round, commitment, by=one.address)
    fork.hours(6)
    with refused("approvals: not what was committed"):
        shown = (fork.round, True, TAU, root, SALT, "")
        fork.approvals("reveal", *shown, by=one.address)


def test_challenges_without_end_feed_the_accused(judged: Approving, attacker: Person) -> None:
    """Each costs the attacker its stake, and holds nothing up when it is over."""
    one = judged.validators[0]
    for place in range(3):
        case = judged.accuse(attacker, one, place, honest(judged, one, place))
        judged.show(one, place)
        judged.court("answer", case)
    assert judged.held(one) == 3 * STAKE
    assert judged.bonding.bond("frozen_until", one.address) == 0
    assert judged.bonded(one) == LEAST_BOND


def test_a_friendly_accusation_shields_nobody(begun: Approving, attacker: Person) -> None:
    """A cheat's friend accuses first, says what the cheat says, and loses: the place stays open."""
    cheat, friend = begun.validators[0], person("accomplice")
    begun.report(cheat, fabricated=[50])
    begun.all_approve(reports=True)
    begun.show(cheat, 50)
    for claim in (MADE_UP, OTHER):
        case = begun.accuse(friend, cheat, 50, claim)
        begun.court("answer", case)
        if claim == OTHER:
            jurors = begun.jurors_of(case)
            begun.vote(case, dict.fromkeys(jurors, honest(begun, cheat, 50)))
            begun.court("resolve", case)
    assert begun.bonded(cheat) == LEAST_BOND
    case = begun.accuse(attacker, cheat, 50, honest(begun, cheat, 50))
    begun.court("answer", case)
    jurors = begun.jurors_of(case)
    begun.vote(case, dict.fromkeys(jurors, honest(begun, cheat, 50)))
    begun.court("resolve", case)
    assert begun.bonded(cheat) == 0


def test_a_committee_that_splits_harms_nobody(begun: Approving, attacker: Person) -> None:
    """Three of five are not four: all five are paid, and the case may come again."""
    cheat = begun.validators[0]
    begun.report(cheat, fabricated=[50])
    begun.all_approve(reports=True)
    begun.show(cheat, 50)
    truth = honest(begun, cheat, 50)
    case = begun.accuse(attacker, cheat, 50, truth)
    begun.court("answer", case)
    jurors = begun.jurors_of(case)
    begun.vote(case, {**dict.fromkeys(jurors[:3], truth), **dict.fromkeys(jurors[3:], MADE_UP)})
    before = begun.held(attacker)
    begun.court("resolve", case)
    (event,) = begun.court.events("CaseClosed")
    assert (event.arguments["upheld"], event.arguments["dismissed"]) == (False, True)
    assert begun.held(attacker) - before == STAKE - 5 * (STAKE // 10)
    assert all(begun.held(who) == STAKE // 10 for who in jurors)
    assert begun.bonded(cheat) == LEAST_BOND
    assert begun.bonding.bond("frozen_until", cheat.address) == 0


def test_leaving_before_the_truth_does_not_help(begun: Approving) -> None:
    """Stake that was asked back in the minute of the commitment is there when the model is bad."""
    one = begun.validators[0]
    for who in begun.validators:
        root = keccak(text="report")
        commitment = begun.commitment(who, True, 850_000, root)
        begun.approvals("commit", begun.round, commitment, by=who.address)
    begun.bonding.leave_all(one, one)
    begun.bonding.bond("leave", begun.approvals, by=one.address)
    begun.hours(6)
    for who in begun.validators:
        shown = (begun.round, True, 850_000, keccak(text="report"), SALT, "")
        begun.approvals("reveal", *shown, by=who.address)
    begun.hours(2)
    begun.close(LEAST_BOND, 850_000)
    begun.hours(70)
    begun.reveal_truth()
    begun.count(answers(60))
    assert begun.finish() == 3
    begun.approvals("punish_approval", begun.round, one.address)
    assert begun.bonding.bond("slashable", one.address) == LEAST_BOND * 7 // 10


def test_penalties_for_one_model_never_add_up_to_more_than_the_bond(
    begun: Approving, attacker: Person
) -> None:
    """A bad approval, and fabricated outputs at two places: the whole bond, once."""
    cheat = begun.validators[0]
    begun.report(cheat, fabricated=[50, 51])
    begun.all_approve(reports=True)
    begun.reveal_truth()
    begun.count(answers(60))
    begun.world.engine.now = begun.row_of_set("truth_at") + 168 * HOUR - 1
    cases = [
        begun.accuse(attacker, cheat, place, honest(begun, cheat, place)) for place in (50, 51)
    ]
    begun.finish()
    begun.approvals("punish_approval", begun.round, cheat.address)
    assert begun.bonded(cheat) == LEAST_BOND * 7 // 10
    begun.hours(24)
    for case in cases:
        begun.court("resolve", case)
    assert begun.bonded(cheat) == 0
    model = begun.row_of_round("model")
    assert begun.approvals("taken", model, cheat.address) == LEAST_BOND
    with refused("approvals: punished already"):
        begun.approvals("punish_approval", begun.round, cheat.address)


def test_who_counted_does_not_judge_its_own_count(judged: Approving, attacker: Person) -> None:
    """Whoever has a bond behind the round is drawn for no committee of it."""
    judged.reveal_truth()
    executors = judged.count(answers(60))
    case = judged.accuse(attacker, judged.validators[0], 3, OTHER)
    judged.show(judged.validators[0], 3)
    judged.court("answer", case)
    assert not set(judged.jurors_of(case)) & {*executors, *judged.validators}


def test_who_enlists_after_the_request_is_passed_over(judged: Approving, attacker: Person) -> None:
    """The seed is known before the seats are taken: twenty newcomers come too late for it."""
    one = judged.validators[0]
    case = judged.accuse(attacker, one, 3, OTHER)
    judged.show(one, 3)
    judged.court("answer", case)
    newcomers = [judged.validator(f"newcomer {number}") for number in range(20)]
    for who in newcomers:
        judged.jury("enlist", by=who.address)
    judged.jurors.extend(newcomers)
    assert not set(judged.jurors_of(case)) & set(newcomers)


def test_being_of_another_opinion_costs_nothing(begun: Approving) -> None:
    """One rejects what four others and the truth approve; nobody can punish that."""
    *four, one = begun.validators
    begun.judge({**dict.fromkeys(four, (True, 850_000)), one: (False, 100_000)})
    begun.close(LEAST_BOND, 850_000)
    begun.reveal_truth()
    begun.count(answers(85))
    begun.finish()
    for name in ("punish_silence", "punish_approval"):
        with refused("approvals: nothing to punish"):
            begun.approvals(name, begun.round, one.address)
    assert begun.bonded(one) == LEAST_BOND


def test_a_threshold_is_a_fact_and_not_a_choice(begun: Approving, attacker: Person) -> None:
    """Nobody can make good counts bad, or bad ones good, by proving another number."""
    largest = bad_count(100, TAU - 20_000)
    for wrong in (largest - 1, largest + 1):
        with refused("bad_counts: not the largest bad count"):
            begun.bad_counts("prove", 100, TAU - 20_000, wrong, by=attacker.address)
