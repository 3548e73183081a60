"""Which items a validator is asked about: its own, and some that all validators share.

A validator that could choose its items could choose those that it has seen, and one that knew all
validators' items could copy. So they follow from a seed that nobody chose (drawn later than the
model's version), the round and the validator; and anybody, a contract too, can compute them again:
with 200 items, of which 40 are shared, they are those of `tessera.spec.court.assigned_items`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tessera.errors import InputError
from tessera.spec.places import shuffled
from tessera.spec.signatures import keccak
from tessera.units import BPS

__all__ = ["SHARED_BPS", "Draw"]

SHARED_BPS: Final = 2_000
"""Part of the items that all validators of a round are asked about."""

_HASH_BYTES: Final = 32
_ADDRESS_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Draw:
    """How items are drawn.

    Attributes
    ----------
    seed
        Nobody's choice, 32 bytes.
    round
        What is measured: the id of a round of approvals; else the content root of the model's
        version, or the hash of what else it is known by. 32 bytes.
    validator
        Address, 20 bytes.
    count
        Items in all.
    shared_bps
        Part of them, rounded down, that every validator of the round gets.
    """

    seed: bytes
    round: bytes
    validator: bytes
    count: int
    shared_bps: int = SHARED_BPS

    @property
    def shared(self) -> int:
        """How many of the items every validator gets; they have the first places."""
        return self.count * self.shared_bps // BPS

    def by_place(self, eligible: Sequence[int]) -> tuple[int, ...]:
        """Draw among the numbers of items, each once, in the order of the validator's places.

        Raises
        ------
        InputError
            More are wanted than there are, or none, or a seed that is no hash.
        """
        lengths = len(self.seed), len(self.round), len(self.validator)
        if lengths != (_HASH_BYTES, _HASH_BYTES, _ADDRESS_BYTES):
            raise InputError(
                "draw", found=f"{lengths} bytes", wanted="32 of seed and round, 20 of validator"
            )
        total = len(eligible)
        if not 0 < self.count <= total:
            raise InputError("items to draw", found=self.count, wanted=f"1 to {total}")
        if not 0 <= self.shared_bps <= BPS:
            raise InputError("shared items", found=self.shared_bps, wanted=f"0 to {BPS} bps")
        common = keccak(self.seed + self.round)
        own = keccak(self.seed + self.round + bytes(12) + self.validator)
        shared = self.shared
        places = [
            place if place < shared else shared + shuffled(place - shared, total - shared, own)
            for place in range(self.count)
        ]
        return tuple(eligible[shuffled(place, total, common)] for place in places)

    def of(self, eligible: Sequence[int]) -> tuple[int, ...]:
        """Draw as `by_place`, in ascending order."""
        return tuple(sorted(self.by_place(eligible)))
