"""One way to write a JSON value, and roots over lists of them.

Keys in the order of their characters, no spaces, ASCII with the rest escaped, floats by the fewest
digits that read back as the same float. NaN and the infinities have no such form. Hashes are
Keccak-256, and a list's tree is the one of `tessera.spec.merkle`: a contract can check that an item
or an output is in it, with its place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tessera.spec.merkle import MerkleTree, leads_to, leaf_of
from tessera.spec.signatures import keccak

__all__ = ["canonical", "digest", "in_list", "list_proof", "list_root"]


def canonical(value: Any) -> bytes:
    """Write a JSON value in its only form.

    Raises
    ------
    ValueError
        It holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest(value: Any) -> bytes:
    """Return the hash of a JSON value, 32 bytes."""
    return keccak(canonical(value))


def list_root(digests: Sequence[bytes]) -> bytes:
    """Return the root over hashes and their places; zeros where there are none."""
    return MerkleTree(_leaves(digests)).root


def list_proof(digests: Sequence[bytes], at: int) -> tuple[bytes, ...]:
    """Return what proves that the hash at a place belongs to the root, siblings lowest first.

    Raises
    ------
    IndexError
        The list has no such place.
    """
    leaves = _leaves(digests)
    proof = MerkleTree(leaves).proof(leaves[at])
    assert proof is not None
    return proof


def in_list(root: bytes, at: int, one: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a hash is at a place of the list with this root."""
    return leads_to(_leaf(at, one), proof, root)


def _leaves(digests: Sequence[bytes]) -> list[bytes]:
    return [_leaf(at, one) for at, one in enumerate(digests)]


def _leaf(at: int, one: bytes) -> bytes:
    # As Solidity's abi.encode(uint256, bytes32) has it. The place makes equal items two leaves.
    return leaf_of(at.to_bytes(32, "big") + one)
