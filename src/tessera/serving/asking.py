"""Asking a runner what was understood, whichever of its tasks that is."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from tessera.serving.choices import write_chat
from tessera.serving.runner import (
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    PredictRequest,
    Request,
    Result,
    Runner,
    ScoreRequest,
)

__all__ = ["ask"]


def ask(runner: Runner, request: Request) -> Coroutine[Any, Any, Result]:
    """Return what answers a request in one piece, to be awaited."""
    match request:
        case ChatRequest():
            return write_chat(runner, request)
        case EmbeddingsRequest():
            return runner.embed(request)
        case ClassifyRequest():
            return runner.classify(request)
        case PredictRequest():
            return runner.predict(request)
        case ScoreRequest():
            return runner.score_text(request)
