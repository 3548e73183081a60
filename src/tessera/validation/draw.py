"""Which items a validator is asked about: its own, and some that all validators share.

A validator that could choose its items could choose those that it has seen, and one that knew all
validators' items could copy. So they follow from a seed that nobody chose (randomness of the chain,
later than the model's version), the validator and the model; and anybody can compute them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tessera.errors import InputError
from tessera.spec.signatures import keccak
from tessera.units import BPS

__all__ = ["SHARED_BPS", "Draw"]

SHARED_BPS: Final = 2_000
"""Part of the items that all validators of a round are asked about."""

_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Draw:
    """How items are drawn.

    Attributes
    ----------
    seed
        Nobody's choice, 32 bytes.
    validator
        Address, 20 bytes.
    model
        Content root of the version, or the hash of what else it is known by; 32 bytes.
    count
        Items in all.
    shared_bps
        Part of them, rounded down, that every validator gets.
    """

    seed: bytes
    validator: bytes
    model: bytes
    count: int
    shared_bps: int = SHARED_BPS

    def of(self, eligible: Sequence[int]) -> tuple[int, ...]:
        """Draw among the places of items, each once, in ascending order.

        Raises
        ------
        InputError
            More are wanted than there are, or none, or a seed that is no hash.
        """
        if len(self.seed) != _HASH_BYTES or len(self.model) != _HASH_BYTES:
            raise InputError("seed of a draw", found=self.seed, wanted="32 bytes")
        if not 0 < self.count <= len(eligible):
            raise InputError("items to draw", found=self.count, wanted=f"1 to {len(eligible)}")
        if not 0 <= self.shared_bps <= BPS:
            raise InputError("shared items", found=self.shared_bps, wanted=f"0 to {BPS} bps")
        shared = self.count * self.shared_bps // BPS
        chosen: set[int] = set()
        for at in _order(keccak(b"tessera.draw.shared" + self.seed + self.model), len(eligible)):
            if len(chosen) == shared:
                break
            chosen.add(at)
        own = keccak(b"tessera.draw.own" + self.seed + self.validator + self.model)
        for at in _order(own, len(eligible)):
            if len(chosen) == self.count:
                break
            chosen.add(at)
        return tuple(sorted(eligible[at] for at in chosen))


def _order(key: bytes, count: int) -> Iterator[int]:
    """Yield 0 to count - 1 in an order that the key gives: Fisher and Yates, from the front.

    A 256-bit number modulo `count` is even but for a part of 2^-200.
    """
    moved: dict[int, int] = {}
    for at in range(count):
        number = int.from_bytes(keccak(key + at.to_bytes(8, "big")), "big")
        other = at + number % (count - at)
        yield moved.get(other, other)
        moved[other] = moved.get(at, at)
