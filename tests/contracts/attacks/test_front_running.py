"""Somebody sees a transaction before it counts and gets in front of it.

To initialize a clone with himself in it, to take the address of one, to buy at a better price, or
to open the channel that a payer is about to open.
"""

from __future__ import annotations

from rig.clones import clone
from rig.compiling import compiled
from rig.contract import Contract, refused
from rig.market import Market
from rig.people import Person
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, World


def test_a_clone_comes_to_life_in_the_transaction_that_makes_it(
    market: Market, attacker: Person
) -> None:
    with refused("share: only the registry initializes"):
        market.share("initialize", attacker.address, by=attacker.address)
    implementation = market.world.share_implementation
    with refused("share: only the registry initializes"):
        implementation("initialize", attacker.address, by=attacker.address)


def test_a_forged_share_is_no_share_of_the_registry(market: Market, attacker: Person) -> None:
    world = market.world
    terms = ONE_SHARE | DAY << 96
    forged = clone(world.share_implementation, terms, market.asset, 0, 0, by=attacker)
    with refused("share: only the registry initializes"):
        forged("initialize", attacker.address, by=attacker.address)
    assert world.registry("share_of", market.asset) == market.share.address


def test_an_offering_is_initialized_when_it_is_made(
    world: World, publisher: Person, attacker: Person
) -> None:
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, ONE_SHARE, by=publisher.address)
    sale = (
        publisher.address,
        10**6,
        ONE_SHARE,
        0,
        ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", asset, sale, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    with refused("offering: initialized already"):
        offering("initialize", by=attacker.address)
    share("transfer", offering, ONE_SHARE, by=publisher.address)
    with refused("offering: initialized already"):
        offering("initialize", by=attacker.address)


def test_the_first_buyer_pays_what_the_last_one_pays(
    world: World, publisher: Person, buyer: Person, attacker: Person
) -> None:
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 10 * ONE_SHARE, by=publisher.address)
    sale = (
        publisher.address,
        10**6,
        10 * ONE_SHARE,
        0,
        9 * ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", asset, sale, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    for who in (attacker, buyer):
        world.fund(who, 10**7, spender=offering)
    quoted = offering("preview_buy", ONE_SHARE)
    offering("buy", 9 * ONE_SHARE, by=attacker.address)
    assert offering("preview_buy", ONE_SHARE) == quoted
    assert offering("buy", ONE_SHARE, by=buyer.address) == (ONE_SHARE, quoted)


def test_a_purchase_of_all_that_is_left_is_not_stopped_by_one_raw_share(
    world: World, publisher: Person, buyer: Person, attacker: Person
) -> None:
    """Whoever sees it coming buys one raw share before, for a base unit, and it fails; and again.

    The buyer gets what is left, if it is as much as the buyer said.
    """
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 10 * ONE_SHARE, by=publisher.address)
    whole = 10 * ONE_SHARE
    times = (world.now, world.now + DAY)
    sale = (publisher.address, 10**6, whole, 0, whole, *times, *OPEN_TO_ALL)
    address = world.launchpad("offer", asset, sale, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    for who in (attacker, buyer):
        world.fund(who, 10**7, spender=offering)
    assert offering("buy", 1, by=attacker.address) == (1, 1)
    to, nothing = buyer.address, (0, [])
    with refused("offering: not that many shares left"):
        offering("buy", whole, to, *nothing, whole, by=to)
    with refused("offering: not that many shares left"):
        offering("buy", whole, by=to)
    assert offering("buy", whole, to, *nothing, whole * 99 // 100, by=to) == (whole - 1, 10**7)
    with refused("offering: not that many shares left"):
        offering("buy", whole, to, *nothing, 0, by=to)


def test_a_sale_cannot_be_changed_under_its_buyers(
    world: World, publisher: Person, buyer: Person
) -> None:
    """Whatever the publisher opens next, the sale that was seen keeps its terms in its code."""
    asset = world.publish(publisher)
    share = world.tokenize(asset, publisher)
    share("approve", world.launchpad, 2 * ONE_SHARE, by=publisher.address)
    terms = (
        publisher.address,
        10**6,
        ONE_SHARE,
        0,
        ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    first = world.launchpad("offer", asset, terms, by=publisher.address)
    dearer = (publisher.address, 10**7, *terms[2:])
    second = world.launchpad("offer", asset, dearer, by=publisher.address)
    assert first != second
    offering = Contract(world.engine, compiled("Offering"), first)
    world.fund(buyer, 10**6, spender=offering)
    assert offering("buy", ONE_SHARE, by=buyer.address) == (ONE_SHARE, 10**6)


def test_nobody_opens_the_channel_of_another_payer(
    market: Market, attacker: Person, consumer: Person
) -> None:
    salt = b"\x77" * 32
    number = market.channels("channel_number", consumer.address, market.operator.address, salt)
    opening = (market.operator.address, salt, 0, attacker.address, [])
    taken = market.channels("open", *opening, by=attacker.address)
    assert taken != number
    opening = (market.operator.address, salt, 0, consumer.address, [])
    assert market.channels("open", *opening, by=consumer.address) == number


def test_nobody_publishes_what_another_is_about_to_publish(
    world: World, publisher: Person, attacker: Person
) -> None:
    root, salt = b"\x01" * 32, bytes(32)
    expected = world.registry("asset_id", publisher.address, root, salt)
    content = ("slug", 1, salt, bytes(32), [], (root, 1, ""))
    nobody = ("0x" + "00" * 20, 0, (0, 0, 0), "")
    assert world.registry("publish", content, nobody, by=attacker.address) != expected
    assert world.registry("publish", content, nobody, by=publisher.address) == expected
