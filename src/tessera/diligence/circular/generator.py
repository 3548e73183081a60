"""Markets made up from a seed: honest ones, and ones with rings whose every payment is known.

An honest market has what detectors stumble over: subscriptions at list prices, services that pass
each payment on to who did the work, payers who withdraw exactly a price from an exchange and
workers who deposit exactly what they earned, people who are on both sides, wages of which a part
comes back as revenue, and peers that pay each other.

A ring sends a sum around: each of its members passes on what it got, give or take the jitter, and
the whole round trip takes the stated time. Its members are payers and peers like others, before
and after. Where it mixes through hubs, a hop is two payments: to an exchange and from it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.composite import Parties
from tessera.diligence.circular.payments import Payments
from tessera.diligence.results import DAY_S
from tessera.errors import InputError
from tessera.facts import Addresses, Amounts, Transfers

__all__ = ["HONEST", "Market", "MarketPlan", "RingPlan", "market"]

_UNIT: Final = 1_000_000
_START: Final = 1_700_000_000
_MONTH_S: Final = 30 * DAY_S
_COMMISSION: Final = 0.025


@dataclass(frozen=True, slots=True)
class RingPlan:
    """Rings to plant.

    Attributes
    ----------
    size
        Members of each ring, 2 or more.
    share
        Of all volume, planted payments counted, between 0 and 1: what the rings make together.
    jitter
        Each payment lies so far from its round's sum at most: 0.05 is 5 %.
    round_trip_s
        From a round's first payment to its last.
    hub_share
        Of hops that go through an exchange.
    rings
        How many.
    """

    size: int
    share: float
    jitter: float = 0.0
    round_trip_s: int = DAY_S
    hub_share: float = 0.0
    rings: int = 2

    def __post_init__(self) -> None:
        if self.size < 2 or self.rings < 1 or self.round_trip_s < 1:
            raise InputError(
                "ring", found=self, wanted="2 or more members, 1 or more rings, 1 s or more"
            )
        if not (0 < self.share < 1 and 0 <= self.jitter < 1 and 0 <= self.hub_share <= 1):
            raise InputError("ring", found=self, wanted="shares between 0 and 1")


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """An honest market, and the rings planted into it.

    Attributes
    ----------
    payers, workers, services, exchanges, peers
        How many accounts of each kind.
    payments
        About how many honest ones.
    days
        How long it lasts.
    subscribers
        Share of payers that pay list prices, by the week or month; others pay by use.
    """

    payers: int = 1_200
    workers: int = 60
    services: int = 8
    exchanges: int = 2
    peers: int = 120
    payments: int = 20_000
    days: int = 90
    subscribers: float = 0.6
    rings: tuple[RingPlan, ...] = ()
    seed: int = 1

    def with_rings(self, *rings: RingPlan, seed: int | None = None) -> MarketPlan:
        """The same market with these rings."""
        return replace(self, rings=rings, seed=self.seed if seed is None else seed)


HONEST: Final = MarketPlan()


@dataclass(frozen=True, slots=True)
class Market:
    """Payments in chain order, and what is known of each.

    Attributes
    ----------
    amount
        int64, base units of a token with 6 decimals, above 0.
    ring
        int32: number of the ring that a payment was planted for; -1: it is honest.
    hubs
        Entities that are exchanges, as a label file would say.
    services
        Entities that take payments for calls: the revenue set.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    time: NDArray[np.int64]
    amount: NDArray[np.int64]
    ring: NDArray[np.int32]
    entities: int
    hubs: NDArray[np.int32]
    services: NDArray[np.int32]

    def payments(self) -> Payments:
        """The market as the methods see it."""
        return Payments(
            self.source, self.target, self.time, self.amount.astype(np.float64), self.entities
        )

    def transfers(self, token: str = "0x" + "70" * 20) -> Transfers:
        """The market as facts: entity n is the address n + 1, and each payment has a block.

        Addresses ascend with entities, so ids are the same plus one, after the zero address.
        """
        table = np.zeros((self.entities + 1, 20), dtype=np.uint8)
        table[:, 12:] = np.arange(self.entities + 1, dtype=">u8").view(np.uint8).reshape(-1, 8)
        count = len(self.source)
        return Transfers(
            token,
            Addresses(table),
            np.arange(1, count + 1, dtype=np.int64),
            self.time,
            np.zeros(count, dtype=np.int32),
            np.zeros(count, dtype=np.int32),
            self.source + np.int32(1),
            self.target + np.int32(1),
            Amounts.of(self.amount),
        )

    def parties(self) -> Parties:
        """Exchanges and services, as a label file and a project would name them."""
        known = Parties.unknown(self.entities + 1)
        removed, revenue = (np.zeros(self.entities + 1, dtype=np.bool_) for _ in range(2))
        removed[self.hubs + 1] = True
        revenue[self.services + 1] = True
        return replace(known, removed=removed, revenue=revenue)


@dataclass(slots=True)
class _Draft:
    """Columns that grow; sorted by time at the end."""

    rows: list[tuple[NDArray[np.int64], ...]] = field(default_factory=list)

    def add(
        self,
        source: NDArray[np.int64],
        target: NDArray[np.int64],
        time: NDArray[np.int64],
        amount: NDArray[np.float64],
        ring: int = -1,
    ) -> None:
        units = np.maximum(1, np.rint(amount * _UNIT)).astype(np.int64)
        self.rows.append((source, target, time, units, np.full(len(source), ring, dtype=np.int64)))

    def volume(self) -> int:
        return sum(int(row[3].sum()) for row in self.rows)


def market(plan: MarketPlan) -> Market:
    """Make a market; the same plan makes the same one."""
    rng = np.random.default_rng(plan.seed)
    sizes = [0, plan.exchanges, plan.services, plan.workers, plan.peers, plan.payers]
    places = np.cumsum(sizes)
    hubs, services, workers, peers, payers = (
        np.arange(low, high) for low, high in itertools.pairwise(places)
    )
    end = _START + plan.days * DAY_S
    draft = _Draft()
    _payers_pay(rng, plan, draft, payers, services, workers, hubs, end)
    _peers_pay(rng, plan, draft, peers, end)
    _wages(rng, plan, draft, workers, services, end)
    honest = draft.volume()
    share = sum(ring.share for ring in plan.rings)
    if share >= 1:
        raise InputError("rings", found=share, wanted="less than the whole volume together")
    number = 0
    for ring in plan.rings:
        wanted = honest * ring.share / (1 - share) / ring.rings
        for _ in range(ring.rings):
            # Members are payers and peers, who go on with what they do anyway.
            members = rng.choice(np.concatenate([payers, peers]), ring.size, replace=False)
            _plant(rng, draft, ring, members, hubs, wanted / _UNIT, number, end)
            number += 1
    source, target, time, amount, rings = (
        np.concatenate(column) for column in zip(*draft.rows, strict=True)
    )
    inside = (time >= _START) & (time < end)
    order = np.flatnonzero(inside)[np.argsort(time[inside], kind="stable")]
    return Market(
        source=source[order].astype(np.int32),
        target=target[order].astype(np.int32),
        time=time[order],
        amount=amount[order],
        ring=rings[order].astype(np.int32),
        entities=int(places[-1]),
        hubs=hubs.astype(np.int32),
        services=services.astype(np.int32),
    )


def _payers_pay(
    rng: np.random.Generator,
    plan: MarketPlan,
    draft: _Draft,
    payers: NDArray[np.int64],
    services: NDArray[np.int64],
    workers: NDArray[np.int64],
    hubs: NDArray[np.int64],
    end: int,
) -> None:
    """Subscribers and others pay services, which pay who did the work, who cash in."""
    # Each payment here brings about 1.85 others with it; the rest of the market is peers'.
    wanted = int(plan.payments * 0.8 / 2.85)
    weeks = plan.days / 7
    most = wanted * 0.7 / (0.6 * weeks * len(payers))
    subscribes = rng.random(len(payers)) < min(plan.subscribers, most)
    prices = rng.choice([5.0, 10.0, 20.0, 50.0], len(services))
    times, who = [], []
    period = rng.choice([7 * DAY_S, _MONTH_S], len(payers))
    for start in range(plan.days * DAY_S // (7 * DAY_S) + 1):
        due = _START + rng.integers(0, 7 * DAY_S, len(payers)) % period + start * period
        at = subscribes & (due < end)
        times.append(due[at])
        who.append(np.flatnonzero(at))
    rest = max(0, wanted - sum(map(len, times)))
    others = np.flatnonzero(~subscribes) if not subscribes.all() else np.arange(len(payers))
    by_use = rng.choice(others, rest, p=_weights(rng, len(others)))
    when = np.concatenate([*times, rng.integers(_START, end, rest)])
    payer = np.concatenate([*who, by_use])
    favourite = rng.integers(0, len(services), len(payers))
    service = np.where(
        rng.random(len(payer)) < 0.85, favourite[payer], rng.integers(0, len(services), len(payer))
    )
    fixed = subscribes[payer]
    price = np.where(fixed, prices[service], rng.lognormal(2.0, 1.2, len(payer)))
    draft.add(payers[payer], services[service], when, price)
    # Half of all withdraw exactly what they will pay, minutes or days before; others top up.
    exact = rng.random(len(payer)) < 0.5
    tops = exact | (rng.random(len(payer)) < 0.2)
    ahead = rng.integers(60, 2 * DAY_S, len(payer))
    draft.add(
        hubs[rng.integers(0, len(hubs), int(tops.sum()))],
        payers[payer[tops]],
        when[tops] - ahead[tops],
        np.where(exact, price, rng.lognormal(4.0, 0.6, len(payer)))[tops],
    )
    # Each payment is passed on at once, less the commission, to who did the work.
    worker = np.where(
        rng.random(len(payer)) < 0.7,
        (payer * 7 + service) % len(workers),
        rng.integers(0, len(workers), len(payer)),
    )
    passed = price * (1 - _COMMISSION)
    later = when + rng.integers(0, 3_600, len(payer))
    draft.add(services[service], workers[worker], later, passed)
    cashes = rng.random(len(payer)) < 0.5
    draft.add(
        workers[worker[cashes]],
        hubs[rng.integers(0, len(hubs), int(cashes.sum()))],
        later[cashes] + rng.integers(60, 3 * DAY_S, int(cashes.sum())),
        passed[cashes],
    )


def _peers_pay(
    rng: np.random.Generator,
    plan: MarketPlan,
    draft: _Draft,
    peers: NDArray[np.int64],
    end: int,
) -> None:
    """Agents buy from each other, each mostly from three, at its seller's price."""
    if not len(peers):
        return
    count = int(plan.payments * 0.2)
    buyer = rng.integers(0, len(peers), count)
    favourites = rng.integers(0, len(peers), (len(peers), 3))
    seller = np.where(
        rng.random(count) < 0.8,
        favourites[buyer, rng.integers(0, 3, count)],
        rng.integers(0, len(peers), count),
    )
    price = rng.choice([0.5, 1.0, 2.0, 5.0, 10.0, 25.0], len(peers))
    apart = buyer != seller
    by_unit = np.where(rng.random(count) < 0.5, 1.0, rng.lognormal(0.0, 0.7, count))
    draft.add(
        peers[buyer[apart]],
        peers[seller[apart]],
        rng.integers(_START, end, count)[apart],
        (price[seller] * by_unit)[apart],
    )


def _wages(
    rng: np.random.Generator,
    plan: MarketPlan,
    draft: _Draft,
    workers: NDArray[np.int64],
    services: NDArray[np.int64],
    end: int,
) -> None:
    """Services pay some people by the month, who spend a part of it on the services."""
    staff = workers[: max(1, len(workers) // 4)]
    months = range(_START, end, _MONTH_S)
    for month in months:
        employer = services[rng.integers(0, len(services), len(staff))]
        wage = rng.lognormal(5.0, 0.3, len(staff))
        draft.add(employer, staff, np.full(len(staff), month + 25 * DAY_S), wage)
        spends = rng.random(len(staff)) < 0.7
        draft.add(
            staff[spends],
            employer[spends],
            month + rng.integers(0, 25 * DAY_S, int(spends.sum())),
            rng.choice([5.0, 10.0, 20.0], int(spends.sum())),
        )


def _plant(
    rng: np.random.Generator,
    draft: _Draft,
    plan: RingPlan,
    members: NDArray[np.int64],
    hubs: NDArray[np.int64],
    volume: float,
    number: int,
    end: int,
) -> None:
    """One ring's rounds, until they make the volume."""
    legs = plan.size * (1 + plan.hub_share)
    usual = min(12.0, volume / legs / 6)  # six rounds or more
    rounds = max(6, int(volume / legs / usual))
    sums = rng.lognormal(0.0, 0.5, rounds)
    sums *= volume / legs / sums.sum()
    starts = rng.integers(_START, max(_START + 1, end - plan.round_trip_s), rounds)
    # Two moments for each hop, when a hub gets the sum and when it pays it out; the first payment
    # is at 0 and the last at the end of the round trip.
    moments = np.sort(rng.random((rounds, 2 * plan.size)), axis=1)
    moments[:, 0], moments[:, -1] = 0, 1
    at = starts[:, None] + np.rint(moments * plan.round_trip_s).astype(np.int64)
    for hop in range(plan.size):
        source = np.full(rounds, members[hop])
        target = np.full(rounds, members[(hop + 1) % plan.size])
        entry, leave = at[:, 2 * hop], at[:, 2 * hop + 1]
        hidden = rng.random(rounds) < plan.hub_share
        direct = ~hidden
        when = entry if hop == 0 else leave
        paid, got = (sums * (1 + plan.jitter * rng.uniform(-1, 1, rounds)) for _ in range(2))
        draft.add(source[direct], target[direct], when[direct], paid[direct], number)
        hub = hubs[rng.integers(0, len(hubs), rounds)]
        draft.add(source[hidden], hub[hidden], entry[hidden], paid[hidden], number)
        draft.add(hub[hidden], target[hidden], leave[hidden], got[hidden], number)


def _weights(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """How often each of them pays: few pay for much of it, as everywhere."""
    weights = 1 / (1 + np.arange(count)) ** 0.6
    rng.shuffle(weights)
    return np.asarray(weights / weights.sum())
