"""Whose money a payer pays with."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tessera.diligence.circular.linkage import (
    LinkRules,
    first_funders,
    funded_by_payee,
    funder_groups,
    linked_payers,
)
from tessera.diligence.results import DAY_S
from tessera.facts import Amounts

PROJECT, REVENUE, EXCHANGE = 0, 1, 2


def mask(*members: int, of: int = 10) -> NDArray[np.bool_]:
    found = np.zeros(of, dtype=np.bool_)
    found[list(members)] = True
    return found


def ids(*values: int) -> NDArray[np.int32]:
    return np.array(values, dtype=np.int32)


def funded(rows: list[tuple[int, int, int, int]], rules: LinkRules | None = None) -> list[bool]:
    """Rows of source, target, second and amount."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    source, target = (np.array(column, np.int32) for column in columns[:2])
    time, amount = np.array(columns[2], np.int64), Amounts.of(list(columns[3]))
    found = funded_by_payee(
        source, target, time, amount, mask(REVENUE), mask(PROJECT), rules or LinkRules()
    )
    return found.tolist()


def test_the_first_who_sent_coins_is_the_funder() -> None:
    funder = first_funders(ids(3, 3, 4, 5), ids(3, 4, 5, 4), 6)
    assert funder.tolist() == [-1, -1, -1, -1, 3, 4]


def test_payers_of_the_projects_own_making_are_linked_over_two_steps_and_not_three() -> None:
    funder = ids(-1, -1, -1, PROJECT, 3, 4, EXCHANGE, -1, -1, -1)
    linked = linked_payers(funder, mask(3, 4, 5, 6), mask(PROJECT), mask(EXCHANGE))
    # 4 is linked through 3, 5 through 4, a payer: of 6 nobody can say more than "an exchange".
    assert np.flatnonzero(linked).tolist() == [3, 4, 5]
    only_last = linked_payers(funder, mask(5), mask(PROJECT), mask(EXCHANGE))
    assert not only_last.any()


def test_two_payers_of_one_exchange_are_strangers() -> None:
    funder = ids(-1, -1, -1, EXCHANGE, EXCHANGE, -1, -1, -1, -1, -1)
    assert funder_groups(funder, mask(PROJECT), mask(EXCHANGE)).tolist() == [10] + [-1] * 9
    assert not linked_payers(funder, mask(3, 4), mask(PROJECT), mask(EXCHANGE)).any()


def test_wallets_of_one_funder_are_one_owners_with_the_funder() -> None:
    funder = ids(-1, -1, -1, 7, 7, PROJECT, -1, -1, -1, -1)
    groups = funder_groups(funder, mask(PROJECT), mask(EXCHANGE))
    assert groups[3] == groups[4] == groups[7] >= 0
    assert groups[5] == groups[PROJECT] != groups[3]


def test_a_payment_out_of_the_projects_pocket_is_seen() -> None:
    """The project sends 100 to a payer, who calls for 100: fees, and nobody paid anything."""
    rows = [(PROJECT, 5, 0, 100), (5, REVENUE, 60, 100), (6, REVENUE, 70, 100)]
    assert funded(rows) == [False, True, False]


def test_a_wage_of_which_a_tenth_is_spent_is_seen_as_what_it_is() -> None:
    """Linkage has to come on top: by conservation alone an employee's own call is circular."""
    rows = [(PROJECT, 5, 0, 3_000), (5, REVENUE, 60, 20)]
    assert funded(rows) == [False, True]


def test_money_that_came_after_the_payment_did_not_pay_it() -> None:
    assert funded([(5, REVENUE, 60, 100), (PROJECT, 5, 61, 100)]) == [False, False]


def test_money_of_more_than_thirty_days_ago_is_spent() -> None:
    rows = [(PROJECT, 5, 0, 100), (5, REVENUE, 30 * DAY_S, 100)]
    assert funded(rows) == [False, False]
    assert funded([rows[0], (5, REVENUE, 30 * DAY_S - 1, 100)]) == [False, True]


def test_exactly_four_fifths_is_not_more_than_four_fifths() -> None:
    assert funded([(PROJECT, 5, 0, 80), (5, REVENUE, 1, 100)]) == [False, False]
    assert funded([(PROJECT, 5, 0, 81), (5, REVENUE, 1, 100)]) == [False, True]


def test_a_small_sum_after_a_large_history_is_not_lost_to_rounding() -> None:
    """Running floats would say 0 - 0 after 1e27 has passed; running integers do not."""
    rows = [
        (PROJECT, 5, 0, 10**27),
        (5, REVENUE, 1, 10**27),
        (PROJECT, 5, 40 * DAY_S, 3),
        (5, REVENUE, 40 * DAY_S, 3),
        (PROJECT, 5, 80 * DAY_S, 2),
        (5, REVENUE, 80 * DAY_S, 3),
    ]
    assert funded(rows) == [False, True, False, True, False, False]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 5, 6]),
            st.sampled_from([0, 1, 5, 6]),
            st.integers(0, 50),
            st.sampled_from([1, 2, 3, 10**27]),
        ),
        max_size=14,
    )
)
def test_it_is_two_sums_over_thirty_days(rows: list[tuple[int, int, int, int]]) -> None:
    rows = [(s, t, when * DAY_S, size) for s, t, when, size in sorted(rows, key=lambda r: r[2])]
    wanted = []
    for at, (source, target, when, _) in enumerate(rows):
        before = [row for row in rows[: at + 1] if when - 30 * DAY_S < row[2]]
        spent = sum(row[3] for row in before if row[:2] == (source, REVENUE))
        got = sum(row[3] for row in before if row[0] in (0, 1) and row[1] == source)
        paying = target == REVENUE and source not in (0, 1)
        wanted.append(paying and 10 * got > 8 * spent)
    assert funded(rows) == wanted
