"""Workflows: ten providers with signed outputs, paid in one transaction or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_keys import keys
from eth_utils.crypto import keccak

from bench.gas.chain import Contract, Receipt, account, bytes_of
from bench.gas.dollar import UNIT
from bench.gas.ours.market import WHO, Market, code
from bench.gas.rows import Action, Row

PROVIDERS = 10
_DEPOSIT = 1_000 * UNIT
_LATE = 2**40
_REQUEST = keccak(text="request")
_STEP_TYPE = "Step(address operator,uint96 amount,address payee)"
_STEP = keccak(text=_STEP_TYPE)
_PLAN = keccak(
    text="Plan(address payer,uint256 nonce,uint256 deadline,uint256 budget,bytes32 request,"
    f"Step[] steps){_STEP_TYPE}"
)
_OUTPUT = keccak(text="Output(bytes32 plan,uint256 step,bytes32 input,bytes32 output)")


def measure(market: Market) -> list[Row]:
    """Measure plans of ten steps and of one, each payee a Till of its own."""
    desk = _Desk(market)
    first, warm = (desk.pay(PROVIDERS).gas for _ in "12")
    one = desk.pay(1).gas
    reserved, paid = desk.pay_reserved(PROVIDERS)
    chain, contract, consumer = market.chain, desk.contract, desk.consumer
    added = chain.transact(consumer, contract, "deposit", consumer.address, _DEPOSIT).gas
    back = chain.transact(consumer, contract, "withdraw", UNIT).gas
    collected = []
    for _ in "12":
        desk.pay(PROVIDERS)
        collected.append(chain.transact(consumer, contract, "collect", desk.tills[0]).gas)
    each = "each operator's signature over its output checked; credited to ten Tills; no collect"
    return [
        Row(Action.PAY_MANY, WHO, "Workflows.pay", each, warm, first),
        Row(Action.PAY_MANY, WHO, "Workflows.pay", "the same, reserved before", paid),
        Row(
            Action.PAY_MANY,
            WHO,
            "Workflows.reserve",
            "once before, where the budget is set aside until the deadline",
            reserved,
        ),
        Row(Action.PAY_MANY, WHO, "Workflows.pay, 1 step", "one provider", one),
        Row(
            Action.COLLECT_WORKFLOWS,
            WHO,
            "Workflows.collect",
            "dollars to a Till, once for any number of plans",
            collected[1],
            collected[0],
        ),
        Row(Action.DEPOSIT, WHO, "Workflows.deposit", "dollars moved in", added),
        Row(Action.WITHDRAW, WHO, "Workflows.withdraw", "what is not reserved, at once", back),
    ]


class _Desk:
    """A consumer with a balance, ten operators, and a Till for each."""

    def __init__(self, market: Market) -> None:
        self._market, self._chain = market, market.chain
        self.contract: Contract = self._chain.deploy(
            account("founder"), code("Workflows"), market.dollar.address, market.registry.address
        )
        self._domain = self._chain.read(self.contract, "DOMAIN_SEPARATOR")
        self.consumer = account("consumer")
        self._operators = [account(f"provider {number}") for number in range(PROVIDERS)]
        self.tills = []
        for operator in self._operators:
            asset, _ = market.publish(endpoint=False)
            key = (asset, operator.address, 0)
            self.tills.append(self._chain.read(market.channels, "till_of", *key))
        market.fund(self.consumer, self.contract)
        self._chain.transact(
            self.consumer, self.contract, "deposit", self.consumer.address, _DEPOSIT
        )
        self._nonce = 0

    def pay(self, count: int) -> Receipt:
        """Have a plan of the first providers paid by a stranger."""
        amounts = self._amounts(count)
        self._nonce += 1
        plan, signature = self._plan(amounts)
        steps = self._steps(plan, amounts)
        return self._chain.transact(
            *(account("keeper"), self.contract, "pay", self.consumer.address, self._nonce),
            *(_LATE, _REQUEST, steps, *signature),
        )

    def pay_reserved(self, count: int) -> tuple[int, int]:
        """Reserve a plan, then have it paid; gas of both."""
        amounts = self._amounts(count)
        self._nonce += 1
        plan, signature = self._plan(amounts)
        named = (self.consumer.address, self._nonce, _LATE)
        reserved = self._chain.transact(
            *(account("keeper"), self.contract, "reserve", *named, sum(amounts), _REQUEST),
            *(self._steps_hash(amounts), *signature),
        )
        steps = self._steps(plan, amounts)
        paid = self._chain.transact(
            account("keeper"), self.contract, "pay", *named, _REQUEST, steps, 0, 0
        )
        return reserved.gas, paid.gas

    def _amounts(self, count: int) -> list[int]:
        return [UNIT // 10 + number for number in range(count)]

    def _steps_hash(self, amounts: Sequence[int]) -> bytes:
        words = ["bytes32", "address", "uint256", "address"]
        return keccak(
            b"".join(
                keccak(encode(words, [_STEP, operator.address, amount, till]))
                for operator, amount, till in zip(
                    self._operators, amounts, self.tills, strict=False
                )
            )
        )

    def _plan(self, amounts: Sequence[int]) -> tuple[bytes, tuple[int, int]]:
        struct = keccak(
            encode(
                ["bytes32", "address", "uint256", "uint256", "uint256", "bytes32", "bytes32"],
                [
                    *(_PLAN, self.consumer.address, self._nonce, _LATE, sum(amounts)),
                    *(_REQUEST, self._steps_hash(amounts)),
                ],
            )
        )
        plan = keccak(b"\x19\x01" + self._domain + struct)
        return plan, _sign(self.consumer, plan)

    def _steps(self, plan: bytes, amounts: Sequence[int]) -> list[tuple[object, ...]]:
        steps: list[tuple[object, ...]] = []
        link = _REQUEST
        for number, amount in enumerate(amounts):
            operator = self._operators[number]
            output = keccak(text=f"output {self._nonce} {number}")
            words = ["bytes32", "bytes32", "uint256", "bytes32", "bytes32"]
            struct = keccak(encode(words, [_OUTPUT, plan, number, link, output]))
            signature = _sign(operator, keccak(b"\x19\x01" + self._domain + struct))
            leg = int.from_bytes(bytes_of(operator.address), "big") | amount << 160
            steps.append((leg, self.tills[number], output, *signature))
            link = output
        return steps


def _sign(signer: LocalAccount, digest: bytes) -> tuple[int, int]:
    signed = keys.PrivateKey(bytes(signer.key)).sign_msg_hash(digest)
    return signed.r, signed.s | signed.v << 255
