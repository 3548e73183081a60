"""The ABI's bytes. Stricter than the ecosystem's default where that would lose money, and laxer
where a stranger's text would stop a reader.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sha3

from tessera.errors import DataError, InputError

if TYPE_CHECKING:
    from eth_abi.codec import ABICodec

__all__ = ["checksummed", "decode", "encode", "plain"]

_ADDRESS_DIGITS: Final = 40
_HEX_DIGITS: Final = frozenset("0123456789abcdef")


def encode(thing: str, types: Sequence[str], values: Sequence[object]) -> bytes:
    """ABI-encode arguments.

    Parameters
    ----------
    thing
        What the arguments are for, such as "Share.transfer"; for the message.
    types
        ABI types; a struct is "(uint256,address)".
    values
        One for each type; structs of the bindings are taken as they are.

    Raises
    ------
    InputError
        A value does not fit its type: out of range, no address, or fixed bytes of another length.
    """
    from eth_abi.exceptions import EncodingError

    try:
        return _codec().encode(types, [plain(value) for value in values])
    except (EncodingError, UnicodeEncodeError, TypeError, OverflowError) as error:
        raise InputError(
            f"arguments of {thing}", found=str(error), wanted=", ".join(types)
        ) from error


def decode(thing: str, types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Decode ABI values.

    A text that is no UTF-8 is decoded with backslashes: anyone may write one into an event, and
    that must not stop whoever reads the events behind it.

    Raises
    ------
    DataError
        The bytes are no such values: another contract, or none, lives at the address.
    """
    from eth_abi.exceptions import DecodingError

    try:
        return _codec().decode(types, data)
    except (DecodingError, OverflowError, ValueError) as error:
        shown = f"{len(data)} bytes ({type(error).__name__})"
        raise DataError(
            f"answer of {thing}",
            found=shown,
            wanted=f"({', '.join(types)})",
            next_step="check the address and the deployments file",
        ) from error


def plain(value: Any) -> Any:
    """Turn structs of the bindings and of the twins, at any depth, into the tuples that the encoder takes."""
    if dataclasses.is_dataclass(value):
        return tuple(plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, msgspec.Struct):
        return tuple(plain(part) for part in msgspec.structs.astuple(value))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@functools.lru_cache(maxsize=65_536)
def checksummed(address: str) -> str:
    """Return the address as EIP-55 writes it; every address that the bindings return is.

    Raises
    ------
    ValueError
        It is no address; or its letters are mixed and the checksum that they make is wrong, which
        is what a mistyped address looks like.
    """
    digits = address[2:] if address[:2] == "0x" else ""
    lower = digits.lower()
    if len(digits) != _ADDRESS_DIGITS or not _HEX_DIGITS.issuperset(lower):
        raise ValueError("no address: wanted 0x and 40 hex digits")
    hashed = sha3.keccak_256(lower.encode()).hexdigest()
    right = "".join(
        letter.upper() if nibble >= "8" else letter
        for letter, nibble in zip(lower, hashed, strict=False)
    )
    if digits not in (right, lower, lower.upper()):
        raise ValueError("no address: the checksum in its capitals is wrong")
    return f"0x{right}"


@functools.cache
def _codec() -> ABICodec:
    from eth_abi import codec, decoding, encoding, registry

    # eth_abi's own classes carry no types.
    abi: Any = registry
    own: Any = abi.registry.copy()
    fixed: Any = encoding.BytesEncoder

    class ExactBytes(fixed):  # type: ignore[misc]
        """A content root that is too short is a mistake, not a root with zeros behind it."""

        def validate_value(self, value: object) -> None:
            super().validate_value(value)
            size = self.value_bit_size // 8
            if isinstance(value, (bytes, bytearray)) and len(value) != size:
                self.invalidate_value(value, msg=f"is {len(value)} bytes long, wanted {size}")

    own.unregister_encoder("bytes<M>")
    own.register_encoder(abi.BaseEquals("bytes", with_sub=True), ExactBytes, label="bytes<M>")
    texts: Any = decoding.StringDecoder
    own.unregister_decoder("string")
    own.register_decoder(
        abi.BaseEquals("string"), texts(handle_string_errors="backslashreplace"), label="string"
    )
    return codec.ABICodec(own)
