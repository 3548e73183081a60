"""Merkle trees in the shape of RFC 6962: the left subtree is the largest full one.

The shape depends on the number of leaves alone, nothing is duplicated or padded, and a tree can be
built from a stream with one hash per level in memory. What a leaf and an inner node *are* is left
to the caller, who must hash them under different domains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Join = Callable[[bytes, bytes], bytes]
"""Hash of an inner node from its left and right child."""


class TreeHasher:
    """Root of a tree whose leaves arrive one at a time.

    Parameters
    ----------
    join
        Hash of an inner node. It must never equal the hash of a leaf for any input.

    Notes
    -----
    Keeps one hash per set bit of the leaf count: 20 for a million leaves.
    """

    __slots__ = ("_count", "_join", "_peaks")

    def __init__(self, join: Join) -> None:
        self._join = join
        self._peaks: list[bytes] = []
        self._count = 0

    @property
    def count(self) -> int:
        """Leaves seen so far."""
        return self._count

    def push(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        node = leaf
        trailing = self._count
        while trailing & 1:
            node = self._join(self._peaks.pop(), node)
            trailing >>= 1
        self._peaks.append(node)
        self._count += 1

    def root(self) -> bytes:
        """Hash over all leaves seen so far; more may follow.

        Raises
        ------
        ValueError
            No leaf was pushed: what an empty tree means is the caller's to say.
        """
        if not self._peaks:
            raise ValueError("a tree without leaves has no root")
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = self._join(peak, node)
        return node


def root_of(leaves: Sequence[bytes], join: Join) -> bytes:
    """Root over a non-empty sequence of leaf hashes."""
    hasher = TreeHasher(join)
    for leaf in leaves:
        hasher.push(leaf)
    return hasher.root()


def path_of(leaves: Sequence[bytes], index: int, join: Join) -> tuple[bytes, ...]:
    """Siblings of the leaf at `index`, lowest first.

    Raises
    ------
    IndexError
        `index` is not that of a leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    siblings: list[bytes] = []
    start, stop = 0, len(leaves)
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            siblings.append(root_of(leaves[middle:stop], join))
            stop = middle
        else:
            siblings.append(root_of(leaves[start:middle], join))
            start = middle
    return tuple(reversed(siblings))


def root_from_path(
    leaf: bytes, index: int, count: int, path: Sequence[bytes], join: Join
) -> bytes | None:
    """Root that a leaf and its siblings lead to.

    Parameters
    ----------
    leaf
        Hash of the leaf.
    index, count
        Place of the leaf, and number of leaves; together they fix the path's length and sides.
    path
        Siblings, lowest first.

    Returns
    -------
    bytes or None
        None when no tree of `count` leaves has a path of this length at `index`.
    """
    if not 0 <= index < count:
        return None
    sides: list[bool] = []
    start, stop = 0, count
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            sides.append(True)
            stop = middle
        else:
            sides.append(False)
            start = middle
    if len(sides) != len(path):
        return None
    node = leaf
    for sibling, leaf_is_left in zip(path, reversed(sides), strict=True):
        node = join(node, sibling) if leaf_is_left else join(sibling, node)
    return node


def _split(count: int) -> int:
    """Size of the left subtree: the largest power of two below `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)
