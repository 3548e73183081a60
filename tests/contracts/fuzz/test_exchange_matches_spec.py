"""The Exchange's arithmetic against `tessera.spec.exchange`, bit for bit, and against fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import log2

from hypothesis import assume, given
from hypothesis import strategies as st
from rig.contract import Contract, refused
from rig.pools import Floor, open_floor
from rig.system import DAY

from tessera.errors import TransactionReverted
from tessera.spec.exchange import (
    BIAS,
    FEES_BPS,
    MAX_CURRENCY,
    MAX_TOKENS,
    Pool,
    bought_for,
    cost_of,
    liquidity_for,
    log_price_of,
    needed_for,
    price_of,
    proceeds_of,
)

FLOOR: list[Floor] = []


def sized(most: int) -> st.SearchStrategy[int]:
    """Numbers of every size, the edges included."""
    bits = st.integers(0, most.bit_length() - 1).flatmap(lambda n: st.integers(1, 2 ** (n + 1) - 1))
    return st.one_of(bits, st.integers(1, 50), st.integers(most - 50, most))


POOLS = st.builds(
    Pool,
    tokens=sized(MAX_TOKENS),
    currency=sized(MAX_CURRENCY),
    tier=st.integers(0, len(FEES_BPS) - 1),
)


def exchange_with(pool: Pool) -> tuple[Contract, str, str]:
    """Set the one pool's word in a world that is made once."""
    if not FLOOR:
        FLOOR.append(open_floor())
    floor = FLOOR[0]
    floor.exchange.poke("pools", floor.share.address, value=pool.word())
    return floor.exchange, floor.currency.address, floor.share.address


@given(pool=POOLS, amount=st.one_of(sized(2 * MAX_TOKENS), st.just(0)))
def test_every_price_is_the_specs_and_honest(pool: Pool, amount: int) -> None:
    """`price_honest`: reserves times each other, less the fee, never fall."""
    exchange, currency, share = exchange_with(pool)
    kept = Fraction(10_000 - FEES_BPS[pool.tier], 10_000)
    for preview, twin, selling in (
        ("preview_exact_in", proceeds_of, True),
        ("preview_exact_in", bought_for, False),
        ("preview_exact_out", cost_of, False),
        ("preview_exact_out", needed_for, True),
    ):
        sides = (share, currency) if selling else (currency, share)
        try:
            expected = twin(pool, amount)
        except TransactionReverted as error:
            with refused(error.reason):
                exchange(preview, *sides, amount)
            continue
        assert exchange(preview, *sides, amount) == expected
        came, went = (amount, expected) if preview.endswith("in") else (expected, amount)
        into, out_of = pool.tokens, pool.currency
        if not selling:
            into, out_of = out_of, into
        assert (into + came * kept) * (out_of - went) >= into * out_of
        assert 0 < went < out_of
        # The roundings are of one unit: one more out, or one less in, would be too good.
        more, less = (went + 1, came) if preview.endswith("in") else (went, came - 1)
        assert (into + less * kept) * (out_of - more) < into * out_of


@given(
    pool=POOLS,
    total=sized(2**112),
    tokens=st.one_of(sized(2 * MAX_TOKENS), st.just(0)),
    money=st.one_of(sized(2 * MAX_CURRENCY), st.just(0)),
)
def test_what_liquidity_takes_is_the_specs_and_honest(
    pool: Pool, total: int, tokens: int, money: int
) -> None:
    """`price_honest`: a unit of liquidity has no less of either side behind it than before."""
    exchange, _, share = exchange_with(pool)
    exchange.poke("liquidity_of", share, value=total)
    try:
        expected = liquidity_for(pool, total, tokens, money)
    except TransactionReverted as error:
        with refused(error.reason):
            exchange("preview_add", share, tokens, money)
        return
    assert exchange("preview_add", share, tokens, money) == expected
    added, takes, costs = expected
    assert takes <= tokens
    assert costs <= money
    for reserve, taken in ((pool.tokens, takes), (pool.currency, costs)):
        assert (reserve + taken) * total >= reserve * (total + added)
        # One unit less would be too little.
        assert (reserve + taken - 1) * total < reserve * (total + added)


@given(pool=POOLS, amount=sized(MAX_TOKENS))
def test_there_and_back_never_gains(pool: Pool, amount: int) -> None:
    try:
        out = proceeds_of(pool, amount)
        after = Pool(pool.tokens + amount, pool.currency - out, tier=pool.tier)
        back = bought_for(after, out)
    except TransactionReverted:
        assume(False)
    assert back < amount


@given(pool=POOLS)
def test_a_mean_price_is_the_specs(pool: Pool) -> None:
    exchange, _, share = exchange_with(pool)
    log_price = log_price_of(pool.tokens, pool.currency)
    assert exchange("twap", share, DAY) == (price_of(log_price), DAY)
    exact = (log2(pool.currency) - log2(pool.tokens) + BIAS) * 4096
    assert -0.1 < exact - log_price < 1.1


@given(first=POOLS, second=POOLS)
def test_a_higher_price_never_has_a_lower_logarithm(first: Pool, second: Pool) -> None:
    low, high = sorted((first, second), key=lambda pool: Fraction(pool.currency, pool.tokens))
    assert log_price_of(low.tokens, low.currency) <= log_price_of(high.tokens, high.currency)


@given(log_price=st.integers(32 << 12, (214 << 12) - 1))
def test_a_logarithm_gives_its_price(log_price: int) -> None:
    assert price_of(log_price) <= price_of(log_price + 1)
    if log_price > (BIAS - 30) << 12:
        exact = log_price / 4096 - BIAS + log2(10**18)
        assert abs(log2(price_of(log_price)) - exact) < 1e-6


@given(
    steps=st.lists(
        st.tuples(
            st.one_of(st.integers(0, 700), st.integers(0, 200_000)),
            st.booleans(),
            st.integers(0, 30),
        ),
        min_size=1,
        max_size=25,
    ),
    windows=st.lists(st.integers(1, 613_800), min_size=3, max_size=3),
)
def test_a_mean_is_the_integral_of_the_logarithm(
    steps: list[tuple[int, bool, int]], windows: list[int]
) -> None:
    """Beside a list of times and log prices in floating point, which knows of no ring."""
    floor = open_floor()
    world, share = floor.world, floor.share
    floor.arm(floor.trader, shares=400_000 * 10**18, money=10**15)

    def log_now() -> float:
        tokens, currency = floor.reserves()
        return log2(currency) - log2(tokens)

    opened = world.now
    history = [(opened, log_now())]
    for wait, buys, size in steps:
        world.wait(wait)
        if buys:
            floor.buy(2**size)
        else:
            floor.sell(2**size * 10**12)
        history.append((world.now, log_now()))
    world.wait(steps[0][0])
    age = world.now - opened
    for window in (*windows, age, max(1, age // 2)):
        if window > age or not 0 < window <= 613_800:
            continue
        price, covered = floor.exchange("twap", share.address, window)
        assert window <= covered < window + 600
        start, area = world.now - covered, 0.0
        for (since, log_price), (until, _) in pairwise([*history, (world.now, 0.0)]):
            area += log_price * max(0, until - max(since, start))
        exact = area / covered + log2(10**18)
        # Each logarithm is rounded down by at most 1.1 units of 2^-12, and so is their mean.
        assert exact - 2.2 / 4096 < log2(price) < exact + 0.1 / 4096 + 1e-6
