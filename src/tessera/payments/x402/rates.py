"""How often strangers may cause a transaction whose gas they do not pay."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from tessera.errors import QuotaExceeded

__all__ = ["PerParty"]

_PARTIES_KEPT: Final = 10_000
_MINUTE_S: Final = 60.0


class PerParty:
    """How often each party may ask.

    Parameters
    ----------
    most
        In any window, and so many at once.
    steady
        Seconds that nobody sets.
    window_s
        How long a window is.
    what, next_step
        As a refusal says it.
    """

    def __init__(
        self,
        most: int,
        steady: Callable[[], float] = time.monotonic,
        *,
        window_s: float = _MINUTE_S,
        what: str = "facilitator: requests of one party in a minute",
        next_step: str = "ask again later, or settle by another facilitator",
    ) -> None:
        self._most = most
        self._steady = steady
        self._window_s = window_s
        self._what = what
        self._next_step = next_step
        self._asked: OrderedDict[bytes, deque[float]] = OrderedDict()

    def check(self, party: bytes) -> None:
        """Count a request.

        Raises
        ------
        QuotaExceeded
            The party asked too often; the operands say when to ask again.
        """
        now = self._steady()
        asked = self._asked.setdefault(party, deque())
        self._asked.move_to_end(party)
        if len(self._asked) > _PARTIES_KEPT:
            self._asked.popitem(last=False)
        while asked and asked[0] <= now - self._window_s:
            asked.popleft()
        if len(asked) >= self._most:
            raise QuotaExceeded(
                self._what,
                found=len(asked) + 1,
                wanted=f"{self._most} or fewer",
                next_step=self._next_step,
                retry_after_s=math.ceil(asked[0] + self._window_s - now),
            )
        asked.append(now)
