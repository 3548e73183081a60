"""Whoever locked enough shares pays less, under terms of their own; nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import replace

import openai
import pytest
from tests.integration.client.conftest import Stand
from tests.integration.gateway.conftest import PRICE

from tessera.assets.directory import Discount
from tessera.client import Client
from tessera.spec.signatures import address_of

DISCOUNT = Discount(bps=2_500, terms=2, min_locked=10**18)


class Written:
    """Locked raw shares, from a table."""

    def __init__(self) -> None:
        self.amounts: dict[Hashable, int] = {}

    def locked(self, asset: int, payer: Hashable) -> float:
        return self.amounts.get(payer, 0) / 10**24

    async def amount(self, asset: int, payer: Hashable) -> int:
        return self.amounts.get(payer, 0)


@pytest.fixture
def stakes(stand: Stand) -> Written:
    written = Written()
    stand.server.gateway.cashier._stakes = written
    discounted = [replace(offer, discount=DISCOUNT) for offer in stand.models.offers()]
    stand.models.replace(discounted)
    return written


async def call(client: Client) -> None:
    with client.openai(max_retries=0) as api:
        await asyncio.to_thread(api.embeddings.create, model="parrot", input=["four", "words"])


async def test_a_holder_is_charged_the_lower_price_on_the_lower_line(
    stand: Stand, stakes: Written
) -> None:
    account = await stand.world.consumer(10**9)
    stakes.amounts[address_of(account.address)] = DISCOUNT.min_locked
    client = await stand.client(account=account, holders=True)
    await call(client)
    (receipt,) = client.receipts
    assert receipt.receipt.terms == DISCOUNT.terms
    assert receipt.cost == PRICE.discounted(2_500).cost_ceil(3, 0) < PRICE.cost_ceil(3, 0)


async def test_whoever_locked_too_little_is_told_what_is_missing_and_pays_nothing(
    stand: Stand, stakes: Written
) -> None:
    account = await stand.world.consumer(10**9)
    stakes.amounts[address_of(account.address)] = DISCOUNT.min_locked - 1
    client = await stand.client(account=account, holders=True)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await call(client)
    assert "locked by the payer" in str(refused.value)
    assert stand.ledger.in_flight == 0
    assert client.receipts == ()
    await asyncio.to_thread(client.close)
    plain = await stand.client(account=account)
    await call(plain)
    assert plain.receipts[-1].receipt.terms == 1
    assert plain.receipts[-1].cost == PRICE.cost_ceil(3, 0)


async def test_a_discount_that_has_ended_is_seen_before_the_next_call_is_paid(
    stand: Stand, stakes: Written
) -> None:
    account = await stand.world.consumer(10**9)
    stakes.amounts[address_of(account.address)] = 10**20
    client = await stand.client(account=account, holders=True)
    await call(client)
    stand.models.replace([replace(offer, discount=None) for offer in stand.models.offers()])
    await call(client)
    assert [signed.receipt.terms for signed in client.receipts] == [2, 1]
    assert client.receipts[-1].cost == PRICE.cost_ceil(3, 0)
