"""Waiting for a model: so long and no longer, and not beyond the gateway's own end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tessera.gateway.draining import Drain

__all__ = ["Patience"]

_T = TypeVar("_T")


class _Wait:
    """One call that waits; `why` says what ended it, if this did."""

    __slots__ = ("due", "task", "why")

    def __init__(self, task: asyncio.Task[object], due: float) -> None:
        self.task = task
        self.due = due
        self.why: Exception | None = None

    def end(self, why: Exception) -> None:
        if self.why is None:
            self.why = why
            self.task.cancel()


class Patience:
    """Bounds how long calls wait, each as long as any other.

    Parameters
    ----------
    seconds
        That each has.
    drain
        Says when the gateway's own time is over.

    Notes
    -----
    As all have the same time, the first to begin is the first to end, and one timer does for all:
    a call costs an entry in a dictionary instead of a timer.
    """

    def __init__(self, seconds: float, drain: Drain) -> None:
        self._seconds = seconds
        self._drain = drain
        self._waits: dict[_Wait, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        drain.watch(self, self._cut)

    async def wait(self, step: Coroutine[Any, Any, _T]) -> _T:
        """Wait for a step.

        Raises
        ------
        TimeoutError
            It took too long; it was cancelled.
        Overloaded
            The gateway ends; it was cancelled.
        """
        if self._drain.over:
            step.close()
            raise self._drain.refusal()
        # To ask for the loop takes a call of the kernel, which a paid call need not make.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "only tasks wait"
        wait = _Wait(task, loop.time() + self._seconds)
        self._waits[wait] = None
        if self._timer is None:
            self._timer = loop.call_at(wait.due, self._late)
        try:
            return await step
        except asyncio.CancelledError:
            if wait.why is None or task.uncancel():
                raise
            raise wait.why from None
        finally:
            del self._waits[wait]

    def _late(self) -> None:
        self._timer = None
        loop = self._loop
        assert loop is not None, "it set the timer"
        now = loop.time()
        for wait in self._waits:
            if wait.due > now:
                self._timer = loop.call_at(wait.due, self._late)
                return
            wait.end(TimeoutError())

    def _cut(self) -> None:
        for wait in self._waits:
            wait.end(self._drain.refusal())
