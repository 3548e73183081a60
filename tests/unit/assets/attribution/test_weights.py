"""Whole numbers out of values: they sum exactly, and the rule is the one that is stated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.assets.attribution.weights import weights_of
from tessera.errors import InputError


def test_thirds_go_by_largest_remainder_and_then_by_order() -> None:
    assert weights_of([1.0, 1.0, 1.0]) == (3_334, 3_333, 3_333)
    assert weights_of([1.0, 1.0, 1.0, 3.0], 7) == (1, 1, 1, 4)
    assert weights_of([0.2, 0.5, 0.3]) == (2_000, 5_000, 3_000)


def test_a_negative_value_counts_as_nothing() -> None:
    assert weights_of([0.5, -0.25, 0.5]) == (5_000, 0, 5_000)


def test_where_nobody_adds_anything_there_is_nothing_to_divide() -> None:
    with pytest.raises(InputError, match="none above 0"):
        weights_of([0.0, -1.0])


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=40).filter(lambda v: max(v) > 0),
    st.integers(1, 10_000),
)
def test_weights_sum_exactly_and_stay_within_one_of_their_part(
    values: list[float], total: int
) -> None:
    weights = weights_of(values, total)
    assert sum(weights) == total
    whole = sum(max(0.0, value) for value in values)
    for value, weight in zip(values, weights, strict=True):
        assert abs(weight - max(0.0, value) * total / whole) < 1 + 1e-6
        assert weight >= 0
        if value <= 0:
            assert weight == 0
