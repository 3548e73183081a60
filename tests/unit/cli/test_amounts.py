from __future__ import annotations

import pytest

from tessera.cli.amounts import (
    parse_duration,
    parse_percent,
    parse_shares,
    shown_duration,
    shown_percent,
    shown_shares,
    shown_time,
)
from tessera.errors import InputError


def test_shares_are_exact_both_ways() -> None:
    assert parse_shares("12.5") == 12_500_000_000_000_000_000
    assert shown_shares(12_500_000_000_000_000_000) == "12.5"


def test_percents_have_two_digits() -> None:
    assert parse_percent("12.5%", "cut") == 1_250
    assert shown_percent(1_250) == "12.5 %"
    for text in ("101", "1.005", "-1"):
        with pytest.raises(InputError):
            parse_percent(text, "cut")


def test_too_many_percents_are_found_as_they_were_typed() -> None:
    with pytest.raises(InputError, match="found '200', wanted 0 to 100"):
        parse_percent("200", "--cut")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("2m", 120), ("1d", 86_400)])
def test_durations_have_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text, "--period") == seconds


def test_a_duration_without_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="such as 7d"):
        parse_duration("soon", "--period")


def test_moments_are_shown_in_utc() -> None:
    assert shown_time(0) == "1970-01-01 00:00:00 UTC"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (2_592_000, "30 days"),
        (86_400, "1 day"),
        (5_401, "1 hour 30 minutes 1 second"),
        (0, "0 seconds"),
    ],
)
def test_a_duration_is_written_as_people_say_it(seconds: int, said: str) -> None:
    assert shown_duration(seconds) == said
