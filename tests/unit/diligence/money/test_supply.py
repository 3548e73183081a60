"""What circulates: steps and their mean, by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tessera.diligence.money.supply import supply_outside
from tessera.diligence.results import Window
from tessera.facts import ZERO, Row, Transfers

TOKEN, HOLDER, LOCK = ("0x" + digit * 40 for digit in "abc")


def test_what_is_locked_does_not_circulate() -> None:
    """Minted 100 at 10, 40 locked at 20, 10 of these released at 30, 5 burned at 40."""
    moved = Transfers.of(
        TOKEN,
        [
            Row(1, 10, 0, 0, ZERO, HOLDER, 100),
            Row(2, 20, 0, 0, HOLDER, LOCK, 40),
            Row(3, 30, 0, 0, LOCK, HOLDER, 10),
            Row(4, 40, 0, 0, HOLDER, ZERO, 5),
        ],
    )
    locked = np.zeros(len(moved.addresses), np.bool_)
    locked[moved.addresses.ids_of([LOCK])] = True
    supply = supply_outside(moved, locked)
    assert [supply.at(moment) for moment in (9, 10, 19, 20, 30, 40, 99)] == [
        0, 100, 100, 60, 70, 65, 65,
    ]  # fmt: skip
    assert supply.average(Window(0, 50)) == Fraction(10 * (100 + 60 + 70 + 65), 50)
    assert supply.average(Window(20, 30)) == 60
    assert supply.average(Window(20, 20)) == 0
    assert supply.average(Window(15, 25)) == Fraction(5 * 100 + 5 * 60, 10)
    assert supply.average(Window(100, 200)) == 65


def test_amounts_of_27_digits_are_exact() -> None:
    huge = 10**27 + 1
    moved = Transfers.of(TOKEN, [Row(1, 0, 0, 0, ZERO, HOLDER, huge)])
    supply = supply_outside(moved, np.zeros(len(moved.addresses), np.bool_))
    assert supply.average(Window(0, 3)) == huge
