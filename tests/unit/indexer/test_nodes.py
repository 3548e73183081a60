"""Limits of nodes: rates, failures and what is never shown."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from tessera.errors import InputError, RpcUnavailable, WrongChain
from tessera.indexer.nodes import Limits, Nodes


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def nodes_of(
    clock: Clock, answer: Any, *urls: str, limits: Limits | None = None
) -> tuple[Nodes, list[str]]:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        found = answer(request, msgspec.json.decode(request.content))
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    made = Nodes(
        urls or ("http://one",),
        chain_id=1,
        limits=limits,
        clock=clock,
        sleep=clock.sleep,
        transport=httpx.MockTransport(handle),
    )
    return made, asked


def well(_request: httpx.Request, body: Any) -> Any:
    requests = body if isinstance(body, list) else [body]
    answers = [{"jsonrpc": "2.0", "id": each["id"], "result": "0x1"} for each in requests]
    return answers if isinstance(body, list) else answers[0]


async def test_a_node_is_asked_no_more_in_a_second_than_it_allows() -> None:
    clock = Clock()
    nodes, _ = nodes_of(clock, well, limits=Limits(requests_per_s=10))
    async with nodes:
        for _ in range(5):
            await nodes.ask([("eth_chainId", ())] * 10)
    # Fifty requests and the first for the chain's number, of which the last part need not end.
    assert clock.now - 100.0 == pytest.approx(4.1, abs=0.01)


async def test_a_pause_that_a_node_asks_for_is_kept_and_others_are_asked_meanwhile() -> None:
    clock = Clock()

    def answer(request: httpx.Request, body: Any) -> Any:
        if request.url.host == "limited":
            return httpx.Response(429, headers={"retry-after": "30"})
        return well(request, body)

    nodes, asked = nodes_of(clock, answer, "http://limited", "http://free")
    async with nodes:
        for _ in range(3):
            await nodes.ask([("eth_blockNumber", ())])
    assert asked.count("limited") == 1
    assert not clock.slept
    alone, _ = nodes_of(clock, answer, "http://limited", limits=Limits(attempts=2))
    async with alone:
        with pytest.raises(RpcUnavailable, match="429"):
            await alone.ask([("eth_blockNumber", ())])
    assert clock.slept == [pytest.approx(30.0)]


async def test_keys_in_urls_are_not_shown() -> None:
    def down(_request: httpx.Request, _body: Any) -> Any:
        return httpx.Response(503)

    url = "https://user:word@node.example/v3/secret?key=hidden"
    nodes, _ = nodes_of(Clock(), down, url, limits=Limits(attempts=1))
    async with nodes:
        with pytest.raises(RpcUnavailable) as caught:
            await nodes.ask([("eth_blockNumber", ())])
    assert not any(part in str(caught.value) for part in ("word", "secret", "hidden"))


async def test_another_chain_and_no_url_are_refused() -> None:
    def other(request: httpx.Request, body: Any) -> Any:
        return {**well(request, body), "result": "0x2"}

    nodes, _ = nodes_of(Clock(), other)
    async with nodes:
        with pytest.raises(WrongChain, match="--chain-id 2"):
            await nodes.ask([("eth_blockNumber", ())])
    with pytest.raises(InputError):
        Nodes([], chain_id=1)
    with pytest.raises(InputError, match="http"):
        Nodes(["ftp://somewhere"], chain_id=1)
