"""Who stands where, from epochs alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tessera.cli.running import run
from tessera.errors import InputError, NotFound
from tessera.validation.leaderboard import EpochLine, Role, Standing, leaderboard, read_epochs

ONE = 1 << 32
DAY = 86_400
TSR = 10**18


def model(uid: int, share: float, owner: str = "") -> Standing:
    return Standing(
        uid, owner or f"asset-{uid}", Role.MODEL, int(share * ONE), consensus=int(share * ONE)
    )


def validator(uid: int, share: float, *, paid: int = 0, take: int = 0) -> Standing:
    return Standing(
        uid, f"0x{uid:040x}", Role.VALIDATOR, int(share * ONE), trust=ONE // 2,
        stake=str(1_000 * TSR), paid=str(paid), take_bps=take,
    )  # fmt: skip


def epoch(number: int, *uids: Standing, day: float | None = None) -> EpochLine:
    return EpochLine(number, int((number if day is None else day) * DAY), DAY, uids)


def test_without_epochs_there_is_nobody() -> None:
    assert leaderboard([]) == []
    assert leaderboard([epoch(1)]) == []


def test_ranks_are_by_share_and_equal_ones_by_the_lower_uid() -> None:
    rows = leaderboard(
        [
            epoch(
                1,
                model(4, 0.25),
                model(2, 0.5),
                model(1, 0.25),
                validator(9, 0.3),
                validator(7, 0.7),
            )
        ]
    )
    assert [(row.role, row.rank, row.uid) for row in rows] == [
        (Role.MODEL, 1, 2),
        (Role.MODEL, 2, 1),
        (Role.MODEL, 3, 4),
        (Role.VALIDATOR, 1, 7),
        (Role.VALIDATOR, 2, 9),
    ]
    assert (rows[0].incentive, rows[0].consensus, rows[0].dividends, rows[0].apy) == (
        0.5, 0.5, None, None,
    )  # fmt: skip
    assert (rows[3].trust, rows[3].incentive, rows[3].stake) == (0.5, None, 1_000 * TSR)


def test_a_change_is_against_the_last_epoch_that_had_ended_by_then() -> None:
    """Daily epochs whose share goes up by a thousandth a day, but none between day 22 and 26."""
    epochs = [
        epoch(day, model(1, day / 1024), model(2, 0.5)) for day in range(1, 33) if not 22 < day < 26
    ]
    first, second = leaderboard(epochs)
    assert (first.uid, second.uid) == (2, 1)
    # Day 25 is 7 days ago; what was known then is day 22.
    assert (second.change_7d, second.change_30d) == (10 / 1024, 30 / 1024)
    assert (first.change_7d, first.change_30d) == (0.0, 0.0)


def test_a_uid_that_was_somebody_elses_then_is_new() -> None:
    (row,) = leaderboard([epoch(1, model(1, 0.5, "old")), epoch(9, model(1, 0.75, "new"))])
    assert (row.change_7d, row.change_30d) == (None, None)


def test_the_yield_is_what_delegators_got_over_30_days_compounded() -> None:
    """1 TSR a day on 1,000 TSR, of which the validator keeps a tenth."""
    epochs = [epoch(day, validator(1, 1.0, paid=TSR, take=1_000)) for day in range(1, 61)]
    (row,) = leaderboard(epochs)
    assert row.apy == pytest.approx((1 + 0.0009) ** 365 - 1)
    # Older epochs do not count, and an idle month is 0.
    idle = [epoch(day, validator(1, 1.0)) for day in range(61, 91)]
    assert leaderboard([*epochs, *idle])[0].apy == 0.0


def test_a_yield_needs_a_day_and_a_stake() -> None:
    young = EpochLine(1, DAY, DAY - 1, (validator(1, 1.0, paid=TSR),))
    assert leaderboard([young])[0].apy is None
    bare = msgspec.structs.replace(validator(1, 1.0, paid=TSR), stake="0")
    assert leaderboard([epoch(1, bare)])[0].apy is None


def test_an_absurd_yield_is_a_number() -> None:
    (row,) = leaderboard([epoch(1, validator(1, 1.0, paid=10**40))])
    assert row.apy is not None
    assert math.isfinite(row.apy)


@pytest.mark.parametrize(
    "epochs",
    [
        [epoch(2), epoch(1)],
        [epoch(1), epoch(1)],
        [epoch(1, day=5), epoch(2, day=5)],
        [epoch(1, model(1, 0.5), model(1, 0.5))],
        [epoch(1, model(1, 0.5), validator(1, 0.5))],
    ],
)
def test_epochs_that_contradict_themselves_are_refused(epochs: list[EpochLine]) -> None:
    with pytest.raises(InputError):
        leaderboard(epochs)


@pytest.mark.parametrize(
    "change",
    [
        {"uid": -1},
        {"uid": 65_536},
        {"share": -1},
        {"share": ONE + 1},
        {"share": 0.5},
        {"stake": "-5"},
        {"stake": 5},
        {"paid": "NaN"},
        {"take_bps": 10_001},
        {"role": "king"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_file_with_nonsense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    given = json.loads(msgspec.json.encode([epoch(1, validator(1, 1.0))]))
    file = tmp_path / "epochs.json"
    file.write_text(json.dumps(given))
    assert leaderboard(read_epochs(file))
    given[0]["uids"][0] |= change
    file.write_text(json.dumps(given))
    with pytest.raises(InputError, match="a list of epochs"):
        read_epochs(file)
    with pytest.raises(NotFound):
        read_epochs(tmp_path / "none.json")


def test_the_table_and_its_json_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "epochs.json"
    epochs = [epoch(day, model(3, 0.5), validator(1, 1.0, paid=TSR)) for day in range(1, 10)]
    file.write_bytes(msgspec.json.encode(epochs))
    assert run(["leaderboard", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["epoch"], [row["uid"] for row in told["rows"]]) == (9, [3, 1])
    assert told["rows"][1]["stake"] == str(1_000 * TSR)
    assert run(["leaderboard", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "44.03%" in shown
    assert "1,000" in shown
    assert run(["leaderboard", str(file), "--role", "validator", "--json"]) == 0
    assert [row["uid"] for row in json.loads(capsys.readouterr().out)["rows"]] == [1]
    assert run(["leaderboard", str(file), "--role", "modell"]) == 2
