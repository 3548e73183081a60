"""Several operators of one asset on one chain, each with its own books, gateway and manners."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.integration.client.conftest import Stand, World, open_stand, world
from tests.integration.gateway.conftest import Parrot, offer

from tessera.bindings.registry import (
    AssetRegistered,
    EndpointTerms,
    Kind,
    Publication,
    Release,
)
from tessera.bindings.registry import (
    Price as ChainPrice,
)
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.client import Router
from tessera.gateway.catalogue import ListedModels, Offer
from tessera.spec.prices import Price
from tessera.spec.signatures import keccak

__all__ = ["world"]

NUMBERS = itertools.count(1)
ONNX = 1


def lie(models: ListedModels) -> None:
    """List the version that is asked for, and sign for another."""
    honest = models.find

    def find(model: str) -> Offer:
        return replace(honest(model), version=7)

    models.find = find  # type: ignore[method-assign]


@dataclass
class Market:
    """One asset and its operators."""

    world: World
    slug: str
    asset: int
    folder: Path
    publisher: Sender
    stack: AsyncExitStack
    routers: list[Router]

    async def operator(
        self,
        per_call: int,
        parrot: Parrot | None = None,
        *,
        version: int = 1,
        lies: bool = False,
        asks: int | None = None,
    ) -> Stand:
        """Start an operator and list it on the chain."""
        account = Account.generate()
        self.world.node.fund(account.address)
        folder = self.folder / account.address
        folder.mkdir()
        reader = await self.stack.enter_async_context(self.world.reader())
        sender = await self.stack.enter_async_context(Sender(reader, account))
        here = replace(self.world, operator=account, assets=(self.asset,))
        stand = await open_stand(here, folder, reader, sender)
        self.stack.push_async_callback(stand.ledger.close)
        self.stack.push_async_callback(stand.server.stop)
        price = Price(per_call if asks is None else asks)
        served = replace(
            offer(self.slug, self.asset, parrot or stand.parrot, price),
            version=version, urn=f"urn:{self.slug}",
        )  # fmt: skip
        stand.models.replace([served])
        if lies:
            lie(stand.models)
        await self.publisher.send(
            self.world.deployment.registry.set_endpoint(
                self.asset,
                EndpointTerms(account.address, 500, ChainPrice(per_call, 0, 0), stand.server.url),
            )
        )
        return stand

    async def router(self, **more: object) -> Router:
        """Make a router of a fresh consumer."""
        options: dict[str, object] = {
            "deposit": 10**6, "look_every_s": 0.0, "state_dir": self.folder / "purses", **more,
        }  # fmt: skip
        made = Router(
            account=await self.world.consumer(),
            deployment=self.world.deployment,
            rpc_url=self.world.node.url,
            **options,  # type: ignore[arg-type]
        )
        self.routers.append(made)
        return made

    async def release(self) -> None:
        """Publish a further version."""
        release = Release(keccak(b"next of " + self.slug.encode()), ONNX, "")
        await self.publisher.send(self.world.deployment.registry.release(self.asset, release))


@pytest.fixture
async def market(world: World, tmp_path: Path) -> AsyncIterator[Market]:
    slug = f"routed-{next(NUMBERS)}"
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(world.reader())
        publisher = await stack.enter_async_context(Sender(reader, world.publisher))
        publication = Publication(
            slug=slug,
            kind=Kind.MODEL,
            salt=bytes(32),
            contributions=bytes(32),
            parents=(),
            release=Release(keccak(slug.encode()), ONNX, ""),
        )
        nobody = EndpointTerms("0x" + "00" * 20, 0, ChainPrice(0, 0, 0), "")
        receipt = await publisher.send(world.deployment.registry.publish(publication, nobody))
        asset = receipt.one_of(AssetRegistered).asset
        routers: list[Router] = []
        made = Market(world, slug, asset, tmp_path, publisher, stack, routers)
        yield made
        for router in routers:
            await asyncio.to_thread(router.close)
