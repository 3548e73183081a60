"""Vouchers and receipts survive their journey, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.payments.conftest import DOMAIN, OPERATOR
from tests.unit.payments.test_vouchers import line_lists, receipts, uint

from tessera.errors import InputError, SignatureRejected
from tessera.payments.header import (
    MAX_HEADER_BYTES,
    SignedReceipt,
    parse_call_id,
    parse_payment,
    parse_proof,
    parse_receipt,
    payment_header,
    proof_header,
    receipt_json,
)
from tessera.spec.receipt_batches import ReceiptBatch
from tessera.spec.vouchers import SignedVoucher, Voucher, receipt_digest


@given(uint[64], line_lists, st.binary(min_size=65, max_size=65))
def test_a_voucher_survives_its_header(channel: int, lines: tuple, signature: bytes) -> None:  # type: ignore[type-arg]
    signed = SignedVoucher(Voucher(channel, lines), signature)
    value = payment_header(signed)
    assert len(value) <= MAX_HEADER_BYTES
    assert parse_payment(value) == signed


@given(receipts, uint[96], st.lists(st.binary(min_size=32, max_size=32), max_size=16))
def test_a_receipt_survives_its_json(receipt, cost: int, others: list[bytes]) -> None:  # type: ignore[no-untyped-def]
    digest = receipt_digest(DOMAIN, receipt)
    batch = ReceiptBatch(DOMAIN, [digest, *others])
    signature, proof = OPERATOR.sign(batch.to_sign), batch.proof(digest)
    signed = SignedReceipt(receipt, signature, cost, "0" * 32, proof)
    body = receipt_json(signed, DOMAIN, OPERATOR.address)
    assert parse_receipt(body) == signed
    assert parse_proof(proof_header(body)) == signed
    signed.verify(DOMAIN, OPERATOR.address)


@given(st.text())
def test_no_text_crashes_the_reader(text: str) -> None:
    for reader in (parse_payment, parse_proof, parse_receipt):
        with pytest.raises((SignatureRejected, InputError)):
            reader(text)  # type: ignore[operator]
    if len(text) != 32:
        with pytest.raises(SignatureRejected):
            parse_call_id(text.encode())
