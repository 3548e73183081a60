"""A gateway on a real chain, an OpenAI-compatible server, and a subnet on a chain of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.chain_client.bare_node import BareNode
from tests.integration.client.conftest import World, built, stand, world
from tests.integration.validation.subnet_rig import Subnet, names, opened_subnet, subnet_at

__all__ = ["stand", "world"]

SECRETS = {name: secrets.token_bytes(32) for name in names()}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, int]]:
    """A chain of its own: its clock is set forward."""
    home = tmp_path_factory.mktemp("chain")
    node = BareNode.start(home)

    async def begin() -> tuple[World, int]:
        chain = await built(node, home)
        return chain, await opened_subnet(chain, SECRETS)

    try:
        yield asyncio.run(begin())
    finally:
        node.end()


@pytest.fixture
async def subnet(opened: tuple[World, int], tmp_path: Path) -> AsyncIterator[Subnet]:
    """A subnet with validators and models, in its first epoch; the same for each test."""
    chain, number = opened
    before = chain.node.rpc("evm_snapshot")
    async with subnet_at(chain, SECRETS, number, tmp_path) as made:
        yield made
    chain.node.rpc("evm_revert", before)
