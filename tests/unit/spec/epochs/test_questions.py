"""A result that nobody serves: how many rounds of questions find what is false in it."""

from __future__ import annotations

import pytest

from tessera.spec.epochs import (
    EpochInputs,
    PostedEpoch,
    RevealedRow,
    build,
    find_fault,
    questions,
)
from tessera.spec.epochs.faults import COLUMNS
from tessera.spec.epochs.model import ROUNDS
from tessera.spec.epochs.results import assembled

MODELS = 4_096


@pytest.fixture(scope="module")
def inputs() -> EpochInputs:
    weights = tuple(1 + uid % 97 for uid in range(MODELS))
    rows = tuple(RevealedRow(bytes([who]) * 20, 10**18, weights) for who in (1, 2))
    return EpochInputs(MODELS, rows)


@pytest.fixture(scope="module")
def true(inputs: EpochInputs) -> PostedEpoch:
    return build(inputs)


@pytest.mark.parametrize("uid", [0, 2_777, MODELS - 1])
def test_five_rounds_find_one_column_of_4096(
    inputs: EpochInputs, true: PostedEpoch, uid: int
) -> None:
    columns = [column for column in true.columns if column is not None]
    columns[uid] = columns[uid]._replace(consensus=columns[uid].consensus + 1)
    header = true.header
    false = assembled(
        header.inputs,
        header.rules,
        header.previous,
        stakes=true.stakes or (),
        sums=header.sums,
        columns=tuple(columns),
        rows=tuple(row for row in true.rows if row is not None),
    )
    seen = PostedEpoch.unseen(false.header, len(inputs.rows), MODELS)
    rounds = 0
    while asked := questions(seen, inputs):
        rounds += 1
        assert len(asked) <= 8
        for challenge in asked:
            (part,) = challenge.arguments
            seen = seen.with_column(part - COLUMNS, false.column_call(part - COLUMNS))
    challenge = find_fault(seen, inputs)
    assert challenge is not None
    assert (challenge.function, challenge.arguments[1]) == ("challenge_column", uid)
    assert rounds <= ROUNDS


def test_nothing_is_asked_about_a_true_result(inputs: EpochInputs, true: PostedEpoch) -> None:
    unseen = PostedEpoch.unseen(true.header, len(inputs.rows), MODELS)
    assert questions(unseen, inputs) == ()
    assert find_fault(unseen, inputs) is None
