"""Who is next when more is asked of a model than it can answer: start-time fair queueing.

Every payer is a flow. A flow's calls have start tags in *virtual time*, one behind the other, as
far apart as a call's units divided by the flow's weight; whoever has the smallest tag is served,
and virtual time is the tag of whoever was served last. So over any stretch in which two flows both
wait, the units served to them are in proportion to their weights, to within one call each; and
nobody is charged later for having used a model that nobody else wanted. (Goyal, Vin and Cheng,
"Start-time Fair Queuing", 1996; with several calls at once as in Jin, Chase and Kaur, 2004.)

Weights: whoever locked none of the asset's shares weighs 1, a holder as many times `unit_bps` as
his locked part of the supply has. All those without shares together weigh at least `open_bps` of
what waits, and no holder weighs less than one of them. This file knows no clock, no task, no
chain and no money; `tessera.serving.turns` does the waiting.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from tessera.units import BPS

__all__ = ["FairQueue", "Flow", "QueueRules", "Ticket"]

Locked = Callable[[Hashable], float]
"""The part of the supply that a payer has locked, 0 to 1, answered from memory."""

_SWEEP: Final = 4
_MEMORY: Final = 0.1
"""How much the latest call moves the mean of a call's units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """How a model's queue is kept.

    Attributes
    ----------
    length
        Calls that may wait for one model.
    wait_s
        Seconds that one may wait.
    unit_bps
        Hundredths of a percent of the supply, locked, that weigh as much as a payer without any.
    open_bps
        The least part of a full model that those without locked shares have together, while any
        of them waits.
    """

    length: int = 256
    wait_s: float = 30.0
    unit_bps: int = 1
    open_bps: int = 500


@dataclass(slots=True, eq=False)
class Ticket:
    """One call: waiting, being served, or done with.

    Attributes
    ----------
    flow
        Whose.
    most
        Units that it can be charged for at most.
    charged
        What the flow's tag was moved by for it; 0 while it waits.
    """

    flow: Flow
    most: int
    charged: float = 0.0
    weight: float = 1.0
    serving: bool = False


@dataclass(slots=True, eq=False)
class Flow:
    """A payer who has calls waiting or being served, or whose tag is ahead of virtual time."""

    payer: Hashable
    joined: float = 0.0
    finish: float = 0.0
    stake: float = 0.0
    waiting: deque[Ticket] = field(default_factory=deque)
    serving: int = 0
    round: int = 0

    @property
    def start(self) -> float:
        """Tag of its next call; never earlier than when it began to wait."""
        return max(self.joined, self.finish)


class FairQueue:
    """The queue before one model.

    Parameters
    ----------
    at_once
        Calls that the model answers at the same time.
    rules
        Bounds and weights.
    locked
        Asked when a call comes and when one begins, so that a stake counts once it is known.

    Notes
    -----
    A call is charged the smaller of its most and the recent mean before it begins, and what it
    was metered as when it is over; so who allows long answers and gets short ones loses nothing.
    Each call takes time logarithmic in the payers who wait; one that meets a full queue, linear.
    """

    def __init__(self, at_once: int, rules: QueueRules, locked: Locked) -> None:
        self.at_once = max(1, at_once)
        self.rules = rules
        self._locked = locked
        self._flows: dict[Hashable, Flow] = {}
        self._heads: list[tuple[float, int, int, Flow]] = []
        self._count = 0
        self._now = 0.0
        self._mean: float | None = None
        self.serving = 0
        self.waiting = 0
        # Of those who wait: what holders weigh together, and how many have locked nothing.
        self._stakes = 0.0
        self._open = 0

    def enter(self, payer: Hashable, most: int) -> tuple[Ticket | None, Ticket | None]:
        """Let a call in, to be served at once or to wait.

        Parameters
        ----------
        payer
            Whose flow it joins.
        most
            Units that it can be charged for at most.

        Returns
        -------
        tuple of Ticket or None
            The call's ticket, None where the queue is full and nobody has more waiting for his
            weight; and the ticket of another call that was put out in its favour.
        """
        flow = self._flows.get(payer)
        if flow is None:
            if len(self._flows) > _SWEEP * (self.rules.length + self.at_once):
                self._sweep()
            flow = self._flows[payer] = Flow(payer)
        ticket = Ticket(flow, max(1, most))
        if not self.waiting and self.serving < self.at_once:
            flow.joined, flow.stake = self._now, self._stake(flow)
            self._begin(ticket, self._weigh(flow.stake))
            return ticket, None
        out: Ticket | None = None
        if self.waiting >= self.rules.length:
            loser = self._longest(flow)
            if loser is flow:
                self._forget(flow)
                return None, None
            out = loser.waiting[-1]
            self.abandon(out)
        flow.waiting.append(ticket)
        self.waiting += 1
        if len(flow.waiting) == 1:
            flow.joined = self._now
            self._join(flow)
            self._push(flow)
        return ticket, out

    def next(self) -> Ticket | None:
        """Begin the call whose turn it is; None where none waits or the model is busy."""
        if self.serving >= self.at_once:
            return None
        while self._heads:
            _, _, round_, flow = heapq.heappop(self._heads)
            if round_ != flow.round or not flow.waiting:
                continue
            # What is locked may have become known since.
            self._leave(flow)
            self._join(flow)
            ticket = flow.waiting.popleft()
            self.waiting -= 1
            self._begin(ticket, self._weigh(flow.stake))
            if flow.waiting:
                self._push(flow)
            else:
                self._leave(flow)
            return ticket
        return None

    def leave(self, ticket: Ticket, units: int | None = None) -> None:
        """End a call that was being served.

        Parameters
        ----------
        units
            What it was metered as; None leaves the estimate, as for a call that failed: it took
            the model's time all the same.
        """
        if not ticket.serving:
            return
        ticket.serving = False
        flow = ticket.flow
        flow.serving -= 1
        self.serving -= 1
        if units is not None:
            spent = max(1, units)
            self._mean = (
                float(spent) if self._mean is None else self._mean + _MEMORY * (spent - self._mean)
            )
            flow.finish += (spent - ticket.charged) / ticket.weight
            if flow.waiting:
                self._push(flow)
        self._forget(flow)
        if not self.serving and not self.waiting:
            # Nobody is ahead of anybody in an empty house.
            self._flows.clear()
            self._heads.clear()
            self._now = 0.0

    def abandon(self, ticket: Ticket) -> None:
        """Take a call back, whether it waits or is served."""
        if ticket.serving:
            self.leave(ticket)
            return
        flow = ticket.flow
        if ticket not in flow.waiting:
            return
        flow.waiting.remove(ticket)
        self.waiting -= 1
        if not flow.waiting:
            self._leave(flow)
            self._forget(flow)

    def weight(self, payer: Hashable) -> float:
        """What a payer weighs now, or would if he came."""
        stake = self._locked(payer) * BPS / self.rules.unit_bps
        newcomer = not self.waiting_of(payer)
        holders = self._stakes + stake * newcomer
        return max(stake, self._floor(holders, self._open + (newcomer and stake == 0.0)))

    def waiting_of(self, payer: Hashable) -> int:
        """How many calls of a payer wait."""
        flow = self._flows.get(payer)
        return len(flow.waiting) if flow else 0

    def ahead_of(self, payer: Hashable) -> float:
        """About how many calls will begin before a further one of this payer does."""
        mine = self.weight(payer)
        others = sum(
            min(len(flow.waiting), self._weigh(flow.stake) / mine)
            for flow in self._flows.values()
            if flow.waiting and flow.payer != payer
        )
        own = self.waiting_of(payer) + 1
        return min(float(self.waiting), own * (1.0 + others))

    def _begin(self, ticket: Ticket, weight: float) -> None:
        flow, most = ticket.flow, float(ticket.most)
        start = flow.start
        self._now = max(self._now, start)
        ticket.weight = weight
        ticket.charged = most if self._mean is None else min(most, self._mean)
        ticket.serving = True
        flow.finish = start + ticket.charged / weight
        flow.serving += 1
        self.serving += 1

    def _push(self, flow: Flow) -> None:
        # An entry of an older round is passed over when it comes up.
        flow.round += 1
        self._count += 1
        heapq.heappush(self._heads, (flow.start, self._count, flow.round, flow))

    def _stake(self, flow: Flow) -> float:
        return self._locked(flow.payer) * BPS / self.rules.unit_bps

    def _join(self, flow: Flow) -> None:
        flow.stake = self._stake(flow)
        self._stakes += flow.stake
        self._open += flow.stake == 0.0

    def _leave(self, flow: Flow) -> None:
        self._open -= flow.stake == 0.0
        # Exactly nothing where no holder waits: what rounding leaves must not pile up.
        holders = self._stakes - flow.stake
        self._stakes = holders if holders > 1e-9 else 0.0

    def _weigh(self, stake: float) -> float:
        return max(stake, self._floor(self._stakes, self._open))

    def _floor(self, holders: float, others: int) -> float:
        # What one without shares weighs among so many, beside holders of that weight.
        if not others:
            return 1.0
        open_bps = self.rules.open_bps
        return max(1.0, holders * open_bps / (BPS - open_bps) / others)

    def _longest(self, newcomer: Flow) -> Flow:
        worst, most = newcomer, (len(newcomer.waiting) + 1) / self.weight(newcomer.payer)
        for flow in self._flows.values():
            if flow.waiting and flow is not newcomer:
                load = len(flow.waiting) / self._weigh(flow.stake)
                if load > most:
                    worst, most = flow, load
        return worst

    def _forget(self, flow: Flow) -> None:
        # One whose tag lies behind virtual time would begin at virtual time anyway.
        if not flow.waiting and not flow.serving and flow.finish <= self._now:
            self._flows.pop(flow.payer, None)

    def _sweep(self) -> None:
        for flow in list(self._flows.values()):
            self._forget(flow)
