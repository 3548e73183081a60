"""A row's data: asked for, shown, withheld; who is paid, what counts, and when it is over."""

from __future__ import annotations

import pytest
from rig.contract import NOBODY, refused
from rig.people import Person, key_of, person
from rig.scoring import DATA_FEE, TSR, Scoring, scored

from tessera.spec.scores import Row

FIRST, SECOND = person("validator 0"), person("validator 1")
STAKE = 10_000 * TSR


@pytest.fixture
def challenger() -> Person:
    return person("challenger")


@pytest.fixture
def scoring(challenger: Person) -> Scoring:
    """Two rows are revealed; it is the time for reveals."""
    scoring = scored()[0]
    scoring.fund(challenger)
    rows = [scoring.commit(1, uid, who, {uid: 9, 2: 1}) for uid, who in enumerate((FIRST, SECOND))]
    scoring.turn_to(1, 1, 2)
    for who, (row, salt) in zip((FIRST, SECOND), rows, strict=True):
        scoring.revealed(1, 1, who, row, salt)
    return scoring


def _ask(scoring: Scoring, row: int, by: Person, leaf: int = 0) -> None:
    scoring.rows.ask(key_of(by), 1, 1, row, leaf, scoring.now)
    scoring.scores("ask", 1, 1, row, leaf, by=by.address)


def _inputs(scoring: Scoring) -> tuple[int, int, int, int, bytes]:
    said = scoring.scores("epoch_of", 1, 1)
    assert said == scoring.rows.epoch_of(1, 1)
    for row in range(2):
        validator, *rest = scoring.rows.row_at(1, 1, row)
        assert scoring.scores("row_at", 1, 1, row) == (f"0x{validator.hex()}", *rest)
    assert scoring.scores("obligations") == scoring.rows.obligations == scoring.held(scoring.scores)
    return said


def test_a_leaf_that_is_asked_for_and_shown(
    scoring: Scoring, challenger: Person, keeper: Person
) -> None:
    before = _inputs(scoring)
    _ask(scoring, 0, challenger)
    assert _inputs(scoring)[1] == STAKE
    assert scoring.scores("row_at", 1, 1, 0)[2:] == (0, 0)
    assert scoring.bond("frozen_until", FIRST.address) > 0
    words, path = Row({0: 9, 2: 1}, 3).shown(0)
    had = scoring.held(FIRST)
    scoring.rows.show(1, 1, 0, 0, (words, path), scoring.now)
    scoring.scores("show", 1, 1, 0, 0, list(words), list(path), by=keeper.address)
    (event,) = scoring.scores.events("DataShown")
    assert event.arguments["weights"] == words
    # Exactly as it was, and the fee is the validator's.
    assert _inputs(scoring) == before
    assert scoring.held(FIRST) == had + DATA_FEE
    assert scoring.bond("frozen_until", FIRST.address) == 0
    assert scoring.scores("asked_of", 1, 1, 0, 0) == (challenger.address, True, False)
    with refused("scores: asked for already"):
        scoring.scores("ask", 1, 1, 0, 0, by=challenger.address)
    with refused("scores: shown already"):
        scoring.scores("show", 1, 1, 0, 0, list(words), list(path), by=keeper.address)
    scoring.turn_to(1, 1, 5)
    with refused("scores: shown already"):
        scoring.scores("convict", 1, 1, 0, 0)


def test_a_leaf_that_is_withheld(scoring: Scoring, challenger: Person, keeper: Person) -> None:
    """Nobody has to do anything for the row to count for nothing; the slash comes after."""
    _ask(scoring, 1, challenger)
    had = scoring.held(challenger)
    with refused("scores: it can still be shown"):
        scoring.scores("convict", 1, 1, 1, 0)
    scoring.turn_to(1, 1, 5)
    inputs = _inputs(scoring)
    assert inputs[:2] == (2, STAKE)
    assert inputs[3] == scoring.now
    words, path = Row({1: 9, 2: 1}, 3).shown(0)
    with refused("scores: too late to show"):
        scoring.scores("show", 1, 1, 1, 0, list(words), list(path), by=SECOND.address)
    expected = scoring.rows.convict(1, 1, 1, 0, scoring.now)
    scoring.scores("convict", 1, 1, 1, 0, by=keeper.address)
    (event,) = scoring.scores.events("DataWithheld")
    slashed = STAKE // 100
    assert event.arguments["slashed"] == slashed == expected[2]
    assert scoring.held(challenger) == had + DATA_FEE + slashed // 5
    assert scoring.bond("slashable", SECOND.address) == STAKE - slashed
    assert scoring.bond("frozen_until", SECOND.address) == 0
    assert _inputs(scoring) == inputs
    assert scoring.scores("asked_of", 1, 1, 1, 0) == (challenger.address, False, True)
    with refused("scores: paid back already"):
        scoring.scores("convict", 1, 1, 1, 0, by=keeper.address)


def test_a_row_is_slashed_once_however_many_leaves_it_withholds(challenger: Person) -> None:
    scoring, subnet = scored(validators=1, models=0, max_models=70)
    owner = scoring.fund(person("publisher"), 10**6 * TSR)
    for uid in range(66):
        scoring.place_model(subnet, owner, uid)
        scoring.world.wait(40_000)
    epoch = scoring.model.subnets[subnet].clock.epoch_at(scoring.now) + 1
    scoring.turn_to(subnet, epoch)
    row, salt = scoring.commit(subnet, 0, FIRST, {0: 1, 65: 65_535})
    scoring.turn_to(subnet, epoch, 2)
    scoring.revealed(subnet, epoch, FIRST, row, salt)
    scoring.fund(challenger)
    for leaf in range(2):
        assert scoring.scores("holds", subnet, epoch, 0, leaf, *map(list, row.shown(leaf)))
        scoring.scores("ask", subnet, epoch, 0, leaf, by=challenger.address)
    with refused("scores: no such leaf"):
        scoring.scores("ask", subnet, epoch, 0, 2, by=challenger.address)
    # Taken out of the sum once.
    assert scoring.scores("epoch_of", subnet, epoch)[:3] == (1, 0, 66)
    # One of two shown is not enough.
    words, path = row.shown(1)
    with scoring.world.engine.trial():
        scoring.scores("show", subnet, epoch, 0, 1, list(words), list(path), by=FIRST.address)
        assert scoring.scores("row_at", subnet, epoch, 0)[2:] == (0, 0)
        words, path = row.shown(0)
        scoring.scores("show", subnet, epoch, 0, 0, list(words), list(path), by=FIRST.address)
        assert scoring.scores("epoch_of", subnet, epoch)[:3] == (1, STAKE, 66)
    scoring.turn_to(subnet, epoch, 5)
    slashed = []
    for leaf in range(2):
        scoring.scores("convict", subnet, epoch, 0, leaf)
        slashed += [event.arguments["slashed"] for event in scoring.scores.events("DataWithheld")]
    assert slashed == [STAKE // 100, 0]
    assert scoring.scores("obligations") == 0 == scoring.held(scoring.scores)


def test_refused_questions(scoring: Scoring, challenger: Person) -> None:
    with refused("scores: no such row"):
        scoring.scores("ask", 1, 1, 2, 0, by=challenger.address)
    with refused("scores: no such row"):
        scoring.scores("ask", 1, 2, 0, 0, by=challenger.address)
    with refused("scores: not asked for"):
        scoring.scores("show", 1, 1, 0, 0, [0] * 4, [], by=challenger.address)
    with refused("scores: not asked for"):
        scoring.scores("convict", 1, 1, 0, 0)
    scoring.turn_to(1, 1, 4)
    with refused("scores: too late to ask"):
        scoring.scores("ask", 1, 1, 0, 0, by=challenger.address)
    assert scoring.scores("asked_of", 1, 1, 0, 0) == (NOBODY, False, False)


def test_a_fee_comes_back_also_when_nobody_may_slash_any_more(
    scoring: Scoring, challenger: Person
) -> None:
    """The validator left, and nobody judged it for longer than a freeze lasts."""
    _ask(scoring, 0, challenger)
    scoring.bond("leave", scoring.scores, by=FIRST.address)
    scoring.world.wait(30 * 86_400)
    had = scoring.held(challenger)
    expected = scoring.rows.convict(1, 1, 0, 0, scoring.now)
    scoring.scores("convict", 1, 1, 0, 0)
    (event,) = scoring.scores.events("DataWithheld")
    assert event.arguments["slashed"] == 0 == expected[2]
    assert scoring.held(challenger) == had + DATA_FEE
