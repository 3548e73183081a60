"""What a model said, without its wrapping: the part of an answer that is hashed and scored.

Whoever repeats himself gives the same output though ids and times of the wire differ. An answer may
be anything: what is none is `Malformed`, and what holds NaN or an infinity is none.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tessera.client.reading import texts_of
from tessera.serving.bodies import COMPLETIONS_PATH, PAID_PATHS, RESPONSES_PATH
from tessera.serving.echo import Completions
from tessera.serving.runner import (
    Cell,
    ChatResult,
    ClassifyResult,
    EmbeddingsResult,
    PredictResult,
    Result,
    ScoreResult,
)

__all__ = [
    "CHAT",
    "CLASSIFY",
    "COMPLETIONS",
    "EMBEDDINGS",
    "MODERATIONS",
    "PATHS",
    "PREDICT",
    "Answer",
    "Ask",
    "Malformed",
    "Outcome",
    "Unsupported",
    "output_of_result",
    "read_output",
]

CHAT: Final = "/v1/chat/completions"
CLASSIFY: Final = "/v1/classify"
COMPLETIONS: Final = COMPLETIONS_PATH
EMBEDDINGS: Final = "/v1/embeddings"
MODERATIONS: Final = "/v1/moderations"
PREDICT: Final = "/v1/predict"

PATHS: Final = frozenset(PAID_PATHS)
"""The routes that a task may ask."""


class Malformed(Exception):
    """An answer that is none."""


class Unsupported(Exception):
    """The endpoint cannot say what was asked."""


class Outcome(enum.StrEnum):
    """What came of one question."""

    ANSWERED = "answered"
    MALFORMED = "malformed"
    """Something that is no answer: the wrong shape, nothing, NaN."""
    REFUSED = "refused"
    """The model's server would not answer this."""
    FAILED = "failed"
    """It broke, again and again."""
    UNSUPPORTED = "unsupported"
    """It has no such route, or leaves out what was asked for."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: a route, and the fields of its body but the model's name.

    Attributes
    ----------
    before
        Where it is asked how probable a text is: the characters of the prompt before it.
    """

    path: str
    fields: dict[str, Any]
    before: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {"path": self.path, "request": self.fields}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes
    ----------
    outcome
        In a word.
    output
        A JSON value where it was answered, else None.
    receipt
        Id of the operator's signature about this call; None where there is none.
    cost
        Base units.
    """

    outcome: Outcome
    output: Any = None
    receipt: str | None = None
    cost: int = 0


def read_output(ask: Ask, body: bytes) -> Any:
    """Read the output off the wire.

    Raises
    ------
    Malformed
        It is no answer of this route.
    Unsupported
        It leaves out log probabilities that are all there is to say.
    """
    try:
        if ask.path == COMPLETIONS:
            return _completed(ask, body)
        output = _READERS[ask.path](body)
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise Malformed(str(error)) from error
    if ask.fields.get("logprobs") and ask.path == CHAT and "top" not in output[0]:
        raise Unsupported("no log probabilities")
    return output


def output_of_result(ask: Ask, result: Result) -> Any:
    """Return the output that the same answer has over the wire.

    Raises
    ------
    Malformed
        It has no label, or not one row.
    """
    match result:
        case ClassifyResult(scores=[row]) if row:
            return {"label": max(row, key=lambda name: row[name]), "scores": _finite(row)}
        case EmbeddingsResult(vectors=[vector]):
            return _finite(list(vector))
        case PredictResult(outputs=[row]) if row:
            return _finite(row)
        case ChatResult(choices=choices):
            return [
                {"text": choice.text or "", "finish": choice.finish, **_top(choice.logprobs)}
                for choice in choices
            ]
        case ScoreResult(starts=starts, logs=logs):
            return _behind(ask, starts, logs)
        case _:
            raise Malformed("not one answer to one question")


def _behind(ask: Ask, starts: Sequence[int], logs: Sequence[float | None]) -> dict[str, Any]:
    """Return how probable a text is behind its prompt: the logarithms, and what they are of.

    Tokens that begin within the prompt belong to it. A first token has no logarithm where nothing
    is before it; then neither it nor its bytes count.
    """
    given: str = ask.fields["prompt"]
    counted = [
        (at, log)
        for at, log in zip(starts, logs, strict=True)
        if ask.before <= at < len(given) and log is not None
    ]
    begins = min((at for at, _ in counted), default=len(given))
    found, size = [log for _, log in counted], len(given[begins:].encode())
    if not found or size < 1 or not all(math.isfinite(log) and log <= 0 for log in found):
        raise Malformed("no logarithms of probabilities")
    return {"logs": found, "bytes": size}


# --- Routes ---------------------------------------------------------------------------------


class _Scored(msgspec.Struct):
    label: str
    scores: dict[str, float]


class _Classified(msgspec.Struct):
    data: list[_Scored]


class _Vector(msgspec.Struct):
    embedding: list[float]


class _Embedded(msgspec.Struct):
    data: list[_Vector]


class _Predicted(msgspec.Struct):
    outputs: list[dict[str, Cell | list[float]]]


class _Moderated(msgspec.Struct):
    category_scores: dict[str, float]
    categories: dict[str, bool] = {}


class _Moderation(msgspec.Struct):
    results: list[_Moderated]


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Top] = []


class _LogProbs(msgspec.Struct):
    content: list[_Token] | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _ChatChoice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class _Chat(msgspec.Struct):
    choices: list[_ChatChoice]


def _classified(body: bytes) -> Any:
    (entry,) = msgspec.json.decode(body, type=_Classified).data
    if entry.label not in entry.scores:
        raise Malformed("a label without a score")
    return {"label": entry.label, "scores": _finite(entry.scores)}


def _embedded(body: bytes) -> Any:
    (entry,) = msgspec.json.decode(body, type=_Embedded).data
    if not entry.embedding:
        raise Malformed("a vector without numbers")
    return _finite(entry.embedding)


def _predicted(body: bytes) -> Any:
    (row,) = msgspec.json.decode(body, type=_Predicted).outputs
    if not row:
        raise Malformed("a row without outputs")
    return _finite(row)


def _moderated(body: bytes) -> Any:
    (entry,) = msgspec.json.decode(body, type=_Moderation).results
    if not entry.category_scores:
        raise Malformed("no categories")
    return {"categories": entry.categories, "scores": _finite(entry.category_scores)}


def _chatted(body: bytes) -> Any:
    choices = msgspec.json.decode(body, type=_Chat).choices
    if not choices:
        raise Malformed("no choices")
    return [
        {"text": c.message.content or "", "finish": c.finish_reason or "", **_top(c.logprobs)}
        for c in choices
    ]


def _responded(body: bytes) -> Any:
    texts = texts_of(body)
    if not texts:
        raise Malformed("no texts")
    return [{"text": text, "finish": finish} for text, finish in texts]


def _completed(ask: Ask, body: bytes) -> Any:
    """Read a text; or, where one was given, the logarithms of its tokens behind the prompt."""
    (choice,) = msgspec.json.decode(body, type=Completions).choices
    if not ask.fields.get("echo"):
        return {"text": choice.text}
    found = choice.logprobs
    if found is None or not found.tokens:
        raise Unsupported("no log probabilities of a given text")
    return _behind(ask, found.starts, found.token_logprobs)


_READERS: Final[dict[str, Callable[[bytes], Any]]] = {
    CLASSIFY: _classified,
    EMBEDDINGS: _embedded,
    PREDICT: _predicted,
    MODERATIONS: _moderated,
    CHAT: _chatted,
    RESPONSES_PATH: _responded,
}


def _top(raw: msgspec.Raw | None) -> dict[str, Any]:
    """Return the likeliest first tokens with their logarithms, where the answer has them."""
    if raw is None or bytes(raw) == b"null":
        return {}
    content = msgspec.json.decode(raw, type=_LogProbs).content
    if not content:
        return {}
    return {"top": {top.token: top.logprob for top in content[0].top_logprobs}}


def _finite(value: Any) -> Any:
    numbers: list[Any] = []
    for each in value.values() if isinstance(value, dict) else [value]:
        numbers += each if isinstance(each, list) else [each]
    if not all(math.isfinite(n) for n in numbers if isinstance(n, float)):
        raise Malformed("NaN or an infinity")
    return value
