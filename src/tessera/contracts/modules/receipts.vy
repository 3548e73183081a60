# pragma version ~=0.4.3
"""
@title Receipts
@license Apache-2.0
@notice Who signed the receipt of an answered call: alone, or together with others as the root of a tree.
@dev The leaves of such a tree are digests of receipts, its nodes those of `merkle.vy`. Its twin is `tessera.spec.receipt_batches`.
@custom:security A digest is the hash of 66 bytes and a node the hash of 64, so neither can be shown as the other. A
     root and a receipt are signed as different types, so neither signature counts for the other.
"""
from . import signatures


# What an operator signs for one answered call; `charged` is cumulative, as the voucher's maximum is.
struct Receipt:
    channel: uint256
    asset: uint256
    version: uint256
    terms: uint256
    charged: uint256
    request: bytes32
    response: bytes32
    units: uint256
    time: uint256
    identity: uint256


# Of a tree of 65,536 receipts.
MAX_PROOF: constant(uint256) = 16

RECEIPT_TYPEHASH: constant(bytes32) = keccak256(
    "Receipt(uint64 channel,uint256 asset,uint32 version,uint32 terms,uint96 charged,bytes32 request,bytes32 response,uint64 units,uint64 time,uint8 identity)"
)
BATCH_TYPEHASH: constant(bytes32) = keccak256("ReceiptBatch(bytes32 root)")


@internal
@pure
def _signer(
    domain: bytes32, receipt: Receipt, proof: DynArray[bytes32, MAX_PROOF], r: uint256, vs: uint256
) -> address:
    """
    @param proof What leads from the receipt to the root that was signed; empty where it was signed alone.
    @return The signer, or the zero address if the signature is not one that a wallet would have made.
    """
    signed: bytes32 = signatures._typed_digest(
        domain, keccak256(abi_encode(RECEIPT_TYPEHASH, receipt))
    )
    if len(proof) != 0:
        node: bytes32 = signed
        for sibling: bytes32 in proof:
            if convert(node, uint256) < convert(sibling, uint256):
                node = keccak256(concat(node, sibling))
            else:
                node = keccak256(concat(sibling, node))
        signed = signatures._typed_digest(domain, keccak256(abi_encode(BATCH_TYPEHASH, node)))
    return signatures._recover_compact(signed, r, vs)
