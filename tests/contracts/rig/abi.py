"""ABI words, fast: most of what a long test does is to write and read them.

What is not plain goes to eth_abi, whose word is the last: a value of another type or out of range,
bytes that no contract of ours would return. `test_abi_is_eth_abis` holds both against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import eth_abi

_ARRAY = re.compile(r"(?P<of>.*)\[(?P<size>[0-9]*)\]")
_NUMBER = re.compile(r"(?P<sign>u?)int(?P<bits>[0-9]+)")
_BYTES = re.compile(r"bytes(?P<size>[0-9]+)")
_WORD = 32
_ZEROS = bytes(_WORD)


class _Odd(Exception):
    """Something for eth_abi."""


class _Coder(NamedTuple):
    """How one type is written and read: its bytes in the head, and whether they only point."""

    size: int
    points: bool
    write: Callable[[Any], bytes]
    read: Callable[[bytes, int], Any]


def encode(types: Sequence[str], values: Sequence[object]) -> bytes:
    """Write values one after another, as `eth_abi.encode` does."""
    try:
        return _all(tuple(types)).write(values)
    except (_Odd, ValueError, OverflowError):
        return eth_abi.encode(types, values)


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Read values that stand one after another, as `eth_abi.decode` does."""
    try:
        found: tuple[Any, ...] = _all(tuple(types)).read(data, 0)
    except (_Odd, ValueError):
        return eth_abi.decode(types, data)
    return found


@cache
def _all(types: tuple[str, ...]) -> _Coder:
    return _row([_coder(kind) for kind in types])


@cache
def _coder(kind: str) -> _Coder:
    if array := _ARRAY.fullmatch(kind):
        of = _coder(array["of"])
        return _row([of] * int(array["size"])) if array["size"] else _list(of)
    if kind.startswith("("):
        return _row([_coder(part) for part in _parts(kind)])
    if number := _NUMBER.fullmatch(kind):
        bits = int(number["bits"])
        return _unsigned(1 << bits) if number["sign"] else _signed(1 << bits - 1)
    if size := _BYTES.fullmatch(kind):
        return _fixed(int(size["size"]))
    return _OTHERS[kind]


def _parts(kind: str) -> list[str]:
    found, deep = [""], 0
    for letter in kind[1:-1]:
        deep += (letter == "(") - (letter == ")")
        if letter == "," and not deep:
            found.append("")
        else:
            found[-1] += letter
    return [part for part in found if part]


def _unsigned(end: int) -> _Coder:
    def write(value: Any) -> bytes:
        if type(value) is not int or not 0 <= value < end:
            raise _Odd
        return value.to_bytes(_WORD, "big")

    def read(data: bytes, at: int) -> int:
        value = int.from_bytes(data[at : at + _WORD], "big")
        if value >= end:
            raise _Odd
        return value

    return _Coder(_WORD, False, write, read)


def _signed(end: int) -> _Coder:
    def write(value: Any) -> bytes:
        if type(value) is not int or not -end <= value < end:
            raise _Odd
        return value.to_bytes(_WORD, "big", signed=True)

    def read(data: bytes, at: int) -> int:
        value = int.from_bytes(data[at : at + _WORD], "big", signed=True)
        if not -end <= value < end:
            raise _Odd
        return value

    return _Coder(_WORD, False, write, read)


def _fixed(size: int) -> _Coder:
    rest = _WORD - size

    def write(value: Any) -> bytes:
        if type(value) is not bytes or len(value) > size:
            raise _Odd
        return value.ljust(_WORD, b"\0")

    def read(data: bytes, at: int) -> bytes:
        if rest and data[at + size : at + _WORD] != _ZEROS[:rest]:
            raise _Odd
        return data[at : at + size]

    return _Coder(_WORD, False, write, read)


def _write_address(value: Any) -> bytes:
    if type(value) is not str or len(value) != 42 or value[:2] != "0x":
        raise _Odd
    return _ZEROS[:12] + bytes.fromhex(value[2:])


def _read_address(data: bytes, at: int) -> str:
    if data[at : at + 12] != _ZEROS[:12]:
        raise _Odd
    return f"0x{data[at + 12 : at + _WORD].hex()}"


def _write_bool(value: Any) -> bytes:
    if type(value) is not bool:
        raise _Odd
    return value.to_bytes(_WORD, "big")


def _read_bool(data: bytes, at: int) -> bool:
    value = int.from_bytes(data[at : at + _WORD], "big")
    if value > 1:
        raise _Odd
    return value == 1


def _write_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise _Odd
    return len(value).to_bytes(_WORD, "big") + value + _ZEROS[: -len(value) % _WORD]


def _read_bytes(data: bytes, at: int) -> bytes:
    begin = at + _WORD
    if begin > len(data):
        raise _Odd
    end = begin + int.from_bytes(data[at:begin], "big")
    padded = end + (begin - end) % _WORD
    if padded > len(data) or any(data[end:padded]):
        raise _Odd
    return data[begin:end]


def _write_text(value: Any) -> bytes:
    if type(value) is not str:
        raise _Odd
    return _write_bytes(value.encode())


def _read_text(data: bytes, at: int) -> str:
    return _read_bytes(data, at).decode()


_OTHERS = {
    "address": _Coder(_WORD, False, _write_address, _read_address),
    "bool": _Coder(_WORD, False, _write_bool, _read_bool),
    "bytes": _Coder(_WORD, True, _write_bytes, _read_bytes),
    "string": _Coder(_WORD, True, _write_text, _read_text),
}


def _row(parts: list[_Coder]) -> _Coder:
    """Code a tuple, an array of known length, or a call's arguments."""
    size = sum(part.size for part in parts)
    points = any(part.points for part in parts)

    def write(values: Any) -> bytes:
        if type(values) not in (list, tuple) or len(values) != len(parts):
            raise _Odd
        return _written(parts, values, size, points)

    def read(data: bytes, at: int) -> tuple[Any, ...]:
        if at + size > len(data):
            raise _Odd
        return _found(parts, data, at)

    return _Coder(_WORD if points else size, points, write, read)


def _list(of: _Coder) -> _Coder:
    """Code an array of any length."""

    def write(values: Any) -> bytes:
        if type(values) not in (list, tuple):
            raise _Odd
        count = len(values)
        body = _written([of] * count, values, count * of.size, of.points)
        return count.to_bytes(_WORD, "big") + body

    def read(data: bytes, at: int) -> tuple[Any, ...]:
        begin = at + _WORD
        if begin > len(data):
            raise _Odd
        count = int.from_bytes(data[at:begin], "big")
        if not of.size or begin + count * of.size > len(data):
            raise _Odd
        return _found([of] * count, data, begin)

    return _Coder(_WORD, True, write, read)


def _written(parts: list[_Coder], values: Sequence[Any], size: int, points: bool) -> bytes:
    if not points:
        return b"".join([part.write(value) for part, value in zip(parts, values, strict=True)])
    heads, tails, end = [], [], size
    for part, value in zip(parts, values, strict=True):
        written = part.write(value)
        if part.points:
            heads.append(end.to_bytes(_WORD, "big"))
            tails.append(written)
            end += len(written)
        else:
            heads.append(written)
    return b"".join(heads + tails)


def _found(parts: list[_Coder], data: bytes, begin: int) -> tuple[Any, ...]:
    found, at = [], begin
    heads = sum(part.size for part in parts)
    for part in parts:
        if part.points:
            offset = int.from_bytes(data[at : at + _WORD], "big")
            if offset < heads:
                raise _Odd
            found.append(part.read(data, begin + offset))
        else:
            found.append(part.read(data, at))
        at += part.size
    return tuple(found)
