# pragma version ~=0.4.3
"""
@title Signatures
@license Apache-2.0
@notice Recovers the signer of an EIP-712 digest, and refuses what ecrecover alone lets through.
@custom:security Refused: a high `s` (each signature would have a twin), `v` other than 27 and 28, and the zero
     address, which ecrecover answers for garbage.
"""

# Half of the order of secp256k1; a signature with a larger `s` is the twin of one with a smaller.
HALF_ORDER: constant(
    uint256
) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
LOW_255_BITS: constant(uint256) = 2**255 - 1

EIP712_DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)


@internal
@view
def _domain_separator(name_hash: bytes32, version_hash: bytes32) -> bytes32:
    return keccak256(abi_encode(EIP712_DOMAIN_TYPEHASH, name_hash, version_hash, chain.id, self))


@internal
@pure
def _typed_digest(domain_separator: bytes32, struct_hash: bytes32) -> bytes32:
    return keccak256(concat(x"1901", domain_separator, struct_hash))


@internal
@pure
def _recover(digest: bytes32, v: uint8, r: bytes32, s: bytes32) -> address:
    """
    @return The signer, or the zero address if the signature is not one that a wallet would have made.
    """
    if v != 27 and v != 28:
        return empty(address)
    if convert(s, uint256) > HALF_ORDER:
        return empty(address)
    return ecrecover(digest, v, r, s)


@internal
@pure
def _recover_compact(digest: bytes32, r: uint256, vs: uint256) -> address:
    """
    @notice As `_recover`, for the 64-byte form of EIP-2098: the top bit of `vs` is the parity.
    """
    s: uint256 = vs & LOW_255_BITS
    if s > HALF_ORDER:
        return empty(address)
    return ecrecover(digest, 27 + (vs >> 255), r, s)
