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
from typing import Final

import msgspec

from tessera.bindings import (
    Channels,
    Exchange,
    Governor,
    Launchpad,
    Lens,
    Orders,
    Registry,
    Storefront,
    TestDollar,
    Workflows,
)
from tessera.chain.reader import ChainReader
from tessera.contracts import Artifact, load_artifact
from tessera.errors import Conflict, DataError, NotFound, StorageFull, WrongChain

__all__ = ["DeployedContract", "Deployment", "DeploymentMismatch", "Parameters"]

_FORMAT: Final = 1
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# Which contract's address an immutable holds.
_REFERENCES: Final = {
    "ACCESS_IMPLEMENTATION": "Access",
    "ALLOCATION_IMPLEMENTATION": "Allocation",
    "AUCTION_IMPLEMENTATION": "Auction",
    "CHANNELS": "Channels",
    "CURVE_IMPLEMENTATION": "Curve",
    "EXCHANGE": "Exchange",
    "GOVERNOR": "Governor",
    "LAUNCHPAD": "Launchpad",
    "OFFERING_IMPLEMENTATION": "Offering",
    "REGISTRY": "Registry",
    "SHARE_IMPLEMENTATION": "Share",
    "STOREFRONT": "Storefront",
    "TILL_IMPLEMENTATION": "Till",
    "VESTING_IMPLEMENTATION": "Vesting",
    "x402BatchSettlement": "X402Channels",
}


class DeploymentMismatch(DataError):
    """The chain does not have, at an address of the file, the contract that the file names."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment is made with.

    Parameters
    ----------
    owner
        Sets the network fee; a timelock in production.
    commons
        Receives the commons half of the network fee.
    withdraw_delay_s
        Seconds between a payer's wish to withdraw and the money.
    terms_grace_s
        Seconds in which an operator still settles with its cut after its terms were replaced.
    min_lock_s
        Seconds that shares stay locked at least, to vote or for a discount; at most `exit_delay_s`.
    voting_time_s, timelock_s, exit_delay_s, execution_window_s
        Of a proposal: how long it is voted on, how long it then waits, how much longer where it
        leaves less to the holders, and how long it may be executed.
    epoch_s
        Length of the Lens's epochs, by which revenue is told.
    currency
        Address of the ERC-20 that everything is paid in; empty: a test dollar is deployed.
    dollar_decimals, dollar_faucet
        Of the test dollar: its decimals, and the most base units that one call of its faucet
        gives.
    """

    owner: str
    commons: str
    withdraw_delay_s: int = 86_400
    terms_grace_s: int = 604_800
    min_lock_s: int = 259_200
    voting_time_s: int = 432_000
    timelock_s: int = 172_800
    exit_delay_s: int = 604_800
    execution_window_s: int = 1_209_600
    epoch_s: int = 86_400
    currency: str = ""
    dollar_decimals: int = 6
    dollar_faucet: int = 1_000_000_000_000


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
        rows = {**self.contracts, **self.predeployed}
        requests = [("eth_getCode", (row.address, "latest")) for row in rows.values()]
        codes = await reader.rpc.batch(requests)
        for (name, row), answer in zip(rows.items(), codes, strict=True):
            if not isinstance(answer, str):
                raise answer
            artifact = load_artifact(name)
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
        for immutable, wanted in self._known(artifact).items():
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

    def _known(self, artifact: Artifact) -> Mapping[str, int]:
        wanted = {"CURRENCY": int(self.currency.address, 16)}
        for immutable, contract in _REFERENCES.items():
            if contract in self.contracts or contract in self.predeployed:
                wanted[immutable] = int(self.address_of(contract), 16)
        wanted["WITHDRAW_DELAY"] = self.parameters.withdraw_delay_s
        wanted["TERMS_GRACE"] = self.parameters.terms_grace_s
        wanted["MIN_LOCK"] = self.parameters.min_lock_s
        wanted["VOTING_TIME"] = self.parameters.voting_time_s
        wanted["TIMELOCK"] = self.parameters.timelock_s
        wanted["EXIT_DELAY"] = self.parameters.exit_delay_s
        wanted["EXECUTION_WINDOW"] = self.parameters.execution_window_s
        has = {name for name, _, _ in artifact.immutables}
        return {name: value for name, value in wanted.items() if name in has}
