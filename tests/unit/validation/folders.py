"""Benchmarks on disk, and an endpoint whose answers a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.errors import TesseraError
from tessera.validation.answers import Answer, Ask, Malformed, Outcome, Unsupported, read_output
from tessera.validation.endpoints import Said, Served
from tessera.validation.task import Benchmark, open_benchmark


def write_benchmark(
    folder: Path, kind: str, items: Sequence[Mapping[str, Any]], more: str = "", name: str = "task"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.toml").write_text(f'name = "{name}"\nkind = "{kind}"\n{more}\n')
    lines = "".join(json.dumps(item) + "\n" for item in items)
    (folder / "items.jsonl").write_text(lines)
    return folder


def benchmark(
    folder: Path, kind: str, items: Sequence[Mapping[str, Any]], more: str = ""
) -> Benchmark:
    return open_benchmark(write_benchmark(folder, kind, items, more))


class Written:
    """Answers what a function of the question returns: bytes off the wire, or an error."""

    def __init__(
        self,
        answer: Callable[[Ask], bytes | Exception],
        *,
        cost: int = 0,
        served: Callable[[], Served | None] = lambda: None,
    ) -> None:
        self.asked: list[Ask] = []
        self._answer = answer
        self._cost = cost
        self._served = served

    def most(self, ask: Ask) -> int:
        return self._cost

    async def ask(self, ask: Ask) -> Said:
        self.asked.append(ask)
        found = self._answer(ask)
        if isinstance(found, TesseraError):
            raise found
        if isinstance(found, Exception):
            return Said(Answer(Outcome.FAILED), why=str(found))
        try:
            output = read_output(ask, found)
        except Malformed as error:
            return Said(Answer(Outcome.MALFORMED), why=str(error))
        except Unsupported as error:
            return Said(Answer(Outcome.UNSUPPORTED), why=str(error))
        receipt = f"{len(self.asked):064x}" if self._cost else None
        return Said(Answer(Outcome.ANSWERED, output, receipt, self._cost), self._served())


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
