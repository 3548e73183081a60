"""Somebody wants the revenue of the shares in a pool, or the liquidity that was promised locked."""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import Contract, refused
from rig.currencies import CURRENCIES, LARGEST
from rig.people import Person, person
from rig.pools import CURRENCY, TOKENS, Floor, open_floor
from rig.sales import sale_terms
from rig.system import DAY, ONE_SHARE, World, deploy_world

REVENUE = 100_000_000


@pytest.fixture
def floor(world: World) -> Floor:
    return open_floor(world)


def test_adding_harvesting_and_removing_around_a_payment_gains_nothing(
    floor: Floor, attacker: Person, publisher: Person
) -> None:
    """The attacker sees a payment coming, doubles the pool before it and leaves after it."""
    floor.arm(attacker, shares=TOKENS, money=CURRENCY)
    held = floor.share("balanceOf", attacker.address), floor.world.held(attacker)
    added = floor.add(attacker, TOKENS, CURRENCY)
    floor.pay_holders(REVENUE)
    assert floor.exchange("claim", floor.share.address, by=attacker.address) == 0
    floor.remove(attacker, added)
    assert floor.share("balanceOf", attacker.address) <= held[0]
    assert floor.world.held(attacker) <= held[1]
    floor.world.wait(DAY)
    part = REVENUE * TOKENS // floor.share("totalSupply")
    assert floor.exchange("claimable", floor.share.address, publisher.address) >= part - 1
    assert floor.exchange("claimable", floor.share.address, attacker.address) == 0


def test_coming_after_a_payment_streamed_gains_nothing(
    floor: Floor, attacker: Person, publisher: Person
) -> None:
    """Nobody has claimed the pool's revenue yet: the newcomer is the one who has it fetched."""
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    floor.arm(attacker, shares=TOKENS, money=CURRENCY)
    added = floor.add(attacker, TOKENS, CURRENCY)
    assert floor.exchange("claim", floor.share.address, by=attacker.address) == 0
    floor.remove(attacker, added)
    part = REVENUE * TOKENS // floor.share("totalSupply")
    assert floor.exchange("claim", floor.share.address, by=publisher.address) == part - 1


def test_buying_out_the_pool_around_a_payment_buys_no_revenue_of_it(
    floor: Floor, attacker: Person, publisher: Person
) -> None:
    """What streamed while shares lay in the pool is the providers', whoever buys them then."""
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    earned = floor.exchange("claimable", floor.share.address, publisher.address)
    floor.arm(attacker, money=CURRENCY)
    floor.buy(CURRENCY, by=attacker)
    assert floor.share("claimable", attacker.address) == 0
    assert floor.exchange("claimable", floor.share.address, publisher.address) == earned


@pytest.mark.parametrize("held_s", [0, 12])
def test_buying_flushing_claiming_and_selling_around_a_payment_loses_the_fees(
    floor: Floor, attacker: Person, publisher: Person, held_s: int
) -> None:
    """A large payment was settled and waits in Channels, for anyone to hand on.

    The attacker buys half of the pool, hands the payment on, claims, and sells back, in one block
    or in the next. It streams for a day, so a block brings its part, and each way costs a fee.
    """
    world, channels = floor.world, floor.world.channels
    till = (floor.asset, person("operator").address, 1)
    world.fund(channels("till_of", *till), 1_000 * REVENUE)
    channels("flush_till", *till)
    floor.arm(attacker, money=CURRENCY)
    bought = floor.buy(CURRENCY, by=attacker)
    handed_on = channels("flush", floor.asset, by=attacker.address)
    assert handed_on > 900 * REVENUE
    world.wait(held_s)
    earned = floor.share("claim", by=attacker.address)
    assert earned == handed_on * held_s // DAY * bought // floor.share("totalSupply")
    floor.sell(bought, by=attacker)
    assert floor.share("claim", by=attacker.address) == 0
    # A fee of 0.3 % stays with the providers at the least; a block's part is far below that.
    assert world.held(attacker) < CURRENCY * 997 // 1_000
    world.wait(DAY)
    assert floor.share("claim", by=attacker.address) == 0
    rest = floor.share("claimable", publisher.address)
    rest += floor.exchange("claimable", floor.share.address, publisher.address)
    assert handed_on - earned - 3 <= rest <= handed_on - earned


def test_revenue_of_a_pool_cannot_be_skimmed_or_swapped_out(
    floor: Floor, attacker: Person, publisher: Person
) -> None:
    """Revenue that was fetched lies beside the reserves; nothing but `claim` reaches it."""
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    floor.arm(attacker, shares=ONE_SHARE, money=2_000_000)
    floor.add(attacker, ONE_SHARE, 2_000_000)
    fetched, paid = floor.exchange("revenue_of", floor.share.address)
    assert fetched > 0
    assert paid == 0
    with refused("exchange: neither a share nor an access"):
        floor.exchange("skim", floor.currency.address, by=attacker.address)
    assert floor.exchange("skim", floor.share.address, by=attacker.address) == 0
    assert floor.world.held(floor.exchange) == floor.reserves()[1] + fetched
    floor.share("transfer", attacker.address, 10 * TOKENS // 2, by=publisher.address)
    floor.sell(TOKENS * 4, by=attacker)
    assert floor.world.held(floor.exchange) == floor.reserves()[1] + fetched
    # Nor does anybody else claim in the Exchange's name.
    with refused("share: not the holder's nominee"):
        to = attacker.address
        floor.share("claim_for", floor.exchange.address, to, by=to)
    assert floor.exchange("claim", floor.share.address, by=publisher.address) >= fetched - 2


def test_a_rug_of_locked_liquidity_is_refused_by_every_way_out(
    world: World, publisher: Person, attacker: Person
) -> None:
    """The publisher promised the pool for a year, sold the shares, and wants the money now."""
    floor = open_floor(world, pool=False)
    until = world.now + 365 * DAY
    liquidity = floor.open(locked_until=until)
    key, own = floor.key(), publisher.address
    for operator in (publisher, attacker):
        floor.exchange("setOperator", operator.address, True, by=own)
    for name, arguments, who in (
        ("remove_liquidity", (floor.share.address, 1, 0, 0, own, until), publisher),
        ("transfer", (attacker.address, key, 1), publisher),
        ("transferFrom", (own, attacker.address, key, 1), attacker),
    ):
        with refused("exchange: liquidity is locked"):
            floor.exchange(name, *arguments, by=who.address)
    with refused("exchange: pool exists"):
        floor.open(tokens=1_000, currency=1_000)
    # A second lock, by somebody else's hand, neither shortens nor replaces the first.
    assert floor.exchange("lock_of", floor.share.address) == (own, liquidity, until)
    # Selling into it is no rug: each share still costs its price, and the pool keeps its product.
    floor.allow(publisher, floor.share)
    floor.sell(floor.share("balanceOf", own), by=publisher)
    tokens, money = floor.reserves()
    assert tokens * money >= TOKENS * CURRENCY
    floor.pay_holders(REVENUE)
    world.wait(DAY)
    assert floor.exchange("claim", floor.share.address, by=own) > 0
    world.wait(365 * DAY)
    floor.remove(publisher, liquidity)


def test_the_currency_calls_back_and_finds_the_door_closed(attacker: Person) -> None:
    """A currency with hooks tries every function in the middle of trades, claims and deposits."""
    floor = open_floor(deploy_world(currency=mock("ReentrantCurrency")))
    currency, exchange, share = floor.currency, floor.exchange, floor.share.address
    floor.arm(attacker, shares=TOKENS, money=CURRENCY)
    floor.add(attacker, ONE_SHARE, 10**9)
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    currency("mint", currency.address, 10**9)
    allow = currency.interface.call_data("approve", exchange.address, 2**256 - 1)
    currency("call", currency.address, allow)
    until, me = floor.world.now, currency.address
    attempts: list[tuple[str, tuple[object, ...]]] = [
        ("swap_exact_in", (me, share, 1_000, 0, attacker.address, until)),
        ("swap_exact_out", (me, share, 1_000, 10**9, attacker.address, until)),
        ("add_liquidity", (share, 0, 0, 0, me, until)),
        ("remove_liquidity", (share, 0, 0, 0, me, until)),
        ("claim", (share,)),
        ("skim", (share,)),
        ("transfer", (attacker.address, floor.key(), 0)),
        ("open_pool", (share, 1, 1, 1, me, 0)),
        # Read-only: a price read in the middle of a trade would be half of one.
        ("preview_exact_in", (me, share, 1_000)),
        ("reserves_of", (share,)),
        ("token_reserve", (share,)),
        ("twap", (share, 60)),
        ("claimable", (share, attacker.address)),
    ]
    ways = [
        lambda: floor.buy(10**6, by=attacker),
        lambda: floor.sell(ONE_SHARE, by=attacker),
        lambda: floor.add(attacker, ONE_SHARE, 10**9),
        lambda: floor.remove(attacker, 10**12),
        lambda: exchange("claim", share, by=attacker.address),
    ]
    for name, arguments in attempts:
        currency("arm", exchange.address, exchange.interface.call_data(name, *arguments))
        for way in ways:
            with floor.world.engine.trial():
                tried, hit = currency("tries"), currency("hits")
                way()
                assert currency("tries") > tried
                assert currency("hits") == hit, name
    currency("arm", "0x" + "00" * 20, b"")
    for way in ways:
        way()
    accruals = exchange("revenue_of", share)
    assert floor.world.held(exchange) == floor.reserves()[1] + accruals[0] - accruals[1]


@pytest.mark.parametrize("name", sorted(CURRENCIES))
def test_a_months_trade_in_every_currency_leaves_nothing_over(name: str) -> None:
    world = CURRENCIES[name].world()
    floor = open_floor(world, pool=False)
    unit = LARGEST[world.currency("decimals")] // 100
    if name == "fee in transit":
        with refused("exchange: currency takes a fee"):
            floor.open(currency=unit)
        return
    trader, provider = floor.trader, person("provider")
    floor.open(currency=unit)
    floor.arm(trader, money=unit)
    floor.arm(provider, shares=TOKENS, money=unit)
    floor.add(provider, TOKENS, unit)
    for day in range(30):
        floor.pay_holders(unit // 1_000)
        bought = floor.buy(1 + unit // (day + 3) // 10)
        world.wait(DAY)
        floor.sell(bought // 2)
    world.wait(DAY)
    share = floor.share.address
    for who in (provider, floor.publisher):
        floor.remove(who, floor.liquidity(who))
        claimable = floor.exchange("claimable", share, who.address)
        assert floor.exchange("claim", share, by=who.address) == claimable
    fetched, paid = floor.exchange("revenue_of", share)
    assert 0 <= fetched - paid <= 2
    assert world.held(floor.exchange) == floor.reserves()[1] + fetched - paid


def test_whoever_blocks_one_address_stops_one_address(attacker: Person) -> None:
    """A blacklisted provider takes the liquidity and the revenue out to another address."""
    floor = open_floor(deploy_world(currency=mock("BlacklistCurrency")))
    floor.pay_holders(REVENUE)
    floor.world.wait(DAY)
    floor.arm(floor.trader, money=1_000)
    floor.currency("set_blocked", floor.publisher.address, True)
    floor.buy(1_000)
    share, own, safe = floor.share.address, floor.publisher, person("safe").address
    assert floor.exchange("claim", share, safe, by=own.address) > 0
    plan = (share, floor.liquidity(own), 0, 0, safe, floor.world.now)
    _, currency = floor.exchange("remove_liquidity", *plan, by=own.address)
    assert currency > 0


def test_no_pool_opens_before_its_offering_ends(
    world: World, publisher: Person, buyer: Person
) -> None:
    """An early buyer sets a price beside the sale's, and trades at it against the next buyers."""
    floor = open_floor(world, pool=False)
    floor.share("approve", world.launchpad, 2**256 - 1, by=publisher.address)
    terms = sale_terms(world, soft_cap=0)
    address = world.launchpad("offer", floor.asset, terms, by=publisher.address)
    offering = Contract(world.engine, compiled("Offering"), address)
    world.fund(buyer, 10**9, spender=offering)
    offering("buy", 100 * ONE_SHARE, by=buyer.address)
    for who in (buyer, publisher):
        with refused("exchange: a sale is open"):
            floor.open(tokens=ONE_SHARE, currency=10, by=who)
    world.wait(7 * DAY)
    with refused("exchange: a sale is open"):
        floor.open(tokens=ONE_SHARE, currency=10, by=buyer)
    offering("return_unsold", by=buyer.address)
    floor.open(tokens=ONE_SHARE, currency=10**6, by=buyer)
