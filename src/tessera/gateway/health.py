"""Whether a gateway should be sent calls, and if not, why.

`/healthz` says that the process lives, `/readyz` that it can do its work. A balancer asks the
second: a gateway that is told to stop, whose disk is full or whose chain is away answers 503 there
and names what is wrong, while the calls it has go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tessera.gateway.messages import Reply, json_reply

__all__ = [
    "Check",
    "Obstacle",
    "Readiness",
    "books_are_written",
    "chain_answers",
    "clock_agrees",
    "disk_has_room",
    "no_other_gateway",
]

LEAST_FREE_BYTES: Final = 64 * 1024 * 1024
"""Below it books and chain are about to stop; better while there is still room to say so."""

MOST_CLOCK_GAP_S: Final = 300.0
_RETRY_AFTER_S: Final = 5
_NOT_READY: Final = 503
_WATCHED_S: Final = 60.0
_FAILED_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a gateway from its work.

    Attributes
    ----------
    code
        A stable name, such as `disk_full`.
    message
        The same in a sentence, with values.
    """

    code: str
    message: str


Check = Callable[[], Obstacle | None]
"""Looks at something that is at hand, and never waits."""


class Readiness:
    """All that must be well for a gateway to be sent calls.

    Parameters
    ----------
    checks
        Looked at in this order.
    now
        Seconds that never go back.
    """

    def __init__(self, *checks: Check, now: Callable[[], float] = time.monotonic) -> None:
        self._checks = list(checks)
        self._now = now
        self._asked_at: float | None = None

    def add(self, *checks: Check) -> None:
        """Look at these too."""
        self._checks.extend(checks)

    def obstacles(self) -> list[Obstacle]:
        """Return what is wrong now; empty where nothing is."""
        return [found for check in self._checks if (found := check()) is not None]

    @property
    def watched(self) -> bool:
        """Whether somebody asked within the last minute, as a balancer does."""
        return self._asked_at is not None and self._now() - self._asked_at < _WATCHED_S

    def reply(self) -> Reply:
        """Answer `/readyz`."""
        self._asked_at = self._now()
        found = self.obstacles()
        if not found:
            return json_reply({"ok": True, "reasons": []})
        reasons = [{"code": reason.code, "message": reason.message} for reason in found]
        return json_reply(
            {
                "ok": False,
                "code": "not_ready",
                "message": reasons[0]["message"],
                "reasons": reasons,
            },
            _NOT_READY,
            [(b"retry-after", str(_RETRY_AFTER_S).encode())],
        )


def disk_has_room(folder: Path, least: int = LEAST_FREE_BYTES) -> Check:
    """Look whether the data folder's disk has room for more than the next few seconds."""

    def check() -> Obstacle | None:
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if free >= least:
            return None
        return Obstacle("disk_full", f"{free} bytes free for the books, wanted {least} or more")

    return check


def books_are_written(
    failure: Callable[[], Exception | None], now: Callable[[], float] = time.monotonic
) -> Check:
    """Look whether the latest commit reached the disk.

    For some seconds only: where no calls come, nothing is written that could show that it works
    again.

    Parameters
    ----------
    failure
        Returns what it failed with, or None.
    """
    seen: Exception | None = None
    seen_at = 0.0

    def check() -> Obstacle | None:
        nonlocal seen, seen_at
        error = failure()
        if error is not seen:
            seen, seen_at = error, now()
        if error is None or now() - seen_at > _FAILED_S:
            return None
        return Obstacle("books_behind", f"the books could not be written: {error}")

    return check


def no_other_gateway(channels: Callable[[], Collection[int]]) -> Check:
    """Look whether another gateway answers with the operator's key, on the same deposits.

    Parameters
    ----------
    channels
        Returns those of which more was settled than was charged here.
    """

    def check() -> Obstacle | None:
        found = channels()
        if not found:
            return None
        return Obstacle(
            "another_gateway",
            f"another gateway settles {len(found)} of this operator's channels, such as "
            f"{next(iter(found))}; stop one of them, or give both one database",
        )

    return check


def chain_answers(
    seen_at: Callable[[], float], within_s: float, now: Callable[[], float] = time.monotonic
) -> Check:
    """Look whether the chain answered lately.

    Parameters
    ----------
    seen_at
        Returns when it last did, in the time of `now`.
    within_s
        Withdrawals are seen so late; beyond it calls would be answered on deposits that may go.
    """

    def check() -> Obstacle | None:
        silent = now() - seen_at()
        if silent <= within_s:
            return None
        return Obstacle(
            "chain_unreachable",
            f"the chain has not answered for {silent:.0f} s, wanted {within_s:.0f} s or less",
        )

    return check


def clock_agrees(ahead_s: Callable[[], float | None], most_s: float = MOST_CLOCK_GAP_S) -> Check:
    """Look whether this machine's clock is the chain's, more or less.

    Parameters
    ----------
    ahead_s
        Returns by how much the latest block is ahead of the clock; negative where it is older.
        None where that says nothing, as on a chain that makes blocks only when there is work.
    """

    def check() -> Obstacle | None:
        ahead = ahead_s()
        if ahead is None or abs(ahead) <= most_s:
            return None
        side = "ahead of" if ahead > 0 else "behind"
        return Obstacle(
            "clock_off",
            f"the chain's latest block is {abs(ahead):.0f} s {side} this machine's clock, "
            f"wanted {most_s:.0f} s or less",
        )

    return check
