"""Values of games whose values are known in closed form, and intervals that cover them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.assets.attribution.shapley import (
    MOST_EXACT,
    Sampling,
    Worth,
    _student,
    exact_shapley,
    leave_one_out,
    order_of,
    sampled_shapley,
)
from tessera.errors import InputError

SAMPLINGS = list(Sampling)


def game(value: Callable[[set[int]], float]) -> Worth:
    async def worth(mask: int) -> float:
        return value({i for i in range(mask.bit_length()) if mask >> i & 1})

    return worth


def gloves(players: set[int]) -> float:
    """Player 0 has a left glove, 1 and 2 have right ones; a pair is worth 1."""
    return float(0 in players and bool(players & {1, 2}))


COSTS = (1.0, 2.0, 3.0, 7.0)


def airport(players: set[int]) -> float:
    """A runway must be as long as the largest aeroplane needs."""
    return max((COSTS[i] for i in players), default=0.0)


def airport_values() -> list[float]:
    """Each piece of the runway is shared by those who need it (Littlechild and Owen, 1973)."""
    pieces = [b - a for a, b in zip((0.0, *COSTS), COSTS, strict=False)]
    return [
        sum(piece / (len(COSTS) - k) for k, piece in enumerate(pieces[: i + 1]))
        for i in range(len(COSTS))
    ]


def learning(players: set[int]) -> float:
    """Like a learning curve: equal parts 0 and 1, a null player 2, one who does harm, 3."""
    rows = sum(100 for i in players if i in {0, 1}) + 300 * (4 in players)
    return 1.0 - 0.9 / (1.0 + rows / 80) - 0.07 * (3 in players)


async def test_the_glove_game_gives_two_thirds_and_two_sixths() -> None:
    outcome = await exact_shapley(3, game(gloves))
    assert [v.value for v in outcome.values] == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    assert abs(outcome.gap) <= outcome.error < 1e-8


async def test_the_airport_game_shares_each_piece_of_the_runway() -> None:
    outcome = await exact_shapley(4, game(airport))
    assert [v.value for v in outcome.values] == pytest.approx(airport_values())


@pytest.mark.parametrize("sampling", SAMPLINGS)
async def test_sampling_finds_the_closed_forms(sampling: Sampling) -> None:
    for players, known, value in (
        (3, [2 / 3, 1 / 6, 1 / 6], gloves),
        (4, airport_values(), airport),
    ):
        outcome = await sampled_shapley(
            players, game(value), orders=1_200, seed=5, sampling=sampling, confidence=0.9999
        )
        for found, wanted in zip(outcome.values, known, strict=True):
            # Every rotation of the glove game's orders gives the very value: no width but rounding.
            assert found.low - 1e-9 <= wanted <= found.high + 1e-9
            assert found.value == pytest.approx(wanted, abs=0.25)
        assert abs(outcome.gap) <= outcome.error < 1e-7


@pytest.mark.parametrize("sampling", SAMPLINGS)
async def test_equals_get_equal_parts_and_a_null_player_gets_nothing(sampling: Sampling) -> None:
    outcome = await sampled_shapley(5, game(learning), orders=400, seed=1, sampling=sampling)
    one, same, null, harmful, _ = outcome.values
    assert one.low <= same.high
    assert same.low <= one.high
    assert (null.low, null.value, null.high) == (0.0, 0.0, 0.0)
    assert harmful.high < 0
    exact = await exact_shapley(5, game(learning))
    assert exact.values[0].value == pytest.approx(exact.values[1].value)
    assert exact.values[2].value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("sampling", "orders"),
    [(Sampling.PLAIN, 60), (Sampling.ANTITHETIC, 80), (Sampling.STRATIFIED, 150)],
)
async def test_intervals_cover_the_value_as_often_as_they_say(
    sampling: Sampling, orders: int
) -> None:
    """300 seeds, each an experiment of its own. The standard error of a rate of 95 % is then
    1.3 %; five players of one experiment are not independent, so four of these are allowed."""
    truth = [v.value for v in (await exact_shapley(5, game(learning))).values]
    moving = [i for i in range(5) if i not in {2, 3}]
    covered = 0
    for seed in range(300):
        outcome = await sampled_shapley(
            5, game(learning), orders=orders, seed=seed, sampling=sampling
        )
        covered += sum(outcome.values[i].low <= truth[i] <= outcome.values[i].high for i in moving)
    assert covered / (300 * len(moving)) == pytest.approx(0.95, abs=0.05)


async def test_antithetic_and_stratified_orders_are_nearer_at_the_same_cost() -> None:
    truth = [v.value for v in (await exact_shapley(5, game(learning))).values]

    async def error(sampling: Sampling) -> float:
        squares = []
        for seed in range(60):
            outcome = await sampled_shapley(
                5, game(learning), orders=40, seed=seed, sampling=sampling
            )
            squares += [(v.value - t) ** 2 for v, t in zip(outcome.values, truth, strict=True)]
        return math.sqrt(math.fsum(squares) / len(squares))

    plain = await error(Sampling.PLAIN)
    assert await error(Sampling.ANTITHETIC) < 0.9 * plain
    assert await error(Sampling.STRATIFIED) < 0.9 * plain


async def test_truncation_loses_less_than_its_tolerance_and_says_so() -> None:
    asked: set[int] = set()

    async def worth(mask: int) -> float:
        asked.add(mask)
        return await game(airport)(mask)

    whole = await sampled_shapley(4, game(airport), orders=240, seed=3)
    cut = await sampled_shapley(4, worth, orders=240, seed=3, tolerance=4.5)
    assert cut.cut_short > 0
    assert 0 < cut.gap <= cut.error
    assert cut.error == pytest.approx(4.5, abs=1e-6)
    assert len(asked) < 16
    # More players are never worth less here, so the widened interval holds what was cut off.
    for found, known, wide in zip(cut.values, airport_values(), whole.values, strict=True):
        assert found.low <= known <= found.high
        assert found.high - found.low >= 0.5 * (wide.high - wide.low)


async def test_leave_one_out_sees_nothing_where_two_have_the_same() -> None:
    """Why it is not the default: with either of two right gloves gone the pair is still there."""
    outcome = await leave_one_out(3, game(gloves))
    assert [v.value for v in outcome.values] == [1.0, 0.0, 0.0]
    assert outcome.error == math.inf


async def test_a_seed_gives_the_same_outcome_however_many_orders_are_walked_at_once() -> None:
    outcomes = [
        await sampled_shapley(5, game(learning), orders=50, seed=9, at_once=at_once)
        for at_once in (1, 3, 50)
    ]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    other = await sampled_shapley(5, game(learning), orders=50, seed=10)
    assert other != outcomes[0]


@given(st.integers(0, 2**32), st.integers(0, 500), st.integers(1, 12), st.sampled_from(SAMPLINGS))
def test_an_order_names_everybody_once(
    seed: int, number: int, players: int, sampling: Sampling
) -> None:
    assert sorted(order_of(seed, number, players, sampling)) == list(range(players))


def test_stratified_blocks_have_each_player_once_in_each_place() -> None:
    orders = [order_of(3, number, 6, Sampling.STRATIFIED) for number in range(6)]
    assert all(sorted(column) == list(range(6)) for column in zip(*orders, strict=True))


def test_all_orders_of_three_are_about_equally_likely() -> None:
    counts: dict[Sequence[int], int] = {}
    for number in range(6_000):
        order = tuple(order_of(1, number, 3, Sampling.PLAIN))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(abs(count - 1_000) < 150 for count in counts.values())


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.floats(-100, 100), min_size=2**n, max_size=2**n)
        )
    )
)
def test_values_sum_to_the_whole_in_any_game(drawn: tuple[int, list[float]]) -> None:
    players, table = drawn

    async def worth(mask: int) -> float:
        return table[mask]

    exact = asyncio.run(exact_shapley(players, worth))
    sampled = asyncio.run(sampled_shapley(players, worth, orders=6, seed=2))
    for outcome in (exact, sampled):
        assert abs(outcome.gap) <= outcome.error
        assert outcome.error < 1e-6


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (9, 2.2622), (30, 2.0423), (200, 1.9719)]
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert _student(0.975, freedom) == pytest.approx(quantile, abs=1e-4)


async def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="4096 coalitions|8192 coalitions"):
        await exact_shapley(MOST_EXACT + 1, game(airport))
    for wrong in ({"orders": 0}, {"confidence": 1.0}, {"tolerance": -1.0}):
        with pytest.raises(InputError):
            await sampled_shapley(3, game(gloves), **{"orders": 5, "seed": 1, **wrong})  # type: ignore[arg-type]


async def test_a_game_that_fails_ends_everything_that_was_begun() -> None:
    begun: list[int] = []

    async def worth(mask: int) -> float:
        begun.append(mask)
        if mask.bit_count() == 2:
            raise RuntimeError("the program failed")
        return 0.0

    with pytest.raises(RuntimeError):
        await sampled_shapley(4, worth, orders=100, seed=1, at_once=4)
    assert len(begun) < 20
