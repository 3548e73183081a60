"""Money that moved at a time."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Movement"]


class Movement(NamedTuple):
    """Base units of a currency that moved, and where that was logged."""

    block: int
    time: int
    log: int
    amount: int
