"""Amounts are exact whatever their size, and wide enough for the sum of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import DataError
from tessera.facts.amounts import WIDTHS, Amounts
from tessera.units import MAX_UINT256

amounts = st.one_of(
    st.integers(0, MAX_UINT256),
    st.integers(0, 2**64),
    st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**64 - 1, 2**64, 2**128 - 1, 2**128, MAX_UINT256]),
)


@given(st.lists(amounts, max_size=40))
def test_amounts_come_out_as_they_went_in(values):
    held = Amounts.of(values)
    assert held.tolist() == list(held) == [held[i] for i in range(len(held))] == values
    assert held.total() == sum(values)


@given(st.lists(amounts, max_size=40))
def test_the_width_is_the_least_that_holds_the_sum(values):
    held = Amounts.of(values)
    assert held.width == min(w for w in WIDTHS if sum(values) < 2 ** (64 * w))


@given(st.lists(st.tuples(amounts, st.integers(0, 6)), max_size=60))
def test_sums_by_group_are_those_of_python(rows):
    held = Amounts.of([amount for amount, _ in rows])
    groups = np.array([group for _, group in rows], np.int32)
    wanted = [sum(a for a, g in rows if g == group) for group in range(7)]
    assert held.totals_by(groups, 7) == wanted


@given(st.lists(amounts, min_size=1, max_size=30), st.data())
def test_selections_hold_what_lists_would(values, data):
    held = Amounts.of(values)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    low = data.draw(st.integers(0, len(values)))
    at = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), max_size=80)), np.int64)
    assert held[mask].tolist() == [v for v, chosen in zip(values, mask, strict=True) if chosen]
    assert held[low:].tolist() == values[low:]
    assert held[low:].total() == sum(values[low:])
    assert held[at].tolist() == [values[i] for i in at]
    # A row taken many times: the width grows rather than the sum wrapping.
    assert held[at].total() < 2 ** (64 * held[at].width)


@given(st.lists(amounts, max_size=20), st.lists(amounts, max_size=20))
def test_joined_amounts_follow_each_other(first, second):
    assert Amounts.joined([Amounts.of(first), Amounts.of(second)]).tolist() == first + second


@given(st.lists(amounts, min_size=1, max_size=20))
def test_equal_amounts_are_equal_however_wide(values):
    held = Amounts.of(values)
    wide = np.zeros((len(values), 5), np.uint64)
    wide[:, : held.width] = held.limbs
    assert Amounts(wide) == held
    assert Amounts.of([*values[:-1], values[-1] ^ 1]) != held


@given(st.lists(amounts, min_size=1, max_size=20))
def test_approximations_are_as_near_as_a_float(values):
    assert Amounts.of(values).approximate() == pytest.approx([float(v) for v in values], rel=1e-15)


def test_arrays_of_integers_are_taken_as_they_are():
    assert Amounts.of(np.array([3, 2**62], np.int64)).tolist() == [3, 2**62]
    assert Amounts.of(np.array([2**64 - 1], np.uint64)).tolist() == [2**64 - 1]


def test_a_group_may_be_larger_than_what_a_float_sums_exactly():
    limbs = np.full((5_000_000, 1), 2**32 - 1, np.uint64)
    groups = np.zeros(len(limbs), np.int8)
    assert Amounts(limbs).totals_by(groups, 2) == [5_000_000 * (2**32 - 1), 0]


@pytest.mark.parametrize("wrong", [-1, 2**256])
def test_what_is_no_amount_is_refused_by_its_row(wrong):
    with pytest.raises(DataError, match="amount 1: found") as refused:
        Amounts.of([5, wrong])
    assert refused.value.operands["row"] == 1


def test_a_negative_amount_in_an_array_is_refused():
    with pytest.raises(DataError, match="found -7"):
        Amounts.of(np.array([1, -7]))


def test_a_hostile_token_moves_more_than_exists_and_nothing_wraps():
    """An attacker's contract logs 2**256 - 1 again and again; no kernel may sum that to little."""
    held = Amounts.of([MAX_UINT256] * 3)
    assert held.width == 5
    assert held.total() == 3 * MAX_UINT256
    assert held.totals_by(np.zeros(3, np.int64), 1) == [3 * MAX_UINT256]
