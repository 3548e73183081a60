"""Parts of a result that somebody asks for: shown in time, or the result is void."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.epochs import SUBNET, TERMS, EpochWorld, Told
from rig.people import Person

from tessera.spec.epochs.faults import COLUMNS, ROWS, STAKES


def shown(place: EpochWorld, told: Told, part: int, *, by: Person) -> None:
    """Answer a question with the true part."""
    posted, header = told.posted, told.posted.header
    if part == STAKES:
        place.judge(told.epoch, header, "show_stakes", list(posted.stakes or ()), by=by)
    elif part < ROWS:
        uid = part - COLUMNS
        place.judge(told.epoch, header, "show_column", uid, posted.column_call(uid), by=by)
    else:
        place.judge(told.epoch, header, "show_row", *posted.validator_proof(part - ROWS), by=by)


def logged(place: EpochWorld, told: Told, part: int) -> bool:
    """Tell whether an answer is in the court's logs, where everybody reads it.

    A poster could answer from a contract that has the part in its storage: the call is then in no
    transaction's data, and who asked would know as little as before.
    """
    posted = told.posted
    (event,) = place.court.events()
    (epochs, subnet, epoch, *rest) = event.arguments.values()
    assert (epochs, subnet, epoch) == (place.epochs.address, SUBNET, told.epoch)
    if part == STAKES:
        return rest == [posted.stakes]
    if part < ROWS:
        uid = part - COLUMNS
        consensus, rank, words, path = posted.column_call(uid)
        return rest == [uid, (consensus, rank, tuple(words), tuple(tuple(node) for node in path))]
    *row, path = posted.validator_proof(part - ROWS)
    return rest == [*row, tuple(tuple(node) for node in path)]


@pytest.mark.parametrize("part", [STAKES, COLUMNS, COLUMNS + 2, ROWS, ROWS + 2])
def test_asked_and_shown(
    place: EpochWorld, told: Told, poster: Person, challenger: Person, part: int
) -> None:
    epochs = place.epochs
    place.post(told, by=poster)
    epochs("ask", SUBNET, 0, part, by=challenger.address)
    due = place.now + TERMS.answer_window
    (event,) = epochs.events("Asked")
    assert event.arguments == {
        "subnet": SUBNET,
        "epoch": 0,
        "requester": challenger.address,
        "part": part,
        "due": due,
    }
    assert epochs("question_of", SUBNET, 0, part) == (challenger.address, due)
    with refused("epochs: asked already"):
        epochs("ask", SUBNET, 0, part, by=challenger.address)
    place.wait(TERMS.challenge_window)
    with refused("epochs: a question is open"):
        epochs("finalize", SUBNET, 0)
    shown(place, told, part, by=poster)
    (event,) = [
        found
        for log in place.court.logs
        if (found := epochs.interface.event(log)) and found.name == "Answered"
    ]
    assert event.arguments == {"subnet": SUBNET, "epoch": 0, "part": part, "by": poster.address}
    assert logged(place, told, part)
    assert epochs("owed_of", poster.address) == TERMS.fee
    # Whoever asked has time to read the answer.
    with refused("epochs: window still open"):
        epochs("finalize", SUBNET, 0)
    place.wait(TERMS.reaction_window)
    epochs("finalize", SUBNET, 0)
    assert epochs("obligations") == TERMS.bond + TERMS.fee == place.held(epochs)


def test_not_shown_in_time(
    place: EpochWorld, told: Told, poster: Person, challenger: Person, keeper: Person
) -> None:
    epochs = place.epochs
    place.post(told, by=poster)
    epochs("ask", SUBNET, 0, STAKES, by=challenger.address)
    place.wait(TERMS.answer_window)
    with refused("epochs: still time to answer"):
        epochs("accuse", SUBNET, 0, STAKES, by=keeper.address)
    place.wait(1)
    with refused("epochs: nobody asked"):
        epochs("accuse", SUBNET, 0, ROWS, by=keeper.address)
    with refused("epochs: not void"):
        epochs("take_back", SUBNET, 0, 0, STAKES)
    epochs("accuse", SUBNET, 0, STAKES, by=keeper.address)
    (event,) = epochs.events("Voided")
    assert event.arguments == {
        "subnet": SUBNET,
        "epoch": 0,
        "challenger": challenger.address,
        "poster": poster.address,
        "attempt": 0,
        "fault": 0,
    }
    epochs("take_back", SUBNET, 0, 0, STAKES)
    with refused("epochs: nobody asked"):
        epochs("take_back", SUBNET, 0, 0, STAKES)
    assert epochs("owed_of", challenger.address) == TERMS.bond // 5 + TERMS.fee
    assert epochs("owed_of", place.world.commons.address) == TERMS.bond - TERMS.bond // 5
    with refused("epochs: no live result"):
        epochs("accuse", SUBNET, 0, STAKES)
    # The next one may be posted, and is asked anew.
    place.post(told, by=poster)
    epochs("ask", SUBNET, 0, STAKES, by=challenger.address)
    shown(place, told, STAKES, by=poster)


def test_what_can_be_asked(
    place: EpochWorld, told: Told, poster: Person, challenger: Person
) -> None:
    with refused("epochs: no live result"):
        place.epochs("ask", SUBNET, 0, STAKES, by=challenger.address)
    place.post(told, by=poster)
    for part in (COLUMNS + 3, ROWS - 1, ROWS + 3, 2**256 - 1):
        with refused("epochs: no such part"):
            place.epochs("ask", SUBNET, 0, part, by=challenger.address)
    place.wait(TERMS.challenge_window)
    with refused("epochs: too late to ask"):
        place.epochs("ask", SUBNET, 0, STAKES, by=challenger.address)


def test_nobody_is_paid_for_what_nobody_asked(
    place: EpochWorld, told: Told, poster: Person
) -> None:
    place.post(told, by=poster)
    with refused("epochs: nobody asked"):
        shown(place, told, STAKES, by=poster)


def test_only_the_posted_parts_answer(
    place: EpochWorld, told: Told, poster: Person, challenger: Person
) -> None:
    posted, header = told.posted, told.posted.header
    with refused("epoch_court: not the posted result"):
        shown(place, told, STAKES, by=poster)
    place.post(told, by=poster)
    for part in (STAKES, COLUMNS, ROWS):
        place.epochs("ask", SUBNET, 0, part, by=challenger.address)
    with refused("epoch_court: not the posted result"):
        place.judge(
            0,
            told.posted.restated(sums=1).header,
            "show_stakes",
            list(posted.stakes or ()),
            by=poster,
        )
    with refused("epoch_court: not the posted stakes"):
        place.judge(0, header, "show_stakes", [*(posted.stakes or ()), 0], by=poster)
    with refused("epoch_court: not the posted column"):
        place.judge(0, header, "show_column", 0, posted.column_call(1), by=poster)
    row, active, counted, path = posted.validator_proof(0)
    with refused("epoch_court: not the posted row"):
        place.judge(0, header, "show_row", row, active, counted + 1, path, by=poster)
