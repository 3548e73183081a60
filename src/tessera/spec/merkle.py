"""`modules/merkle.vy` again in plain Python, and the trees whose proofs it checks.

Leaves are hashed twice, so that an inner node can never be shown as one. Pairs are hashed smaller
first, so a proof needs no sides. Laid out as OpenZeppelin's StandardMerkleTree does it, so their
JavaScript and Solidity check our proofs unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sha3

from tessera.errors import InputError, NotFound
from tessera.spec.signatures import Address

__all__ = ["EMPTY_ROOT", "AllowList", "MerkleTree", "leads_to", "leaf_of", "root_of"]

EMPTY_ROOT = bytes(32)
"""The root of nothing: no leaf leads to it."""


def leaf_of(encoded: bytes) -> bytes:
    """Hash an ABI-encoded leaf, twice."""
    return _keccak(_keccak(encoded))


def leads_to(leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf belongs to a root."""
    return all(len(sibling) == 32 for sibling in proof) and root_of(leaf, proof) == root


def root_of(leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """Return the root that a leaf's siblings lead to, lowest first."""
    node = leaf
    for sibling in proof:
        node = _pair(node, sibling)
    return node


class MerkleTree:
    """A tree over leaves in any order.

    Parameters
    ----------
    leaves
        32 bytes each, all different; none gives `EMPTY_ROOT`.
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        ordered = sorted(leaves)
        self._nodes = _complete_tree(ordered)
        self._count = len(ordered)

    @property
    def root(self) -> bytes:
        """The 32 bytes that go on the chain."""
        return self._nodes[0] if self._nodes else EMPTY_ROOT

    def proof(self, leaf: bytes) -> tuple[bytes, ...] | None:
        """Return the siblings from a leaf to the root, lowest first; None where it is no leaf."""
        try:
            # Leaves fill the end of the array; inner nodes are at its start.
            index = self._nodes.index(leaf, len(self._nodes) - self._count)
        except ValueError:
            return None
        return self._proof_at(index)

    def proofs(self) -> dict[bytes, tuple[bytes, ...]]:
        """Return every leaf's proof."""
        nodes, first = self._nodes, len(self._nodes) - self._count
        # From the root down: a node's proof is its sibling, and then its parent's proof.
        paths: list[tuple[bytes, ...]] = [()]
        for index in range(1, len(nodes)):
            sibling = nodes[index + 1 if index % 2 else index - 1]
            paths.append((sibling, *paths[(index - 1) // 2]))
        return dict(zip(nodes[first:], paths[first:], strict=False))

    def _proof_at(self, index: int) -> tuple[bytes, ...]:
        siblings: list[bytes] = []
        while index > 0:
            siblings.append(self._nodes[index + 1 if index % 2 else index - 1])
            index = (index - 1) // 2
        return tuple(siblings)


class AllowList:
    """Who may buy in a sale, and how much each in all.

    Parameters
    ----------
    parts
        By buyer, raw shares (an auction: base units), 1 or more.

    Raises
    ------
    InputError
        Nobody is named, or somebody with a part that is no uint256 above 0.
    """

    def __init__(self, parts: Mapping[Address, int]) -> None:
        if not parts or not all(0 < part < 1 << 256 for part in parts.values()):
            raise InputError(
                "list of buyers",
                found=f"{len(parts)} buyers",
                wanted="one or more, each with a part above 0",
            )
        self.parts = dict(parts)
        self._tree = MerkleTree(self.leaf(buyer, part) for buyer, part in self.parts.items())

    @staticmethod
    def leaf(buyer: Address, most: int) -> bytes:
        """Return the hash that stands for a buyer and its part."""
        return leaf_of(bytes(12) + buyer + most.to_bytes(32, "big"))

    @property
    def root(self) -> bytes:
        """What the sale's terms hold."""
        return self._tree.root

    def proof(self, buyer: Address) -> tuple[int, tuple[bytes, ...]]:
        """Return a buyer's part and what proves it.

        Raises
        ------
        NotFound
            The buyer is not on the list.
        """
        most = self.parts.get(buyer)
        siblings = None if most is None else self._tree.proof(self.leaf(buyer, most))
        if most is None or siblings is None:
            raise NotFound(
                "buyer",
                found=f"0x{buyer.hex()}",
                wanted=f"one of the {len(self.parts)} on the list",
            )
        return most, siblings


def _complete_tree(leaves: Sequence[bytes]) -> list[bytes]:
    """Lay out a complete binary tree in an array: children of i at 2i + 1 and 2i + 2."""
    if not leaves:
        return []
    size = 2 * len(leaves) - 1
    nodes = [b""] * size
    for number, leaf in enumerate(leaves):
        nodes[size - 1 - number] = leaf
    for index in range(size - 1 - len(leaves), -1, -1):
        nodes[index] = _pair(nodes[2 * index + 1], nodes[2 * index + 2])
    return nodes


def _pair(one: bytes, other: bytes) -> bytes:
    return _keccak(one + other if one < other else other + one)


def _keccak(data: bytes) -> bytes:
    digest: bytes = sha3.keccak_256(data).digest()
    return digest
