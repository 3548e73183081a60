"""What a validator, its neighbour or a stranger tries with rows of scores.

A validator copies what another committed or reveals what another one committed; it changes its mind
after it saw the others; it scores for models that came after, or with stake that it took away. It
commits to numbers that are none, or to a tree that lies, and serves nothing. A stranger asks for
data only to do harm. And everybody may be away.
"""

from __future__ import annotations

import pytest
from rig.contract import Contract, refused
from rig.people import Person, key_of, person
from rig.scoring import DATA_FEE, TSR, Scoring, scored

from tessera.spec.scores import MAX_WEIGHT, Row, commitment_of, leaf_data
from tessera.spec.sum_trees import SumTree, leaf_of

HONEST, LAZY = person("validator 0"), person("validator 1")
WRONG = "scores: not what was committed"
STAKE = 10_000 * TSR


@pytest.fixture
def scoring() -> Scoring:
    return scored()[0]


def test_a_copied_commit_is_worth_nothing(scoring: Scoring) -> None:
    """A lazy validator copies the honest one's hash the moment it sees it, and its row and salt
    when they are revealed: the hash names the honest one."""
    row, salt = scoring.commit(1, 0, HONEST, {0: 500})
    copied = scoring.scores.events("Committed")[0].arguments["commitment"]
    scoring.scores("commit", 1, 1, copied, by=LAZY.address)
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, HONEST, row, salt)
    before = scoring.scores("epoch_of", 1, 1)
    with refused(WRONG):
        scoring.reveal(1, 1, LAZY, row, salt)
    assert scoring.scores("epoch_of", 1, 1) == before
    assert scoring.scores("row_of", 1, 1, LAZY.address) == 0


def test_a_reveal_of_anothers_commit(scoring: Scoring, attacker: Person) -> None:
    """Somebody sees the reveal in the mempool and sends it first, to have it as its own."""
    row, salt = scoring.commit(1, 0, HONEST, {0: 500})
    scoring.turn_to(1, 1, 2)
    for thief in (attacker, LAZY):
        with refused("scores: nothing committed"):
            scoring.reveal(1, 1, thief, row, salt)
    assert scoring.revealed(1, 1, HONEST, row, salt) == 0


def test_a_reveal_of_what_was_not_committed_changes_nothing(scoring: Scoring) -> None:
    """After it saw the honest row, the lazy one wants to reveal that, another sum, another salt."""
    row, salt = scoring.commit(1, 0, HONEST, {0: 500})
    own, grain = scoring.commit(1, 1, LAZY, {1: 1}, salt=9)
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, HONEST, row, salt)
    before = scoring.scores("epoch_of", 1, 1)
    for bent, said in (
        (row, grain),
        ((own.root, own.sum + 1), grain),
        ((row.root, own.sum), grain),
        (own, salt),
    ):
        with refused(WRONG):
            scoring.reveal(1, 1, LAZY, bent, said)
        assert scoring.scores("epoch_of", 1, 1) == before
    scoring.revealed(1, 1, LAZY, own, grain)


def test_the_same_row_in_another_epoch_subnet_contract_or_chain(scoring: Scoring) -> None:
    """A commitment that was good once, or elsewhere, is sent again."""
    elsewhere = Row({0: 500}, 3)
    salt = bytes(31) + b"\7"
    here = scoring.commitment(elsewhere, salt, HONEST, 1, 1)
    chain_id = scoring.world.engine.chain_id
    for said in (
        scoring.commitment(elsewhere, salt, HONEST, 1, 2),
        scoring.commitment(elsewhere, salt, HONEST, 2, 1),
        commitment_of(elsewhere, salt, key_of(HONEST), 1, 1, chain_id + 1, key_of(scoring.scores)),
        commitment_of(elsewhere, salt, key_of(HONEST), 1, 1, chain_id, key_of(scoring.subnets)),
    ):
        assert said != here
        with scoring.world.engine.trial():
            scoring.scores("commit", 1, 0, said, by=HONEST.address)
            scoring.turn_to(1, 1, 2)
            with refused(WRONG):
                scoring.reveal(1, 1, HONEST, elsewhere, salt)
    scoring.commit(1, 0, HONEST, elsewhere)
    scoring.turn_to(1, 2, 2)
    with refused("scores: nothing committed"):
        scoring.reveal(1, 2, HONEST, elsewhere, salt)


def test_a_late_reveal(scoring: Scoring) -> None:
    """Whoever waits until all others are known is too late, and the epoch goes on without it."""
    row, salt = scoring.commit(1, 0, HONEST, {0: 500})
    own, grain = scoring.commit(1, 1, LAZY, {1: 1})
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, HONEST, row, salt)
    scoring.turn_to(1, 1, 3)
    for _ in range(2):
        with refused("scores: not in the time for reveals"):
            scoring.reveal(1, 1, LAZY, own, grain)
        scoring.turn_to(1, 1, 5)
    assert scoring.scores("epoch_of", 1, 1)[:2] == (1, STAKE)


def test_an_epoch_completes_even_if_every_validator_is_offline(scoring: Scoring) -> None:
    """Nobody commits, reveals, asks or answers for ten epochs; one commits and is gone. The clock
    needs no transaction, and the next epoch takes rows as if nothing had been."""
    scoring.commit(1, 0, HONEST, {0: 1})
    for epoch in range(1, 11):
        scoring.turn_to(1, epoch, 5)
        rows, stake, _, posting_from, _ = scoring.scores("epoch_of", 1, epoch)
        assert (rows, stake) == (0, 0)
        assert posting_from <= scoring.now
    scoring.turn_to(1, 12)
    row, salt = scoring.commit(1, 0, HONEST, {0: 1})
    scoring.turn_to(1, 12, 2)
    assert scoring.revealed(1, 12, HONEST, row, salt) == 0


def test_a_sum_that_is_none_of_the_weights(scoring: Scoring) -> None:
    """It commits to a sum that would make its own weights count more, or none; one beyond all
    weights is refused at once, another one has no leaf that could be shown."""
    row = Row({0: 100, 1: 50}, 3)
    huge = (row.root, 3 * MAX_WEIGHT + 1)
    said = scoring.commitment(huge, bytes(32), HONEST, 1, 1)
    scoring.scores("commit", 1, 0, said, by=HONEST.address)
    small = (row.root, 100)
    said = scoring.commitment(small, bytes(32), LAZY, 1, 1)
    scoring.scores("commit", 1, 1, said, by=LAZY.address)
    scoring.turn_to(1, 1, 2)
    with refused("scores: sum out of range"):
        scoring.reveal(1, 1, HONEST, huge, bytes(32))
    assert scoring.reveal(1, 1, LAZY, small, bytes(32)) == 0
    _cannot_be_shown(scoring, row)


def _cannot_be_shown(scoring: Scoring, row: Row, words: list[int] | None = None) -> None:
    """Somebody asks for the lazy one's first leaf: no answer is good, so the row counts nothing."""
    challenger = scoring.fund(person("challenger"))
    scoring.scores("ask", 1, 1, 0, 0, by=challenger.address)
    with refused("scores: not that leaf"):
        scoring.scores(
            "show",
            1,
            1,
            0,
            0,
            words or list(row.leaves[0]),
            list(row.tree.path(0)),
            by=LAZY.address,
        )
    scoring.turn_to(1, 1, 5)
    assert scoring.scores("epoch_of", 1, 1)[:2] == (1, 0)
    had = scoring.held(challenger)
    scoring.scores("convict", 1, 1, 0, 0, by=challenger.address)
    assert scoring.held(challenger) == had + DATA_FEE + STAKE // 100 // 5


def test_a_leaf_that_states_another_sum(scoring: Scoring) -> None:
    """The tree is sound in itself, but a leaf says 1 where its weights are 150, so that each of
    them would be divided by too little."""
    row = Row({0: 100, 1: 50}, 3)
    row.tree = SumTree([leaf_of(leaf_data(row.leaves[0]), 1)])
    scoring.commit(1, 1, LAZY, row)
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, LAZY, row, bytes(31) + b"\7")
    _cannot_be_shown(scoring, row)


def test_a_weight_for_a_model_that_is_none(scoring: Scoring) -> None:
    """Column 3 of a subnet of three models: its own place to come, or a hiding place for weight.
    A validator has no column of its own at all, so it cannot score itself."""
    row = Row({0: 100, 3: 50}, 4)
    scoring.commit(1, 1, LAZY, row)
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, LAZY, row, bytes(31) + b"\7")
    _cannot_be_shown(scoring, row)


def test_numbers_that_do_not_fit(scoring: Scoring) -> None:
    """Words hold 64 numbers of 16 bits and nothing else: whatever bits are sent, they are weights
    from 0 to 65,535, their sum cannot wrap, and a uid cannot be there twice."""
    scoring.commit(1, 1, LAZY, {0: 1})
    scoring.turn_to(1, 1, 2)
    row = Row({0: 1}, 3)
    scoring.revealed(1, 1, LAZY, row, bytes(31) + b"\7")
    _cannot_be_shown(scoring, row, [2**256 - 1] * 4)
    assert Row(dict.fromkeys(range(64), MAX_WEIGHT), 64).sum == 64 * MAX_WEIGHT


def test_a_path_whose_sums_would_wrap(scoring: Scoring) -> None:
    """A sibling with a sum of 2^256 - 1 brings the total back to what was revealed."""
    owner = scoring.fund(person("publisher"), 10**6 * TSR)
    subnet = scoring.create(owner, max_models=65)
    for uid in range(65):
        scoring.place_model(subnet, owner, uid)
        scoring.world.wait(40_000)
    scoring.place_validator(subnet, LAZY, 0)
    epoch = scoring.model.subnets[subnet].clock.epoch_at(scoring.now) + 1
    scoring.turn_to(subnet, epoch)
    row, salt = scoring.commit(subnet, 0, LAZY, {0: 10})
    scoring.turn_to(subnet, epoch, 2)
    scoring.revealed(subnet, epoch, LAZY, row, salt)
    words, (sibling,) = row.shown(0)
    twice = [words[0] * 2, *words[1:]]
    for wrapped in (2**256 - 10, 2**128 - 10):
        bent = [sibling._replace(sum=wrapped)]
        assert not scoring.scores("holds", subnet, epoch, 0, 0, twice, bent)
        assert not scoring.rows.holds(subnet, epoch, 0, 0, twice, bent)
    assert scoring.scores("holds", subnet, epoch, 0, 0, list(words), [sibling])


def test_scoring_for_a_model_that_came_after_the_epoch_began(
    scoring: Scoring, attacker: Person
) -> None:
    """A model that is registered when scores are known, or made to fit them, counts from the next
    epoch on: its column is not part of this one, whose number of models does not change."""
    scoring.fund(attacker)
    scoring.commit(1, 0, HONEST, {0: 1})
    scoring.place_model(1, attacker, 3)
    scoring.commit(1, 1, LAZY, {0: 1})
    assert scoring.scores("epoch_of", 1, 1)[2] == 3
    assert scoring.scores("model_since", 1, 3, 1) == 0
    scoring.turn_to(1, 2)
    scoring.commit(1, 0, HONEST, {3: 1})
    assert scoring.scores("epoch_of", 1, 2)[2] == 4
    assert scoring.scores("model_since", 1, 3, 2) == 2


def test_a_validator_that_came_after_the_epoch_began(scoring: Scoring) -> None:
    """Ten fresh accounts with the same stake would each vote; who comes in an epoch votes in the
    next, and a place that somebody else has is nobody else's."""
    late = scoring.validator("late validator")
    scoring.place_validator(1, late, 2)
    for uid in (0, 2, 9):
        with refused("subnets: not a validator of this epoch"):
            scoring.scores("commit", 1, uid, b"\1" * 32, by=late.address)
    scoring.turn_to(1, 2)
    scoring.commit(1, 2, late, {0: 1})


def test_one_stake_for_two_validators(scoring: Scoring) -> None:
    """A delegator takes its stake from one validator after its commit to add it to another's: it
    is slashable behind the first until then, and cannot be in two places."""
    delegator = scoring.fund(person("delegator"), STAKE)
    delegator_has = scoring.held(delegator)
    scoring.bond("stake", HONEST.address, STAKE, by=delegator.address)
    scoring.commit(1, 0, HONEST, {0: 1})
    shares = scoring.bond("stake_of", HONEST.address, delegator.address)[0]
    scoring.bond("unstake", HONEST.address, shares, by=delegator.address)
    with refused("bond: not ready yet"):
        scoring.bond("withdraw", HONEST.address, by=delegator.address)
    assert scoring.held(delegator) == delegator_has - STAKE
    scoring.commit(1, 1, LAZY, {0: 1})
    assert scoring.scores.events("Committed")[0].arguments["stake"] == STAKE


def test_data_is_asked_for_to_do_harm(scoring: Scoring, attacker: Person) -> None:
    """An attacker asks for each leaf of every row in the last second. Each answer earns the fee,
    nothing can be asked for twice, and the epoch's inputs close at the same time as ever."""
    rows = []
    for uid, who in enumerate((HONEST, LAZY)):
        rows.append(scoring.commit(1, uid, who, {uid: 9}))
    scoring.turn_to(1, 1, 2)
    for who, (row, salt) in zip((HONEST, LAZY), rows, strict=True):
        scoring.revealed(1, 1, who, row, salt)
    before = scoring.scores("epoch_of", 1, 1)
    scoring.fund(attacker, 2 * DATA_FEE)
    scoring.turn_to(1, 1, 3.99)
    for number in range(2):
        scoring.scores("ask", 1, 1, number, 0, by=attacker.address)
    assert scoring.scores("epoch_of", 1, 1)[1] == 0
    with refused("scores: asked for already"):
        scoring.scores("ask", 1, 1, 0, 0, by=attacker.address)
    scoring.turn_to(1, 1, 4.99)
    had = scoring.held(HONEST)
    for number, (row, _) in enumerate(rows):
        scoring.scores("show", 1, 1, number, 0, *map(list, row.shown(0)), by=HONEST.address)
    assert scoring.scores("epoch_of", 1, 1) == before
    assert scoring.held(HONEST) == had + DATA_FEE
    assert scoring.held(attacker) == 0 == scoring.held(scoring.scores)


def test_a_validator_asks_for_its_own_leaf(scoring: Scoring) -> None:
    """To void a row that it regrets, or to earn the whistle-blower's part: it has no row then, and
    pays four fifths of the slash."""
    row, salt = scoring.commit(1, 1, LAZY, {0: 1})
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, LAZY, row, salt)
    wealth = scoring.held(LAZY) + scoring.bond("slashable", LAZY.address)
    scoring.scores("ask", 1, 1, 0, 0, by=LAZY.address)
    scoring.turn_to(1, 1, 5)
    scoring.scores("convict", 1, 1, 0, 0, by=LAZY.address)
    lost = wealth - scoring.held(LAZY) - scoring.bond("slashable", LAZY.address)
    assert lost == STAKE // 100 * 4 // 5
    assert scoring.scores("epoch_of", 1, 1)[:2] == (1, 0)


def test_without_the_fee_nothing_is_asked(scoring: Scoring, attacker: Person) -> None:
    row, salt = scoring.commit(1, 1, LAZY, {0: 1})
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, LAZY, row, salt)
    before = _state(scoring.scores)
    with refused("erc20: allowance too low"):
        scoring.scores("ask", 1, 1, 0, 0, by=attacker.address)
    assert _state(scoring.scores) == before


def _state(scores: Contract) -> tuple[object, ...]:
    return scores("epoch_of", 1, 1), scores("row_at", 1, 1, 0), scores("obligations")
