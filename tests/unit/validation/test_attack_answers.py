"""An endpoint, or whoever wrote a report, may say anything: it costs points, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.validation.folders import Written, as_json, benchmark
from tests.unit.validation.test_kinds import DOCUMENTS, MOODS, QUIZ, ROWS, TEXTS
from tests.unit.validation.test_report import rehashed

from tessera.client.gateway import ModelCard
from tessera.errors import InputError, ServingError, TesseraError
from tessera.serving.bodies import TokenLimits
from tessera.spec.prices import Price
from tessera.spec.signatures import Domain
from tessera.spec.vouchers import TillKey
from tessera.validation.answers import PATHS, Ask, Malformed, Unsupported, read_output
from tessera.validation.canonical import canonical
from tessera.validation.endpoints import PaidEndpoint
from tessera.validation.report import (
    ModelName,
    build_report,
    check_against,
    check_report,
    read_report,
)
from tessera.validation.running import items_to_ask, run
from tessera.validation.task import Benchmark

NAMES = [
    "data", "outputs", "results", "choices", "message", "content", "text", "label", "scores",
    "embedding", "logprobs", "top_logprobs", "tokens", "token_logprobs", "text_offset", "token",
    "logprob", "finish_reason", "category_scores", "categories", "output", "digit", "positive", "A",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(NAMES)
)
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
TASKS: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "moods": ("classification", MOODS, '[scorer]\nlabels = ["positive", "negative"]'),
    "rows": ("classification", ROWS, '[scorer]\noutput = "digit"'),
    "retrieval": ("retrieval", DOCUMENTS, ""),
    "perplexity": ("perplexity", TEXTS, ""),
    "letter": ("choice", QUIZ, ""),
    "logprobs": ("choice", QUIZ, '[scorer]\nby = "logprobs"'),
    "likelihood": ("choice", QUIZ, '[scorer]\nby = "likelihood"'),
}


@cache
def task_of(name: str) -> Benchmark:
    with TemporaryDirectory() as folder:
        return benchmark(Path(folder), *TASKS[name])


def fields_of(path: str) -> dict[str, Any]:
    return (
        {"prompt": "say hello", "echo": True} if path == "/v1/completions" else {"logprobs": True}
    )


@given(path=st.sampled_from(sorted(PATHS)), said=ANY)
def test_any_json_is_read_as_an_output_or_as_none(path: str, said: Any) -> None:
    body = json.dumps(said).encode()
    for wrapped in (body, b'{"choices": [' + body + b"]}", b'{"data": [' + body + b"]}"):
        try:
            output = read_output(Ask(path, fields_of(path), 4), wrapped)
        except (Malformed, Unsupported):
            continue
        # What was read has a form, so it has a hash.
        assert canonical(output)


@given(path=st.sampled_from(sorted(PATHS)), body=st.binary(max_size=60))
def test_any_bytes_are_read_as_an_output_or_as_none(path: str, body: bytes) -> None:
    with contextlib.suppress(Malformed, Unsupported):
        assert canonical(read_output(Ask(path, fields_of(path), 4), body))


@pytest.mark.parametrize("name", sorted(TASKS))
@given(said=st.lists(ANY, min_size=1, max_size=4))
def test_whatever_is_answered_has_a_score_from_0_to_1_or_none_at_all(
    name: str, said: list[Any]
) -> None:
    task = task_of(name)
    bodies = [json.dumps(each).encode() for each in said]
    given_out = iter(range(10_000))

    def answer(_ask: Ask) -> bytes:
        return bodies[next(given_out) % len(bodies)]

    async def whole() -> dict[str, Any]:
        finished = await run(task, items_to_ask(task, None), Written(answer), about="")
        report = await build_report(task, ModelName("m"), finished.measured)
        await check_against(report, task)
        return report

    score = asyncio.run(whole())["core"]["score"]
    assert score is None or 0 <= score <= 1


def honest(name: str) -> dict[str, Any]:
    vectors = {"data": [{"embedding": [1.0, 2.0]}]}
    said = {
        "moods": {"data": [{"label": "positive", "scores": {"positive": 1.0, "negative": 0.5}}]},
        "rows": {"outputs": [{"digit": 3}]},
        "retrieval": vectors,
        "letter": {"choices": [{"message": {"content": "B"}}]},
    }[name]
    task = task_of(name)

    async def whole() -> dict[str, Any]:
        endpoint = Written(lambda _ask: as_json(said))
        finished = await run(task, items_to_ask(task, None), endpoint, about="")
        return await build_report(task, ModelName("m"), finished.measured)

    return asyncio.run(whole())


@pytest.mark.parametrize("name", ["moods", "rows", "retrieval", "letter"])
@given(output=ANY, at=st.integers(0, 1))
def test_a_forged_output_is_refused_or_scored_and_breaks_nothing(
    name: str, output: Any, at: int
) -> None:
    """All roots are computed again, so only the scorer is left to find it."""
    report = copy.deepcopy(honest(name))
    report["items"][at]["asks"][0]["output"] = output
    try:
        forged = rehashed(report)
    except ValueError:
        # NaN has no form, so it cannot be in a report.
        return
    try:
        asyncio.run(check_against(forged, task_of(name)))
    except TesseraError:
        return
    assert forged["core"]["score"] is None or 0 <= forged["core"]["score"] <= 1


@given(where=st.sampled_from(["core", "items", "run", "root", "format"]), value=ANY)
def test_a_report_with_any_part_replaced_is_refused_or_checked(where: str, value: Any) -> None:
    report = honest("rows") | {where: value}
    with TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        file.write_text(json.dumps(report))
        try:
            check_report(read_report(file))
        except (InputError, TesseraError):
            return
    assert where == "run" or report == honest("rows")


@pytest.mark.parametrize("code", ["conflict", "input_error", "rpc_unavailable", "not_allowed", 7])
async def test_a_gateway_chooses_no_name_for_its_refusal_that_blames_the_validator(
    code: object,
) -> None:
    """Trouble of the validator's own stops its whole survey; so a stranger may not name it so."""
    refusal = httpx.Response(409, json={"error": {"code": code, "message": "it is your chain"}})
    price = Price(per_call=1, per_1k_in=0, per_1k_out=0)
    card = ModelCard("m", TillKey(1, 0), 1, price, TokenLimits(), ("predict",), "urn", None)
    served = httpx.MockTransport(lambda _request: refusal)
    async with httpx.AsyncClient(transport=served, base_url="http://gateway") as http:
        endpoint = PaidEndpoint(http, card, Domain(1, bytes(20)))
        with pytest.raises(ServingError, match="it is your chain"):
            await endpoint.ask(Ask("/v1/predict", {"rows": [[1.0]]}))
