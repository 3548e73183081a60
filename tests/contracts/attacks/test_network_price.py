"""Somebody wants bonds to be worth more than they are: to sell on less, and to be paid early."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.approving import LEAST_BOND, Approving, open_approving
from rig.bonding import TSR, Bonding
from rig.contract import Contract, refused
from rig.people import Person, person
from rig.pricing import HOUR, POOL_MONEY, UNIT, Pricing, open_pricing
from rig.system import DAY

# A bond of 1,000 TSR at 0.50 bears 50 times its worth, 25,000; less 30 for the mean's 12 bits.
CAP = 24_970 * UNIT
_KEPT: list[tuple[Approving, Pricing]] = []


@pytest.fixture
def stage() -> Iterator[tuple[Approving, Pricing]]:
    """Approvals that ask NetworkPrice, and TSR's market without a pool; undone after the test."""
    if not _KEPT:
        markets: list[Pricing] = []

        def prices(bonding: Bonding) -> Contract:
            markets.append(open_pricing(bonding.world, bonding.token, bonding.treasury))
            return markets[0].price

        _KEPT.append((open_approving(prices=prices), markets[0]))
    approving, market = _KEPT[0]
    market.books.pools.clear()
    with approving.world.engine.trial():
        yield approving, market
    approving.validators.clear()


def worth(market: Pricing, amount: int = LEAST_BOND) -> int:
    """Say what a bond is worth."""
    return market.value_of(amount)


def test_no_bond_bears_a_sale_before_its_token_has_a_price(
    stage: tuple[Approving, Pricing], attacker: Person
) -> None:
    """The attacker opens TSR's pool itself, at ten times its price, just before it commits."""
    approving, market = stage
    approving.start(cap=CAP)
    market.arm(attacker, tsr=100_000 * TSR, money=500_000 * UNIT)
    plan = (market.token, 100_000 * TSR, 500_000 * UNIT, 1, attacker.address, 2**32 - 1)
    market.exchange("open_pool", *plan, by=attacker.address)
    validator = approving.validators[0]
    with refused("exchange: the pool is not that old"):
        approving.approvals("commit", approving.round, b"\x01" * 32, by=validator.address)


def test_a_purchase_in_front_of_a_commit(
    stage: tuple[Approving, Pricing], attacker: Person
) -> None:
    """TSR is bought until it costs four times as much, just before a bond is asked about.

    Held for an hour it is the short mean, and the long one still has its 23 other hours; held for a
    day, it was for sale for a day to everybody.
    """
    approving, market = stage
    market.open()
    market.world.wait(DAY)
    approving.start(cap=CAP + CAP // 8)
    honest = worth(market)
    market.arm(attacker, money=POOL_MONEY)
    market.buy(attacker, POOL_MONEY)
    tsr, money = market.exchange("reserves_of", market.token)
    assert money * TSR // tsr > 19 * UNIT // 10
    assert worth(market) == honest
    market.world.wait(HOUR)
    assert market.exchange("twap", market.token, HOUR)[0] > 19 * UNIT // 10
    # 4 to the power of an hour in twenty-four: six percent.
    assert honest < worth(market) < honest * 107 // 100
    validator = approving.validators[0]
    with refused("approvals: bond too low"):
        approving.approvals("commit", approving.round, b"\x01" * 32, by=validator.address)


def test_bonds_whose_token_falls_are_worth_less_within_the_hour(
    stage: tuple[Approving, Pricing], attacker: Person
) -> None:
    """Who listed a sale against TSR dumps it: the mean of a day still remembers the old price."""
    approving, market = stage
    market.open()
    market.world.wait(DAY)
    approving.start(cap=CAP)
    with approving.world.engine.trial():
        validator = approving.validators[0]
        approving.approvals("commit", approving.round, b"\x01" * 32, by=validator.address)
    market.arm(attacker, tsr=100_000 * TSR)
    market.sell(attacker, 100_000 * TSR)
    market.world.wait(HOUR)
    assert market.exchange("twap", market.token, DAY)[0] > 45 * UNIT // 100
    assert worth(market) < 130 * UNIT
    with refused("approvals: bond too low"):
        approving.approvals(
            "commit", approving.round, b"\x01" * 32, by=approving.validators[0].address
        )


def test_depth_that_was_lent_for_a_transaction(
    stage: tuple[Approving, Pricing], attacker: Person
) -> None:
    """A pool of dust at a chosen price, a day old; then a million comes in and goes out again.

    Reserves, asked in between, would be deep. What is locked was locked when the pool opened, and
    a purchase that fills the currency's side for a moment does not change it either.
    """
    _, market = stage
    market.arm(attacker, tsr=300_000 * TSR, money=3_000_000 * UNIT)
    plan = (market.token, TSR // 5, UNIT, 1, attacker.address, 2**32 - 1)
    market.exchange("open_pool", *plan, by=attacker.address)
    market.world.wait(DAY)
    lent = (market.token, 200_000 * TSR, 10**6 * UNIT, 0, attacker.address, market.world.now)
    added = market.exchange("add_liquidity", *lent, by=attacker.address)
    assert market.exchange("reserves_of", market.token)[1] > 900_000 * UNIT
    with refused("network_price: too little is locked in the pool"):
        worth(market)
    sides = (market.world.currency, market.token, 10**6 * UNIT)
    market.exchange(
        "swap_exact_in", *sides, 0, attacker.address, market.world.now, by=attacker.address
    )
    with refused("network_price: too little is locked in the pool"):
        worth(market)
    out = (market.token, added, 0, 0, attacker.address, market.world.now)
    market.exchange("remove_liquidity", *out, by=attacker.address)


def test_provider_that_leaves_takes_no_price_along(stage: tuple[Approving, Pricing]) -> None:
    """Who else provides may go at any time; what the network locked goes on saying the price."""
    _, market = stage
    market.open()
    provider = person("provider")
    market.arm(provider, tsr=100_000 * TSR, money=POOL_MONEY)
    added = market.add(provider, 100_000 * TSR, POOL_MONEY)
    market.world.wait(DAY)
    before = worth(market)
    out = (market.token, added, 0, 0, provider.address, market.world.now)
    market.exchange("remove_liquidity", *out, by=provider.address)
    assert worth(market) == before
