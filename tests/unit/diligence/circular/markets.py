"""Small markets for tests of circular payments, and rings of every kind to plant into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.composite import Circular, look
from tessera.diligence.circular.generator import HONEST, Market, MarketPlan, market
from tessera.diligence.results import DAY_S

START = 1_700_000_000
SMALL: MarketPlan = replace(HONEST, payers=400, workers=30, peers=60, payments=6_000)


def honest(seed: int = 3) -> Market:
    return market(replace(SMALL, seed=seed))


def members(count: int, seed: int = 5) -> NDArray[np.int64]:
    """Payers, who go on with what they do anyway."""
    return np.random.default_rng(seed).choice(np.arange(120, 480), count, replace=False)


def rounds(
    pick: Callable[[np.random.Generator], NDArray[np.int64]],
    count: int,
    *,
    trip_s: int = DAY_S,
    jitter: float = 0.02,
    fee: float = 0.0,
    parts: int = 1,
    seed: int = 7,
) -> tuple[NDArray[np.int64], ...]:
    """Rounds of a ring: who pays, who gets, when, how much.

    Parameters
    ----------
    pick
        The members of one round, in order.
    fee
        What each hop keeps.
    parts
        Payments that one hop is made in, within ten minutes.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, int]] = []
    for _ in range(count):
        ring = pick(rng)
        middle, begin = rng.lognormal(2.3, 0.5) * 1e6, START + int(rng.integers(0, 80 * DAY_S))
        hops = np.sort(rng.random(len(ring))) * trip_s
        for hop, member in enumerate(ring):
            whole = middle * (1 - fee) ** hop * (1 + jitter * rng.uniform(-1, 1))
            for part in rng.dirichlet(np.full(parts, 3.0)):
                when = begin + int(hops[hop]) + (int(rng.integers(0, 600)) if parts > 1 else 0)
                rows.append((member, ring[(hop + 1) % len(ring)], when, max(1, int(whole * part))))
    return tuple(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))


def with_rows(base: Market, *added: tuple[NDArray[np.int64], ...], ring: int = 0) -> Market:
    """The market with these payments in their places; `ring` -1 plants honest ones."""
    source, target, time, amount = (
        np.concatenate([getattr(base, name), *(rows[at] for rows in added)])
        for at, name in enumerate(("source", "target", "time", "amount"))
    )
    planted = np.concatenate([base.ring, *(np.full(len(rows[0]), ring) for rows in added)])
    order = np.argsort(time, kind="stable")
    return replace(
        base,
        source=source[order].astype(np.int32),
        target=target[order].astype(np.int32),
        time=time[order],
        amount=amount[order],
        ring=planted[order].astype(np.int32),
    )


def looked(made: Market) -> Circular:
    return look(made.transfers(), made.parties())


def recall(made: Market, found: Circular) -> float:
    """Of what was planted, by value, what is circular."""
    return found.share(found.rows, made.ring >= 0)


def precision(made: Market, found: Circular) -> float:
    """Of what is circular, by value, what was planted."""
    whole = found.value(found.rows)
    return found.value(found.rows & (made.ring >= 0)) / whole if whole else 1.0
