"""Where a word on the EVM's stack came from: the part of it that a search can act upon.

Each stack item has a shadow, ``None`` for constants. Shadows are kept small on purpose: which
places a word depends on, which exact field it is while nothing was computed from it, and the
comparisons it was made by.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BLOCK", "CALLER", "CODE", "TIME", "VALUE", "Comparison", "Field", "Origin", "merged"]

WORD = (1 << 256) - 1
_MOST_COMPARISONS = 8

# Sources that are not places: who calls, what time it is, what ether came, whether there is code.
CALLER = "caller"
TIME = "time"
VALUE = "value"
CODE = "code"
BLOCK = "block"  # who made the block, and at what price: nothing that a payout should ask for


@dataclass(frozen=True, slots=True)
class Field:
    """Some bits of one place: a slot of a contract, an argument, or a stranger's answer.

    Parameters
    ----------
    where
        Address of the contract; ``"argument"``; or the address asked, for a stranger's answer.
    key
        Slot, number of the argument, or selector.
    shift, mask
        The field is ``word >> shift & mask``.
    """

    where: str
    key: int
    shift: int = 0
    mask: int = WORD

    @property
    def place(self) -> tuple[str, int]:
        """The whole word that it is part of."""
        return (self.where, self.key)

    def put(self, word: int, value: int) -> int:
        """`word` with `value` in this field."""
        return word & ~(self.mask << self.shift) & WORD | (value & self.mask) << self.shift


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two words that were compared, with where they came from."""

    left: int
    left_origin: Origin | None
    right: int
    right_origin: Origin | None

    def sides(self) -> tuple[tuple[int, Origin | None, int], tuple[int, Origin | None, int]]:
        """``(value, origin, other value)`` seen from both sides."""
        return (
            (self.left, self.left_origin, self.right),
            (self.right, self.right_origin, self.left),
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """The shadow of one word."""

    fields: frozenset[Field] = frozenset()
    sources: frozenset[str] = frozenset()
    exact: Field | None = None
    comparisons: tuple[Comparison, ...] = ()


def merged(*origins: Origin | None) -> Origin | None:
    """What a word computed from several words depends on; exact no more."""
    present = [origin for origin in origins if origin is not None]
    if not present:
        return None
    if len(present) == 1 and present[0].exact is None:
        return present[0]
    comparisons: tuple[Comparison, ...] = ()
    for origin in present:
        comparisons += origin.comparisons
    return Origin(
        fields=frozenset().union(*(origin.fields for origin in present)),
        sources=frozenset().union(*(origin.sources for origin in present)),
        comparisons=comparisons[-_MOST_COMPARISONS:],
    )
