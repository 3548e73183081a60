"""Hops that value can take: payments, and passages through a hub that two payments make.

A hub (an exchange, a bridge, a router, or whoever has as many counterparties) is taken out of the
graph: through it everybody reaches everybody. What went in and came out again is joined only where
payer and payee keep a channel of their own: nearly all that the one sends to hubs matches, payment
by payment, what the other gets from them soon after, time and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.grouping import Pairs, order_by
from tessera.diligence.circular.payments import Payments

__all__ = ["HUB_DEGREE", "Hops", "busy", "direct_hops", "passages"]

HUB_DEGREE: Final = 50
"""Who has more payers and more payees than this counts as a hub."""
_HUB_SPREAD: Final = 10.0
"""... if by value they are as many as so many equal ones: dust from strangers makes no hub."""
_CLASSES: Final = 1 << 13
"""More classes of sums than there are, at any tolerance above 2 %, from 1 to 2**256."""
_CANDIDATES: Final = 48
"""Payments into a hub that are looked at for each one out of it, latest first."""
_LEAST: Final = 3
"""Matches that a channel has, at least."""
_EXCLUSIVE: Final = 0.5
"""Of all that the one sends to hubs, and of all that the other gets from them: matched."""


@dataclass(frozen=True, slots=True)
class Hops:
    """Each from `source` to `target`, beginning with payment `first` and ending with `last`.

    Attributes
    ----------
    source, target
        int32, shape (h,): entities.
    first, last
        int64, shape (h,): places in the payments; the same for a payment without a hub.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.source)

    def where(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Hops:
        """Some of them."""
        return Hops(self.source[mask], self.target[mask], self.first[mask], self.last[mask])

    def and_also(self, others: Hops) -> Hops:
        """These and those."""
        return Hops(
            np.concatenate([self.source, others.source]),
            np.concatenate([self.target, others.target]),
            np.concatenate([self.first, others.first]),
            np.concatenate([self.last, others.last]),
        )


def busy(payments: Payments, degree: int = HUB_DEGREE) -> NDArray[np.bool_]:
    """Who serves the public, shape (entities,): more than `degree` payers, and as many payees.

    Dust from strangers makes no hub of a ring's member: by value there have to be several. Nor do
    many wallets of one owner that all pay each other: most of what a hub moves, it moves for
    entities that are no such thing themselves.
    """
    entities = payments.entities
    often = np.ones(entities, dtype=np.bool_)
    for side in (payments.source, payments.target):
        often &= np.bincount(side, minlength=entities) > degree
    apart = (often[payments.source] | often[payments.target]) & (payments.source != payments.target)
    pairs = Pairs.of(payments.source[apart], payments.target[apart], entities)
    value = np.bincount(pairs.number, weights=payments.size[apart], minlength=len(pairs))
    hub, whole = often, np.zeros(entities)
    for one in (pairs.source, pairs.target):
        many = np.bincount(one, minlength=entities) > degree
        total = np.bincount(one, weights=value, minlength=entities)
        squares = np.bincount(one, weights=value * value, minlength=entities)
        with np.errstate(divide="ignore", invalid="ignore"):
            hub = hub & many & (total * total / squares >= _HUB_SPREAD)
        whole += total
    others = np.zeros(entities)
    for one, other in ((pairs.source, pairs.target), (pairs.target, pairs.source)):
        others += np.bincount(one, weights=value * ~hub[other], minlength=entities)
    return np.asarray(hub & (others >= whole / 2))


def direct_hops(payments: Payments, hub: NDArray[np.bool_]) -> Hops:
    """Payments of something, between two entities of which neither is a hub."""
    at = np.flatnonzero(
        (payments.source != payments.target)
        & (payments.size > 0)
        & ~hub[payments.source]
        & ~hub[payments.target]
    )
    return Hops(payments.source[at], payments.target[at], at, at)


def in_parts(
    payments: Payments, hub: NDArray[np.bool_], gap_s: int, least: int
) -> tuple[Payments, NDArray[np.int64]]:
    """Put together what pairs pay in parts: of those that do so often, and of whom they deal with.

    Parameters
    ----------
    gap_s
        The next payment of a pair is a part of the same sum where it is no later than this.
    least
        Sums in parts that one of two pairs at an entity has, at least.

    Returns
    -------
    pair of Payments and int64 of shape (n,)
        Whole sums at the time of their last parts, and which of them a payment belongs to; -1: to
        none, as nobody there pays in parts.
    """
    entities = payments.entities
    part_of = np.full(len(payments), -1, dtype=np.int64)
    rows = direct_hops(payments, hub).first
    pairs = Pairs.of(payments.source[rows], payments.target[rows], entities)
    rows = rows[order_by(pairs.number, len(pairs))]
    pair = np.repeat(np.arange(len(pairs)), pairs.count)
    new = np.ones(len(rows), dtype=np.bool_)
    new[1:] = (pair[1:] != pair[:-1]) | (np.diff(payments.time[rows]) > gap_s)
    whole = np.cumsum(new) - 1
    begin = np.flatnonzero(new)
    several = np.diff(np.append(begin, len(rows))) > 1
    often = np.bincount(pair[begin][several], minlength=len(pairs)) >= least
    deals = np.zeros(entities, dtype=np.bool_)
    deals[pairs.source[often]] = True
    deals[pairs.target[often]] = True
    kept = (deals[pairs.source] & deals[pairs.target])[pair]
    rows, whole = rows[kept], whole[kept]
    nothing = np.zeros(0, dtype=np.int32)
    if not len(rows):
        return Payments(nothing, nothing, payments.time[:0], payments.size[:0], entities), part_of
    last = np.zeros(int(whole[-1]) + 1, dtype=np.int64)
    np.maximum.at(last, whole, rows)
    present = np.unique(whole)
    by_last = present[np.argsort(last[present])]
    number = np.zeros(len(last), dtype=np.int64)
    number[by_last] = np.arange(len(by_last))
    part_of[rows] = number[whole]
    at = last[by_last]
    size = np.zeros(len(by_last))
    np.add.at(size, number[whole], payments.size[rows])
    return Payments(
        payments.source[at], payments.target[at], payments.time[at], size, entities
    ), part_of


def passages(
    payments: Payments, hub: NDArray[np.bool_], direct: Hops, within_s: int, ratio: float
) -> Hops:
    """What went into a hub by one entity and came out to another, in channels of their own.

    Parameters
    ----------
    direct
        Hops without a hub. Where both entities pay each other directly too, any match counts.
    within_s
        The longest that a sum lies in a hub.
    ratio
        Sums match where neither is more than this many times the other.
    """
    entities = payments.entities
    into = np.flatnonzero(hub[payments.target] & ~hub[payments.source] & (payments.size > 0))
    out = np.flatnonzero(hub[payments.source] & ~hub[payments.target] & (payments.size > 0))
    pairs = Pairs.of(direct.source, direct.target, entities)
    often = pairs.count >= _LEAST
    known = pairs.source[often] * entities + pairs.target[often]
    # A loop has a hop without a hub, so its members meet somebody directly, time and again.
    pays = np.zeros(entities, dtype=np.bool_)
    gets = np.zeros(entities, dtype=np.bool_)
    pays[known // entities] = True
    gets[known % entities] = True
    meets = pays | gets
    into, out = into[meets[payments.source[into]]], out[meets[payments.target[out]]]
    nothing = Hops(*(np.zeros(0, dtype=np.int32),) * 2, *(np.zeros(0, dtype=np.int64),) * 2)
    if not len(into) or not len(out):
        return nothing
    step = np.log(ratio)
    bucket = np.floor(np.log(payments.size[into]) / step).astype(np.int64)
    lowest = int(bucket.min())
    key = payments.target[into].astype(np.int64) * _CLASSES + (bucket - lowest)
    order = np.argsort(key, kind="stable")
    into, key = into[order], key[order]
    first, last = _match(
        key,
        into,
        payments.source[into],
        out,
        payments.source[out],
        payments.target[out],
        payments.time,
        np.log(np.maximum(payments.size, 1e-9)),
        lowest,
        step,
        within_s,
        _CANDIDATES,
    )
    if not len(first):
        return nothing
    hops = Hops(payments.source[first], payments.target[last], first, last)
    pairs = Pairs.of(hops.source, hops.target, entities)
    where = pairs.number
    # Each payment counts once, however many others it matches.
    matched = np.minimum(_distinct(where, first, len(pairs)), _distinct(where, last, len(pairs)))
    sent = np.bincount(payments.source[into], minlength=entities)[pairs.source]
    got = np.bincount(payments.target[out], minlength=entities)[pairs.target]
    own = (matched >= _LEAST) & (matched >= _EXCLUSIVE * np.maximum(sent, got))
    keep = own | np.isin(pairs.source * entities + pairs.target, known)
    return hops.where(keep[where])


def _distinct(group: NDArray[np.int64], value: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """How many values each group has, shape (groups,)."""
    order = order_by(group, groups, order_by(value, int(value.max()) + 1))
    group, value = group[order], value[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (value[1:] != value[:-1])
    return np.bincount(group[new], minlength=groups)


@numba.njit(cache=True, nogil=True)
def _match(  # type: ignore[no-untyped-def]
    key, into, payer, out, hub, payee, time, log_size, lowest, step, within, most
):  # pragma: no cover - compiled
    """For each payment out of a hub, payments into it before that match, latest first."""
    size = 1024
    first = np.empty(size, np.int64)
    last = np.empty(size, np.int64)
    found = 0
    for k in range(len(out)):
        o = out[k]
        own = np.int64(np.floor(log_size[o] / step)) - lowest
        looked = 0
        for bucket in range(own - 1, own + 2):
            if bucket < 0 or bucket >= _CLASSES:
                continue
            wanted = np.int64(hub[k]) * _CLASSES + bucket
            low = np.searchsorted(key, wanted)
            high = np.searchsorted(key, wanted + 1)
            # The last one before `o`.
            at = low + np.searchsorted(into[low:high], o) - 1
            while at >= low and looked < most:
                i = into[at]
                if time[o] - time[i] > within:
                    break
                looked += 1
                if payer[at] != payee[k] and abs(log_size[i] - log_size[o]) <= step:
                    if found == size:
                        size *= 2
                        wider = np.empty(size, np.int64)
                        wider[:found] = first[:found]
                        first = wider
                        wider = np.empty(size, np.int64)
                        wider[:found] = last[:found]
                        last = wider
                    first[found] = i
                    last[found] = o
                    found += 1
                at -= 1
    return first[:found], last[:found]
