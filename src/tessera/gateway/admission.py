"""How many calls a gateway has in hand at once; the others are told at once when to come back.

A gateway that takes everything answers nobody in time: each call in hand makes all others slower,
until clients give up and ask again. So beyond a number of calls the next ones are refused before
anything of them is read, for about a microsecond each, and what was taken is answered as fast as
ever. The refusals name a time, each a little different, so that not all come back together.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tessera.errors import TooBusy
from tessera.gateway.messages import JSON, Reply
from tessera.presenting import http_status, openai_error_body, retry_headers

__all__ = ["SMALL_BODY_BYTES", "Admission"]

SMALL_BODY_BYTES: Final = 8 * 1024
"""A body of at most so many bytes is read before its call asks for a place: it takes no memory
worth a place, and whoever sends none of it keeps nobody out."""

_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 60.0
_JITTER: Final = 0.25
_VARIANTS: Final = 16
_RENEW_S: Final = 0.25
_MEMORY: Final = 0.02
"""How much the latest call moves the mean of what a call takes."""


class Admission:
    """Counts the calls in hand.

    Parameters
    ----------
    limit
        The most; it may be changed at any time.
    chance
        Numbers between 0 and 1, for the spread of the times named.
    now
        Seconds that never go back.

    Attributes
    ----------
    in_hand
        Calls that were let in and have not ended.
    reading
        How many of them are still being sent.
    refused
        Calls that were not let in, ever.
    """

    __slots__ = (
        "_chance",
        "_made_at",
        "_mean_s",
        "_next",
        "_now",
        "_refused_before",
        "_replies",
        "in_hand",
        "limit",
        "reading",
        "refused",
    )

    def __init__(
        self,
        limit: int,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.in_hand = 0
        self.reading = 0
        self.refused = 0
        self._refused_before = 0
        self._mean_s = 0.0
        self._chance = chance
        self._now = now
        self._made_at = -math.inf
        self._replies: list[Reply] = []
        self._next = 0

    def enter(self) -> bool:
        """Take a call in hand, if there is room; then `leave` it in the end, always."""
        if self.in_hand >= self.limit:
            self.refused += 1
            return False
        self.in_hand += 1
        return True

    def begin_reading(self) -> bool:
        """Take a call in hand before its body came; `has_read` or `give_up_reading` follows.

        At most half of the places are for such: clients that announce a body and send none would
        else keep everybody out, with a hundred bytes each.
        """
        if self.reading >= max(1, self.limit // 2):
            self.refused += 1
            return False
        entered = self.enter()
        self.reading += entered
        return entered

    def has_read(self) -> None:
        """Take note that a body came; its call stays in hand."""
        self.reading -= 1

    def give_up_reading(self) -> None:
        """Let go of a call whose body never came; that says nothing of how long calls take."""
        self.reading -= 1
        self.in_hand -= 1

    def leave(self, seconds: float) -> None:
        """Let go of a call that took so long."""
        self.in_hand -= 1
        self._mean_s += _MEMORY * (seconds - self._mean_s)

    def refusal(self) -> Reply:
        """Return the 429 of a call that was not let in, made beforehand."""
        if self._next == len(self._replies):
            self._next = 0
            if self._now() - self._made_at > _RENEW_S:
                self._renew()
        reply = self._replies[self._next]
        self._next += 1
        return reply

    def retry_after_s(self, refused_per_s: float) -> float:
        """After how many seconds there should be room.

        What is in hand is done after the mean time of a call; but those who were refused in a
        second come back as well, and take as many rooms full of calls as they are.
        """
        rooms = 1 + refused_per_s / self.limit
        return min(_LONGEST_S, max(_SHORTEST_S, self._mean_s * rooms))

    def _renew(self) -> None:
        now = self._now()
        after = self.retry_after_s((self.refused - self._refused_before) / (now - self._made_at))
        self._made_at, self._refused_before = now, self.refused
        self._replies = [self._reply(after) for _ in range(_VARIANTS)]

    def _reply(self, mean_s: float) -> Reply:
        after = mean_s * (1 + _JITTER * (2 * self._chance() - 1))
        seconds = max(1, math.ceil(after))
        error = TooBusy(
            "gateway",
            found=f"{self.limit} calls in hand",
            wanted="fewer",
            next_step=f"ask again in {seconds} s; the call is not charged",
            retry_after_s=seconds,
        )
        return Reply(
            http_status(error),
            msgspec.json.encode(openai_error_body(error)),
            (
                JSON,
                *retry_headers(error),
                # The official clients take this one first: seconds alone would bring them back
                # in step.
                (b"retry-after-ms", str(round(1_000 * after)).encode()),
            ),
        )
