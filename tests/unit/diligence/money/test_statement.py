"""The income statement: two months by hand, and what is taken off once only."""

from __future__ import annotations

import numpy as np

from tessera.diligence.money.flows import Flows, Refund, flows_between
from tessera.diligence.money.prices import ATOMS, fixed
from tessera.diligence.money.statement import Clean, Money, Statement, months_between, statement
from tessera.diligence.results import Window
from tessera.facts import Addresses, Row, Transfers

DOLLAR, NOTE = "0x" + "d" * 40, "0x" + "e" * 40
PAYER, TEAM, SERVICE, WORKER, SHARE = ("0x" + digit * 40 for digit in "12345")
MARCH, APRIL = Window.month(2026, 3), Window.month(2026, 4)
MONIES = {DOLLAR: Money(DOLLAR, 6, "USD", fixed(1)), NOTE: Money(NOTE, 18)}


def flows(*rows: tuple[int, str, int], token: str = DOLLAR, target: str = SERVICE) -> Flows:
    made = [Row(at, time, 0, at, source, target, amount)
            for at, (time, source, amount) in enumerate(rows)]  # fmt: skip
    return flows_between({token: Transfers.of(token, made)}, Addresses.of([]), targets=[target])


def stated(payments: Flows, clean: Clean) -> Statement:
    none = flows()
    return statement(
        payments, clean, none, [none], MONIES, months_between(MARCH.start, APRIL.start)
    )


def mask(*rows: bool) -> np.ndarray:
    return np.array(rows, np.bool_)


PAYMENTS = flows(
    (MARCH.start, PAYER, 10_000_000),
    (MARCH.end - 1, TEAM, 7_000_000),
    (APRIL.start, PAYER, 5_000_000),
)


def test_months_are_calendar_months() -> None:
    found = stated(PAYMENTS, Clean(mask(False, False, False), mask(False, False, False)))
    assert found.months == (MARCH, APRIL)
    assert found.gross.by_month == {DOLLAR: (17_000_000, 5_000_000)}
    assert found.gross.atoms == (17 * ATOMS, 5 * ATOMS)
    assert found.gross.dollars(0) == 17.0
    assert found.clean == found.gross


def test_a_payment_that_is_two_bad_things_is_taken_off_once() -> None:
    """The team pays in a circle and gets it back: three reasons, one payment."""
    clean = Clean(mask(False, True, False), mask(False, True, False), (Refund(1, 7_000_000),))
    found = stated(PAYMENTS, clean)
    assert found.clean is not None
    assert found.clean.by_month == {DOLLAR: (10_000_000, 5_000_000)}
    assert found.removed["circular"].units == {DOLLAR: 7_000_000}
    assert found.removed["team"].units == found.removed["refunded"].units == {DOLLAR: 0}


def test_a_refund_belongs_to_the_month_of_its_payment() -> None:
    clean = Clean(mask(False, False, False), mask(False, True, False), (Refund(0, 4_000_000),))
    found = stated(PAYMENTS, clean)
    assert found.clean is not None
    assert found.clean.by_month == {DOLLAR: (6_000_000, 5_000_000)}


def test_nobody_looked_for_circles() -> None:
    """What was not looked at is not clean."""
    assert stated(PAYMENTS, Clean(None, mask(False, False, False))).clean is None


def test_what_has_no_price_is_said_and_not_zero() -> None:
    found = stated(flows((APRIL.start, PAYER, 9), token=NOTE), Clean(mask(False), mask(False)))
    assert found.gross.unpriced == (frozenset(), frozenset({NOTE}))
    assert (found.gross.dollars(0), found.gross.dollars(1)) == (0.0, None)
    assert found.gross.units == {NOTE: 9}


def test_lines_of_several_ways_add_up() -> None:
    paid, spent = flows((APRIL.start, SERVICE, 3), target=SHARE), flows((MARCH.start, PAYER, 4))
    found = statement(
        PAYMENTS, Clean(None, mask(False, False, False)), flows(), [paid, spent], MONIES,
        months_between(MARCH.start, APRIL.start),
    )  # fmt: skip
    assert found.holders.by_month == {DOLLAR: (4, 3)}


def test_the_inputs_hash_says_what_it_was_made_of() -> None:
    calm = Clean(mask(False, False, False), mask(False, False, False))
    circles = Clean(mask(True, False, False), mask(False, False, False))
    assert stated(PAYMENTS, calm).inputs == stated(PAYMENTS, calm).inputs
    assert stated(PAYMENTS, calm).inputs != stated(PAYMENTS, circles).inputs
