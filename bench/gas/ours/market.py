"""Tessera's contracts, deployed and joined, with the actions that every scenario begins with."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from bench.gas.chain import (
    ZERO_ADDRESS,
    Abi,
    Chain,
    Code,
    Contract,
    MeasurementFailed,
    Receipt,
    account,
    read_code,
)
from bench.gas.dollar import UNIT, Dollar
from bench.gas.vouchers import Till
from tessera.contracts import ARTIFACTS

WHO = "Tessera"
DAY = 86_400
SUPPLY = 10**24
CUT_BPS = 2_000
PRICE = (1_000, 500, 1_500)
WITHDRAW_DELAY = 3_600
_MODEL = 1
_ONNX = 1


@dataclass(frozen=True, slots=True)
class Market:
    """The deployed contracts of one network.

    Parameters
    ----------
    share_abi
        Interface of every Share; each is a clone with an address of its own.
    """

    chain: Chain
    dollar: Dollar
    registry: Contract
    channels: Contract
    launchpad: Contract
    share_abi: Abi
    _salts: count[int] = field(default_factory=count)

    def publish(
        self,
        *,
        parents: tuple[int, ...] = (),
        endpoint: bool = True,
        contributions: bytes = keccak(text="contributions"),
    ) -> tuple[int, Receipt]:
        """Register an asset, by default with an endpoint and its price; its id and the receipt."""
        publisher = account("publisher")
        salt = next(self._salts).to_bytes(32, "big")
        root = keccak(text=f"content {salt.hex()}")
        asset = self.chain.read(self.registry, "asset_id", publisher.address, root, salt)
        publication = (
            "acme-embeddings-small",
            _MODEL,
            salt,
            contributions,
            [(parent, 500) for parent in parents],
            (root, _ONNX, "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"),
        )
        terms = self.terms(CUT_BPS, PRICE) if endpoint else (ZERO_ADDRESS, 0, (0, 0, 0), "")
        return asset, self.chain.transact(publisher, self.registry, "publish", publication, terms)

    def terms(self, cut_bps: int, price: tuple[int, int, int]) -> tuple[Any, ...]:
        """Arguments that list the operator's endpoint with a cut and a price."""
        return account("operator").address, cut_bps, price, "https://models.example.org/v1"

    def till(self, asset: int) -> Till:
        """The asset under the operator's present terms."""
        endpoint = self.chain.read(self.registry, "endpoint_of", asset, account("operator").address)
        return Till(asset, endpoint[1])

    def tokenize(self, asset: int, receiver: str) -> tuple[Contract, Receipt]:
        """Make the asset's Share and give the whole supply to one receiver."""
        request = ("Acme Embeddings", "ACME", SUPPLY, DAY, 5_000, 1_000, receiver)
        receipt = self.chain.transact(
            account("publisher"), self.registry, "tokenize", asset, request
        )
        address = self.chain.read(self.registry, "share_of", asset)
        return Contract("Share", address, self.share_abi), receipt

    def fund(self, person: LocalAccount, spender: Contract) -> None:
        """Give a person dollars enough, and let a contract take them."""
        self.dollar.give(person.address, 10**6 * UNIT)
        self.dollar.approve(person, spender.address)


def code(name: str) -> Code:
    """Read a contract from its checked-in artifact."""
    path: Path = ARTIFACTS / f"{name}.json"
    if not path.is_file():
        raise MeasurementFailed(f"{name}: no artifact; make contracts")
    return read_code(path)


def deploy(chain: Chain, dollar: Dollar) -> Market:
    """Deploy the network: three of the contracts know one another, so addresses are foreseen."""
    founder, commons = account("founder"), account("commons")
    to_be = [chain.next_contract(founder, ahead) for ahead in range(4)]
    shares = chain.deploy(founder, code("Share"), dollar.address, to_be[1])
    # The founder decides about tokenized assets: no figure of the market is about governance.
    registered = chain.deploy(
        founder,
        code("Registry"),
        shares.address,
        founder.address,
        founder.address,
        commons.address,
        DAY,
    )
    tills = chain.deploy(founder, code("Till"), to_be[3], dollar.address)
    opened = chain.deploy(
        founder,
        code("Channels"),
        dollar.address,
        registered.address,
        tills.address,
        WITHDRAW_DELAY,
    )
    found = [contract.address for contract in (shares, registered, tills, opened)]
    if found != to_be:
        raise MeasurementFailed(f"deployment: found addresses {found}, wanted {to_be}")
    access = chain.deploy(
        founder, code("Access"), dollar.address, opened.address, registered.address
    )
    storefront = chain.deploy(
        founder, code("Storefront"), registered.address, opened.address, access.address
    )
    foreseen = chain.next_contract(founder, 6)
    exchange = chain.deploy(
        founder, code("Exchange"), dollar.address, registered.address, foreseen, storefront.address
    ).address
    clones = [
        chain.deploy(founder, code(kind), foreseen, exchange).address
        for kind in ("Offering", "Auction", "Curve")
    ]
    clones += [
        chain.deploy(founder, code(kind), foreseen).address for kind in ("Vesting", "Allocation")
    ]
    launchpad = chain.deploy(founder, code("Launchpad"), registered.address, exchange, *clones)
    if launchpad.address != foreseen:
        raise MeasurementFailed(f"deployment: found {launchpad.address}, wanted {foreseen}")
    return Market(chain, dollar, registered, opened, launchpad, shares.abi)
