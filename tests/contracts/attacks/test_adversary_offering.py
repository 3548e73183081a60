"""Somebody takes the revenue of others while the currency is closed to a sale or to its share.

What the Share cannot pay then is divided later, among whoever is there by that time. So who
pushes others out, or comes in meanwhile, would have a part in what others earned.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from rig.compiling import compiled, mock
from rig.contract import Contract, refused
from rig.engines import Reverted
from rig.people import Person, key_of
from rig.sales import DOLLAR, Stand, auction_terms, open_stand, sale_terms
from rig.system import DAY, ONE_SHARE, OPEN_TO_ALL, World, deploy_world

from tessera.spec.auction import AuctionModel, AuctionSale

REVENUE = 1_000_000


@pytest.fixture
def world() -> World:
    return deploy_world(currency=mock("BlacklistCurrency"))


@pytest.fixture
def share(world: World, publisher: Person) -> Contract:
    return world.new_share(publisher, supply=100 * ONE_SHARE)


def sell(world: World, share: Contract, publisher: Person) -> Contract:
    """Offer all the shares; final at 99 of 100."""
    share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    sale = (
        publisher.address,
        1_000_000,
        100 * ONE_SHARE,
        99 * ONE_SHARE,
        100 * ONE_SHARE,
        world.now,
        world.now + DAY,
        *OPEN_TO_ALL,
    )
    address = world.launchpad("offer", share("asset"), sale, by=publisher.address)
    return Contract(world.engine, compiled("Offering"), address)


def test_nobody_is_pushed_out_of_revenue_while_the_currency_is_closed(
    world: World,
    share: Contract,
    publisher: Person,
    buyer: Person,
    attacker: Person,
    keeper: Person,
) -> None:
    """Anyone may call `collect` for anyone: the attacker pushes everybody else out first."""
    offering = sell(world, share, publisher)
    for who, amount in ((buyer, 97), (attacker, 1), (keeper, 2)):
        world.fund(who, 10**12, spender=offering)
        offering("buy", amount * ONE_SHARE, by=who.address)
    world.fund(share.address, REVENUE)
    share("sync")
    world.wait(DAY)
    earned = offering("claimable", buyer.address)
    assert earned >= REVENUE * 97 // 100 - 1
    world.currency("set_blocked", offering.address, True)
    # A refusal keeps everything in its place, which is as good.
    with suppress(Reverted):
        offering("collect", buyer.address, by=attacker.address)
    world.currency("set_blocked", offering.address, False)
    got = offering("claim", by=attacker.address)
    assert got <= REVENUE // 100 + 1
    assert offering("claimable", buyer.address) >= earned - 1


@pytest.fixture
def stand(world: World) -> Stand:
    return open_stand(world)


def bid_for_half(stand: Stand, bidder: Person, *, bps: int = 0) -> Contract:
    """Bid 1,000.00 for 500 of 1,000 shares; then what lies in the auction earns 1,000.00."""
    auction = stand.open("auction", auction_terms(stand.world, liquidity=(bps, 1, DAY)))
    stand.world.fund(bidder, 1_000 * DOLLAR, spender=auction)
    auction("bid", 1_000 * DOLLAR, by=bidder.address)
    # A hundredth of the supply is for sale.
    stand.pay_holders(100_000 * DOLLAR)
    return auction


def test_closing_an_auction_while_the_share_is_blocked_sells_no_revenue_of_before(
    stand: Stand, attacker: Person, keeper: Person
) -> None:
    """All revenue of before the close is the publisher's, but the Share could not pay it then.

    The attacker bids, waits until the currency blocks the Share, closes, and has a half of it when
    the currency lets go.
    """
    world = stand.world
    auction = bid_for_half(stand, attacker)
    sale = auction_terms(world)
    model = AuctionModel(
        AuctionSale(key_of(stand.publisher), *sale[1:5], 2**200, *auction("terms")[7:])
    )
    model.bid(key_of(attacker), 1_000 * DOLLAR, auction("terms")[7], revenue=0)
    world.wait(7 * DAY)
    world.currency("set_blocked", stand.share.address, True)
    model.close(world.now, revenue=stand.share("claimable", auction), held_up=True)
    auction("close", by=attacker.address)
    # More comes in, for both halves alike.
    stand.pay_holders(10_000 * DOLLAR)
    dues = {stand.publisher: 1_050 * DOLLAR, attacker: 50 * DOLLAR}
    revenue = stand.share("claimable", auction)
    for who, due in dues.items():
        claimable = auction("claimable", who.address)
        assert claimable == model.claimable(key_of(who), revenue=revenue)
        assert due - 1 <= claimable <= due
        assert auction("claim", by=who.address) == 0
    world.currency("set_blocked", stand.share.address, False)
    for who, due in reversed(dues.items()):
        revenue = stand.share("claimable", auction)
        paid = auction("claim", by=who.address)
        assert paid == model.claim(key_of(who), revenue=revenue)
        assert due - 1 <= paid <= due
    assert auction("received") == 1_100 * DOLLAR
    # What was kept is paid once.
    stand.pay_holders(10_000 * DOLLAR)
    for who in dues:
        assert 0 <= auction("claim", by=who.address) - 50 * DOLLAR <= 1


def test_what_was_kept_for_the_publisher_of_a_failed_auction_is_paid(
    stand: Stand, buyer: Person, keeper: Person
) -> None:
    """Nobody earned beside the publisher, before the close and after it."""
    world = stand.world
    auction = stand.open("auction", auction_terms(world))
    world.fund(buyer, DOLLAR, spender=auction)
    auction("bid", DOLLAR, by=buyer.address)
    stand.pay_holders(100_000 * DOLLAR)
    world.wait(7 * DAY)
    world.currency("set_blocked", stand.share.address, True)
    auction("close", by=keeper.address)
    assert auction("refund", by=buyer.address) == DOLLAR
    world.currency("set_blocked", stand.share.address, False)
    assert auction("claimable", stand.publisher.address) == 1_000 * DOLLAR
    auction("return_unsold", by=keeper.address)
    assert auction("claim", by=stand.publisher.address) == 1_000 * DOLLAR
    assert world.held(auction) == 0


def test_an_offering_sells_no_revenue_of_before_while_the_share_is_blocked(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Below the soft cap a buyer's shares stay in the sale, and earn there from the purchase on.

    Where the Share could not pay what they had earned before, the buyer later had a part of that.
    """
    world = stand.world
    offering = stand.open("offer", sale_terms(world))
    for who in (buyer, attacker):
        world.fund(who, 2_000 * DOLLAR, spender=offering)
    offering("buy", 100 * ONE_SHARE, by=buyer.address)
    stand.pay_holders(100_000 * DOLLAR)
    world.currency("set_blocked", stand.share.address, True)
    with refused("offering: revenue is held up"):
        offering("buy", 300 * ONE_SHARE, by=attacker.address)
    world.currency("set_blocked", stand.share.address, False)
    offering("buy", 300 * ONE_SHARE, by=attacker.address)
    for who, due in ((stand.publisher, 900 * DOLLAR), (buyer, 100 * DOLLAR), (attacker, 0)):
        assert due - 1 <= offering("claim", by=who.address) <= due


@pytest.mark.parametrize("kind", ["offering", "auction"])
def test_opening_the_pool_while_the_share_is_blocked_gives_no_revenue_away(
    stand: Stand, buyer: Person, attacker: Person, kind: str
) -> None:
    """The pool's shares earn for the publisher; when they leave, what they earned must not stay.

    A buyer who waits with `collect` had it, for a call that anyone may make.
    """
    world, publisher = stand.world, stand.publisher.address
    if kind == "auction":
        sale = bid_for_half(stand, attacker, bps=5_000)
        world.wait(8 * DAY)
        sale("close")
        assert sale("claim", by=publisher) == 1_500 * DOLLAR
    else:
        sale = stand.open("offer", sale_terms(world, liquidity=(5_000, 1, DAY)))
        world.fund(attacker, 2_000 * DOLLAR, spender=sale)
        sale("buy", 399 * ONE_SHARE, by=attacker.address)
        sale("buy", 101 * ONE_SHARE, by=attacker.address)
        world.wait(7 * DAY)
    stand.pay_holders(100_000 * DOLLAR)
    due = sale("claimable", publisher)
    assert due >= 1_000 * DOLLAR - 1
    world.currency("set_blocked", stand.share.address, True)
    with refused(f"{kind}: revenue is held up; only the publisher may forgo it"):
        sale("open_pool", by=attacker.address)
    world.currency("set_blocked", stand.share.address, False)
    sale("open_pool", by=attacker.address)
    assert sale("claim", by=publisher) == due
