from __future__ import annotations

from tessera.ownership.vesting import calendar
from tessera.spec.vesting import Schedule


def test_a_calendar_begins_at_the_cliff_and_ends_with_all() -> None:
    steps = calendar(Schedule(amount=1_000, start=100, cliff=100, duration=400))
    assert [(step.time, step.unlocked) for step in steps] == [
        (200, 250), (275, 437), (350, 625), (425, 812), (500, 1_000),
    ]  # fmt: skip


def test_a_grant_without_duration_unlocks_at_once() -> None:
    steps = calendar(Schedule(amount=7, start=100, cliff=0, duration=0))
    assert [(step.time, step.unlocked) for step in steps] == [(100, 7)]
