"""What a demo model says about itself once it is built, and how its bundle is written."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.assets.manifest import MANIFEST_NAME, Task

__all__ = ["Built", "Description", "write_bundle"]

_TRAINING_LOG = "training.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the manifest says, but for what was measured.

    Attributes
    ----------
    runner
        The lines of the manifest's `[runner]` table.
    prices
        Decimal amounts by their names in the manifest.
    metric, benchmark
        What `value` counts, and on what.
    """

    slug: str
    title: str
    text: str
    licence: str
    task: Task
    runner: str
    prices: Mapping[str, str]
    benchmark: str
    metric: str
    note: str
    inputs: Sequence[Mapping[str, object]] = ()
    outputs: Sequence[Mapping[str, object]] = ()
    version: str = "1.0.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One finished bundle.

    Attributes
    ----------
    value
        The benchmark's result, as in the manifest.
    seconds
        What building took.
    size
        Bytes of all files.
    examples
        Inputs that the model was not trained on, for calls: texts, or rows as lists.
    """

    folder: Path
    slug: str
    title: str
    task: Task
    metric: str
    value: str
    seconds: float
    size: int
    examples: Sequence[object]


def write_bundle(
    folder: Path,
    described: Description,
    *,
    value: float,
    data_sha256: bytes,
    training: Mapping[str, object],
    seconds: float,
    examples: Sequence[object],
    appended: str,
) -> Built:
    """Write the training log and the manifest beside the model's files, which are there already.

    The manifest holds no time and no path, so the same data and packages give the same bundle.

    Parameters
    ----------
    value
        The benchmark's result; written with four decimals.
    data_sha256
        Of all data that was trained on, 32 bytes.
    training
        What else the log should say.
    appended
        TOML to end the manifest with: contributors, parents.
    """
    written = f"{value:.4f}"
    log = {
        "model": described.slug,
        "python": platform.python_version(),
        "data_sha256": data_sha256.hex(),
        described.metric: written,
        **training,
    }
    (folder / _TRAINING_LOG).write_text(json.dumps(log, indent=2, sort_keys=True) + "\n")
    (folder / MANIFEST_NAME).write_text(
        _manifest(described, written, data_sha256) + appended, encoding="utf-8"
    )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Built(
        folder=folder,
        slug=described.slug,
        title=described.title,
        task=described.task,
        metric=described.metric,
        value=written,
        seconds=seconds,
        size=size,
        examples=examples,
    )


def sha256_of(path: Path) -> bytes:
    """Hash a small file."""
    return hashlib.sha256(path.read_bytes()).digest()


def _manifest(described: Description, value: str, data_sha256: bytes) -> str:
    q = json.dumps  # a JSON string of ours is a TOML string
    lines = [
        f"name = {q(described.slug)}",
        f"title = {q(described.title)}",
        f"description = {q(described.text)}",
        'kind = "model"',
        f"version = {q(described.version)}",
        f"licence = {q(described.licence)}",
        "",
        "[runner]",
        f"task = {q(str(described.task))}",
        described.runner.strip(),
        "",
        "[price]",
        *(f"{name} = {q(amount)}" for name, amount in described.prices.items()),
    ]
    for table, fields in (("inputs", described.inputs), ("outputs", described.outputs)):
        for field in fields:
            lines += ["", f"[[{table}]]", *(f"{key} = {q(item)}" for key, item in field.items())]
    lines += [
        "",
        "[benchmark]",
        f"name = {q(described.benchmark)}",
        f"metric = {q(described.metric)}",
        f"value = {value}",
        f"file = {q(_TRAINING_LOG)}",
        "",
        "[provenance]",
        f"training_log = {q(_TRAINING_LOG)}",
        f"sha256 = {q(data_sha256.hex())}",
        f"note = {q(described.note)}",
        "",
    ]
    return "\n".join(lines)
