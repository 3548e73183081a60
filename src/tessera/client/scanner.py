"""Finding the receipt at the end of a stream.

Clients of OpenAI's API stop reading at `[DONE]`, and the receipt comes behind it; so `[DONE]` is
held back until the receipt is there. Everything before passes at once.
"""

from __future__ import annotations

from typing import Final

from tessera.serving.receipts import RECEIPT_EVENT, StreamHash

__all__ = ["ReceiptScanner"]

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
        self._tail = b""
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take what arrived and return what may be read now."""
        *events, self._tail = (self._tail + data).split(_END)
        ready: list[bytes] = []
        for event in events:
            if event.startswith(_RECEIPT):
                self.receipt = event.removeprefix(_RECEIPT)
                ready.append(self._held)
                self._held = b""
                continue
            # What says why it breaks off is the last that comes; official clients leave there.
            self.ended = self.ended or event.startswith(_ERROR)
            whole = self.hash.feed(event + _END)
            if self._kept is not None:
                self._kept.append(whole)
            if event == _DONE or self._held:
                self._held += whole
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
        rest, self._held, self._tail = self._held + self._tail, b"", b""
        return rest
