"""People who know how circular payments are found, and what they try."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.diligence.circular.markets import (
    START,
    honest,
    looked,
    members,
    precision,
    recall,
    rounds,
    with_rows,
)

from tessera.diligence.circular.loops import LoopRules, find_loops
from tessera.diligence.circular.payments import Payments
from tessera.diligence.results import DAY_S


def test_an_honest_market_is_not_accused() -> None:
    """Subscriptions, pass-through payments, prosumers, wages, peers: under 1 % of volume."""
    for seed in (1, 2, 3):
        found = looked(honest(seed))
        assert found.share(found.rows) < 0.01
        assert found.share(found.lower) == 0


def test_agents_that_buy_from_each_other_at_one_price_are_no_ring() -> None:
    """Value returns to its origin here all the time; repeats alone would call most of it wash."""
    rng = np.random.default_rng(1)
    buyer = rng.integers(0, 60, 6_000)
    seller = rng.integers(0, 60, (60, 3))[buyer, rng.integers(0, 3, 6_000)]
    apart = buyer != seller
    when = np.sort(rng.integers(START, START + 45 * DAY_S, int(apart.sum())))
    made = Payments(
        buyer[apart].astype(np.int32),
        seller[apart].astype(np.int32),
        when,
        np.full(len(when), 1e6),
        60,
    )
    nobody = np.zeros(60, dtype=np.bool_)
    assert find_loops(made, nobody, None, LoopRules(chance=1e18)).payments.mean() > 0.3
    assert find_loops(made, nobody).payments.mean() < 0.1


def test_a_ring_is_found_and_nobody_else() -> None:
    ring = members(5)
    made = with_rows(honest(), rounds(lambda _: ring, 60))
    found = looked(made)
    assert recall(made, found) > 0.95
    assert precision(made, found) > 0.95
    assert set(np.array(found.rings[0].members) - 1) == set(ring.tolist())


def test_rounds_in_another_order_each_time_are_the_same_ring() -> None:
    """No pair pays twice in a row; the attacker hopes that repetition is counted by route."""
    ring = members(5)
    made = with_rows(honest(), rounds(lambda rng: rng.permutation(ring), 60))
    assert recall(made, looked(made)) > 0.95


def test_a_pool_of_wallets_that_draws_new_ones_each_time_is_found() -> None:
    """With 30 wallets hardly any pair pays three times, so no pair is ever a habit."""
    pool = members(30)
    made = with_rows(honest(), rounds(lambda rng: rng.permutation(pool)[:5], 150))
    found = looked(made)
    assert recall(made, found) > 0.9
    assert precision(made, found) > 0.9


def test_a_pool_whose_wallets_all_pay_each_other_is_no_set_of_hubs() -> None:
    """With more than 50 payers and payees each, every wallet looks like an exchange."""
    pool = members(60)
    made = with_rows(honest(), rounds(lambda rng: rng.permutation(pool)[:5], 3_000))
    assert recall(made, looked(made)) > 0.9


def test_dust_from_strangers_does_not_make_a_member_a_hub() -> None:
    """80 strangers send and get a thousandth of a unit, so that the ring's members are removed."""
    ring, crowd = members(5), members(80, seed=8)
    here, there = np.repeat(ring, len(crowd)), np.tile(crowd, len(ring))
    apart = here != there
    here, there = here[apart], there[apart]
    when = START + np.arange(2 * len(here)) * 1_000 % (80 * DAY_S)
    dust = (
        np.concatenate([here, there]),
        np.concatenate([there, here]),
        np.sort(when),
        np.full(2 * len(here), 1_000),
    )
    made = with_rows(with_rows(honest(), rounds(lambda _: ring, 60)), dust, ring=-1)
    assert recall(made, looked(made)) > 0.95


def test_a_fee_at_each_hop_hides_nothing_within_the_tolerance() -> None:
    ring = members(5)
    made = with_rows(honest(), rounds(lambda _: ring, 60, fee=0.01))
    assert recall(made, looked(made)) > 0.9


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_payments_in_several_parts_are_put_together(parts: int) -> None:
    """One hop is paid in parts of any size within minutes, so no two sums are alike."""
    ring = members(5)
    made = with_rows(honest(), rounds(lambda _: ring, 60, parts=parts))
    found = looked(made)
    assert recall(made, found) > 0.9
    assert precision(made, found) > 0.9


def test_a_market_of_nothing_but_rings_is_not_taken_for_chance() -> None:
    """Decoys are made of the market itself: where all of it is rings, so are its decoys."""
    base = honest()
    nothing = with_rows(base)
    nothing = type(base)(
        *(getattr(base, name)[:0] for name in ("source", "target", "time", "amount", "ring")),
        base.entities, base.hubs, base.services,
    )  # fmt: skip
    wallets = members(40)
    rings = [rounds(lambda _, at=at: wallets[5 * at : 5 * at + 5], 20, seed=at) for at in range(8)]
    made = with_rows(nothing, *rings)
    assert recall(made, looked(made)) > 0.95


def test_noise_beside_the_ring_does_not_drown_it() -> None:
    """Wallets that pay each other at random make chance loops, and so raise what chance makes."""
    ring, noisy = members(5), members(40, seed=9)
    rng = np.random.default_rng(4)
    source, target = rng.choice(noisy, 4_000), rng.choice(noisy, 4_000)
    apart = source != target
    when = np.sort(rng.integers(START, START + 80 * DAY_S, 4_000))
    noise = (source[apart], target[apart], when[apart], np.full(int(apart.sum()), 10_000_000))
    made = with_rows(with_rows(honest(), rounds(lambda _: ring, 60)), noise, ring=-1)
    assert recall(made, looked(made)) > 0.9
