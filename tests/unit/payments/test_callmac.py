from __future__ import annotations

import hashlib
import hmac

import pytest
from eth_keys.backends.native.jacobian import fast_multiply
from eth_keys.datatypes import PrivateKey
from tests.unit.payments.conftest import (
    CONSUMER,
    DOMAIN,
    EVIDENCE,
    KEY,
    OPERATOR,
    STRANGER,
    Books,
    quote,
    sign,
)

from tessera.errors import SignatureRejected
from tessera.payments.callers import SignedRequest
from tessera.payments.callmac import CallCodes, call_key, call_mac
from tessera.payments.ports import TypedSigner
from tessera.payments.purse import Purse, Ticket
from tessera.spec.signatures import Domain, Signer, keccak

NAME = "0123456789abcdef" * 2


def key_of(own: TypedSigner, other: TypedSigner, domain: Domain = DOMAIN) -> bytes:
    return call_key(
        domain, own, other.public_key, signer=CONSUMER.address, operator=OPERATOR.address
    )


def test_both_sides_compute_one_key_and_nobody_else_does() -> None:
    assert key_of(CONSUMER, OPERATOR) == key_of(OPERATOR, CONSUMER)
    others = {key_of(STRANGER, OPERATOR), key_of(STRANGER, CONSUMER), key_of(OPERATOR, STRANGER)}
    assert key_of(CONSUMER, OPERATOR) not in others
    elsewhere = [Domain(1, DOMAIN.contract), Domain(DOMAIN.chain_id, STRANGER.address)]
    keys = {key_of(CONSUMER, OPERATOR, domain) for domain in [DOMAIN, *elsewhere]}
    assert len(keys) == 3


def test_the_key_is_what_another_library_computes_from_the_page() -> None:
    """As docs/spec/vouchers.md says it, with none of our parts."""
    secret = int.from_bytes(keccak(b"consumer"), "big")
    operators = PrivateKey(keccak(b"operator")).public_key.to_bytes()
    point = int.from_bytes(operators[:32], "big"), int.from_bytes(operators[32:], "big")
    x, y = fast_multiply(point, secret)
    shared = hashlib.sha256(bytes([2 + y % 2]) + x.to_bytes(32, "big")).digest()
    drawn = hmac.new(bytes(32), shared, hashlib.sha256).digest()
    info = b"tessera call v1" + DOMAIN.separator + CONSUMER.address + OPERATOR.address
    derived = hmac.new(drawn, info + b"\x01", hashlib.sha256).digest()
    assert key_of(CONSUMER, OPERATOR) == derived


def test_a_code_is_of_one_channel_name_and_body() -> None:
    key = key_of(CONSUMER, OPERATOR)
    codes, mac = CallCodes(key), call_mac(key, 7, NAME, EVIDENCE.request)
    # Twice: what is kept of the key is not used up.
    for _ in range(2):
        assert codes.fit(mac, 7, NAME, EVIDENCE.request)
    assert not codes.fit(mac, 8, NAME, EVIDENCE.request)
    assert not codes.fit(mac, 7, "0" * 32, EVIDENCE.request)
    assert not codes.fit(mac, 7, NAME, EVIDENCE.response)
    assert not codes.fit(mac[:-1], 7, NAME, EVIDENCE.request)
    assert not CallCodes(key[::-1]).fit(mac, 7, NAME, EVIDENCE.request)


async def test_a_session_key_vouches_for_its_channels_only(books: Books) -> None:
    session = Signer(keccak(b"session"))
    channel = books.chain.open(signer=session)
    voucher = sign(channel, (KEY, 100), signer=session)
    payers = call_mac(key_of(CONSUMER, OPERATOR), channel, NAME, EVIDENCE.request)
    request = SignedRequest(NAME, EVIDENCE.request, mac=payers)
    with pytest.raises(SignatureRejected):
        await books.ledger.accept(voucher, quote(100), request)
    purse = Purse(DOMAIN, OPERATOR.address, channel, session)
    ticket = Ticket(NAME, KEY, 100, EVIDENCE.request)
    header, code = purse.vouch(ticket, OPERATOR.public_key)
    assert header == "tessera-call-mac"
    request = SignedRequest(NAME, EVIDENCE.request, mac=bytes.fromhex(code))
    books.ledger.fail(await books.ledger.accept(voucher, quote(100), request))


def test_a_purse_shares_its_key_with_nobody_but_the_operator() -> None:
    purse = Purse(DOMAIN, OPERATOR.address, 1, CONSUMER)
    ticket = Ticket(NAME, KEY, 100, EVIDENCE.request)
    for other in (STRANGER.public_key, b"\x02" + bytes(32)):
        with pytest.raises(SignatureRejected):
            purse.vouch(ticket, other)
    assert purse.vouch(ticket, None)[0] == "tessera-call-signature"
