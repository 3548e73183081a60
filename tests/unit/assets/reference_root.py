"""The content root a second time: slow, whole in memory, written from the specification alone.

Shares no code with `tessera.assets`. Run as a program it writes the test vectors:
``python tests/unit/assets/reference_root.py tests/vectors/content_root.json``.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import unicodedata
from pathlib import Path

MIB = 1024 * 1024


def tagged(tag: str, message: bytes) -> bytes:
    tag_hash = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(tag_hash + tag_hash + message).digest()


def tree(tag: str, leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return tagged(tag, b"\x01" + tree(tag, leaves[:split]) + tree(tag, leaves[split:]))


def chunks_root(data: bytes) -> bytes:
    if not data:
        return tagged("tessera.chunk.v1", b"\x02")
    chunks = [data[at : at + MIB] for at in range(0, len(data), MIB)]
    leaves = [tagged("tessera.chunk.v1", b"\x00" + chunk) for chunk in chunks]
    return tree("tessera.chunk.v1", leaves)


def file_leaf(path: str, data: bytes) -> bytes:
    name = unicodedata.normalize("NFC", path).encode()
    message = struct.pack(">I", len(name)) + name + struct.pack(">Q", len(data))
    return tagged("tessera.file.v1", b"\x00" + message + chunks_root(data))


def content_root(files: dict[str, bytes]) -> bytes:
    named = {unicodedata.normalize("NFC", path): data for path, data in files.items()}
    paths = sorted(named, key=lambda path: path.encode())
    root = tree("tessera.file.v1", [file_leaf(path, named[path]) for path in paths])
    size = sum(len(data) for data in named.values())
    return tagged("tessera.bundle.v1", struct.pack(">QQ", len(paths), size) + root)


def pattern(seed: int, size: int) -> bytes:
    """Bytes that differ in every chunk: SHA-256 of seed and counter, repeated for each 4 KiB."""
    blocks = range(-(-size // 4096))
    long = b"".join(
        hashlib.sha256(struct.pack(">QQ", seed, number)).digest() * 128 for number in blocks
    )
    return long[:size]


CASES: list[tuple[str, list[tuple[str, dict[str, object]]]]] = [
    ("one empty file", [("empty", {"hex": ""})]),
    ("one byte", [("a", {"hex": "61"})]),
    ("a manifest", [("tessera.toml", {"hex": b'name = "tiny"\n'.hex()})]),
    ("exactly one chunk", [("one", {"seed": 1, "size": MIB})]),
    ("one byte over a chunk", [("over", {"seed": 2, "size": MIB + 1})]),
    ("three chunks", [("three", {"seed": 3, "size": 3 * MIB})]),
    ("five chunks, the last short", [("five", {"seed": 4, "size": 4 * MIB + 7})]),
    (
        "order by bytes, not by folder",
        [(path, {"hex": path.encode().hex()}) for path in ("a/b", "a-b", "a", "B")],
    ),
    ("accents composed", [("caf\u00e9.txt", {"hex": "00"}), ("z", {"hex": "ff"})]),
    (
        "accents decomposed give the same root",
        [("cafe\u0301.txt", {"hex": "00"}), ("z", {"hex": "ff"})],
    ),
    ("beyond the basic plane", [("\U0001f600", {"hex": "aa"}), ("\uffe5", {"hex": "bb"})]),
    ("seven files", [(f"f{each}", {"seed": each, "size": each * 1000}) for each in range(7)]),
]


def case_files(files: list[tuple[str, dict[str, object]]]) -> dict[str, bytes]:
    return {
        path: bytes.fromhex(str(what["hex"]))
        if "hex" in what
        else pattern(int(str(what["seed"])), int(str(what["size"])))
        for path, what in files
    }


def vectors() -> dict[str, object]:
    cases = []
    for name, files in CASES:
        data = case_files(files)
        cases.append(
            {
                "name": name,
                "files": [{"path": path, **what} for path, what in files],
                "file_leaves": {path: file_leaf(path, data[path]).hex() for path in sorted(data)},
                "root": content_root(data).hex(),
            }
        )
    return {
        "about": "Content roots; docs/spec/content-root.md. A file is given as hex, or as seed and "
        "size: for each 4096 bytes number n (from 0), SHA-256 of seed and n as two 64-bit "
        "big-endian integers, 128 times; cut to size.",
        "cases": cases,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(vectors(), indent=2, sort_keys=True) + "\n")
