"""A chain whose channels a test writes down, and an operator's ledger on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tessera.payments.callers import SignedRequest
from tessera.payments.ledger import Call, Evidence, Ledger, Quote
from tessera.payments.ports import ChannelView, SettleResult
from tessera.spec.channels import ChannelsModel, Grant
from tessera.spec.signatures import Address, Domain, Signer, keccak
from tessera.spec.vouchers import Line, SignedVoucher, TillKey, Voucher, call_digest, voucher_digest

DOMAIN = Domain(31_337, Address(keccak(b"channels")[12:]))
OPERATOR = Signer(keccak(b"operator"))
CONSUMER = Signer(keccak(b"consumer"))
STRANGER = Signer(keccak(b"stranger"))
KEY = TillKey(7, 1)
OTHER = TillKey(9, 2)
EVIDENCE = Evidence(keccak(b"request"), keccak(b"response"), 12)
NOW = 1_800_000_000
DELAY = 3_600


class WrittenChain:
    """The twin of Channels behind the port of an operator."""

    def __init__(self) -> None:
        self.model = ChannelsModel(DOMAIN, withdraw_delay=DELAY)
        self.now = NOW
        self.reads = 0
        self.flushed: list[int] = []
        self.settle_fails: list[Exception] = []

    def open(
        self,
        deposit: int = 10_000,
        *,
        signer: Signer = CONSUMER,
        payer: Signer = CONSUMER,
        salt: int = 0,
        grants: Sequence[Grant] = (),
    ) -> int:
        return self.model.open(
            payer.address,
            OPERATOR.address,
            salt.to_bytes(32, "big"),
            deposit,
            signer.address,
            grants,
        )

    async def read_channel(self, channel: int, keys: Sequence[TillKey]) -> ChannelView | None:
        self.reads += 1
        await asyncio.sleep(0)
        state = self.model.channels.get((OPERATOR.address, channel))
        if state is None:
            return None
        lines = {key: self.model.line_of(OPERATOR.address, channel, *key) for key in keys}
        return ChannelView(
            state.payer,
            state.signer,
            state.restricted,
            state.balance,
            state.available_at,
            {key: type(line)(line.charged, line.cap, line.expires) for key, line in lines.items()},
        )

    async def settle(self, tills: Sequence[TillKey], words: Sequence[int]) -> SettleResult:
        if self.settle_fails:
            raise self.settle_fails.pop(0)
        done = self.model.settle(OPERATOR.address, tills, words, self.now)
        name = "0x" + keccak(repr((tills, words)).encode()).hex()
        assets = tuple(sorted({key.asset for key in done.sums}))
        return SettleResult(name, 1, done.total, tuple(done.skipped), assets)

    async def flush(self, asset: int) -> str:
        self.flushed.append(asset)
        return "0x"


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Books:
    """An operator with its ledger; `reopen` is what a restart does. A URL is of shared books."""

    path: Path | str
    chain: WrittenChain
    clock: Clock = field(default_factory=Clock)
    known: set[TillKey] = field(default_factory=lambda: {KEY, OTHER})
    ledger: Ledger = None  # type: ignore[assignment]
    margin_s: float = 600.0
    reap_s: float = 5.0

    async def reopen(self) -> Ledger:
        if self.ledger is not None:
            await self.ledger.close()
        if isinstance(self.path, str):
            self.ledger = await Ledger.open_shared(
                self.path,
                DOMAIN,
                OPERATOR,
                self.chain,
                self.clock,
                knows=self.known.__contains__,
                margin_s=self.margin_s,
                steady=self.clock,
                reap_s=self.reap_s,
            )
            return self.ledger
        self.ledger = await Ledger.open(
            self.path,
            DOMAIN,
            OPERATOR,
            self.chain,
            self.clock,
            knows=self.known.__contains__,
            margin_s=self.margin_s,
            steady=self.clock,
        )
        return self.ledger

    async def accept(
        self, signed: SignedVoucher, quoted: Quote, name: str, *, signer: Signer = CONSUMER
    ) -> Call:
        """Ask the ledger as a consumer does who signs the request as well."""
        return await self.ledger.accept(
            signed, quoted, request(signed.voucher.channel, name, signer=signer)
        )


@pytest.fixture
def chain() -> WrittenChain:
    return WrittenChain()


@pytest.fixture
async def books(tmp_path: Path, chain: WrittenChain) -> AsyncIterator[Books]:
    made = Books(tmp_path / "books.db", chain)
    await made.reopen()
    yield made
    await made.ledger.close()


def sign(
    channel: int,
    *lines: tuple[TillKey, int],
    signer: Signer = CONSUMER,
    domain: Domain = DOMAIN,
) -> SignedVoucher:
    voucher = Voucher(channel, tuple(Line(*key, maximum) for key, maximum in sorted(lines)))
    digest = voucher_digest(domain, channel, voucher.lines)
    return SignedVoucher(voucher, signer.sign(digest))


def request(channel: int, name: str, *, signer: Signer = CONSUMER) -> SignedRequest:
    digest = call_digest(DOMAIN, channel, bytes.fromhex(name), EVIDENCE.request)
    return SignedRequest(name, EVIDENCE.request, signer.sign(digest))


def quote(maximum: int, key: TillKey = KEY) -> Quote:
    return Quote(key, version=1, identity=1, maximum=maximum)


@pytest.fixture
def name() -> Callable[[], str]:
    count = iter(range(10**9))
    return lambda: f"{next(count):032x}"
