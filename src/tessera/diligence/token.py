"""What a token says of itself: name, symbol, decimals. All of it is whatever its maker chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tessera.diligence.subject import Subject
from tessera.facts import Facts

__all__ = ["DECIMALS", "NAME", "SYMBOL", "TOTAL_SUPPLY", "Token", "read_token"]

NAME: Final = bytes.fromhex("06fdde03")
SYMBOL: Final = bytes.fromhex("95d89b41")
DECIMALS: Final = bytes.fromhex("313ce567")
TOTAL_SUPPLY: Final = bytes.fromhex("18160ddd")
"""Calls without arguments that every ERC-20 answers, or should."""

_WORD: Final = 32
_MOST_TEXT: Final = 1_024
_MOST_DECIMALS: Final = 77


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it calls itself.

    Attributes
    ----------
    address
        Lower case.
    name, symbol
        Raw, a stranger's; "" where nobody asked or it answered nothing readable.
    decimals
        None where it is not known, and then no amount can be written in whole tokens.
    """

    address: str
    name: str
    symbol: str
    decimals: int | None


def read_token(facts: Facts, subject: Subject) -> Token:
    """What is observed of a token, unless the analyst said otherwise."""
    address = subject.token
    decimals = subject.decimals
    if decimals is None:
        decimals = _number(_answer(facts, address, DECIMALS))
    return Token(
        address,
        subject.name or _text(_answer(facts, address, NAME)),
        _text(_answer(facts, address, SYMBOL)),
        decimals,
    )


def _answer(facts: Facts, address: str, call: bytes) -> bytes:
    reads = [read for read in facts.reads(address, call) if read.ok]
    return reads[-1].answer if reads else b""


def _number(answer: bytes) -> int | None:
    if len(answer) != _WORD:
        return None
    found = int.from_bytes(answer, "big")
    return found if found <= _MOST_DECIMALS else None


def _text(answer: bytes) -> str:
    """Read a `string`, or the `bytes32` of tokens from before the standard."""
    if len(answer) == _WORD:
        return _decoded(answer.rstrip(b"\0"))
    if len(answer) < 2 * _WORD:
        return ""
    start = int.from_bytes(answer[:_WORD], "big")
    if start + _WORD > len(answer):
        return ""
    length = int.from_bytes(answer[start : start + _WORD], "big")
    first = start + _WORD
    return _decoded(answer[first : first + min(length, _MOST_TEXT)])


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", errors="backslashreplace")
