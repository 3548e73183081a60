"""Answers in OpenAI's shapes, from what runners return."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tessera.gateway.responses import ResponseEvents, response_of
from tessera.serving.bodies import Asked
from tessera.serving.runner import (
    FLAGGED_FROM,
    ChatDelta,
    ChatResult,
    ClassifyResult,
    EmbeddingsResult,
    PredictResult,
    Result,
    ScoreRequest,
    ScoreResult,
    Task,
    Units,
)

__all__ = ["ChatChunks", "Events", "event", "events_of", "whole_answer"]


def usage_of(units: Units) -> dict[str, int]:
    """Return OpenAI's usage object."""
    return {
        "prompt_tokens": units.input,
        "completion_tokens": units.output,
        "total_tokens": units.total,
    }


def whole_answer(asked: Asked, result: Result, *, model: str, name: str, now: int) -> bytes:
    """Write an answer that is sent in one piece.

    Parameters
    ----------
    asked, result
        What was asked and what the runner returned.
    model
        `slug@version`: what really answered.
    name
        Of this answer.
    now
        Unix seconds.
    """
    match result:
        case EmbeddingsResult():
            shown = _embeddings(result, model, base64_wanted=asked.base64)
        case ChatResult() if asked.response is not None:
            shown = response_of(asked.response, result, model=model, name=name, now=now)
        case ChatResult():
            shown = _completion(result, model, name, now)
        case ScoreResult() if isinstance(asked.request, ScoreRequest):
            shown = _echoed(asked.request.text, result, model, name, now)
        case PredictResult():
            shown = {
                "object": "prediction",
                "model": model,
                "outputs": result.outputs,
                "usage": usage_of(result.units),
            }
        case ClassifyResult() if asked.task is Task.MODERATION:
            shown = _moderations(result, model, name)
        case ClassifyResult():
            shown = _classification(result, model)
    return msgspec.json.encode(shown)


def _embeddings(result: EmbeddingsResult, model: str, *, base64_wanted: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "model": model,
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _packed(vector) if base64_wanted else vector,
            }
            for index, vector in enumerate(result.vectors)
        ],
        "usage": usage_of(result.units),
    }


def _packed(vector: list[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _completion(result: ChatResult, model: str, name: str, now: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion",
        "created": now,
        "model": model,
        "choices": [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": choice.text,
                    "refusal": None,
                    **choice.more,
                },
                "logprobs": choice.logprobs,
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(result.choices)
        ],
        "usage": usage_of(result.units),
    }


def _echoed(text: str, result: ScoreResult, model: str, name: str, now: int) -> dict[str, Any]:
    return {
        "id": f"cmpl-{name}",
        "object": "text_completion",
        "created": now,
        "model": model,
        "choices": [
            {
                "index": 0,
                "text": text,
                "logprobs": {
                    "tokens": result.tokens,
                    "token_logprobs": result.logs,
                    "top_logprobs": result.likeliest,
                    "text_offset": result.starts,
                },
                "finish_reason": "length",
            }
        ],
        "usage": usage_of(result.units),
    }


def _moderations(result: ClassifyResult, model: str, name: str) -> dict[str, Any]:
    judged = [
        {label: score >= FLAGGED_FROM for label, score in scores.items()}
        for scores in result.scores
    ]
    return {
        "id": f"modr-{name}",
        "model": model,
        "results": [
            {
                "flagged": any(categories.values()),
                "categories": categories,
                "category_scores": scores,
                "category_applied_input_types": {label: ["text"] for label in scores},
            }
            for categories, scores in zip(judged, result.scores, strict=True)
        ],
        "usage": usage_of(result.units),
    }


def _classification(result: ClassifyResult, model: str) -> dict[str, Any]:
    return {
        "object": "list",
        "model": model,
        "data": [
            {
                "object": "classification",
                "index": index,
                "label": max(scores, key=lambda label: scores[label]),
                "scores": scores,
            }
            for index, scores in enumerate(result.scores)
        ],
        "usage": usage_of(result.units),
    }


_TEXT_END: Final = b'},"logprobs":null,"finish_reason":null}]}\n\n'


class ChatChunks:
    """Writes the SSE events of one streamed chat.

    Parameters
    ----------
    model
        `slug@version`.
    name
        Of this answer.
    now
        Unix seconds.
    include_usage
        Whether a last event counts units; the others then say `"usage": null`.
    """

    DONE: Final = b"data: [DONE]\n\n"

    def __init__(self, model: str, name: str, now: int, *, include_usage: bool) -> None:
        self._frame: dict[str, Any] = {
            "id": f"chatcmpl-{name}",
            "object": "chat.completion.chunk",
            "created": now,
            "model": model,
        }
        if include_usage:
            self._frame["usage"] = None
        # All but the choice is the same in each event.
        self._before = b"data: " + msgspec.json.encode(self._frame)[:-1] + b',"choices":['
        self._text = self._before + b'{"index":0,"delta":{"content":'

    def first(self, index: int = 0) -> bytes:
        """Begin the assistant's turn, one of several where several texts are wanted."""
        return self._choice(index, {"role": "assistant", "content": ""})

    def piece(self, piece: ChatDelta) -> bytes:
        """Add text, or what comes beside it."""
        if piece.text and not (piece.index or piece.more or piece.logprobs):
            # Most pieces: all but the text is known.
            return self._text + msgspec.json.encode(piece.text) + _TEXT_END
        delta = {"content": piece.text, **piece.more} if piece.text else piece.more
        return self._choice(piece.index, delta, logprobs=piece.logprobs)

    def last(self, finish: str, index: int = 0) -> bytes:
        """Say why a text ended."""
        return self._choice(index, {}, finish)

    def usage(self, units: Units) -> bytes:
        """Count the units of the whole call."""
        return event({**self._frame, "choices": [], "usage": usage_of(units)})

    def _choice(
        self,
        index: int,
        delta: Mapping[str, object],
        finish: str | None = None,
        logprobs: msgspec.Raw | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._before + msgspec.json.encode(choice) + b"]}\n\n"


Events = ChatChunks | ResponseEvents


def events_of(asked: Asked, *, model: str, name: str, now: int) -> Events:
    """Return what writes a stream as it was asked for."""
    if asked.response is not None:
        return ResponseEvents(asked.response, model, name, now)
    return ChatChunks(model, name, now, include_usage=asked.include_usage)


def event(value: object) -> bytes:
    """Write one SSE event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
