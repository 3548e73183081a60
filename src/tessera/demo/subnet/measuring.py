"""Validators at work: paid calls, by a key that everybody knows and by one that nobody knows."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Final, Self

import httpx

from tessera.app import World
from tessera.client.consumer import Client
from tessera.client.gateway import ModelCard
from tessera.demo.accountant import PaidCall
from tessera.demo.subnet.cast import LAZY, STRANGERS, VALIDATORS
from tessera.demo.traffic import paid_calls
from tessera.payments.onchain import ConsumerOnChain, channels_domain
from tessera.spec.signatures import address_of, keccak
from tessera.units import AssetId, Units
from tessera.validation.draw import Draw
from tessera.validation.endpoints import PaidEndpoint
from tessera.validation.favour import Favour, deal, favoured
from tessera.validation.report import ModelName, build_report
from tessera.validation.running import Limits, items_to_ask, run
from tessera.validation.task import Benchmark
from tessera.validation.weights import merit, row_of

__all__ = ["Candidate", "Found", "Measuring"]

_ITEMS: Final = 64
"""Of each model in an epoch: half of them by each key."""

_LAZY_ITEMS: Final = 8
_AT_ONCE: Final = 8
_DEPOSIT_DOLLARS: Final = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of the subnet.

    Attributes
    ----------
    slug, uid, asset, root
        Its name, its place, and the content root of its version.
    operator, url
        Who answers for it, and where.
    """

    slug: str
    uid: int
    asset: AssetId
    root: bytes
    operator: str
    url: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a validator found of a model in an epoch.

    Attributes
    ----------
    score
        Of all its calls; of those by the unknown key where the model favours validators.
    favour
        The comparison of both keys; None where only one asked.
    calls, cost
        How many, and what they cost, base units.
    """

    score: float
    favour: Favour | None
    calls: int
    cost: int

    @property
    def accused(self) -> bool:
        """Whether the model answers better for validators."""
        return self.favour is not None and self.favour.accused

    def merit(self, chance: float) -> Fraction:
        """What it weighs: how far it is above a guess, and nothing where it cheats."""
        return Fraction(0) if self.accused else merit(self.score, chance)


@dataclass
class Measuring:
    """All validators' clients, one per key and gateway; an async context manager."""

    world: World
    task: Benchmark
    candidates: Sequence[Candidate]
    found: dict[int, dict[str, dict[str, Found]]] = field(default_factory=dict)
    _clients: dict[tuple[str, str], Client] = field(default_factory=dict)
    _http: dict[tuple[str, str], httpx.AsyncClient] = field(default_factory=dict)
    _cards: dict[str, ModelCard] = field(default_factory=dict)
    _channels: dict[tuple[str, str], int] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def open(self) -> int:
        """Open a channel for each key and gateway; how many."""
        gateways = {each.operator: each.url for each in self.candidates}
        for operator, url in gateways.items():
            for name in (*VALIDATORS, *STRANGERS.values()):
                await self._connect(name, operator, url)
        return len(self._clients)

    async def measure(self, epoch: int, names: Sequence[str]) -> Mapping[str, dict[str, Found]]:
        """Let validators measure all models in an epoch; what each found, by slug."""
        seed = keccak(b"epoch" + epoch.to_bytes(8, "big"))
        found = await asyncio.gather(*(self._measured(name, seed) for name in names))
        self.found[epoch] = dict(zip(names, found, strict=True))
        return self.found[epoch]

    def row(self, epoch: int, name: str) -> tuple[tuple[int, int], ...]:
        """Return the row of weights that a validator gives."""
        found = self.found[epoch][name]
        chance = self.task.chance
        return row_of([(each.uid, found[each.slug].merit(chance)) for each in self.candidates])

    def receipts(self) -> list[PaidCall]:
        """Return every receipt of every key, as the accountant reads them."""
        domain = channels_domain(self.world.deployment)
        return [
            call
            for (_, operator), client in self._clients.items()
            for call in paid_calls(client, operator, domain)
        ]

    async def request_withdrawals(self) -> int:
        """Ask for all that is left in the channels; when it will be there, unix seconds."""
        return max(
            await asyncio.gather(
                *(
                    self._on_chain(name, operator).request_withdrawal(number)
                    for (name, operator), number in self._channels.items()
                )
            )
        )

    async def withdraw(self) -> Units:
        """Take it; base units in all."""
        amounts = await asyncio.gather(
            *(
                self._on_chain(name, operator).withdraw(number)
                for (name, operator), number in self._channels.items()
            )
        )
        return Units(sum(amounts))

    async def _connect(self, name: str, operator: str, url: str) -> None:
        world, key = self.world, (name, operator)
        account = world.account(name)
        deposit = _DEPOSIT_DOLLARS * 10**world.currency.decimals
        signer = address_of(account.address)
        self._channels[key] = await self._on_chain(name, operator).open(deposit, signer)
        client = Client(
            url,
            account=account,
            deployment=world.deployment,
            rpc_url=world.reader.url,
            deposit=deposit,
            operator=operator,
            channel=self._channels[key],
            state_dir=world.config.data_dir / "purses",
        )
        self._stack.callback(client.close)
        cards = await asyncio.to_thread(client.models)
        self._cards |= {card.id: card for card in cards}
        self._clients[key] = client
        self._http[key] = client.async_http()
        self._stack.push_async_callback(self._http[key].aclose)

    async def _measured(self, name: str, seed: bytes) -> dict[str, Found]:
        return {each.slug: await self._one(name, each, seed) for each in self.candidates}

    async def _one(self, name: str, model: Candidate, seed: bytes) -> Found:
        who = address_of(self.world.account(name).address)
        if name == LAZY:
            # Few items, and only by the key that everybody knows.
            draw = Draw(seed, model.root, who, _LAZY_ITEMS)
            scores, cost = await self._asked(name, model, items_to_ask(self.task, draw))
            return Found(sum(scores) / len(scores), None, len(scores), cost)
        numbers = items_to_ask(self.task, Draw(seed, model.root, who, _ITEMS))
        # Nobody is told the seed before all were asked.
        by_known, by_unknown = deal(numbers, secrets.randbits(64))
        (known, paid), (unknown, paid_too) = await asyncio.gather(
            self._asked(name, model, by_known), self._asked(STRANGERS[name], model, by_unknown)
        )
        favour = favoured(known, unknown)
        counted = unknown if favour.accused else [*known, *unknown]
        return Found(
            sum(counted) / len(counted), favour, len(known) + len(unknown), paid + paid_too
        )

    async def _asked(
        self, name: str, model: Candidate, numbers: Sequence[int]
    ) -> tuple[list[float], int]:
        endpoint = PaidEndpoint(
            self._http[name, model.operator],
            self._cards[model.slug],
            channels_domain(self.world.deployment),
        )
        finished = await run(
            self.task, numbers, endpoint, about=model.slug, limits=Limits(_AT_ONCE)
        )
        report = await build_report(self.task, ModelName(model.slug), finished.measured)
        return [item["score"] for item in report["items"]], finished.cost

    def _on_chain(self, name: str, operator: str) -> ConsumerOnChain:
        world = self.world
        return ConsumerOnChain(
            world.reader, world.sender(name), world.deployment, address_of(operator)
        )
