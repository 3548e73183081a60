"""What somebody could try against a bonding curve: races, sniping, dumping, dust."""

from __future__ import annotations

import random

import pytest
from rig.compiling import mock
from rig.contract import Contract, refused
from rig.people import Person
from rig.sales import DOLLAR, FOR_EVER, Stand, curve_terms, open_stand, pool_of
from rig.system import DAY, ONE_SHARE, World, deploy_world

from tessera.errors import TransactionReverted
from tessera.spec.curve import CurveModel, CurveSale
from tessera.spec.signatures import Address

ATTACKER = Address(b"\xaa" * 20)
PUBLISHER = Address(b"\xbb" * 20)
CROWD = Address(b"\xcc" * 20)


@pytest.fixture
def stand(world: World) -> Stand:
    return open_stand(world)


def buy(stand: Stand, curve: Contract, who: Person, dollars: int, least: int = 0) -> int:
    stand.world.fund(who, dollars * DOLLAR, spender=curve)
    amount, _ = curve("buy", dollars * DOLLAR, least, FOR_EVER, by=who.address)
    return int(amount)


def test_whoever_races_to_graduate_finds_the_pool_at_the_curves_price(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Elsewhere a curve that was full waited for a second transaction to open its pool.

    Between both anybody could open that pool at a price of their own, and the curve's money then
    went into it at that price. Here it is one transaction, nobody else can open the pool while the
    sale is open, and a buyer who comes too late keeps the money.
    """
    world = stand.world
    curve = stand.open("curve", curve_terms(world))
    buy(stand, curve, buyer, 1_900)
    assert world.launchpad("open_sales", stand.asset) == 1
    quoted, _ = curve("preview_buy", 100 * DOLLAR)
    buy(stand, curve, attacker, 100)
    assert curve("graduated")
    with refused("curve: over"):
        buy(stand, curve, buyer, 100, least=quoted)
    shares, money, *_ = pool_of(world, stand.share)
    assert money * ONE_SHARE // shares == curve("price")
    with refused("curve: graduated; sell on the exchange"):
        curve("sell", ONE_SHARE, 0, FOR_EVER, by=attacker.address)


def test_if_the_exchange_refuses_the_curve_waits_and_pays_back(buyer: Person) -> None:
    """Graduation fails as a whole: no money is stuck between curve and pool."""
    world = deploy_world(currency=mock("BlacklistCurrency"))
    stand = open_stand(world)
    curve = stand.open("curve", curve_terms(world))
    buy(stand, curve, buyer, 1_999)
    world.currency("set_blocked", world.exchange.address, True)
    with refused("blacklist_currency: blocked"):
        buy(stand, curve, buyer, 1)
    world.wait(7 * DAY)
    shares = stand.share("balanceOf", buyer.address)
    stand.share("approve", curve, shares, by=buyer.address)
    assert curve("sell", shares, 0, FOR_EVER, by=buyer.address) == 1_999 * DOLLAR


def test_gifts_move_no_price_and_open_no_pool(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Money and shares sent to the curve do not bring it nearer to its target."""
    world = stand.world
    curve = stand.open("curve", curve_terms(world))
    buy(stand, curve, buyer, 500)
    price = curve("price")
    world.fund(curve.address, 5_000 * DOLLAR)
    stand.share("transfer", curve, 100 * ONE_SHARE, by=stand.publisher.address)
    assert curve("price") == price
    assert not curve("graduated")
    assert curve("raised") == 500 * DOLLAR


def test_a_publisher_does_not_sell_the_rest_of_the_supply_into_the_curve(
    stand: Stand, buyer: Person
) -> None:
    """The dump: the team's own shares, sold to the curve for what the buyers put in."""
    curve = stand.open("curve", curve_terms(stand.world))
    buy(stand, curve, buyer, 1_500)
    stand.share("approve", curve, 2**256 - 1, by=stand.publisher.address)
    with refused("curve: more than was bought here"):
        curve("sell", ONE_SHARE, 0, FOR_EVER, by=stand.publisher.address)
    with refused("curve: only the publisher"):
        curve("withdraw_proceeds", by=buyer.address)
    assert curve("withdraw_proceeds", by=stand.publisher.address) == 0


def test_sniping_the_first_block_costs_more_than_waiting(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """The first block bought by a machine, and sold to those who come when it is calm.

    The sniper buys cheap, lets a crowd raise the price, and sells into it. What the crowd paid is
    not for the sniper: without surcharge it has its own money back, and with one that begins at
    the curve's whole range it loses.
    """
    world = stand.world
    made = []
    for surcharge in (0, 10_000):
        terms = curve_terms(world, surcharge_bps=surcharge, calm=3_600)
        if made:
            world.wait(7 * DAY)
            made[0]("return_unsold")
            terms = curve_terms(world, surcharge_bps=surcharge, calm=3_600)
        curve = stand.open("curve", terms)
        made.append(curve)
        before = world.held(attacker)
        shares = buy(stand, curve, attacker, 300)
        world.wait(3_600)
        buy(stand, curve, buyer, 500)
        stand.share("approve", curve, shares, by=attacker.address)
        back = curve("sell", shares, 0, FOR_EVER, by=attacker.address)
        gain = world.held(attacker) - before - 300 * DOLLAR
        assert back == world.held(attacker) - before
        assert gain == 0 if surcharge == 0 else gain < 0


def test_sandwiching_a_purchase_meets_the_buyers_limit(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """The attacker buys first so that the buyer pays more, and sells behind."""
    world = stand.world
    curve = stand.open("curve", curve_terms(world))
    quoted, _ = curve("preview_buy", 500 * DOLLAR)
    buy(stand, curve, attacker, 500)
    world.fund(buyer, 500 * DOLLAR, spender=curve)
    with refused("curve: fewer than the buyer's least"):
        curve("buy", 500 * DOLLAR, quoted * 99 // 100, FOR_EVER, by=buyer.address)
    with refused("curve: past the deadline"):
        curve("buy", 500 * DOLLAR, 0, world.now - 1, by=buyer.address)


def test_after_a_missed_end_being_first_at_the_door_gains_nothing(
    stand: Stand, buyer: Person, attacker: Person
) -> None:
    """Who bought cheapest would get out dearest, along the curve; by what was paid, nobody does."""
    curve = stand.open("curve", curve_terms(stand.world))
    cheap = buy(stand, curve, attacker, 500)
    buy(stand, curve, buyer, 500)
    stand.world.wait(7 * DAY)
    stand.share("approve", curve, cheap, by=attacker.address)
    assert curve("sell", cheap, 0, FOR_EVER, by=attacker.address) == 500 * DOLLAR
    dear = stand.share("balanceOf", buyer.address)
    stand.share("approve", curve, dear, by=buyer.address)
    assert curve("sell", dear, 0, FOR_EVER, by=buyer.address) == 500 * DOLLAR
    assert stand.world.held(curve) == 0


def test_leaving_just_before_a_missed_end_takes_nothing_from_those_who_wait(
    stand: Stand, buyer: Person, attacker: Person, keeper: Person
) -> None:
    """Two rules for one pot: the curve's price before the end, what was paid after it.

    One attacker with two addresses buys twice in the last second, so that the second purchase is
    dear, and sells the first one back into it. When a sale back paid the curve's price, that gain
    was the money of everybody who waited for the end: the dear purchase claimed its price out of
    what was left, and a buyer of 500.00 got 28.77 of it.
    """
    world = stand.world
    terms = {"virtual_currency": 1_000 * DOLLAR, "target": 20_000 * DOLLAR}
    curve = stand.open("curve", curve_terms(world, **terms))
    honest = buy(stand, curve, buyer, 500)
    world.wait(7 * DAY - 10)
    first = buy(stand, curve, attacker, 9_500)
    second = buy(stand, curve, keeper, 9_999)
    for who in (buyer, attacker, keeper):
        stand.share("approve", curve, 2**256 - 1, by=who.address)
    assert curve("sell", first, 0, FOR_EVER, by=attacker.address) == 9_500 * DOLLAR
    world.wait(10)
    assert curve("sell", second, 0, FOR_EVER, by=keeper.address) == 9_999 * DOLLAR
    assert curve("sell", honest, 0, FOR_EVER, by=buyer.address) == 500 * DOLLAR


def test_surcharges_that_all_left_behind_are_the_publishers_after_a_missed_end(
    stand: Stand, buyer: Person, keeper: Person
) -> None:
    """A buyer paid a surcharge and left before the end: the rest was nobody's, and stayed."""
    world, publisher = stand.world, stand.publisher.address
    curve = stand.open("curve", curve_terms(world, surcharge_bps=10_000, calm=DAY))
    shares = buy(stand, curve, buyer, 1_000)
    stand.share("approve", curve, shares, by=buyer.address)
    assert curve("sell", shares, 0, FOR_EVER, by=buyer.address) == 600 * DOLLAR
    assert curve("withdraw_proceeds", by=publisher) == 0
    world.wait(7 * DAY)
    curve("return_unsold", by=keeper.address)
    assert curve("withdraw_proceeds", by=publisher) == 400 * DOLLAR
    # And once only.
    curve("return_unsold", by=keeper.address)
    assert curve("withdraw_proceeds", by=publisher) == world.held(curve) == 0


@pytest.mark.parametrize("spend", [1, 1_000])
@pytest.mark.parametrize("stays", [False, True])
def test_a_purchase_in_the_last_second_takes_nothing_that_others_left_behind(
    stand: Stand, buyer: Person, holder: Person, attacker: Person, spend: int, stays: bool
) -> None:
    """A prize for whoever comes last: what the leavers lost was shared by what each had paid.

    On a deserted curve a dust of shares, bought in its last second, took all of it; on another one
    a large purchase took most of it, at no risk, from those who had waited.
    """
    world = stand.world
    curve = stand.open("curve", curve_terms(world, surcharge_bps=10_000, calm=DAY))
    shares = buy(stand, curve, buyer, 900)
    kept = buy(stand, curve, holder, 10) if stays else 0
    for who in (buyer, holder, attacker):
        stand.share("approve", curve, 2**256 - 1, by=who.address)
    left = 900 * DOLLAR - curve("sell", shares, 0, FOR_EVER, by=buyer.address)
    assert left > 300 * DOLLAR
    world.wait(7 * DAY - 1)
    bought = buy(stand, curve, attacker, spend)
    world.wait(1)
    assert curve("sell", bought, 0, FOR_EVER, by=attacker.address) == spend * DOLLAR
    curve("return_unsold")
    if stays:
        assert curve("sell", kept, 0, FOR_EVER, by=holder.address) == 10 * DOLLAR
    assert curve("withdraw_proceeds", by=stand.publisher.address) == left
    assert world.held(curve) == 0


@pytest.mark.parametrize("surcharge", [0, 1, 3_000])
def test_a_hundred_thousand_round_trips_of_dust_make_no_money(surcharge: int) -> None:
    """Rounding turned into money by repetition, on the twin, which the contract equals bit for bit.

    Purchases of a few base units and sales back of a few raw shares, whole and split, beside a
    crowd that holds: the attacker's account never gains, and the product never falls.
    """
    draw = random.Random(surcharge)
    sale = CurveSale(
        PUBLISHER, 2_000_003, 1_000_003, 10**9, 2**96, 0, 10**9, 5_000, surcharge, 10**8
    )
    model = CurveModel(sale)
    model.buy(CROWD, 500_000, 0)
    spent = earned = 0
    product = model.shares_left * model.money
    for _ in range(100_000):
        try:
            amount, cost = model.buy(ATTACKER, draw.randint(1, 40), draw.randint(0, 10**8))
        except TransactionReverted:
            continue
        spent += cost
        first = draw.randint(0, amount)
        for part in (first, amount - first):
            if part:
                earned += model.sell(ATTACKER, part, 1)
        assert model.shares_left * model.money >= product
        product = model.shares_left * model.money
        assert model.bought[ATTACKER] == 0
    assert spent > 100_000
    assert earned <= spent


def test_a_target_of_one_unit_more_is_still_reached(stand: Stand, buyer: Person) -> None:
    """Left with a last unit that buys no share, the curve would wait for ever beside its target."""
    curve = stand.open("curve", curve_terms(stand.world, surcharge_bps=10_000, calm=DAY))
    stand.world.fund(buyer, 2_000 * DOLLAR, spender=curve)
    curve("buy", 2_000 * DOLLAR - 1, 0, FOR_EVER, by=buyer.address)
    assert tuple(curve("preview_buy", 5)) == (0, 1)
    curve("buy", 5, 0, FOR_EVER, by=buyer.address)
    assert curve("graduated")


def test_a_curve_that_is_over_leaves_the_books_once(
    stand: Stand, keeper: Person, attacker: Person
) -> None:
    """A market stopped for the price of its gas, for good.

    A curve of a few raw units missed its end, and its unsold units went back. Everything in it was
    zero again, so `initialize` took it for a new one: sent the same units, it took stock of them,
    and gave them back a second time. The Launchpad counted them out twice, below zero and into the
    figures beside: more shares in sales and vestings than there are, and four million open sales.
    Nothing could be proposed or voted on again, so the treasury was shut, and nobody could ever
    open the asset's pool. An owner could do so who had sold all shares; anybody could whom the
    shares of a curve were worth it.
    """
    world = stand.world
    tiny = curve_terms(
        world,
        virtual_shares=100_000,
        virtual_currency=100_000,
        target=100_000,
        end=world.now + 60,
    )
    curve = stand.open("curve", tiny)
    here = world.launchpad("held_in_sales", stand.asset)
    world.wait(60)
    curve("return_unsold", by=keeper.address)
    stand.share("transfer", curve, here, by=stand.publisher.address)
    with refused("curve: initialized already"):
        curve("initialize", by=attacker.address)
    curve("return_unsold", by=attacker.address)
    for figure in ("held_in_sales", "held_in_vesting", "open_sales"):
        assert world.launchpad(figure, stand.asset) == 0
