"""`Workflows.vy` again in plain Python: plans of many steps, paid all or nothing.

A payer signs a plan: which operator does which step for how much, paid to which address. Each
operator signs its output over the output of the step before. With all of these signatures one
transaction credits every payee; with one missing or wrong, nobody's. The currency is left out:
`deposit` takes what really arrived, and what goes out is returned. What the contract reverts
raises `TransactionReverted` with the same string and changes nothing. Amounts are base units.

Invariants `solvent`, `conserved`, `settled_once`, `budget_fixed`, `can_always_claim`; held against
the contract by `test_workflow_promises.py` and `test_workflows_match_spec.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from tessera.errors import InputError, TransactionReverted
from tessera.spec.signatures import (
    ZERO_ADDRESS,
    Address,
    Domain,
    keccak,
    recover_compact,
    typed_digest,
)

__all__ = [
    "MAX_STEPS",
    "Output",
    "Plan",
    "Step",
    "WorkflowsModel",
    "leg_of",
    "output_digest",
    "plan_digest",
    "steps_hash",
    "workflows_domain",
]

MAX_STEPS: Final = 16

_MAX_UINT96: Final = 2**96 - 1
_OUT_OF_BOUNDS: Final = ""
_STEP_TYPE: Final = b"Step(address operator,uint96 amount,address payee)"
_STEP_TYPEHASH: Final = keccak(_STEP_TYPE)
_PLAN_TYPEHASH: Final = keccak(
    b"Plan(address payer,uint256 nonce,uint256 deadline,uint256 budget,bytes32 request,"
    b"Step[] steps)" + _STEP_TYPE
)
_OUTPUT_TYPEHASH: Final = keccak(b"Output(bytes32 plan,uint256 step,bytes32 input,bytes32 output)")


class Step(NamedTuple):
    """One step of a plan.

    Attributes
    ----------
    operator
        Who does it, and signs the output.
    amount
        What it costs, base units; a uint96.
    payee
        Where the money goes: the Till of (asset, operator, terms), or any other address.
    """

    operator: Address
    amount: int
    payee: Address


class Plan(NamedTuple):
    """What a payer signs, before anything runs.

    Attributes
    ----------
    payer
        Whose balance pays.
    nonce
        Any number that this payer has not used; plans do not wait for one another.
    deadline
        Unix seconds; the last at which it can be paid.
    request
        32 bytes that stand for what the first step is asked, mostly a hash.
    steps
        In the order in which they run; 1 to 16.
    """

    payer: Address
    nonce: int
    deadline: int
    request: bytes
    steps: tuple[Step, ...]

    @property
    def budget(self) -> int:
        """What the plan costs, base units; it is signed with the rest."""
        return sum(step.amount for step in self.steps)


class Output(NamedTuple):
    """What a step's operator answered: a hash of it, and the operator's signature (EIP-2098)."""

    output: bytes
    r: int
    vs: int


def workflows_domain(chain_id: int, workflows: Address) -> Domain:
    """Return where signed plans and outputs count."""
    return Domain(chain_id, workflows, name="Tessera Workflows")


def leg_of(step: Step) -> int:
    """Pack operator and amount as `pay` reads them.

    Raises
    ------
    InputError
        The amount is no uint96.
    """
    if not 0 <= step.amount <= _MAX_UINT96:
        raise InputError("step: amount", found=step.amount, wanted="a uint96")
    return int.from_bytes(step.operator, "big") | step.amount << 160


def steps_hash(steps: Sequence[Step]) -> bytes:
    """Hash a plan's steps: EIP-712 hashes each, then all of them in a row."""
    return keccak(
        b"".join(
            keccak(
                _STEP_TYPEHASH
                + _address_word(step.operator)
                + step.amount.to_bytes(32, "big")
                + _address_word(step.payee)
            )
            for step in steps
        )
    )


def plan_digest(domain: Domain, plan: Plan) -> bytes:
    """Return what the payer signs; the plan's name in events and in outputs."""
    return typed_digest(
        domain,
        keccak(
            _PLAN_TYPEHASH
            + _address_word(plan.payer)
            + plan.nonce.to_bytes(32, "big")
            + plan.deadline.to_bytes(32, "big")
            + plan.budget.to_bytes(32, "big")
            + plan.request
            + steps_hash(plan.steps)
        ),
    )


def output_digest(domain: Domain, plan: bytes, step: int, previous: bytes, output: bytes) -> bytes:
    """Return what an operator signs for its step.

    Parameters
    ----------
    domain
        Chain and contract.
    plan
        The plan's digest.
    step
        Its place, from 0.
    previous
        The output of the step before; of the first step, the plan's request.
    output
        32 bytes that stand for the answer, mostly a hash.
    """
    return typed_digest(
        domain,
        keccak(_OUTPUT_TYPEHASH + plan + step.to_bytes(32, "big") + previous + output),
    )


class WorkflowsModel:
    """Every balance, reservation and debt of one Workflows contract.

    Parameters
    ----------
    domain
        Chain and contract; part of every signature.
    commons
        Who is owed what was sent by mistake.
    """

    def __init__(self, domain: Domain, commons: Address) -> None:
        self.domain = domain
        self.commons = commons
        self.balance_of: defaultdict[Address, int] = defaultdict(int)
        self.owed_of: defaultdict[Address, int] = defaultdict(int)
        self.reserved_of: dict[bytes, int] = {}
        self.used: set[tuple[Address, int]] = set()
        self.obligations = 0

    def deposit(self, payer: Address, arrived: int) -> int:
        """Add to a payer's balance what arrived, base units."""
        _require(payer != ZERO_ADDRESS, "workflows: zero address")
        self.balance_of[payer] += arrived
        self.obligations += arrived
        return arrived

    def withdraw(self, payer: Address, amount: int) -> int:
        """Take back what is not reserved; base units that leave."""
        _require(amount <= self.balance_of[payer], "workflows: balance too low")
        self.balance_of[payer] -= amount
        self.obligations -= amount
        return amount

    def cancel(self, payer: Address, nonce: int) -> None:
        """Use a nonce up."""
        _require((payer, nonce) not in self.used, "workflows: nonce used already")
        self.used.add((payer, nonce))

    def reserve(self, plan: Plan, signature: tuple[int, int], now: int) -> bytes:
        """Set a plan's budget aside; its digest. The signature is (r, vs)."""
        _require(plan.budget != 0, "workflows: nothing to reserve")
        _require(now <= plan.deadline, "workflows: past the deadline")
        digest = plan_digest(self.domain, plan)
        self._check(plan, digest, signature)
        self._spend(plan)
        self.reserved_of[digest] = plan.budget
        return digest

    def release(self, plan: Plan, now: int) -> int:
        """Give a reserved budget back to the payer's balance; base units."""
        _require(now > plan.deadline, "workflows: before the deadline")
        digest = plan_digest(self.domain, plan)
        _require(digest in self.reserved_of, "workflows: not reserved")
        budget = self.reserved_of.pop(digest)
        self.balance_of[plan.payer] += budget
        return budget

    def pay(
        self, plan: Plan, outputs: Sequence[Output], signature: tuple[int, int], now: int
    ) -> bytes:
        """Pay every step, or none; the plan's digest. The payer's signature is (r, vs)."""
        _require(len(plan.steps) <= MAX_STEPS, _OUT_OF_BOUNDS)
        _require(bool(plan.steps), "workflows: no steps")
        _require(now <= plan.deadline, "workflows: past the deadline")
        digest = plan_digest(self.domain, plan)
        reserved = digest in self.reserved_of
        if not reserved:
            self._check(plan, digest, signature)
        previous = plan.request
        for place, (step, output) in enumerate(zip(plan.steps, outputs, strict=True)):
            signed = output_digest(self.domain, digest, place, previous, output.output)
            signer = recover_compact(signed, output.r, output.vs)
            _require(
                signer not in {ZERO_ADDRESS, b""} and signer == step.operator,
                "workflows: output not signed by its operator",
            )
            previous = output.output
        if reserved:
            del self.reserved_of[digest]
        else:
            self._spend(plan)
        for step in plan.steps:
            self.owed_of[step.payee] += step.amount
        return digest

    def collect(self, payee: Address) -> int:
        """Return what a payee is owed and now gets, base units."""
        amount = self.owed_of.pop(payee, 0)
        self.obligations -= amount
        return amount

    def absorb_surplus(self, held: int) -> int:
        """Owe the commons what of `held` base units belongs to nobody."""
        amount = held - self.obligations
        self.owed_of[self.commons] += amount
        self.obligations += amount
        return amount

    def _check(self, plan: Plan, digest: bytes, signature: tuple[int, int]) -> None:
        signer = recover_compact(digest, *signature)
        _require(
            signer != ZERO_ADDRESS and signer == plan.payer,
            "workflows: plan not signed by its payer",
        )
        _require((plan.payer, plan.nonce) not in self.used, "workflows: nonce used already")
        _require(plan.budget <= self.balance_of[plan.payer], "workflows: balance too low")

    def _spend(self, plan: Plan) -> None:
        self.used.add((plan.payer, plan.nonce))
        self.balance_of[plan.payer] -= plan.budget


def _address_word(address: Address) -> bytes:
    return bytes(12) + address


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Workflows", reason)
