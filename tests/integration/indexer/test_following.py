"""Following a real node: the same facts, whatever the chain did in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.indexer.conftest import OTHER, TOKEN, Market, Meddler, Observed, lagging

from tessera.errors import InputError
from tessera.indexer.pieces import Selection

TOKENS = Selection(tokens=frozenset({TOKEN}))
WHOLE = Selection(whole=True)


async def test_transfers_of_a_token_are_read_exactly_and_once(
    market: Market, observed: Callable[[str], Observed]
) -> None:
    market.transfers(3, 0, 0, 5)
    found = observed("facts")
    outcome = await found.catch_up(TOKENS)
    assert outcome.rows == 8
    facts = found.facts()
    transfers = facts.transfers(TOKEN)
    assert len(transfers) == 8
    assert list(transfers.amount) == [3, 2, 1, 5, 4, 3, 2, 1]
    block = market.node.rpc("eth_getBlockByNumber", hex(int(transfers.block[0])), False)
    assert transfers.time[0] == int(block["timestamp"], 16)
    assert facts.coverage(TOKEN).last == market.head() == facts.head.block
    again = await found.catch_up(TOKENS)
    assert (again.rows, again.blocks) == (0, 0)


@pytest.mark.parametrize("chosen", [TOKENS, WHOLE], ids=["token", "whole chain"])
async def test_a_reorganization_of_30_blocks_ends_with_the_facts_of_a_fresh_sync(
    market: Market, observed: Callable[[str], Observed], chosen: Selection
) -> None:
    market.transfers(2, 0, 1)
    fork = market.node.rpc("evm_snapshot")
    market.transfers(*([1, 0, 2] * 10))
    found = observed("reorganized")
    await found.catch_up(chosen)
    before = found.facts()
    known_at, digest, tip = before.known_at, before.transfers(TOKEN).digest(), before.head.block
    assert market.node.rpc("evm_revert", fork)
    market.transfers(*([0, 4] * 16))
    outcome = await found.catch_up(chosen)
    assert outcome.taken_back == 30
    fresh = observed("fresh")
    await fresh.catch_up(chosen)
    assert found.contents() == fresh.contents()
    mine, theirs = found.facts(), fresh.facts()
    assert mine.transfers(TOKEN).digest() == theirs.transfers(TOKEN).digest() != digest
    assert mine.head == theirs.head
    # What was known before the chain changed its mind is still what was known then.
    assert mine.as_of(tip, known_at).transfers(TOKEN).digest() == digest


async def test_a_chain_that_moves_while_it_is_read_is_read_again(
    market: Market, observed: Callable[[str], Observed]
) -> None:
    market.transfers(1)
    fork = market.node.rpc("evm_snapshot")
    market.transfers(*([1] * 20))
    moved = []

    def move(_done: int, _total: int) -> None:
        if not moved:
            moved.append(market.node.rpc("evm_revert", fork))
            market.transfers(*([2] * 25))

    found = observed("moved")
    indexer_span_is_small = Selection(whole=True)
    await found.catch_up(indexer_span_is_small, report=move)
    fresh = observed("fresh")
    await fresh.catch_up(WHOLE)
    assert moved
    assert found.contents() == fresh.contents()


async def test_a_node_that_lags_takes_nothing_back(
    market: Market, observed: Callable[[str], Observed]
) -> None:
    market.transfers(*([1] * 8))
    found = observed("facts")
    await found.catch_up(TOKENS)
    before = found.contents()
    node = Meddler(market.url, late=lagging(market.head() - 3))
    outcome = await found.catch_up(TOKENS, urls=["http://late"], transport=node)
    assert (outcome.behind, outcome.taken_back) == (3, 0)
    assert found.contents() == before


async def test_tokens_are_read_from_their_creation_and_what_is_there_is_not_read_again(
    market: Market, observed: Callable[[str], Observed]
) -> None:
    market.transfers(1)
    market.node.rpc("anvil_setCode", OTHER, "0x")
    market.transfers(1, 1, 1)
    market.node.rpc("anvil_setCode", OTHER, market.code)
    market.transfers(2, token=OTHER)
    born = market.head()
    found = observed("facts")
    await found.catch_up(TOKENS)
    outcome = await found.catch_up(Selection(tokens=frozenset({TOKEN, OTHER})))
    facts = found.facts()
    assert facts.tokens() == (TOKEN, OTHER)
    assert facts.coverage(OTHER).first <= born
    assert facts.coverage(OTHER).complete
    assert outcome.rows == len(facts.transfers(OTHER)) == 2
    await found.catch_up(WHOLE)
    fresh = observed("fresh")
    await fresh.catch_up(WHOLE)
    assert found.contents("facts_transfers") == fresh.contents("facts_transfers")


async def test_a_history_that_begins_late_is_not_called_complete(
    market: Market, observed: Callable[[str], Observed]
) -> None:
    market.transfers(1, 2, 3)
    found = observed("facts")
    await found.catch_up(TOKENS, first=market.head())
    coverage = found.facts().coverage(TOKEN)
    assert (coverage.first, coverage.complete) == (market.head(), False)
    await found.catch_up(TOKENS)
    assert found.facts().coverage(TOKEN).complete


async def test_facts_of_another_chain_with_the_same_number_are_refused(
    market: Market,
    observed: Callable[[str], Observed],
) -> None:
    """The attack: a development chain begun anew answers under the number of the one before."""
    market.transfers(1)
    found = observed("facts")
    await found.catch_up(TOKENS)

    def begun_anew(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getBlockByNumber" and request["params"][0] == "0x0":
            return {**answer, "result": {**answer["result"], "hash": "0x" + "12" * 32}}
        return answer

    node = Meddler(market.url, new=begun_anew)
    with pytest.raises(InputError, match="another --data-dir"):
        await found.catch_up(TOKENS, urls=["http://new"], transport=node)


async def test_an_address_without_code_is_refused(
    market: Market, observed: Callable[[str], Observed]
) -> None:
    with pytest.raises(InputError, match="no code at block"):
        await observed("facts").catch_up(Selection(tokens=frozenset({"0x" + "99" * 20})))
