"""Who paid whom: the project's side, relayers, refunds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.diligence.money.flows import (
    ENTRY_POINTS,
    REFUND_S,
    Flows,
    Refund,
    flows_between,
    refunds,
    with_payers,
)
from tessera.diligence.results import Window
from tessera.facts import ABSENT, ZERO, Addresses, Row, Transfers

DOLLAR, EURO = "0x" + "d" * 40, "0x" + "e" * 40
PAYER, OTHER, SERVICE, STAKING, RELAYER = ("0x" + digit * 40 for digit in "1234a")


def moved(*rows: tuple[int, str, str, int], token: str = DOLLAR) -> dict[str, Transfers]:
    """Transfers, one a block, of (time, source, target, amount)."""
    made = [Row(at, time, 0, at, source, target, amount)
            for at, (time, source, target, amount) in enumerate(rows)]  # fmt: skip
    return {token: Transfers.of(token, made)}


def into(transfers: dict[str, Transfers], *targets: str) -> Flows:
    return flows_between(transfers, Addresses.of([]), targets=targets)


def told(flows: Flows) -> list[tuple[str, str, int]]:
    return list(
        zip(
            flows.addresses.texts(flows.party),
            flows.addresses.texts(flows.other),
            flows.amount.tolist(),
            strict=True,
        )
    )


def test_what_moves_within_the_project_is_no_fee() -> None:
    """A project that sends its own money round its contracts has no revenue; nor has a mint."""
    flows = into(
        moved(
            (1, PAYER, SERVICE, 5),
            (2, SERVICE, STAKING, 5),
            (3, STAKING, SERVICE, 5),
            (4, ZERO, SERVICE, 900),
            (5, SERVICE, PAYER, 1),
        ),
        SERVICE, STAKING,
    )  # fmt: skip
    assert told(flows) == [(PAYER, SERVICE, 5)]
    assert flows.totals() == {DOLLAR: 5}


def test_currencies_are_put_in_the_order_of_the_chain() -> None:
    euros = moved((9, PAYER, SERVICE, 7), token=EURO)
    dollars = moved((9, OTHER, SERVICE, 5), (10, OTHER, SERVICE, 2**200))
    flows = into({**dollars, **euros}, SERVICE)
    assert flows.totals() == {DOLLAR: 5 + 2**200, EURO: 7}
    assert flows.block.tolist() == [0, 0, 1]
    assert into({**euros, **dollars}, SERVICE).totals() == flows.totals()


def test_windows_are_half_open() -> None:
    flows = into(moved((10, PAYER, SERVICE, 1), (20, PAYER, SERVICE, 2)), SERVICE)
    assert flows.within(Window(10, 20)).amount.tolist() == [1]


def test_ids_mean_nothing() -> None:
    """The same payments from tables in another order are the same, and so is their digest."""
    rows = [Row(1, 1, 0, 0, PAYER, SERVICE, 5), Row(2, 2, 0, 0, OTHER, SERVICE, 6)]
    one = Transfers.of(DOLLAR, rows, Addresses.of([OTHER, SERVICE, PAYER]))
    two = Transfers.of(DOLLAR, rows, Addresses.of([STAKING, PAYER, SERVICE, OTHER]))
    found = [flows_between({DOLLAR: each}, Addresses.of([EURO]), targets=[SERVICE])
             for each in (one, two)]  # fmt: skip
    assert told(found[0]) == told(found[1])
    assert found[0].digest() == found[1].digest()
    assert found[0].digest() != found[0].select(slice(0, 1)).digest()


def test_ids_of_the_base_table_stay() -> None:
    base = Addresses.of([EURO, PAYER])
    flows = flows_between(moved((1, PAYER, SERVICE, 5)), base, targets=[SERVICE])
    assert flows.party.tolist() == [base.id_of(PAYER)]


def relayed(*given: tuple[int, str, int]) -> Flows:
    """A relayer pays 5 in transaction 0 of block 1, after it was given amounts by (tx, from)."""
    rows = [Row(1, 9, tx, at, source, RELAYER, amount)
            for at, (tx, source, amount) in enumerate(given)]  # fmt: skip
    rows.append(Row(1, 9, 0, 50, RELAYER, SERVICE, 5))
    transfers = {DOLLAR: Transfers.of(DOLLAR, rows)}
    return with_payers(into(transfers, SERVICE), transfers, [RELAYER])


def test_a_relayer_names_who_gave_it_the_amount() -> None:
    assert told(relayed((0, PAYER, 5))) == [(PAYER, SERVICE, 5)]


@pytest.mark.parametrize(
    "given",
    [
        (),
        ((0, PAYER, 6),),
        ((1, PAYER, 5),),
        ((0, PAYER, 5), (0, OTHER, 5)),
    ],
    ids=["nobody", "another amount", "another transaction", "two of them"],
)
def test_a_relayer_hides_who_paid_where_that_is_not_certain(
    given: tuple[tuple[int, str, int], ...],
) -> None:
    """One who pays a facilitator later, or along with others, must not look like many payers."""
    flows = relayed(*given)
    assert flows.party.tolist() == [ABSENT]
    assert flows.totals() == {DOLLAR: 5}


def test_the_entry_points_of_erc_4337_are_relayers() -> None:
    assert len(set(ENTRY_POINTS)) == 3
    assert all(len(each) == 42 and each == each.lower() for each in ENTRY_POINTS)


def back(*rows: tuple[int, str, str, int]) -> list[Refund]:
    transfers = moved(*rows)
    returned = flows_between(transfers, Addresses.of([]), sources=[SERVICE])
    return refunds(into(transfers, SERVICE), returned)


def test_a_refund_takes_the_newest_payment_first() -> None:
    assert back(
        (0, PAYER, SERVICE, 5), (1, PAYER, SERVICE, 3), (2, SERVICE, PAYER, 4),
    ) == [Refund(1, 3), Refund(0, 1)]  # fmt: skip


def test_no_more_is_refunded_than_was_paid() -> None:
    """A project that pays its payer ten times what it paid has refunded it once."""
    assert back((0, PAYER, SERVICE, 5), (1, SERVICE, PAYER, 50), (2, SERVICE, PAYER, 50)) == [
        Refund(0, 5)
    ]


def test_after_a_week_it_is_no_refund() -> None:
    assert back((0, PAYER, SERVICE, 5), (REFUND_S - 1, SERVICE, PAYER, 5)) == [Refund(0, 5)]
    assert back((0, PAYER, SERVICE, 5), (REFUND_S, SERVICE, PAYER, 5)) == []


def test_money_to_others_or_before_is_no_refund() -> None:
    assert back((0, SERVICE, PAYER, 5), (1, PAYER, SERVICE, 5), (2, SERVICE, OTHER, 5)) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * REFUND_S), st.booleans(), st.sampled_from([PAYER, OTHER]),
            st.integers(0, 2**90),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_refunds_are_within_payments_and_within_what_came_back(
    steps: list[tuple[int, bool, str, int]],
) -> None:
    rows = [(time, who, SERVICE, amount) if pays else (time, SERVICE, who, amount)
            for time, pays, who, amount in sorted(steps)]  # fmt: skip
    transfers = moved(*rows)
    payments = into(transfers, SERVICE)
    found = back(*rows)
    for row in range(len(payments)):
        assert sum(each.amount for each in found if each.row == row) <= payments.amount[row]
    given_back = sum(amount for _, source, _, amount in rows if source == SERVICE)
    assert sum(each.amount for each in found) <= given_back
