"""Places of models and validators: taken, given up, named, corrected; what they cost and when."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person, key_of, person
from rig.scoring import ALL, RULES, TEMPO, TSR, WINDOWS, Scoring, open_scoring
from rig.system import DAY

from tessera.spec.signatures import ZERO_ADDRESS
from tessera.spec.subnets import MODELS, VALIDATORS


@pytest.fixture
def scoring(publisher: Person) -> Scoring:
    """One subnet of up to four models and three validators."""
    scoring = open_scoring()
    scoring.fund(publisher)
    scoring.create(publisher)
    return scoring


def _full(scoring: Scoring, publisher: Person) -> list[int]:
    """Take all four places, one each tempo; then wait until nobody is immune."""
    assets = []
    for uid in range(4):
        assets.append(scoring.place_model(1, publisher, uid))
        scoring.world.wait(TEMPO)
    scoring.world.wait(RULES.immunity)
    return assets


def _same(scoring: Scoring) -> None:
    for side in (MODELS, VALIDATORS):
        assert scoring.subnets("table_of", 1, side) == scoring.model.table_of(1, side)
        assert scoring.subnets("places_in", 1, side) == scoring.model.places_in(
            1, side, scoring.now
        )
        for uid in range(5):
            for epoch in range(20):
                found = scoring.subnets("occupant_at", 1, side, uid, epoch)
                assert found == scoring.model.occupant_at(1, side, uid, epoch)
    owed = scoring.subnets("obligations")
    assert owed == scoring.model.obligations == scoring.held(scoring.subnets)


def test_a_place_counts_from_the_next_epoch_on(scoring: Scoring, publisher: Person) -> None:
    asset = scoring.place_model(1, publisher, 0)
    (event,) = scoring.subnets.events("PlaceTaken")
    assert event.arguments == {
        "subnet": 1,
        "side": 0,
        "occupant": asset,
        "uid": 0,
        "since": 1,
        "replaced": 0,
    }
    assert scoring.subnets("subnet_of", asset) == 1
    assert scoring.subnets("occupant_at", 1, 0, 0, 0) == (0, 0)
    assert scoring.subnets("occupant_at", 1, 0, 0, 1) == (asset, 1)
    _same(scoring)
    scoring.place_model(1, publisher, 1)
    assert scoring.subnets("places_in", 1, 0) == 0
    scoring.world.wait(TEMPO)
    scoring.place_model(1, publisher, 2)
    assert scoring.subnets("places_in", 1, 0) == 2
    _same(scoring)


def test_the_burn_grows_by_a_quarter_and_halves(scoring: Scoring, publisher: Person) -> None:
    supply = scoring.token("totalSupply")
    paid = []
    for uid, wait in enumerate((0, 0, TEMPO // 2, 40 * DAY)):
        scoring.world.wait(wait)
        paid.append(scoring.subnets("burn_cost", 1))
        assert paid[-1] == scoring.model.burn_cost(1, scoring.now)
        scoring.place_model(1, publisher, uid)
    assert paid == [TSR, TSR * 126 // 100, TSR * 126**2 // 100**2 * 3 // 4, TSR]
    assert scoring.token("totalSupply") == supply - sum(paid)
    with refused("subnets: dearer than the caller pays"):
        asset = scoring.asset(publisher)
        scoring.subnets("register_model", 1, asset, 3, TSR, by=publisher.address)


def test_validators_have_places_of_their_own(scoring: Scoring) -> None:
    first = scoring.place_validator(1, scoring.validator("validator 0"), 0)
    (event,) = scoring.subnets.events("PlaceTaken")
    assert event.arguments["side"] == 1
    assert (
        scoring.subnets("uid_of", 1, first.address) == 1 == scoring.model.uid_of(1, key_of(first))
    )
    with refused("subnets: not a validator of this epoch"):
        scoring.subnets("seated", 1, 0, first.address)
    scoring.world.wait(TEMPO)
    began = scoring.now
    scoring.world.wait(5)
    assert scoring.subnets("seated", 1, 0, first.address) == (
        1,
        began,
        TEMPO,
        RULES.threshold,
        0,
    )
    poor = scoring.validator("poor validator", RULES.threshold - 1)
    with refused("subnets: bond below the threshold"):
        scoring.subnets("register_validator", 1, 1, ALL, by=poor.address)
    free = scoring.fund(person("unaccountable"))
    scoring.bond("stake", free.address, RULES.threshold, by=free.address)
    with refused("subnets: Scores is not enlisted"):
        scoring.subnets("register_validator", 1, 1, ALL, by=free.address)
    with refused("subnets: has a place already"):
        scoring.subnets("register_validator", 1, 1, ALL, by=first.address)
    scoring.subnets("deregister_validator", 1, by=first.address)
    scoring.model.deregister_validator(key_of(first), 1, scoring.now)
    with refused("subnets: has no place"):
        scoring.subnets("deregister_validator", 1, by=first.address)
    assert scoring.subnets("seated", 1, 0, first.address)[0] == 1
    scoring.world.wait(TEMPO)
    with refused("subnets: not a validator of this epoch"):
        scoring.subnets("seated", 1, 0, first.address)
    assert scoring.subnets("uid_of", 1, first.address) == 0
    _same(scoring)


def test_refused_places(scoring: Scoring, publisher: Person) -> None:
    asset = scoring.asset(publisher)

    def register(uid: int, subnet: int = 1) -> None:
        scoring.subnets("register_model", subnet, asset, uid, ALL, by=publisher.address)

    with refused("subnets: no such subnet"):
        register(0, subnet=2)
    for uid in (1, 65_536):
        with refused("subnets: no such place"):
            register(uid)
    _full(scoring, publisher)
    with refused("subnets: no such place"):
        register(4)
    with refused("subnets: nobody waits for it"):
        scoring.subnets("admit", 1, 0, 0)
    with refused("subnets: nobody waits for it"):
        scoring.correct(1, 0, 0, 1, by=publisher)


def test_who_leaves_is_gone_from_the_next_epoch_on(scoring: Scoring, publisher: Person) -> None:
    asset = scoring.place_model(1, publisher, 0)
    scoring.world.wait(TEMPO)
    scoring.subnets("deregister_model", asset, by=publisher.address)
    paid = scoring.model.deregister_model(key_of(publisher), asset, scoring.now)
    assert paid == (ZERO_ADDRESS, 0)
    assert scoring.subnets("occupant_at", 1, 0, 0, 1) == (asset, 1)
    assert scoring.subnets("occupant_at", 1, 0, 0, 2) == (0, 2)
    assert scoring.subnets("table_of", 1, 0) == (1, 1)
    # In the same epoch somebody else takes it: who never counted is not kept.
    other = scoring.place_model(1, publisher, 0)
    assert scoring.subnets("occupant_at", 1, 0, 0, 2) == (other, 2)
    scoring.world.wait(TEMPO)
    scoring.place_model(1, publisher, 1, asset)
    _same(scoring)
    with refused("subnets: has a place already"):
        scoring.subnets("register_model", 1, asset, 2, ALL, by=publisher.address)


def test_a_newcomer_waits_for_the_lowest_and_gets_it(
    scoring: Scoring, publisher: Person, buyer: Person
) -> None:
    assets = _full(scoring, publisher)
    scoring.fund(buyer)
    had = scoring.held(buyer)
    newcomer = scoring.place_model(1, buyer, 0)
    (event,) = scoring.subnets.events("PlaceNamed")
    cost = event.arguments["deposit"]
    assert event.arguments["admitted_from"] == scoring.now + WINDOWS.contest_window
    assert scoring.held(buyer) == had - 2 * cost
    assert scoring.subnets("subnet_of", newcomer) == 1
    with refused("subnets: not admitted yet"):
        scoring.subnets("deregister_model", newcomer, by=buyer.address)
    with refused("subnets: not yet"):
        scoring.subnets("admit", 1, 0, 0)
    scoring.world.wait(WINDOWS.contest_window)
    with refused("subnets: too late"):
        scoring.correct(1, 0, 0, 1, by=publisher)
    scoring.subnets("admit", 1, 0, 0)
    (event,) = scoring.subnets.events("PlaceTaken")
    assert scoring.model.admit(1, 0, 0, scoring.now) == (key_of(buyer), cost)
    assert scoring.held(buyer) == had - cost
    assert scoring.subnets("subnet_of", assets[0]) == 0
    assert event.arguments["replaced"] == assets[0]
    _same(scoring)


def test_one_that_is_not_the_lowest_is_corrected(
    scoring: Scoring, publisher: Person, buyer: Person, challenger: Person
) -> None:
    """Named 3; 2 earned nothing either and is older; 1 is older still. 0 earned something."""
    _full(scoring, publisher)
    scoring.epochs("set_last_final", 1, 5)
    scoring.epochs("set_incentive", 1, 4, 0, 77)
    scoring.fund(buyer)
    scoring.place_model(1, buyer, 3)
    deposit = scoring.subnets.events("PlaceNamed")[0].arguments["deposit"]
    with refused("subnets: not lower"):
        scoring.correct(1, 0, 3, 0, by=challenger, basis=5)
    with refused("fixed_epochs: proves nothing"):
        scoring.subnets("correct", 1, 0, 3, 2, bytes(31) + b"\1", bytes(32), by=challenger.address)
    with refused("subnets: no such place"):
        scoring.correct(1, 0, 3, 4, by=challenger, basis=5)
    with refused("subnets: another one waits for it"):
        scoring.correct(1, 0, 3, 3, by=challenger, basis=5)
    expected = scoring.model.correct(1, 0, 3, 2, scoring.now)
    scoring.correct(1, 0, 3, 2, by=challenger, basis=5)
    assert expected == (deposit // 5, deposit - deposit // 5)
    assert (scoring.held(challenger), scoring.held(scoring.world.commons)) == expected
    # Corrected further, down to the lowest; that is paid no more, and goes up never.
    assert scoring.model.correct(1, 0, 2, 1, scoring.now) == (0, 0)
    scoring.correct(1, 0, 2, 1, by=challenger, basis=5)
    with refused("subnets: not lower"):
        scoring.correct(1, 0, 1, 2, by=challenger, basis=5)
    assert scoring.held(challenger) == deposit // 5
    _same(scoring)
    scoring.world.wait(WINDOWS.contest_window)
    scoring.subnets("admit", 1, 0, 1)
    assert scoring.model.admit(1, 0, 1, scoring.now) == (key_of(buyer), 0)
    _same(scoring)


def test_the_immune_go_last(
    scoring: Scoring, publisher: Person, buyer: Person, challenger: Person
) -> None:
    for uid in range(4):
        scoring.place_model(1, publisher, uid)
        scoring.world.wait(TEMPO if uid < 3 else 0)
    # 0 and 1 are old enough, 2 and 3 are not; 0 earns much and 1 little.
    scoring.epochs("set_last_final", 1, 3)
    for uid, incentive in enumerate((99, 50)):
        scoring.epochs("set_incentive", 1, 2, uid, incentive)
    scoring.fund(buyer)
    scoring.place_model(1, buyer, 3)
    scoring.model.correct(1, 0, 3, 0, scoring.now)
    scoring.correct(1, 0, 3, 0, by=challenger, basis=3)
    with refused("subnets: not lower"):
        scoring.correct(1, 0, 0, 2, by=challenger, basis=3)
    scoring.model.correct(1, 0, 0, 1, scoring.now)
    scoring.correct(1, 0, 0, 1, by=challenger, basis=3)
    _same(scoring)


def test_validators_go_by_what_they_bonded(scoring: Scoring, challenger: Person) -> None:
    for uid, stake in enumerate((3_000, 1_000, 2_000)):
        scoring.place_validator(1, scoring.validator(f"validator {uid}", stake * TSR), uid)
    scoring.world.wait(RULES.immunity)
    scoring.place_validator(1, scoring.validator("validator 3"), 0)
    scoring.model.correct(1, 1, 0, 2, scoring.now)
    scoring.correct(1, 1, 0, 2, by=challenger)
    scoring.model.correct(1, 1, 2, 1, scoring.now)
    scoring.correct(1, 1, 2, 1, by=challenger)
    with refused("subnets: not lower"):
        scoring.correct(1, 1, 1, 0, by=challenger)
    scoring.world.wait(WINDOWS.contest_window)
    scoring.subnets("admit", 1, 1, 1)
    scoring.model.admit(1, 1, 1, scoring.now)
    _same(scoring)


def test_who_leaves_while_somebody_waits_makes_room_at_once(
    scoring: Scoring, publisher: Person, buyer: Person
) -> None:
    assets = _full(scoring, publisher)
    scoring.fund(buyer)
    had = scoring.held(buyer)
    newcomer = scoring.place_model(1, buyer, 2)
    deposit = scoring.subnets.events("PlaceNamed")[0].arguments["deposit"]
    scoring.subnets("deregister_model", assets[2], by=publisher.address)
    paid = scoring.model.deregister_model(key_of(publisher), assets[2], scoring.now)
    assert paid == (key_of(buyer), deposit)
    assert scoring.held(buyer) == had - deposit
    assert scoring.subnets("waiting", 1 << 24 | 2) == 0
    scoring.world.wait(TEMPO)
    epoch = scoring.subnets("epoch_at", 1, scoring.now)
    assert scoring.subnets("occupant_at", 1, 0, 2, epoch)[0] == newcomer
    _same(scoring)


def test_a_model_has_not_earned_what_the_one_before_it_did(
    scoring: Scoring, publisher: Person, buyer: Person, challenger: Person
) -> None:
    """It came into the place in the very epoch that was final last."""
    assets = _full(scoring, publisher)
    last = scoring.subnets("epoch_at", 1, scoring.now)
    scoring.epochs("set_last_final", 1, last + 1)
    scoring.epochs("set_incentive", 1, last, 0, 50)
    scoring.epochs("set_incentive", 1, last, 1, 100)
    scoring.subnets("deregister_model", assets[1], by=publisher.address)
    scoring.model.deregister_model(key_of(publisher), assets[1], scoring.now)
    scoring.place_model(1, publisher, 1)
    scoring.world.wait(RULES.immunity)
    scoring.place_model(1, scoring.fund(buyer), 0)
    scoring.model.correct(1, 0, 0, 1, scoring.now)
    scoring.correct(1, 0, 0, 1, by=challenger, basis=last + 1)


def test_a_place_that_nobody_has_is_the_lowest(
    scoring: Scoring, publisher: Person, buyer: Person, challenger: Person
) -> None:
    assets = _full(scoring, publisher)
    newcomer = scoring.place_model(1, scoring.fund(buyer), 0)
    scoring.subnets("deregister_model", assets[2], by=publisher.address)
    scoring.model.deregister_model(key_of(publisher), assets[2], scoring.now)
    scoring.model.correct(1, 0, 0, 2, scoring.now)
    scoring.correct(1, 0, 0, 2, by=challenger)
    scoring.world.wait(WINDOWS.contest_window)
    scoring.subnets("admit", 1, 0, 2)
    scoring.model.admit(1, 0, 2, scoring.now)
    assert scoring.subnets("table_of", 1, 0) == (4, 0)
    assert scoring.subnets("subnet_of", assets[0]) == 1 == scoring.subnets("subnet_of", newcomer)
    _same(scoring)


def test_every_epoch_of_a_long_history(scoring: Scoring, publisher: Person) -> None:
    """Seven models, one after the other, some for one epoch and some for three."""
    for epochs in (1, 3, 1, 1, 2, 1, 3):
        asset = scoring.place_model(1, publisher, 0)
        scoring.world.wait(epochs * TEMPO)
        scoring.subnets("deregister_model", asset, by=publisher.address)
        scoring.model.deregister_model(key_of(publisher), asset, scoring.now)
    _same(scoring)


def test_places_of_a_subnet_that_is_no_more(
    scoring: Scoring, publisher: Person, buyer: Person
) -> None:
    """A model is free for another subnet, and a newcomer that still waited gets its deposit."""
    assets = _full(scoring, publisher)
    scoring.fund(buyer)
    newcomer = scoring.place_model(1, buyer, 0)
    deposit = scoring.subnets.events("PlaceNamed")[0].arguments["deposit"]
    late = scoring.asset(buyer)
    scoring.subnets("close", 1, by=publisher.address)
    scoring.model.close(key_of(publisher), 1, scoring.now)
    scoring.world.wait(WINDOWS.closing_window)
    for asset in (*assets, newcomer, late):
        assert scoring.subnets("subnet_of", asset) == 0
    with refused("subnets: no such subnet"):
        scoring.correct(1, 0, 0, 1, by=buyer)
    second = scoring.create(publisher)
    scoring.place_model(second, buyer, 0, newcomer)
    had = scoring.held(buyer)
    scoring.subnets("admit", 1, 0, 0)
    assert scoring.model.admit(1, 0, 0, scoring.now) == (key_of(buyer), deposit)
    assert scoring.held(buyer) == had + deposit
    assert scoring.subnets("subnet_of", newcomer) == second
    assert scoring.subnets("occupant_at", 1, 0, 0, 50)[0] == assets[0]
    _same(scoring)


def test_a_newcomer_of_a_subnet_that_is_no_more_is_free(
    scoring: Scoring, publisher: Person, buyer: Person
) -> None:
    _full(scoring, publisher)
    scoring.fund(buyer)
    newcomer = scoring.place_model(1, buyer, 0)
    scoring.subnets("close", 1, by=publisher.address)
    scoring.world.wait(WINDOWS.closing_window)
    scoring.subnets("admit", 1, 0, 0)
    assert scoring.subnets("obligations") == WINDOWS.min_lock
    with refused("subnets: has no place"):
        scoring.subnets("deregister_model", newcomer, by=buyer.address)


def test_names_in_refusals(scoring: Scoring, publisher: Person, attacker: Person) -> None:
    asset = scoring.asset(publisher)
    scoring.fund(attacker)
    with refused("subnets: only who speaks for the asset"):
        scoring.subnets("register_model", 1, asset, 0, ALL, by=attacker.address)
    _full(scoring, publisher)
    scoring.subnets("register_model", 1, asset, 0, ALL, by=publisher.address)
    second = scoring.asset(attacker)
    with refused("subnets: another one waits for it"):
        scoring.subnets("register_model", 1, second, 0, ALL, by=attacker.address)
    scoring.world.wait(WINDOWS.contest_window)
    first = scoring.subnets("occupant_at", 1, 0, 1, 20)[0]
    scoring.subnets("deregister_model", first, by=publisher.address)
    with refused("subnets: there is a free place"):
        scoring.subnets("register_model", 1, second, 2, ALL, by=attacker.address)


@pytest.fixture
def challenger() -> Person:
    return person("challenger")
