"""What is settled when, and how much is served before: promises over random books and prices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import RiskReached
from tessera.payments.risk import (
    BATCH_GAS,
    Due,
    Exposures,
    GasPrice,
    Plan,
    RiskRules,
    plan,
)
from tessera.units import BPS

NOW = 1_800_000_000
RULES = RiskRules(
    channel_units=20_000_000,
    payer_units=50_000_000,
    at_risk_units=10_000_000,
    every_s=3_600,
    fee_bps=500,
    delay_s=86_400,
)
FREE = GasPrice(0, 0)
# 1 gwei, and a coin that is worth 3,000: a voucher of 20,000 gas costs 0.06.
CHEAP = GasPrice(10**9, 3_000_000_000)
SPIKE = GasPrice(500 * 10**9, 3_000_000_000)

amounts = st.integers(1, 30_000_000)
deadlines = st.one_of(st.just(0), st.integers(NOW - 1_000, NOW + 90_000))
dues = st.lists(
    st.builds(
        Due,
        channel=st.integers(0, 2**64 - 1),
        payer=st.integers(0, 5),
        value=amounts,
        at_stake=amounts,
        lines=st.integers(1, 16),
        leaves_at=deadlines,
        grant_ends=deadlines,
    ),
    max_size=30,
    unique_by=lambda due: due.channel,
)
prices = st.builds(GasPrice, st.integers(0, 10**12), st.sampled_from([0, 1, 3_000_000_000]))
ages = st.floats(0, 10_000)


def settled(found: Plan) -> list[int]:
    return [channel for group in found.groups for channel in group.channels]


@given(dues, ages, prices)
def test_no_plan_costs_more_than_it_brings(found: list[Due], age: float, price: GasPrice) -> None:
    by_channel = {due.channel: due for due in found}
    for group in plan(found, NOW, age, price, RULES).groups:
        members = [by_channel[channel] for channel in group.channels]
        gas = BATCH_GAS + sum(due.gas for due in members)
        assert price.cost_ceil(gas) <= group.value == sum(due.value for due in members)
        if group.fee_ceiling is not None:
            assert group.fee_ceiling >= price.wei
            assert GasPrice(group.fee_ceiling, price.coin_units).cost_ceil(gas) <= group.value


@given(dues, ages, prices)
def test_every_channel_is_settled_once_or_waits(
    found: list[Due], age: float, price: GasPrice
) -> None:
    made = plan(found, NOW, age, price, RULES)
    named = [*settled(made), *made.too_dear]
    assert len(named) == len(set(named))
    assert set(named) <= {due.channel for due in found}
    if age >= RULES.every_s:
        assert set(named) == {due.channel for due in found}


@given(dues, ages)
def test_where_gas_is_free_nothing_is_too_dear_and_nobody_leaves_unsettled(
    found: list[Due], age: float
) -> None:
    made = plan(found, NOW, age, FREE, RULES)
    assert not made.too_dear
    assert {due.channel for due in found if due.leaves_at} <= set(settled(made))


@given(dues, ages, prices)
def test_who_leaves_is_settled_before_all_others(
    found: list[Due], age: float, price: GasPrice
) -> None:
    """In haste, whatever is worth more than its own transaction costs is sent behind the margin,
    the earliest deadline first."""
    late = [due for due in found if due.leaves_at and due.leaves_at <= NOW + RULES.margin_s]
    made = plan(found, NOW, age, price, RULES)
    for due in late:
        if due.value > price.cost_ceil(BATCH_GAS) + price.cost_ceil(due.gas):
            assert due.channel in made.groups[0].channels


@given(amounts, prices)
def test_haste_grows_as_the_time_left_shrinks(value: int, price: GasPrice) -> None:
    """What was worth its fee is worth it later, too: nobody gains by having us wait."""
    due = Due(1, "payer", value, value, leaves_at=NOW + RULES.delay_s)
    sent = [
        bool(plan([due], NOW + waited, 0, price, RULES).groups)
        for waited in range(0, RULES.delay_s + 1, 3_600)
    ]
    assert sent == sorted(sent)


def test_calm_settlements_wait_for_time_or_amount() -> None:
    due = Due(1, "payer", 5_000_000, 5_000_000)
    assert plan([due], NOW, 0, FREE, RULES) == Plan()
    assert settled(plan([due], NOW, 3_600, FREE, RULES)) == [1]
    assert settled(plan([due, replace(due, channel=2)], NOW, 0, FREE, RULES)) == [1, 2]


def test_a_cap_that_is_near_settles_that_payer_alone() -> None:
    near = Due(1, "payer", 4_000_000, 16_000_000)
    other = Due(2, "other", 1_000_000, 1_000_000)
    assert settled(plan([near, other], NOW, 0, FREE, RULES)) == [1]
    halves = [Due(n, "payer", 100, 13_400_000) for n in (3, 4, 5)]
    assert settled(plan([*halves, other], NOW, 0, FREE, RULES)) == [3, 4, 5]


def test_in_a_gas_spike_the_calm_wait_and_the_leaving_pay() -> None:
    calm = Due(1, "payer", 9_000_000, 9_000_000)
    assert settled(plan([calm], NOW, 9_999, CHEAP, RULES)) == [1]
    assert plan([calm], NOW, 9_999, SPIKE, RULES) == Plan(too_dear=(1,))
    rich = Due(2, "other", 150_000_000, 9_000_000, leaves_at=NOW + RULES.delay_s)
    assert plan([rich], NOW, 0, SPIKE, RULES).too_dear == (2,)
    assert settled(plan([rich], NOW + RULES.delay_s - RULES.margin_s, 0, SPIKE, RULES)) == [2]


def test_dust_waits_for_ever_and_says_so() -> None:
    dust = Due(1, "payer", 1_000, 1_000, leaves_at=NOW)
    assert plan([dust], NOW, 10**9, CHEAP, RULES) == Plan(too_dear=(1,))


def test_many_small_vouchers_share_what_a_transaction_costs() -> None:
    small = [Due(n, n, 1_500_000, 1_500_000) for n in range(100)]
    assert plan(small[:1], NOW, 9_999, CHEAP, RULES).too_dear == (0,)
    assert len(settled(plan(small, NOW, 9_999, CHEAP, RULES))) == 100


def test_a_grant_that_ends_before_the_next_round_is_settled_now() -> None:
    due = Due(1, "payer", 1_000, 1_000, grant_ends=NOW + 4_199)
    assert settled(plan([due], NOW, 0, FREE, RULES)) == [1]
    assert plan([replace(due, grant_ends=NOW + 4_201)], NOW, 0, FREE, RULES) == Plan()


# --- What is served before ---------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 100))))
def test_a_payers_total_is_the_sum_of_his_channels(notes: list[tuple[int, bool, int]]) -> None:
    exposures = Exposures(RULES)
    kept = dict.fromkeys(range(10), 0)
    for channel, absolute, amount in notes:
        if absolute:
            exposures.note(channel % 4, channel, amount)
            kept[channel] = amount
        else:
            exposures.move(channel % 4, channel, amount)
            kept[channel] += amount
    for payer in range(4):
        assert exposures.of_payer(payer) == sum(v for c, v in kept.items() if c % 4 == payer)
    assert exposures.total == sum(kept.values())
    for channel in kept:
        exposures.note(channel % 4, channel, 0)
    assert not exposures._channels
    assert not exposures._payers


def test_no_payer_gets_more_than_is_risked_over_however_many_channels() -> None:
    asked: list[bool] = []
    exposures = Exposures(RULES, retry_after_s=15)
    exposures.on_reached(lambda: asked.append(True))
    for channel in range(5):
        exposures.note("payer", channel, 9_000_000)
    exposures.check("payer", 9, 5_000_000)
    with pytest.raises(RiskReached) as refused:
        exposures.check("payer", 9, 5_000_001)
    assert refused.value.operands["retry_after_s"] == 15
    exposures.check("other", 9, 20_000_000)
    exposures.note("other", 9, 19_000_000)
    with pytest.raises(RiskReached):
        exposures.check("other", 9, 1_000_001)
    assert asked == [True, True]
    exposures.note("other", 9, 0)
    exposures.check("other", 9, 20_000_000)
    exposures.check("payer", 0, 0)


def test_who_was_refused_is_settled_however_far_from_his_limit_he_is() -> None:
    """His next call may cost more than the room that is left, and that may be most of the limit."""
    exposures = Exposures(RULES)
    exposures.note("payer", 1, 4_000_000)
    exposures.check("payer", 1, RULES.channel_units - 4_000_000)
    due, other = Due(1, "payer", 4_000_000, 4_000_000), Due(2, "other", 4_000_000, 4_000_000)
    free = GasPrice(0, 0)
    assert plan([due, other], NOW, 0, free, RULES, waiting=exposures.waiting).groups == ()
    # No settlement makes room for this one.
    with pytest.raises(RiskReached):
        exposures.check("payer", 1, RULES.channel_units + 1)
    assert not exposures.waiting
    with pytest.raises(RiskReached):
        exposures.check("payer", 1, RULES.channel_units - 3_999_999)
    assert settled(plan([due, other], NOW, 0, free, RULES, waiting=exposures.waiting)) == [1]
    exposures.note("payer", 1, 0)
    assert not exposures.waiting


def test_without_limits_nothing_is_refused() -> None:
    exposures = Exposures()
    exposures.note("payer", 1, 10**18)
    exposures.check("payer", 1, 10**18)
    assert exposures.rules.fee_bps == BPS
