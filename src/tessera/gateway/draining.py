"""Going down without letting anybody down.

First the gateway says that it goes (`/readyz`, and `Connection: close` on what it answers), then it
takes no more, then it waits for what it has. When the time for that is over, streams end where they
are: as for a text that reached its greatest length, what was sent is charged and has its receipt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tessera.errors import Overloaded
from tessera.gateway.health import Obstacle

__all__ = ["Drain"]

_RETRY_AFTER_S: Final = 2


class Drain:
    """Whether a gateway is about to end, and who wants to hear when its time is over.

    Attributes
    ----------
    begun
        Whether it is told to end: answers say `Connection: close`.
    over
        Whether the time for calls in hand is over.
    """

    __slots__ = ("_listeners", "begun", "over")

    def __init__(self) -> None:
        self.begun = False
        self.over = False
        self._listeners: dict[object, Callable[[], None]] = {}

    def begin(self) -> None:
        """Say that this gateway ends."""
        self.begun = True

    def cut(self) -> None:
        """End what has not ended."""
        self.begun = self.over = True
        for listener in [*self._listeners.values()]:
            listener()

    def watch(self, owner: object, on_cut: Callable[[], None]) -> None:
        """Call `on_cut` when the time is over; at once where it is already."""
        self._listeners[owner] = on_cut
        if self.over:
            on_cut()

    def forget(self, owner: object) -> None:
        """Call nobody for this owner any more. Twice is once."""
        self._listeners.pop(owner, None)

    def refusal(self) -> Overloaded:
        """Return what a call hears that has no answer when the time is over."""
        return Overloaded(
            "gateway",
            found="it is ending",
            wanted="another one, or this one when it is back",
            next_step="the call is not charged",
            retry_after_s=_RETRY_AFTER_S,
        )

    def obstacle(self) -> Obstacle | None:
        """Return what `/readyz` says of it."""
        if not self.begun:
            return None
        return Obstacle("draining", "this gateway is ending; it finishes the calls it has")
