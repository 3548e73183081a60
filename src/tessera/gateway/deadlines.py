"""A timer that is moved on every request at next to no cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """Calls back when its time has come; it may be set anew any number of times.

    Parameters
    ----------
    loop
        The event loop.
    act
        Called once for each time that was reached.

    Notes
    -----
    A timer of the loop is made only where none runs that fires early enough; one that fires too
    early is made again for the rest. So a deadline that is always met costs two additions.
    """

    __slots__ = ("_act", "_due", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
        self._loop = loop
        self._act = act
        self._due: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Call back after so many seconds from now, and not before."""
        due = self._due = self._loop.time() + seconds
        if self._handle is None:
            self._handle = self._loop.call_at(due, self._fire)
        elif self._handle.when() > due:
            self._handle.cancel()
            self._handle = self._loop.call_at(due, self._fire)

    def clear(self) -> None:
        """Call back no more."""
        self._due = None

    def close(self) -> None:
        """Let go of the loop's timer as well."""
        self._due = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._handle = self._loop.call_at(self._due, self._fire)
            return
        self._due = None
        self._act()
