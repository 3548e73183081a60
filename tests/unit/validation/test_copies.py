"""One's own copy as an endpoint: it gives the outputs that the wire gives."""

from __future__ import annotations

import math
import re
from itertools import accumulate
from pathlib import Path

import pytest
from tests.unit.validation.folders import as_json, benchmark

from tessera.errors import BackendFailed
from tessera.serving.runner import (
    ChatRequest,
    ChatResult,
    Choice,
    ClassifyRequest,
    ClassifyResult,
    EmbeddingsRequest,
    EmbeddingsResult,
    Identity,
    PredictRequest,
    PredictResult,
    RunnerBase,
    ScoreRequest,
    ScoreResult,
    Task,
    Units,
    cannot_score,
)
from tessera.validation.answers import Ask, Outcome, read_output
from tessera.validation.endpoints import CopyEndpoint
from tessera.validation.report import ModelName, build_report
from tessera.validation.running import run

NONE = Units(0, 0)


class Every(RunnerBase):
    """Answers everything, the same each time."""

    def __init__(self, tasks: frozenset[Task] = frozenset(Task)) -> None:
        super().__init__("every", tasks, Identity.HASHED)

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        return EmbeddingsResult([[0.1, 2.0]], NONE)

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        if request.texts == ("break",):
            raise BackendFailed("model")
        return ClassifyResult([{"a": 0.25, "b": 0.75}], NONE)

    async def predict(self, request: PredictRequest) -> PredictResult:
        return PredictResult([{"digit": 3, "sure": [0.5, 0.25]}], NONE)

    async def chat(self, request: ChatRequest) -> ChatResult:
        return ChatResult((Choice("B", "stop"),), NONE)

    async def score_text(self, request: ScoreRequest) -> ScoreResult:
        if request.text.startswith("silence"):
            raise cannot_score(self.name)
        tokens = re.findall(r"\S+ ?", request.text)
        starts = tuple(accumulate(map(len, tokens), initial=0))[:-1]
        logs = (None, *(-float(len(token.strip())) for token in tokens[1:]))
        return ScoreResult(tuple(tokens), starts, logs, NONE)


WIRE = {
    "/v1/embeddings": {"data": [{"index": 0, "embedding": [0.1, 2]}]},
    "/v1/classify": {"id": "x", "data": [{"label": "b", "scores": {"b": 0.75, "a": 0.25}}]},
    "/v1/predict": {"outputs": [{"sure": [0.5, 0.25], "digit": 3}], "created": 7},
    "/v1/completions": {
        "choices": [
            {
                "text": "so it is indeed",
                "logprobs": {
                    "tokens": ["so ", "it ", "is", " indeed"],
                    "token_logprobs": [None, -2.0, -2.0, -0.1],
                    "text_offset": [0, 3, 6, 8],
                },
            }
        ]
    },
    "/v1/chat/completions": {
        "id": "y",
        "choices": [{"message": {"role": "assistant", "content": "B"}, "finish_reason": "stop"}],
    },
}
FIELDS = {
    "/v1/embeddings": {"input": ["x"]},
    "/v1/classify": {"input": ["x"]},
    "/v1/predict": {"rows": [[1]]},
    "/v1/completions": {"prompt": "so it is", "echo": True, "logprobs": 1, "max_tokens": 1},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
}


@pytest.mark.parametrize("path", sorted(WIRE))
async def test_a_copy_gives_the_output_of_the_wire(path: str) -> None:
    ask = Ask(path, FIELDS[path])
    said = await CopyEndpoint(Every()).ask(ask)
    assert said.answer.outcome is Outcome.ANSWERED
    assert said.answer.output == read_output(ask, as_json(WIRE[path]))


async def test_a_copy_that_can_say_so_has_a_perplexity(tmp_path: Path) -> None:
    task = benchmark(tmp_path, "perplexity", [{"text": "one three", "prompt": "two "}])
    finished = await run(task, (0,), CopyEndpoint(Every()), about="")
    report = await build_report(task, ModelName("every"), finished.measured)
    assert report["core"]["score"] == pytest.approx(math.exp(-8 / 9))
    assert report["core"]["details"]["bits_per_byte"] == pytest.approx(8 / 9 / math.log(2))


async def test_one_that_cannot_is_unsupported(tmp_path: Path) -> None:
    task = benchmark(tmp_path, "perplexity", [{"text": "one", "prompt": "silence "}])
    finished = await run(task, (0,), CopyEndpoint(Every()), about="")
    report = await build_report(task, ModelName("every"), finished.measured)
    assert report["core"]["status"] == "unsupported"


async def test_what_a_copy_cannot_do_and_what_breaks_it_is_told_apart() -> None:
    only = CopyEndpoint(Every(frozenset({Task.CLASSIFICATION})))
    outcomes = [
        (await only.ask(Ask("/v1/predict", {"rows": [[1]]}))).answer.outcome,
        (await only.ask(Ask("/v1/classify", {"input": ["break"]}))).answer.outcome,
        (await only.ask(Ask("/v1/classify", {"input": []}))).answer.outcome,
    ]
    assert outcomes == [Outcome.UNSUPPORTED, Outcome.FAILED, Outcome.REFUSED]
