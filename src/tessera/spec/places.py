"""`modules/places.vy` again in plain Python: trees of numbered leaves, and who gets which item.

A proof has exactly the length that the number of leaves asks for. Leaves are hashed over 96 bytes
or more and nodes over 64, so neither can be shown as the other. The shuffle swaps or keeps, 32
times over, so each place of a permutation can be computed alone (Hoang, Morris and Rogaway, 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tessera.errors import InputError
from tessera.spec.signatures import keccak

__all__ = ["NO_LEAF", "NumberedTree", "leads_to", "shuffled", "word"]

NO_LEAF: Final = bytes(32)
"""What fills a tree up to a power of two."""

_ROUNDS: Final = 32


def word(number: int) -> bytes:
    """Encode a number as the EVM does."""
    return number.to_bytes(32, "big")


class NumberedTree:
    """A tree over leaves that are known by their numbers.

    Parameters
    ----------
    leaves
        32 bytes each, one or more, in order.

    Raises
    ------
    InputError
        There is no leaf.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise InputError("tree", found="no leaves", wanted="one or more")
        self.count = len(leaves)
        depth = (self.count - 1).bit_length()
        level = [*leaves, *[NO_LEAF] * ((1 << depth) - self.count)]
        self._levels = [level]
        while len(level) > 1:
            level = [keccak(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The 32 bytes that go on the chain."""
        return self._levels[-1][0]

    def proof(self, index: int) -> list[bytes]:
        """Return the siblings from a leaf to the root, lowest first.

        Raises
        ------
        InputError
            There is no leaf of that number.
        """
        if not 0 <= index < self.count:
            raise InputError("leaf", found=index, wanted=f"0 to {self.count - 1}")
        return [level[(index >> up) ^ 1] for up, level in enumerate(self._levels[:-1])]


def leads_to(leaf: bytes, index: int, count: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf is number `index` of the `count` leaves under a root."""
    if not 0 <= index < count or len(proof) != (count - 1).bit_length():
        return False
    node = leaf
    for up, sibling in enumerate(proof):
        node = keccak(sibling + node if index >> up & 1 else node + sibling)
    return node == root


def shuffled(index: int, count: int, seed: bytes) -> int:
    """Compute where `index` of `count` comes to lie, for a seed of 32 bytes."""
    at = index
    for step in range(_ROUNDS):
        pivot = int.from_bytes(keccak(seed + word(step)), "big") % count
        other = (pivot + count - at) % count
        if keccak(seed + word(step) + word(max(at, other)))[-1] & 1:
            at = other
    return at
