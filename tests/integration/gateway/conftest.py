"""A gateway on a real socket, with small models whose answers and failures a test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import httpx
import openai
import pytest
from tests.integration.upstream import Upstream, running_upstream
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    OPERATOR,
    Books,
    Clock,
    WrittenChain,
    sign,
)

from tessera.errors import TesseraError
from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels, Offer
from tessera.gateway.messages import Limits
from tessera.gateway.paying import Cashier, PaymentTerms
from tessera.gateway.server import GatewayServer
from tessera.payments.callmac import call_key, call_mac
from tessera.payments.header import parse_payment, payment_header
from tessera.payments.key_tender import ApiKeys
from tessera.serving.bodies import TokenLimits
from tessera.serving.metering import score_input, text_units, texts_units
from tessera.serving.runner import (
    ECHO,
    ChatDelta,
    ChatEnd,
    ChatRequest,
    ChatResult,
    Choice,
    ClassifyRequest,
    ClassifyResult,
    EmbeddingsRequest,
    EmbeddingsResult,
    Identity,
    PredictRequest,
    PredictResult,
    RunnerBase,
    ScoreRequest,
    ScoreResult,
    Task,
    Units,
)
from tessera.serving.runners.upstream import UpstreamRunner
from tessera.spec.prices import Price
from tessera.spec.signatures import keccak
from tessera.spec.vouchers import call_digest

ALL_TASKS = frozenset(Task)
PRICE = Price(per_call=100, per_1k_in=1_000, per_1k_out=10_000)


class Parrot(RunnerBase):
    """Repeats what it is told, one word at a time; a word can be an order.

    `[fail]` raises, `[hang]` waits for ever, `[bug]` raises what no runner should, `[slow]` waits
    a little, `[break]` ends the stream without its end, `[freeze]` stops the whole process for
    longer than any limit.
    """

    def __init__(self, name: str = "parrot") -> None:
        super().__init__(name, ALL_TASKS, Identity.HASHED, "repeats what it is told")
        self.closed_streams = 0

    @property
    def follows(self) -> frozenset[str]:
        return frozenset({ECHO})

    async def score_text(self, request: ScoreRequest) -> ScoreResult:
        for word in request.text.split():
            await self._obey(word)
        tokens = tuple(re.findall(r"\s*\S+|\s+$", request.text))
        starts = tuple(accumulate(map(len, tokens), initial=0))[:-1]
        logs = (None, *(-float(len(token)) for token in tokens[1:]))
        return ScoreResult(tokens, starts, logs, Units(score_input(request, len(tokens))))

    async def _obey(self, word: str) -> None:
        if word == "[fail]":
            raise self.failed("was told to fail")
        if word == "[bug]":
            raise RuntimeError("a bug of the runner")
        if word == "[hang]":
            await asyncio.Event().wait()
        if word == "[slow]":
            await asyncio.sleep(0.05)
        if word == "[freeze]":
            time.sleep(2)  # noqa: ASYNC251 - the loop itself stands still

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        for text in request.texts:
            await self._obey(text)
        vectors = [[float(len(text)), 0.5, -1.0] for text in request.texts]
        return EmbeddingsResult(vectors, Units(texts_units(request.texts)))

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        for text in request.texts:
            await self._obey(text)
        scores = [{"loud": float(text.isupper()), "quiet": 0.25} for text in request.texts]
        return ClassifyResult(scores, Units(texts_units(request.texts)))

    async def predict(self, request: PredictRequest) -> PredictResult:
        outputs = [{"cells": len(row)} for row in request.rows]
        return PredictResult(outputs, Units(len(request.rows)))  # type: ignore[arg-type]

    async def chat(self, request: ChatRequest) -> ChatResult:
        text, units, finish = "", Units(), "stop"
        async for piece in self.chat_stream(request):
            units = piece.units
            if isinstance(piece, ChatDelta):
                text += piece.text
            else:
                finish = piece.finish
        return ChatResult((Choice(text, finish),), units)  # type: ignore[arg-type]

    async def chat_stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        taken = sum(text_units(message.content) for message in request.messages)
        said = 0
        try:
            for word in request.messages[-1].content.split():
                if word == "[break]":
                    return
                await self._obey(word)
                if said == request.max_tokens:
                    yield ChatEnd("length", Units(taken, said))
                    return
                said += 1
                yield ChatDelta(word + " ", Units(taken, said))
            yield ChatEnd("stop", Units(taken, said))
        finally:
            self.closed_streams += 1


def offer(slug: str, asset: int, runner: RunnerBase, price: Price = PRICE) -> Offer:
    return Offer(
        slug=slug,
        asset=asset,
        version=3,
        terms=1,
        urn=f"eip155:31337/erc721:0x{'0' * 39}1/{asset}",
        price=price,
        runner=runner,
        owner="publisher",
        limits=TokenLimits(default=16, highest=64),
    )


@dataclass
class Shop:
    """A running gateway, its books and a payer's pen."""

    server: GatewayServer
    books: Books
    parrot: Parrot
    http: httpx.AsyncClient
    limits: Limits
    lines: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url

    def pay(self, channel: int, *lines: tuple[tuple[int, int], int]) -> dict[str, str]:
        """Make the headers of a call that pays up to these maxima."""
        signed = sign(channel, *lines)  # type: ignore[arg-type]
        return {"tessera-payment": payment_header(signed), "tessera-call": secrets.token_hex(16)}

    async def post(self, path: str, body: object, headers: dict[str, str]) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def charged(self, channel: int) -> dict[tuple[int, int], int]:
        account = await self.books.ledger.account(channel)
        assert account is not None
        return {tuple(key): line.charged for key, line in account.lines.items()}

    async def restart(self) -> None:
        """Begin anew on the same books, as after a crash, at the same address."""
        host, port = self.server.host, self.server.port
        await self.server.stop()
        await self.books.reopen()
        gateway = make_gateway(self.books, self.parrot, self.limits)
        self.server = GatewayServer(gateway, host=host, port=port, drain_s=1)
        await self.server.start()

    async def idle(self) -> None:
        """Wait until no call is in flight."""
        while self.books.ledger.in_flight:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.005)


PARROT, FREE = (7, 1), (9, 1)
TERMS = PaymentTerms(
    domain=DOMAIN,
    operator=OPERATOR.address,
    operator_key=OPERATOR.public_key,
    currency=OPERATOR.address,
    decimals=6,
    symbol="TUSD",
    withdraw_delay_s=3_600,
)


CALL_KEY = call_key(
    DOMAIN, CONSUMER, OPERATOR.public_key, signer=CONSUMER.address, operator=OPERATOR.address
)


def sign_call(headers: dict[str, str], body: bytes) -> str:
    """Sign a request as the payer of the channel that its voucher names."""
    channel = parse_payment(headers["tessera-payment"]).voucher.channel
    call = bytes.fromhex(headers["tessera-call"])
    return "0x" + CONSUMER.sign(call_digest(DOMAIN, channel, call, keccak(body))).hex()


def code_of_call(headers: dict[str, str], body: bytes) -> str:
    """Vouch for a request as the same payer, by the key that he shares with the operator."""
    channel = parse_payment(headers["tessera-payment"]).voucher.channel
    return call_mac(CALL_KEY, channel, headers["tessera-call"], keccak(body)).hex()


async def vouch(request: httpx.Request) -> None:
    """Vouch for every paid request for which a test did not otherwise."""
    if request.headers.keys() & {"tessera-call-mac", "tessera-call-signature"}:
        return
    with contextlib.suppress(KeyError, TesseraError):
        headers = dict(request.headers)
        request.headers["tessera-call-mac"] = code_of_call(headers, request.content)


def make_gateway(books: Books, parrot: Parrot, limits: Limits) -> Gateway:
    books.known |= {PARROT, FREE}  # type: ignore[arg-type]
    models: Sequence[Offer] = [
        offer("parrot", 7, parrot),
        offer("free-parrot", 9, Parrot("free-parrot"), Price()),
    ]
    keys = ApiKeys(books.ledger, OPERATOR.public_key, books.margin_s)
    cashier = Cashier(books.ledger, TERMS, tenders=[keys])
    return Gateway(ListedModels(models), cashier, books.clock, limits)


NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What a client of plain HTTP needs of TLS; left alone it reads every authority's certificate."""


def talking_to(server: GatewayServer) -> httpx.AsyncClient:
    """Open a client of a gateway that vouches for its paid requests."""
    return httpx.AsyncClient(
        base_url=server.url,
        timeout=60,
        event_hooks={"request": [vouch]},
        verify=NO_AUTHORITIES,
    )


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    books = Books(tmp_path / "books.db", WrittenChain(), Clock())
    await books.reopen()
    parrot = Parrot()
    limits = Limits(
        body_bytes=20_000,
        read_timeout_s=0.5,
        write_timeout_s=0.5,
        answer_timeout_s=1.0,
        silence_s=0.5,
    )
    server = GatewayServer(make_gateway(books, parrot, limits), drain_s=1)
    await server.start()
    async with talking_to(server) as http:
        made = Shop(server, books, parrot, http, limits)
        yield made
    await made.server.stop()
    await books.ledger.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as behaviour:
        yield behaviour


@pytest.fixture
async def client(tmp_path: Path, upstream: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    books = Books(tmp_path / "books.db", WrittenChain(), Clock())
    await books.reopen()
    tiny = UpstreamRunner("tiny", upstream.url, "tiny", frozenset({Task.CHAT}))
    models = [offer("tiny", 9, tiny, Price()), offer("parrot", 7, Parrot(), Price())]
    gateway = Gateway(ListedModels(models), Cashier(books.ledger, TERMS), books.clock)
    server = GatewayServer(gateway, drain_s=1)
    await server.start()
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="none", max_retries=0
    ) as made:
        yield made
    await server.stop()
    await tiny.close()
    await books.ledger.close()
