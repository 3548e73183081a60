"""One way to write a JSON value, and roots over lists of them.

Keys in the order of their characters, no spaces, ASCII with the rest escaped, floats by the fewest
digits that read back as the same float. NaN and the infinities have no such form. Hashes are
Keccak-256, and a list's tree is that of a pool of public items (`tessera.spec.court`): the root of
a benchmark's items is the one that a round of approvals is about, and a contract can check each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tessera.spec.court import pool_leaf
from tessera.spec.places import NumberedTree, leads_to
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
    return NumberedTree(_leaves(digests)).root if digests else bytes(32)


def list_proof(digests: Sequence[bytes], at: int) -> list[bytes]:
    """Return what proves that the hash at a place belongs to the root, siblings lowest first.

    Raises
    ------
    InputError
        The list has no such place.
    """
    return NumberedTree(_leaves(digests)).proof(at)


def in_list(root: bytes, at: int, count: int, one: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a hash is at a place of the list of so many with this root."""
    return leads_to(pool_leaf(at, one), at, count, proof, root)


def _leaves(digests: Sequence[bytes]) -> list[bytes]:
    return [pool_leaf(at, one) for at, one in enumerate(digests)]
