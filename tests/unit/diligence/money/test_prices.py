"""Prices: exact sums, gaps that stay gaps, and files that are none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tessera.diligence.money.prices import ATOMS, Prices, Quotes, fixed, micro, read_prices, worth
from tessera.diligence.results import DAY_S, Window
from tessera.errors import DataError, InputError
from tessera.facts import Amounts

ADDRESS = "0x" + "ab" * 20


def quotes(*prices: int, volumes: tuple[float, ...] | None = None) -> Quotes:
    """One price a day, in whole dollars, from 1970-01-01."""
    times = np.arange(len(prices), dtype=np.int64) * DAY_S
    return Quotes(times, tuple(each * 10**24 for each in prices), volumes)


def total(
    found: Quotes | None, amounts: list[int], times: list[int], decimals: int = 0
) -> tuple[int, int]:
    groups = np.zeros(len(amounts), np.int64)
    result = worth(found, decimals, Amounts.of(amounts), np.array(times, np.int64), groups, 1)
    return micro(result.atoms[0]), result.unpriced[0]


def test_each_amount_is_worth_the_price_of_its_day() -> None:
    assert total(quotes(2, 3), [10, 10], [DAY_S - 1, DAY_S]) == (50 * 10**6, 0)


def test_a_gap_is_not_carried_over() -> None:
    """The last price holds for its day; what moved a second later has none, and is said."""
    assert total(quotes(2), [10, 7], [DAY_S - 1, DAY_S]) == (20 * 10**6, 7)
    assert total(quotes(2), [5], [-1]) == (0, 5)
    assert total(None, [5], [0]) == (0, 5)


def test_sums_are_exact_and_rounded_once() -> None:
    """Three payments of a third of a millionth of a dollar are one millionth, not three zeros."""
    third = Quotes(np.zeros(1, np.int64), (10**24 // 3 + 1,), always=True)
    assert total(third, [1] * 3, [0] * 3, decimals=6) == (1, 0)
    assert total(fixed(1), [2**256 - 1], [0]) == ((2**256 - 1) * 10**6, 0)


def test_groups_stay_apart() -> None:
    result = worth(
        quotes(1, 10),
        2,
        Amounts.of([100, 100, 300]),
        np.array([0, DAY_S, 0]),
        np.array([0, 1, 1]),
        3,
    )
    assert result.atoms == (ATOMS, (10 + 3) * ATOMS, 0)


def test_a_mean_is_weighed_by_volume_where_there_is_one() -> None:
    days = Window(0, 2 * DAY_S)
    assert quotes(1, 4).mean(days) == Fraction(5, 2)
    assert quotes(1, 4, volumes=(3.0, 1.0)).mean(days) == Fraction(7, 4)
    assert quotes(1, 4, volumes=(0.0, 0.0)).mean(days) == Fraction(5, 2)
    assert quotes(1, 4).mean(Window(5 * DAY_S, 6 * DAY_S)) is None


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(
        "token,date,price,volume,flag\n"
        f"{ADDRESS.upper().replace('0X', '0x')},1970-01-01,0.10,5,\n"
        f"{ADDRESS},1970-01-03,0.30,5,\n"
        "tao,86400,250,,\n"
        "TAO,1970-01-03,9999,,extreme\n"
    )
    prices = read_prices(file)
    found, tao = prices.of(ADDRESS), prices.of("0x" + "cd" * 20, "tao")
    assert found is not None
    assert tao is not None
    assert found.times.tolist() == [0, 2 * DAY_S]
    assert found.prices == (10**23, 3 * 10**23)
    assert found.volumes == (5.0, 5.0)
    assert (tao.times.tolist(), tao.prices, tao.volumes) == ([DAY_S], (250 * 10**24,), None)
    assert prices.of("0x" + "ee" * 20) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("token,date,price\nA,1970-01-01,-1\n", "price above 0"),
        ("token,date,price\nA,1970-01-01,0\n", "price above 0"),
        ("token,date,price\nA,1970-01-01,nan\n", "price above 0"),
        ("token,date,price\nA,1970-01-01,inf\n", "price above 0"),
        ("token,date,price\nA,1970-01-01,dear\n", "price above 0"),
        ("token,date,price\nA,someday,1\n", "unix seconds"),
        ("token,date,price\nA,1970-01-01,1\nA,1970-01-01,2\n", "twice"),
        ("token,date,price\n", "no prices"),
    ],
)
def test_a_row_that_is_no_price_is_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=said):
        read_prices(file)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_prices(tmp_path / "none.csv")
    file = tmp_path / "prices.csv"
    file.write_text("when,what\n1,2\n")
    with pytest.raises(InputError, match="columns token"):
        read_prices(file)
    file = tmp_path / "prices.parquet"
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="Parquet"):
        read_prices(file)


def test_pegs_replace_what_a_file_says() -> None:
    prices = Prices({ADDRESS: quotes(2)}).with_quotes({ADDRESS: fixed(1)})
    found = prices.of(ADDRESS)
    assert found is not None
    assert found.mean(Window(10**9, 10**9 + 1)) == 1
