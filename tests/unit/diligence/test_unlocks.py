"""Unlock calendars: by hand, and the field's own figures where the data is there."""

from __future__ import annotations

import csv
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tessera.diligence.results import DAY_S
from tessera.diligence.subject import Unlock
from tessera.diligence.unlocks import Bucket, calendar
from tessera.errors import InputError


def seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def bucket(amount: int, start: date, end: date, cliff: date | None = None, *, insider=False):
    return Bucket.of(Unlock("some", str(amount), start, end, cliff, insider))


def test_linear_is_rounded_down_and_ends_whole():
    given = bucket(1000, date(2026, 1, 1), date(2026, 1, 4))
    at = [given.vested(seconds(date(2026, 1, day))) for day in (1, 2, 3, 4, 5)]
    assert at == [0, 333, 666, 1000, 1000]
    assert given.vested(seconds(date(2026, 1, 4)) - 1) == 999


def test_nothing_before_the_cliff_and_what_accrued_at_it():
    given = bucket(1200, date(2025, 1, 1), date(2025, 12, 27), date(2025, 7, 1))
    assert given.vested(seconds(date(2025, 7, 1)) - 1) == 0
    assert given.vested(seconds(date(2025, 7, 1))) == 1200 * 181 // 360


def test_a_single_day_and_a_cliff_after_the_end():
    assert bucket(7, date(2026, 1, 1), date(2026, 1, 1)).vested(seconds(date(2026, 1, 1))) == 7
    late = bucket(7, date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1))
    assert late.vested(seconds(date(2026, 2, 15))) == 0
    assert late.vested(seconds(date(2026, 3, 1))) == 7


def test_an_end_before_the_start_is_refused():
    with pytest.raises(InputError, match="not before the start"):
        bucket(7, date(2026, 2, 1), date(2026, 1, 1))


def test_the_calendar_tells_cliffs_from_drips_and_insiders_from_others():
    now = seconds(date(2026, 1, 1))
    plan = calendar(
        [
            bucket(36_500, date(2026, 1, 1), date(2027, 1, 1)),
            bucket(50_000, date(2026, 6, 1), date(2026, 6, 1), insider=True),
            bucket(9_000, date(2025, 1, 1), date(2025, 2, 1)),
        ],
        now,
    )
    assert plan.vested == 9_000
    assert plan.next_month == 3_000
    assert plan.calendar_month == 3_099
    assert plan.insiders_worst == plan.insiders_year == 50_000
    first = plan.insiders_worst_from
    assert first < seconds(date(2026, 6, 1)) <= first + 30 * DAY_S
    assert plan.step == 50_100
    assert plan.step_at == seconds(date(2026, 6, 1))
    assert plan.months[0] == (now, 0, 3_099)
    assert plan.months[5] == (seconds(date(2026, 6, 1)), 50_000, 3_000)
    assert plan.scheduled == 95_500


def test_a_schedule_that_is_over_unlocks_nothing():
    plan = calendar([bucket(5, date(2020, 1, 1), date(2020, 2, 1))], seconds(date(2026, 1, 1)))
    assert (plan.next_month, plan.insiders_worst, plan.step, plan.step_at) == (0, 0, 0, None)


@pytest.mark.skipif("TESSERA_REFERENCE_DATA" not in os.environ, reason="no reference data here")
def test_the_fields_own_schedules_give_its_own_figures():
    """WLD, August to October 2024: 38 %, 27 % and 22 % of what was unlocked so far."""
    file = Path(os.environ["TESSERA_REFERENCE_DATA"]) / "unlock_schedules.csv"
    rows = csv.DictReader(file.read_text().splitlines())
    buckets = [
        bucket(
            int(float(row["amount_total"])), *map(date.fromisoformat, (row["start"], row["end"]))
        )
        for row in rows
        if row["symbol"] == "WLD"
    ]
    found = []
    for month in (8, 9, 10):
        plan = calendar(buckets, seconds(date(2024, month, 1)))
        found.append(round(100 * plan.calendar_month / plan.vested))
    assert found == [38, 27, 22]
