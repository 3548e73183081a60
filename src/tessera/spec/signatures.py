"""Signatures as `signatures.vy` takes them: EIP-712 digests, low `s`, `v` 27 or 28, a real signer.

Recovering costs about 40 us and signing 25, because nothing but libsecp256k1 runs; the JSON that
wallets sign from is `eth_account`'s business, and the tests hold both against each other. To
recover, the library is called past coincurve's objects: each paid call does it once, and they took
a fifth of its time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Final, NewType

import coincurve
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT
from sha3 import keccak_256

from tessera.errors import SignatureRejected

__all__ = [
    "HALF_ORDER",
    "SIGNATURE_BYTES",
    "ZERO_ADDRESS",
    "ZERO_ADDRESS_TEXT",
    "Address",
    "Domain",
    "Signer",
    "address_of",
    "address_of_key",
    "address_text",
    "compact",
    "expand",
    "keccak",
    "recover",
    "recover_compact",
    "recover_key",
    "typed_digest",
]

Address = NewType("Address", bytes)
"""The 20 bytes of an account or contract; `address_text` writes it as people know it."""

ZERO_ADDRESS: Final = Address(bytes(20))
ZERO_ADDRESS_TEXT: Final = "0x" + "00" * 20
DIGEST_BYTES: Final = 32
SIGNATURE_BYTES: Final = 65
HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_HALF_ORDER_BYTES: Final = HALF_ORDER.to_bytes(32, "big")
_LOW_255_BITS: Final = 2**255 - 1
_UPPER_FROM: Final = 8


def keccak(data: bytes) -> bytes:
    """Hash as the EVM does: Keccak-256, not SHA3-256."""
    digest: bytes = keccak_256(data).digest()
    return digest


_DOMAIN_TYPEHASH: Final = keccak(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature counts: one contract on one chain, and nowhere else.

    Attributes
    ----------
    chain_id
        EIP-155 number.
    contract
        Whose signatures these are.
    name, version
        As the contract's `eip712Domain` states them.
    separator
        The 32 bytes that every digest begins with; computed once.
    """

    chain_id: int
    contract: Address
    name: str = "Tessera Channels"
    version: str = "1"
    separator: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        separator = keccak(
            _DOMAIN_TYPEHASH
            + keccak(self.name.encode())
            + keccak(self.version.encode())
            + self.chain_id.to_bytes(32, "big")
            + bytes(12)
            + self.contract
        )
        object.__setattr__(self, "separator", separator)


def typed_digest(domain: Domain, struct_hash: bytes) -> bytes:
    """Return the EIP-712 digest of a struct in a domain."""
    return keccak(b"\x19\x01" + domain.separator + struct_hash)


def address_of(value: str | bytes) -> Address:
    """Read an address.

    Parameters
    ----------
    value
        20 bytes, or 0x and 40 hexadecimal digits. Mixed case must be the EIP-55 checksum.

    Raises
    ------
    SignatureRejected
        It is no address, or its checksum says that a digit is wrong.
    """
    if isinstance(value, bytes):
        raw = value
    else:
        try:
            raw = bytes.fromhex(value.removeprefix("0x"))
        except ValueError:
            raw = b""
    if len(raw) != len(ZERO_ADDRESS):
        raise SignatureRejected("address", found=value, wanted="0x and 40 hexadecimal digits")
    address = Address(raw)
    if isinstance(value, str):
        digits = value[-40:]
        if digits not in {digits.lower(), digits.upper()} and address_text(address)[2:] != digits:
            raise SignatureRejected("address", found=value, wanted="a right EIP-55 checksum")
    return address


@functools.lru_cache(maxsize=4096)
def address_text(address: bytes) -> str:
    """Write an address with its EIP-55 checksum."""
    digits = address.hex()
    marks = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= _UPPER_FROM else digit
        for digit, mark in zip(digits, marks, strict=False)
    )


class Signer:
    """Signs digests with one key.

    Parameters
    ----------
    key
        32 secret bytes; never shown, not even by `repr`.
    """

    __slots__ = ("_key", "address", "public_key")

    def __init__(self, key: bytes) -> None:
        self._key = coincurve.PrivateKey(key)
        self.public_key: bytes = self._key.public_key.format()
        self.address: Address = address_of_key(self.public_key)

    def __repr__(self) -> str:
        return f"Signer({address_text(self.address)})"

    def sign(self, digest: bytes) -> bytes:
        """Return r, s and v (27 or 28), 65 bytes; `s` is low and the nonce deterministic."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes((27 + raw[64],))

    def agree(self, their_key: bytes) -> bytes:
        """Return what only the two keys' holders can compute: 32 secret bytes.

        Raises
        ------
        SignatureRejected
            The other is no public key.
        """
        try:
            secret: bytes = self._key.ecdh(their_key)
        except ValueError as error:
            raise _no_key(their_key) from error
        return secret


def recover(digest: bytes, signature: bytes) -> Address:
    """Find who signed a digest.

    Returns
    -------
    Address
        The signer, or the zero address if no wallet would have made this signature: a wrong
        length, a high `s`, a `v` other than 27 and 28, or numbers that are no signature.
    """
    point = _recovered(digest, signature)
    return ZERO_ADDRESS if point is None else _address(point)


def recover_key(digest: bytes, signature: bytes) -> bytes:
    """Find the public key that signed a digest, 33 bytes; its address is what `recover` finds.

    Raises
    ------
    SignatureRejected
        No wallet would have made this signature.
    """
    point = _recovered(digest, signature)
    if point is None:
        raise SignatureRejected("signature", found=signature, wanted="one that a wallet makes")
    return bytes((2 + point[-1] % 2,)) + point[1:33]


def address_of_key(public_key: bytes) -> Address:
    """Return whose key it is.

    Raises
    ------
    SignatureRejected
        It is no public key.
    """
    try:
        return _address(coincurve.PublicKey(public_key).format(compressed=False))
    except ValueError as error:
        raise _no_key(public_key) from error


def compact(signature: bytes) -> tuple[int, int]:
    """Return r and vs, the 64-byte form of EIP-2098.

    Raises
    ------
    SignatureRejected
        The signature has no such form: its length, `v` or `s` is not what a wallet makes.
    """
    if len(signature) != SIGNATURE_BYTES or signature[64] not in {27, 28}:
        raise SignatureRejected("signature", found=signature, wanted="65 bytes, v 27 or 28")
    s = int.from_bytes(signature[32:64], "big")
    if s > HALF_ORDER:
        raise SignatureRejected("signature: s", found=s, wanted="a low s, as wallets make it")
    return int.from_bytes(signature[:32], "big"), s | ((signature[64] - 27) << 255)


def expand(r: int, vs: int) -> bytes:
    """Return the 65-byte form of a compact signature."""
    s = (vs & _LOW_255_BITS).to_bytes(32, "big")
    return r.to_bytes(32, "big") + s + bytes((27 + (vs >> 255),))


def recover_compact(digest: bytes, r: int, vs: int) -> Address:
    """As `recover`, for r and vs; mirrors `signatures.vy::_recover_compact`."""
    return recover(digest, expand(r, vs))


_POINT_BYTES: Final = 65
_KEY: Final = ffi.typeof("secp256k1_pubkey *")
_POINT: Final = ffi.typeof(f"unsigned char[{_POINT_BYTES}]")
_SIGNATURE: Final = ffi.typeof("secp256k1_ecdsa_recoverable_signature *")
_SIZE: Final = ffi.typeof("size_t *")


def _recovered(digest: bytes, signature: bytes) -> bytes | None:
    """Return the signer's public key, 65 bytes, or None as `recover` describes."""
    if len(signature) != SIGNATURE_BYTES or len(digest) != DIGEST_BYTES:
        return None
    if signature[64] not in {27, 28} or signature[32:64] > _HALF_ORDER_BYTES:
        return None
    context = GLOBAL_CONTEXT.ctx
    parsed, key = ffi.new(_SIGNATURE), ffi.new(_KEY)
    if not (
        lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
            context, parsed, signature[:64], signature[64] - 27
        )
        and lib.secp256k1_ecdsa_recover(context, key, parsed, digest)
    ):
        return None
    point, size = ffi.new(_POINT), ffi.new(_SIZE, _POINT_BYTES)
    lib.secp256k1_ec_pubkey_serialize(context, point, size, key, lib.SECP256K1_EC_UNCOMPRESSED)
    return bytes(ffi.buffer(point))


def _no_key(found: bytes) -> SignatureRejected:
    return SignatureRejected("public key", found=found, wanted="33 bytes, a point of secp256k1")


def _address(point: bytes) -> Address:
    return Address(keccak(point[1:])[12:])
