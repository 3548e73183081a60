"""Whoever was drawn to count is paid to say nothing, so that a bad model's round ends void."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.approving import LEAST_BOND, Approving, answers, stage
from rig.contract import refused
from rig.people import Person

BAD, VOID = 3, 4


@pytest.fixture
def told() -> Iterator[Approving]:
    with stage("told") as approving:
        yield approving


def be_silent(it: Approving, keeper: Person, honest: int = 0) -> list[Person]:
    """Let so many of the three that are drawn report, and have others called; who was silent."""
    drawn = it.seat_executors()
    for who in drawn[:honest]:
        it.promise_report(who, answers(60))
    it.hours(36)
    for who in drawn[:honest]:
        it.give_report(who, answers(60))
    with refused("court: nobody is late"):
        it.court("call_others", it.round, by=keeper.address)
    it.hours(36)
    it.court("call_others", it.round, by=keeper.address)
    return drawn[honest:]


def test_two_of_three_say_nothing(told: Approving, keeper: Person) -> None:
    """It cost them nothing, and the issuer no more than their fees: no penalty for its approvers.

    Anybody has three others drawn, and the stake that approved is held meanwhile.
    """
    with refused("court: nobody is late"):
        told.court("call_others", told.round, by=keeper.address)
    approver = told.validators[0]
    told.bonding.leave_all(approver, approver)
    assert len(be_silent(told, keeper, honest=1)) == 2
    assert told.row_of_round("attempts") == 1
    assert told.bonding.bond("frozen_until", approver.address) > told.world.now
    with refused("court: nobody is late"):
        told.court("call_others", told.round, by=keeper.address)
    told.seed(told.draws("draws"))
    told.count(answers(60))
    with refused("court: nobody is late"):
        told.court("call_others", told.round, by=keeper.address)
    assert told.finish() == BAD
    told.approvals("punish_approval", told.round, approver.address)
    assert told.approvals("taken", told.row_of_round("model"), approver.address) == (
        LEAST_BOND * 3 // 10
    )
    with refused("court: nobody is late"):
        told.court("call_others", told.round, by=keeper.address)


def test_whoever_silences_three_draws_has_a_void_round(told: Approving, keeper: Person) -> None:
    """Every wait has an end: after three draws there is no truth, and nobody is punished."""
    for number in range(3):
        assert len(be_silent(told, keeper)) == 3
        if number < 2:
            told.seed(told.draws("draws"))
    assert told.finish() == VOID
