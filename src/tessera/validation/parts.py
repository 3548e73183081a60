"""The parts of an epoch's result as a file: what its nine words on the chain stand for.

All numbers are 32 bytes, the highest first, as the contracts have them, so the length of a file
follows from how many validators and models there were, and nothing of it has to be believed: the
stakes, each column and each row hash to the nine words. The file's name is their digest.
`docs/explain/epochs.md` has the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import astuple, fields, replace
from typing import Final

from tessera.errors import DataError, InputError
from tessera.spec.epochs import Column, Header, PostedEpoch
from tessera.spec.epochs.results import list_hash, row_leaf
from tessera.spec.sum_trees import Node, SumTree

__all__ = ["PARTS_NAME", "has_all", "name_of", "read_parts", "size_of", "write_parts"]

PARTS_NAME: Final = re.compile(r"[0-9a-f]{64}\.epoch")

_MAGIC: Final = b"tessera.epoch.v1"
_WORD: Final = 32
_HEADER: Final = len(fields(Header))


def name_of(digest: bytes) -> str:
    """Return the name of the file that has the parts of a result."""
    return f"{digest.hex()}.epoch"


def size_of(rows: int, columns: int) -> int:
    """Return how long a file is, bytes."""
    words = 2 + _HEADER + rows + columns * (2 + rows) + 2 * rows
    return len(_MAGIC) + _WORD * words


def has_all(posted: PostedEpoch) -> bool:
    """Tell whether no part of a result is missing."""
    return posted.stakes is not None and None not in posted.columns and None not in posted.rows


def write_parts(posted: PostedEpoch) -> bytes:
    """Write a result of which every part is known.

    Raises
    ------
    InputError
        One is missing, or has not a word for each validator.
    """
    rows, columns = len(posted.rows), len(posted.columns)
    pieces = [_MAGIC, _word(rows), _word(columns)]
    pieces += [_word(part) for part in astuple(posted.header)]
    pieces += [_word(stake) for stake in posted.stakes or ()]
    for column in posted.columns:
        if column is not None:
            pieces += [_word(column.consensus), _word(column.rank), column.words]
    for row in posted.rows:
        pieces += [_word(number) for number in row or ()]
    data = b"".join(pieces)
    if not has_all(posted) or len(data) != size_of(rows, columns):
        raise InputError(
            "parts of an epoch",
            found="some that are missing, or too short",
            wanted=f"all of {rows} validators and {columns} models",
        )
    return data


def read_parts(data: bytes, header: Header, rows: int, columns: int) -> PostedEpoch:
    """Read what somebody serves as the parts of a result.

    Parameters
    ----------
    data
        Of anybody; at most as long as the caller let it become.
    header
        As it was posted.
    rows, columns
        Of the epoch, from the chain.

    Returns
    -------
    PostedEpoch
        With the parts that hash to what was posted, and no others.

    Raises
    ------
    DataError
        It is the file of no result, or of another one.
    """
    _refuse_unless(
        len(data) == size_of(rows, columns),
        f"{len(data)} bytes",
        f"{size_of(rows, columns)}, of {rows} validators and {columns} models",
    )
    _refuse_unless(data.startswith(_MAGIC), repr(data[: len(_MAGIC)]), repr(_MAGIC))
    words = _words(data)
    counts = next(words), next(words)
    _refuse_unless(counts == (rows, columns), counts, f"{rows} and {columns}")
    stated = b"".join(_word(next(words)) for _ in range(_HEADER))
    wanted = b"".join(_word(part) for part in astuple(header))
    _refuse_unless(stated == wanted, "the words of another result", f"0x{header.digest.hex()}")

    stakes = tuple(next(words) for _ in range(rows))
    at = len(_MAGIC) + _WORD * (2 + _HEADER + rows)
    wide = _WORD * (2 + rows)
    found = tuple(
        _column(data[start : start + wide]) for start in range(at, at + columns * wide, wide)
    )
    words = _words(data, at + columns * wide)
    counted = tuple((next(words), next(words)) for _ in range(rows))

    known = PostedEpoch.unseen(header, rows, columns)
    if list_hash(stakes) == header.stakes:
        known = replace(known, stakes=stakes)
    column_tree = _tree(column.leaf for column in found)
    if column_tree is not None and column_tree.top == header.column_top:
        known = replace(known, columns=found, column_tree=column_tree)
    row_tree = _tree(row_leaf(*row) for row in counted)
    if row_tree is not None and row_tree.top == header.row_top:
        known = replace(known, rows=counted, row_tree=row_tree)
    return known


def _column(data: bytes) -> Column:
    consensus, rank = (int.from_bytes(data[start : start + _WORD], "big") for start in (0, _WORD))
    return Column(consensus, rank, data[2 * _WORD :])


def _tree(leaves: Iterator[Node]) -> SumTree | None:
    try:
        return SumTree(leaves)
    except InputError:
        # Sums that wrap: no tree that the contracts would take.
        return None


def _words(data: bytes, start: int = len(_MAGIC)) -> Iterator[int]:
    for at in range(start, len(data), _WORD):
        yield int.from_bytes(data[at : at + _WORD], "big")


def _word(part: bytes | int) -> bytes:
    return part if isinstance(part, bytes) else part.to_bytes(_WORD, "big")


def _refuse_unless(condition: bool, found: object, wanted: str) -> None:
    if not condition:
        raise DataError("parts of an epoch", found=found, wanted=wanted)
