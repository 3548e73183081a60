"""Reading a chain, and nodes that are away, silent, slow, wrong or odd."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from tests.integration.chain_client.bare_node import CHAIN_ID, BareNode

from tessera.bindings import Share, TestDollar
from tessera.bindings.reverts import Erc20AllowanceTooLow
from tessera.bindings.test_dollar import Transfer
from tessera.chain.jsonrpc import RpcRefused
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.errors import ChainError, InputError, NotFound, RpcUnavailable, WrongChain

HOLDER = "0x" + "22" * 20


@pytest.fixture
async def dollar(reader: ChainReader, publisher: Account) -> AsyncIterator[TestDollar]:
    async with Sender(reader, publisher) as sender:
        flight = await sender.create("TestDollar", TestDollar.encode_constructor(6, 10**12))
        created = (await flight.receipt()).created
        assert created is not None
        dollar = TestDollar(created)
        for amount in (1, 2, 3):
            await sender.send(dollar.faucet(amount))
        yield dollar


async def test_calls_are_read_typed_and_at_any_block(
    reader: ChainReader, dollar: TestDollar, publisher: Account
) -> None:
    held = dollar.balanceOf(publisher.address)
    last = await reader.block_number()
    assert await reader.read(held) == 6
    assert await reader.read(held, at=last - 1) == 3
    assert await reader.read(held, at="pending") == 6
    assert await reader.read_all([held, dollar.totalSupply()], at=last - 2) == [1, 1]
    assert await reader.read(dollar.symbol()) == await reader.read(dollar.symbol(), sender=HOLDER)


async def test_a_refused_read_is_the_exception_of_its_string(
    reader: ChainReader, dollar: TestDollar
) -> None:
    call = dollar.transferFrom(HOLDER, HOLDER, 5)
    with pytest.raises(Erc20AllowanceTooLow):
        await reader.read(call)
    with pytest.raises(Erc20AllowanceTooLow):
        await reader.read_all([dollar.totalSupply(), call])  # type: ignore[list-item]


async def test_an_address_without_code_is_named(reader: ChainReader) -> None:
    with pytest.raises(NotFound, match="contract Share at 0x2222"):
        await reader.read(Share(HOLDER).totalSupply())


async def test_events_come_in_order_whatever_the_node_allows(
    node: BareNode, reader: ChainReader, dollar: TestDollar, publisher: Account
) -> None:
    node.mine(300)
    found = await reader.logs(Transfer, address=dollar.address)
    assert [log.event.value for log in found] == [1, 2, 3]
    assert [log.event.receiver for log in found] == [publisher.address] * 3
    one_only = await reader.logs(Transfer, topics=Transfer.topics(receiver=HOLDER))
    assert one_only == []

    asked: list[int] = []

    async def narrow(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if body["method"] == "eth_getLogs":
            wanted = body["params"][0]
            span = int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1
            asked.append(span)
            if span > 50:
                error = {"code": -32602, "message": "query exceeds max block range 50"}
                return httpx.Response(
                    200, json={"jsonrpc": "2.0", "id": body["id"], "error": error}
                )
        async with httpx.AsyncClient() as client:
            answer = await client.post(node.url, json=body)
        return httpx.Response(200, content=answer.content)

    transport = httpx.MockTransport(narrow)
    async with ChainReader(node.url, chain_id=CHAIN_ID, transport=transport) as limited:
        assert await limited.logs(Transfer, address=dollar.address) == found
    assert max(asked) > 50
    assert len(asked) < 40


async def test_blocks_balances_and_receipts_are_values(
    reader: ChainReader, publisher: Account, dollar: TestDollar
) -> None:
    block = await reader.block()
    assert block == await reader.block(block.number)
    assert abs(block.timestamp - time.time()) < 300
    assert await reader.balance(publisher.address) > 10**23
    assert await reader.code(dollar.address) != b""
    assert await reader.code(HOLDER) == b""
    assert await reader.receipt("0x" + "00" * 32) is None
    with pytest.raises(NotFound, match="block: found 10000000"):
        await reader.block(10_000_000)


async def test_another_chain_is_refused_with_both_ids(
    start_node: Callable[..., BareNode],
) -> None:
    other = start_node(777)
    async with ChainReader(other.url, chain_id=CHAIN_ID) as reader:
        with pytest.raises(WrongChain, match=r"found 777, wanted 31337; use --chain-id 777"):
            await reader.block_number()


async def test_another_chain_that_comes_up_in_its_place_is_noticed(node: BareNode) -> None:
    chain_id = CHAIN_ID
    away = False

    async def switched(request: httpx.Request) -> httpx.Response:
        nonlocal away, chain_id
        if away:
            away, chain_id = False, 777
            raise httpx.ConnectError("refused")
        body = json.loads(request.content)
        return httpx.Response(
            200, json={"jsonrpc": "2.0", "id": body["id"], "result": hex(chain_id)}
        )

    async def at_once(_: float) -> None:
        return None

    async with ChainReader(
        node.url, chain_id=CHAIN_ID, transport=httpx.MockTransport(switched), sleep=at_once
    ) as reader:
        await reader.block_number()
        away = True
        with pytest.raises(WrongChain):
            await reader.block_number()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def served(serve: Serve) -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_node_that_accepts_and_never_answers_is_given_up() -> None:
    connections = 0

    async def black_hole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await reader.read(-1)
        finally:
            writer.close()

    server, url = await served(black_hole)
    async with server, ChainReader(url, chain_id=CHAIN_ID, timeout_s=0.2, attempts=3) as reader:
        began = time.monotonic()
        with pytest.raises(RpcUnavailable, match=r"no answer in time.*3 attempts") as caught:
            await reader.block_number()
        assert caught.value.retryable
        assert time.monotonic() - began < 30
    assert connections == 3


async def test_a_node_that_is_not_there_is_named_without_its_key() -> None:
    server, url = await served(lambda reader, writer: asyncio.sleep(0))
    server.close()
    await server.wait_closed()
    secret_url = f"{url}/v3/my-secret-key"
    async with ChainReader(secret_url, chain_id=CHAIN_ID, attempts=2) as reader:
        with pytest.raises(RpcUnavailable) as caught:
            await reader.block_number()
    assert url in caught.value.message
    assert "my-secret-key" not in str(caught.value.details())


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]", b'"x"', b"{}", b'{"jsonrpc":"2.0","id":1}', b"null"]
)
async def test_an_answer_that_is_no_json_rpc_is_refused(answer: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=answer))
    async with ChainReader("http://127.0.0.1:1", chain_id=1, transport=transport) as reader:
        with pytest.raises(ChainError, match="wanted a JSON-RPC answer"):
            await reader.block_number()


async def test_a_busy_proxy_is_asked_again() -> None:
    answers = iter(
        [
            httpx.Response(503),
            httpx.Response(429),
            httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": "0x1"}),
            httpx.Response(200, json={"jsonrpc": "2.0", "id": 2, "result": "0x9"}),
        ]
    )
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    transport = httpx.MockTransport(lambda _: next(answers))
    async with ChainReader(
        "http://127.0.0.1:1", chain_id=1, transport=transport, sleep=pause
    ) as reader:
        assert await reader.block_number() == 9
    assert len(paused) == 2
    assert paused[0] < paused[1]


async def test_a_node_that_takes_no_batches_is_asked_one_by_one(
    node: BareNode, dollar: TestDollar, publisher: Account
) -> None:
    async def single(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if isinstance(body, list):
            error = {"code": -32600, "message": "batches are not allowed"}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": None, "error": error})
        async with httpx.AsyncClient() as client:
            answer = await client.post(node.url, json=body)
        return httpx.Response(200, content=answer.content)

    transport = httpx.MockTransport(single)
    async with ChainReader(node.url, chain_id=CHAIN_ID, transport=transport) as reader:
        calls = [dollar.balanceOf(publisher.address), dollar.totalSupply()]
        assert await reader.read_all(calls) == [6, 6]


@pytest.mark.parametrize("url", ["", "localhost:8545", "ws://127.0.0.1:1", "http://", "file:///x"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"RPC URL.*--rpc-url"):
        ChainReader(url, chain_id=1)


async def test_what_a_node_refuses_keeps_its_words(reader: ChainReader) -> None:
    with pytest.raises(RpcRefused) as caught:
        await reader.rpc.call("eth_noSuchMethod")
    assert caught.value.rpc_code == -32601
    assert caught.value.method == "eth_noSuchMethod"
