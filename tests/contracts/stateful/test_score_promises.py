"""Scores under random validators who copy, forget, lie and withhold, beside its twin."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.effort import times
from rig.people import Person, key_of, person
from rig.scoring import DATA_FEE, QUARTER, TSR, Scoring, open_scoring
from rig.twins import both

from tessera.spec.scores import MAX_WEIGHT, Row

VALIDATORS = [person(f"validator {number}") for number in range(3)]
ASKER = person("challenger")
SOMEBODY = st.integers(0, 2)
LEAVES = st.integers(0, 2)
MODELS = 3


class ScorePromises(RuleBasedStateMachine):
    """Promises: solvent, settled_once; a reveal that was not committed changes nothing; an epoch
    can always complete even if every validator is offline."""

    @initialize()
    def begin(self) -> None:
        self.scoring: Scoring = open_scoring()
        self.contract, self.model = self.scoring.scores, self.scoring.rows
        owner = self.scoring.fund(person("publisher"))
        self.scoring.create(owner)
        for uid in range(MODELS):
            self.scoring.place_model(1, owner, uid)
        for uid, who in enumerate(VALIDATORS):
            self.scoring.place_validator(1, self.scoring.validator(str(who)), uid)
        self.scoring.fund(ASKER)
        self.scoring.turn_to(1, 1)
        self.first = self.epoch = 1
        # What was committed in truth: (epoch, validator) -> row and salt.
        self.secrets: dict[tuple[int, int], tuple[Row, bytes]] = {}
        self.closed: dict[int, tuple[Any, ...]] = {}

    def _now(self) -> int:
        return self.model.subnets.subnets[1].clock.epoch_at(self.scoring.now)

    @rule(
        who=SOMEBODY,
        weights=st.dictionaries(st.integers(0, 3), st.integers(0, MAX_WEIGHT), max_size=3),
        salt=st.binary(min_size=32, max_size=32),
        uid=st.integers(0, 2),
        own=st.sampled_from([True, True, True, False]),
    )
    def commit(self, who: int, weights: dict[int, int], salt: bytes, uid: int, own: bool) -> None:
        validator, now = VALIDATORS[who], self.scoring.now
        # A weight for a fourth model makes a row that cannot be shown.
        row = Row(weights, 4 if 3 in weights else MODELS)
        said = self.scoring.commitment(row, salt, validator, 1, self._now())
        place = who if own else uid
        done = both(
            lambda: self.model.commit(key_of(validator), 1, place, said, now),
            lambda: self.contract("commit", 1, place, said, by=validator.address),
        )
        if done is not None:
            self.secrets[done, who] = (row, salt)

    @precondition(lambda self: self.secrets)
    @rule(data=st.data(), who=SOMEBODY, bent=st.sampled_from([0, 0, 0, 1]))
    def reveal(self, data: st.DataObject, who: int, bent: int) -> None:
        """One's own, or another's; as it is, or with another sum."""
        epoch, whose = data.draw(st.sampled_from(sorted(self.secrets)))
        thief = data.draw(st.sampled_from([False, False, True]))
        row, salt = self.secrets[epoch, whose]
        validator, now = VALIDATORS[who if thief else whose], self.scoring.now
        opened = (row.root, row.sum + bent)
        before = self.contract("epoch_of", 1, epoch)
        done = both(
            lambda: self.model.reveal(key_of(validator), 1, epoch, opened, salt, now),
            lambda: self.scoring.reveal(1, epoch, validator, opened, salt),
        )
        if done is None:
            assert self.contract("epoch_of", 1, epoch) == before
        else:
            assert self.secrets[epoch, VALIDATORS.index(validator)] == (row, salt)
            assert bent == 0

    @rule(back=st.integers(0, 1), row=SOMEBODY, leaf=st.sampled_from([0, 0, 0, 1]))
    def ask(self, back: int, row: int, leaf: int) -> None:
        epoch, now = max(self._now() - back, 0), self.scoring.now
        both(
            lambda: self.model.ask(key_of(ASKER), 1, epoch, row, leaf, now),
            lambda: self._money(ASKER, "ask", 1, epoch, row, leaf),
        )

    @rule(back=st.integers(0, 2), row=SOMEBODY, forged=st.booleans())
    def show(self, back: int, row: int, forged: bool) -> None:
        epoch, now = max(self._now() - back, 0), self.scoring.now
        validator = self.model.row_at(1, epoch, row)[0]
        secret = [
            self.secrets[epoch, number][0]
            for number, who in enumerate(VALIDATORS)
            if key_of(who) == validator
        ]
        shown = (secret[0] if secret and not forged else Row({0: 1, 1: 1}, MODELS)).shown(0)
        both(
            lambda: self.model.show(1, epoch, row, 0, shown, now) and None,
            lambda: self.contract("show", 1, epoch, row, 0, *map(list, shown), by=ASKER.address),
        )

    @rule(back=st.integers(0, 3), row=SOMEBODY)
    def convict(self, back: int, row: int) -> None:
        epoch, now = max(self._now() - back, 0), self.scoring.now

        def convicted() -> int:
            self.contract("convict", 1, epoch, row, 0, by=ASKER.address)
            return int(self.contract.events("DataWithheld")[0].arguments["slashed"])

        both(lambda: self.model.convict(1, epoch, row, 0, now)[2], convicted)

    @rule(who=SOMEBODY, amount=st.integers(1, 100))
    def stake_more(self, who: int, amount: int) -> None:
        validator = VALIDATORS[who].address
        self.scoring.bond("stake", validator, amount * TSR, by=validator)

    @rule(quarters=st.sampled_from([1, 1, 1, 2, 5]))
    def wait(self, quarters: int) -> None:
        self.scoring.world.wait(quarters * QUARTER)

    def _money(self, who: Person, name: str, *arguments: Any) -> int:
        before = self.scoring.held(who)
        self.contract(name, *arguments, by=who.address)
        return before - self.scoring.held(who)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        owed = self.contract("obligations")
        assert owed == self.model.obligations == self.scoring.held(self.contract)
        assert owed % DATA_FEE == 0

    @invariant()
    def settled_once(self) -> None:
        """Each validator has one row in an epoch at most, and it is what it had committed to."""
        epoch = self._now()
        for each in (epoch, max(epoch - 1, 0)):
            said = self.contract("epoch_of", 1, each)
            assert said == self.model.epoch_of(1, each)
            found = []
            for number in range(said[0]):
                validator, root, *rest = self.contract("row_at", 1, each, number)
                twin = self.model.row_at(1, each, number)
                assert (key_of(validator), root, *rest) == twin
                found.append(validator)
                who = [person.address for person in VALIDATORS].index(validator)
                assert self.secrets[each, who][0].root == root
            assert len(set(found)) == len(found)

    @invariant()
    def an_epoch_always_completes(self) -> None:
        """Once the time has come its inputs are there, whatever anybody did, and stay so."""
        for epoch in range(max(self._now() - 3, 0), self._now() + 1):
            said = self.contract("epoch_of", 1, epoch)
            if said[3] <= self.scoring.now:
                assert self.closed.setdefault(epoch, said) == said
                rows = [self.contract("row_at", 1, epoch, number) for number in range(said[0])]
                assert sum(stake for *_, stake in rows) == said[1]


TestScorePromises = ScorePromises.TestCase
TestScorePromises.settings = times(1)
