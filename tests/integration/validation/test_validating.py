"""A validator's whole program on a real chain, against a gateway that it really pays."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.chain_client.bare_node import BareNode
from tests.integration.cli.conftest import Program
from tests.integration.client.conftest import Stand, built, open_stand
from tests.integration.client.conftest import World as Chain
from tests.integration.gateway.conftest import offer
from tests.integration.validation.subnet_rig import (
    SCORES,
    TSR,
    Subnet,
    names,
    opened_subnet,
    subnet_at,
)
from tests.integration.validation.test_epoch_results import lied, restated, settle_empty
from tests.unit.validation.folders import write_benchmark

from tessera.app.validating import Done, Plan, Validator, served_folder
from tessera.app.world import World, connect
from tessera.bindings.registry import EndpointTerms
from tessera.bindings.registry import Price as ChainPrice
from tessera.bindings.scores import Committed
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account, Wallet
from tessera.config import Config
from tessera.errors import Conflict
from tessera.serving.metering import Units
from tessera.serving.runner import Identity, PredictRequest, PredictResult, RunnerBase, Task
from tessera.spec.prices import Price
from tessera.validation.rounds import Place, commit, kept, read_row, reveal
from tessera.validation.task import Benchmark, open_benchmark

SECRETS = {name: secrets.token_bytes(32) for name in names()}
PRICE = Price(per_call=100, per_1k_in=0, per_1k_out=0)
ITEMS = 16


class Parity(RunnerBase):
    """Says whether a number is odd; or always the same."""

    def __init__(self, *, knows: bool) -> None:
        super().__init__("parity", frozenset({Task.PREDICT}), Identity.HASHED, "odd or even")
        self.knows, self.asked, self.takes_s = knows, 0, 0.0

    async def predict(self, request: PredictRequest) -> PredictResult:
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        outputs = [{"label": int(row[0]) % 2 if self.knows else 0} for row in request.rows]
        return PredictResult(outputs, Units(len(request.rows)))


@dataclass
class Town:
    """A subnet with a gateway; validator 0 has a data folder and a key that nobody knows."""

    subnet: Subnet
    stand: Stand
    runners: list[Parity]
    folder: Path
    task: Benchmark
    unknown: Account

    def config(self) -> Config:
        return Config(
            data_dir=self.folder,
            rpc_url=self.subnet.chain.node.url,
            deployment=str(self.subnet.folder / "deployment.json"),
        )

    @property
    def address(self) -> str:
        return self.subnet.validators[0].address

    def place(self, epoch: int, who: Sender | None = None) -> Place:
        scores = self.subnet.chain.deployment.scores.address
        address = who.address if who else self.address
        return Place(self.subnet.reader.chain_id, scores, self.subnet.number, epoch, address)

    def validator(self, world: World, url: str = "", **more: Any) -> Validator:
        plan = Plan(
            subnet=self.subnet.number, task=self.task, url=url or f"{self.subnet.url}/none/",
            budget=10**6, items=ITEMS, **{"network_budget": 10 * TSR, **more},
        )  # fmt: skip
        return Validator(world, plan)

    async def commits(self, epoch: int) -> int:
        topics = Committed.topics(epoch=epoch, validator=self.address)
        at = self.subnet.chain.deployment.scores.address
        return len(await self.subnet.reader.logs(Committed, address=at, topics=topics))

    def serve(self, count: int = 3) -> None:
        """Let the gateway serve the first models of the subnet."""
        assets = self.subnet.chain.assets
        self.stand.models.replace(
            [
                dataclasses.replace(offer(f"parrot-{at}", assets[at], runner, PRICE), version=1)
                for at, runner in enumerate(self.runners[:count])
            ]
        )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chain, int]]:
    """A chain of its own: its clock is set forward."""
    home = tmp_path_factory.mktemp("chain")
    node = BareNode.start(home)

    async def begin() -> tuple[Chain, int]:
        chain = await built(node, home)
        return chain, await opened_subnet(chain, SECRETS)

    try:
        yield asyncio.run(begin())
    finally:
        node.end()


@pytest.fixture
async def town(opened: tuple[Chain, int], tmp_path: Path) -> AsyncIterator[Town]:
    chain, number = opened
    before = chain.node.rpc("evm_snapshot")
    items = [{"input": [float(number)], "label": number % 2} for number in range(ITEMS)]
    task = open_benchmark(
        write_benchmark(tmp_path / "parity", "classification", items, "chance=0.5")
    )
    unknown, folder = Account.generate(), tmp_path / "data"
    chain.node.fund(unknown.address)
    wallet = Wallet(folder / "keys")
    wallet.create("validator", Account(SECRETS["validator 0"]))
    wallet.create("unknown", unknown)
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(chain.reader())
        operator = await stack.enter_async_context(Sender(reader, chain.operator))
        publisher = await stack.enter_async_context(Sender(reader, chain.publisher))
        for account in (unknown, Account(SECRETS["validator 0"])):
            payer = await stack.enter_async_context(Sender(reader, account))
            await payer.send(chain.dollar.faucet(10**7))
        stand = await open_stand(chain, tmp_path, reader, operator, PRICE)
        for asset in chain.assets:
            price = ChainPrice(PRICE.per_call, 0, 0)
            terms = EndpointTerms(chain.operator.address, 1_000, price, stand.server.url)
            await publisher.send(chain.deployment.registry.set_endpoint(asset, terms))
        subnet = await stack.enter_async_context(subnet_at(chain, SECRETS, number, tmp_path))
        runners = [Parity(knows=True), Parity(knows=False), Parity(knows=True)]
        made = Town(subnet, stand, runners, folder, task, unknown)
        made.serve()
        try:
            yield made
        finally:
            await stand.server.stop()
            await stand.ledger.close()
    chain.node.rpc("evm_revert", before)


def told(done: list[Done]) -> list[tuple[str, bool]]:
    return [(each.what, each.failed) for each in done]


async def test_an_epoch_from_the_first_question_to_a_false_result(
    town: Town, tmp_path: Path
) -> None:
    """One model is down at first; one validator serves nothing; a poster lies."""
    subnet, at = town.subnet, town.subnet.chain.deployment
    owner = subnet.people["publisher"]
    await owner.send(at.subnets.name_task(subnet.number, town.task.id, "https://items"))
    town.serve(2)
    await subnet.turn_to(1, 0.1)
    async with connect(town.config()) as world:
        validator = town.validator(world, f"{subnet.url}/data/served/")
        outlook = await validator.outlook()
        assert (outlook.named, outlook.items, outlook.cost) == (True, ITEMS, 2 * ITEMS * 100)
        assert [each.slug for each in outlook.models] == ["parrot-0", "parrot-1"]
        assert list(outlook.faults) == [2]
        (waiting,) = await validator.step()
        assert (waiting.what, waiting.data["models"]) == ("waiting", [2])
        town.serve(3)
        done = await validator.step()
        assert told(done) == [("measured", False)] * 3 + [("committed", False)]
        assert [each.data["weight"] for each in done[:3]] == [65_535, 0, 65_535]
        assert "which guessing reaches" in done[1].text
        # Each of them was asked everything once, half of it by a key that nobody knows.
        assert [runner.asked for runner in town.runners] == [ITEMS] * 3
        assert await validator.step() == []

        # Others: one validator serves another row than it revealed, which nobody can read.
        scores, rows, withholder = at.scores, tmp_path / "rows", subnet.validators[1]
        await commit(withholder, scores, rows, subnet=subnet.number, uid=1, weights=SCORES[1])
        await subnet.turn_to(1, 2.1)
        place = town.place(1, withholder)
        await reveal(withholder, scores, rows, place, f"{subnet.url}/none.json")
        assert told(await validator.step()) == [("revealed", False)]
        assert (served_folder(world) / town.place(1).name).exists()
        await subnet.validators[2].send(scores.ask(subnet.number, 1, 1, 0))
        assert told(await validator.step()) == [("answered", False)]

        await subnet.turn_to(1, 3.1)
        poor = town.validator(world, network_budget=TSR // 2)
        (unasked,) = await poor.step()
        assert unasked.failed
        assert "no TSR is left" in unasked.text
        assert told(await validator.step()) == [("asked", False)]
        assert told(await validator.step()) == []
        # What is served now is kept: who stops when nobody can ask any more hides no false result.
        row = kept(town.folder / "rows", town.place(1)).row
        (file,) = (town.folder / "epochs" / "rows").iterdir()
        assert read_row(file.read_bytes(), 3, row.root, row.sum).leaves == row.leaves

        # Nobody shows it, and somebody posts a false result.
        await subnet.turn_to(1, 5)
        await settle_empty(subnet, tmp_path / "keeper", 0)
        async with subnet.desk(tmp_path / "honest") as desk:
            true = await desk.built(subnet.number, 1)
        await lied(subnet, restated(true, 0))
        done = await validator.duties()
        assert told(done) == [("convicted", False), ("challenged", False)], done
        assert "the posted result is false" in done[1].text
        # Its poster serves none of its parts, so they are asked for, and he does not answer.
        await subnet.wait(2 * 3_600)
        done = await validator.duties()
        assert told(done) == [("challenged", False), ("collected", False)], done
        async with subnet.desk(tmp_path / "honest") as desk:
            await desk.post(subnet.people["poster"], subnet.number, 1)
        assert told(await validator.duties()) == [("checked", False)]
        assert await validator.duties() == []


async def test_another_benchmark_than_the_owners_measures_nothing(town: Town) -> None:
    subnet = town.subnet
    owner, subnets = subnet.people["publisher"], subnet.chain.deployment.subnets
    await subnet.turn_to(1, 0.1)
    await owner.send(subnets.name_task(subnet.number, b"\7" * 32, ""))
    async with connect(town.config()) as world:
        # It counts from the next epoch on.
        assert not (await town.validator(world).outlook()).named
        await subnet.turn_to(2, 0.1)
        with pytest.raises(Conflict, match="which subnet 1 measures with"):
            await town.validator(world).outlook()
        (failed,) = await town.validator(world).step()
        assert (failed.failed, failed.data["code"]) == (True, "conflict")
    assert [runner.asked for runner in town.runners] == [0] * 3


async def test_a_hostile_model_stops_no_measurement(town: Town) -> None:
    """One lists a price beyond all budgets, another has an address that nothing can be.

    Either would be reason enough for every validator to commit to nothing, epoch after epoch.
    """
    subnet, chain = town.subnet, town.subnet.chain
    price = ChainPrice(PRICE.per_call, 0, 0)
    async with Sender(subnet.reader, chain.publisher) as publisher:
        terms = EndpointTerms(chain.operator.address, 1_000, price, "http://xn--:99999")
        await publisher.send(chain.deployment.registry.set_endpoint(chain.assets[2], terms))
    greedy = offer("parrot-1", chain.assets[1], town.runners[1], Price(10**12, 0, 0))
    honest = offer("parrot-0", chain.assets[0], town.runners[0], PRICE)
    town.stand.models.replace([dataclasses.replace(each, version=1) for each in (honest, greedy)])
    await subnet.turn_to(1, 1.1)
    async with connect(town.config()) as world:
        validator = town.validator(world)
        outlook = await validator.outlook()
        assert [each.uid for each in outlook.models] == [0]
        assert "wants more for two items than its share" in outlook.faults[1]
        assert "xn--" in outlook.faults[2]
        done = await validator.step()
    assert told(done) == [("measured", False)] * 3 + [("committed", False)]
    assert [each.data["weight"] for each in done[:3]] == [65_535, 0, 0]
    assert [runner.asked for runner in town.runners] == [ITEMS, 0, 0]


async def test_whoever_may_not_commit_pays_for_nothing(town: Town) -> None:
    subnet, at = town.subnet, town.subnet.chain.deployment
    await subnet.turn_to(1, 0.1)
    await subnet.validators[0].send(at.subnets.deregister_validator(subnet.number))
    await subnet.turn_to(2, 0.1)
    async with connect(town.config()) as world:
        (failed,) = await town.validator(world).step()
    assert (failed.failed, failed.data["code"], failed.epoch) == (True, "not_found", 2)
    assert [runner.asked for runner in town.runners] == [0] * 3


async def test_who_begins_late_blames_no_model(town: Town) -> None:
    """A validator starts when the time to commit is nearly over: its row would call good bad."""
    await town.subnet.turn_to(1, 1.9996)
    town.runners[1].takes_s = 10
    async with connect(town.config()) as world:
        (waiting,) = await town.validator(world).step()
    assert told([waiting]) == [("waiting", False)]
    assert 1 in waiting.data["models"]
    assert "time" in waiting.text


async def test_killed_at_any_moment_it_commits_once_and_asks_nothing_twice(town: Town) -> None:
    """The real program in processes of its own, killed while it measures and while it commits."""
    subnet, node = town.subnet, town.subnet.chain.node
    program = Program(town.folder)
    more = {
        "TESSERA_RPC_URL": node.url,
        "TESSERA_DEPLOYMENT": str(subnet.folder / "deployment.json"),
    }
    always = (
        "validate", str(subnet.number), "--benchmark", str(subnet.folder / "parity"),
        "--items", str(ITEMS), "--at-once", "1", "--json", "--listen", "127.0.0.1:0",
        "--every", "0.2",
    )  # fmt: skip
    command = (*always, "--once")
    await subnet.turn_to(1, 1.1)
    for runner in town.runners:
        runner.takes_s = 0.05
    surveys = town.folder / "surveys"

    def answered() -> int:
        return sum(len(file.read_bytes().splitlines()) - 1 for file in surveys.rglob("*.run"))

    await killed(program.start(*command, **more), lambda: answered() > 4)
    # What was in flight when it was killed (a call of each key) is answered, and nobody hears it;
    # a gateway may ask its model later than we look here.
    in_flight = 2
    asked = sum(runner.asked for runner in town.runners)
    heard = answered() + ITEMS * len(list(surveys.rglob("*.report.json")))
    assert 0 < heard <= asked <= heard + in_flight
    for runner in town.runners:
        runner.takes_s = 0.0

    # Now it measures all, and is killed when its commit is on the way and in no block.
    node.stop_mining()
    node.mine()
    rows = town.folder / "rows"
    mining = asyncio.create_task(mine_until(node, lambda: rows.exists() and any(rows.iterdir())))
    await killed(
        program.start(*command, **more),
        lambda: mining.done() and node.rpc("txpool_status")["pending"] != "0x0",
    )
    await mining
    sealed = await asyncio.to_thread(kept, rows, town.place(1))
    node.rpc("evm_setAutomine", True)
    node.mine()

    # From now on it runs for ever: commits if that was not mined, reveals, and serves its row.
    process = program.start(*always, **more)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while True:
            if await town.commits(1):
                break
            await asyncio.sleep(0.05)
        await subnet.turn_to(1, 2.1)
        lines = [json.loads(await asyncio.to_thread(process.stdout.readline))]
        while lines[-1]["what"] != "revealed":
            lines.append(json.loads(await asyncio.to_thread(process.stdout.readline)))
    assert [each["what"] for each in lines] in (["revealed"], ["committed", "revealed"])
    async with httpx.AsyncClient(trust_env=False) as http:
        served = await http.get(lines[-1]["uri"])
    assert [tuple(pair) for pair in served.json()["weights"]] == list(sealed.weights)
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, err
    assert await town.commits(1) == 1
    assert (await asyncio.to_thread(kept, rows, town.place(1))) == sealed
    assert sum(runner.asked for runner in town.runners) <= 3 * ITEMS + in_flight


async def killed(process: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    """End a process as a power cut would, as soon as something is so."""
    end = time.monotonic() + 60
    while not await asyncio.to_thread(when):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


async def mine_until(node: BareNode, when: Callable[[], bool]) -> None:
    """Make blocks by hand, of what the program sends, until something is so."""
    while not when():
        await asyncio.to_thread(node.mine)
        await asyncio.sleep(0.05)
