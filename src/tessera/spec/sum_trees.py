"""`modules/sum_trees.vy` again in plain Python, and the trees whose paths it checks.

A root stands for a list of leaves, for how many they are, and for the sum of what they count. A
sum is two counts of 128 bits in one word, each added by itself; who needs one uses the lower.
Leaves, nodes and roots are hashed with different first bytes, so none is ever shown as another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tessera.errors import InputError
from tessera.spec.signatures import keccak

__all__ = [
    "EMPTY_ROOT",
    "MAX_HEIGHT",
    "MAX_LEAVES",
    "Node",
    "SumTree",
    "adds_up",
    "leads_to",
    "leaf_of",
    "packed",
    "parent_of",
    "root_of",
]

MAX_HEIGHT: Final = 16
MAX_LEAVES: Final = 1 << MAX_HEIGHT

_LOW: Final = (1 << 128) - 1


class Node(NamedTuple):
    """A node of a tree: 32 bytes, and what it says that the leaves below it count."""

    digest: bytes
    sum: int


def packed(low: int, high: int) -> int:
    """Put two counts into the word that a node's sum is.

    Raises
    ------
    InputError
        One of them is no uint128.
    """
    if not (0 <= low <= _LOW and 0 <= high <= _LOW):
        raise InputError("sum of a tree", found=(low, high), wanted="two uint128")
    return high << 128 | low


def leaf_of(data: bytes, count: int) -> Node:
    """Return the leaf that holds something, by its hash, and counts something."""
    return Node(keccak(b"\0" + data + count.to_bytes(32, "big")), count)


def parent_of(left: Node, right: Node, stated: int | None = None) -> Node:
    """Return the node above two others, with the true sum or with the one that it states.

    Raises
    ------
    InputError
        The true sum is wanted, and a count of it does not fit into 128 bits.
    """
    if stated is None:
        stated = _added(left.sum, right.sum)
        if stated is None:
            raise InputError(
                "sum of a tree", found=f"{left.sum} + {right.sum}", wanted="two uint128"
            )
    digest = keccak(
        b"\1"
        + left.digest
        + left.sum.to_bytes(32, "big")
        + right.digest
        + right.sum.to_bytes(32, "big")
    )
    return Node(digest, stated)


def root_of(top: Node, count: int) -> bytes:
    """Return the 32 bytes that stand for a tree, from its highest node and its leaves' number."""
    return keccak(b"\2" + count.to_bytes(32, "big") + top.digest + top.sum.to_bytes(32, "big"))


EMPTY_ROOT: Final = root_of(Node(bytes(32), 0), 0)
"""The root of nothing: no leaf leads to it."""


def adds_up(left: int, right: int, stated: int) -> bool:
    """Whether a sum is that of both, in both of its counts, without wrapping."""
    return _added(left, right) == stated


def leads_to(
    node: Node, level: int, index: int, count: int, path: Sequence[Node], root: bytes
) -> bool:
    """Whether this is that node of the tree with this root, all sums above it being true.

    Parameters
    ----------
    node
        A leaf, or what a higher node is said to be.
    level
        0 for a leaf.
    index
        Its place in its level, from 0.
    count
        How many leaves the tree has.
    path
        Its siblings, lowest first; none where it has none.
    root
        What stands for the tree.
    """
    if not 0 < count <= MAX_LEAVES or level > MAX_HEIGHT:
        return False
    width = ((count - 1) >> level) + 1
    if index >= width:
        return False
    siblings = iter(path)
    while width > 1:
        if index ^ 1 < width:
            sibling = next(siblings, None)
            total = None if sibling is None else _added(node.sum, sibling.sum)
            if sibling is None or total is None:
                return False
            pair = (node, sibling) if index % 2 == 0 else (sibling, node)
            node = parent_of(*pair, total)
        index //= 2
        width = (width + 1) // 2
    return next(siblings, None) is None and root_of(node, count) == root


class SumTree:
    """A tree over leaves in their order.

    Parameters
    ----------
    leaves
        Up to 65,536; none gives `EMPTY_ROOT`.

    Raises
    ------
    InputError
        Too many leaves, or a count of their sum does not fit into 128 bits.
    """

    def __init__(self, leaves: Iterable[Node]) -> None:
        self.levels = [list(leaves)]
        if len(self.levels[0]) > MAX_LEAVES:
            raise InputError(
                "leaves of a tree", found=len(self.levels[0]), wanted=f"at most {MAX_LEAVES}"
            )
        while len(self.levels[-1]) > 1:
            level = self.levels[-1]
            above = [parent_of(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            self.levels.append(above + level[len(above) * 2 :])

    @property
    def count(self) -> int:
        """How many leaves it has."""
        return len(self.levels[0])

    @property
    def top(self) -> Node:
        """The one node of the highest level; nothing, where there are no leaves."""
        return self.levels[-1][0] if self.count else Node(bytes(32), 0)

    @property
    def root(self) -> bytes:
        """The 32 bytes that go on the chain."""
        return root_of(self.top, self.count)

    @property
    def sum(self) -> int:
        """What all leaves count together."""
        return self.top.sum

    def path(self, index: int, level: int = 0) -> tuple[Node, ...]:
        """Return the siblings that lead from a node to the root, lowest first.

        Raises
        ------
        InputError
            There is no such node.
        """
        if not (0 <= level < len(self.levels) and 0 <= index < len(self.levels[level])):
            raise InputError("node of a tree", found=(level, index), wanted="a level and a place")
        siblings = []
        for nodes in self.levels[level:-1]:
            if index ^ 1 < len(nodes):
                siblings.append(nodes[index ^ 1])
            index //= 2
        return tuple(siblings)


def _added(left: int, right: int) -> int | None:
    low = (left & _LOW) + (right & _LOW)
    high = (left >> 128) + (right >> 128)
    return high << 128 | low if low <= _LOW and high <= _LOW else None
