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
        words += _sign(domain, signer, voucher.channel, lines)
    return [(till.asset, till.terms) for till in tills], words


def _sign(
    domain: bytes, signer: LocalAccount, channel: int, lines: Sequence[tuple[Till, int]]
) -> tuple[int, int]:
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
    signature = signer.unsafe_sign_hash(Hash32(keccak(b"\x19\x01" + domain + voucher)))
    return signature.r, signature.s | (signature.v - 27) << 255
