"""The power of a weighted pool against 120 decimal digits: never too much, two units too little."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import log

from hypothesis import given as drawn
from hypothesis import strategies as st
from rig.effort import times

from tessera.spec.weighted_pool import (
    LEAST_WEIGHT,
    MAX_RESERVE,
    MOST_IN,
    WHOLE,
    WeightedPool,
    fee_of,
    given,
    injected,
)

RESERVES = st.one_of(st.integers(1, 10**6), st.integers(10**15, MAX_RESERVE))
WEIGHTS = st.integers(LEAST_WEIGHT, WHOLE - LEAST_WEIGHT)


def exactly(reserve: int, into: int, added: int, weight_into: int, weight_out: int) -> Decimal:
    """Compute the formula of part D.4 with 120 digits."""
    with localcontext() as context:
        context.prec = 120
        ratio = Decimal(into) / Decimal(into + added)
        return reserve * (1 - ratio ** (Decimal(weight_into) / Decimal(weight_out)))


@drawn(reserve=RESERVES, into=RESERVES, part=st.floats(1e-15, MOST_IN), weight=WEIGHTS)
@times(4)
def test_price_honest(reserve: int, into: int, part: float, weight: int) -> None:
    """What a pool gives is at most the exact amount, and at most two raw units less."""
    added = min(into * MOST_IN, max(1, int(into * part)))
    got = given(reserve, into, added, weight, WHOLE - weight)
    exact = exactly(reserve, into, added, weight, WHOLE - weight)
    assert got <= exact
    assert exact - got < 2
    assert got < reserve


def test_swaps_of_a_live_chain_to_the_unit() -> None:
    """Two quotes of Bittensor's runtime (spec 475, block 9240388), in rao.

    Whole vectors are in `tests/vectors`; here stands what a swap's arithmetic needs of them.
    """
    for tao, alpha, weight, amount, fee, out, spot in (
        (
            23027286571256,
            3508759482573826,
            499999996087712508,
            10**9,
            503547,
            152290647774,
            6562800,
        ),
        (
            587199047950,
            435539509978376,
            499999964641764870,
            10**10,
            5035477,
            7289425629146,
            1348210,
        ),
    ):
        assert fee_of(amount) == fee
        assert given(alpha, tao, amount - fee, weight, WHOLE - weight) == out
        assert WeightedPool(alpha, tao, weight).price // 10**9 == spot


@drawn(
    tokens=RESERVES, tsr=st.integers(10**18, 2**90), weight=WEIGHTS, amount=st.integers(1, 2**90)
)
@times(1)
def test_an_injection_keeps_the_price(tokens: int, tsr: int, weight: int, amount: int) -> None:
    """The weight is rounded to 10^-18, which moves the price by 10^-16 at the edges."""
    part = weight * (tsr + amount)
    if part * WHOLE // ((WHOLE - weight) * tsr + part) > WHOLE - LEAST_WEIGHT:
        return
    before = WeightedPool(tokens, tsr, weight)
    after = injected(before, amount)
    left = (WHOLE - before.weight) * before.tsr * after.weight
    right = (WHOLE - after.weight) * after.tsr * before.weight
    assert right >= left
    assert right - left <= left // 10**15
    assert log(after.weight) >= log(before.weight)
