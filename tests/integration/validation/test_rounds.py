"""A validator's row on a real chain with the real contracts: committed, revealed, shown."""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.integration.chain_client.bare_node import BareNode
from tests.integration.cli.conftest import Outcome, Program
from tests.integration.client.conftest import World, built
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.bindings.bond import Bond
from tessera.bindings.network_token import NetworkToken
from tessera.bindings.scores import Scores
from tessera.bindings.subnets import Rules, Subnets
from tessera.chain.deploy import created_address
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.errors import Conflict, NotFound, TransactionReverted
from tessera.validation.report import ModelName, build_report, write_report
from tessera.validation.rounds import Place, answer, commit, kept, read_row, reveal, write_row
from tessera.validation.running import items_to_ask, run

DAY = 86_400
TSR = 10**18
TEMPO = 40_000
RULES = Rules(
    tempo=TEMPO, kappa=32_767, bonds_penalty=65_535, bonds_moving_average=900_000, yuma3=False,
    max_models=4, max_validators=3, immunity=2 * TEMPO, burn_half_life=TEMPO, min_burn=TSR,
    threshold=1_000 * TSR,
)  # fmt: skip


@dataclass
class Round:
    world: World
    reader: ChainReader
    token: NetworkToken
    bond: Bond
    subnets: Subnets
    scores: Scores
    subnet: int
    validator: Sender
    stranger: Sender
    secret: bytes
    deployment: Path

    async def turn_to(self, epoch: int, quarters: float) -> None:
        began, tempo = await self.reader.read(self.subnets.clock_of(self.subnet))
        time = began + epoch * tempo + int(quarters * tempo) // 4
        self.world.node.rpc("evm_setNextBlockTimestamp", time)
        self.world.node.mine()

    def place(self, epoch: int) -> Place:
        validator = self.validator.address
        return Place(self.reader.chain_id, self.scores.address, self.subnet, epoch, validator)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A chain of its own: its clock is set forward."""
    home = tmp_path_factory.mktemp("chain")
    node = BareNode.start(home)
    try:
        yield asyncio.run(built(node, home))
    finally:
        node.end()


@pytest.fixture
async def round_(world: World, tmp_path: Path) -> AsyncIterator[Round]:
    """The contracts of validation behind the market's registry, and a subnet with one model."""
    deployer = Account.generate()
    secret = secrets.token_bytes(32)
    validator, stranger = Account(secret), Account.generate()
    for account in (deployer, validator, stranger):
        world.node.fund(account.address)
    registry = world.deployment.registry.address
    async with (
        world.reader() as reader,
        Sender(reader, deployer) as sender,
        Sender(reader, world.publisher) as publisher,
        Sender(reader, validator) as validating,
        Sender(reader, stranger) as asking,
    ):
        names = ("NetworkToken", "Bond", "Subnets", "Scores")
        at = [created_address(deployer.address, nonce) for nonce in range(len(names))]
        token, bond, subnets, scores = (
            NetworkToken(at[0]), Bond(at[1]), Subnets(at[2]), Scores(at[3]),
        )  # fmt: skip
        # Nobody is pushed out here, so nobody asks Epochs anything.
        windows = (400, 100 * TSR, 10 * DAY, TEMPO, 2 * DAY, 30 * DAY)
        for name, arguments in zip(
            names,
            (
                NetworkToken.encode_constructor(1_000_000 * TSR, deployer.address),
                Bond.encode_constructor(at[0], registry, 14 * DAY, 30 * DAY, 7 * DAY, DAY),
                Subnets.encode_constructor(at[0], registry, at[1], at[3], registry, *windows),
                Scores.encode_constructor(at[0], at[2], at[1], TSR // 10),
            ),
            strict=True,
        ):
            await (await sender.create(name, arguments)).receipt()
        for person in (publisher, validating, asking):
            await sender.send(token.transfer(person.address, 100_000 * TSR))
            for spender in (bond, subnets, scores):
                await person.send(token.approve(spender.address, 2**256 - 1))
        await publisher.send(subnets.create(RULES, 2**255))
        subnet = await reader.read(subnets.subnet_count())
        await publisher.send(subnets.register_model(subnet, world.assets[0], 0, 2**255))
        await validating.send(bond.enlist(scores.address))
        await validating.send(bond.stake(validator.address, 10_000 * TSR))
        await validating.send(subnets.register_validator(subnet, 0, 2**255))
        file = tmp_path / "deployment.json"
        world.deployment.save(file)
        made = Round(
            world, reader, token, bond, subnets, scores, subnet, validating, asking, secret, file
        )
        await made.turn_to(1, 0.5)
        yield made


async def test_a_row_is_committed_revealed_and_shown_and_twice_is_once(
    round_: Round, tmp_path: Path
) -> None:
    folder, subnet, place = tmp_path / "rows", round_.subnet, round_.place(1)
    for _ in range(2):
        sealed = await commit(
            round_.validator, round_.scores, folder, subnet=subnet, uid=0, weights=[(0, 65_535)]
        )
    assert sealed.place == place
    with pytest.raises(Conflict):
        await commit(
            round_.validator, round_.scores, folder, subnet=subnet, uid=0, weights=[(0, 1)]
        )
    with pytest.raises(TransactionReverted, match="not in the time for reveals"):
        await reveal(round_.validator, round_.scores, folder, place, "https://rows")
    with pytest.raises(NotFound):
        await answer(round_.validator, round_.scores, folder, place)

    await round_.turn_to(1, 2.1)
    for _ in range(2):
        row = await reveal(round_.validator, round_.scores, folder, place, "https://rows")
        assert row == 0
    validator, root, total, stake = await round_.reader.read(round_.scores.row_at(subnet, 1, row))
    assert (validator, total, stake) == (place.validator, 65_535, 10_000 * TSR)
    assert read_row(write_row(kept(folder, place)), 1, root, total).root == root

    # Somebody did not get the data elsewhere, and asks for it.
    await round_.stranger.send(round_.scores.ask(subnet, 1, row, 0))
    assert (await round_.reader.read(round_.scores.row_at(subnet, 1, row)))[3] == 0
    assert await answer(round_.validator, round_.scores, folder, place) == [0]
    assert await answer(round_.validator, round_.scores, folder, place) == []
    assert (await round_.reader.read(round_.scores.row_at(subnet, 1, row)))[3] == 10_000 * TSR


async def test_from_another_folder_nothing_can_be_revealed(round_: Round, tmp_path: Path) -> None:
    await commit(
        round_.validator, round_.scores, tmp_path / "rows", subnet=round_.subnet, uid=0,
        weights=[(0, 1)],
    )  # fmt: skip
    await round_.turn_to(1, 2.1)
    with pytest.raises(NotFound, match="data folder"):
        await reveal(
            round_.validator, round_.scores, tmp_path / "other", round_.place(1), "https://x"
        )
    with pytest.raises(TransactionReverted):
        await commit(
            round_.stranger, round_.scores, tmp_path / "rows", subnet=round_.subnet, uid=0,
            weights=[(0, 1)],
        )  # fmt: skip


async def test_the_commands_make_a_row_of_reports_and_see_it_through(
    round_: Round, tmp_path: Path, served_at: str
) -> None:
    """A validator's own data folder, and a chain that somebody else runs."""
    program = Program(tmp_path / "data")
    chain = ("--rpc-url", round_.world.node.url, "--deployment", round_.deployment, "--json")
    key = tmp_path / "validator.key"
    key.write_text(round_.secret.hex())
    report, subnet = await reported(tmp_path), round_.subnet

    async def tessera(*arguments: object) -> Outcome:
        # In a thread of its own, as it brings a loop of its own.
        return await asyncio.to_thread(program, *arguments, *chain)

    assert (await tessera("account", "import", "validator", "--file", key)).code == 0
    at = ("--scores", round_.scores.address)
    commit_ = ("validate", "commit", subnet, f"0={report}", *at, "--uid", "0")
    dry = await tessera(*commit_, "--dry-run")
    assert (dry.json["row"], dry.json["dry_run"]) == ([[0, 65_535]], True)
    done = await tessera(*commit_)
    assert (done.code, done.json["epoch"]) == (0, 1), done.err
    assert (await tessera(*commit_)).json["commitment"] == done.json["commitment"]

    reveal_ = ("validate", "reveal", subnet, 1, *at, "--uri", f"{served_at}/row.json")
    early = await tessera(*reveal_)
    assert (early.code, early.json["code"]) == (5, "scores_not_in_the_time_for_reveals")
    await round_.turn_to(1, 2.1)
    data = tmp_path / "row.json"
    shown = await tessera(*reveal_, "--out", data)
    assert (shown.code, shown.json["row"]) == (0, 0), shown.err
    assert json.loads(data.read_bytes())["weights"] == [[0, 65_535]]

    watch = ("validate", "watch", subnet, 1, *at)
    served = (await tessera(*watch)).json["rows"]
    assert [(row["served"], row["validator"]) for row in served] == [(True, place_of(round_))]
    answer_ = ("validate", "answer", subnet, 1, *at)
    assert (await tessera(*answer_)).json["leaves"] == []
    # He serves another row than he revealed, so somebody asks for it on the chain.
    data.write_bytes(data.read_bytes().replace(b"65535", b"65534"))
    (lied,) = (await tessera(*watch)).json["rows"]
    assert (lied["served"], "as was revealed" in lied["why"]) == (False, True)
    assert (await tessera(*watch, "--ask", "--dry-run")).json["dry_run"] is True
    asked = await tessera(*watch, "--ask")
    assert (asked.code, asked.json["asked"]) == (0, 1), asked.err
    assert (await tessera(*watch, "--ask")).json["asked"] == 0
    assert (await tessera(*answer_, "--dry-run")).json["leaves"] == [0]
    assert (await tessera(*answer_)).json["leaves"] == [0]
    assert (await tessera(*answer_)).json["leaves"] == []
    none = await tessera("validate", "answer", subnet, 9, *at)
    assert (none.code, none.json["code"]) == (2, "not_found")


def place_of(round_: Round) -> str:
    return round_.place(1).validator


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
        """Say nothing."""


@pytest.fixture
def served_at(tmp_path: Path) -> Iterator[str]:
    """A real server of the folder's files."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


async def reported(folder: Path) -> Path:
    """A report of a model that is right half of the time."""
    items = [{"input": [float(n)], "label": n % 2} for n in range(10)]
    task = benchmark(folder / "task", "classification", items)
    zero = as_json({"outputs": [{"label": 0}]})
    found = await run(task, items_to_ask(task, None), Written(lambda _ask: zero), about="")
    made = await build_report(task, ModelName("m"), found.measured)
    write_report(folder / "report.json", made)
    return folder / "report.json"
