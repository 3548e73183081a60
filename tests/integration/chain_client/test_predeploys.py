"""A new development chain begins with the contracts that others' standards put at fixed places."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tessera.bindings import Multicall, TestDollar, X402Channels, X402Collector
from tessera.bindings.multicall import Request
from tessera.chain.deploy import deploy_or_load
from tessera.chain.deployments import DeploymentMismatch, Parameters
from tessera.chain.node import EmbeddedNode
from tessera.chain.predeploys import (
    BASE_SEPOLIA,
    BASE_SEPOLIA_DOLLAR,
    PLACES,
    predeployed_code,
    predeployed_on,
)
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.contracts import load_artifact

ETHER = 10**18


def _code(chain_id: int) -> dict[str, bytes]:
    return predeployed_code(chain_id, decimals=6, faucet=10**12)


@pytest.mark.parametrize("chain_id", [31_337, BASE_SEPOLIA])
async def test_they_stand_there_from_the_first_block_and_after_every_start(
    tmp_path: Path, publisher: Account, chain_id: int
) -> None:
    """The dollar of Base Sepolia, too, on its chain id: clients know its address."""
    file = tmp_path / "deployment.json"
    prefund = {publisher.address: 10**6 * ETHER}
    async with (
        EmbeddedNode.start(
            tmp_path / "chain", chain_id=chain_id, prefund=prefund, code=_code(chain_id)
        ) as node,
        ChainReader(node.url, chain_id=chain_id) as reader,
        Sender(reader, publisher, longest_poll_s=0.1) as sender,
    ):
        places = await predeployed_on(reader)
        currency = places.get("TestDollar", "")
        assert currency == (BASE_SEPOLIA_DOLLAR if chain_id == BASE_SEPOLIA else "")
        wanted = Parameters(owner=publisher.address, commons=publisher.address, currency=currency)
        made = await deploy_or_load(sender, wanted, file)
        assert made.has_faucet
        assert made.predeployed.keys() == places.keys()
        assert made.contracts.keys().isdisjoint(places)
        assert await reader.read(made.channels.currency()) == made.currency.address
        await sender.send(made.currency.faucet(1_000))
        collector = X402Collector(made.address_of("X402Collector"))
        assert await reader.read(collector.x402BatchSettlement()) == PLACES["X402Channels"]
        channels = X402Channels(made.address_of("X402Channels"))
        assert await reader.read(channels.MIN_WITHDRAW_DELAY()) == 900
    async with (
        EmbeddedNode.start(tmp_path / "chain", chain_id=chain_id) as node,
        ChainReader(node.url, chain_id=chain_id) as reader,
    ):
        await made.verify(reader)
        # A file that is wrong about them is found out, as for any other contract.
        row = msgspec.structs.replace(made.predeployed["X402Channels"], address=PLACES["Multicall"])
        wrong = msgspec.structs.replace(made, predeployed={"X402Channels": row})
        with pytest.raises(DeploymentMismatch, match="X402Channels"):
            await wrong.verify(reader)
        asked = made.currency.balanceOf(publisher.address)
        assert await reader.read(asked) == 1_000
        multicall = Multicall(PLACES["Multicall"])
        rows = [Request(asked.to, asked.data)]
        (answer,) = await reader.read(multicall.tryAggregate(True, rows))
        assert asked.decode(answer.returnData) == 1_000
        dollar = TestDollar(made.currency.address)
        assert await reader.read(dollar.name()) == "Test Dollar"
        assert await reader.read(dollar.version()) == "1"


async def test_a_chain_that_began_without_them_has_none(tmp_path: Path, publisher: Account) -> None:
    """A data folder of before x402 starts as it did, on whichever chain id."""
    prefund = {publisher.address: 10**6 * ETHER}
    async with (
        EmbeddedNode.start(tmp_path, chain_id=BASE_SEPOLIA, prefund=prefund) as node,
        ChainReader(node.url, chain_id=BASE_SEPOLIA) as reader,
        Sender(reader, publisher, longest_poll_s=0.1) as sender,
    ):
        assert await predeployed_on(reader) == {}
        wanted = Parameters(owner=publisher.address, commons=publisher.address)
        made = await deploy_or_load(sender, wanted, tmp_path / "deployment.json")
        assert made.predeployed == {}
        assert made.has_faucet
        assert made.address_of("TestDollar") != BASE_SEPOLIA_DOLLAR


async def test_other_code_in_their_places_is_not_taken_for_ours(tmp_path: Path) -> None:
    """On a public chain the standard's own contracts are there: known by their code."""
    code = dict.fromkeys(PLACES.values(), b"`\x00`\x00\xf3")
    collector = load_artifact("X402Collector")
    code[PLACES["X402Collector"]] = collector.code({"x402BatchSettlement": 7})
    async with (
        EmbeddedNode.start(tmp_path, code=code) as node,
        ChainReader(node.url, chain_id=31_337) as reader,
    ):
        places = await predeployed_on(reader)
        assert places == {"X402Collector": PLACES["X402Collector"]}
