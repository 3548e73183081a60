"""A first `tessera.toml` for a folder: commented, and valid as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from tessera.assets.manifest import MANIFEST_NAME, Kind
from tessera.assets.references import MAX_SLUG
from tessera.errors import Conflict
from tessera.storage.folders import sync_folder

__all__ = ["init_bundle"]

_HEAD = '''\
# What this bundle is. All keys: docs/reference/manifest.md
name = "{slug}"            # how callers address it: small letters, digits, dashes
title = "{title}"
description = """
What it does, for whom, and what it does not do.
"""
kind = "{kind}"            # model, dataset, service, workflow or compute
version = "0.1.0"          # your label; the registry numbers releases by itself
licence = "Apache-2.0"     # an SPDX expression, or {{ file = "LICENSE.txt" }}
# exclude = ["notes", "*.tmp"]   # stays out of the bundle, besides .git, caches and the like
'''

_PYTHON = """
[runner]
kind = "python"            # onnx, python or upstream
task = "predict"           # embeddings, chat, classification, moderation or predict
file = "{file}"
callable = "predict"       # a function in that file
limits = { memory_mb = 512, timeout_s = 10 }

# Everything it may import besides the standard library, each pinned with its hashes:
# [[runner.packages]]
# name = "vaderSentiment"
# version = "3.3.2"
# sha256 = ["..."]
"""

_ONNX = """
[runner]
kind = "onnx"              # onnx, python or upstream
task = "predict"           # embeddings, chat, classification, moderation or predict
file = "{file}"
limits = { memory_mb = 1024, timeout_s = 10 }
"""

_UPSTREAM = """
[runner]
kind = "upstream"          # an OpenAI-compatible server; its bytes are declared, not hashed
task = "chat"              # embeddings, chat, classification, moderation or predict
url = "http://127.0.0.1:11434/v1"
model = "name-at-the-upstream"
limits = { timeout_s = 120 }
"""

_TAIL = """
# In the currency, in quotes so that they stay exact.
[price]
per_call = "0.001"
# per_1k_input = "0.0002"
# per_1k_output = "0.0006"

# [[inputs]]
# name = "rows"
# type = "float32"
# shape = [-1, 4]          # -1: any number
# description = "One row per item."

# Weights are hundredths of a percent and add up to 10000.
# [[contributors]]
# account = "0x..."        # or name = "...", given an account when you publish
# role = "data"            # data, compute, code or validation
# weight = 10000
# evidence = { file = "data/source.csv" }

# At most 8; royalties are hundredths of a percent of this asset's revenue.
# [[parents]]
# asset = "other-model@1.0.0"      # or eip155:<chain>/erc721:<registry>/<id>
# royalty_bps = 500

# [benchmark]
# name = "held-out split"
# metric = "accuracy"
# value = 0.97
# file = "data/held-out.csv"

# [provenance]
# training_log = "training.log"
# sha256 = "..."           # of the training data
"""

_PROGRAM = '''\
"""The mean of each row: replace it by your model."""


def predict(rows: list[list[float]]) -> list[float]:
    """Return one number per row; an empty row gives 0."""
    return [sum(row) / len(row) if row else 0.0 for row in rows]
'''


def init_bundle(folder: Path, kind: Kind = Kind.MODEL) -> Path:
    """Write a manifest into a folder, and what it needs to be valid.

    A model or workflow whose folder holds an ONNX file gets that as its runner, otherwise a small
    Python program; a service gets an upstream; datasets and compute get none.

    Parameters
    ----------
    folder
        Created if need be. Nothing in it is ever replaced.
    kind
        What the bundle will be.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    Conflict
        There is a manifest already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST_NAME
    name = folder.resolve().name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_SLUG].strip("-") or "bundle"
    head = _HEAD.format(slug=slug, title=slug.replace("-", " ").capitalize(), kind=kind.value)
    runner, program = _runner(folder, kind)
    try:
        with manifest.open("x", encoding="utf-8") as file:
            file.write(head + runner + _TAIL)
    except FileExistsError as error:
        raise Conflict(
            str(manifest),
            found="a manifest that is there already",
            wanted="a folder without one",
            next_step="edit it, or move it away first",
        ) from error
    if program is not None:
        with program.open("x", encoding="utf-8") as file:
            file.write(_PROGRAM)
    sync_folder(folder)
    return manifest


def _runner(folder: Path, kind: Kind) -> tuple[str, Path | None]:
    match kind:
        case Kind.DATASET | Kind.COMPUTE:
            return "", None
        case Kind.SERVICE:
            return _UPSTREAM, None
        case Kind.MODEL | Kind.WORKFLOW:
            graphs = sorted(
                path.name
                for path in folder.glob("*.onnx")
                if path.is_file() and not path.is_symlink()
            )
            if graphs:
                return _ONNX.replace("{file}", graphs[0]), None
            taken = {path.name.casefold() for path in folder.iterdir()}
            names = ["model.py", *(f"model_{number}.py" for number in range(2, 1_000))]
            name = next(name for name in names if name not in taken)
            return _PYTHON.replace("{file}", name), folder / name
