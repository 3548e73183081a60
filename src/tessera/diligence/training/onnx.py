"""The weights in an ONNX file: its initializers, found by walking the file's own structure.

Only what is needed of protocol buffers: keys, varints and lengths, over a mapped file, so that a
model of any size is read without being loaded, and without the library that loads it.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from tessera.diligence.training.tensors import Tensor
from tessera.errors import DataError

__all__ = ["read_onnx"]

_GRAPH: Final = 7
_INITIALIZER: Final = 5
_DIMS, _TYPE, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
# Values outside of raw_data, by field: floats, 32-bit, 64-bit, doubles, unsigned 64-bit.
_TYPED: Final = frozenset({4, 5, 7, 10, 11})
_KINDS: Final = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16",
    11: "F64", 12: "U32", 13: "U64", 16: "BF16", 17: "F8_E4M3", 19: "F8_E5M2",
}  # fmt: skip
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_FIELDS: Final = 5_000_000
_MOST_DIMENSIONS: Final = 64
_MOST_EXTERNAL: Final = 4096

_Field = tuple[int, int, int, int]
"""Number, wire type, and the value; or where it starts and ends, of bytes."""


def read_onnx(file: Path) -> tuple[Tensor, ...]:
    """Return the initializers of a model's graph, in the order of the file.

    Raises
    ------
    DataError
        It is no such file, or says of a tensor what cannot be.
    """
    if file.stat().st_size == 0:
        raise _wrong(file, "an empty file", "a model")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        walk = _Walk(file, data)
        tensors: list[Tensor] = []
        for number, wire, start, end in walk.fields(0, len(data)):
            if (number, wire) == (_GRAPH, _BYTES):
                for inner, kind, begin, stop in walk.fields(start, end):
                    if (inner, kind) == (_INITIALIZER, _BYTES):
                        tensors.append(_tensor(walk, begin, stop))
    return tuple(tensors)


class _Walk:
    def __init__(self, file: Path, data: mmap.mmap) -> None:
        self.file, self.data = file, data
        self.left = _MOST_FIELDS

    def fields(self, at: int, end: int) -> Iterator[_Field]:
        while at < end:
            self.left -= 1
            if self.left < 0:
                raise _wrong(self.file, "millions of fields", "a model")
            key, at = self.varint(at, end)
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                value, at = self.varint(at, end)
                yield number, wire, value, at
                continue
            if wire == _BYTES:
                length, at = self.varint(at, end)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise _wrong(self.file, f"wire type {wire} at {at}", "protocol buffers")
            if length > end - at:
                raise _wrong(self.file, f"{length} bytes at {at}", f"{end - at} or fewer")
            yield number, wire, at, at + length
            at += length

    def varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 64:
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise _wrong(self.file, f"a number without an end at {at}", "protocol buffers")

    def text(self, start: int, end: int) -> str:
        return self.data[start : min(end, start + _MOST_EXTERNAL)].decode("utf-8", "replace")


def _tensor(walk: _Walk, at: int, stop: int) -> Tensor:
    dims: list[int] = []
    kind, name = 0, ""
    place: tuple[int, int] | None = None
    external: dict[str, str] = {}
    outside = False
    for number, wire, start, end in walk.fields(at, stop):
        if number == _DIMS and wire == _VARINT:
            dims.append(start)
        elif number == _DIMS and wire == _BYTES:
            place_of = start
            while place_of < end and len(dims) <= _MOST_DIMENSIONS:
                value, place_of = walk.varint(place_of, end)
                dims.append(value)
        elif number == _TYPE and wire == _VARINT:
            kind = start
        elif number == _NAME and wire == _BYTES:
            name = walk.text(start, end)
        elif (number == _RAW or number in _TYPED) and wire == _BYTES:
            place = (start, end - start)
        elif number == _LOCATION and wire == _VARINT:
            outside = start == 1
        elif number == _EXTERNAL and wire == _BYTES:
            pair = {
                inner: walk.text(begin, last)
                for inner, how, begin, last in walk.fields(start, end)
                if how == _BYTES
            }
            external[pair.get(1, "")] = pair.get(2, "")
    if len(dims) > _MOST_DIMENSIONS or any(each >= 1 << 63 for each in dims):
        raise _wrong(walk.file, f"{name} of {len(dims)} dimensions", "a shape")
    shape = tuple(dims)
    known = _KINDS.get(kind, f"ONNX_{kind}")
    if outside:
        return _outside(walk, name, known, shape, external)
    offset, length = place or (0, 0)
    _check_length(walk.file, name, known, shape, length)
    return Tensor(name, known, shape, walk.file, offset, length)


def _outside(
    walk: _Walk, name: str, kind: str, shape: tuple[int, ...], external: dict[str, str]
) -> Tensor:
    """Find a tensor that lies in a file beside the model, and nowhere else."""
    location = PurePosixPath(external.get("location", ""))
    if location.is_absolute() or ".." in location.parts or not location.parts:
        raise _wrong(walk.file, f"{name} in {str(location)!r}", "a file beside the model")
    file = walk.file.parent / location
    try:
        offset = int(external.get("offset") or 0)
        size = file.stat().st_size
        length = int(external["length"]) if external.get("length") else size - offset
    except (ValueError, OSError) as error:
        raise _wrong(
            walk.file, f"{name}: {error}", "its data in a file beside the model"
        ) from error
    if file.is_symlink() or not 0 <= offset <= offset + length <= size:
        raise _wrong(walk.file, f"{name} from {offset}, {length} bytes", f"places up to {size}")
    _check_length(walk.file, name, kind, shape, length)
    return Tensor(name, kind, shape, file, offset, length)


def _check_length(file: Path, name: str, kind: str, shape: tuple[int, ...], length: int) -> None:
    """Refuse a shape that its data cannot fill; numbers may be packed, at a byte or more each."""
    if math.prod(shape) > length * 8:
        raise _wrong(file, f"{name} of {length} bytes", f"those of its shape {shape}")


def _wrong(file: Path, found: str, wanted: str) -> DataError:
    return DataError(f"weights {file.name}", found=found, wanted=wanted)
