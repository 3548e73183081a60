"""Vouchers and receipts: their EIP-712 hashes, and the words in which `Channels.settle` takes them.

A voucher is a consumer's signature over cumulative maxima, one per (asset, terms) of a channel; a
receipt is an operator's over what one call brought the charged total to. Both bind the chain and
the contract through the domain, and each other through the channel. `docs/spec/vouchers.md` tells
when a voucher is accepted; here is only what the chain computes, bit for bit.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from tessera.errors import InputError
from tessera.spec.signatures import Address, Domain, compact, keccak, typed_digest
from tessera.units import MAX_UINT64, MAX_UINT96, MAX_UINT256

__all__ = [
    "MAX_LINES",
    "MAX_TILLS",
    "MAX_WORDS",
    "Line",
    "Reason",
    "Receipt",
    "SignedVoucher",
    "TillKey",
    "Voucher",
    "call_digest",
    "channel_number",
    "encode_batch",
    "lines_hash",
    "receipt_digest",
    "receipt_id",
    "voucher_digest",
]

MAX_TILLS: Final = 32
MAX_LINES: Final = 16
MAX_WORDS: Final = 1024
_MAX_UINT32: Final = 2**32 - 1

_LINE_TYPE: Final = b"Line(uint256 asset,uint32 terms,uint96 maximum)"
_LINE_TYPEHASH: Final = keccak(_LINE_TYPE)
_VOUCHER_TYPEHASH: Final = keccak(b"Voucher(uint64 channel,Line[] lines)" + _LINE_TYPE)
_CALL_TYPEHASH: Final = keccak(b"Call(uint64 channel,bytes16 call,bytes32 request)")
_RECEIPT_TYPEHASH: Final = keccak(
    b"Receipt(uint64 channel,uint256 asset,uint32 version,uint32 terms,uint96 charged,"
    b"bytes32 request,bytes32 response,uint64 units,uint64 time,uint8 identity)"
)


class Reason(enum.IntFlag):
    """Why `Channels.settle` skipped a voucher; the bits are those of the contract's flag."""

    NO_CHANNEL = 1
    BAD_SIGNATURE = 2
    BELOW_SETTLED = 4
    ABOVE_MAXIMUM = 8
    NOT_GRANTED = 16
    BALANCE_TOO_LOW = 32


class TillKey(NamedTuple):
    """What a line is about: an asset under one terms row of one operator."""

    asset: int
    terms: int


class Line(NamedTuple):
    """The most that may be charged, in all and for ever, for one asset under one terms row."""

    asset: int
    terms: int
    maximum: int

    @property
    def key(self) -> TillKey:
        """The (asset, terms) of this line."""
        return TillKey(self.asset, self.terms)


class Voucher(msgspec.Struct, frozen=True):
    """A channel's lines, ascending by (asset, terms), at least one and at most 16.

    Raises
    ------
    InputError
        The lines are not in that order, too many or none, or a number does not fit its type.
    """

    channel: int
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.channel <= MAX_UINT64:
            raise InputError("voucher: channel", found=self.channel, wanted="a uint64")
        if not 1 <= len(self.lines) <= MAX_LINES:
            raise InputError(
                "voucher: lines", found=len(self.lines), wanted=f"1 to {MAX_LINES} lines"
            )
        before = (-1, -1)
        for asset, terms, maximum in self.lines:
            if not (
                0 <= asset <= MAX_UINT256
                and 0 <= terms <= _MAX_UINT32
                and 0 <= maximum <= MAX_UINT96
            ):
                raise InputError(
                    "voucher: line", found=(asset, terms, maximum), wanted="uint256, 32, 96"
                )
            if (asset, terms) <= before:
                raise InputError(
                    "voucher: lines",
                    found=(asset, terms),
                    wanted=f"an (asset, terms) above {before}",
                )
            before = (asset, terms)

    def maximum(self, key: tuple[int, int]) -> int:
        """Return the maximum of one line, 0 where the voucher has none."""
        for asset, terms, maximum in self.lines:
            if (asset, terms) == key:
                return maximum
        return 0

    def covers(self, needs: Mapping[TillKey, int]) -> bool:
        """Tell whether each maximum is at least what is needed of its line."""
        for key, need in needs.items():  # noqa: SIM110 - a generator takes twice as long
            if self.maximum(key) < need:
                return False
        return True

    def reaches(self, other: Voucher) -> bool:
        """Tell whether no maximum of another voucher is above this one's of the same line."""
        for asset, terms, maximum in other.lines:  # noqa: SIM110 - as above
            if self.maximum((asset, terms)) < maximum:
                return False
        return True


class SignedVoucher(msgspec.Struct, frozen=True):
    """A voucher with its signature: r, s and v, 65 bytes."""

    voucher: Voucher
    signature: bytes


class Receipt(msgspec.Struct, frozen=True):
    """What the operator signs for one answered call.

    Attributes
    ----------
    channel, asset, version, terms
        What was called, and who pays.
    charged
        Base units; cumulative over (channel, asset, terms), this call included.
    request, response
        Keccak-256 of the exact bytes of the two bodies; of a stream, of all its bytes before the
        receipt's own event.
    units
        Input and output units of this call together.
    time
        Unix seconds.
    identity
        1 where the operator loaded bytes that match the content root, 2 where somebody else's
        server says that it is this model.
    """

    channel: int
    asset: int
    version: int
    terms: int
    charged: int
    request: bytes
    response: bytes
    units: int
    time: int
    identity: int

    @property
    def key(self) -> TillKey:
        """The line that was charged."""
        return TillKey(self.asset, self.terms)


def channel_number(payer: Address, operator: Address, salt: bytes) -> int:
    """Return the number that `Channels.open` gives: a hash, so a reorg cannot move it."""
    digest = keccak(bytes(12) + payer + bytes(12) + operator + salt)
    return int.from_bytes(digest[-8:], "big")


def lines_hash(lines: Iterable[Line]) -> bytes:
    """Hash an array of lines: EIP-712 hashes each, then all of them in a row."""
    hashes = [
        keccak(
            _LINE_TYPEHASH
            + asset.to_bytes(32, "big")
            + terms.to_bytes(32, "big")
            + maximum.to_bytes(32, "big")
        )
        for asset, terms, maximum in lines
    ]
    return keccak(b"".join(hashes))


def voucher_digest(domain: Domain, channel: int, lines: Iterable[Line]) -> bytes:
    """Return what the consumer signs."""
    return typed_digest(
        domain, keccak(_VOUCHER_TYPEHASH + channel.to_bytes(32, "big") + lines_hash(lines))
    )


def call_digest(domain: Domain, channel: int, call: bytes, request: bytes) -> bytes:
    """Return what the consumer signs over one request, so that no one else spends his headroom.

    Parameters
    ----------
    domain, channel
        As of the voucher that pays.
    call
        16 bytes that the consumer chose.
    request
        Keccak-256 of the exact bytes of the request's body.
    """
    return typed_digest(
        domain,
        keccak(_CALL_TYPEHASH + channel.to_bytes(32, "big") + call.ljust(32, b"\0") + request),
    )


@functools.lru_cache(maxsize=1024)
def receipt_digest(domain: Domain, receipt: Receipt) -> bytes:
    """Return what the operator signs."""
    return typed_digest(
        domain,
        keccak(
            _RECEIPT_TYPEHASH
            + receipt.channel.to_bytes(32, "big")
            + receipt.asset.to_bytes(32, "big")
            + receipt.version.to_bytes(32, "big")
            + receipt.terms.to_bytes(32, "big")
            + receipt.charged.to_bytes(32, "big")
            + receipt.request
            + receipt.response
            + receipt.units.to_bytes(32, "big")
            + receipt.time.to_bytes(32, "big")
            + receipt.identity.to_bytes(32, "big")
        ),
    )


def receipt_id(domain: Domain, receipt: Receipt) -> str:
    """Return the receipt's name: its digest, 64 hexadecimal digits."""
    return receipt_digest(domain, receipt).hex()


def encode_batch(
    claims: Sequence[tuple[SignedVoucher, Mapping[TillKey, int]]],
) -> tuple[list[TillKey], list[int]]:
    """Write vouchers and what was charged on their lines as `Channels.settle` reads them.

    Parameters
    ----------
    claims
        Each voucher with the cumulative charge of its lines, base units; a line that is not named
        is left alone (every line that was signed must be there, or the signature would not fit).

    Returns
    -------
    tuple
        The tills, ascending, and the words of the batch.

    Raises
    ------
    InputError
        A charge is on a line that the voucher does not have, or above its maximum (the contract
        would skip the voucher), or the batch exceeds 32 tills or 1,024 words.
    """
    tills = sorted({line.key for signed, _ in claims for line in signed.voucher.lines})
    if len(tills) > MAX_TILLS:
        raise InputError("batch: tills", found=len(tills), wanted=f"{MAX_TILLS} or fewer")
    position = {key: index for index, key in enumerate(tills)}
    words: list[int] = []
    for signed, charges in claims:
        lines = signed.voucher.lines
        missing = charges.keys() - {line.key for line in lines}
        if missing:
            raise InputError(
                "batch: charge", found=tuple(min(missing)), wanted="a line that was signed"
            )
        words.append(signed.voucher.channel | (len(lines) << 64))
        for line in lines:
            charged = charges.get(line.key, 0)
            if not 0 <= charged <= line.maximum:
                raise InputError(
                    "batch: charge", found=charged, wanted=f"0 to the maximum {line.maximum}"
                )
            words.append(charged | (line.maximum << 96) | (position[line.key] << 192))
        words.extend(compact(signed.signature))
    if len(words) > MAX_WORDS:
        raise InputError("batch: words", found=len(words), wanted=f"{MAX_WORDS} or fewer")
    return tills, words
