"""One signature for all receipts that reach the disk together, and what each of them shows of it.

A receipt that is alone in its batch is signed itself, so a gateway with little to do issues what a
contract takes without a proof.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessera.errors import InvariantViolation
from tessera.payments.ports import TypedSigner
from tessera.spec.receipt_batches import MAX_BATCH, ReceiptBatch
from tessera.spec.signatures import SIGNATURE_BYTES, Domain
from tessera.storage.batches import Seal

__all__ = ["ReceiptSealer", "proved", "vouched"]


class ReceiptSealer:
    """Signs what a batch of the log has of receipts.

    Parameters
    ----------
    domain
        Chain and Channels contract.
    signer
        The operator's key.
    """

    def __init__(self, domain: Domain, signer: TypedSigner) -> None:
        self._domain = domain
        self._signer = signer

    def __call__(self, leaves: Sequence[bytes]) -> Seal:
        """Sign digests of receipts, at least one; the same one may be there twice."""
        sign = self._signer.sign
        if not 1 < len(set(leaves)) <= MAX_BATCH:
            return Seal(None, b"".join(sign(leaf) for leaf in leaves))
        batch = ReceiptBatch(self._domain, leaves)
        return Seal(batch.root, sign(batch.to_sign), [batch.proof(leaf) for leaf in leaves])


def proved(domain: Domain, seal: Seal, leaves: Sequence[bytes]) -> Seal:
    """Make the proofs of a batch again that was kept with its root.

    Raises
    ------
    InvariantViolation
        The leaves are not those that were signed.
    """
    batch = ReceiptBatch(domain, leaves)
    if batch.root != seal.root:
        raise InvariantViolation(
            "books: a batch of receipts",
            found=f"the root 0x{batch.root.hex()}",
            wanted="the one that was signed",
        )
    return seal._replace(proofs=[batch.proof(leaf) for leaf in leaves])


def vouched(seal: Seal | None, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the signature that is good for one receipt of a batch, and its proof."""
    if seal is None:
        raise InvariantViolation("a receipt was written in a batch without signatures")
    if seal.root is not None:
        return seal.signature, seal.proofs[index]
    return seal.signature[index * SIGNATURE_BYTES : (index + 1) * SIGNATURE_BYTES], ()
