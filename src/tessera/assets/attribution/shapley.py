"""Values of players: leave-one-out, Shapley's value exactly, and Shapley's value by sampling.

Shapley (1953) gives each player the mean, over all orders in which players could join, of what
the result gains when he joins. The values sum to what all are worth together less what nobody is
worth (*efficiency*), equals get equal parts (*symmetry*), and who never changes anything gets
nothing (*null player*). With data and a training run as the game it is the data Shapley value of
Ghorbani and Zou (2019), from whom sampling of orders with truncation is taken.

Each order that is walked to its end sums to that difference exactly, so a sampled value keeps
efficiency, and only truncation can lose of it: less than its tolerance.

Intervals
---------
Orders come in blocks that are independent of each other and equally distributed: one order, an
order and its reverse (antithetic), or the rotations of an order (stratified: each player once in
each place). The mean of the block means is the value; its interval is Student's t over the block
means, two-sided, each player for himself. It describes the sampling of orders and nothing else:
neither the luck of one training run nor of the pictures it is scored on. It relies on enough
blocks; a player whose rare order was never drawn looks surer than he is.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tessera.errors import InputError

__all__ = [
    "MOST_EXACT",
    "Method",
    "Outcome",
    "Sampling",
    "Value",
    "Worth",
    "exact_shapley",
    "leave_one_out",
    "order_of",
    "sampled_shapley",
]

MOST_EXACT: Final = 12
"""Players up to whom the exact value is computed: 4,096 coalitions."""

_T = TypeVar("_T")

_LEAST_BLOCKS: Final = 2

Worth = Callable[[int], Awaitable[float]]
"""What a coalition is worth; bit i of the number is player i. Asked once per coalition."""

Told = Callable[[int, int], None]
"""Called with how many of how many are done."""


class Method(enum.StrEnum):
    """How values are computed."""

    SHAPLEY = "shapley"
    EXACT = "exact"
    LEAVE_ONE_OUT = "leave-one-out"


class Sampling(enum.StrEnum):
    """How orders are drawn."""

    PLAIN = "plain"
    ANTITHETIC = "antithetic"
    STRATIFIED = "stratified"

    def block(self, players: int) -> int:
        """Orders that are drawn together."""
        match self:
            case Sampling.PLAIN:
                return 1
            case Sampling.ANTITHETIC:
                return 2
            case Sampling.STRATIFIED:
                return players


@dataclass(frozen=True, slots=True)
class Value:
    """What one player is worth, in the score's own unit, and the interval of that."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The values of all players.

    Attributes
    ----------
    values
        In the order of the players.
    everybody, nobody
        What all players together, and none, are worth.
    error
        The most by which the values may fail to sum to the difference of these; infinite where the
        method promises nothing.
    orders, blocks, cut_short
        Orders walked, the independent blocks among them, and the orders that truncation ended; 0
        where nothing was sampled.
    """

    values: tuple[Value, ...]
    everybody: float
    nobody: float
    error: float
    orders: int = 0
    blocks: int = 0
    cut_short: int = 0

    @property
    def gap(self) -> float:
        """What everybody is worth beyond nobody, less the sum of the values."""
        return math.fsum([self.everybody, -self.nobody, *(-v.value for v in self.values)])


async def leave_one_out(players: int, worth: Worth, *, told: Told | None = None) -> Outcome:
    """What is lost when one player alone stays away; sums to nothing in particular."""
    _check_players(players)
    everyone = (1 << players) - 1
    everybody, nobody, *without = await _all(
        [everyone, 0, *(everyone ^ (1 << i) for i in range(players))], worth, told
    )
    values = tuple(_sure(everybody - score) for score in without)
    return Outcome(values=values, everybody=everybody, nobody=nobody, error=math.inf)


async def exact_shapley(players: int, worth: Worth, *, told: Told | None = None) -> Outcome:
    """Shapley's value from every coalition there is.

    Raises
    ------
    InputError
        More players than `MOST_EXACT`.
    """
    _check_players(players)
    if players > MOST_EXACT:
        raise InputError(
            "exact values",
            found=f"{players} players, {1 << players} coalitions",
            wanted=f"at most {MOST_EXACT} players",
            next_step="sample: --method shapley",
        )
    scores = await _all(list(range(1 << players)), worth, told)
    # In so many of the orders a coalition of this size stands before the player.
    share = [
        math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
        for size in range(players)
    ]
    values = [
        math.fsum(
            share[mask.bit_count()] * (scores[mask | 1 << i] - scores[mask])
            for mask in range(1 << players)
            if not mask >> i & 1
        )
        for i in range(players)
    ]
    return Outcome(
        values=tuple(map(_sure, values)),
        everybody=scores[-1],
        nobody=scores[0],
        error=_rounding(scores[-1], scores[0]),
    )


async def sampled_shapley(
    players: int,
    worth: Worth,
    *,
    orders: int,
    seed: int,
    sampling: Sampling = Sampling.STRATIFIED,
    tolerance: float = 0.0,
    confidence: float = 0.95,
    at_once: int = 1,
    told: Told | None = None,
) -> Outcome:
    """Shapley's value as a mean over sampled orders.

    Parameters
    ----------
    players
        How many there are.
    worth
        The game.
    orders
        How many to walk; rounded up to whole blocks, and to two blocks at least.
    seed
        Same seed, same orders, whatever else happens.
    sampling
        How orders are drawn.
    tolerance
        An order ends once its coalition is worth, to within this, what everybody is; whoever
        would join later adds nothing in it. 0 walks every order to its end.
    confidence
        Of each interval, in (0, 1).
    at_once
        Orders that are walked side by side; changes nothing but the time.
    told
        Hears about orders.

    Notes
    -----
    What truncation left out widens the interval of each player whom it left out, as if all of it
    had been his. That bounds his loss where more players are never worth less.
    """
    _check_players(players)
    if orders < 1:
        raise InputError("permutations", found=orders, wanted="1 or more")
    if not 0.0 < confidence < 1.0:
        raise InputError("confidence", found=confidence, wanted="a number between 0 and 1")
    if not 0.0 <= tolerance < math.inf:
        raise InputError("truncation", found=tolerance, wanted="0 or more, in the score's unit")
    block = sampling.block(players)
    blocks = max(_LEAST_BLOCKS, -(-orders // block))
    count = blocks * block
    everyone = (1 << players) - 1
    everybody, nobody = await worth(everyone), await worth(0)
    gains = [[0.0] * players for _ in range(count)]
    left_out = [(0.0, 0)] * count
    numbers = iter(range(count))
    done = 0

    async def walk() -> None:
        nonlocal done
        for number in numbers:
            mask, before = 0, nobody
            for player in order_of(seed, number, players, sampling):
                if mask and abs(everybody - before) < tolerance:
                    left_out[number] = (everybody - before, everyone ^ mask)
                    break
                mask |= 1 << player
                after = everybody if mask == everyone else await worth(mask)
                gains[number][player] = after - before
                before = after
            done += 1
            if told is not None:
                told(done, count)

    await _together([walk() for _ in range(max(1, min(at_once, count)))])
    quantile = _student(1.0 - (1.0 - confidence) / 2.0, blocks - 1)
    values = []
    for i in range(players):
        means = [
            math.fsum(gains[number][i] for number in range(first, first + block)) / block
            for first in range(0, count, block)
        ]
        mean = math.fsum(means) / blocks
        spread = math.fsum((each - mean) ** 2 for each in means) / (blocks - 1)
        half = quantile * math.sqrt(spread / blocks)
        more = math.fsum(max(0.0, rest) for rest, who in left_out if who >> i & 1) / count
        less = math.fsum(min(0.0, rest) for rest, who in left_out if who >> i & 1) / count
        values.append(Value(mean, mean - half + less, mean + half + more))
    return Outcome(
        values=tuple(values),
        everybody=everybody,
        nobody=nobody,
        error=tolerance + _rounding(everybody, nobody),
        orders=count,
        blocks=blocks,
        cut_short=sum(who != 0 for _, who in left_out),
    )


def order_of(seed: int, number: int, players: int, sampling: Sampling) -> list[int]:
    """Return one of the orders of a seed.

    Players are sorted by a hash of seed, block and player, which draws every order equally likely
    and needs no state: order 700 is the same, whoever walked the others.
    """
    block, place = divmod(number, sampling.block(players))
    drawn = sorted(
        range(players), key=lambda i: hashlib.sha256(f"{seed}/{block}/{i}".encode()).digest()
    )
    match sampling:
        case Sampling.PLAIN:
            return drawn
        case Sampling.ANTITHETIC:
            return drawn[::-1] if place else drawn
        case Sampling.STRATIFIED:
            return drawn[place:] + drawn[:place]


async def _all(masks: Sequence[int], worth: Worth, told: Told | None) -> list[float]:
    done = 0

    async def one(mask: int) -> float:
        nonlocal done
        score = await worth(mask)
        done += 1
        if told is not None:
            told(done, len(masks))
        return score

    return await _together([one(mask) for mask in masks])


async def _together(work: Sequence[Awaitable[_T]]) -> list[_T]:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _sure(value: float) -> Value:
    return Value(value, value, value)


def _rounding(everybody: float, nobody: float) -> float:
    # Of a few thousand floating-point sums.
    return 1e-9 * (1.0 + abs(everybody) + abs(nobody))


def _check_players(players: int) -> None:
    if players < 1:
        raise InputError("players", found=players, wanted="1 or more")


def _student(probability: float, freedom: int) -> float:
    """Quantile of Student's t above the median, by bisection of its distribution."""
    low, high = 0.0, 1.0
    while _student_below(high, freedom) < probability:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if _student_below(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _student_below(t: float, freedom: int) -> float:
    # The finite sums for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle) ** 2
    total, term = 0.0, 1.0
    if freedom % 2:
        for k in range(1, (freedom - 1) // 2 + 1):
            total += term
            term *= cosine * 2 * k / (2 * k + 1)
        inner = angle + (math.sin(angle) * math.cos(angle) * total if freedom > 1 else 0.0)
        return 0.5 + inner / math.pi
    for k in range(1, freedom // 2 + 1):
        total += term
        term *= cosine * (2 * k - 1) / (2 * k)
    return 0.5 + math.sin(angle) * total / 2.0
