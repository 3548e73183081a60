"""`post`, `finalize` and `skip`: epochs of a subnet end one after the other, each once."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from rig.compiling import compiled, mock
from rig.contract import deployed, refused
from rig.epochs import HOUR, SUBNET, TERMS, EpochWorld, Told
from rig.people import Person

from tessera.errors import TransactionReverted
from tessera.spec.epochs import Terms


def test_a_true_result_becomes_final(place: EpochWorld, told: Told, poster: Person) -> None:
    epochs, header = place.epochs, told.posted.header
    before = place.held(poster)
    assert place.post(told, by=poster) == header.digest
    (event,) = epochs.events("Posted")
    assert event.arguments == {
        "subnet": SUBNET,
        "epoch": 0,
        "poster": poster.address,
        "attempt": 0,
        "digest": header.digest,
        "result": header.call,
    }
    assert place.held(poster) == before - TERMS.bond
    assert epochs("post_of", SUBNET, 0) == (header.digest, poster.address, place.now, 0, 0)
    assert epochs("on_trial", SUBNET, 0) == header.digest == epochs("digest_of", SUBNET, 0)
    assert epochs("is_posted", SUBNET, 0)
    assert epochs("settled", SUBNET, 0) == 0
    assert epochs("ends_at", SUBNET, 0) == place.now + TERMS.challenge_window
    place.wait(TERMS.challenge_window - 1)
    with refused("epochs: window still open"):
        epochs("finalize", SUBNET, 0)
    place.wait(1)
    epochs("finalize", SUBNET, 0)
    (event,) = epochs.events("Finalized")
    assert event.arguments == {
        "subnet": SUBNET,
        "epoch": 0,
        "poster": poster.address,
        "digest": header.digest,
    }
    assert epochs("settled", SUBNET, 0) == 1
    assert epochs("last_final", SUBNET) == 1
    assert epochs("clock_of", SUBNET) == (1, 1, 1, place.now, place.now)
    assert epochs("on_trial", SUBNET, 0) == bytes(32)
    assert epochs("collect", poster.address) == TERMS.bond
    assert place.held(poster) == before
    assert epochs("collect", poster.address) == 0
    for again in ("finalize",):
        with refused("epochs: no live result"):
            epochs(again, SUBNET, 0)


def test_posting_costs_the_same_words_for_every_size(place: EpochWorld, poster: Person) -> None:
    """Nine words of calldata, two slots: 2 rows of 2 models as 6 of 200."""
    small = place.tell(0, place.inputs([[1, 2], [3, 4]]))
    large = place.tell(1, place.inputs([[7] * 200] * 6))
    calls = [
        place.epochs.interface.call_data("post", SUBNET, told.epoch, told.posted.header.call)
        for told in (small, large)
    ]
    assert len(calls[0]) == len(calls[1]) == 4 + 32 * 11


def test_what_a_post_must_say(place: EpochWorld, told: Told, poster: Person) -> None:
    header = told.posted.header
    for said, reason in (
        ({"inputs": b"\1" * 32}, "epochs: other inputs"),
        ({"rules": header.rules + 1}, "epochs: other rules"),
        ({"previous": 1}, "epochs: other last result"),
    ):
        with refused(reason):
            place.post(told, told.posted.restated(**said), by=poster)
    with refused("epochs: not the next epoch"):
        place.epochs("post", SUBNET, 1, header.call, by=poster.address)
    place.post(told, by=poster)
    with refused("epochs: posted already"):
        place.post(told, by=poster)


def test_not_before_the_inputs_are_fixed(place: EpochWorld, poster: Person) -> None:
    told = place.tell(0, place.inputs([[1]]), closes_at=place.now + HOUR)
    with refused("epochs: inputs not fixed yet"):
        place.post(told, by=poster)
    with refused("epochs: inputs not fixed yet"):
        place.epochs("skip", SUBNET, 0)
    place.wait(HOUR)
    place.post(told, by=poster)


def test_a_poster_without_tokens(told: Told, place: EpochWorld, keeper: Person) -> None:
    with refused(""):
        place.post(told, by=keeper)


@pytest.mark.parametrize("missing", ["rows", "models"])
def test_an_empty_epoch_is_skipped_at_once(place: EpochWorld, poster: Person, missing: str) -> None:
    said = (0, 0, 3, place.now, bytes(32)) if missing == "rows" else (1, 5, 0, place.now, bytes(32))
    place.scores("set_epoch", SUBNET, 0, said)
    inputs = place.inputs([[1]])
    told = Told(0, inputs, place.now)
    with refused("epochs: nothing to compute"):
        place.post(told, by=poster)
    place.epochs("skip", SUBNET, 0)
    (event,) = place.epochs.events("Skipped")
    assert event.arguments == {"subnet": SUBNET, "epoch": 0}
    assert place.epochs("settled", SUBNET, 0) == 2
    assert place.epochs("last_final", SUBNET) == 0


def test_an_epoch_that_nobody_posts_is_skipped(
    place: EpochWorld, told: Told, poster: Person
) -> None:
    place.wait(TERMS.post_window - 1)
    with refused("epochs: still time to post"):
        place.epochs("skip", SUBNET, 0)
    place.wait(1)
    place.epochs("skip", SUBNET, 0)
    with refused("epochs: not the next epoch"):
        place.epochs("skip", SUBNET, 0)
    with refused("epochs: not the next epoch"):
        place.post(told, by=poster)


def test_a_posted_epoch_is_not_skipped(place: EpochWorld, told: Told, poster: Person) -> None:
    place.post(told, by=poster)
    place.wait(TERMS.post_window)
    with refused("epochs: posted already"):
        place.epochs("skip", SUBNET, 0)


def test_late_epochs_wait_their_turn(place: EpochWorld, told: Told, poster: Person) -> None:
    """An epoch can be posted for a whole window after the one before it was settled."""
    second = place.tell(1, place.inputs([[1, 2, 3]], epoch=1))
    place.wait(2 * TERMS.post_window)
    place.settle(told, by=poster)
    final_at = place.now
    with refused("epochs: still time to post"):
        place.epochs("skip", SUBNET, 1)
    with refused("epochs: other last result"):
        place.post(second, by=poster)
    place.wait(TERMS.post_window)
    place.epochs("skip", SUBNET, 1)
    # The last final epoch is still the first one, but its bonds end here.
    assert place.epochs("clock_of", SUBNET) == (2, 1, 0, place.now, final_at)
    third = place.tell(2, place.inputs([[1, 2, 3]], epoch=2))
    assert third.posted.header.previous == 0
    place.settle(third, by=poster)


def test_bonds_outlive_an_epoch_without_rows(place: EpochWorld, told: Told, poster: Person) -> None:
    place.settle(told, by=poster)
    final_at = place.now
    place.wait(1)
    place.scores("set_epoch", SUBNET, 1, (0, 0, 3, place.now, bytes(32)))
    place.epochs("skip", SUBNET, 1)
    assert place.epochs("clock_of", SUBNET) == (2, 1, 1, place.now, final_at)


def test_only_the_court_convicts(place: EpochWorld, told: Told, attacker: Person) -> None:
    place.fund(attacker)
    place.post(told, by=attacker)
    with refused("epochs: only the court"):
        place.epochs("convict", SUBNET, 0, attacker.address, 1, by=attacker.address)
    with refused("epochs: only the court"):
        place.epochs("answered", SUBNET, 0, 0, attacker.address, by=attacker.address)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ((320, 1, 24, 9, 1, 1), "epochs: window too short for five rounds of questions"),
        ((320, 1, 24, 9, 0, 1), "epochs: window too short for five rounds of questions"),
        ((325, 1, 24, 10, 1, 1), "epochs: fee too low for the bond"),
        ((324, 1, 24, 10, 1, 1), None),
    ],
)
def test_terms_that_would_not_do(
    place: EpochWorld, keeper: Person, terms: tuple[int, ...], reason: str | None
) -> None:
    with refused(reason) if reason is not None else nullcontext():
        deployed(
            place.engine,
            compiled("Epochs"),
            place.token,
            place.world.registry,
            place.scores,
            place.court,
            terms,
            by=keeper.address,
        )
    with pytest.raises(TransactionReverted, match=reason) if reason else nullcontext():
        Terms(*terms)


@pytest.mark.parametrize(("rows", "models"), [(257, 1), (1, 4_097)])
def test_more_than_the_court_can_look_at(
    place: EpochWorld, told: Told, poster: Person, rows: int, models: int
) -> None:
    """Scores takes no more either; such an epoch is skipped in the end."""
    place.scores("set_epoch", SUBNET, 0, (rows, 1, models, place.now, told.inputs.digest))
    with refused("epochs: too large to be challenged"):
        place.post(told, by=poster)
    place.wait(TERMS.post_window)
    place.epochs("skip", SUBNET, 0)


def test_tokens_that_say_no(poster: Person) -> None:
    world = EpochWorld(currency=mock("FalseCurrency"), arguments=(6,))
    world.fund(poster)
    told = world.tell(0, world.inputs([[1]]))
    world.token("set_refuses", True)
    with refused("epochs: token refused the transfer"):
        world.post(told, by=poster)
    world.token("set_refuses", False)
    world.settle(told, by=poster)
    world.token("set_refuses", True)
    with refused("epochs: token refused the transfer"):
        world.epochs("collect", poster.address)


def test_sent_by_mistake(place: EpochWorld, told: Told, poster: Person, holder: Person) -> None:
    place.post(told, by=poster)
    place.world.fund(place.epochs.address, 55)
    assert place.epochs("absorb_surplus") == 55
    assert place.epochs("absorb_surplus") == 0
    assert place.epochs("collect", place.world.commons.address) == 55
    assert place.epochs("obligations") == TERMS.bond == place.held(place.epochs)
    share = place.world.new_share(holder)
    share("transfer", place.epochs.address, 5, by=holder.address)
    assert place.epochs("rescue", share) == 5
    with refused("epochs: the token is somebody's; use absorb_surplus"):
        place.epochs("rescue", place.token)


def test_it_says_what_it_is(place: EpochWorld) -> None:
    epochs = place.epochs
    assert epochs("token") == place.token.address
    assert epochs("registry") == place.world.registry.address
    assert epochs("scores") == place.scores.address
    assert epochs("court") == place.court.address
    assert epochs("terms") == tuple(
        getattr(TERMS, name) for name in type(TERMS).__dataclass_fields__
    )
    assert epochs("question_of", SUBNET, 0, 0) == ("0x" + "00" * 20, 0)
