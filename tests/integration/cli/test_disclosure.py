"""A buyer's questions through the program: where the shares are, who has them, what they earned."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from tests.integration.cli.conftest import Program, write_bundle

from tessera.bindings import Share
from tessera.chain.deployments import Deployment
from tessera.chain.reader import ChainReader
from tessera.ownership.disclosure import Disclosure, read_disclosure
from tessera.units import AssetId, UnixSeconds

SHARE = 10**18


async def _told_nothing(world: Program, status: dict[str, Any], asset: int) -> Disclosure:
    """Ask a node that shows no events: what it hides is seen as shares of nobody."""
    made = Deployment.load(world.data / "deployments" / f"{status['chain_id']}.json")
    async with ChainReader(status["rpc_url"], chain_id=status["chain_id"]) as reader:
        return await read_disclosure(
            reader,
            made.lens,
            AssetId(asset),
            Share(await reader.read(made.registry.share_of(asset))),
            launchpad=made.launchpad,
            governor=made.governor,
            exchange=made.exchange.address,
            first=await reader.block_number() + 1,
            now=UnixSeconds(int(time.time())),
        )


def test_a_buyer_sees_supply_holders_unlocking_and_revenue(world: Program, tmp_path: Path) -> None:
    world.ok("publish", write_bundle(tmp_path / "disclosed", "disclosed"))
    world.ok("tokenize", "disclosed", "--supply", "1000", "--period", "1s")
    world.ok("vesting", "grant", "disclosed", "holder", "100", "--cliff", "0s", "--duration", "60d")
    world.ok("offer", "disclosed", "--shares", "50", "--price", "1")
    publisher, holder = (world.ok("portfolio", who)["account"] for who in ("publisher", "holder"))

    first = world.ok("mark", "disclosed")
    again = world.ok("mark", "disclosed")
    told = world.ok("disclosure", "disclosed", "--months", "2")

    assert (first["written"], again["written"]) == (True, False)
    assert told["total"] == str(1_000 * SHARE)
    assert (told["for_sale"], told["vesting"]) == (str(50 * SHARE), str(100 * SHARE))
    assert told["circulating"] == str(850 * SHARE)
    locked = [int(row["locked"]) for row in told["calendar"]]
    assert len(locked) == 3
    assert locked == sorted(locked, reverse=True)
    assert locked[0] > 99 * SHARE
    assert locked[-1] == 0
    assert told["calendar_leaves_out"] == "0"
    assert [(part["account"], part["total"]) for part in told["holders"]] == [
        (publisher, str(850 * SHARE)),
        (holder, str(100 * SHARE)),
    ]
    assert (told["others"], told["complete"]) == ("0", True)
    (span,) = told["revenue"]
    assert (span["revenue"], span["demand"]) == ("0", "0")

    number = int(told["asset"].rpartition("/")[2])
    hidden = asyncio.run(_told_nothing(world, world.ok("status"), number))
    assert (hidden.holders, hidden.complete) == ((), False)
    assert hidden.others == 950 * SHARE
    assert hidden.calendar_leaves_out == 100 * SHARE

    shown = world("disclosure", "disclosed", "--top", "1")
    assert shown.code == 0, shown.err
    assert "everybody else together" in shown.out
    assert "(publisher)" in shown.out
    assert world("disclosure", "disclosed", "--top", "0").code == 2
