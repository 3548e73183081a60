"""Which paths a bundle may contain, and when two of them are one.

A path that is legal here can be written on any ordinary file system, looks the same everywhere and
stays inside the folder. Everything else is refused rather than repaired, because a repaired path is
a path the publisher did not write.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MAX_PATH_BYTES = 1024
"""Longest path, in UTF-8 bytes."""
MAX_NAME_BYTES = 255
"""Longest single name in a path, in UTF-8 bytes: the limit of the usual file systems."""
MAX_DEPTH = 32
"""Most names in one path. Bounds the directories held open at once."""

# They reorder the text around them, so `exe.txt` can be shown as `txt.exe`.
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Unassigned code points are out because NFC of them may change with the next Unicode version.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cn", "Cs", "Zl", "Zp"})


def canonical(path: str) -> str:
    """Return the spelling that is hashed: Unicode NFC."""
    return unicodedata.normalize("NFC", path)


def sort_key(path: str) -> bytes:
    """Return the bytes that order files in a bundle: the canonical path in UTF-8."""
    return path.encode("utf-8")


def fault_of(path: str) -> str | None:
    """Say what is wrong with a bundle path.

    Parameters
    ----------
    path
        Relative POSIX path; need not be in NFC yet.

    Returns
    -------
    str or None
        A clause that completes "the path ...", or None when the path is fine.
    """
    if not path:
        return "is empty"
    try:
        encoded = canonical(path).encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if path.startswith("/"):
        return "is absolute"
    for character in path:
        if unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
            return f"contains the character U+{ord(character):04X}, which is not printable"
        if character in _DIRECTION_MARKS:
            return f"contains the text-direction mark U+{ord(character):04X}"
        if character == "\\":
            return "contains a backslash"
    names = path.split("/")
    if ".." in names:
        return "leaves the folder with '..'"
    if "" in names or "." in names:
        return "contains an empty name or '.'"
    if len(encoded) > MAX_PATH_BYTES:
        return f"is {len(encoded)} bytes long, more than {MAX_PATH_BYTES}"
    longest = max(len(name.encode("utf-8")) for name in names)
    if longest > MAX_NAME_BYTES:
        return f"has a name of {longest} bytes, more than {MAX_NAME_BYTES}"
    if len(names) > MAX_DEPTH:
        return f"is {len(names)} names deep, more than {MAX_DEPTH}"
    return None


def collisions(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Find paths, or folders on the way to them, that some file system would take for one.

    Parameters
    ----------
    paths
        Paths as they are on disk, each one once.

    Returns
    -------
    list of tuple
        Pairs of different spellings that agree after Unicode normalisation and case folding.
    """
    spelling_of: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for path in paths:
        names = path.split("/")
        for end in range(1, len(names) + 1):
            prefix = "/".join(names[:end])
            key = canonical(canonical(prefix).casefold())
            known = spelling_of.setdefault(key, prefix)
            if known != prefix:
                pair = (known, prefix)
                if pair not in found:
                    found.append(pair)
                break
    return found
