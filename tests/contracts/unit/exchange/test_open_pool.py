"""Who opens a pool, when, at which price and fee, and what of it stays locked."""

from __future__ import annotations

import pytest
from rig.compiling import compiled, mock
from rig.contract import NOBODY, deployed, refused
from rig.people import Person
from rig.pools import CURRENCY, TOKENS, Floor
from rig.system import DAY, ONE_SHARE

from tessera.spec.exchange import BURNT, liquidity_of


def test_the_first_price_is_the_openers(empty_floor: Floor, provider: Person) -> None:
    floor = empty_floor
    share = floor.share.address
    assert not floor.exchange("has_pool", share)
    assert floor.reserves() == (0, 0)
    liquidity = floor.open(tier=3, provider=provider)
    assert liquidity == liquidity_of(TOKENS, CURRENCY) - BURNT
    opened = floor.exchange.events("PoolOpened")[0].arguments
    assert opened == {
        "token": share,
        "asset": floor.asset,
        "provider": provider.address,
        "tier": 3,
        "tokens": TOKENS,
        "currency_amount": CURRENCY,
        "liquidity": liquidity,
        "locked_until": 0,
    }
    minted = [event.arguments for event in floor.exchange.events("Transfer")]
    assert [(row["receiver"], row["amount"]) for row in minted] == [
        (NOBODY, BURNT),
        (provider.address, liquidity),
    ]
    assert floor.exchange("has_pool", share)
    assert floor.exchange("token_reserve", share) == TOKENS
    assert floor.reserves() == (TOKENS, CURRENCY)
    assert floor.liquidity(provider) == liquidity
    assert floor.exchange("liquidity_of", share) == liquidity + BURNT
    assert floor.exchange("fee_bps_of", share) == 300
    with refused("exchange: pool exists"):
        floor.open()


@pytest.mark.parametrize(("tier", "bps"), [(0, 5), (1, 30), (2, 100), (3, 300)])
def test_there_are_four_fees(empty_floor: Floor, tier: int, bps: int) -> None:
    empty_floor.open(tier=tier)
    assert empty_floor.exchange("fee_bps_of", empty_floor.share.address) == bps


def test_a_pool_opened_before_its_offering_ends_is_the_sales_alone(
    empty_floor: Floor, buyer: Person
) -> None:
    """Whoever bought first could set a price beside the sale's, and end it before it began."""
    floor = empty_floor
    floor.pretend_open_sales(1)
    with refused("exchange: a sale is open"):
        floor.open()
    sale = floor.world.actor()
    floor.pretend_sale(sale, floor.asset + 1)
    give = floor.publisher.address
    floor.share("transfer", sale.address, 10 * ONE_SHARE, by=give)
    floor.world.fund(sale.address, 10_000_000)
    for token in (floor.share, floor.currency):
        floor.world.as_contract(sale, token, "approve", floor.exchange.address, 2**256 - 1)
    plan = (floor.share.address, 10 * ONE_SHARE, 10_000_000, 2, give, 0)
    with refused("exchange: a sale is open"):
        floor.world.as_contract(sale, floor.exchange, "open_pool", *plan)
    floor.pretend_sale(sale, floor.asset)
    floor.world.as_contract(sale, floor.exchange, "open_pool", *plan)
    assert floor.reserves() == (10 * ONE_SHARE, 10_000_000)
    assert floor.exchange("fee_bps_of", floor.share.address) == 100


def test_a_stranger_takes_the_standard_fee(empty_floor: Floor, buyer: Person) -> None:
    """One who opens first with dust must not burden the token with the highest fee for ever."""
    floor = empty_floor
    floor.pretend_price()
    floor.share("transfer", buyer.address, ONE_SHARE, by=floor.publisher.address)
    plan = {"tokens": ONE_SHARE, "currency": 1_000_000, "by": buyer}
    for tier in (0, 2, 3):
        with refused("exchange: only the asset's controller chooses the fee"):
            floor.open(tier=tier, **plan)
    floor.open(**plan)


def test_an_access_may_be_traded_while_shares_are_on_sale(empty_floor: Floor) -> None:
    floor = empty_floor
    floor.pretend_open_sales(1)
    access = floor.new_access()
    floor.open(access, tokens=10, currency=5_000_000)
    assert floor.exchange("token_reserve", access.address) == 10
    assert floor.exchange("claimable", access.address, floor.publisher.address) == 0
    assert floor.exchange("claim", access.address, by=floor.publisher.address) == 0


def test_what_is_no_pool_is_refused(empty_floor: Floor, keeper: Person) -> None:
    floor, publisher = empty_floor, empty_floor.publisher
    with refused("exchange: no such fee"):
        floor.open(tier=4)
    with refused("exchange: too little"):
        floor.open(tokens=1, currency=1)
    with refused("exchange: too little"):
        floor.open(tokens=0)
    floor.open(tokens=2, currency=1)
    for tokens, currency in ((2**96, 1), (1, 2**86)):
        other = floor.world.new_share(publisher)
        floor.allow(publisher, other)
        with refused("exchange: pool is full"):
            to = publisher.address
            floor.exchange("open_pool", other.address, tokens, currency, 1, to, 0, by=to)
    for nobody in (NOBODY, floor.exchange.address):
        with refused("exchange: provider is the zero address or the exchange"):
            floor.exchange("open_pool", other.address, 1, 1, 1, nobody, 0, by=publisher.address)
    deployer = floor.world.owner.address
    stranger = deployed(floor.world.engine, mock("PlainCurrency"), 6, by=deployer)
    false = deployed(floor.world.engine, mock("FalseShare"), floor.currency, by=deployer)
    for token in (stranger.address, false.address, keeper.address, floor.currency.address):
        with refused("exchange: neither a share nor an access"):
            floor.exchange("open_pool", token, 10, 10, 1, publisher.address, 0)
        with refused("exchange: neither a share nor an access"):
            floor.exchange("skim", token)


def test_a_share_of_another_currency_is_refused(empty_floor: Floor) -> None:
    floor, world = empty_floor, empty_floor.world
    other = deployed(world.engine, mock("PlainCurrency"), 6, by=world.owner.address)
    exchange = deployed(
        *(world.engine, compiled("Exchange"), other),
        *(world.registry, world.launchpad, world.storefront),
        by=world.owner.address,
    )
    with refused("exchange: share earns another currency"):
        exchange("open_pool", floor.share.address, 10, 10, 1, floor.publisher.address, 0)


def test_locked_liquidity_stays_until_its_time(
    empty_floor: Floor, provider: Person, trader: Person
) -> None:
    floor = empty_floor
    until = floor.world.now + 30 * DAY
    liquidity = floor.open(provider=provider, locked_until=until)
    assert floor.exchange("lock_of", floor.share.address) == (provider.address, liquidity, until)
    floor.arm(provider, shares=ONE_SHARE, money=3_000_000)
    more = floor.add(provider, ONE_SHARE, 3_000_000)
    floor.remove(provider, more)
    for seconds in (0, 30 * DAY - 1):
        floor.world.wait(seconds)
        with refused("exchange: liquidity is locked"):
            floor.remove(provider, 1)
        with refused("exchange: liquidity is locked"):
            floor.exchange("transfer", trader.address, floor.key(), 1, by=provider.address)
    floor.world.wait(1)
    floor.remove(provider, liquidity)
    assert floor.liquidity(provider) == 0
