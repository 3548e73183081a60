"""Somebody else's voucher: all may read it in a settlement, and it is worth nothing to a thief."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable

import httpx
import pytest
from tests.integration.gateway.conftest import PARROT, Shop, code_of_call, sign_call
from tests.unit.payments.conftest import CONSUMER, DOMAIN, OPERATOR, STRANGER

from tessera.payments.callmac import call_key, call_mac
from tessera.spec.signatures import keccak
from tessera.spec.vouchers import call_digest

PATH = "/v1/embeddings"
MINE = json.dumps({"model": "parrot", "input": "four"}).encode()
THEIRS = json.dumps({"model": "parrot", "input": "for me"}).encode()

Vouching = tuple[str, Callable[[dict[str, str], bytes], str]]
MAC: Vouching = ("tessera-call-mac", code_of_call)
SIGNATURE: Vouching = ("tessera-call-signature", sign_call)


async def bought(shop: Shop, vouching: Vouching = MAC) -> tuple[int, dict[str, str]]:
    """Pay 101 of a voucher for 5,000; the rest is what a thief is after."""
    channel = shop.books.chain.open(10**6)
    paid = shop.pay(channel, (PARROT, 5_000))
    header, vouch = vouching
    paid[header] = vouch(paid, MINE)
    answer = await shop.http.post(PATH, content=MINE, headers=paid)
    assert answer.status_code == 200
    return channel, paid


async def steal(shop: Shop, headers: dict[str, str], body: bytes) -> httpx.Response:
    async with httpx.AsyncClient(base_url=shop.url) as http:
        return await http.post(PATH, content=body, headers=headers)


async def test_a_voucher_copied_from_the_channels_page_pays_nobody_elses_call(shop: Shop) -> None:
    """Channel numbers are on the chain, and a channel's page shows the voucher it is settled on.
    A thief sends that voucher with a request of his own: the maximum that the consumer signed for
    a long answer, and did not use up, would pay for him, again after every call. He can sign, and
    make codes, with every key but the consumer's and the operator's."""
    channel, _ = await bought(shop)
    page = (await shop.http.get(f"/v1/channels/{channel}/receipts")).json()
    before = await shop.charged(channel)
    copied = {"tessera-payment": page["voucher"], "tessera-call": secrets.token_hex(16)}
    signature = STRANGER.sign(
        call_digest(DOMAIN, channel, bytes.fromhex(copied["tessera-call"]), keccak(THEIRS))
    )
    own = call_key(
        DOMAIN, STRANGER, OPERATOR.public_key, signer=CONSUMER.address, operator=OPERATOR.address
    )
    theirs = call_key(
        DOMAIN, STRANGER, CONSUMER.public_key, signer=CONSUMER.address, operator=OPERATOR.address
    )
    codes = [
        call_mac(key, channel, copied["tessera-call"], keccak(THEIRS)) for key in (own, theirs)
    ]
    for headers in (
        copied,
        copied | {"tessera-call-signature": "0x" + signature.hex()},
        copied | {"tessera-call-signature": "0xzz"},
        *(copied | {"tessera-call-mac": code.hex()} for code in codes),
        copied | {"tessera-call-mac": "00" * 32},
        copied | {"tessera-call-mac": "00"},
        copied | {"tessera-call-mac": ""},
    ):
        answer = await steal(shop, headers, THEIRS)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "signature_rejected"
    assert await shop.charged(channel) == before
    assert shop.books.ledger.in_flight == 0


@pytest.mark.parametrize("vouching", [MAC, SIGNATURE], ids=["mac", "signature"])
async def test_a_request_seen_on_its_way_can_be_neither_changed_nor_repeated(
    shop: Shop, vouching: Vouching
) -> None:
    """Without TLS somebody reads a whole request. He sends it with another body, under another
    name, on another channel of the same payer, and just as it was."""
    channel, paid = await bought(shop, vouching)
    before = await shop.charged(channel)
    other = shop.pay(shop.books.chain.open(10**6, salt=1), (PARROT, 5_000))["tessera-payment"]
    assert (await steal(shop, paid, THEIRS)).status_code == 401
    renamed = paid | {"tessera-call": secrets.token_hex(16)}
    assert (await steal(shop, renamed, MINE)).status_code == 401
    assert (await steal(shop, paid | {"tessera-payment": other}, MINE)).status_code == 401
    again = await steal(shop, paid, MINE)
    assert again.status_code == 409
    assert "asked before" in again.json()["error"]["message"]
    assert await shop.charged(channel) == before


async def test_a_request_is_not_repeated_after_the_gateway_began_anew(shop: Shop) -> None:
    """Who read a request in clear waits for a restart, at which the names of answered calls would
    be forgotten if they were in memory only, and sends it again: what its voucher leaves over
    would pay for a second answer."""
    channel, paid = await bought(shop)
    await shop.restart()
    before = await shop.charged(channel)
    again = await steal(shop, paid, MINE)
    assert again.status_code == 409
    assert await shop.charged(channel) == before
    # And the key of the codes comes back with the next voucher, from nowhere but the two keys.
    assert (await steal(shop, shop.pay(channel, (PARROT, 5_000)), MINE)).status_code == 401
    fresh = shop.pay(channel, (PARROT, 5_000))
    assert (await shop.http.post(PATH, content=MINE, headers=fresh)).status_code == 200
