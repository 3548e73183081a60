"""A sum tree of which only some nodes are known: its top from the chain, the rest as it is shown.

Nothing is taken on trust: children are known once they hash to a node that is known. So what a
poster serves, what its answers show, and what one computed oneself can be offered in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tessera.errors import NotFound
from tessera.spec.sum_trees import Node, SumTree, adds_up, parent_of

__all__ = ["Difference", "KnownTree"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a tree is not what was expected.

    Attributes
    ----------
    level, index
        The node that is false, or of which the children must be known; a leaf's level is 0.
    lies
        Its children are known, and do not add up to what it states.
    """

    level: int
    index: int
    lies: bool


class KnownTree:
    """What is known of a tree.

    Parameters
    ----------
    top
        Its highest node.
    count
        How many leaves it has, 1 or more.
    """

    def __init__(self, top: Node, count: int) -> None:
        self.count = count
        self.widths = [count]
        while self.widths[-1] > 1:
            self.widths.append((self.widths[-1] + 1) // 2)
        self._nodes = {(len(self.widths) - 1, 0): top}

    def node(self, level: int, index: int) -> Node | None:
        """Return a node, None where it is not known."""
        return self._nodes.get((level, index))

    def path(self, index: int, level: int = 0) -> tuple[Node, ...]:
        """Return the siblings that lead from a node to the root, lowest first.

        Raises
        ------
        NotFound
            One of them is not known.
        """
        siblings = []
        for height in range(level, len(self.widths) - 1):
            if index ^ 1 < self.widths[height]:
                sibling = self.node(height, index ^ 1)
                if sibling is None:
                    raise NotFound(
                        "node of a tree",
                        found=f"nothing at level {height}, place {index ^ 1}",
                        wanted="a part below it, with its path",
                        next_step="ask for one",
                    )
                siblings.append(sibling)
            index //= 2
        return tuple(siblings)

    def offer(self, levels: Sequence[Sequence[Node]]) -> None:
        """Take over, from the top down, what hashes to what is known."""
        if [len(level) for level in levels] != self.widths:
            return
        waiting = [(len(self.widths) - 1, 0)]
        while waiting:
            level, index = waiting.pop()
            below = levels[level - 1][2 * index : 2 * index + 2] if level else ()
            # Under children that another offer made known, this one's may be the right ones.
            if below and (self._joined(level, index, below) or self.node(level - 1, 2 * index)):
                waiting += [(level - 1, 2 * index + side) for side in range(len(below))]

    def learn(self, index: int, leaf: Node, path: Sequence[Node]) -> None:
        """Take over a leaf and its path, as an answer showed them; what is not so is left out."""
        siblings = iter(path)
        climbed, pairs = leaf, []
        for height in range(len(self.widths) - 1):
            pair: tuple[Node, ...] = (climbed,)
            if index ^ 1 < self.widths[height]:
                sibling = next(siblings, None)
                if sibling is None:
                    return
                pair = (climbed, sibling) if index % 2 == 0 else (sibling, climbed)
                # What an answer shows adds up, or the court had not taken it.
                climbed = parent_of(*pair)
            index //= 2
            pairs.append((height + 1, index, pair))
        for level, place, pair in reversed(pairs):
            self._joined(level, place, pair)

    def difference(self, expected: SumTree) -> Difference | None:
        """Look for the leftmost part that is not as expected; None: all is.

        Parameters
        ----------
        expected
            Of as many leaves.
        """
        if self.node(len(self.widths) - 1, 0) == expected.top:
            return None

        def leftmost(level: int, index: int) -> int:
            return int(self.node(level, index) == expected.levels[level][index])

        return self._down(leftmost)

    def towards(self, leaf: int) -> Difference:
        """Look at what is above a leaf: a node that lies, or is not known; else the leaf itself."""
        return self._down(lambda level, _: leaf >> level & 1)

    def _down(self, side: Callable[[int, int], int]) -> Difference:
        """Go down; `side` is told where a left child is, and says which one to go on with."""
        level, index = len(self.widths) - 1, 0
        while level:
            places = range(2 * index, min(2 * index + 2, self.widths[level - 1]))
            below = [self.node(level - 1, place) for place in places]
            node = self.node(level, index)
            known = [child for child in below if child is not None]
            if node is None or len(known) < len(below):
                return Difference(level, index, lies=False)
            if len(known) == 2 and not adds_up(known[0].sum, known[1].sum, node.sum):
                return Difference(level, index, lies=True)
            level, index = level - 1, 2 * index
            if len(known) == 2:
                index += side(level, index)
        return Difference(0, index, lies=False)

    def _joined(self, level: int, index: int, below: Sequence[Node]) -> bool:
        """Know a node's children, if it has these."""
        node = self.node(level, index)
        if node is None or len(below) not in {1, 2}:
            return False
        if len(below) == 1:
            fits = below[0] == node
        else:
            fits = parent_of(below[0], below[1], node.sum).digest == node.digest
        if fits:
            for side, child in enumerate(below):
                self._nodes[level - 1, 2 * index + side] = child
        return fits
