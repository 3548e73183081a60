"""Fixtures: a bare node, a reader of it, and somebody who can pay for gas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.chain_client.bare_node import CHAIN_ID, BareNode

from tessera.chain.reader import ChainReader
from tessera.chain.wallet import Account


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., BareNode]]:
    started: list[BareNode] = []

    def start(chain_id: int = CHAIN_ID) -> BareNode:
        home = tmp_path / f"home{len(started)}"
        home.mkdir()
        started.append(BareNode.start(home, chain_id))
        return started[-1]

    yield start
    for node in started:
        node.end()


@pytest.fixture
def node(start_node: Callable[..., BareNode]) -> BareNode:
    return start_node()


@pytest.fixture
async def reader(node: BareNode) -> AsyncIterator[ChainReader]:
    async with ChainReader(node.url, chain_id=CHAIN_ID, timeout_s=10.0) as opened:
        yield opened


@pytest.fixture
def publisher(node: BareNode) -> Account:
    account = Account.generate()
    node.fund(account.address)
    return account
