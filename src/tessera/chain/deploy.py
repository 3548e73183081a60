"""Putting all contracts on a chain, once, however often it is interrupted.

The contracts name each other in their immutables, in circles. So the address of each is computed
beforehand from the deployer's nonce, written down, and only then are the transactions sent, in
that order and with exactly those nonces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import sha3

from tessera.bindings.codec import checksummed, encode
from tessera.chain.deployments import (
    DeployedContract,
    Deployment,
    DeploymentMismatch,
    Parameters,
)
from tessera.chain.flights import Flight
from tessera.chain.parameters import ARTIFACTS, ASKS, CONTRACTS
from tessera.chain.predeploys import DOLLAR, predeployed_on
from tessera.chain.reader import ChainReader
from tessera.chain.sender import NonceMoved, Sender
from tessera.contracts import load_artifact
from tessera.errors import Conflict, InputError, NotFinal, NotFound

__all__ = ["created_address", "deploy", "deploy_or_load"]

_MOST_STARTS: Final = 5
_SETTLING_S: Final = 60.0
_LOOK_S: Final = 0.2

Progress = Callable[[str, int, int], None]
"""Told the contract, how many are done, and how many there are."""


def created_address(deployer: str, nonce: int) -> str:
    """Return the address of the contract that a transaction creates."""
    import rlp  # brings pydantic, which no `--help` should wait for

    encoded = rlp.encode([bytes.fromhex(deployer.removeprefix("0x")), nonce])
    return checksummed("0x" + sha3.keccak_256(encoded).digest()[-20:].hex())


async def deploy_or_load(
    sender: Sender, parameters: Parameters, file: Path, *, progress: Progress | None = None
) -> Deployment:
    """Return the deployment of `file` if it is on the chain, or make it.

    A complete deployment is verified and returned as it is, whatever `parameters` say: contracts
    do not change. One that was interrupted is completed if it was begun with these parameters and
    contracts, and otherwise begun again.

    Raises
    ------
    DeploymentMismatch, WrongChain, Conflict
        The file's contracts are not what the chain has. Nothing is deployed over them.
    InputError, NotFound
        As for `deploy`.
    """
    try:
        found = Deployment.load(file)
    except NotFound:
        found = None
    if found is not None and found.verified:
        await found.verify(sender.reader)
        return found
    return await deploy(sender, parameters, file, begun=found, progress=progress)


async def deploy(
    sender: Sender,
    parameters: Parameters,
    file: Path,
    *,
    begun: Deployment | None = None,
    progress: Progress | None = None,
) -> Deployment:
    """Deploy all contracts, verify them, and write the deployments file.

    Parameters
    ----------
    sender
        Of the deployer. Nothing else should send from that account meanwhile; if something does,
        the deployment begins again behind it.
    parameters
        What the contracts are made with.
    file
        Written before, during and after.
    begun
        A deployment that was interrupted.
    progress
        Told of each contract.

    Raises
    ------
    InputError, NotFound
        The parameters make no sense, or there is no currency at the address.
    AccountUnfunded
        The deployer cannot pay.
    Conflict
        Other transactions of the deployer came in between, again and again.
    """
    reader = sender.reader
    await _check(reader, parameters)
    standing = _standing(parameters, await predeployed_on(reader))
    for _ in range(_MOST_STARTS):
        await sender.idle()
        nonce = await _settled_nonce(reader, sender.address)
        plan = _planned(
            reader.chain_id, sender.address, nonce, parameters, await reader.block_number()
        )
        plan = msgspec.structs.replace(plan, predeployed=standing)
        if begun is not None and _same(begun, plan):
            plan = begun
        plan.save(file)
        try:
            made = await _made(sender, plan, nonce, file, progress)
            await made.verify(reader)
        except NonceMoved:
            # Somebody sends from this account. Whether that was a part of this plan is seen next.
            begun = plan
            continue
        except DeploymentMismatch:
            # Somebody used one of our nonces; what was created so far is nobody's and harmless.
            begun = None
            continue
        made = msgspec.structs.replace(made, verified=True)
        made.save(file)
        return made
    raise Conflict(
        f"deployment by {sender.address}",
        found="other transactions of that account in between",
        wanted="the account for ourselves",
        next_step="stop the other program, or deploy from another account",
    )


async def _check(reader: ChainReader, parameters: Parameters) -> None:
    for name in ("owner", "commons", *(("currency",) if parameters.currency else ())):
        try:
            checksummed(getattr(parameters, name))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"deployment: {name}",
                found=getattr(parameters, name),
                wanted="an address: 0x and 40 hex digits",
            ) from error
    await reader.check_chain()
    if parameters.currency and not await reader.code(parameters.currency):
        raise NotFound(
            "currency",
            found=f"no code at {parameters.currency}",
            wanted="an ERC-20 on this chain",
            next_step="correct the address, or leave it out for a test dollar",
        )


def _planned(
    chain_id: int, deployer: str, nonce: int, parameters: Parameters, since: int
) -> Deployment:
    # In which order does not matter: every address is known before the first of them exists.
    names = [name for name in CONTRACTS if name != DOLLAR or not parameters.currency]
    contracts = {
        name: _row(name, created_address(deployer, nonce + place))
        for place, name in enumerate(names)
    }
    return Deployment(
        chain_id=chain_id,
        deployer=deployer,
        first_nonce=nonce,
        contracts=contracts,
        parameters=parameters,
        since=since,
    )


def _standing(parameters: Parameters, found: dict[str, str]) -> dict[str, DeployedContract]:
    """Write down what is there already; a test dollar only where it is the currency."""
    return {
        name: _row(name, address)
        for name, address in found.items()
        if name != DOLLAR or address.lower() == parameters.currency.lower()
    }


def _row(name: str, address: str) -> DeployedContract:
    artifact = load_artifact(ARTIFACTS.get(name, name))
    return DeployedContract(
        address=address, artifact=artifact.hash, runtime=artifact.runtime_sha256
    )


def _same(begun: Deployment, plan: Deployment) -> bool:
    return (
        begun.chain_id == plan.chain_id
        and begun.deployer == plan.deployer
        and begun.parameters == plan.parameters
        and begun.predeployed == plan.predeployed
        and begun.first_nonce <= plan.first_nonce <= begun.first_nonce + len(begun.contracts)
        and [(name, row.artifact) for name, row in begun.contracts.items()]
        == [(name, row.artifact) for name, row in plan.contracts.items()]
    )


def _arguments(plan: Deployment, name: str) -> bytes:
    told = plan.told(name).values()
    return encode(f"{name}.__init__", [kind for kind, _ in told], [value for _, value in told])


async def _made(
    sender: Sender, plan: Deployment, nonce: int, file: Path, progress: Progress | None
) -> Deployment:
    """Create what has no nonce yet; read back what an earlier run created."""
    flights: dict[str, Flight] = {}
    for place, name in enumerate(plan.contracts):
        if plan.first_nonce + place >= nonce:
            if (asked := ASKS.get(name, "")) in flights:
                await flights[asked].receipt()
            flights[name] = await sender.create(
                ARTIFACTS.get(name, name),
                _arguments(plan, name),
                nonce=plan.first_nonce + place,
            )
    rows = dict(plan.contracts)
    for done, (name, row) in enumerate(plan.contracts.items(), start=1):
        if name in flights:
            receipt = await flights[name].receipt()
            tx, block = receipt.tx_hash, receipt.block
        elif row.block:
            tx, block = row.tx, row.block
        else:
            # An earlier run sent it and did not live to see it mined.
            tx, block = "", plan.since
        rows[name] = msgspec.structs.replace(row, tx=tx, block=block)
        plan = msgspec.structs.replace(plan, contracts=dict(rows))
        plan.save(file)
        if progress is not None:
            progress(name, done, len(rows))
    return plan


async def _settled_nonce(reader: ChainReader, address: str) -> int:
    """Return the account's next nonce, once nothing of an earlier run is waiting any more."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLING_S
    while True:
        waiting = await reader.nonce(address, at="pending")
        if await reader.nonce(address) >= waiting:
            return waiting
        if loop.time() > deadline:
            raise NotFinal(
                f"transactions of {address}",
                found="some still wait to be mined",
                wanted="none, before a deployment",
                next_step="try again when they are mined",
            )
        await asyncio.sleep(_LOOK_S)
