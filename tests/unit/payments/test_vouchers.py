"""Hashes and signatures against eth_account, the wallets' own, and the form that settle takes."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import InputError, SignatureRejected
from tessera.spec.signatures import (
    HALF_ORDER,
    ZERO_ADDRESS,
    Address,
    Domain,
    Signer,
    address_of,
    address_text,
    compact,
    expand,
    keccak,
    recover,
    recover_compact,
)
from tessera.spec.vouchers import (
    Line,
    Receipt,
    SignedVoucher,
    TillKey,
    Voucher,
    channel_number,
    encode_batch,
    receipt_digest,
    voucher_digest,
)

DOMAIN = Domain(31_337, Address(keccak(b"contract")[12:]))
KEY = keccak(b"a key")
SIGNER = Signer(KEY)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

uint = {bits: st.integers(0, 2**bits - 1) for bits in (8, 32, 64, 96, 240)}
line_keys = st.tuples(uint[240], uint[32])
line_lists = st.dictionaries(line_keys, uint[96], min_size=1, max_size=16).map(
    lambda found: tuple(Line(*key, found[key]) for key in sorted(found))
)
hashes = st.binary(min_size=32, max_size=32)
receipts = st.builds(
    Receipt,
    channel=uint[64],
    asset=uint[240],
    version=uint[32],
    terms=uint[32],
    charged=uint[96],
    request=hashes,
    response=hashes,
    units=uint[64],
    time=uint[64],
    identity=uint[8],
)


def typed(kind: str, types: dict[str, list[tuple[str, str]]], message: dict[str, Any]) -> Any:
    return encode_typed_data(
        {
            "name": "Tessera Channels",
            "version": "1",
            "chainId": DOMAIN.chain_id,
            "verifyingContract": address_text(DOMAIN.contract),
        },
        {
            name: [{"name": field, "type": of} for of, field in fields]
            for name, fields in types.items()
        },
        message,
    )


def digest_of(message: Any) -> bytes:
    return keccak(b"\x19" + message.version + message.header + message.body)


@given(uint[64], line_lists)
def test_a_voucher_hashes_as_wallets_hash_it(channel: int, lines: tuple[Line, ...]) -> None:
    types = {
        "Voucher": [("uint64", "channel"), ("Line[]", "lines")],
        "Line": [("uint256", "asset"), ("uint32", "terms"), ("uint96", "maximum")],
    }
    message = typed(
        "Voucher", types, {"channel": channel, "lines": [line._asdict() for line in lines]}
    )
    assert voucher_digest(DOMAIN, channel, lines) == digest_of(message)


@given(receipts)
def test_a_receipt_hashes_as_wallets_hash_it(receipt: Receipt) -> None:
    types = {
        "Receipt": [
            ("uint64", "channel"),
            ("uint256", "asset"),
            ("uint32", "version"),
            ("uint32", "terms"),
            ("uint96", "charged"),
            ("bytes32", "request"),
            ("bytes32", "response"),
            ("uint64", "units"),
            ("uint64", "time"),
            ("uint8", "identity"),
        ]
    }
    fields = {name: getattr(receipt, name) for _, name in types["Receipt"]}
    assert receipt_digest(DOMAIN, receipt) == digest_of(typed("Receipt", types, fields))


@given(hashes)
def test_signing_and_recovering_agree_with_eth_account(digest: bytes) -> None:
    theirs = EthAccount.from_key(KEY)
    assert address_text(SIGNER.address) == theirs.address
    signature = SIGNER.sign(digest)
    assert signature == bytes(theirs.unsafe_sign_hash(digest).signature)
    assert recover(digest, signature) == SIGNER.address
    r, vs = compact(signature)
    assert expand(r, vs) == signature
    assert recover_compact(digest, r, vs) == SIGNER.address


def test_a_high_s_is_nobodys_signature() -> None:
    """Every signature has a twin with s' = n - s that recovers to the same key; accepted, it
    would let anyone make a second, different signature out of a first."""
    digest = keccak(b"message")
    signature = SIGNER.sign(digest)
    s = int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes((55 - signature[64],))
    assert ORDER - s > HALF_ORDER
    assert recover(digest, twin) == ZERO_ADDRESS
    with pytest.raises(SignatureRejected, match="low s"):
        compact(twin)


@pytest.mark.parametrize(
    "signature",
    [
        bytes(65),
        bytes(64) + b"\x1b",
        b"\xff" * 64 + b"\x1b",
        SIGNER.sign(keccak(b"message"))[:64] + b"\x00",
        SIGNER.sign(keccak(b"message"))[:64] + b"\x1d",
        SIGNER.sign(keccak(b"message"))[:64],
        b"",
    ],
)
def test_garbage_recovers_to_the_zero_address(signature: bytes) -> None:
    """ecrecover answers the zero address for garbage; a channel whose signer were zero would then
    accept anything, so zero is refused wherever a signer is compared."""
    assert recover(keccak(b"message"), signature) == ZERO_ADDRESS


def test_an_address_with_a_wrong_digit_is_refused_by_its_checksum() -> None:
    text = address_text(SIGNER.address)
    assert address_of(text) == SIGNER.address
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    if wrong[2:] not in {wrong[2:].lower(), wrong[2:].upper()}:
        with pytest.raises(SignatureRejected):
            address_of(wrong)
    with pytest.raises(SignatureRejected):
        address_of("0x12")


def test_a_channel_number_is_the_low_bits_of_the_hash() -> None:
    payer, operator = SIGNER.address, Address(keccak(b"operator")[12:])
    salt = keccak(b"salt")
    whole = keccak(bytes(12) + payer + bytes(12) + operator + salt)
    assert channel_number(payer, operator, salt) == int.from_bytes(whole, "big") % 2**64


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (Line(2, 0, 1), Line(1, 0, 1)),
        (Line(1, 0, 1), Line(1, 0, 2)),
        (Line(1, 1, 2**96),),
        (Line(1, 2**32, 1),),
        tuple(Line(i, 0, 1) for i in range(17)),
    ],
)
def test_a_voucher_refuses_lines_that_the_contract_would(lines: tuple[Line, ...]) -> None:
    with pytest.raises(InputError):
        Voucher(1, lines)


def test_a_batch_names_each_till_once_and_keeps_every_line() -> None:
    first = SignedVoucher(Voucher(5, (Line(1, 1, 100), Line(2, 1, 50))), SIGNER.sign(keccak(b"1")))
    second = SignedVoucher(Voucher(6, (Line(2, 1, 9),)), SIGNER.sign(keccak(b"2")))
    tills, words = encode_batch([(first, {TillKey(2, 1): 40}), (second, {TillKey(2, 1): 9})])
    assert tills == [(1, 1), (2, 1)]
    assert words[0] == 5 | 2 << 64
    assert words[1] == 0 | 100 << 96 | 0 << 192
    assert words[2] == 40 | 50 << 96 | 1 << 192
    assert words[3:5] == list(compact(first.signature))
    assert words[5:7] == [6 | 1 << 64, 9 | 9 << 96 | 1 << 192]


def test_a_batch_refuses_to_claim_more_than_was_signed() -> None:
    signed = SignedVoucher(Voucher(5, (Line(1, 1, 100),)), SIGNER.sign(keccak(b"1")))
    with pytest.raises(InputError, match="maximum 100"):
        encode_batch([(signed, {TillKey(1, 1): 101})])
    with pytest.raises(InputError, match="a line that was signed"):
        encode_batch([(signed, {TillKey(3, 1): 1})])
