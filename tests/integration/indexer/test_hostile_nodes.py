"""Attacks by nodes, one for each row of the guide's table: a lie is found out or does no harm.

The node behind is real; what stands before it changes answers.
"""

from __future__ import annotations

import copy
import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from tests.integration.indexer.conftest import (
    TOKEN,
    Market,
    Meddle,
    Meddler,
    Observed,
    honest,
    lagging,
)

from tessera.errors import ChainError, RpcUnavailable
from tessera.indexer.fetching import NodesDisagree
from tessera.indexer.nodes import HistoryMissing, Limits
from tessera.indexer.pieces import Selection
from tessera.indexer.wire import BadAnswer

TOKENS = Selection(tokens=frozenset({TOKEN}))
WHOLE = Selection(whole=True)
QUICK = Limits(timeout_s=1.0, attempts=2)

Observe = Callable[[str], Observed]


def changing(method: str, change: Callable[[Any], Any]) -> Meddle:
    """Return a meddler that changes the results of one method."""

    def meddle(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] != method or answer.get("result") is None:
            return answer
        return {**answer, "result": change(copy.deepcopy(answer["result"]))}

    return meddle


def saying(message: str, code: int = -32000, *, blocks: int = 0) -> Meddle:
    """Return a meddler that refuses logs of more than so many blocks."""

    def meddle(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] != "eth_getLogs" or "fromBlock" not in request["params"][0]:
            return answer
        asked = request["params"][0]
        span = int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) + 1
        if span <= blocks:
            return answer
        return {"id": answer["id"], "error": {"code": code, "message": message}}

    return meddle


async def expected(market: Market, observed: Observe, chosen: Selection) -> dict[str, Any]:
    fresh = observed("honest")
    await fresh.catch_up(chosen)
    return fresh.contents("facts_transfers", "facts_calls", "facts_events")


@pytest.mark.parametrize("chosen", [TOKENS, WHOLE], ids=["token", "whole"])
async def test_a_node_that_reorders_and_pads_its_answers_changes_nothing(
    market: Market, observed: Observe, chosen: Selection
) -> None:
    market.transfers(5, 0, 3)

    def shuffle(logs: list[Any]) -> list[Any]:
        return [{**log, "comment": "x" * 1_000} for log in reversed(logs)]

    node = Meddler(market.url, odd=changing("eth_getLogs", shuffle))
    found = observed("facts")
    await found.catch_up(chosen, urls=["http://odd"], transport=node)
    kept = found.contents("facts_transfers", "facts_calls", "facts_events")
    assert kept == await expected(market, observed, chosen)


def twice(logs: list[Any]) -> list[Any]:
    return [*logs, *logs[:1]]


def of_a_stranger(logs: list[Any]) -> list[Any]:
    return [*logs, *({**log, "address": "0x" + "66" * 20} for log in logs[:1])]


def of_another_block(logs: list[Any]) -> list[Any]:
    return [*logs, *({**log, "blockNumber": "0xffffff"} for log in logs[:1])]


def taken_back(logs: list[Any]) -> list[Any]:
    return [{**log, "removed": True} for log in logs]


def of_a_fork(logs: list[Any]) -> list[Any]:
    return [{**log, "blockHash": "0x" + "ab" * 32} for log in logs]


def with_a_huge_place(logs: list[Any]) -> list[Any]:
    return [{**log, "logIndex": hex(2**70)} for log in logs]


def with_no_hex(logs: list[Any]) -> list[Any]:
    return [{**log, "data": "0x" + "zz" * 32} for log in logs]


@pytest.mark.parametrize(
    "lie",
    [twice, of_a_stranger, of_another_block, taken_back, of_a_fork, with_a_huge_place, with_no_hex],
)
async def test_logs_that_nobody_asked_for_are_refused_and_nothing_is_written(
    market: Market, observed: Observe, lie: Callable[[list[Any]], list[Any]]
) -> None:
    market.transfers(2, 1)
    node = Meddler(market.url, liar=changing("eth_getLogs", lie))
    found = observed("facts")
    with pytest.raises(BadAnswer):
        await found.catch_up(TOKENS, urls=["http://liar"], transport=node)
    assert found.contents("facts_transfers")["facts_transfers"] == []
    # Beside an honest node a liar costs time only.
    both = Meddler(market.url, liar=changing("eth_getLogs", lie), good=honest)
    await found.catch_up(TOKENS, urls=["http://liar", "http://good"], transport=both)
    assert list(found.facts().transfers(TOKEN).amount) == [2, 1, 1]


def without_the_last_log(receipts: list[Any]) -> list[Any]:
    for receipt in receipts:
        receipt["logs"] = receipt["logs"][:-1]
    return receipts


def with_one_log_more(receipts: list[Any]) -> list[Any]:
    for receipt in receipts:
        more = [{**log, "logIndex": "0x63", "address": "0x" + "55" * 20} for log in receipt["logs"]]
        receipt["logs"] += more[:1]
    return receipts


def without_a_receipt(receipts: list[Any]) -> list[Any]:
    return receipts[:-1]


@pytest.mark.parametrize("lie", [without_the_last_log, with_one_log_more, without_a_receipt])
async def test_a_whole_chains_logs_are_held_against_each_blocks_filter(
    market: Market, observed: Observe, lie: Callable[[list[Any]], list[Any]]
) -> None:
    """The attack: a payment is hidden from, or invented for, whoever judges the payee."""
    market.transfers(1)
    node = Meddler(market.url, liar=changing("eth_getBlockReceipts", lie))
    with pytest.raises(BadAnswer):
        await observed("facts").catch_up(WHOLE, urls=["http://liar"], transport=node)


async def test_logs_left_out_near_the_head_are_missed_by_the_blocks_filter(
    market: Market, observed: Observe
) -> None:
    market.transfers(1, 0, 2)

    def hide(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        hidden = request["method"] == "eth_getLogs" and "fromBlock" in request["params"][0]
        return {**answer, "result": []} if hidden else answer

    with pytest.raises(BadAnswer):
        await observed("facts").catch_up(
            TOKENS, urls=["http://liar"], transport=Meddler(market.url, liar=hide)
        )


async def test_two_nodes_that_must_agree_find_out_the_one_that_leaves_out(
    market: Market, observed: Observe
) -> None:
    market.transfers(3, *([0] * 70))

    def hide(logs: list[Any]) -> list[Any]:
        return logs[:-1]

    node = Meddler(market.url, liar=changing("eth_getLogs", hide), good=honest)
    urls = ["http://liar", "http://good"]
    with pytest.raises(NodesDisagree, match="find out which one lies"):
        await observed("facts").catch_up(TOKENS, urls=urls, transport=node, agree=True)


async def test_a_balanced_node_that_lags_gives_no_empty_blocks(
    market: Market, observed: Observe
) -> None:
    """The trap: behind a balancer one node says the height, another answers with no logs."""
    market.transfers(1, 1, 1, 1)

    def behind(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getBlockByNumber" and request["params"][0] == "latest":
            return answer
        return lagging(market.head() - 2)(request, answer)

    found = observed("facts")
    with pytest.raises(HistoryMissing, match="is not behind"):
        await found.catch_up(
            TOKENS, urls=["http://balanced"], transport=Meddler(market.url, balanced=behind)
        )
    await found.catch_up(TOKENS)
    assert len(found.facts().transfers(TOKEN)) == 4


@pytest.mark.parametrize(
    "said", ["missing trie node abc (path )", "required historical state unavailable (reexec=128)"]
)
async def test_a_node_without_history_is_named_and_a_later_start_is_not_complete(
    market: Market, observed: Observe, said: str
) -> None:
    market.transfers(1, 1)

    def pruned(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getCode" and request["params"][1] != hex(market.head()):
            return {"id": answer["id"], "error": {"code": -32000, "message": said}}
        return answer

    node = {"urls": ["http://pruned"], "transport": Meddler(market.url, pruned=pruned)}
    found = observed("facts")
    with pytest.raises(HistoryMissing, match="archive node"):
        await found.catch_up(TOKENS, limits=QUICK, **node)
    node["transport"] = Meddler(market.url, pruned=pruned)
    await found.catch_up(TOKENS, first=market.head(), limits=QUICK, **node)
    assert not found.facts().coverage(TOKEN).complete


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("query returned more than 10000 results", -32005),
        ("exceed maximum block range: 3", -32602),
        ("Log response size exceeded", -32600),
        ("please narrow your filter", -32000),
    ],
)
async def test_a_node_that_limits_ranges_is_asked_for_less(
    market: Market, observed: Observe, said: str, code: int
) -> None:
    market.transfers(*([1] * 12))
    node = Meddler(market.url, strict=saying(said, code, blocks=3))
    found = observed("facts")
    await found.catch_up(TOKENS, urls=["http://strict"], transport=node)
    assert len(found.facts().transfers(TOKEN)) == 12


async def test_a_node_that_takes_no_batches_or_no_receipts_of_blocks_is_read_all_the_same(
    market: Market, observed: Observe
) -> None:
    market.transfers(1, 2)

    class Plain:
        def __call__(self, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
            if request["method"] == "eth_getBlockReceipts":
                error = {"code": -32601, "message": "the method does not exist"}
                return {"id": answer["id"], "error": error}
            return answer

        def instead(self, requests: list[Any]) -> httpx.Response | None:
            if len(requests) < 3:
                return None
            return httpx.Response(200, json={"error": {"code": -32600, "message": "no batches"}})

    found = observed("facts")
    await found.catch_up(WHOLE, urls=["http://plain"], transport=Meddler(market.url, plain=Plain()))
    kept = found.contents("facts_transfers", "facts_calls", "facts_events")
    assert kept == await expected(market, observed, WHOLE)


class Instead:
    """Answers HTTP in place of the node, so many times."""

    def __init__(self, times: int, response: Callable[[], httpx.Response]) -> None:
        self.left = times
        self._response = response

    def __call__(self, _request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        return answer

    def instead(self, _requests: list[Any]) -> httpx.Response | None:
        self.left -= 1
        return self._response() if self.left >= 0 else None


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> Any:
        while True:
            yield b" " * 65_536


@pytest.mark.parametrize(
    "response",
    [
        lambda: httpx.Response(429, headers={"retry-after": "0"}),
        lambda: httpx.Response(503),
        lambda: httpx.Response(200, content=b"<html>busy</html>"),
        lambda: httpx.Response(200, json={"id": 1, "error": {"code": -32002, "message": "later"}}),
    ],
    ids=["429", "503", "no JSON", "unavailable"],
)
async def test_a_node_in_trouble_is_asked_again_or_another_one_is(
    market: Market, observed: Observe, response: Callable[[], httpx.Response]
) -> None:
    market.transfers(2)
    node = Meddler(market.url, ill=Instead(10**6, response), good=honest)
    found = observed("facts")
    await found.catch_up(TOKENS, urls=["http://ill", "http://good"], transport=node)
    assert len(found.facts().transfers(TOKEN)) == 2


@pytest.mark.parametrize("chosen", [TOKENS, WHOLE], ids=["token", "whole"])
async def test_times_that_run_backwards_are_never_written(
    market: Market, observed: Observe, chosen: Selection
) -> None:
    """The attack: one wrong time, kept for ever, after which no report can read the token."""
    market.transfers(3, 3)

    def turned(block: Any) -> Any:
        return {**block, "timestamp": hex((1 << 32) - int(block["number"], 16))}

    node = Meddler(market.url, odd=changing("eth_getBlockByNumber", turned))
    found = observed("facts")
    with pytest.raises(BadAnswer, match="as the block before it"):
        await found.catch_up(chosen, urls=["http://odd"], transport=node, limits=QUICK)
    assert found.contents("facts_transfers")["facts_transfers"] == []


async def test_a_packed_bomb_is_not_unpacked_beyond_what_is_read(
    market: Market, observed: Observe
) -> None:
    """The attack: 3 KB that a client's decoder makes 2 GiB of before it counts a byte."""
    once = gzip.compress(bytes(32 << 20))
    for packed, coding, said in (
        (once, "gzip", "more than 1,048,576 bytes"),
        (gzip.compress(once), "gzip, gzip", "once"),
        (once[:-9], "gzip", "more than|too early"),
        (b"\x00" * 99, "gzip", "damaged gzip"),
    ):

        async def sent(packed: bytes = packed) -> AsyncIterator[bytes]:
            yield packed

        def bomb(coding: str = coding, sent: Any = sent) -> httpx.Response:
            return httpx.Response(200, headers={"content-encoding": coding}, content=sent())

        with pytest.raises(ChainError, match=said):
            await observed("facts").catch_up(
                TOKENS,
                urls=["http://bomb"],
                transport=Meddler(market.url, bomb=Instead(10**6, bomb)),
                limits=Limits(timeout_s=5, attempts=2, answer_bytes=1 << 20),
            )


@pytest.mark.parametrize("chosen", [TOKENS, WHOLE], ids=["token", "whole"])
@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("eth_chainId", lambda _: "0x" + "f" * 6_000),
        ("eth_getBlockByNumber", lambda block: {**block, "logsBloom": "0x" + "zz" * 256}),
        ("eth_getLogs", lambda logs: [{**log, "topics": _shouted(log)} for log in logs]),
        ("eth_getBlockReceipts", lambda each: [{**r, "logs": _loud(r["logs"])} for r in each]),
    ],
    ids=["number", "filter", "topics", "receipts"],
)
async def test_hex_that_is_none_or_shouted_is_refused(
    market: Market,
    observed: Observe,
    chosen: Selection,
    method: str,
    change: Callable[[Any], Any],
) -> None:
    """The attacks: a filter that is no hex, a number too long to show, and events in capitals.

    The first two ended the indexer as a mistake of ours; the last gave a token without transfers.
    """
    market.transfers(3)
    node = Meddler(market.url, odd=changing(method, change))
    found = observed("facts")
    expects = await expected(market, observed, chosen)
    try:
        await found.catch_up(chosen, urls=["http://odd"], transport=node, limits=QUICK)
    except ChainError:
        return
    assert found.contents("facts_transfers", "facts_calls", "facts_events") == expects


def _shouted(log: Any) -> list[str]:
    return ["0x" + topic[2:].upper() for topic in log["topics"]]


def _loud(logs: list[Any]) -> list[Any]:
    return [{**log, "topics": _shouted(log)} for log in logs]


async def test_a_node_that_never_ends_its_answer_is_bounded(
    market: Market, observed: Observe
) -> None:
    node = Instead(10**6, lambda: httpx.Response(200, stream=Endless()))
    with pytest.raises((ChainError, RpcUnavailable)):
        await observed("facts").catch_up(
            TOKENS,
            urls=["http://endless"],
            transport=Meddler(market.url, endless=node),
            limits=Limits(timeout_s=5, attempts=2, answer_bytes=1 << 20),
        )
