"""The example of `docs/spec/scores.md`, by its own words and by the twin."""

from __future__ import annotations

import re

from eth_utils import keccak
from rig.compiling import REPOSITORY

from tessera.spec.scores import Row, Times, commitment_of
from tessera.spec.signatures import Address

PAGE = (REPOSITORY / "docs" / "spec" / "scores.md").read_text(encoding="utf-8")


def _told(what: str) -> str:
    found = re.search(rf"^\| {re.escape(what)}[^|]*\| `(?:0x)?([0-9a-f]+)`", PAGE, re.MULTILINE)
    assert found is not None, what
    return found[1]


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_the_example_is_what_the_twin_says() -> None:
    row = Row({0: 65_535, 2: 100, 70: 7}, 71)
    for leaf in range(2):
        assert row.leaves[leaf][1:] == (0, 0, 0)
        assert f"{row.leaves[leaf][0]:x}" == _told(f"leaf {leaf}, first word")
        assert row.tree.levels[0][leaf].digest.hex() == _told(f"digest of leaf {leaf}")
    assert (row.root.hex(), row.sum) == (_told("root"), 65_642)
    validator, scores = Address(b"\x11" * 20), Address(b"\x22" * 20)
    said = commitment_of(row, b"\1" * 32, validator, 3, 5, 31_337, scores)
    assert said.hex() == _told("commitment")


def test_the_example_follows_from_the_page_alone() -> None:
    """As somebody writes it in another language, from the tables."""
    first = [65_535 | 100 << 32, 0, 0, 0]
    second = [7 << 96, 0, 0, 0]
    leaves = [
        keccak(b"\0" + keccak(b"".join(map(_word, words))) + _word(total))
        for words, total in ((first, 65_635), (second, 7))
    ]
    top = keccak(b"\1" + leaves[0] + _word(65_635) + leaves[1] + _word(7))
    root = keccak(b"\2" + _word(2) + top + _word(65_642))
    assert root.hex() == _told("root")
    parts = (root, _word(65_642), b"\1" * 32, bytes(12) + b"\x11" * 20, _word(3), _word(5))
    said = keccak(b"".join(parts) + _word(31_337) + bytes(12) + b"\x22" * 20)
    assert said.hex() == _told("commitment")


def test_the_clock_of_the_page() -> None:
    assert Times.of(1_000, 4_003) == (1_000, 3_000, 4_000, 5_000, 6_000)
