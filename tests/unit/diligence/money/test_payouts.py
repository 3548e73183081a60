"""Payouts: pro rata, at discretion, minted for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.diligence.money.flows import Flows, flows_between
from tessera.diligence.money.payouts import Distribution, distributions, fit, net_of_minted
from tessera.diligence.results import DAY_S, Window
from tessera.facts import ZERO, Addresses, Row, Transfers

TOKEN, DOLLAR, PAYMASTER = "0x" + "a" * 40, "0x" + "d" * 40, "0x" + "f" * 40
HOLDERS = ["0x" + digit * 40 for digit in "1234"]
HELD = [100, 200, 300, 400]


def balances(*extra: Row) -> Transfers:
    rows = [Row(1, 1, 0, at, ZERO, who, held)
            for at, (who, held) in enumerate(zip(HOLDERS, HELD, strict=True))]  # fmt: skip
    return Transfers.of(TOKEN, [*rows, *extra])


def paid(*rows: tuple[int, int, str, int], token: str = DOLLAR) -> Flows:
    """Payouts of (block, time, to, amount)."""
    made = [Row(block, time, 0, at, PAYMASTER, who, amount)
            for at, (block, time, who, amount) in enumerate(rows)]  # fmt: skip
    return flows_between({token: Transfers.of(token, made)}, Addresses.of([]), sources=[PAYMASTER])


def rounds(payouts: Flows, held: Transfers | None = None) -> list[Distribution]:
    held = held or balances()
    return distributions(payouts, held, np.zeros(len(held.addresses), np.bool_))


def test_a_pro_rata_payout_lies_on_a_line() -> None:
    """Rounded down to the unit, as every honest splitter does."""
    (found,) = rounds(paid(*((5, 5, who, held * 7 // 3)
                             for who, held in zip(HOLDERS, HELD, strict=True))))  # fmt: skip
    assert found.fit is not None
    assert found.fit.pro_rata
    assert found.fit.slope == pytest.approx(7 / 3, rel=0.01)
    assert (found.paid, found.eligible, found.paid_eligible) == (4, 4, 4)


def test_equal_payouts_to_unequal_holders_are_discretion() -> None:
    (found,) = rounds(paid(*((5, 5, who, 50) for who in HOLDERS)))
    assert found.fit is not None
    assert found.fit.r2 == 0
    assert not found.fit.pro_rata


def test_a_payout_to_friends_is_discretion() -> None:
    """The smallest holder gets the most; the line falls."""
    (found,) = rounds(paid(*((5, 5, who, 500 - held)
                             for who, held in zip(HOLDERS, HELD, strict=True))))  # fmt: skip
    assert found.fit is not None
    assert found.fit.r2 == pytest.approx(1)
    assert not found.fit.pro_rata


def test_who_bought_after_the_record_block_was_not_eligible() -> None:
    """A wallet that gets tokens in the block of the payout held nothing when it was decided."""
    late = "0x" + "9" * 40
    held = balances(Row(5, 5, 0, 0, HOLDERS[0], late, 100))
    (found,) = rounds(paid((5, 5, late, 10), (5, 5, HOLDERS[1], 20)), held)
    assert (found.paid, found.eligible, found.paid_eligible, found.fit) == (2, 4, 1, None)


def test_a_day_without_payouts_ends_a_distribution() -> None:
    found = rounds(
        paid(
            (5, 100, HOLDERS[0], 1),
            (6, 99 + DAY_S, HOLDERS[1], 2),
            (9, 99 + 2 * DAY_S, HOLDERS[0], 4),
        )
    )
    assert [each.total for each in found] == [3, 4]
    assert found[0].window == Window(100, 100 + DAY_S)


def test_what_was_minted_for_it_is_no_revenue() -> None:
    """Ten minted to the paymaster in the month, twelve paid out: two are revenue."""
    month = Window(0, 1000)
    payouts = paid(
        (5, 5, HOLDERS[0], 8), (6, 6, HOLDERS[1], 4), (9, 1500, HOLDERS[1], 4), token=TOKEN
    )
    mint = Transfers.of(TOKEN, [Row(2, 2, 0, 0, "0x" + "8" * 40, PAYMASTER, 10)])
    minted = flows_between({TOKEN: mint}, Addresses.of([]), targets=[PAYMASTER])
    found = net_of_minted(payouts, minted, [month, Window(1000, 2000)])
    assert found.amount.tolist() == [0, 2, 4]
    assert net_of_minted(payouts, minted.select(slice(0, 0)), [month]).amount == payouts.amount


def test_no_line_goes_through_too_few() -> None:
    assert fit(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
    assert fit(np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0])) is None
