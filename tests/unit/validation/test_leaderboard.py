"""Who stands where, from epochs alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tessera.errors import InputError
from tessera.spec.epochs import EpochInputs, PostedEpoch, RevealedRow, build
from tessera.validation.leaderboard import (
    EpochLine,
    Occupant,
    Payment,
    Role,
    Standing,
    leaderboard,
    read_standings,
)

DAY = 86_400
TSR = 10**18


def model(uid: int, since: int = 0) -> Occupant:
    return Occupant(Role.MODEL, uid, f"{100 + uid}", since)


def validator(uid: int, since: int = 0) -> Occupant:
    return Occupant(Role.VALIDATOR, uid, f"0x{uid:040x}", since)


def epoch(
    number: int,
    models: Mapping[int, float] | None = None,
    validators: Mapping[int, float] | None = None,
    *,
    paid: int | None = 0,
    **more: Any,
) -> EpochLine:
    standings = {(Role.MODEL, uid): Standing(share, share) for uid, share in (models or {}).items()}
    standings |= {
        (Role.VALIDATOR, uid): Standing(share, 0.5) for uid, share in (validators or {}).items()
    }
    payments = {f"0x{uid:040x}": Payment(1_000 * TSR, paid) for uid in validators or {}}
    return EpochLine(number, number * DAY, DAY, standings, payments, **more)


def unread(number: int) -> EpochLine:
    return EpochLine(number, number * DAY, DAY, None, {}, why="its rows are gone")


def test_without_a_final_epoch_nobody_is_ranked() -> None:
    assert leaderboard([], [], {}) == []
    one, other = leaderboard([], [model(3), validator(1)], {validator(1).owner: 5})
    assert (one.rank, one.incentive, one.unknown) == (None, None, ())
    assert (other.rank, other.stake, other.apy, other.unknown) == (None, 5, None, ())
    (skipped,) = leaderboard([epoch(1, final=False)], [model(3)], {})
    assert (skipped.rank, skipped.unknown) == (None, ())


def test_ranks_are_by_share_and_equal_ones_by_the_lower_uid() -> None:
    those = [model(4), model(2), model(1), model(8), validator(9), validator(7)]
    rows = leaderboard(
        [epoch(1, {4: 0.25, 2: 0.5, 1: 0.25}, {9: 0.3, 7: 0.7})],
        those,
        {validator(7).owner: 1_000 * TSR},
    )
    assert [(row.role, row.rank, row.uid) for row in rows] == [
        (Role.MODEL, 1, 2),
        (Role.MODEL, 2, 1),
        (Role.MODEL, 3, 4),
        (Role.MODEL, 4, 8),
        (Role.VALIDATOR, 1, 7),
        (Role.VALIDATOR, 2, 9),
    ]
    assert (rows[0].incentive, rows[0].consensus, rows[0].dividends, rows[0].apy) == (
        0.5, 0.5, None, None,
    )  # fmt: skip
    assert (rows[3].incentive, rows[3].unknown) == (0.0, ())
    assert (rows[4].trust, rows[4].incentive, rows[4].stake) == (0.5, None, 1_000 * TSR)


def test_a_change_is_against_the_last_final_epoch_that_had_ended_by_then() -> None:
    """Daily epochs whose share goes up by a thousandth a day, but none between day 22 and 26."""
    epochs = [
        epoch(day, {1: day / 1024, 2: 0.5}) if day != 25 else epoch(day, final=False)
        for day in range(1, 33)
        if not 22 < day < 25
    ]
    first, second = leaderboard(epochs, [model(1), model(2)], {})
    assert (first.uid, second.uid) == (2, 1)
    # Day 25 is 7 days ago; what was known then is day 22.
    assert (second.change_7d, second.change_30d) == (10 / 1024, 30 / 1024)
    assert (first.change_7d, first.change_30d) == (0.0, 0.0)


def test_a_place_that_was_somebody_elses_then_is_new() -> None:
    (row,) = leaderboard([epoch(1, {1: 0.5}), epoch(9, {1: 0.75})], [model(1, since=4)], {})
    assert (row.change_7d, row.change_30d, row.unknown) == (None, None, ())


def test_what_hangs_on_a_result_that_cannot_be_read_is_unknown() -> None:
    then = [epoch(2, {1: 0.5}), epoch(20, {1: 0.5}, {6: 1.0}, paid=None), epoch(32, {1: 0.5})]
    old, _ = leaderboard([unread(2), *then[1:]], [model(1), validator(6)], {})
    assert (old.change_7d, old.change_30d, old.unknown) == (0.0, None, ("change_30d",))
    newest, earner = leaderboard([*then[:2], unread(32)], [model(1), validator(6)], {})
    assert (newest.rank, newest.incentive) == (None, None)
    assert set(newest.unknown) == {"rank", "consensus", "incentive", "change_7d", "change_30d"}
    assert set(earner.unknown) == {
        "rank", "trust", "dividends", "apy", "change_7d", "change_30d",
    }  # fmt: skip
    assert (earner.as_json()["apy"], "apy" in earner.as_json()["unknown"]) == (None, True)


def test_the_yield_is_what_delegators_got_over_30_days_compounded() -> None:
    """0.9 TSR a day for delegators on 1,000 TSR."""
    epochs = [epoch(day, {}, {1: 1.0}, paid=9 * TSR // 10) for day in range(1, 61)]
    (row,) = leaderboard(epochs, [validator(1)], {})
    assert row.apy == pytest.approx((1 + 0.0009) ** 365 - 1)
    # Older epochs do not count, and an idle month is 0; one that was skipped pays nobody.
    idle = [epoch(day, {}, {1: 1.0}) for day in range(61, 91)]
    assert leaderboard([*epochs, *idle], [validator(1)], {})[0].apy == 0.0
    half = [each if each.epoch % 2 else epoch(each.epoch, final=False) for each in epochs]
    (row,) = leaderboard(half, [validator(1)], {})
    assert row.apy == pytest.approx((1 + 0.0009) ** 182.5 - 1)


def test_a_yield_needs_a_day_and_a_stake_and_begins_with_the_place() -> None:
    young = replace(epoch(1, {}, {1: 1.0}, paid=TSR), seconds=DAY - 1)
    assert leaderboard([young], [validator(1)], {})[0].apy is None
    bare = replace(young, seconds=DAY, payments={validator(1).owner: Payment(0, 7)})
    assert leaderboard([bare], [validator(1)], {})[0].apy == 0.0
    assert leaderboard([bare], [validator(1, since=2)], {})[0].apy is None


def test_an_absurd_yield_is_a_number() -> None:
    (row,) = leaderboard([epoch(1, {}, {1: 1.0}, paid=10**40)], [validator(1)], {})
    assert row.apy is not None
    assert math.isfinite(row.apy)


@pytest.mark.parametrize(
    ("epochs", "occupants"),
    [
        ([epoch(2), epoch(1)], []),
        ([epoch(1), epoch(1)], []),
        ([epoch(1), replace(epoch(2), ended_at=DAY)], []),
        ([epoch(1)], [model(1), model(1, since=1)]),
    ],
)
def test_what_contradicts_itself_is_refused(
    epochs: list[EpochLine], occupants: list[Occupant]
) -> None:
    with pytest.raises(InputError):
        leaderboard(epochs, occupants, {})


@pytest.fixture(scope="module")
def posted() -> PostedEpoch:
    """Two validators of 3:1, one of whom gives everything to the second model."""
    rows = ((3 * TSR, (1, 1, 0)), (TSR, (0, 1, 0)))
    who = [RevealedRow(bytes([at]) * 20, *row) for at, row in enumerate(rows)]
    return build(EpochInputs(3, tuple(who)))


def test_a_result_says_where_each_place_stood(posted: PostedEpoch) -> None:
    found = read_standings(posted, {0: 5, 1: 2})
    models = [found[Role.MODEL, uid] for uid in range(3)]
    assert sum(each.share for each in models) == pytest.approx(1)
    assert (models[0].share, models[2]) == (pytest.approx(3 / 7), Standing(0.0, 0.0))
    assert (models[1].support, models[0].support) == (0.5, 0.5)
    first, second = found[Role.VALIDATOR, 5], found[Role.VALIDATOR, 2]
    assert first.share + second.share == pytest.approx(1)
    # Half of what the second one gave to a model had nobody else behind it.
    assert (first.support, second.support) == (1.0, 0.5)


@pytest.mark.parametrize("part", [{"columns": (None,) * 3}, {"rows": (None,) * 2}], ids=str)
def test_a_result_of_which_a_part_is_missing_is_refused(
    posted: PostedEpoch, part: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="not there"):
        read_standings(replace(posted, **part), {0: 0, 1: 1})
