"""Money from end to end on the real contracts: deposit, calls, settlement, what comes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import openai
import pytest
from tests.integration.client.conftest import DELAY_S, PRICE, Stand, make_offers

from tessera.chain.sender import Sender
from tessera.client import Client
from tessera.errors import Busy, PaymentRequired, SignatureRejected, WrongChain
from tessera.payments.header import SignedReceipt, payment_header
from tessera.payments.onchain import AccountSigner, channels_domain
from tessera.payments.purse import Ticket
from tessera.spec.prices import Price
from tessera.spec.signatures import Signer, address_of, keccak
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

ONE = PRICE.cost_ceil(1, 0)


async def call(client: Client, times: int = 1, model: str = "parrot") -> None:
    async with client.async_openai(max_retries=0) as ai:
        for _ in range(times):
            await ai.embeddings.create(model=model, input="four")


async def nothing_due(stand: Stand) -> None:
    async with asyncio.timeout(60):
        while await stand.ledger.claims():  # noqa: ASYNC110 - the loop tells nobody
            await asyncio.sleep(0.05)


async def test_what_was_charged_is_settled_and_split_to_the_last_unit(stand: Stand) -> None:
    first, second = await stand.client(), await stand.client()
    await call(first, 3)
    await call(second, 2)
    await call(second, 4, model="parrot-1")
    world = stand.world
    async with world.reader() as reader:
        channels = world.channels
        before = [await reader.read(channels.demand_of(asset)) for asset in world.assets]
        held = await reader.read(world.dollar.balanceOf(channels.address))
        report = await stand.settler.settle()
        assert (report.total, report.skipped, report.refused) == (9 * ONE, [], [])
        assert len(report.results) == 1
        for client, spent in ((first, 3 * ONE), (second, 6 * ONE)):
            view = await asyncio.to_thread(client.channel)
            assert view.balance == 10**7 - spent
        # No asset has a Share, so flushing only moves income to its owner's credit.
        assert await reader.read(world.dollar.balanceOf(channels.address)) == held
        demand = [await reader.read(channels.demand_of(asset)) for asset in world.assets]
        assert demand[0] - before[0] >= 5 * ONE * 50 // 10_000
    assert (await stand.settler.settle()).results == []
    await call(first)
    assert (await stand.settler.settle()).total == ONE


async def test_the_loop_settles_when_too_much_is_at_risk(stand: Stand) -> None:
    stand.settler._rules = replace(stand.settler._rules, at_risk_units=5 * ONE)
    loop = asyncio.create_task(stand.settler.run())
    client = await stand.client()
    await call(client, 4)
    await asyncio.sleep(0.6)
    assert sum(claim.due for claim in await stand.ledger.claims()) == 4 * ONE
    await call(client, 1)
    await nothing_due(stand)
    loop.cancel()


async def test_a_consumer_who_withdraws_gets_the_rest_and_the_operator_its_due(
    stand: Stand,
) -> None:
    """A consumer takes back its deposit right after its calls, before the operator's next
    settlement: the delay lets the operator settle first, and the rest comes back without it."""
    loop = asyncio.create_task(stand.settler.run())
    client = await stand.client()
    await call(client, 3)
    await asyncio.to_thread(client.request_withdrawal)
    await asyncio.sleep(0.3)
    with pytest.raises(openai.ConflictError, match="withdrawal"):
        await call(client)
    await nothing_due(stand)
    loop.cancel()
    stand.world.node.rpc("evm_increaseTime", DELAY_S + 1)
    stand.world.node.mine()
    assert await asyncio.to_thread(client.withdraw) == 10**7 - 3 * ONE


async def test_an_operator_that_is_gone_cannot_keep_the_rest(stand: Stand) -> None:
    client = await stand.client()
    await call(client)
    await stand.server.stop()
    await asyncio.to_thread(client.request_withdrawal)
    stand.world.node.rpc("evm_increaseTime", DELAY_S + 1)
    stand.world.node.mine()
    # Nothing was settled, so even what was used comes back: the operator slept.
    assert await asyncio.to_thread(client.withdraw) == 10**7


async def test_a_call_above_the_clients_own_limit_is_never_sent(stand: Stand) -> None:
    client = await stand.client(max_call_cost=ONE)
    await call(client)
    with pytest.raises(PaymentRequired, match="as this client allows"):
        async with client.async_openai() as ai:
            await ai.embeddings.create(model="parrot", input="x" * 4_000)
    assert client.spent == ONE


async def test_a_price_that_was_raised_is_seen_before_it_is_paid(stand: Stand) -> None:
    client = await stand.client(max_call_cost=3 * ONE)
    await call(client)
    dearer = Price(2 * PRICE.per_call, 2 * PRICE.per_1k_in, 0)
    stand.models.replace(make_offers(stand.world, stand.parrot, dearer))
    await call(client)
    assert client.spent == ONE + dearer.cost_ceil(1, 0)
    much = Price(100 * PRICE.per_call)
    stand.models.replace(make_offers(stand.world, stand.parrot, much))
    with pytest.raises(PaymentRequired, match="as this client allows"):
        await call(client)


async def test_a_deposit_that_is_used_up_is_topped_up_only_if_that_was_allowed(
    stand: Stand,
) -> None:
    strict = await stand.client(deposit=3 * ONE, max_call_cost=ONE)
    await call(strict, 3)
    with pytest.raises(openai.APIStatusError, match="too little"):
        await call(strict)
    await asyncio.to_thread(strict.top_up, ONE)
    await asyncio.sleep(0.6)
    await call(strict)
    easy = await stand.client(deposit=3 * ONE, max_call_cost=ONE, top_up=5 * ONE)
    await call(easy, 8)
    assert easy.spent == 8 * ONE


async def test_a_restart_goes_on_with_the_same_channel_and_totals(stand: Stand) -> None:
    client = await stand.client()
    await call(client, 2)
    number, account = client.open(), client._account
    await asyncio.to_thread(client.close)
    again = await stand.client(account=account)
    await call(again)
    assert again.open() == number
    assert (again.spent, await stand.charged(number)) == (3 * ONE, 3 * ONE)


async def test_a_channel_is_found_by_its_event_and_its_number_cannot_be_guessed(
    stand: Stand,
) -> None:
    client = await stand.client()
    await call(client)
    number, account = client.open(), client._account
    names = address_of(account.address), address_of(stand.world.operator.address)
    counted = {channel_number(*names, index.to_bytes(32, "big")) for index in range(64)}
    assert number not in counted
    await asyncio.to_thread(client.request_withdrawal)
    await asyncio.to_thread(client.close)
    # One that is being emptied pays for nothing more; the next one is the latest from then on.
    again = await stand.client(account=account)
    await call(again)
    second = again.open()
    assert second not in {number, *counted}
    await asyncio.to_thread(again.close)
    third = await stand.client(account=account)
    assert await asyncio.to_thread(third.open) == second


async def test_a_lost_state_file_comes_back_from_signed_proof(stand: Stand) -> None:
    """The consumer's laptop is gone; with the key alone it finds its channel, and believes the
    operator as far as its own voucher and the operator's receipt reach."""
    client = await stand.client()
    await call(client, 2)
    number, account = client.open(), client._account
    await asyncio.to_thread(client.close)
    again = await stand.client(account=account, state_dir=None)
    await call(again)
    assert again.open() == number
    assert again.spent == 3 * ONE


async def test_two_clients_do_not_share_one_purse(stand: Stand) -> None:
    client = await stand.client()
    await call(client)
    other = await stand.client(account=client._account)
    with pytest.raises(Busy, match="in use by process"):
        await call(other)


async def test_an_operator_that_claims_more_than_was_signed_is_not_believed(
    stand: Stand,
) -> None:
    """The operator signs a receipt for more than the consumer ever promised, hoping that the next
    voucher starts from there. Its signature is genuine; the number is above every voucher."""
    client = await stand.client()
    await call(client)
    purse = client._purse_future().result()
    domain = channels_domain(stand.world.deployment)
    key = TillKey(stand.world.assets[0], 1)
    ticket = Ticket("0" * 32, key, ONE, keccak(b"request"))
    purse.begin(ticket)
    receipt = Receipt(
        purse.channel, key.asset, 3, 1, 2 * ONE + 1, keccak(b"request"), bytes(32), 1, 1, 1
    )
    signature = AccountSigner(stand.world.operator).sign(receipt_digest(domain, receipt))
    greedy = SignedReceipt(receipt, signature, ONE + 1, ticket.call)
    with pytest.raises(SignatureRejected, match="that were signed"):
        purse.end(ticket, greedy, None)
    with pytest.raises(SignatureRejected, match="that were signed"):
        purse.learn(greedy, None)
    stranger = Signer(keccak(b"stranger"))
    forged = SignedReceipt(receipt, stranger.sign(receipt_digest(domain, receipt)), 1, ticket.call)
    with pytest.raises(SignatureRejected, match="forged"):
        purse.end(ticket, forged, None)
    assert purse.charged == ONE


async def test_a_gateway_of_another_deployment_is_not_paid(stand: Stand) -> None:
    """A look-alike gateway names its own Channels contract, to have the deposit sent there."""
    client = await stand.client()
    terms = stand.server.gateway.cashier.terms
    other = type(terms)(
        domain=type(terms.domain)(terms.domain.chain_id, keccak(b"trap")[12:]),  # type: ignore[arg-type]
        operator=terms.operator,
        operator_key=terms.operator_key,
        currency=terms.currency,
        decimals=6,
        symbol="TUSD",
        withdraw_delay_s=1,
    )
    stand.server.gateway.cashier.terms = other
    with pytest.raises(WrongChain, match="Channels"):
        await call(client)


async def test_a_voucher_of_one_channel_is_worth_nothing_on_another(stand: Stand) -> None:
    """An operator presents a good voucher to the contract again: under another channel's number,
    with a raised maximum, and a second time. Only what was signed counts, and only once."""
    client, other = await stand.client(), await stand.client()
    await call(client)
    await call(other)
    await stand.settler.settle()
    purse = client._purse_future().result()
    key = TillKey(stand.world.assets[0], 1)
    signed = purse.begin(Ticket("1" * 32, key, 500, keccak(b"request")))
    raised = tuple(Line(line.asset, line.terms, line.maximum + 1) for line in signed.voucher.lines)
    elsewhere = Voucher(other.open(), signed.voucher.lines)
    claims = [
        (SignedVoucher(elsewhere, signed.signature), {key: ONE + 500}),
        (SignedVoucher(Voucher(purse.channel, raised), signed.signature), {key: ONE + 501}),
        (signed, {key: ONE + 500}),
        (signed, {key: ONE + 500}),
        (signed, {key: ONE + 499}),
    ]
    tills, words = encode_batch(claims)
    result = await stand.chain.settle(tills, words)
    assert result.total == 500
    reasons = [(channel, reason.name) for channel, reason in result.skipped]
    assert reasons == [
        (other.open(), "BAD_SIGNATURE"),
        (purse.channel, "BAD_SIGNATURE"),
        (purse.channel, "BELOW_SETTLED"),
    ]


async def test_somebody_elses_signature_opens_nothing_at_the_gateway(stand: Stand) -> None:
    client = await stand.client()
    await call(client)
    stranger = Signer(keccak(b"stranger"))
    voucher = Voucher(client.open(), (Line(stand.world.assets[0], 1, 10 * ONE),))
    domain = channels_domain(stand.world.deployment)
    digest = voucher_digest(domain, voucher.channel, voucher.lines)
    headers = {"tessera-payment": payment_header(SignedVoucher(voucher, stranger.sign(digest)))}

    def use() -> int:
        import httpx

        body = {"model": "parrot", "input": "four"}
        return httpx.post(
            f"{stand.server.url}/v1/embeddings", json=body, headers=headers
        ).status_code

    assert await asyncio.to_thread(use) == 401


async def test_a_session_key_pays_within_its_grants(stand: Stand) -> None:
    from tessera.bindings.channels import ChannelOpened, Grant
    from tessera.chain.wallet import Account

    payer, session = await stand.world.consumer(), Account.generate()
    world = stand.world
    async with world.reader() as reader, Sender(reader, payer) as sender:
        await sender.send(world.dollar.approve(world.channels.address, 10**6))
        grant = Grant(world.assets[0], 1, 2 * ONE, 2**40 - 1)
        receipt = await sender.send(
            world.channels.open(world.operator.address, bytes(32), 10**6, session.address, [grant])
        )
        number = receipt.one_of(ChannelOpened).channel
    client = await stand.client(account=payer, session_key=session, channel=number)
    await call(client, 2)
    with pytest.raises(openai.PermissionDeniedError, match="cap"):
        await call(client)
