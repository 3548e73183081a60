"""The header of a safetensors file, held against the file."""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

import msgspec

from tessera.diligence.training.tensors import Tensor
from tessera.errors import DataError

__all__ = ["WIDTHS", "read_safetensors"]

_PREFIX: Final = 8
_MOST_HEADER: Final = 100 << 20
"""As the format's own reader allows."""

WIDTHS: Final = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
"""Bytes of a number by its type."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Entry(msgspec.Struct):
    dtype: str
    shape: tuple[_Count, ...]
    data_offsets: tuple[_Count, _Count]


def read_safetensors(file: Path) -> tuple[Tensor, ...]:
    """Return a file's tensors in the order of their places.

    Raises
    ------
    DataError
        It is no such file, or its header promises more than the file holds: places outside of it,
        twice used or of another length than the shape's.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        prefix = opened.read(_PREFIX)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == _PREFIX else 0
        if not 0 < length <= min(_MOST_HEADER, size - _PREFIX):
            raise _wrong(file, f"a header of {length} bytes in {size}", "a header within the file")
        header = opened.read(length)
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        raw.pop("__metadata__", None)
        entries = {name: msgspec.json.decode(each, type=_Entry) for name, each in raw.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(file, str(error), "a header of safetensors") from error
    start = _PREFIX + length
    ordered = sorted(entries.items(), key=lambda pair: pair[1].data_offsets)
    tensors = []
    for name, entry in ordered:
        begin, end = entry.data_offsets
        width = WIDTHS.get(entry.dtype)
        if not begin <= end <= size - start:
            raise _wrong(file, f"{name} from {begin} to {end}", f"places up to {size - start}")
        if width is not None and math.prod(entry.shape) * width != end - begin:
            raise _wrong(
                file, f"{name} of {end - begin} bytes", f"those of its shape {entry.shape}"
            )
        tensors.append(Tensor(name, entry.dtype, entry.shape, file, start + begin, end - begin))
    for before, after in pairwise(tensors):
        if before.offset + before.length > after.offset:
            raise _wrong(file, f"{after.name} over {before.name}", "a place of its own for each")
    return tuple(tensors)


def _wrong(file: Path, found: str, wanted: str) -> DataError:
    return DataError(f"weights {file.name}", found=found, wanted=wanted)
