"""What tokens were worth, as a file or a market's own trades say; never carried over a gap.

A price is an exact number of US dollars for one whole token. The row of a day holds for that day,
UTC; a row within a day from its moment on, at most for a day. What happened at a time that no row
holds for has no price, and whoever asks is told how much that was.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.results import DAY_S, Window
from tessera.errors import DataError, InputError
from tessera.facts.amounts import Amounts

__all__ = [
    "ATOMS",
    "MICRO",
    "SCALE",
    "Prices",
    "Quotes",
    "Worth",
    "fixed",
    "micro",
    "read_prices",
    "worth",
]

_MOST_DECIMALS: Final = 77

SCALE: Final = 10**24
"""Prices are held as whole 10^-24 of a dollar."""

ATOMS: Final = SCALE * 10**_MOST_DECIMALS
"""Sums are held as whole parts of a dollar, so small that any token's least unit is some."""

MICRO: Final = 10**6
"""Millionths of a dollar, which sums are shown in, rounded down."""

_MOST_PRICE: Final = 10**12
_NAMES: Final = ("token", "symbol")
_TIMES: Final = ("time", "date", "day", "timestamp")
_PRICES: Final = ("price", "usd", "close")
_VOLUMES: Final = ("volume", "quote_volume", "volume_usd")


@dataclass(frozen=True, eq=False)
class Quotes:
    """One token's prices, in order.

    Attributes
    ----------
    times
        int64 of shape (n,), ascending, none twice: unix seconds from which each holds.
    prices
        n prices in 1 / `SCALE` dollars for one whole token.
    volumes
        What was traded at each, in any one unit, for weights; None where the source does not say.
    always
        The one price holds for all times: a stablecoin that is counted as its dollar.
    """

    times: NDArray[np.int64]
    prices: tuple[int, ...]
    volumes: tuple[float, ...] | None = None
    always: bool = False

    def rows_at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which row holds at each time, of the same shape; -1 where none does."""
        if self.always:
            return np.zeros(len(times), dtype=np.int64)
        rows = np.searchsorted(self.times, times, side="right") - 1
        late = times - self.times[np.maximum(rows, 0)] >= DAY_S if len(self.times) else rows < 0
        return np.where((rows < 0) | late, -1, rows)

    def mean(self, window: Window) -> Fraction | None:
        """Return the mean price within a window in dollars: by volume where that is known.

        Returns
        -------
        Fraction or None
            None where no row lies within.
        """
        if self.always:
            return Fraction(self.prices[0], SCALE)
        first, last = np.searchsorted(self.times, [window.start, window.end], side="left")
        prices = self.prices[int(first) : int(last)]
        if not prices:
            return None
        weights = [Fraction(1)] * len(prices)
        if self.volumes is not None:
            traded = [Fraction(volume) for volume in self.volumes[int(first) : int(last)]]
            weights = traded if any(traded) else weights
        whole = sum(weights)
        weighted = sum(price * weight for price, weight in zip(prices, weights, strict=True))
        return Fraction(weighted) / whole / SCALE

    def digest(self) -> str:
        """Return what these prices are, as SHA-256 in hexadecimal."""
        said = hashlib.sha256(f"tessera prices 1 {self.always}\0".encode())
        said.update(self.times.astype("<i8").tobytes())
        said.update(" ".join(map(str, self.prices)).encode())
        said.update(repr(self.volumes).encode())
        return said.hexdigest()


@dataclass(frozen=True, slots=True)
class Worth:
    """What amounts were worth when they moved, by group.

    Attributes
    ----------
    atoms
        1 / `ATOMS` dollars by group, exact.
    unpriced
        Base units by group that moved when no price held.
    """

    atoms: tuple[int, ...]
    unpriced: tuple[int, ...]


class Prices:
    """Prices by token, in lower case.

    Parameters
    ----------
    quotes
        By token's address, or by its symbol in capitals.
    """

    def __init__(self, quotes: Mapping[str, Quotes]) -> None:
        self._quotes = dict(quotes)

    def __contains__(self, token: object) -> bool:
        return token in self._quotes

    def of(self, token: str, symbol: str = "") -> Quotes | None:
        """Return a token's prices by its address, else by its symbol; None where there are none."""
        return self._quotes.get(token.lower()) or self._quotes.get(symbol.upper())

    def with_quotes(self, quotes: Mapping[str, Quotes]) -> Prices:
        """Return these prices and others, which replace those of the same name."""
        return Prices(self._quotes | dict(quotes))


def fixed(usd: float | Decimal) -> Quotes:
    """Return one price for all times."""
    return Quotes(np.zeros(1, np.int64), (_scaled(usd, "price"),), always=True)


def worth(
    quotes: Quotes | None,
    decimals: int,
    amounts: Amounts,
    times: NDArray[np.int64],
    groups: NDArray[np.int64],
    count: int,
) -> Worth:
    """Return what amounts of a token were worth when they moved.

    Parameters
    ----------
    quotes
        None: nothing has a price.
    decimals
        Of the token.
    amounts, times, groups
        n amounts, when each moved, and which of the `count` groups it belongs to.
    """
    if quotes is None:
        return Worth((0,) * count, tuple(amounts.totals_by(groups, count)))
    rows = quotes.rows_at(times)
    width = len(quotes.prices) + 1
    # One exact sum for each group and price; there are as many of these as months and days.
    keys, place = np.unique(groups * width + (rows + 1), return_inverse=True)
    sums = amounts.totals_by(place.astype(np.int64), len(keys))
    dollars, unpriced = [0] * count, [0] * count
    for key, total in zip(keys.tolist(), sums, strict=True):
        group, row = divmod(key, width)
        if row:
            dollars[group] += total * quotes.prices[row - 1]
        else:
            unpriced[group] += total
    unit = 10 ** (_MOST_DECIMALS - decimals)
    return Worth(tuple(value * unit for value in dollars), tuple(unpriced))


def micro(atoms: int) -> int:
    """Return a sum in whole millionths of a dollar, rounded down."""
    return atoms // (ATOMS // MICRO)


def read_prices(file: Path) -> Prices:
    """Read a file of prices: CSV, or Parquet, with columns token or symbol, time or date, price.

    A further column `volume` weighs means; a row whose `flag` says anything is left out. Times are
    unix seconds, dates, or ISO 8601 in UTC.

    Raises
    ------
    InputError
        There is no such file, or it lacks a column.
    DataError
        A row is no price: its line is named.
    """
    if not file.is_file():
        raise InputError(f"prices {file}", found="no such file", wanted="a CSV or Parquet file")
    rows = _parquet(file) if file.suffix == ".parquet" else _csv(file)
    return _gathered(rows, file)


def _csv(file: Path) -> Iterable[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="", errors="strict") as opened:
        try:
            yield from csv.DictReader(opened)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"prices {file}", found=str(error), wanted="CSV in UTF-8", next_step="save it again"
            ) from error


def _parquet(file: Path) -> Iterable[Mapping[str, Any]]:
    try:
        import polars as pl
    except ImportError as error:
        raise InputError(
            f"prices {file}: Parquet is read by an optional part",
            next_step="pip install 'tessera-market[analysis]', or give a CSV file",
        ) from error
    try:
        yield from pl.read_parquet(file).iter_rows(named=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"prices {file}",
            found=str(error).splitlines()[0],
            wanted="a whole Parquet file",
            next_step="fetch it again",
        ) from error


def _gathered(rows: Iterable[Mapping[str, Any]], file: Path) -> Prices:
    found: dict[str, dict[int, tuple[int, float | None]]] = {}
    columns: tuple[str, str, str, str | None] | None = None
    for number, row in enumerate(rows, start=2):
        columns = columns or _columns(row, file)
        name, moment, price, volume = columns
        if row.get("flag"):
            continue
        where = f"prices {file}, line {number}"
        if row[price] in (None, ""):
            continue
        token = str(row[name] or "").strip()
        key = token.lower() if token[:2].lower() == "0x" else token.upper()
        at = _moment(row[moment], where)
        day = found.setdefault(key, {})
        if not key or at in day:
            raise DataError(
                where,
                found=f"{token or 'no token'} at {row[moment]}{' twice' if at in day else ''}",
                wanted="one price for a token and a time",
            )
        weight = None if volume is None or row[volume] in (None, "") else float(row[volume])
        day[at] = (_scaled(row[price], where), weight)
    if not found:
        raise DataError(f"prices {file}", found="no prices", wanted="a row for each day")
    return Prices({token: _quotes(rows_of) for token, rows_of in found.items()})


def _columns(row: Mapping[str, Any], file: Path) -> tuple[str, str, str, str | None]:
    def one(names: Sequence[str]) -> str | None:
        return next((name for name in names if name in row), None)

    name, moment, price = one(_NAMES), one(_TIMES), one(_PRICES)
    if name is None or moment is None or price is None:
        raise InputError(
            f"prices {file}",
            found=", ".join(str(column) for column in row),
            wanted="columns token (or symbol), time (or date), price",
        )
    return name, moment, price, one(_VOLUMES)


def _quotes(rows: Mapping[int, tuple[int, float | None]]) -> Quotes:
    times = sorted(rows)
    volumes = [rows[at][1] for at in times]
    known = tuple(volume for volume in volumes if volume is not None)
    return Quotes(
        np.array(times, dtype=np.int64),
        tuple(rows[at][0] for at in times),
        known if len(known) == len(times) else None,
    )


def _moment(value: object, where: str) -> int:
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    text = str(value).strip()
    try:
        if text.isdecimal():
            return int(text)
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            where, found=value, wanted="unix seconds, or a date such as 2026-03-01"
        ) from error
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())


def _scaled(value: object, where: str) -> int:
    try:
        price = Decimal(str(value))
        inside = price.is_finite() and 0 < price <= _MOST_PRICE
    except InvalidOperation:
        inside = False
    if not inside:
        raise DataError(where, found=value, wanted="a price above 0 and up to 10^12 dollars")
    # Half of the last of 24 places, at most.
    return round(Fraction(price) * SCALE)
