# pragma version ~=0.4.3
"""
@title Merkle proofs
@license Apache-2.0
@notice Whether a leaf belongs to a root. Pairs are hashed smaller first, so a proof needs no sides.
@custom:security A leaf is hashed twice (`_leaf`), so that an inner node can never be shown as one. Laid out as
     OpenZeppelin's StandardMerkleTree does it.
"""

MAX_PROOF: constant(uint256) = 32


@internal
@pure
def _leaf(encoded: Bytes[128]) -> bytes32:
    return keccak256(keccak256(encoded))


@internal
@pure
def _leads_to(leaf: bytes32, proof: DynArray[bytes32, MAX_PROOF], root: bytes32) -> bool:
    node: bytes32 = leaf
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(concat(node, sibling))
        else:
            node = keccak256(concat(sibling, node))
    return node == root
