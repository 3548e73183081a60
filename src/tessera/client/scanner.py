"""Finding the receipt at the end of a stream.

Clients of OpenAI's API stop reading at `[DONE]`, and the receipt comes behind it; so `[DONE]` is
held back until the receipt is there. Everything before passes at once.
"""

from __future__ import annotations

from typing import Final

from tessera.errors import ServingError
from tessera.serving.receipts import RECEIPT_EVENT, StreamHash

__all__ = ["ReceiptScanner"]

MOST_HELD: Final = 64 << 20
"""Bytes that wait for the end of their event, or for the receipt."""

_END: Final = b"\n\n"
_ERROR: Final = b'data: {"error":'
_DONE: Final = b"data: [DONE]"
_RECEIPT: Final = b"event: " + RECEIPT_EVENT.encode() + b"\ndata: "


class ReceiptScanner:
    """Splits a stream into what the reader gets and the receipt.

    Attributes
    ----------
    receipt
        The receipt's JSON; None until it came.
    hash
        Keccak-256 over everything before the receipt.
    ended
        Whether nothing more comes; False where the reader left.

    Parameters
    ----------
    keep
        Whether `kept` is wanted afterwards.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._kept: list[bytes] | None = [] if keep else None
        self.receipt: bytes | None = None
        self.ended = False
        self.hash = StreamHash()
        # Of an event that has not ended, in pieces: joined at each of them, a long one would be
        # copied as often as it has pieces.
        self._tail: list[bytes] = []
        self._held: list[bytes] = []
        self._waiting = 0

    def feed(self, data: bytes) -> bytes:
        """Take what arrived and return what may be read now."""
        if not data:
            return b""
        cut = bool(self._tail) and self._tail[-1].endswith(b"\n") and data.startswith(b"\n")
        if not cut and _END not in data:
            self._tail.append(data)
            self._wait_for(len(data))
            return b""
        self._waiting -= sum(map(len, self._tail))
        *events, tail = b"".join((*self._tail, data)).split(_END)
        self._tail = [tail] if tail else []
        self._wait_for(len(tail))
        ready: list[bytes] = []
        for event in events:
            if event.startswith(_RECEIPT):
                self.receipt = event.removeprefix(_RECEIPT)
                ready += self._held
                self._held, self._waiting = [], len(tail)
                continue
            # What says why it breaks off is the last that comes; official clients leave there.
            self.ended = self.ended or event.startswith(_ERROR)
            whole = self.hash.feed(event + _END)
            if self._kept is not None:
                self._kept.append(whole)
            if event == _DONE or self._held:
                self._held.append(whole)
                self._wait_for(len(whole))
            else:
                ready.append(whole)
        return b"".join(ready)

    @property
    def kept(self) -> bytes:
        """Everything before the receipt, which is what the receipt names; empty unless kept."""
        return b"".join(self._kept or ())

    def finish(self) -> bytes:
        """Return what is left when the stream has ended."""
        self.ended = True
        rest, self._held, self._tail = b"".join(self._held + self._tail), [], []
        return rest

    def _wait_for(self, size: int) -> None:
        self._waiting += size
        if self._waiting > MOST_HELD:
            raise ServingError(
                "stream of the gateway",
                found=f"over {MOST_HELD} bytes in one event, or behind the end",
                wanted="events, and a receipt behind [DONE]",
            )
