"""Subnets under random owners, models, validators and newcomers, beside its twin."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rig.contract import refused
from rig.effort import times
from rig.people import Person, key_of, person
from rig.scoring import ALL, RULES, TEMPO, TSR, WINDOWS, open_scoring
from rig.twins import both

from tessera.spec.subnets import MODELS, VALIDATORS

OWNERS = [person("publisher"), person("second publisher")]
KEEPER = person("keeper")
SOMEBODY = st.sampled_from(OWNERS)
SUBNETS = st.integers(1, 3)
UIDS = st.integers(0, 3)
SIDES = st.sampled_from([MODELS, VALIDATORS])
# Three places of each side, and immunity for two epochs.
SMALL = RULES._replace(max_models=2, max_validators=2)


class SubnetPromises(RuleBasedStateMachine):
    """Promises: solvent; and who has a place in an epoch never changes once it began."""

    @initialize()
    def begin(self) -> None:
        self.scoring = scoring = open_scoring()
        self.contract, self.model = scoring.subnets, scoring.model
        for who in OWNERS:
            scoring.fund(who, 1_000_000 * TSR)
        self.assets = [scoring.asset(OWNERS[number % 2]) for number in range(5)]
        self.validators = [
            scoring.validator(f"validator {number}", (1_000 + number) * TSR) for number in range(4)
        ]
        # (subnet, side, uid, epoch) -> who had it when that epoch ran.
        self.seen: dict[tuple[int, int, int, int], tuple[int, int]] = {}
        self.create(OWNERS[0], ALL)

    def _money(self, who: Person, name: str, *arguments: Any) -> int:
        """Do it; what it cost its sender."""
        before = self.scoring.held(who)
        self.contract(name, *arguments, by=who.address)
        return before - self.scoring.held(who)

    @rule(who=SOMEBODY, most=st.sampled_from([ALL, WINDOWS.min_lock]))
    def create(self, who: Person, most: int) -> None:
        if len(self.model.subnets) == 3:
            return
        now = self.scoring.now
        both(
            lambda: self.model.create(key_of(who), SMALL, most, now)[1],
            lambda: self._money(who, "create", tuple(SMALL), most),
        )

    @rule(who=SOMEBODY, subnet=SUBNETS)
    def close(self, who: Person, subnet: int) -> None:
        both(
            lambda: self.model.close(key_of(who), subnet, self.scoring.now) and None,
            lambda: self.contract("close", subnet, by=who.address),
        )

    @rule(subnet=SUBNETS)
    def dissolve(self, subnet: int) -> None:
        both(
            lambda: -self.model.dissolve(subnet, self.scoring.now)[1],
            lambda: self._money(KEEPER, "dissolve", subnet),
        )

    @rule(
        who=SOMEBODY,
        subnet=SUBNETS,
        number=st.integers(0, 4),
        uid=UIDS,
        most=st.sampled_from([ALL, ALL, TSR]),
    )
    def register_model(self, who: Person, subnet: int, number: int, uid: int, most: int) -> None:
        asset, now = self.assets[number], self.scoring.now
        both(
            lambda: sum(self.model.register_model(key_of(who), subnet, asset, uid, most, now)),
            lambda: self._money(who, "register_model", subnet, asset, uid, most),
        )

    @rule(subnet=SUBNETS, number=st.integers(0, 3), uid=UIDS)
    def register_validator(self, subnet: int, number: int, uid: int) -> None:
        who, now = self.validators[number], self.scoring.now
        both(
            lambda: sum(self.model.register_validator(key_of(who), subnet, uid, ALL, now)),
            lambda: self._money(who, "register_validator", subnet, uid, ALL),
        )

    @rule(who=SOMEBODY, number=st.integers(0, 4))
    def deregister_model(self, who: Person, number: int) -> None:
        asset, now = self.assets[number], self.scoring.now
        both(
            lambda: self.model.deregister_model(key_of(who), asset, now) and None,
            lambda: self.contract("deregister_model", asset, by=who.address),
        )

    @rule(subnet=SUBNETS, number=st.integers(0, 3))
    def deregister_validator(self, subnet: int, number: int) -> None:
        who, now = self.validators[number], self.scoring.now
        both(
            lambda: self.model.deregister_validator(key_of(who), subnet, now) and None,
            lambda: self.contract("deregister_validator", subnet, by=who.address),
        )

    @rule(subnet=SUBNETS, side=SIDES, uid=UIDS, lower=UIDS)
    def correct(self, subnet: int, side: int, uid: int, lower: int) -> None:
        now = self.scoring.now
        waiting = (
            self.model.subnets[subnet].sides[side].waiting if subnet in self.model.subnets else {}
        )
        basis = waiting[uid].basis if uid in waiting else 0
        proofs = [self.scoring.evidence(subnet, side, each, basis) for each in (uid, lower)]
        both(
            lambda: -self.model.correct(subnet, side, uid, lower, now)[0],
            lambda: self._money(KEEPER, "correct", subnet, side, uid, lower, *proofs),
        )

    @rule(subnet=SUBNETS, side=SIDES, uid=UIDS)
    def admit(self, subnet: int, side: int, uid: int) -> None:
        both(
            lambda: self.model.admit(subnet, side, uid, self.scoring.now) and None,
            lambda: self.contract("admit", subnet, side, uid),
        )

    @rule(subnet=SUBNETS, uid=UIDS, incentive=st.integers(0, 2))
    def an_epoch_is_final(self, subnet: int, uid: int, incentive: int) -> None:
        if subnet not in self.model.subnets:
            return
        epoch = self.model.subnets[subnet].clock.epoch_at(self.scoring.now)
        self.scoring.epochs("set_last_final", subnet, epoch)
        if epoch:
            self.scoring.epochs("set_incentive", subnet, epoch - 1, uid, incentive)

    @rule(seconds=st.sampled_from([1, TEMPO // 2, TEMPO, WINDOWS.closing_window]))
    def wait(self, seconds: int) -> None:
        self.scoring.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        locks = sum(subnet.lock for subnet in self.model.subnets.values())
        deposits = sum(
            nomination.deposit
            for subnet in self.model.subnets.values()
            for table in subnet.sides
            for nomination in table.waiting.values()
        )
        owed = self.contract("obligations")
        assert owed == self.model.obligations == locks + deposits
        assert self.scoring.held(self.contract) == owed
        assert self.contract("lock_cost") == self.model.lock_cost(self.scoring.now)

    @invariant()
    def places_are_the_twins(self) -> None:
        now = self.scoring.now
        for number, subnet in self.model.subnets.items():
            epoch = subnet.clock.epoch_at(now)
            assert self.contract("burn_cost", number) == self.model.burn_cost(number, now)
            for side in (MODELS, VALIDATORS):
                assert self.contract("table_of", number, side) == self.model.table_of(number, side)
                places = self.contract("places_in", number, side)
                assert places == self.model.places_in(number, side, now)
                for uid in range(2):
                    found = self.contract("occupant_at", number, side, uid, epoch)
                    assert found == self.model.occupant_at(number, side, uid, epoch)
                    self.seen.setdefault((number, side, uid, epoch), found)
        for asset in self.assets:
            assert self.contract("subnet_of", asset) == self.model.subnet_of(asset, now)

    @invariant()
    def an_epochs_places_never_change(self) -> None:
        for place, found in list(self.seen.items())[-8:]:
            assert self.contract("occupant_at", *place) == found

    @invariant()
    def a_lock_never_leaves_early(self) -> None:
        for number in self.model.subnets:
            if self.contract("is_live", number) and not self.contract("closing_at", number):
                with self.scoring.world.engine.trial(), refused("subnets: not yet"):
                    self.scoring.epochs("set_last_final", number, 10**6)
                    self.contract("dissolve", number)


TestSubnetPromises = SubnetPromises.TestCase
TestSubnetPromises.settings = times(1)
