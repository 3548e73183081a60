"""Rounds under random validators, truths, accusations and sales, beside their twin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from eth_utils import keccak
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.approving import (
    BUDGET,
    HOUR,
    ITEMS,
    LEAST_BOND,
    PRIOR,
    TAU,
    Approving,
    answers,
    stage,
)
from rig.bonding import TSR
from rig.compiling import compiled
from rig.contract import Contract, refused
from rig.drawing import mostly
from rig.effort import times
from rig.people import Person, key_of, person
from rig.system import DAY, ONE_SHARE

from tessera.errors import TransactionReverted
from tessera.spec.approvals import ApprovalsModel, RoundModel, State
from tessera.spec.approved_sale import early_limit

CHALLENGER, BUYER, KEEPER = person("challenger"), person("buyer"), person("keeper")
PRICE = 10**6
SEATS = st.integers(0, 4)
BONDS = st.sampled_from([LEAST_BOND, 2 * LEAST_BOND, 5 * LEAST_BOND, 20 * LEAST_BOND])
SCORES = st.sampled_from([500_000, 750_000, 800_000, 850_000, 1_000_000])


class ApprovalPromises(RuleBasedStateMachine):
    """Promises: solvent, slash_bounded, bond_covers_open, settled_once, escrow_until_final."""

    def __init__(self) -> None:
        super().__init__()
        self.scope: Any = None

    @initialize(bonds=st.lists(BONDS, min_size=5, max_size=5))
    def begin(self, bonds: list[int]) -> None:
        self.scope = stage("fresh")
        self.it: Approving = self.scope.__enter__()
        it = self.it
        it.world.wait(1)
        issuer, world = it.issuer, it.world
        self.share = world.tokenize(it.asset, issuer, supply=1_000 * ONE_SHARE)
        it.start(bonds, cap=10**9)
        self.model = ApprovalsModel(HOUR, LEAST_BOND)
        test_set, begun = it.test_set, it.row_of_set("begun")
        pledge, until = it.row_of_set("pledge"), it.row_of_set("until")
        self.model.commit_set(test_set, key_of(it.committer), ITEMS, pledge, until)
        terms = (TAU, PRIOR, BUDGET, it.row_of_round("cap"))
        model = RoundModel(test_set, it.row_of_round("model"), key_of(issuer), *terms)
        self.model.open_round(it.round, model, until - 1)
        self.model.draw(test_set, until)
        self.model.begin(test_set, begun, seeded=True)
        self.other_pledge = it.approvals("obligations") - self.model.obligations
        self.bonds = {who: it.bonded(who) for who in it.validators}
        self.said: dict[Person, tuple[bool, int]] = {}
        self.cases: dict[int, Person] = {}
        self.punished: Counter[tuple[str, int]] = Counter()
        self.lost: Counter[str] = Counter()
        self.rewarded = self.bought = self.early = self.paid_back = 0
        self.share("approve", it.sale, 2**256 - 1, by=issuer.address)
        now = world.now
        sold = (
            it.sale.address, PRICE, 900 * ONE_SHARE, 0, 900 * ONE_SHARE, now, now + 90 * DAY,
            bytes(32), (0, 0, 0),
        )  # fmt: skip
        address = it.sale("open", it.round, sold, by=issuer.address)
        self.offering = Contract(world.engine, compiled("Offering"), address)
        world.fund(BUYER, 10**10, spender=self.offering)
        self.share("approve", it.sale, 2**256 - 1, by=BUYER.address)
        it.fund(CHALLENGER, 10_000 * TSR)

    def teardown(self) -> None:
        if self.scope is not None:
            self.scope.__exit__(None, None, None)

    @property
    def round(self) -> RoundModel:
        return self.model.rounds[self.it.round]

    def _both(self, model: Callable[[], Any], contract: Callable[[], Any]) -> bool:
        try:
            model()
        except TransactionReverted as error:
            with refused(error.reason):
                contract()
            return False
        contract()
        return True

    # --- The round ------------------------------------------------------------------------------

    @rule(seat=SEATS, approve=mostly([True], False), score=SCORES)
    def commit(self, seat: int, approve: bool, score: int) -> None:
        it, who = self.it, self.it.validators[seat]
        commitment = it.commitment(who, approve, score, keccak(text="report"))
        # Nobody delegates here.
        bond, now = it.bonded(who), it.world.now
        bears = 50 * it.price("value_of", bond)
        done = self._both(
            lambda: self.model.commit(
                it.round, key_of(who), commitment, bond, now, own=bond, bears=bears
            ),
            lambda: it.approvals("commit", it.round, commitment, by=who.address),
        )
        if done:
            self.said[who] = (approve, score)
            self.bonds[who] = bond

    @rule()
    def everybody_commits(self) -> None:
        for seat in range(5):
            self.commit(seat, True, 850_000)

    @rule(seat=SEATS, changed=mostly([False], True))
    def reveal(self, seat: int, changed: bool) -> None:
        it, who = self.it, self.it.validators[seat]
        approve, score = self.said.get(who, (True, 850_000))
        opinion = (approve, score - 1 if changed else score)
        root, now = keccak(text="report"), it.world.now
        commitment = it.commitment(who, *opinion, root)
        shown = (it.round, *opinion, root, keccak(text="salt"), "")
        self._both(
            lambda: self.model.reveal(it.round, key_of(who), opinion, commitment, now),
            lambda: it.approvals("reveal", *shown, by=who.address),
        )

    @rule()
    def everybody_reveals(self) -> None:
        begun = self.it.row_of_set("begun")
        if self.it.world.now < begun + 6 * HOUR:
            self.it.world.engine.now = begun + 6 * HOUR
        for seat in range(5):
            self.reveal(seat, False)

    @rule()
    def close(self) -> None:
        it = self.it
        try:
            found = self.model.close(it.round, it.world.now)
        except TransactionReverted as error:
            with refused(error.reason):
                it.approvals("close", it.round, 0, 0)
            return
        it.approvals("close", it.round, found.most, found.score)
        told = [it.row_of_round(name) for name in ("listed", "weight", "in_favour", "approving")]
        assert told == [found.listed, found.weight, found.in_favour, found.approving]

    @rule()
    def reveal_truth(self) -> None:
        it, who = self.it, key_of(self.it.committer)
        done = self._both(
            lambda: self.model.reveal_truth(it.test_set, who, it.world.now),
            lambda: it.approvals("reveal_truth", it.test_set, "", by=it.committer.address),
        )
        if done:
            it.seed(it.row_of_set("check_draw"))

    def _can_count(self) -> bool:
        told = self.model.sets[self.it.test_set].truth_at
        free = self.round.counted is None and self.round.state < State.GOOD
        return bool(told) and free and self.it.world.now < told + 48 * HOUR

    @precondition(lambda self: self._can_count())
    @rule()
    def count_in_vain(self) -> None:
        """Three are drawn and say nothing; others are called, and the approvers' stake waits."""
        it = self.it
        if it.court("executors_of", it.round, 0, 0) != "0x" + "00" * 20:
            return
        it.seat_executors()
        it.hours(72)
        it.court("call_others", it.round, by=KEEPER.address)
        self.model.void_count(it.round, it.world.now)
        assert it.row_of_round("attempts") == self.round.attempts == 1
        assert it.row_of_round("deadline") == self.round.deadline

    @precondition(lambda self: self._can_count())
    @rule(correct=st.sampled_from([60, 64, 65, 90]))
    def count(self, correct: int) -> None:
        it = self.it
        if it.court("executors_of", it.round, 0, 0) != "0x" + "00" * 20:
            return
        one, two, _ = it.count(answers(correct))
        self.model.set_count(it.round, correct, (key_of(one), key_of(two)), it.world.now)

    @rule()
    def finish(self) -> None:
        it = self.it
        self._both(
            lambda: self.model.finish(it.round, it.world.now),
            lambda: it.approvals("finish", it.round),
        )
        assert it.row_of_round("state") == self.round.state

    @rule()
    def fail_set(self) -> None:
        it = self.it
        self._both(
            lambda: self.model.fail_set(it.test_set, it.world.now),
            lambda: it.approvals("fail_set", it.test_set, KEEPER.address, by=KEEPER.address),
        )

    @rule(hours=st.sampled_from([1, 2, 6, 24, 72, 168]))
    def wait(self, hours: int) -> None:
        self.it.hours(hours)

    # --- Penalties ------------------------------------------------------------------------------

    @contextmanager
    def _watching(self, who: Person) -> Iterator[None]:
        before = self.it.bonding.bond("slashable", who.address)
        yield
        self.lost[who.address] += before - self.it.bonding.bond("slashable", who.address)

    @rule(seat=SEATS, kind=st.sampled_from([0, 2]))
    def punish(self, seat: int, kind: int) -> None:
        it, who = self.it, self.it.validators[seat]
        key, now = key_of(who), it.world.now
        models = {
            0: lambda: self.model.punish_silence(it.round, key, now),
            2: lambda: self.model.punish_approval(it.round, key),
        }
        name = "punish_silence" if kind == 0 else "punish_approval"
        with self._watching(who):
            done = self._both(
                models[kind], lambda: it.approvals(name, it.round, who.address, by=KEEPER.address)
            )
        self.punished[who.address, kind] += done

    @precondition(lambda self: any(o.approves is not None for o in self.round.opinions.values()))
    @rule(seat=SEATS)
    def accuse(self, seat: int) -> None:
        """Reports here are a word without a tree, so that nobody can show an output."""
        it, who = self.it, self.it.validators[seat]
        opinion = self.round.opinions.get(key_of(who))
        if opinion is None or opinion.approves is None:
            return
        row = self.model.sets[it.test_set]
        if it.world.now >= (row.truth_at or row.begun + 80 * HOUR) + 168 * HOUR:
            return
        arguments = (it.round, who.address, 3, keccak(text="another"))
        case = it.court("accuse", *arguments, by=CHALLENGER.address)
        self.cases[case] = who

    @precondition(lambda self: self.cases)
    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        it = self.it
        case = data.draw(st.sampled_from(sorted(self.cases)))
        who = self.cases[case]
        if it.world.now < it.court("case_of", case)[13]:
            with refused("court: not over yet"):
                it.court("resolve", case)
            return
        before = self.model.taken[self.round.model, key_of(who)]
        with self._watching(who):
            it.court("resolve", case)
        self.model.convict(it.round, key_of(who))
        after = self.model.taken[self.round.model, key_of(who)]
        self.punished[who.address, 1] += after > before
        del self.cases[case]

    # --- Rewards, bonds, and a sale -------------------------------------------------------------

    @rule(seat=SEATS)
    def grade(self, seat: int) -> None:
        it, who = self.it, self.it.validators[seat]
        accused = who in self.cases.values()
        self._both(
            lambda: self.model.grade(it.round, key_of(who), it.world.now, accused=accused),
            lambda: it.approvals("grade", it.round, who.address),
        )

    @rule(seat=SEATS)
    def reward(self, seat: int) -> None:
        it, who = self.it, self.it.validators[seat]
        try:
            expected = self.model.reward(it.round, key_of(who), it.world.now)
        except TransactionReverted as error:
            with refused(error.reason):
                it.approvals("reward", it.round, who.address)
            return
        if it.bonding.bond("can_reward", who.address):
            assert it.approvals("reward", it.round, who.address) == expected
            self.rewarded += expected
        else:
            self.round.budget += expected
            self.model.obligations += expected
            assert it.approvals("reward", it.round, who.address) == 0

    @rule(seat=SEATS)
    def leave(self, seat: int) -> None:
        it, who = self.it, self.it.validators[seat]
        if it.bonding.bond("stake_of", who.address, who.address)[0]:
            it.bonding.leave_all(who, who)

    @rule(seat=SEATS)
    def withdraw(self, seat: int) -> None:
        it, who = self.it, self.it.validators[seat]
        ready = it.bonding.bond("exit_of", who.address, who.address)[1]
        frozen = it.bonding.bond("frozen_until", who.address)
        if ready and it.world.now >= max(ready, frozen):
            it.bonding.bond("withdraw", who.address, by=who.address)

    @rule(shares=st.integers(1, 200))
    def buy(self, shares: int) -> None:
        wanted = shares * ONE_SHARE
        if self.it.world.now < self.offering("terms")[7] and self.offering("unsold") >= wanted:
            self.bought += self.offering("buy", wanted, BUYER.address, by=BUYER.address)[1]

    @rule(price=st.sampled_from([0, 10**3, 10**6]))
    def release(self, price: int) -> None:
        it, listed = self.it, self.round.decision is not None and self.round.decision.listed
        it.price("set_price", price)
        state = self.round.state
        if not listed or state not in (State.CLOSED, State.GOOD):
            with refused("approved_sale: not approved"):
                it.sale("release", self.offering.address, by=it.issuer.address)
        else:
            paid = it.sale("release", self.offering.address, by=it.issuer.address)
            if state is State.CLOSED:
                worth = it.price("value_of", it.row_of_round("approving"))
                assert paid <= early_limit(worth, self.early)
            self.early += paid
        it.price("set_price", 10**6)

    @precondition(lambda self: self.bought)
    @rule(part=st.integers(1, 100))
    def refund(self, part: int) -> None:
        it, state = self.it, self.round.state
        listed = self.round.decision is not None and self.round.decision.listed
        amount = self.share("balanceOf", BUYER.address) * part // 100
        if state < State.GOOD or (state is State.GOOD and listed):
            with refused("approved_sale: nothing to refund"):
                it.sale("refund", self.offering.address, amount, by=BUYER.address)
        elif amount:
            self.paid_back += it.sale("refund", self.offering.address, amount, by=BUYER.address)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        if self.scope is None:
            return
        it = self.it
        owed = it.approvals("obligations")
        assert owed == self.model.obligations + self.other_pledge
        assert it.held(it.approvals) >= owed
        assert it.court("obligations") == sum(it.court("case_of", case)[5] for case in self.cases)
        assert it.held(it.court) >= it.court("obligations")
        assert it.held(it.draws) == 0
        assert it.world.held(it.sale) >= it.sale("obligations")

    @invariant()
    def slash_bounded(self) -> None:
        """Nobody loses more than its bond, and nobody without evidence."""
        if self.scope is None:
            return
        for who in self.it.validators:
            key = key_of(who)
            taken = self.it.approvals("taken", self.round.model, who.address)
            assert taken == self.model.taken[self.round.model, key]
            opinion = self.round.opinions.get(key)
            assert taken <= (opinion.bond if opinion else 0)
            assert self.lost[who.address] <= taken
            if taken:
                assert opinion is not None
                bad = self.round.state is State.BAD and opinion.approves
                assert key in self.round.convicted or opinion.approves is None or bad

    @invariant()
    def bond_covers_open(self) -> None:
        """While a round is open, what was bonded behind it is here, or was taken for it."""
        if self.scope is None or self.round.state >= State.GOOD:
            return
        for who in self.it.validators:
            opinion = self.round.opinions.get(key_of(who))
            here = self.it.bonding.bond("slashable", who.address)
            over = self.it.world.now >= self.it.row_of_set("begun") + 320 * HOUR
            if opinion is not None and not over:
                assert here + self.lost[who.address] >= opinion.bond
        row = self.model.sets[self.it.test_set]
        assert row.failed or row.pledge >= row.covered == self.it.row_of_set("covered")

    @invariant()
    def settled_once(self) -> None:
        if self.scope is None:
            return
        assert all(number <= 1 for number in self.punished.values())
        assert self.rewarded <= BUDGET

    @invariant()
    def escrow_until_final(self) -> None:
        """What buyers paid is in the sale, in the escrow, or left as it may."""
        if self.scope is None:
            return
        it = self.it
        inside = it.world.held(it.sale) + self.offering("proceeds")
        assert inside == self.bought - self.early - self.paid_back
        if not it.approvals("is_final", it.asset, 1):
            assert self.early <= it.row_of_round("approving") * 10**6 // 10**18 // 5


TestApprovalPromises = ApprovalPromises.TestCase
TestApprovalPromises.settings = times(0.5)
