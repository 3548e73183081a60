"""Loops: valid by the definition, found where a search through everything finds one, and greedy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.diligence.circular.loops import LoopRules, Loops, find_loops
from tessera.diligence.circular.payments import Payments
from tessera.errors import InputError

HOUR, DAY, WEEK = 3_600, 86_400, 7 * 86_400
ANY = LoopRules(repeats=1, chance=1e9, channel=2.0, parts_s=0)
"""Every loop counts, chance or not, and nothing but loops."""


def payments(*rows: tuple[int, int, int, float], entities: int = 10) -> Payments:
    """Rows of payer, payee, second and amount, in order."""
    source, target, time, size = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Payments(
        np.array(source, np.int32),
        np.array(target, np.int32),
        np.array(time, np.int64),
        np.array(size, np.float64),
        entities,
    )


def loops(made: Payments, rules: LoopRules = ANY, hubs: tuple[int, ...] = ()) -> Loops:
    hub = np.zeros(made.entities, dtype=np.bool_)
    hub[list(hubs)] = True
    return find_loops(made, hub, None, rules)


def ring(size: int, times: int, *, trip: int = HOUR, amount: float = 100.0) -> Payments:
    rows = [
        (member, (member + 1) % size, turn * WEEK + member * trip // size, amount)
        for turn in range(times)
        for member in range(size)
    ]
    return payments(*rows, entities=max(10, size))


def valid_chain(made: Payments, rows: list[int], window: int, rules: LoopRules) -> bool:
    """Whether payments are a loop by the definition."""
    rows = sorted(rows)
    chained = all(made.target[a] == made.source[b] for a, b in itertools.pairwise(rows))
    sizes = made.size[rows]
    return (
        chained
        and made.target[rows[-1]] == made.source[rows[0]]
        and 2 <= len(rows) <= rules.hops
        and made.time[rows[-1]] - made.time[rows[0]] <= window
        and sizes.max() <= sizes.min() * rules.ratio
    )


def exists(made: Payments, window: int, rules: LoopRules) -> bool:
    """Search through everything for one loop."""

    def closes(chain: list[int]) -> bool:
        if len(chain) >= 2 and made.target[chain[-1]] == made.source[chain[0]]:
            return valid_chain(made, chain, window, rules)
        return len(chain) < rules.hops and any(
            closes([*chain, row])
            for row in range(chain[-1] + 1, len(made))
            if made.source[row] == made.target[chain[-1]] and made.source[row] != made.target[row]
        )

    return any(closes([row]) for row in range(len(made)) if made.source[row] != made.target[row])


def test_a_ring_that_turned_three_times_is_found_whole() -> None:
    found = loops(ring(5, 3), LoopRules())
    assert len(found) == 3
    assert found.payments.all()
    assert sorted(np.bincount(found.loop).tolist()) == [5, 5, 5]


def test_a_ring_that_turned_twice_is_no_habit_yet() -> None:
    assert not loops(ring(5, 2), LoopRules()).payments.any()


def test_wallets_of_one_owner_need_no_habit() -> None:
    made = ring(5, 1)
    hub, owner = np.zeros(10, dtype=np.bool_), np.zeros(10, dtype=np.int32)
    assert find_loops(made, hub, owner).payments.all()


def test_twelve_hops_are_a_loop_and_thirteen_are_none() -> None:
    assert loops(ring(12, 3), LoopRules()).payments.all()
    assert not loops(ring(13, 3), LoopRules()).payments.any()


def test_a_round_trip_of_exactly_a_week_is_within_a_week() -> None:
    rows = [(at % 2, 1 - at % 2, at // 2 * 3 * WEEK + at % 2 * WEEK, 5.0) for at in range(6)]
    assert loops(payments(*rows), LoopRules()).payments.all()
    late = [(s, t, when + (s == 1), size) for s, t, when, size in rows]
    assert not loops(payments(*late), LoopRules()).payments.any()


def test_value_that_arrives_before_it_left_has_not_come_back() -> None:
    rows = [(1, 2, 0, 9.0), (0, 1, 1, 9.0), (2, 0, 2, 9.0)]
    assert not loops(payments(*rows)).payments.any()
    assert loops(payments((0, 1, 0, 9.0), (1, 2, 1, 9.0), (2, 0, 2, 9.0))).payments.all()


@pytest.mark.parametrize(("last", "closes"), [(95.0, True), (105.0, True), (90.0, False)])
def test_sums_lie_within_five_percent_of_one_middle(last: float, closes: bool) -> None:
    found = loops(payments((0, 1, 0, 100.0), (1, 2, 1, 104.0), (2, 0, 2, last)))
    assert found.payments.any() == closes


def test_of_two_loops_the_one_that_closes_first_is_taken_and_no_payment_twice() -> None:
    made = payments((0, 1, 0, 9.0), (1, 0, 5, 9.0), (1, 0, 9, 9.0))
    assert loops(made).loop.tolist() == [0, 0, -1]


def test_what_went_around_is_the_least_payment_of_each_loop() -> None:
    made = payments((0, 1, 0, 100.0), (1, 2, 1, 97.0), (2, 0, 2, 99.0))
    assert loops(made).least.tolist() == [False, True, False]


def test_value_that_passes_an_exchange_each_time_has_come_back() -> None:
    """A channel of one's own through a hub: in by the one, out to the other, week after week."""
    rows = []
    for turn in range(4):
        at = turn * 2 * WEEK
        rows += [(0, 1, at, 50.0), (1, 9, at + 60, 50.0), (9, 0, at + 120, 49.0)]
    found = loops(payments(*rows), LoopRules(), hubs=(9,))
    assert found.payments.all()


def test_an_exchange_closes_no_loop_by_itself() -> None:
    """Whoever withdraws what he deposited is a customer; so is a payer whose payee cashes in."""
    rows = []
    for turn in range(6):
        at = turn * WEEK
        rows += [(0, 9, at, 50.0), (9, 0, at + 60, 50.0)]
        for payer in (1, 3, 4, 5):
            day = at + payer * DAY
            rows += [(9, payer, day, 20.0), (payer, 2, day + 60, 20.0), (2, 9, day + 120, 20.0)]
    made = sorted(rows, key=lambda row: row[2])
    assert not loops(payments(*made), LoopRules(), hubs=(9,)).payments.any()


def test_a_market_without_payments_has_no_loops() -> None:
    assert len(loops(payments())) == 0
    assert len(loops(payments((0, 0, 0, 5.0), (0, 1, 0, 0.0)))) == 0


def test_payments_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="times that fall"):
        payments((0, 1, 5, 1.0), (1, 0, 4, 1.0))
    with pytest.raises(InputError, match="0 to 9"):
        payments((0, 10, 5, 1.0))


_ROWS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 4),
        st.integers(0, 9),
        st.sampled_from([95, 100, 105, 120]),
    ),
    max_size=12,
)


@given(_ROWS)
def test_every_loop_is_one_by_the_definition(rows: list[tuple[int, int, int, int]]) -> None:
    """What the search returns is checked by plain Python, and that it finds some where some are.

    It does not try every way back: where the way that left latest holds sums too far apart it takes
    another closing payment. So it may miss one, but never where all sums are the same.
    """
    made = payments(
        *((s, t, 600 * when, float(size)) for s, t, when, size in sorted(rows, key=lambda r: r[2]))
    )
    found = loops(
        made, LoopRules(windows_s=(3_600,), repeats=1, chance=1e9, channel=2.0, parts_s=0)
    )
    for loop in range(len(found)):
        chain = np.flatnonzero(found.loop == loop).tolist()
        assert valid_chain(made, chain, 3_600, LoopRules())
        assert found.least[chain].sum() == 1
    same = payments(
        *((s, t, 600 * when, 1.0) for s, t, when, _ in sorted(rows, key=lambda r: r[2]))
    )
    any_found = loops(
        same, LoopRules(windows_s=(3_600,), repeats=1, chance=1e9, channel=2.0, parts_s=0)
    )
    assert (len(any_found) > 0) == exists(same, 3_600, LoopRules())


@given(st.integers(-(10**8), 10**8))
@settings(max_examples=10)
def test_a_shift_of_time_changes_nothing(shift: int) -> None:
    made = ring(4, 4)
    moved = Payments(made.source, made.target, made.time + shift, made.size, made.entities)
    assert np.array_equal(loops(made, LoopRules()).loop, loops(moved, LoopRules()).loop)
