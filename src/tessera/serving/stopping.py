"""Where a text must end: stop sequences, found also when they arrive in pieces."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopScanner"]


class StopScanner:
    """Cuts a stream of text before the first stop sequence.

    Holds back the shortest tail that could still become one, so nothing of a stop sequence is
    ever let out.

    Parameters
    ----------
    stops
        The sequences; empty ones are ignored.

    Examples
    --------
    >>> scanner = StopScanner(["END"])
    >>> scanner.feed("the E"), scanner.feed("ND of it"), scanner.hit
    ('the ', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """Take the next piece and return what may be shown now."""
        if self.hit:
            return ""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.hit = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = max((self._overlap(stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def finish(self) -> str:
        """Return what was held back: the text ended before it became a stop sequence."""
        shown, self._held = self._held, ""
        return shown

    def _overlap(self, stop: str) -> int:
        longest = min(len(stop) - 1, len(self._held))
        return next(
            (n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])),
            0,
        )
