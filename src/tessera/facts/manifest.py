"""What a folder of facts says of itself: files with their hashes, tokens with their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from tessera.facts.observations import Kind, Origin

__all__ = [
    "FORM",
    "LOOKUPS",
    "MANIFEST",
    "ROWS_A_GROUP",
    "Manifest",
    "Segment",
    "TokenRows",
    "sha256_of",
]

MANIFEST: Final = "facts.json"
"""Its being there makes a folder one of facts."""

FORM: Final = "tessera facts 1"
"""Of the folder; a change that breaks its readers counts it up."""

ROWS_A_GROUP: Final = 1 << 16
"""Rows that are read at least where one is."""

LOOKUPS: Final[Mapping[str, dict[str, Any]]] = {
    "code": {"address": pl.String, "block": pl.Int64, "code": pl.Binary},
    "slots": {"address": pl.String, "key": pl.Binary, "block": pl.Int64, "value": pl.Binary},
    "reads": {
        "contract": pl.String, "calldata": pl.Binary, "block": pl.Int64, "ok": pl.Boolean,
        "answer": pl.Binary,
    },
}  # fmt: skip
"""Columns of what was looked up one by one, by the name of its file."""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one token in one file."""

    file: str
    first: int
    rows: int


class TokenRows(msgspec.Struct, frozen=True):
    """Where a token's transfers are, and which blocks were looked at."""

    segments: tuple[Segment, ...]
    first: int
    last: int
    gaps: tuple[tuple[int, int], ...]
    complete: bool


class Manifest(msgspec.Struct, frozen=True):
    """What a folder holds."""

    form: str
    chain_id: int
    block: int
    time: int
    known_at: int
    kinds: tuple[Kind, ...]
    origin: tuple[Origin, ...]
    tokens: dict[str, TokenRows]
    files: dict[str, str]


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
