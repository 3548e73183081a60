"""Adding and removing liquidity: never at a better price than the pool's."""

from __future__ import annotations

from rig.contract import NOBODY, refused
from rig.people import Person
from rig.pools import CURRENCY, TOKENS, Floor
from rig.system import ONE_SHARE


def test_both_sides_go_in_at_the_pools_price(floor: Floor, provider: Person) -> None:
    floor.arm(provider, shares=100 * ONE_SHARE, money=150_000_000)
    total = floor.exchange("liquidity_of", floor.share.address)
    most = (100 * ONE_SHARE, 150_000_000)
    shown = floor.exchange("preview_add", floor.share.address, *most)
    added = floor.add(provider, *most)
    event = floor.exchange.events("LiquidityAdded")[0].arguments
    tokens, currency = event["tokens"], event["currency_amount"]
    assert shown == (added, tokens, currency)
    assert event["liquidity"] == added == total * 150_000_000 // CURRENCY
    # The money bounds it: 75 shares go with 150.00, and the rest stays with the provider.
    assert currency == 150_000_000
    assert 75 * ONE_SHARE - 10**7 < tokens <= 75 * ONE_SHARE
    assert floor.share("balanceOf", provider.address) == 100 * ONE_SHARE - tokens
    assert floor.liquidity(provider) == added
    assert floor.reserves() == (TOKENS + tokens, CURRENCY + currency)


def test_what_went_in_comes_out_again_but_no_more(floor: Floor, provider: Person) -> None:
    floor.arm(provider, shares=10 * ONE_SHARE, money=20_000_001)
    added = floor.add(provider, 10 * ONE_SHARE, 20_000_001)
    shown = floor.exchange("preview_remove", floor.share.address, added)
    tokens, currency = floor.remove(provider, added)
    assert (tokens, currency) == shown
    assert floor.exchange.events("LiquidityRemoved")[0].arguments == {
        "token": floor.share.address,
        "provider": provider.address,
        "receiver": provider.address,
        "tokens": tokens,
        "currency_amount": currency,
        "liquidity": added,
    }
    assert tokens <= 10 * ONE_SHARE
    assert currency <= 20_000_001
    held = floor.share("balanceOf", provider.address), floor.world.held(provider)
    assert held[0] <= 10 * ONE_SHARE
    assert held[1] <= 20_000_001


def test_fees_stay_with_the_providers(floor: Floor, provider: Person, trader: Person) -> None:
    floor.arm(provider, shares=TOKENS // ONE_SHARE * ONE_SHARE, money=CURRENCY)
    added = floor.add(provider, TOKENS, CURRENCY)
    floor.arm(trader, money=10**9)
    bought = floor.buy(10**9)
    floor.sell(bought)
    assert floor.world.held(trader) < 10**9 * 0.9941
    _, currency = floor.remove(provider, added)
    gained = currency - CURRENCY
    # Half of two fees of 0.3 % on about 1,000.00.
    assert 2_900_000 < gained < 3_000_000


def test_a_pool_is_never_emptied(floor: Floor, trader: Person, publisher: Person) -> None:
    floor.remove(publisher, floor.liquidity(publisher))
    tokens, currency = floor.reserves()
    assert tokens > 0
    assert currency > 0
    floor.arm(publisher, money=CURRENCY)
    floor.add(publisher, TOKENS, CURRENCY)
    floor.arm(trader, money=1_000)
    floor.buy(1_000)


def test_limits_and_deadlines(floor: Floor, provider: Person) -> None:
    floor.arm(provider, shares=2 * ONE_SHARE, money=4_000_000)
    share, now, who = floor.share.address, floor.world.now, provider.address
    with refused("exchange: too late"):
        floor.exchange("add_liquidity", share, 1, 1, 0, who, now - 1, by=who)
    added = floor.add(provider, ONE_SHARE, 2_000_000)
    with refused("exchange: less than the limit"):
        floor.add(provider, ONE_SHARE, 2_000_000, least=added + 1)
    with refused("exchange: too little"):
        floor.add(provider, ONE_SHARE, 0)
    for nobody in (NOBODY, floor.exchange.address):
        with refused("exchange: provider is the zero address or the exchange"):
            floor.exchange("add_liquidity", share, 1, 1, 0, nobody, now, by=who)
    with refused("exchange: too late"):
        floor.exchange("remove_liquidity", share, 1, 0, 0, who, now - 1, by=who)
    with refused("exchange: receiver is the exchange"):
        to = floor.exchange.address
        floor.exchange("remove_liquidity", share, 1, 0, 0, to, now, by=who)
    with refused("exchange: not that much liquidity"):
        floor.remove(provider, added + 1)
    tokens, currency = floor.exchange("preview_remove", share, added)
    for least in ((tokens + 1, 0), (0, currency + 1)):
        with refused("exchange: less than the limit"):
            floor.exchange("remove_liquidity", share, added, *least, who, now, by=who)
    floor.exchange("remove_liquidity", share, added, tokens, currency, who, now, by=who)
    with refused("exchange: no such pool"):
        floor.exchange("remove_liquidity", who, 1, 0, 0, who, now, by=who)


def test_a_reserve_never_outgrows_its_field(floor: Floor, provider: Person) -> None:
    floor.arm(provider, shares=ONE_SHARE, money=2**86)
    for most in ((2**96, 1), (1, 2**86)):
        with refused("exchange: pool is full"):
            floor.add(provider, *most)
    floor.arm(provider, shares=1_000 * ONE_SHARE)
    floor.currency("mint", provider.address, 2**90, by=provider.address)
    with refused("exchange: pool is full"):
        floor.add(provider, 2**96 - 1, 2**86 - 1)
