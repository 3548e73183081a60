"""Folders to try things on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

# `reference_root` lies beside the tests, outside any package.
sys.path.insert(0, str(Path(__file__).parent))

MINIMAL = """\
name = "tiny"
title = "Tiny"
kind = "dataset"
version = "1.0.0"
licence = "CC0-1.0"
[price]
per_call = "0.001"
"""


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder with a minimal manifest, more lines for it, and files."""

    def make(
        files: Mapping[str, bytes | str] | None = None, *, name: str = "tiny", more: str = ""
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "tessera.toml").write_text(MINIMAL + more)
        for path, data in (files or {}).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data.encode() if isinstance(data, str) else data)
        return folder

    return make


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Path:
    """Three files, one of them in a folder and of more than one chunk."""
    return make_bundle({"data/big.bin": bytes(range(256)) * 5000, "empty": b""})
