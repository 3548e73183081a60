"""Somebody wants what opened a subnet's pool, or what its holders paid in."""

from __future__ import annotations

import pytest
from rig.compiling import compiled
from rig.contract import Contract, refused
from rig.people import Person, person
from rig.subnet_market import OPENING, SUBNET, SubnetMarket, deploy_subnet_market
from rig.system import DAY

from tessera.spec.weighted_pool import LEAST_IN, SUPPLY, WHOLE

HOLDER = person("holder")


@pytest.fixture
def market() -> SubnetMarket:
    market = deploy_subnet_market()
    market.open()
    return market


def left(market: SubnetMarket, who: Person) -> int:
    """Redeem all that somebody holds of a closed pool; what they have then."""
    token = Contract(market.engine, compiled("SubnetToken"), market.pool("token_of", SUBNET))
    tokens = token("balanceOf", who.address)
    token("approve", market.pool, tokens, by=who.address)
    market.pool("redeem", SUBNET, tokens, by=who.address)
    return market.held(who)


@pytest.mark.parametrize("spend", [OPENING // 100, OPENING, 100 * OPENING])
def test_an_owner_does_not_get_the_opening_back_by_buying_before_the_end(
    market: SubnetMarket, attacker: Person, spend: int
) -> None:
    """Nobody holds the token of a subnet that is about to end: who buys one unit holds all of it.

    If holders shared all that lies in the pool, the price of one token would buy the whole opening,
    and the likely buyer is the owner, whom it was to cost something.
    """
    market.buy(attacker, spend)
    market.close()
    assert left(market, attacker) == spend
    assert market.held(market.commons) == OPENING


def test_who_buys_last_pays_those_who_bought_before(market: SubnetMarket, attacker: Person) -> None:
    """Holders get the average of what all paid; the last buyer paid the highest price."""
    market.buy(HOLDER, OPENING)
    market.buy(attacker, OPENING)
    market.close()
    assert left(market, attacker) < OPENING
    assert left(market, HOLDER) > OPENING


def test_dump_inject_and_buy_back(market: SubnetMarket, attacker: Person) -> None:
    """A large holder sells, gives a little at the low price, and buys back along a flatter curve.

    The gift stays at the price that it finds, so at a price dumped to a hundredth it would take
    weight off the tokens while they are cheap. Without the band it pays: at the old price the
    pool is then worth 1.5 * 100^(1/3) / 100^(1/2) = 0.7 of what it was, gift included.
    """
    market.buy(HOLDER, OPENING)
    tokens = market.buy(attacker, 30 * OPENING)
    market.engine.now += DAY
    market.sell(attacker, tokens)
    market.fund(attacker, OPENING)
    with refused("subnet_pool: price is not settled"):
        market.pool("inject", SUBNET, OPENING, by=attacker.address)


def test_pump_and_inject(market: SubnetMarket, attacker: Person) -> None:
    """The other way round it only loses, and is refused all the same."""
    market.buy(attacker, OPENING)
    market.fund(attacker, OPENING)
    with refused("subnet_pool: price is not settled"):
        market.pool("inject", SUBNET, OPENING, by=attacker.address)


@pytest.mark.parametrize("spend", [OPENING // 4, OPENING // 3])
@pytest.mark.parametrize("gift", [LEAST_IN, OPENING // 10, OPENING, 20 * OPENING])
def test_within_the_band_an_injection_gains_nothing(
    market: SubnetMarket, attacker: Person, spend: int, gift: int
) -> None:
    """As far from the mean as the band lets it go, in both directions, the gift is lost."""
    tokens = market.buy(attacker, spend)
    market.fund(attacker, gift)
    market.pool("inject", SUBNET, gift, by=attacker.address)
    assert market.sell(attacker, tokens) < spend + gift
    market.engine.now += 100 * DAY
    tokens = market.buy(HOLDER, OPENING // 4)
    market.engine.now += 100 * DAY
    before = market.held(HOLDER)
    market.sell(HOLDER, tokens)
    market.fund(HOLDER, gift)
    got = market.held(HOLDER)
    market.pool("inject", SUBNET, gift, by=HOLDER.address)
    spent = got - gift - before
    bought = market.pool("buy", SUBNET, spent, 0, 2**40, by=HOLDER.address)
    # What came back is worth less than gift and tokens were: the tokens alone are fewer, or a
    # little more than before for a gift that was a multiple of them.
    price = market.pool("price_of", SUBNET)
    assert (bought - tokens) * price // WHOLE < gift


def test_the_opening_is_not_to_be_had_by_trading(market: SubnetMarket, attacker: Person) -> None:
    """Many small trades, gifts between them, and all tokens back: the opening is still there."""
    for number in range(50):
        tokens = market.buy(attacker, LEAST_IN * (1 + number**3))
        market.engine.now += 60
        market.fund(attacker, LEAST_IN)
        market.pool("inject", SUBNET, LEAST_IN, by=attacker.address)
        market.sell(attacker, tokens)
    held, tsr, _, _ = market.pool("pool_of", SUBNET)
    assert held == SUPPLY
    assert tsr >= OPENING


def test_a_price_of_one_block_is_not_in_the_mean(market: SubnetMarket, attacker: Person) -> None:
    """Bought and sold within one second: the mean does not know of it."""
    market.engine.now += DAY
    before = market.pool("twap", SUBNET)
    tokens = market.buy(attacker, 100 * OPENING)
    market.sell(attacker, tokens)
    # What stays is the fee's doing: 0.05 % of a hundred openings.
    assert market.pool("twap", SUBNET) == before
    market.engine.now += DAY
    assert market.pool("twap", SUBNET) < before * 12 // 10


def test_tokens_sent_to_the_pool_by_mistake_change_no_price(
    market: SubnetMarket, attacker: Person
) -> None:
    price = market.pool("price_of", SUBNET)
    market.fund(attacker, OPENING)
    market.tsr("transfer", market.pool.address, OPENING, by=attacker.address)
    assert market.pool("price_of", SUBNET) == price
