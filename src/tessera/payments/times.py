"""What time it is, when the machine's clock may be set at any moment.

How long something takes, and how old something is, the steady clock says. Whether a deadline of
the chain is over, the later of the machine's clock and the chain's says: a clock set back must not
make an operator answer for what it cannot settle any more, and one set forward makes it refuse
what it could have answered, until somebody sets it right. The machine's clock alone stands in
receipts, and there it never goes back. Which day it is, it says only as far as it keeps step with
the steady clock or the chain: else one jump would begin every key's budget anew.
"""

from __future__ import annotations

import time
from typing import Final

from tessera.payments.ports import Clock

__all__ = ["Times"]

_OUT_OF_STEP_S: Final = 600.0


def _awake_or_asleep() -> float:
    """Return steady seconds that go on while the machine sleeps, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Times:
    """The clocks of one process.

    Parameters
    ----------
    wall
        Unix seconds, as the machine believes.
    steady
        Seconds since some moment; never goes back, and nobody sets it.
    """

    def __init__(self, wall: Clock, steady: Clock = time.monotonic) -> None:
        self.wall = wall
        self.steady = steady
        self._lasting = _awake_or_asleep if steady is time.monotonic else steady
        self._behind = wall() - self._lasting()
        self._calendar = 0.0
        self._block = 0.0
        self._seen_at = 0.0
        self._stamped = 0

    def saw_block(self, timestamp: int) -> None:
        """Learn the time of a block of the chain, unix seconds; 0 says nothing."""
        if timestamp > self._chain():
            self._block, self._seen_at = float(timestamp), self.steady()

    def now(self) -> float:
        """Return unix seconds for judging the chain's deadlines."""
        return max(self.wall(), self._chain())

    def stamp(self) -> int:
        """Return unix seconds for what is signed or written down: never less than before."""
        self._stamped = max(self._stamped, int(self.wall()))
        return self._stamped

    def calendar(self) -> float:
        """Return unix seconds for telling days: never less than before.

        A jump of the machine's clock counts when a block of the chain confirms it.
        """
        steady, chain = self._lasting() + self._behind, self._chain()
        least = max(steady - _OUT_OF_STEP_S, chain)
        most = max(steady, chain) + _OUT_OF_STEP_S
        self._calendar = max(self._calendar, min(max(self.wall(), least), most))
        return self._calendar

    def _chain(self) -> float:
        return self._block + (self.steady() - self._seen_at) if self._block else 0.0
