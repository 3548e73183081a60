"""SubnetPool in any state that its words can have: prices and trades are the twin's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.effort import times
from rig.subnet_market import SUBNET, SubnetMarket, deploy_subnet_market
from rig.system import DAY
from rig.twins import both

from tessera.spec.weighted_pool import (
    LEAST_WEIGHT,
    MAX_RESERVE,
    SUPPLY,
    WHOLE,
    WeightedPool,
    injected,
)

_KEPT: list[SubnetMarket] = []


@given(
    tokens=st.integers(1, SUPPLY),
    tsr=st.one_of(st.integers(1, 10**20), st.integers(1, MAX_RESERVE)),
    weight=st.integers(LEAST_WEIGHT, WHOLE - LEAST_WEIGHT),
    mean=st.integers(1, 2**128 - 1),
    stood=st.integers(0, 400 * DAY),
    amount=st.one_of(st.integers(0, 10**20), st.integers(0, MAX_RESERVE)),
)
@times(2)
def test_trades_and_prices(
    tokens: int, tsr: int, weight: int, mean: int, stood: int, amount: int
) -> None:
    market = _market()
    pool = WeightedPool(tokens, tsr, weight, mean, market.now - stood)
    market.pool.poke("pools", SUBNET, value=tokens | tsr << 96 | weight << 192)
    market.pool.poke("means", SUBNET, value=mean | pool.time << 128)
    both(lambda: pool.bought(amount), lambda: market.pool("preview_buy", SUBNET, amount))
    both(lambda: pool.proceeds(amount), lambda: market.pool("preview_sell", SUBNET, amount))
    assert market.pool("price_of", SUBNET) == pool.price
    assert market.pool("twap", SUBNET) == pool.twap(market.now, DAY)


@given(
    tsr=st.integers(10**18, 2**90),
    weight=st.integers(LEAST_WEIGHT, WHOLE - LEAST_WEIGHT),
    mean=st.fractions(0, 3),
    amount=st.integers(0, 2**90),
)
@times(1)
def test_injections(tsr: int, weight: int, mean: object, amount: int) -> None:
    market = _market()
    pool = WeightedPool(SUPPLY, tsr, weight, time=market.now)
    pool = WeightedPool(SUPPLY, tsr, weight, int(pool.price * mean), market.now)  # type: ignore[operator]
    with market.engine.trial():
        giver = market.commons
        market.fund(giver, amount)
        market.pool.poke("pools", SUBNET, value=SUPPLY | tsr << 96 | weight << 192)
        market.pool.poke("means", SUBNET, value=pool.mean | pool.time << 128)
        market.model.pools[SUBNET] = pool
        both(
            lambda: market.model.inject(SUBNET, amount, now=market.now),
            lambda: market.pool("inject", SUBNET, amount, by=giver.address),
        )
        after = market.model.pools[SUBNET]
        assert tuple(market.pool("pool_of", SUBNET)) == (SUPPLY, after.tsr, after.weight, False)
        if after != pool:
            assert after.weight == injected(pool, amount).weight


def _market() -> SubnetMarket:
    if not _KEPT:
        _KEPT.append(deploy_subnet_market())
        _KEPT[0].open()
    return _KEPT[0]
