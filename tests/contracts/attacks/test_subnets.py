"""Somebody wants places that are not its own, or others out of theirs.

It puts a stranger's model into its own subnet, or one model into two; it fills a subnet with sybils
to push the others out, names the best model as the lowest, or hides the lowest; it sells places in
front of others at an old price, holds a subnet that it does not use, and takes a lock out early.
"""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person, key_of, person
from rig.scoring import ALL, RULES, TEMPO, TSR, WINDOWS, Scoring, open_scoring
from rig.system import DAY

from tessera.errors import TransactionReverted
from tessera.spec.epochs import EpochInputs, RevealedRow, build
from tessera.spec.epochs import Rules as Consensus

NOT_YOURS = "subnets: only who speaks for the asset"


@pytest.fixture
def scoring(publisher: Person, attacker: Person) -> Scoring:
    scoring = open_scoring()
    scoring.fund(publisher)
    scoring.fund(attacker, 1_000_000 * TSR)
    scoring.create(publisher)
    return scoring


def _full(scoring: Scoring, publisher: Person) -> list[int]:
    assets = []
    for uid in range(4):
        assets.append(scoring.place_model(1, publisher, uid))
        scoring.world.wait(TEMPO)
    scoring.world.wait(RULES.immunity)
    return assets


def test_squatting_an_assets_place(scoring: Scoring, publisher: Person, attacker: Person) -> None:
    """The attacker puts the publisher's best model into a subnet of its own, so that the demand
    for it counts there and the publisher's own subnet cannot have it; or takes it out."""
    asset = scoring.asset(publisher)
    own = scoring.create(attacker)
    with refused(NOT_YOURS):
        scoring.subnets("register_model", own, asset, 0, ALL, by=attacker.address)
    scoring.place_model(1, publisher, 0, asset)
    with refused(NOT_YOURS):
        scoring.subnets("deregister_model", asset, by=attacker.address)
    assert scoring.subnets("subnet_of", asset) == 1


def test_one_model_in_two_subnets(scoring: Scoring, publisher: Person) -> None:
    """Its demand would count twice: also while it only waits for a place."""
    second = scoring.create(publisher)
    asset = scoring.place_model(1, publisher, 0)
    with refused("subnets: has a place already"):
        scoring.subnets("register_model", second, asset, 0, ALL, by=publisher.address)


def test_a_model_that_has_holders_is_still_its_publishers_to_enter(scoring: Scoring) -> None:
    """Once it has a Share its controller is the Governor, which knows no subnets: its owner in the
    Registry speaks for it there."""
    from rig.system import deploy_world

    governed = open_scoring(deploy_world(governed=True))
    owner = governed.fund(person("publisher"))
    governed.create(owner)
    asset = governed.asset(owner)
    governed.world.tokenize(asset, owner)
    assert governed.world.registry("controller_of", asset) == governed.world.governor.address
    governed.place_model(1, owner, 0, asset)


def test_sybils_push_others_out(scoring: Scoring, publisher: Person, attacker: Person) -> None:
    """A crowd of the attacker's own models wants every place of a full subnet. Each costs a quarter
    more than the one before, forty of them forty thousand times the first; only a quarter of the
    table may be named in a period of immunity, so that the best half stays whoever comes; and once
    their immunity is over the sybils, who earned nothing, are the lowest themselves."""
    assets = _full(scoring, publisher)
    scoring.epochs("set_last_final", 1, 5)
    for uid in range(4):
        scoring.epochs("set_incentive", 1, 4, uid, 10 * (uid + 1))
    scoring.place_model(1, attacker, 0)
    for uid in range(1, 4):
        asset = scoring.asset(attacker)
        with refused("subnets: enough newcomers for now"):
            scoring.subnets("register_model", 1, asset, uid, ALL, by=attacker.address)
    scoring.world.wait(WINDOWS.contest_window)
    scoring.subnets("admit", 1, 0, 0)
    epoch = scoring.subnets("epoch_at", 1, scoring.now) + 1
    for uid in range(1, 4):
        assert scoring.subnets("occupant_at", 1, 0, uid, epoch)[0] == assets[uid]
    scoring.world.wait(RULES.immunity)
    newcomer = scoring.asset(publisher)
    scoring.subnets("register_model", 1, newcomer, 3, ALL, by=publisher.address)
    scoring.correct(1, 0, 3, 0, by=publisher, basis=5)
    assert sum(126**number // 100**number for number in range(40)) > 39_000


def test_the_best_model_is_named_as_the_lowest(
    scoring: Scoring, publisher: Person, attacker: Person, challenger: Person
) -> None:
    """The attacker names its rival. Whoever shows the lowest is paid from the attacker's deposit,
    and the rival stays."""
    assets = _full(scoring, publisher)
    scoring.epochs("set_last_final", 1, 5)
    scoring.epochs("set_incentive", 1, 4, 3, 1_000)
    had = scoring.held(attacker)
    scoring.place_model(1, attacker, 3)
    cost = (had - scoring.held(attacker)) // 2
    scoring.correct(1, 0, 3, 0, by=challenger, basis=5)
    scoring.world.wait(WINDOWS.contest_window)
    with refused("subnets: nobody waits for it"):
        scoring.subnets("admit", 1, 0, 3)
    scoring.subnets("admit", 1, 0, 0)
    epoch = scoring.subnets("epoch_at", 1, scoring.now) + 1
    assert scoring.subnets("occupant_at", 1, 0, 3, epoch)[0] == assets[3]
    # Burn and deposit are both gone.
    assert scoring.held(attacker) == had - 2 * cost
    assert scoring.held(challenger) == cost // 5


def test_correcting_oneself_for_the_reward(
    scoring: Scoring, publisher: Person, attacker: Person
) -> None:
    """The attacker names a wrong place and corrects itself: four fifths of the deposit are gone."""
    _full(scoring, publisher)
    had = scoring.held(attacker)
    scoring.place_model(1, attacker, 3)
    cost = (had - scoring.held(attacker)) // 2
    scoring.correct(1, 0, 3, 0, by=attacker)
    assert scoring.held(attacker) == had - 2 * cost + cost // 5
    scoring.world.wait(WINDOWS.contest_window)
    scoring.subnets("admit", 1, 0, 0)
    assert scoring.held(attacker) == had - 2 * cost + cost // 5


def test_evidence_of_another_model(scoring: Scoring, publisher: Person, attacker: Person) -> None:
    """A correction is made with the named one's true number and another one's for the lower."""
    _full(scoring, publisher)
    scoring.epochs("set_last_final", 1, 5)
    for uid in range(4):
        scoring.epochs("set_incentive", 1, 4, uid, 10 * (4 - uid))
    scoring.place_model(1, attacker, 3)
    for uid in range(3):
        with refused("subnets: not lower"):
            scoring.correct(1, 0, 3, uid, by=attacker, basis=5)
        with refused("fixed_epochs: proves nothing"):
            scoring.subnets(
                "correct", 1, 0, 3, uid, (10).to_bytes(32, "big"), bytes(32), by=attacker.address
            )


def test_a_price_that_moves_while_somebody_waits(
    scoring: Scoring, publisher: Person, attacker: Person
) -> None:
    """The attacker registers in front of everybody else; nobody pays more than it said."""
    price = scoring.subnets("burn_cost", 1)
    scoring.place_model(1, attacker, 0)
    asset = scoring.asset(publisher)
    had = scoring.held(publisher)
    with refused("subnets: dearer than the caller pays"):
        scoring.subnets("register_model", 1, asset, 1, price, by=publisher.address)
    assert scoring.held(publisher) == had


def test_a_place_in_the_epoch_that_runs(scoring: Scoring, publisher: Person) -> None:
    """Out, in and out again within one epoch: who has a place in it never changes."""
    asset = scoring.place_model(1, publisher, 0)
    scoring.world.wait(TEMPO)
    second = scoring.asset(publisher)
    for _ in range(3):
        scoring.subnets("deregister_model", asset, by=publisher.address)
        scoring.subnets("register_model", 1, second, 0, ALL, by=publisher.address)
        scoring.subnets("deregister_model", second, by=publisher.address)
        scoring.subnets("register_model", 1, asset, 0, ALL, by=publisher.address)
        assert scoring.subnets("occupant_at", 1, 0, 0, 1) == (asset, 1)
    assert scoring.subnets("occupant_at", 1, 0, 0, 2) == (asset, 2)
    assert scoring.subnets("table_of", 1, 0) == (1, 0)


def test_a_subnet_that_nobody_uses_is_held_for_its_lock(
    scoring: Scoring, publisher: Person, attacker: Person, keeper: Person
) -> None:
    """The attacker opens subnets to make the next one dear, and keeps them: each costs twice the
    last, none is worth anything, and after a while anybody takes the lock away from it."""
    locks = []
    for _ in range(4):
        locks.append(scoring.subnets("lock_cost"))
        scoring.create(attacker)
    assert locks == [WINDOWS.min_lock * 2**number for number in range(1, 5)]
    scoring.world.wait(WINDOWS.idle_window)
    had = scoring.held(attacker)
    for subnet in range(2, 6):
        scoring.subnets("dissolve", subnet, by=keeper.address)
    assert scoring.held(attacker) == had
    assert scoring.held(keeper) == sum(lock // 5 for lock in locks)
    assert scoring.subnets("lock_cost") == WINDOWS.min_lock


@pytest.mark.parametrize(
    ("delay", "max_freeze"), [(5 * TEMPO // 4 - 1, TEMPO), (5 * TEMPO // 4, TEMPO - 1)]
)
def test_a_subnet_whose_rows_no_bond_answers_for(
    attacker: Person, delay: int, max_freeze: int
) -> None:
    """Its tempo is too long for Bond: each commit would revert, so that its lock and all burns are
    lost; or who withholds its row is thawed, and gone, before it can be convicted."""
    scoring = open_scoring(bond_times=(delay, delay + max_freeze + 1, max_freeze, DAY))
    scoring.fund(attacker)
    with refused("subnets: tempo too long for the bonds"):
        scoring.subnets("create", tuple(RULES), ALL, by=attacker.address)
    with pytest.raises(TransactionReverted, match="too long for the bonds"):
        scoring.model.create(key_of(attacker), RULES, ALL, scoring.now)
    # One second less is borne, and a validator's row is taken.
    tempo = TEMPO - 4
    scoring.create(attacker, tempo=tempo)
    scoring.place_model(1, attacker, 0)
    who = scoring.place_validator(1, scoring.validator("validator 0"), 0)
    scoring.turn_to(1, 1)
    scoring.commit(1, 0, who, {0: 1})


def test_an_asset_out_as_if_it_were_a_validator(
    scoring: Scoring, publisher: Person, attacker: Person
) -> None:
    """Models and validators share a map of who has a place, models under 0: whoever had an account
    with the number of an asset would take that asset out as a validator of subnet 0."""
    scoring.place_model(1, publisher, 0)
    with refused("subnets: no such subnet"):
        scoring.subnets("deregister_validator", 0, by=attacker.address)


def test_a_living_subnet_whose_results_come_late_is_dissolved(
    publisher: Person, attacker: Person
) -> None:
    """Epochs take an hour and their results twenty days, one after the other. So the newest final
    epoch is soon older than the idle window, though nobody is idle, and the attacker would take a
    fifth of the lock. What counts is when a result became final, not which epoch it was of."""
    scoring = open_scoring(terms=(TSR, TSR, 20 * DAY, 20 * DAY, DAY, DAY))
    scoring.fund(publisher)
    scoring.token("approve", scoring.epochs, ALL, by=publisher.address)
    scoring.create(publisher)
    scoring.place_model(1, publisher, 0)
    who = scoring.place_validator(1, scoring.validator("validator 0"), 0)
    scoring.turn_to(1, 1)
    row, salt = scoring.commit(1, 0, who, {0: 5})
    scoring.turn_to(1, 1, 2)
    scoring.revealed(1, 1, who, row, salt)
    scoring.turn_to(1, 1, 5)
    *_, digest = scoring.scores("epoch_of", 1, 1)
    stake = scoring.scores("row_at", 1, 1, 0)[3]
    rows = (RevealedRow(key_of(who), stake, (5,), void=False),)
    consensus = Consensus(*scoring.scores("rules_of", 1))
    posted = build(EpochInputs(1, rows, consensus, digest))
    scoring.epochs("skip", 1, 0)
    scoring.epochs("post", 1, 1, posted.header.call, by=publisher.address)
    scoring.world.wait(20 * DAY)
    scoring.epochs("finalize", 1, 1)
    scoring.world.wait(WINDOWS.idle_window - 1)
    with refused("subnets: not yet"):
        scoring.subnets("dissolve", 1, by=attacker.address)
    # An epoch that is skipped keeps nothing alive.
    scoring.epochs("skip", 1, 2)
    scoring.world.wait(1)
    scoring.subnets("dissolve", 1, by=attacker.address)


def test_a_lock_out_before_its_time_or_twice(
    scoring: Scoring, publisher: Person, attacker: Person
) -> None:
    with refused("subnets: only the subnet's owner"):
        scoring.subnets("close", 1, by=attacker.address)
    scoring.subnets("close", 1, by=publisher.address)
    for _ in range(3):
        with refused("subnets: not yet"):
            scoring.subnets("dissolve", 1, by=publisher.address)
        scoring.world.wait(WINDOWS.closing_window // 3)
    had = scoring.held(publisher)
    scoring.world.wait(2)
    scoring.subnets("dissolve", 1, by=attacker.address)
    assert scoring.held(publisher) == had + WINDOWS.min_lock
    with refused("subnets: dissolved"):
        scoring.subnets("dissolve", 1, by=attacker.address)


def test_a_bond_that_was_only_shown(scoring: Scoring) -> None:
    """A validator unstakes as soon as it has its place: it does not vote without its bond."""
    who = scoring.place_validator(1, scoring.validator("validator 0"), 0)
    shares = scoring.bond("stake_of", who.address, who.address)[0]
    scoring.bond("unstake", who.address, shares, by=who.address)
    scoring.place_model(1, person("publisher"), 0)
    scoring.world.wait(TEMPO)
    with refused("scores: bond below the threshold"):
        scoring.scores("commit", 1, 0, b"\1" * 32, by=who.address)
    assert scoring.rows.row_of(1, 1, key_of(who)) == 0


@pytest.fixture
def challenger() -> Person:
    return person("challenger")
