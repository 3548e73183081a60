"""An operator signs many receipts by one signature; somebody tries to have it say what it does not.

The root of a tree of receipts is signed, and each receipt is shown with the nodes that lead to it.
Trees have been turned against who built them: a node shown as a leaf (the second preimage that
RFC 6962 guards against by a prefix), a leaf with the proof of another, a short or a long proof, a
tree of one, and a signature of one kind taken for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import pytest
from rig.contract import refused
from rig.market import DEPOSIT, Market
from rig.people import Person
from rig.signing import compact, domain_of, receipt_for, sign_receipt, sign_root

from tessera.spec.merkle import MerkleTree
from tessera.spec.receipt_batches import MAX_PROOF, ReceiptBatch
from tessera.spec.signatures import Domain, address_of, keccak
from tessera.spec.vouchers import Receipt, receipt_digest

MAXIMUM = 10_000
Signature = tuple[int, int, int]


@dataclass
class Desk:
    """Receipts of one channel: `receipts[i]` charged up to `100 * (i + 1)`."""

    market: Market
    receipts: list[Receipt]

    @property
    def domain(self) -> Domain:
        where = domain_of(self.market.channels)
        return Domain(where["chainId"], address_of(where["verifyingContract"]))

    @property
    def digests(self) -> list[bytes]:
        return [receipt_digest(self.domain, receipt) for receipt in self.receipts]

    def sign(self, root: bytes, by: Person | None = None) -> Signature:
        return sign_root(by or self.market.operator, domain_of(self.market.channels), root)

    def settle(self, receipt: Receipt, proof: Sequence[bytes], signature: Signature) -> int:
        line = self.market.line(MAXIMUM)
        return int(
            self.market.channels(
                "settle_by_receipt",
                self.market.operator.address,
                [(line.asset, line.terms, line.maximum)],
                *self.market.sign(line),
                msgspec.structs.astuple(receipt),
                list(proof),
                *compact(*signature),
            )
        )

    def refused(self, receipt: Receipt, proof: Sequence[bytes], signature: Signature) -> None:
        with refused("channels: receipt not signed by the operator"):
            self.settle(receipt, proof, signature)
        assert self.market.left() == DEPOSIT


@pytest.fixture
def desk(market: Market) -> Desk:
    now = market.world.now
    return Desk(
        market,
        [
            Receipt(**receipt_for(market.channel, market.asset, 1, 100 * number, now))
            for number in range(1, 6)
        ],
    )


def test_every_receipt_of_a_batch_counts_for_itself(desk: Desk) -> None:
    batch = ReceiptBatch(desk.domain, desk.digests)
    signature = desk.sign(MerkleTree(desk.digests).root)
    for receipt, digest in zip(desk.receipts, desk.digests, strict=True):
        assert desk.settle(receipt, batch.proof(digest), signature) == 100


def test_a_proof_of_the_greatest_depth_counts(desk: Desk) -> None:
    node = desk.digests[0]
    proof = [keccak(bytes([level])) for level in range(MAX_PROOF)]
    for sibling in proof:
        node = keccak(min(node, sibling) + max(node, sibling))
    assert desk.settle(desk.receipts[0], proof, desk.sign(node)) == 100


def test_a_receipt_beside_the_tree_is_not_of_it(desk: Desk) -> None:
    """The consumer's accomplice, or the operator's, shows a receipt that nobody signed with the
    proof of one that somebody did."""
    digests = desk.digests[:4]
    batch, signature = ReceiptBatch(desk.domain, digests), desk.sign(MerkleTree(digests).root)
    for digest in digests:
        desk.refused(desk.receipts[4], batch.proof(digest), signature)


def test_a_receipt_with_the_signature_of_another_batch(desk: Desk) -> None:
    """Both batches are the operator's; proof and signature must be of one."""
    one, other = desk.digests[:2], desk.digests[2:]
    proof = ReceiptBatch(desk.domain, one).proof(one[0])
    desk.refused(desk.receipts[0], proof, desk.sign(MerkleTree(other).root))


def test_a_proof_cut_short_or_made_longer(desk: Desk) -> None:
    """A node one level below the root has a shorter proof: whoever could show it as a receipt
    would have one that nobody made. What is shown is hashed as a receipt, so it never is the
    node; and the receipt itself needs every level."""
    batch = ReceiptBatch(desk.domain, desk.digests)
    root = MerkleTree(desk.digests).root
    signature = desk.sign(root)
    for receipt, digest in zip(desk.receipts, desk.digests, strict=True):
        proof = batch.proof(digest)
        for wrong in (proof[1:], proof[:-1], (*proof, root), (digest, *proof), proof[::-1]):
            if wrong != proof:
                desk.refused(receipt, wrong, signature)


def test_a_signature_of_one_kind_is_not_of_the_other(desk: Desk) -> None:
    """A tree of one has the receipt's digest for its root. If the root were signed as the receipt
    is, whoever can have a tree signed could have any receipt signed, and the other way round."""
    receipt, digest = desk.receipts[0], desk.digests[0]
    desk.refused(receipt, (), desk.sign(digest))
    parent = MerkleTree(desk.digests[:2]).root
    desk.refused(receipt, (), desk.sign(parent))
    where = domain_of(desk.market.channels)
    fields = {name: getattr(receipt, name) for name in Receipt.__slots__}
    alone = sign_receipt(desk.market.operator, where, fields)
    desk.refused(receipt, (desk.digests[1],), alone)
    # Alone it is signed alone, and nothing else.
    assert ReceiptBatch(desk.domain, [digest]).proof(digest) == ()
    assert ReceiptBatch(desk.domain, [digest, digest]).to_sign == digest
    assert desk.settle(receipt, (), alone) == 100


def test_a_root_that_somebody_else_signed(desk: Desk, attacker: Person) -> None:
    batch, root = ReceiptBatch(desk.domain, desk.digests), MerkleTree(desk.digests).root
    for hand in (attacker, desk.market.consumer):
        proof = batch.proof(desk.digests[0])
        desk.refused(desk.receipts[0], proof, desk.sign(root, by=hand))
