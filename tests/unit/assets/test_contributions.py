"""Contribution leaves and proofs are those of OpenZeppelin's standard Merkle tree."""

from __future__ import annotations

import dataclasses

import pytest
import sha3
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from tessera.assets.contributions import (
    NO_CONTRIBUTIONS,
    Contribution,
    ContributionTree,
    contributions_of,
    verify_contribution,
)
from tessera.assets.manifest import Contributor, Evidence, Role
from tessera.errors import InputError, NotFound
from tessera.spec.merkle import MerkleTree
from tessera.units import Bps


def keccak(data: bytes) -> bytes:
    return sha3.keccak_256(data).digest()


contributions = st.builds(
    Contribution,
    st.binary(min_size=20, max_size=20).map(lambda each: "0x" + each.hex()),
    st.sampled_from(Role),
    st.integers(1, 10_000).map(Bps),
    st.binary(min_size=32, max_size=32),
)


@given(contributions)
def test_a_leaf_is_the_double_hash_of_its_abi_encoding(each: Contribution) -> None:
    encoded = encode(
        ["address", "uint8", "uint32", "bytes32"],
        [each.account, int(each.role), each.weight, each.evidence],
    )
    assert each.leaf() == keccak(keccak(encoded))


@given(st.lists(contributions, min_size=1, max_size=20, unique=True))
def test_every_contribution_has_a_proof_that_fits_it_alone(each: list[Contribution]) -> None:
    tree = ContributionTree(each)
    assert ContributionTree(reversed(each)).root == tree.root
    for one in each:
        proof = tree.proof(one)
        assert verify_contribution(tree.root, one, proof)
        richer = dataclasses.replace(one, weight=Bps(one.weight + 1))
        assert not verify_contribution(tree.root, richer, proof)
        assert not verify_contribution(tree.root, one, [*proof, bytes(32)])
        with pytest.raises(NotFound):
            tree.proof(richer)


def test_the_tree_is_openzeppelins() -> None:
    """The example of their documentation: two (address, uint256) pairs and the root they print."""
    leaves = [
        keccak(keccak(encode(["address", "uint256"], ["0x" + digit * 40, amount])))
        for digit, amount in (("1", 5 * 10**18), ("2", 25 * 10**17))
    ]
    root = "d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"
    assert MerkleTree(leaves).root.hex() == root


def test_attack_an_inner_node_is_no_leaf() -> None:
    """Second preimage: 64 bytes of two leaves offered as one contribution.

    A leaf hashes a hash of 128 bytes, a node hashes 64, so no encoding is both; an account of the
    wrong length is refused before it is hashed.
    """
    one = Contribution("0x" + "11" * 20, Role.DATA, Bps(5_000), bytes(32))
    other = Contribution("0x" + "22" * 20, Role.CODE, Bps(5_000), bytes(32))
    tree = ContributionTree([one, other])
    crafted = dataclasses.replace(one, account="0x" + (one.leaf() + other.leaf()).hex())
    with pytest.raises(InputError):
        verify_contribution(tree.root, crafted, [])


def test_nobody_is_the_zero_root_and_twice_is_refused() -> None:
    assert ContributionTree([]).root == NO_CONTRIBUTIONS
    one = Contribution("0x" + "11" * 20, Role.DATA, Bps(1), bytes(32))
    with pytest.raises(InputError):
        ContributionTree([one, one])
    with pytest.raises(InputError):
        ContributionTree([dataclasses.replace(one, evidence=b"short")])


def test_names_need_accounts() -> None:
    named = Contributor(Role.DATA, Bps(10_000), name="lab", evidence=Evidence("x", bytes(32)))
    account = "0x" + "ab" * 20
    assert contributions_of([named], {"lab": account}) == (
        Contribution(account, Role.DATA, Bps(10_000), bytes(32)),
    )
    with pytest.raises(NotFound, match="did you mean 'laab'"):
        contributions_of([named], {"laab": account})
    with pytest.raises(InputError):
        contributions_of([named], {"lab": "0x12"})
    with pytest.raises(InputError, match="not hashed"):
        contributions_of([dataclasses.replace(named, evidence=Evidence("x"))], {"lab": account})
