"""A real model behind a real gateway, measured by a client that pays."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.audit.test_endpoints import CHEAP, opened
from tests.integration.client.conftest import Stand
from tests.unit.validation.folders import benchmark

from tessera.client.evidence import kept
from tessera.demo.models import BUILDERS, Built
from tessera.payments.onchain import channels_domain
from tessera.serving.equality.verdict import Finding
from tessera.serving.runner import Identity, Runner, RunnerBase, Task
from tessera.spec.signatures import address_of
from tessera.validation.draw import Draw
from tessera.validation.endpoints import CopyEndpoint, PaidEndpoint
from tessera.validation.evidence import check_calls
from tessera.validation.refusals import ReportWrong
from tessera.validation.report import ModelName, build_report, check_against
from tessera.validation.rerun import rerun, sample_of
from tessera.validation.running import Limits, items_to_ask, most_of, run
from tessera.validation.task import Benchmark

ROOT = "0x" + bytes(32).hex()
DRAW = Draw(bytes(32), bytes(32), bytes(20), 60)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return BUILDERS["digits"](tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """scikit-learn's digits, those that the demo's model has not seen."""
    from tessera.demo.models.digits import pictures

    _, held_out, _, wanted = pictures()
    items = [
        {"input": picture.tolist(), "label": int(digit)}
        for picture, digit in zip(held_out, wanted, strict=True)
    ]
    folder = tmp_path_factory.mktemp("benchmark")
    return benchmark(folder, "classification", items, 'chance = 0.1\n[scorer]\noutput = "digit"')


@pytest.fixture
async def runner(digits: Built) -> AsyncIterator[Runner]:
    loaded = await opened(digits.folder)
    yield loaded
    await loaded.close()


async def measured(
    stand: Stand, task: Benchmark, runner: Runner, keep: Path
) -> tuple[dict[str, Any], int]:
    """Let the gateway serve a runner, and measure it as a consumer who pays."""
    (offer, *_) = stand.models.offers()
    stand.models.replace([dataclasses.replace(offer, slug="digits", runner=runner, price=CHEAP)])
    client = await stand.client(deposit=10**7, keep=keep)
    (card,) = await asyncio.to_thread(client.models)
    async with client.async_http() as http:
        endpoint = PaidEndpoint(http, card, channels_domain(stand.world.deployment))
        numbers = items_to_ask(task, DRAW)
        bound = most_of(task, numbers, endpoint)
        finished = await run(
            task, numbers, endpoint, about="digits", limits=Limits(at_once=8, budget=bound)
        )
    assert finished.served is not None
    assert finished.cost == bound == sum(receipt.cost for receipt in client.receipts)
    served = finished.served
    model = ModelName(
        "digits", str(served.asset), served.version, ROOT, served.identity.name.lower()
    )
    return await build_report(task, model, finished.measured, draw=DRAW), finished.cost


async def test_a_paid_run_is_what_ones_own_copy_gives_and_each_call_is_signed(
    stand: Stand, task: Benchmark, runner: Runner, tmp_path: Path
) -> None:
    report, cost = await measured(stand, task, runner, tmp_path / "calls")
    assert cost > 0
    assert report["core"]["score"] > 0.9
    again, _ = await measured(stand, task, runner, tmp_path / "again")
    assert again["root"] == report["root"]

    own = CopyEndpoint(runner)
    finished = await run(task, items_to_ask(task, DRAW), own, about="own")
    copied = await build_report(task, ModelName("digits"), finished.measured, draw=DRAW)
    assert copied["core"]["outputs_root"] == report["core"]["outputs_root"]

    await check_against(report, task)
    domain = channels_domain(stand.world.deployment)
    operator = address_of(stand.world.operator.address)
    calls = kept(tmp_path / "calls", domain, lambda _signed: operator)
    assert check_calls(report, task, calls, domain) == 60
    with pytest.raises(ReportWrong, match="a kept call"):
        check_calls(again, task, calls, domain)
    verdict = await rerun(report, task, own, sample_of(report, 20, 3))
    assert verdict.finding is Finding.SAME


async def test_a_validator_who_never_asked_is_found(
    stand: Stand, task: Benchmark, runner: Runner, tmp_path: Path
) -> None:
    """He gives each item the right label, and computes all roots: a perfect report, and no call."""
    from tests.unit.validation.test_report import rehashed

    report, _ = await measured(stand, task, runner, tmp_path / "calls")
    for item in report["items"]:
        label = task.items[item["item"]]["label"]
        item["asks"][0]["output"] = {"digit": label, "probabilities": [0.1] * 10}
        item["score"] = 1.0
    made_up = rehashed(report)
    await check_against(made_up, task)
    verdict = await rerun(made_up, task, CopyEndpoint(runner), sample_of(made_up, 5, 1))
    assert verdict.accuses
    domain = channels_domain(stand.world.deployment)
    operator = address_of(stand.world.operator.address)
    calls = kept(tmp_path / "calls", domain, lambda _signed: operator)
    with pytest.raises(ReportWrong, match="another answer"):
        check_calls(made_up, task, calls, domain)


async def test_a_model_that_cannot_say_how_probable_a_text_is_is_unsupported_and_paid_nothing(
    stand: Stand, tmp_path: Path
) -> None:
    task = benchmark(tmp_path, "perplexity", [{"text": "hello"}, {"text": "there"}])
    (offer, *_) = stand.models.offers()
    mute = RunnerBase("mute", frozenset({Task.CHAT}), Identity.HASHED)
    stand.models.replace([dataclasses.replace(offer, runner=mute)])
    client = await stand.client()
    (card,) = await asyncio.to_thread(client.models)
    async with client.async_http() as http:
        endpoint = PaidEndpoint(http, card, channels_domain(stand.world.deployment))
        finished = await run(task, (0, 1), endpoint, about="")
    core = (await build_report(task, ModelName("parrot"), finished.measured))["core"]
    assert (core["status"], core["score"], finished.cost) == ("unsupported", None, 0)
    assert "does not say how probable a text is" in finished.why
