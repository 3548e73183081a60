"""`Lens.vy` again in plain Python: where the shares of an asset are, and what it earned when.

The Lens keeps nothing but marks, so its twin is told what lies where and derives the rest. Raw
units of the share; base units of the currency; unix seconds. What the contract reverts raises
`TransactionReverted` with the same string.

Held against the contract by `test_lens_matches_spec.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.signatures import Address
from tessera.spec.vesting import VestingModel, unlocked_at

__all__ = ["Holding", "LensModel", "Mark", "Supply", "Vested", "Whereabouts"]

_MASK_96: Final = 2**96 - 1


class Supply(NamedTuple):
    """Where the shares are; all but `locked` sum to `total`, as locked shares circulate."""

    total: int
    for_sale: int
    vesting: int
    pooled: int
    locked: int
    circulating: int


class Holding(NamedTuple):
    """What one account has: in hand, locked for votes, and in the vestings that were listed."""

    account: Address
    free: int
    locked: int
    vesting: int


class Vested(NamedTuple):
    """A vesting: for whom, on which schedule, and how many shares lie in it, gifts included."""

    beneficiary: Address
    grant: VestingModel
    held: int


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What everybody has of one Share at a moment.

    Attributes
    ----------
    total
        The supply.
    for_sale, pooled, allocated
        In first sales, in the pool, and what contributors have not claimed.
    balances, locked
        By account: in hand, and locked for votes.
    vestings
        By address.
    keepers
        Every address that holds for others: sales, vestings, allocations, Exchange, Governor.
    """

    total: int
    for_sale: int
    pooled: int
    allocated: int
    balances: Mapping[Address, int]
    locked: Mapping[Address, int]
    vestings: Mapping[Address, Vested]
    keepers: frozenset[Address]

    @property
    def vesting(self) -> int:
        """What was granted and not released, and what no contributor has claimed."""
        return self.allocated + sum(each.grant.left for each in self.vestings.values())

    @property
    def supply(self) -> Supply:
        """As `supply_of` tells it."""
        kept = self.for_sale + self.vesting + self.pooled
        return Supply(
            self.total,
            self.for_sale,
            self.vesting,
            self.pooled,
            sum(self.locked.values()),
            self.total - kept,
        )

    def unlock_calendar(
        self, vestings: Sequence[Address], times: Iterable[int]
    ) -> tuple[list[int], int]:
        """Say what of the listed vestings is locked at each time, and what the list leaves out."""
        listed = [each.grant for each in self._listed(vestings)]
        locked = [
            sum(grant.schedule.amount - unlocked_at(grant.schedule, time) for grant in listed)
            for time in times
        ]
        return locked, self.vesting - sum(grant.left for grant in listed)

    def holdings_of(
        self, accounts: Sequence[Address], vestings: Sequence[Address]
    ) -> tuple[list[Holding], int]:
        """Say what the listed accounts have, and what belongs to nobody who is listed."""
        listed = self._listed(vestings)
        holdings = []
        for place, account in enumerate(accounts):
            _require_rising(accounts, place)
            _require(account not in self.keepers, "that account holds for others")
            vesting = sum(each.held for each in listed if each.beneficiary == account)
            free, locked = self.balances.get(account, 0), self.locked.get(account, 0)
            holdings.append(Holding(account, free, locked, vesting))
        named = sum(each.free + each.locked + each.vesting for each in holdings)
        return holdings, self.total - named - self.for_sale - self.pooled

    def _listed(self, vestings: Sequence[Address]) -> list[Vested]:
        for place, vesting in enumerate(vestings):
            _require_rising(vestings, place)
            _require(vesting in self.vestings, "not a vesting of this asset")
        return [self.vestings[vesting] for vesting in vestings]


class Mark(NamedTuple):
    """Figures up to a time: revenue streamed to holders, and the commons half of settled fees."""

    epoch: int
    time: int
    revenue: int
    demand: int


@dataclass(slots=True)
class LensModel:
    """The marks of one asset.

    Attributes
    ----------
    epoch
        Seconds in one.
    marks
        By epoch; the first that anybody wrote.
    """

    epoch: int
    marks: dict[int, Mark] = field(default_factory=dict)

    def now(self, time: int, *, revenue: int, demand: int) -> Mark:
        """Return the figures of a second; `demand` is told up to 96 bits."""
        return Mark(time // self.epoch, time, revenue, min(demand, _MASK_96))

    def mark(self, time: int, *, revenue: int, demand: int) -> bool:
        """Write the figures down, unless the epoch has a mark."""
        now = self.now(time, revenue=revenue, demand=demand)
        return self.marks.setdefault(now.epoch, now) is now

    def revenue_marks(self, first: int, count: int) -> list[Mark]:
        """Return the marks of `count` epochs; epochs without one are left out."""
        epochs = range(first, first + count)
        return [self.marks[epoch] for epoch in epochs if epoch in self.marks]


def _require_rising(listed: Sequence[Address], place: int) -> None:
    before = listed[place - 1] if place else bytes(20)
    _require(listed[place] > before, "list is not in rising order")


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Lens", f"lens: {reason}")
