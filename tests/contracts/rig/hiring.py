"""Workflows in the whole market: consumers plan, operators answer, the asset's Till is one payee.

Rules and sums for a machine that has a world, a currency, channels and a Till of its asset.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import rule

from rig.people import Person, person
from rig.plans import OPERATORS, chain_of

DOLLAR = 10**6
PAYERS = [person("consumer"), person("second consumer")]
KEEPER = person("keeper")
UNLIMITED = 2**256 - 1


class WorkflowRules:
    """What people do with chains of services that are paid all or nothing."""

    def begin_workflows(self) -> None:
        """Let the consumers pay."""
        self.workflows = self.world.workflows
        self.plans = 0
        # Base units: what payers hold there, and what each payee was ever credited with.
        self.prepaid: Counter[str] = Counter()
        self.hired: Counter[str] = Counter()
        self.handed: Counter[str] = Counter()
        for who in PAYERS:
            self._must(who, self.currency, "approve", self.workflows.address, UNLIMITED)

    @rule(who=st.sampled_from(PAYERS), amounts=st.lists(st.integers(0, DOLLAR), min_size=1,
          max_size=3), reserved=st.booleans(), enough=st.booleans())  # fmt: skip
    def hire(self, who: Person, amounts: list[int], reserved: bool, enough: bool) -> None:
        """The asset does the first step, others the rest; all are paid or none."""
        till = self.channels("till_of", *self.till)
        payees = [till, *(operator.address for operator in OPERATORS[1 : len(amounts)])]
        if enough and self._try(who, self.workflows, "deposit", who.address, sum(amounts)):
            self.prepaid[who.address] += sum(amounts)
        self.plans += 1
        chain = chain_of(self.world, who, amounts, nonce=self.plans, payees=payees)
        if reserved:
            self._try(KEEPER, self.workflows, "reserve", *chain.reservation(), *chain.signed())
        steps = chain.steps(chain.answers())
        paid = self._try(
            *(KEEPER, self.workflows, "pay", *chain.head(), chain.plan.request, steps),
            *chain.signed(),
        )
        assert (paid is not None) == (sum(amounts) <= self.prepaid[who.address])
        if paid is not None:
            self.prepaid[who.address] -= sum(amounts)
            self.hired.update(dict.fromkeys(payees, 0))
            for payee, amount in zip(payees, amounts, strict=True):
                self.hired[payee] += amount

    @rule()
    def hand_wages_on(self) -> None:
        for payee in self.hired:
            self.handed[payee] += self._must(KEEPER, self.workflows, "collect", payee)
        self.grossed += self._must(KEEPER, self.channels, "flush_till", *self.till)

    def plans_cost_what_was_signed(self) -> None:
        """A plan took its budget from its payer; each payee was credited with its own steps."""
        for who in PAYERS:
            held = self.workflows("balance_of", who.address)
            assert held == self.prepaid[who.address]
        for payee, amount in self.hired.items():
            assert self.workflows("owed_of", payee) + self.handed[payee] == amount
        owes = self.workflows("obligations")
        assert self._held(self.currency, self.workflows) == owes

    def end_workflows(self) -> None:
        """Everybody takes what is theirs there."""
        for payee in self.hired:
            self.workflows("collect", payee)
        for who in PAYERS:
            self.workflows("withdraw", self.prepaid[who.address], by=who.address)
        assert self.workflows("obligations") == 0
