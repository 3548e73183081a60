"""Where the contracts of one chain are: the deployments file, and whether it tells the truth.

Addresses come from here and nowhere else. The file is written before the first contract is sent,
so that a deployment that was interrupted is taken up where it ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tessera.bindings import (
    Approvals,
    ApprovedSale,
    BadCounts,
    Bond,
    Channels,
    Conduct,
    Court,
    Draws,
    Emission,
    EpochCourt,
    Epochs,
    Exchange,
    Governor,
    Jury,
    Launchpad,
    Lens,
    NetworkPrice,
    NetworkToken,
    Orders,
    Registry,
    Scores,
    Storefront,
    SubnetPool,
    Subnets,
    TestDollar,
    Workflows,
)
from tessera.bindings.codec import encode
from tessera.chain.parameters import ARTIFACTS, CONTRACTS, Parameters, arguments_of
from tessera.chain.reader import ChainReader
from tessera.contracts import Artifact, load_artifact
from tessera.errors import (
    Conflict,
    DataError,
    InvariantViolation,
    NotFound,
    StorageFull,
    WrongChain,
)

__all__ = ["DeployedContract", "Deployment", "DeploymentMismatch", "Parameters"]

_FORMAT: Final = 1
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class DeploymentMismatch(DataError):
    """The chain does not have, at an address of the file, the contract that the file names."""


class DeployedContract(msgspec.Struct, frozen=True, kw_only=True):
    """One contract.

    Parameters
    ----------
    address
        Checksummed.
    artifact
        SHA-256 of the artifact file that it was deployed from.
    runtime
        SHA-256 of its code, without the immutables behind it.
    tx, block
        Where it was created; empty and 0 until it is. After an interruption the transaction may
        be unknown, and the block one before it.
    """

    address: str
    artifact: str
    runtime: str
    tx: str = ""
    block: int = 0


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """All contracts of Tessera on one chain.

    Parameters
    ----------
    chain_id
        EIP-155 number.
    deployer, first_nonce
        Whose transactions created them, from which nonce on; the addresses follow from both.
    contracts
        By name, in order of creation.
    parameters
        What they were made with.
    since
        A block before all of them: whoever reads their events begins here.
    verified
        Whether the deployment came to its end, and what is on the chain was compared then.
    predeployed
        By name, contracts of ours that a development chain had from its first block.
    """

    chain_id: int
    deployer: str
    first_nonce: int
    contracts: dict[str, DeployedContract]
    parameters: Parameters
    since: int
    verified: bool = False
    predeployed: dict[str, DeployedContract] = {}
    format: int = _FORMAT

    @property
    def registry(self) -> Registry:
        """The Registry."""
        return Registry(self.address_of("Registry"))

    @property
    def channels(self) -> Channels:
        """The Channels."""
        return Channels(self.address_of("Channels"))

    @property
    def launchpad(self) -> Launchpad:
        """The factory of offerings and vestings."""
        return Launchpad(self.address_of("Launchpad"))

    @property
    def storefront(self) -> Storefront:
        """The factory of products: rights to use assets, as tokens."""
        return Storefront(self.address_of("Storefront"))

    @property
    def orders(self) -> Orders:
        """The signed limit orders."""
        return Orders(self.address_of("Orders"))

    @property
    def governor(self) -> Governor:
        """Where holders lock shares and decide."""
        return Governor(self.address_of("Governor"))

    @property
    def exchange(self) -> Exchange:
        """The pools."""
        return Exchange(self.address_of("Exchange"))

    @property
    def lens(self) -> Lens:
        """What a buyer of shares wants to know."""
        return Lens(self.address_of("Lens"))

    @property
    def workflows(self) -> Workflows:
        """Where chains of services are paid all or nothing."""
        return Workflows(self.address_of("Workflows"))

    @property
    def network_token(self) -> NetworkToken:
        """TSR: what validators bond and subnets earn."""
        return NetworkToken(self.address_of("NetworkToken"))

    @property
    def network_exchange(self) -> Exchange:
        """Where TSR has its pool; it trades nothing else."""
        return Exchange(self.address_of("NetworkExchange"))

    @property
    def bond(self) -> Bond:
        """Stake and delegation of validators, operators and jurors."""
        return Bond(self.address_of("Bond"))

    @property
    def conduct(self) -> Conduct:
        """Where operators answer for receipts that they did not settle."""
        return Conduct(self.address_of("Conduct"))

    @property
    def subnets(self) -> Subnets:
        """The subnets, their models and their validators."""
        return Subnets(self.address_of("Subnets"))

    @property
    def scores(self) -> Scores:
        """Where rows of weights are committed and revealed."""
        return Scores(self.address_of("Scores"))

    @property
    def epochs(self) -> Epochs:
        """Where results of epochs are posted and challenged."""
        return Epochs(self.address_of("Epochs"))

    @property
    def epoch_court(self) -> EpochCourt:
        """What recomputes a part of a challenged result."""
        return EpochCourt(self.address_of("EpochCourt"))

    @property
    def subnet_pool(self) -> SubnetPool:
        """Where subnets' tokens trade against TSR."""
        return SubnetPool(self.address_of("SubnetPool"))

    @property
    def network_price(self) -> NetworkPrice:
        """What TSR is worth as security, by the means of its pool's price."""
        return NetworkPrice(self.address_of("NetworkPrice"))

    @property
    def emission(self) -> Emission:
        """Who mints TSR for final epochs, and pays it out."""
        return Emission(self.address_of("Emission"))

    @property
    def draws(self) -> Draws:
        """Random numbers that many make together."""
        return Draws(self.address_of("Draws"))

    @property
    def bad_counts(self) -> BadCounts:
        """How few right answers prove a model bad."""
        return BadCounts(self.address_of("BadCounts"))

    @property
    def jury(self) -> Jury:
        """Who is drawn to judge, and how they vote."""
        return Jury(self.address_of("Jury"))

    @property
    def court(self) -> Court:
        """Where a validator's outputs are contested and re-executed."""
        return Court(self.address_of("Court"))

    @property
    def approvals(self) -> Approvals:
        """Where validators approve models with their bonds."""
        return Approvals(self.address_of("Approvals"))

    @property
    def approved_sale(self) -> ApprovedSale:
        """Holds what a sale raised until its approval is beyond dispute."""
        return ApprovedSale(self.address_of("ApprovedSale"))

    @property
    def currency(self) -> TestDollar:
        """The currency, as an ERC-20; only a test dollar has the faucet."""
        return TestDollar(self.parameters.currency or self.address_of("TestDollar"))

    @property
    def has_faucet(self) -> bool:
        """Whether the currency is our test dollar."""
        return "TestDollar" in self.contracts or "TestDollar" in self.predeployed

    def address_of(self, name: str) -> str:
        """Return the address of a contract.

        Raises
        ------
        NotFound
            It is not part of this deployment.
        """
        everywhere = {**self.contracts, **self.predeployed}
        if name not in everywhere:
            raise NotFound.among("deployed contract", name, everywhere)
        return everywhere[name].address

    def told(self, name: str) -> dict[str, tuple[str, object]]:
        """Return what a contract's constructor was told: type and value, by the argument's name."""
        values = arguments_of(
            name,
            self.parameters,
            self.address_of,
            currency=self.currency.address,
            deployer=self.deployer,
        )
        constructor: dict[str, Any] = next(
            (entry for entry in _artifact_of(name).abi if entry["type"] == "constructor"),
            {"inputs": []},
        )
        told: dict[str, tuple[str, object]] = {}
        for field in constructor["inputs"]:
            argument = field["name"].rstrip("_")
            if argument not in values:
                raise InvariantViolation(
                    f"deployment of {name}: nobody knows the value of its argument {argument!r}"
                )
            told[argument] = (_type_of(field), values[argument])
        return told

    @classmethod
    def load(cls, file: Path) -> Deployment:
        """Read a deployments file.

        Raises
        ------
        NotFound
            There is none.
        DataError
            It is none of ours, or of another format.
        """
        try:
            found = msgspec.json.decode(file.read_bytes(), type=cls)
        except FileNotFoundError:
            raise NotFound(
                f"deployments file {file}",
                found="no such file",
                wanted="one that `tessera up` wrote, or the network's",
                next_step="run `tessera up`, or name the file with --deployment",
            ) from None
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(
                f"deployments file {file}",
                found=str(error),
                wanted=f"a deployments file of format {_FORMAT}",
                next_step="restore it from a copy, or move it away and deploy again",
            ) from error
        if found.format != _FORMAT:
            raise DataError(
                f"deployments file {file}: format", found=found.format, wanted=str(_FORMAT)
            )
        return found

    def save(self, file: Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        StorageFull, DataError
            It cannot be written; what was there before is still there.
        """
        text = msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as opened:
                    opened.write(text)
                    opened.flush()
                    os.fsync(opened.fileno())
                temporary.replace(file)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
        except OSError as error:
            kind = StorageFull if error.errno in _NO_ROOM else DataError
            raise kind(
                f"deployments file {file}",
                found=error.strerror or str(error),
                wanted="a place that can be written",
                next_step="free some space, or mend the folder's permissions",
            ) from error

    async def verify(self, reader: ChainReader) -> None:
        """Compare what is on the chain with this file and with the artifacts of this Tessera.

        The code is compared byte for byte; of the immutables behind it, the addresses and numbers
        that this file knows.

        Raises
        ------
        WrongChain
            The reader's chain is another one.
        Conflict
            The contracts were deployed from another version of their sources.
        DeploymentMismatch
            Something else is at an address, or nothing.
        RpcUnavailable
            The node does not answer.
        """
        if reader.chain_id != self.chain_id:
            raise WrongChain(
                "chain id of the deployments file",
                found=self.chain_id,
                wanted=str(reader.chain_id),
                next_step="name the deployments file of this chain with --deployment",
            )
        await reader.check_chain()
        wanted = [name for name in CONTRACTS if name != "TestDollar" or self.has_faucet]
        missing = [name for name in wanted if name not in {**self.contracts, **self.predeployed}]
        if missing:
            raise Conflict(
                "contracts of the deployments file",
                found=f"no {', '.join(missing)}",
                wanted="all contracts of this version of Tessera",
                next_step="use the version that deployed them, or begin anew: --data-dir FOLDER",
            )
        rows = {**self.contracts, **self.predeployed}
        requests = [("eth_getCode", (row.address, "latest")) for row in rows.values()]
        codes = await reader.rpc.batch(requests)
        for (name, row), answer in zip(rows.items(), codes, strict=True):
            if not isinstance(answer, str):
                raise answer
            artifact = _artifact_of(name)
            if row.runtime != artifact.runtime_sha256:
                raise Conflict(
                    f"contract {name} of the deployments file",
                    found=f"code {row.runtime[:16]}",
                    wanted=f"code {artifact.runtime_sha256[:16]} of this version of Tessera",
                    next_step="use the version that deployed it, or deploy again",
                )
            self._compare(name, row, bytes.fromhex(answer[2:]), artifact)

    def _compare(self, name: str, row: DeployedContract, code: bytes, artifact: Artifact) -> None:
        thing = f"contract {name} at {row.address}"
        step = "check the URL; where the chain was begun anew, deploy again"
        if not code:
            raise DeploymentMismatch(thing, found="no code", wanted=name, next_step=step)
        if not artifact.is_code(code):
            raise DeploymentMismatch(thing, found="other code", wanted=name, next_step=step)
        immutables = code[artifact.runtime_size :]
        for immutable, wanted in self._known(name, artifact).items():
            at, length = next(
                (at, length) for each, at, length in artifact.immutables if each == immutable
            )
            found = int.from_bytes(immutables[at : at + length], "big")
            if found != wanted:
                raise DeploymentMismatch(
                    f"{thing}: {immutable}",
                    found=hex(found),
                    wanted=hex(wanted),
                    next_step="these contracts are not of one deployment; deploy again",
                )

    def _known(self, name: str, artifact: Artifact) -> Mapping[str, int]:
        """Return what the immutables of a contract must hold, as far as this file knows it."""
        if name in self.predeployed:
            known = {"x402BatchSettlement": "X402Channels"}
            has = {immutable for immutable, _, _ in artifact.immutables}
            return {key: int(self.address_of(at), 16) for key, at in known.items() if key in has}
        told = self.told(name)
        return {
            immutable: int.from_bytes(encode(immutable, [kind], [value]), "big")
            for immutable, _, _ in artifact.immutables
            if immutable.lower() in told
            for kind, value in (told[immutable.lower()],)
        }


def _artifact_of(name: str) -> Artifact:
    return load_artifact(ARTIFACTS.get(name, name))


def _type_of(field: dict[str, Any]) -> str:
    """Spell an argument's type as the ABI encodes it: a struct is a tuple of its parts."""
    if field["type"] != "tuple":
        return str(field["type"])
    return "(" + ",".join(_type_of(part) for part in field["components"]) + ")"
