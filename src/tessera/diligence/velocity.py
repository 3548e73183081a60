"""Step 5: how long it is held and how fast it turns over.

All ages are by lots, first in first out (`lots.py`). The verdict looks at the Kaplan-Meier median:
who only looks at what was spent calls every young token a short holding, since whoever still holds
is left out. Means, medians and the quick pooled figure stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.composite import look
from tessera.diligence.circular.views import parties_of
from tessera.diligence.custody import sweeps
from tessera.diligence.entities import Entities, entities_of
from tessera.diligence.labels import AddressClass, Classes, classes_of
from tessera.diligence.ledger import ledger_of
from tessera.diligence.lots import Ages, Liquidity, Lots, Part, replay
from tessera.diligence.money.circulation import circulating
from tessera.diligence.money.prices import ATOMS, worth
from tessera.diligence.money.takings import token_money
from tessera.diligence.owners import said_of, supply
from tessera.diligence.results import (
    DAY_S,
    WHOLE,
    Coverage,
    Evidence,
    Metric,
    Status,
    Step,
    Window,
    hash_inputs,
)
from tessera.diligence.view import View
from tessera.facts import ZERO_ID, Transfers

__all__ = ["Survival", "liquidity_of", "measure", "parts_of", "survival"]

_PARTS: Final = {
    AddressClass.BURN: Part.NOBODY,
    AddressClass.EXCHANGE: Part.HUB,
    AddressClass.DEX_POOL: Part.HUB,
    AddressClass.BRIDGE: Part.REST,
    AddressClass.STAKING: Part.REST,
    AddressClass.VESTING: Part.REST,
}
_YEAR_S: Final = 365 * DAY_S
_AGES: Final = (1, 7, 14, 30, 90, 180, 365)
_BANDS: Final = (
    "under 1 d", "1-7 d", "7-14 d", "14-30 d", "30-90 d", "90-180 d", "180-365 d", "over 365 d",
)  # fmt: skip
_NAMES: Final = (
    "hold_fifo", "hold_median_fifo", "hold_km", "hold_pooled", "coin_days_destroyed", "dormancy",
    "liveliness", "turnover", "velocity", "exchange_share",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Survival:
    """How much of what was received is still held after a time.

    Attributes
    ----------
    median
        Seconds after which half is gone; None: more than half is still there at the greatest age.
    longest
        The greatest age that was seen, in seconds.
    share
        float64 of shape (bins,): what is still there after each bin of ages.
    """

    median: int | None
    longest: int
    share: NDArray[np.float64]

    def after(self, seconds: int, resolution: int) -> float:
        """Return the share that is still held at an age."""
        return float(self.share[min(seconds // resolution, len(self.share) - 1)])


def survival(spent: Ages, still: Ages) -> Survival | None:
    """Return the Kaplan-Meier estimate, each base unit a subject; None where there were none.

    What is still held is censored at its age: it has lived at least so long. At equal ages what is
    spent counts before what is censored. Floats: a statistic, exact in its inputs.
    """
    gone, held = spent.approximate(), still.approximate()
    known = np.flatnonzero(gone + held)
    if not len(known):
        return None
    at_risk = np.cumsum((gone + held)[::-1])[::-1]
    share = np.cumprod(1 - np.divide(gone, at_risk, out=np.zeros_like(gone), where=at_risk > 0))
    # A sum of many floats may miss one half by its last bits.
    half = np.flatnonzero(share <= 0.5 + 1e-12)
    return Survival(
        int(half[0]) * spent.resolution if len(half) else None,
        int(known[-1]) * spent.resolution,
        share,
    )


def parts_of(classes: Classes) -> NDArray[np.uint8]:
    """Return for each address what it is for lots."""
    table = np.full(len(AddressClass), Part.HOLDER, np.uint8)
    for each, part in _PARTS.items():
        table[each] = part
    return table[classes.codes]


def liquidity_of(transfers: Transfers, pools: dict[int, Transfers]) -> NDArray[np.uint8] | None:
    """Tell what is added to or removed from pools by the pools' own tokens.

    Parameters
    ----------
    pools
        By id of the pool, transfers of the pool's own token: it mints them for liquidity that is
        added and burns them for what is removed, in the same transaction.

    Returns
    -------
    uint8 of shape (transfers,), or None
        `Liquidity` of each; None where no pool's token was observed.
    """
    if not pools:
        return None
    kinds = np.zeros(len(transfers), np.uint8)
    for pool, own in pools.items():
        minted = own.mints & (own.target != ZERO_ID)
        for rows, of, kind in (
            (transfers.target == pool, minted, Liquidity.ADDED),
            (transfers.source == pool, own.burns & ~own.mints, Liquidity.REMOVED),
        ):
            at = np.flatnonzero(rows)
            kinds[at[np.isin(_places(transfers)[at], _places(own)[of])]] = kind
    return kinds


def _places(transfers: Transfers) -> NDArray[np.int64]:
    """Number each transaction of the chain: no block has 2**24 of them."""
    return (transfers.block << 24) + transfers.tx


def measure(view: View) -> list[Metric]:
    """Answer all of step 5 for the view's token.

    Raises
    ------
    NotFound
        Nobody looked at the token.
    """
    ledger = ledger_of(view)
    if ledger.status is not Status.OK:
        return [
            Metric.without(
                name, Step.VELOCITY, ledger.status, ledger.why,
                missing=ledger.coverage.missing, evidence=ledger.evidence,
            )
            for name in _NAMES
        ]  # fmt: skip
    return _Answers(view, classes_of(view), ledger.balances).all()


class _Answers:
    """The metrics of one view, from one replay."""

    def __init__(self, view: View, classes: Classes, balances: list[int]) -> None:
        self.view, self.classes, self.balances = view, classes, balances
        self.transfers = view.transfers
        self.entities: Entities = entities_of(view)
        self.supply = supply(balances, classes)
        self.window = view.window
        self.whole = Window(int(self.transfers.time[0]), view.head.time + 1)
        pools = self._pools()
        self.lots: Lots = replay(
            self.transfers,
            entity=self.entities.entity,
            part=parts_of(classes),
            until=view.head.time,
            since=self.window.start,
            liquidity=liquidity_of(self.transfers, pools),
        )
        self.hash = hash_inputs(
            self.transfers.digest(), classes.labels.version, said_of(self.transfers, classes),
            *(own.digest() for own in pools.values()),
            view.head.time, self.window.start,
        )  # fmt: skip
        missing = []
        unseen = np.flatnonzero(classes.members(AddressClass.DEX_POOL)).tolist()
        if any(pool not in pools for pool in unseen):
            missing.append("the pools' own tokens: adding liquidity looks like selling")
        if not self.entities.observed:
            missing.append("transactions: moves between one's own wallets look like sales")
        self.coverage = Coverage(None, tuple(missing)) if missing else WHOLE

    def all(self) -> list[Metric]:
        return [
            *self._holding(),
            *self._destroyed(),
            self._turnover(),
            self._velocity(),
            self._exchange(),
        ]

    def _pools(self) -> dict[int, Transfers]:
        observed, addresses = set(self.view.facts.tokens()), self.transfers.addresses
        pools = np.flatnonzero(self.classes.members(AddressClass.DEX_POOL)).tolist()
        return {
            pool: self.view.facts.transfers(addresses[pool])
            for pool in pools
            if addresses[pool] in observed
        }

    def _metric(
        self,
        name: str,
        value: float,
        unit: str,
        text: str,
        *,
        window: Window | None = None,
        evidence: tuple[Evidence, ...] = (),
        parts: dict[str, object] | None = None,
    ) -> Metric:
        return Metric(
            name, Step.VELOCITY, value, unit, Status.OK, text, window or self.whole, self.hash,
            self.coverage, evidence, parts or {},
        )  # fmt: skip

    def _none(self, name: str, unit: str, why: str, status: Status, **parts: object) -> Metric:
        return Metric(
            name, Step.VELOCITY, None, unit, status, why, self.whole, self.hash, self.coverage,
            parts=parts,
        )  # fmt: skip

    def _holding(self) -> list[Metric]:
        lots = self.lots
        spent, held = lots.spent[0] + lots.spent[1], lots.open[0] + lots.open[1]
        found: list[Metric] = []
        total, median = spent.total, spent.median()
        if median is None:
            why = "nobody has given any away, so no holding has ended"
            found += [
                self._none(name, "days", why, Status.INSUFFICIENT)
                for name in ("hold_fifo", "hold_median_fifo")
            ]
        else:
            mean = sum(lots.destroyed) / total / DAY_S
            alone = _days(lots.destroyed[0], lots.spent[0].total)
            own = lots.spent[0].median()
            found += [
                self._metric(
                    "hold_fifo", mean, "days",
                    f"{_span(mean)} on average until it was given away",
                    parts={
                        "without_hubs": alone, "spent": total, "passed_through": lots.passed,
                        "unmatched": lots.unmatched,
                    },
                ),
                self._metric(
                    "hold_median_fifo", median / DAY_S, "days",
                    f"{_span(median / DAY_S)} until half of what was given away was",
                    parts={
                        "without_hubs": None if own is None else own / DAY_S,
                        "resolution_s": spent.resolution,
                    },
                ),
            ]  # fmt: skip
        found.append(self._survival(spent, held))
        if np.isnan(lots.pooled):
            found.append(
                self._none("hold_pooled", "days", "nobody has given any away", Status.INSUFFICIENT)
            )
        else:
            pooled = lots.pooled / DAY_S
            found.append(
                self._metric(
                    "hold_pooled",
                    pooled,
                    "days",
                    f"{_span(pooled)}, each holder's tokens as one of mean age: approximate",
                )
            )
        return found

    def _survival(self, spent: Ages, held: Ages) -> Metric:
        found = survival(spent, held)
        if found is None:
            return self._none("hold_km", "days", "nobody ever held any", Status.INSUFFICIENT)
        parts: dict[str, object] = {
            "ages_days": list(_AGES),
            "still_held": [found.after(each * DAY_S, spent.resolution) for each in _AGES],
            "age_bands": list(_BANDS),
            "age_shares": _by_age(held),
            "spent": spent.total,
            "open": held.total,
            "longest_days": found.longest / DAY_S,
            "resolution_s": spent.resolution,
        }
        if found.median is None:
            days = found.longest / DAY_S
            return self._none(
                "hold_km", "days",
                f"more than half is still held; the oldest for {_span(days)}, so longer",
                Status.INSUFFICIENT, **parts,
            )  # fmt: skip
        days = found.median / DAY_S
        text = f"{_span(days)} until half is given away, counting what is still held"
        return self._metric("hold_km", days, "days", text, parts=parts)

    def _destroyed(self) -> list[Metric]:
        lots = self.lots
        lately, moved = sum(lots.destroyed_lately), sum(lots.moved_lately)
        ever, kept = sum(lots.destroyed), sum(lots.kept)
        per = DAY_S
        found = [
            self._metric(
                "coin_days_destroyed", lately // per, "base units x days",
                f"{lately // per:.3e} base units times days were given away",
                window=self.window, parts={"ever": ever // per},
            )
        ]  # fmt: skip
        if moved:
            days = lately / moved / per
            found.append(
                self._metric(
                    "dormancy", days, "days", f"{_span(days)} old was what moved lately",
                    window=self.window, parts={"moved": moved},
                )
            )  # fmt: skip
        else:
            found.append(
                self._none("dormancy", "days", "nothing moved lately", Status.INSUFFICIENT)
            )
        if ever + kept:
            share = ever / (ever + kept)
            found.append(
                self._metric(
                    "liveliness", share, "share",
                    f"{share:.1%} of all the days that it was ever held have ended",
                )
            )  # fmt: skip
        else:
            found.append(
                self._none("liveliness", "share", "no time has passed", Status.INSUFFICIENT)
            )
        return found

    def _turnover(self) -> Metric:
        base = self.supply.circulating
        if base <= 0:
            return self._none("turnover", "share", "nothing circulates", Status.NOT_APPLICABLE)
        first = int(np.searchsorted(self.transfers.time, self.window.start))
        lately, changed = self.transfers.select(slice(first, None)), self.lots.changed[first:]
        circles = look(lately, parties_of(self.view, lately.addresses)).rows
        gross, moved = (lately.amount[rows].total() for rows in (changed, changed & ~circles))
        share, days = moved / base, self.window.seconds / DAY_S
        wash = 1 - moved / gross if gross else 0.0
        return self._metric(
            "turnover", share, "share",
            f"{share:.1%} of what circulates changed hands in {days:,.0f} days, circles left out",
            window=self.window,
            parts={
                "moved": moved, "gross": gross, "circular_share": wash,
                "per_year": share * 365 / days,
            },
        )  # fmt: skip

    def _velocity(self) -> Metric:
        """Answer MV = PQ: a year's volume in dollars over the mean market value."""
        name, now = "velocity", self.view.head.time
        window = Window(max(self.whole.start, now + 1 - _YEAR_S), now + 1)
        money = token_money(self.view)
        mean = None if money is None or money.quotes is None else money.quotes.mean(window)
        if money is None or mean is None:
            why = "the token has no prices: --prices names a file of them"
            return self._none(name, "", why, Status.UNKNOWN)
        value = mean * circulating(self.view).average(window) / 10**money.decimals
        if window.seconds < 30 * DAY_S or value <= 0:
            why = "it has circulated for less than 30 days"
            return self._none(name, "", why, Status.INSUFFICIENT)
        rows = self.lots.changed & (self.transfers.time >= window.start)
        sold = self.transfers.select(rows)
        found = worth(
            money.quotes, money.decimals, sold.amount, sold.time, np.zeros(len(sold), np.int64), 1
        )
        dollars = Fraction(found.atoms[0], ATOMS)
        speed = float(dollars / value * _YEAR_S / window.seconds)
        total = sold.amount.total()
        priced = 1 - found.unpriced[0] / total if total else 1.0
        return Metric(
            name, Step.VELOCITY, speed, "", Status.OK,
            f"{speed:,.2f} times a year, of a mean market value of {float(value):,.0f} USD",
            window, hash_inputs(self.hash, money.digest()),
            Coverage(priced, (*self.coverage.missing, *(
                [f"prices for {1 - priced:.1%} of the volume"] if priced < 1 else []
            ))),
            parts={"usd": float(dollars), "market_value_usd": float(value)},
        )  # fmt: skip

    def _exchange(self) -> Metric:
        name, base = "exchange_share", self.supply.circulating
        if base <= 0:
            return self._none(name, "share", "nothing circulates", Status.NOT_APPLICABLE)
        exchange = self.classes.members(AddressClass.EXCHANGE)
        swept = sweeps(self.transfers)
        likely = exchange | swept.serving(exchange)
        free = self.classes.members(AddressClass.CONTRACT, AddressClass.WALLET, AddressClass.UNSEEN)
        hot = swept.hot & free
        likely |= hot | swept.serving(hot)
        low, high = (
            sum(self.balances[each] for each in np.flatnonzero(mask).tolist()) / base
            for mask in (exchange, likely)
        )
        known = sum(
            label.klass == AddressClass.EXCHANGE
            for label in self.classes.labels.by_address.values()
        )
        parts: dict[str, object] = {"high": high, "labels": known, "hot": int(hot.sum())}
        if not known:
            why = f"no exchange is labelled on this chain; up to {high:.1%} by behaviour"
            return self._none(name, "share", why, Status.UNKNOWN, **parts)
        return self._metric(
            name, low, "share", f"{low:.1%} on labelled exchanges, {high:.1%} with likely ones",
            window=None,
            evidence=tuple(
                Evidence("collects from deposit addresses", self.transfers.addresses[each])
                for each in np.flatnonzero(hot).tolist()[:10]
            ),
            parts=parts,
        )  # fmt: skip


def _span(days: float) -> str:
    """Say a length of time in the unit that shows it."""
    for unit, length in (("days", 1.0), ("hours", 1 / 24)):
        if days >= length:
            return f"{days / length:,.1f} {unit}"
    return f"{days * 1440:,.1f} minutes"


def _days(destroyed: int, amount: int) -> float | None:
    return destroyed / amount / DAY_S if amount else None


def _by_age(held: Ages) -> list[float]:
    """Share of what is held in each of `_BANDS`."""
    amounts = held.approximate()
    edges = [min(len(amounts), -(-days * DAY_S // held.resolution)) for days in _AGES]
    bounds = [0, *edges, len(amounts)]
    sums = [float(amounts[low:high].sum()) for low, high in pairwise(bounds)]
    total = sum(sums)
    return [part / total for part in sums] if total else []
