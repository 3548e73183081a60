"""A task whose publisher scores the answers with Python of his own, in the cage or not at all."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tessera.errors import BackendFailed, NotAllowed
from tessera.serving.runner import PredictRequest, Task
from tessera.serving.runners.python import PythonLimits, PythonRunner
from tessera.validation.answers import PATHS, Ask
from tessera.validation.canonical import canonical
from tessera.validation.kinds.scoring import Answered, Item, Scores, known_options

__all__ = ["Plugin"]

_OUTPUT: Final = "score"
_AT_A_TIME: Final = 64


@dataclass(frozen=True, slots=True)
class Plugin:
    """Items ``{"path": "/v1/...", "request": {...}, ...}`` and a function that scores.

    The function gets a list of pairs ``[item, output]``, both as JSON texts, and returns a number
    from 0 to 1 for each. What it cannot score, by failing, by NaN or by a number out of range,
    scores 0. It runs in the child process that also runs publishers' models: no network, no files
    but its own folder, no other programs.

    Attributes
    ----------
    file, callable
        In the benchmark's folder.
    """

    file: str
    callable: str
    folder: Path | None
    code: bytes = field(default=b"")
    allowed: bool = False

    metric = "score"
    proportion = True

    @classmethod
    def of(cls, options: Mapping[str, Any], folder: Path | None) -> Self:
        """Read the options, and hash the code; nothing of it is run."""
        known_options(options, "file", "callable")
        file, name = options.get("file", "scorer.py"), options.get("callable", "score")
        if not isinstance(file, str) or Path(file).name != file:
            raise ValueError("option 'file': wanted the name of a file beside the items")
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError("option 'callable': wanted the name of a function")
        if folder is None:
            return cls(file, name, None)
        try:
            code = (folder / file).read_bytes()
        except OSError as error:
            raise ValueError(f"option 'file': {file}: {error.strerror}") from error
        return cls(file, name, folder, hashlib.sha256(code).digest())

    def fault(self, item: Item) -> str | None:
        """Say what is wrong with an item, or nothing."""
        if item.get("path") not in PATHS:
            return f"path {item.get('path')!r}, which is none of {', '.join(sorted(PATHS))}"
        request = item.get("request")
        if not isinstance(request, dict) or {"model", "stream"} & request.keys():
            return "no request, or one that names a model or wants a stream"
        return None

    def fault_of_all(self, items: Sequence[Item]) -> str | None:
        """Find nothing: each item stands for itself."""
        return None

    def counted(self, item: Item) -> bool:
        """Every item has a score."""
        return True

    def asks(self, item: Item) -> tuple[Ask, ...]:
        """Ask what the item says."""
        return (Ask(item["path"], dict(item["request"])),)

    async def scores(self, answered: Sequence[Answered]) -> Scores:
        """Have the publisher's function score what was answered.

        Raises
        ------
        NotAllowed
            Nobody allowed it to run.
        BackendFailed
            It does not load.
        """
        if self.folder is None or not self.allowed:
            raise NotAllowed(
                f"scorer {self.file}",
                found="Python code of the benchmark's publisher",
                wanted="your leave to run it, in a child process",
                next_step="read it first, then: --allow-python-runners",
            )
        runner = PythonRunner(
            "scorer",
            self.folder,
            self.file,
            self.callable,
            frozenset({Task.PREDICT}),
            output=_OUTPUT,
            limits=PythonLimits(),
        )
        rows = [
            (canonical(each.item).decode(), canonical(each.output).decode())
            for each in answered
            if each.output is not None
        ]
        await runner.load()
        try:
            given = iter(await _scored(runner, rows))
        finally:
            await runner.close()
        values = [0.0 if each.output is None else next(given) for each in answered]
        failed = sum(value is None for value in values)
        return Scores(
            tuple(0.0 if value is None else value for value in values), {"not_scored": failed}
        )


async def _scored(runner: PythonRunner, rows: Sequence[tuple[str, str]]) -> list[float | None]:
    """Score many at a time; where that fails one by one: one bad answer must not cost others."""
    found: list[float | None] = []
    for first in range(0, len(rows), _AT_A_TIME):
        part = rows[first : first + _AT_A_TIME]
        try:
            found += await _of(runner, part)
        except BackendFailed:
            for row in part:
                try:
                    found += await _of(runner, [row])
                except BackendFailed:
                    found.append(None)
    return found


async def _of(runner: PythonRunner, rows: Sequence[tuple[str, str]]) -> list[float | None]:
    result = await runner.predict(PredictRequest(tuple(rows)))
    return [_score(row.get(_OUTPUT)) for row in result.outputs]


def _score(value: object) -> float | None:
    if isinstance(value, bool | int | float) and math.isfinite(value) and 0 <= value <= 1:
        return float(value)
    return None
