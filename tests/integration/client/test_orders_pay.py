"""An order in place of a voucher, on a real chain: bought, used, proved, paid out, and refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from tests.integration.chain_client.bare_node import BareNode
from tests.integration.client.conftest import Stand, World, built

from tessera.bindings import Access
from tessera.bindings.storefront import Kind, Product
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.client import Client
from tessera.errors import TesseraError, TransactionReverted
from tessera.ownership import access as rights
from tessera.spec.signatures import keccak
from tessera.units import AssetId, Units

UNIT = 10**6
FOREVER_S = 90 * 86_400


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A chain of its own: on the others' time is moved, and here it must be the gateway's."""
    home = tmp_path_factory.mktemp("orders")
    node = BareNode.start(home)
    try:
        yield asyncio.run(built(node, home))
    finally:
        node.end()


@dataclass
class Shop:
    """A product of the parrot, and people who use it."""

    stand: Stand
    access: Access
    product: Product

    @property
    def world(self) -> World:
        return self.stand.world

    async def order(self, who: Account, units: int = 1) -> int:
        """Buy and redeem."""
        async with self.world.reader() as reader, Sender(reader, who) as sender:
            _, number, _ = await rights.buy(
                sender,
                self.access,
                self.world.dollar,
                units,
                max_cost=Units(10**12),
                receiver=who.address,
                order=True,
            )
        assert number is not None
        return number

    async def client(self, who: Account, order: int, **more: Any) -> Client:
        return await self.stand.client(
            account=who, deposit=0, access=(self.access.address, order), **more
        )

    async def send(self, who: Account, call: Any) -> Any:
        async with self.world.reader() as reader, Sender(reader, who) as sender:
            return await sender.send(call)


async def open_shop(stand: Stand, **changes: Any) -> Shop:
    world = stand.world
    product = Product(
        operator=world.operator.address,
        kind=Kind.COUNT,
        price=UNIT,
        per_unit=2,
        cap=1_000,
        most_per_account=0,
        serve_window=86_400,
        royalty_bps=500,
        scope=1,
        newest_version=0,
        document=keccak(b"the licence"),
        license="LicenseRef-Calls",
        name="Calls",
        symbol="CALL",
    )
    product = replace(product, **changes)
    async with world.reader() as reader, Sender(reader, world.publisher) as sender:
        made, _ = await rights.create(
            sender, world.deployment.storefront, AssetId(world.assets[0]), product
        )
    return Shop(stand, made, product)


def ask(client: Client, text: str = "hello", model: str = "parrot") -> httpx.Response:
    with client.http() as http:
        return http.post("/v1/embeddings", json={"model": model, "input": text})


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def test_an_order_pays_until_it_is_used_up(stand: Stand) -> None:
    shop = await open_shop(stand)
    consumer = await stand.world.consumer()
    order = await shop.order(consumer, 2)
    client = await shop.client(consumer, order)
    for _ in range(4):
        answer = await asyncio.to_thread(ask, client)
        assert answer.status_code == 200, answer.text
        assert answer.headers["tessera-cost"] == "0"
    refused = await asyncio.to_thread(ask, client)
    assert code_of(refused) == (402, "order_used_up")
    assert "4 calls made" in refused.json()["error"]["message"]
    assert len(client.receipts) == 4
    assert client.spent == 0
    shown = await asyncio.to_thread(
        httpx.get, f"{stand.server.url}/v1/orders/{shop.access.address}/{order}", trust_env=False
    )
    assert shown.json()["used"] == shown.json()["calls"] == "4"


async def test_a_proof_sends_the_money_to_the_asset(stand: Stand) -> None:
    shop = await open_shop(stand)
    world, consumer = stand.world, await stand.world.consumer()
    orders = [await shop.order(consumer) for _ in range(3)]
    for order in orders[:2]:
        client = await shop.client(consumer, order)
        assert (await asyncio.to_thread(ask, client)).status_code == 200
    async with world.reader() as reader:
        before = await reader.read(world.channels.credit_of(world.operator.address))
        report = await stand.prover.prove()
        assert sorted(number for _, number in report.proved) == orders[:2]
        assert report.paid == 2 * UNIT
        # 1 % fee and 10 % cut of what the product took, by the terms of the endpoint.
        after = await reader.read(world.channels.credit_of(world.operator.address))
        assert after - before == 2 * UNIT // 10
        assert await reader.read(shop.access.backing()) == UNIT
        assert (await rights.read_order(reader, shop.access, orders[0])).proved
    assert (await stand.prover.prove()).proved == []
    # The last one was never used: its money is still there, and is nobody's to prove.
    with pytest.raises(TransactionReverted, match="served already"):
        await shop.send(consumer, shop.access.refund(orders[0]))


async def test_a_proof_of_a_run_that_died_before_it_was_written_down_counts(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract skips an order that is proved already: that is no refusal."""
    shop = await open_shop(stand)
    consumer = await stand.world.consumer()
    order = await shop.order(consumer)
    client = await shop.client(consumer, order)
    assert (await asyncio.to_thread(ask, client)).status_code == 200

    async def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(stand.ledger, "record_proofs", dies)
        with pytest.raises(SystemExit):
            await stand.prover.prove()
    report = await stand.prover.prove()
    address = bytes.fromhex(shop.access.address[2:])
    assert (report.proved, report.refused) == ([(address, order)], [])


async def test_a_proof_counts_though_its_money_cannot_flow_yet(stand: Stand) -> None:
    """Whatever stops the flush, the operator served and proved: it must not read "refused"."""
    shop = await open_shop(stand)
    consumer = await stand.world.consumer()
    order = await shop.order(consumer)
    client = await shop.client(consumer, order)
    assert (await asyncio.to_thread(ask, client)).status_code == 200
    async with stand.world.reader() as reader:
        till = (await reader.read(shop.access.terms())).till
    code = stand.world.node.rpc("eth_getCode", till, "latest")
    # The Till's address answers every call with a refusal.
    stand.world.node.rpc("anvil_setCode", till, "0x60006000fd")
    try:
        report = await stand.prover.prove()
    finally:
        stand.world.node.rpc("anvil_setCode", till, code)
    address = bytes.fromhex(shop.access.address[2:])
    assert (report.proved, report.refused, report.paid) == ([(address, order)], [], 0)
    assert (await shop.send(consumer, shop.access.flush())).succeeded


async def test_the_prover_hurries_before_a_window_ends(stand: Stand) -> None:
    shop = await open_shop(stand, serve_window=30)
    consumer = await stand.world.consumer()
    order = await shop.order(consumer)
    running = asyncio.create_task(stand.prover.run())
    try:
        client = await shop.client(consumer, order)
        assert (await asyncio.to_thread(ask, client)).status_code == 200
        deadline = time.monotonic() + 60
        async with stand.world.reader() as reader:
            while not (await rights.read_order(reader, shop.access, order)).proved:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
    finally:
        running.cancel()


async def test_a_stream_is_covered_and_its_receipt_checked(stand: Stand) -> None:
    shop = await open_shop(stand)
    consumer = await stand.world.consumer()
    client = await shop.client(consumer, await shop.order(consumer))

    def talk() -> str:
        chunks = client.openai().chat.completions.create(
            model="parrot", messages=[{"role": "user", "content": "one two"}], stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert await asyncio.to_thread(talk) == "one two "
    assert len(client.receipts) == 1
    assert client.receipts[0].receipt.channel == 0


async def test_a_failed_call_uses_nothing(stand: Stand) -> None:
    shop = await open_shop(stand, per_unit=1)
    consumer = await stand.world.consumer()
    client = await shop.client(consumer, await shop.order(consumer))
    assert (await asyncio.to_thread(ask, client, "[fail]")).status_code == 502
    assert (await asyncio.to_thread(ask, client)).status_code == 200
    assert code_of(await asyncio.to_thread(ask, client)) == (402, "order_used_up")


async def test_a_licence_that_does_not_cover_is_refused_with_why(stand: Stand) -> None:
    consumer = await stand.world.consumer()
    cases: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
        ({}, {"model": "parrot-1"}, "asset", "which was asked"),
        ({"newest_version": 2}, {}, "version", "versions up to 2"),
        ({"scope": 2}, {}, "use", "found 'download'"),
        ({"scope": 1}, {"use": "commercial"}, "use", "wanted inference, commercial"),
    ]
    for changes, asked, param, said in cases:
        shop = await open_shop(stand, **changes)
        order = await shop.order(consumer)
        client = await shop.client(consumer, order, use=asked.get("use", ""))
        refused = await asyncio.to_thread(ask, client, model=asked.get("model", "parrot"))
        assert code_of(refused) == (403, "licence_does_not_cover")
        error = refused.json()["error"]
        assert error["param"] == param
        assert said in error["message"]
    shop = await open_shop(stand, scope=5, newest_version=3)
    client = await shop.client(consumer, await shop.order(consumer), use="commercial")
    assert (await asyncio.to_thread(ask, client)).status_code == 200


async def test_a_period_ends(stand: Stand) -> None:
    shop = await open_shop(stand, kind=Kind.PERIOD, per_unit=4)
    consumer = await stand.world.consumer()
    client = await shop.client(consumer, await shop.order(consumer))
    assert (await asyncio.to_thread(ask, client)).status_code == 200
    await asyncio.sleep(5)
    assert code_of(await asyncio.to_thread(ask, client)) == (402, "order_over")


async def test_an_order_of_a_stranger_pays_for_nobody_else(stand: Stand) -> None:
    shop = await open_shop(stand)
    consumer, attacker = await stand.world.consumer(), await stand.world.consumer()
    order = await shop.order(consumer)
    client = await shop.client(attacker, order)
    assert code_of(await asyncio.to_thread(ask, client)) == (401, "signature_rejected")
    nothing = await shop.client(consumer, order + 100)
    assert code_of(await asyncio.to_thread(ask, nothing)) == (404, "not_found")
    # A clone that the Storefront did not make is no product, whatever it says of itself.
    stranger = await stand.client(
        account=consumer, deposit=0, access=(stand.world.dollar.address, order)
    )
    assert code_of(await asyncio.to_thread(ask, stranger)) == (404, "not_found")


async def test_a_refunded_order_pays_for_nothing(stand: Stand) -> None:
    shop = await open_shop(stand)
    consumer = await stand.world.consumer()
    order = await shop.order(consumer)
    await shop.send(stand.world.operator, shop.access.decline(order))
    client = await shop.client(consumer, order)
    assert code_of(await asyncio.to_thread(ask, client)) == (409, "order_given_up")


async def test_an_unused_order_is_not_served_when_it_could_not_be_proved(stand: Stand) -> None:
    """Served in the last seconds of the window, it could be refunded all the same."""
    shop = await open_shop(stand, serve_window=8)
    consumer = await stand.world.consumer()
    order = await shop.order(consumer)
    await asyncio.sleep(6.5)
    client = await shop.client(consumer, order)
    assert code_of(await asyncio.to_thread(ask, client)) == (409, "order_too_late")
    await asyncio.sleep(3)
    async with stand.world.reader() as reader, Sender(reader, consumer) as sender:
        paid, _ = await rights.refund(sender, shop.access, order)
    assert paid == UNIT


async def test_a_rented_order_serves_its_renter_and_not_its_owner(stand: Stand) -> None:
    shop = await open_shop(stand, kind=Kind.PERPETUAL, per_unit=0)
    world = stand.world
    owner, renter = await world.consumer(), await world.consumer()
    order = await shop.order(owner)
    owners = await shop.client(owner, order)
    assert (await asyncio.to_thread(ask, owners)).status_code == 200
    await stand.prover.prove()
    await shop.send(owner, shop.access.offer_rent(order, 86_400, 3_600))
    renters = await shop.client(renter, order)
    assert code_of(await asyncio.to_thread(ask, renters)) == (401, "signature_rejected")
    async with world.reader() as reader, Sender(reader, renter) as sender:
        cost, until, _ = await rights.rent(
            sender, shop.access, world.dollar, order, 6, max_cost=Units(UNIT)
        )
    assert cost == 6
    await asyncio.sleep(0.6)
    assert (await asyncio.to_thread(ask, renters)).status_code == 200
    await asyncio.sleep(0.3)
    assert code_of(await asyncio.to_thread(ask, owners)) == (403, "order_rented")
    await asyncio.sleep(max(0.0, until - time.time()) + 0.5)
    assert (await asyncio.to_thread(ask, owners)).status_code == 200
    assert code_of(await asyncio.to_thread(ask, renters)) == (401, "signature_rejected")


async def test_one_request_is_served_once(stand: Stand) -> None:
    """A copy of the very request, before and after the gateway's books were opened again."""
    shop = await open_shop(stand)
    consumer = await stand.world.consumer()
    client = await shop.client(consumer, await shop.order(consumer))
    seen: list[httpx.Request] = []

    def recorded() -> httpx.Response:
        with client.http() as http:
            http.event_hooks["response"].append(lambda answer: seen.append(answer.request))
            return http.post("/v1/embeddings", json={"model": "parrot", "input": "x"})

    assert (await asyncio.to_thread(recorded)).status_code == 200
    (request,) = seen
    async with httpx.AsyncClient(trust_env=False) as http:
        copy = await http.post(request.url, headers=request.headers, content=request.content)
        assert code_of(copy) == (409, "conflict")
        assert stand.ledger.rights is not None
        stand.ledger.rights.distrust()
        copy = await http.post(request.url, headers=request.headers, content=request.content)
        assert code_of(copy) == (409, "conflict")
        bent = dict(request.headers) | {"tessera-call": "0" * 32}
        bent = await http.post(request.url, headers=bent, content=request.content)
        assert code_of(bent) == (401, "signature_rejected")


async def test_garbled_headers_are_refused(stand: Stand) -> None:
    shop = await open_shop(stand)
    headers = {
        "tessera-access": shop.access.address,
        "tessera-order": "1",
        "tessera-call": "ab" * 16,
        "tessera-call-deadline": str(int(time.time()) + 60),
        "tessera-call-signature": "0x" + "11" * 65,
    }
    cases: list[tuple[dict[str, str | None], int]] = [
        ({"tessera-order": None}, 400),
        ({"tessera-access": "0x12"}, 400),
        ({"tessera-order": "-1"}, 400),
        ({"tessera-order": "9" * 99}, 400),
        ({"tessera-call": None}, 401),
        ({"tessera-call-deadline": None}, 401),
        ({"tessera-call-deadline": "soon"}, 401),
        ({"tessera-call-deadline": "1"}, 401),
        ({"tessera-call-deadline": str(int(time.time()) + 10_000)}, 401),
        ({"tessera-call-signature": None}, 401),
        ({"tessera-use": "resale"}, 400),
        ({"tessera-payment": "e30"}, 400),
    ]
    async with httpx.AsyncClient(base_url=stand.server.url, trust_env=False) as http:
        for changes, status in cases:
            sent = {k: v for k, v in {**headers, **changes}.items() if v is not None}
            answer = await http.post(
                "/v1/embeddings", json={"model": "parrot", "input": "x"}, headers=sent
            )
            assert answer.status_code == status, (changes, answer.text)
        for path in ("/v1/orders/0x12/1", "/v1/orders/x", "/v1/orders/a/b/c"):
            assert (await http.get(path)).status_code in (400, 404)


async def test_many_calls_at_once_never_exceed_the_order(stand: Stand) -> None:
    shop = await open_shop(stand, per_unit=7)
    consumer = await stand.world.consumer()
    client = await shop.client(consumer, await shop.order(consumer))

    async def call(http: httpx.AsyncClient) -> int:
        body = {"model": "parrot", "input": "[slow]"}
        return (await http.post("/v1/embeddings", json=body)).status_code

    async with client.async_http() as http:
        codes = await asyncio.gather(*(call(http) for _ in range(20)))
    assert (codes.count(200), codes.count(402)) == (7, 13)


async def test_a_client_without_order_or_deposit_is_refused(stand: Stand) -> None:
    with pytest.raises(TesseraError, match="deposit"):
        await stand.client(deposit=0)
