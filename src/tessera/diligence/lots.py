"""How long tokens are held: lots, first in first out, per holder, exactly.

A transfer to a holder makes a lot; what the holder gives away takes the oldest lots first. Amounts
are exact (uint256), and so is every sum of amount times seconds.

What is no change of hands moves no lot. Within one entity nothing happens. What somebody puts to
rest (stakes, vests, bridges, adds as liquidity) stays in their lots, and comes back into the same;
only what comes back beyond it (a reward, a release to somebody else) is a new lot. What is given
away in the transaction in which it came passed through and was held by nobody: a router's step.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tessera.diligence.prefetch import fetch
from tessera.diligence.results import DAY_S
from tessera.errors import DataError
from tessera.facts.transfers import Transfers

__all__ = ["Ages", "Liquidity", "Lots", "Part", "replay"]

_MOST_BINS: Final = 1 << 16
_HALF: Final = 32
_AHEAD: Final = 16


class Part(enum.IntEnum):
    """What an address is for lots."""

    HOLDER = 0
    HUB = 1
    """Holds for others (exchange, pool, bridge): its lots are counted, and counted apart."""
    REST = 2
    """What lies there still belongs to who put it there (staking, vesting, bridge)."""
    NOBODY = 3
    """The zero address and those that burn: nothing comes out of lots there."""


class Liquidity(enum.IntEnum):
    """What a transfer is for a pool."""

    NONE = 0
    ADDED = 1
    REMOVED = 2


@dataclass(frozen=True, eq=False)
class Ages:
    """Exact amounts by age.

    Attributes
    ----------
    resolution
        Seconds of one bin: bin i holds ages from `i * resolution` on.
    halves
        uint64 of shape (bins, k): sums of 32-bit halves, the least significant first. A cell sums
        fewer than 2**32 of them, so none overflows.
    """

    resolution: int
    halves: NDArray[np.uint64]

    @property
    def total(self) -> int:
        """Sum of all amounts."""
        return _number(self.halves.sum(axis=0, dtype=np.uint64))

    def __add__(self, other: Ages) -> Ages:
        assert self.resolution == other.resolution
        return Ages(self.resolution, self.halves + other.halves)

    def approximate(self) -> NDArray[np.float64]:
        """Amount of each bin as float64, for statistics."""
        return np.asarray(self.halves.astype(np.float64) @ _scales(self.halves.shape[1]))

    def median(self) -> int | None:
        """Seconds by which half of the amount is reached, down to the resolution; None for none."""
        total = self.total
        if total == 0:
            return None
        cumulated = np.cumsum(self.halves, axis=0, dtype=np.uint64)
        low, high = 0, len(cumulated) - 1
        while low < high:
            middle = (low + high) // 2
            if 2 * _number(cumulated[middle]) >= total:
                high = middle
            else:
                low = middle + 1
        return low * self.resolution


@dataclass(frozen=True, eq=False)
class Lots:
    """What a replay found. Pairs are (holders, hubs).

    Attributes
    ----------
    spent
        Ages of what was given away, at that moment.
    open
        Ages of what is still held, at the end.
    destroyed
        Base units times seconds of what was given away.
    kept
        The same of what is still held.
    destroyed_lately, moved_lately
        The same since `since`.
    changed
        Mask of shape (transfers,): of which at least a part changed hands.
    passed
        Base units that were given away in the transaction in which they came.
    unmatched
        Base units given away by somebody who had no lot: above 0 the history is incomplete, or
        tokens moved without a transfer.
    pooled
        Amount-weighted mean age in seconds of what was given away, where each holder's tokens are
        one lot of mean age; an approximation, NaN for none.
    """

    spent: tuple[Ages, Ages]
    open: tuple[Ages, Ages]
    destroyed: tuple[int, int]
    kept: tuple[int, int]
    destroyed_lately: tuple[int, int]
    moved_lately: tuple[int, int]
    changed: NDArray[np.bool_]
    passed: int
    unmatched: int
    pooled: float


def replay(
    transfers: Transfers,
    *,
    entity: NDArray[np.int32],
    part: NDArray[np.uint8],
    until: int,
    since: int | None = None,
    liquidity: NDArray[np.uint8] | None = None,
) -> Lots:
    """Replay all transfers.

    Parameters
    ----------
    transfers
        The whole history, in the order of the chain.
    entity
        int32 of shape (addresses,): whom each belongs to, from 0 on.
    part
        uint8 of shape (addresses,): `Part` of each.
    until
        Unix seconds at which open lots are looked at, not before the last transfer.
    since
        From when on what is given away counts as late; None: 30 days before `until`.
    liquidity
        uint8 of shape (transfers,): `Liquidity` of each; None where nobody knows: then what goes
        to and from pools changes hands.

    Raises
    ------
    DataError
        Times fall, or the end is before the last transfer.

    Notes
    -----
    O(transfers), each lot made once and used up once. Memory: an amount and 9
    bytes per transfer, and about 60 bytes per address. Source: specification, step 5.
    """
    count, width = transfers.amount.limbs.shape
    # The kernel counts by age and checks no bounds: no age may be below 0.
    falls = np.flatnonzero(transfers.time[1:] < transfers.time[:-1])
    if len(falls):
        row = int(falls[0]) + 1
        raise DataError(
            f"{transfers.token}: time of block {int(transfers.block[row])}",
            found=int(transfers.time[row]),
            wanted=f"{int(transfers.time[row - 1])} or later, as the block before it",
        )
    if count and until < transfers.time[-1]:
        raise DataError(
            f"{transfers.token}: time of the head",
            found=until,
            wanted=f"{int(transfers.time[-1])} or later, as the last transfer",
        )
    assert len(entity) == len(part) == len(transfers.addresses)
    span = max(1, until - int(transfers.time[0])) if count else 1
    # A power of two, since a shift is a tenth of a division.
    shift = max(0, (span // _MOST_BINS).bit_length())
    resolution = 1 << shift
    bins = (span >> shift) + 1
    halves = 2 * width
    # Each holder's rows, in as many as they ever receive.
    room = np.bincount(entity[transfers.target], minlength=int(entity.max(initial=-1)) + 1)
    first = np.cumsum(room) - room
    spans = np.stack([first, first], axis=1).astype(np.int64)
    ages = np.zeros((4 * bins, halves), np.uint64)
    lately = np.zeros((2, halves), np.uint64)
    # One more half than an amount has, for the product with seconds.
    seconds = np.zeros((6, halves + 1), np.uint64)
    aside = np.zeros((2, halves), np.uint64)
    pooled = np.zeros(2, np.float64)
    changed = np.zeros(count, np.bool_)
    _replay(
        _frozen(transfers.block), _frozen(transfers.tx), _frozen(transfers.time),
        _frozen(transfers.source), _frozen(transfers.target), _frozen(transfers.amount.limbs),
        _frozen(np.asarray(entity, np.int32)), _frozen(np.asarray(part, np.uint8)),
        _frozen(np.zeros(0, np.uint8) if liquidity is None else np.asarray(liquidity, np.uint8)),
        np.empty((count, width + 1), np.uint64), spans,
        np.zeros((len(room), width), np.uint64), np.zeros((len(room), 2), np.float64),
        until, until - 30 * DAY_S if since is None else since, shift,
        _scales(halves)[::2].copy(), ages, lately, seconds, aside, pooled,
        changed,
    )  # fmt: skip
    by_age = [Ages(resolution, ages[row * bins : (row + 1) * bins]) for row in range(4)]
    sums = [_number(row) for row in seconds]
    return Lots(
        spent=(by_age[0], by_age[1]),
        open=(by_age[2], by_age[3]),
        destroyed=(sums[0], sums[1]),
        kept=(sums[2], sums[3]),
        destroyed_lately=(sums[4], sums[5]),
        moved_lately=(_number(lately[0]), _number(lately[1])),
        changed=changed,
        passed=_number(aside[0]),
        unmatched=_number(aside[1]),
        pooled=float(pooled[0] / pooled[1]) if pooled[1] else float("nan"),
    )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same as a read-only array in C order, so that the kernel is compiled once."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _number(halves: NDArray[np.uint64]) -> int:
    return sum(part << (_HALF * index) for index, part in enumerate(halves.tolist()))


def _scales(halves: int) -> NDArray[np.float64]:
    return np.asarray(2.0 ** (_HALF * np.arange(halves)))


# Helpers take arrays and row numbers, since a view of a row costs more than what they do with it.
@njit(cache=True)
def _less(a, i, b, j, width):  # type: ignore[no-untyped-def]
    """Whether a[i] < b[j]."""
    for k in range(width - 1, -1, -1):
        if a[i, k] != b[j, k]:
            return a[i, k] < b[j, k]
    return False


@njit(cache=True)
def _subtract(a, i, b, j):  # type: ignore[no-untyped-def]
    """Take b[j] from a[i], which is not less."""
    borrow = np.uint64(0)
    for k in range(b.shape[1]):
        before = a[i, k]
        step = before - b[j, k]
        a[i, k] = step - borrow
        borrow = np.uint64(before < b[j, k] or step < borrow)


@njit(cache=True)
def _add(a, i, b, j):  # type: ignore[no-untyped-def]
    """Add b[j] to a[i]; the sum fits, as that of all amounts does."""
    carry = np.uint64(0)
    for k in range(b.shape[1]):
        step = a[i, k] + b[j, k]
        after = step + carry
        a[i, k] = after
        carry = np.uint64(step < b[j, k] or after < carry)


@njit(cache=True)
def _count(age, row, ages, total, destroyed, a, i, width):  # type: ignore[no-untyped-def]
    """Count a[i] at its bin, and a[i] times age, which is below 2**32."""
    factor = np.uint64(age)
    for k in range(width):
        low, high = a[i, k] & np.uint64(0xFFFFFFFF), a[i, k] >> np.uint64(32)
        ages[row, 2 * k] += low
        ages[row, 2 * k + 1] += high
        low *= factor
        high *= factor
        destroyed[total, 2 * k] += low & np.uint64(0xFFFFFFFF)
        destroyed[total, 2 * k + 1] += (low >> np.uint64(32)) + (high & np.uint64(0xFFFFFFFF))
        destroyed[total, 2 * k + 2] += high >> np.uint64(32)


@njit(cache=True, nogil=True)
def _replay(  # type: ignore[no-untyped-def]
    block, tx, time, source, target, amount, entity, part, liquidity,
    lots, spans, resting, mean,
    until, since, shift, scales,
    ages, lately, seconds, aside, pooled, changed,
):  # fmt: skip
    """One pass over the transfers; see `replay`.

    A holder's lots are the rows of `lots` from `spans[holder, 0]` to before `spans[holder, 1]`: an
    amount, and a last word with the seconds of its birth since the start and the number of its
    transaction.
    """
    width = amount.shape[1]
    bins = ages.shape[0] // 4
    now = np.zeros((2, width), np.uint64)  # what is needed; what is taken
    number = np.uint64(0)
    for i in range(len(block)):
        if i + _AHEAD < len(block):
            fetch(spans, np.intp(entity[source[i + _AHEAD]]))
            fetch(spans, np.intp(entity[target[i + _AHEAD]]))
            giver, taker = entity[source[i + _AHEAD // 2]], entity[target[i + _AHEAD // 2]]
            fetch(mean, np.intp(giver))
            fetch(mean, np.intp(taker))
            fetch(lots, np.intp(spans[giver, 0]))
            fetch(lots, np.intp(spans[taker, 1]))
        if i and (block[i] != block[i - 1] or tx[i] != tx[i - 1]):
            number += np.uint64(1)
        giver, taker = entity[source[i]], entity[target[i]]
        if giver == taker:
            continue
        from_part, to_part = part[source[i]], part[target[i]]
        kind = liquidity[i] if len(liquidity) else np.uint8(0)
        from_rest = from_part == 2 or kind == 2
        if to_part == 2 or kind == 1:
            if not from_rest and from_part != 3:
                _add(resting, giver, amount, i)
            continue
        weight = 0.0
        some = np.uint64(0)
        for k in range(width):
            now[0, k] = amount[i, k]
        if from_rest:
            if to_part == 3:
                continue
            if not _less(resting, taker, now, 0, width):
                _subtract(resting, taker, now, 0)
                continue
            _subtract(now, 0, resting, taker)
            for k in range(width):
                resting[taker, k] = np.uint64(0)
        for k in range(width):
            some |= now[0, k]
            weight += now[0, k] * scales[k]
        if some == 0:
            continue
        second = time[i] - time[0]
        birth = np.uint64(second) << np.uint64(32) | number
        if to_part != 3:
            # The taker's lot is there before the giver's are used up: they are not the same.
            row = spans[taker, 1]
            for k in range(width):
                lots[row, k] = now[0, k]
            lots[row, width] = birth
            spans[taker, 1] = row + 1
            whole = mean[taker, 0] + weight
            mean[taker, 0] = whole
            mean[taker, 1] += (second - mean[taker, 1]) * (weight / whole)
        if from_rest or from_part == 3:
            continue
        group = np.int64(from_part == 1)
        pooled[0] += weight * (second - mean[giver, 1])
        pooled[1] += weight
        mean[giver, 0] = max(0.0, mean[giver, 0] - weight)
        row, last = spans[giver, 0], spans[giver, 1]
        while some != 0:
            if row == last:
                for k in range(width):
                    aside[1, 2 * k] += now[0, k] & np.uint64(0xFFFFFFFF)
                    aside[1, 2 * k + 1] += now[0, k] >> np.uint64(32)
                break
            born = lots[row, width]
            if _less(now, 0, lots, row, width):
                for k in range(width):
                    now[1, k] = now[0, k]
                _subtract(lots, row, now, 1)
                some = np.uint64(0)
            else:
                for k in range(width):
                    now[1, k] = lots[row, k]
                _subtract(now, 0, now, 1)
                row += 1
                some = np.uint64(0)
                for k in range(width):
                    some |= now[0, k]
            if born == birth:
                for k in range(width):
                    aside[0, 2 * k] += now[1, k] & np.uint64(0xFFFFFFFF)
                    aside[0, 2 * k + 1] += now[1, k] >> np.uint64(32)
                continue
            changed[i] = True
            age = second - np.int64(born >> np.uint64(32))
            _count(age, group * bins + (age >> shift), ages, group, seconds, now, 1, width)
            if time[i] >= since:
                _count(age, group, lately, 4 + group, seconds, now, 1, width)
        spans[giver, 0] = row
    hub = np.zeros(len(spans), np.int64)
    for address in range(len(entity)):
        if part[address] == 1:
            hub[entity[address]] = 1
    for holder in range(len(spans)):
        group = 2 + hub[holder]
        for row in range(spans[holder, 0], spans[holder, 1]):
            age = until - time[0] - np.int64(lots[row, width] >> np.uint64(32))
            _count(age, group * bins + (age >> shift), ages, group, seconds, lots, row, width)
