"""Subnets, Scores, Bond and Epochs together, none of them a double: an epoch from its first commit
to a final result, and what that result decides in the next ones."""

from __future__ import annotations

import pytest
from eth_abi import encode
from rig.contract import refused
from rig.people import Person, key_of, person
from rig.scoring import ALL, RULES, TEMPO, TSR, WINDOWS, Scoring, open_scoring

from tessera.spec.epochs import EpochInputs, PostedEpoch, RevealedRow, build
from tessera.spec.epochs import Rules as Consensus
from tessera.spec.epochs.faults import find_fault
from tessera.spec.scores import Row

VALIDATORS = [person(f"validator {number}") for number in range(3)]
POSTER, CHALLENGER = person("poster"), person("challenger")
# Bond, fee, and the windows for posts, challenges, answers and reactions.
TERMS = (100 * TSR, TSR, 4 * TEMPO, TEMPO, TEMPO // 10, TEMPO // 10)
WEIGHTS = [[10, 0, 30, 60], [10, 5, 30, 55], [90, 0, 10, 0]]
HEADER = "(bytes32,uint256,uint256,bytes32,uint256,bytes32,uint256,bytes32,uint256)"


@pytest.fixture
def scoring(publisher: Person) -> Scoring:
    """Four models, three validators, and epoch 1 revealed; the third row is void in the end."""
    scoring = open_scoring(terms=TERMS)
    for who in (publisher, POSTER, CHALLENGER):
        scoring.fund(who)
        scoring.token("approve", scoring.epochs, ALL, by=who.address)
    scoring.create(publisher)
    for uid in range(4):
        scoring.place_model(1, publisher, uid)
    for uid, who in enumerate(VALIDATORS):
        scoring.place_validator(1, scoring.validator(str(who), (uid + 2) * 1_000 * TSR), uid)
    scoring.turn_to(1, 1)
    rows = [
        scoring.commit(1, uid, who, dict(enumerate(WEIGHTS[uid])))
        for uid, who in enumerate(VALIDATORS)
    ]
    scoring.turn_to(1, 1, 2)
    for who, (row, salt) in zip(VALIDATORS, rows, strict=True):
        scoring.revealed(1, 1, who, row, salt)
    scoring.scores("ask", 1, 1, 2, 0, by=CHALLENGER.address)
    scoring.epochs("skip", 1, 0)
    with refused("epochs: inputs not fixed yet"):
        scoring.epochs("skip", 1, 1)
    scoring.turn_to(1, 1, 5)
    return scoring


def _inputs(scoring: Scoring, weights: list[list[int]] | None = None) -> EpochInputs:
    """Read what the chain says of the epoch's rows."""
    rows = []
    for number, each in enumerate(weights or WEIGHTS):
        validator, _, _, stake = scoring.scores("row_at", 1, 1, number)
        void = stake == 0
        rows.append(RevealedRow(key_of(validator), stake, tuple(each), void))
    *_, digest = scoring.scores("epoch_of", 1, 1)
    return EpochInputs(4, tuple(rows), Consensus(*scoring.scores("rules_of", 1)), digest)


def _evidence(posted: PostedEpoch, uid: int) -> bytes:
    return encode(
        [HEADER, "uint256", "uint256", "bytes32", "(bytes32,uint256)[]"],
        [posted.header.call, *posted.model_proof(uid)[1:]],
    )


def test_from_commits_to_who_is_the_lowest(scoring: Scoring, buyer: Person) -> None:
    posted = build(_inputs(scoring))
    scoring.epochs("post", 1, 1, posted.header.call, by=POSTER.address)
    assert scoring.epochs("is_posted", 1, 1)
    scoring.world.wait(TERMS[3])
    scoring.epochs("finalize", 1, 1)
    assert scoring.epochs("last_final", 1) == 2
    ranks = [column.rank for column in posted.columns]
    # The third validator's favourite has only what the others gave; the second model is last.
    assert min(ranks) == ranks[1] < ranks[0] < ranks[2] < ranks[3]
    scoring.world.wait(RULES.immunity)
    newcomer = scoring.place_model(1, scoring.fund(buyer), 0)
    with refused("subnets: not lower"):
        scoring.subnets(
            *("correct", 1, 0, 0, 2, _evidence(posted, 0), _evidence(posted, 2)),
            by=CHALLENGER.address,
        )
    with refused("epochs: not in the result"):
        scoring.subnets(
            *("correct", 1, 0, 0, 1, _evidence(posted, 3), _evidence(posted, 1)),
            by=CHALLENGER.address,
        )
    scoring.subnets(
        *("correct", 1, 0, 0, 1, _evidence(posted, 0), _evidence(posted, 1)), by=CHALLENGER.address
    )
    scoring.world.wait(WINDOWS.contest_window)
    scoring.subnets("admit", 1, 0, 1)
    now = scoring.subnets("epoch_at", 1, scoring.now) + 1
    assert scoring.subnets("occupant_at", 1, 0, 1, now)[0] == newcomer
    assert scoring.scores("model_since", 1, 1, now) == now
    assert scoring.scores("model_since", 1, 1, 1) == 1


def test_a_result_of_other_weights_is_proved_false_by_a_row(scoring: Scoring) -> None:
    """The poster gives the second model a weight that no row has; the leaf shows it."""
    inputs = _inputs(scoring)
    lie = [list(row) for row in WEIGHTS]
    lie[0] = [10, 60, 30, 0]
    posted = build(_inputs(scoring, lie))
    scoring.epochs("post", 1, 1, posted.header.call, by=POSTER.address)
    fault = find_fault(posted, inputs)
    assert fault is not None
    scoring.court(  # type: ignore[misc]
        *(fault.function, scoring.epochs, 1, 1, posted.header.call, *fault.arguments),
        by=CHALLENGER.address,
    )
    assert not scoring.epochs("is_posted", 1, 1)
    leaf = Row(dict(enumerate(WEIGHTS[0])), 4).shown(0)
    assert scoring.scores("holds", 1, 1, 0, 0, *map(list, leaf))
    truth = build(inputs)
    scoring.epochs("post", 1, 1, truth.header.call, by=POSTER.address)
    scoring.world.wait(TERMS[3])
    scoring.epochs("finalize", 1, 1)
    assert scoring.epochs("settled", 1, 1) == 1


def test_an_epoch_without_anybody_is_passed_over(scoring: Scoring) -> None:
    """Nobody posts epoch 1, nobody commits in epoch 2: both end, and epoch 3 takes scores."""
    scoring.world.wait(TERMS[2])
    scoring.epochs("skip", 1, 1)
    scoring.epochs("skip", 1, 2)
    assert [scoring.epochs("settled", 1, epoch) for epoch in range(3)] == [2, 2, 2]
    epoch = scoring.subnets("epoch_at", 1, scoring.now) + 1
    scoring.turn_to(1, epoch)
    scoring.commit(1, 0, VALIDATORS[0], {0: 1})
