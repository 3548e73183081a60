"""Plans of many steps and their outputs, signed by eth_account and not by our signer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eth_utils import keccak

from rig.contract import Contract
from rig.people import Person, key_of, person
from rig.signing import Signed, compact, domain_of, sign
from rig.system import DAY, World
from tessera.spec.workflows import (
    Output,
    Plan,
    Step,
    leg_of,
    plan_digest,
    steps_hash,
    workflows_domain,
)

OPERATORS = [person(f"operator {number}") for number in range(16)]
REQUEST = keccak(text="request")
_STEP = {"operator": "address", "amount": "uint96", "payee": "address"}
_PLAN = {
    "payer": "address",
    "nonce": "uint256",
    "deadline": "uint256",
    "budget": "uint256",
    "request": "bytes32",
    "steps": "Step[]",
}
_OUTPUT = {"plan": "bytes32", "step": "uint256", "input": "bytes32", "output": "bytes32"}


@dataclass(frozen=True)
class Chain:
    """A chain of services under way: who pays, who does which step, and what they answered."""

    contract: Contract
    payer: Person
    operators: tuple[Person, ...]
    plan: Plan
    outputs: tuple[bytes, ...]

    @property
    def digest(self) -> bytes:
        """The plan's, by the twin."""
        contract = self.contract
        domain = workflows_domain(contract.engine.chain_id, key_of(contract))
        return plan_digest(domain, self.plan)

    def signed(self, by: Person | None = None, domain: dict[str, Any] | None = None) -> Signed:
        """Sign the plan as a wallet does."""
        plan = self.plan
        message = {
            **plan._asdict(),
            "payer": _text(plan.payer),
            "budget": plan.budget,
            "steps": [
                {"operator": _text(s.operator), "amount": s.amount, "payee": _text(s.payee)}
                for s in plan.steps
            ],
        }
        types = {"Plan": _fields(_PLAN), "Step": _fields(_STEP)}
        return compact(*sign(by or self.payer, domain or self._domain(), "Plan", types, message))

    def answers(self, domain: dict[str, Any] | None = None) -> list[Output]:
        """Let every operator sign its output over the one before."""
        found = []
        previous = self.plan.request
        for place, (operator, output) in enumerate(zip(self.operators, self.outputs, strict=True)):
            found.append(self.answer(operator, place, previous, output, domain))
            previous = output
        return found

    def answer(
        self,
        operator: Person,
        place: int,
        previous: bytes,
        output: bytes,
        domain: dict[str, Any] | None = None,
    ) -> Output:
        """Let somebody sign one output."""
        message = {"plan": self.digest, "step": place, "input": previous, "output": output}
        types = {"Output": _fields(_OUTPUT)}
        signature = compact(*sign(operator, domain or self._domain(), "Output", types, message))
        return Output(output, *signature)

    def steps(self, outputs: Sequence[Output]) -> list[tuple[object, ...]]:
        """Write the steps as `pay` takes them."""
        return [
            (leg_of(step), _text(step.payee), *output)
            for step, output in zip(self.plan.steps, outputs, strict=True)
        ]

    def head(self) -> tuple[object, ...]:
        """Return the first arguments of everything: payer, nonce, deadline."""
        return (_text(self.plan.payer), self.plan.nonce, self.plan.deadline)

    def pay(
        self,
        *,
        by: Person,
        outputs: Sequence[Output] | None = None,
        signature: Signed | None = None,
    ) -> bytes:
        """Have it paid."""
        steps = self.steps(self.answers() if outputs is None else outputs)
        paid: bytes = self.contract(
            *("pay", *self.head(), self.plan.request, steps),
            *(self.signed() if signature is None else signature),
            by=by.address,
        )
        return paid

    def reservation(self) -> tuple[object, ...]:
        """Return what `reserve` and `release` are told of the plan."""
        plan = self.plan
        return (*self.head(), plan.budget, plan.request, steps_hash(plan.steps))

    def reserve(self, *, by: Person) -> bytes:
        """Have its budget set aside."""
        digest: bytes = self.contract("reserve", *self.reservation(), *self.signed(), by=by.address)
        return digest

    def changed(self, **changes: Any) -> Chain:
        """Return the same chain under another plan."""
        return replace(self, plan=self.plan._replace(**changes))

    def _domain(self) -> dict[str, Any]:
        return domain_of(self.contract, "Tessera Workflows")


def chain_of(
    world: World,
    payer: Person,
    amounts: Sequence[int],
    *,
    nonce: int = 0,
    payees: Sequence[str] | None = None,
    deadline: int | None = None,
    contract: Contract | None = None,
) -> Chain:
    """Plan a step for each amount; each operator is its own payee unless told otherwise."""
    operators = OPERATORS[: len(amounts)]
    places = payees or [operator.address for operator in operators]
    steps = tuple(
        Step(key_of(operator), amount, key_of(place))
        for operator, amount, place in zip(operators, amounts, places, strict=True)
    )
    until = world.now + DAY if deadline is None else deadline
    outputs = tuple(keccak(text=f"output {place}") for place in range(len(amounts)))
    return Chain(
        contract or world.workflows,
        payer,
        tuple(operators),
        Plan(key_of(payer), nonce, until, REQUEST, steps),
        outputs,
    )


def _fields(types: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": typ} for name, typ in types.items()]


def _text(address: bytes) -> str:
    return "0x" + address.hex()
