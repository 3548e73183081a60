"""The demo's clock: the machine's, moved on where the story skips hours or days."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessera.app import World

__all__ = ["StoryClock", "skip_to"]


class StoryClock:
    """Unix seconds, ahead of the machine's by as much as the story skipped.

    Parameters
    ----------
    machine
        Unix seconds.

    Attributes
    ----------
    ahead_s
        By how much; it never falls.
    """

    def __init__(self, machine: Callable[[], float] = time.time) -> None:
        self.ahead_s = 0.0
        self._machine = machine

    def __call__(self) -> float:
        """Return the story's time."""
        return self._machine() + self.ahead_s

    def skip_to(self, moment: float) -> None:
        """Let the story's time be `moment` or later."""
        self.ahead_s += max(0.0, moment - self())


async def skip_to(world: World, moment: int) -> None:
    """Move the world's clock on until the chain's next block is later than a moment.

    A clock that only the machine moves is waited for.
    """
    # Blocks have whole seconds; a moment that has just begun may belong to the one before.
    clock = world.clock
    if not isinstance(clock, StoryClock) or world.node is None:
        await asyncio.sleep(max(0.0, moment + 1.0 - clock()))
        return
    clock.skip_to(moment + 1.0)
    # What is asked of the chain is answered as of its last block.
    await world.node.mine()
