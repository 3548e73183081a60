"""Value that returns to where it came from: loops in the order of time.

A loop is a chain of hops, each after the one before, that ends where it began, within a window, in
at most so many hops, and with sums that all lie within a tolerance of one middle. Loops are taken
greedily, the one that closes earliest first, and no payment belongs to two.

Three things keep honest loops apart (wages that are spent at the employer's, peers that happen to
pay in a circle):

- **repetition**: each pair of a loop has to be in three loops or more, or its two ends have the
  same owner by evidence (`linked`). Whoever draws new pairs from a pool of wallets each time is
  sought after that: each entity has to be in three, through whichever pairs;
- **crowd**: followed back from where it closed, the value comes from few others until it is back
  at its origin; in a dense market it could have come from anybody;
- **decoys**: how large a crowd still means something is not a constant. The same search runs on the
  same payments with each pair's payee drawn anew, where all loops are chance; loops count up to
  the crowd at which chance makes a stated part of them.

Then all is looked at once more with each pair's payments of one hour put together: a hop may be
paid in parts, of which no two are alike.

Where many rounds are under way at once, which payment belongs to which loop cannot be told, and
some are left over. So a pair most of whose payments are in loops is a **channel** of its ring: the
others that it made in the same sizes and the same time count as circular too. They belong to no
loop, and the value that went around is counted from loops alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from tessera.diligence.circular.edges import Hops, direct_hops, in_parts, passages
from tessera.diligence.circular.grouping import Pairs, order_by, starts_of
from tessera.diligence.circular.payments import Payments
from tessera.diligence.results import DAY_S
from tessera.errors import InputError

__all__ = ["LOOPS", "LoopRules", "Loops", "find_loops"]


@dataclass(frozen=True, slots=True)
class LoopRules:
    """What a loop is.

    Attributes
    ----------
    windows_s
        From the first payment of a loop to its last, both counted; the short ones are sought first.
    hops
        At most; a passage through a hub is one.
    tolerance
        All sums lie so far from one middle at most, as a share of it.
    repeats
        Loops that each pair of a loop is in, or each entity, at least.
    degree
        Payments of one class of sums that are looked at for each entity on the way, latest first.
    crowd
        Entities that a search may meet before it gives up.
    chance
        The part of what is found, by value, that may be chance.
    channel
        The part of a pair's payments, by value, that has to be in loops for it to be a channel.
    parts_s
        Payments of one pair that are no further apart may be one sum in parts.
    most
        Hops among which rings are sought that draw new pairs each time: among more it takes too
        long, and is left out.
    """

    windows_s: tuple[int, ...] = (3_600, DAY_S, 7 * DAY_S)
    hops: int = 12
    tolerance: float = 0.05
    repeats: int = 3
    degree: int = 50
    crowd: int = 48
    chance: float = 0.02
    channel: float = 0.4
    parts_s: int = 3_600
    most: int = 1_500_000

    def __post_init__(self) -> None:
        if not 2 <= self.hops <= 64 or not 0 <= self.tolerance < 1 or self.repeats < 1:
            raise InputError(
                "loop rules", found=self, wanted="2 to 64 hops and a tolerance below 1"
            )

    @property
    def ratio(self) -> float:
        """The largest of a loop's sums over its smallest, at most (a hair is for floats)."""
        return (1 + self.tolerance) / (1 - self.tolerance) * (1 + 1e-9)


LOOPS: Final = LoopRules()
_DEAL: Final = 128
"""Pairs among which the decoys' payees are dealt, at least."""


@dataclass(frozen=True, slots=True)
class Loops:
    """Loops that count.

    Attributes
    ----------
    loop
        int32, shape (n,) of payments: the loop that a payment belongs to; -1: none.
    least
        bool, shape (n,): payments that are the hop of their loop with the least sum, which is what
        went around; one of each loop, unless that hop was paid in parts.
    crowd
        int32, shape (loops,).
    window
        int32, shape (loops,): index of the window in which it was found.
    chance
        For each search (the windows with pairs that repeat, then the windows with entities that
        do; both again for sums in parts), what part of the loops found is chance, by the decoys.
    channel
        bool, shape (n,): payments of a loop's channel that are in no loop themselves.
    whole
        Whether rings that draw new pairs each time were sought too.
    """

    loop: NDArray[np.int32]
    least: NDArray[np.bool_]
    crowd: NDArray[np.int32]
    window: NDArray[np.int32]
    chance: tuple[float, ...]
    channel: NDArray[np.bool_]
    whole: bool

    def __len__(self) -> int:
        return len(self.crowd)

    @property
    def payments(self) -> NDArray[np.bool_]:
        """Which payments are circular: part of a loop, or in its channel, shape (n,)."""
        return (self.loop >= 0) | self.channel


@dataclass(slots=True)
class _Found:
    """What one search left: each loop's hops, flat, with where it begins."""

    hops: NDArray[np.int64]
    start: NDArray[np.int64]
    crowd: NDArray[np.int32]

    @property
    def loop_of(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.crowd)), np.diff(self.start))

    def only(self, keep: NDArray[np.bool_]) -> _Found:
        lengths = np.diff(self.start)[keep]
        return _Found(
            self.hops[keep[self.loop_of]],
            np.concatenate([[0], np.cumsum(lengths)]),
            self.crowd[keep],
        )


def find_loops(
    payments: Payments,
    hub: NDArray[np.bool_],
    linked: NDArray[np.int32] | None = None,
    rules: LoopRules = LOOPS,
    seed: int = 1,
) -> Loops:
    """The loops of a market.

    Parameters
    ----------
    hub
        bool, shape (entities,): who is taken out.
    linked
        int32, shape (entities,): a number for each group of entities with one owner, by evidence
        (the same first funder, team, treasury); below 0: in none. Loops within a group need no
        repetition.
    seed
        Of the decoys.
    """
    found, limits = _loops(payments, hub, linked, rules, seed)
    whole, part_of = in_parts(payments, hub, rules.parts_s, rules.repeats)
    if not len(whole):
        return found
    # Few pay in parts, so decoys made of them alone say little: the others' limits hold for them.
    more, _ = _loops(whole, hub, linked, rules, seed, limits)
    rows = np.flatnonzero(part_of >= 0)
    inside = part_of[rows]
    # Where a part is in a loop already, the sum is circular, and has been counted as going around.
    counted = np.zeros(len(more), dtype=np.bool_)
    known = (found.loop[rows] >= 0) & (more.loop[inside] >= 0)
    counted[more.loop[inside[known]]] = True
    new = np.append(~counted, False)[more.loop[inside]]
    loop, channel, least = found.loop.copy(), found.channel.copy(), found.least.copy()
    number = np.cumsum(~counted) - 1 + len(found)
    loop[rows[new]] = number[more.loop[inside[new]]]
    channel[rows] |= more.payments[inside] & (loop[rows] < 0)
    least[rows[new]] = more.least[inside[new]]
    return Loops(
        loop,
        least,
        np.concatenate([found.crowd, more.crowd[~counted]]),
        np.concatenate([found.window, more.window[~counted]]),
        found.chance + more.chance,
        channel,
        found.whole and more.whole,
    )


def _loops(
    payments: Payments,
    hub: NDArray[np.bool_],
    linked: NDArray[np.int32] | None,
    rules: LoopRules,
    seed: int,
    most: Sequence[int] = (),
) -> tuple[Loops, list[int]]:
    """Loops of whole payments, and the crowd up to which each search's counted, at most `most`."""
    direct = direct_hops(payments, hub)
    hops = direct.and_also(passages(payments, hub, direct, rules.windows_s[-1], rules.ratio))
    groups = np.full(payments.entities, -1, np.int32) if linked is None else linked
    rng = np.random.default_rng(seed)
    used = np.zeros(len(payments), dtype=np.bool_)
    loop = np.full(len(payments), -1, dtype=np.int32)
    least = np.zeros(len(payments), dtype=np.bool_)
    crowds, windows, chances = [], [], []
    limits: list[int] = []
    whole = True
    loops = 0
    searches = [
        (index, window, repeated)
        for repeated in (True, False)
        for index, window in enumerate(rules.windows_s)
    ]
    for index, window, repeated in searches:
        enough = rules.repeats if repeated else 1
        left = hops.where(~used[hops.first] & ~used[hops.last])
        kept = _candidates(left, payments.entities, groups, enough)
        if not repeated and len(kept) > rules.most:
            whole = False
            limits.append(rules.crowd)
            chances.append(0.0)
            continue
        left, found = _settled(payments, kept, window, groups, rules, enough)
        limit, chance = rules.crowd, 0.0
        if len(found.crowd):
            decoy = _rewired(kept, payments.entities, rng)
            nowhere = np.full(payments.entities, -1, np.int32)
            decoy = _candidates(decoy, payments.entities, nowhere, enough)
            decoy, false = _settled(payments, decoy, window, nowhere, rules, enough)
            limit, chance = _limit(
                found.crowd,
                _values(payments, left, found),
                false.crowd,
                _values(payments, decoy, false),
                rules,
            )
        limit = min([limit, *most[len(limits) : len(limits) + 1]])
        found = found.only(found.crowd <= limit)
        limits.append(limit)
        chances.append(chance)
        windows.append(np.full(len(found.crowd), index, dtype=np.int32))
        crowds.append(found.crowd)
        for side in (left.first, left.last):
            loop[side[found.hops]] = found.loop_of + loops
            used[side[found.hops]] = True
        members = left.first[found.hops]
        order = np.lexsort((payments.size[members], found.loop_of))
        least[members[order][found.start[:-1]]] = True
        loops += len(found.crowd)
    channel = _channels(payments, hops, loop, rules)
    crowd, window_of = np.concatenate(crowds), np.concatenate(windows)
    return Loops(loop, least, crowd, window_of, tuple(chances), channel, whole), limits


def _channels(
    payments: Payments, hops: Hops, loop: NDArray[np.int32], rules: LoopRules
) -> NDArray[np.bool_]:
    """Which payments are in no loop, and between two whose payments mostly are."""
    channel = np.zeros(len(payments), dtype=np.bool_)
    inside = (loop[hops.first] >= 0) & (loop[hops.first] == loop[hops.last])
    if not inside.any():
        return channel
    kinds = Pairs.of(hops.source, hops.target, payments.entities)
    among = (np.bincount(kinds.number[inside], minlength=len(kinds)) > 0)[kinds.number]
    hops, inside, where = hops.where(among), inside[among], kinds.number[among]
    size, time = payments.size[hops.first], payments.time[hops.first]
    low, high = np.full(len(kinds), np.inf), np.zeros(len(kinds))
    begin, end = np.full(len(kinds), np.inf), np.full(len(kinds), -np.inf)
    np.minimum.at(low, where[inside], size[inside])
    np.maximum.at(high, where[inside], size[inside])
    np.minimum.at(begin, where[inside], time[inside])
    np.maximum.at(end, where[inside], time[inside])
    reach = rules.windows_s[-1]
    alike = (size * rules.ratio >= low[where]) & (size <= high[where] * rules.ratio)
    alike &= (time >= begin[where] - reach) & (time <= end[where] + reach)
    in_loops = np.bincount(where[inside], weights=size[inside], minlength=len(kinds))
    # A payment through a hub may match several: only those in loops are this pair's for certain.
    sure = inside | (hops.first == hops.last)
    whole = np.bincount(where[sure], weights=size[sure], minlength=len(kinds))
    left = alike & ~inside & (in_loops >= rules.channel * whole)[where]
    left &= (loop[hops.first] < 0) & (loop[hops.last] < 0)
    for at in np.flatnonzero(left):
        first, last = hops.first[at], hops.last[at]
        if not channel[first] and not channel[last]:
            channel[first] = channel[last] = True
    return channel


def _candidates(hops: Hops, entities: int, groups: NDArray[np.int32], least: int) -> Hops:
    """Hops of pairs that may be in a loop: repeated or linked, and on some cycle."""
    while len(hops):
        pairs = Pairs.of(hops.source, hops.target, entities)
        keep = (pairs.count >= least) | _together(groups, pairs.source, pairs.target)
        graph = csr_array(
            (
                np.ones(int(keep.sum()), dtype=np.int8),
                pairs.target[keep],
                starts_of(pairs.source[keep], entities),
            ),
            shape=(entities, entities),
        )
        _, part = connected_components(graph, directed=True, connection="strong")
        keep &= part[pairs.source] == part[pairs.target]
        if keep.all():
            break
        hops = hops.where(keep[pairs.number])
    return hops


def _together(
    groups: NDArray[np.int32], source: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.bool_]:
    return np.asarray((groups[source] >= 0) & (groups[source] == groups[target]))


def _rewired(hops: Hops, entities: int, rng: np.random.Generator) -> Hops:
    """The same hops, the payees of all pairs dealt out anew: what loops there are, chance made.

    However payees are dealt among few pairs, some circle comes of it, and a market that is nothing
    but rings would pass for chance. So `_DEAL` pairs or more take part: where there are fewer, the
    others pay nobody who pays on. And nobody is dealt a payee that is his already.
    """
    pairs = Pairs.of(hops.source, hops.target, entities)
    nobody = entities  # pays nothing on, so its pairs are in no loop
    pool = np.concatenate([pairs.target, np.full(max(0, _DEAL - len(pairs)), nobody)])
    target = rng.permutation(pool)[: len(pairs)]
    real = pairs.source * (entities + 1) + pairs.target
    dealt = pairs.source * (entities + 1) + target
    # Pairs ascend, so whether one is there already is one search.
    known = real[np.minimum(np.searchsorted(real, dealt), len(real) - 1)] == dealt
    kept = (target != pairs.source) & (target != nobody) & ~known
    return replace(hops, target=target[pairs.number].astype(np.int32)).where(kept[pairs.number])


def _values(payments: Payments, hops: Hops, found: _Found) -> NDArray[np.float64]:
    """What each loop's payments come to, for comparison."""
    if not len(found.crowd):
        return np.zeros(0)
    return np.add.reduceat(payments.size[hops.first[found.hops]], found.start[:-1])


def _limit(
    crowd: NDArray[np.int32],
    value: NDArray[np.float64],
    false_crowd: NDArray[np.int32],
    false_value: NDArray[np.float64],
    rules: LoopRules,
) -> tuple[int, float]:
    """The largest crowd at which chance makes no more than the allowed part, and that part."""
    size = rules.crowd + 1
    real = np.cumsum(np.bincount(crowd, weights=value, minlength=size))
    chance = np.cumsum(np.bincount(false_crowd, weights=false_value, minlength=size))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(real > 0, chance / real, np.where(chance > 0, np.inf, 0.0))
    good = np.flatnonzero(part <= rules.chance)
    if not len(good):
        return -1, 0.0
    return int(good[-1]), float(part[good[-1]])


def _settled(
    payments: Payments,
    hops: Hops,
    window: int,
    groups: NDArray[np.int32],
    rules: LoopRules,
    least: int,
) -> tuple[Hops, _Found]:
    """Search, drop pairs that are in too few loops, and search again until all are in enough.

    A pair is in enough where it is in `least`, and each end in `rules.repeats` through any pairs.
    """
    entities = payments.entities
    while True:
        hops, found = _search(payments, hops, window, rules)
        if not len(found.crowd):
            return hops, found
        pairs = Pairs.of(hops.source, hops.target, entities)
        loops = np.bincount(pairs.number[found.hops], minlength=len(pairs))
        through = np.bincount(pairs.source, weights=loops, minlength=entities)
        enough = loops >= least
        for end in (pairs.source, pairs.target):
            enough &= through[end] >= rules.repeats
        enough |= (loops > 0) & _together(groups, pairs.source, pairs.target)
        if enough.all():
            return hops, found
        hops = _candidates(hops.where(enough[pairs.number]), entities, groups, least)


def _search(payments: Payments, hops: Hops, window: int, rules: LoopRules) -> tuple[Hops, _Found]:
    """Loops of these hops, in the order in which they close, and the hops in that order."""
    entities = payments.entities
    if not len(hops):
        return hops, _Found(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int32))
    if bool((np.diff(hops.last) < 0).any()):
        hops = hops.where(order_by(hops.last, len(payments), order_by(hops.first, len(payments))))
    step = np.log(rules.ratio)
    log_size = np.log(payments.size[hops.first])
    bucket = np.floor(log_size / step).astype(np.int64)
    bucket -= int(bucket.min()) - 1
    by_bucket = order_by(bucket, int(bucket.max()) + 1)
    by_target = order_by(hops.target, entities, by_bucket)
    pairs = Pairs.of(hops.source, hops.target, entities)
    by_pair = order_by(pairs.number, len(pairs), by_bucket)
    chain, start, crowd = _close(
        hops.source,
        hops.target,
        hops.first,
        hops.last,
        payments.time,
        log_size,
        bucket,
        by_target,
        starts_of(hops.target, entities),
        bucket[by_target],
        pairs.number,
        by_pair,
        starts_of(pairs.number, len(pairs)),
        bucket[by_pair],
        payments.entities,
        len(payments),
        window,
        step,
        rules.hops,
        rules.degree,
        rules.crowd,
    )
    return hops, _Found(chain, start, crowd)


@numba.njit(cache=True, nogil=True)
def _first(values, low, high, wanted):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The first place from `low` on and before `high` where a rising column reaches `wanted`."""
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def _close(  # type: ignore[no-untyped-def]
    source,
    target,
    first,
    last,
    time,
    log_size,
    bucket,
    order,
    begin,
    order_bucket,
    pair,
    pair_order,
    pair_begin,
    pair_bucket,
    entities,
    payments,
    window,
    step,
    most_hops,
    degree,
    most_crowd,
):  # pragma: no cover - compiled
    """Go through hops in order; from each go back in time to its payee, if that can be reached.

    Of all ways back the one that left latest is taken (Dijkstra's search by time of departure, so
    that each entity is expanded once). `order` has hops by payee, class of sum, and time; each
    payee's begin at `begin`. `pair_order` has them by pair in the same way.
    """
    used = np.zeros(payments, np.bool_)
    stamp = np.full(entities, -1, np.int64)
    slot = np.zeros(entities, np.int64)
    # The entities met, in slots: when value leaves them latest, in how many hops, by which.
    node = np.empty(most_crowd + 2, np.int64)
    leaves = np.empty(most_crowd + 2, np.int64)
    depth = np.empty(most_crowd + 2, np.int64)
    by = np.empty(most_crowd + 2, np.int64)
    follows = np.empty(most_crowd + 2, np.int64)
    done = np.empty(most_crowd + 2, np.bool_)
    way = np.empty(most_hops, np.int64)
    oldest = np.empty(most_hops, np.int64)
    chain = np.empty(len(source) + 1, np.int64)
    start = np.zeros(len(source) // 2 + 2, np.int64)
    crowd = np.empty(len(source) // 2 + 2, np.int32)
    loops = 0
    length = 0
    for closing in range(len(source)):
        if used[first[closing]] or used[last[closing]]:
            continue
        origin = target[closing]
        earliest = time[last[closing]] - window
        if time[first[closing]] < earliest:
            continue
        count = 1
        node[0] = source[closing]
        leaves[0] = first[closing]
        depth[0] = 1
        by[0] = closing
        follows[0] = -1
        done[0] = False
        stamp[source[closing]] = closing
        slot[source[closing]] = 0
        home = -1
        while count <= most_crowd:
            best = -1
            for s in range(count):
                if not done[s] and (best < 0 or leaves[s] > leaves[best]):
                    best = s
            if best < 0:
                break
            if node[best] == origin:
                home = best
                break
            done[best] = True
            if depth[best] >= most_hops:
                continue
            for shift in range(3):
                wanted = bucket[closing] + shift - 1
                low = _first(order_bucket, begin[node[best]], begin[node[best] + 1], wanted)
                high = _first(order_bucket, low, begin[node[best] + 1], wanted + 1)
                # The hops of this class that end before value leaves: `order` has them by time.
                end = low
                while end < high:
                    middle = (end + high) // 2
                    if last[order[middle]] < leaves[best]:
                        end = middle + 1
                    else:
                        high = middle
                for at in range(end - 1, max(low, end - degree) - 1, -1):
                    hop = order[at]
                    if time[last[hop]] < earliest:
                        break
                    if (
                        time[first[hop]] < earliest
                        or used[first[hop]]
                        or used[last[hop]]
                        or abs(log_size[hop] - log_size[closing]) > step
                    ):
                        continue
                    payer = source[hop]
                    if stamp[payer] != closing:
                        if count > most_crowd:
                            break
                        stamp[payer] = closing
                        slot[payer] = count
                        done[count] = False
                        place = count
                        count += 1
                    else:
                        place = slot[payer]
                        if done[place] or leaves[place] >= first[hop]:
                            continue
                    node[place] = payer
                    leaves[place] = first[hop]
                    depth[place] = depth[best] + 1
                    by[place] = hop
                    follows[place] = best
        if home < 0:
            continue
        # The entities of the loop are found. Between them the oldest payments that fit are taken:
        # where many rounds are under way at once, they would be out of the window for the next.
        length_of = depth[home]
        at = home
        for k in range(length_of):
            way[k] = by[at]
            at = follows[at]
        before = np.int64(-1)
        for k in range(length_of - 1):
            oldest[k] = way[k]
            for shift in range(3):
                wanted = bucket[closing] + shift - 1
                among = pair[way[k]]
                low = _first(pair_bucket, pair_begin[among], pair_begin[among + 1], wanted)
                end = _first(pair_bucket, low, pair_begin[among + 1], wanted + 1)
                high = end
                while low < high:
                    middle = (low + high) // 2
                    hop = pair_order[middle]
                    if last[hop] <= before or time[last[hop]] < earliest:
                        low = middle + 1
                    else:
                        high = middle
                for at in range(low, end):
                    hop = pair_order[at]
                    if last[hop] >= last[oldest[k]]:
                        break
                    if (
                        first[hop] > before
                        and time[first[hop]] >= earliest
                        and not used[first[hop]]
                        and not used[last[hop]]
                        and abs(log_size[hop] - log_size[closing]) <= step
                    ):
                        oldest[k] = hop
                        break
            before = last[oldest[k]]
        oldest[length_of - 1] = closing
        for chosen in (oldest, way):
            least = most = log_size[closing]
            for k in range(length_of):
                least = min(least, log_size[chosen[k]])
                most = max(most, log_size[chosen[k]])
            if most - least <= step:
                for k in range(length_of):
                    chain[length] = chosen[k]
                    used[first[chosen[k]]] = True
                    used[last[chosen[k]]] = True
                    length += 1
                crowd[loops] = count
                loops += 1
                start[loops] = length
                break
    return chain[:length], start[: loops + 1], crowd[:loops]
