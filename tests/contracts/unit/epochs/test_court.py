"""What the court recomputes of a column, where few random epochs come: other medians, odd
penalties, stake that rounds to nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rig.contract import refused
from rig.epochs import SUBNET, EpochWorld, Told
from rig.false_epochs import every_challenge
from rig.people import Person

from tessera.spec.epochs import Column, Former, PostedEpoch, Rules, find_fault
from tessera.spec.epochs.arithmetic import WORD, column_words, ranked
from tessera.spec.epochs.results import assembled, bonds_before, carried, revealed
from tessera.spec.sum_trees import packed

SCORES = [[10, 20, 70], [30, 20, 50], [33, 60, 7]]


def _with_consensus(told: Told, uid: int, consensus: int) -> PostedEpoch:
    """Compute an epoch in which all follows from another median of one column."""
    inputs, stakes = told.inputs, told.posted.stakes or ()
    found = ranked(revealed(inputs), stakes, inputs.rules)
    chosen = found.consensus.copy()
    chosen[uid] = consensus
    clipped = np.minimum(found.weights, chosen[None, :])
    active = [word >> 40 & 2**40 - 1 for word in stakes]
    rank = [
        sum(stake * int(clipped[row, column]) >> 32 for row, stake in enumerate(active))
        for column in range(inputs.columns)
    ]
    found = replace(found, consensus=chosen, rank=np.array(rank, dtype=np.uint64))
    bonds = bonds_before(inputs, carried(inputs))
    words, earned = column_words(revealed(inputs), stakes, inputs.rules, bonds, found, sum(rank))
    header = told.posted.header
    return assembled(
        header.inputs,
        header.rules,
        header.previous,
        stakes=tuple(stakes),
        sums=header.sums,
        columns=tuple(
            Column(int(chosen[column]), rank[column], word.tobytes())
            for column, word in enumerate(words)
        ),
        rows=tuple((stake, packed(*each)) for stake, each in zip(active, earned, strict=True)),
    )


@pytest.mark.parametrize("kappa", [0, 20_000, 32_767, 65_535])
@pytest.mark.parametrize("uid", [0, 1, 2])
def test_only_the_median_is_a_consensus(
    place: EpochWorld, poster: Person, challenger: Person, uid: int, kappa: int
) -> None:
    """Another score, too high or too low, from which everything else follows truly."""
    told = place.tell(0, place.inputs(SCORES, rules=Rules(kappa=kappa)))
    true = told.posted.columns[uid]
    assert true is not None
    assert _with_consensus(told, uid, true.consensus).header == told.posted.header
    scores = ranked(revealed(told.inputs), told.posted.stakes or (), told.inputs.rules).weights
    others = {0, *map(int, scores[:, uid])} - {true.consensus}
    assert others
    for other in sorted(others):
        false = _with_consensus(told, uid, other)
        with place.engine.trial():
            place.post(told, false, by=poster)
            challenge = find_fault(false, told.inputs)
            assert challenge is not None
            # The columns before follow from the sum that is stated, so it is this one.
            assert challenge.arguments[1] == uid
            place.send(told, false.header, challenge, by=challenger)
            assert place.epochs("attempts", SUBNET, 0) == 1


@pytest.mark.parametrize("penalty", [1, 6_554, 32_768, 65_534])
@pytest.mark.parametrize("yuma3", [False, True])
def test_clipped_in_part_is_rounded_against_the_bond(
    place: EpochWorld, poster: Person, challenger: Person, penalty: int, yuma3: bool
) -> None:
    rules = Rules(bonds_penalty=penalty, yuma3=yuma3)
    told = place.tell(0, place.inputs(SCORES, [3, 5, 11], rules=rules))
    _survives(place, told, poster, challenger)


def test_stake_that_rounds_to_nothing_keeps_no_bonds(
    place: EpochWorld, poster: Person, challenger: Person
) -> None:
    first = place.tell(0, place.inputs(SCORES[:2], [10**18, 10**18]))
    place.settle(first, by=poster)
    who = tuple(row.validator for row in first.inputs.rows)
    former = Former(0, first.posted, who, (True,) * 3)
    second = place.tell(1, place.inputs(SCORES[:2], [2**85, 1], epoch=1, former=former))
    column = second.posted.columns[0]
    assert column is not None
    words = np.frombuffer(column.words, dtype=WORD)
    assert words["dividends"][1] > 0, "what it had still earns once"
    assert words["bond"][1] == 0
    _survives(place, second, poster, challenger)


def _survives(place: EpochWorld, told: Told, poster: Person, challenger: Person) -> None:
    place.post(told, by=poster)
    for challenge in every_challenge(told.inputs, told.posted):
        with refused("epoch_court: no fault"):
            place.send(told, told.posted.header, challenge, by=challenger)


def test_a_row_that_counts_for_nothing_carries_nothing_over(
    place: EpochWorld, poster: Person, challenger: Person
) -> None:
    first = place.tell(0, place.inputs(SCORES))
    place.settle(first, by=poster)
    who = tuple(row.validator for row in first.inputs.rows)
    former = Former(0, first.posted, who, (True,) * 3)
    second = place.tell(1, place.inputs(SCORES, epoch=1, former=former, voids={1}))
    assert second.posted.stakes is not None
    assert second.posted.stakes[1] == 0
    _survives(place, second, poster, challenger)
