"""Validators, delegators and slashers of every mood, beside the twin and a ledger of plain sums.

Every step is done on the contract and on `BondModel`; what one refuses the other refuses with the
same words. The ledger believes neither: it adds up transfers, and remembers who asked when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.bonding import (
    DELAY,
    EVIDENCE,
    GENESIS,
    MAX_FREEZE,
    NOTICE,
    PERIOD,
    TIMES,
    TSR,
    Bonding,
    case,
    open_bonding,
)
from rig.contract import NOBODY, Contract
from rig.drawing import mostly
from rig.effort import times
from rig.people import Person, key_of, person
from rig.sums import Sums
from rig.twins import both

from tessera.spec.bond import BondModel, Pool, Taken
from tessera.spec.signatures import Address

VALIDATORS = [person("validator"), person("another validator")]
PEOPLE = [*VALIDATORS, person("delegator"), person("attacker")]
WHISTLE_BLOWER, NEWCOMER = person("whistle-blower"), person("newcomer")
MINTER = person("minter")
# Who never bonds has no pool, whatever is asked of it.
validators = mostly([*VALIDATORS, VALIDATORS[0]], person("nobody"))
people = st.sampled_from(PEOPLE)
slashers = mostly([0, 1, 0, 1], 2)
cases = st.integers(1, 5)
amounts = st.one_of(st.integers(0, 3), st.integers(1, 10**7), st.integers(TSR, 10_000 * TSR))


@dataclass(frozen=True)
class Withdrawal:
    """What the ledger remembers of a payout."""

    validator: Person
    asked_at: int
    paid_at: int


@dataclass
class Accusation:
    """A freeze, and when it was lifted."""

    validator: Person
    at: int
    until: int
    lifted_at: int | None = None


class BondPromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, slash_bounded, never_early, bond_covers_open, and the rest."""

    @initialize(take_bps=st.sampled_from([0, 1_000]), start=st.sampled_from([3, TSR, 1_000 * TSR]))
    def found(self, take_bps: int, start: int) -> None:
        self.bonding: Bonding = open_bonding(slashers=3)
        self.world, self.bond = self.bonding.world, self.bonding.bond
        self.token = self.bonding.token
        self.sums = Sums()
        self.sums.of[self.token.address][self.bonding.treasury.address] = GENESIS
        self.sums.supply[self.token.address] = GENESIS
        self.token("set_minter", MINTER.address, by=self.world.owner.address)
        self.model = BondModel(TIMES)
        self.gifts = self.minted = self.turn = 0
        self.came_in: Counter[str] = Counter()
        self.slashed: Counter[str] = Counter()
        self.seen_cases: Counter[tuple[int, str, int]] = Counter()
        self.asked: dict[tuple[str, str], int] = {}
        self.backed: list[tuple[Person, int, int]] = []
        self.accusations: dict[tuple[int, str, int], Accusation] = {}
        self.withdrawals: list[Withdrawal] = []
        for who in PEOPLE:
            self.bonding.fund(who, 20_000 * TSR)
            self.sums.apply(self.token.logs)
        self.bonding.fund(NEWCOMER, 0)
        self.token("transfer", PEOPLE[0].address, 0, by=self.bonding.treasury.address)
        self._funded()
        for who in VALIDATORS:
            for number in (0, 1):
                self.enlist(who, number)
            self.set_take(who, take_bps)
            self.stake(who, who, start)
        for who in PEOPLE[2:]:
            self.stake(who, VALIDATORS[0], start * 2)

    def _funded(self) -> None:
        # `fund` moves tokens in a call before its last; read what the treasury gave away.
        for who in PEOPLE:
            self.sums.of[self.token.address][who.address] = self.bonding.held(who)
        given = sum(self.bonding.held(who) for who in PEOPLE)
        self.sums.of[self.token.address][self.bonding.treasury.address] = GENESIS - given

    # --- Stake ----------------------------------------------------------------------------------

    @rule(who=people, validator=validators, amount=amounts)
    def stake(self, who: Person, validator: Person, amount: int) -> None:
        amount = min(amount, self.bonding.held(who))
        done = self._do(
            lambda: self.model.stake(key_of(who), key_of(validator), amount, self._now),
            lambda: self.bond("stake", validator.address, amount, by=who.address),
        )
        if done is not None:
            self.came_in[validator.address] += amount

    @rule(which=st.integers(0, 7), part=st.sampled_from([0, 1, 5, 9]))
    def unstake_part(self, which: int, part: int) -> None:
        self._unstake(which, part)

    def _unstake(self, which: int, part: int) -> tuple[Person, Person]:
        who, validator = self._pick(which, lambda pool, who: pool.shares[who] > 0)
        shares = self.model.pools[key_of(validator)].shares[key_of(who)] * part // 10 or 1
        done = self._do(
            lambda: self.model.unstake(key_of(who), key_of(validator), shares, self._now),
            lambda: self.bond("unstake", validator.address, shares, by=who.address),
        )
        if done is not None:
            self.asked[who.address, validator.address] = self._now
        return who, validator

    def _pick(self, which: int, fits: Callable[[Pool, Address], bool]) -> tuple[Person, Person]:
        """Choose an account of a pool for which something is to be done, if there is one."""
        pairs = [
            (who, validator)
            for validator in VALIDATORS
            for who in PEOPLE
            if fits(self.model.pools[key_of(validator)], key_of(who))
        ] or [(PEOPLE[which % len(PEOPLE)], VALIDATORS[0])]
        return pairs[which % len(pairs)]

    @rule(
        which=st.integers(0, 7),
        part=st.sampled_from([3, 7, 10, 10]),
        case_=st.sampled_from([None, 1, 2, 3, 4, 5]),
        waits=st.sampled_from([0, -1, 0, MAX_FREEZE - 1, MAX_FREEZE]),
        then=st.sampled_from(["withdraw", "withdraw", "slash", "unfreeze", "restake"]),
    )
    def go(self, which: int, part: int, case_: int | None, waits: int, then: str) -> None:
        """Leave, be accused on the way or not, and be paid, stay, or be judged first."""
        who, validator = self._unstake(which, part)
        ready_at = self.model.pools[key_of(validator)].exits[key_of(who)].ready_at
        if case_ is not None:
            self.world.wait(max(0, ready_at - self._now - 5))
            self.freeze(validator, which % 2, case_)
        self.world.wait(max(0, ready_at + waits - self._now))
        if then == "restake":
            self._restake(who, validator)
            return
        if then == "slash" and case_ is not None:
            self.slash(validator, which % 2, case_, 0, which, WHISTLE_BLOWER, EVIDENCE)
        if then == "unfreeze" and case_ is not None:
            self._unfreeze(which % 2, validator, case_)
        self._withdraw(who, validator)

    def _restake(self, who: Person, validator: Person) -> None:
        self._do(
            lambda: self.model.restake(key_of(who), key_of(validator), self._now),
            lambda: self.bond("restake", validator.address, by=who.address),
        )

    @precondition(lambda self: any(pool.parts for pool in self.model.pools.values()))
    @rule(which=st.integers(0, 7))
    def withdraw(self, which: int) -> None:
        self._withdraw(*self._pick(which, lambda pool, who: pool.exits[who].ready_at > 0))

    def _withdraw(self, who: Person, validator: Person) -> None:
        done = self._do(
            lambda: self.model.withdraw(key_of(who), key_of(validator), self._now),
            lambda: self.bond("withdraw", validator.address, by=who.address),
        )
        if done is not None:
            asked_at = self.asked[who.address, validator.address]
            self.withdrawals.append(Withdrawal(validator, asked_at, self._now))
            self.came_in[validator.address] -= done

    # --- Rewards --------------------------------------------------------------------------------

    @rule(who=people, validator=validators, amount=amounts)
    def reward(self, who: Person, validator: Person, amount: int) -> None:
        amount = min(amount, self.bonding.held(who))

        def contract() -> int:
            self.bond("reward", validator.address, amount, by=who.address)
            (event,) = self.bond.events("Rewarded")
            return int(event.arguments["take"])

        done = self._do(lambda: self.model.reward(key_of(validator), amount, self._now), contract)
        if done is not None:
            self.came_in[validator.address] += amount

    @precondition(lambda self: self.turn % 2)
    @rule(validator=validators, take_bps=st.sampled_from([0, 500, 1_800, 1_801]))
    def set_take(self, validator: Person, take_bps: int) -> None:
        self._do(
            lambda: self.model.set_take(key_of(validator), take_bps, self._now),
            lambda: self.bond("set_take", take_bps, by=validator.address),
        )

    @rule(amount=st.integers(1, TSR), who=people)
    def mint(self, amount: int, who: Person) -> None:
        self.token("mint", who.address, amount, by=MINTER.address)
        self.sums.apply(self.token.logs)
        self.minted += amount

    @rule(amount=st.integers(1, TSR), who=people, rescued=st.booleans())
    def give(self, amount: int, who: Person, rescued: bool) -> None:
        """Send tokens straight to the contract: nobody's stake, and nobody's share grows."""
        amount = min(amount, self.bonding.held(who))
        self.token("transfer", self.bond.address, amount, by=who.address)
        self.sums.apply(self.token.logs)
        self.gifts += amount
        if rescued:
            assert self.bond("rescue", self.token) == self.gifts
            self.sums.apply(self.bond.logs)
            self.gifts = 0

    # --- Slashers -------------------------------------------------------------------------------

    def _slasher(self, number: int) -> Contract:
        return self.bonding.slashers[number]

    @precondition(lambda self: self.turn % 4 == 3)
    @rule(validator=validators, number=st.integers(0, 2))
    def enlist(self, validator: Person, number: int) -> None:
        slasher = self._slasher(number)
        self._do(
            lambda: self.model.enlist(key_of(validator), key_of(slasher), self._now),
            lambda: self.bond("enlist", slasher, by=validator.address),
        )

    @precondition(lambda self: self.turn % 4 == 3)
    @rule(validator=validators, number=slashers)
    def leave(self, validator: Person, number: int) -> None:
        slasher = self._slasher(number)
        self._do(
            lambda: self.model.leave(key_of(validator), key_of(slasher), self._now),
            lambda: self.bond("leave", slasher, by=validator.address),
        )

    @rule(validator=validators, number=slashers, seconds=mostly([1, DELAY // 2, DELAY], DELAY + 1))
    def back(self, validator: Person, number: int, seconds: int) -> None:
        until, slasher = self._now + seconds, key_of(self._slasher(number))

        def model() -> int:
            self.model.back(slasher, key_of(validator), until, self._now)
            return 0

        if self._do(model, self._told(number, "back", validator.address, until)) is not None:
            self.backed.append((validator, self._now, until))

    @rule(validator=validators, number=slashers, which=cases)
    def freeze(self, validator: Person, number: int, which: int) -> None:
        slasher = key_of(self._slasher(number))
        until = self._do(
            lambda: self.model.freeze(slasher, key_of(validator), case(which), self._now),
            self._told(number, "freeze", validator.address, case(which)),
        )
        if until is not None:
            self.accusations[number, validator.address, which] = Accusation(
                validator, self._now, until
            )

    @precondition(lambda self: self.accusations)
    @rule(which=st.integers(0, 7))
    def unfreeze(self, which: int) -> None:
        number, address, known = [*self.accusations][which % len(self.accusations)]
        self._unfreeze(number, self.accusations[number, address, known].validator, known)

    def _unfreeze(self, number: int, validator: Person, known: int) -> None:
        slasher = key_of(self._slasher(number))
        lifted = self._do(
            lambda: int(self.model.unfreeze(slasher, key_of(validator), case(known))),
            self._told(number, "unfreeze", validator.address, case(known)),
        )
        if lifted:
            self.accusations[number, validator.address, known].lifted_at = self._now

    @precondition(lambda self: self.accusations and self.turn % 2)
    @rule(which=st.integers(0, 7))
    def thaw(self, which: int) -> None:
        number, address, known = [*self.accusations][which % len(self.accusations)]
        validator, slasher = self.accusations[number, address, known].validator, number
        by = self._slasher(slasher)
        arguments = (key_of(validator), key_of(by), case(known), self._now)
        self._do(
            lambda: self.model.thaw(*arguments),
            lambda: self.bond("thaw", validator.address, by.address, case(known)),
        )

    @rule(
        validator=validators,
        number=slashers,
        which=cases,
        amount=amounts,
        tenths=st.sampled_from([None, 0, 1, 1, 2, 3, 5, 9, 10, 11]),
        blower=st.sampled_from([WHISTLE_BLOWER, WHISTLE_BLOWER, None, *VALIDATORS]),
        evidence=mostly([EVIDENCE], bytes(32)),
    )
    def slash(
        self,
        validator: Person,
        number: int,
        which: int,
        amount: int,
        tenths: int | None,
        blower: Person | None,
        evidence: bytes,
    ) -> None:
        now, slasher = self._now, key_of(self._slasher(number))
        pool = self.model.pools[key_of(validator)]
        slashable = self.bond("slashable", validator.address)
        own = self.bond("own_bond", validator.address)
        if tenths is not None:
            amount = slashable * tenths // 10
        to = NOBODY if blower is None else blower.address
        paid = self.bonding.held(blower) if blower else 0
        bounty = 0

        def model() -> int:
            nonlocal bounty
            taken: Taken = self.model.slash(
                slasher, key_of(validator), amount, case(which), evidence, key_of(to), now
            )
            bounty = taken.bounty
            return taken.amount

        arguments = (validator.address, amount, case(which), evidence, to)
        taken = self._do(model, self._told(number, "slash", *arguments))
        if taken is None:
            return
        self.seen_cases[number, validator.address, which] += 1
        self.slashed[validator.address] += taken
        self.came_in[validator.address] -= taken
        # By the contract's own views, whatever the twin thinks.
        assert taken == min(amount, slashable)
        assert self.bond("slashable", validator.address) == slashable - taken
        assert bounty == ((self.bonding.held(blower) - paid) if blower else 0)
        lost = own - self.bond("own_bond", validator.address)
        assert bounty * 5 <= min(lost + 2, taken)
        assert pool.slashable() == slashable - taken

    @rule(
        seconds=st.sampled_from(
            [1, 600, PERIOD, MAX_FREEZE - 1, MAX_FREEZE, DELAY - 1, DELAY, NOTICE]
        )
    )
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Both -----------------------------------------------------------------------------------

    @property
    def _now(self) -> int:
        return self.world.now

    def _told(self, number: int, name: str, *arguments: Any) -> Callable[[], int]:
        return lambda: int.from_bytes(self.bonding.as_slasher(name, *arguments, by=number), "big")

    def _do(self, model: Callable[[], Any], contract: Callable[[], Any]) -> Any:
        """Ask both; None where they refused, else what they answered (0 for nothing)."""
        answers: list[Any] = []

        def asked() -> Any:
            answers.append(contract())
            return answers[-1]

        both(model, asked)
        if not answers:
            return None
        logs = {id(self.bond.logs): self.bond.logs}
        for slasher in self.bonding.slashers:
            logs[id(slasher.logs)] = slasher.logs
        for found in logs.values():
            self.sums.apply(log for log in found if log.address == self.token.address)
            found.clear()
        return answers[0] or 0

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        owed = self.bond("obligations")
        assert self.bonding.held(self.bond) == owed + self.gifts
        assert owed == self.model.obligations
        assert owed == sum(self.bond("slashable", who.address) for who in PEOPLE)

    @invariant()
    def conserved(self) -> None:
        for who in [*PEOPLE, WHISTLE_BLOWER, self.world.commons, self.bond]:
            assert self.bonding.held(who) == self.sums.of[self.token.address][who.address]
        supply = self.token("totalSupply")
        assert supply == GENESIS + self.minted == self.token("minted") <= self.token("cap")
        for validator in VALIDATORS:
            pool = self.model.pools[key_of(validator)]
            found = self.bond("pool_of", validator.address)
            assert found == (
                pool.bonded(self._now),
                pool.total,
                pool.coming - pool.streamed(self._now),
                pool.end if pool.coming > pool.streamed(self._now) else 0,
                pool.left,
                pool.parts,
                pool.closed,
            )
            assert self.bond("bonded", validator.address) == found[0]
            assert found[0] + found[2] + found[4] == self.came_in[validator.address]
            worth = leaving = shares = 0
            for who in PEOPLE:
                own, value = self.bond("stake_of", validator.address, who.address)
                assert own == pool.shares[key_of(who)]
                going, ready_at = self.bond("exit_of", validator.address, who.address)
                assert going == pool.exit_worth(key_of(who))
                assert ready_at == pool.exits[key_of(who)].ready_at
                shares, worth, leaving = shares + own, worth + value, leaving + going
            assert shares == pool.total
            assert worth <= found[0] + found[2]
            assert leaving <= found[4]
            assert self.bond("own_bond", validator.address) == pool.own_bond(
                key_of(validator), self._now
            )
            assert self.bond("take_of", validator.address)[0] == pool.take_at(self._now)
            assert self.bond("frozen_until", validator.address) == pool.held_up_until(self._now)

    @invariant()
    def slash_bounded(self) -> None:
        assert all(count == 1 for count in self.seen_cases.values())
        for validator in PEOPLE:
            # All that ever came in and did not leave, less all slashes, is there: none took more.
            assert self.came_in[validator.address] >= 0
            for number, slasher in enumerate(self.bonding.slashers):
                for which in range(1, 6):
                    found = self.model.pools[key_of(validator)].cases.get(
                        (key_of(slasher), case(which))
                    )
                    slashed = self.seen_cases[number, validator.address, which] == 1
                    assert slashed == (found is not None and found.slashed)

    @invariant()
    def never_early(self) -> None:
        for paid in self.withdrawals:
            assert paid.paid_at >= paid.asked_at + DELAY

    @invariant()
    def bond_covers_open(self) -> None:
        """What was at stake when something began to be backed was there until its end."""
        for paid in self.withdrawals:
            for validator, at, until in self.backed:
                if validator == paid.validator and at <= paid.asked_at:
                    assert paid.paid_at >= until
            for each in self.accusations.values():
                in_time = each.validator == paid.validator and each.at <= paid.asked_at + DELAY
                if in_time and each.at < paid.paid_at < each.until:
                    assert each.lifted_at is not None
                    assert each.lifted_at <= paid.paid_at

    @invariant()
    def no_past_revenue(self) -> None:
        """Who comes for a reward and goes again gets none of it, and takes from nobody.

        But for what does not divide of the validator's take, less than a share: its shares are
        rounded down. A share is dust unless much was rewarded to a pool of a few base units.
        """
        self.turn += 1
        validator = VALIDATORS[self.turn % 2]
        pool = self.model.pools[key_of(validator)]
        if pool.closed or pool.shares[key_of(validator)] == 0:
            return
        with self.world.engine.trial():
            before = [self._worth(who, validator) for who in PEOPLE]
            self.bonding.fund(NEWCOMER, 50_000 * TSR)
            shares = self.bond("stake", validator.address, 50_000 * TSR, by=NEWCOMER.address)
            self.bonding.reward(validator, 1_000 * TSR)
            share = self._worth(NEWCOMER, validator) // shares + 1
            given = self.bond("unstake", validator.address, shares, by=NEWCOMER.address)
            assert given < 50_000 * TSR + share
            after = [self._worth(who, validator) for who in PEOPLE]
            assert all(now >= then for then, now in zip(before, after, strict=True))

    def _worth(self, who: Person, validator: Person) -> int:
        return int(self.bond("stake_of", validator.address, who.address)[1])

    @invariant()
    def can_always_claim(self) -> None:
        """Whatever the slashers freeze, everybody is out `delay` and `max_freeze` from now."""
        if self.turn % 3:
            return
        with self.world.engine.trial():
            for validator in VALIDATORS:
                for who in PEOPLE:
                    shares, worth = self.bond("stake_of", validator.address, who.address)
                    if worth:
                        self.bond("unstake", validator.address, shares, by=who.address)
            # A case when the delay is over, and another one when that freeze is about to end.
            for seconds, number_of_case in ((DELAY, 98), (MAX_FREEZE - 1, 99)):
                self.world.wait(seconds)
                for validator in VALIDATORS:
                    for number, slasher in enumerate(self.bonding.slashers):
                        row = self.bond("enlistment_of", validator.address, slasher.address)
                        if row[3]:
                            accused = (validator.address, case(number_of_case))
                            self.bonding.as_slasher("freeze", *accused, by=number)
            self.world.wait(1)
            for validator in VALIDATORS:
                for who in PEOPLE:
                    leaving, ready_at = self.bond("exit_of", validator.address, who.address)
                    if ready_at:
                        arguments = (validator.address, who.address)
                        assert self.bond("withdraw", *arguments, by=who.address) >= leaving
                pool = self.bond("pool_of", validator.address)
                # What is left belongs to shares that are worth less than a base unit.
                assert pool[4] == 0
                assert pool[1] or pool[0] + pool[2] == 0


TestBondPromises = BondPromises.TestCase
TestBondPromises.settings = times(0.6, steps=1)
