"""Victor & Weintraud: what nets to nothing within a window, exactly, in sets that keep trading."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessera.diligence.circular.payments import Payments
from tessera.diligence.circular.trades import TradeRules, recurring_sets, wash_trades
from tessera.facts import Amounts

DAY = 86_400


def made(rows: list[tuple[int, int, int, int]], entities: int = 6) -> tuple[Payments, Amounts]:
    """Rows of seller, buyer, second and amount, in order."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    amount = Amounts.of(list(columns[3]))
    source, target = (np.array(column, np.int32) for column in columns[:2])
    time = np.array(columns[2], np.int64)
    return Payments(source, target, time, amount.approximate(), entities), amount


def wash(rows: list[tuple[int, int, int, int]], rules: TradeRules, entities: int = 6) -> list[bool]:
    payments, amount = made(rows, entities)
    return wash_trades(payments, amount, np.zeros(entities, np.bool_), rules).tolist()


def plainly(rows: list[tuple[int, int, int, int]], rules: TradeRules) -> list[bool]:
    """The method in plain Python with integers of any size."""
    edges = Counter((s, t) for s, t, _, size in rows if s != t and size)
    seen: Counter[frozenset[int]] = Counter()
    while edges:
        reach = {s: {s} for s, _ in edges} | {t: {t} for _, t in edges}
        grown = True
        while grown:
            grown = False
            for s, t in edges:
                for known in reach.values():
                    if s in known and t not in known:
                        known.add(t)
                        grown = True
        parts = {frozenset(b for b in reach[a] if a in reach[b]) for a in reach}
        parts = {part for part in parts if len(part) > 1}
        if not parts:
            break
        seen.update(parts)
        edges = Counter({pair: count - 1 for pair, count in edges.items() if count > 1})
    found = [False] * len(rows)
    sets = [part for part, layers in seen.items() if layers >= rules.recurrence]
    for window in rules.windows_s:
        for part in sorted(sets, key=lambda each: -len(each)):
            for number in sorted({(row[2] - rows[0][2]) // window for row in rows}):
                inside = [
                    at
                    for at, (s, t, when, size) in enumerate(rows)
                    if s in part and t in part and s != t and size and not found[at]
                    and (when - rows[0][2]) // window == number
                ]  # fmt: skip
                while len(inside) >= 2:
                    net: Counter[int] = Counter()
                    for at in inside:
                        net[rows[at][0]] -= rows[at][3]
                        net[rows[at][1]] += rows[at][3]
                    mean = sum(rows[at][3] for at in inside) / len(inside)
                    largest = max(map(abs, net.values()))
                    if largest == 0 or largest <= rules.margin * mean:
                        for at in inside:
                            found[at] = True
                        break
                    inside.pop()
    return found


def test_who_trades_back_and_forth_all_day_is_found() -> None:
    rows = [(at % 2, 1 - at % 2, at * 60, 10**27 + 1) for at in range(10)]
    assert all(wash(rows, TradeRules(recurrence=5)))
    assert not any(wash(rows, TradeRules(recurrence=6)))


def test_a_margin_of_nothing_means_not_one_unit_of_27_digits() -> None:
    """A float would not see the unit; the lower bound rests on that it is seen."""
    rows = [(0, 1, 0, 10**27), (1, 0, 60, 10**27 - 1)]
    assert wash(rows, TradeRules(recurrence=1, margin=0.0)) == [False, False]
    assert wash(rows, TradeRules(recurrence=1, margin=0.01)) == [True, True]


def test_the_last_trades_are_left_out_until_the_rest_is_even() -> None:
    rows = [(0, 1, 0, 5), (1, 0, 1, 5), (0, 1, 2, 5), (0, 1, 3, 5)]
    assert wash(rows, TradeRules(recurrence=1)) == [True, True, False, False]


def test_positions_that_even_out_only_over_days_are_found_in_the_longer_window() -> None:
    rows = [(0, 1, 0, 5), (1, 2, DAY, 5), (2, 0, 3 * DAY, 5)]
    assert all(wash(rows, TradeRules(recurrence=1)))
    assert not any(wash(rows, TradeRules(recurrence=1, windows_s=(3_600, DAY))))


def test_a_market_maker_who_ends_flat_with_strangers_is_none() -> None:
    """Flat positions alone prove nothing: the counterparties have to be closed within the set."""
    rows = [(0, 1, 0, 5), (2, 0, 60, 5), (0, 3, 120, 5), (4, 0, 180, 5)]
    assert not any(wash(rows, TradeRules(recurrence=1)))


def test_layers_are_counted_by_the_shortest_bundle() -> None:
    rows = [(0, 1, at, 1) for at in range(7)] + [(1, 0, 10 + at, 1) for at in range(3)]
    payments, _ = made(rows)
    sets = recurring_sets(payments, np.zeros(6, np.bool_), 1)
    assert [(each.members, each.layers) for each in sets] == [((0, 1), 3)]


_AMOUNTS = st.sampled_from([1, 2, 2**63, 2**64 - 1, 10**27, 2**200, 2**255])


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5), _AMOUNTS), max_size=14
    ),
    st.sampled_from([1, 2]),
    st.sampled_from([0.0, 0.01, 0.6]),
)
def test_it_is_the_method_in_plain_python(
    rows: list[tuple[int, int, int, int]], recurrence: int, margin: float
) -> None:
    rows = [(s, t, when * 40_000, size) for s, t, when, size in sorted(rows, key=lambda r: r[2])]
    rules = TradeRules(recurrence, margin)
    assert wash(rows, rules) == plainly(rows, rules)
