"""Any OpenAI-compatible server, run by the operator or somebody else: declared, never hashed.

Only the fields of our own requests go there: no header, no name and no address of a consumer. A
refusal, a timeout or an answer that is none fails the call, which then costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar, get_args

import msgspec

from tessera.errors import BackendFailed, NotFound, TooLarge
from tessera.serving.answers import wrong_scores, wrong_vectors
from tessera.serving.bodies import PASSED
from tessera.serving.client import HttpClient
from tessera.serving.metering import byte_length, chat_input, chat_output, fields_bytes, texts_units
from tessera.serving.runner import (
    ChatDelta,
    ChatEnd,
    ChatRequest,
    ChatResult,
    Choice,
    ClassifyRequest,
    ClassifyResult,
    EmbeddingsRequest,
    EmbeddingsResult,
    Fields,
    Finish,
    Identity,
    Message,
    RunnerBase,
    Task,
    Units,
)
from tessera.serving.sse import data_of_events
from tessera.serving.transport import Transport, Unreachable

__all__ = ["UpstreamLimits", "UpstreamRunner"]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_OK = 200
# The consumer's request may be at fault in these; elsewhere the text is about the operator.
_ABOUT_THE_REQUEST = frozenset({400, 404, 413, 422})
_SHOWN = 300
_FINISHES: Final[dict[str, Finish]] = {finish: finish for finish in get_args(Finish)}


class UpstreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one upstream may take.

    Attributes
    ----------
    timeout_s
        Seconds for a whole answer, and between two pieces of a streamed one.
    stream_s
        Seconds for a whole streamed answer.
    response_bytes
        Size of an answer, streamed or not.
    max_batch
        Texts of one call.
    at_once
        Calls that are passed on at the same time.
    """

    timeout_s: float = 60.0
    stream_s: float = 600.0
    response_bytes: int = 16 << 20
    max_batch: int = 256
    at_once: int = 64


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class _Scores(msgspec.Struct):
    category_scores: dict[str, float]


class _Moderation(msgspec.Struct):
    results: list[_Scores]


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


_NOTHING = msgspec.Raw(b"null")


class _Content(msgspec.Struct):
    content: str | None = None
    tool_calls: msgspec.Raw = _NOTHING
    function_call: msgspec.Raw = _NOTHING
    refusal: msgspec.Raw = _NOTHING
    reasoning_content: msgspec.Raw = _NOTHING

    def beside(self) -> Fields:
        """Return what there is beside text; a message's or a delta's null says nothing."""
        found = {name: getattr(self, name) for name in _BESIDE}
        return {name: raw for name, raw in found.items() if bytes(raw) not in _EMPTY}

    def size(self) -> int:
        """Count the bytes that the consumer gets to read of it."""
        return byte_length(self.content or "") + fields_bytes(self.beside())


_BESIDE = tuple(field for field in _Content.__struct_fields__ if field != "content")
_EMPTY = frozenset({b"null", b"[]"})


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Content | None = None
    delta: _Content | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = _NOTHING

    def likely(self) -> msgspec.Raw | None:
        """Return the log probabilities, if there are any."""
        return None if bytes(self.logprobs) == b"null" else self.logprobs


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] | None = None


_FOLLOWS: Final = frozenset({*PASSED, "n"})


class UpstreamRunner(RunnerBase):
    """Runs one model of an OpenAI-compatible server.

    Parameters
    ----------
    name
        The model as its users here know it.
    url
        Base URL of the server.
    model
        What the server calls the model.
    tasks
        Of chat, embeddings, classification and moderation.
    key
        Bearer token from the operator's settings, or empty.
    note
        What a reader of every reply should know.
    limits
        What the server may take.
    transport
        The port to the server; by default our own client.
    """

    def __init__(
        self,
        name: str,
        url: str,
        model: str,
        tasks: frozenset[Task],
        *,
        key: str = "",
        note: str | None = None,
        limits: UpstreamLimits | None = None,
        transport: Transport | None = None,
    ) -> None:
        limits = limits or UpstreamLimits()
        tasks = tasks - {Task.PREDICT}
        super().__init__(name, tasks, Identity.DECLARED, note, at_once=limits.at_once)
        self._model = model
        self._key = key
        self._limits = limits
        self._transport = transport or HttpClient(url, key, connections=limits.at_once)

    @property
    def follows(self) -> frozenset[str]:
        """All that we hand on; what this server makes of it is its own matter."""
        return _FOLLOWS

    async def load(self) -> None:
        """Ask the server for its models.

        Raises
        ------
        BackendFailed
            It does not answer.
        NotFound
            It lists its models, and this is none of them.
        """
        try:
            reply = await self._transport.get(
                "/models",
                timeout_s=self._limits.timeout_s,
                most_bytes=self._limits.response_bytes,
            )
        except Unreachable as error:
            raise self.failed(f"has an upstream that {error}") from error
        if reply.status != _OK:
            raise self._refused(reply.status, reply.body)
        listed = [model.id for model in self._decoded(reply.body, _Models).data or ()]
        # Ollama lists `name:latest` and answers to `name`.
        if listed and not {self._model, f"{self._model}:latest"}.intersection(listed):
            raise NotFound.among(f"model {self.name!r}: upstream model", self._model, listed)

    async def close(self) -> None:
        """Drop the connections."""
        await self._transport.close()

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        """Turn texts into vectors."""
        self.require(Task.EMBEDDINGS)
        self._bounded(len(request.texts))
        body = {"model": self._model, "input": request.texts, "encoding_format": "float"}
        answer = self._decoded(await self._post("/embeddings", body), _Vectors)
        vectors = [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]
        if wrong := wrong_vectors(vectors, len(request.texts)):
            raise self.failed(wrong)
        return EmbeddingsResult(vectors, Units(input=texts_units(request.texts)))

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        """Score each text under each of the server's moderation categories."""
        self.require(Task.CLASSIFICATION, Task.MODERATION)
        self._bounded(len(request.texts))
        body = {"model": self._model, "input": request.texts}
        answer = self._decoded(await self._post("/moderations", body), _Moderation)
        scores = [row.category_scores for row in answer.results]
        if wrong := wrong_scores(scores, len(request.texts)):
            raise self.failed(wrong)
        return ClassifyResult(scores, Units(input=texts_units(request.texts)))

    async def chat(self, request: ChatRequest) -> ChatResult:
        """Answer a conversation with a whole text."""
        self.require(Task.CHAT)
        body = await self._post("/chat/completions", self._asking(request))
        answer = self._decoded(body, _Completion)
        size, choices = 0, []
        for choice in sorted(answer.choices, key=lambda choice: choice.index):
            if choice.message is None:
                raise self.failed("returned no message")
            size += choice.message.size()
            beside = choice.message.beside()
            text = choice.message.content if beside else choice.message.content or ""
            finish = _finish(choice.finish_reason)
            choices.append(Choice(text, finish, beside, choice.likely()))
        if len(choices) != request.n:
            raise self.failed(f"returned {len(choices)} texts where {request.n} were asked for")
        return ChatResult(tuple(choices), _units(request, size, answer.usage))

    async def chat_stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta | ChatEnd]:
        """Answer a conversation piece by piece.

        Until the server tells its count at the end, units are begun groups of four bytes.
        """
        self.require(Task.CHAT)
        asking = self._asking(request)
        asking |= {"stream": True, "stream_options": {"include_usage": True}}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.stream_s
        size, usage = 0, None
        reasons: list[str | None] = [None] * request.n
        try:
            async with self._transport.stream(
                "/chat/completions",
                msgspec.json.encode(asking),
                timeout_s=self._limits.timeout_s,
                most_bytes=self._limits.response_bytes,
            ) as streamed:
                if streamed.status != _OK:
                    body = b"".join([part async for part in streamed.chunks])
                    raise self._refused(streamed.status, body)
                async for data in data_of_events(streamed.chunks):
                    if loop.time() > deadline:
                        raise self.failed(f"did not end in {self._limits.stream_s:g} s")
                    if data.strip() == b"[DONE]":
                        break
                    chunk = self._decoded(data, _Completion)
                    if chunk.error is not None:
                        raise self._refused(_OK, msgspec.json.encode(chunk.error))
                    usage = chunk.usage or usage
                    for choice in chunk.choices:
                        if not 0 <= choice.index < request.n:
                            raise self.failed(f"wrote text {choice.index} of {request.n}")
                        reasons[choice.index] = choice.finish_reason or reasons[choice.index]
                        delta = choice.delta
                        if delta is not None and (said := delta.size()):
                            size += said
                            yield ChatDelta(
                                delta.content or "",
                                _units(request, size, None),
                                choice.index,
                                delta.beside(),
                                choice.likely(),
                            )
        except Unreachable as error:
            raise self.failed(f"has an upstream that {error}") from error
        if None in reasons:
            raise self.failed("has an upstream that ended in the middle of its answer")
        first, *others = map(_finish, reasons)
        yield ChatEnd(first, _units(request, size, usage), tuple(others))

    def _asking(self, request: ChatRequest) -> dict[str, Any]:
        asking: dict[str, Any] = {
            "model": self._model,
            "messages": [_turn(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            **request.passed,
        }
        if request.n > 1:
            asking["n"] = request.n
        if request.stop:
            asking["stop"] = list(request.stop)
        if request.seed is not None:
            asking["seed"] = request.seed
        return asking

    async def _post(self, path: str, body: dict[str, Any]) -> bytes:
        try:
            reply = await self._transport.post(
                path,
                msgspec.json.encode(body),
                timeout_s=self._limits.timeout_s,
                most_bytes=self._limits.response_bytes,
            )
        except Unreachable as error:
            raise self.failed(f"has an upstream that {error}") from error
        if reply.status != _OK:
            raise self._refused(reply.status, reply.body)
        return reply.body

    def _refused(self, status: int, body: bytes) -> BackendFailed:
        said = body.decode(errors="replace")
        if self._key:
            # Before it is cut, or half a key would be left over.
            said = said.replace(self._key, "********")
        said = said[:_SHOWN]
        _log.warning("upstream of model %r answered %d: %r", self.name, status, said)
        if status in _ABOUT_THE_REQUEST:
            return self.failed(f"has an upstream that answered {status}: {said}")
        if status == _OK:
            return self.failed("has an upstream that failed in the middle of its answer")
        return self.failed(f"has an upstream that answered {status}")

    def _decoded(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise self.failed(f"has an upstream whose answer is none: {error}") from error

    def _bounded(self, count: int) -> None:
        if not 1 <= count <= self._limits.max_batch:
            raise TooLarge(
                f"model {self.name!r}: texts of one call",
                found=count,
                wanted=f"1 to {self._limits.max_batch}",
                next_step="send them in several calls",
            )


def _turn(message: Message) -> dict[str, Any]:
    # Who calls a tool need not say anything; some servers refuse an empty text there.
    content = message.content if message.content or not message.more else None
    return {"role": message.role, "content": content, **message.more}


def _finish(reason: str | None) -> Finish:
    # Some servers have reasons of their own for a text that is whole.
    return _FINISHES.get(reason or "", "stop")


def _units(request: ChatRequest, size: int, usage: _Usage | None) -> Units:
    return Units(
        chat_input(request, usage.prompt_tokens if usage else None),
        chat_output(size, usage.completion_tokens if usage else None, request),
    )
