"""Looking at contracts: code, what proxies lead to, what tokens say of themselves; and whose."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import pytest
from tests.integration.chain_client.bare_node import CHAIN_ID
from tests.integration.indexer.conftest import PAYER, TOKEN, Market, Observed

from tessera.contracts import load_artifact
from tessera.errors import ReorgDetected
from tessera.indexer.book import Book
from tessera.indexer.fetching import Fetcher
from tessera.indexer.kinds import Kinds
from tessera.indexer.looking import ERC20_CALLS, PROXY_SLOTS, Viewer, balance_of
from tessera.indexer.nodes import Nodes
from tessera.indexer.pieces import Selection
from tessera.storage.facts_database import open_facts

DOLLAR = "0x" + "d0" * 20
PROXY = "0x" + "b0" * 20
CLONE = "0x" + "c0" * 20
IMPLEMENTATION = PROXY_SLOTS[0]
CLONES_CODE = f"0x363d3d373d3d3d363d73{DOLLAR[2:]}5af43d82803e903d91602b57fd5bf3{'00' * 31}07"


@pytest.fixture
async def nodes(market: Market) -> AsyncIterator[Nodes]:
    artifact = load_artifact("TestDollar")
    values = {name: 6 for name, _, _ in artifact.immutables}
    rpc = market.node.rpc
    rpc("anvil_setCode", DOLLAR, f"0x{artifact.code(values).hex()}")
    rpc("anvil_setCode", PROXY, "0x5f5ffd")
    rpc("anvil_setStorageAt", PROXY, hex(IMPLEMENTATION), f"0x{int(DOLLAR, 16):064x}")
    rpc("anvil_setCode", CLONE, CLONES_CODE)
    market.transfers(1)
    async with Nodes([market.url], chain_id=CHAIN_ID) as opened:
        yield opened


async def look(nodes: Nodes, found: Observed, block: int, *tokens: str) -> None:
    with open_facts(found.path, write=True) as database:
        viewer = Viewer(nodes, Fetcher(nodes), Book(database, now=time.time), block)
        holders = [bytes.fromhex(PAYER[2:])]
        await viewer.look([PROXY, CLONE, PAYER], tokens=tokens, holders=holders)


async def test_code_proxies_and_what_a_token_says_of_itself_are_kept(
    market: Market, observed: Callable[[str], Observed], nodes: Nodes
) -> None:
    found = observed("facts")
    await found.catch_up(Selection(whole=True))
    await look(nodes, found, market.head())
    facts = found.facts()
    # The clone and the proxy lead to it, though nobody named it.
    code = market.node.rpc("eth_getCode", DOLLAR, "latest")
    assert facts.code(DOLLAR) == bytes.fromhex(code[2:])
    assert facts.reads(DOLLAR, ERC20_CALLS["decimals"]) == ()
    await look(nodes, found, market.head(), DOLLAR)
    facts = found.facts()
    assert facts.code(PAYER) == b""
    assert facts.code("0x" + "12" * 20) is None
    assert facts.slot(PROXY, IMPLEMENTATION) == int(DOLLAR, 16)
    (decimals,) = facts.reads(DOLLAR, ERC20_CALLS["decimals"])
    assert (decimals.ok, int.from_bytes(decimals.answer)) == (True, 6)
    (balance,) = facts.reads(DOLLAR, balance_of(bytes.fromhex(PAYER[2:])))
    assert (balance.ok, int.from_bytes(balance.answer)) == (True, 0)
    owner = bytes.fromhex("8da5cb5b")
    assert [read.ok for read in facts.reads(PROXY, owner)] == [False]
    # Earlier nothing of it was observed.
    assert facts.as_of(market.head() - 1).code(PROXY) is None


async def test_what_was_looked_at_on_a_fork_is_taken_back_with_it(
    market: Market, observed: Callable[[str], Observed], nodes: Nodes
) -> None:
    fork = market.node.rpc("evm_snapshot")
    market.transfers(1, 1)
    found = observed("facts")
    await found.catch_up(Selection(whole=True))
    await look(nodes, found, market.head())
    assert market.node.rpc("evm_revert", fork)
    market.transfers(2, 2, 2)
    with pytest.raises(ReorgDetected):
        await look(nodes, found, market.head() - 1)
    await found.catch_up(Selection(whole=True))
    assert found.facts().code(PROXY) is None


async def test_a_contract_is_ours_by_its_code_and_a_strangers_is_not(
    market: Market, nodes: Nodes
) -> None:
    """The attack: a stranger's contract writes our events, to pay its holders in books only."""
    kinds = Kinds(nodes)
    asked = {bytes.fromhex(each[2:]) for each in (DOLLAR, CLONE, PROXY, TOKEN)}
    names = await kinds.names(asked, node=nodes.well())
    found = {f"0x{each.hex()}": name for each, name in names.items()}
    assert found == {DOLLAR: "TestDollar", CLONE: "TestDollar", PROXY: "", TOKEN: ""}
