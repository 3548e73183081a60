"""A subnet on a real chain: three validators, three models, rows that a real server serves."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import msgspec
from tests.integration.chain_client.bare_node import CHAIN_ID
from tests.integration.client.conftest import World as Chain

from tessera.app.epochs import EpochDesk, epoch_desk
from tessera.app.subnets import default_rules
from tessera.app.world import connect
from tessera.chain.founding import found
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.config import Config
from tessera.validation.rounds import Place, commit, kept, reveal, write_row

HOUR = 3_600
TSR = 10**18
RULES = msgspec.structs.replace(default_rules(HOUR), max_models=4, max_validators=3)
SCORES = ([(0, 60_000), (1, 20_000)], [(0, 65_535), (2, 1)], [(0, 1), (1, 1), (2, 1)])
PEOPLE = ("poster", "attacker", "challenger", "keeper")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder's files; yield its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


@dataclass
class Subnet:
    """What its validators and everybody else do."""

    chain: Chain
    reader: ChainReader
    number: int
    validators: list[Sender]
    owner: Sender
    people: dict[str, Sender]
    folder: Path
    url: str

    async def turn_to(self, epoch: int, quarters: float = 0) -> None:
        """Let time pass until so many quarters of an epoch are over."""
        began, tempo = await self.reader.read(self.chain.deployment.subnets.clock_of(self.number))
        self.chain.node.rpc(
            "evm_setNextBlockTimestamp", began + epoch * tempo + int(quarters * tempo) // 4
        )
        self.chain.node.mine()

    async def wait(self, seconds: int) -> None:
        now = (await self.reader.block()).timestamp
        self.chain.node.rpc("evm_setNextBlockTimestamp", now + seconds)
        self.chain.node.mine()

    async def commit(self) -> None:
        for uid, who in enumerate(self.validators):
            await commit(
                who,
                self.chain.deployment.scores,
                self.folder / "sealed",
                subnet=self.number,
                uid=uid,
                weights=SCORES[uid],
            )

    async def reveal(self, epoch: int) -> None:
        scores, rows = self.chain.deployment.scores, self.folder / "sealed"
        for who in self.validators:
            place = Place(CHAIN_ID, scores.address, self.number, epoch, who.address)
            name = f"{epoch}-{who.address}.json"
            (self.folder / "served" / name).write_bytes(write_row(kept(rows, place)))
            await reveal(who, scores, rows, place, f"{self.url}/served/{name}")

    async def score(self, epoch: int) -> None:
        """Let all validators commit and reveal, and serve their rows; then inputs are closed."""
        await self.turn_to(epoch, 0.5)
        await self.commit()
        await self.turn_to(epoch, 2.1)
        await self.reveal(epoch)
        await self.turn_to(epoch, 5)

    @asynccontextmanager
    async def desk(self, folder: Path, *mirrors: str) -> AsyncIterator[EpochDesk]:
        """Open the desk of somebody with a data folder of his own."""
        config = Config(
            data_dir=folder,
            rpc_url=self.chain.node.url,
            chain_id=CHAIN_ID,
            deployment=str(self.folder / "deployment.json"),
        )
        async with connect(config) as world, httpx.AsyncClient(trust_env=False) as http:
            yield epoch_desk(world, http, mirrors=mirrors)


async def opened_subnet(chain: Chain, secrets: dict[str, bytes]) -> int:
    """Create the subnet with its places, and give everybody TSR; once for a chain."""
    at = chain.deployment
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(chain.reader())
        senders = {
            name: await stack.enter_async_context(Sender(reader, account))
            for name, account in _accounts(chain, secrets).items()
        }
        owner = senders.pop("publisher")
        await owner.send(at.currency.faucet(10**9))
        await found(owner, at)
        for who in (owner, *senders.values()):
            chain.node.fund(who.address)
            if who is not owner:
                await owner.send(at.network_token.transfer(who.address, 10_000 * TSR))
            for spender in (at.bond, at.subnets, at.scores):
                await who.send(at.network_token.approve(spender.address, 2**256 - 1))
        await owner.send(at.subnets.create(RULES, 2**255))
        number = await reader.read(at.subnets.subnet_count())
        for uid, asset in enumerate(chain.assets):
            await owner.send(at.subnets.register_model(number, asset, uid, 2**255))
        for uid in range(3):
            who = senders[f"validator {uid}"]
            await who.send(at.bond.enlist(at.scores.address))
            await who.send(at.bond.stake(who.address, (uid + 2) * 1_000 * TSR))
            await who.send(at.subnets.register_validator(number, uid, 2**255))
    return number


@asynccontextmanager
async def subnet_at(
    chain: Chain, secrets: dict[str, bytes], number: int, folder: Path
) -> AsyncIterator[Subnet]:
    """Open everybody's senders for one test, and serve its folder."""
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(chain.reader())
        senders = {
            name: await stack.enter_async_context(Sender(reader, account, longest_poll_s=0.1))
            for name, account in _accounts(chain, secrets).items()
        }
        (folder / "served").mkdir()
        chain.deployment.save(folder / "deployment.json")
        url = stack.enter_context(served(folder))
        validators = [senders[f"validator {uid}"] for uid in range(3)]
        yield Subnet(chain, reader, number, validators, senders["publisher"], senders, folder, url)


def names() -> list[str]:
    return [*(f"validator {uid}" for uid in range(3)), *PEOPLE]


def _accounts(chain: Chain, secrets: dict[str, bytes]) -> dict[str, Account]:
    return {"publisher": chain.publisher} | {
        name: Account(secret) for name, secret in secrets.items()
    }
