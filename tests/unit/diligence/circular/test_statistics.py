"""Statistics say how far to trust, and say when they cannot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular import statistics
from tessera.diligence.circular.payments import Payments
from tessera.diligence.results import DAY_S, Status

RNG = np.random.default_rng(1)


def paid(size: NDArray[np.float64], every_s: int = 600, payers: int = 7) -> Payments:
    count = len(size)
    return Payments(
        (np.arange(count) % payers).astype(np.int32),
        np.full(count, payers, np.int32),
        np.arange(count, dtype=np.int64) * every_s,
        size,
        payers + 1,
    )


def test_sums_over_many_sizes_follow_benford_and_drawn_ones_do_not() -> None:
    natural = statistics.benford(paid(RNG.lognormal(10, 3, 5_000)))
    drawn = statistics.benford(paid(RNG.uniform(500, 900, 5_000)))
    assert natural.suspicious is False
    assert drawn.suspicious is True


def test_a_price_list_violates_benford_with_a_right_to() -> None:
    prices = RNG.choice([5.0, 10.0, 20.0], 5_000)
    assert statistics.benford(paid(prices)).status is Status.NOT_APPLICABLE


def test_nine_hundred_payments_are_too_few_for_digits() -> None:
    found = statistics.benford(paid(RNG.lognormal(10, 3, 900)))
    assert (found.status, found.value) == (Status.INSUFFICIENT, None)


def test_people_round_and_programs_do_not() -> None:
    sizes = RNG.uniform(20, 900, 5_000)
    people = np.where(RNG.random(5_000) < 0.4, np.rint(sizes), sizes)
    assert statistics.rounding(paid(people), 1.0).suspicious is False
    assert statistics.rounding(paid(sizes), 1.0).suspicious is True
    assert statistics.rounding(paid(sizes / 1e4), 1.0).status is Status.NOT_APPLICABLE


def test_the_tail_is_reported_and_never_judged() -> None:
    found = statistics.tail(paid(RNG.pareto(1.5, 20_000) + 1))
    assert found.value is not None
    assert 1.3 < found.value < 1.7
    assert found.suspicious is None


def test_subscribers_are_regular_and_nobody_is_accused_of_it() -> None:
    steady = statistics.regularity(paid(np.full(140, 20.0), every_s=DAY_S))
    wild = statistics.regularity(paid(RNG.lognormal(3, 1, 140)))
    assert steady.value == 1.0
    assert wild.value == 0.0
    assert steady.suspicious is None
