"""Wash trades after Victor & Weintraud (2021): sets of accounts whose positions do not change.

In own words. Take all trades of one token as a graph with parallel edges. Each strongly connected
part is a set of accounts; take away one of each bundle of parallel edges, look again, and so on
until nothing is connected: a set that is seen often trades with itself often. For each such set and
each window, cut out its trades. If nobody's position has changed, up to a margin of the mean trade,
all of them are wash; if it has, leave out the last trade and look again.

Positions are exact (integers of any width), so a margin of 0 means what it says.

Source: F. Victor, A. M. Weintraud, "Detecting and Quantifying Wash Trading on Decentralized
Cryptocurrency Exchanges", The Web Conference 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from tessera.diligence.circular.grouping import Pairs, order_by, starts_of
from tessera.diligence.circular.payments import Payments
from tessera.diligence.results import DAY_S
from tessera.errors import InputError
from tessera.facts.amounts import Amounts

__all__ = ["TRADES", "RecurringSet", "TradeRules", "recurring_sets", "wash_trades"]


@dataclass(frozen=True, slots=True)
class TradeRules:
    """What wash trades are.

    Attributes
    ----------
    recurrence
        Layers of parallel edges in which a set is seen, at least.
    margin
        Largest change of a position, as a share of the mean trade; 0 for none at all.
    windows_s
        Lengths of windows, which follow each other from the first trade on; shorter ones first.
    """

    recurrence: int = 100
    margin: float = 0.01
    windows_s: tuple[int, ...] = (3_600, DAY_S, 7 * DAY_S)

    def __post_init__(self) -> None:
        if self.recurrence < 1 or self.margin < 0 or not all(w > 0 for w in self.windows_s):
            raise InputError("trade rules", found=self, wanted="1 or more layers, margin 0 or more")


TRADES: Final = TradeRules()


@dataclass(frozen=True, slots=True)
class RecurringSet:
    """Accounts that are strongly connected in so many layers of trades.

    Attributes
    ----------
    members
        Entities, ascending, 2 or more.
    """

    members: tuple[int, ...]
    layers: int


def recurring_sets(payments: Payments, hub: NDArray[np.bool_], least: int) -> list[RecurringSet]:
    """Sets of accounts that are a strongly connected part in `least` layers or more.

    Layers only change where a bundle of parallel edges ends, so only there the graph is looked at.
    """
    entities = payments.entities
    apart = (payments.source != payments.target) & (payments.size > 0)
    apart &= ~hub[payments.source] & ~hub[payments.target]
    pairs = Pairs.of(payments.source[apart], payments.target[apart], entities)
    source, target, count = pairs.source, pairs.target, pairs.count
    seen: dict[tuple[int, ...], int] = {}
    layer = 0
    while len(count):
        graph = csr_array(
            (np.ones(len(count), dtype=np.int8), target, starts_of(source, entities)),
            shape=(entities, entities),
        )
        _, part = connected_components(graph, directed=True, connection="strong")
        inside = part[source] == part[target]
        # An edge between two parts is in no cycle now, nor when fewer edges are left.
        source, target, count = source[inside], target[inside], count[inside]
        if not len(count):
            break
        until = int(count.min())
        members = np.unique(np.concatenate([source, target]))
        order = np.argsort(part[members], kind="stable")
        cuts = np.flatnonzero(np.diff(part[members][order])) + 1
        for group in np.split(members[order], cuts):
            key = tuple(int(each) for each in group)
            seen[key] = seen.get(key, 0) + until - layer
        layer = until
        left = count > layer
        source, target, count = source[left], target[left], count[left]
    return [RecurringSet(key, layers) for key, layers in seen.items() if layers >= least]


def wash_trades(
    payments: Payments,
    amount: Amounts,
    hub: NDArray[np.bool_],
    rules: TradeRules = TRADES,
    sets: Sequence[RecurringSet] | None = None,
) -> NDArray[np.bool_]:
    """Which payments are wash trades, shape (n,).

    Parameters
    ----------
    amount
        The payments' exact amounts, n of them.
    hub
        Who is taken out.
    sets
        Where they are known already.
    """
    wash = np.zeros(len(payments), dtype=np.bool_)
    if sets is None:
        sets = recurring_sets(payments, hub, rules.recurrence)
    if not sets:
        return wash
    limbs = np.ascontiguousarray(amount.limbs)
    place = np.full(payments.entities, -1, dtype=np.int64)
    everybody = np.unique(np.concatenate([np.array(each.members) for each in sets]))
    among = np.zeros(payments.entities, dtype=np.bool_)
    among[everybody] = True
    trades = np.flatnonzero(
        among[payments.source]
        & among[payments.target]
        & (payments.source != payments.target)
        & (payments.size > 0)
    )
    by_source = trades[order_by(payments.source[trades], payments.entities)]
    begin = starts_of(payments.source[trades], payments.entities)
    start = int(payments.time[0])
    # Parts of layers lie within each other: the larger first, as they were met.
    own = []
    for each in sets:
        members = np.array(each.members)
        place[members] = np.arange(len(members))
        rows = np.concatenate([by_source[begin[m] : begin[m + 1]] for m in members])
        own.append((members, np.sort(rows[place[payments.target[rows]] >= 0])))
        place[members] = -1
    for window in rules.windows_s:
        for members, rows in own:
            left = rows[~wash[rows]]
            if len(left) < 2:
                continue
            place[members] = np.arange(len(members))
            _cut(
                left,
                place[payments.source[left]],
                place[payments.target[left]],
                (payments.time[left] - start) // window,
                limbs,
                payments.size,
                len(members),
                rules.margin,
                wash,
            )
            place[members] = -1
    return wash


@numba.njit(cache=True, nogil=True)
def _cut(  # type: ignore[no-untyped-def]
    rows, source, target, window, limbs, size, members, margin, wash
):  # pragma: no cover - compiled
    """Mark what is wash in each window; positions are two's complement, one limb wider.

    Going back from a window's last trade, one account whose position is out of the margin refutes
    the rest; only when it is within, another is looked for.
    """
    width = limbs.shape[1] + 1
    net = np.zeros((members, width), np.uint64)
    begin = 0
    while begin < len(rows):
        end = begin
        total = 0.0
        while end < len(rows) and window[end] == window[begin]:
            _move(net, source[end], target[end], limbs[rows[end]])
            total += size[rows[end]]
            end += 1
        left = end
        witness = 0
        while left - begin >= 2:
            allowed = margin * total / (left - begin)
            looked = 0
            while looked < members and _within(net[witness], allowed):
                looked += 1
                witness = (witness + 1) % members
            if looked == members:
                break
            left -= 1
            _move(net, target[left], source[left], limbs[rows[left]])
            total -= size[rows[left]]
        if left - begin >= 2:
            for at in range(begin, left):
                wash[rows[at]] = True
        for at in range(begin, left):
            _move(net, target[at], source[at], limbs[rows[at]])
        # Whatever was left: a trade is taken back exactly, so all positions are 0 again here.
        begin = end


@numba.njit(cache=True, nogil=True)
def _move(net, giver, taker, amount):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Take an amount from one position and add it to another, with carries."""
    carry = np.uint64(0)
    borrow = np.uint64(0)
    for limb in range(net.shape[1]):
        part = amount[limb] if limb < len(amount) else np.uint64(0)
        before = net[taker, limb]
        after = before + part
        over = np.uint64(after < before)
        after2 = after + carry
        carry = over | np.uint64(after2 < after)
        net[taker, limb] = after2
        before = net[giver, limb]
        after = before - part
        under = np.uint64(before < part)
        after2 = after - borrow
        borrow = under | np.uint64(after < borrow)
        net[giver, limb] = after2


@numba.njit(cache=True, nogil=True)
def _within(position, allowed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether a position is between -allowed and allowed; exact where that is 0."""
    negative = position[-1] >> np.uint64(63) != 0
    size = 0.0
    nothing = True
    carry = np.uint64(1)
    scale = 1.0
    for limb in range(len(position)):
        part = position[limb]
        if negative:
            part = ~part + carry
            carry = np.uint64(carry != 0 and part == 0)
        if part != 0:
            nothing = False
        size += float(part) * scale
        scale *= 18446744073709551616.0
    return nothing or size <= allowed
