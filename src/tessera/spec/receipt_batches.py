"""`modules/receipts.vy` again: one signature for many receipts, and the proof that each brings.

The leaves of a batch's tree are the digests of its receipts as they are: a digest is the hash of 66
bytes and a node that of 64, so neither can be shown as the other. The layout is that of
`spec.merkle`. A receipt alone is signed itself, without a tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tessera.errors import InputError
from tessera.spec.merkle import MerkleTree, root_of
from tessera.spec.signatures import Domain, keccak, typed_digest
from tessera.spec.vouchers import Receipt, receipt_digest

__all__ = ["MAX_BATCH", "MAX_PROOF", "ReceiptBatch", "batch_digest", "signed_digest"]

MAX_PROOF: Final = 16
MAX_BATCH: Final = 1 << MAX_PROOF
"""Receipts that one signature can be for: their proofs have at most sixteen nodes."""

_BATCH_TYPEHASH: Final = keccak(b"ReceiptBatch(bytes32 root)")


def batch_digest(domain: Domain, root: bytes) -> bytes:
    """Return what the operator signs over the root of a tree of receipts."""
    return typed_digest(domain, keccak(_BATCH_TYPEHASH + root))


def signed_digest(domain: Domain, receipt: Receipt, proof: Sequence[bytes]) -> bytes:
    """Return what the operator signed for a receipt: its digest or, with a proof, a root.

    Raises
    ------
    InputError
        The proof is longer than the contract takes, or has nodes that are not 32 bytes.
    """
    digest = receipt_digest(domain, receipt)
    if not proof:
        return digest
    if len(proof) > MAX_PROOF or any(len(node) != len(digest) for node in proof):
        raise InputError(
            "proof of a receipt",
            found=f"{len(proof)} nodes of {sorted({len(node) for node in proof})} bytes",
            wanted=f"{MAX_PROOF} or fewer of 32",
        )
    return batch_digest(domain, root_of(digest, proof))


class ReceiptBatch:
    """Receipts that one signature is for.

    Parameters
    ----------
    domain
        Chain and Channels contract.
    digests
        Of the receipts, 1 to 65,536; the same one twice is one.

    Attributes
    ----------
    root
        Of their tree; of one alone its digest.
    to_sign
        What the operator signs for all of them.
    """

    def __init__(self, domain: Domain, digests: Iterable[bytes]) -> None:
        leaves = set(digests)
        if not 1 <= len(leaves) <= MAX_BATCH:
            raise InputError(
                "batch of receipts", found=len(leaves), wanted=f"1 to {MAX_BATCH} receipts"
            )
        self._proofs: dict[bytes, tuple[bytes, ...]]
        if len(leaves) == 1:
            (only,) = leaves
            self._proofs, self.root, self.to_sign = {only: ()}, only, only
        else:
            tree = MerkleTree(leaves)
            self._proofs, self.root = tree.proofs(), tree.root
            self.to_sign = batch_digest(domain, self.root)

    def proof(self, digest: bytes) -> tuple[bytes, ...]:
        """Return what leads from a receipt's digest to the root; empty where it is alone."""
        return self._proofs[digest]
