"""Which items a validator is asked about."""

from __future__ import annotations

from collections import Counter

import pytest

from tessera.errors import InputError
from tessera.spec.court import assigned_items
from tessera.spec.signatures import Address
from tessera.validation.draw import Draw

SEED, ROUND = bytes(31) + b"\x07", bytes(31) + b"\x01"
POOL = tuple(range(1_000))


def draw(validator: int, *, seed: bytes = SEED, round_: bytes = ROUND, count: int = 200) -> Draw:
    return Draw(seed, round_, validator.to_bytes(20, "big"), count)


def test_a_draw_is_the_same_whoever_computes_it() -> None:
    assert draw(1).of(POOL) == draw(1).of(POOL)
    assert draw(1, count=6).of(range(12)) == (0, 1, 4, 7, 9, 11)


def test_it_is_the_draw_that_a_contract_computes() -> None:
    """Of 200 items, 40 shared: place by place what a round of approvals assigns."""
    for validator in (1, 2):
        key = Address(validator.to_bytes(20, "big"))
        assert list(draw(validator).by_place(POOL)) == assigned_items(SEED, ROUND, key, len(POOL))


def test_each_item_is_drawn_once_and_in_order() -> None:
    drawn = draw(1).of(POOL)
    assert len(set(drawn)) == 200
    assert list(drawn) == sorted(drawn)


def test_a_fifth_is_shared_by_all_validators_and_the_rest_is_each_ones_own() -> None:
    """Two of 200 items of 1,000: 40 shared, and of the other 160 some meet by chance."""
    drawn = [frozenset(draw(validator).of(POOL)) for validator in range(1, 21)]
    assert len(frozenset.intersection(*drawn)) >= 40
    meeting = [len(one & other) for one in drawn for other in drawn if one is not other]
    # 40 + 160 * 160 / 960 are expected.
    assert 55 < sum(meeting) / len(meeting) < 78


def test_another_seed_or_another_round_draws_others() -> None:
    usual = frozenset(draw(1).of(POOL))
    assert len(usual & frozenset(draw(1, seed=bytes(31) + b"\x08").of(POOL))) < 80
    assert len(usual & frozenset(draw(1, round_=bytes(32)).of(POOL))) < 80


def test_every_item_comes_as_often_as_every_other() -> None:
    counts = Counter(
        at
        for seed in range(160)
        for at in draw(1, seed=seed.to_bytes(32, "big"), count=5).of(range(20))
    )
    assert set(counts) == set(range(20))
    # 40 each, with a deviation of 5.5.
    assert max(abs(count - 40) for count in counts.values()) < 25


def test_only_eligible_items_are_drawn() -> None:
    assert draw(1, count=3).of((5, 7, 11)) == (5, 7, 11)


@pytest.mark.parametrize("count", [0, 1_001])
def test_more_than_there_are_or_none_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="1 to 1000"):
        draw(1, count=count).of(POOL)


def test_a_seed_that_is_no_hash_is_refused() -> None:
    with pytest.raises(InputError, match="32 of seed"):
        draw(1, seed=b"mine").of(POOL)
