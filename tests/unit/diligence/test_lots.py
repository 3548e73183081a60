"""Lots: by hand, against a slow second implementation, and what is no change of hands."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict, deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.diligence.lots import Liquidity, Part, replay
from tessera.errors import DataError
from tessera.facts import Amounts, Row, Transfers
from tessera.facts.files import Clock, read_transfers

DAY = 86_400
T0 = 1_700_000_000
TOKEN = "0x" + "70" * 20
HUGE = 10**27


def address(number: int) -> str:
    return f"0x{number:040x}"


def history(*rows: tuple[float, int, int, int], together: bool = False) -> Transfers:
    """Rows of (day, from, to, amount), each a transaction of its own; people are numbers."""
    return Transfers.of(
        TOKEN,
        [
            Row(
                1 + int(day * 7200), T0 + int(day * DAY), 0 if together else i, i,
                address(source), address(target), amount,
            )
            for i, (day, source, target, amount) in enumerate(rows)
        ],
    )  # fmt: skip


def run(transfers: Transfers, until: float, parts=None, entity=None, liquidity=None, since=None):
    size = len(transfers.addresses)
    part = np.zeros(size, np.uint8)
    part[0] = Part.NOBODY
    owner = np.arange(size, dtype=np.int32)
    for number, what in (parts or {}).items():
        part[transfers.addresses.id_of(address(number))] = what
    for number, other in (entity or {}).items():
        owner[transfers.addresses.id_of(address(number))] = transfers.addresses.id_of(
            address(other)
        )
    return replay(
        transfers,
        entity=owner,
        part=part,
        until=T0 + int(until * DAY),
        since=None if since is None else T0 + int(since * DAY),
        liquidity=None if liquidity is None else np.array(liquidity, np.uint8),
    )


def days(seconds_times_units: int, units: int) -> float:
    return seconds_times_units / units / DAY


def test_the_oldest_lots_go_first():
    # 10 on day 0, 10 on day 4; 15 leave on day 10: 10 of 10 days and 5 of 6.
    found = run(history((0, 0, 1, 10), (4, 0, 1, 10), (10, 1, 2, 15)), 12)
    assert found.spent[0].total == 15
    assert found.destroyed[0] == (10 * 10 + 5 * 6) * DAY
    # Still held: 5 of 8 days with the giver, 15 of 2 days with the taker.
    assert found.open[0].total == 20
    assert found.kept[0] == (5 * 8 + 15 * 2) * DAY
    assert found.unmatched == found.passed == 0


def test_the_median_is_weighted_with_amounts():
    found = run(history((0, 0, 1, 9), (8, 0, 1, 21), (10, 1, 2, 30)), 10)
    assert found.spent[0].median() == pytest.approx(2 * DAY, abs=found.spent[0].resolution)
    assert days(found.destroyed[0], 30) == pytest.approx((9 * 10 + 21 * 2) / 30)


def test_half_of_it_is_a_median_exactly():
    found = run(history((0, 0, 1, HUGE), (6, 0, 1, HUGE), (9, 1, 2, 2 * HUGE)), 9)
    assert found.spent[0].median() == pytest.approx(3 * DAY, abs=found.spent[0].resolution)


def test_pooled_age_is_that_of_the_mean_birth():
    # 10 of day 0 and 30 of day 4: born on day 3 on average; 20 leave on day 5.
    found = run(history((0, 0, 1, 10), (4, 0, 1, 30), (5, 1, 2, 20)), 5)
    assert found.pooled == pytest.approx(2 * DAY)


def test_amounts_of_27_digits_and_of_256_bits_are_exact():
    top = 2**255 - 1
    found = run(history((0, 0, 1, top), (1, 1, 2, top - HUGE), (3, 2, 3, top - HUGE)), 3)
    assert found.spent[0].total == 2 * (top - HUGE)
    assert found.destroyed[0] == (top - HUGE) * 3 * DAY
    assert found.open[0].total == top


def test_nothing_moves_within_an_entity():
    rows = (0, 0, 1, 10), (2, 1, 2, 10), (5, 2, 3, 10)
    apart, joined = run(history(*rows), 5), run(history(*rows), 5, entity={2: 1})
    assert apart.destroyed[0] == 10 * 5 * DAY
    assert apart.spent[0].total == 20
    assert joined.destroyed[0] == 10 * 5 * DAY
    assert joined.spent[0].total == 10


def test_what_is_staked_stays_in_its_lots():
    rows = (0, 0, 1, 10), (2, 1, 9, 10), (8, 9, 1, 10), (10, 1, 2, 10)
    assert run(history(*rows), 10).spent[0].total == 30
    resting = run(history(*rows), 10, parts={9: Part.REST})
    assert resting.spent[0].total == 10
    assert resting.destroyed[0] == 10 * 10 * DAY


def test_a_reward_is_a_new_lot():
    rows = (0, 0, 1, 10), (0, 0, 9, 5), (2, 1, 9, 10), (8, 9, 1, 13), (10, 1, 2, 13)
    found = run(history(*rows), 10, parts={9: Part.REST})
    assert found.destroyed[0] == (10 * 10 + 3 * 2) * DAY
    assert found.unmatched == 0


def test_a_stake_released_to_somebody_else_is_new_to_them():
    rows = (0, 0, 1, 10), (2, 1, 9, 10), (8, 9, 3, 10), (9, 3, 2, 10)
    found = run(history(*rows), 10, parts={9: Part.REST})
    assert found.destroyed[0] == 10 * 1 * DAY


def test_liquidity_that_is_added_and_removed_moves_no_lot():
    rows = (0, 0, 1, 10), (2, 1, 8, 10), (6, 8, 1, 10), (10, 1, 2, 10)
    kinds = [Liquidity.NONE, Liquidity.ADDED, Liquidity.REMOVED, Liquidity.NONE]
    trade = run(history(*rows), 10, parts={8: Part.HUB})
    assert trade.spent[0].total == 20
    assert trade.spent[1].total == 10
    added = run(history(*rows), 10, parts={8: Part.HUB}, liquidity=kinds)
    assert (added.spent[0].total, added.spent[1].total) == (10, 0)
    assert added.destroyed[0] == 10 * 10 * DAY


def test_attack_a_routers_step_is_no_short_holding():
    """Routers shorten the median.

    A bot that wants a token to look traded sends each purchase through a chain of contracts in one
    transaction. Each step is a transfer, and every one of them would be a lot of age 0.
    """
    straight = history((0, 0, 1, 10), (10, 1, 2, 10))
    routed = Transfers.of(
        TOKEN,
        [
            Row(1, T0, 0, 0, address(0), address(1), 10),
            *(
                Row(100, T0 + 10 * DAY, 3, i, address(a), address(b), 10)
                for i, (a, b) in enumerate(itertools.pairwise([1, 5, 6, 7, 2]))
            ),
        ],
    )
    one, many = run(straight, 11), run(routed, 11)
    assert many.spent[0].total == one.spent[0].total == 10
    assert many.destroyed == one.destroyed
    assert many.passed == 30
    assert many.changed.tolist() == [False, True, False, False, False]


def test_burning_ends_a_holding():
    found = run(history((0, 0, 1, 10), (3, 1, 0, 4), (5, 1, 8, 6)), 9, parts={8: Part.NOBODY})
    assert found.destroyed[0] == (4 * 3 + 6 * 5) * DAY
    assert found.open[0].total == 0


def test_what_nobody_received_is_unmatched():
    found = run(history((0, 0, 1, 10), (2, 1, 2, 14)), 3)
    assert found.unmatched == 4
    assert found.spent[0].total == 10


def test_attack_times_that_fall_are_refused():
    """Who makes a file may write any time: an age below 0 would be counted outside the table."""
    good = history((0, 0, 1, 10), (2, 1, 2, 5), (3, 2, 3, 5))
    time = good.time.copy()
    time[1] = time[2] + 1
    bad = Transfers(
        good.token, good.addresses, good.block, time, good.tx, good.log, good.source, good.target,
        good.amount,
    )  # fmt: skip
    with pytest.raises(DataError, match=f"block {int(good.block[2])}"):
        run(bad, 9)
    with pytest.raises(DataError, match="time of the head"):
        run(good, 2.5)


def test_a_hostile_token_that_moves_more_than_256_bits():
    top = 2**256 - 1
    found = run(history((0, 0, 1, top), (1, 1, 2, top), (3, 2, 3, top), (4, 0, 3, 5)), 4)
    assert found.spent[0].total == 2 * top
    assert found.destroyed[0] == top * 3 * DAY
    assert found.open[0].total == top + 5


def test_late_is_from_a_moment_on():
    rows = (0, 0, 1, 10), (2, 1, 2, 5), (6, 1, 2, 5)
    found = run(history(*rows), 7, since=6)
    assert found.moved_lately[0] == 5
    assert found.destroyed_lately[0] == 5 * 6 * DAY
    assert found.spent[0].total == 10


def test_no_transfers_are_no_lots():
    found = run(Transfers.of(TOKEN, []), 1)
    assert found.spent[0].total == 0
    assert found.spent[0].median() is None
    assert np.isnan(found.pooled)


def slow(transfers, entity, part, until, since, liquidity):
    """The same rules, in dictionaries and deques."""
    lots, resting = defaultdict(deque), defaultdict(int)
    out = dict.fromkeys(("passed", "unmatched"), 0)
    spent, destroyed, late = [[], []], [0, 0], [0, 0]
    changed = [False] * len(transfers)
    for i, amount in enumerate(transfers.amount):
        s, t, now = int(transfers.source[i]), int(transfers.target[i]), int(transfers.time[i])
        key = (int(transfers.block[i]), int(transfers.tx[i]))
        giver, taker = int(entity[s]), int(entity[t])
        if giver == taker:
            continue
        back = 0
        away = part[s] == Part.REST or liquidity[i] == Liquidity.REMOVED
        if part[t] == Part.REST or liquidity[i] == Liquidity.ADDED:
            if not away and part[s] != Part.NOBODY:
                resting[giver] += amount
            continue
        if away:
            if part[t] == Part.NOBODY:
                continue
            back = min(amount, resting[taker])
            resting[taker] -= back
        elif part[s] != Part.NOBODY:
            need, group = amount, int(part[s] == Part.HUB)
            while need and lots[giver]:
                lot = lots[giver][0]
                take = min(need, lot[0])
                lot[0] -= take
                need -= take
                if not lot[0]:
                    lots[giver].popleft()
                if lot[2] == key:
                    out["passed"] += take
                else:
                    changed[i] = True
                    spent[group].append((now - lot[1], take))
                    destroyed[group] += take * (now - lot[1])
                    if now >= since:
                        late[group] += take
            out["unmatched"] += need
        if part[t] != Part.NOBODY and amount > back:
            lots[taker].append([amount - back, now, key])
    held = sum(lot[0] for queue in lots.values() for lot in queue)
    kept = sum(lot[0] * (until - lot[1]) for queue in lots.values() for lot in queue)
    return spent, destroyed, late, out, held, kept, changed


people = st.integers(0, 6)
rows_of = st.lists(
    st.tuples(
        st.integers(0, 3), people, people,
        st.one_of(st.integers(0, 50), st.integers(2**63, 2**66), st.just(2**200)),
        st.sampled_from([0, 0, 0, 1, 2]), st.booleans(),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    rows_of,
    st.lists(st.sampled_from(list(Part)), min_size=7, max_size=7),
    st.lists(st.integers(0, 6), min_size=7, max_size=7),
)
def test_the_kernel_agrees_with_a_slow_twin(rows, kinds, owners):
    now, made, tx = 0, [], 0
    for i, (step, source, target, amount, _, fresh) in enumerate(rows):
        now, tx = now + step * 40_000, tx + fresh
        made.append(Row(1 + now, T0 + now, tx, i, address(source), address(target), amount))
    transfers = Transfers.of(TOKEN, made)
    size = len(transfers.addresses)
    part = np.array([Part.NOBODY, *kinds[1:]], np.uint8)[:size]
    entity = np.array([0, *(o % size for o in owners[1:])], np.int32)[:size]
    liquidity = np.array([row[4] for row in rows], np.uint8)
    until, since = T0 + now + 5, T0 + now - 60_000
    found = replay(
        transfers, entity=entity, part=part, until=until, since=since, liquidity=liquidity
    )
    spent, destroyed, late, out, held, kept, changed = slow(
        transfers, entity, part, until, since, liquidity
    )
    assert found.passed == out["passed"]
    assert found.unmatched == out["unmatched"]
    assert found.destroyed == tuple(destroyed)
    assert found.moved_lately == tuple(late)
    assert found.changed.tolist() == changed
    assert sum(group.total for group in found.open) == held
    assert sum(found.kept) == kept
    for group, events in zip(found.spent, spent, strict=True):
        assert group.total == sum(amount for _, amount in events)
        ages = defaultdict(int)
        for age, amount in events:
            ages[age // group.resolution] += amount
        rows = np.flatnonzero(group.halves.any(axis=1)).tolist()
        assert {
            row: sum(half << (32 * k) for k, half in enumerate(group.halves[row].tolist()))
            for row in rows
        } == {bin_: amount for bin_, amount in ages.items() if amount}


def test_a_shift_in_time_changes_nothing():
    rows = [(0, 0, 1, 10), (2, 1, 2, 5), (6, 1, 2, 5)]
    one = run(history(*rows), 9)
    later = history(*rows)
    moved = Transfers(
        later.token, later.addresses, later.block + 10**6, later.time + 999 * DAY, later.tx,
        later.log, later.source, later.target, Amounts(later.amount.limbs),
    )  # fmt: skip
    two = run(moved, 9 + 999)
    assert (one.destroyed, one.kept, one.pooled) == (two.destroyed, two.kept, two.pooled)
    assert (one.spent[0].halves == two.spent[0].halves).all()


@pytest.mark.skipif("TESSERA_REFERENCE_DATA" not in os.environ, reason="no reference data here")
def test_real_tokens_lots_are_their_supply():
    """Every unit that is not burned is in one lot, for each token with a complete history."""
    tables = Path(os.environ["TESSERA_REFERENCE_DATA"]) / "lp_token_transfers.parquet"
    found = read_transfers(tables, times=Clock(13_153_380, 1_630_650_000, 13_300))
    checked = 0
    for transfers in found.held.values():
        size = len(transfers.addresses)
        part = np.zeros(size, np.uint8)
        part[0] = Part.NOBODY
        lots = replay(
            transfers,
            entity=np.arange(size, dtype=np.int32),
            part=part,
            until=int(transfers.time[-1]),
        )
        minted = transfers.amount[transfers.mints & ~transfers.burns].total()
        burned = transfers.amount[transfers.burns & ~transfers.mints].total()
        assert lots.unmatched == 0
        assert sum(ages.total for ages in lots.open) == minted - burned
        checked += 1
    assert checked == 1622
