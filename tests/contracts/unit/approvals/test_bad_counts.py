"""The largest count that shows a bad model, proved on the chain by whole numbers."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from rig.approving import KEEPER
from rig.compiling import compiled
from rig.contract import Contract, deployed, refused
from rig.engines import new_engine

from tessera.errors import InputError
from tessera.spec.bad_counts import bad_count, proves

PAIRS = [(100, 780_000), (100, 70_000), (257, 123_457), (1_000, 780_000), (1_000, 999_999)]


@pytest.fixture(scope="module")
def counts() -> Contract:
    return deployed(new_engine(), compiled("BadCounts"), by=KEEPER.address)


@pytest.mark.parametrize(("items", "least"), PAIRS)
def test_only_the_largest_is_proved(counts: Contract, items: int, least: int) -> None:
    largest = bad_count(items, least)
    for other in {largest - 1, largest + 1, items} - {-1}:
        assert not proves(items, least, other)
        with refused("bad_counts: not the largest bad count"):
            counts("prove", items, least, other)
    assert not counts("known", items, least)
    counts("prove", items, least, largest)
    assert proves(items, least, largest)
    assert counts("known", items, least)
    assert counts("is_bad", items, least, largest)
    assert not counts("is_bad", items, least, largest + 1)


def test_the_specifications_own_number() -> None:
    assert bad_count(1_000, 780_000) == 738


@pytest.mark.parametrize(("items", "least"), [(100, 780_000), (101, 333_333)])
def test_it_is_the_bound_of_clopper_and_pearson(items: int, least: int) -> None:
    """The bound is where the tail is 1/1000: it is below `least` as long as the tail is there."""
    p = Fraction(least, 10**6)

    def tail(correct: int) -> Fraction:
        terms = (comb(items, k) * p**k * (1 - p) ** (items - k) for k in range(correct + 1))
        return sum(terms, Fraction(0))

    largest = bad_count(items, least)
    assert tail(largest) < Fraction(1, 1_000) <= tail(largest + 1)


def test_a_threshold_that_nothing_shows(counts: Contract) -> None:
    """None of 100 right does not show an accuracy below 3 %, so no such round can be opened."""
    assert bad_count(100, 30_000) == -1
    with refused("bad_counts: not the largest bad count"):
        counts("prove", 100, 30_000, 0)
    with refused("bad_counts: prove it first"):
        counts("is_bad", 100, 30_000, 0)


@pytest.mark.parametrize("items", [99, 4_097])
def test_items_out_of_range(counts: Contract, items: int) -> None:
    with refused("bad_counts: number of items out of range"):
        counts("prove", items, 780_000, 1)
    with pytest.raises(InputError):
        bad_count(items, 780_000)


@pytest.mark.parametrize("least", [0, 1_000_000])
def test_thresholds_out_of_range(counts: Contract, least: int) -> None:
    with refused("bad_counts: threshold out of range"):
        counts("prove", 100, least, 1)
    with pytest.raises(InputError):
        bad_count(100, least)
