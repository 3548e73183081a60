"""Contributors claim their part by proof, straight into a vesting of their own."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from rig.clones import clone
from rig.compiling import compiled, mock
from rig.contract import NOBODY, Contract, deployed, refused
from rig.people import Person, person
from rig.sales import Stand
from rig.system import DAY, ONE_SHARE, World, deploy_world

from tessera.spec.merkle import MerkleTree, leaf_of

CONTRIBUTORS = {
    person("data contributor"): (1, 6_000),
    person("compute contributor"): (2, 3_000),
    person("code contributor"): (3, 1_000),
}
GRANT = 1_000 * ONE_SHARE


@dataclass
class Granted:
    """An allocation over three contributors, and their tree."""

    stand: Stand
    allocation: Contract
    tree: MerkleTree

    def claim(self, who: Person, *, by: Person, receiver: str = NOBODY) -> Contract:
        """Claim a contributor's part; its vesting."""
        world = self.stand.world
        address = world.launchpad(
            "claim_contribution",
            self.allocation.address,
            contribution_of(who),
            list(self.tree.proof(leaf(who)) or ()),
            receiver,
            by=by.address,
        )
        return Contract(world.engine, compiled("Vesting"), address)


def contribution_of(who: Person) -> tuple[str, int, int, bytes]:
    role, weight = CONTRIBUTORS[who]
    return who.address, role, weight, bytes(32)


def leaf(who: Person) -> bytes:
    address, role, weight, evidence = contribution_of(who)
    encoded = bytes(12) + bytes.fromhex(address[2:]) + role.to_bytes(32, "big")
    return leaf_of(encoded + weight.to_bytes(32, "big") + evidence)


def grant(world: World) -> Granted:
    tree = MerkleTree(leaf(who) for who in CONTRIBUTORS)
    publisher = person("publisher")
    salt = next(world.salts).to_bytes(32, "big")
    version = (salt, 1, "bundle://x")
    publication = ("slug", 1, salt, tree.root, [], version)
    nobody = (NOBODY, 0, (0, 0, 0), "")
    asset = world.registry("publish", publication, nobody, by=publisher.address)
    share = world.tokenize(asset, publisher, supply=2 * GRANT, period=DAY)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    terms = (GRANT, world.now, 10 * DAY, 100 * DAY)
    address = world.launchpad("contribute", asset, terms, by=publisher.address)
    allocation = Contract(world.engine, compiled("Allocation"), address)
    return Granted(Stand(world, asset, share, publisher), allocation, tree)


@pytest.fixture
def granted(world: World) -> Granted:
    return grant(world)


def test_a_claim_makes_the_contributors_own_vesting(granted: Granted, keeper: Person) -> None:
    stand, world = granted.stand, granted.stand.world
    assert world.launchpad("held_in_vesting", stand.asset) == GRANT
    start = world.now
    world.wait(50 * DAY)
    for who, (_, weight) in CONTRIBUTORS.items():
        vesting = granted.claim(who, by=keeper)
        assert vesting("schedule") == (
            stand.share.address,
            who.address,
            GRANT * weight // 10_000,
            start,
            10 * DAY,
            100 * DAY,
        )
        assert world.launchpad("asset_of", vesting) == stand.asset
        assert vesting("release") == GRANT * weight // 20_000
    assert granted.allocation("left") == stand.share("balanceOf", granted.allocation) == 0
    assert world.launchpad("held_in_vesting", stand.asset) == GRANT // 2


def test_each_part_has_earned_from_the_first_day(granted: Granted, keeper: Person) -> None:
    stand, world = granted.stand, granted.stand.world
    first, second, third = CONTRIBUTORS
    stand.pay_holders(20_000)
    assert granted.allocation("earned_by", leaf(first), 6_000) in {5_999, 6_000}
    vesting = granted.claim(first, by=keeper)
    assert world.held(first) in {5_999, 6_000}
    assert granted.allocation("earned_by", leaf(first), 6_000) == 0
    stand.pay_holders(20_000)
    # What it earns from now on is in the vesting.
    assert vesting("claim", by=first.address) == 6_000
    granted.claim(second, by=second, receiver=keeper.address)
    assert world.held(keeper) in {5_999, 6_000}
    granted.claim(third, by=keeper)
    assert world.held(third) in {1_999, 2_000}
    assert world.held(granted.allocation) <= 2


def test_a_contribution_counts_once(granted: Granted, attacker: Person) -> None:
    (first, *_) = CONTRIBUTORS
    granted.claim(first, by=attacker)
    with refused("allocation: claimed already"):
        granted.claim(first, by=first)


def test_what_was_not_contributed_is_refused(granted: Granted, attacker: Person) -> None:
    world, allocation = granted.stand.world, granted.allocation
    first, second, _ = CONTRIBUTORS
    proof = list(granted.tree.proof(leaf(first)) or ())
    address, role, weight, evidence = contribution_of(first)
    for changed in (
        (attacker.address, role, weight, evidence),
        (address, role, weight + 1, evidence),
        (address, role + 1, weight, evidence),
        (address, role, weight, b"\1" * 32),
        contribution_of(second),
    ):
        with refused("launchpad: not a contribution"):
            world.launchpad(
                "claim_contribution", allocation.address, changed, proof, by=attacker.address
            )
    with refused("launchpad: only the contributor names a receiver"):
        granted.claim(first, by=attacker, receiver=attacker.address)
    with refused("launchpad: not an allocation of ours"):
        world.launchpad(
            "claim_contribution",
            attacker.address,
            contribution_of(first),
            proof,
            by=attacker.address,
        )
    with refused("allocation: only the launchpad"):
        allocation("hand_over", leaf(first), attacker.address, 1, attacker.address, True)
    with refused("allocation: only the launchpad"):
        allocation("initialize", by=attacker.address)


def test_an_asset_without_contributors_has_no_allocation(world: World, publisher: Person) -> None:
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    with refused("launchpad: asset names no contributors"):
        world.launchpad("contribute", asset, (1, world.now, 0, 0), by=publisher.address)


def test_a_currency_that_blocks_the_allocation_keeps_no_contributor_from_shares(
    keeper: Person,
) -> None:
    world = deploy_world(currency=mock("BlacklistCurrency"))
    granted = grant(world)
    first, second, _ = CONTRIBUTORS
    granted.stand.pay_holders(20_000)
    world.currency("set_blocked", granted.allocation.address, True)
    with refused("allocation: revenue is held up; only the contributor may forgo it"):
        granted.claim(first, by=keeper)
    granted.claim(first, by=first)
    world.currency("set_blocked", granted.allocation.address, False)
    granted.claim(second, by=keeper)
    assert world.held(second) > 3_000


def _allocation_by_hand(
    world: World, share: Contract, launchpad: Contract, who: Person
) -> Contract:
    implementation = deployed(world.engine, compiled("Allocation"), launchpad, by=who.address)
    return clone(implementation, share.address, 1, ONE_SHARE, world.now, by=who)


def test_weights_above_the_whole_find_too_little(
    world: World, granted: Granted, publisher: Person
) -> None:
    launchpad = world.actor()
    allocation = _allocation_by_hand(world, granted.stand.share, launchpad, publisher)
    world.as_contract(launchpad, allocation, "initialize")
    with refused("allocation: weights above the whole"):
        world.as_contract(
            launchpad, allocation, "hand_over", b"\1" * 32, NOBODY, ONE_SHARE + 1, NOBODY, True
        )


def test_tokens_that_answer_false_are_believed(publisher: Person, keeper: Person) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    share = deployed(world.engine, mock("FalseShare"), world.currency, by=publisher.address)
    launchpad = world.actor()
    allocation = _allocation_by_hand(world, share, launchpad, publisher)
    world.as_contract(launchpad, allocation, "initialize")
    with refused("allocation: share refused the transfer"):
        world.as_contract(
            launchpad, allocation, "hand_over", b"\1" * 32, keeper.address, 1, NOBODY, True
        )
    granted = grant(world)
    first, second, third = CONTRIBUTORS
    granted.stand.pay_holders(20_000)
    granted.claim(second, by=keeper)
    world.currency("set_refuses", True)
    with refused("allocation: currency refused the transfer"):
        granted.claim(third, by=keeper)
    granted.stand.pay_holders(20_000)
    with refused("allocation: revenue is held up; only the contributor may forgo it"):
        granted.claim(first, by=keeper)


def test_the_terms_can_be_read(granted: Granted) -> None:
    start = granted.stand.world.now
    terms = (granted.stand.share.address, granted.tree.root, GRANT, start, 10 * DAY, 100 * DAY)
    assert granted.allocation("terms") == terms
    assert granted.allocation("part_of", 2_500) == GRANT // 4
