"""Answers that were held back until they were paid, for a payer whose connection broke since.

The payment is used up, so the same request cannot be paid again; it is answered with the very bytes
that were made for it. Only in memory, for minutes: it mends the wire, not the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tessera.gateway.messages import Reply

__all__ = ["Repeats"]

KEPT_S: Final = 600.0
KEPT_BYTES: Final = 32 * 1024 * 1024


class Repeats:
    """Keeps answers by what paid for them and what was asked.

    Parameters
    ----------
    steady
        Seconds that nobody sets.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        # In the order in which they were made.
        self._kept: dict[bytes, tuple[float, Reply]] = {}
        self._bytes = 0

    def keep(self, payment: bytes, request: bytes, reply: Reply) -> None:
        """Keep an answer for a while; the oldest give way."""
        _, before = self._kept.pop(payment + request, (0.0, None))
        self._kept[payment + request] = (self._steady(), reply)
        self._bytes += len(reply.body) - (len(before.body) if before else 0)
        while self._kept:
            oldest, (made_at, old) = next(iter(self._kept.items()))
            if self._bytes <= KEPT_BYTES and self._steady() - made_at <= KEPT_S:
                return
            del self._kept[oldest]
            self._bytes -= len(old.body)

    def find(self, payment: bytes, request: bytes) -> Reply | None:
        """Return the answer that a payment was used for, if this request got it."""
        made_at, reply = self._kept.get(payment + request, (0.0, None))
        return reply if self._steady() - made_at <= KEPT_S else None
