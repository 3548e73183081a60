"""What somebody could try around a first sale, and what it brings them.

The stories are those of launches that went wrong elsewhere: a pool opened beside the sale at a
price of one's own, offers listed again after they were refunded, refunds asked for after the
holders were paid, and allow-lists walked through by one person.
"""

from __future__ import annotations

import pytest
from rig.contract import Contract, refused
from rig.people import Person, key_of, person
from rig.sales import (
    DOLLAR,
    FOR_EVER,
    Stand,
    auction_terms,
    curve_terms,
    open_stand,
    pool_of,
    sale_terms,
)
from rig.system import DAY, ONE_SHARE, World

from tessera.spec.merkle import AllowList, MerkleTree

POOL = (5_000, 1, 365 * DAY)


@pytest.fixture
def stand(world: World) -> Stand:
    return open_stand(world)


def buy(stand: Stand, offering: Contract, who: Person, whole: int) -> None:
    stand.world.fund(who, whole * 2 * DOLLAR, spender=offering)
    offering("buy", whole * ONE_SHARE, by=who.address)


def test_a_refunded_offer_listed_again_owes_nothing_to_the_first_and_takes_nothing_from_it(
    stand: Stand, buyer: Person, holder: Person
) -> None:
    """The publisher lists the same shares again while the first buyers have not been refunded yet.

    Elsewhere one contract held both sales, and the second one's money paid the first one's refunds,
    or the first one's buyers collected shares of the second. Here each sale is its own address.
    """
    first = stand.open("offer", sale_terms(stand.world, liquidity=POOL))
    buy(stand, first, buyer, 300)
    stand.world.wait(7 * DAY)
    first("return_unsold")
    assert stand.shares_of(stand.publisher) == 100_000
    second = stand.open("offer", sale_terms(stand.world, liquidity=POOL))
    buy(stand, second, holder, 1_000)
    with refused("offering: not final"):
        first("collect", buyer.address)
    with refused("offering: nothing to collect"):
        second("collect", buyer.address)
    with refused("offering: no refunds"):
        second("refund", by=buyer.address)
    # And giving the unsold shares back again, now that others lie elsewhere, gives nothing.
    with refused("offering: returned already"):
        first("return_unsold")
    assert first("refund", by=buyer.address) == 600 * DOLLAR
    with refused("offering: nothing to refund"):
        first("refund", by=buyer.address)
    assert stand.world.held(first) == 0
    second("open_pool")
    assert stand.world.held(second) == 1_000 * DOLLAR


def test_a_refund_after_the_holders_were_paid_takes_nothing_from_them(
    stand: Stand, buyer: Person, holder: Person, keeper: Person
) -> None:
    """Revenue comes in while a sale waits in escrow; it fails; the buyer refunds last of all.

    If escrow and revenue were one pot, the revenue paid out first would be missing at the end.
    """
    offering = stand.open("offer", sale_terms(stand.world))
    buy(stand, offering, buyer, 300)
    stand.pay_holders(100_000 * DOLLAR)
    stand.world.wait(7 * DAY)
    offering("return_unsold", by=keeper.address)
    publisher = stand.publisher.address
    assert offering("claim", by=publisher) == 1_000 * DOLLAR
    with refused("offering: not final"):
        offering("claim", by=buyer.address)
    assert offering("refund", by=buyer.address) == 600 * DOLLAR
    assert offering("claim", by=publisher) == 0
    assert stand.world.held(offering) == 0


def test_nobody_buys_after_the_end_in_any_kind(stand: Stand, attacker: Person) -> None:
    """A late purchase at the old price is a free option: the pool already trades higher."""
    world = stand.world
    offering = stand.open("offer", sale_terms(world))
    auction = stand.open("auction", auction_terms(world))
    curve = stand.open("curve", curve_terms(world))
    for sale in (offering, auction, curve):
        world.fund(attacker, 10**6 * DOLLAR, spender=sale)
    world.wait(8 * DAY)
    with refused("offering: over"):
        offering("buy", ONE_SHARE, by=attacker.address)
    with refused("auction: over"):
        auction("bid", DOLLAR, by=attacker.address)
    with refused("curve: over"):
        curve("buy", DOLLAR, 0, FOR_EVER, by=attacker.address)
    # Not even before somebody has said that it is over.
    assert not auction("closed")
    assert world.launchpad("open_sales", stand.asset) == 3


def test_one_buyer_through_many_addresses_meets_the_list(stand: Stand, attacker: Person) -> None:
    """A hundred addresses are a hundred buyers to a cap, but none of them is on the list."""
    world = stand.world
    listed = AllowList({key_of(attacker): 5 * ONE_SHARE})
    capped = stand.open("offer", sale_terms(world, cap_per_buyer=5 * ONE_SHARE))
    closed = stand.open("offer", sale_terms(world, allowed=listed.root))
    most, proof = listed.proof(key_of(attacker))
    for sale in (capped, closed):
        world.fund(attacker, 10**4 * DOLLAR, spender=sale)
    sybils = [person(f"sybil {number}") for number in range(100)]
    for sybil in sybils[:10]:
        # What a cap alone is worth, told in the contract: nothing against many addresses.
        capped("buy", 5 * ONE_SHARE, sybil.address, by=attacker.address)
        with refused("sale: not on the list"):
            closed("buy", 1, sybil.address, most, list(proof), by=attacker.address)
    closed("buy", 5 * ONE_SHARE, attacker.address, most, list(proof), by=attacker.address)
    with refused("sale: above the buyer's part of the list"):
        closed("buy", 1, attacker.address, most, list(proof), by=attacker.address)


def test_forged_and_reused_proofs_open_nothing(
    stand: Stand, buyer: Person, holder: Person, attacker: Person
) -> None:
    """Another's leaf, a larger part, an inner node as a leaf, no proof, a proof too many."""
    world = stand.world
    parts = {key_of(who): 10 * ONE_SHARE for who in (buyer, holder, stand.publisher)}
    listed = AllowList(parts)
    offering = stand.open("offer", sale_terms(world, allowed=listed.root))
    world.fund(attacker, 10**4 * DOLLAR, spender=offering)
    most, proof = listed.proof(key_of(buyer))
    tree = MerkleTree(AllowList.leaf(who, part) for who, part in parts.items())
    assert tree.root == listed.root
    for shown_most, shown in (
        (most, list(proof)),
        (most, []),
        (most, [*proof, bytes(32)]),
        (2**256 - 1, list(proof)),
        (most, list(proof[1:])),
        # The two children of the root, as if they were (buyer, most) of a leaf: hashed twice, no.
        (int.from_bytes(proof[-1], "big"), [bytes(32)]),
    ):
        with refused("sale: not on the list"):
            offering("buy", ONE_SHARE, attacker.address, shown_most, shown, by=attacker.address)
    # Shown twice it still is one part.
    offering("buy", 10 * ONE_SHARE, buyer.address, most, list(proof), by=attacker.address)
    with refused("sale: above the buyer's part of the list"):
        offering("buy", 1, buyer.address, most, list(proof), by=attacker.address)


def test_a_publisher_that_buys_its_own_soft_cap_takes_nothing_from_a_buyer(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """The soft cap says that money came in, not whose.

    The publisher's second address buys what is missing, so that the buyer cannot be refunded. The
    buyer has exactly the shares that the price says; the publisher has paid itself, less the pool's
    part, which stays locked; and the buyer's part of all shares is what it would have been.
    """
    world = stand.world
    offering = stand.open("offer", sale_terms(world, liquidity=POOL))
    buy(stand, offering, buyer, 100)
    buy(stand, offering, attacker, 300)
    assert offering("final")
    assert offering("withdraw_proceeds", by=stand.publisher.address) == 400 * DOLLAR
    world.wait(7 * DAY)
    offering("open_pool")
    offering("return_unsold")
    assert offering("collect", buyer.address) == 100 * ONE_SHARE
    _, money, provider, until = pool_of(world, stand.share)
    # Of 800.00 raised 400.00 are locked for a year, of which 300.00 were the publisher's own.
    assert money == 400 * DOLLAR
    assert (provider, until) == (stand.publisher.address, world.now + 365 * DAY)
    assert offering("withdraw_proceeds", by=stand.publisher.address) == 0


def test_the_part_promised_to_the_pool_never_goes_elsewhere(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """A rug: the publisher takes out the money that was promised as locked liquidity.

    Every way out is tried, before and after the end, in both orders.
    """
    world, publisher = stand.world, stand.publisher.address
    offering = stand.open("offer", sale_terms(world, liquidity=POOL))
    buy(stand, offering, buyer, 1_000)
    assert offering("withdraw_proceeds", by=publisher) == 1_000 * DOLLAR
    assert offering("withdraw_proceeds", by=publisher) == 0
    assert offering("return_unsold") == 0
    assert offering("claim", by=publisher) == 0
    with refused("offering: no refunds"):
        offering("refund_for", buyer.address)
    world.wait(1_000 * DAY)
    assert offering("withdraw_proceeds", by=publisher) == 0
    assert world.held(offering) == 1_000 * DOLLAR
    assert stand.shares_of(offering) == 500
    offering("open_pool", by=attacker.address)
    assert pool_of(world, stand.share)[2] == publisher


def test_a_pool_of_a_failed_or_running_sale_cannot_be_opened(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Opening it early would set a price while others still buy at another."""
    world = stand.world
    offering = stand.open("offer", sale_terms(world, liquidity=POOL))
    buy(stand, offering, buyer, 999)
    with refused("offering: not over yet"):
        offering("open_pool", by=attacker.address)
    auction = stand.open("auction", auction_terms(world))
    with refused("auction: no pool to open"):
        auction("open_pool", by=attacker.address)
    assert world.launchpad("open_sales", stand.asset) == 2


def test_a_late_bid_cannot_make_others_pay_more(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Sniping an auction: the bid in its last second, or the one that sells it out.

    All pay one price, which only falls with time; whoever came early pays the same.
    """
    world = stand.world
    auction = stand.open("auction", auction_terms(world))
    world.fund(buyer, 1_000 * DOLLAR, spender=auction)
    world.fund(attacker, 10**5 * DOLLAR, spender=auction)
    auction("bid", 1_000 * DOLLAR, by=buyer.address)
    world.wait(8 * DAY - 1)
    taken = auction("bid", 10**5 * DOLLAR, by=attacker.address)
    assert taken < 1_001 * DOLLAR
    of_buyer = auction("collect", buyer.address)
    of_attacker = auction("collect", attacker.address)
    assert of_buyer == 1_000 * DOLLAR * (1_000 * ONE_SHARE) // (1_000 * DOLLAR + taken)
    # The same price for both, to the last raw share.
    assert abs(of_buyer * taken - of_attacker * 1_000 * DOLLAR) <= 1_000 * DOLLAR
    assert of_buyer >= 499 * ONE_SHARE


def test_nobody_opens_the_pool_before_the_sale_that_promised_it(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Elsewhere a stranger opened the pool at a price of his own, and the sale's money met it.

    The attacker has shares and money, and tries while the sale runs, when it is over, and behind
    the pool that the sale opened; then the publisher tries to take the locked liquidity out.
    """
    world = stand.world
    offering = stand.open("offer", sale_terms(world, liquidity=POOL))
    buy(stand, offering, buyer, 1_000)
    world.fund(attacker, 10**4 * DOLLAR, spender=world.exchange)
    stand.share("transfer", attacker.address, ONE_SHARE, by=buyer.address)
    stand.share("approve", world.exchange, 2**256 - 1, by=attacker.address)
    terms = (stand.share.address, ONE_SHARE, 9_000 * DOLLAR, 1, attacker.address, 0)
    with refused("exchange: a sale is open"):
        world.exchange("open_pool", *terms, by=attacker.address)
    offering("return_unsold")
    world.wait(7 * DAY)
    with refused("exchange: a sale is open"):
        world.exchange("open_pool", *terms, by=attacker.address)
    offering("open_pool", by=attacker.address)
    with refused("exchange: pool exists"):
        world.exchange("open_pool", *terms, by=attacker.address)
    publisher = stand.publisher.address
    liquidity = world.exchange("balanceOf", publisher, int(stand.share.address, 16))
    with refused("exchange: liquidity is locked"):
        world.exchange(
            "remove_liquidity", stand.share.address, liquidity, 0, 0, publisher, FOR_EVER,
            by=publisher,
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["offer", "auction", "curve"])
def test_no_sale_is_made_that_could_never_be_closed(stand: Stand, kind: str) -> None:
    """An owner sells one raw share for an address that a Share refuses, and then the asset itself.

    What nobody bought could never go back, so the sale would count as open for ever, and no holder
    could ever open a pool: for the price of a transaction. Asking the Share whether it delivers
    there was not enough: it would, to an empty address, and a Share can be made at that address
    later. Whoever has shares already will always be given more.
    """
    world, owner = stand.world, stand.publisher
    terms = {"offer": sale_terms, "auction": auction_terms, "curve": curve_terms}[kind]
    later = world.publish(owner)
    with world.engine.trial():
        future = world.tokenize(later, owner).address
    for refusing in (
        stand.share.address,
        world.currency.address,
        world.new_share(owner).address,
        future,
    ):
        with refused("launchpad: publisher holds no share"):
            stand.open(kind, terms(world, publisher=refusing))
    assert world.launchpad("open_sales", stand.asset) == 0
    stand.share("transfer", future, 1, by=owner.address)
    sale = stand.open(kind, terms(world, publisher=future))
    assert world.tokenize(later, owner).address == future
    world.wait(8 * DAY)
    sale("close" if kind == "auction" else "return_unsold")
    assert world.launchpad("open_sales", stand.asset) == 0
    if kind == "auction":
        sale("return_unsold")
    assert world.launchpad("held_in_sales", stand.asset) == 0


def open_dust(stand: Stand, who: Person) -> None:
    """Open the share's pool with next to nothing."""
    exchange = stand.world.exchange
    stand.share("approve", exchange, 2**256 - 1, by=who.address)
    stand.world.fund(who, 1, spender=exchange)
    exchange("open_pool", stand.share.address, 2, 1, 1, who.address, 0, by=who.address)


@pytest.mark.parametrize("kind", ["offer", "auction", "curve"])
def test_dust_does_not_keep_an_asset_from_its_next_curve(
    stand: Stand, attacker: Person, kind: str
) -> None:
    """A sale fails, and in the block of its end a stranger opens the pool with two raw shares.

    The price of such a pool is mended by trade, but a share has one pool for ever: no curve could
    be launched again, and no sale could promise a pool. It cost the gas of it.
    """
    world = stand.world
    terms = {"offer": sale_terms, "auction": auction_terms, "curve": curve_terms}[kind]
    sale = stand.open(kind, terms(world))
    world.fund(attacker, 10**9, spender=sale)
    if kind == "offer":
        sale("buy", ONE_SHARE, by=attacker.address)
    elif kind == "auction":
        sale("bid", DOLLAR, by=attacker.address)
    else:
        sale("buy", DOLLAR, 0, FOR_EVER, by=attacker.address)
    stand.share("transfer", attacker.address, ONE_SHARE, by=stand.publisher.address)
    world.wait(8 * DAY)
    sale("close" if kind == "auction" else "return_unsold", by=attacker.address)
    assert world.launchpad("open_sales", stand.asset) == 0
    with refused("exchange: no sale has found a price yet"):
        open_dust(stand, attacker)
    with world.engine.trial():
        # The owner may give it up at any time.
        open_dust(stand, stand.publisher)
    curve = stand.open("curve", curve_terms(world))
    buy_out(stand, curve, attacker)
    assert pool_of(world, stand.share)[1] == 1_000 * DOLLAR


def buy_out(stand: Stand, curve: Contract, who: Person) -> None:
    stand.world.fund(who, 2_000 * DOLLAR, spender=curve)
    curve("buy", 2_000 * DOLLAR, 0, FOR_EVER, by=who.address)
    assert curve("graduated")


def test_no_owner_keeps_the_pool_by_waiting(stand: Stand, holder: Person) -> None:
    """Holders who have their shares from elsewhere wait for a year at most, not for the owner.

    It is counted from the registration, and from the last sale that found no price, so that the
    next one has its time too.
    """
    world = stand.world
    stand.share("transfer", holder.address, ONE_SHARE, by=stand.publisher.address)
    with world.engine.trial():
        world.wait(365 * DAY - 1)
        with refused("exchange: no sale has found a price yet"):
            open_dust(stand, holder)
        world.wait(1)
        open_dust(stand, holder)
    world.wait(300 * DAY)
    curve = stand.open("curve", curve_terms(world))
    world.wait(7 * DAY)
    curve("return_unsold")
    world.wait(365 * DAY - 1)
    assert not world.launchpad("anyone_opens", stand.asset)
    # Called again it counts from the first time.
    curve("return_unsold")
    world.wait(1)
    assert world.launchpad("anyone_opens", stand.asset)
    open_dust(stand, holder)


@pytest.mark.parametrize(("whole", "found"), [(0, False), (99, False), (100, True)])
@pytest.mark.parametrize("kind", ["offer", "auction"])
def test_a_price_is_found_by_who_bought_a_tenth(
    stand: Stand, buyer: Person, holder: Person, kind: str, whole: int, found: bool
) -> None:
    """Without a soft cap one raw share makes a sale final, and says nothing about the price."""
    world = stand.world
    if kind == "offer":
        sale = stand.open("offer", sale_terms(world, soft_cap=0))
    else:
        sale = stand.open("auction", auction_terms(world, soft_cap=0))
    world.fund(buyer, 10**9, spender=sale)
    if kind == "offer":
        sale("buy", whole * ONE_SHARE or 1, by=buyer.address)
    elif whole:
        sale("bid", whole * 2 * DOLLAR, by=buyer.address)
    stand.share("transfer", holder.address, ONE_SHARE, by=stand.publisher.address)
    world.wait(8 * DAY)
    sale("return_unsold" if kind == "offer" else "close")
    assert sale("final")
    assert world.launchpad("anyone_opens", stand.asset) == found
    if found:
        open_dust(stand, holder)
    else:
        with refused("exchange: no sale has found a price yet"):
            open_dust(stand, holder)


def test_a_strangers_sale_neither_opens_the_pool_nor_blocks_it(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Who sells to himself at a price of his own has found none, and holds nobody up by it."""
    world = stand.world
    stand.share("transfer", attacker.address, 10 * ONE_SHARE, by=stand.publisher.address)
    stand.share("approve", world.launchpad, 2**256 - 1, by=attacker.address)
    own = {"for_sale": ONE_SHARE, "soft_cap": 0, "publisher": attacker.address}
    first = stand.open("offer", sale_terms(world, **own), by=attacker)
    buy(stand, first, buyer, 1)
    first("return_unsold")
    with refused("exchange: no sale has found a price yet"):
        open_dust(stand, attacker)
    # Another one of his stays open; the owner's finds a price, and the pool is anyone's.
    stand.open("offer", sale_terms(world, **own), by=attacker)
    whole = stand.open("offer", sale_terms(world))
    buy(stand, whole, buyer, 1_000)
    whole("return_unsold")
    open_dust(stand, buyer)
