"""A publisher's Python callable, run in child processes that hold nothing worth stealing.

The callable gets plain values and returns plain values:

=========================== ==================================================================
task                        signature
=========================== ==================================================================
embeddings                  ``f(texts: list[str]) -> list[list[float]]``
classification, moderation  ``f(texts: list[str]) -> list[dict[str, float]]``
predict                     ``f(rows: list[list]) -> list``, per row a dict of outputs by name, or
                            the only output by itself
chat                        ``f(messages: list[dict], options: dict)`` returning a str or an
                            iterator of pieces, each a ``str`` or ``(str, tokens)``; what a
                            generator returns is its finish reason, "stop" or "length"
=========================== ==================================================================

A module may define ``count_tokens(text) -> int``; without it (and without counted pieces) units
are begun groups of four bytes. Stop sequences and `max_tokens` are enforced here as well. It may
define ``log_probabilities(messages, text) -> list[float]``, one natural logarithm per token of a
text after a conversation, by which an audit tells a model from one that is nearly it; and
``score_text(text) -> list[tuple[int, float | None]]``, the UTF-8 bytes and the natural logarithm of
each token of a text as it stands (None for a first one that has nothing before it), which
`/v1/completions` answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from tessera.assets.manifest import Package
from tessera.serving.answers import wrong_outputs, wrong_scores, wrong_vectors
from tessera.serving.metering import byte_length, score_input, texts_units
from tessera.serving.packages import check_packages
from tessera.serving.runner import (
    ECHO,
    Cell,
    ChatDelta,
    ChatEnd,
    ChatRequest,
    ChatResult,
    Choice,
    ClassifyRequest,
    ClassifyResult,
    EmbeddingsRequest,
    EmbeddingsResult,
    Identity,
    Message,
    PredictRequest,
    PredictResult,
    RunnerBase,
    ScoreRequest,
    ScoreResult,
    Task,
    Units,
    cannot_score,
)
from tessera.serving.runners.wire import LOG_PROBABILITIES, SCORE_TEXT, Begun, Part
from tessera.serving.runners.worker import PythonLimits, Worker
from tessera.serving.text import GrowingText
from tessera.serving.tokens import cut

__all__ = ["PythonLimits", "PythonRunner"]

_T = TypeVar("_T")
_TOKEN_BYTES: Final = 16
"""What one token takes in an answer at most: its length, its logarithm, and the pair."""


class PythonRunner(RunnerBase):
    """Runs one callable of a bundle.

    Parameters
    ----------
    name
        The model as its users know it.
    folder
        The bundle, already compared with the asset's content root by the caller.
    file, callable_name
        Module file inside the bundle, and what to call in it.
    tasks
        What the callable answers.
    packages
        Packages that must be installed exactly so.
    note
        What a reader of every reply should know.
    output
        Name of the only output, for a callable that returns it by itself.
    limits
        What the publisher's code may use.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        file: str,
        callable_name: str,
        tasks: frozenset[Task],
        *,
        packages: Iterable[Package] = (),
        note: str | None = None,
        output: str = "output",
        limits: PythonLimits | None = None,
    ) -> None:
        limits = limits or PythonLimits()
        super().__init__(name, tasks, Identity.HASHED, note, at_once=limits.processes)
        self._limits = limits
        self._packages = tuple(packages)
        self._output = output
        self._workers = [
            Worker(name, folder, file, callable_name, self._limits)
            for _ in range(self._limits.processes)
        ]
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        for worker in self._workers:
            self._free.put_nowait(worker)

    @property
    def follows(self) -> frozenset[str]:
        """`ECHO`, where the publisher's code says how probable a text is."""
        ready = [worker.ready for worker in self._workers if worker.ready is not None]
        can = Task.CHAT in self.tasks and bool(ready) and all(each.scores_texts for each in ready)
        return frozenset({ECHO}) if can else frozenset()

    @property
    def caged(self) -> bool:
        """Whether system calls are filtered and files closed in every running child."""
        ready = [worker.ready for worker in self._workers if worker.ready is not None]
        return bool(ready) and all(r.filtered and r.landlocked for r in ready)

    @property
    def pids(self) -> list[int]:
        """The running children."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    @property
    def stderr_tail(self) -> str:
        """What the publisher's code printed last, for the operator only."""
        return "".join(worker.stderr_tail for worker in self._workers)

    async def load(self) -> None:
        """Compare the pinned packages and start every child.

        Raises
        ------
        NotAllowed
            A package is missing or differs from its pin.
        BackendFailed
            The publisher's code did not load.
        """
        await asyncio.to_thread(check_packages, self._packages)
        taken = [await self._free.get() for _ in self._workers]
        try:
            for worker in taken:
                await worker.start()
        finally:
            for worker in taken:
                self._free.put_nowait(worker)

    async def close(self) -> None:
        """End every child."""
        for worker in self._workers:
            await worker.close()

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        """Turn texts into vectors."""
        self.require(Task.EMBEDDINGS)
        self.require_at_most(self._limits.max_batch, len(request.texts), "texts")
        vectors = await self._value(
            Task.EMBEDDINGS, [list(request.texts)], list[list[float]], "a list of vectors"
        )
        if wrong := wrong_vectors(vectors, len(request.texts)):
            raise self.failed(wrong)
        return EmbeddingsResult(vectors, Units(input=texts_units(request.texts)))

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        """Score each text under each label."""
        self.require(Task.CLASSIFICATION, Task.MODERATION)
        self.require_at_most(self._limits.max_batch, len(request.texts), "texts")
        scores = await self._value(
            Task.CLASSIFICATION, [list(request.texts)], list[dict[str, float]], "scores by label"
        )
        if wrong := wrong_scores(scores, len(request.texts)):
            raise self.failed(wrong)
        return ClassifyResult(scores, Units(input=texts_units(request.texts)))

    async def predict(self, request: PredictRequest) -> PredictResult:
        """Compute the outputs of each row."""
        self.require(Task.PREDICT)
        self.require_at_most(self._limits.max_batch, len(request.rows), "rows")
        returned = await self._value(
            Task.PREDICT,
            [[list(row) for row in request.rows]],
            list[dict[str, Cell | list[float]] | Cell | list[float]],
            "one value or outputs by name per row",
        )
        outputs = [row if isinstance(row, dict) else {self._output: row} for row in returned]
        if wrong := wrong_outputs(outputs, len(request.rows)):
            raise self.failed(wrong)
        return PredictResult(outputs, Units(input=len(request.rows)))

    async def chat(self, request: ChatRequest) -> ChatResult:
        """Answer a conversation with a whole text."""
        parts: list[str] = []
        async with contextlib.aclosing(self._generate(request)) as events:
            async for event in events:
                if isinstance(event, ChatEnd):
                    choice = Choice("".join(parts), event.finish)
                    return ChatResult((choice,), event.units)
                parts.append(event.text)
        raise self.failed("ended without a finish")

    async def log_probabilities(
        self, messages: Sequence[Message], text: str
    ) -> tuple[float, ...] | None:
        """Say how probable a text is after a conversation, or None where the code cannot."""
        self.require(Task.CHAT)
        if not all(worker.ready is not None and worker.ready.scores for worker in self._workers):
            return None
        asked = [{"role": m.role, "content": m.content} for m in messages]
        logs = await self._value(
            LOG_PROBABILITIES, [asked, text], list[float], "logarithms of probabilities"
        )
        if not all(math.isfinite(log) for log in logs):
            raise self.failed("returned a probability of 0 or none at all")
        return tuple(logs)

    async def score_text(self, request: ScoreRequest) -> ScoreResult:
        """Say how probable each token of a given text is."""
        if ECHO not in self.follows:
            raise cannot_score(self.name)
        # What could not be answered in one frame would be computed for nothing.
        most = self._limits.frame_bytes // _TOKEN_BYTES
        self.require_at_most(most, byte_length(request.text), "bytes of text")
        found = await self._value(
            SCORE_TEXT, [request.text], list[tuple[int, float | None]], "tokens of the text"
        )
        logs = tuple(log for _, log in found)
        if None in logs[1:] or not all(log is None or -math.inf < log <= 0 for log in logs):
            raise self.failed("returned what is no logarithm of a probability")
        try:
            tokens, starts = cut(request.text, [length for length, _ in found])
        except ValueError as error:
            raise self.failed(f"returned other tokens than the text's: {error}") from error
        return ScoreResult(tokens, starts, logs, Units(input=score_input(request, len(tokens))))

    async def chat_stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta | ChatEnd]:
        """Answer a conversation piece by piece.

        The text is drawn from the child as fast as it comes: a reader who dawdles holds up
        nobody else's call, and `max_tokens` bounds what waits for him.
        """
        self.require(Task.CHAT)
        waiting: asyncio.Queue[ChatDelta | ChatEnd | Exception] = asyncio.Queue()

        async def draw() -> None:
            try:
                async with contextlib.aclosing(self._generate(request)) as events:
                    async for event in events:
                        waiting.put_nowait(event)
            except Exception as error:  # noqa: BLE001 - raised again by the reader
                waiting.put_nowait(error)

        drawing = asyncio.create_task(draw())
        try:
            while True:
                event = await waiting.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, ChatEnd):
                    return
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])

    async def _generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta | ChatEnd]:
        self.require(Task.CHAT)
        options: dict[str, Any] = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop": list(request.stop),
            "seed": request.seed,
        }
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        text = GrowingText(request, self._limits.frame_bytes)
        async with contextlib.aclosing(self._frames(Task.CHAT, [messages, options])) as frames:
            async for frame in frames:
                match frame:
                    case Begun(prompt_tokens=tokens):
                        text.begin(tokens)
                    case Part():
                        if shown := text.take(frame.text, frame.tokens):
                            yield ChatDelta(shown, text.units)
                    case _:
                        said = self._decode(frame, str | None, "a finish reason")
                        text.finish = "length" if said == "length" else "stop"
                if text.finish is not None:
                    break
        if text.over:
            raise self.failed(f"wrote over {self._limits.frame_bytes} bytes")
        if rest := text.rest():
            yield ChatDelta(rest, text.units)
        yield ChatEnd(text.finish or "stop", text.units)

    async def _value(self, task: str, arguments: list[Any], kind: type[_T], wanted: str) -> _T:
        async with contextlib.aclosing(self._frames(task, arguments)) as frames:
            async for frame in frames:
                if isinstance(frame, Begun | Part):
                    raise self.failed(f"returned a text, not {wanted}")
                value: _T = self._decode(frame, kind, wanted)
                return value
        raise self.failed("ended without an answer")

    async def _frames(
        self, task: str, arguments: list[Any]
    ) -> AsyncGenerator[Begun | Part | msgspec.Raw]:
        """Wait for a free child and make the call, all within the time of one call."""
        deadline = asyncio.get_running_loop().time() + self._limits.timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                worker = await self._free.get()
        except TimeoutError as error:
            raise self.failed(f"was busy for {self._limits.timeout_s:g} s") from error
        try:
            async with contextlib.aclosing(worker.call(task, arguments, deadline)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            self._free.put_nowait(worker)

    def _decode(self, raw: msgspec.Raw, kind: Any, wanted: str) -> Any:
        try:
            return msgspec.msgpack.decode(raw, type=kind)
        except msgspec.MsgspecError as error:
            raise self.failed(f"returned something else than {wanted}: {error}") from error
