"""JSON bodies as OpenAI's API writes them, and what a runner is asked with them.

The gateway and the paying client read a body with the same function, so both come to the same
bound on what the call can cost. Fields that only some models follow (tools, formats, log
probabilities) are handed on as they were written, and the gateway refuses them for a model that
does not (`Runner.follows`). An unknown one is ignored, as clients grow faster than servers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from tessera.errors import InputError, TooLarge, Unprocessable
from tessera.serving.metering import most
from tessera.serving.responses import ResponsesBody, chat_of
from tessera.serving.runner import (
    Cell,
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    Fields,
    Message,
    PredictRequest,
    Request,
    ScoreRequest,
    Task,
    Units,
)

__all__ = [
    "BODIES",
    "COMPLETIONS_PATH",
    "PAID_PATHS",
    "PASSED",
    "RESPONSES_PATH",
    "Asked",
    "TokenLimits",
    "model_of",
    "read_body",
]

MAX_TEXTS: Final = 2_048
MAX_ROWS: Final = 10_000
MAX_STOPS: Final = 4
MAX_CHOICES: Final = 16
MAX_LOGPROBS: Final = 20
MAX_LIKELIEST: Final = 5
_MAX_INTEGER: Final = 2**63 - 1

RESPONSES_PATH: Final = "/v1/responses"
COMPLETIONS_PATH: Final = "/v1/completions"

PAID_PATHS: Final = {
    "/v1/embeddings": Task.EMBEDDINGS,
    "/v1/chat/completions": Task.CHAT,
    RESPONSES_PATH: Task.CHAT,
    COMPLETIONS_PATH: Task.CHAT,
    "/v1/moderations": Task.MODERATION,
    "/v1/classify": Task.CLASSIFICATION,
    "/v1/predict": Task.PREDICT,
}
"""The routes that are paid per call, and what a model must be able to do for each."""

PASSED: Final = (
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "reasoning_effort",
    "verbosity",
)
"""Fields of a chat that are handed on as they are; not every model follows them."""

Body = TypeVar("Body")

_passed_of: Final = attrgetter(*PASSED)
_NONE_PASSED: Final = (None,) * len(PASSED)


class TokenLimits(msgspec.Struct, frozen=True):
    """How long a model's answers may be, in output units.

    Attributes
    ----------
    default
        Where the request does not say.
    highest
        What a larger wish is lowered to.
    """

    default: int = 256
    highest: int = 4_096

    def bounded(self, wanted: int | None) -> int:
        """Return what an answer may have at most."""
        return min(self.default if wanted is None else wanted, self.highest)


class Asked(msgspec.Struct, frozen=True):
    """A request that was understood.

    Attributes
    ----------
    model
        As the consumer wrote it: a slug, `slug@version` or an asset's URN.
    task
        What is asked of it.
    request
        For the runner; for CHAT, `max_tokens` is the wish already bounded by the limits.
    stream, include_usage
        CHAT: answer piece by piece, and with a last piece that counts units.
    base64
        EMBEDDINGS: vectors as base64 of little-endian float32.
    response
        CHAT: what was asked, where it was asked as a response and is answered as one.
    """

    model: str
    task: Task
    request: Request
    stream: bool = False
    include_usage: bool = False
    base64: bool = False
    response: ResponsesBody | None = None

    @property
    def most(self) -> Units:
        """The most units that this call is ever charged for."""
        return most(self.request)


class _Named(msgspec.Struct):
    model: str


_Texts = Annotated[str, Meta(min_length=1)] | Annotated[list[Any], Meta(min_length=1)]


class EmbeddingsBody(msgspec.Struct):
    """What `POST /v1/embeddings` takes."""

    model: str
    input: _Texts
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


_Content = str | Annotated[list[_Part], Meta(min_length=1)]


class _User(msgspec.Struct, tag_field="role", tag="user"):
    content: _Content


class _System(_User, tag_field="role", tag="system"):
    pass


class _Developer(_User, tag_field="role", tag="developer"):
    pass


class _Assistant(msgspec.Struct, tag_field="role", tag="assistant"):
    content: _Content | None = None
    tool_calls: list[msgspec.Raw] | None = None
    function_call: dict[str, msgspec.Raw] | None = None


class _Tool(msgspec.Struct, tag_field="role", tag="tool"):
    content: _Content
    tool_call_id: str


class _Function(msgspec.Struct, tag_field="role", tag="function"):
    content: _Content
    name: str


_Turn = _User | _System | _Developer | _Assistant | _Tool | _Function

_ROLES: Final = {
    turn: str(turn.__struct_config__.tag)
    for turn in (_User, _System, _Developer, _Assistant, _Tool, _Function)
}
_PLAIN_ROLES: Final = frozenset({"user", "system", "developer"})


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatBody(msgspec.Struct):
    """What `POST /v1/chat/completions` takes; fields that are not here are ignored."""

    model: str
    messages: Annotated[list[_Turn], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=MAX_STOPS)] | None = None
    seed: Annotated[int, Meta(ge=-_MAX_INTEGER, le=_MAX_INTEGER)] | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MAX_LOGPROBS)] | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: str | dict[str, msgspec.Raw] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[msgspec.Raw] | None = None
    function_call: str | dict[str, msgspec.Raw] | None = None
    response_format: dict[str, msgspec.Raw] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None


class CompletionsBody(msgspec.Struct):
    """What `POST /v1/completions` takes: a text, to be told how probable it is."""

    model: str
    prompt: _Texts
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=MAX_LIKELIEST)] | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    stream: bool | None = None
    n: Annotated[int, Meta(ge=1)] | None = None


class TextsBody(msgspec.Struct):
    """What `POST /v1/moderations` and `/v1/classify` take."""

    model: str
    input: _Texts


class RowsBody(msgspec.Struct):
    """What `POST /v1/predict` takes: rows of one table."""

    model: str
    rows: Annotated[list[list[Cell]], Meta(min_length=1)]


BODIES: Final[dict[str, type[msgspec.Struct]]] = {
    "/v1/embeddings": EmbeddingsBody,
    "/v1/chat/completions": ChatBody,
    RESPONSES_PATH: ResponsesBody,
    COMPLETIONS_PATH: CompletionsBody,
    "/v1/moderations": TextsBody,
    "/v1/classify": TextsBody,
    "/v1/predict": RowsBody,
}
"""What each paid route takes."""

_named = msgspec.json.Decoder(_Named)
_embeddings = msgspec.json.Decoder(EmbeddingsBody)
_chat = msgspec.json.Decoder(ChatBody)
_responses = msgspec.json.Decoder(ResponsesBody)
_completions = msgspec.json.Decoder(CompletionsBody)
_texts_body = msgspec.json.Decoder(TextsBody)
_rows = msgspec.json.Decoder(RowsBody)


def model_of(body: bytes) -> str:
    """Read only which model is asked.

    Raises
    ------
    InputError
        It is no JSON object, or names no model.
    """
    return _decoded(_named, body).model


def read_body(path: str, body: bytes, limits: TokenLimits) -> Asked:
    """Understand the body of a paid route.

    Parameters
    ----------
    path
        A key of `PAID_PATHS`.
    body
        The exact bytes.
    limits
        Of the model that `model_of` names.

    Raises
    ------
    InputError
        It is not strict JSON (NaN and infinities are none), or a field is missing, of the wrong
        type or out of range; `param` names it.
    Unprocessable
        It asks for something that this server does not do.
    TooLarge
        Too many texts or rows.
    """
    if path == RESPONSES_PATH:
        response = _decoded(_responses, body)
        chat = _decoded(_chat, bytes(_raw(chat_of(response))))
        return msgspec.structs.replace(_read_chat(chat, limits), response=response)
    if path == COMPLETIONS_PATH:
        return _read_given(_decoded(_completions, body))
    match PAID_PATHS[path]:
        case Task.EMBEDDINGS:
            return _read_embeddings(_decoded(_embeddings, body))
        case Task.CHAT:
            return _read_chat(_decoded(_chat, body), limits)
        case Task.PREDICT:
            return _read_rows(_decoded(_rows, body))
        case task:
            asked = _decoded(_texts_body, body)
            return Asked(asked.model, task, ClassifyRequest(_texts(asked.input)))


def _decoded(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        raise InputError(
            f"request: {place.rstrip('`')}" if place else "request",
            found=message,
            wanted="the fields of this route, each of its type",
            param=place.rstrip("`") or None,
        ) from error
    except RecursionError as error:
        raise InputError("request", found="JSON nested too deep", wanted="flat JSON") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError("request", found=str(error), wanted="strict JSON") from error


def _read_embeddings(asked: EmbeddingsBody) -> Asked:
    if asked.dimensions is not None:
        raise _unsupported("dimensions", asked.dimensions, "the model's own vectors, uncut")
    return Asked(
        asked.model,
        Task.EMBEDDINGS,
        EmbeddingsRequest(_texts(asked.input)),
        base64=asked.encoding_format == "base64",
    )


def _read_chat(asked: ChatBody, limits: TokenLimits) -> Asked:
    wanted = asked.max_completion_tokens if asked.max_tokens is None else asked.max_tokens
    stops = [asked.stop] if isinstance(asked.stop, str) else asked.stop or ()
    return Asked(
        asked.model,
        Task.CHAT,
        ChatRequest(
            messages=tuple([_message(turn) for turn in asked.messages]),
            max_tokens=limits.bounded(wanted),
            temperature=1.0 if asked.temperature is None else asked.temperature,
            top_p=1.0 if asked.top_p is None else asked.top_p,
            stop=tuple([stop for stop in stops if stop]) if stops else (),
            seed=asked.seed,
            n=asked.n or 1,
            passed=_passed(asked),
        ),
        stream=bool(asked.stream),
        include_usage=asked.stream_options is not None and asked.stream_options.include_usage,
    )


def _read_given(asked: CompletionsBody) -> Asked:
    if not asked.echo or asked.logprobs is None:
        raise _unsupported(
            "echo",
            f"echo {asked.echo}, logprobs {asked.logprobs}",
            "true, with logprobs from 0 up: here a model says how probable a given text is; "
            "what it writes itself is asked on /v1/chat/completions",
        )
    if (asked.max_tokens or 0) > 1:
        raise _unsupported("max_tokens", asked.max_tokens, "0 or 1: nothing is written here")
    if asked.stream:
        raise _unsupported("stream", asked.stream, "an answer in one piece")
    if asked.n not in {None, 1}:
        raise _unsupported("n", asked.n, "1: the text is given")
    if not isinstance(asked.prompt, str) and len(asked.prompt) > 1:
        raise TooLarge("prompt", found=len(asked.prompt), wanted="one text", param="prompt")
    (text,) = _texts(asked.prompt, "prompt")
    return Asked(asked.model, Task.CHAT, ScoreRequest(text, asked.logprobs))


def _read_rows(asked: RowsBody) -> Asked:
    if len(asked.rows) > MAX_ROWS:
        raise TooLarge("rows", found=len(asked.rows), wanted=f"{MAX_ROWS} or fewer", param="rows")
    width = len(asked.rows[0])
    for number, row in enumerate(asked.rows):
        if len(row) != width or not row:
            raise InputError(
                f"rows[{number}]",
                found=f"{len(row)} cells",
                wanted=f"{width or 'some'}, as in every row",
                param="rows",
            )
        for cell in row:
            # Larger integers are no number of any model, and no float can hold the largest.
            if isinstance(cell, int | float) and not (
                math.isfinite(cell) if isinstance(cell, float) else abs(cell) <= _MAX_INTEGER
            ):
                raise InputError(
                    f"rows[{number}]", found=cell, wanted="finite 64-bit numbers", param="rows"
                )
    return Asked(asked.model, Task.PREDICT, PredictRequest(tuple(tuple(r) for r in asked.rows)))


def _passed(asked: ChatBody) -> Fields:
    values = _passed_of(asked)
    if values == _NONE_PASSED:
        # Most chats: what follows costs more than all else in reading one.
        return {}
    given = dict(zip(PASSED, values, strict=True))
    if _is_plain(given["response_format"]):
        given["response_format"] = None
    # Zero, empty and "no log probabilities" are what a model does anyway.
    return {
        name: _raw(value)
        for name, value in given.items()
        if value or (name == "parallel_tool_calls" and value is False)
    }


def _is_plain(wanted: dict[str, msgspec.Raw] | None) -> bool:
    return wanted is not None and {name: bytes(raw) for name, raw in wanted.items()} == {
        "type": b'"text"'
    }


def _message(turn: _Turn) -> Message:
    role = _ROLES[type(turn)]
    if role in _PLAIN_ROLES and type(turn.content) is str:
        return Message(role, turn.content)
    more: Fields = {}
    match turn:
        case _Assistant():
            calls = {"tool_calls": turn.tool_calls, "function_call": turn.function_call}
            more = {name: _raw(value) for name, value in calls.items() if value}
            if turn.content is None and not more:
                raise InputError(
                    "messages",
                    found="a turn of the assistant without content",
                    wanted="text, or the call of a tool",
                    param="messages",
                )
        case _Tool():
            more = {"tool_call_id": _raw(turn.tool_call_id)}
        case _Function():
            more = {"name": _raw(turn.name)}
    return Message(role, _content(turn), more)


def _raw(value: object) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except UnicodeEncodeError as error:
        # Half of a surrogate pair, which JSON can escape and no encoding of Unicode can carry.
        raise Unprocessable("request", found=str(error), wanted="Unicode text") from error


def _content(turn: _Turn) -> str:
    if turn.content is None or isinstance(turn.content, str):
        return turn.content or ""
    texts: list[str] = []
    for part in turn.content:
        if part.type != "text" or part.text is None:
            raise _unsupported("messages", f"a part of type {part.type!r}", "text")
        texts.append(part.text)
    return "".join(texts)


def _texts(given: str | Sequence[Any], name: str = "input") -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if len(texts) > MAX_TEXTS:
        raise TooLarge(name, found=len(texts), wanted=f"{MAX_TEXTS} or fewer", param=name)
    for text in texts:
        if not isinstance(text, str):
            raise _unsupported(name, text, "text: token numbers mean another model's tokens")
        if not text:
            raise InputError(name, found="", wanted="a text that is not empty", param=name)
    return tuple(texts)


def _unsupported(name: str, found: object, wanted: str) -> Unprocessable:
    return Unprocessable(name, found=found, wanted=wanted, param=name)
