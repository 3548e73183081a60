"""The demo's second operator and its clock, on a real chain."""

from __future__ import annotations

import asyncio
import io
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from tessera.assets.manifest import Task
from tessera.client import Client
from tessera.demo.cast import assemble
from tessera.demo.clock import StoryClock, skip_to
from tessera.demo.stage import Stage, set_stage, theatre
from tessera.demo.subnet.cheat import Cheat, open_cheat
from tessera.demo.telling import Narrator
from tessera.serving.runner import Identity, PredictRequest, PredictResult, RunnerBase, Units
from tessera.spec.signatures import address_of

MANIFEST = """\
name = "courtier"
title = "Says 0"
kind = "model"
version = "0.1.0"
licence = "Apache-2.0"
[runner]
kind = "python"
task = "predict"
file = "model.py"
callable = "predict"
limits = { memory_mb = 512, timeout_s = 10 }
[price]
per_call = "0.01"
"""
CHEAP = "def predict(rows):\n    return [0 for row in rows]\n"
VALIDATOR, PASSER_BY = "consumer-1", "consumer-2"
CALLS = 8
DAY_S = 86_400


class Good(RunnerBase):
    """What validators get."""

    def __init__(self) -> None:
        super().__init__("good", frozenset({Task.PREDICT}), Identity.HASHED)

    async def load(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def predict(self, request: PredictRequest) -> PredictResult:
        # Two calls are under way at once, by two payers.
        await asyncio.sleep(0.01)
        return PredictResult([{"output": 1} for _ in request.rows], Units(len(request.rows)))


async def asked(stage: Stage, cheat: Cheat, name: str) -> tuple[set[object], set[object]]:
    """Make calls; the answers, and what the operator signed that it served."""
    world = stage.world
    client = Client(
        cheat.url, account=world.account(name), deployment=world.deployment,
        rpc_url=world.reader.url, deposit=10**6, operator=cheat.operator.account.address,
        state_dir=None,
    )  # fmt: skip
    try:
        async with client.async_http() as http:
            fields = {"model": "courtier", "rows": [[1.0]]}
            replies = await asyncio.gather(
                *(http.post("/v1/predict", json=fields) for _ in range(CALLS))
            )
        answers = {reply.json()["outputs"][0]["output"] for reply in replies}
        signed = {(one.receipt.asset, one.receipt.version) for one in client.receipts}
        return answers, signed
    finally:
        await asyncio.to_thread(client.close)


async def test_who_is_no_validator_gets_the_cheap_model_under_the_same_name(
    tmp_path: Path,
) -> None:
    """The attack: a gateway that looks at who pays. Its receipts say nothing of it."""
    folder = tmp_path / "courtier"
    folder.mkdir()
    (folder / "tessera.toml").write_text(MANIFEST)
    (folder / "model.py").write_text(CHEAP)
    narrator = Narrator(Console(file=io.StringIO()))
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(set_stage(theatre(tmp_path / "data"), narrator))
        world = stage.world
        await assemble(world)
        cheat = await stack.enter_async_context(open_cheat(world, folder, Good()))
        cheat.favoured.add(address_of(world.account(VALIDATOR).address))
        (known, of_known), (unknown, of_unknown) = await asyncio.gather(
            asked(stage, cheat, VALIDATOR), asked(stage, cheat, PASSER_BY)
        )
        assert (known, unknown) == ({1}, {0})
        assert of_known == of_unknown == {(cheat.asset, 1)}
        # Another company: this operator does not serve it, and keeps its own books.
        assert "courtier" not in stage.operator.models
        assert (await cheat.operator.settle()).total == 2 * CALLS * 10**4
        # Ten days pass at once, on the chain and for whoever answers.
        before = (await world.reader.block()).timestamp
        await skip_to(world, before + 10 * DAY_S)
        assert (await world.reader.block()).timestamp > before + 10 * DAY_S
        assert world.now() == cheat.world.now()
        assert (await asked(stage, cheat, PASSER_BY))[0] == {0}


def test_the_storys_clock_never_falls() -> None:
    seconds = [1_000.0]
    clock = StoryClock(lambda: seconds[0])
    assert clock() == 1_000
    clock.skip_to(1_500)
    assert clock() == 1_500
    clock.skip_to(1_200)
    assert clock() == 1_500
    seconds[0] += 10
    assert clock() == 1_510
