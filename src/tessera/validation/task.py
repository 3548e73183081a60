"""A benchmark: a folder with a list of items and how they are asked and scored.

::

    tessera.toml       it is an asset of kind dataset: published and owned like any other
    benchmark.toml     what the task is
    items.jsonl        one JSON object per line
    scorer.py          only where the publisher scores with Python of his own

The task's id is a hash over all that decides a score: two people who have the same id ask the same
and score alike. The bundle's content root commits to the folder's bytes, the id to their meaning.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from tessera.errors import NotFound
from tessera.validation.canonical import digest, list_root
from tessera.validation.kinds import KINDS, scoring_of
from tessera.validation.kinds.plugin import Plugin
from tessera.validation.kinds.scoring import Decoding, Item, Scoring
from tessera.validation.refusals import TaskInvalid

__all__ = ["HARNESS", "TASK_FILE", "Benchmark", "find_benchmarks", "open_benchmark", "read_items"]

HARNESS: Final = 1
"""Goes up with every change by which the same answers get another score, or another hash."""

TASK_FILE: Final = "benchmark.toml"
GROUP: Final = "tessera.benchmarks"
"""Entry points of installed packages whose folder is a benchmark's; none of their code is run."""

MAX_ITEMS: Final = 1_000_000
MAX_LINE_BYTES: Final = 1 << 20
MAX_FILE_BYTES: Final = 1 << 30


class _DecodingWire(msgspec.Struct, forbid_unknown_fields=True):
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 8
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0


class _TaskWire(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    kind: str
    title: str = ""
    items: str = "items.jsonl"
    chance: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    scorer: dict[str, Any] = {}
    decoding: _DecodingWire = msgspec.field(default_factory=_DecodingWire)


@dataclass(frozen=True)
class Benchmark:
    """A task.

    Attributes
    ----------
    name, title, kind
        As its folder says.
    items
        In the order of the file; a place in it is an item's number.
    scoring
        What asks and scores.
    options
        Of the scorer, as written.
    decoding
        How texts are generated.
    chance
        What a guess scores: at or below it a model has earned nothing.
    """

    name: str
    title: str
    kind: str
    items: tuple[Item, ...]
    scoring: Scoring
    options: dict[str, Any]
    decoding: Decoding
    chance: float = 0.0

    @cached_property
    def digests(self) -> tuple[bytes, ...]:
        """The hash of each item."""
        return tuple(digest(item) for item in self.items)

    @cached_property
    def items_root(self) -> bytes:
        """The root over the items and their places: that of a round's pool of public items."""
        return list_root(self.digests)

    @cached_property
    def id(self) -> bytes:
        """The hash of all that decides a score."""
        return digest(
            {
                "format": "tessera.task.v1",
                "harness": HARNESS,
                "name": self.name,
                "kind": self.kind,
                "options": self.options,
                "decoding": self.decoding.as_json(),
                "chance": self.chance,
                "items": len(self.items),
                "items_root": self.items_root.hex(),
                "code": self.scoring.code.hex(),
            }
        )

    @cached_property
    def eligible(self) -> tuple[int, ...]:
        """The numbers of the items that have a score."""
        return tuple(at for at, item in enumerate(self.items) if self.scoring.counted(item))

    @cached_property
    def always(self) -> tuple[int, ...]:
        """The numbers of those that are asked in every run, since the others need them."""
        return tuple(at for at, item in enumerate(self.items) if not self.scoring.counted(item))

    def allowing_code(self) -> Benchmark:
        """Return the same task, whose publisher's scorer may run."""
        if isinstance(self.scoring, Plugin):
            return replace(self, scoring=replace(self.scoring, allowed=True))
        return self


def open_benchmark(folder: Path) -> Benchmark:
    """Read a benchmark's folder.

    Raises
    ------
    NotFound
        There is no such folder, or no `benchmark.toml` in it.
    TaskInvalid
        It does not say what is asked, or an item is wrong; names the file and the line.
    """
    file = folder / TASK_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(
            f"benchmark {folder}",
            found="nothing",
            wanted=f"a folder with {TASK_FILE}",
            next_step="see those that are installed: tessera benchmark list",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise TaskInvalid(str(file), found=str(error), wanted="a file of UTF-8 text") from error
    try:
        wire = msgspec.convert(tomllib.loads(text), _TaskWire)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise TaskInvalid(
            str(file), found=str(error), wanted="the keys of a benchmark",
            next_step="see docs/guides/benchmarks.md",
        ) from error  # fmt: skip
    decoding = Decoding(wire.decoding.temperature, wire.decoding.max_tokens, wire.decoding.seed)
    try:
        scoring = scoring_of(wire.kind, wire.scorer, decoding, folder)
        # Whatever is hashed has one form in JSON.
        digest(wire.scorer)
    except (ValueError, TypeError) as error:
        raise TaskInvalid(
            str(file), found=str(error), wanted=f"one of {', '.join(KINDS)}, with its options"
        ) from error
    if Path(wire.items).name != wire.items:
        raise TaskInvalid(f"{file}: items", found=wire.items, wanted="the name of a file beside it")
    items = read_items(folder / wire.items, scoring)
    return Benchmark(
        name=wire.name,
        title=wire.title or wire.name,
        kind=wire.kind,
        items=items,
        scoring=scoring,
        options=wire.scorer,
        decoding=decoding,
        chance=wire.chance,
    )


def find_benchmarks() -> dict[str, Path]:
    """Return the folders of the benchmarks that installed packages bring, by entry point.

    A package is found without being imported: only where it lies is looked at.
    """
    found: dict[str, Path] = {}
    for point in metadata.entry_points(group=GROUP):
        package, _, inside = point.value.replace(":", ".").partition(".")
        try:
            spec = find_spec(package)
        except (ImportError, ValueError):
            # What cannot be found brings nothing.
            continue
        for place in spec.submodule_search_locations or () if spec is not None else ():
            folder = Path(place, *inside.split(".")) if inside else Path(place)
            if (folder / TASK_FILE).is_file():
                found.setdefault(point.name, folder)
    return found


def read_items(file: Path, scoring: Scoring) -> tuple[Item, ...]:
    """Read a file of items, one JSON object per line.

    Raises
    ------
    TaskInvalid
        A line is no item of this kind of task; names it.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise TaskInvalid(str(file), found="more", wanted=f"at most {MAX_FILE_BYTES} bytes")
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise TaskInvalid(str(file), found=error.strerror, wanted="a file of items") from error
    items: list[Item] = []
    for number, line in enumerate(lines, 1):
        where = f"{file}: line {number}"
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES or len(items) == MAX_ITEMS:
            raise TaskInvalid(
                where,
                found="more",
                wanted=f"lines of {MAX_LINE_BYTES} bytes, {MAX_ITEMS} of them at most",
            )
        try:
            item = msgspec.json.decode(line, type=dict[str, Any])
            digest(item)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise TaskInvalid(where, found=str(error), wanted="a JSON object") from error
        if fault := scoring.fault(item):
            raise TaskInvalid(where, found=fault, wanted="an item of this kind of task")
        items.append(item)
    _check_all(file, items, scoring)
    return tuple(items)


def _check_all(file: Path, items: Sequence[Item], scoring: Scoring) -> None:
    if not any(scoring.counted(item) for item in items):
        raise TaskInvalid(str(file), found="no item that is scored", wanted="one or more")
    if fault := scoring.fault_of_all(items):
        raise TaskInvalid(str(file), found=fault, wanted="items that fit together")
