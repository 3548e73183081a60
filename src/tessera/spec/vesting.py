"""`Vesting.vy`'s schedule again in plain Python: a cliff, then a straight line.

Invariant `never_early`; held against the contract by `test_vesting_matches_spec.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Schedule", "VestingModel", "unlocked_at"]


class Schedule(NamedTuple):
    """When shares unlock.

    Attributes
    ----------
    amount
        Raw units of the share.
    start
        Unix seconds.
    cliff, duration
        Seconds behind `start`; nothing is unlocked before the cliff, everything at `duration`.
    """

    amount: int
    start: int
    cliff: int
    duration: int


def unlocked_at(schedule: Schedule, time: int) -> int:
    """Compute how much of a grant is unlocked, released or not.

    Parameters
    ----------
    schedule
        The grant.
    time
        Unix seconds.

    Returns
    -------
    int
        Raw units, rounded down: nothing leaves early.
    """
    if time < schedule.start + schedule.cliff:
        return 0
    if time >= schedule.start + schedule.duration:
        return schedule.amount
    return schedule.amount * (time - schedule.start) // schedule.duration


@dataclass(slots=True)
class VestingModel:
    """One grant and what it has released, in raw units of the share.

    Attributes
    ----------
    released
        All that was sent.
    reported
        Of the grant alone, without what came on top of it.
    """

    schedule: Schedule
    released: int = 0
    reported: int = 0

    @property
    def left(self) -> int:
        """What of the grant was not released."""
        return self.schedule.amount - self.reported

    def release(self, held: int, now: int) -> int:
        """Send what is not locked.

        Parameters
        ----------
        held
            Raw units of the share that lie here; what came on top of the grant is free at once.
        now
            Unix seconds.

        Returns
        -------
        int
            Raw units sent; 0 where everything here is locked.
        """
        unlocked = unlocked_at(self.schedule, now)
        amount = max(0, held - (self.schedule.amount - unlocked))
        if amount:
            self.reported = unlocked
        self.released += amount
        return amount
