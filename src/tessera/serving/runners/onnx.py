"""ONNX graphs on the CPU, in this process: data, never code.

A graph cannot read files, open sockets or run Python, so it needs no process of its own; what it
can do is compute for long or ask for memory. Both are bounded: a call past its time is told to
stop between two operators, and all graphs of a process share one arena with a ceiling.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from tessera.errors import InputError, TooLarge, Unprocessable
from tessera.serving.answers import wrong_outputs, wrong_scores, wrong_vectors
from tessera.serving.metering import byte_length, texts_units
from tessera.serving.runner import (
    Cell,
    ClassifyRequest,
    ClassifyResult,
    EmbeddingsRequest,
    EmbeddingsResult,
    Identity,
    PredictRequest,
    PredictResult,
    RunnerBase,
    Task,
    Units,
)

__all__ = ["LABELS_KEY", "OnnxLimits", "OnnxRunner"]

LABELS_KEY = "tessera.labels"
"""Key of the graph's metadata that holds the classes' names as a JSON list."""

_Array = npt.NDArray[Any]
_ELEMENTS: Mapping[str, type[Any]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
_TABLE_RANK = 2
_ORT_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.ModelLoaded,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)


# Behind each call that computes one more is ready, so that no thread waits for the event loop.
_READY = 2


class OnnxLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one graph may use.

    Attributes
    ----------
    threads
        Threads that one call computes with.
    parallel
        Calls that compute at once; the others wait, inside their time.
    timeout_s
        Seconds from a call's arrival to its answer, waiting included.
    max_batch
        Texts or rows of one call.
    max_text_bytes
        UTF-8 bytes of all texts of one call.
    max_row_numbers
        Numbers that a graph may return per text or row.
    """

    threads: int = 1
    parallel: int = 2
    timeout_s: float = 10.0
    max_batch: int = 256
    max_text_bytes: int = 1 << 20
    max_row_numbers: int = 1 << 16


class OnnxRunner(RunnerBase):
    """Runs one ONNX graph.

    Parameters
    ----------
    name
        The model as its users know it.
    graph
        The `.onnx` file, already compared with the asset's content root by the caller.
    tasks
        Of embeddings, classification, moderation and predict; a graph does not chat.
    labels
        Names of the classes in the order of the graph's scores; by default what the graph's
        metadata say under `LABELS_KEY`.
    note
        What a reader of every reply should know.
    limits
        What the graph may use.
    """

    def __init__(
        self,
        name: str,
        graph: Path,
        tasks: frozenset[Task],
        *,
        labels: Sequence[str] | None = None,
        note: str | None = None,
        limits: OnnxLimits | None = None,
    ) -> None:
        limits = limits or OnnxLimits()
        super().__init__(name, tasks, Identity.HASHED, note, at_once=_READY * limits.parallel)
        if Task.CHAT in tasks:
            raise InputError(
                f"model {name!r}: runner onnx",
                found="chat",
                wanted="embeddings, classification, moderation or predict",
                next_step="serve text generation by the python or the upstream runner",
            )
        self._graph = graph
        self._labels = list(labels) if labels is not None else None
        self._limits = limits
        self._session: ort.InferenceSession | None = None
        self._inputs: list[_Column] = []
        self._executor: ThreadPoolExecutor | None = None

    async def load(self) -> None:
        """Read the graph and compare it with the tasks.

        Raises
        ------
        InputError
            ONNX Runtime does not accept the file, or its inputs do not fit the tasks.
        """
        if self._session is not None:
            return
        self._executor = ThreadPoolExecutor(
            self._limits.parallel, thread_name_prefix=f"onnx-{self.name}"
        )
        loop = asyncio.get_running_loop()
        try:
            session = await loop.run_in_executor(self._executor, self._open)
        except _ORT_ERRORS as error:
            await self.close()
            raise InputError(
                f"model {self.name!r}: {self._graph.name}",
                found=_first_line(error),
                wanted="a graph that ONNX Runtime loads",
            ) from error
        self._inputs = [_column(self.name, node) for node in session.get_inputs()]
        if self._labels is None:
            self._labels = _labels_of(self.name, session)
        self._session = session
        text_tasks = self.tasks - {Task.PREDICT}
        if text_tasks and [column.element for column in self._inputs] != [object]:
            await self.close()
            raise InputError(
                f"model {self.name!r}: inputs of {self._graph.name}",
                found=[column.kind for column in self._inputs],
                wanted=f"one tensor of strings, for {', '.join(sorted(text_tasks))}",
            )

    async def close(self) -> None:
        """Drop the graph; calls still computing finish unheard."""
        self._session = None
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    async def embed(self, request: EmbeddingsRequest) -> EmbeddingsResult:
        """Turn texts into vectors: the graph's only output of numbers per text."""
        self.require(Task.EMBEDDINGS)
        values = await self._numbers_of_texts(request.texts)
        vectors: list[list[float]] = values.tolist()
        if wrong := wrong_vectors(vectors, len(request.texts)):
            raise self.failed(wrong)
        return EmbeddingsResult(vectors, Units(input=texts_units(request.texts)))

    async def classify(self, request: ClassifyRequest) -> ClassifyResult:
        """Score each text under each label."""
        self.require(Task.CLASSIFICATION, Task.MODERATION)
        values = await self._numbers_of_texts(request.texts)
        labels = self._labels or [str(number) for number in range(values.shape[1])]
        if len(labels) != values.shape[1]:
            raise self.failed(f"returned {values.shape[1]} scores for {len(labels)} labels")
        scores = [dict(zip(labels, row, strict=True)) for row in values.tolist()]
        if wrong := wrong_scores(scores, len(request.texts)):
            raise self.failed(wrong)
        return ClassifyResult(scores, Units(input=texts_units(request.texts)))

    async def predict(self, request: PredictRequest) -> PredictResult:
        """Compute the outputs of each row; an output of one number per row is a number."""
        self.require(Task.PREDICT)
        self.require_at_most(self._limits.max_batch, len(request.rows), "rows")
        answer = await self._run(self._table(request.rows), len(request.rows))
        columns = {name: _per_row(array) for name, array in answer.items()}
        outputs = [
            {name: values[row] for name, values in columns.items()}
            for row in range(len(request.rows))
        ]
        if wrong := wrong_outputs(outputs, len(request.rows)):
            raise self.failed(wrong)
        return PredictResult(outputs, Units(input=len(request.rows)))

    def _open(self) -> ort.InferenceSession:
        _share_arena()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._limits.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong arrives as an exception, not on stderr
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return ort.InferenceSession(str(self._graph), options, providers=["CPUExecutionProvider"])

    async def _numbers_of_texts(self, texts: tuple[str, ...]) -> _Array:
        self.require_at_most(self._limits.max_batch, len(texts), "texts")
        size = sum(byte_length(text) for text in texts)
        if size > self._limits.max_text_bytes:
            raise TooLarge(
                f"model {self.name!r}: texts of one call",
                found=f"{size} bytes",
                wanted=f"{self._limits.max_text_bytes} or fewer",
                next_step="send them in several calls",
            )
        column = self._column_of_texts()
        shape = (-1,) if column.rank == 1 else (-1, 1)
        answer = await self._run(
            {column.name: np.array(texts, dtype=object).reshape(shape)}, len(texts)
        )
        tables = [a for a in answer.values() if a.ndim == _TABLE_RANK and a.dtype.kind == "f"]
        if len(tables) != 1:
            found = {name: list(array.shape) for name, array in answer.items()}
            raise self.failed(f"returned {found}, not one table of numbers")
        return tables[0]

    async def _run(self, feeds: dict[str, _Array], rows: int) -> dict[str, _Array]:
        if self._session is None or self._executor is None:
            raise self.failed("is not loaded")
        session, run = self._session, ort.RunOptions()
        run.log_severity_level = 4
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._executor, session.run, None, feeds, run)
        try:
            values = await asyncio.wait_for(asyncio.shield(job), self._limits.timeout_s)
        except TimeoutError as error:
            raise self.failed(f"did not answer in {self._limits.timeout_s:g} s") from error
        except _ORT_ERRORS as error:
            raise self.failed(f"failed: {_first_line(error)}") from error
        finally:
            # Also when the caller goes away: the graph stops before its next operator.
            run.terminate = True
            job.add_done_callback(_hear_out)
        names = [node.name for node in session.get_outputs()]
        return {
            name: self._checked(name, value, rows)
            for name, value in zip(names, values, strict=True)
        }

    def _checked(self, name: str, value: object, rows: int) -> _Array:
        if not isinstance(value, np.ndarray):
            raise self.failed(f"returned {type(value).__name__} as {name!r}, not a tensor")
        if value.ndim == 0 or value.shape[0] != rows:
            raise self.failed(f"returned shape {list(value.shape)} as {name!r} for {rows} rows")
        if value.size > rows * self._limits.max_row_numbers:
            raise self.failed(f"returned {value.size} numbers as {name!r} for {rows} rows")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise self.failed(f"returned NaN or infinity in {name!r}")
        return value

    def _column_of_texts(self) -> _Column:
        if not self._inputs:
            raise self.failed("is not loaded")
        return self._inputs[0]

    def _table(self, rows: tuple[tuple[Cell, ...], ...]) -> dict[str, _Array]:
        """Arrange rows as the graph wants them: one matrix, or one column per input."""
        if not self._inputs:
            raise self.failed("is not loaded")
        matrix = len(self._inputs) == 1 and self._inputs[0].rank == _TABLE_RANK
        wanted = self._inputs[0].width if matrix else len(self._inputs)
        for number, row in enumerate(rows):
            if (wanted is not None and len(row) != wanted) or len(row) != len(rows[0]):
                raise Unprocessable(
                    f"row {number}",
                    found=f"{len(row)} columns",
                    wanted=str(wanted or len(rows[0])),
                )
        if matrix:
            return {self._inputs[0].name: _array(rows, self._inputs[0])}
        return {
            column.name: _array([(row[at],) for row in rows], column).reshape(
                (-1,) if column.rank == 1 else (-1, 1)
            )
            for at, column in enumerate(self._inputs)
        }


class _Column(msgspec.Struct, frozen=True):
    """One input of a graph."""

    name: str
    kind: str
    element: type[Any]
    rank: int
    width: int | None
    """Numbers per row where the graph fixes them."""


def _column(model: str, node: Any) -> _Column:
    element = _ELEMENTS.get(node.type)
    rank = len(node.shape)
    if element is None or rank not in (1, _TABLE_RANK):
        raise InputError(
            f"model {model!r}: input {node.name!r}",
            found=f"{node.type} of rank {rank}",
            wanted=f"one of {', '.join(_ELEMENTS)}, rank 1 or 2",
        )
    width = node.shape[1] if rank == _TABLE_RANK and isinstance(node.shape[1], int) else None
    return _Column(name=node.name, kind=node.type, element=element, rank=rank, width=width)


def _array(rows: Sequence[Sequence[Cell]], column: _Column) -> _Array:
    numeric = column.element is not object
    for number, row in enumerate(rows):
        for value in row:
            if isinstance(value, str) is numeric:
                raise Unprocessable(
                    f"row {number}", found=value, wanted="numbers" if numeric else "texts"
                )
    try:
        # A number beyond the element's range becomes infinite, which the next line refuses.
        with np.errstate(over="ignore"):
            array: _Array = np.array(rows, dtype=column.element)
    except (OverflowError, ValueError) as error:
        raise Unprocessable("rows", found=str(error), wanted=column.kind) from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Unprocessable("rows", found="a number out of range", wanted=column.kind)
    return array


def _per_row(array: _Array) -> list[Any]:
    values: list[Any] = array.reshape(array.shape[0], -1).tolist()
    single = array.ndim == 1 or array.size == array.shape[0]
    return [row[0] for row in values] if single else values


def _labels_of(model: str, session: ort.InferenceSession) -> list[str] | None:
    written = session.get_modelmeta().custom_metadata_map.get(LABELS_KEY)
    if written is None:
        return None
    try:
        return msgspec.json.decode(written, type=list[str])
    except msgspec.DecodeError as error:
        raise InputError(
            f"model {model!r}: {LABELS_KEY}", found=written, wanted="a JSON list of names"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _hear_out(job: asyncio.Future[object]) -> None:
    # A call that was given up still ends; asking for its exception keeps the loop from logging it.
    if not job.cancelled():
        job.exception()


_ARENA_BYTES = 1 << 30
_arena = threading.Lock()
_arena_shared = False


def _share_arena() -> None:
    """Bound the memory of all graphs of this process together; ONNX Runtime allows it once."""
    global _arena_shared
    with _arena:
        if _arena_shared:
            return
        memory = ort.OrtMemoryInfo(
            "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
        )
        # Strategy 1 grows by what is asked for; the default doubles and reaches the ceiling early.
        ort.create_and_register_allocator(
            memory, ort.OrtArenaCfg({"max_mem": _ARENA_BYTES, "arena_extend_strategy": 1})
        )
        _arena_shared = True
