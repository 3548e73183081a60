"""All contracts on a chain, once, however it is interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.integration.chain_client.bare_node import RICH, BareNode, until

from tessera.bindings import TestDollar
from tessera.chain.deploy import created_address, deploy, deploy_or_load
from tessera.chain.deployments import Deployment, DeploymentMismatch, Parameters
from tessera.chain.node import EmbeddedNode
from tessera.chain.parameters import CONTRACTS
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.chain.wallet import Account
from tessera.errors import Conflict, DataError, InputError, NotFound, WrongChain

OWNER = "0x" + "33" * 20
COMMONS = "0x" + "44" * 20
PARAMETERS = Parameters(owner=OWNER, commons=COMMONS, withdraw_delay_s=600)


@pytest.fixture
async def sender(reader: ChainReader, publisher: Account) -> AsyncIterator[Sender]:
    async with Sender(reader, publisher, resend_after_s=0.5, longest_poll_s=0.1) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deployment.json"


async def test_the_contracts_know_each_other(sender: Sender, file: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = await deploy_or_load(sender, PARAMETERS, file, progress=lambda *step: told.append(step))
    read = sender.reader.read
    assert told == [(name, place, len(CONTRACTS)) for place, name in enumerate(CONTRACTS, start=1)]
    assert made.verified
    assert await read(made.channels.registry()) == made.registry.address
    assert await read(made.channels.currency()) == made.currency.address
    assert await read(made.channels.withdraw_delay()) == 600
    assert await read(made.registry.owner()) == OWNER
    assert await read(made.registry.commons()) == COMMONS
    assert await read(made.currency.decimals()) == 6
    assert made.has_faucet
    for place, name in enumerate(CONTRACTS):
        row = made.contracts[name]
        assert row.address == created_address(sender.address, made.first_nonce + place)
        receipt = await sender.reader.receipt(row.tx)
        assert receipt is not None
        assert (receipt.created, receipt.block) == (row.address, row.block)
        assert row.block > made.since


async def test_a_second_start_reads_the_file_and_sends_nothing(sender: Sender, file: Path) -> None:
    made = await deploy_or_load(sender, PARAMETERS, file)
    nonce = await sender.reader.nonce(sender.address)
    assert await deploy_or_load(sender, PARAMETERS, file) == made == Deployment.load(file)
    assert await sender.reader.nonce(sender.address) == nonce


async def test_a_currency_that_exists_is_used(sender: Sender, file: Path) -> None:
    flight = await sender.create("TestDollar", TestDollar.encode_constructor(18, 10**20))
    currency = (await flight.receipt()).created
    assert currency is not None
    made = await deploy(sender, Parameters(owner=OWNER, commons=COMMONS, currency=currency), file)
    assert "TestDollar" not in made.contracts
    assert not made.has_faucet
    assert await sender.reader.read(made.channels.currency()) == currency


@pytest.mark.parametrize("done", [1, 2, len(CONTRACTS) // 2, len(CONTRACTS) - 1])
async def test_an_interrupted_deployment_is_taken_up(sender: Sender, file: Path, done: int) -> None:
    class Interrupted(Exception):
        pass

    def stop(name: str, place: int, of: int) -> None:
        if place == done:
            raise Interrupted

    with pytest.raises(Interrupted):
        await deploy_or_load(sender, PARAMETERS, file, progress=stop)
    begun = Deployment.load(file)
    assert not begun.verified
    made = await deploy_or_load(sender, PARAMETERS, file)
    assert made.verified
    assert made.first_nonce == begun.first_nonce
    assert made.contracts.keys() == begun.contracts.keys()


async def test_a_process_that_dies_between_two_contracts_leaves_half_that_is_used(
    node: BareNode, reader: ChainReader, publisher: Account, file: Path
) -> None:
    node.stop_mining()
    async with Sender(reader, publisher) as first:
        running = asyncio.create_task(deploy_or_load(first, PARAMETERS, file))
        await until(lambda: int(node.rpc("txpool_status")["pending"], 16) >= 3)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    begun = Deployment.load(file)
    node.rpc("evm_setAutomine", True)
    node.mine()
    async with Sender(reader, publisher) as second:
        made = await deploy_or_load(second, PARAMETERS, file)
    assert made.verified
    assert made.first_nonce == begun.first_nonce
    assert await reader.nonce(publisher.address) == begun.first_nonce + len(CONTRACTS)


async def test_a_stranger_with_the_same_key_costs_time_and_nothing_else(
    node: BareNode, reader: ChainReader, publisher: Account, file: Path
) -> None:
    """Somebody else takes a nonce in the middle: the deployment begins again behind it."""
    async with Sender(reader, publisher) as ours, Sender(reader, publisher) as theirs:
        await ours.transfer(OWNER, 1)
        interrupted = False

        def interrupt(name: str, place: int, of: int) -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                raise KeyError(name)

        with pytest.raises(KeyError):
            await deploy_or_load(ours, PARAMETERS, file, progress=interrupt)
        await ours.idle()
        begun = Deployment.load(file)
        # The last contract of the plan is not there: its nonce went to a transfer.
        lost = msgspec.structs.replace(begun, first_nonce=begun.first_nonce + 1)
        shifted = {
            name: msgspec.structs.replace(
                row, address=created_address(publisher.address, lost.first_nonce + place), block=0
            )
            for place, (name, row) in enumerate(begun.contracts.items())
        }
        msgspec.structs.replace(lost, contracts=shifted).save(file)
        await theirs.transfer(OWNER, 1)
        made = await deploy_or_load(ours, PARAMETERS, file)
    assert made.verified
    assert made.first_nonce > lost.first_nonce


async def test_other_parameters_begin_a_new_deployment(sender: Sender, file: Path) -> None:
    def stop(name: str, place: int, of: int) -> None:
        raise KeyError(name)

    with pytest.raises(KeyError):
        await deploy_or_load(sender, PARAMETERS, file, progress=stop)
    begun = Deployment.load(file)
    other = msgspec.structs.replace(PARAMETERS, withdraw_delay_s=700)
    made = await deploy_or_load(sender, other, file)
    assert made.first_nonce > begun.first_nonce
    assert await sender.reader.read(made.channels.withdraw_delay()) == 700


async def test_a_chain_that_was_begun_anew_is_noticed(
    node: BareNode, sender: Sender, file: Path
) -> None:
    empty = node.rpc("evm_snapshot")
    made = await deploy_or_load(sender, PARAMETERS, file)
    assert node.rpc("evm_revert", empty)
    with pytest.raises(DeploymentMismatch, match=r"contract \w+ at .*found 'no code'"):
        await made.verify(sender.reader)
    with pytest.raises(DeploymentMismatch):
        await deploy_or_load(sender, PARAMETERS, file)


async def test_code_that_was_changed_is_noticed(node: BareNode, sender: Sender, file: Path) -> None:
    made = await deploy_or_load(sender, PARAMETERS, file)
    address = made.channels.address
    code = bytearray(await sender.reader.code(address))
    at = code.index(bytes.fromhex(made.registry.address[2:]))
    code[at] ^= 1
    node.rpc("anvil_setCode", address, f"0x{code.hex()}")
    with pytest.raises(DeploymentMismatch, match="REGISTRY"):
        await made.verify(sender.reader)
    node.rpc("anvil_setCode", address, f"0x01{code[1:].hex()}")
    with pytest.raises(DeploymentMismatch, match="other code"):
        await made.verify(sender.reader)


async def test_other_sources_are_noticed(sender: Sender, file: Path) -> None:
    made = await deploy_or_load(sender, PARAMETERS, file)
    older = msgspec.structs.replace(made.contracts["Till"], runtime="00" * 32)
    outdated = msgspec.structs.replace(made, contracts={**made.contracts, "Till": older})
    with pytest.raises(Conflict, match=r"Till.*use the version that deployed it, or deploy again"):
        await outdated.verify(sender.reader)
    elsewhere = msgspec.structs.replace(made, chain_id=1)
    with pytest.raises(WrongChain, match="--deployment"):
        await elsewhere.verify(sender.reader)


async def test_parameters_that_make_no_sense_are_refused_before_anything_is_sent(
    sender: Sender, file: Path
) -> None:
    for wrong, error in (
        (msgspec.structs.replace(PARAMETERS, owner="me"), InputError),
        (msgspec.structs.replace(PARAMETERS, currency=OWNER), NotFound),
    ):
        with pytest.raises(error):
            await deploy_or_load(sender, wrong, file)
    with pytest.raises(NotFound):
        Deployment.load(file)
    assert await sender.reader.nonce(sender.address) == 0


def test_a_deployments_file_that_is_none_is_refused(file: Path) -> None:
    with pytest.raises(NotFound, match="tessera up"):
        Deployment.load(file)
    for content in (b"", b"{", b"[]", b'{"chain_id": "x"}'):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"deployment\.json"):
            Deployment.load(file)


async def test_it_works_on_the_embedded_node(tmp_path: Path, file: Path) -> None:
    deployer = Account.generate()
    async with (
        EmbeddedNode.start(tmp_path / "chain", prefund={deployer.address: RICH}) as embedded,
        ChainReader(embedded.url, chain_id=embedded.chain_id) as reader,
        Sender(reader, deployer) as sender,
    ):
        made = await deploy_or_load(sender, PARAMETERS, file)
        await sender.send(made.currency.faucet(5))
        assert await reader.read(made.currency.balanceOf(deployer.address)) == 5


async def test_a_deployment_of_an_earlier_version_is_refused(sender: Sender, file: Path) -> None:
    made = await deploy_or_load(sender, PARAMETERS, file)
    rows = {name: row for name, row in made.contracts.items() if name != "Emission"}
    with pytest.raises(Conflict, match="no Emission"):
        await msgspec.structs.replace(made, contracts=rows).verify(sender.reader)


@pytest.mark.parametrize(
    ("changed", "immutable"), [({"hour_s": 60}, "DELAY"), ({"network_price": 7}, "TERMS")]
)
async def test_windows_and_terms_that_a_file_lies_about_are_noticed(
    sender: Sender, file: Path, changed: dict[str, int], immutable: str
) -> None:
    """An attacker hands out a file of its own deployment, with milder terms written into it."""
    made = await deploy_or_load(sender, PARAMETERS, file)
    told = msgspec.structs.replace(PARAMETERS, **changed)
    with pytest.raises(DeploymentMismatch, match=immutable):
        await msgspec.structs.replace(made, parameters=told).verify(sender.reader)
