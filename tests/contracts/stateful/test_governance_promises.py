"""Holders who lock, vote, leave and are paid, beside the twin and a ledger of plain sums.

Every step is done on the contract and on `GovernanceModel`; what one refuses the other refuses with
the same words. What governance may never do is checked on the Registry after each step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.contract import Contract, refused
from rig.currencies import CURRENCIES, LARGEST
from rig.effort import times
from rig.governing import (
    CLOSING,
    DISCOUNT,
    ENDPOINT,
    EXIT_DELAY,
    LICENCE,
    MIN_LOCK,
    PARENT,
    PAYMENT,
    PRODUCT,
    RELEASE,
    SALE,
    SUPPLY,
    TIMELOCK,
    VOTING_TIME,
    WINDOW,
    Council,
    action,
    open_council,
)
from rig.people import Person, person
from rig.shop import ProductTerms
from rig.system import GOVERNANCE, ONE_SHARE, deploy_world

from tessera.errors import TransactionReverted
from tessera.spec.governance import Answer, GovernanceModel, Rules, State
from tessera.spec.signatures import Address

KEEPER = person("keeper")
HOLDERS = [person(f"holder {number}") for number in range(3)]
FLOOR_BPS = 3_000
BPS = 10_000
WHOLE = [name for name in CURRENCIES if name != "fee in transit"]
OPEN = {State.VOTING, State.WAITING, State.READY}


@dataclass
class Put:
    """A proposal as its proposer spelled it."""

    number: int
    what: tuple[Any, ...]


class GovernancePromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, can_always_claim, never_early, holders_floor, terms_at_call."""

    @initialize(currency=st.sampled_from(sorted(WHOLE)))
    def convene(self, currency: str) -> None:
        chosen = CURRENCIES[currency]
        world = deploy_world(
            currency=chosen.compiled(), currency_arguments=chosen.arguments, governed=True
        )
        self.council: Council = open_council(world, floor_bps=FLOOR_BPS, locked=False)
        self.world, self.governor, self.asset = world, world.governor, self.council.asset
        self.share = self.council.share
        self.unit = LARGEST[world.currency("decimals")]
        self.model = GovernanceModel(Rules(*GOVERNANCE), SUPPLY)
        self.pooled = 0
        self.puts: list[Put] = []
        # What holders voted for, and whether its units are sold.
        self.products: dict[Contract, bool] = {}
        self.deposited = self.spent = self.claimed = 0
        self.executed_at: dict[int, int] = {}
        # Terms rows as they were when they were first seen.
        self.rows: dict[int, tuple[object, ...]] = {}
        # The dearest that anything may be without two thirds of the supply.
        self.weights: Counter[int] = Counter()
        for who in HOLDERS:
            self.share("approve", self.governor, 2**256 - 1, by=who.address)
            self.lock(who, 60)
        self.world.wait(1)
        self.propose(HOLDERS[0], action(LICENCE, document=b"\1" * 32))

    # --- Ghosts ---------------------------------------------------------------------------------

    def _both(self, model: Callable[[], object], contract: Callable[[], object]) -> Any:
        try:
            expected = model()
        except TransactionReverted as error:
            with refused(error.reason):
                contract()
            return None
        found = contract()
        assert found == expected
        return found

    def _revenue(self) -> int:
        return int(self.share("claimable", self.governor.address))

    def _could_vote(self) -> int:
        return SUPPLY - self.pooled

    # --- Locks ----------------------------------------------------------------------------------

    @rule(who=st.sampled_from(HOLDERS), part=st.integers(0, 100))
    def lock(self, who: Person, part: int) -> None:
        amount = self.share("balanceOf", who.address) * part // 100
        revenue, now = self._revenue(), self.world.now
        self._both(
            lambda: self.model.lock(_key(who), amount, now, revenue=revenue),
            lambda: self.governor("lock", self.asset, amount, by=who.address),
        )

    @precondition(lambda self: self.model.locks)
    @rule(data=st.data(), own=st.sampled_from([True, True, True, False]))
    def unlock(self, data: st.DataObject, own: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.locks)))
        owner = next(who for who in HOLDERS if _key(who) == self.model.locks[number].owner)
        who = owner if own else data.draw(st.sampled_from([*HOLDERS, KEEPER]))
        backed = [
            each
            for each, proposal in self.model.proposals.items()
            if proposal.answers.get(number) is Answer.YES
            and self.model.state(each, self.world.now) not in OPEN
        ]
        if data.draw(st.integers(0, 4)) == 0 and self.model.proposals:
            backed.append(data.draw(st.sampled_from(sorted(self.model.proposals))))
        backed = backed[:16]
        revenue, now = self._revenue(), self.world.now
        self._both(
            lambda: self.model.unlock(_key(who), number, now, revenue=revenue, backed=backed),
            lambda: self.governor("unlock", self.asset, number, backed, by=who.address),
        )

    @precondition(lambda self: self.model.locks and self.model.proposals)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.locks)))
        some = st.lists(st.sampled_from(sorted(self.model.proposals)), max_size=3)
        backed, now = data.draw(some), self.world.now
        self._both(
            lambda: self.model.let_go(number, now, backed),
            lambda: self.governor("let_go", self.asset, number, backed, by=KEEPER.address),
        )

    @rule(who=st.sampled_from(HOLDERS), other=st.sampled_from(HOLDERS), part=st.integers(0, 100))
    def pass_shares_on(self, who: Person, other: Person, part: int) -> None:
        amount = self.share("balanceOf", who.address) * part // 100
        self.share("transfer", other.address, amount, by=who.address)

    @rule(amount=st.integers(1, ONE_SHARE))
    def send_shares_by_mistake(self, amount: int) -> None:
        held = self.share("balanceOf", HOLDERS[0].address)
        self.share("transfer", self.governor.address, min(amount, held), by=HOLDERS[0].address)

    # --- Money ----------------------------------------------------------------------------------

    @rule(part=st.integers(0, 25))
    def pay_holders(self, part: int) -> None:
        self.world.fund(self.share.address, self.unit * part // 100 + 1)
        self.share("sync")

    @rule(who=st.sampled_from([*HOLDERS, KEEPER]))
    def claim(self, who: Person) -> None:
        revenue = self._revenue()
        paid = self._both(
            lambda: self.model.claim(_key(who), revenue=revenue),
            lambda: self.governor("claim", self.asset, by=who.address),
        )
        self.claimed += paid

    @rule(part=st.integers(0, 10))
    def deposit(self, part: int) -> None:
        amount = self.unit * part // 100
        self.world.fund(KEEPER, amount, spender=self.governor)
        self._both(
            lambda: self.model.deposit(amount),
            lambda: self.governor("deposit", self.asset, amount, by=KEEPER.address),
        )
        self.deposited += amount

    # --- Proposals ------------------------------------------------------------------------------

    @rule(
        who=st.sampled_from(HOLDERS),
        what=st.one_of(
            st.builds(
                action,
                st.just(ENDPOINT),
                operator=st.just(person("operator")),
                cut_bps=st.sampled_from([0, 500, 1_000, 1_001, 2_000, 6_500, 9_999]),
                price=st.just((7, 0, 0)),
            ),
            st.builds(
                action,
                st.just(DISCOUNT),
                operator=st.just(person("operator")),
                discount_bps=st.sampled_from([0, 100, 1_000, 4_000, 4_001]),
                min_locked=st.sampled_from([1, 5, 10]),
            ),
            st.builds(
                action,
                st.just(PAYMENT),
                receiver=st.just(KEEPER),
                amount=st.sampled_from([0, 1, 1_000, 10**30]),
            ),
            st.just(action(RELEASE, root=b"\7" * 32)),
            st.just(action(CLOSING, operator=person("operator"))),
            st.builds(action, st.just(LICENCE), document=st.binary(min_size=32, max_size=32)),
            st.builds(
                lambda cap: action(
                    PRODUCT, product=ProductTerms(person("operator").address, cap=cap)
                ),
                st.sampled_from([0, 1, 1_000]),
            ),
        ),
    )
    def propose(self, who: Person, what: tuple[Any, ...]) -> None:
        grave = self._grave(what)
        now, could_vote = self.world.now, self._could_vote()
        number = self._both(
            lambda: self.model.propose(_key(who), what, now, grave=grave, could_vote=could_vote),
            lambda: self.governor("propose", self.asset, what, "title", by=who.address),
        )
        if number is not None:
            self.puts.append(Put(number, what))

    @rule(who=st.sampled_from(HOLDERS), royalty_bps=st.sampled_from([1, 700, 9_000]))
    def propose_a_parent(self, who: Person, royalty_bps: int) -> None:
        self.propose(who, action(PARENT, parent=self.council.parent, royalty_bps=royalty_bps))

    @rule(data=st.data(), who=st.sampled_from(HOLDERS), on=st.booleans())
    def propose_a_sale(self, data: st.DataObject, who: Person, on: bool) -> None:
        token = data.draw(st.sampled_from([self.share, *self.products]))
        self.propose(who, action(SALE, access=token, on=on))

    def _grave(self, what: tuple[Any, ...]) -> bool:
        kind, _, endpoint, discount = what[:4]
        if kind == ENDPOINT:
            return bool(endpoint[1] > self.world.registry("largest_cut_of", self.asset))
        if kind == DISCOUNT and discount[0]:
            bps, _, least = self.world.registry("discount_of", self.asset, endpoint[0])
            return bool(discount[0] > bps or discount[1] < least)
        return kind in (PARENT, PRODUCT) or (kind == SALE and what[8][1])

    @precondition(lambda self: self.puts and self.model.locks)
    @rule(data=st.data(), support=st.sampled_from([True, True, True, False]))
    def vote(self, data: st.DataObject, support: bool) -> None:
        put = self._newest(data)
        who = data.draw(st.sampled_from(HOLDERS))
        own = [number for number, lock in self.model.locks.items() if lock.owner == _key(who)]
        fresh = [n for n in own if n not in self.model.proposals[put.number].answers]
        some = fresh or own or [1]
        numbers = some[:16]
        if data.draw(st.integers(0, 5)) == 0:
            numbers = [*numbers[:15], data.draw(st.sampled_from(sorted(self.model.locks)))]
        self._vote(who, put.number, support, numbers)

    def _vote(self, who: Person, number: int, support: bool, numbers: list[int]) -> None:
        arguments, now = (number, support, numbers), self.world.now
        could_vote = self._could_vote()
        self._both(
            lambda: self.model.vote(_key(who), *arguments, now, could_vote=could_vote),
            lambda: self.governor("vote", self.asset, *arguments, by=who.address),
        )

    def _newest(self, data: st.DataObject) -> Put:
        return data.draw(st.sampled_from(self.puts[-3:]))

    @rule()
    def all_agree(self) -> None:
        """Every lock that can says yes to the last proposal: what random voters seldom do."""
        if not self.puts:
            return
        put = self.puts[-1]
        for who in HOLDERS:
            proposal = self.model.proposals[put.number]
            numbers = [
                n
                for n, lock in self.model.locks.items()
                if lock.owner == _key(who)
                and lock.since < proposal.proposed_at
                and n not in proposal.answers
            ][:16]
            self._vote(who, put.number, True, numbers)

    @precondition(lambda self: self.puts)
    @rule(data=st.data())
    def observe(self, data: st.DataObject) -> None:
        put = self._newest(data)
        now, could_vote = self.world.now, self._could_vote()
        self._both(
            lambda: self.model.observe(put.number, now, could_vote=could_vote),
            lambda: self.governor("observe", self.asset, put.number, by=KEEPER.address),
        )

    @rule(part=st.sampled_from([0, 1, 10]))
    def pool_shares(self, part: int) -> None:
        self.pooled = SUPPLY * part // 100
        self.council.pool(self.pooled)

    @precondition(lambda self: self.puts)
    @rule(data=st.data(), who=st.sampled_from(HOLDERS))
    def cancel(self, data: st.DataObject, who: Person) -> None:
        put, now = self._newest(data), self.world.now
        self._both(
            lambda: self.model.cancel(_key(who), put.number, now),
            lambda: self.governor("cancel", self.asset, put.number, by=who.address),
        )

    @precondition(lambda self: self.puts)
    @rule(data=st.data(), forged=st.sampled_from([False, False, False, True]))
    def execute(self, data: st.DataObject, forged: bool) -> None:
        put, now = data.draw(st.sampled_from(self.puts)), self.world.now
        what = action(PAYMENT, receiver=KEEPER, amount=1) if forged else put.what
        grave = self._grave(what)
        before = self._on_chain()
        arguments = (self.asset, put.number, what)
        try:
            self.model.execute(put.number, what, now, grave=grave)
            proposal = self.model.proposals[put.number]
            if what[0] == PAYMENT:
                # Undone below where the treasury cannot pay: the contract keeps nothing of it.
                proposal.executed = False
                self.model.pay(what[5][1])
                proposal.executed = True
        except TransactionReverted as error:
            with refused(error.reason):
                self.governor("execute", *arguments, by=KEEPER.address)
            return
        refusal = self._registry_refuses(what)
        if refusal is not None:
            self.model.proposals[put.number].executed = False
            with refused(refusal):
                self.governor("execute", *arguments, by=KEEPER.address)
            assert self._on_chain() == before
            return
        self.governor("execute", *arguments, by=KEEPER.address)
        if what[0] == PAYMENT:
            self.spent += what[5][1]
        elif what[0] == PRODUCT:
            self.products[self.council.product_made()] = True
        elif what[0] == SALE:
            token = next(each for each in self.products if each.address == what[8][0])
            self.products[token] = what[8][1]
        assert put.number not in self.executed_at
        self.executed_at[put.number] = now

    def _on_chain(self) -> object:
        return self.world.registry("asset_row", self.asset), self.governor(
            "treasury_of", self.asset
        )

    def _registry_refuses(self, what: tuple[Any, ...]) -> str | None:
        kind, _, endpoint, discount, _, _, parent, product, sale = what
        registry, asset = self.world.registry, self.asset
        royalties = registry("asset_row", asset)[3]
        listed = registry("endpoint_of", asset, person("operator").address)
        if kind == ENDPOINT and endpoint[1] + royalties + 500 + FLOOR_BPS > BPS:
            return "registry: cut leaves too little"
        if kind in (CLOSING, DISCOUNT) and not listed[0]:
            return "registry: no such endpoint"
        if kind == DISCOUNT and discount[0] > 4_000:
            return "registry: discount above the bound"
        if kind == DISCOUNT and discount[0]:
            _, _, words, _, _ = registry("split_of", asset, endpoint[0], listed[1])
            parts = [listed[2], listed[3], *(word % 2**16 for word in words)]
            left = BPS - discount[0]
            if sum(-(-part * BPS // left) for part in parts) + FLOOR_BPS > BPS:
                return "registry: discount leaves too little"
        if kind == PRODUCT and not product[4]:
            return "storefront: cap out of range"
        if kind == PRODUCT and not listed[0]:
            return "storefront: operator is not listed"
        if kind == SALE and sale[0] not in [each.address for each in self.products]:
            return "governor: not a product of the asset"
        if kind == PARENT:
            if parent[0] in [known for known, _ in registry("parents_of", asset)]:
                return "registry: parent named twice"
            dearest = registry("largest_cut_of", asset)
            if royalties + parent[1] + dearest + 500 + FLOOR_BPS > BPS:
                return "registry: royalties too high"
        return None

    @rule(
        seconds=st.sampled_from(
            [1, MIN_LOCK - 1, MIN_LOCK, VOTING_TIME - 1, VOTING_TIME, TIMELOCK, EXIT_DELAY, WINDOW]
        )
    )
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        reserved = self.governor("reserved", self.world.currency.address)
        assert self.world.held(self.governor) == reserved
        accruals = self.model.accruals
        assert reserved == self.model.treasury + accruals.received - accruals.distributed
        held = self.share("balanceOf", self.governor.address)
        assert held >= self.governor("reserved", self.share.address)

    @invariant()
    def conserved(self) -> None:
        asset = self.asset
        assert self.governor("treasury_of", asset) == self.deposited - self.spent
        assert self.governor("locked_total", asset) == self.model.locked_total
        for who in HOLDERS:
            locked = self.model.locked[_key(who)]
            assert self.governor("locked_of", asset, who.address) == locked
            own = [lock.amount for lock in self.model.locks.values() if lock.owner == _key(who)]
            assert sum(own) == locked
        for number, proposal in self.model.proposals.items():
            found = self.governor("proposal_of", asset, number)
            assert found[7:10] == (proposal.yes, proposal.no, proposal.counted)
            assert (
                self.governor("state_of", asset, number)
                == self.model.state(number, self.world.now).value
            )
            # One stake counts once: what was said is below what there is.
            assert proposal.yes + proposal.no <= SUPPLY

    @invariant()
    def never_early(self) -> None:
        for number, time in self.executed_at.items():
            proposal = self.model.proposals[number]
            delay = EXIT_DELAY if proposal.grave else 0
            first = proposal.proposed_at + VOTING_TIME + TIMELOCK + delay
            assert first <= time < first + WINDOW
            assert proposal.yes > proposal.no
            assert proposal.yes * 5 >= proposal.counted
            if proposal.grave:
                assert proposal.yes * 3 >= SUPPLY * 2

    @invariant()
    def sold_is_what_was_voted_for(self) -> None:
        """Nobody makes a product, stops or resumes its sale, but by a vote for just that."""
        assert self.world.storefront("count") == len(self.products)
        for token, on in self.products.items():
            assert self.world.storefront("asset_of", token) == self.asset
            assert token("state")[3] is on

    @invariant()
    def holders_floor(self) -> None:
        for terms in self._all_terms():
            fee, cut, words, _, _ = self._split(terms)
            assert BPS - fee - cut - sum(word % 2**16 for word in words) >= FLOOR_BPS

    @invariant()
    def terms_at_call(self) -> None:
        for terms in self._all_terms():
            fee, cut, words, _, _ = self._split(terms)
            lapses = (
                self.world.registry("terms_of", self.asset, person("operator").address, terms)[2]
                if terms
                else 0
            )
            seen = self.rows.setdefault(terms, (fee, cut, words))
            assert (fee, words) == (seen[0], seen[2])
            assert cut == (0 if 0 < lapses <= self.world.now else seen[1])

    def _all_terms(self) -> range:
        registry, operator = self.world.registry, person("operator").address
        last = registry("endpoint_of", self.asset, operator)[1]
        last = max(last, registry("discount_of", self.asset, operator)[1])
        return range(max(last, max(self.rows, default=0)) + 1)

    def _split(self, terms: int) -> Any:
        return self.world.registry("split_of", self.asset, person("operator").address, terms)

    @invariant()
    def can_always_claim(self) -> None:
        """Whoever locked gets every share and all revenue back once the open windows are over."""
        with self.world.engine.trial():
            self.world.wait(VOTING_TIME + TIMELOCK + EXIT_DELAY + WINDOW + MIN_LOCK)
            for number, lock in self.model.locks.items():
                owner = next(who for who in HOLDERS if _key(who) == lock.owner)
                backed = [
                    each
                    for each, proposal in self.model.proposals.items()
                    if proposal.answers.get(number) is Answer.YES
                ]
                for begin in range(16, len(backed), 16):
                    self.governor("let_go", self.asset, number, backed[begin : begin + 16])
                arguments = (self.asset, number, backed[:16])
                given = self.governor("unlock", *arguments, by=owner.address)
                assert given == lock.amount
            for who in HOLDERS:
                self.governor("claim", self.asset, by=who.address)
            assert self.governor("locked_total", self.asset) == 0
            owed = self.governor("reserved", self.world.currency.address) - self.model.treasury
            # What no floor gave out waits for those who lock next.
            assert 0 <= owed <= self._revenue_without_locks() + len(HOLDERS) + 1

    def _revenue_without_locks(self) -> int:
        carried = self.model.accruals
        return carried.received - carried.distributed if not self.model.locks else 0


def _key(who: Person) -> Address:
    return Address(bytes.fromhex(who.address[2:]))


TestGovernancePromises = GovernancePromises.TestCase
TestGovernancePromises.settings = times(1, steps=1)
