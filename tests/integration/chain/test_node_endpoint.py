"""The ordered JSON-RPC of a real node: what it takes, what it refuses, what time it tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from eth_account.signers.local import LocalAccount

from tessera.chain.node import EmbeddedNode

Transfer = Callable[..., str]
CLOCK_CODE = bytes.fromhex("4260005260206000f3")  # returns block.timestamp
CLOCK = "0x" + "11" * 20
RECIPIENT = "0x1000000000000000000000000000000000000001"


class Endpoint:
    """A node, a client of it, and the clock that the node reads."""

    def __init__(self, node: EmbeddedNode, client: httpx.AsyncClient, clock: list[float]) -> None:
        self.node = node
        self.client = client
        self.clock = clock

    async def ask(self, method: str, *params: object) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": "7", "method": method, "params": params}
        answer = (await self.client.post("/", json=request)).json()
        assert answer["id"] == "7"
        return dict(answer)

    async def result(self, method: str, *params: object) -> Any:
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def error(self, method: str, *params: object) -> dict[str, Any]:
        return dict((await self.ask(method, *params))["error"])


@pytest_asyncio.fixture
async def endpoint(tmp_path: Path, consumers: list[LocalAccount]) -> AsyncIterator[Endpoint]:
    clock = [1_800_000_000.0]
    prefund = {consumer.address: 10**20 for consumer in consumers}
    async with (
        EmbeddedNode.start(
            tmp_path, prefund=prefund, code={CLOCK: CLOCK_CODE}, clock=lambda: clock[0]
        ) as node,
        httpx.AsyncClient(base_url=node.url, timeout=30) as client,
    ):
        yield Endpoint(node, client, clock)


async def test_a_sent_transaction_has_its_receipt_at_once(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    tx_hash = await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], 0))
    receipt = await endpoint.result("eth_getTransactionReceipt", tx_hash)
    assert receipt["status"] == "0x1"
    assert endpoint.node.height == 1
    # EIP-7966 answers with the receipt itself.
    receipt = await endpoint.result("eth_sendRawTransactionSync", transfer(consumers[0], 1))
    assert receipt["blockNumber"] == "0x2"


async def test_no_block_is_made_without_transactions_unless_a_keeper_asks(
    endpoint: Endpoint,
) -> None:
    await asyncio.sleep(0.1)
    assert await endpoint.result("eth_blockNumber") == "0x0"
    endpoint.clock[0] += 100
    assert await endpoint.node.mine() == 1
    assert await endpoint.result("tessera_mine") == "0x2"
    block = await endpoint.result("eth_getBlockByNumber", "latest", False)
    assert int(block["timestamp"], 16) == 1_800_000_100


async def test_what_the_node_refuses_reaches_its_sender_and_leaves_no_block(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    refusals = [
        (transfer(consumers[0], 0, value=10**24), -32003, "nsufficient funds"),
        (transfer(consumers[0], 0, fee=1), -32003, "base fee"),
        (transfer(consumers[0], 0, gas=20_000), -32000, "intrinsic gas"),
        (transfer(consumers[0], 0, gas=10**9), -32003, "block gas limit"),
        (transfer(consumers[0], 0, chain_id=1), -32003, "chain id"),
        ("0x", -32003, "0 bytes"),
        ("0x03", -32003, "type"),
        ("0xf8", -32003, "RLP"),
        ("0x02c0", -32003, "12 fields"),
        ("nonsense", -32602, "0x-hex"),
        ("0x0", -32602, "0x-hex"),
    ]
    for raw, code, words in refusals:
        error = await endpoint.error("eth_sendRawTransaction", raw)
        assert error["code"] == code, error
        assert words in error["message"]
    assert endpoint.node.height == 0
    await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], 0))
    error = await endpoint.error("eth_sendRawTransaction", transfer(consumers[0], 0, value=9))
    assert error["message"].startswith("nonce too low: transaction: found 0, wanted 1 or more")


async def test_a_repeated_transaction_returns_its_hash_again(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    mined, waiting = transfer(consumers[0], 0), transfer(consumers[0], 2)
    for raw in (mined, waiting):
        first = await endpoint.result("eth_sendRawTransaction", raw)
        assert await endpoint.result("eth_sendRawTransaction", raw) == first
    assert endpoint.node.height == 1


async def test_a_gap_in_the_nonces_waits_until_it_is_filled(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    later = await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], 1))
    assert await endpoint.result("eth_getTransactionReceipt", later) is None
    shown = await endpoint.result("eth_getTransactionByHash", later)
    assert (shown["from"], shown["nonce"]) == (consumers[0].address, "0x1")
    assert shown["blockHash"] is None
    assert await endpoint.result("txpool_status") == {"pending": "0x0", "queued": "0x1"}
    address = consumers[0].address
    assert await endpoint.result("eth_getTransactionCount", address, "pending") == "0x0"
    await endpoint.result("eth_sendRawTransaction", transfer(consumers[1], 3))
    error = await endpoint.error("eth_getTransactionCount", "0x12", "pending")
    assert error["code"] == -32602
    await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], 0))
    assert (await endpoint.result("eth_getTransactionReceipt", later))["status"] == "0x1"
    for written in (address, address.lower()):
        assert await endpoint.result("eth_getTransactionCount", written, "pending") == "0x2"


async def test_a_higher_fee_replaces_what_still_waits(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    former = await endpoint.result(
        "eth_sendRawTransaction", transfer(consumers[0], 1, fee=2 * 10**9, tip=100)
    )
    error = await endpoint.error(
        "eth_sendRawTransaction", transfer(consumers[0], 1, fee=2 * 10**9 + 1, tip=101)
    )
    assert error["message"].startswith("replacement transaction underpriced")
    latter = await endpoint.result(
        "eth_sendRawTransaction", transfer(consumers[0], 1, fee=22 * 10**8, tip=110)
    )
    await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], 0))
    assert await endpoint.result("eth_getTransactionByHash", former) is None
    assert (await endpoint.result("eth_getTransactionReceipt", latter))["status"] == "0x1"


async def test_what_an_earlier_transaction_made_unaffordable_is_refused_with_the_reason(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    # Each alone is affordable, so the node takes both; executing the first spends it all.
    batch = [
        {
            "jsonrpc": "2.0",
            "id": nonce,
            "method": "eth_sendRawTransaction",
            "params": [transfer(consumers[0], nonce, value=6 * 10**19)],
        }
        for nonce in range(2)
    ]
    answers = (await endpoint.client.post("/", json=batch)).json()
    assert "result" in answers[0]
    assert "nsufficient funds" in answers[1]["error"]["message"]
    # And the chain goes on with that nonce.
    await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], 1, value=5))


async def test_a_batch_is_done_in_order_and_its_transactions_share_blocks(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    def call(index: int, method: str, *params: object) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": index, "method": method, "params": params}

    count = ("eth_getTransactionCount", consumers[0].address, "latest")
    sends = [
        call(index + 1, "eth_sendRawTransaction", transfer(consumers[0], index))
        for index in range(20)
    ]
    batch = [call(0, *count), *sends, call(21, *count), call(22, "eth_blockNumber")]
    answers = (await endpoint.client.post("/", json=batch)).json()
    assert [answer["id"] for answer in answers] == list(range(23))
    assert answers[0]["result"] == "0x0"
    assert answers[21]["result"] == hex(20)
    assert int(answers[22]["result"], 16) <= 3


async def test_many_consumers_at_once_are_all_mined(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    async def send_all(consumer: LocalAccount) -> None:
        for nonce in range(15):
            await endpoint.result("eth_sendRawTransaction", transfer(consumer, nonce))

    await asyncio.gather(*(send_all(consumer) for consumer in consumers))
    for consumer in consumers:
        assert await endpoint.result("eth_getTransactionCount", consumer.address, "latest") == "0xf"
    received = await endpoint.result("eth_getBalance", RECIPIENT, "latest")
    assert int(received, 16) == 15 * len(consumers)


async def test_whatever_would_change_the_chain_past_the_journal_is_refused(
    endpoint: Endpoint, consumers: list[LocalAccount]
) -> None:
    address = consumers[0].address
    for method, params in (
        ("anvil_setBalance", [address, "0x1"]),
        ("hardhat_setCode", [address, "0x00"]),
        ("evm_mine", []),
        ("evm_setNextBlockTimestamp", [1]),
        ("evm_increaseTime", [1]),
        ("anvil_dropAllTransactions", []),
        ("anvil_loadState", ["0x"]),
        ("debug_setHead", ["0x0"]),
        ("eth_sendTransaction", [{"from": address, "to": address}]),
        ("eth_sign", [address, "0x00"]),
    ):
        error = await endpoint.error(method, *params)
        assert error["code"] == -32004
        assert error["message"].startswith(f"{method}: ")
    error = await endpoint.error("eth_getBalnce", address)
    assert error["code"] == -32601
    assert "did you mean 'eth_getBalance'?" in error["message"]
    assert await endpoint.result("eth_getBalance", address, "latest") == hex(10**20)


async def test_pending_sees_time_move_and_latest_does_not(endpoint: Endpoint) -> None:
    async def told(tag: str) -> int:
        return int(await endpoint.result("eth_call", {"to": CLOCK, "data": "0x"}, tag), 16)

    assert await told("latest") == await told("pending") == 1_800_000_000
    endpoint.clock[0] += 3_600.7
    assert await told("latest") == 1_800_000_000
    assert await told("pending") == 1_800_003_600
    block = await endpoint.result("eth_getBlockByNumber", "pending", False)
    assert int(block["timestamp"], 16) == 1_800_003_600
    await endpoint.node.mine()
    assert await told("latest") == 1_800_003_600
    # A caller's own override wins.
    override = {"time": hex(1_900_000_000)}
    answer = await endpoint.result(
        "eth_call", {"to": CLOCK, "data": "0x"}, "pending", None, override
    )
    assert int(answer, 16) == 1_900_000_000


async def test_an_estimate_is_for_a_block_mined_now(tmp_path: Path) -> None:
    # Reverts unless block.timestamp > 1_800_000_050: PUSH4 TIMESTAMP GT PUSH1 JUMPI revert.
    code = bytes.fromhex("636b49d2324211600d575f5ffd5b00")
    clock = [1_800_000_000.0]
    async with (
        EmbeddedNode.start(tmp_path, code={CLOCK: code}, clock=lambda: clock[0]) as node,
        httpx.AsyncClient(base_url=node.url, timeout=30) as client,
    ):
        endpoint = Endpoint(node, client, clock)
        assert "revert" in (await endpoint.error("eth_estimateGas", {"to": CLOCK}))["message"]
        clock[0] += 60
        for tag in ([], ["latest"], ["pending"]):
            assert int(await endpoint.result("eth_estimateGas", {"to": CLOCK}, *tag), 16) > 21_000


async def test_time_neither_falls_nor_runs_ahead(
    endpoint: Endpoint, consumers: list[LocalAccount], transfer: Transfer
) -> None:
    for nonce in range(5):
        await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], nonce))
    endpoint.clock[0] -= 500
    await endpoint.result("eth_sendRawTransaction", transfer(consumers[0], 5))
    for number in range(7):
        block = await endpoint.result("eth_getBlockByNumber", hex(number), False)
        assert int(block["timestamp"], 16) == 1_800_000_000


async def test_malformed_requests_get_json_rpc_errors(endpoint: Endpoint) -> None:
    async def sent(body: bytes) -> Any:
        headers = {"content-type": "application/json"}
        return (await endpoint.client.post("/", content=body, headers=headers)).json()

    assert (await sent(b""))["error"]["code"] == -32700
    assert (await sent(b"{"))["error"]["code"] == -32700
    assert (await sent(b"[{]"))["error"]["code"] == -32700
    assert (await sent(b"[]"))["error"]["code"] == -32600
    assert (await sent(b"{}"))["error"]["code"] == -32600
    assert (await sent(b'{"method":1,"id":1}'))["error"]["code"] == -32600
    assert (await sent(b'{"method":"eth_call","id":1,"params":{}}'))["error"]["code"] == -32602
    assert (await sent(b"[" + b",".join([b"1"] * 1001) + b"]"))["error"]["code"] == -32600
    mixed = await sent(b'[1,{"jsonrpc":"2.0","id":null,"method":"eth_chainId"}]')
    assert mixed[0]["error"]["code"] == -32600
    assert mixed[1] == {"jsonrpc": "2.0", "id": None, "result": "0x7a69"}
    deep = await sent(b'{"id":1,"method":"eth_call","params":' + b"[" * 100_000 + b"]" * 100_000)
    assert deep["error"]["code"] in (-32700, -32600)
    # White space that is allowed in JSON must not break the framing behind the endpoint.
    spaced = await sent(
        b'{ "id" : 1 ,\n"method":\n"eth_getBalance",\n"params":\n[\n"0x%s",\n"latest"]\n}'
        % (b"11" * 20)
    )
    assert spaced["result"] == "0x0"
    for broken in (b"\xff\xfe", b"\\q", b"\\ud800", b"\x01"):
        answer = await sent(
            b'{"id":1,"method":"eth_getCode","params":["0x%s%s","latest"]}' % (b"11" * 20, broken)
        )
        assert answer["error"]["code"] in (-32700, -32600, -32602)
    for number in (b"1e999", b"1" * 400, b"-0"):
        answer = await sent(b'{"id":1,"method":"eth_getCode","params":[%s,"latest"]}' % number)
        assert answer["error"]["code"] in (-32700, -32600, -32602), answer
    assert (await sent(b'{"id":{},"method":"eth_chainId"}'))["error"]["code"] == -32600
    notification = await endpoint.client.post("/", json={"method": "eth_chainId"})
    assert notification.status_code == 204


async def test_only_json_posted_to_a_loopback_name_is_served(endpoint: Endpoint) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    json_type = {"content-type": "application/json"}

    async def status(method: str = "POST", path: str = "/", **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await endpoint.client.request(method, path, content=body, headers=named)
        assert "access-control-allow-origin" not in response.headers
        return response.status_code

    port = httpx.URL(endpoint.node.url).port
    assert await status(content_type="text/plain") == 415
    assert await status(content_type="application/json") == 200
    assert await status(content_type="application/json; charset=utf-8") == 200
    assert await status(content_type="application/json", host=f"localhost:{port}") == 200
    assert await status(content_type="application/json", host=f"[::1]:{port}") == 200
    assert await status(content_type="application/json", host=f"attacker.example:{port}") == 403
    assert (
        await status(content_type="application/json", host=f"127.0.0.1.attacker.example:{port}")
        == 403
    )
    assert await status("GET", content_type="application/json") == 405
    assert await status("OPTIONS", content_type="application/json") == 405
    assert await status(path="/other", content_type="application/json") == 404
    large = await endpoint.client.post("/", content=b" " * (8 << 20) + body, headers=json_type)
    assert large.status_code == 413


async def test_reads_go_on_while_a_long_call_runs(tmp_path: Path) -> None:
    endless = bytes.fromhex("5b5f56")
    async with (
        EmbeddedNode.start(tmp_path, code={CLOCK: endless}) as node,
        httpx.AsyncClient(base_url=node.url, timeout=30) as client,
    ):
        endpoint = Endpoint(node, client, [0.0])
        call = {"to": CLOCK, "gas": hex(300_000_000)}
        begun = time.monotonic()
        long = asyncio.create_task(endpoint.error("eth_call", call, "latest"))
        await asyncio.sleep(0.02)
        assert await endpoint.result("eth_blockNumber") == "0x0"
        read_s = time.monotonic() - begun
        assert "OutOfGas" in (await long)["message"]
        assert read_s < (time.monotonic() - begun) / 2
