"""Concentration: by hand, against a slow definition, and what must not change it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.diligence.concentration import concentration, nakamoto

some = st.lists(st.integers(1, 10**30), min_size=1, max_size=40)


def test_by_hand():
    found = concentration([0, 10, 20, 30, 40])
    assert found is not None
    # 2 (10 + 40 + 90 + 160) / (4 x 100) - 5/4
    assert found.gini == pytest.approx(0.25)
    assert found.hhi == pytest.approx(0.01 + 0.04 + 0.09 + 0.16)
    assert (found.holders, found.total, found.top10) == (4, 100, 1.0)
    assert (found.half, found.third) == (2, 1)
    assert found.effective == pytest.approx(1 / 0.3)


def test_more_than_half_is_more_than_half():
    assert nakamoto([50, 50], Fraction(1, 2)) == 2
    assert nakamoto([51, 49], Fraction(1, 2)) == 1
    # A float of 0.33 would be a little less than 33 of 100.
    assert nakamoto([33] + [1] * 67, Fraction(33, 100)) == 2


def test_ten_of_eleven():
    found = concentration([10**27] * 11)
    assert found is not None
    assert found.top10 == 10 / 11
    assert found.gini == 0


def test_one_base_unit_in_27_digits_counts():
    one, other = concentration([10**27, 10**27]), concentration([10**27 + 1, 10**27])
    assert one is not None
    assert other is not None
    assert (one.half, other.half) == (2, 1)


def test_nobody_is_no_concentration():
    assert concentration([]) is None
    assert concentration([0, 0]) is None


@given(some)
def test_the_definitions_by_pairs(amounts: list[int]):
    found = concentration(amounts)
    assert found is not None
    count, total = len(amounts), sum(amounts)
    pairs = sum(abs(a - b) for a in amounts for b in amounts)
    assert found.gini == pytest.approx(float(Fraction(pairs, 2 * count * total)), abs=1e-12)
    assert found.hhi == pytest.approx(sum((a / total) ** 2 for a in amounts))
    assert 1 / count <= found.hhi * (1 + 1e-12) <= 1 + 1e-9


@given(some, st.integers(2, 1000), st.randoms())
def test_neither_unit_nor_order_matter(amounts: list[int], factor: int, random):
    shuffled = [amount * factor for amount in amounts]
    random.shuffle(shuffled)
    one, two = concentration(amounts), concentration(shuffled)
    assert one is not None
    assert two is not None
    assert (one.gini, one.hhi, one.half, one.third) == (two.gini, two.hhi, two.half, two.third)


@given(some)
def test_attack_splitting_a_wallet_hides_concentration(amounts: list[int]):
    """A whale that splits one wallet into many looks like many holders.

    Address level falls for it, which is why entities stand beside it: put together again, nothing
    has changed.
    """
    split = [part for amount in amounts for part in (amount // 2, amount - amount // 2)]
    whole, seen = concentration(amounts), concentration(split)
    assert whole is not None
    assert seen is not None
    assert seen.hhi <= whole.hhi + 1e-12
    together = [a + b for a, b in zip(split[::2], split[1::2], strict=True)]
    assert concentration(together) == whole
