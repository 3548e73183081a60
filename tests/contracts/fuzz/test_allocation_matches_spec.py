"""Allocations against `tessera.spec.allocation`: any weights, in any order, while they earn."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from rig.compiling import compiled
from rig.contract import NOBODY, Contract
from rig.people import Person, person
from rig.system import DAY, ONE_SHARE, deploy_world
from rig.twins import both

from tessera.spec.allocation import AllocationModel
from tessera.spec.merkle import MerkleTree, leaf_of

PUBLISHER, KEEPER = person("publisher"), person("keeper")
CONTRIBUTORS = [person(f"contributor {number}") for number in range(4)]


@given(
    amount=st.one_of(st.integers(1, 10**6), st.integers(1, 1_000 * ONE_SHARE)),
    weights=st.lists(st.integers(0, 6_000), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**9)), max_size=8),
)
def test_every_claim_is_what_the_spec_says(
    amount: int, weights: list[int], steps: list[tuple[int, int]]
) -> None:
    world = deploy_world()
    leaves = [
        leaf_of(
            bytes(12)
            + bytes.fromhex(who.address[2:])
            + (1).to_bytes(32, "big")
            + weight.to_bytes(32, "big")
            + bytes(32)
        )
        for who, weight in zip(CONTRIBUTORS, weights, strict=False)
    ]
    tree = MerkleTree(leaves)
    salt = bytes(31) + b"\1"
    publication = ("slug", 1, salt, tree.root, [], (salt, 1, "bundle://x"))
    nobody = (NOBODY, 0, (0, 0, 0), "")
    asset = world.registry("publish", publication, nobody, by=PUBLISHER.address)
    share = world.tokenize(asset, PUBLISHER, supply=2_000 * ONE_SHARE)
    share("approve", world.launchpad, 2**256 - 1, by=PUBLISHER.address)
    address = world.launchpad("contribute", asset, (amount, 0, 0, 0), by=PUBLISHER.address)
    allocation = Contract(world.engine, compiled("Allocation"), address)
    model = AllocationModel(amount)
    for step, income in steps:
        world.fund(share.address, income)
        share("sync")
        world.wait(DAY)
        number = step % len(leaves)
        leaf, weight, who = leaves[number], weights[number], CONTRIBUTORS[number]
        revenue = int(share("claimable", allocation.address))
        earned = model.earned_by(leaf, weight, revenue=revenue)
        assert allocation("earned_by", leaf, weight) == earned
        proof = list(tree.proof(leaf) or ())
        claim = (allocation.address, (who.address, 1, weight, bytes(32)), proof)

        def contract(claim: tuple[object, ...] = claim, who: Person = who) -> tuple[int, int]:
            before = world.held(who)
            vesting = world.launchpad("claim_contribution", *claim, by=KEEPER.address)
            return share("balanceOf", vesting), world.held(who) - before

        both(partial(model.hand_over, leaf, weight, revenue=revenue), contract)
        assert allocation("left") == model.left == share("balanceOf", allocation)
        held = world.held(allocation)
        assert held == model.accruals.received - model.accruals.distributed
