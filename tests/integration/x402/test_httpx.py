"""The official httpx client, unmodified, pays for chats of every kind."""

from __future__ import annotations

import asyncio
import json

from eth_account.signers.local import LocalAccount
from tests.integration.x402.conftest import Gateway, TeachableServer, told
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.signers import EthAccountSignerWithRPC

COST = 100 + -(-3 * 500 // 1000) + -(-3 * 2000 // 1000)


def client(gateway: Gateway, scheme: object) -> x402HttpxClient:
    made = x402Client().register(gateway.network, scheme)  # type: ignore[arg-type]
    if gateway.controls:
        made.set_spend_controls(gateway.controls)  # type: ignore[arg-type]
    return x402HttpxClient(made, timeout=30)


async def test_one_deposit_pays_for_many_calls(gateway: Gateway) -> None:
    payer, before = await asyncio.to_thread(lambda: (gateway.payer(), gateway.due()))
    async with client(gateway, BatchSettlementEvmScheme(payer)) as http:
        answers = [
            await http.post(f"{gateway.base_url}/chat/completions", json=gateway.said())
            for _ in range(3)
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json()["choices"][0]["message"]["content"] == "Hello there"
    responses = [told(answer.headers) for answer in answers]
    assert [bool(response["transaction"]) for response in responses] == [True, False, False]
    assert [response["extra"]["chargedAmount"] for response in responses] == [str(COST)] * 3
    assert [answer.headers["tessera-cost"] for answer in answers] == [str(COST)] * 3
    assert await asyncio.to_thread(gateway.due) - before == 3 * COST


async def test_a_stream_arrives_while_it_is_written_and_the_surplus_comes_back(
    gateway: Gateway,
) -> None:
    payer, before = await asyncio.to_thread(lambda: (gateway.payer(), gateway.due()))
    url, words = f"{gateway.base_url}/chat/completions", ""
    TeachableServer.hold.clear()
    try:
        async with (
            client(gateway, BatchSettlementEvmScheme(payer)) as http,
            http.stream("POST", url, json=gateway.said(stream=True)) as answer,
        ):
            assert answer.status_code == 200
            named = int(told(answer.headers)["extra"]["chargedAmount"])
            async for line in answer.aiter_lines():
                if '"content"' not in line:
                    continue
                words += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                # The model is not let write on before its first word was read.
                if words == "Hel":
                    TeachableServer.hold.set()
            whole = await http.post(url, json=gateway.said())
    finally:
        TeachableServer.hold.set()
    assert words == "Hello there"
    assert named > COST, "what a stream may cost at most"
    taken_back = int(told(whole.headers)["extra"]["chargedAmount"])
    assert taken_back == max(0, 2 * COST - named)
    assert await asyncio.to_thread(gateway.due) - before == 2 * COST


async def test_a_failed_upstream_costs_nothing_and_no_second_deposit(gateway: Gateway) -> None:
    payer, before = await asyncio.to_thread(lambda: (gateway.payer(), gateway.due()))
    url = f"{gateway.base_url}/chat/completions"
    async with client(gateway, BatchSettlementEvmScheme(payer)) as http:
        failed = await http.post(url, json=gateway.said("fail, please"))
        assert failed.status_code == 502
        assert failed.json()["error"]["code"] == "backend_failed"
        response = told(failed.headers)
        assert response["success"]
        assert response["transaction"]
        assert response["extra"]["chargedAmount"] == "0"
        good = await http.post(url, json=gateway.said())
    assert good.status_code == 200
    assert not told(good.headers)["transaction"]
    assert await asyncio.to_thread(gateway.due) - before == COST


async def test_a_client_that_forgot_is_corrected_where_it_can_ask_the_chain(
    gateway: Gateway,
) -> None:
    """After a restart without a store: the 402 says where the channel stands, and proves it."""
    payer = await asyncio.to_thread(gateway.payer)
    rpc_url = (await asyncio.to_thread(gateway.program.ok, "status"))["rpc_url"]
    url = f"{gateway.base_url}/chat/completions"
    async with client(gateway, BatchSettlementEvmScheme(payer)) as http:
        for _ in range(2):
            assert (await http.post(url, json=gateway.said())).status_code == 200
    reading = BatchSettlementEvmScheme(EthAccountSignerWithRPC(payer, rpc_url))
    async with client(gateway, reading) as http:
        mended = await http.post(url, json=gateway.said())
    assert mended.status_code == 200
    response = told(mended.headers)
    assert not response["transaction"]
    assert response["extra"]["channelState"]["chargedCumulativeAmount"] == str(3 * COST)
    async with client(gateway, BatchSettlementEvmScheme(payer)) as http:
        # One that can ask nobody deposits again, signs from zero, and is told so.
        refused = await http.post(url, json=gateway.said())
    assert refused.status_code == 402
    assert refused.json()["error"]["details"]["x402"].endswith("cumulative_amount_mismatch")


async def test_a_payer_gets_back_what_was_not_charged(gateway: Gateway) -> None:
    payer = await asyncio.to_thread(gateway.payer)
    scheme = BatchSettlementEvmScheme(payer)
    async with client(gateway, scheme) as http:
        answer = await http.post(f"{gateway.base_url}/chat/completions", json=gateway.said())
    assert answer.status_code == 200
    done = await asyncio.to_thread(scheme.refund, f"{gateway.url}/x402/tiny")
    assert done.success
    assert done.amount == str(2_000_000 - COST)
    assert done.transaction


async def pay_once(gateway: Gateway, payer: LocalAccount, **more: object):  # type: ignore[no-untyped-def]
    async with client(gateway, ExactEvmScheme(payer)) as http:
        return await http.post(f"{gateway.base_url}/chat/completions", json=gateway.said(**more))


async def test_an_exact_payment_is_settled_before_its_answer_leaves(gateway: Gateway) -> None:
    payer = await asyncio.to_thread(gateway.payer)
    answer = await pay_once(gateway, payer)
    assert answer.status_code == 200
    response = told(answer.headers)
    assert response["transaction"].startswith("0x")
    assert int(response["amount"]) == int(answer.headers["tessera-cost"]) > COST


async def test_an_exact_payment_takes_a_stream_in_one_piece(gateway: Gateway) -> None:
    payer = await asyncio.to_thread(gateway.payer)
    answer = await pay_once(gateway, payer, stream=True)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert told(answer.headers)["transaction"].startswith("0x")
    assert "data: [DONE]" in answer.text


async def test_an_exact_payment_of_a_failed_call_is_not_used(gateway: Gateway) -> None:
    payer = await asyncio.to_thread(gateway.payer)
    for more in ({}, {"stream": True}):
        answer = await pay_once(gateway, payer, word="fail, please", **more)
        assert answer.status_code == 502
        response = told(answer.headers)
        assert not response["success"]
        assert response["errorMessage"] == "nothing was taken"


async def test_what_was_paid_is_income_of_the_assets_holders(gateway: Gateway) -> None:
    payer = await asyncio.to_thread(gateway.payer)
    async with client(gateway, BatchSettlementEvmScheme(payer)) as http:
        await http.post(f"{gateway.base_url}/chat/completions", json=gateway.said())
    due = await asyncio.to_thread(gateway.due)
    done = await asyncio.to_thread(gateway.program.ok, "settle", "--yes")
    assert int(done["x402_total"]) == due > 0
    assert done["x402_refused"] == []
    assert sum(int(each["handed_on"]) for each in done["sent_on"]) > 0
    assert await asyncio.to_thread(gateway.due) == 0
