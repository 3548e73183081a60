"""`Emission.vy` again in plain Python: what is minted for which demand, and who gets what of it.

Other contracts are arguments: what a subnet's models brought the commons (`demand`), what TSR costs
(`price`), what Channels pays out (`fees`), what Epochs says of a final result. TSR is in raw units
of 10^-18, prices and fees in base units of the currency, times in seconds. What the contract
reverts raises `TransactionReverted` with the same string and changes nothing.

Promises `solvent`, `conserved`, `settled_once`, `can_always_claim` and `wash_loses`; held against
the contract by `EmissionPromises`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from tessera.errors import TransactionReverted
from tessera.units import BPS

__all__ = [
    "CAP",
    "EmissionModel",
    "EmissionTerms",
    "Payout",
    "PeriodTotals",
    "budget_of",
    "sale_cost",
    "worth_of",
]

CAP: Final = 21_000_000 * 10**18
"""All TSR that there will ever be, what was minted at the start included."""

WHOLE: Final = 10**18
SALE_BPS: Final = 9_900
_HALVINGS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionTerms:
    """What a deployment fixes, in the contract's order.

    Attributes
    ----------
    period
        Seconds over which demand is counted together.
    rate
        Raw TSR a second before the first halving.
    owner_bps, models_bps
        Of what an epoch pays; the rest is the validators'.
    demand_bps
        What of the demand's worth is minted at most. Washing pays once TSR costs more than its
        mean times 10,000 over this: half bears any rise short of a doubling.
    bootstrap_bps, bootstrap_periods
        What part of its pool's opening a subnet may get without demand, over how many periods.
    long_window, short_window
        Seconds of the two mean prices; the higher one counts.
    floor_price, min_depth
        Base units: the least that 10^18 raw TSR are taken to be worth, and that is locked in their
        pool (`tessera.spec.network_price.locked_currency`).
    """

    period: int = 3_600
    rate: int = WHOLE // 12
    owner_bps: int = 1_800
    models_bps: int = 4_100
    demand_bps: int = 5_000
    bootstrap_bps: int = 5_000
    bootstrap_periods: int = 720
    long_window: int = 86_400
    short_window: int = 3_600
    floor_price: int = 1
    min_depth: int = 1

    def row(self) -> tuple[int, ...]:
        """Spell it as the contract's struct."""
        return tuple(getattr(self, name) for name in self.__slots__)


def budget_of(terms: EmissionTerms, minted: int) -> int:
    """Compute what one period may mint at most.

    Parameters
    ----------
    minted
        Raw TSR that exist or were allotted.

    Returns
    -------
    int
        Raw TSR. The k-th halving is at `CAP - CAP / 2^k`; the part of a period that would pass it
        counts half, exactly.
    """
    amount, budget = terms.rate * terms.period, 0
    for halving in range(1, _HALVINGS + 1):
        threshold = CAP - (CAP >> halving)
        if minted >= threshold:
            amount >>= 1
            continue
        room = threshold - minted
        if amount <= room:
            return budget + amount
        budget += room
        minted = threshold
        amount = (amount - room) >> 1
    return budget


def worth_of(terms: EmissionTerms, demand: int, price: int) -> int:
    """Compute the most raw TSR that demand earns, rounded down; 0 where TSR has no price."""
    return demand * WHOLE * terms.demand_bps // (BPS * price) if price else 0


def sale_cost(amount: int, price: int) -> int:
    """Compute the base units that raw TSR of a tokenized asset's holders cost, rounded up."""
    return -(-amount * price * SALE_BPS // (WHOLE * BPS))


@dataclass(slots=True)
class PeriodTotals:
    """A period: what was counted in it, and what came of it once it was closed.

    Attributes
    ----------
    demand, bootstraps
        Base units, raw TSR.
    price, allotted, fees
        Base units for 10^18 raw TSR (0: none), raw TSR, base units.
    """

    demand: int = 0
    bootstraps: int = 0
    price: int = 0
    allotted: int = 0
    fees: int = 0


@dataclass(slots=True)
class Payout:
    """What a settled epoch has to pay.

    Attributes
    ----------
    models, validators, fees
        Raw TSR, raw TSR, base units.
    models_left, validators_left, fees_left
        What of it was not claimed.
    shares
        The sum of the validators' dividends, or of their stakes where nobody earned a dividend.
    by_stake
        Which of the two.
    claimed
        Sides ("model", "validator") with uid or row.
    """

    models: int
    validators: int
    fees: int
    models_left: int
    validators_left: int
    fees_left: int
    shares: int
    by_stake: bool
    claimed: set[tuple[str, int]] = field(default_factory=set)


class EmissionModel:
    """The books of one Emission.

    Parameters
    ----------
    terms
        What its deployment fixed.
    genesis
        Raw TSR that existed before it.
    """

    def __init__(self, terms: EmissionTerms, genesis: int) -> None:
        self.terms = terms
        self.genesis = genesis
        self.period = 0
        self.allotted = 0
        self.minted = 0
        self.waiting_fees = 0
        self.periods: defaultdict[int, PeriodTotals] = defaultdict(PeriodTotals)
        self.counted: dict[int, tuple[int, int]] = {}
        self.shares: dict[int, tuple[int, int, int]] = {}
        self.pots: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        self.bootstraps: dict[int, tuple[int, int]] = {}
        self.payouts: dict[tuple[int, int], Payout] = {}
        self.earned: defaultdict[int, int] = defaultdict(int)
        self.for_holders: defaultdict[int, int] = defaultdict(int)
        self.credit: defaultdict[Hashable, int] = defaultdict(int)
        self.fees_credit: defaultdict[Hashable, int] = defaultdict(int)
        self.fees_in = 0

    # --- Demand ---------------------------------------------------------------------------------

    def close(self, elapsed: int, *, price: int, fees: int, commons: Hashable) -> bool:
        """Close the period that has ended; whether Channels was asked for its fees.

        Parameters
        ----------
        elapsed
            Seconds since the first period began.
        price
            What TSR costs now, the floor included.
        fees
            What Channels would pay out now.
        """
        now = elapsed // self.terms.period
        ended, self.period = self.period, now
        totals = self.periods[ended]
        if now == ended or not (totals.demand or totals.bootstraps):
            return False
        totals.price = price if totals.demand else 0
        most = worth_of(self.terms, totals.demand, totals.price) + totals.bootstraps
        totals.allotted = min(budget_of(self.terms, self.genesis + self.allotted), most)
        self.allotted += totals.allotted
        self.fees_in += fees
        totals.fees = min(totals.demand, self.waiting_fees + fees)
        unused = self.waiting_fees - min(self.waiting_fees, totals.fees)
        self.waiting_fees += fees - totals.fees - unused
        self.fees_credit[commons] += unused
        return True

    def collect_demand(self, asset: int, demand: int, subnet: int, *, epoch_at: int) -> int:
        """Count what an asset's demand grew by, for its subnet; `close` comes before it.

        Parameters
        ----------
        demand
            All that the commons ever got for the asset, base units.
        subnet
            The asset's subnet now; 0: none.
        epoch_at
            The epoch in which the subnet's last counted period ended.
        """
        known, before = self.counted.get(asset, (0, 0))
        self.counted[asset] = (demand, subnet)
        if not subnet or before != subnet:
            return 0
        if demand > known:
            self._count(subnet, demand - known, 0, epoch_at=epoch_at)
        return demand - known

    def bootstrap(self, subnet: int, opening: int, *, live: bool, epoch_at: int) -> int:
        """Count a subnet's bootstrap for this period, raw TSR; `close` comes before it."""
        _require(live, "emission: subnet is not live")
        times, last = self.bootstraps.get(subnet, (0, 0))
        _require(times < self.terms.bootstrap_periods, "emission: the bootstrap is over")
        _require(last != self.period + 1, "emission: counted in this period already")
        amount = opening * self.terms.bootstrap_bps // (BPS * self.terms.bootstrap_periods)
        _require(amount != 0, "emission: the pool was never opened")
        self.bootstraps[subnet] = (times + 1, self.period + 1)
        self._count(subnet, 0, amount, epoch_at=epoch_at)
        return amount

    def _count(self, subnet: int, demand: int, bootstrap: int, *, epoch_at: int) -> None:
        self.gather(subnet, epoch_at=epoch_at)
        had, boot, period = self.shares[subnet]
        self.shares[subnet] = (had + demand, boot + bootstrap, period)
        self.periods[self.period].demand += demand
        self.periods[self.period].bootstraps += bootstrap

    def gathered(self, subnet: int) -> tuple[int, int]:
        """Return what a subnet earned in the closed period that it last counted in."""
        demand, bootstrap, of = self.shares.get(subnet, (0, 0, 0))
        if of >= self.period or not (demand or bootstrap):
            return 0, 0
        totals = self.periods[of]
        weight = worth_of(self.terms, demand, totals.price) + bootstrap
        weights = worth_of(self.terms, totals.demand, totals.price) + totals.bootstraps
        tsr = totals.allotted * weight // weights if weights else 0
        fees = totals.fees * demand // totals.demand if totals.demand else 0
        return tsr, fees

    def gather(self, subnet: int, *, epoch_at: int) -> None:
        """Put what a subnet earned into the pot of the epoch in which that period ended."""
        tsr, fees = self.gathered(subnet)
        if tsr or fees:
            pot = self.pots[subnet, epoch_at]
            pot[0] += tsr
            pot[1] += fees
        if self.shares.get(subnet, (0, 0, 0))[2] != self.period:
            self.shares[subnet] = (0, 0, self.period)
        self.shares.setdefault(subnet, (0, 0, self.period))

    # --- Epochs ---------------------------------------------------------------------------------

    def settle(
        self,
        subnet: int,
        epoch: int,
        *,
        status: int,
        sums: tuple[int, int, int],
        owner: Hashable,
        live: bool,
        now_epoch: int,
        commons: Hashable,
    ) -> int:
        """Let a final epoch pay its pot; `close` and `gather` come before it.

        Parameters
        ----------
        status
            1: final, 2: skipped, 0: open.
        sums
            Of the result: stakes, dividends, ranks.
        """
        _require(status == 1, "emission: epoch is not final")
        _require((subnet, epoch) not in self.payouts, "emission: settled already")
        minted, fees = self._pot(subnet, epoch)
        stakes, dividends, ranks = sums
        if not stakes and not dividends:
            self._carry(subnet, minted, fees, live=live, now_epoch=now_epoch, commons=commons)
            return 0
        to_owner = minted * self.terms.owner_bps // BPS
        models = minted * self.terms.models_bps // BPS if ranks else 0
        validators = minted - to_owner - models
        self.payouts[subnet, epoch] = Payout(
            models,
            validators,
            fees,
            models,
            validators,
            fees,
            dividends or stakes,
            not dividends,
        )
        self.credit[owner] += to_owner
        self.minted += minted
        return minted

    def carry(
        self,
        subnet: int,
        epoch: int,
        *,
        status: int,
        live: bool,
        now_epoch: int,
        commons: Hashable,
    ) -> None:
        """Let the present epoch have the pot of one that was skipped."""
        _require(status == 2, "emission: epoch was not skipped")
        minted, fees = self._pot(subnet, epoch)
        self._carry(subnet, minted, fees, live=live, now_epoch=now_epoch, commons=commons)

    def _pot(self, subnet: int, epoch: int) -> tuple[int, int]:
        _require(any(self.pots.get((subnet, epoch), ())), "emission: nothing to pay")
        tsr, fees = self.pots.pop((subnet, epoch))
        return tsr, fees

    def _carry(
        self, subnet: int, tsr: int, fees: int, *, live: bool, now_epoch: int, commons: Hashable
    ) -> None:
        if live:
            pot = self.pots[subnet, now_epoch]
            pot[0] += tsr
            pot[1] += fees
        else:
            self.fees_credit[commons] += fees

    def claim_model(
        self,
        subnet: int,
        epoch: int,
        uid: int,
        asset: int,
        *,
        rank: int,
        ranks: int,
        commons: Hashable,
    ) -> int:
        """Credit an asset, or the commons where it is 0, with its part of an epoch; raw TSR."""
        payout = self._claim_once(subnet, epoch, "model", uid)
        amount = min(payout.models * rank // ranks, payout.models_left) if ranks else 0
        payout.models_left -= amount
        if asset:
            self.earned[asset] += amount
        else:
            self.credit[commons] += amount
        return amount

    def claim_validator(
        self,
        subnet: int,
        epoch: int,
        row: int,
        validator: Hashable,
        *,
        stake: int,
        dividend: int,
        pays: Hashable,
    ) -> tuple[int, int]:
        """Pay a validator its part of an epoch: raw TSR and base units, rounded down.

        Parameters
        ----------
        pays
            Whose credit gets the TSR; None: it goes to the validator's pool in Bond.
        """
        payout = self._claim_once(subnet, epoch, "validator", row)
        part = stake if payout.by_stake else dividend
        amount = min(payout.validators * part // payout.shares, payout.validators_left)
        fees = min(payout.fees * part // payout.shares, payout.fees_left)
        payout.validators_left -= amount
        payout.fees_left -= fees
        self.fees_credit[validator] += fees
        if pays is not None:
            self.credit[pays] += amount
        return amount, fees

    def _claim_once(self, subnet: int, epoch: int, side: str, place: int) -> Payout:
        _require((subnet, epoch) in self.payouts, "emission: epoch pays nothing")
        payout = self.payouts[subnet, epoch]
        _require((side, place) not in payout.claimed, "emission: claimed already")
        payout.claimed.add((side, place))
        return payout

    # --- What was earned ------------------------------------------------------------------------

    def flush(self, asset: int, *, owner: Hashable, tokenized: bool) -> int:
        """Hand on what an asset earned: to its owner, or to what is for sale for its holders."""
        amount = self.earned.pop(asset, 0)
        if tokenized:
            self.for_holders[asset] += amount
        else:
            self.credit[owner] += amount
        return amount

    def buy_for_holders(self, asset: int, amount: int, *, price: int, most: int) -> int:
        """Buy what an asset earned for its holders; base units paid, rounded up."""
        on_sale = 0 < amount <= self.for_holders[asset]
        _require(on_sale, "emission: not that much for sale")
        _require(price != 0, "emission: no price")
        cost = sale_cost(amount, price)
        _require(cost <= most, "emission: dearer than the limit")
        self.for_holders[asset] -= amount
        return cost


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Emission", reason)
