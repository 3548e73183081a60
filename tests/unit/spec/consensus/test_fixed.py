"""The fixed point rounds, saturates and exponentiates as it says; so does its array form."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.spec.consensus import fixed
from tessera.spec.consensus.exponential import steep_sigmoid
from tessera.spec.consensus.fixed import HALF, MAX_RAW, MIN_RAW, ONE

RAW = st.one_of(
    st.integers(MIN_RAW, MAX_RAW),
    st.integers(-2 * ONE, 2 * ONE),
    st.sampled_from([MIN_RAW, MAX_RAW, 0, 1, -1, ONE, -ONE]),
)


def clamped(raw: int) -> int:
    return max(MIN_RAW, min(raw, MAX_RAW))


@given(RAW, RAW)
def test_a_product_rounds_down_and_saturates(a: int, b: int) -> None:
    assert fixed.mul(a, b) == clamped(math.floor(Fraction(a * b, ONE)))


@given(RAW, RAW)
def test_a_quotient_rounds_towards_zero_and_saturates(a: int, b: int) -> None:
    wanted = clamped(math.trunc(Fraction(a * ONE, b))) if b else 0
    assert fixed.div(a, b) == wanted


@given(RAW, RAW)
def test_sums_and_differences_saturate(a: int, b: int) -> None:
    assert fixed.add(a, b) == clamped(a + b)
    assert fixed.sub(a, b) == clamped(a - b)


def test_a_sum_saturates_at_each_step() -> None:
    assert fixed.total([MAX_RAW, 1, -1]) == MAX_RAW - 1


@given(st.integers(0, 65_535))
def test_a_stored_ratio_loses_at_most_one_unit_on_its_way(ratio: int) -> None:
    assert fixed.to_u16(fixed.from_u16(ratio)) in (ratio - 1, ratio)
    assert fixed.from_u16(65_535) == ONE


def test_storing_clamps() -> None:
    assert fixed.to_u16(-1) == 0
    assert fixed.to_u16(3 * ONE) == 65_535


def test_normalising_nothing_changes_nothing() -> None:
    assert fixed.normalised([]) == []
    assert fixed.normalised([0, 0]) == [0, 0]
    assert fixed.normalised([1, 3]) == [ONE // 4, 3 * ONE // 4]


@given(st.integers(-20 * ONE, 20 * ONE))
def test_the_exponential_is_near_the_true_one(raw: int) -> None:
    found, true = fixed.exp(raw) / ONE, math.exp(raw / ONE)
    # 31 terms are too few for large arguments, and the chain's result is what counts.
    assert found == pytest.approx(true, rel=2e-2 if abs(raw) > 8 * ONE else 1e-7, abs=1e-8)


def test_the_exponential_of_the_ends() -> None:
    assert fixed.exp(0) == ONE
    assert fixed.exp(ONE) == 11_674_931_200
    assert fixed.exp(ONE) != fixed.exp(ONE - 1) != fixed.exp(ONE + 1)
    assert fixed.exp(MAX_RAW) == fixed.exp(20 * ONE)
    assert fixed.exp(MIN_RAW) == fixed.exp(-20 * ONE) > 0


@given(st.integers(-32_768, 32_767), st.lists(st.integers(0, ONE), min_size=1, max_size=30))
def test_a_sigmoid_over_arrays_is_the_plain_one(steepness: int, distances: list[int]) -> None:
    slope = -fixed.div(steepness * ONE, 100 * ONE)
    wanted = [fixed.sigmoid(fixed.mul(slope, distance - HALF)) for distance in distances]
    assert steep_sigmoid(np.array(distances), slope, HALF).tolist() == wanted


@pytest.mark.parametrize("steepness", [200, -200, 1_000, 1_600, 4_000, 30_000])
def test_a_sigmoid_over_a_long_array_is_the_plain_one(steepness: int) -> None:
    slope = -(steepness * ONE // 100)
    rng = np.random.default_rng(steepness & 0xFFFF)
    # The exact halves are where the exponent is one, or minus one, or none.
    distances = np.concatenate([rng.integers(0, ONE + 1, 9_000), [0, ONE // 2, ONE, ONE // 4]])
    found = steep_sigmoid(distances, slope, HALF)
    for index in [*range(0, 9_000, 60), *range(9_000, 9_004)]:
        exponent = fixed.mul(slope, int(distances[index]) - HALF)
        assert found[index] == fixed.sigmoid(exponent)


@given(st.lists(st.integers(0, 2**40), max_size=8))
def test_scaling_up_keeps_the_order_and_reaches_the_top(values: list[int]) -> None:
    scaled = fixed.max_upscaled(values)
    assert max(scaled, default=0) == (65_535 if any(values) else 0)
    for before, after in zip(sorted(values), sorted(scaled), strict=True):
        if any(values):
            assert abs(Fraction(before * 65_535, max(values)) - after) <= Fraction(1, 2)
