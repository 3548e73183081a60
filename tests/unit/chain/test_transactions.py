"""Raw transactions are read exactly as eth_account wrote them."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from tessera.chain.transactions import TransactionRefused, decode_transaction
from tessera.errors import TooLarge

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CONSUMER = Account.from_key(b"\x09" * 32)
KINDS = st.sampled_from([0, 1, 2])


@st.composite
def transactions(draw: st.DrawFn) -> dict[str, Any]:
    fee = draw(st.integers(0, 2**100))
    kind = draw(KINDS)
    fields: dict[str, Any] = {
        "chainId": 31337,
        "nonce": draw(st.integers(0, 2**63)),
        "gas": draw(st.integers(21_000, 300_000_000)),
        "value": draw(st.integers(0, 2**255)),
        "data": draw(st.binary(max_size=60)),
    }
    recipient = draw(st.none() | st.binary(min_size=20, max_size=20))
    if recipient is not None:
        fields["to"] = recipient
    if kind == 2:
        fields |= {
            "type": 2,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": draw(st.integers(0, fee)),
        }
    else:
        fields["gasPrice"] = fee
    if kind:
        fields["type"] = kind
        fields["accessList"] = [
            {"address": "0x" + address.hex(), "storageKeys": ["0x" + "01" * 32]}
            for address in draw(st.lists(st.binary(min_size=20, max_size=20), max_size=2))
        ]
    return fields


@given(transactions())
def test_what_was_signed_is_what_is_read(fields: dict[str, Any]) -> None:
    signed = CONSUMER.sign_transaction(fields)
    read = decode_transaction(bytes(signed.raw_transaction), chain_id=31337)
    assert read.hash == "0x" + signed.hash.hex()
    assert read.sender == CONSUMER.address
    assert (read.nonce, read.gas, read.value) == (fields["nonce"], fields["gas"], fields["value"])
    assert read.data == fields["data"]
    assert read.kind == fields.get("type", 0)
    assert (read.to is None) == ("to" not in fields)
    assert read.max_fee == fields.get("maxFeePerGas", fields.get("gasPrice"))
    shown = read.as_pending(31337)
    assert shown["from"] == CONSUMER.address
    assert int(shown["nonce"], 16) == fields["nonce"]


@given(st.binary(max_size=300))
def test_noise_is_refused_and_never_raises_anything_else(raw: bytes) -> None:
    with pytest.raises(TransactionRefused):
        decode_transaction(raw, chain_id=31337)


@given(transactions(), st.data())
def test_a_changed_byte_never_keeps_both_sender_and_content(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    raw = bytearray(CONSUMER.sign_transaction(fields).raw_transaction)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_transaction(bytes(raw), chain_id=31337)
    except TransactionRefused:
        return
    assert read.sender != CONSUMER.address


def test_a_legacy_transaction_without_chain_id_is_taken_anywhere() -> None:
    fields = {"nonce": 0, "gasPrice": 1, "gas": 21_000, "to": b"\1" * 20, "value": 1, "data": b""}
    raw = bytes(CONSUMER.sign_transaction(fields).raw_transaction)
    assert decode_transaction(raw, chain_id=31337).sender == CONSUMER.address


def test_another_chain_is_refused_in_every_kind() -> None:
    for kind in ({"gasPrice": 1}, {"gasPrice": 1, "type": 1, "accessList": []}):
        fields = {"chainId": 1, "nonce": 0, "gas": 21_000, "to": b"\1" * 20, "value": 1, **kind}
        raw = bytes(CONSUMER.sign_transaction(fields).raw_transaction)
        with pytest.raises(TransactionRefused, match="chain id .* found 1, wanted 31337"):
            decode_transaction(raw, chain_id=31337)


def test_a_high_s_signature_is_refused() -> None:
    fields = {"chainId": 31337, "nonce": 0, "gasPrice": 1, "gas": 21_000, "to": b"\1" * 20}
    parts = rlp.decode(bytes(CONSUMER.sign_transaction({**fields, "value": 1}).raw_transaction))
    v, s = int.from_bytes(parts[6], "big"), int.from_bytes(parts[8], "big")
    flipped_v = 35 + 31337 * 2 + (1 - (v - 35 - 31337 * 2))
    malleated = rlp.encode([*parts[:6], flipped_v, parts[7], ORDER - s])
    with pytest.raises(TransactionRefused, match="invalid signature"):
        decode_transaction(malleated, chain_id=31337)


def test_blobs_authorisations_and_giants_are_refused_by_name() -> None:
    for kind in (3, 4, 0x7F, 0):
        with pytest.raises(TransactionRefused, match="transaction type"):
            decode_transaction(bytes([kind]) + b"\xc0", chain_id=31337)
    with pytest.raises(TooLarge, match="131073 bytes"):
        decode_transaction(b"\x02" + b"\0" * 131_072, chain_id=31337)
