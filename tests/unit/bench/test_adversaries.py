"""What dishonesty earns in a subnet: what loses, and the two things that still pay."""

from __future__ import annotations

from bench.adversaries.bonds import approvals
from bench.adversaries.demand import washers
from bench.adversaries.epochs import World
from bench.adversaries.models import sybils, two_faced
from bench.adversaries.validators import cabals, validators

SMALL = World(validators=8, models=10, epochs=25)


def test_who_does_not_measure_earns_less_but_whoever_copies_may_not() -> None:
    """Weights are committed, so what is copied is an epoch old; where models change little that is
    nearly as good as measuring, and costs nothing. The table says so instead of hiding it."""
    rows = validators(SMALL, range(1, 3), cost=0.1)
    copied = [row for row in rows if row.strategy.startswith("copies")]
    lazy = [row for row in rows if not row.strategy.startswith("copies")]
    assert len(copied) == 3
    assert len(lazy) == 9
    assert all(row.earns > max(each.earns for each in lazy) for row in copied)
    assert any(row.pays for row in copied)
    assert all(row.earns < row.honest - 2 * row.error for row in lazy)


def test_attack_a_cabal_below_half_of_the_stake_brings_its_bad_model_nothing() -> None:
    rows = cabals(SMALL, range(1, 3), cost=0.1)
    assert [row.earns < 0.05 for row in rows] == [True] * 6


def test_attack_a_model_that_answers_well_for_validators_alone() -> None:
    all_known, half, fifth = two_faced(range(1, 2), draws=100)
    assert all_known.earns == 0.0
    assert fifth.earns < all_known.honest / 2 > half.earns
    assert all_known.honest >= 0.97, "of honest models as good as none is accused"


def test_attack_many_uids_for_one_model_pay_where_nobody_looks() -> None:
    rows = sybils(SMALL, range(1, 3), burn=0.2)
    looked, unlooked = rows[1::2], rows[::2]
    assert any(row.pays for row in unlooked)
    assert not any(row.pays for row in looked)


def test_attack_who_tells_on_himself_still_loses_four_fifths() -> None:
    rows = approvals()
    assert rows[0].earns == -0.8
    assert not any(row.pays for row in rows)
    # Worse than specified (-0.02 and -0.20): of a bad approval's slash nothing comes back.
    sold = [round(row.earns, 2) for row in rows if "for its seller" in row.strategy]
    assert sold == [-0.05, -0.25]


def test_attack_washing_pays_only_where_tsr_more_than_doubled() -> None:
    *washed, pumped = washers()
    earned = [round(row.earns, 6) for row in washed]
    assert earned == [-0.5, -0.45, -0.25, -0.05, 0.0, 0.5]
    assert [row.pays for row in washed] == [False] * 5 + [True]
    assert -0.01 < pumped.earns < 0


def test_the_same_seed_gives_the_same_table() -> None:
    assert cabals(SMALL, range(3, 4), 0.1) == cabals(SMALL, range(3, 4), 0.1)
