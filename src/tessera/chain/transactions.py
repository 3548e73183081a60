"""Raw signed transactions, read far enough to put them in order: who, which nonce, what fee.

Everything else (funds, gas, code) is the node's to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import rlp
import sha3
from coincurve import PublicKey
from eth_utils.address import to_checksum_address

from tessera.chain.genesis import BLOCK_GAS_LIMIT
from tessera.errors import InputError, TooLarge

__all__ = ["SignedTransaction", "TransactionRefused", "decode_transaction"]

MAX_TRANSACTION_BYTES: Final = 128 * 1024
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_FIRST_LIST_BYTE: Final = 0xC0
_LEGACY, _ACCESS_LIST, _DYNAMIC_FEE = 0, 1, 2
_FIELDS: Final = {_LEGACY: 9, _ACCESS_LIST: 11, _DYNAMIC_FEE: 12}


class TransactionRefused(InputError):
    """The sender's transaction cannot be taken; nothing of it was kept."""


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """What ordering needs to know about a transaction.

    Parameters
    ----------
    raw
        As it was sent.
    hash
        keccak256 of `raw`, 0x-hex.
    sender
        Recovered from the signature; checksummed.
    nonce
        Of the sender.
    gas
        Its gas limit.
    max_fee, max_priority_fee
        Wei per gas; both are the gas price of a transaction that knows only that.
    kind
        0 legacy, 1 with an access list, 2 with dynamic fees.
    to
        None creates a contract.
    value
        Wei.
    data
        Call data or init code.
    """

    raw: bytes
    hash: str
    sender: str
    nonce: int
    gas: int
    max_fee: int
    max_priority_fee: int
    kind: int
    to: str | None
    value: int
    data: bytes

    def as_pending(self, chain_id: int) -> dict[str, Any]:
        """Return the JSON-RPC object of a transaction that is in no block yet."""
        fees = (
            {
                "maxFeePerGas": hex(self.max_fee),
                "maxPriorityFeePerGas": hex(self.max_priority_fee),
            }
            if self.kind == _DYNAMIC_FEE
            else {}
        )
        return {
            "type": hex(self.kind),
            "chainId": hex(chain_id),
            "hash": self.hash,
            "from": self.sender,
            "to": self.to,
            "nonce": hex(self.nonce),
            "gas": hex(self.gas),
            "gasPrice": hex(self.max_fee),
            **fees,
            "value": hex(self.value),
            "input": "0x" + self.data.hex(),
            "blockHash": None,
            "blockNumber": None,
            "transactionIndex": None,
        }


def decode_transaction(raw: bytes, *, chain_id: int) -> SignedTransaction:
    """Read a raw transaction and recover its sender.

    Parameters
    ----------
    raw
        Legacy RLP, or an EIP-2718 envelope of type 1 or 2.
    chain_id
        The chain that it must be signed for. A legacy transaction without a chain id is taken on
        any chain: contracts with one address everywhere are deployed by such transactions.

    Raises
    ------
    TransactionRefused
        It is malformed, of another type or chain, wants more gas than a block has, or its
        signature is not canonical.
    TooLarge
        Longer than 128 KiB.
    """
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise TooLarge(
            "transaction", found=f"{len(raw)} bytes", wanted=f"at most {MAX_TRANSACTION_BYTES}"
        )
    if not raw:
        raise TransactionRefused("transaction", found="0 bytes", wanted="a signed transaction")
    kind = _LEGACY if raw[0] >= _FIRST_LIST_BYTE else raw[0]
    if kind not in _FIELDS or (kind == _LEGACY and raw[0] < _FIRST_LIST_BYTE):
        raise TransactionRefused(
            "transaction type", found=raw[0], wanted="legacy, 1 or 2 (the chain runs cancun)"
        )
    fields = _decoded(raw[1:] if kind else raw, _FIELDS[kind])
    head = [] if kind == _LEGACY else [_number(fields[0], "chain id")]
    body = fields[len(head) :]
    y, r, s = (_number(part, "signature") for part in fields[-3:])
    signed_chain, parity, payload = _signed(kind, fields, y)
    if signed_chain is not None and signed_chain != chain_id:
        raise TransactionRefused(
            "invalid chain id for signer: transaction", found=signed_chain, wanted=str(chain_id)
        )
    nonce = _number(body[0], "nonce")
    if kind == _DYNAMIC_FEE:
        tip, fee = _number(body[1], "priority fee"), _number(body[2], "fee")
        body = body[3:]
    else:
        tip = fee = _number(body[1], "gas price")
        body = body[2:]
    gas, to, value = _number(body[0], "gas"), _bytes(body[1], "to"), _number(body[2], "value")
    if gas > BLOCK_GAS_LIMIT:
        raise TransactionRefused(
            "exceeds block gas limit: gas", found=gas, wanted=f"at most {BLOCK_GAS_LIMIT}"
        )
    if len(to) not in (0, 20):
        raise TransactionRefused("transaction: to", found=to, wanted="20 bytes, or none")
    return SignedTransaction(
        raw=raw,
        hash="0x" + sha3.keccak_256(raw).hexdigest(),
        sender=_recovered(payload, parity, r, s),
        nonce=nonce,
        gas=gas,
        max_fee=fee,
        max_priority_fee=tip,
        kind=kind,
        to=to_checksum_address(to) if to else None,
        value=value,
        data=_bytes(body[3], "data"),
    )


def _decoded(encoded: bytes, wanted: int) -> list[Any]:
    try:
        fields = rlp.decode(encoded, strict=True)
    except (rlp.DecodingError, RecursionError) as error:
        raise TransactionRefused(
            "transaction", found=str(error), wanted="a signed transaction in RLP"
        ) from None
    if not isinstance(fields, list) or len(fields) != wanted:
        raise TransactionRefused(
            "transaction",
            found=f"{len(fields)} fields" if isinstance(fields, list) else "no list",
            wanted=f"a signed transaction of {wanted} fields",
        )
    return fields


def _signed(kind: int, fields: list[Any], v: int) -> tuple[int | None, int, bytes]:
    """Return the chain id that was signed, the signature's parity and the signed bytes."""
    if kind != _LEGACY:
        return _number(fields[0], "chain id"), v, bytes([kind]) + rlp.encode(fields[:-3])
    if v in (27, 28):
        return None, v - 27, rlp.encode(fields[:6])
    chain_id, parity = divmod(v - 35, 2)
    return chain_id, parity, rlp.encode([*fields[:6], _big_endian(max(0, chain_id)), b"", b""])


def _recovered(payload: bytes, parity: int, r: int, s: int) -> str:
    if parity not in (0, 1) or not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
        raise TransactionRefused(
            "invalid signature: transaction", found="out of range", wanted="a canonical signature"
        )
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(
            signature, sha3.keccak_256(payload).digest(), hasher=None
        )
    except ValueError:
        raise TransactionRefused(
            "invalid signature: transaction", found="no point", wanted="a canonical signature"
        ) from None
    return to_checksum_address(sha3.keccak_256(key.format(compressed=False)[1:]).digest()[-20:])


def _bytes(field: object, name: str) -> bytes:
    if not isinstance(field, bytes):
        raise TransactionRefused(f"transaction: {name}", found="a list", wanted="bytes")
    return field


def _number(field: object, name: str) -> int:
    data = _bytes(field, name)
    if len(data) > 32 or data[:1] == b"\0":
        raise TransactionRefused(
            f"transaction: {name}", found=data, wanted="at most 32 bytes with no leading zero"
        )
    return int.from_bytes(data, "big")


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
