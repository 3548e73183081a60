"""The twin of the standard's contracts behind our port, and official clients that pay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from x402.http.utils import decode_payment_response_header, encode_payment_signature_header
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.schemas import (
    PaymentPayload,
    PaymentRequirements,
    PaymentResponseContext,
    SettleResponse,
)
from x402.schemas import PaymentRequired as OfficialRequired

from tessera.errors import TransactionReverted
from tessera.payments.ledger import Call, Evidence, Ledger, Quote
from tessera.payments.ports import SettleResult
from tessera.payments.risk import Exposures
from tessera.payments.tender import Demand, Outcome
from tessera.payments.x402.batch import BatchSettlement
from tessera.payments.x402.book import ChannelState
from tessera.payments.x402.exact import ExactPayments
from tessera.payments.x402.ports import Claim
from tessera.payments.x402.rules import X402Rules
from tessera.payments.x402.tender import X402Payments
from tessera.payments.x402.wire import SIGNATURE_HEADER, Authorization, Deposit
from tessera.spec.signatures import Address, Domain, Signer, keccak, recover
from tessera.spec.vouchers import TillKey
from tessera.spec.x402 import VoucherClaim, X402Model
from tessera.spec.x402_digests import (
    DEPOSIT_COLLECTOR,
    ChannelConfig,
    channel_id,
    deposit_nonce,
    receive_digest,
    transfer_digest,
)

CHAIN = 84_532
NETWORK = f"eip155:{CHAIN}"
OPERATOR = Signer(keccak(b"operator"))
DOLLAR = Address(keccak(b"dollar")[12:])
TOKEN = Domain(CHAIN, DOLLAR, "Test Dollar", "1")
KEY = TillKey(7, 1)
RULES = X402Rules(
    chain_id=CHAIN,
    operator=OPERATOR.address,
    token=TOKEN,
    withdraw_delay_s=86_400,
    least_delay_s=7_200,
    min_deposit=2_000_000,
    least_deposit=2_000_000,
    timeout_s=180,
    answer_s=100,
    wait_s=5.0,
)
DOMAIN = Domain(CHAIN, Address(keccak(b"channels")[12:]))
EVIDENCE = Evidence(keccak(b"request"), keccak(b"response"), 12)


def till_of(asset: int, terms: int) -> Address:
    return Address(keccak(b"till" + asset.to_bytes(32, "big") + terms.to_bytes(4, "big"))[12:])


@dataclass
class SentClaim:
    """A claim on its way."""

    hashes: tuple[str, ...]
    nonce: int = 0
    failure: Exception | None = None

    def raise_ceiling(self, fee_ceiling: int | None) -> None:
        """Nothing waits here."""


class ModelChain:
    """The twin and an EIP-3009 currency, one transaction after another."""

    def __init__(self) -> None:
        self.model = X402Model(CHAIN)
        self.money: dict[Address, int] = {}
        self.used: dict[tuple[Address, bytes], tuple[Address, int, str]] = {}
        self.sent: list[str] = []
        self.fails: list[Exception] = []
        self.reads = 0
        self.now = 0
        self.deep = 0
        self.mined: dict[str, SettleResult] = {}
        self.ceilings: list[int | None] = []

    def _sent(self, what: str) -> str:
        if self.fails:
            raise self.fails.pop(0)
        self.sent.append(what)
        return "0x" + keccak(f"{what} {len(self.sent)}".encode()).hex()

    async def read_channel(self, channel: bytes) -> ChannelState:
        self.reads += 1
        await asyncio.sleep(0)
        state, pending = self.model.channels[channel], self.model.pending[channel]
        return ChannelState(
            state.balance, state.claimed, pending.initiated_at, self.model.refund_nonce[channel]
        )

    async def deposit(self, config: ChannelConfig, deposit: Deposit) -> str:
        channel = channel_id(CHAIN, config)
        nonce = deposit_nonce(channel, deposit.salt)
        digest = receive_digest(
            TOKEN,
            config.payer,
            DEPOSIT_COLLECTOR,
            deposit.amount,
            deposit.valid_after,
            deposit.valid_before,
            nonce,
        )
        assert recover(digest, deposit.signature) == config.payer
        await asyncio.sleep(0)
        transaction = self._sent("deposit")
        self._draw(config.payer, nonce, DEPOSIT_COLLECTOR, deposit.amount, transaction)
        self.model.deposit(config, deposit.amount, DEPOSIT_COLLECTOR)
        return transaction

    def _draw(self, payer: Address, nonce: bytes, to: Address, value: int, tx: str) -> None:
        if (payer, nonce) in self.used:
            raise TransactionReverted("TestDollar", "test dollar: authorization used")
        if self.money.get(payer, 0) < value:
            raise TransactionReverted("TestDollar", "test dollar: balance too low")
        self.used[payer, nonce] = (to, value, tx)
        self.money[payer] -= value
        self.money[to] = self.money.get(to, 0) + value

    async def claim(self, claims: Sequence[Claim]) -> str:
        transaction = self._sent("claim")
        self.model.claim([VoucherClaim(*claim) for claim in claims], OPERATOR.address)
        return transaction

    async def submit_claim(self, claims: Sequence[Claim], fee_ceiling: int | None) -> SentClaim:
        before = {channel_id(CHAIN, c.config): c.charged for c in claims}
        for name in before:
            before[name] = self.model.channels[name].claimed
        tx = await self.claim(claims)
        taken = tuple(
            (int.from_bytes(name, "big"), self.model.channels[name].claimed - claimed)
            for name, claimed in before.items()
        )
        self.ceilings.append(fee_ceiling)
        total = sum(amount for _, amount in taken)
        self.mined[tx] = SettleResult(tx, 1, total, (), taken=taken, block_hash="0x01")
        return SentClaim((tx,))

    async def find(self, hashes: Sequence[str]) -> tuple[SettleResult, int] | None:
        found = [self.mined[tx] for tx in hashes if tx in self.mined]
        return (found[0], self.deep) if found else None

    async def owed(self, receiver: Address) -> int:
        state = self.model.receivers[receiver, DOLLAR]
        return state.claimed - state.settled

    async def settle(self, receiver: Address) -> str:
        transaction = self._sent("settle")
        payout = self.model.settle(receiver, DOLLAR)
        if payout is not None:
            self.money[payout.receiver] = self.money.get(payout.receiver, 0) + payout.amount
        return transaction

    async def refund(self, config: ChannelConfig, amount: int, claims: Sequence[Claim]) -> str:
        transaction = self._sent("refund")
        if claims:
            self.model.claim([VoucherClaim(*claim) for claim in claims], OPERATOR.address)
        payout = self.model.refund(config, amount, OPERATOR.address)
        self.money[payout.receiver] = self.money.get(payout.receiver, 0) + payout.amount
        return transaction

    async def transfer(self, authorization: Authorization) -> str:
        by = authorization
        digest = transfer_digest(
            TOKEN, by.payer, by.receiver, by.value, by.valid_after, by.valid_before, by.nonce
        )
        assert recover(digest, by.signature) == by.payer
        await asyncio.sleep(0)
        transaction = self._sent("transfer")
        self._draw(by.payer, by.nonce, by.receiver, by.value, transaction)
        return transaction

    async def transferred(self, authorization: Authorization) -> str:
        by = authorization
        to, value, tx = self.used.get((by.payer, by.nonce), (None, 0, ""))
        return tx if (to, value) == (by.receiver, by.value) else ""

    async def is_used(self, payer: Address, nonce: bytes) -> bool:
        await asyncio.sleep(0)
        return (payer, nonce) in self.used

    async def money_of(self, payer: Address) -> int:
        return self.money.get(payer, 0)


@dataclass
class Head:
    payment: bytes

    def get(self, name: str) -> bytes | None:
        return self.payment if name == SIGNATURE_HEADER else None


@dataclass
class Steady:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Shop:
    """An operator with its books, and one asset to sell; `reopen` is what a restart does."""

    path: Path
    chain: ModelChain = field(default_factory=ModelChain)
    now: float = 0
    steady: Steady = field(default_factory=Steady)
    rules: X402Rules = RULES
    ledger: Ledger = None  # type: ignore[assignment]
    tender: X402Payments = None  # type: ignore[assignment]
    calls: int = 0
    exposures: Exposures = field(default_factory=Exposures)

    def clock(self) -> float:
        return self.now or time.time()

    async def reopen(self) -> None:
        if self.ledger is not None:
            await self.ledger.close()
        self.ledger = await Ledger.open(
            self.path,
            DOMAIN,
            OPERATOR,
            None,  # type: ignore[arg-type]
            self.clock,
            knows=lambda _: True,
        )
        batch = BatchSettlement(
            self.ledger,
            self.chain,
            self.rules,
            till_of,
            self.clock,
            self.steady,
            self.exposures,
        )
        await batch.open()
        exact = ExactPayments(self.ledger, self.chain, self.rules, till_of, self.clock)
        self.tender = X402Payments(batch, exact)

    def demand(self, most: int, *, stream: bool = False, key: TillKey = KEY) -> Demand:
        self.calls += 1
        name = self.calls.to_bytes(16, "big").hex()
        return Demand("digits", Quote(key, 1, 0, most), name, EVIDENCE.request, stream)

    def offers(self, demand: Demand) -> list[PaymentRequirements]:
        return [PaymentRequirements.model_validate(one) for one in self.tender.accepts(demand)]


@dataclass
class Payer:
    """An official client, as unconfigured as it comes, with money."""

    shop: Shop
    key: bytes = b"\x05" * 32
    scheme: Any = None

    def __post_init__(self) -> None:
        self.account = EthAccount.from_key(self.key)
        self.address = Address(bytes.fromhex(self.account.address[2:]))
        self.scheme = self.scheme or BatchSettlementEvmScheme(self.account)
        self.exact = ExactEvmScheme(self.account)
        self.shop.chain.money[self.address] = 100_000_000
        self.heard: dict[str, Any] = {}

    def head(self, demand: Demand, scheme: str = "batch-settlement") -> Head:
        """Sign for a call."""
        offer = next(o for o in self.shop.offers(demand) if o.scheme == scheme)
        made = self.scheme if scheme == "batch-settlement" else self.exact
        self.payload = PaymentPayload(payload=made.create_payment_payload(offer), accepted=offer)
        return Head(encode_payment_signature_header(self.payload).encode())

    def hear(self, headers: Sequence[tuple[bytes, bytes]]) -> SettleResponse:
        """Take PAYMENT-RESPONSE as the client does."""
        ((name, value),) = headers
        assert name == b"payment-response"
        told = decode_payment_response_header(value.decode())
        if self.payload.accepted.scheme == "batch-settlement":
            self.scheme.scheme_hooks.on_payment_response(
                PaymentResponseContext(
                    payment_payload=self.payload,
                    requirements=self.payload.accepted,
                    settle_response=told,
                )
            )
        return told

    def correct(self, required: OfficialRequired) -> None:
        self.scheme.scheme_hooks.on_payment_response(
            PaymentResponseContext(
                payment_payload=self.payload,
                requirements=self.payload.accepted,
                payment_required=required,
            )
        )

    async def begin(
        self, most: int, *, stream: bool = False, scheme: str = "batch-settlement"
    ) -> Call:
        demand = self.shop.demand(most, stream=stream)
        return await self.shop.tender.take(self.head(demand, scheme), demand)

    async def call(self, most: int, cost: int, *, scheme: str = "batch-settlement") -> Call:
        """Make a whole call."""
        call = await self.begin(most, scheme=scheme)
        signed = await self.shop.tender.finish(call, cost, EVIDENCE)
        self.hear(self.shop.tender.headers(call, Outcome.EARNED, signed.cost))
        return call

    @property
    def base(self) -> int:
        kept = list(self.scheme._storage._channels.values())
        return int(kept[0].charged_cumulative_amount or 0) if kept else 0


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    made = Shop(tmp_path / "books.db")
    await made.reopen()
    yield made
    await made.ledger.close()


@pytest.fixture
def payer(shop: Shop) -> Payer:
    return Payer(shop)
