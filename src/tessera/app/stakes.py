"""How much of an asset its payers have locked, as the gateway's queues want to know it: at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

from tessera.errors import TesseraError

__all__ = ["LockedShares"]

_AT_ONCE: Final = 8
_MOST_KNOWN: Final = 65_536

_log = logging.getLogger("tessera.stakes")

ReadLocked = Callable[[int, bytes], Awaitable[float]]
"""Asks the chain which part of an asset's shares an account has locked, 0 to 1."""


class LockedShares:
    """Remembers locked parts, and looks them up again behind the caller's back.

    Parameters
    ----------
    read
        Asks the chain.
    clock
        Seconds that never go back.
    fresh_s
        How old an answer may be before it is looked up again.

    Notes
    -----
    An account that was never looked up counts as without shares, for as long as one read takes.
    While the chain does not answer, what was known counts on: nothing can be unlocked meanwhile.
    """

    def __init__(
        self, read: ReadLocked, clock: Callable[[], float], *, fresh_s: float = 5.0
    ) -> None:
        self._read = read
        self._clock = clock
        self._fresh_s = fresh_s
        self._known: dict[tuple[int, bytes], tuple[float, float]] = {}
        self._reading: dict[tuple[int, bytes], asyncio.Task[None]] = {}
        self._failing = False

    def locked(self, asset: int, payer: Hashable) -> float:
        """Return the part that was locked when it was last looked up; 0 where that never was."""
        if not isinstance(payer, bytes):
            # Who calls for nothing is nobody in particular.
            return 0.0
        key = (asset, payer)
        part, read_at = self._known.get(key, (0.0, float("-inf")))
        if self._clock() - read_at > self._fresh_s and key not in self._reading:
            self._look_up(key)
        return part

    async def close(self) -> None:
        """End the reads under way."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _look_up(self, key: tuple[int, bytes]) -> None:
        if len(self._reading) >= _AT_ONCE:
            # Its next call asks again.
            return
        task = asyncio.create_task(self._ask(key))
        self._reading[key] = task
        task.add_done_callback(lambda _: self._reading.pop(key, None))

    async def _ask(self, key: tuple[int, bytes]) -> None:
        try:
            part = min(1.0, max(0.0, await self._read(*key)))
            self._failing = False
        except TesseraError as error:
            part = self._known.get(key, (0.0, 0.0))[0]
            if not self._failing:
                _log.warning("locked shares stay as they were known: %s", error.message)
            self._failing = True
        # Behind all others: the first to be forgotten was looked up longest ago.
        self._known.pop(key, None)
        self._known[key] = (part, self._clock())
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
