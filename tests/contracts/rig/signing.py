"""Vouchers, receipts and batches, signed by eth_account and not by our signer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from rig.contract import Contract
from rig.people import Person

_HALF_ORDER = 57896044618658097711785492504343953926418782139537452191302581570759080747168
_ORDER = 2 * _HALF_ORDER + 1
_UINT = {"asset": "uint256", "terms": "uint32", "maximum": "uint96"}
_DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
_VOUCHER = [{"name": "channel", "type": "uint64"}, {"name": "lines", "type": "Line[]"}]
_LINE = [{"name": name, "type": typ} for name, typ in _UINT.items()]
RECEIPT_FIELDS = {
    "channel": "uint64",
    "asset": "uint256",
    "version": "uint32",
    "terms": "uint32",
    "charged": "uint96",
    "request": "bytes32",
    "response": "bytes32",
    "units": "uint64",
    "time": "uint64",
    "identity": "uint8",
}
Signed = tuple[int, int]


def domain_of(contract: Contract, name: str = "Tessera Channels") -> dict[str, Any]:
    """Build the EIP-712 domain of a contract on its own chain."""
    return {
        "name": name,
        "version": "1",
        "chainId": contract.engine.chain_id,
        "verifyingContract": contract.address,
    }


def sign(
    signer: Person,
    domain: dict[str, Any],
    primary: str,
    types: dict[str, list[dict[str, str]]],
    message: dict[str, Any],
) -> tuple[int, int, int]:
    """Sign typed data; v, r, s."""
    signable = encode_typed_data(
        full_message={
            "types": {"EIP712Domain": _DOMAIN_FIELDS, **types},
            "primaryType": primary,
            "domain": domain,
            "message": message,
        }
    )
    signed = Account.sign_message(signable, signer.account.key)
    return signed.v, signed.r, signed.s


def compact(v: int, r: int, s: int) -> Signed:
    """Pack a signature as EIP-2098 does: r, and s with the parity in its top bit."""
    return r, s | (v - 27) << 255


def twin(v: int, r: int, s: int) -> tuple[int, int, int]:
    """Return the other signature that plain ecrecover takes for the same message: its s is high."""
    return 55 - v, r, _ORDER - s


@dataclass(frozen=True)
class SignedLine:
    """One line of a voucher: `charged` is what its operator means to settle of `maximum`."""

    asset: int
    terms: int
    maximum: int
    charged: int


@dataclass
class Batch:
    """Calldata of `settle` under construction. Vouchers name their lines by position in `tills`."""

    tills: list[tuple[int, int]]
    words: list[int] = field(default_factory=list)

    def add(self, channel: int, lines: list[SignedLine], signature: Signed) -> Batch:
        """Append one voucher; its lines must be in the order of the tills."""
        self.words.append(channel | len(lines) << 64)
        for line in lines:
            position = self.tills.index((line.asset, line.terms))
            self.words.append(line.charged | line.maximum << 96 | position << 192)
        self.words.extend(signature)
        return self


def sign_voucher(
    signer: Person, domain: dict[str, Any], channel: int, lines: list[SignedLine]
) -> tuple[int, int, int]:
    """Sign a voucher as its payer's wallet would; v, r, s."""
    message = {
        "channel": channel,
        "lines": [{name: getattr(line, name) for name in _UINT} for line in lines],
    }
    return sign(signer, domain, "Voucher", {"Voucher": _VOUCHER, "Line": _LINE}, message)


def sign_receipt(
    signer: Person, domain: dict[str, Any], receipt: dict[str, Any]
) -> tuple[int, int, int]:
    """Sign a receipt as its operator would; v, r, s."""
    fields = [{"name": name, "type": typ} for name, typ in RECEIPT_FIELDS.items()]
    return sign(signer, domain, "Receipt", {"Receipt": fields}, receipt)


def sign_root(signer: Person, domain: dict[str, Any], root: bytes) -> tuple[int, int, int]:
    """Sign the root of a tree of receipts as their operator would; v, r, s."""
    fields = [{"name": "root", "type": "bytes32"}]
    return sign(signer, domain, "ReceiptBatch", {"ReceiptBatch": fields}, {"root": root})


def receipt_for(channel: int, asset: int, terms: int, charged: int, time: int) -> dict[str, Any]:
    """Fill a receipt in for one call."""
    return {
        "channel": channel,
        "asset": asset,
        "version": 1,
        "terms": terms,
        "charged": charged,
        "request": b"\x11" * 32,
        "response": b"\x22" * 32,
        "units": 1,
        "time": time,
        "identity": 1,
    }


def settle_one(
    channels: Contract,
    operator: Person,
    channel: int,
    lines: list[SignedLine],
    signer: Person,
) -> int:
    """Sign one voucher and settle it in a batch of its own; what was taken."""
    ordered = sorted(lines, key=lambda line: (line.asset, line.terms))
    batch = Batch([(line.asset, line.terms) for line in ordered])
    signature = sign_voucher(signer, domain_of(channels), channel, ordered)
    batch.add(channel, ordered, compact(*signature))
    return int(channels("settle", batch.tills, batch.words, by=operator.address))
