from __future__ import annotations

import msgspec
import pytest

from tessera.assets.directory import AssetRecord
from tessera.assets.manifest import Kind
from tessera.errors import SignatureRejected
from tessera.payments.header import SignedReceipt
from tessera.serving.receipts import listed_signer
from tessera.spec.signatures import Address, Domain, Signer, address_text, keccak
from tessera.spec.vouchers import Receipt, receipt_digest

DOMAIN = Domain(31_337, Address(keccak(b"channels")[12:]))
OPERATOR = Signer(keccak(b"operator"))
ATTACKER = Signer(keccak(b"attacker"))
RECEIPT = Receipt(
    channel=1,
    asset=7,
    version=1,
    terms=1,
    charged=100,
    request=keccak(b"request"),
    response=keccak(b"response"),
    units=12,
    time=1_800_000_000,
    identity=1,
)


def signed_by(signer: Signer, domain: Domain = DOMAIN) -> SignedReceipt:
    return SignedReceipt(RECEIPT, signer.sign(receipt_digest(domain, RECEIPT)), 100, "0" * 32)


@pytest.fixture
def record() -> AssetRecord:
    operator = address_text(OPERATOR.address)
    return AssetRecord(
        *(7, 1, "mean", Kind.MODEL, operator, operator, operator, (), bytes(32)),
        endpoints={operator: None},  # type: ignore[dict-item]
    )


def test_a_receipt_is_good_where_the_chain_lists_its_signer(record: AssetRecord) -> None:
    assert listed_signer(signed_by(OPERATOR), DOMAIN, record) == OPERATOR.address


def test_a_receipt_of_anybody_else_or_of_another_chain_is_refused(record: AssetRecord) -> None:
    altered = msgspec.structs.replace(
        signed_by(OPERATOR), receipt=msgspec.structs.replace(RECEIPT, charged=1)
    )
    for forged in (
        signed_by(ATTACKER),
        signed_by(OPERATOR, Domain(1, DOMAIN.contract)),
        altered,
    ):
        with pytest.raises(SignatureRejected, match="an operator that the chain lists for mean"):
            listed_signer(forged, DOMAIN, record)
