# pragma version ~=0.4.3
"""
@title Places
@license Apache-2.0
@notice Trees whose leaves have numbers, and the shuffle that says which item a validator gets at which place.
@dev Twin: `tessera.spec.places`.
@custom:security A proof has exactly the length that the number of leaves asks for, and a leaf is hashed over 96 bytes or
     more, a node over 64: neither can be shown as the other, and there is one leaf for each number.
     The shuffle swaps or keeps, 32 times over (Hoang, Morris and Rogaway, 2012): a permutation of which each place can be
     computed alone, so that nobody has to write an assignment down.
"""

MAX_DEPTH: constant(uint256) = 32
ROUNDS: constant(uint256) = 32


@internal
@pure
def _leads_to(
    leaf: bytes32,
    index: uint256,
    count: uint256,
    proof: DynArray[bytes32, MAX_DEPTH],
    root: bytes32,
) -> bool:
    """
    @notice Whether `leaf` is number `index` of the `count` leaves under `root`; those are filled up to a power of two.
    """
    depth: uint256 = len(proof)
    if index >= count or count > 1 << depth or (depth != 0 and count <= 1 << (depth - 1)):
        return False
    node: bytes32 = leaf
    at: uint256 = index
    for sibling: bytes32 in proof:
        if at & 1 == 0:
            node = keccak256(concat(node, sibling))
        else:
            node = keccak256(concat(sibling, node))
        at >>= 1
    return node == root


@internal
@pure
def _shuffled(index: uint256, count: uint256, seed: bytes32) -> uint256:
    """
    @notice Where `index` of `count` comes to lie.
    """
    at: uint256 = index
    for step: uint256 in range(ROUNDS):
        pivot: uint256 = convert(keccak256(abi_encode(seed, step)), uint256) % count
        other: uint256 = (pivot + count - at) % count
        bit: bytes32 = keccak256(abi_encode(seed, step, max(at, other)))
        if convert(bit, uint256) & 1 == 1:
            at = other
    return at
