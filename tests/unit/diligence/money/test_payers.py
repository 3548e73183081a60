"""Payers: shares by hand, and who is fresh."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.diligence.money.payers import FRESH_S, concentration, freshness, retention


def test_one_payer_pays_all() -> None:
    found = concentration([7])
    assert found is not None
    assert (found.count, found.top, found.hhi, found.entropy) == (1, 1.0, 1.0, 0.0)
    assert found.effective == 1.0


def test_shares_by_hand() -> None:
    """6, 3 and 1 of 10; who paid nothing is no payer."""
    found = concentration([6, 0, 3, 1])
    assert found is not None
    assert (found.count, found.top) == (3, 1.0)
    assert found.hhi == pytest.approx(0.36 + 0.09 + 0.01)
    by_hand = -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1))
    assert found.entropy == pytest.approx(by_hand)


def test_ten_of_twenty_equal_payers_pay_half() -> None:
    found = concentration([5] * 20)
    assert found is not None
    assert (found.top, found.hhi) == (0.5, pytest.approx(0.05))
    assert found.effective == pytest.approx(20)


def test_amounts_of_any_size_are_weighed() -> None:
    """A whale of 2^256 - 1 beside dust: sums are exact, and nothing overflows."""
    found = concentration([2**256 - 1, 1])
    assert found is not None
    assert (found.top, found.hhi) == (1.0, 1.0)
    assert 0 <= found.entropy < 1e-60


def test_nobody_paid() -> None:
    assert concentration([]) is None
    assert concentration([0, 0]) is None


@given(st.lists(st.integers(0, 10**30), min_size=1), st.integers(1, 10**12))
def test_a_unit_of_account_changes_nothing(paid: list[int], factor: int) -> None:
    one, other = concentration(paid), concentration([factor * each for each in paid])
    if one is None or other is None:
        assert one is other
        return
    assert other.count == one.count
    assert other.hhi == pytest.approx(one.hhi)
    assert other.top == pytest.approx(one.top)
    assert other.entropy == pytest.approx(one.entropy, abs=1e-9)
    assert 1 / one.count <= one.hhi * (1 + 1e-12)


def test_who_comes_back() -> None:
    assert retention([1, 2, 3, 4], [2, 4, 9]) == 0.5
    assert retention([], [1]) is None
    assert retention([1], []) == 0


def test_a_wallet_that_is_as_young_as_its_payment_is_fresh() -> None:
    """Funded six days before: fresh. Seven: not. Undated ones are counted apart, not as old."""
    found = freshness(
        {1: 100, 2: 10, 3: 1},
        {1: FRESH_S - 1, 2: FRESH_S, 3: 5},
        {1: 0, 2: 0},
    )
    assert (found.fresh, found.dated, found.total) == (100, 110, 111)
