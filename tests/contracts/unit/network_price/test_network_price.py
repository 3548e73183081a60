"""What network tokens are worth as security: the lower mean, where enough is locked in the pool."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from rig.bonding import GENESIS, TSR
from rig.compiling import compiled
from rig.contract import deployed, refused
from rig.people import Person, person
from rig.pricing import FOR_EVER, HOUR, MODEL, POOL_MONEY, POOL_TSR, UNIT, Pricing, open_pricing
from rig.system import DAY, deploy_world
from rig.twins import both

from tessera.spec.network_price import locked_at, locked_currency

TRADER = person("trader")
_KEPT: list[Pricing] = []


@pytest.fixture
def market() -> Iterator[Pricing]:
    """TSR's market without a pool; undone after the test."""
    if not _KEPT:
        world, treasury = deploy_world(), person("treasury")
        arguments = (GENESIS, treasury.address)
        token = deployed(world.engine, compiled("NetworkToken"), *arguments, by=world.owner.address)
        _KEPT.append(open_pricing(world, token, treasury))
    kept = _KEPT[0]
    kept.books.pools.clear()
    with kept.world.engine.trial():
        yield kept


def half_a_dollar(amount: int) -> object:
    """Say what so many raw units are worth, as exact as a logarithm of 12 bits is."""
    return pytest.approx(amount // 2 // 10**12, rel=2e-4)


def test_a_price_that_held_for_a_day(market: Pricing) -> None:
    market.open()
    market.world.wait(DAY)
    assert market.value_of(7_000 * TSR) == half_a_dollar(7_000 * TSR)
    assert market.price("price") == market.value_of(TSR)
    assert market.value_of(0) == 0
    assert tuple(market.price("terms")) == (DAY, HOUR, 10_000 * UNIT)


def test_it_says_nothing_of_a_pool_that_is_missing_or_young(market: Pricing) -> None:
    with refused("exchange: no such pool"):
        market.value_of(TSR)
    market.open()
    market.world.wait(DAY - 1)
    with refused("exchange: the pool is not that old"):
        market.value_of(TSR)
    market.world.wait(1)
    assert market.value_of(TSR) == half_a_dollar(TSR)


def test_what_is_not_locked_or_not_any_more_is_no_depth(market: Pricing) -> None:
    engine = market.world.engine
    with engine.trial():
        market.open(locked_until=0)
        market.world.wait(DAY)
        with refused("network_price: too little is locked in the pool"):
            market.value_of(TSR)
    market.books.pools.clear()
    until = market.world.now + 2 * DAY
    market.open(locked_until=until)
    engine.now = until - 1
    assert market.value_of(TSR) == half_a_dollar(TSR)
    engine.now = until
    with refused("network_price: too little is locked in the pool"):
        market.value_of(TSR)
    assert locked_at(market.pool, UNIT, until) == 0 < locked_at(market.pool, UNIT, until - 1)


@pytest.mark.parametrize("money", [9_990 * UNIT, 10_010 * UNIT])
def test_the_least_depth_is_in_currency(market: Pricing, money: int) -> None:
    """A hundredth of a percent for the mean's 12 bits, and the liquidity that is nobody's."""
    market.open(20_000 * TSR, money)
    market.world.wait(DAY)
    if money < MODEL.min_depth:
        with refused("network_price: too little is locked in the pool"):
            market.value_of(TSR)
    else:
        assert market.value_of(TSR) == pytest.approx(money // 20_000, rel=2e-4)


def test_it_equals_its_twin_whatever_is_traded(market: Pricing) -> None:
    dice = random.Random(13)
    market.open(POOL_TSR // 4, POOL_MONEY // 4)
    market.arm(TRADER, tsr=POOL_TSR, money=10 * POOL_MONEY)
    answers = []
    for _ in range(40):
        market.world.wait(dice.choice((1, 599, HOUR, DAY // 3)))
        if dice.random() < 0.5:
            market.buy(TRADER, dice.randint(UNIT, POOL_MONEY // 10))
        else:
            market.sell(TRADER, dice.randint(TSR, POOL_TSR // 20))
        tokens = dice.randint(0, GENESIS)

        def told(tokens: int = tokens) -> int:
            return MODEL.value_of(tokens, market.pool, market.world.now)

        answers.append(both(told, lambda tokens=tokens: market.value_of(tokens)))
    assert None in answers
    assert sum(answer is not None for answer in answers) > 20


def test_locked_liquidity_is_its_currency_rounded_down() -> None:
    liquidity = 10**20 << 20
    # The root of 10^22 raw tokens times 10^18 base units, which is a price of 10^14.
    assert locked_currency(liquidity, 10**14) == 10**18
    assert locked_currency(liquidity - 1, 10**14) == 10**18 - 1
    assert locked_currency(liquidity, 0) == locked_currency(0, UNIT) == 0


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ((DAY, 0, 1), "window out of range"),
        ((HOUR, HOUR + 1, 1), "window out of range"),
        ((DAY, HOUR, 0), "depth out of range"),
    ],
)
def test_terms_that_say_nothing(
    market: Pricing, publisher: Person, terms: tuple[int, ...], reason: str
) -> None:
    arguments = (market.token, market.exchange, *terms)
    with refused(f"network_price: {reason}"):
        deployed(market.world.engine, compiled("NetworkPrice"), *arguments, by=publisher.address)


def test_the_lock_is_the_networks_for_ever(market: Pricing) -> None:
    market.open()
    plan = (market.token, 1 << 60, 0, 0, market.treasury.address, FOR_EVER)
    with refused("exchange: liquidity is locked"):
        market.exchange("remove_liquidity", *plan, by=market.treasury.address)
