"""`Subnets.vy` again in plain Python: rules, clock, and who has which place.

A subnet has two tables of places (uids), of models and of validators. Whoever comes, goes or is
pushed out in epoch c does so from epoch c + 1 on. A full table lets a newcomer in for the lowest:
the newcomer names a place, and until its time is over anybody may show a lower one. What the
contract reverts raises `TransactionReverted` with the same string and changes nothing. TSR is left
out: what comes in and goes out is returned, raw.

Invariant `solvent`; held against the contract by `test_subnet_promises.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from tessera.errors import TransactionReverted
from tessera.spec.signatures import ZERO_ADDRESS, Address

__all__ = [
    "MODELS",
    "VALIDATORS",
    "Clock",
    "Outside",
    "Rules",
    "Seat",
    "Standing",
    "Subnet",
    "SubnetsModel",
    "Windows",
    "burn_cost",
    "fault_in",
    "lock_cost",
]

MODELS: Final = 0
VALIDATORS: Final = 1
MAX_MODELS: Final = 4_096
MAX_VALIDATORS: Final = 256
MAX_TEMPO: Final = 7 * 86_400
MAX_IMMUNITY: Final = 30 * 86_400
MAX_HALF_LIFE: Final = 30 * 86_400
MIN_KAPPA: Final = 32_767
MAX_KAPPA: Final = 58_982
MAX_AMOUNT: Final = 2**96 - 1
BURN_GROWTH: Final = 126
"""What a registration multiplies the burn by, in percent."""

_NO_SUCH_SUBNET: Final = "subnets: no such subnet"
_NO_SUCH_PLACE: Final = "subnets: no such place"


class Rules(NamedTuple):
    """What is fixed for ever when a subnet is created.

    Attributes
    ----------
    tempo
        Seconds of an epoch.
    kappa
        In 65,535ths: the part of the stake that must support a weight.
    bonds_penalty
        In 65,535ths.
    bonds_moving_average
        In millionths.
    yuma3
        Whether bonds are counted as Yuma 3 does.
    max_models
        Places of models, up to 4,096.
    max_validators
        Places of validators, up to 256.
    immunity
        Seconds in which a newcomer is pushed out only if nobody else is left.
    burn_half_life
        Seconds.
    min_burn
        What a registration burns at least, raw TSR.
    threshold
        The least bond of a validator, raw TSR.
    """

    tempo: int
    kappa: int
    bonds_penalty: int
    bonds_moving_average: int
    yuma3: bool
    max_models: int
    max_validators: int
    immunity: int
    burn_half_life: int
    min_burn: int
    threshold: int


class Windows(NamedTuple):
    """What a deployment fixes for all of its subnets; seconds, and `min_lock` raw TSR."""

    min_tempo: int
    min_lock: int
    lock_decay: int
    contest_window: int
    closing_window: int
    idle_window: int


class Outside(Protocol):
    """What other contracts say: Registry, Bond and Epochs."""

    def speaks_for(self, who: Address, asset: int) -> bool:
        """Whether somebody is an asset's controller or its owner."""

    def bonded(self, validator: Address) -> int:
        """Return a validator's bond, raw TSR."""

    def bond_times(self) -> tuple[int, int]:
        """Return Bond's delay, and its longest freeze, seconds."""

    def has_enlisted(self, validator: Address) -> bool:
        """Whether Scores has power over a validator's bond."""

    def last_final(self, subnet: int) -> int:
        """Return the newest final epoch, plus 1; 0 for none."""

    def final_at(self, subnet: int) -> int:
        """Return when that epoch became final; 0 for none."""

    def incentive_of(self, subnet: int, epoch: int, uid: int) -> int:
        """Return what a model earned in a final epoch."""


class Standing(NamedTuple):
    """What decides who is lowest, most important first; the immune are never lower than others."""

    immune: bool
    worth: int
    registered: int
    uid: int


class Clock(NamedTuple):
    """When epoch 0 began, and how many seconds each takes."""

    start: int
    tempo: int

    def epoch_at(self, time: int) -> int:
        """Return the epoch that runs at a time."""
        return (time - self.start) // self.tempo

    def begin_of(self, epoch: int) -> int:
        """Return when an epoch begins."""
        return self.start + epoch * self.tempo


@dataclass(frozen=True)
class Seat:
    """Who had a place, from which epoch on, and since when; 0 is nobody."""

    occupant: int
    since: int
    registered: int


@dataclass
class _Nomination:
    """Somebody who waits for a place that somebody has."""

    newcomer: int
    sponsor: Address
    deposit: int
    named_at: int
    basis: int


@dataclass
class _Table:
    """The places of one side: who had each, and who waits for it."""

    seats: list[list[Seat]] = field(default_factory=list)
    waiting: dict[int, _Nomination] = field(default_factory=dict)
    # The last period in which newcomers named a place, and how many did.
    named: tuple[int, int] = (0, 0)

    def holder(self, uid: int) -> int:
        return self.seats[uid][-1].occupant

    @property
    def vacant(self) -> int:
        return sum(1 for seats in self.seats if seats[-1].occupant == 0)


@dataclass
class Subnet:
    """One subnet."""

    owner: Address
    rules: Rules
    clock: Clock
    lock: int
    closing_at: int = 0
    dissolved: bool = False
    burn: int = 0
    burned_at: int = 0
    sides: tuple[_Table, _Table] = field(default_factory=lambda: (_Table(), _Table()))


def lock_cost(last: int, elapsed: int, windows: Windows) -> int:
    """Return what a subnet locks: twice the last lock at once, less as time passes; rounded up."""
    fallen = last * elapsed // windows.lock_decay
    return max(2 * last - fallen, windows.min_lock)


def burn_cost(burn: int, elapsed: int, rules: Rules) -> int:
    """Return what a registration burns: halved per half-life, straight in between; rounded up."""
    halvings, rest = divmod(elapsed, rules.burn_half_life)
    cost = burn >> halvings if halvings < 96 else 0
    cost -= cost * rest // (2 * rules.burn_half_life)
    return max(cost, rules.min_burn)


def fault_in(rules: Rules, min_tempo: int, delay: int, max_freeze: int) -> str:
    """Return why no subnet can have these rules; empty where one can.

    Parameters
    ----------
    min_tempo
        Seconds that a deployment wants of an epoch.
    delay, max_freeze
        Of its bonds, seconds.
    """
    places = 0 < rules.max_models <= MAX_MODELS and 0 < rules.max_validators <= MAX_VALIDATORS
    found = {
        "tempo out of range": min_tempo <= rules.tempo <= MAX_TEMPO,
        "tempo too long for the bonds": (
            5 * (rules.tempo // 4) <= delay and rules.tempo <= max_freeze
        ),
        "kappa out of range": MIN_KAPPA <= rules.kappa <= MAX_KAPPA,
        "bonds out of range": (
            0 <= rules.bonds_penalty < 1 << 16 and 0 <= rules.bonds_moving_average <= 1_000_000
        ),
        "places out of range": places,
        "immunity out of range": 0 <= rules.immunity <= MAX_IMMUNITY,
        "burn out of range": (
            0 < rules.burn_half_life <= MAX_HALF_LIFE and 0 < rules.min_burn <= MAX_AMOUNT
        ),
        "threshold out of range": 0 < rules.threshold <= MAX_AMOUNT,
    }
    return next((f"subnets: {reason}" for reason, holds in found.items() if not holds), "")


class SubnetsModel:
    """Every subnet of one Subnets contract.

    Parameters
    ----------
    windows
        Of the deployment.
    outside
        The other contracts.
    """

    def __init__(self, windows: Windows, outside: Outside) -> None:
        self.windows = windows
        self.outside = outside
        self.subnets: dict[int, Subnet] = {}
        self.last_lock = 0
        self.last_created = 0
        self.obligations = 0
        # By asset, and by (subnet, validator): subnet, side, uid.
        self.homes: dict[tuple[int, int], tuple[int, int, int]] = {}

    # --- A subnet's life ------------------------------------------------------------------------

    def create(self, owner: Address, rules: Rules, most: int, now: int) -> tuple[int, int]:
        """Open a subnet; its number, and the raw TSR that it locks."""
        fault = fault_in(rules, self.windows.min_tempo, *self.outside.bond_times())
        _require(not fault, fault)
        lock = self.lock_cost(now)
        _require(lock <= most, "subnets: dearer than the caller pays")
        subnet = len(self.subnets) + 1
        self.subnets[subnet] = Subnet(owner, rules, Clock(now, rules.tempo), lock)
        self.last_lock, self.last_created = lock, now
        self.obligations += lock
        return subnet, lock

    def hand_over(self, caller: Address, subnet: int, owner: Address) -> None:
        """Give a subnet to somebody else."""
        _require(self._owner_of(subnet) == caller, "subnets: only the subnet's owner")
        _require(owner != ZERO_ADDRESS, "subnets: zero address")
        self.subnets[subnet].owner = owner

    def name_task(self, caller: Address, subnet: int, now: int) -> int:
        """Say by what models are measured; from which epoch on that counts."""
        _require(self._owner_of(subnet) == caller, "subnets: only the subnet's owner")
        return self.subnets[subnet].clock.epoch_at(now) + 1

    def close(self, caller: Address, subnet: int, now: int) -> int:
        """Give notice of a subnet's end; the time of it."""
        _require(self._owner_of(subnet) == caller, "subnets: only the subnet's owner")
        state = self.subnets[subnet]
        _require(state.closing_at == 0, "subnets: closing already")
        state.closing_at = now + self.windows.closing_window
        return state.closing_at

    def dissolve(self, subnet: int, now: int) -> tuple[int, int, int]:
        """End a subnet; what its owner, the caller and the commons get, raw TSR."""
        state = self._subnet(subnet)
        _require(not state.dissolved, "subnets: dissolved")
        if state.closing_at:
            _require(state.closing_at <= now, "subnets: not yet")
            parts = (state.lock, 0, 0)
        else:
            busy_at = max(state.clock.start, self.outside.final_at(subnet))
            _require(busy_at + self.windows.idle_window <= now, "subnets: not yet")
            # Rounded down: the commons get the dust.
            keeper = state.lock // 5
            parts = (0, keeper, state.lock - keeper)
            state.closing_at = now
        state.dissolved = True
        self.obligations -= state.lock
        state.lock = 0
        return parts

    # --- Places ---------------------------------------------------------------------------------

    def register_model(
        self, caller: Address, subnet: int, asset: int, uid: int, most: int, now: int
    ) -> tuple[int, int]:
        """Put an asset into a subnet; the raw TSR that is burned, and that is a deposit."""
        _require(self.outside.speaks_for(caller, asset), "subnets: only who speaks for the asset")
        return self._enter(caller, subnet, MODELS, asset, uid, most, now)

    def register_validator(
        self, caller: Address, subnet: int, uid: int, most: int, now: int
    ) -> tuple[int, int]:
        """Take a validator's place; the raw TSR that is burned, and that is a deposit."""
        threshold = self.subnets[subnet].rules.threshold if subnet in self.subnets else 0
        _require(threshold <= self.outside.bonded(caller), "subnets: bond below the threshold")
        _require(self.outside.has_enlisted(caller), "subnets: Scores is not enlisted")
        return self._enter(caller, subnet, VALIDATORS, _number(caller), uid, most, now)

    def deregister_model(self, caller: Address, asset: int, now: int) -> tuple[Address, int]:
        """Take an asset out; who is paid a deposit back by that, and how much."""
        _require(self.outside.speaks_for(caller, asset), "subnets: only who speaks for the asset")
        return self._leave(0, asset, now)

    def deregister_validator(self, caller: Address, subnet: int, now: int) -> tuple[Address, int]:
        """Give a validator's place up; who is paid a deposit back by that, and how much."""
        _require(subnet != 0, _NO_SUCH_SUBNET)
        return self._leave(subnet, _number(caller), now)

    def correct(self, subnet: int, side: int, uid: int, lower: int, now: int) -> tuple[int, int]:
        """Show a lower place; what the caller and the commons get, raw TSR."""
        nomination = self._nomination(subnet, side, uid)
        _require(self.is_live(subnet, now), _NO_SUCH_SUBNET)
        _require(now < nomination.named_at + self.windows.contest_window, "subnets: too late")
        _require(0 <= lower < 1 << 16, _NO_SUCH_PLACE)
        table = self.subnets[subnet].sides[side]
        _require(lower not in table.waiting, "subnets: another one waits for it")
        one = self._standing(subnet, side, lower, nomination)
        other = self._standing(subnet, side, uid, nomination)
        _require(one < other, "subnets: not lower")
        del table.waiting[uid]
        table.waiting[lower] = nomination
        deposit, nomination.deposit = nomination.deposit, 0
        self.homes[_scope(subnet, side), nomination.newcomer] = (subnet, side, lower)
        self.obligations -= deposit
        # Rounded down: the commons get the dust.
        return deposit // 5, deposit - deposit // 5

    def admit(self, subnet: int, side: int, uid: int, now: int) -> tuple[Address, int]:
        """Let a newcomer in; who gets a deposit back, and how much."""
        nomination = self._nomination(subnet, side, uid)
        _require(nomination.named_at + self.windows.contest_window <= now, "subnets: not yet")
        return self._let_in(subnet, side, uid, now)

    # --- Views ----------------------------------------------------------------------------------

    def occupant_at(self, subnet: int, side: int, uid: int, epoch: int) -> tuple[int, int]:
        """Return who had a place in an epoch, and from which epoch on."""
        _require(side in (MODELS, VALIDATORS) and 0 <= uid < 1 << 16, _NO_SUCH_PLACE)
        if subnet in self.subnets and uid < len(self.subnets[subnet].sides[side].seats):
            for seat in reversed(self.subnets[subnet].sides[side].seats[uid]):
                if seat.since <= epoch:
                    return seat.occupant, seat.since
        return 0, 0

    def seated(
        self, subnet: int, uid: int, validator: Address, now: int
    ) -> tuple[int, int, int, int, int]:
        """Return the epoch that runs, when it began, the tempo, the threshold, and the models."""
        _require(self.is_live(subnet, now), _NO_SUCH_SUBNET)
        state = self.subnets[subnet]
        epoch = state.clock.epoch_at(now)
        _require(
            self.occupant_at(subnet, VALIDATORS, uid, epoch)[0] == _number(validator),
            "subnets: not a validator of this epoch",
        )
        models = self.places_in(subnet, MODELS, now)
        began = state.clock.begin_of(epoch)
        return epoch, began, state.rules.tempo, state.rules.threshold, models

    def places_in(self, subnet: int, side: int, now: int) -> int:
        """Return how many places count in the epoch that runs."""
        state = self._subnet(subnet)
        epoch = state.clock.epoch_at(now)
        return sum(1 for seats in state.sides[side].seats if seats[0].since <= epoch)

    def table_of(self, subnet: int, side: int) -> tuple[int, int]:
        """Return how many places there are, and how many of them nobody has."""
        if subnet not in self.subnets:
            return 0, 0
        table = self.subnets[subnet].sides[side]
        return len(table.seats), table.vacant

    def subnet_of(self, asset: int, now: int) -> int:
        """Return the subnet of an asset; 0 for none."""
        home = self.homes.get((0, asset))
        return home[0] if home is not None and self.is_live(home[0], now) else 0

    def uid_of(self, subnet: int, validator: Address) -> int:
        """Return a validator's place plus 1; 0 for none."""
        home = self.homes.get((subnet, _number(validator)))
        return 0 if home is None else home[2] + 1

    def is_live(self, subnet: int, now: int) -> bool:
        """Whether a subnet exists and its closing time is still to come."""
        state = self.subnets.get(subnet)
        return state is not None and (state.closing_at == 0 or now < state.closing_at)

    def lock_cost(self, now: int) -> int:
        """Return what a subnet that is created now locks, raw TSR."""
        return lock_cost(self.last_lock, now - self.last_created, self.windows)

    def burn_cost(self, subnet: int, now: int) -> int:
        """Return what a registration burns now, raw TSR."""
        state = self._subnet(subnet)
        return burn_cost(state.burn, now - state.burned_at, state.rules)

    # --- Inside ---------------------------------------------------------------------------------

    def _enter(
        self, caller: Address, subnet: int, side: int, occupant: int, uid: int, most: int, now: int
    ) -> tuple[int, int]:
        state = self._subnet(subnet)
        _require(state.closing_at == 0, "subnets: closing already")
        scope = _scope(subnet, side)
        home = self.homes.get((scope, occupant))
        _require(home is None or not self.is_live(home[0], now), "subnets: has a place already")
        cost = self.burn_cost(subnet, now)
        _require(cost <= most, "subnets: dearer than the caller pays")
        _require(0 <= uid < 1 << 16, _NO_SUCH_PLACE)
        table = state.sides[side]
        count = len(table.seats)
        limit = state.rules.max_models if side == MODELS else state.rules.max_validators
        _require(uid < count or (uid == count and count < limit), _NO_SUCH_PLACE)
        _require(uid not in table.waiting, "subnets: another one waits for it")
        deposit = 0
        if uid < count and table.holder(uid) != 0:
            _require(count == limit and table.vacant == 0, "subnets: there is a free place")
            # A quarter of the table in each period of immunity.
            period = now // max(state.rules.immunity, self.windows.contest_window)
            named = table.named[1] if table.named[0] == period else 0
            _require(named < max(limit // 4, 1), "subnets: enough newcomers for now")
            table.named = (period, named + 1)
            deposit = cost
            table.waiting[uid] = _Nomination(
                occupant, caller, deposit, now, self.outside.last_final(subnet)
            )
            self.obligations += deposit
        else:
            self._sit(state, side, uid, occupant, now)
        self.homes[scope, occupant] = (subnet, side, uid)
        state.burn = min((cost * BURN_GROWTH + 99) // 100, MAX_AMOUNT)
        state.burned_at = now
        return cost, deposit

    def _leave(self, scope: int, occupant: int, now: int) -> tuple[Address, int]:
        home = self.homes.get((scope, occupant))
        if home is None:
            raise TransactionReverted("Subnets", "subnets: has no place")
        subnet, side, uid = home
        state = self.subnets[subnet]
        _require(state.sides[side].holder(uid) == occupant, "subnets: not admitted yet")
        del self.homes[scope, occupant]
        self._sit(state, side, uid, 0, now)
        if uid in state.sides[side].waiting:
            return self._let_in(subnet, side, uid, now)
        return ZERO_ADDRESS, 0

    def _let_in(self, subnet: int, side: int, uid: int, now: int) -> tuple[Address, int]:
        state = self.subnets[subnet]
        table = state.sides[side]
        nomination = table.waiting.pop(uid)
        scope = _scope(subnet, side)
        if self.is_live(subnet, now):
            self.homes.pop((scope, table.holder(uid)), None)
            self._sit(state, side, uid, nomination.newcomer, now)
        elif self.homes.get((scope, nomination.newcomer)) == (subnet, side, uid):
            del self.homes[scope, nomination.newcomer]
        self.obligations -= nomination.deposit
        return nomination.sponsor, nomination.deposit

    @staticmethod
    def _sit(state: Subnet, side: int, uid: int, occupant: int, now: int) -> None:
        seats = state.sides[side].seats
        if uid == len(seats):
            seats.append([])
        seat = Seat(occupant, state.clock.epoch_at(now) + 1, now)
        # One that never counted for an epoch is overwritten.
        if seats[uid] and seats[uid][-1].since == seat.since:
            seats[uid].pop()
        seats[uid].append(seat)

    def _standing(self, subnet: int, side: int, uid: int, nomination: _Nomination) -> Standing:
        state = self.subnets[subnet]
        _require(uid < len(state.sides[side].seats), _NO_SUCH_PLACE)
        seat = state.sides[side].seats[uid][-1]
        if seat.occupant == 0:
            return Standing(immune=False, worth=0, registered=0, uid=uid)
        worth = 0
        if side == VALIDATORS:
            worth = self.outside.bonded(Address(seat.occupant.to_bytes(20, "big")))
        elif seat.since < nomination.basis:
            worth = self.outside.incentive_of(subnet, nomination.basis - 1, uid)
        immune = nomination.named_at < seat.registered + state.rules.immunity
        return Standing(immune, worth, seat.registered, uid)

    def _nomination(self, subnet: int, side: int, uid: int) -> _Nomination:
        _require(side in (MODELS, VALIDATORS) and 0 <= uid < 1 << 16, _NO_SUCH_PLACE)
        state = self.subnets.get(subnet)
        nomination = None if state is None else state.sides[side].waiting.get(uid)
        if nomination is None:
            raise TransactionReverted("Subnets", "subnets: nobody waits for it")
        return nomination

    def _subnet(self, subnet: int) -> Subnet:
        _require(subnet in self.subnets, _NO_SUCH_SUBNET)
        return self.subnets[subnet]

    def _owner_of(self, subnet: int) -> Address:
        return self.subnets[subnet].owner if subnet in self.subnets else ZERO_ADDRESS


def _scope(subnet: int, side: int) -> int:
    return 0 if side == MODELS else subnet


def _number(account: Address) -> int:
    return int.from_bytes(account, "big")


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Subnets", reason)
