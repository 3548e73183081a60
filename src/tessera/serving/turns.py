"""Waiting for one's turn at a model: a fair queue per model, in an event loop.

A call that finds a free place begins at once and costs a look into a few dictionaries. One that
does not waits in `tessera.serving.fairness`; it is refused when the queue is full, when it waited
too long, or when it is put out for somebody who has fewer calls waiting for his weight, and hears
after how many seconds it is worth to ask again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Hashable
from typing import Final, Protocol

from tessera.errors import Closed, Overloaded, QuotaExceeded, ServingError
from tessera.serving.fairness import FairQueue, QueueRules, Ticket

__all__ = ["NO_STAKES", "Line", "Stakes", "Turn", "Turns"]

_MEMORY: Final = 0.1
"""How much the latest call moves the mean of what a call takes."""

_LONGEST_RETRY_S: Final = 600


class Stakes(Protocol):
    """Who has locked how much of what; a port that the application fills."""

    def locked(self, asset: int, payer: Hashable) -> float:
        """Return the part of the asset's shares that the payer has locked, 0 to 1.

        From memory and at once: what is not known yet is 0, and is looked up meanwhile.
        """

    async def amount(self, asset: int, payer: Hashable) -> int:
        """Return how many raw shares of the asset the payer has locked; the chain may be asked.

        Raises
        ------
        ChainError
            It had to be, and does not answer.
        """


class _NoStakes:
    def locked(self, asset: int, payer: Hashable) -> float:
        return 0.0

    async def amount(self, asset: int, payer: Hashable) -> int:
        return 0


NO_STAKES: Final[Stakes] = _NoStakes()
"""Where nobody can lock anything: all weigh the same."""


class Turn:
    """A call's place at the model; `leave` it in the end, always.

    Attributes
    ----------
    units
        What the call was metered as; None as long as it has no result.
    """

    __slots__ = ("_begun", "_line", "_ticket", "units")

    def __init__(self, line: Line, ticket: Ticket, begun: float) -> None:
        self._line = line
        self._ticket = ticket
        self._begun = begun
        self.units: int | None = None

    def leave(self) -> None:
        """Give the place to who is next. Twice is once."""
        self._line.left(self._ticket, self._begun, self.units)


class Line:
    """Those who wait for one model.

    Parameters
    ----------
    name
        The model's, for messages.
    asset
        Whose shares count.
    at_once
        Calls that the model answers at the same time.
    rules
        Bounds and weights.
    stakes
        Who has locked how much.
    """

    def __init__(
        self, name: str, asset: int, at_once: int, rules: QueueRules, stakes: Stakes
    ) -> None:
        self.name = name
        self.queue = FairQueue(at_once, rules, lambda payer: stakes.locked(asset, payer))
        self._rules = rules
        self._places: dict[Ticket, asyncio.Future[None]] = {}
        self._mean_s: float | None = None
        self._loop = asyncio.get_running_loop()

    def at_once(self, payer: Hashable, most: int) -> Turn | None:
        """Begin a call that need not wait; None where it must."""
        if self.queue.waiting or self.queue.serving >= self.queue.at_once:
            return None
        ticket, _ = self.queue.enter(payer, most)
        return None if ticket is None else Turn(self, ticket, self._loop.time())

    async def wait(self, payer: Hashable, most: int, gone: Awaitable[object]) -> Turn:
        """Begin a call when it is its turn.

        Parameters
        ----------
        payer, most
            As for `at_once`.
        gone
            Done when whoever asked has left.

        Raises
        ------
        QuotaExceeded
            The queue is full, and this payer has the most waiting for his weight.
        Overloaded
            The queue is full of others, or it was not this call's turn in time.
        Closed
            Whoever asked has left.
        """
        leaving = asyncio.ensure_future(gone)
        ticket: Ticket | None = None
        try:
            try:
                ticket, out = self.queue.enter(payer, most)
                if out is not None:
                    self._put_out(out)
                if ticket is None:
                    raise self._full(payer)
                if not ticket.serving:
                    await self._turn_of(ticket, leaving)
            finally:
                leaving.cancel()
                await asyncio.wait([leaving])
        except BaseException:
            # Outermost: whoever is cancelled in the very moment of his turn gives it back too.
            if ticket is not None:
                self._places.pop(ticket, None)
                self.queue.abandon(ticket)
                self._call_next()
            raise
        return Turn(self, ticket, self._loop.time())

    def left(self, ticket: Ticket, begun: float, units: int | None) -> None:
        """Take note that a call is over, and begin the next."""
        if not ticket.serving:
            return
        took = self._loop.time() - begun
        self._mean_s = (
            took if self._mean_s is None else self._mean_s + _MEMORY * (took - self._mean_s)
        )
        self.queue.leave(ticket, units)
        self._call_next()

    def follow(self, rules: QueueRules) -> None:
        """Keep the line by other rules from now on."""
        self._rules = self.queue.rules = rules

    @property
    def idle(self) -> bool:
        """Whether nobody waits and nothing is answered."""
        return not self.queue.serving and not self.queue.waiting

    def retry_after_s(self, payer: Hashable) -> int:
        """After how many seconds it would be about a further call's turn; 1 or more."""
        mean = 1.0 if self._mean_s is None else self._mean_s
        # Those being answered are half through on average; those before it take a place each.
        rounds = self.queue.ahead_of(payer) / self.queue.at_once + 0.5
        return min(_LONGEST_RETRY_S, max(1, math.ceil(mean * rounds)))

    def _put_out(self, ticket: Ticket) -> None:
        place = self._places.pop(ticket)
        if not place.done():
            place.set_exception(self._full(ticket.flow.payer))

    async def _turn_of(self, ticket: Ticket, leaving: asyncio.Future[object]) -> None:
        """Return when it is the ticket's turn; refuse it when it waited too long, or left."""
        place = self._places[ticket] = self._loop.create_future()
        await asyncio.wait(
            (place, leaving), timeout=self._rules.wait_s, return_when=asyncio.FIRST_COMPLETED
        )
        if place.done():
            place.result()
        elif leaving.done():
            raise Closed("the client went away before it was its turn")
        else:
            raise self._busy(ticket.flow.payer, f"no turn within {self._rules.wait_s:g} s")

    def _call_next(self) -> None:
        while (ticket := self.queue.next()) is not None:
            place = self._places.pop(ticket, None)
            if place is None or place.done():
                # It left in this very moment.
                self.queue.abandon(ticket)
            else:
                place.set_result(None)

    def _full(self, payer: Hashable) -> ServingError:
        waiting = self.queue.waiting_of(payer)
        if not waiting:
            return self._busy(payer, f"{self.queue.waiting} calls waiting, of others")
        after = self.retry_after_s(payer)
        return QuotaExceeded(
            f"queue of {self.name}",
            found=f"{self.queue.waiting} calls waiting, {waiting} of them yours",
            wanted=f"fewer than {self._rules.length}",
            next_step=f"ask again in {after} s; the call is not charged",
            retry_after_s=after,
        )

    def _busy(self, payer: Hashable, found: str) -> Overloaded:
        after = self.retry_after_s(payer)
        return Overloaded(
            f"queue of {self.name}",
            found=found,
            wanted="a free place",
            next_step=f"ask again in {after} s; the call is not charged",
            retry_after_s=after,
        )


class Turns:
    """The lines before all models of a gateway.

    Parameters
    ----------
    rules
        Bounds and weights, the same for each.
    stakes
        Who has locked how much.
    """

    def __init__(self, rules: QueueRules | None = None, stakes: Stakes = NO_STAKES) -> None:
        self.rules = rules or QueueRules()
        self.stakes = stakes
        self._lines: dict[tuple[int, int], Line] = {}

    def line(self, asset: int, version: int, name: str, at_once: int) -> Line:
        """Return the line before a version of an asset."""
        found = self._lines.get((asset, version))
        if found is None:
            for key in [key for key, line in self._lines.items() if key[0] == asset and line.idle]:
                del self._lines[key]
            found = self._lines[asset, version] = Line(
                name, asset, at_once, self.rules, self.stakes
            )
        return found

    def follow(self, rules: QueueRules) -> None:
        """Keep all lines by other rules from now on; who waits stays."""
        self.rules = rules
        for line in self._lines.values():
            line.follow(rules)

    @property
    def waiting(self) -> int:
        """Calls that wait, at all models."""
        return sum(line.queue.waiting for line in self._lines.values())
