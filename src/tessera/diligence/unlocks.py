"""When tokens are unlocked: what a project's schedule says, to the base unit and the second.

A bucket gives nothing before its cliff, then what has accrued linearly from its start to its end,
rounded down. Days begin at midnight UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise

from tessera.diligence.results import DAY_S, Window
from tessera.diligence.subject import Unlock
from tessera.errors import InputError

__all__ = ["Bucket", "Calendar", "calendar"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, in seconds.

    Attributes
    ----------
    amount
        Base units in all.
    start, end, cliff
        Unix seconds; where start and end are the same, all comes then, or at the cliff.
    """

    name: str
    amount: int
    start: int
    end: int
    cliff: int
    insider: bool

    @classmethod
    def of(cls, unlock: Unlock) -> Bucket:
        """Return what a subject's file says.

        Raises
        ------
        InputError
            It ends before it starts.
        """
        if unlock.end < unlock.start:
            raise InputError(
                f"unlock {unlock.bucket}",
                found=f"{unlock.start} to {unlock.end}",
                wanted="an end that is not before the start",
            )
        start = _seconds(unlock.start)
        cliff = start if unlock.cliff is None else _seconds(unlock.cliff)
        return cls(
            unlock.bucket, int(unlock.amount), start, _seconds(unlock.end), cliff, unlock.insider
        )

    def vested(self, moment: int) -> int:
        """Base units unlocked by a moment, rounded down: the rest comes with the last second."""
        if moment < max(self.cliff, self.start):
            return 0
        if moment >= self.end:
            return self.amount
        return self.amount * (moment - self.start) // (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Calendar:
    """What a schedule unlocks from a moment on, in base units.

    Attributes
    ----------
    vested
        So far.
    scheduled
        In all, ever.
    next_month
        Within 30 days.
    calendar_month
        Within the calendar month that the moment lies in, past and to come.
    insiders_worst, insiders_worst_from
        The most that insiders get within any 30 days of the next 365, and from when on.
    insiders_year
        What they get within the 365 days.
    step, step_at
        The most that comes within any of the 365 days from now, and when that day ends; 0 and None
        where nothing comes.
    months
        (start of the month, insiders, others) for the running month and those after it.
    """

    vested: int
    scheduled: int
    next_month: int
    calendar_month: int
    insiders_worst: int
    insiders_worst_from: int
    insiders_year: int
    step: int
    step_at: int | None
    months: tuple[tuple[int, int, int], ...]


def calendar(buckets: Sequence[Bucket], moment: int, *, months: int = 24) -> Calendar:
    """Return what a schedule unlocks as of a moment (unix seconds)."""
    insiders = [bucket for bucket in buckets if bucket.insider]
    others = [bucket for bucket in buckets if not bucket.insider]

    def vested(of: Sequence[Bucket], at: int) -> int:
        return sum(bucket.vested(at) for bucket in of)

    days = [moment + day * DAY_S for day in range(366)]
    own = [vested(insiders, at) for at in days]
    every = [mine + vested(others, at) for mine, at in zip(own, days, strict=True)]
    rolling = [own[day + 30] - own[day] for day in range(len(own) - 30)]
    steps = [after - before for before, after in pairwise(every)]
    worst, step = max(rolling), max(steps)
    ahead, at = [], Window.month_of(moment)
    for _ in range(months):
        # What comes with a month's first second belongs to it, and to none before.
        gained, theirs = (
            vested(of, at.end - 1) - vested(of, at.start - 1) for of in (insiders, others)
        )
        ahead.append((at.start, gained, theirs))
        at = Window.month_of(at.end)
    return Calendar(
        vested=every[0],
        scheduled=sum(bucket.amount for bucket in buckets),
        next_month=every[30] - every[0],
        calendar_month=ahead[0][1] + ahead[0][2],
        insiders_worst=worst,
        insiders_worst_from=days[rolling.index(worst)],
        insiders_year=own[365] - own[0],
        step=step,
        step_at=days[steps.index(step) + 1] if step else None,
        months=tuple(ahead),
    )


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
