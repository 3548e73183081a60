"""A subnet's life: created for a lock that has its price, closed, dissolved, handed over."""

from __future__ import annotations

import pytest
from rig.compiling import compiled
from rig.contract import NOBODY, deployed, refused
from rig.people import Person, key_of, person
from rig.scoring import ALL, RULES, TSR, WINDOWS, Scoring, open_scoring
from rig.system import DAY

from tessera.spec.subnets import Rules

LOCK = WINDOWS.min_lock


@pytest.fixture
def scoring(publisher: Person) -> Scoring:
    scoring = open_scoring()
    scoring.fund(publisher)
    return scoring


def test_a_subnet_is_created(scoring: Scoring, publisher: Person) -> None:
    had = scoring.held(publisher)
    assert scoring.create(publisher) == 1
    (event,) = scoring.subnets.events("SubnetCreated")
    assert event.arguments["rules"] == tuple(RULES)
    assert event.arguments["start"] == scoring.now
    subnets = scoring.subnets
    assert subnets("rules_of", 1) == tuple(RULES)
    assert subnets("consensus_of", 1) == (32_767, 65_535, 900_000, False)
    assert subnets("owner_of", 1) == publisher.address
    assert subnets("clock_of", 1) == (scoring.now, RULES.tempo)
    assert subnets("is_live", 1)
    assert not subnets("is_live", 2)
    assert subnets("subnet_count") == 1
    assert scoring.held(publisher) == had - LOCK
    assert subnets("obligations") == subnets("lock_of", 1) == LOCK == scoring.held(subnets)
    scoring.world.wait(3 * RULES.tempo + 5)
    assert subnets("epoch_at", 1, scoring.now) == 3


def test_the_lock_doubles_and_falls(scoring: Scoring, publisher: Person) -> None:
    """2 L at once; a straight line that is at L after the decay and at nothing after two of it."""
    paid = []
    for wait in (0, 0, 0, WINDOWS.lock_decay, WINDOWS.lock_decay // 3, 20 * WINDOWS.lock_decay):
        scoring.world.wait(wait)
        assert scoring.subnets("lock_cost") == scoring.model.lock_cost(scoring.now)
        scoring.create(publisher)
        paid.append(scoring.subnets("last_lock"))
    third = 2 * paid[3] - paid[3] * (WINDOWS.lock_decay // 3) // WINDOWS.lock_decay
    assert paid == [LOCK, 2 * LOCK, 4 * LOCK, 4 * LOCK, third, LOCK]
    assert scoring.held(scoring.subnets) == sum(paid)


def test_the_owner_closes_it(scoring: Scoring, publisher: Person, keeper: Person) -> None:
    scoring.create(publisher)
    had = scoring.held(publisher)
    with refused("subnets: only the subnet's owner"):
        scoring.subnets("close", 1, by=keeper.address)
    scoring.subnets("close", 1, by=publisher.address)
    at = scoring.model.close(key_of(publisher), 1, scoring.now)
    assert scoring.subnets("closing_at", 1) == at
    assert scoring.subnets("is_live", 1)
    asset = scoring.asset(publisher)
    with refused("subnets: closing already"):
        scoring.subnets("register_model", 1, asset, 0, ALL, by=publisher.address)
    with refused("subnets: closing already"):
        scoring.subnets("close", 1, by=publisher.address)
    with refused("subnets: not yet"):
        scoring.subnets("dissolve", 1, by=keeper.address)
    scoring.world.wait(WINDOWS.closing_window)
    assert not scoring.subnets("is_live", 1)
    scoring.subnets("dissolve", 1, by=keeper.address)
    assert scoring.model.dissolve(1, scoring.now) == (LOCK, 0, 0)
    assert scoring.held(publisher) == had + LOCK
    assert scoring.subnets("obligations") == 0 == scoring.held(scoring.subnets)
    assert scoring.subnets("is_dissolved", 1)
    with refused("subnets: dissolved"):
        scoring.subnets("dissolve", 1, by=keeper.address)


def test_an_idle_one_is_dissolved_by_anybody(
    scoring: Scoring, publisher: Person, keeper: Person
) -> None:
    """The keeper gets a fifth of the lock, the commons the rest, its owner nothing."""
    scoring.create(publisher)
    with refused("subnets: no such subnet"):
        scoring.subnets("dissolve", 2, by=keeper.address)
    scoring.world.wait(WINDOWS.idle_window - 1)
    with refused("subnets: not yet"):
        scoring.subnets("dissolve", 1, by=keeper.address)
    # An epoch becomes final: that counts, however old it is.
    scoring.epochs("set_last_final", 1, 1)
    scoring.world.wait(WINDOWS.idle_window - 1)
    with refused("subnets: not yet"):
        scoring.subnets("dissolve", 1, by=keeper.address)
    scoring.world.wait(1)
    scoring.subnets("dissolve", 1, by=keeper.address)
    (event,) = scoring.subnets.events("SubnetDissolved")
    assert event.arguments == {
        "subnet": 1,
        "lock": LOCK,
        "to_owner": 0,
        "to_keeper": LOCK // 5,
    }
    assert scoring.model.dissolve(1, scoring.now) == (0, LOCK // 5, LOCK - LOCK // 5)
    assert scoring.held(keeper) == LOCK // 5
    assert scoring.held(scoring.world.commons) == LOCK - LOCK // 5
    assert not scoring.subnets("is_live", 1)


def test_it_is_handed_over(scoring: Scoring, publisher: Person, holder: Person) -> None:
    scoring.create(publisher)
    with refused("subnets: only the subnet's owner"):
        scoring.subnets("hand_over", 1, holder.address, by=holder.address)
    with refused("subnets: zero address"):
        scoring.subnets("hand_over", 1, NOBODY, by=publisher.address)
    scoring.subnets("hand_over", 1, holder.address, by=publisher.address)
    scoring.subnets("close", 1, by=holder.address)
    scoring.world.wait(WINDOWS.closing_window)
    scoring.subnets("dissolve", 1)
    assert scoring.held(holder) == LOCK


def test_its_task_is_named(scoring: Scoring, publisher: Person, attacker: Person) -> None:
    """It counts from the next epoch on: nobody is measured by what was named while it ran."""
    scoring.create(publisher)
    scoring.world.wait(3 * RULES.tempo + 5)
    uri = "https://example.org/" + "b" * 236
    with refused("subnets: only the subnet's owner"):
        scoring.subnets("name_task", 1, b"\7" * 32, uri, by=attacker.address)
    with refused("subnets: only the subnet's owner"):
        scoring.subnets("name_task", 2, b"\7" * 32, uri, by=attacker.address)
    scoring.subnets("name_task", 1, b"\7" * 32, uri, by=publisher.address)
    (event,) = scoring.subnets.events("TaskNamed")
    since = scoring.model.name_task(key_of(publisher), 1, scoring.now)
    assert event.arguments == {"subnet": 1, "task": b"\7" * 32, "since": since, "uri": uri}
    assert since == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tempo": WINDOWS.min_tempo - 1}, "tempo out of range"),
        ({"tempo": 7 * DAY + 1}, "tempo out of range"),
        ({"kappa": 32_766}, "kappa out of range"),
        ({"kappa": 58_983}, "kappa out of range"),
        ({"bonds_penalty": 65_536}, "bonds out of range"),
        ({"bonds_moving_average": 1_000_001}, "bonds out of range"),
        ({"max_models": 0}, "places out of range"),
        ({"max_models": 4_097}, "places out of range"),
        ({"max_validators": 0}, "places out of range"),
        ({"max_validators": 257}, "places out of range"),
        ({"immunity": 30 * DAY + 1}, "immunity out of range"),
        ({"burn_half_life": 0}, "burn out of range"),
        ({"burn_half_life": 30 * DAY + 1}, "burn out of range"),
        ({"min_burn": 0}, "burn out of range"),
        ({"min_burn": 2**96}, "burn out of range"),
        ({"threshold": 0}, "threshold out of range"),
        ({"threshold": 2**96}, "threshold out of range"),
    ],
)
def test_rules_have_bounds(
    scoring: Scoring, publisher: Person, changes: dict[str, int], reason: str
) -> None:
    rules = RULES._replace(**changes)
    with refused(f"subnets: {reason}"):
        scoring.subnets("create", tuple(rules), ALL, by=publisher.address)


def test_the_widest_rules(scoring: Scoring, publisher: Person) -> None:
    widest = Rules(
        7 * DAY, 58_982, 65_535, 10**6, True, 4_096, 256, 30 * DAY, 30 * DAY, 2**96 - 1, 2**96 - 1
    )
    scoring.create(publisher, **widest._asdict())
    assert scoring.subnets("rules_of", 1) == tuple(widest)


def test_a_price_limit(scoring: Scoring, publisher: Person) -> None:
    with refused("subnets: dearer than the caller pays"):
        scoring.subnets("create", tuple(RULES), LOCK - 1, by=publisher.address)


def test_views_of_none(scoring: Scoring) -> None:
    for name in ("clock_of", "rules_of", "consensus_of", "burn_cost"):
        with refused("subnets: no such subnet"):
            scoring.subnets(name, 1)
    for name in ("epoch_at", "places_in"):
        with refused("subnets: no such subnet"):
            scoring.subnets(name, 1, 0)
    with refused("subnets: no such place"):
        scoring.subnets("occupant_at", 1, 2, 0, 0)
    assert scoring.subnets("occupant_at", 1, 1, 0, 0) == (0, 0)
    assert scoring.subnets("table_of", 1, 0) == (0, 0)


def test_what_a_deployment_must_be(scoring: Scoring, publisher: Person) -> None:
    engine, part = scoring.world.engine, compiled("Subnets")
    subnets = scoring.subnets
    parts = [subnets(name) for name in ("network_token", "registry", "bond", "scores", "epochs")]
    by = publisher.address
    for changed in range(5):
        wrong = [*parts]
        wrong[changed] = NOBODY
        with refused("subnets: zero address"):
            deployed(engine, part, *wrong, *WINDOWS, by=by)
    for changes, reason in (
        ({"min_tempo": 3}, "tempo out of range"),
        ({"min_tempo": 7 * DAY + 1}, "tempo out of range"),
        ({"min_lock": 0}, "lock out of range"),
        ({"min_lock": 2**96}, "lock out of range"),
        ({"lock_decay": 0}, "lock out of range"),
        ({"contest_window": 0}, "window of no time"),
        ({"closing_window": 0}, "window of no time"),
        ({"idle_window": 0}, "window of no time"),
    ):
        with refused(f"subnets: {reason}"):
            deployed(engine, part, *parts, *WINDOWS._replace(**changes), by=by)
    assert TSR * 100 == LOCK
    assert person("publisher") == publisher
