"""Honest, quantized and swapped endpoints, audited through the real gateway by a paying client.

What the operator signs says version 1 each time; what answers is the test's choice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.integration.client.conftest import Stand

from tessera.assets import validate
from tessera.client.auditing import Copy, Plan, ask, judge, questions
from tessera.client.evidence import PaidCall
from tessera.demo.models import BUILDERS, RELEASES, Built
from tessera.errors import WrongVersionServed
from tessera.serving.equality.verdict import Finding, Verdict
from tessera.serving.opening import ServingPolicy, open_runner
from tessera.serving.runner import ChatRequest, ChatResult, Runner, RunnerBase
from tessera.spec.prices import Price

CHEAP = Price(per_call=10, per_1k_in=10, per_1k_out=10)


async def opened(folder: Path) -> Runner:
    manifest = validate(folder).manifest
    runner = open_runner(manifest, folder, ServingPolicy(allow_python_runners=True))
    await runner.load()
    return runner


def to_int8(graph: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(graph, target, weight_type=QuantType.QInt8)


def served(stand: Stand, slug: str, runner: Runner, version: int = 1) -> Copy:
    """Let an endpoint answer with a runner; return a copy that says which asset it is."""
    (offer, *_) = stand.models.offers()
    offer = dataclasses.replace(
        offer, slug=slug, runner=runner, price=CHEAP, urn=f"urn:{slug}", version=version
    )
    stand.models.replace([offer])
    return Copy(slug=slug, asset=offer.asset, version=1, runner=runner, limits=offer.limits)


async def audited(
    stand: Stand, own: Copy, answering: Runner, plan: Plan
) -> tuple[Verdict, list[PaidCall]]:
    served(stand, own.slug, answering)
    client = await stand.client(deposit=10**7)
    calls = await ask(client, own, questions(own, plan), plan, lambda _done, _all: None)
    return await judge(own, calls, plan), calls


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return BUILDERS["digits"](tmp_path_factory.mktemp("digits"))


@pytest.fixture
async def own(stand: Stand, digits: Built) -> AsyncIterator[Copy]:
    runner = await opened(digits.folder)
    copy = served(stand, "digits", runner)
    yield dataclasses.replace(copy, inputs=validate(digits.folder).manifest.inputs)
    await runner.close()


async def test_an_honest_endpoint_gives_the_same_bytes_with_a_receipt_for_each(
    stand: Stand, digits: Built, own: Copy
) -> None:
    answering = await opened(digits.folder)
    verdict, calls = await audited(stand, own, answering, Plan(samples=60, seed=1))
    assert (verdict.finding, verdict.p_value) == (Finding.SAME, 1.0)
    assert verdict.details["different"] == 0
    assert all(call.receipt is not None for call in calls)
    await answering.close()


async def test_int8_weights_of_the_demos_graph_are_called_close_and_not_honest(
    stand: Stand, digits: Built, own: Copy, tmp_path: Path
) -> None:
    """An operator saves memory: it serves the published graph with its weights rounded to 8 bits.
    Nearly every decision is the same, and nearly no number is."""
    copy = tmp_path / "int8"
    copy.mkdir()
    for file in digits.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    to_int8(digits.folder / "digits.onnx", copy / "digits.onnx")
    answering = await opened(copy)
    verdict, _ = await audited(stand, own, answering, Plan(samples=100, seed=2))
    assert verdict.finding is Finding.CLOSE, verdict
    assert verdict.p_value < 1e-6
    assert "8 or 16 bits" in verdict.said
    agreed = verdict.details["decide_alike"]
    assert isinstance(agreed, int)
    assert agreed >= 95
    await answering.close()


async def test_another_model_behind_the_name_is_found(
    stand: Stand, own: Copy, tmp_path: Path
) -> None:
    """An operator goes on under version 1 with another network for the same task."""
    other = RELEASES["digits-2"](tmp_path / "other")
    answering = await opened(other.folder)
    verdict, _ = await audited(stand, own, answering, Plan(samples=60, seed=3))
    assert verdict.finding is Finding.DIFFERENT, verdict
    assert verdict.p_value < 1e-6
    await answering.close()


async def test_a_receipt_about_another_version_ends_the_audit(stand: Stand, own: Copy) -> None:
    served(stand, "digits", own.runner, version=2)
    plan = Plan(samples=3, seed=4)
    bodies = [body.replace(b"digits@1", b"digits@2") for body in questions(own, plan)]
    client = await stand.client(deposit=10**7)
    with pytest.raises(WrongVersionServed, match="version 2 of asset"):
        await ask(client, own, bodies, plan, lambda _done, _all: None)


# --- Texts ----------------------------------------------------------------------------------


class Warmer(RunnerBase):
    """A generator that answers at another temperature than it was asked for."""

    def __init__(self, inner: Runner, factor: float) -> None:
        super().__init__("pydoc-lm", inner.tasks, inner.identity, at_once=inner.at_once)
        self._inner, self._factor = inner, factor

    async def chat(self, request: ChatRequest) -> ChatResult:
        warmer = request.temperature * self._factor
        return await self._inner.chat(msgspec.structs.replace(request, temperature=warmer))


@pytest.mark.deep
async def test_the_demos_generator_is_told_from_a_shortened_one_and_from_a_warmer_one(
    stand: Stand, tmp_path: Path
) -> None:
    """An operator serves a smaller model of the same family: the same n-grams, without the longest.
    200 texts of 24 tokens are enough, since the own copy says how probable it finds them."""
    folder = BUILDERS["pydoc-lm"](tmp_path / "lm").folder
    runner, same = await opened(folder), await opened(folder)
    own = served(stand, "pydoc-lm", runner)
    plan = Plan(seed=5)
    honest, calls = await audited(stand, own, same, plan)
    assert honest.finding is Finding.NOT_TOLD_APART, honest
    assert len(calls) == 200
    warm, _ = await audited(stand, own, Warmer(same, 1.25), plan)
    assert warm.finding is Finding.DIFFERENT, warm

    code = (folder / "model.py").read_text()
    shorter = tmp_path / "shorter"
    shorter.mkdir()
    for file in folder.iterdir():
        (shorter / file.name).write_bytes(file.read_bytes())
    cut = code.replace("for order in range(2, ORDER + 1)\n        ]", "for order in range(2, 4)]")
    assert cut != code
    (shorter / "model.py").write_text(cut)
    small = await opened(shorter)
    found, _ = await audited(stand, own, small, plan)
    assert found.finding is Finding.DIFFERENT, found
    # Letter by letter even one seed is enough.
    exact = Plan(samples=5, seed=6, repeatable=True)
    assert (await audited(stand, own, same, exact))[0].finding is Finding.SAME
    assert (await audited(stand, own, small, exact))[0].finding is Finding.DIFFERENT
    for opened_runner in (runner, same, small):
        await opened_runner.close()
