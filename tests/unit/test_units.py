"""Amounts cross the border between text and base units without losing one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import InputError
from tessera.units import (
    MAX_UINT96,
    checked_bps,
    checked_uint96,
    format_amount,
    parse_amount,
)

amounts = st.integers(0, MAX_UINT96)
decimals_of_a_currency = st.sampled_from([0, 2, 6, 8, 18, 24])


@given(amounts, decimals_of_a_currency)
def test_what_is_formatted_is_parsed_back(amount: int, decimals: int) -> None:
    assert parse_amount(format_amount(amount, decimals=decimals), decimals=decimals) == amount


@pytest.mark.parametrize(
    ("text", "decimals", "amount"),
    [
        ("1.25", 6, 1_250_000), ("0", 6, 0), ("0.000001", 6, 1), ("7", 0, 7), (" 1 ", 2, 100),
        ("1_000", 6, 1_000_000_000), ("1.2500000000", 2, 125), ("007.5", 1, 75), ("5.0", 0, 5),
    ],
)  # fmt: skip
def test_an_amount_is_read_exactly(text: str, decimals: int, amount: int) -> None:
    assert parse_amount(text, decimals=decimals) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "+1",
        "1e3",
        "1,5",
        ".5",
        "5.",
        "1.2.3",
        "0x10",
        "NaN",
        "inf",
        "١",
        "_1",
        "1__0",
    ],
)
def test_an_ambiguous_amount_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="^price: found"):
        parse_amount(text, decimals=6, thing="price")


def test_an_amount_finer_than_a_base_unit_is_refused_and_not_rounded() -> None:
    with pytest.raises(InputError, match="at most 6 digits after the point"):
        parse_amount("0.0000001", decimals=6)


def test_an_amount_beyond_a_uint96_is_refused() -> None:
    assert parse_amount(str(MAX_UINT96), decimals=0) == MAX_UINT96
    for text in (str(MAX_UINT96 + 1), "9" * 100_000):
        with pytest.raises(InputError, match="uint96"):
            parse_amount(text, decimals=0)


@pytest.mark.parametrize(
    ("amount", "options", "text"),
    [
        (1_250_000, {}, "1.25"), (-1, {}, "-0.000001"), (0, {}, "0"),
        (1_000_000, {"places": 2}, "1.00"), (1_234_500_000, {"grouped": True}, "1,234.5"),
        (5_000_000, {"symbol": "tUSD"}, "5 tUSD"), (1, {"places": 99}, "0.000001"),
    ],
)  # fmt: skip
def test_an_amount_is_written_exactly(amount: int, options: dict[str, object], text: str) -> None:
    assert format_amount(amount, decimals=6, **options) == text  # type: ignore[arg-type]


def test_values_out_of_range_are_refused() -> None:
    assert checked_bps(10_000, "fee") == 10_000
    assert checked_uint96(0, "maximum") == 0
    for check, value in (
        (checked_bps, 10_001), (checked_bps, -1),
        (checked_uint96, MAX_UINT96 + 1), (checked_uint96, -1),
    ):  # fmt: skip
        with pytest.raises(InputError, match="^fee: found"):
            check(value, "fee")
