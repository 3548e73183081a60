"""How many calls there were in the last minute, in little memory however many they are."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["LastMinute"]

_SLOT_S: Final = 1
_MINUTE_S: Final = 60


class LastMinute:
    """Counts calls by the second.

    A second counts until the whole of it is a minute ago. So no stretch of sixty seconds ever has
    more calls than were allowed, and a call may count for up to a second too long.
    """

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()
        self._total = 0

    def wait_s(self, most: int, now: float) -> int:
        """Return in how many seconds there is room below `most`; 0 for now.

        Parameters
        ----------
        now
            Seconds that nobody sets.
        """
        slot = int(now) // _SLOT_S
        while self._slots and self._slots[0][0] < slot - _MINUTE_S // _SLOT_S:
            self._total -= self._slots.popleft()[1]
        over = self._total - most
        if over < 0:
            return 0
        for begun, count in self._slots:
            over -= count
            if over < 0:
                return (begun - slot) * _SLOT_S + _MINUTE_S + _SLOT_S
        return _MINUTE_S

    def count(self, now: float) -> None:
        """Count a call."""
        slot = int(now) // _SLOT_S
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append([slot, 0])
        self._slots[-1][1] += 1
        self._total += 1
