"""Results that are false, kept back, or true and attacked; each story says who loses what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rig.contract import refused
from rig.epochs import SUBNET, TERMS, EpochWorld, Told, lying_tree, rebuilt
from rig.people import Person, person

from tessera.spec.epochs import Challenge, Column, Former, PostedEpoch, build, find_fault
from tessera.spec.epochs.arithmetic import WORD
from tessera.spec.epochs.faults import COLUMNS, NO_HEADER, ROWS, STAKES
from tessera.spec.epochs.results import computed
from tessera.spec.sum_trees import SumTree

SCORES = [[10, 20, 0], [30, 0, 50], [0, 70, 70]]


@pytest.fixture
def challenger() -> Person:
    return person("challenger")


@pytest.fixture
def place(attacker: Person, challenger: Person, keeper: Person) -> EpochWorld:
    world = EpochWorld()
    for who in (attacker, challenger, keeper):
        world.fund(who)
    return world


@pytest.fixture
def told(place: EpochWorld) -> Told:
    return place.tell(0, place.inputs(SCORES))


def proved(
    place: EpochWorld, told: Told, false: PostedEpoch, attacker: Person, challenger: Person
) -> Challenge:
    """Post something false, find what is wrong and prove it: 20 % to the challenger."""
    place.post(told, false, by=attacker)
    challenge = find_fault(false, told.inputs)
    assert challenge is not None
    place.send(told, false.header, challenge, by=challenger)
    epochs = place.epochs
    assert epochs("settled", SUBNET, told.epoch) == 0
    assert not epochs("is_posted", SUBNET, told.epoch)
    assert epochs("owed_of", challenger.address) == TERMS.bond // 5
    assert epochs("owed_of", place.world.commons.address) == TERMS.bond - TERMS.bond // 5
    assert epochs("owed_of", attacker.address) == 0
    return challenge


def changed(column: Column, row: int, **lanes: int) -> Column:
    """Write other numbers into a row's word."""
    words = np.frombuffer(column.words, dtype=WORD).copy()
    for lane, value in lanes.items():
        words[lane][row] = value
    return column._replace(words=words.tobytes())


def test_a_false_normalising_sum(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """Every rank is true, but their sum is stated twice as large, so that everybody earns half and
    the rest is nobody's. One path shows the node that does not add up."""
    tree = told.posted.column_tree
    top = len(tree.levels) - 1
    lying = lying_tree(tree, top, 0, 2 * tree.sum)
    false = replace(
        told.posted,
        column_tree=lying,
        header=replace(told.posted.header, columns=lying.top.digest, incentive=lying.top.sum),
    )
    assert proved(place, told, false, attacker, challenger).function == "challenge_node"


def test_a_rank_above_the_sum_of_all(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """The sum is stated far too small by a node beside the first column, whose path stays true:
    dividends that follow from such a sum would have more bits than a word has room for. Where the
    node is not known yet, a question shows it."""
    scores = [[9, 1, 1, 1, 90], [9, 1, 1, 1, 90]]
    told = place.tell(0, place.inputs(scores, [1, 1]))
    tree = told.posted.column_tree
    assert isinstance(tree, SumTree)
    lying = lying_tree(tree, 2, 0, tree.levels[1][0].sum + 1)
    lying = lying_tree(lying, 3, 0, tree.levels[0][4].sum - 1)
    header = replace(told.posted.header, columns=lying.top.digest, incentive=lying.top.sum)
    false = replace(told.posted, column_tree=lying, header=header)
    assert find_fault(PostedEpoch.unseen(header, 2, 5), told.inputs) == Challenge("ask", (COLUMNS,))
    assert proved(place, told, false, attacker, challenger).function == "challenge_node"


def test_ranks_that_sum_to_less_than_one_of_them(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """Every node adds up, but the last column states a rank of nothing, so the true rank of the
    second is above the sum that its dividends are divided by."""
    told = place.tell(0, place.inputs([[1, 90, 9], [1, 90, 9]], [1, 1]))
    columns = [column for column in told.posted.columns if column is not None]
    columns[1] = columns[1]._replace(rank=1)
    false = rebuilt(told.posted, columns=tuple(columns))
    true = told.posted.columns[1]
    assert true is not None
    assert true.rank > false.header.incentive
    # Column 0 follows from the false sum; the second cannot.
    from_it = computed(
        told.inputs, told.posted.stakes or (), told.posted.header.sums, false.header.incentive
    )
    columns[0] = from_it.columns[0] or columns[0]
    false = rebuilt(told.posted, columns=tuple(columns))
    assert proved(place, told, false, attacker, challenger).arguments[1] == 1


def test_a_false_sum_of_stakes(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """The sum that consensus measures kappa against is smaller than the stakes in it."""
    sums = told.posted.header.sums - (1 << 128)
    false = told.posted.restated(sums=sums)
    assert proved(place, told, false, attacker, challenger).function == "challenge_stakes"


def test_stake_for_a_friend(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """A validator's stake is moved to another, with all sums true: Scores knows better."""
    stakes = list(told.posted.stakes or ())
    stakes[0], stakes[1] = stakes[0] + 5, stakes[1] - 5
    false = rebuilt(told.posted, stakes=tuple(stakes))
    challenge = proved(place, told, false, attacker, challenger)
    assert challenge.function == "challenge_stakes"


def test_an_omitted_column(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """The third model is left out, and the others share what it earned. A root stands for a number
    of leaves, so nothing of such a tree can be shown, and whoever asks for anything voids it."""
    columns = told.posted.columns[:2]
    false = rebuilt(told.posted, columns=columns)
    challenge = find_fault(false, told.inputs)
    assert challenge == Challenge("ask", (COLUMNS,))
    place.post(told, false, by=attacker)
    place.send(told, false.header, challenge, by=challenger)
    for uid in range(2):
        with refused("epoch_court: not the posted column"):
            place.judge(0, false.header, "show_column", uid, false.column_call(uid), by=attacker)
    place.wait(TERMS.answer_window + 1)
    place.epochs("accuse", SUBNET, 0, COLUMNS)
    assert place.epochs("owed_of", challenger.address) == TERMS.bond // 5


def test_a_column_for_two_models(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """A model's column stands at another's uid too: the rows there say other weights."""
    columns = (told.posted.columns[0], told.posted.columns[0], told.posted.columns[2])
    false = rebuilt(told.posted, columns=columns)
    # With another sum of ranks, the first column does not follow any more either.
    assert proved(place, told, false, attacker, challenger).arguments[1] == 0
    place.post(told, false, by=attacker)
    entry = (1, false.column_call(1), 2, *told.inputs.rows[2].row.shown(0))
    place.judge(0, false.header, "challenge_entry", *entry, by=challenger)
    assert place.epochs("attempts", SUBNET, 0) == 2


def test_a_friendly_weight(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """The column says that a validator gave a model a weight which it never gave."""
    columns = list(told.posted.columns)
    assert columns[0] is not None
    columns[0] = changed(columns[0], 2, weight=70)
    false = rebuilt(told.posted, columns=tuple(columns))
    challenge = proved(place, told, false, attacker, challenger)
    assert challenge.function == "challenge_entry"


def test_weights_of_a_row_that_counts_for_nothing(
    place: EpochWorld, attacker: Person, challenger: Person
) -> None:
    """A validator withheld its row; the poster counts its weights all the same."""
    told = place.tell(0, place.inputs(SCORES, voids={1}))
    columns = list(told.posted.columns)
    assert columns[0] is not None
    columns[0] = changed(columns[0], 1, weight=30)
    false = rebuilt(told.posted, columns=tuple(columns))
    assert proved(place, told, false, attacker, challenger).function == "challenge_entry"


def test_more_bonds_for_the_next_epoch(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """Everything that pays now is true; one stored bond is a 65,535th too high, to pay later."""
    columns = list(told.posted.columns)
    assert columns[1] is not None
    bond = int.from_bytes(columns[1].words[28:30], "big")
    columns[1] = changed(columns[1], 0, bond=bond + 1)
    false = rebuilt(told.posted, columns=tuple(columns))
    assert proved(place, told, false, attacker, challenger).function == "challenge_column"


def test_one_unit_of_dividends(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """A row's leaf says one more than the last column comes to."""
    rows = list(told.posted.rows)
    assert rows[2] is not None
    rows[2] = (rows[2][0], rows[2][1] + 1)
    false = rebuilt(told.posted, rows=tuple(rows))
    assert proved(place, told, false, attacker, challenger).function == "challenge_dividends"


def _second(place: EpochWorld, first: Told, *, kept: tuple[bool, ...]) -> Told:
    for uid, same in enumerate(kept):
        place.appeared(uid, 1, 0 if same else 1)
    former = Former(0, first.posted, tuple(row.validator for row in first.inputs.rows), kept)
    return place.tell(1, place.inputs(SCORES[::-1], epoch=1, former=former))


def test_a_new_model_with_its_predecessors_bonds(
    place: EpochWorld, told: Told, attacker: Person, keeper: Person, challenger: Person
) -> None:
    """A uid went to a new model. The poster lets the old one's bonds live on in it, in its own
    validator's favour; Scores says since when the model is there."""
    place.settle(told, by=keeper)
    second = _second(place, told, kept=(True, True, False))
    as_if = replace(second.inputs, former=replace(second.inputs.former, kept=(True,) * 3))
    false = build(as_if)
    assert false.header != second.posted.header
    assert proved(place, second, false, attacker, challenger).function == "challenge_column"


def test_bonds_of_another_epoch(
    place: EpochWorld, told: Told, keeper: Person, challenger: Person
) -> None:
    """A true result is challenged with old bonds that are not the last final epoch's."""
    place.settle(told, by=keeper)
    second = _second(place, told, kept=(True,) * 3)
    place.post(second, by=keeper)
    stakes = list(second.posted.stakes or ())
    arguments = (stakes, 1, second.posted.column_call(1), second.posted.column_call(0))
    header = second.posted.header
    for former, old, reason in (
        (NO_HEADER.call, (0, 0, [], ()), "epoch_court: not the last result"),
        (header.call, second.posted.column_call(1), "epoch_court: not the last result"),
        (told.posted.header.call, told.posted.column_call(2), "epoch_court: not the posted column"),
        (told.posted.header.call, told.posted.column_call(1), "epoch_court: no fault"),
    ):
        with refused(reason):
            place.judge(1, header, "challenge_column", *arguments, former, old, by=challenger)


def test_parts_of_another_epoch_and_of_another_tree(
    place: EpochWorld, told: Told, keeper: Person, challenger: Person
) -> None:
    """A griefer shows true parts of something else: the last epoch's columns, a row's path for a
    column, a column in another's place, a weight under another validator's root."""
    place.settle(told, by=keeper)
    second = _second(place, told, kept=(True,) * 3)
    posted, header = second.posted, second.posted.header
    place.post(second, by=keeper)
    stakes = list(posted.stakes or ())
    stale = told.posted.column_call(1)
    with refused("epoch_court: not the posted result"):
        place.judge(1, told.posted.header, "show_column", 1, stale, by=challenger)
    with refused("epoch_court: not the posted column"):
        place.judge(1, header, "show_column", 1, stale, by=challenger)
    consensus, rank, words, _ = posted.column_call(1)
    crossed = (consensus, rank, words, posted.row_tree.path(1))
    with refused("epoch_court: not the posted column"):
        place.judge(1, header, "show_column", 1, crossed, by=challenger)
    row, active, counted, _ = posted.validator_proof(1)
    with refused("epoch_court: not the posted row"):
        place.judge(
            1, header, "show_row", row, active, counted, posted.column_tree.path(1), by=challenger
        )
    entry = (1, posted.column_call(1), 2, *second.inputs.rows[0].row.shown(0))
    with refused("epoch_court: not in the row"):
        place.judge(1, header, "challenge_entry", *entry, by=challenger)
    with refused("epoch_court: no such node"):
        nodes = posted.column_tree.levels[0][:2]
        place.judge(
            1, header, "challenge_node", True, 1, 0, *nodes, 1, posted.column_tree.path(0, 1),
            by=challenger,
        )  # fmt: skip
    with refused("epoch_court: no such node"):
        place.judge(
            1, header, "challenge_node", True, 0, 0, *nodes, 1, posted.column_tree.path(0),
            by=challenger,
        )  # fmt: skip
    with refused("epoch_court: not the posted stakes"):
        place.judge(1, header, "challenge_stakes", [*stakes, 0], 0, by=challenger)
    assert place.epochs("on_trial", SUBNET, 1) == header.digest


def test_wrong_challenges_cost_their_sender_and_delay_nothing(
    place: EpochWorld, told: Told, keeper: Person, attacker: Person
) -> None:
    """Challenges that are wrong revert: the window ends when it would have ended. Questions cost a
    fee each, which the poster gets for its answer, and end at most one answer and one reaction
    later, however many there are."""
    posted, header = told.posted, told.posted.header
    place.post(told, by=keeper)
    ends = place.epochs("ends_at", SUBNET, 0)
    for uid in range(3):
        arguments = (
            list(posted.stakes or ()), uid, posted.column_call(uid), posted.column_call(uid - 1),
            NO_HEADER.call, (0, 0, [], ()),
        )  # fmt: skip
        with refused("epoch_court: no fault"):
            place.judge(0, header, "challenge_column", *arguments, by=attacker)
    assert place.epochs("ends_at", SUBNET, 0) == ends
    place.wait(TERMS.challenge_window - 1)
    for uid in range(3):
        place.epochs("ask", SUBNET, 0, COLUMNS + uid, by=attacker.address)
    place.wait(TERMS.answer_window)
    for uid in range(3):
        place.judge(0, header, "show_column", uid, posted.column_call(uid), by=keeper)
    with refused("epochs: too late to ask"):
        place.epochs("ask", SUBNET, 0, STAKES, by=attacker.address)
    assert place.epochs("ends_at", SUBNET, 0) == (
        ends - 1 + TERMS.answer_window + TERMS.reaction_window
    )
    assert place.epochs("owed_of", keeper.address) == 3 * TERMS.fee
    place.wait(TERMS.reaction_window)
    place.epochs("finalize", SUBNET, 0)


def test_a_poster_who_serves_nothing(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """A false result of which no part is served: nobody can say what is wrong with it. The
    challenger asks for the stakes, then for columns; each answer shows its path, and so where to
    ask next. Either the false column comes out, or nothing does and the result is void."""
    columns = list(told.posted.columns)
    assert columns[2] is not None
    columns[2] = columns[2]._replace(consensus=columns[2].consensus + 1)
    false = rebuilt(told.posted, columns=tuple(columns))
    place.post(told, false, by=attacker)
    seen = PostedEpoch.unseen(false.header, 3, 3)
    asked = []
    # True stakes are everybody's; of the columns nothing is known but the top of their tree.
    while (challenge := find_fault(seen, told.inputs)) and challenge.function == "ask":
        (part,) = challenge.arguments
        asked.append(part - COLUMNS)
        place.send(told, false.header, challenge, by=challenger)
        call = false.column_call(asked[-1])
        place.judge(0, false.header, "show_column", asked[-1], call, by=attacker)
        seen = seen.with_column(asked[-1], call)
    assert asked == [0, 2]
    assert challenge is not None
    assert challenge.function == "challenge_column"
    place.send(told, false.header, challenge, by=challenger)
    assert place.epochs("owed_of", challenger.address) == TERMS.bond // 5
    # The fees were for the answers.
    assert place.epochs("owed_of", attacker.address) == 2 * TERMS.fee


def test_parts_that_were_never_there(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person, keeper: Person
) -> None:
    """A result of random words. Whatever is asked for, nobody can answer; both who asked get their
    fee back, and the first whose time is over the challenger's part."""
    false = replace(
        told.posted.restated(stakes=b"\7" * 32, columns=b"\7" * 32),
        stakes=None,
        columns=(None,) * 3,
        column_tree=SumTree([]),
    )
    assert find_fault(false, told.inputs) == Challenge("ask", (STAKES,))
    place.post(told, false, by=attacker)
    place.epochs("ask", SUBNET, 0, STAKES, by=challenger.address)
    place.epochs("ask", SUBNET, 0, ROWS, by=keeper.address)
    place.wait(TERMS.answer_window + 1)
    place.epochs("accuse", SUBNET, 0, STAKES, by=keeper.address)
    with refused("epochs: no live result"):
        place.epochs("accuse", SUBNET, 0, ROWS, by=keeper.address)
    for part in (STAKES, ROWS):
        place.epochs("take_back", SUBNET, 0, 0, part)
    assert place.epochs("owed_of", challenger.address) == TERMS.bond // 5 + TERMS.fee
    assert place.epochs("owed_of", keeper.address) == TERMS.fee
    assert place.epochs("obligations") == place.held(place.epochs)


def test_self_accusation_does_not_pay(place: EpochWorld, told: Told, attacker: Person) -> None:
    """A liar who is about to be caught accuses itself first: it gets a fifth of its bond back."""
    columns = list(told.posted.columns)
    assert columns[0] is not None
    columns[0] = columns[0]._replace(rank=columns[0].rank + 1)
    false = rebuilt(told.posted, columns=tuple(columns))
    before = place.held(attacker)
    proved(place, told, false, person("keeper"), attacker)
    place.epochs("collect", attacker.address)
    assert place.held(attacker) == before + TERMS.bond // 5


def test_two_who_are_right_at_once(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person, keeper: Person
) -> None:
    """Two challengers prove the same lie in one block. The first is paid; the second changes
    nothing, and cannot strike the true result that is posted next."""
    columns = list(told.posted.columns)
    assert columns[0] is not None
    columns[0] = columns[0]._replace(rank=columns[0].rank + 1)
    false = rebuilt(told.posted, columns=tuple(columns))
    proved(place, told, false, attacker, challenger)
    late = find_fault(false, told.inputs)
    assert late is not None
    with refused("epoch_court: not the posted result"):
        place.send(told, false.header, late, by=keeper)
    place.post(told, by=keeper)
    with refused("epoch_court: not the posted result"):
        place.send(told, false.header, late, by=challenger)
    place.wait(TERMS.challenge_window)
    place.epochs("finalize", SUBNET, 0)
    assert place.epochs("owed_of", keeper.address) == TERMS.bond
    assert place.epochs("attempts", SUBNET, 0) == 1


def test_a_lie_first_keeps_the_truth_out_for_a_while(
    place: EpochWorld, told: Told, attacker: Person, keeper: Person, challenger: Person
) -> None:
    """An attacker posts before everybody else, again and again, so that the deadline passes. Each
    lie costs a bond, and each void one gives the truth a whole window again."""
    false = told.posted.restated(sums=told.posted.header.sums + 1)
    for _ in range(2):
        place.wait(TERMS.post_window)
        place.post(told, false, by=attacker)
        with refused("epochs: posted already"):
            place.post(told, by=keeper)
        challenge = find_fault(false, told.inputs)
        assert challenge is not None
        place.send(told, false.header, challenge, by=challenger)
        with refused("epochs: still time to post"):
            place.epochs("skip", SUBNET, 0, by=attacker.address)
    place.settle(told, by=keeper)
    assert place.epochs("owed_of", challenger.address) == 2 * (TERMS.bond // 5)


def test_a_final_result_stays(
    place: EpochWorld, told: Told, attacker: Person, challenger: Person
) -> None:
    """Nobody looked during the whole window: the lie stands, and pays. That is what the window is
    for; what is final is never taken back."""
    false = told.posted.restated(sums=told.posted.header.sums + 1)
    place.post(told, false, by=attacker)
    place.wait(TERMS.challenge_window)
    place.epochs("finalize", SUBNET, 0)
    challenge = find_fault(false, told.inputs)
    assert challenge is not None
    with refused("epoch_court: not the posted result"):
        place.send(told, false.header, challenge, by=challenger)
    assert place.epochs("settled", SUBNET, 0) == 1


def test_a_false_epochs_contract_gains_nothing(
    place: EpochWorld, told: Told, attacker: Person, keeper: Person
) -> None:
    """The court asks whatever contract it is told to. One that says yes to everything convicts
    only itself: Epochs listens to the court about its own results."""
    place.post(told, by=keeper)
    actor = place.world.actor()
    with refused("epochs: only the court"):
        place.world.as_contract(actor, place.epochs, "convict", SUBNET, 0, attacker.address, 1)
    assert place.epochs("on_trial", SUBNET, 0) == told.posted.header.digest
