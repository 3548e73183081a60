"""Vouchers as a consumer signs them and batches as an operator sends them, built by hand.

The bench does without the product's own encoders, so that what is measured is the contract's
interface and a second reading of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from eth_utils.crypto import keccak

_LINE_TYPE = "Line(uint256 asset,uint32 terms,uint96 maximum)"
_LINE = keccak(text=_LINE_TYPE)
_VOUCHER = keccak(text=f"Voucher(uint64 channel,Line[] lines){_LINE_TYPE}")
_RECEIPT = keccak(
    text="Receipt(uint64 channel,uint256 asset,uint32 version,uint32 terms,uint96 charged,"
    "bytes32 request,bytes32 response,uint64 units,uint64 time,uint8 identity)"
)
_RECEIPT_TYPES = [*["uint256"] * 5, "bytes32", "bytes32", *["uint256"] * 3]
_BATCH = keccak(text="ReceiptBatch(bytes32 root)")


@dataclass(frozen=True, slots=True, order=True)
class Till:
    """An asset and the number of the terms it is served under."""

    asset: int
    terms: int


@dataclass(frozen=True, slots=True)
class Voucher:
    """One channel's cumulative totals, in base units, a line for each till.

    Here a line's maximum is what was charged: the consumer has nothing in flight.
    """

    channel: int
    charged: tuple[tuple[Till, int], ...]


def batch(
    domain: bytes, signer: LocalAccount, vouchers: Sequence[Voucher]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Sign vouchers and pack them for one settlement: the tills, and the words."""
    tills = sorted({till for voucher in vouchers for till, _ in voucher.charged})
    position = {till: number for number, till in enumerate(tills)}
    words: list[int] = []
    for voucher in vouchers:
        lines = sorted(voucher.charged)
        words.append(voucher.channel | len(lines) << 64)
        words += [charged | charged << 96 | position[till] << 192 for till, charged in lines]
        words += sign_voucher(domain, signer, voucher.channel, lines)
    return [(till.asset, till.terms) for till in tills], words


def sign_voucher(
    domain: bytes, signer: LocalAccount, channel: int, lines: Sequence[tuple[Till, int]]
) -> tuple[int, int]:
    """Sign one voucher: r and vs."""
    hashes = b"".join(
        keccak(
            encode(
                ["bytes32", "uint256", "uint256", "uint256"],
                [_LINE, till.asset, till.terms, charged],
            )
        )
        for till, charged in lines
    )
    voucher = keccak(encode(["bytes32", "uint256", "bytes32"], [_VOUCHER, channel, keccak(hashes)]))
    return _sign(domain, signer, voucher)


def sign_receipt(
    domain: bytes, signer: LocalAccount, receipt: Sequence[int | bytes], others: int
) -> tuple[list[bytes], int, int]:
    """Sign a receipt alone, or in a tree with so many others: the proof, r and vs."""
    struct = keccak(encode(["bytes32", *_RECEIPT_TYPES], [_RECEIPT, *receipt]))
    if not others:
        return [], *_sign(domain, signer, struct)
    node = keccak(b"\x19\x01" + domain + struct)
    proof = [keccak(bytes([level])) for level in range(others.bit_length())]
    for sibling in proof:
        node = keccak(min(node, sibling) + max(node, sibling))
    return proof, *_sign(domain, signer, keccak(_BATCH + node))


def _sign(domain: bytes, signer: LocalAccount, struct: bytes) -> tuple[int, int]:
    signature = signer.unsafe_sign_hash(Hash32(keccak(b"\x19\x01" + domain + struct)))
    return signature.r, signature.s | (signature.v - 27) << 255
