"""Workflows under random payers, plans and operators, beside their twin and plain sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.contract import refused
from rig.currencies import CURRENCIES
from rig.effort import times
from rig.people import Person, key_of, person
from rig.plans import OPERATORS, Chain, chain_of
from rig.system import DAY

from tessera.errors import TransactionReverted
from tessera.spec.workflows import WorkflowsModel, workflows_domain

PAYERS = [person("consumer"), person("second consumer")]
KEEPER, ATTACKER = person("keeper"), person("attacker")
SOMEBODY = st.sampled_from(PAYERS)


class WorkflowPromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, settled_once, budget_fixed, can_always_claim."""

    @initialize(currency=st.sampled_from(sorted(CURRENCIES)))
    def begin(self, currency: str) -> None:
        self.world = world = CURRENCIES[currency].world()
        self.workflows = world.workflows
        domain = workflows_domain(world.engine.chain_id, key_of(self.workflows))
        self.model = WorkflowsModel(domain, key_of(world.commons))
        self.chains: list[Chain] = []
        self.came = self.left = self.gifts = 0
        # Sums of what payers signed for, of all plans that were paid; what left to their payees.
        self.budgets = self.wages = 0
        # How often each payer's nonce was reserved, paid or cancelled.
        self.spent: Counter[tuple[str, int]] = Counter()
        self.signed_for: dict[tuple[str, int], set[int]] = {}
        for who in PAYERS:
            world.fund(who, 0, spender=self.workflows)

    def _both(
        self, model: Callable[[], Any], contract: Callable[[], Any], *, told: bool = True
    ) -> bool:
        """Do it on both sides; whether it was done. Where it is told, they answer the same."""
        try:
            expected = model()
        except TransactionReverted as error:
            with refused(error.reason):
                contract()
            return False
        answer = contract()
        assert answer == expected or not told
        return True

    # --- Money ----------------------------------------------------------------------------------

    @rule(who=SOMEBODY, payer=SOMEBODY, amount=st.integers(0, 10**6))
    def deposit(self, who: Person, payer: Person, amount: int) -> None:
        self.world.fund(who, amount)
        before = self.world.held(self.workflows)
        said = self.workflows("deposit", payer.address, amount, by=who.address)
        arrived = self.world.held(self.workflows) - before
        assert said == arrived == self.model.deposit(key_of(payer), arrived)
        self.came += arrived

    @rule(who=SOMEBODY, amount=st.integers(0, 10**6))
    def withdraw(self, who: Person, amount: int) -> None:
        before = self.world.held(self.workflows)
        self._both(
            lambda: self.model.withdraw(key_of(who), amount),
            lambda: self.workflows("withdraw", amount, by=who.address),
            told=False,
        )
        self.left += before - self.world.held(self.workflows)

    @rule(place=st.integers(0, 3))
    def collect(self, place: int) -> None:
        payee = OPERATORS[place]
        before = self.world.held(self.workflows)
        self._both(
            lambda: self.model.collect(key_of(payee)),
            lambda: self.workflows("collect", payee.address, by=KEEPER.address),
        )
        self.wages += before - self.world.held(self.workflows)
        self.left += before - self.world.held(self.workflows)

    @rule(amount=st.integers(0, 100), absorbed=st.booleans())
    def send_money_by_mistake(self, amount: int, absorbed: bool) -> None:
        before = self.world.held(self.workflows)
        self.world.fund(self.workflows.address, amount)
        self.gifts += self.world.held(self.workflows) - before
        if absorbed:
            held = self.world.held(self.workflows)
            self._both(
                lambda: self.model.absorb_surplus(held), lambda: self.workflows("absorb_surplus")
            )

    # --- Plans ----------------------------------------------------------------------------------

    @rule(
        payer=SOMEBODY,
        amounts=st.lists(st.integers(0, 10**5), max_size=4),
        nonce=st.integers(0, 5),
        seconds=st.sampled_from([0, 600, DAY]),
    )
    def sign(self, payer: Person, amounts: list[int], nonce: int, seconds: int) -> None:
        until = self.world.now + seconds
        chain = chain_of(self.world, payer, amounts, nonce=nonce, deadline=until)
        self.chains.append(chain)
        self.signed_for.setdefault((payer.address, nonce), set()).add(sum(amounts))

    @precondition(lambda self: self.chains)
    @rule(data=st.data(), forged=st.sampled_from([None, None, None, "payer", "operator", "link"]))
    def pay(self, data: st.DataObject, forged: str | None) -> None:
        chain = data.draw(st.sampled_from(self.chains))
        outputs = chain.answers()
        signature = chain.signed(ATTACKER if forged == "payer" else None)
        if outputs and forged == "operator":
            before = chain.outputs[-2] if len(outputs) > 1 else chain.plan.request
            outputs[-1] = chain.answer(ATTACKER, len(outputs) - 1, before, chain.outputs[-1])
        if outputs and forged == "link":
            outputs[-1] = outputs[-1]._replace(output=bytes(32))
        now = self.world.now
        was_reserved = chain.digest in self.model.reserved_of
        done = self._both(
            lambda: self.model.pay(chain.plan, outputs, signature, now),
            lambda: chain.pay(by=KEEPER, outputs=outputs, signature=signature),
        )
        if done:
            self.budgets += chain.plan.budget
            if not was_reserved:
                self.spent[chain.payer.address, chain.plan.nonce] += 1

    @precondition(lambda self: self.chains)
    @rule(data=st.data(), forged=st.booleans())
    def reserve(self, data: st.DataObject, forged: bool) -> None:
        chain = data.draw(st.sampled_from(self.chains))
        signature = chain.signed(ATTACKER if forged else None)
        now = self.world.now
        done = self._both(
            lambda: self.model.reserve(chain.plan, signature, now),
            lambda: self.workflows("reserve", *chain.reservation(), *signature, by=KEEPER.address),
        )
        if done:
            self.spent[chain.payer.address, chain.plan.nonce] += 1

    @precondition(lambda self: self.chains)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from(self.chains))
        now = self.world.now
        self._both(
            lambda: self.model.release(chain.plan, now),
            lambda: self.workflows("release", *chain.reservation(), by=KEEPER.address),
            told=False,
        )

    @rule(who=SOMEBODY, nonce=st.integers(0, 5))
    def cancel(self, who: Person, nonce: int) -> None:
        done = self._both(
            lambda: self.model.cancel(key_of(who), nonce),
            lambda: self.workflows("cancel", nonce, by=who.address),
        )
        if done:
            self.spent[who.address, nonce] += 1

    @rule(seconds=st.sampled_from([1, 600, DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        owed = sum(self.model.owed_of.values())
        balances = sum(self.model.balance_of.values())
        reserved = sum(self.model.reserved_of.values())
        owes = self.workflows("obligations")
        assert owes == self.model.obligations == owed + balances + reserved
        assert self.world.held(self.workflows) >= owes

    @invariant()
    def conserved(self) -> None:
        assert self.world.held(self.workflows) == self.came + self.gifts - self.left
        for who in PAYERS:
            balance = self.workflows("balance_of", who.address)
            assert balance == self.model.balance_of[key_of(who)]
        for payee in (*OPERATORS[:4], self.world.commons):
            assert self.workflows("owed_of", payee.address) == self.model.owed_of[key_of(payee)]

    @invariant()
    def settled_once(self) -> None:
        """A payer's nonce is spent once, whatever was signed with it."""
        for (who, nonce), times_spent in self.spent.items():
            assert times_spent == 1
            assert self.workflows("is_used", who, nonce)

    @invariant()
    def budget_fixed(self) -> None:
        """Plans cost together what their payers signed; what is set aside is a signed sum too."""
        owed = sum(self.workflows("owed_of", payee.address) for payee in OPERATORS[:4])
        assert owed + self.wages == self.budgets
        for chain in self.chains:
            found = self.workflows("reserved_of", chain.digest)
            assert found == self.model.reserved_of.get(chain.digest, 0)
            assert found in (0, chain.plan.budget)
            assert chain.plan.budget in self.signed_for[chain.payer.address, chain.plan.nonce]

    @invariant()
    def can_always_claim(self) -> None:
        """After the last deadline every payee and every payer gets all of it, in any order."""
        with self.world.engine.trial():
            self.world.wait(DAY + 1)
            for chain in self.chains:
                if self.workflows("reserved_of", chain.digest):
                    self.workflows("release", *chain.reservation(), by=KEEPER.address)
            for who in PAYERS:
                self.workflows(
                    "withdraw", self.workflows("balance_of", who.address), by=who.address
                )
            for payee in (*OPERATORS[:4], self.world.commons):
                owed = self.workflows("owed_of", payee.address)
                assert self.workflows("collect", payee.address, by=KEEPER.address) == owed
            assert self.workflows("obligations") == 0


TestWorkflowPromises = WorkflowPromises.TestCase
TestWorkflowPromises.settings = times(1)
