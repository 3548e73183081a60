"""A validator's row on a real chain with the real contracts: committed, revealed, shown."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.chain_client.bare_node import BareNode
from tests.integration.cli.conftest import Outcome, Program
from tests.integration.client.conftest import World, built
from tests.integration.validation.subnet_rig import TSR, Subnet, names, opened_subnet, subnet_at
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.bindings.scores import Scores
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Conflict, NotFound, TransactionReverted
from tessera.validation.report import ModelName, build_report, write_report
from tessera.validation.rounds import Place, answer, commit, kept, read_row, reveal, write_row
from tessera.validation.running import items_to_ask, run

SECRETS = {name: secrets.token_bytes(32) for name in names()}


@dataclass
class Round:
    """A subnet in its first epoch that has models, a validator, and somebody else."""

    subnet: Subnet
    secret: bytes

    @property
    def reader(self) -> ChainReader:
        return self.subnet.reader

    @property
    def scores(self) -> Scores:
        return self.subnet.chain.deployment.scores

    @property
    def validator(self) -> Sender:
        return self.subnet.validators[0]

    @property
    def stranger(self) -> Sender:
        return self.subnet.people["challenger"]

    @property
    def number(self) -> int:
        return self.subnet.number

    async def turn_to(self, epoch: int, quarters: float) -> None:
        await self.subnet.turn_to(epoch, quarters)

    def place(self, epoch: int) -> Place:
        validator = self.validator.address
        return Place(self.reader.chain_id, self.scores.address, self.number, epoch, validator)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, int]]:
    """A chain of its own: its clock is set forward."""
    home = tmp_path_factory.mktemp("chain")
    node = BareNode.start(home)

    async def begin() -> tuple[World, int]:
        chain = await built(node, home)
        return chain, await opened_subnet(chain, SECRETS)

    try:
        yield asyncio.run(begin())
    finally:
        node.end()


@pytest.fixture
async def round_(opened: tuple[World, int], tmp_path: Path) -> AsyncIterator[Round]:
    chain, number = opened
    before = chain.node.rpc("evm_snapshot")
    async with subnet_at(chain, SECRETS, number, tmp_path) as subnet:
        made = Round(subnet, SECRETS["validator 0"])
        await made.turn_to(1, 0.5)
        yield made
    chain.node.rpc("evm_revert", before)


async def test_a_row_is_committed_revealed_and_shown_and_twice_is_once(
    round_: Round, tmp_path: Path
) -> None:
    folder, subnet, place = tmp_path / "rows", round_.number, round_.place(1)
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
    assert (validator, total, stake) == (place.validator, 65_535, 2_000 * TSR)
    assert read_row(write_row(kept(folder, place)), 3, root, total).root == root

    # Somebody did not get the data elsewhere, and asks for it.
    await round_.stranger.send(round_.scores.ask(subnet, 1, row, 0))
    assert (await round_.reader.read(round_.scores.row_at(subnet, 1, row)))[3] == 0
    assert await answer(round_.validator, round_.scores, folder, place) == [0]
    assert await answer(round_.validator, round_.scores, folder, place) == []
    assert (await round_.reader.read(round_.scores.row_at(subnet, 1, row)))[3] == 2_000 * TSR


async def test_from_another_folder_nothing_can_be_revealed(round_: Round, tmp_path: Path) -> None:
    await commit(
        round_.validator, round_.scores, tmp_path / "rows", subnet=round_.number, uid=0,
        weights=[(0, 1)],
    )  # fmt: skip
    await round_.turn_to(1, 2.1)
    with pytest.raises(NotFound, match="data folder"):
        await reveal(
            round_.validator, round_.scores, tmp_path / "other", round_.place(1), "https://x"
        )
    with pytest.raises(TransactionReverted):
        await commit(
            round_.stranger, round_.scores, tmp_path / "rows", subnet=round_.number, uid=0,
            weights=[(0, 1)],
        )  # fmt: skip


async def test_the_commands_make_a_row_of_reports_and_see_it_through(
    round_: Round, tmp_path: Path
) -> None:
    """A validator's own data folder, and a chain that somebody else runs."""
    program = Program(tmp_path / "data")
    node, file = round_.subnet.chain.node, round_.subnet.folder / "deployment.json"
    chain = ("--rpc-url", node.url, "--deployment", file, "--json")
    key = tmp_path / "validator.key"
    key.write_text(round_.secret.hex())
    report, subnet = await reported(tmp_path), round_.number

    async def tessera(*arguments: object) -> Outcome:
        # In a thread of its own, as it brings a loop of its own.
        return await asyncio.to_thread(program, *arguments, *chain)

    assert (await tessera("account", "import", "validator", "--file", key)).code == 0
    commit_ = ("validate", "commit", subnet, f"0={report}", "--uid", "0")
    dry = await tessera(*commit_, "--dry-run")
    assert (dry.json["row"], dry.json["dry_run"]) == ([[0, 65_535]], True)
    done = await tessera(*commit_)
    assert (done.code, done.json["epoch"]) == (0, 1), done.err
    assert (await tessera(*commit_)).json["commitment"] == done.json["commitment"]

    reveal_ = ("validate", "reveal", subnet, 1, "--uri", f"{round_.subnet.url}/row.json")
    early = await tessera(*reveal_)
    assert (early.code, early.json["code"]) == (5, "scores_not_in_the_time_for_reveals")
    await round_.turn_to(1, 2.1)
    data = tmp_path / "row.json"
    shown = await tessera(*reveal_, "--out", data)
    assert (shown.code, shown.json["row"]) == (0, 0), shown.err
    assert json.loads(data.read_bytes())["weights"] == [[0, 65_535]]

    watch = ("validate", "watch", subnet, 1)
    served = (await tessera(*watch)).json["rows"]
    assert [(row["served"], row["validator"]) for row in served] == [(True, place_of(round_))]
    answer_ = ("validate", "answer", subnet, 1)
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
    none = await tessera("validate", "answer", subnet, 9)
    assert (none.code, none.json["code"]) == (2, "not_found")


def place_of(round_: Round) -> str:
    return round_.place(1).validator


async def reported(folder: Path) -> Path:
    """A report of a model that is right half of the time."""
    items = [{"input": [float(n)], "label": n % 2} for n in range(10)]
    task = benchmark(folder / "task", "classification", items)
    zero = as_json({"outputs": [{"label": 0}]})
    found = await run(task, items_to_ask(task, None), Written(lambda _ask: zero), about="")
    made = await build_report(task, ModelName("m"), found.measured)
    write_report(folder / "report.json", made)
    return folder / "report.json"
