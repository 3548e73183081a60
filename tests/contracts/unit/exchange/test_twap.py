"""The mean price: geometric, over the time that each price held, at the edges of what is kept."""

from __future__ import annotations

import pytest
from rig.contract import refused
from rig.people import Person
from rig.pools import CURRENCY, TOKENS, Floor

from tessera.spec.exchange import MAX_WINDOW, OBSERVE_EVERY

# 12 bits behind the point of a logarithm: a 5,900th.
EXACT = 2e-4


@pytest.fixture
def moved(floor: Floor, trader: Person) -> Floor:
    """1,000 seconds at 2.00, then 1,000 at about 8.00."""
    floor.world.engine.now += OBSERVE_EVERY - floor.world.now % OBSERVE_EVERY
    floor.arm(trader, money=CURRENCY)
    floor.world.wait(1_000)
    floor.buy(CURRENCY)
    floor.world.wait(1_000)
    return floor


def spot(floor: Floor) -> float:
    tokens, currency = floor.reserves()
    return currency * 10**18 / tokens


def test_a_price_that_held_is_the_mean(floor: Floor) -> None:
    floor.world.wait(100)
    assert floor.exchange("twap", floor.share.address, 100) == (
        pytest.approx(2_000_000, rel=EXACT),
        100,
    )


def test_the_mean_is_geometric(moved: Floor) -> None:
    price, covered = moved.exchange("twap", moved.share.address, 2_000)
    assert covered == 2_000
    assert price == pytest.approx((2_000_000 * spot(moved)) ** 0.5, rel=EXACT)
    assert price == pytest.approx(4_000_000, rel=0.01)
    price, covered = moved.exchange("twap", moved.share.address, 1_000)
    assert (price, covered) == (pytest.approx(spot(moved), rel=EXACT), 1_000)
    # 500 of 1,500 seconds at the old price, though nobody traded when the window began.
    price, covered = moved.exchange("twap", moved.share.address, 1_500)
    assert covered == 1_500
    assert price == pytest.approx((2_000_000 * spot(moved) ** 2) ** (1 / 3), rel=EXACT)


def test_within_a_period_it_covers_a_little_more(floor: Floor, trader: Person) -> None:
    engine = floor.world.engine
    engine.now += 2 * OBSERVE_EVERY - floor.world.now % OBSERVE_EVERY
    floor.arm(trader, money=CURRENCY)
    floor.buy(1_000_000)
    floor.world.wait(100)
    floor.buy(1_000_000)
    floor.world.wait(100)
    _, covered = floor.exchange("twap", floor.share.address, 150)
    # Only the period's first change is kept: 50 seconds more are covered than were asked for.
    assert covered == 200


def test_it_goes_back_to_the_opening_and_no_further(moved: Floor) -> None:
    share = moved.share.address
    age = moved.world.now - 1_800_000_000
    assert age >= 2_000
    with refused("exchange: the pool is not that old"):
        moved.exchange("twap", share, age + 1)
    for window in (0, MAX_WINDOW + 1):
        with refused("exchange: window out of range"):
            moved.exchange("twap", share, window)
    moved.world.wait(MAX_WINDOW)
    price, covered = moved.exchange("twap", share, MAX_WINDOW)
    assert (price, covered) == (pytest.approx(spot(moved), rel=EXACT), MAX_WINDOW)
    with refused("exchange: no such pool"):
        moved.exchange("twap", moved.publisher.address, 1)


def test_it_survives_the_ring(floor: Floor, trader: Person) -> None:
    """A trade in every period for longer than the ring is: what was overwritten is not believed."""
    floor.arm(trader, money=CURRENCY)
    for _ in range(1_100):
        floor.world.wait(OBSERVE_EVERY)
        floor.buy(1_000)
    price, covered = floor.exchange("twap", floor.share.address, MAX_WINDOW)
    assert MAX_WINDOW <= covered < MAX_WINDOW + OBSERVE_EVERY
    assert price == pytest.approx(spot(floor), rel=0.001)


def test_it_survives_years_without_a_trade(floor: Floor, trader: Person) -> None:
    floor.arm(trader, money=2_000_000)
    for _ in range(3):
        floor.world.wait(50_000_000)
        floor.buy(1_000)
    price, covered = floor.exchange("twap", floor.share.address, MAX_WINDOW)
    assert (price, covered) == (pytest.approx(2_000_000, rel=EXACT), MAX_WINDOW)
    assert floor.reserves()[0] < TOKENS
