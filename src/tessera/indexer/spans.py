"""How many blocks to ask for at once: as many as give an answer of a good size."""

from __future__ import annotations

from typing import Final

__all__ = ["Span"]

_GROWTH: Final = 4.0
_PATIENCE: Final = 12


class Span:
    """A number of blocks that follows what nodes answer and what they refuse.

    Parameters
    ----------
    first
        To begin with.
    rows
        Of an answer of good size.
    most
        Blocks, however empty they are.
    """

    def __init__(self, first: int, *, rows: int, most: int) -> None:
        self.blocks = first
        self._rows = rows
        self._most = most
        self._ceiling = most
        self._since = 0

    def answered(self, blocks: int, rows: int) -> None:
        """Learn from an answer."""
        wanted = blocks * self._rows / max(rows, 1)
        self._since += 1
        if self._since >= _PATIENCE and self._ceiling < self._most:
            # What was too much once may not be for ever: blocks differ in what is in them.
            self._ceiling = min(self._most, self._ceiling * 2)
            self._since = 0
        grown = min(wanted, blocks * _GROWTH, self._ceiling)
        self.blocks = max(1, int(max(grown, min(self.blocks, wanted))))
        self.blocks = min(self.blocks, self._ceiling)

    def refused(self, blocks: int) -> None:
        """Learn that so many were too many."""
        self._ceiling = max(1, min(self._ceiling, blocks // 2))
        self.blocks = min(self.blocks, self._ceiling)
        self._since = 0
