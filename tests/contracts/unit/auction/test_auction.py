"""Bids, the one price, the soft cap, refunds, the pool, and what goes back to the publisher."""

from __future__ import annotations

import pytest
from rig.clones import clone
from rig.compiling import compiled, mock
from rig.contract import NOBODY, Contract, deployed, refused
from rig.people import Person
from rig.sales import DOLLAR, Stand, auction_terms, open_stand, pool_of
from rig.system import DAY, ONE_SHARE, World, deploy_world

from tessera.spec.merkle import AllowList
from tessera.spec.signatures import Address


@pytest.fixture
def stand(world: World) -> Stand:
    return open_stand(world)


@pytest.fixture
def auction(stand: Stand) -> Contract:
    return stand.open("auction", auction_terms(stand.world))


def bid(stand: Stand, auction: Contract, who: Person, dollars: int) -> int:
    """Fund a bidder exactly and bid."""
    stand.world.fund(who, dollars * DOLLAR, spender=auction)
    return int(auction("bid", dollars * DOLLAR, by=who.address))


def test_the_price_falls_in_a_straight_line(stand: Stand, auction: Contract) -> None:
    start = stand.world.now
    assert auction("price_at", start - 1) == 10 * DOLLAR
    assert auction("price_at", start + 4 * DAY) == 6 * DOLLAR
    assert auction("price_at", start + 8 * DAY) == auction("price_at", start + 9 * DAY)
    assert auction("price_at", start + 8 * DAY) == 2 * DOLLAR
    # Rounded up: nobody sees a price that is lower than what the last share costs.
    assert auction("price_at", start + 1) == 10 * DOLLAR - 11


def test_all_pay_the_price_at_which_the_bids_bought_everything(
    stand: Stand, auction: Contract, buyer: Person, holder: Person, keeper: Person
) -> None:
    assert bid(stand, auction, buyer, 3_000) == 3_000 * DOLLAR
    assert auction.events()[0].name == "Bid"
    stand.world.wait(4 * DAY)
    # 1,000 shares at 6.00 are worth 6,000: half of the second bid is enough.
    assert tuple(auction("preview_bid", 6_000 * DOLLAR)) == (3_000 * DOLLAR, 500 * ONE_SHARE)
    assert bid(stand, auction, holder, 6_000) == 3_000 * DOLLAR
    assert [event.name for event in auction.events()] == ["Bid", "Closed"]
    assert auction.events("Closed")[0].arguments == {
        "final": True,
        "sold": 1_000 * ONE_SHARE,
        "raised": 6_000 * DOLLAR,
    }
    with refused("auction: over"):
        bid(stand, auction, holder, 1)
    assert tuple(auction("preview_bid", DOLLAR)) == (0, 0)
    with refused("auction: closed already"):
        auction("close")
    assert auction("bought_by", buyer.address) == 500 * ONE_SHARE
    assert auction("collect", buyer.address, by=keeper.address) == 500 * ONE_SHARE
    assert auction.events("Collected")[0].arguments["cost"] == 3_000 * DOLLAR
    assert auction("collect", holder.address, by=keeper.address) == 500 * ONE_SHARE
    with refused("auction: nothing to collect"):
        auction("collect", buyer.address)
    publisher = stand.publisher.address
    assert auction("withdraw_proceeds", by=publisher) == 6_000 * DOLLAR
    assert auction.events()[0].name == "ProceedsWithdrawn"
    with refused("auction: only the publisher"):
        auction("withdraw_proceeds", by=keeper.address)
    with refused("auction: nothing to return"):
        auction("return_unsold")


def test_the_falling_price_itself_can_end_it(
    stand: Stand, auction: Contract, buyer: Person, holder: Person
) -> None:
    bid(stand, auction, buyer, 5_999)
    with refused("auction: not over yet"):
        auction("close")
    stand.world.wait(4 * DAY + 100)
    assert auction("is_over")
    with refused("auction: over"):
        bid(stand, auction, holder, 1)
    auction("close")
    assert auction("collect", buyer.address) == 1_000 * ONE_SHARE


def test_what_was_not_sold_out_goes_for_the_lowest_price(
    stand: Stand, auction: Contract, buyer: Person, keeper: Person
) -> None:
    bid(stand, auction, buyer, 600)
    with refused("auction: not closed"):
        auction("return_unsold")
    stand.world.wait(8 * DAY)
    with refused("auction: over"):
        bid(stand, auction, buyer, 1)
    with refused("auction: not final"):
        auction("collect", buyer.address)
    auction("close", by=keeper.address)
    assert auction("collect", buyer.address) == 300 * ONE_SHARE
    assert auction("return_unsold", by=keeper.address) == 700 * ONE_SHARE
    assert auction.events()[0].name == "UnsoldReturned"
    assert stand.world.launchpad("held_in_sales", stand.asset) == 0


def test_below_the_soft_cap_everybody_gets_the_money_back(
    stand: Stand, auction: Contract, buyer: Person, holder: Person, keeper: Person
) -> None:
    bid(stand, auction, buyer, 300)
    bid(stand, auction, holder, 199)
    with refused("auction: no refunds"):
        auction("refund", by=buyer.address)
    stand.world.wait(8 * DAY)
    auction("close")
    assert auction("refund", keeper.address, by=buyer.address) == 300 * DOLLAR
    assert auction.events()[0].name == "Refunded"
    assert stand.world.held(keeper) == 300 * DOLLAR
    assert auction("refund_for", holder.address, by=keeper.address) == 199 * DOLLAR
    with refused("auction: nothing to refund"):
        auction("refund", by=buyer.address)
    with refused("auction: not final"):
        auction("claim", by=buyer.address)
    assert auction("return_unsold") == 1_000 * ONE_SHARE
    assert stand.world.launchpad("open_sales", stand.asset) == 0


def test_what_cannot_be_bid_is_refused(
    stand: Stand, auction: Contract, buyer: Person, keeper: Person
) -> None:
    stand.world.fund(buyer, 10**12, spender=auction)

    def refuse(reason: str, amount: int, receiver: str) -> None:
        with refused(reason):
            auction("bid", amount, receiver, by=buyer.address)

    refuse("auction: a bid of nothing", 0, buyer.address)
    refuse("auction: the publisher cannot bid", 1, stand.publisher.address)
    refuse("sale: receiver is the zero address", 1, NOBODY)
    later = stand.open("auction", auction_terms(stand.world, start=stand.world.now + 60))
    with refused("auction: not open yet"):
        later("bid", 1, by=buyer.address)
    assert tuple(later("preview_bid", 1)) == (0, 0)
    small = stand.open("auction", auction_terms(stand.world, cap_per_buyer=5))
    with refused("sale: above the cap for one buyer"):
        small("bid", 6, by=buyer.address)


def test_revenue_is_the_publishers_until_it_is_closed_and_then_the_bidders(
    stand: Stand, auction: Contract, buyer: Person
) -> None:
    bid(stand, auction, buyer, 1_000)
    stand.pay_holders(100_000)
    assert auction("claimable", stand.publisher.address) == 1_000
    assert auction("claimable", buyer.address) == 0
    stand.world.wait(8 * DAY)
    auction("close")
    stand.pay_holders(100_000)
    assert auction("claimable", buyer.address) in {499, 500}
    assert auction("claim", by=buyer.address) in {499, 500}
    assert auction.events("RevenueClaimed")[0].arguments["account"] == buyer.address
    assert auction("claim", by=stand.publisher.address) in {1_499, 1_500}
    assert auction("received") == 2_000
    assert auction("distributed") >= 1_998


def test_a_part_of_the_proceeds_opens_the_pool_at_the_one_price(
    stand: Stand, buyer: Person, keeper: Person
) -> None:
    world = stand.world
    terms = auction_terms(world, liquidity=(2_500, 2, 90 * DAY))
    auction = stand.open("auction", terms)
    assert world.launchpad("held_in_sales", stand.asset) == 1_250 * ONE_SHARE
    bid(stand, auction, buyer, 600)
    with refused("auction: no pool to open"):
        auction("open_pool")
    world.wait(8 * DAY)
    auction("close")
    assert world.launchpad("open_sales", stand.asset) == 1
    auction("open_pool", by=keeper.address)
    locked = world.now + 90 * DAY
    assert world.exchange("fee_bps_of", stand.share) == 100
    assert pool_of(world, stand.share) == (
        75 * ONE_SHARE,
        150 * DOLLAR,
        stand.publisher.address,
        locked,
    )
    assert auction.events("PoolOpened")[0].arguments == {
        "shares": 75 * ONE_SHARE,
        "amount": 150 * DOLLAR,
        "locked_until": locked,
    }
    assert world.launchpad("open_sales", stand.asset) == 0
    with refused("auction: pool opened already"):
        auction("open_pool")
    assert auction("withdraw_proceeds", by=stand.publisher.address) == 450 * DOLLAR
    auction("collect", buyer.address)
    assert auction("return_unsold") == (1_250 - 300 - 75) * ONE_SHARE


def test_only_who_is_listed_bids_and_only_so_much(
    stand: Stand, buyer: Person, holder: Person, attacker: Person
) -> None:
    listed = AllowList(
        {
            Address(bytes.fromhex(buyer.address[2:])): 100 * DOLLAR,
            Address(bytes.fromhex(holder.address[2:])): 50 * DOLLAR,
        }
    )
    auction = stand.open("auction", auction_terms(stand.world, allowed=listed.root))
    most, proof = listed.proof(Address(bytes.fromhex(buyer.address[2:])))
    for who in (buyer, attacker):
        stand.world.fund(who, 1_000 * DOLLAR, spender=auction)
    with refused("sale: not on the list"):
        auction("bid", 1, attacker.address, most, list(proof), by=attacker.address)
    with refused("sale: not on the list"):
        auction("bid", 1, buyer.address, 2 * most, list(proof), by=buyer.address)
    auction("bid", 60 * DOLLAR, buyer.address, most, list(proof), by=buyer.address)
    with refused("sale: above the buyer's part of the list"):
        auction("bid", 41 * DOLLAR, buyer.address, most, list(proof), by=buyer.address)
    assert tuple(auction("conditions")) == (listed.root, 0, 0, 0)


def test_a_currency_that_blocks_the_auction_keeps_nobody_from_shares(
    publisher: Person, buyer: Person, attacker: Person
) -> None:
    world = deploy_world(currency=mock("BlacklistCurrency"))
    stand = open_stand(world)
    auction = stand.open("auction", auction_terms(world))
    bid(stand, auction, buyer, 600)
    world.wait(8 * DAY)
    auction("close")
    stand.pay_holders(100_000)
    world.currency("set_blocked", auction.address, True)
    with refused("auction: revenue is held up; only the bidder may forgo it"):
        auction("collect", buyer.address, by=attacker.address)
    with refused("auction: revenue is held up; only the publisher may forgo it"):
        auction("return_unsold", by=attacker.address)
    assert auction("collect", buyer.address, by=buyer.address) == 300 * ONE_SHARE
    assert auction("return_unsold", by=publisher.address) == 700 * ONE_SHARE


def test_an_auction_believes_only_what_it_holds(
    world: World, stand: Stand, auction: Contract, attacker: Person
) -> None:
    implementation = deployed(
        world.engine, compiled("Auction"), world.launchpad, world.exchange, by=attacker.address
    )
    empty = clone(
        implementation,
        stand.share.address,
        attacker.address,
        1 | 1 << 128,
        ONE_SHARE,
        1,
        world.now | (world.now + DAY) << 40,
        0,
        by=attacker,
    )
    with refused("auction: shares are not here"):
        empty("initialize", by=attacker.address)
    with refused("auction: initialized already"):
        auction("initialize", by=attacker.address)


def test_the_terms_can_be_read(stand: Stand, auction: Contract) -> None:
    now = stand.world.now
    assert auction("terms") == (
        stand.share.address,
        stand.publisher.address,
        10 * DOLLAR,
        2 * DOLLAR,
        1_000 * ONE_SHARE,
        500 * DOLLAR,
        10_000 * DOLLAR,
        now,
        now + 8 * DAY,
    )
