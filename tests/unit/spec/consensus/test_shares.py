"""A network's emission goes to subnets above the bar, and never to one that may not have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import InputError
from tessera.spec.consensus.shares import SubnetState, emission_shares

STATES = st.builds(
    SubnetState,
    price=st.floats(0, 100),
    burned=st.floats(0, 2),
    enabled=st.booleans(),
    eligible=st.booleans(),
)


@given(st.lists(STATES, max_size=12), st.integers(1, 12))
def test_shares_are_parts_of_one_and_of_those_who_may(states: list[SubnetState], paid: int) -> None:
    shares = emission_shares(states, paid_subnets=paid)
    assert sum(shares) == pytest.approx(1) or not any(shares)
    for state, share in zip(states, shares, strict=True):
        assert 0 <= share <= 1 + 1e-9
        if not (state.enabled and state.eligible) or state.burned >= 1 or not state.price:
            assert share == 0


def test_at_the_bar_half_is_left() -> None:
    same = [SubnetState(1.0), SubnetState(1.0)]
    assert emission_shares(same, bar=0.5) == [0.5, 0.5]
    low, high = emission_shares([SubnetState(1.0), SubnetState(9.0)], bar=0.1)
    assert low == pytest.approx(0.05 / (0.05 + 0.9 / (1 + (1 / 9) ** 3)))
    assert low + high == pytest.approx(1)


def test_a_price_far_below_the_bar_is_paid_nothing_instead_of_failing() -> None:
    assert emission_shares([SubnetState(1e-300), SubnetState(1.0)], bar=0.01) == [0, 1]
    assert emission_shares([]) == []


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(InputError):
        SubnetState(value)
    with pytest.raises(InputError):
        SubnetState(1.0, burned=value)
    with pytest.raises(InputError):
        emission_shares([SubnetState(1.0)], bar=value)
    with pytest.raises(InputError):
        emission_shares([SubnetState(1.0)], steepness=value)
    with pytest.raises(InputError):
        emission_shares([SubnetState(1.0)], paid_subnets=0)
