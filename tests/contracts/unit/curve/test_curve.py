"""Buying and selling along the curve, graduation, a missed end, and the surcharge."""

from __future__ import annotations

import pytest
from rig.clones import clone
from rig.compiling import compiled, mock
from rig.contract import NOBODY, Contract, deployed, refused
from rig.people import Person
from rig.sales import DOLLAR, FOR_EVER, Stand, curve_terms, open_stand, pool_of
from rig.system import DAY, ONE_SHARE, World, deploy_world


@pytest.fixture
def stand(world: World) -> Stand:
    return open_stand(world)


@pytest.fixture
def curve(stand: Stand) -> Contract:
    return stand.open("curve", curve_terms(stand.world))


def buy(stand: Stand, curve: Contract, who: Person, dollars: int) -> tuple[int, int]:
    """Fund a buyer exactly and buy."""
    stand.world.fund(who, dollars * DOLLAR, spender=curve)
    amount, cost = curve("buy", dollars * DOLLAR, 0, FOR_EVER, by=who.address)
    return int(amount), int(cost)


def sell(stand: Stand, curve: Contract, who: Person, amount: int) -> int:
    stand.share("approve", curve, amount, by=who.address)
    return int(curve("sell", amount, 0, FOR_EVER, by=who.address))


def test_each_purchase_raises_the_price(
    stand: Stand, curve: Contract, buyer: Person, holder: Person
) -> None:
    assert curve("price") == DOLLAR
    assert tuple(curve("preview_buy", 500 * DOLLAR)) == (400 * ONE_SHARE, 500 * DOLLAR)
    assert buy(stand, curve, buyer, 500) == (400 * ONE_SHARE, 500 * DOLLAR)
    assert curve.events("Bought")[0].arguments == {
        "buyer": buyer.address,
        "amount": 400 * ONE_SHARE,
        "cost": 500 * DOLLAR,
    }
    assert curve("price") == 1_562_500
    amount, cost = buy(stand, curve, holder, 500)
    assert amount < 400 * ONE_SHARE
    assert cost == 500 * DOLLAR
    assert stand.share("balanceOf", holder.address) == amount


def test_what_was_bought_can_be_sold_back_and_nothing_else(
    stand: Stand, curve: Contract, buyer: Person, holder: Person
) -> None:
    amount, cost = buy(stand, curve, buyer, 500)
    with refused("curve: more than was bought here"):
        curve("sell", amount + 1, 0, FOR_EVER, by=buyer.address)
    with refused("curve: more than was bought here"):
        curve("sell", 0, 0, FOR_EVER, by=buyer.address)
    # Whoever has shares from elsewhere has nothing to sell here.
    stand.share("transfer", holder.address, ONE_SHARE, by=stand.publisher.address)
    with refused("curve: more than was bought here"):
        curve("sell", ONE_SHARE, 0, FOR_EVER, by=holder.address)
    assert curve("preview_sell", buyer.address, amount) == cost
    with refused("curve: less than the seller's least"):
        curve("sell", amount, cost + 1, FOR_EVER, by=buyer.address)
    assert sell(stand, curve, buyer, amount) == cost
    assert curve.events("SoldBack")[0].arguments == {
        "seller": buyer.address,
        "receiver": buyer.address,
        "amount": amount,
        "paid": cost,
    }
    assert curve("price") == DOLLAR
    assert curve("preview_sell", buyer.address, 1) == 0


def test_the_purchase_that_reaches_the_target_opens_the_pool_at_the_curves_price(
    stand: Stand, curve: Contract, buyer: Person, holder: Person, keeper: Person
) -> None:
    world = stand.world
    assert stand.shares_of(curve) == 1_250
    with refused("curve: not over yet"):
        curve("return_unsold")
    buy(stand, curve, buyer, 1_500)
    _, cost = buy(stand, curve, holder, 9_000)
    assert cost == 500 * DOLLAR
    assert world.held(holder) == 8_500 * DOLLAR
    assert [event.name for event in curve.events()] == ["Bought", "Graduated", "PoolOpened"]
    assert curve.events("Graduated")[0].arguments["raised"] == 2_000 * DOLLAR
    shares, money, provider, until = pool_of(world, stand.share)
    assert money == 1_000 * DOLLAR
    assert money * ONE_SHARE // shares == curve("price") == 4 * DOLLAR
    assert (provider, until) == (stand.publisher.address, world.now + 365 * DAY)
    assert world.launchpad("open_sales", stand.asset) == 0
    with refused("curve: over"):
        buy(stand, curve, buyer, 1)
    assert tuple(curve("preview_buy", 1)) == (0, 0)
    with refused("curve: graduated; sell on the exchange"):
        curve("sell", 1, 0, FOR_EVER, by=buyer.address)
    assert curve("preview_sell", buyer.address, 1) == 0
    with refused("curve: only the publisher"):
        curve("withdraw_proceeds", by=keeper.address)
    assert curve("withdraw_proceeds", by=stand.publisher.address) == 1_000 * DOLLAR
    assert curve.events()[0].name == "ProceedsWithdrawn"
    # What the rounding of two purchases left.
    assert curve("return_unsold", by=keeper.address) <= 2
    assert stand.share("balanceOf", curve) == 0
    assert world.launchpad("held_in_sales", stand.asset) == 0


def test_after_a_missed_end_all_get_back_what_they_paid(
    stand: Stand, curve: Contract, buyer: Person, holder: Person
) -> None:
    first = buy(stand, curve, buyer, 500)
    last = buy(stand, curve, holder, 500)
    stand.world.wait(7 * DAY)
    with refused("curve: over"):
        buy(stand, curve, buyer, 1)
    # On the curve the last seller would get less than was paid; here the order does not matter.
    assert sell(stand, curve, buyer, first[0] // 2) == 250 * DOLLAR
    assert sell(stand, curve, holder, last[0]) == 500 * DOLLAR
    assert curve("return_unsold") == 1_250 * ONE_SHARE - first[0] + first[0] // 2
    assert curve.events()[0].name == "UnsoldReturned"
    assert sell(stand, curve, buyer, first[0] - first[0] // 2) == 250 * DOLLAR
    curve("return_unsold")
    assert stand.shares_of(stand.publisher) == 100_000
    assert stand.world.held(curve) == 0
    assert stand.world.launchpad("held_in_sales", stand.asset) == 0


def test_the_surcharge_falls_to_nothing_and_stays_on_the_curve(stand: Stand, buyer: Person) -> None:
    world = stand.world
    curve = stand.open("curve", curve_terms(world, surcharge_bps=5_000, calm=100))
    now = world.now
    assert [curve("surcharge_at", now + wait) for wait in (-1, 0, 50, 99, 100)] == [
        5_000,
        5_000,
        2_500,
        50,
        0,
    ]
    amount, cost = buy(stand, curve, buyer, 750)
    # 500 of it buys, as without a surcharge.
    assert amount == 400 * ONE_SHARE
    assert curve("raised") == cost == 750 * DOLLAR
    # Selling back at once: a fifth of the surcharge is the part of the curve that comes back.
    assert sell(stand, curve, buyer, amount) == 550 * DOLLAR
    assert curve("price") > DOLLAR


def test_what_cannot_be_bought_is_refused(stand: Stand, curve: Contract, buyer: Person) -> None:
    world = stand.world
    world.fund(buyer, 10**12, spender=curve)

    def refuse(reason: str, spend: int, least: int, deadline: int, receiver: str) -> None:
        with refused(reason):
            curve("buy", spend, least, deadline, receiver, by=buyer.address)

    refuse("curve: past the deadline", 1, 0, world.now - 1, buyer.address)
    refuse("curve: too little for a share", 0, 0, FOR_EVER, buyer.address)
    refuse("curve: fewer than the buyer's least", 1, ONE_SHARE, FOR_EVER, buyer.address)
    refuse("sale: receiver is the zero address", 1, 0, FOR_EVER, NOBODY)
    with refused("curve: past the deadline"):
        curve("sell", 1, 0, world.now - 1, by=buyer.address)


def test_it_opens_at_its_time_and_for_so_much_each(stand: Stand, buyer: Person) -> None:
    world = stand.world
    terms = curve_terms(world, start=world.now + 60, cap_per_buyer=ONE_SHARE)
    curve = stand.open("curve", terms)
    world.fund(buyer, 10 * DOLLAR, spender=curve)
    with refused("curve: not open yet"):
        curve("buy", 1, 0, FOR_EVER, by=buyer.address)
    assert tuple(curve("preview_buy", 1)) == (0, 0)
    world.wait(60)
    with refused("sale: above the cap for one buyer"):
        curve("buy", 2 * DOLLAR, 0, FOR_EVER, by=buyer.address)


def test_revenue_of_what_lies_here_is_the_publishers(
    stand: Stand, curve: Contract, buyer: Person, attacker: Person
) -> None:
    buy(stand, curve, buyer, 500)
    stand.pay_holders(100_000)
    assert stand.share("claimable", buyer.address) == 400
    with refused("curve: only the publisher"):
        curve("claim", by=attacker.address)
    assert curve("claim", by=stand.publisher.address) == 850
    assert stand.world.held(curve) == 500 * DOLLAR


def test_a_fee_in_transit_buys_nothing(publisher: Person, buyer: Person) -> None:
    world = deploy_world(currency=mock("FeeCurrency"), currency_arguments=(6, 100))
    stand = open_stand(world)
    curve = stand.open("curve", curve_terms(world))
    world.fund(buyer, 10**9, spender=curve)
    with refused("sale: currency takes a fee"):
        curve("buy", 10**6, 0, FOR_EVER, by=buyer.address)


def test_a_currency_that_answers_false_is_believed(publisher: Person, buyer: Person) -> None:
    world = deploy_world(currency=mock("FalseCurrency"))
    stand = open_stand(world)
    curve = stand.open("curve", curve_terms(world))
    world.fund(buyer, 3_000 * DOLLAR, spender=curve)
    world.currency("set_refuses", True)
    with refused("sale: currency refused the transfer"):
        curve("buy", 10**6, 0, FOR_EVER, by=buyer.address)


def test_a_curve_believes_only_what_it_holds(
    world: World, stand: Stand, curve: Contract, attacker: Person
) -> None:
    implementation = deployed(
        world.engine, compiled("Curve"), world.launchpad, world.exchange, by=attacker.address
    )
    empty = clone(
        implementation,
        stand.share.address,
        attacker.address,
        1 | 1 << 96,
        ONE_SHARE | 1 << 96,
        1,
        world.now | (world.now + DAY) << 40,
        0,
        by=attacker,
    )
    with refused("curve: shares are not here"):
        empty("initialize", by=attacker.address)
    with refused("curve: initialized already"):
        curve("initialize", by=attacker.address)


def test_the_terms_can_be_read(stand: Stand, curve: Contract) -> None:
    now = stand.world.now
    assert curve("terms") == (
        stand.share.address,
        stand.publisher.address,
        2_000 * ONE_SHARE,
        2_000 * DOLLAR,
        1_250 * ONE_SHARE,
        2_000 * DOLLAR,
        2_000 * ONE_SHARE,
        now,
        now + 7 * DAY,
        0,
        0,
    )
    assert tuple(curve("conditions")) == (bytes(32), 5_000, 1, 365 * DAY)
