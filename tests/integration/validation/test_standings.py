"""Who stands where in a subnet, read from a real chain and from what is really served."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.chain_client.bare_node import CHAIN_ID, BareNode
from tests.integration.client.conftest import World, built
from tests.integration.validation.subnet_rig import (
    HOUR,
    TSR,
    Subnet,
    names,
    opened_subnet,
    subnet_at,
)

from tessera.app.standings import Table, read_table
from tessera.bindings.emission import ValidatorPaid
from tessera.bindings.epochs import Result
from tessera.cli.running import run
from tessera.errors import NotFound
from tessera.spec.epochs import PostedEpoch
from tessera.validation.leaderboard import Role
from tessera.validation.parts import name_of

SECRETS = {name: secrets.token_bytes(32) for name in names()}
LATER = 9
"""Epochs of a day: the first one that has a result is 1, and this one is a week after it."""


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


@dataclass
class Market:
    """A subnet whose owner opened its pool, and whose epochs pay by its bootstrap."""

    subnet: Subnet
    home: Path

    async def table(self, folder: str = "keeper", number: int = 0) -> Table:
        async with self.subnet.desk(self.home / folder) as desk:
            return await read_table(desk.world, desk, number or self.subnet.number)

    def lose(self, epoch: int) -> None:
        """Serve the rows of an epoch no more, nor any result's parts."""
        served = [*self.home.glob("*/served/*.epoch"), *self.home.glob(f"served/{epoch}-*")]
        for path in served:
            path.unlink()

    async def final(self, epoch: int) -> PostedEpoch:
        """Let an epoch come to its result, those before it being skipped."""
        subnet = self.subnet
        clock = await subnet.reader.read(subnet.chain.deployment.epochs.clock_of(subnet.number))
        await subnet.turn_to(epoch, 0.1)
        await subnet.people["keeper"].send(
            subnet.chain.deployment.emission.bootstrap(subnet.number)
        )
        await subnet.score(epoch)
        async with subnet.desk(self.home / "keeper") as desk:
            for empty in range(clock.next, epoch):
                await desk.skip(subnet.people["keeper"], subnet.number, empty)
            posted = await desk.post(subnet.people["poster"], subnet.number, epoch)
            await subnet.wait(12 * HOUR)
            await desk.finalize(subnet.people["keeper"], subnet.number, epoch)
        return posted

    async def settle(self, epoch: int, posted: PostedEpoch) -> None:
        emission = self.subnet.chain.deployment.emission
        result = Result.from_values(posted.header.call)
        await self.subnet.people["keeper"].send(emission.settle(self.subnet.number, epoch, result))

    async def claim(self, epoch: int, posted: PostedEpoch) -> dict[str, int]:
        """Have all validators paid; return how much each was."""
        emission = self.subnet.chain.deployment.emission
        result, paid = Result.from_values(posted.header.call), {}
        for row in range(3):
            row_proof = posted.validator_proof(row)
            receipt = await self.subnet.people["keeper"].send(
                emission.claim_validator(self.subnet.number, epoch, result, *row_proof)
            )
            event = receipt.one_of(ValidatorPaid)
            paid[event.validator] = event.amount
        return paid


@pytest.fixture
async def market(opened: tuple[World, int], tmp_path: Path) -> AsyncIterator[Market]:
    chain, number = opened
    before = chain.node.rpc("evm_snapshot")
    async with subnet_at(chain, SECRETS, number, tmp_path) as subnet:
        there, owner = chain.deployment, subnet.people["publisher"]
        await owner.send(there.network_token.approve(there.subnet_pool.address, 2**256 - 1))
        await owner.send(there.subnet_pool.open(number, 100_000 * TSR))
        yield Market(subnet, tmp_path)
    chain.node.rpc("evm_revert", before)


async def test_the_table_of_two_weeks(
    market: Market, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subnet = market.subnet
    young = await market.table()
    assert (young.epoch, young.unread) == (None, ())
    with pytest.raises(NotFound, match="subnet 99"):
        await market.table(number=99)

    assert await asyncio.to_thread(run, ["leaderboard", "1", "--role", "modell"]) == 2

    first = await market.final(1)
    await market.settle(1, first)
    unpaid = await market.table()
    assert unpaid.epoch == 1
    models = [row for row in unpaid.rows if row.role is Role.MODEL]
    validators = {row.owner: row for row in unpaid.rows if row.role is Role.VALIDATOR}
    assert [(row.rank, row.uid, row.owner) for row in models] == [
        (rank, uid, str(subnet.chain.assets[uid])) for rank, uid in enumerate((0, 1, 2), 1)
    ]
    whole = first.header.incentive
    for row in models:
        column = first.columns[row.uid]
        assert column is not None
        assert row.incentive == pytest.approx(column.rank / whole)
        assert (row.consensus, row.change_7d, row.unknown) == (column.consensus / 2**32, None, ())
    assert sum(row.dividends or 0 for row in validators.values()) == pytest.approx(1)
    # What each is owed and nobody has claimed yet counts as what it will be.
    paid = await market.claim(1, first)
    for table in (unpaid, await market.table()):
        for row in table.rows:
            if row.role is Role.VALIDATOR:
                staked = (row.uid + 2) * 1_000 * TSR
                assert row.apy == pytest.approx((1 + paid[row.owner] / staked) ** 365 - 1)
                assert row.stake is not None
                assert row.stake >= staked

    # A week later, by the program; the rows of the first epoch are served no more.
    second = await market.final(LATER)
    told = await say(market, capsys, "--json")
    assert (told["subnet"], told["epoch"], told["unread"]) == (subnet.number, LATER, [])
    for row in told["rows"]:
        if row["role"] == "model":
            before, after = first.columns[row["uid"]], second.columns[row["uid"]]
            assert before is not None
            assert after is not None
            change = after.rank / second.header.incentive - before.rank / whole
            assert (row["change_7d"], row["change_30d"]) == (pytest.approx(change), None)
    shown = await say(market, capsys, "--role", "validator")
    assert f"by epoch {LATER}, the latest that is final" in shown
    assert "unknown" not in shown

    # To somebody who comes late, the first result is lost with its parts and its rows. Whoever
    # serves another's in its place, to look better than a week ago, is not believed.
    forged = (tmp_path / "keeper" / "served" / name_of(second.header.digest)).read_bytes()
    market.lose(1)
    (tmp_path / "served" / name_of(first.header.digest)).write_bytes(forged)
    late = await market.table("stranger")
    assert [each.epoch for each in late.unread] == [1, LATER]
    assert all("row" in each.why for each in late.unread)
    assert {row.uid for row in late.rows if "change_7d" in row.unknown} == {0, 1, 2}
    assert all(row.rank is None for row in late.rows)
    assert [row.stake for row in late.rows if row.role is Role.VALIDATOR] != [None] * 3
    shutil.rmtree(tmp_path / "keeper" / "epochs")
    shown = await say(market, capsys, "--mirror", f"{subnet.url}/served")
    assert "unknown for the result of epoch 1: " in shown


async def say(market: Market, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    """Run the command; return what it says, read as JSON if it is."""
    there = market.subnet
    arguments = [
        "leaderboard", str(there.number), *more, "--data-dir", str(market.home / "keeper"),
        "--rpc-url", there.chain.node.url, "--chain-id", str(CHAIN_ID),
        "--deployment", str(market.home / "deployment.json"),
    ]  # fmt: skip
    assert await asyncio.to_thread(run, arguments) == 0
    said = capsys.readouterr().out
    return json.loads(said) if "--json" in more else said
