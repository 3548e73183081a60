"""Test sets, rounds, opinions, and the rule by which a model is listed."""

from __future__ import annotations

import pytest
from eth_utils import keccak
from rig.approving import (
    BUDGET,
    COST,
    ENVIRONMENT,
    HOUR,
    ITEMS,
    LEAST_BOND,
    POOL_ITEMS,
    PRIOR,
    SALT,
    TAU,
    Approving,
    open_approving,
)
from rig.bonding import TSR
from rig.compiling import compiled
from rig.contract import NOBODY, deployed, refused
from rig.people import Person, key_of
from rig.system import DAY

from tessera.spec.approvals import model_name, round_name, set_name

ROOT = keccak(text="root")


def test_ids_are_what_they_stand_for(fresh: Approving) -> None:
    until = fresh.row_of_set("until")
    root, pool = fresh.row_of_set("root"), fresh.row_of_set("pool")
    assert fresh.test_set == set_name(key_of(fresh.committer), root, pool, until)
    fresh.open_round()
    content = fresh.world.registry("root_of", fresh.asset, 1)
    model = model_name(content, ENVIRONMENT)
    assert fresh.row_of_round("model") == model
    assert fresh.round == round_name(fresh.test_set, fresh.asset, 1, model)
    held = 100 * LEAST_BOND + BUDGET
    assert fresh.held(fresh.approvals) == fresh.approvals("obligations") == held


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"items": 99}, "number of items out of range"),
        ({"items": 4_097}, "number of items out of range"),
        ({"pool": 399}, "number of items out of range"),
        ({"until": 0}, "submissions would be over"),
        ({"until": 366 * DAY}, "submissions would be over"),
    ],
)
def test_sets_out_of_range(fresh: Approving, changes: dict[str, int], reason: str) -> None:
    terms = {"items": ITEMS, "pool": POOL_ITEMS, "until": DAY, **changes}
    until = fresh.world.now + terms["until"]
    with refused(f"approvals: {reason}"):
        fresh.approvals("commit_set", ROOT, terms["items"], ROOT, terms["pool"], 0, until, "")


def test_a_set_is_committed_to_once(fresh: Approving) -> None:
    until = fresh.row_of_set("until")
    with refused("approvals: committed already"):
        fresh.commit_set(until=until)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tau": 20_000}, "threshold out of range"),
        ({"tau": 1_000_000}, "threshold out of range"),
        ({"prior": 1_000_001}, "threshold out of range"),
        ({"tau": 700_000}, "prove the bad count first"),
        ({"version": 0}, "name the version"),
        ({"cap": 2**96}, "amount out of range"),
    ],
)
def test_rounds_out_of_range(fresh: Approving, changes: dict[str, int], reason: str) -> None:
    with refused(f"approvals: {reason}"):
        fresh.open_round(**changes)  # type: ignore[arg-type]


def test_only_the_assets_controller_submits_it_in_time(fresh: Approving, attacker: Person) -> None:
    terms = (fresh.test_set, fresh.asset, 1, ENVIRONMENT, TAU, PRIOR, 0, 0)
    with refused("approvals: only the asset's controller"):
        fresh.approvals("open_round", *terms, by=attacker.address)
    fresh.open_round()
    with refused("approvals: submitted already"):
        fresh.open_round()
    with refused("approvals: submissions are open"):
        fresh.approvals("draw", fresh.test_set)
    fresh.world.engine.now = fresh.row_of_set("until")
    with refused("approvals: submissions are over"):
        fresh.open_round()


def test_the_committer_neither_submits_nor_judges(fresh: Approving) -> None:
    fresh.committer = fresh.issuer
    fresh.commit_set(10 * LEAST_BOND)
    with refused("approvals: the committer does not judge its own"):
        fresh.open_round()


def test_without_prices_no_approval_is_for_a_sale() -> None:
    approving = open_approving(priced=False)
    approving.commit_set()
    with refused("approvals: amount out of range"):
        approving.open_round(cap=1)


def test_the_beginning(fresh: Approving) -> None:
    with refused("approvals: not to begin now"):
        fresh.approvals("begin", fresh.test_set)
    fresh.world.engine.now = fresh.row_of_set("until")
    with refused("approvals: nothing was submitted"):
        fresh.approvals("draw", fresh.test_set)
    fresh.world.engine.now -= 1
    fresh.open_round()
    fresh.hours(1)
    fresh.approvals("draw", fresh.test_set)
    with refused("approvals: asked for already"):
        fresh.approvals("draw", fresh.test_set)
    with refused("approvals: no seed yet"):
        fresh.approvals("begin", fresh.test_set)
    assert fresh.approvals("seed_of", fresh.test_set) == bytes(32)
    seed = fresh.seed(fresh.row_of_set("draw"))
    fresh.approvals("begin", fresh.test_set)
    assert fresh.approvals("seed_of", fresh.test_set) == seed
    with refused("approvals: not to begin now"):
        fresh.approvals("begin", fresh.test_set)


def test_commitments(begun: Approving, attacker: Person) -> None:
    approvals, (one, *_) = begun.approvals, begun.validators
    commitment = begun.commitment(one, True, 850_000, ROOT)
    shown = approvals("commitment_for", begun.round, one.address, True, 850_000, ROOT, SALT)
    assert shown == commitment
    with refused("approvals: not a commitment"):
        approvals("commit", begun.round, bytes(32), by=one.address)
    with refused("approvals: bond too low"):
        approvals("commit", begun.round, ROOT, by=attacker.address)
    with refused("approvals: not the time to commit"):
        approvals("commit", ROOT, ROOT, by=one.address)
    approvals("commit", begun.round, commitment, by=one.address)
    assert approvals("row_of", begun.round, one.address) == (
        LEAST_BOND, 0, False, False, commitment, 0
    )  # fmt: skip
    assert approvals("bond_behind", begun.round, one.address) == LEAST_BOND
    with refused("approvals: committed already"):
        approvals("commit", begun.round, commitment, by=one.address)
    reveal = (begun.round, True, 850_000, ROOT, SALT, "")
    with refused("approvals: not the time to reveal"):
        approvals("reveal", *reveal, by=one.address)
    begun.hours(6)
    with refused("approvals: not the time to commit"):
        approvals("commit", begun.round, ROOT, by=begun.validators[1].address)
    with refused("approvals: not over yet"):
        begun.close(0, 0)
    approvals("reveal", *reveal, by=one.address)
    for other in ((False, 850_000), (True, 850_001)):
        with refused("approvals: not what was committed"):
            approvals("reveal", begun.round, *other, ROOT, SALT, "", by=one.address)
    begun.hours(2)
    with refused("approvals: not the time to reveal"):
        approvals("reveal", *reveal, by=one.address)


def test_scores_are_accuracies_and_reports_have_roots(begun: Approving) -> None:
    one, other = begun.validators[:2]
    for who, score, root in ((one, 1_000_001, ROOT), (other, 1, bytes(32))):
        commitment = begun.commitment(who, True, score, root)
        begun.approvals("commit", begun.round, commitment, by=who.address)
    begun.hours(6)
    with refused("approvals: score out of range"):
        shown = (begun.round, True, 1_000_001, ROOT, SALT, "")
        begun.approvals("reveal", *shown, by=one.address)
    with refused("approvals: not what was committed"):
        shown = (begun.round, True, 1, bytes(32), SALT, "")
        begun.approvals("reveal", *shown, by=other.address)


def test_the_sale_asks_for_a_bond_of_a_fiftieth(begun: Approving) -> None:
    """1,000 tokens of 1,000,000 base units cover a sale of 50,000 tokens' worth."""
    who = begun.validators[0]
    cap = begun.row_of_round("cap")
    begun.price("set_price", cap * TSR // (50 * LEAST_BOND) - 1)
    with refused("approvals: bond too low"):
        begun.approvals("commit", begun.round, ROOT, by=who.address)
    begun.price("set_price", cap * TSR // (50 * LEAST_BOND))
    begun.approvals("commit", begun.round, ROOT, by=who.address)


def test_the_pledge_covers_every_bond(fresh: Approving) -> None:
    fresh.world.wait(1)
    fresh.commit_set(2 * LEAST_BOND)
    fresh.open_round()
    fresh.begin()
    people = [fresh.validator(f"covered {number}") for number in range(3)]
    for who in people[:2]:
        fresh.approvals("commit", fresh.round, ROOT, by=who.address)
    with refused("approvals: the pledge covers no more bonds"):
        fresh.approvals("commit", fresh.round, ROOT, by=people[2].address)
    assert fresh.row_of_set("covered") == fresh.row_of_set("pledge")
    fresh.bonding.bond("enlist", fresh.approvals, by=fresh.committer.address)
    fresh.bonding.stake(fresh.committer, fresh.committer, LEAST_BOND)
    with refused("approvals: the committer does not judge its own"):
        fresh.approvals("commit", fresh.round, ROOT, by=fresh.committer.address)


def test_thirty_two_fill_a_round(begun: Approving) -> None:
    people = [begun.validator(f"one of many {number}") for number in range(33)]
    for who in people[:32]:
        begun.approvals("commit", begun.round, ROOT, by=who.address)
    with refused("approvals: the round is full"):
        begun.approvals("commit", begun.round, ROOT, by=people[32].address)
    begun.hours(8)
    begun.close(32 * LEAST_BOND // 5, 0)
    assert not begun.row_of_round("listed")


def test_five_must_approve_with_two_thirds(begun: Approving) -> None:
    """Four of five have four fifths of the weight, and are too few."""
    *four, five = begun.validators
    begun.judge({**dict.fromkeys(four, (True, 850_000)), five: (False, 700_000)})
    assert not begun.close(LEAST_BOND, 850_000)
    with refused("approvals: closed already"):
        begun.close(LEAST_BOND, 850_000)


def test_who_reveals_nothing_rejects(begun: Approving) -> None:
    """Five approve, and three are silent: five eighths are less than two thirds."""
    silent = [begun.validator(f"silent {number}") for number in range(3)]
    begun.judge(dict.fromkeys(begun.validators, (True, 850_000)), silent=silent)
    assert not begun.close(8 * LEAST_BOND // 5, 850_000)
    assert begun.row_of_round("in_favour") * 8 == begun.row_of_round("weight") * 5
    for who in silent:
        begun.approvals("punish_silence", begun.round, who.address, by=begun.issuer.address)
        assert begun.bonded(who) == LEAST_BOND * 99 // 100
        with refused("approvals: punished already"):
            begun.approvals("punish_silence", begun.round, who.address)
    with refused("approvals: nothing to punish"):
        begun.approvals("punish_silence", begun.round, begun.validators[0].address)


def test_nobody_is_punished_before_the_time_is_over(begun: Approving) -> None:
    (one, *_) = begun.validators
    begun.approvals("commit", begun.round, ROOT, by=one.address)
    begun.hours(8)
    begun.world.engine.now -= 1
    with refused("approvals: not over yet"):
        begun.approvals("punish_silence", begun.round, one.address)


def test_a_whale_counts_a_fifth(begun: Approving) -> None:
    """One with nine tenths of all bonds, and five others: it cannot outvote them."""
    whale = begun.validator("whale", 45 * LEAST_BOND)
    five = dict.fromkeys(begun.validators, (True, 850_000))
    begun.judge({whale: (False, 100_000), **five})
    most = 5 * LEAST_BOND // 4
    for wrong in (most - 1, most + 1, 45 * LEAST_BOND):
        with refused("approvals: not the largest weight"):
            begun.close(wrong, 850_000)
    for wrong in (0, 849_999, 850_001, 100_000):
        with refused("approvals: not the median"):
            begun.close(most, wrong)
    assert begun.close(most, 850_000)
    assert begun.row_of_round("weight") == 5 * most
    assert begun.row_of_round("approving") == 5 * LEAST_BOND


def test_nobody_came(begun: Approving) -> None:
    begun.hours(8)
    with refused("approvals: not the median"):
        begun.close(0, 1)
    assert not begun.close(0, 0)
    assert begun.approvals("penalty_bps", begun.round) == 0


def test_constructor(fresh: Approving) -> None:
    bond = fresh.bonding.bond
    head = (fresh.bonding.token, fresh.world.registry, bond, fresh.draws, fresh.court)
    for hour, least, reason in (
        (0, 1, "hour and bond must not be 0"),
        (HOUR, 0, "hour and bond must not be 0"),
        (HOUR + 1, 1, "bonds leave too early"),
    ):
        with refused(f"approvals: {reason}"):
            deployed(
                fresh.world.engine, compiled("Approvals"), *head, fresh.bad_counts, NOBODY,
                hour, least, by=fresh.issuer.address,
            )  # fmt: skip
    for hour, cost in ((0, COST), (1, 0)):
        with refused("court: hour and cost must not be 0"):
            deployed(
                fresh.world.engine, compiled("Court"), fresh.bonding.token, fresh.jury,
                fresh.draws, fresh.approvals, hour, cost, by=fresh.issuer.address,
            )  # fmt: skip
    for hour, least in ((0, 1), (1, 0)):
        with refused("jury: hour and bond must not be 0"):
            deployed(
                fresh.world.engine, compiled("Jury"), bond, fresh.draws, fresh.approvals, hour,
                least, by=fresh.issuer.address,
            )  # fmt: skip
