"""`Bond.vy` again in plain Python: pools of stake, what leaves them, rewards, slashers and slashes.

Amounts are base units of the network token, times unix seconds. What the contract refuses the model
refuses with the same words. Held against the contract by the machine `BondPromises`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from tessera.errors import TransactionReverted
from tessera.spec.signatures import Address
from tessera.units import BPS

__all__ = [
    "BOUNTY_BPS",
    "MAX_SLASHERS",
    "MAX_TAKE_BPS",
    "SHARES_PER_TOKEN",
    "WIPED",
    "BondModel",
    "BondTimes",
    "Enlistment",
    "Pool",
    "Taken",
]

MAX_TAKE_BPS: Final = 1_800
"""The most of its pool's rewards that a validator may keep."""
BOUNTY_BPS: Final = 2_000
"""The whistle-blower's part of what a slash takes from the validator's own stake."""
MAX_SLASHERS: Final = 8
SHARES_PER_TOKEN: Final = 10**6
"""Shares for one base unit in a new pool; as many are always there and nobody's."""
WIPED: Final = 10**12
"""A pool closes when its shares are worth this much less than at first."""

_NOBODY: Final = Address(bytes(20))


@dataclass(frozen=True, slots=True)
class BondTimes:
    """The windows of a deployment, in seconds.

    Attributes
    ----------
    delay
        Stake stays slashable this long after its owner asked for it.
    notice
        Before a new slasher has power, and before a higher take counts.
    max_freeze
        After which an accusation alone holds nothing up.
    period
        Over which a reward streams.
    """

    delay: int
    notice: int
    max_freeze: int
    period: int


@dataclass(slots=True)
class Exit:
    """What one account takes back: its shares of what leaves, and when they are ready."""

    shares: int = 0
    ready_at: int = 0


@dataclass(slots=True)
class Enlistment:
    """What a validator granted a slasher; 0 where a time was never set."""

    since: int
    leaves_at: int = 0
    backed_until: int = 0

    def has_ended(self, now: int) -> bool:
        """Say whether it was asked to leave and has nothing left to answer for."""
        return self.leaves_at != 0 and now >= max(self.leaves_at, self.backed_until)

    def has_power(self, now: int) -> bool:
        """Say whether the slasher may open cases."""
        return now >= self.since and not self.has_ended(now)


@dataclass(slots=True)
class Case:
    """One accusation by one slasher: the latest end of its freeze, and what became of it."""

    until: int = 0
    frozen: bool = False
    slashed: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What a slash took, and the whistle-blower's part of it; the rest is the commons'."""

    amount: int
    bounty: int


@dataclass(slots=True)
class Pool:
    """All stake behind one validator.

    Attributes
    ----------
    tokens, total
        At stake, as of `last`, and the shares of it.
    coming, last, end
        The reward that still streams, up to when it was counted, and when it ends.
    left, parts
        What leaves, and the shares of that.
    take_bps, next_take_bps, take_from
        The validator's part of rewards; another one that counts later, where `take_from` is not 0.
    freezes, frozen_until
        Open cases, and the latest end of the last one.
    """

    tokens: int = 0
    total: int = 0
    coming: int = 0
    last: int = 0
    end: int = 0
    left: int = 0
    parts: int = 0
    take_bps: int = 0
    next_take_bps: int = 0
    take_from: int = 0
    freezes: int = 0
    frozen_until: int = 0
    closed: bool = False
    shares: defaultdict[Address, int] = field(default_factory=lambda: defaultdict(int))
    exits: defaultdict[Address, Exit] = field(default_factory=lambda: defaultdict(Exit))
    slashers: list[Address] = field(default_factory=list)
    enlisted: dict[Address, Enlistment] = field(default_factory=dict)
    cases: dict[tuple[Address, bytes], Case] = field(default_factory=dict)

    def streamed(self, now: int) -> int:
        """Compute what of the reward to come is at stake by now, rounded down."""
        if now >= self.end:
            return self.coming
        return self.coming * (now - self.last) // (self.end - self.last)

    def bonded(self, now: int) -> int:
        """Return what counts for new things: no stake that leaves, no reward to come."""
        return self.tokens + self.streamed(now)

    def slashable(self) -> int:
        """Return all that a slash could take."""
        return self.tokens + self.coming + self.left

    def worth(self, shares: int, now: int) -> int:
        """Price shares, rounded down."""
        return shares * (self.bonded(now) + 1) // (self.total + SHARES_PER_TOKEN)

    def exit_worth(self, account: Address) -> int:
        """Price what an account takes back, rounded down."""
        part = self.exits[account].shares
        return part * self.left // self.parts if part else 0

    def own_bond(self, validator: Address, now: int) -> int:
        """Return the validator's own stake, at stake and leaving, rounded down."""
        return self.worth(self.shares[validator], now) + self.exit_worth(validator)

    def take_at(self, now: int) -> int:
        """Return the take that counts now, bps."""
        announced = self.take_from != 0 and now >= self.take_from
        return self.next_take_bps if announced else self.take_bps

    def held_up_until(self, now: int) -> int:
        """Return when the freeze ends at the latest; 0 where nothing is frozen."""
        return self.frozen_until if self.freezes and now < self.frozen_until else 0

    @property
    def empty(self) -> bool:
        """Whether nobody has stake here, or takes any back."""
        return self.total == 0 and self.parts == 0

    def advance(self, now: int) -> None:
        """Count what streamed by now."""
        streamed = self.streamed(now)
        self.tokens += streamed
        self.coming -= streamed
        self.last = now


class BondModel:
    """Every pool of a deployment.

    Parameters
    ----------
    times
        Of the deployment.

    Attributes
    ----------
    pools
        By validator.
    """

    def __init__(self, times: BondTimes) -> None:
        self.times = times
        self.pools: defaultdict[Address, Pool] = defaultdict(Pool)

    @property
    def obligations(self) -> int:
        """All tokens that are somebody's."""
        return sum(pool.slashable() for pool in self.pools.values())

    # --- Stake -----------------------------------------------------------------------------------

    def stake(self, account: Address, validator: Address, amount: int, now: int) -> int:
        """Put tokens at stake; return the shares, rounded down."""
        if amount == 0:
            raise _refused("nothing to stake")
        self._validator_first(account, validator)
        return self._enter(account, validator, amount, now)

    def unstake(self, account: Address, validator: Address, shares: int, now: int) -> int:
        """Begin to take stake back; return the base units that leave."""
        pool = self.pools[validator]
        if not 0 < shares <= pool.shares[account]:
            raise _refused("not that many shares")
        last_one = shares == pool.total
        amount = pool.tokens + pool.coming if last_one else pool.worth(shares, now)
        if amount == 0:
            raise _refused("too little to leave")
        pool.advance(now)
        if last_one:
            pool.tokens = pool.coming = 0
        else:
            pool.tokens -= amount
        pool.total -= shares
        pool.shares[account] -= shares
        fresh = amount if pool.parts == 0 else amount * pool.parts // pool.left
        pool.left += amount
        pool.parts += fresh
        leaving = pool.exits[account]
        leaving.shares += fresh
        leaving.ready_at = now + self.times.delay
        return amount

    def restake(self, account: Address, validator: Address, now: int) -> int:
        """Put all that an account takes back at stake again; return the shares."""
        amount = self.pools[validator].exit_worth(account)
        if amount == 0:
            raise _refused("nothing is leaving")
        self._validator_first(account, validator)
        fresh = self._enter(account, validator, amount, now)
        self._take_exit(account, validator)
        return fresh

    def withdraw(self, account: Address, validator: Address, now: int) -> int:
        """Pay out what an account took back; base units."""
        pool = self.pools[validator]
        ready_at = pool.exits[account].ready_at
        if ready_at == 0:
            raise _refused("nothing is leaving")
        if now < ready_at:
            raise _refused("not ready yet")
        if pool.held_up_until(now) and now < ready_at + self.times.max_freeze:
            raise _refused("frozen")
        return self._take_exit(account, validator)

    def _validator_first(self, account: Address, validator: Address) -> None:
        if account != validator and self.pools[validator].shares[validator] == 0:
            raise _refused("the validator has no stake of its own")

    def _enter(self, account: Address, validator: Address, amount: int, now: int) -> int:
        pool = self.pools[validator]
        if pool.closed:
            raise _refused("the pool is closed")
        fresh = amount * (pool.total + SHARES_PER_TOKEN) // (pool.bonded(now) + 1)
        if fresh == 0:
            raise _refused("worth no share")
        pool.advance(now)
        pool.tokens += amount
        pool.total += fresh
        pool.shares[account] += fresh
        return fresh

    def _take_exit(self, account: Address, validator: Address) -> int:
        pool = self.pools[validator]
        amount = pool.exit_worth(account)
        pool.left -= amount
        pool.parts -= pool.exits[account].shares
        pool.exits[account] = Exit()
        return amount

    # --- Rewards ---------------------------------------------------------------------------------

    def reward(self, validator: Address, amount: int, now: int) -> int:
        """Give a pool tokens; return the validator's take, rounded down."""
        if amount == 0:
            raise _refused("nothing to give")
        pool = self.pools[validator]
        if pool.total == 0 or pool.closed:
            raise _refused("no stake to reward")
        pool.advance(now)
        part = amount * pool.take_at(now) // BPS
        fresh = part * (pool.total + SHARES_PER_TOKEN) // (pool.tokens + 1)
        pool.shares[validator] += fresh
        pool.total += fresh
        pool.tokens += part
        given = amount - part
        rest = max(pool.end - now, 0)
        weighed = pool.coming * rest + given * self.times.period
        pool.coming += given
        # The mean of both times by amount, rounded down, so dust does not move it.
        pool.end = now + weighed // pool.coming
        return part

    def set_take(self, validator: Address, take_bps: int, now: int) -> int:
        """Set the validator's part of rewards; return when it counts."""
        if take_bps > MAX_TAKE_BPS:
            raise _refused("take out of range")
        pool = self.pools[validator]
        present = pool.take_at(now)
        if take_bps <= present or pool.empty:
            pool.take_bps, pool.next_take_bps, pool.take_from = take_bps, 0, 0
            return now
        pool.take_bps, pool.next_take_bps = present, take_bps
        pool.take_from = now + self.times.notice
        return pool.take_from

    # --- Slashers --------------------------------------------------------------------------------

    def enlist(self, validator: Address, slasher: Address, now: int) -> int:
        """Let a contract hold the pool to account; return since when."""
        pool = self.pools[validator]
        known = pool.enlisted.get(slasher)
        if known is not None and not known.has_ended(now):
            raise _refused("enlisted already")
        listed = [
            each
            for each in pool.slashers
            if each != slasher and not pool.enlisted[each].has_ended(now)
        ]
        if len(listed) == MAX_SLASHERS:
            raise _refused("too many slashers")
        pool.slashers = [*listed, slasher]
        since = now if pool.empty else now + self.times.notice
        pool.enlisted[slasher] = Enlistment(since)
        return since

    def leave(self, validator: Address, slasher: Address, now: int) -> int:
        """Take a slasher's power away; return until when it can open cases."""
        enlistment = self.pools[validator].enlisted.get(slasher)
        if enlistment is None or enlistment.leaves_at:
            raise _refused("not enlisted")
        # One that never had power is gone at once.
        enlistment.leaves_at = now + (self.times.delay if now >= enlistment.since else 0)
        return enlistment.leaves_at

    def back(self, slasher: Address, validator: Address, until: int, now: int) -> None:
        """Write down that the stake of now answers for something until then."""
        enlistment = self.pools[validator].enlisted.get(slasher)
        if enlistment is None or not enlistment.has_power(now) or enlistment.leaves_at:
            raise _refused("not an enlisted slasher")
        if until > now + self.times.delay:
            raise _refused("backing longer than the delay")
        enlistment.backed_until = max(enlistment.backed_until, until)

    def freeze(self, slasher: Address, validator: Address, case: bytes, now: int) -> int:
        """Accuse: nothing is paid out until the case is resolved; return the latest end."""
        pool = self.pools[validator]
        if not self._has_power(pool, slasher, now):
            raise _refused("not an enlisted slasher")
        if (slasher, case) in pool.cases:
            raise _refused("the case is known")
        until = now + self.times.max_freeze
        pool.cases[slasher, case] = Case(until, frozen=True)
        pool.freezes += 1
        pool.frozen_until = until
        return until

    def unfreeze(self, slasher: Address, validator: Address, case: bytes) -> bool:
        """End the freeze of a case; return whether there was one."""
        pool = self.pools[validator]
        known = pool.cases.get((slasher, case))
        if known is None or not known.frozen:
            return False
        known.frozen = False
        pool.freezes -= 1
        return True

    def thaw(self, validator: Address, slasher: Address, case: bytes, now: int) -> None:
        """End a freeze whose latest end has passed."""
        known = self.pools[validator].cases.get((slasher, case))
        if known is None or not known.frozen:
            raise _refused("the case is not frozen")
        if now < known.until:
            raise _refused("the case may still be resolved")
        self.unfreeze(slasher, validator, case)

    def may_slash(self, slasher: Address, validator: Address, case: bytes, now: int) -> bool:
        """Say whether a slasher could slash in a case, if it did not already."""
        pool = self.pools[validator]
        known = pool.cases.get((slasher, case))
        if known is not None and known.frozen and now < known.until:
            return True
        return self._has_power(pool, slasher, now)

    def slash(
        self,
        slasher: Address,
        validator: Address,
        amount: int,
        case: bytes,
        evidence: bytes,
        whistle_blower: Address,
        now: int,
    ) -> Taken:
        """Take stake, once for each case, in proportion from all there is."""
        if not self.may_slash(slasher, validator, case, now):
            raise _refused("not an enlisted slasher")
        if evidence == bytes(32):
            raise _refused("a slash without evidence")
        pool = self.pools[validator]
        known = pool.cases.setdefault((slasher, case), Case())
        if known.slashed:
            raise _refused("slashed already")
        known.slashed = True
        whole = pool.slashable()
        taken = min(amount, whole)
        if taken == 0:
            return Taken(0, 0)
        own = taken * pool.own_bond(validator, now) // whole
        bounty = 0 if whistle_blower == _NOBODY else own * BOUNTY_BPS // BPS
        pool.advance(now)
        # What leaves and what streams lose the floor of their part, what is at stake the rest.
        from_leaving = taken * pool.left // whole
        from_pool = taken - from_leaving
        from_stream = from_pool * pool.coming // (pool.tokens + pool.coming) if pool.coming else 0
        pool.tokens -= from_pool - from_stream
        pool.coming -= from_stream
        pool.left -= from_leaving
        if pool.total > pool.tokens * SHARES_PER_TOKEN * WIPED or pool.parts > pool.left * WIPED:
            pool.closed = True
        return Taken(taken, bounty)

    @staticmethod
    def _has_power(pool: Pool, slasher: Address, now: int) -> bool:
        enlistment = pool.enlisted.get(slasher)
        return enlistment is not None and enlistment.has_power(now)


def _refused(reason: str) -> TransactionReverted:
    return TransactionReverted("Bond", f"bond: {reason}")
