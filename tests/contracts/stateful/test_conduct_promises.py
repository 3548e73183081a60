"""An operator who settles or does not, and accusers of both, beside the twin.

Every step is done on the contracts and on `ConductModel` over `BondModel`; what one refuses the
other refuses with the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.bonding import DELAY, MAX_FREEZE, TIMES
from rig.conduct import BONDED, DEPOSIT, RULES, WINDOW, Court, Receipt, open_court
from rig.contract import NOBODY
from rig.drawing import mostly
from rig.effort import times
from rig.market import DEPOSIT as IN_CHANNEL
from rig.people import Person, key_of, person
from rig.system import WITHDRAW_DELAY
from rig.twins import both

from tessera.spec.bond import BondModel
from tessera.spec.conduct import ConductModel
from tessera.spec.signatures import keccak

ACCUSERS = [person("challenger"), person("another challenger")]
ATTACKER = person("attacker")


@dataclass(frozen=True)
class Conviction:
    """What the ledger remembers of a slash."""

    case: bytes
    accused_at: int
    at: int
    taken: int


class ConductPromises(RuleBasedStateMachine):
    """Promises: solvent, slash_bounded, settled_once, can_always_claim."""

    @initialize()
    def open(self) -> None:
        self.court: Court = open_court()
        self.world, self.market = self.court.world, self.court.market
        self.bond, self.conduct = self.court.bonding.bond, self.court.conduct
        self.operator = self.court.operator
        self.settled = self.deposits = self.paid_back = 0
        model = BondModel(TIMES)
        model.enlist(key_of(self.operator), key_of(self.conduct), self.world.now)
        model.stake(key_of(self.operator), key_of(self.operator), BONDED, self.world.now)
        self.model = ConductModel(model, key_of(self.conduct), RULES)
        self.accused_at: dict[bytes, int] = {}
        self.cases: list[tuple[bytes, Receipt]] = []
        self.convictions: list[Conviction] = []
        for who in ACCUSERS:
            self.court.accuser(who.role)

    @rule(charged=st.integers(1, 10), who=st.sampled_from(ACCUSERS), signer=st.booleans(),
          channel=mostly([True], False), together=st.booleans())  # fmt: skip
    def accuse(
        self, charged: int, who: Person, signer: bool, channel: bool, together: bool
    ) -> None:
        receipt = self.court.receipt(charged, channel=None if channel else 7)
        good = signer or together
        if self.court.bonding.held(who) < DEPOSIT:
            return

        def shown() -> bytes:
            if together:
                receipts = [self.court.receipt(20), receipt]
                return self.court.accuse_in_batch(receipts, by=who)
            by = self.operator if signer else ATTACKER
            return self.court.accuse(receipt, by=who, signer=by)

        case = self._do(
            lambda: self.model.accuse(
                key_of(who),
                self.court.line(receipt),
                charged,
                self._now,
                evidence=keccak(b"receipt"),
                signer=key_of(self.operator if good else ATTACKER),
                payer=key_of(self.market.consumer if channel else NOBODY),
                settled=self.settled if channel else 0,
            ),
            shown,
        )
        if case is not None:
            assert case not in self.accused_at
            self.accused_at[case] = self._now
            self.cases.append((case, receipt))
            self.deposits += DEPOSIT

    @rule(
        above=st.integers(1, 5),
        who=st.sampled_from(ACCUSERS),
        settled=st.sampled_from([0, 0, 0, 1, 6]),
        waits=st.sampled_from([WINDOW, WINDOW, WINDOW - 1, WINDOW + DELAY]),
        leaves=st.sampled_from([False, False, True]),
        then=st.sampled_from(["convict", "convict", "acquit"]),
    )
    def go_to_court(
        self, above: int, who: Person, settled: int, waits: int, leaves: bool, then: str
    ) -> None:
        """Accuse of a sum that is not settled, settle more or less of it, and end the case."""
        before = len(self.cases)
        self.accuse(self.settled + above, who, signer=True, channel=True, together=leaves)
        if leaves:
            self.unstake(10)
        if settled:
            self._settle(settled)
        self.world.wait(waits)
        if len(self.cases) > before:
            (self.convict if then == "convict" else self.acquit)(before)

    @precondition(lambda self: self.model.cases)
    @rule(which=st.integers(0, 5))
    def acquit(self, which: int) -> None:
        case = self._case(which)
        self._do(
            lambda: self.model.acquit(case, settled=self.settled),
            lambda: self.conduct("acquit", case),
        )

    @precondition(lambda self: self.model.cases)
    @rule(which=st.integers(0, 5))
    def convict(self, which: int) -> None:
        case = self._case(which)
        before = self.bond("slashable", self.operator.address)
        taken = self._do(
            lambda: self.model.convict(case, self._now, settled=self.settled),
            lambda: self.conduct("convict", case),
        )
        if taken is not None:
            assert taken <= before * RULES.slash_bps // 10_000
            self.convictions.append(Conviction(case, self.accused_at[case], self._now, taken))

    @precondition(lambda self: sum(self.model.credit.values()))
    @rule(who=st.sampled_from([*ACCUSERS, person("operator")]))
    def withdraw_credit(self, who: Person) -> None:
        amount = self._do(
            lambda: self.model.withdraw_credit(key_of(who)),
            lambda: self.conduct("withdraw_credit", by=who.address),
        )
        self.paid_back += amount

    def _settle(self, more: int) -> None:
        charged = self.settled + more
        if self.market.left() >= more:
            self.court.settle(charged)
            self.settled = charged

    @rule()
    def payer_leaves(self) -> None:
        where = (self.operator.address, self.market.channel)
        if self.market.channels("channel_of", *where)[4] == 0:
            self.market.channels("request_withdrawal", *where, by=self.market.consumer.address)
        elif self.market.channels("channel_of", *where)[4] <= self._now:
            self.market.channels("withdraw", *where)

    @precondition(lambda self: len(self.cases) > 3)
    @rule(part=st.integers(1, 10))
    def unstake(self, part: int) -> None:
        who = key_of(self.operator)
        shares = self.model.bond.pools[who].shares[who] * part // 10
        self._do(
            lambda: self.model.bond.unstake(who, who, shares, self._now),
            lambda: self.bond("unstake", self.operator.address, shares, by=self.operator.address),
        )

    @precondition(lambda self: self.model.bond.pools[key_of(self.operator)].parts)
    @rule()
    def withdraw(self) -> None:
        who = key_of(self.operator)
        self._do(
            lambda: self.model.bond.withdraw(who, who, self._now),
            lambda: self.bond("withdraw", self.operator.address, by=self.operator.address),
        )

    @precondition(lambda self: len(self.cases) > 1)
    @rule()
    def leave_conduct(self) -> None:
        self._do(
            lambda: self.model.bond.leave(key_of(self.operator), key_of(self.conduct), self._now),
            lambda: self.bond("leave", self.conduct, by=self.operator.address),
        )

    @rule(seconds=st.sampled_from([1, WITHDRAW_DELAY, WINDOW - 1, WINDOW, MAX_FREEZE, DELAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Both -----------------------------------------------------------------------------------

    @property
    def _now(self) -> int:
        return self.world.now

    def _case(self, which: int) -> bytes:
        return self.cases[which % len(self.cases)][0] if self.cases else bytes(32)

    def _do(self, model: Callable[[], Any], contract: Callable[[], Any]) -> Any:
        """Ask both; None where they refused, else what they answered (0 for nothing)."""
        answers: list[Any] = []

        def asked() -> Any:
            answers.append(contract())
            return answers[-1]

        both(model, asked)
        return (answers[0] or 0) if answers else None

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        owed = self.conduct("obligations")
        assert owed == self.model.obligations == self.deposits - self.paid_back
        assert self.court.bonding.held(self.conduct) == owed
        for who in [*ACCUSERS, self.operator]:
            assert self.conduct("credit_of", who.address) == self.model.credit.get(key_of(who), 0)

    @invariant()
    def slash_bounded(self) -> None:
        """One part for one line, after the whole window, and only what was not settled."""
        assert sum(each.taken != 0 for each in self.convictions) <= 1
        for each in self.convictions:
            assert each.at >= each.accused_at + WINDOW
            assert each.taken <= BONDED * RULES.slash_bps // 10_000
        operator = key_of(self.operator)
        assert (
            self.bond("slashable", self.operator.address)
            == self.model.bond.pools[operator].slashable()
        )
        held_up = self.model.bond.pools[operator].held_up_until(self._now)
        assert self.bond("frozen_until", self.operator.address) == held_up

    @invariant()
    def settled_once(self) -> None:
        """A receipt is a case once, and no case is both acquitted and convicted."""
        names = [case for case, _ in self.cases]
        assert len(set(names)) == len(names)
        for case, receipt in self.cases:
            row = self.conduct("accusation_of", case)
            assert (row[7] != 0) == (case in self.model.cases)
            arguments = (self.operator.address, receipt["channel"], receipt["asset"], 1)
            assert self.conduct("case_of", *arguments, receipt["charged"]) == case
            convicted = self.court.line(receipt) in self.model.convicted
            assert self.conduct("was_convicted", *arguments) == convicted

    @invariant()
    def can_always_claim(self) -> None:
        """Every case ends, whoever has gone, and every deposit comes back to somebody."""
        assert self.settled <= IN_CHANNEL
        with self.world.engine.trial():
            self.world.wait(DELAY + MAX_FREEZE)
            for case, accusation in list(self.model.cases.items()):
                ends = "acquit" if self.settled >= accusation.charged else "convict"
                self.conduct(ends, case)
            for who in [*ACCUSERS, self.operator]:
                self.conduct("withdraw_credit", by=who.address)
            assert self.conduct("obligations") == 0
            if self.bond("exit_of", self.operator.address, self.operator.address)[1]:
                self.bond("withdraw", self.operator.address, by=self.operator.address)


TestConductPromises = ConductPromises.TestCase
# A court is dear to open, and there is little in it that one could do.
TestConductPromises.settings = times(0.4, steps=1)
