"""Shares for an asset's contributors: set aside for all of them, claimed by each with a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessera.assets.contributions import Contribution, verify_contribution
from tessera.assets.directory import AssetRecord
from tessera.bindings import Allocation as AllocationClone
from tessera.bindings import Launchpad, Share, Vesting
from tessera.bindings.launchpad import AllocationOpened, ContributionClaimed, Grant
from tessera.bindings.launchpad import Contribution as Leaf
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Closed, InputError, NotFound
from tessera.ownership.allowing import allow
from tessera.units import AssetId, Shares

__all__ = [
    "Allocation",
    "check_contributors",
    "check_proof",
    "claim_contribution",
    "find_allocations",
    "open_claims",
    "set_aside",
]


@dataclass(frozen=True, slots=True)
class Allocation:
    """Shares that were set aside: the clone that has them, for which root, and on what schedule."""

    address: str
    root: bytes
    grant: Grant


def check_contributors(record: AssetRecord) -> None:
    """Refuse before anything is sent an asset that names no contributors: none could claim.

    Raises
    ------
    NotFound
        Its first version had none.
    """
    if not any(record.contributions):
        raise NotFound(
            f"contributors of {record.slug}",
            found="none",
            wanted="an asset whose first version names some",
            next_step="weigh them before the first version: tessera attribution run FOLDER",
        )


async def set_aside(
    sender: Sender, launchpad: Launchpad, asset: AssetId, share: Share, grant: Grant
) -> Allocation:
    """Set shares of the sender aside for all contributors of an asset.

    Raises
    ------
    TransactionReverted
        The asset has no contributions, or the sender fewer shares.
    """
    await allow(sender, share, launchpad.address, Shares(grant.amount))
    receipt = await sender.send(launchpad.contribute(asset, grant))
    opened = receipt.one_of(AllocationOpened)
    return Allocation(opened.allocation, opened.root, opened.grant)


async def find_allocations(
    reader: ChainReader, launchpad: Launchpad, asset: AssetId, *, first: int = 0
) -> list[Allocation]:
    """Return what was set aside for an asset's contributors, oldest first."""
    logs = await reader.logs(
        AllocationOpened,
        address=launchpad.address,
        topics=AllocationOpened.topics(asset=asset),
        first=first,
    )
    return [Allocation(log.event.allocation, log.event.root, log.event.grant) for log in logs]


async def open_claims(
    reader: ChainReader,
    launchpad: Launchpad,
    asset: AssetId,
    contributions: Sequence[Contribution],
    *,
    first: int = 0,
) -> list[tuple[Contribution, Allocation]]:
    """Return what can still be claimed: each contribution with an allocation, the oldest first.

    Parameters
    ----------
    contributions
        Of one account, which may have contributed in several ways, with a leaf each.
    first
        The block to begin at.

    Raises
    ------
    NotFound
        Nothing was ever set aside.
    Closed
        All of them claimed from all that was.
    """
    found = await find_allocations(reader, launchpad, asset, first=first)
    if not found:
        raise NotFound(
            "shares for contributors",
            found="none set aside",
            wanted="an allocation of the publisher",
            next_step="the publisher can: tessera attribution grant ASSET SHARES",
        )
    pairs = [(contribution, each) for each in found for contribution in contributions]
    claimed = await reader.read_all(
        [AllocationClone(each.address).claimed(leaf.leaf()) for leaf, each in pairs]
    )
    left = [pair for pair, done in zip(pairs, claimed, strict=True) if not done]
    if not left:
        accounts = sorted({contribution.account for contribution in contributions})
        raise Closed(
            f"shares for {', '.join(accounts)}",
            found="claimed already",
            wanted="an allocation that was not",
        )
    return left


def check_proof(allocation: Allocation, contribution: Contribution, proof: Sequence[bytes]) -> None:
    """Refuse a proof that an allocation would refuse.

    Raises
    ------
    InputError
        It does not lead to the root that the allocation was made for.
    """
    if not verify_contribution(allocation.root, contribution, proof):
        raise InputError(
            f"proof of {contribution.account}",
            found="another root",
            wanted=f"0x{allocation.root.hex()}",
            next_step="take the leaves of the version that was registered first",
        )


async def claim_contribution(
    sender: Sender,
    launchpad: Launchpad,
    allocation: Allocation,
    contribution: Contribution,
    proof: Sequence[bytes],
) -> Vesting:
    """Move a contributor's part of an allocation into a vesting of his own. Anyone may.

    Raises
    ------
    InputError
        The proof does not lead to the root that the allocation was made for; nothing was sent.
    TransactionReverted
        It was claimed before.
    """
    check_proof(allocation, contribution, proof)
    leaf = Leaf(
        contribution.account, int(contribution.role), contribution.weight, contribution.evidence
    )
    receipt = await sender.send(launchpad.claim_contribution(allocation.address, leaf, proof))
    return Vesting(receipt.one_of(ContributionClaimed).vesting)
