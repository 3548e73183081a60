"""The same facts in PostgreSQL as in a file, and one writer there too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from tests.integration.chain_client.bare_node import CHAIN_ID
from tests.integration.gateway.postgres import Server, postgres
from tests.integration.indexer.conftest import TOKEN, Market, Observed

from tessera.errors import Busy
from tessera.facts.facts import Facts
from tessera.facts.live import Live
from tessera.indexer.book import Book
from tessera.indexer.fetching import Fetcher
from tessera.indexer.following import Indexer
from tessera.indexer.nodes import Nodes
from tessera.indexer.pieces import Selection
from tessera.storage.facts_database import FactsDatabase, open_facts

WHOLE = Selection(whole=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as made:
        yield made


async def catch_up(url: str, database: FactsDatabase) -> None:
    async with Nodes([url], chain_id=CHAIN_ID) as nodes:
        book = Book(database, now=time.time)
        await Indexer(Fetcher(nodes), book, WHOLE, chain_id=CHAIN_ID).catch_up()


async def test_a_reorganized_chain_is_the_same_in_postgresql_as_in_a_file(
    market: Market, observed: Callable[[str], Observed], server: Server
) -> None:
    market.transfers(1)
    fork = market.node.rpc("evm_snapshot")
    market.transfers(2, 3)
    with open_facts(server.url, write=True) as database:
        await catch_up(market.url, database)
        with pytest.raises(Busy, match="one writer"):
            open_facts(server.url, write=True)
        assert market.node.rpc("evm_revert", fork)
        market.transfers(4, 0, 5, 6)
        await catch_up(market.url, database)
        with open_facts(server.url) as reading:
            mine = Facts(Live(reading))
            fresh = observed("fresh")
            await fresh.catch_up(WHOLE)
            theirs = fresh.facts()
            assert mine.head == theirs.head
            assert mine.tokens() == theirs.tokens() == (TOKEN,)
            assert mine.coverage(TOKEN) == theirs.coverage(TOKEN)
            assert mine.transfers(TOKEN).digest() == theirs.transfers(TOKEN).digest()
            calls = mine.calls(), theirs.calls()
            assert calls[0].hash.tobytes() == calls[1].hash.tobytes()
            assert calls[0].data.tolist() == calls[1].data.tolist()
    open_facts(server.url, write=True).close()
