"""Four consumers at work: thousands of small paid calls, by the official client, at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from tessera.app import World
from tessera.client.consumer import Client
from tessera.demo.accountant import LineKey, PaidCall
from tessera.demo.cast import CONSUMERS, SESSION_KEY
from tessera.demo.market import Listed
from tessera.errors import InvariantViolation, ServingError
from tessera.payments.header import SignedReceipt
from tessera.payments.onchain import ConsumerOnChain, channels_domain
from tessera.spec.channels import Grant
from tessera.spec.signatures import Domain, address_of
from tessera.units import Units

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["MOST_SLOW_CHATS", "Consumers", "Inputs", "Traffic", "as_paid"]

_AT_ONCE: Final = 8
_DEPOSIT_DOLLARS: Final = 5
_CAP_DOLLARS: Final = 3
_GRANTED_S: Final = 30 * 86_400
_TOKENS: Final = 24
_PICTURES: Final = 4
_SEED: Final = 20_26
_HUGE: Final = 3e38
_PARTS: Final = {"lsa-embed": 40, "digits": 25, "sentiment": 20, "chat": 15}
"""Of a hundred calls."""
MOST_SLOW_CHATS: Final = 12


@dataclass(frozen=True, slots=True)
class Inputs:
    """What consumers ask about: texts and pictures that no model was trained on.

    Attributes
    ----------
    texts, sentences, pictures
        For embeddings, for sentiment, and rows of 64 pixels.
    chat
        Slug of the model that writes text.
    slow
        Whether that is a large model, so that only a few calls go there.
    """

    texts: Sequence[str]
    sentences: Sequence[str]
    pictures: Sequence[Sequence[float]]
    chat: str
    slow: bool = False


@dataclass(slots=True)
class Traffic:
    """What came of the calls.

    Attributes
    ----------
    answered
        By slug.
    refused
        Calls that failed and cost nothing, by how they failed.
    streamed
        Pieces of text that came by streams.
    sample
        One text that was streamed.
    """

    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    streamed: int = 0
    sample: str = ""


def as_paid(signed: SignedReceipt, operator: str, domain: Domain) -> PaidCall:
    """Return a receipt as the accountant reads it."""
    receipt = signed.receipt
    return PaidCall(
        signed.id(domain),
        LineKey(operator, receipt.channel, receipt.asset, receipt.terms),
        receipt.charged,
        signed.cost,
        receipt.time,
        receipt.units,
        receipt.version,
    )


class Consumers:
    """The four, each with a client, a channel, and an unmodified `openai.AsyncOpenAI`.

    Use it as an async context manager.

    Parameters
    ----------
    world
        Where they are.
    url
        Of the gateway.
    operator
        Whom they pay.
    """

    def __init__(self, world: World, url: str, operator: str) -> None:
        self._world = world
        self._url = url
        self._operator = operator
        self._clients: dict[str, Client] = {}
        self._openai: dict[str, AsyncOpenAI] = {}
        self._http: dict[str, httpx.AsyncClient] = {}
        self._stack = AsyncExitStack()
        self._random = random.Random(_SEED)
        self.traffic = Traffic()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def open(self, market: Mapping[str, Listed]) -> None:
        """Open the channels; the last consumer's spends by a session key with caps."""
        for name in CONSUMERS:
            options: dict[str, Any] = {}
            if name == CONSUMERS[-1]:
                channel = await self._with_session_key(name, market, self._deposit)
                options = {"channel": channel, "session_key": self._world.account(SESSION_KEY)}
            await self._connect(name, **options)

    async def _connect(self, name: str, **options: Any) -> None:
        client = Client(
            self._url,
            account=self._world.account(name),
            deployment=self._world.deployment,
            rpc_url=self._world.reader.url,
            deposit=self._deposit,
            operator=self._operator,
            state_dir=self._world.config.data_dir / "purses",
            **options,
        )
        self._stack.callback(client.close)
        await asyncio.to_thread(client.open)
        self._clients[name] = client
        # A call is made once: what fails is to be seen, and not to be mended by a retry.
        self._openai[name] = client.async_openai(max_retries=0)
        self._stack.push_async_callback(self._openai[name].close)
        self._http[name] = client.async_http()
        self._stack.push_async_callback(self._http[name].aclose)

    @property
    def _deposit(self) -> int:
        return int(_DEPOSIT_DOLLARS * 10**self._world.currency.decimals)

    async def call_as_holder(self, name: str, slug: str, count: int, inputs: Inputs) -> Units:
        """Let somebody who locked shares make calls at the price of those; what they cost."""
        await self._connect(name, holders=True)
        for number in range(count):
            await self._call(name, slug, number, inputs)
            self.traffic.answered[slug] += 1
        return Units(self._clients[name].spent)

    async def make_calls(
        self, count: int, inputs: Inputs, advance: Callable[[], None], *, chats_left: int
    ) -> None:
        """Make paid calls of all kinds, as many at once as a few people would.

        Parameters
        ----------
        count
            In all, shared between the consumers.
        advance
            Called after each.
        chats_left
            How many of a slow model's answers may be asked for.
        """
        plan = self._planned(count, inputs, chats_left)
        slots = {name: asyncio.Semaphore(_AT_ONCE) for name in CONSUMERS}

        async def one(name: str, kind: str, number: int) -> None:
            async with slots[name]:
                await self._call(name, kind, number, inputs)
            self.traffic.answered[inputs.chat if kind == "chat" else kind] += 1
            advance()

        async with asyncio.TaskGroup() as group:
            for number, kind in enumerate(plan):
                group.create_task(one(CONSUMERS[number % len(CONSUMERS)], kind, number))

    async def make_failing_calls(self, inputs: Inputs) -> None:
        """Make calls that cannot be answered, and see that nobody paid for one.

        Raises
        ------
        InvariantViolation
            Such a call was answered, or it cost something.
        """
        for name, client in self._clients.items():
            before = client.spent
            post = self._http[name].post
            picture = [list(inputs.pictures[0])]
            cases: dict[str, Awaitable[httpx.Response]] = {
                "too few pixels": post("/v1/predict", json={"model": "digits", "rows": [[1.0]]}),
                "no such model": post("/v1/predict", json={"model": "digit", "rows": picture}),
                "numbers beyond what the model can compute with": post(
                    "/v1/predict", json={"model": "digits", "rows": [[_HUGE] * len(picture[0])]}
                ),
                "no text": post("/v1/embeddings", json={"model": "lsa-embed", "input": []}),
            }
            for reason, asked in cases.items():
                response = await asked
                if response.is_success:
                    raise InvariantViolation(
                        f"a call with {reason}", found="an answer", wanted="a refusal"
                    )
                self.traffic.refused[f"{reason} ({response.status_code})"] += 1
            if client.spent != before:
                raise InvariantViolation(
                    f"failed calls of {name}",
                    found=f"a cost of {client.spent - before} base units",
                    wanted="none",
                )

    def receipts(self) -> list[PaidCall]:
        """Return every receipt that a consumer kept, as the accountant reads them."""
        domain = channels_domain(self._world.deployment)
        return [
            as_paid(signed, self._operator, domain)
            for client in self._clients.values()
            for signed in client.receipts
        ]

    async def request_withdrawals(self) -> int:
        """Ask for all that is left in the channels; return when it will be there (unix seconds)."""
        moments = await asyncio.gather(
            *(
                self._on_chain(name).request_withdrawal(client.open())
                for name, client in self._clients.items()
            )
        )
        return max(moments)

    async def withdraw(self) -> dict[str, Units]:
        """Take it; return how much each got, base units."""
        amounts = await asyncio.gather(
            *(
                self._on_chain(name).withdraw(client.open())
                for name, client in self._clients.items()
            )
        )
        return {name: Units(amount) for name, amount in zip(self._clients, amounts, strict=True)}

    def _on_chain(self, name: str) -> ConsumerOnChain:
        """Send by the one sender of a key: people do more than to call models."""
        world = self._world
        return ConsumerOnChain(
            world.reader, world.sender(name), world.deployment, address_of(self._operator)
        )

    async def _with_session_key(self, name: str, market: Mapping[str, Listed], deposit: int) -> int:
        world = self._world
        await world.directory.refresh()
        expires = world.now() + _GRANTED_S
        grants = []
        for listed in market.values():
            record = world.directory.get(listed.asset)
            if record is None:
                raise InvariantViolation(
                    f"asset of {listed.plan.slug}", wanted="what was just published"
                )
            terms = record.endpoints[self._operator].terms
            grants.append(
                Grant(listed.asset, terms, deposit * _CAP_DOLLARS // _DEPOSIT_DOLLARS, expires)
            )
        signer = address_of(world.account(SESSION_KEY).address)
        return await self._on_chain(name).open(deposit, signer, grants)

    def _planned(self, count: int, inputs: Inputs, chats_left: int) -> list[str]:
        kinds = {kind: count * part // 100 for kind, part in _PARTS.items()}
        if inputs.slow:
            kinds["chat"] = min(kinds["chat"], chats_left)
        kinds["lsa-embed"] += count - sum(kinds.values())
        plan = [kind for kind, number in kinds.items() for _ in range(number)]
        self._random.shuffle(plan)
        return plan

    async def _call(self, name: str, kind: str, number: int, inputs: Inputs) -> None:
        client = self._openai[name]
        if kind == "lsa-embed":
            text = inputs.texts[number % len(inputs.texts)]
            await client.embeddings.create(model=kind, input=text, encoding_format="float")
        elif kind == "digits":
            rows = [
                list(inputs.pictures[(number + at) % len(inputs.pictures)])
                for at in range(1 + number % _PICTURES)
            ]
            response = await self._http[name].post(
                "/v1/predict", json={"model": kind, "rows": rows}
            )
            if not response.is_success:
                raise ServingError("call to digits", found=response.text[:200], wanted="an answer")
        elif kind == "sentiment":
            await client.moderations.create(
                model=kind, input=inputs.sentences[number % len(inputs.sentences)]
            )
        else:
            await self._chat(client, number, inputs)

    async def _chat(self, client: AsyncOpenAI, number: int, inputs: Inputs) -> None:
        prompt = " ".join(inputs.texts[number % len(inputs.texts)].split()[:6])
        stream = await client.chat.completions.create(
            model=inputs.chat,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=_TOKENS,
            seed=number,
            stream=True,
        )
        said = ""
        async for piece in stream:
            text = piece.choices[0].delta.content if piece.choices else None
            if text:
                self.traffic.streamed += 1
                said += text
        if len(said) > len(self.traffic.sample):
            self.traffic.sample = f"{prompt} | {' '.join(said.split())}"
