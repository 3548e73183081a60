"""The text that every Python brings along: the docstrings of its own standard library.

Read from the source files without importing them, in a fixed order, so one Python version gives
one corpus; its SHA-256 stands in every bundle made from it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import re
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Docstring", "digest_of", "docstrings", "split"]

# Tests, bundled third parties and vendored copies say little, or the same twice.
_LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3", "ensurepip",
     "__pycache__", "turtledemo", "pydoc_data"}
)  # fmt: skip
_MOST_BYTES = 400_000
_MARKS = (b'"""', b"'''")
_HELD_OUT_OF = 20


@dataclass(frozen=True, slots=True)
class Docstring:
    """One docstring and what it documents.

    Attributes
    ----------
    name
        Dotted: module, class, function.
    text
        Cleaned of its indentation.
    """

    name: str
    text: str


@functools.cache
def docstrings() -> tuple[Docstring, ...]:
    """Collect the docstrings, each paragraph only where it first appears.

    Returns
    -------
    tuple of Docstring
        In the order of the files' paths; texts that are repeated elsewhere are left out, so a
        held-out part shares no paragraph with the rest.
    """
    root = Path(sysconfig.get_path("stdlib"))
    seen: set[bytes] = set()
    found = []
    for path in sorted(root.rglob("*.py"), key=lambda p: p.relative_to(root).as_posix()):
        place = path.relative_to(root)
        if _LEFT_OUT.intersection(place.parts) or path.stat().st_size > _MOST_BYTES:
            continue
        source = path.read_bytes()
        if not any(mark in source for mark in _MARKS):
            continue
        module = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
        for name, text in _of_source(module, source):
            kept = _unseen_paragraphs(text, seen)
            if kept:
                found.append(Docstring(name, kept))
    return tuple(found)


def split(documents: tuple[Docstring, ...]) -> tuple[list[Docstring], list[Docstring]]:
    """Hold out one document in twenty, chosen by a hash of its name: training, held out."""
    parts: tuple[list[Docstring], list[Docstring]] = ([], [])
    for document in documents:
        chosen = hashlib.sha256(document.name.encode()).digest()[0] % _HELD_OUT_OF == 0
        parts[chosen].append(document)
    return parts


def digest_of(documents: list[Docstring] | tuple[Docstring, ...]) -> bytes:
    """SHA-256 over names and texts in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.name}\0{document.text}\0".encode())
    return digest.digest()


def _of_source(module: str, source: bytes) -> list[tuple[str, str]]:
    try:
        with warnings.catch_warnings():
            # Old sources hold escapes that newer Pythons warn about.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []  # some files of the library are wrong on purpose
    found: list[tuple[str, str]] = []
    _walk(tree, module, found)
    return found


def _walk(node: ast.AST, name: str, found: list[tuple[str, str]]) -> None:
    """Visit modules, classes and functions only: docstrings are nowhere else."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return
    text = ast.get_docstring(node, clean=False)
    if text:
        found.append((name, inspect.cleandoc(text)))
    for child in node.body:
        _walk(child, f"{name}.{getattr(child, 'name', '')}", found)


def _unseen_paragraphs(text: str, seen: set[bytes]) -> str:
    kept = []
    for paragraph in re.split(r"\n\s*\n", text):
        key = hashlib.sha256(" ".join(paragraph.lower().split()).encode()).digest()
        if key not in seen:
            seen.add(key)
            kept.append(paragraph.rstrip())
    return "\n\n".join(kept).strip()
