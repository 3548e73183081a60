from __future__ import annotations

import asyncio

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    EVIDENCE,
    KEY,
    OPERATOR,
    Books,
    quote,
    sign,
)

from tessera.errors import InputError, InvariantViolation, SignatureRejected
from tessera.payments.header import SignedReceipt, parse_receipt, receipt_json
from tessera.payments.purse import Purse, Ticket
from tessera.payments.receipting import ReceiptSealer, proved, vouched
from tessera.spec.merkle import MerkleTree, leads_to
from tessera.spec.receipt_batches import MAX_PROOF, ReceiptBatch, batch_digest, signed_digest
from tessera.spec.signatures import address_text, keccak, recover
from tessera.spec.vouchers import Receipt, receipt_digest

RECEIPT = Receipt(7, 9, 1, 1, 0, EVIDENCE.request, EVIDENCE.response, 3, 1_800_000_000, 1)


def receipts(count: int) -> list[Receipt]:
    return [structs.replace(RECEIPT, charged=number) for number in range(count)]


@given(st.integers(1, 70))
def test_each_receipt_leads_to_what_was_signed(count: int) -> None:
    made = receipts(count)
    digests = [receipt_digest(DOMAIN, receipt) for receipt in made]
    batch = ReceiptBatch(DOMAIN, digests)
    tree = MerkleTree(digests)
    for receipt, digest in zip(made, digests, strict=True):
        proof = batch.proof(digest)
        assert signed_digest(DOMAIN, receipt, proof) == batch.to_sign
        assert tree.proof(digest) == proof
        assert leads_to(digest, proof, tree.root)
        assert len(proof) <= (count - 1).bit_length()
        assert count == 1 or signed_digest(DOMAIN, RECEIPT, ()) != batch.to_sign


def test_a_wallet_signs_the_same_root() -> None:
    root = keccak(b"root")
    message = encode_typed_data(
        domain_data={
            "name": DOMAIN.name,
            "version": DOMAIN.version,
            "chainId": DOMAIN.chain_id,
            "verifyingContract": address_text(DOMAIN.contract),
        },
        message_types={"ReceiptBatch": [{"name": "root", "type": "bytes32"}]},
        message_data={"root": root},
    )
    signed = Account.sign_message(message, keccak(b"operator"))
    assert recover(batch_digest(DOMAIN, root), bytes(signed.signature)) == OPERATOR.address


def test_a_proof_that_the_contract_would_not_take_is_refused() -> None:
    for proof in ([bytes(32)] * (MAX_PROOF + 1), [bytes(31)], [bytes(32), bytes(64)]):
        with pytest.raises(InputError):
            signed_digest(DOMAIN, RECEIPT, proof)


def test_a_batch_of_nothing_or_too_much_is_refused() -> None:
    with pytest.raises(InputError):
        ReceiptBatch(DOMAIN, [])
    with pytest.raises(InputError):
        ReceiptBatch(DOMAIN, (number.to_bytes(32, "big") for number in range(65_537)))


def test_a_consumer_believes_a_receipt_of_a_batch_and_none_beside_it() -> None:
    """The operator signed a batch; it shows a receipt that charges more with a proof out of it, or
    this consumer the receipt of another, or a proof that was cut."""
    purse = Purse(DOMAIN, OPERATOR.address, 7, CONSUMER)
    ticket = Ticket("0" * 32, KEY, 10_000, EVIDENCE.request)
    purse.begin(ticket)
    own = structs.replace(RECEIPT, asset=KEY.asset, terms=KEY.terms, charged=100)
    others = receipts(4)
    digest = receipt_digest(DOMAIN, own)
    batch = ReceiptBatch(DOMAIN, [digest, *(receipt_digest(DOMAIN, r) for r in others)])
    signature, proof = OPERATOR.sign(batch.to_sign), batch.proof(digest)
    good = SignedReceipt(own, signature, 100, ticket.call, proof)
    for forged in (
        structs.replace(good, receipt=structs.replace(own, charged=200)),
        structs.replace(good, receipt=others[1]),
        structs.replace(good, proof=proof[:-1]),
        structs.replace(good, proof=()),
        structs.replace(good, signature=CONSUMER.sign(batch.to_sign)),
    ):
        with pytest.raises(SignatureRejected):
            purse.end(ticket, forged, None)
    assert purse.end(ticket, good, EVIDENCE.response) == 100


def test_a_receipt_with_a_proof_of_wrong_size_is_no_receipt() -> None:
    signed = SignedReceipt(RECEIPT, bytes(65), 0, "0" * 32, (bytes(32),) * 17)
    for wrong in (
        signed,
        structs.replace(signed, proof=(bytes(31),)),
        structs.replace(signed, proof=(bytes(32), b"\0")),
    ):
        with pytest.raises(SignatureRejected):
            parse_receipt(receipt_json(wrong, DOMAIN, OPERATOR.address))


async def test_calls_that_reach_the_disk_together_share_one_signature(books: Books) -> None:
    """And the books, which keep the root and no proof, show each receipt as it was answered."""
    channel = books.chain.open(10**6)
    calls = [
        await books.accept(sign(channel, (KEY, 100 * number)), quote(100), f"{number:032x}")
        for number in range(1, 31)
    ]
    free = [books.ledger.accept_free(quote(0), f"{number:032x}") for number in range(100, 103)]
    made = await asyncio.gather(
        *(books.ledger.finish(call, 100 if call.channel else 0, EVIDENCE) for call in calls + free)
    )
    assert len({signed.signature for signed in made}) == 1
    # Free calls of one second with one body and one answer are one receipt.
    assert len({signed.id(DOMAIN) for signed in made}) == len(calls) + 1
    alone = await books.ledger.finish(
        await books.accept(sign(channel, (KEY, 3_100)), quote(100), "f" * 32), 100, EVIDENCE
    )
    assert alone.proof == ()
    for _ in range(2):
        for signed in (*made, alone):
            signed.verify(DOMAIN, OPERATOR.address)
            if signed.receipt.channel:
                assert await books.ledger.receipt(signed.id(DOMAIN)) == signed
                assert await books.ledger.receipt_of_call(channel, signed.call) == signed
        await books.reopen()
    assert await books.ledger.latest_receipts(channel) == [alone]


def test_free_calls_that_are_one_receipt_need_no_tree() -> None:
    digest = receipt_digest(DOMAIN, RECEIPT)
    seal = ReceiptSealer(DOMAIN, OPERATOR)([digest, digest])
    assert seal.root is None
    for index in range(2):
        signature, proof = vouched(seal, index)
        SignedReceipt(RECEIPT, signature, 0, "0" * 32, proof).verify(DOMAIN, OPERATOR.address)


def test_a_kept_batch_that_was_changed_is_noticed() -> None:
    digests = [receipt_digest(DOMAIN, receipt) for receipt in receipts(5)]
    seal = ReceiptSealer(DOMAIN, OPERATOR)(digests)
    assert proved(DOMAIN, seal._replace(proofs=()), digests) == seal
    for changed in (digests[:4], [*digests[:4], keccak(b"another")]):
        with pytest.raises(InvariantViolation):
            proved(DOMAIN, seal, changed)
