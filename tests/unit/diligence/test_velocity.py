"""Step 5 from end to end: ages, survival, turnover and what lies on exchanges."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.diligence.markets import TOKEN, address, history, named, view_of

from tessera.diligence.lots import Ages
from tessera.diligence.results import Status
from tessera.diligence.velocity import liquidity_of, measure, survival
from tessera.facts import Row, Transfers

CEX, POOL, STAKE = 201, 205, 202
LABELS = {CEX: "exchange", POOL: "dex_pool", STAKE: "staking"}


def answers(moves, until, **more):
    return named(measure(view_of(moves, until, **more)))


def ages(*amounts: int) -> Ages:
    return Ages(60, np.array([[amount, 0] for amount in amounts], np.uint64))


def test_ages_by_hand():
    moves = [(0, 0, 1, 10), (4, 0, 1, 10), (10, 1, 2, 15)]
    found = answers(moves, 12)
    assert found["hold_fifo"].value == pytest.approx((10 * 10 + 5 * 6) / 15)
    assert found["hold_median_fifo"].value == pytest.approx(10, abs=1e-3)
    # At 6 days 5 of 20 + 15 lots' units go, the open ones of 2 days having left before.
    assert found["hold_km"].value == pytest.approx(10, abs=1e-3)
    assert found["coin_days_destroyed"].value == 130
    assert found["dormancy"].value == pytest.approx(130 / 15)
    assert found["liveliness"].value == pytest.approx(130 / (130 + 5 * 8 + 15 * 2))
    assert found["turnover"].value == pytest.approx(15 / 20)
    assert found["turnover"].parts["per_year"] == pytest.approx(15 / 20 * 365 / 30)


def test_kaplan_and_meier_by_hand():
    # At risk 10: 2 go at 0, then 3 are censored, 4 of 5 go at 2.
    found = survival(ages(2, 0, 4), ages(0, 3, 1))
    assert found is not None
    assert found.share.tolist() == pytest.approx([0.8, 0.8, 0.8 * (1 - 4 / 5)])
    assert found.median == 120
    assert found.after(61, 60) == pytest.approx(0.8)
    assert survival(ages(0, 0), ages(0, 0)) is None


def test_survival_that_stays_above_half_has_no_median():
    found = survival(ages(1, 0, 0), ages(0, 1, 1))
    assert found is not None
    assert found.median is None
    assert found.longest == 120
    exactly = (
        survival(ages(0, 1), ages(0, 0, 1)) if False else survival(ages(0, 1, 0), ages(0, 0, 1))
    )
    assert exactly is not None
    assert exactly.median == 60


def test_attack_a_young_token_is_not_made_short_by_those_who_sell():
    """Spent-only ages call every young token a speculation, since holders are left out.

    A tenth sells after a day, nine tenths hold: the mean is a day, and the verdict looks at the
    estimate that counts who still holds.
    """
    moves = [(0.0, 0, n, 10) for n in range(1, 11)] + [(1, 1, 99, 10)]
    found = answers(moves, 60)
    assert found["hold_fifo"].value == pytest.approx(1)
    km = found["hold_km"]
    assert km.status == Status.INSUFFICIENT
    assert km.value is None
    assert km.parts["longest_days"] == pytest.approx(60, abs=0.01)
    assert km.parts["still_held"][3] == pytest.approx(1 - 1 / 11)


def test_mean_and_median_tell_apart_what_they_are():
    moves = [(0, 0, 1, 45), (100, 0, 2, 55), (100, 1, 3, 45), (101, 2, 3, 55)]
    found = answers(moves, 101)
    assert found["hold_fifo"].value == pytest.approx(45 + 0.55)
    assert found["hold_median_fifo"].value == pytest.approx(1, abs=0.01)


def test_what_is_staked_is_still_held():
    moves = [(0, 0, 1, 10), (2, 1, STAKE, 10), (90, STAKE, 1, 10), (100, 1, 2, 10)]
    assert answers(moves, 100, labels=LABELS)["hold_fifo"].value == pytest.approx(100)


def test_pools_own_token_tells_liquidity_from_trades():
    moves = history((0, 0, 1, 10), (2, 1, POOL, 10), (3, 1, POOL, 1), (6, POOL, 1, 10))
    pool = moves.addresses.id_of(address(POOL))
    # The pool's token is minted in the transaction of row 1 and burned in that of row 3.
    own = Transfers.of(
        address(POOL),
        [
            Row(int(moves.block[1]), int(moves.time[1]), 1, 90, address(0), address(0), 1),
            Row(int(moves.block[1]), int(moves.time[1]), 1, 91, address(0), address(1), 5),
            Row(int(moves.block[3]), int(moves.time[3]), 3, 92, address(POOL), address(0), 5),
        ],
    )
    assert liquidity_of(moves, {pool: own}).tolist() == [0, 1, 0, 2]
    assert liquidity_of(moves, {}) is None


def test_liquidity_reaches_the_ages():
    moves = [(0, 0, 1, 10), (2, 1, POOL, 10), (6, POOL, 1, 10), (10, 1, 2, 10)]
    own = Transfers.of(
        address(POOL),
        [
            Row(1 + 2 * 7200, 1_767_225_600 + 2 * 86_400, 1, 90, address(0), address(1), 5),
            Row(1 + 6 * 7200, 1_767_225_600 + 6 * 86_400, 2, 92, address(POOL), address(0), 5),
        ],
    )
    blind = answers(moves, 10, labels=LABELS)["hold_fifo"]
    assert blind.value == pytest.approx((2 + 4 + 4) / 3)
    assert blind.parts["without_hubs"] == pytest.approx(3)
    assert "adding liquidity" in blind.coverage.missing[0]
    seen = answers(moves, 10, labels=LABELS, others=[own])["hold_fifo"]
    assert seen.value == pytest.approx(10)


def test_exchange_share_is_a_range():
    moves = [(0, 0, 1, 60), (0, 0, CEX, 40)]
    found = answers(moves, 5, labels=LABELS)["exchange_share"]
    assert found.value == pytest.approx(0.4)
    assert found.parts["high"] == pytest.approx(0.4)


def test_where_no_exchange_is_labelled_nobody_knows():
    found = answers([(0, 0, 1, 60)], 5)["exchange_share"]
    assert found.status == Status.UNKNOWN
    assert found.parts["high"] == 0


def test_attack_an_exchange_without_a_label_widens_the_range():
    """A new hot wallet is in no table: the share by labels is a lower bound, and says so."""
    moves = [(0.0, 0, n, 100) for n in range(300, 330)] + [(0.0, 0, CEX, 1)]
    moves += [(5 + n / 100, n, n + 100, 100) for n in range(300, 330)]
    moves += [(6 + n / 100, n + 100, 77, 100) for n in range(300, 330)]
    moves += [(30 + n / 100, 77, n + 500, 10) for n in range(300, 330)]
    found = answers(sorted(moves), 40, labels=LABELS)["exchange_share"]
    assert found.value == pytest.approx(1 / 3001)
    assert found.parts["high"] == pytest.approx(2701 / 3001)
    assert found.evidence[0].where == address(77)


def test_turnover_counts_neither_steps_through_routers_nor_ones_own_wallets():
    labels = dict.fromkeys((5, 6), "team")
    moves = [(0, 0, 1, 100), (0, 0, 5, 50), (35, 5, 6, 50), (36, 1, 2, 10)]
    assert answers(moves, 40, labels=labels)["turnover"].parts["moved"] == 10


def test_attack_circles_are_no_turnover():
    """Three wallets send the same tokens round and round, to look traded."""
    moves = [(0.0, 0, 1, 100), (0.0, 0, 9, 900)]
    for lap in range(6):
        moves += [(20 + lap + n / 10, n, n % 3 + 1, 100) for n in (1, 2, 3)]
    moves.append((30, 9, 8, 40))
    found = answers(moves, 31)["turnover"]
    assert found.parts["gross"] == 18 * 100 + 40
    assert found.parts["moved"] == 40
    assert found.value == pytest.approx(40 / 1000)


def test_velocity_is_a_years_dollars_over_the_mean_market_value(tmp_path):
    """Ten of a hundred tokens move in 73 days, at two dollars: half a turn a year.

    A router's step in the same transaction is no volume.
    """
    file = tmp_path / "prices.csv"
    days = [f"{TOKEN},{date(2026, 1, 1) + timedelta(days=n)},2" for n in range(74)]
    file.write_text("\n".join(["token,date,price", *days]))
    moves = [(0, 0, 1, 100), (20, 1, 2, 10)]
    found = answers(moves, 73, prices=file, decimals=0)["velocity"]
    assert found.value == pytest.approx(10 / 100 * 365 / 73, rel=1e-4)
    assert found.parts["market_value_usd"] == pytest.approx(200, rel=1e-4)
    assert answers(moves, 73, decimals=0)["velocity"].status == Status.UNKNOWN
    assert answers(moves, 25, prices=file, decimals=0)["velocity"].status == Status.INSUFFICIENT


def test_an_incomplete_history_gives_no_value():
    found = answers([(0, 0, 1, 10), (1, 1, 2, 11)], 5)
    assert {metric.status for metric in found.values()} == {Status.UNKNOWN}
    assert {metric.status for metric in answers([], 5).values()} == {Status.INSUFFICIENT}


def test_as_of_a_block_the_future_may_be_anything():
    past = [(0, 0, 1, 10), (4, 0, 1, 10), (10, 1, 2, 15)]
    one = view_of([*past, (15, 2, 3, 15), (16, 3, 1, 9)], 20)
    two = view_of([*past, (13, 1, 4, 1), (19, 2, 0, 2)], 20)
    block = 1 + 12 * 7200
    seen = [
        {
            metric.name: (metric.value, metric.inputs_hash)
            for metric in measure(type(one)(view.facts.as_of(block), view.subject))
        }
        for view in (one, two)
    ]
    assert seen[0] == seen[1]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_survival_never_rises_and_ends_at_nothing_where_nothing_is_open(gone, data):
    held = data.draw(st.lists(st.integers(0, 9), min_size=len(gone), max_size=len(gone)))
    found = survival(ages(*gone), ages(*held))
    if found is None:
        return
    assert (np.diff(found.share) <= 1e-15).all()
    if not any(held):
        assert found.share[-1] == pytest.approx(0, abs=1e-12)
        assert found.median is not None
