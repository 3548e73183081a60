"""Text of strangers on a terminal, and numbers with their units."""

from __future__ import annotations

import pytest

from tessera.diligence.results import Metric, Status, Step, Window
from tessera.diligence.wording import (
    legible,
    shown_moment,
    shown_tokens,
    shown_value,
    shown_window,
    value_in,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Fetch", "Fetch"),
        ("Größe 三", "Größe 三"),
        ("a\x1b[2J\x1b[31mb", r"a\u001b[2J\u001b[31mb"),
        ("safe\nverdict  ok", r"safe\u000averdict  ok"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("USD\u200bC", r"USD\u200bC"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("\ufeffA\x00", r"\ufeffA\u0000"),
    ],
)
def test_what_would_move_a_cursor_or_turn_a_line_round_is_visible(name: str, shown: str) -> None:
    """An attacker names a token so that a terminal clears itself and prints another verdict."""
    assert legible(name) == shown
    assert legible(name).isprintable()


def test_a_tower_of_combining_marks_does_not_cover_the_lines_above() -> None:
    assert len(legible("Z" + "\u0301" * 10_000)) <= 4


def test_a_name_of_a_megabyte_is_cut() -> None:
    assert legible("x" * 10**6, 20) == "x" * 20 + "…"
    assert legible("\x1b" * 10**6, 20) == r"\u001b\u001b\u001b…"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.1234, "share", "12.34 %"),
        (1, "share", "100 %"),
        (1234.5, "USD/month", "$1,234/month"),
        (0.0019, "USD/token/month", "$0.0019/token/month"),
        (52.3, "days", "52.30 days"),
        (0.5, "days", "12.00 hours"),
        (0.00616, "days", "8.87 minutes"),
        (True, "", "yes"),
        ("coded\x1b", "", r"coded\u001b"),
        (10**27 + 123, "base units", "1.0000e27 base units"),
        (-(10**77), "", "-1.0000e77"),
        (10**500, "", "more than 1e400"),
        (1.5e300, "", "1.5000e+300"),
        (3, "payers", "3 payers"),
    ],
)
def test_values_are_shown_in_their_unit(value: float | str, unit: str, shown: str) -> None:
    assert value_in(value, unit) == shown


@pytest.mark.parametrize(
    ("amount", "decimals", "shown"),
    [
        (10**24, 18, "1,000,000 MOOD"),
        (10**18 + 10**17, 18, "1.1 MOOD"),
        (1, 18, "0 MOOD"),
        (10**24 + 1, 18, "1,000,000 MOOD"),
        (5, 0, "5 MOOD"),
        (10**60, 18, "1.0000e42 MOOD"),
        (10**24, None, "1.0000e24 base units"),
    ],
)
def test_base_units_are_shown_as_whole_tokens(
    amount: int, decimals: int | None, shown: str
) -> None:
    assert shown_tokens(amount, decimals, "MOOD") == shown
    assert "\x1b" not in shown_tokens(amount, decimals, "\x1b[2J")


def test_a_metric_without_a_value_shows_no_number() -> None:
    for status in (Status.UNKNOWN, Status.NOT_APPLICABLE, Status.INSUFFICIENT):
        shown = shown_value(Metric.without("gini", Step.DISTRIBUTION, status, "why"))
        assert not any(each.isdigit() for each in shown)


def test_times_that_no_calendar_has_are_shown_all_the_same() -> None:
    assert shown_moment(0) == "1970-01-01 00:00 UTC"
    assert shown_moment(2**63) == f"second {2**63}"
    assert shown_window(Window(0, 2**62)) == f"second 0 to {2**62}"
    assert shown_window(Window.last(30, 1_700_000_000)) == "2023-10-15 to 2023-11-14"
    assert shown_window(None) == ""
