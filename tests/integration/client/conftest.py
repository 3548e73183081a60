"""A real chain with the real contracts, an operator with a gateway, and consumers with money."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.chain_client.bare_node import CHAIN_ID, BareNode
from tests.integration.gateway.conftest import PRICE, Parrot, offer

from tessera.bindings import Channels, TestDollar
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
from tessera.chain.deploy import deploy
from tessera.chain.deployments import Deployment, Parameters
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.client import Client
from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels, Offer
from tessera.gateway.messages import Limits
from tessera.gateway.paying import Cashier, PaymentTerms
from tessera.gateway.server import GatewayServer
from tessera.payments.ledger import Ledger
from tessera.payments.onchain import AccountSigner, OperatorOnChain, channels_domain
from tessera.payments.onchain_orders import OrdersOnChain
from tessera.payments.proving import OrderProver
from tessera.payments.risk import GasPrice, RiskRules
from tessera.payments.settle import Follow, Settler
from tessera.payments.settling import Settlements
from tessera.spec.prices import Price
from tessera.spec.signatures import address_of, keccak

DELAY_S = 600
ASSETS = 3


@dataclass(frozen=True)
class World:
    """What is on the chain."""

    node: BareNode
    deployment: Deployment
    operator: Account
    publisher: Account
    assets: tuple[int, ...]

    @property
    def channels(self) -> Channels:
        return self.deployment.channels

    @property
    def dollar(self) -> TestDollar:
        return self.deployment.currency

    def reader(self) -> ChainReader:
        return ChainReader(self.node.url, chain_id=CHAIN_ID)

    async def consumer(self, dollars: int = 10**9) -> Account:
        account = Account.generate()
        self.node.fund(account.address)
        async with self.reader() as reader, Sender(reader, account) as sender:
            await sender.send(self.dollar.faucet(dollars))
        return account


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("chain")
    node = BareNode.start(home)
    try:
        yield asyncio.run(built(node, home))
    finally:
        node.end()


async def built(node: BareNode, home: Path, **windows: int) -> World:
    """Deploy everything and publish; `windows` are parameters of the deployment."""
    publisher, operator = Account.generate(), Account.generate()
    for account in (publisher, operator):
        node.fund(account.address)
    async with (
        ChainReader(node.url, chain_id=CHAIN_ID) as reader,
        Sender(reader, publisher) as sender,
    ):
        commons = Account.generate().address
        parameters = Parameters(
            owner=publisher.address, commons=commons, withdraw_delay_s=DELAY_S, **windows
        )
        deployment = await deploy(sender, parameters, home / "deployment.json")
        assets = []
        for number in range(ASSETS):
            publication = Publication(
                slug=f"parrot-{number}",
                kind=Kind.MODEL,
                salt=bytes(32),
                contributions=bytes(32),
                parents=(),
                release=Release(keccak(b"bundle %d" % number), 1, ""),
            )
            price = ChainPrice(PRICE.per_call, PRICE.per_1k_in, PRICE.per_1k_out)
            terms = EndpointTerms(operator.address, 1_000, price, "")
            receipt = await sender.send(deployment.registry.publish(publication, terms))
            assets.append(receipt.one_of(AssetRegistered).asset)
    return World(node, deployment, operator, publisher, tuple(assets))


def make_offers(world: World, parrot: Parrot, price: Price = PRICE) -> list[Offer]:
    return [
        offer(f"parrot-{number}" if number else "parrot", asset, parrot, price)
        for number, asset in enumerate(world.assets)
    ]


@dataclass
class Stand:
    """An operator's gateway on the real chain."""

    world: World
    ledger: Ledger
    models: ListedModels
    parrot: Parrot
    server: GatewayServer
    settler: Settler
    chain: OperatorOnChain
    prover: OrderProver
    folder: Path
    clients: list[Client] = field(default_factory=list)

    async def client(self, *, dollars: int = 10**9, deposit: int = 10**7, **more: object) -> Client:
        """Make a client of a fresh consumer, or of the one given."""
        account = more.pop("account", None) or await self.world.consumer(dollars)
        options: dict[str, object] = {"state_dir": self.folder / "purses", **more}
        made = Client(
            self.server.url,
            account=account,  # type: ignore[arg-type]
            deployment=self.world.deployment,
            rpc_url=self.world.node.url,
            deposit=deposit,
            **options,  # type: ignore[arg-type]
        )
        self.clients.append(made)
        return made

    async def charged(self, channel: int) -> int:
        account = await self.ledger.account(channel)
        assert account is not None
        return sum(line.charged for line in account.lines.values())


CALM = RiskRules(
    channel_units=0,
    payer_units=0,
    at_risk_units=10**9,
    every_s=3_600,
    fee_bps=500,
    delay_s=DELAY_S,
)


def make_settler(
    ledger: Ledger, chain: OperatorOnChain, rules: RiskRules, *, deep: int = 0, coin: int = 0
) -> Settler:
    """Make what settles, and follows a settlement until so many blocks lie on it."""

    async def price() -> GasPrice:
        return GasPrice(await chain.gas_price(), coin)

    settlements = Settlements(ledger, chain, confirmations=deep)
    return Settler(
        ledger,
        chain,
        time.monotonic,
        every_s=rules.every_s,
        at_risk=rules.at_risk_units,
        watch_s=0.2,
        follow=Follow(settlements, rules, price, ledger.times.now),
    )


async def open_stand(
    world: World, folder: Path, reader: ChainReader, sender: Sender, price: Price = PRICE
) -> Stand:
    parrot = Parrot()
    models = ListedModels(make_offers(world, parrot, price))
    chain = OperatorOnChain(reader, sender, world.deployment)
    orders = OrdersOnChain(reader, sender, world.deployment)
    signer = AccountSigner(world.operator)
    domain = channels_domain(world.deployment)
    ledger = await Ledger.open(
        folder / "books.db",
        domain,
        signer,
        chain,
        time.time,
        knows=lambda key: key.asset in world.assets,
        refresh_s=0.2,
        margin_s=60,
        orders=orders,
    )
    terms = PaymentTerms(
        domain=domain,
        operator=signer.address,
        operator_key=signer.public_key,
        currency=address_of(world.dollar.address),
        decimals=6,
        symbol="TUSD",
        withdraw_delay_s=DELAY_S,
    )
    gateway = Gateway(models, Cashier(ledger, terms), time.time, Limits(answer_timeout_s=5))
    server = GatewayServer(gateway, drain_s=1)
    settler = make_settler(ledger, chain, CALM)
    await server.start()
    prover = OrderProver(ledger, orders, time.time, every_s=3_600, late_s=60, watch_s=0.2)
    if ledger.rights is not None:
        ledger.rights.on_proof(prover.hurry)
    return Stand(world, ledger, models, parrot, server, settler, chain, prover, folder)


@pytest.fixture
async def stand(world: World, tmp_path: Path) -> AsyncIterator[Stand]:
    async with world.reader() as reader, Sender(reader, world.operator) as sender:
        made = await open_stand(world, tmp_path, reader, sender)
        yield made
        for client in made.clients:
            await asyncio.to_thread(client.close)
        await made.server.stop()
        await made.ledger.close()
