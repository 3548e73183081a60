"""All methods over one token's transfers, and what they say together.

A payment is circular where it is a trade with oneself, where Victor & Weintraud's positions or a
loop close over it, or where its payer is both funded by the project and paid with what the project
sent. Funded is whom it gave its first coins, or its first of this very token to pay most of it
back: gas is cheap to get elsewhere, and nobody may have looked at it. The lower bound is what is
certain by arithmetic alone (positions that do not change by one unit, and trades with oneself); the
upper bound is what any one method says.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tessera.diligence.circular.edges import busy
from tessera.diligence.circular.grouping import Pairs
from tessera.diligence.circular.linkage import (
    LINKS,
    LinkRules,
    first_funders,
    funded_by_payee,
    funder_groups,
    linked_payers,
)
from tessera.diligence.circular.loops import LOOPS, LoopRules, Loops, find_loops
from tessera.diligence.circular.payments import Payments
from tessera.diligence.circular.trades import TRADES, TradeRules, recurring_sets, wash_trades
from tessera.facts import ZERO_ID, Transfers

__all__ = ["Circular", "Parties", "Ring", "Rules", "look"]

_BACK: Final = 0.5
"""Of what the project gave, what has to come back for it to be no wage."""


@dataclass(frozen=True, eq=False)
class Parties:
    """Who plays which part, each of shape (addresses,), by the ids of the transfers' table.

    Attributes
    ----------
    entity
        int32: one id for all who belong together.
    removed
        Exchanges, bridges, routers, pools, mixers and burn addresses.
    project
        Team, treasury and deployer.
    revenue
        Where users' payments arrive.
    funder
        int32: who first sent it native tokens, -1 where it is not in the table or not known; None
        where nobody looked.
    """

    entity: NDArray[np.int32]
    removed: NDArray[np.bool_]
    project: NDArray[np.bool_]
    revenue: NDArray[np.bool_]
    funder: NDArray[np.int32] | None = None

    @classmethod
    def unknown(cls, addresses: int) -> Parties:
        """Everybody is somebody else, and nobody plays a part."""
        nobody = np.zeros(addresses, dtype=np.bool_)
        return cls(np.arange(addresses, dtype=np.int32), nobody, nobody, nobody)


@dataclass(frozen=True, slots=True)
class Rules:
    """Parameters of all methods."""

    loops: LoopRules = field(default_factory=lambda: LOOPS)
    trades: TradeRules = field(default_factory=lambda: TRADES)
    links: LinkRules = field(default_factory=lambda: LINKS)


@dataclass(frozen=True, slots=True)
class Ring:
    """Entities that loops join.

    Attributes
    ----------
    members
        Ids, ascending.
    loops
        How often value went around.
    circulated
        What went around: the least payment of each loop, summed, base units.
    paid
        All payments of its loops, base units.
    last
        The last of these: its row.
    """

    members: tuple[int, ...]
    loops: int
    circulated: int
    paid: int
    last: int


@dataclass(frozen=True, eq=False)
class Circular:
    """What the methods say of each transfer; masks of shape (n,).

    Attributes
    ----------
    source, target
        Entities, int32 of shape (n,).
    hub
        Mask over entities of those that were taken out.
    counted
        What is volume at all: neither minted nor burned, and of something.
    themselves
        Between addresses of one entity.
    unchanged
        Victor & Weintraud with a margin of 0.
    wash
        The same with the margin of the rules.
    linked
        Its payer was funded by the project or by another payer; None where nobody looked.
    conserved
        Its payer paid with what the project had sent.
    begun
        Its payer's first of this token came from the project, and most of what did went back.
    """

    transfers: Transfers
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    hub: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    themselves: NDArray[np.bool_]
    unchanged: NDArray[np.bool_]
    wash: NDArray[np.bool_]
    loops: Loops
    linked: NDArray[np.bool_] | None
    conserved: NDArray[np.bool_]
    begun: NDArray[np.bool_]

    @property
    def rows(self) -> NDArray[np.bool_]:
        """What is circular."""
        found = self.themselves | self.wash | self.loops.payments | (self.begun & self.conserved)
        if self.linked is not None:
            found |= self.linked & self.conserved
        return found & self.counted

    @property
    def lower(self) -> NDArray[np.bool_]:
        """What is circular by arithmetic alone."""
        return (self.themselves | self.unchanged) & self.counted

    @property
    def upper(self) -> NDArray[np.bool_]:
        """What any method says, each for itself."""
        found = self.rows | self.conserved
        if self.linked is not None:
            found |= self.linked
        return found & self.counted

    def value(self, rows: NDArray[np.bool_]) -> int:
        """Return the exact sum of these transfers, base units."""
        return self.transfers.amount[rows].total()

    def share(self, rows: NDArray[np.bool_], among: NDArray[np.bool_] | None = None) -> float:
        """Return which part of the volume, or of `among`, these rows are, by value; 0 of none."""
        whole = self.counted if among is None else self.counted & among
        total = self.value(whole)
        return self.value(rows & whole) / total if total else 0.0

    def circulated(self) -> int:
        """Return what went around: the least payment of each loop, summed, base units."""
        return self.transfers.amount[self.loops.least].total()

    @functools.cached_property
    def rings(self) -> tuple[Ring, ...]:
        """Who is joined by loops, the largest value first: loops that share a pair are one ring's.

        Hubs that value passed through are no members.
        """
        rows = np.flatnonzero((self.loops.loop >= 0) & self.counted)
        if not len(rows):
            return ()
        entities, loops = len(self.hub), len(self.loops)
        source, target, loop = self.source[rows], self.target[rows], self.loops.loop[rows]
        direct = ~self.hub[source] & ~self.hub[target]
        pairs = Pairs.of(
            np.minimum(source, target)[direct], np.maximum(source, target)[direct], entities
        )
        joined = coo_array(
            (np.ones(len(pairs.number), np.int8), (loop[direct], loops + pairs.number)),
            shape=(loops + len(pairs),) * 2,
        )
        _, part = connected_components(joined, directed=False)
        kinds, ring_of = np.unique(part[loop], return_inverse=True)
        count = len(kinds)
        amount = self.transfers.amount[rows]
        least = self.loops.least[rows]
        paid = amount.totals_by(ring_of, count)
        around = amount[least].totals_by(ring_of[least], count)
        turns = np.bincount(np.unique(ring_of.astype(np.int64) * loops + loop) // loops)
        last = np.zeros(count, dtype=np.int64)
        np.maximum.at(last, ring_of, rows)
        ends = np.concatenate([source, target])
        member = np.unique(np.tile(ring_of, 2).astype(np.int64) * entities + ends)
        member = member[~self.hub[member % entities]]
        cuts = np.searchsorted(member // entities, np.arange(1, count))
        members = np.split(member % entities, cuts)
        found = [
            Ring(tuple(each.tolist()), int(turn), went, whole, int(row))
            for each, turn, went, whole, row in zip(members, turns, around, paid, last, strict=True)
        ]
        return tuple(sorted(found, key=lambda ring: (-ring.paid, ring.members)))


def look(transfers: Transfers, parties: Parties, rules: Rules | None = None) -> Circular:
    """Put all methods to one token's transfers."""
    rules = rules or Rules()
    source, target = parties.entity[transfers.source], parties.entity[transfers.target]
    size = transfers.amount.approximate()
    counted = (transfers.source != ZERO_ID) & (transfers.target != ZERO_ID) & (size > 0)
    payments = Payments(source, target, transfers.time, size, len(parties.entity))
    given = _of_entities(parties.removed, parties.entity)
    given[ZERO_ID] = True
    project = _of_entities(parties.project, parties.entity)
    revenue = _of_entities(parties.revenue, parties.entity)
    # Who takes payments, and who pays them back, is not taken out for being busy.
    hub = given | (busy(payments) & ~project & ~revenue) if len(transfers) else given
    groups = linked = None
    if parties.funder is not None:
        funder = parties.funder
        groups = _of_entity(funder_groups(funder, parties.project, parties.removed), parties.entity)
        paying = np.zeros(len(funder), dtype=np.bool_)
        paying[transfers.source[revenue[target] & ~revenue[source]]] = True
        own = linked_payers(
            funder, paying, parties.project | parties.revenue, parties.removed, rules.links
        )
        linked = own[transfers.source] & revenue[target] & ~revenue[source]
    none = np.zeros(len(transfers), dtype=np.bool_)
    conserved = (
        funded_by_payee(
            source, target, transfers.time, transfers.amount, revenue, project, rules.links
        )
        if revenue.any() and len(transfers)
        else none
    )
    sets = recurring_sets(payments, hub, rules.trades.recurrence)
    strict = TradeRules(rules.trades.recurrence, 0.0, rules.trades.windows_s)
    return Circular(
        transfers=transfers,
        source=source,
        target=target,
        hub=hub,
        counted=counted,
        themselves=(source == target) & ~given[source],
        unchanged=wash_trades(payments, transfers.amount, hub, strict, sets),
        wash=wash_trades(payments, transfers.amount, hub, rules.trades, sets),
        loops=find_loops(payments, hub, groups, rules.loops),
        linked=linked,
        conserved=conserved,
        begun=_begun(transfers, parties, source, target, size),
    )


def _begun(
    transfers: Transfers,
    parties: Parties,
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    size: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which payments are of payers whom the project gave the token first, to pay it back.

    Whoever spends less than half of what it got there, as of wages, keeps the rest.
    """
    count = len(parties.entity)
    giver = first_funders(transfers.source, transfers.target, count)
    first = (giver >= 0) & parties.project[giver]
    outside = ~(parties.project | parties.revenue)
    pays = parties.revenue[transfers.target] & outside[transfers.source]
    gets = parties.project[transfers.source] & outside[transfers.target]
    paid = np.bincount(source[pays], size[pays], minlength=count)
    got = np.bincount(target[gets], size[gets], minlength=count)
    back: NDArray[np.bool_] = paid > _BACK * got
    return pays & first[transfers.source] & back[source]


def _of_entities(mask: NDArray[np.bool_], entity: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether any address of an entity is in the mask."""
    found = np.zeros(len(entity), dtype=np.bool_)
    found[entity[mask]] = True
    return found


def _of_entity(group: NDArray[np.int32], entity: NDArray[np.int32]) -> NDArray[np.int32]:
    """The group of each entity: that of one of its addresses that has one."""
    found = np.full(len(entity), -1, dtype=np.int32)
    known = group >= 0
    found[entity[known]] = group[known]
    return found
