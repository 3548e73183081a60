"""Attacks on x402's books: what a claimer writes beside calls, and in whose name a call is made."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.payments.x402.conftest import EVIDENCE, Payer
from x402.mechanisms.evm.batch_settlement.client.channel import build_channel_config

from tessera.errors import DataError
from tessera.payments.x402.batch import BatchCall
from tessera.payments.x402.wire import parse_payment
from tessera.spec.signatures import Address, address_text
from tessera.spec.x402_digests import DEPOSIT_COLLECTOR


async def test_attack_a_look_at_the_chain_does_not_write_a_charge_that_failed(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full while a call ends: it is not answered, and costs nothing. Then there is
    room again, and before the payer's next call the claimer looks at his channel. What it writes
    down held the charge that was taken back, and the payer paid for what he never got.
    """
    shop = payer.shop
    call = await payer.call(40_000, 30_000)
    assert isinstance(call, BatchCall)
    failing = await payer.begin(40_000)

    async def full(*_: object) -> None:
        raise DataError("books", found="a full disk", wanted="room")

    with monkeypatch.context() as patch:
        patch.setattr(shop.ledger, "issue", full)
        with pytest.raises(DataError):
            await shop.tender.finish(failing, 40_000, EVIDENCE)
    batch = shop.tender.batch
    (due,) = await batch.due()
    await batch.look(due.id)
    assert [book.charged for book in await batch.due()] == [30_000]
    (claim,) = await batch.claims_of(await batch.due())
    assert claim.charged == 30_000
    assert [book.charged for book in await batch.due()] == [30_000]


async def test_attack_a_claim_of_an_idle_channel_does_not_take_back_what_it_was_charged_since(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens ten thousand channels drives the others from memory. A round of claims that
    waits for its blocks read its channels minutes ago; what it then wrote about one that was used
    since, and forgotten again, made its vouchers good for a second time.
    """
    shop, batch = payer.shop, payer.shop.tender.batch
    monkeypatch.setattr("tessera.payments.x402.held._IN_MEMORY", 1)
    await payer.call(40_000, 30_000)
    due = await batch.due()
    await payer.call(40_000, 30_000)
    await Payer(shop, b"\x06" * 32).call(40_000, 30_000)
    (claim,) = await batch.claims_of(due)
    assert claim.charged == 30_000
    charged = {book.id: book.charged for book in await batch.due()}
    assert charged[due[0].id] == 60_000


async def test_attack_a_channel_in_a_holders_name_has_nothing_of_his_stake(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may bring money into a channel that names another as its payer, by a collector of
    his own, and sign its vouchers himself. So a stranger paid the holders' price, and stood where
    they stand in a queue, on shares that somebody else had locked.
    """
    shop, holder = payer.shop, Address(b"\x77" * 20)

    def named(*args: Any) -> Any:
        config = build_channel_config(*args)
        config.payer = address_text(holder)
        return config

    module = "x402.mechanisms.evm.batch_settlement.client.scheme.build_channel_config"
    monkeypatch.setattr(module, named)
    demand = shop.demand(40_000)
    payment = parse_payment(payer.head(demand).payment)
    assert payment.voucher is not None
    assert payment.voucher.config.payer == holder
    shop.chain.money[DEPOSIT_COLLECTOR] = 2_000_000
    shop.chain.model.deposit(payment.voucher.config, 2_000_000, DEPOSIT_COLLECTOR)
    payment = msgspec.structs.replace(payment, deposit=None)
    call = await shop.tender.batch.take(payment, demand.quote, demand.name, stream=False)
    assert call.payer == payer.address
    shop.tender.fail(call)
