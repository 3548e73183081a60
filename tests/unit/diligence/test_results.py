"""Metrics, windows and limits: what is missing is said, and passes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tessera.diligence.results import (
    DAY_S,
    Metric,
    Severity,
    Status,
    Step,
    Window,
    hash_inputs,
)
from tessera.diligence.subject import BenchmarkClaim, read_about, token_address
from tessera.diligence.thresholds import LIMITS, Side, adjusted, judge
from tessera.errors import InputError, InvariantViolation, NotFound

TOP10 = Metric("top10_adj", Step.DISTRIBUTION, 0.5, "share", Status.OK, "ten hold half")


def test_a_value_and_the_status_ok_go_together() -> None:
    with pytest.raises(InvariantViolation, match="top10_adj"):
        replace(TOP10, value=None)
    with pytest.raises(InvariantViolation, match="unknown with value"):
        replace(TOP10, status=Status.UNKNOWN)
    with pytest.raises(InvariantViolation, match="finite"):
        replace(TOP10, value=float("nan"))


def test_a_limit_without_a_value_is_undecided() -> None:
    """Nobody knows the holders: that is no pass."""
    unknown = Metric.without("top10_adj", Step.DISTRIBUTION, Status.UNKNOWN, "no transfers")
    (limit,) = (limit for limit in LIMITS if limit.metric == "top10_adj")
    said = {
        judge([metric], [limit])[0].severity
        for metric in (TOP10, replace(TOP10, value=0.4), replace(TOP10, value=0), unknown)
    }
    assert said == {Severity.FLAG, Severity.CLEAR, Severity.UNDECIDED}
    assert judge([], [limit])[0].severity is Severity.UNDECIDED


@pytest.mark.parametrize(
    ("side", "fires"), [(Side.ABOVE, [1.1]), (Side.AT_LEAST, [1.0, 1.1]), (Side.BELOW, [0.9])]
)
def test_a_limit_says_whether_it_is_part_of_it(side: Side, fires: list[float]) -> None:
    limit = replace(LIMITS[0], side=side, bound=1.0)
    assert [value for value in (0.9, 1.0, 1.1) if limit.side.beyond(value, limit.bound)] == fires


def test_a_limit_can_be_set_and_then_says_so() -> None:
    (limit,) = (each for each in adjusted({"top10": 0.6}) if each.name == "top10")
    assert (limit.bound, limit.source) == (0.6, "your setting")
    assert not judge([TOP10], [limit])[0].fired
    with pytest.raises(NotFound, match="did you mean 'top10'"):
        adjusted({"top01": 0.6})
    with pytest.raises(InputError, match="number"):
        adjusted({"top10": float("nan")})


def test_windows_are_half_open_and_months_are_the_calendars() -> None:
    february = Window.month(2024, 2)
    assert february.seconds == 29 * DAY_S
    assert february.start in february
    assert february.end not in february
    assert Window.month_of(february.end - 1) == february
    assert Window(february.start - 1, february.end + 1).months() == [
        Window.month(2024, 1),
        february,
        Window.month(2024, 3),
    ]
    assert Window(5, 5).months() == []
    with pytest.raises(InputError, match="not after the end"):
        Window(2, 1)


def test_no_two_lists_of_inputs_have_one_hash() -> None:
    lists: list[tuple[str | int | bytes | None, ...]] = [
        ("a", "b"), ("ab",), ("a", "b", ""), ("1",), (1,), (b"1",), (None,), ("None",), ()
    ]  # fmt: skip
    assert len({hash_inputs(*each) for each in lists}) == len(lists)


def test_an_analysts_file_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "about.toml"
    token = "0x" + "Ab" * 20
    file.write_text(
        f'token = "{token}"\n[payments]\ncontracts = ["{token}"]\n'
        '[[claims]]\nkind = "benchmark"\ntext = "the best"\nscore = 0.91\n'
    )
    subject = read_about(file)
    assert subject.token == token_address(token) == token.lower()
    assert subject.payments.contracts == (token.lower(),)
    assert subject.claims == (BenchmarkClaim(text="the best", score=0.91),)
    assert subject.path("report") == tmp_path / "report"
    for content, said in {
        "token = 3": "str",
        'token = "0x12"': "token",
        f'token = "{token}"\ntaem = 1': "taem",
        f'token = "{token}"\n[[claims]]\nkind = "benchmark"\ntext = "x"\nscore = 91': "score",
        f'token = "{token}"\n[[unlocks]]\nbucket = "team"\namount = "-1"\n'
        "start = 2024-01-01\nend = 2024-01-02": "amount",
        "token = ": "Invalid value",
        "# " + "x" * (1 << 20): "1 MiB",
        # The attack: brackets that exhaust the reader's stack. Where py-evm was loaded before, the
        # stack is deep enough, and it is a list that is no token.
        f"token = {'[' * 5_000}{']' * 5_000}": "nested too deep|got `array`",
    }.items():
        file.write_text(content)
        with pytest.raises(InputError, match=said):
            read_about(file)
    file.write_bytes(b"\xff")
    with pytest.raises(InputError, match="utf-8"):
        read_about(file)
    with pytest.raises(InputError, match="No such file"):
        read_about(tmp_path / "none.toml")
    with pytest.raises(InputError, match="40 hexadecimal"):
        token_address("0x12")
