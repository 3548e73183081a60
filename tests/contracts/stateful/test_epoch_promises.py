"""Epochs under random posters, liars, challengers and questions, beside its twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.contract import refused
from rig.effort import times
from rig.epochs import SUBNET, EpochWorld, Told
from rig.false_epochs import RULES, WEIGHT, one_false
from rig.people import Person, key_of, person

from tessera.errors import TransactionReverted
from tessera.spec.epochs import EpochsModel, Former, PostedEpoch, Rules, find_fault
from tessera.spec.epochs.faults import COLUMNS, ROWS, STAKES
from tessera.spec.epochs.model import Seen

POSTERS = [person("poster"), person("attacker")]
CHALLENGERS = [person("challenger"), person("keeper")]
EVERYBODY = [*POSTERS, *CHALLENGERS]
PARTS = [STAKES, COLUMNS, COLUMNS + 1, COLUMNS + 7, ROWS, ROWS + 1]
MODELS = 2


class EpochPromises(RuleBasedStateMachine):
    """Promises: solvent, settled_once, never_early, can_always_claim."""

    @initialize(rules=RULES)
    def begin(self, rules: Rules) -> None:
        self.place = place = EpochWorld()
        self.rules = rules
        self.model = EpochsModel(place.terms, key_of(place.world.commons))
        self.first: Told | None = None
        self.told: Told | None = None
        self.former: Former | None = None
        self.live: PostedEpoch | None = None
        # What each epoch ended as, and when a result of it was posted first.
        self.ended: dict[int, int] = {}
        self.posted_at: dict[int, int] = {}
        self.came = self.left = 0
        for who in EVERYBODY:
            place.fund(who)
        self.number = 0

    @property
    def epochs(self) -> Any:
        return self.place.epochs

    def _both(self, model: Callable[[], Any], contract: Callable[[], Any]) -> bool:
        """Do it on both sides; whether it was done."""
        try:
            model()
        except TransactionReverted as error:
            with refused(error.reason):
                contract()
            return False
        contract()
        return True

    @property
    def seen(self) -> Seen:
        """What Scores says of the next epoch."""
        return self.told.seen if self.told else Seen(0, 0, 0, bytes(32), self.rules.word)

    # --- Inputs ---------------------------------------------------------------------------------

    @precondition(lambda self: self.told is None)
    @rule(
        weights=st.lists(st.lists(WEIGHT, min_size=MODELS, max_size=MODELS), max_size=3),
        later=st.sampled_from([0, 0, 3_600]),
    )
    def reveal(self, weights: list[list[int]], later: int) -> None:
        closes = self.place.now + later
        if not weights:
            self.place.scores("set_epoch", SUBNET, self.number, (0, 0, MODELS, closes, bytes(32)))
            return
        inputs = self.place.inputs(weights, epoch=self.number, rules=self.rules, former=self.former)
        self.told = self.place.tell(self.number, inputs, closes_at=closes)

    # --- Results --------------------------------------------------------------------------------

    @precondition(lambda self: self.told is not None)
    @rule(data=st.data(), who=st.sampled_from(POSTERS), false=st.booleans())
    def post(self, data: st.DataObject, who: Person, false: bool) -> None:
        told = self.told
        assert told is not None
        posted = one_false(data.draw, told.posted) if false else told.posted
        if self._both(
            lambda: self.model.post(
                SUBNET, told.epoch, posted.header, told.seen, key_of(who), self.place.now
            ),
            lambda: self.place.post(told, posted, by=who),
        ):
            self.live = posted
            self.posted_at[told.epoch] = self.place.now
            self.came += self.place.terms.bond

    @precondition(lambda self: self.live is not None)
    @rule(who=st.sampled_from(CHALLENGERS))
    def check(self, who: Person) -> None:
        """A keeper looks; it finds a fault exactly where there is one."""
        told, live = self.told, self.live
        assert told is not None
        assert live is not None
        challenge = find_fault(live, told.inputs)
        assert (challenge is None) == (live.header == told.posted.header)
        if challenge is not None:
            assert challenge.function != "ask"
            self.model.convict(SUBNET, told.epoch, key_of(who), self.place.now)
            self.place.send(told, live.header, challenge, by=who)
            self.live = None

    @rule()
    def finalize(self) -> None:
        live = self.live
        if self._both(
            lambda: self.model.finalize(SUBNET, self.number, self.place.now),
            lambda: self.epochs("finalize", SUBNET, self.number),
        ):
            told = self.told
            assert told is not None
            assert live is not None
            self._end(1)
            self.former = None
            validators = tuple(row.validator for row in told.inputs.rows)
            self.former = Former(told.epoch, live, validators, (True,) * MODELS)

    @rule()
    def skip(self) -> None:
        seen = self.seen
        if self.told is None:
            # Nothing was said of it: no rows, and its time is the beginning of all time.
            rows, _, columns, closes, digest = self.place.scores("epoch_of", SUBNET, self.number)
            seen = Seen(rows, columns, closes, digest, self.rules.word)
        if self._both(
            lambda: self.model.skip(SUBNET, self.number, seen, self.place.now),
            lambda: self.epochs("skip", SUBNET, self.number),
        ):
            if seen.rows:
                self.former = None
            self._end(2)

    def _end(self, how: int) -> None:
        assert self.number not in self.ended
        self.ended[self.number] = how
        self.number += 1
        self.told = self.live = None

    # --- Questions ------------------------------------------------------------------------------

    @rule(part=st.sampled_from(PARTS), who=st.sampled_from(CHALLENGERS))
    def ask(self, part: int, who: Person) -> None:
        if self._both(
            lambda: self.model.ask(
                SUBNET, self.number, part, self.seen, key_of(who), self.place.now
            ),
            lambda: self.epochs("ask", SUBNET, self.number, part, by=who.address),
        ):
            self.came += self.place.terms.fee

    @precondition(lambda self: self.live is not None)
    @rule(part=st.sampled_from(PARTS), who=st.sampled_from(EVERYBODY))
    def show(self, part: int, who: Person) -> None:
        told, live = self.told, self.live
        assert told is not None
        assert live is not None
        true = live.header == told.posted.header
        uid, row = part - COLUMNS, part - ROWS
        # Of a part that does not exist there is nothing to show.
        if not true or MODELS <= uid < ROWS - COLUMNS or row >= len(told.inputs.rows):
            return
        name, arguments = {
            True: ("show_row", live.validator_proof(row) if row >= 0 else ()),
            False: ("show_column", (uid, live.column_call(uid))),
        }[row >= 0]
        if part == STAKES:
            name, arguments = "show_stakes", (list(live.stakes or ()),)
        self._both(
            lambda: self.model.answered(SUBNET, told.epoch, part, key_of(who), self.place.now),
            lambda: self.place.judge(told.epoch, live.header, name, *arguments, by=who),
        )

    @rule(part=st.sampled_from(PARTS), who=st.sampled_from(EVERYBODY))
    def accuse(self, part: int, who: Person) -> None:
        if self._both(
            lambda: self.model.accuse(SUBNET, self.number, part, self.place.now),
            lambda: self.epochs("accuse", SUBNET, self.number, part, by=who.address),
        ):
            self.live = None

    @rule(part=st.sampled_from(PARTS), attempt=st.integers(0, 1), back=st.integers(0, 1))
    def take_back(self, part: int, attempt: int, back: int) -> None:
        epoch = max(0, self.number - back)
        self._both(
            lambda: self.model.take_back(SUBNET, epoch, attempt, part),
            lambda: self.epochs("take_back", SUBNET, epoch, attempt, part),
        )

    # --- Money and time -------------------------------------------------------------------------

    @rule(who=st.sampled_from(EVERYBODY))
    def collect(self, who: Person) -> None:
        before = self.place.held(who)
        amount = self.model.collect(key_of(who))
        assert self.epochs("collect", who.address) == amount
        assert self.place.held(who) == before + amount
        self.left += amount

    @rule(seconds=st.sampled_from([1, 3_600, 3_601, 12 * 3_600, 24 * 3_600]))
    def wait(self, seconds: int) -> None:
        self.place.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        held = self.place.held(self.epochs)
        assert held == self.epochs("obligations") == self.model.obligations
        assert held == self.came - self.left

    @invariant()
    def settled_once(self) -> None:
        for epoch, how in self.ended.items():
            assert self.epochs("settled", SUBNET, epoch) == how == self.model.settled(SUBNET, epoch)
        assert self.epochs("settled", SUBNET, self.number) == 0
        finals = [epoch for epoch, how in self.ended.items() if how == 1]
        assert self.epochs("last_final", SUBNET) == (max(finals) + 1 if finals else 0)
        assert self.epochs("final_at", SUBNET) == self.model.subnets[SUBNET].final_at

    @invariant()
    def never_early(self) -> None:
        for epoch, how in self.ended.items():
            if how == 1:
                waited = self.place.now - self.posted_at[epoch]
                assert waited >= self.place.terms.challenge_window

    @invariant()
    def can_always_claim(self) -> None:
        """Everybody gets what it is owed, and the next epoch can complete whoever is offline."""
        place, terms = self.place, self.place.terms
        with place.engine.trial():
            for who in (*EVERYBODY, place.world.commons):
                owed = self.model.owed_of[key_of(who)]
                before = place.held(who)
                self.epochs("collect", who.address)
                assert place.held(who) == before + owed
            place.wait(terms.challenge_window + terms.answer_window + terms.post_window + 1)
            if self.live is not None:
                _, _, _, _, questions = self.epochs("post_of", SUBNET, self.number)
                if questions:
                    late = [
                        p for p in PARTS if self.epochs("question_of", SUBNET, self.number, p)[1]
                    ]
                    self.epochs("accuse", SUBNET, self.number, late[0])
                    place.wait(terms.post_window)
                    self.epochs("skip", SUBNET, self.number)
                else:
                    self.epochs("finalize", SUBNET, self.number)
            else:
                self.epochs("skip", SUBNET, self.number)
            assert self.epochs("settled", SUBNET, self.number) != 0


TestEpochPromises = EpochPromises.TestCase
TestEpochPromises.settings = times(0.5)
