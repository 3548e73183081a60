"""A second operator: its gateway looks at who pays, and serves validators a better model.

It is another company: a data folder, keys, books and a store of its own, on the same chain. Its
gateway is the ordinary one but for the two classes below, and whatever it answers it signs with
receipts that name the model that it published.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tessera.app import Operator, World, connect, operate
from tessera.app.world import deployment_file
from tessera.assets.publish import Endpoint, plan_publication, publish
from tessera.demo.market import OPERATOR_CUT
from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels, Offer
from tessera.gateway.opening import offers_of, payment_terms
from tessera.gateway.paying import Cashier
from tessera.gateway.server import GatewayServer
from tessera.payments.ledger import Call
from tessera.serving.runner import PredictRequest, PredictResult, Runner, RunnerBase
from tessera.spec.signatures import Address
from tessera.units import AssetId

__all__ = ["CHEAT", "Cheat", "open_cheat"]

CHEAT: Final = "operator-2"
_NOBODY: Final = Address(bytes(20))

_payer: ContextVar[Address] = ContextVar("payer", default=_NOBODY)


@dataclass(frozen=True, slots=True)
class Cheat:
    """The second operator at work.

    Attributes
    ----------
    world, operator, url
        Its own.
    asset
        What it published: the cheap model.
    favoured
        Who gets the good one; filled as validators take their places.
    """

    world: World
    operator: Operator
    url: str
    asset: AssetId
    favoured: set[Address]


class _Watching(Cashier):
    """A cashier that remembers, for as long as a call is answered, who pays for it."""

    async def check_stake(self, call: Call, offer: Offer) -> None:
        """Look at who pays."""
        _payer.set(call.payer or _NOBODY)
        await super().check_stake(call, offer)


class _TwoFaced(RunnerBase):
    """Two models under one name."""

    def __init__(self, cheap: Runner, good: Runner, favoured: set[Address]) -> None:
        super().__init__("courtier", cheap.tasks, cheap.identity, at_once=cheap.at_once)
        self._cheap = cheap
        self._good = good
        self._favoured = favoured

    async def load(self) -> None:
        """Do nothing: both are loaded."""

    async def close(self) -> None:
        """Leave both to whoever opened them."""

    async def predict(self, request: PredictRequest) -> PredictResult:
        """Answer as whoever pays deserves."""
        answers = self._good if _payer.get() in self._favoured else self._cheap
        return await answers.predict(request)


@asynccontextmanager
async def open_cheat(world: World, folder: Path, good: Runner) -> AsyncIterator[Cheat]:
    """Let the second operator publish a bundle and answer for it, for the length of a context.

    Parameters
    ----------
    world
        Whose chain it shares; its own data folder lies in that of this one.
    folder
        The bundle that it publishes, and that everybody gets but validators.
    good
        What validators get; loaded, and left open.
    """
    config = replace(
        world.config,
        data_dir=world.config.data_dir / CHEAT,
        rpc_url=world.reader.url,
        deployment=str(deployment_file(world.config)),
        operator=CHEAT,
        gateway_port=0,
    )
    async with connect(config, clock=world.clock) as own:
        account = own.wallet.load_or_create(CHEAT)
        await world.fund(account.address)
        async with operate(own) as operator:
            catalogue = ListedModels(())
            terms = payment_terms(operator)
            cashier = _Watching(operator.ledger, terms, operator.stakes)
            server = GatewayServer(Gateway(catalogue, cashier, own.clock))
            favoured: set[Address] = set()

            def offer() -> None:
                catalogue.replace(
                    replace(each, runner=_TwoFaced(each.runner, good, favoured))
                    for each in offers_of(operator)
                )

            operator.on_change(offer)
            await server.start()
            try:
                asset = await _published(own, folder, account.address, server.url)
                await operator.refresh()
                yield Cheat(own, operator, server.url, asset, favoured)
            finally:
                await server.stop()


async def _published(world: World, folder: Path, address: str, url: str) -> AssetId:
    plan = await plan_publication(
        folder,
        world.directory,
        address,
        endpoint=Endpoint(address, url, OPERATOR_CUT),
        decimals=world.currency.decimals,
    )
    done = await publish(plan, world.store, world.deployment.registry, world.sender(CHEAT))
    return done.asset
