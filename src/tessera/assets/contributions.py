"""Who contributed what, as a Merkle root that a contract can check cheaply.

Leaves are keccak-256 of keccak-256 of the ABI encoding of (address account, uint8 role, uint32
weight, bytes32 evidence). Hashing twice keeps a leaf (128 bytes in) from ever being an inner node
(64 bytes in). Pairs are hashed smaller first, so a proof needs no sides. The tree is laid out as
OpenZeppelin's StandardMerkleTree does it, so their JavaScript and Solidity check our proofs
unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tessera.assets.manifest import Contributor, Role
from tessera.assets.references import is_address
from tessera.errors import InputError, NotFound
from tessera.spec.merkle import EMPTY_ROOT, MerkleTree, leads_to, leaf_of
from tessera.units import Bps

__all__ = [
    "NO_CONTRIBUTIONS",
    "Contribution",
    "ContributionTree",
    "contributions_of",
    "verify_contribution",
]

NO_CONTRIBUTIONS = EMPTY_ROOT
"""The root where nobody is named: no leaf leads to it."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One leaf.

    Attributes
    ----------
    account
        Address, 0x-hex.
    role
        What was given.
    weight
        Part of the whole; the weights of a bundle add up to 10,000.
    evidence
        SHA-256 of what shows it; 32 zero bytes where nothing does.
    """

    account: str
    role: Role
    weight: Bps
    evidence: bytes

    def leaf(self) -> bytes:
        """Return the hash that stands for this contribution."""
        encoded = (
            bytes(12)
            + bytes.fromhex(self.account[2:])
            + int(self.role).to_bytes(32, "big")
            + self.weight.to_bytes(32, "big")
            + self.evidence
        )
        return leaf_of(encoded)


class ContributionTree:
    """The Merkle tree over contributions; their order does not matter.

    Parameters
    ----------
    contributions
        Any number; none gives `NO_CONTRIBUTIONS`.

    Raises
    ------
    InputError
        An account is no address, evidence is not 32 bytes, or a leaf occurs twice.
    """

    def __init__(self, contributions: Iterable[Contribution]) -> None:
        leaves: list[bytes] = []
        for contribution in contributions:
            _check(contribution)
            leaves.append(contribution.leaf())
        if len(set(leaves)) != len(leaves):
            raise InputError(
                "contributions", found="the same contribution twice", wanted="each one once"
            )
        self._tree = MerkleTree(leaves)

    @property
    def root(self) -> bytes:
        """The 32 bytes that go on the chain."""
        return self._tree.root

    def proof(self, contribution: Contribution) -> tuple[bytes, ...]:
        """Return the siblings that lead from the contribution to the root, lowest first.

        Raises
        ------
        NotFound
            The tree has no such leaf.
        """
        siblings = self._tree.proof(contribution.leaf())
        if siblings is None:
            raise NotFound(
                "contribution",
                found=contribution.account,
                wanted="one that the bundle lists, with the same role, weight and evidence",
            )
        return siblings


def verify_contribution(root: bytes, contribution: Contribution, proof: Sequence[bytes]) -> bool:
    """Whether the root commits to this contribution."""
    _check(contribution)
    return leads_to(contribution.leaf(), proof, root)


def contributions_of(
    contributors: Iterable[Contributor], accounts: Mapping[str, str]
) -> tuple[Contribution, ...]:
    """Turn a manifest's contributors into leaves.

    Parameters
    ----------
    contributors
        From a validated bundle, so that evidence files have been hashed.
    accounts
        Addresses of those who are only named, by name.

    Raises
    ------
    NotFound
        A name has no account.
    InputError
        Evidence names a file that was not hashed, or an account is no address.
    """
    leaves: list[Contribution] = []
    for contributor in contributors:
        account = contributor.account or accounts.get(contributor.name or "")
        if account is None:
            raise NotFound.among(
                "account of contributor",
                contributor.name or "",
                accounts,
                next_step="add the account to tessera.toml",
            )
        evidence = contributor.evidence
        if evidence.file is not None and evidence.sha256 is None:
            raise InputError(
                f"evidence of {contributor.name or account}",
                found=f"{evidence.file}, not hashed yet",
                wanted="contributors of a validated bundle",
            )
        leaf = Contribution(
            account, contributor.role, contributor.weight, evidence.sha256 or bytes(32)
        )
        _check(leaf)
        leaves.append(leaf)
    return tuple(leaves)


def _check(contribution: Contribution) -> None:
    if not is_address(contribution.account):
        raise InputError(
            "contributor's account",
            found=contribution.account,
            wanted="an address: 0x and 40 hex digits with a right checksum",
        )
    if len(contribution.evidence) != 32:
        raise InputError(
            "contribution's evidence", found=contribution.evidence, wanted="a hash of 32 bytes"
        )
    if not 0 <= contribution.weight < 1 << 32:
        raise InputError("contribution's weight", found=contribution.weight, wanted="a uint32")
