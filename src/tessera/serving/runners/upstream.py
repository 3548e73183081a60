"""Any OpenAI-compatible server, run by the operator or somebody else: declared, never hashed.

Only the fields of our own requests go there: no header, no name and no address of a consumer. A
refusal, a timeout or an answer that is none fails the call, which then costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from operator import attrgetter
from typing import Any, Final, TypeVar, get_args

import msgspec

from tessera.errors import BackendFailed, NotFound, TesseraError
from tessera.serving.answers import wrong_scores, wrong_vectors
from tessera.serving.bodies import PASSED
from tessera.serving.client import Exchange, HttpClient
from tessera.serving.echo import Completions, scored
from tessera.serving.metering import (
    byte_length,
    chat_input,
    chat_output,
    fields_bytes,
    texts_units,
)
from tessera.serving.runner import (
    ECHO,
    ChatDelta,
    ChatEnd,
    ChatRequest,
    ChatResult,
    ChatSink,
    Choice,
    ClassifyRequest,
    ClassifyResult,
    EmbeddingsRequest,
    EmbeddingsResult,
    Fields,
    Finish,
    Identity,
    Message,
    Pushing,
    RunnerBase,
    ScoreRequest,
    ScoreResult,
    Task,
    Units,
    cannot_score,
)
from tessera.serving.sse import EventReader
from tessera.serving.transport import Reply, Unreachable

__all__ = ["UpstreamLimits", "UpstreamRunner"]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_OK = 200
_ONE_READ: Final = 1 << 20
# The consumer's request may be at fault in these; elsewhere the text is about the operator.
_ABOUT_THE_REQUEST = frozenset({400, 404, 413, 422})
_NO_ROUTE: Final = frozenset({404, 405, 501})
_SHOWN = 300
_TOKEN_BYTES: Final = 256
"""What one token takes in an answer at most, with the five likeliest in its place."""
_FINISHES: Final[dict[str, Finish]] = {finish: finish for finish in get_args(Finish)}


class UpstreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one upstream may take.

    Attributes
    ----------
    timeout_s
        Seconds for a whole answer, and between two pieces of a streamed one.
    stream_s
        Seconds for a whole streamed answer, which is cut off there.
    response_bytes
        Size of an answer; a streamed one is cut off there, another one fails.
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
        if (
            self.tool_calls
            is self.function_call
            is self.refusal
            is self.reasoning_content
            is _NOTHING
        ):
            return {}
        found = zip(_BESIDE, _beside_of(self), strict=True)
        return {name: raw for name, raw in found if bytes(raw) not in _EMPTY}

    def size(self, beside: Fields) -> int:
        """Count the bytes that the consumer gets to read of it."""
        text = byte_length(self.content) if self.content else 0
        return text + fields_bytes(beside) if beside else text


_BESIDE = tuple(field for field in _Content.__struct_fields__ if field != "content")
_beside_of = attrgetter(*_BESIDE)
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


_FOLLOWS: Final = frozenset({*PASSED, "n", ECHO})


_vectors = msgspec.json.Decoder(_Vectors)
_moderation = msgspec.json.Decoder(_Moderation)
_chunk = msgspec.json.Decoder(_Completion)
_completions = msgspec.json.Decoder(Completions)
_models = msgspec.json.Decoder(_Models)


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
    ) -> None:
        limits = limits or UpstreamLimits()
        tasks = tasks - {Task.PREDICT}
        super().__init__(name, tasks, Identity.DECLARED, note, at_once=limits.at_once)
        self._model = model
        self._key = key
        self._limits = limits
        self._client = HttpClient(url, key, connections=limits.at_once)

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
            reply = await self._client.get(
                "/models",
                timeout_s=self._limits.timeout_s,
                most_bytes=self._limits.response_bytes,
            )
        except Unreachable as error:
            raise self.failed(f"has an upstream that {error}") from error
        if reply.status != _OK:
            raise self.refused(reply.status, reply.body)
        listed = [model.id for model in self.decoded(reply.body, _models).data or ()]
        # Ollama lists `name:latest` and answers to `name`.
        if listed and not {self._model, f"{self._model}:latest"}.intersection(listed):
            raise NotFound.among(f"model {self.name!r}: upstream model", self._model, listed)

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.close()

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        """Turn texts into vectors."""
        self.require(Task.EMBEDDINGS)
        self.require_at_most(self._limits.max_batch, len(request.texts), "texts")
        body = {"model": self._model, "input": request.texts, "encoding_format": "float"}
        answer = self.decoded(await self._post("/embeddings", body), _vectors)
        vectors = [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]
        if wrong := wrong_vectors(vectors, len(request.texts)):
            raise self.failed(wrong)
        return EmbeddingsResult(vectors, Units(input=texts_units(request.texts)))

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        """Score each text under each of the server's moderation categories."""
        self.require(Task.CLASSIFICATION, Task.MODERATION)
        self.require_at_most(self._limits.max_batch, len(request.texts), "texts")
        body = {"model": self._model, "input": request.texts}
        answer = self.decoded(await self._post("/moderations", body), _moderation)
        scores = [row.category_scores for row in answer.results]
        if wrong := wrong_scores(scores, len(request.texts)):
            raise self.failed(wrong)
        return ClassifyResult(scores, Units(input=texts_units(request.texts)))

    async def chat(self, request: ChatRequest) -> ChatResult:
        """Answer a conversation with a whole text."""
        self.require(Task.CHAT)
        body = await self._post("/chat/completions", self._asking(request))
        answer = self.decoded(body, _chunk)
        size, choices = 0, []
        answered = answer.choices
        if len(answered) > 1:
            answered.sort(key=lambda choice: choice.index)
        for choice in answered:
            if choice.message is None:
                raise self.failed("returned no message")
            beside = choice.message.beside()
            size += choice.message.size(beside)
            text = choice.message.content if beside else choice.message.content or ""
            finish = _finish(choice.finish_reason)
            choices.append(Choice(text, finish, beside, choice.likely()))
        if len(choices) != request.n:
            raise self.failed(f"returned {len(choices)} texts where {request.n} were asked for")
        return ChatResult(tuple(choices), _units(request, size, answer.usage))

    async def score_text(self, request: ScoreRequest) -> ScoreResult:
        """Say how probable each token of a given text is, where the server does.

        It is asked to write one token behind the text, as some servers write no fewer; that one
        is left out.
        """
        self.require(Task.CHAT)
        # What could not be read in one answer would be computed for nothing.
        most = self._limits.response_bytes // _TOKEN_BYTES
        self.require_at_most(most, byte_length(request.text), "bytes of text")
        asking = {
            "model": self._model,
            "prompt": request.text,
            "max_tokens": 1,
            "temperature": 0,
            "echo": True,
            "logprobs": max(1, request.likeliest),
        }
        reply = await self._reply("/completions", asking)
        if reply.status in _NO_ROUTE:
            raise cannot_score(self.name)
        choices = self.decoded(self._well(reply), _completions).choices
        if len(choices) != 1 or choices[0].logprobs is None:
            # Servers that know nothing of `echo` answer with what they write.
            raise cannot_score(self.name)
        try:
            return scored(request, choices[0].logprobs)
        except ValueError as error:
            raise self.failed(f"has an upstream that gave {error}") from error

    async def chat_stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta | ChatEnd]:
        """Answer a conversation piece by piece.

        Until the server tells its count at the end, units are begun groups of four bytes.
        """
        written = _Written()
        pushing = self.push_chat(request, written)
        try:
            while True:
                piece = await written.next()
                yield piece
                if isinstance(piece, ChatEnd):
                    return
        finally:
            pushing.stop()

    def push_chat(self, request: ChatRequest, sink: ChatSink) -> Pushing:
        """As `chat_stream`, telling a sink."""
        self.require(Task.CHAT)
        asking = self._asking(request)
        asking |= {"stream": True, "stream_options": {"include_usage": True}}
        stream = _Stream(self, request, sink, self._limits)
        stream.exchange = self._client.begin(
            "POST",
            "/chat/completions",
            msgspec.json.encode(asking),
            stream,
            timeout_s=self._limits.timeout_s,
            # The stream itself ends before: what was read by then is an answer.
            most_bytes=self._limits.response_bytes + _ONE_READ,
            pieces=True,
        )
        return stream

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
        return self._well(await self._reply(path, body))

    def _well(self, reply: Reply) -> bytes:
        if reply.status != _OK:
            raise self.refused(reply.status, reply.body)
        return reply.body

    async def _reply(self, path: str, body: dict[str, Any]) -> Reply:
        try:
            return await self._client.post(
                path,
                msgspec.json.encode(body),
                timeout_s=self._limits.timeout_s,
                most_bytes=self._limits.response_bytes,
            )
        except Unreachable as error:
            raise self.failed(f"has an upstream that {error}") from error

    def refused(self, status: int, body: bytes) -> BackendFailed:
        """Build the error for an answer that is a refusal, and log what it said."""
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

    def decoded(self, body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
        """Read a part of an answer.

        Raises
        ------
        BackendFailed
            It is not what the server should have said.
        """
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise self.failed(f"has an upstream whose answer is none: {error}") from error


class _Stream:
    """Reads a streamed answer as it comes from the network."""

    def __init__(
        self, runner: UpstreamRunner, request: ChatRequest, sink: ChatSink, limits: UpstreamLimits
    ) -> None:
        self.exchange: Exchange | None = None
        self._ended = False
        self._runner = runner
        self._request = request
        self._sink: ChatSink | None = sink
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + limits.stream_s
        self._room = limits.response_bytes
        self._events = EventReader()
        self._refusal: list[bytes] | None = None
        self._status = 0
        self._input = chat_input(request, None)
        self._size = 0
        self._usage: _Usage | None = None
        self._reasons: list[str | None] = [None] * request.n

    # --- As Pushing ---------------------------------------------------------------------------

    def stop(self) -> None:
        """As `Pushing.stop`: a connection whose answer was whole is kept."""
        self._sink = None
        if self.exchange is not None and not self._ended:
            self.exchange.stop()

    def pause(self) -> None:
        """As `Pushing.pause`."""
        if self.exchange is not None:
            self.exchange.pause()

    def resume(self) -> None:
        """As `Pushing.resume`."""
        if self.exchange is not None:
            self.exchange.resume()

    # --- As Receiver --------------------------------------------------------------------------

    def on_head(self, status: int) -> None:
        """Keep the status; what follows another than 200 is no stream."""
        self._status = status
        if status != _OK:
            self._refusal = []

    def on_data(self, piece: bytes) -> None:
        """Tell of each event that is whole now."""
        if self._refusal is not None:
            self._refusal.append(piece)
            return
        try:
            for data in self._events.feed(piece):
                if self._sink is None:
                    # What is behind the end is read so that the connection can be kept.
                    return
                self._take(data)
        except TesseraError as error:
            self._fail(error)
        self._room -= len(piece)
        if self._room < 0 or self._loop.time() > self._deadline:
            self._cut()

    def on_end(self) -> None:
        """Tell of the end, or that this was none."""
        if self._refusal is not None:
            self._fail(self._runner.refused(self._status, b"".join(self._refusal)))
        else:
            self._end()

    def on_failure(self, error: Unreachable) -> None:
        """Tell that there will be no more."""
        failed = self._runner.failed(f"has an upstream that {error}")
        failed.__cause__ = error
        self._fail(failed)

    def _take(self, data: bytes) -> None:
        if data == b"[DONE]" or data.strip() == b"[DONE]":
            self._end()
            return
        chunk = self._runner.decoded(data, _chunk)
        if chunk.error is not None:
            raise self._runner.refused(_OK, msgspec.json.encode(chunk.error))
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            if not 0 <= choice.index < self._request.n:
                raise self._runner.failed(f"wrote text {choice.index} of {self._request.n}")
            if choice.finish_reason is not None:
                self._reasons[choice.index] = choice.finish_reason
            delta = choice.delta
            if delta is None or self._sink is None:
                continue
            beside = delta.beside()
            if said := delta.size(beside):
                self._size += said
                units = Units(self._input, chat_output(self._size, None, self._request))
                self._sink.on_piece(
                    ChatDelta(delta.content or "", units, choice.index, beside, choice.likely())
                )

    def _end(self) -> None:
        if None in self._reasons:
            self._fail(
                self._runner.failed("has an upstream that ended in the middle of its answer")
            )
            return
        self._ended = True
        first, *others = map(_finish, self._reasons)
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.on_piece(
                ChatEnd(first, _units(self._request, self._size, self._usage), tuple(others))
            )

    def _cut(self) -> None:
        """End an answer that is too long for its time or size.

        Were it a failure, it would cost nothing, and who asks for more than fits would have all
        that he read for nothing.
        """
        if not self._size:
            self._fail(self._runner.failed("wrote nothing in its time and size"))
            return
        sink, self._sink = self._sink, None
        if sink is not None:
            first, *others = (_finish(reason or "length") for reason in self._reasons)
            units = Units(self._input, chat_output(self._size, None, self._request))
            sink.on_piece(ChatEnd(first, units, tuple(others)))

    def _fail(self, error: TesseraError) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.on_failure(error)


class _Written:
    """Holds what was written for a reader who waits for it."""

    def __init__(self) -> None:
        self._held: deque[ChatDelta | ChatEnd | Exception] = deque()
        self._more: asyncio.Future[None] | None = None

    def on_piece(self, piece: ChatDelta | ChatEnd) -> None:
        """Hold a piece."""
        self._held.append(piece)
        self._wake()

    def on_failure(self, error: Exception) -> None:
        """Hold the failure, behind what came before it."""
        self._held.append(error)
        self._wake()

    async def next(self) -> ChatDelta | ChatEnd:
        """Return the next piece, or raise the failure."""
        if not self._held:
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        piece = self._held.popleft()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


def _turn(message: Message) -> dict[str, Any]:
    # Who calls a tool need not say anything; some servers refuse an empty text there.
    if not message.more:
        return {"role": message.role, "content": message.content}
    content = message.content or None
    return {"role": message.role, "content": content, **message.more}


def _finish(reason: str | None) -> Finish:
    # Some servers have reasons of their own for a text that is whole.
    return _FINISHES.get(reason or "", "stop")


def _units(request: ChatRequest, size: int, usage: _Usage | None) -> Units:
    return Units(
        chat_input(request, usage.prompt_tokens if usage else None),
        chat_output(size, usage.completion_tokens if usage else None, request),
    )
