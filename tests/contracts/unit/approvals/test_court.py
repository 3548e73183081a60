"""Evidence about outputs and counts, narrowed to one item that five drawn jurors run."""

from __future__ import annotations

import pytest
from eth_utils import keccak
from rig.approving import (
    COST,
    HOUR,
    LEAST_BOND,
    POOL_ITEMS,
    SALT,
    Approving,
    answers,
    hidden,
    output_of,
    pool,
)
from rig.bonding import TSR
from rig.contract import refused
from rig.people import Person, key_of

from tessera.spec.court import (
    Answer,
    assigned_items,
    checked_places,
    choice_of,
    output_leaf,
    outputs_tree,
    verdict,
    vote_commitment,
)
from tessera.spec.places import NumberedTree

STAKE = max(LEAST_BOND // 100, COST)
MADE_UP = keccak(text="made up")
OTHER = keccak(text="another output")


def honest(approving: Approving, who: Person, place: int) -> bytes:
    """Return what re-execution gives at a place."""
    return output_of(approving.reports[who.address][place][0])


def with_fabrications(begun: Approving, places: list[int]) -> Person:
    """Let the first validator make some outputs up, and everybody approve."""
    cheat = begun.validators[0]
    begun.report(cheat, fabricated=places)
    begun.all_approve(reports=True)
    return cheat


def to_jurors(approving: Approving, cheat: Person, challenger: Person, place: int) -> int:
    """Accuse, show and answer: the case that waits for jurors."""
    case = approving.accuse(challenger, cheat, place, honest(approving, cheat, place))
    approving.show(cheat, place)
    approving.court("answer", case)
    return case


def test_assignments_are_the_twins(begun: Approving) -> None:
    one, other = begun.validators[:2]
    seed = begun.approvals("seed_of", begun.test_set)
    items = {
        who: assigned_items(seed, begun.round, key_of(who), POOL_ITEMS) for who in (one, other)
    }
    for who, places in items.items():
        assert len(set(places)) == 200
        for place in (0, 39, 40, 199):
            assert begun.court("item_at", begun.round, who.address, place) == places[place]
    assert items[one][:40] == items[other][:40]
    assert items[one][40:] != items[other][40:]
    with refused("court: no such place"):
        begun.court("item_at", begun.round, one.address, 200)
    with refused("court: no seed yet"):
        begun.court("check_at", begun.round, one.address, 0)


def test_a_fabricated_output_costs_the_bond(begun: Approving, attacker: Person) -> None:
    challenger = attacker
    cheat = with_fabrications(begun, [50])
    assert begun.court("stake_for", begun.round, cheat.address) == STAKE
    case = begun.accuse(challenger, cheat, 50, honest(begun, cheat, 50))
    assert begun.court("obligations") == begun.held(begun.court) == STAKE
    assert begun.bonding.bond("frozen_until", cheat.address) > begun.world.now
    with refused("court: not shown yet"):
        begun.court("answer", case)
    begun.show(cheat, 50)
    assert begun.court("shown", begun.round, cheat.address, 50) == MADE_UP
    begun.court("answer", case)
    with refused("court: not the move to make"):
        begun.court("answer", case)
    jurors = begun.jurors_of(case)
    assert len(jurors) == 5
    assert cheat not in jurors
    before = begun.held(challenger), begun.held(begun.world.commons)
    truth = honest(begun, cheat, 50)
    begun.vote(case, {**dict.fromkeys(jurors[:4], truth), jurors[4]: OTHER})
    assert verdict([truth] * 4 + [OTHER], MADE_UP, truth) == (True, False)
    begun.court("resolve", case)
    assert begun.bonded(cheat) == 0
    fees = 5 * (STAKE // 10)
    assert begun.held(challenger) - before[0] == LEAST_BOND // 5 + STAKE - fees
    assert begun.held(begun.world.commons) - before[1] == LEAST_BOND * 4 // 5
    assert all(begun.held(who) == STAKE // 10 for who in jurors)
    assert begun.held(begun.court) == 0
    assert begun.approvals("removed", cheat.address)
    assert begun.bonding.bond("frozen_until", cheat.address) == 0
    with refused("court: no open case"):
        begun.court("resolve", case)


def test_a_removed_validator_never_comes_back(begun: Approving, attacker: Person) -> None:
    cheat = with_fabrications(begun, [0])
    case = begun.accuse(attacker, cheat, 0, honest(begun, cheat, 0))
    begun.hours(24)
    begun.court("resolve", case)
    begun.round, begun.validators = b"", []
    begun.commit_set(until=begun.world.now + HOUR)
    begun.open_round()
    begun.begin()
    with refused("approvals: removed"):
        begun.approvals("commit", begun.round, MADE_UP, by=cheat.address)


def test_an_accusation_without_substance_pays_the_accused(
    judged: Approving, attacker: Person
) -> None:
    one = judged.validators[0]
    case = judged.accuse(attacker, one, 3, MADE_UP)
    judged.show(one, 3)
    judged.court("answer", case)
    jurors = judged.jurors_of(case)
    judged.vote(case, dict.fromkeys(jurors, honest(judged, one, 3)))
    judged.court("resolve", case)
    assert judged.held(one) == STAKE - 5 * (STAKE // 10)
    assert judged.bonded(one) == LEAST_BOND
    with refused("court: decided"):
        judged.accuse(attacker, one, 3, OTHER)


def test_an_accusation_that_agrees_is_lost_at_once(judged: Approving, attacker: Person) -> None:
    one = judged.validators[0]
    case = judged.accuse(attacker, one, 3, honest(judged, one, 3))
    judged.show(one, 3)
    judged.court("answer", case)
    assert judged.held(one) == STAKE
    # It settles nothing: others may still bring another output forward.
    assert judged.accuse(attacker, one, 3, OTHER) == case + 1


def test_outputs_that_are_shown_but_not_answered(judged: Approving, attacker: Person) -> None:
    """Whoever shows in time has not lost, if nobody calls `answer`."""
    one = judged.validators[0]
    case = judged.accuse(attacker, one, 3, honest(judged, one, 3))
    other = judged.accuse(attacker, one, 4, OTHER)
    judged.show(one, 3)
    judged.show(one, 4)
    with refused("court: not over yet"):
        judged.court("resolve", case)
    judged.hours(24)
    judged.court("resolve", case)
    assert judged.held(one) == STAKE
    judged.court("resolve", other)
    assert len(judged.jurors_of(other)) == 5


def test_accusations_out_of_range(judged: Approving, attacker: Person) -> None:
    one = judged.validators[0]
    for where, output, reason in (
        ((one, 200), OTHER, "no such place"),
        ((one, 3), bytes(32), "not an output"),
        ((judged.jurors[0], 3), OTHER, "nothing was revealed"),
    ):
        with refused(f"court: {reason}"):
            judged.accuse(attacker, *where, output)
    judged.reveal_truth()
    judged.world.engine.now = judged.row_of_set("truth_at") + 168 * HOUR
    with refused("court: too late"):
        judged.accuse(attacker, one, 3, OTHER)


def test_a_committee_without_seats_dismisses(begun: Approving, attacker: Person) -> None:
    """No seed, or nobody seated: everybody keeps what they have, and the case may come again."""
    cheat = with_fabrications(begun, [9])
    case = to_jurors(begun, cheat, attacker, 9)
    poll = begun.court("case_of", case)[-1]
    with refused("jury: no seed yet"):
        begun.jury("seat", poll)
    begun.hours(12)
    before = begun.held(attacker)
    begun.court("resolve", case)
    assert begun.held(attacker) - before == STAKE
    assert begun.bonded(cheat) == LEAST_BOND
    case = to_jurors(begun, cheat, attacker, 9)
    jurors = begun.jurors_of(case)
    begun.vote(case, dict.fromkeys(jurors[:4], honest(begun, cheat, 9)))
    begun.court("resolve", case)
    assert begun.bonded(cheat) == 0


def test_the_jury(begun: Approving, attacker: Person) -> None:
    jury = begun.jury
    with refused("jury: bond too low"):
        jury("enlist", by=attacker.address)
    with refused("jury: enlisted already"):
        jury("enlist", by=begun.jurors[0].address)
    with refused("jury: not enlisted"):
        jury("evict", attacker.address)
    with refused("jury: its bond suffices"):
        jury("evict", begun.jurors[0].address, by=attacker.address)
    begun.bonding.leave_all(begun.jurors[0], begun.jurors[0])
    jury("evict", begun.jurors[0].address, by=attacker.address)
    jury("evict", begun.jurors[1].address, by=begun.jurors[1].address)
    jury("enlist", by=begun.jurors[1].address)
    assert jury("juror_at", 1) == begun.jurors[1].address
    assert jury("slots") == len(begun.jurors)
    with refused("jury: no such poll"):
        jury("seat", 99)


def test_votes_are_hidden_and_bound(begun: Approving, attacker: Person) -> None:
    cheat = with_fabrications(begun, [9])
    case = to_jurors(begun, cheat, attacker, 9)
    poll = begun.court("case_of", case)[-1]
    jury, jurors = begun.jury, begun.jurors_of(case)
    with refused("jury: seated already"):
        jury("seat", poll)
    where = {"chain_id": begun.world.engine.chain_id, "jury": key_of(jury)}
    one, two = jurors[:2]
    commitment = vote_commitment(poll, key_of(one), OTHER, SALT, **where)
    assert jury("commitment_for", poll, one.address, OTHER, SALT) == commitment
    with refused("jury: not a juror of this poll"):
        jury("commit", poll, commitment, by=attacker.address)
    jury("commit", poll, commitment, by=one.address)
    with refused("jury: committed already"):
        jury("commit", poll, commitment, by=one.address)
    jury("commit", poll, commitment, by=two.address)
    with refused("jury: not the time to vote"):
        jury("vote", poll, OTHER, SALT, by=one.address)
    begun.hours(16)
    with refused("jury: not the time to commit"):
        jury("commit", poll, commitment, by=jurors[2].address)
    jury("vote", poll, OTHER, SALT, by=one.address)
    for who in (two, attacker):
        with refused("jury: not what was committed"):
            jury("vote", poll, OTHER, SALT, by=who.address)
    with refused("court: not over yet"):
        begun.court("resolve", case)


def test_drawn_places_are_always_shown(begun: Approving, keeper: Person) -> None:
    """Who fabricates a report cannot refuse to show the places that are drawn."""
    one, other = begun.validators[:2]
    begun.all_approve(reports=True)
    with refused("court: no seed yet"):
        begun.court("call_checks", begun.test_set)
    with refused("court: it has time"):
        begun.court("punish_missing", begun.round, one.address, 0)
    seed = begun.reveal_truth()
    places = checked_places(seed, begun.round, key_of(one))
    assert len(set(places)) == 5
    for check, place in enumerate(places):
        assert begun.court("check_at", begun.round, one.address, check) == place
        begun.show(one, place)
    begun.court("call_checks", begun.test_set)
    with refused("court: called already"):
        begun.court("call_checks", begun.test_set)
    begun.hours(72)
    for check in range(5):
        with refused("court: it was shown"):
            begun.court("punish_missing", begun.round, one.address, check)
    with refused("court: no such check"):
        begun.court("punish_missing", begun.round, one.address, 5)
    with refused("court: nothing was revealed"):
        begun.court("punish_missing", begun.round, keeper.address, 0)
    before = begun.held(keeper)
    begun.court("punish_missing", begun.round, other.address, 4, by=keeper.address)
    assert begun.bonded(other) == 0
    assert begun.held(keeper) - before == LEAST_BOND // 5


def test_only_what_was_committed_is_shown(judged: Approving) -> None:
    one = judged.validators[0]
    item, output = judged.reports[one.address][5]
    proof = outputs_tree(judged.reports[one.address]).proof(5)
    for leaf in ((6, item, output), (5, output, item), (5, item, OTHER)):
        with refused("court: not that leaf"):
            judged.court("show", judged.round, one.address, *leaf, proof)
    empty = NumberedTree([output_leaf(0, item, bytes(32)), *[bytes(32)] * 255])
    assert empty.root != outputs_tree({}).root


def test_an_output_is_not_nothing(begun: Approving) -> None:
    one = begun.validators[0]
    report = begun.report(one)
    report[7] = (report[7][0], bytes(32))
    begun.all_approve(reports=True)
    with refused("court: not an output"):
        begun.show(one, 7)


def test_another_item_than_the_assigned_is_fabricated(begun: Approving, attacker: Person) -> None:
    cheat, fair = begun.validators[:2]
    report = begun.report(cheat)
    easy = pool()[0][begun.items_of(cheat)[8]]
    report[7] = (easy, output_of(easy))
    begun.all_approve(reports=True)
    number = begun.items_of(cheat)[7]
    assigned, proof = pool()[0][number], pool()[1].proof(number)
    shown = (7, *report[7], outputs_tree(report).proof(7))
    with refused("court: not the assigned item"):
        begun.court("punish_wrong_item", begun.round, cheat.address, *shown, easy, proof)
    before = begun.held(attacker)
    begun.court(
        "punish_wrong_item", begun.round, cheat.address, *shown, assigned, proof,
        by=attacker.address,
    )  # fmt: skip
    assert begun.held(attacker) - before == LEAST_BOND // 5
    number, report = begun.items_of(fair)[7], begun.reports[fair.address]
    assigned, proof = pool()[0][number], pool()[1].proof(number)
    shown = (7, *report[7], outputs_tree(report).proof(7))
    with refused("court: it is the assigned item"):
        begun.court("punish_wrong_item", begun.round, fair.address, *shown, assigned, proof)
    behind = (200, bytes(32), bytes(32), outputs_tree(report).proof(200))
    with refused("court: not that leaf"):
        begun.court("punish_wrong_item", begun.round, fair.address, *behind, assigned, proof)


@pytest.mark.parametrize("place", [7, 210])
def test_a_hidden_item_in_a_report_is_a_leak(
    begun: Approving, attacker: Person, place: int
) -> None:
    leaker = begun.validators[0]
    (content, salt, label), tree = hidden()[0][11], hidden()[1]
    report = begun.report(leaker)
    report[place] = (keccak(content), output_of(keccak(content)))
    begun.all_approve(reports=True)
    number = begun.items_of(leaker)[7]
    shown = (place, *report[place], outputs_tree(report).proof(place))
    assigned = (pool()[0][number], pool()[1].proof(number))
    with refused("court: not a hidden item"):
        begun.court(
            "punish_leak", begun.round, leaker.address, *shown, *assigned, 11, label, salt,
            tree.proof(11),
        )  # fmt: skip
    if place >= 200:
        with refused("court: no such place"):
            begun.court("punish_wrong_item", begun.round, leaker.address, *shown, *assigned)
    before = begun.held(attacker)
    begun.court(
        "punish_leak", begun.round, leaker.address, *shown, *assigned, 11, salt, label,
        tree.proof(11), by=attacker.address,
    )  # fmt: skip
    assert begun.held(attacker) - before == LEAST_BOND // 5
    assert begun.bonded(leaker) == 0


def narrow_to(
    approving: Approving, case: int, tree: object, index: int, challenger: Person
) -> None:
    """Let the re-executors show children, and the challenger pick, down to one item."""
    number = 0
    for depth, step in enumerate((index >> 8, index >> 4 & 15, index & 15)):
        children = tree.children(depth, number)  # type: ignore[attr-defined]
        approving.court("narrow", case, *children)
        approving.court("pick", case, *children, step, by=challenger.address)
        number = number * 16 + step


def contested(approving: Approving, challenger: Person) -> int:
    """Contest the count; the case."""
    approving.fund(challenger, 100 * TSR)
    return int(approving.court("contest", approving.round, by=challenger.address))


def test_a_wrong_count_is_narrowed_to_one_item(told: Approving, attacker: Person) -> None:
    """Both who agreed on it lose their bonds; others count again, and the bonds wait."""
    wrong, right = answers(60, wrong_output_at=77), answers(60)
    executors = told.count(wrong)
    assert told.row_of_round("counted") == 62
    case = contested(told, attacker)
    children = wrong.children(0, 0)
    with refused("court: not the move to make"):
        told.court("pick", case, *children, 0, by=attacker.address)
    with refused("court: not the children of that node"):
        told.court("narrow", case, *right.children(0, 0))
    told.court("narrow", case, *children)
    with refused("court: not the move to make"):
        told.court("narrow", case, *children)
    with refused("court: only the challenger"):
        told.court("pick", case, *children, 0)
    with refused("court: not the children of that node"):
        told.court("pick", case, *right.children(0, 0), 0, by=attacker.address)
    told.court("pick", case, *children, 0, by=attacker.address)
    number = 0
    for depth, step in ((1, 77 >> 4), (2, 77 & 15)):
        children = wrong.children(depth, number)
        told.court("narrow", case, *children)
        told.court("pick", case, *children, step, by=attacker.address)
        number = number * 16 + step
    found, truth = wrong.answers[77], right.answers[77]
    with refused("court: not that leaf"):
        told.court("open_leaf", case, *truth)
    with refused("court: not the move to make"):
        told.court("claim", case, OTHER, by=attacker.address)
    told.court("open_leaf", case, *found)
    with refused("court: not the move to make"):
        told.court("open_leaf", case, *found)
    with refused("court: only the challenger"):
        told.court("claim", case, OTHER)
    with refused("court: not another answer"):
        told.court("claim", case, choice_of(found), by=attacker.address)
    assert told.court("choice_of", *truth) == choice_of(truth)
    told.court("claim", case, choice_of(truth), by=attacker.address)
    jurors = told.jurors_of(case)
    told.vote(case, dict.fromkeys(jurors, choice_of(truth)))
    with refused("approvals: not final yet"):
        told.approvals("finish", told.round)
    told.court("resolve", case)
    guilty = [who for who in executors if told.bonded(who) == 0]
    assert len(guilty) == 2
    assert told.row_of_round("counted") == 0
    assert all(told.bonding.bond("frozen_until", who.address) for who in told.validators)
    # Nobody who counted before is drawn again.
    told.seed(told.draws("draws"))
    again = told.count(right)
    assert again
    assert not set(again) & set(executors)
    assert told.row_of_round("counted") == 61
    assert told.finish() == 3


def test_a_right_count_stands(good: Approving, attacker: Person) -> None:
    tree, index = answers(85), 3
    executors = [
        who for who in good.jurors if good.approvals("bond_behind", good.round, who.address)
    ]
    case = contested(good, attacker)
    narrow_to(good, case, tree, index, attacker)
    found = tree.answers[index]
    good.court("open_leaf", case, *found)
    good.court("claim", case, choice_of(Answer(OTHER, False)), by=attacker.address)
    jurors = good.jurors_of(case)
    good.vote(case, dict.fromkeys(jurors, choice_of(found)))
    before = sum(good.held(who) for who in executors)
    good.court("resolve", case)
    paid = STAKE - 5 * (STAKE // 10)
    assert sum(good.held(who) for who in executors) - before == paid
    assert good.finish() == 2
    with refused("court: no count to contest"):
        contested(good, attacker)


def test_who_does_not_move_loses(good: Approving, attacker: Person) -> None:
    case = contested(good, attacker)
    silent = contested(good, attacker)
    late = contested(good, attacker)
    good.court("narrow", silent, *answers(85).children(0, 0))
    good.hours(4)
    executors = [who for who in good.jurors if good.held(who)]
    assert not executors
    good.court("resolve", silent)
    assert sum(good.held(who) for who in good.jurors) == STAKE
    # The re-executors let the other cases lapse, so the count is void.
    good.court("resolve", case)
    assert good.row_of_round("counted") == 0
    # What was said against a count that is void already is dismissed.
    before = good.held(attacker)
    good.court("resolve", late)
    assert good.held(attacker) - before == STAKE


def test_a_count_is_contested_in_time(good: Approving, attacker: Person) -> None:
    good.world.engine.now = good.row_of_set("truth_at") + 168 * HOUR
    with refused("court: too late"):
        contested(good, attacker)


def test_nothing_can_be_right_behind_the_last_item(told: Approving, attacker: Person) -> None:
    """A count padded with items that do not exist cannot be opened."""
    from tessera.spec.court import AnswerTree

    padded = AnswerTree([*answers(60).answers, Answer(OTHER, True)])
    told.count(padded)
    case = contested(told, attacker)
    narrow_to(told, case, padded, 100, attacker)
    with refused("court: not that leaf"):
        told.court("open_leaf", case, OTHER, True)
    told.hours(4)
    told.court("resolve", case)
    assert told.row_of_round("counted") == 0


def test_the_accused_is_graded_when_it_is_cleared(good: Approving, attacker: Person) -> None:
    one = good.validators[0]
    good.world.engine.now = good.row_of_set("truth_at") + 168 * HOUR - 1
    case = good.accuse(attacker, one, 3, honest(good, one, 3))
    good.finish()
    with refused("approvals: accused or convicted"):
        good.approvals("grade", good.round, one.address)
    good.show(one, 3)
    good.court("answer", case)
    good.approvals("grade", good.round, one.address)


def test_nobody_has_to_keep_outputs_for_ever(judged: Approving, attacker: Person) -> None:
    """A truth that never came does not leave accusations open; nor do checks that nobody called."""
    one = judged.validators[0]
    judged.world.engine.now = judged.row_of_set("begun") + 248 * HOUR
    with refused("court: too late"):
        judged.accuse(attacker, one, 3, OTHER)


def test_checks_are_called_and_punished_in_their_time(told: Approving) -> None:
    one, court = told.validators[0], told.court
    called = told.row_of_set("truth_at") + 96 * HOUR
    told.world.engine.now = called
    with refused("court: too late"):
        court("call_checks", told.test_set)
    told.world.engine.now = called - 1
    court("call_checks", told.test_set)
    told.hours(144)
    with refused("court: too late"):
        court("punish_missing", told.round, one.address, 0)
