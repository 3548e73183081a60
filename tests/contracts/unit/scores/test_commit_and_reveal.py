"""An epoch's rows: committed, revealed, counted; the clock; what is refused, and what is read."""

from __future__ import annotations

import pytest
from rig.compiling import compiled
from rig.contract import NOBODY, deployed, refused
from rig.people import person
from rig.scoring import DATA_FEE, TSR, Scoring, scored

from tessera.errors import InputError
from tessera.spec.scores import Row, Times
from tessera.spec.sum_trees import EMPTY_ROOT

FIRST, SECOND = person("validator 0"), person("validator 1")


@pytest.fixture
def scoring() -> Scoring:
    return scored()[0]


def _same(scoring: Scoring, epoch: int = 1) -> tuple[int, int, int, int, bytes]:
    said = scoring.scores("epoch_of", 1, epoch)
    assert said == scoring.rows.epoch_of(1, epoch)
    return said


def test_a_row_from_commit_to_inputs(scoring: Scoring) -> None:
    row, salt = scoring.commit(1, 0, FIRST, {0: 65_535, 2: 100})
    (event,) = scoring.scores.events("Committed")
    assert event.arguments["stake"] == 10_000 * TSR
    scoring.commit(1, 1, SECOND, {1: 1})
    assert _same(scoring)[:3] == (0, 0, 3)
    scoring.turn_to(1, 1, 2)
    assert scoring.revealed(1, 1, FIRST, row, salt) == 0
    (event,) = scoring.scores.events("Revealed")
    assert event.arguments == {
        "subnet": 1,
        "epoch": 1,
        "validator": FIRST.address,
        "row": 0,
        "root": row.root,
        "sum": 65_635,
        "stake": 10_000 * TSR,
        "uri": "https://x",
    }
    # The second one never reveals: it is as if it had not been there.
    rows, stake, columns, posting_from, _ = _same(scoring)
    assert (rows, stake, columns) == (1, 10_000 * TSR, 3)
    assert posting_from == Times.of(scoring.model.subnets[1].clock.begin_of(1), 4_000).posting_from
    assert scoring.scores("row_at", 1, 1, 0) == (FIRST.address, row.root, 65_635, 10_000 * TSR)
    assert scoring.scores("row_at", 1, 1, 1) == (NOBODY, bytes(32), 0, 0)
    assert scoring.scores("row_of", 1, 1, FIRST.address) == 1
    assert scoring.scores("row_of", 1, 1, SECOND.address) == 0
    assert scoring.scores("holds", 1, 1, 0, 0, *map(list, row.shown(0)))
    assert scoring.scores("model_since", 1, 2, 1) == 1
    assert scoring.scores("rules_of", 1) == (32_767, 65_535, 900_000, False)
    said = scoring.scores("commitment_of", row.root, row.sum, salt, FIRST.address, 1, 1)
    assert said == scoring.commitment(row, salt, FIRST, 1, 1)


def test_stake_counts_as_it_was_at_the_commit_and_stays_slashable(scoring: Scoring) -> None:
    row, salt = scoring.commit(1, 0, FIRST, {0: 1})
    shares = scoring.bond("stake_of", FIRST.address, FIRST.address)[0]
    scoring.bond("unstake", FIRST.address, shares, by=FIRST.address)
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, FIRST, row, salt)
    assert _same(scoring)[1] == 10_000 * TSR == scoring.bond("slashable", FIRST.address)
    posting_from = _same(scoring)[3]
    assert scoring.bond("enlistment_of", FIRST.address, scoring.scores)[2] == posting_from


@pytest.mark.parametrize(
    ("quarters", "commits", "reveals"),
    [
        (0, True, False),
        (1.99, True, False),
        (2, False, True),
        (2.99, False, True),
        (3, False, False),
    ],
)
def test_the_clock(scoring: Scoring, quarters: float, commits: bool, reveals: bool) -> None:
    row, salt = scoring.commit(1, 0, FIRST, {0: 1})
    scoring.turn_to(1, 1, quarters)
    said = scoring.commitment(row, salt, SECOND, 1, 1)
    if commits:
        scoring.scores("commit", 1, 1, said, by=SECOND.address)
    else:
        with refused("scores: not in the time for commits"):
            scoring.scores("commit", 1, 1, said, by=SECOND.address)
    if reveals:
        scoring.revealed(1, 1, FIRST, row, salt)
    else:
        with refused("scores: not in the time for reveals"):
            scoring.reveal(1, 1, FIRST, row, salt)


def test_all_weights_zero_is_a_row_that_says_nothing(scoring: Scoring) -> None:
    row, salt = scoring.commit(1, 0, FIRST, {})
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, FIRST, row, salt)
    assert scoring.scores("row_at", 1, 1, 0)[2:] == (0, 10_000 * TSR)


def test_an_empty_subnet_has_no_epochs_to_score() -> None:
    scoring, subnet = scored(validators=1, models=0)
    with refused("scores: no models to score"):
        scoring.scores("commit", subnet, 0, b"\1" * 32, by=FIRST.address)
    assert scoring.scores("epoch_of", subnet, 1)[:3] == (0, 0, 0)
    assert Row({}, 0).root == EMPTY_ROOT


def test_refused_commits(scoring: Scoring) -> None:
    commit = b"\1" * 32
    with refused("subnets: no such subnet"):
        scoring.scores("commit", 9, 0, commit, by=FIRST.address)
    with refused("scores: commitment is empty"):
        scoring.scores("commit", 1, 0, bytes(32), by=FIRST.address)
    scoring.scores("commit", 1, 0, commit, by=FIRST.address)
    with refused("scores: committed already"):
        scoring.scores("commit", 1, 0, commit, by=FIRST.address)
    with refused("scores: no such epoch"):
        scoring.scores("epoch_of", 1, 2**32)


def test_a_validator_without_bond(scoring: Scoring) -> None:
    """It had one when it came; what is bonded at the commit is what counts."""
    shares = scoring.bond("stake_of", FIRST.address, FIRST.address)[0]
    scoring.bond("unstake", FIRST.address, shares - shares // 20, by=FIRST.address)
    with refused("scores: bond below the threshold"):
        scoring.scores("commit", 1, 0, b"\1" * 32, by=FIRST.address)


def test_refused_reveals(scoring: Scoring) -> None:
    row, salt = scoring.commit(1, 0, FIRST, {0: 1})
    scoring.turn_to(1, 1, 2)
    with refused("scores: nothing committed"):
        scoring.reveal(1, 1, SECOND, row, salt)
    with refused("scores: not what was committed"):
        scoring.reveal(1, 1, FIRST, row, bytes(32))
    scoring.revealed(1, 1, FIRST, row, salt)
    with refused("scores: revealed already"):
        scoring.reveal(1, 1, FIRST, row, salt)


@pytest.mark.parametrize(
    "weight", [float("nan"), -1, 65_536, 0.5, True, float("inf"), None], ids=str
)
def test_what_is_no_weight_is_no_row(weight: object) -> None:
    with pytest.raises(InputError, match="weight of model 2"):
        Row({2: weight}, 3)  # type: ignore[dict-item]


@pytest.mark.parametrize("uid", [-1, 3, 2.0, True])
def test_what_is_no_uid_is_no_row(uid: object) -> None:
    with pytest.raises(InputError, match="row: uid"):
        Row({uid: 1}, 3)  # type: ignore[dict-item]


def test_the_contract_says_what_it_is(scoring: Scoring) -> None:
    scores = scoring.scores
    assert scores("network_token") == scoring.token.address
    assert scores("subnets") == scoring.subnets.address
    assert scores("bond") == scoring.bond.address
    assert scores("data_fee") == DATA_FEE
    part, by = compiled("Scores"), FIRST.address
    engine = scoring.world.engine
    with refused("scores: zero address"):
        deployed(engine, part, NOBODY, scores, scores, 1, by=by)
    with refused("scores: asking would be free"):
        deployed(engine, part, scores, scores, scores, 0, by=by)
