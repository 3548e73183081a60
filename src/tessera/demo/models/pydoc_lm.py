"""Builds `pydoc-lm`, the toy text generator, from the standard library's docstrings."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.assets.manifest import Task
from tessera.demo.models import corpus
from tessera.demo.models.bundled import pydoc_lm as bundled
from tessera.demo.models.pairs import learn_merges
from tessera.demo.models.summary import Built, Description, write_bundle

__all__ = ["build"]

_BITS = 11
_Packed = npt.NDArray[np.uint64]

DESCRIPTION = Description(
    slug="pydoc-lm",
    title="A toy language model of Python's documentation",
    text=(
        "A toy: byte-pair tokens and interpolated Kneser-Ney 4-grams, trained on the docstrings "
        "of Python's standard library. It continues a text in their manner. It knows nothing and "
        "follows no instructions; it is here so that text can be generated, streamed and paid for."
    ),
    licence="Apache-2.0 AND PSF-2.0",
    task=Task.CHAT,
    runner="""
kind = "python"
file = "model.py"
callable = "generate"
files = ["model.npz"]
limits = { memory_mb = 512, timeout_s = 30 }
options = { note = "a toy language model trained on Python's docstrings" }
""",
    prices={"per_call": "0.0001", "per_1k_input": "0.0005", "per_1k_output": "0.002"},
    benchmark="held-out docstrings that share no paragraph with the training data",
    metric="bits_per_byte",
    note="Trained on this machine on docstrings that came with Python; lower is better.",
    inputs=[{"name": "messages", "type": "string", "description": "the last one is continued"}],
    outputs=[{"name": "text", "type": "string"}],
)


def build(folder: Path, *, appended: str = "") -> Built:
    """Train the model and write its bundle.

    Parameters
    ----------
    folder
        Empty or new.
    appended
        TOML to end the manifest with.

    Returns
    -------
    Built
        `value` is held-out bits per byte.
    """
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    documents = corpus.docstrings()
    training, held_out = corpus.split(documents)
    merges = learn_merges(document.text for document in training)
    tokenizer = bundled.Tokenizer(merges)
    tables = _tables(merges, [tokenizer.encode(document.text) for document in training])
    np.savez_compressed(folder / "model.npz", allow_pickle=False, **tables)
    shutil.copyfile(bundled.__file__, folder / "model.py")
    model = bundled.load(folder / "model.npz")
    value = bits_per_byte(model, [document.text for document in held_out])
    return write_bundle(
        folder,
        DESCRIPTION,
        value=value,
        data_sha256=corpus.digest_of(documents),
        training={
            "documents": len(training),
            "held_out": len(held_out),
            "held_out_bytes": sum(len(document.text.encode()) for document in held_out),
            "vocabulary": bundled.VOCABULARY,
            "entries": {str(n): len(tables[f"tokens{n}"]) for n in range(2, bundled.ORDER + 1)},
        },
        seconds=time.monotonic() - begun,
        examples=[document.text[:60] for document in held_out[:50]],
        appended=appended,
    )


def bits_per_byte(model: bundled.Model, texts: list[str]) -> float:
    """Measure how well the model predicts texts; the end of each is predicted too.

    Returns
    -------
    float
        Bits per UTF-8 byte; lower is better.
    """
    bits, size = 0.0, 0
    for text in texts:
        history = [bundled.END]
        for token in [*model.tokenizer.encode(text), bundled.END]:
            bits -= math.log2(model.probability(history, token))
            history = [*history, token][-(bundled.ORDER - 1) :]
        size += len(text.encode())
    return bits / size


def _tables(
    merges: list[tuple[int, int]], documents: list[list[int]]
) -> dict[str, npt.NDArray[Any]]:
    """Count n-grams and reduce them to what interpolated Kneser-Ney needs.

    The highest order keeps its counts. A lower one counts in how many different contexts each
    n-gram follows, except where it begins a document and nothing can precede it.
    """
    stream = _stream(documents)
    raw = {order: _counted(stream, order) for order in range(2, bundled.ORDER + 1)}
    tables: dict[str, npt.NDArray[Any]] = {}
    discounts = []
    for order in range(2, bundled.ORDER + 1):
        grams, counts = raw[order]
        if order < bundled.ORDER:
            counts = _continuations(grams, counts, raw[order + 1][0], order)
        contexts, starts = np.unique(grams >> np.uint64(_BITS), return_index=True)
        edges = np.append(starts, len(grams))
        tables[f"contexts{order}"] = contexts
        tables[f"starts{order}"] = edges.astype(np.uint32)
        tables[f"totals{order}"] = np.add.reduceat(counts, starts).astype(np.uint32)
        tables[f"tokens{order}"] = (grams & np.uint64((1 << _BITS) - 1)).astype(np.uint16)
        tables[f"counts{order}"] = counts.astype(np.uint32)
        discounts.append(_discount(counts))
    followed = np.bincount(tables["tokens2"], minlength=bundled.VOCABULARY).astype(np.float64)
    discount = _discount(followed.astype(np.int64))
    spread = discount * np.count_nonzero(followed) / bundled.VOCABULARY
    tables["unigram"] = (np.maximum(followed - discount, 0) + spread) / followed.sum()
    tables["discounts"] = np.array(discounts, dtype=np.float64)
    tables["merges"] = np.array(merges, dtype=np.uint16).reshape(-1)
    return tables


def _stream(documents: list[list[int]]) -> _Packed:
    """Join the documents, each between END marks; neighbours share none."""
    flat: list[int] = []
    for tokens in documents:
        flat += [bundled.END, *tokens, bundled.END]
    return np.array(flat, dtype=np.uint64)


def _counted(stream: _Packed, order: int) -> tuple[_Packed, npt.NDArray[np.int64]]:
    """Count the n-grams of one order that lie inside a document, packed and ascending."""
    length = len(stream) - order + 1
    packed = np.zeros(length, dtype=np.uint64)
    inside = np.ones(length, dtype=bool)
    for at in range(order):
        token = stream[at : at + length]
        packed = (packed << np.uint64(_BITS)) | token
        if 0 < at < order - 1:
            inside &= token != bundled.END
    # Two END marks side by side are the border between documents.
    inside &= ~((stream[:length] == bundled.END) & (stream[1 : 1 + length] == bundled.END))
    grams, counts = np.unique(packed[inside], return_counts=True)
    return grams, counts.astype(np.int64)


def _continuations(
    grams: _Packed, counts: npt.NDArray[np.int64], longer: _Packed, order: int
) -> npt.NDArray[np.int64]:
    suffixes, contexts = np.unique(longer & np.uint64((1 << _BITS * order) - 1), return_counts=True)
    followed = np.zeros(len(grams), dtype=np.int64)
    followed[np.searchsorted(grams, suffixes)] = contexts
    first = grams >> np.uint64(_BITS * (order - 1))
    return np.where(first == bundled.END, counts, np.maximum(followed, 1))


def _discount(counts: npt.NDArray[np.int64]) -> float:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once else 0.5
