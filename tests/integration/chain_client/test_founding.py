"""What a new network does once, however often it is begun."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tessera.bindings import TestDollar
from tessera.chain.deploy import deploy
from tessera.chain.deployments import Deployment, Parameters
from tessera.chain.founding import found
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.units import NETWORK_DECIMALS

COMMONS = "0x" + "44" * 20
TSR = 10**NETWORK_DECIMALS
MONEY = 50_000_000


@pytest.fixture
async def sender(reader: ChainReader, publisher: Account) -> AsyncIterator[Sender]:
    async with Sender(reader, publisher, resend_after_s=0.5, longest_poll_s=0.1) as opened:
        yield opened


async def _deployed(sender: Sender, file: Path, **settings: object) -> Deployment:
    parameters = Parameters(
        owner=sender.address, commons=COMMONS, network_pool=MONEY, network_price=2_000_000
    )
    return await deploy(sender, msgspec.structs.replace(parameters, **settings), file)


async def test_a_network_is_founded_once(sender: Sender, tmp_path: Path) -> None:
    made = await _deployed(sender, tmp_path / "deployment.json")
    told: list[str] = []
    await found(sender, made, announce=told.append)
    assert len(told) == 4
    read = sender.reader.read
    assert await read(made.network_token.minter()) == made.emission.address
    assert await read(made.bad_counts.is_bad(1_000, 780_000, 738))
    assert not await read(made.bad_counts.is_bad(1_000, 780_000, 739))
    reserves = await read(made.network_exchange.reserves_of(made.network_token.address))
    assert reserves == (25 * TSR, MONEY)
    depth = await read(made.network_price.terms())
    assert depth == (24 * 3_600, 3_600, MONEY // 4)
    assert await read(made.registry.validators()) == made.emission.address
    assert await read(made.registry.commons()) == COMMONS
    nonce = await sender.reader.nonce(sender.address)
    told.clear()
    await found(sender, made, announce=told.append)
    assert told == []
    assert await sender.reader.nonce(sender.address) == nonce


async def test_what_only_others_can_do_is_said(sender: Sender, tmp_path: Path) -> None:
    """A real currency that the deployer does not hold, and a Registry that a timelock owns."""
    flight = await sender.create("TestDollar", TestDollar.encode_constructor(6, 1))
    currency = (await flight.receipt()).created
    owner = "0x" + "33" * 20
    made = await _deployed(sender, tmp_path / "d.json", currency=currency, owner=owner)
    told: list[str] = []
    await found(sender, made, announce=told.append)
    assert "TSR has no market yet: the deployer lacks the money that opens it" in told
    assert any(owner in line and made.emission.address in line for line in told)
    assert await sender.reader.read(made.registry.validators()) == COMMONS
