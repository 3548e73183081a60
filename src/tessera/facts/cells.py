"""Columns of strangers' tables as exact numbers: whole, in range, or refused with the row.

Needs polars, so only what reads files imports it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tessera.errors import DataError
from tessera.facts.amounts import Amounts

__all__ = ["Interned", "amounts_of", "integers_of", "times_of"]

_DIGITS_EACH: Final = 9
_STEP: Final = np.uint64(10**_DIGITS_EACH)
_HALF: Final = np.uint64(32)
_MASK: Final = np.uint64(2**32 - 1)
_HALVES: Final = 8
_AMOUNT_BYTES: Final = 32
_MOST_DIGITS: Final = 78
_ADDRESS: Final = r"^0[xX][0-9a-fA-F]{40}$"
_AMOUNT: Final = "0 to 2**256 - 1 base units, as digits"
# Seconds of the year 5138; what is larger counts milliseconds or less.
_LAST_SECOND: Final = 100_000_000_000


def integers_of(column: pl.Series, name: str, start: int, most: int) -> NDArray[np.int64]:
    """Return whole numbers from 0 to `most`, of shape (n,).

    Parameters
    ----------
    name, start
        What the column is called, and the row of the file that its first one is, for refusals.

    Raises
    ------
    DataError
        A cell is missing, no whole number, or out of range; or the column holds no numbers.
    """
    if not (column.dtype.is_integer() or column.dtype == pl.String):
        raise _wrong_kind(column, name, "whole numbers")
    _refuse_missing(column, name, start)
    numbers = column.str.strip_chars() if column.dtype == pl.String else column
    numbers = numbers.cast(pl.Int64, strict=False)
    wrong = numbers.is_null() | (numbers < 0) | (numbers > most)
    if wrong.any():
        raise _wrong_cell(column, name, start, wrong, f"a whole number from 0 to {most}")
    return numbers.to_numpy()


def times_of(column: pl.Series, name: str, start: int) -> NDArray[np.int64]:
    """Return moments as unix seconds, of shape (n,): from seconds, from dates, or from ISO 8601.

    A date without a zone is UTC, as exports of chains are.

    Raises
    ------
    DataError
        A cell is missing, no moment, or counts milliseconds.
    """
    if column.dtype.is_temporal():
        _refuse_missing(column, name, start)
        found = column if isinstance(column.dtype, pl.Datetime) else column.cast(pl.Datetime("us"))
        return found.dt.epoch("s").cast(pl.Int64).to_numpy()
    if column.dtype == pl.String and not column.head(1).str.contains(r"^\d+$").all():
        _refuse_missing(column, name, start)
        plain = column.str.strip_chars().str.replace(r"(\.\d+)?( ?UTC|Z|\+00:?00)?$", "")
        plain = plain.str.replace(" ", "T", literal=True)
        found = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
        if found.is_null().any():
            raise _wrong_cell(
                column, name, start, found.is_null(), "unix seconds, or 2026-11-23 20:12:00 in UTC"
            )
        return found.dt.epoch("s").cast(pl.Int64).to_numpy()
    return integers_of(column, name, start, _LAST_SECOND)


def amounts_of(column: pl.Series, name: str, start: int) -> Amounts:
    """Return exact amounts from digits, integers, decimals without a fraction, or big-endian bytes.

    Raises
    ------
    DataError
        A cell is missing, negative, above 2**256 - 1 or no whole number of base units; or the
        column holds floats, which have lost digits already.
    """
    kind = column.dtype
    _refuse_missing(column, name, start)
    if kind.is_integer() and kind not in (pl.Int128, pl.UInt128):
        if (column < 0).any():
            raise _wrong_cell(column, name, start, column < 0, _AMOUNT)
        return Amounts.of(column.cast(pl.UInt64).to_numpy())
    if kind == pl.Binary:
        if not column.bin.size().le(_AMOUNT_BYTES).all():
            raise _wrong_cell(
                column, name, start, column.bin.size() > _AMOUNT_BYTES, "at most 32 bytes"
            )
        data = b"".join([cell.rjust(_AMOUNT_BYTES, b"\0") for cell in column.to_list()])
        limbs = np.frombuffer(data, ">u8").reshape(len(column), -1)[:, ::-1]
        return Amounts.from_limbs(limbs.astype(np.uint64))
    whole = isinstance(kind, pl.Decimal) and kind.scale == 0
    if not (whole or kind in (pl.String, pl.Int128, pl.UInt128)):
        raise _wrong_kind(column, name, "whole numbers of base units, as digits or integers")
    return Amounts.from_limbs(_limbs_of_digits(column.cast(pl.String), name, start))


def _limbs_of_digits(column: pl.Series, name: str, start: int) -> NDArray[np.uint64]:
    if not len(column):
        return np.zeros((0, 1), np.uint64)
    lengths = column.str.len_bytes()
    wrong = (lengths < 1) | (lengths > _MOST_DIGITS)
    if wrong.any():
        raise _wrong_cell(column, name, start, wrong, _AMOUNT)
    pieces = -(-int(lengths.max() or 1) // _DIGITS_EACH)  # type: ignore[arg-type]
    width = pieces * _DIGITS_EACH
    joined = column.str.zfill(width).str.join("")[0].encode()
    digits = np.frombuffer(joined, np.uint8) - np.uint8(ord("0"))
    if len(digits) != len(column) * width or digits.max() > 9:
        raise _wrong_cell(column, name, start, ~column.str.contains(r"^[0-9]+$"), _AMOUNT)
    scales = np.array([10**power for power in range(_DIGITS_EACH - 1, -1, -1)], np.uint64)
    values = digits.reshape(len(column), pieces, _DIGITS_EACH).astype(np.uint64) @ scales
    halves = np.zeros((_HALVES, len(column)), np.uint64)
    for piece in range(pieces):
        # Nine more digits: a half of 32 bits times 10**9, and what is carried, fits into 64.
        carried = values[:, piece]
        for half in range(min(_HALVES, piece + 1)):
            grown = halves[half] * _STEP + carried
            halves[half], carried = grown & _MASK, grown >> _HALF
        if carried.any():
            raise _wrong_cell(column, name, start, pl.Series(carried > 0), _AMOUNT)
    used = max(half + 1 for half in range(_HALVES) if half == 0 or halves[half].any())
    limbs = [halves[low] | halves[low + 1] << _HALF for low in range(0, used, 2)]
    return np.stack(limbs, axis=1)


class Interned:
    """Addresses as numbers from 1, by where they come first, over any number of columns.

    Attributes
    ----------
    texts
        By number, as they were spelt; the empty text at 0.
    """

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        # Categories forget their numbers with the last column that has them.
        self._alive = pl.Series(["", ""]).cast(pl.Categorical(self._categories))
        self.texts: list[str] = [""]

    def numbers(self, column: pl.Series, name: str, start: int) -> NDArray[np.uint32]:
        """Return the number of each text, of shape (n,).

        Raises
        ------
        DataError
            A cell is missing, or no address; or the column holds neither texts nor 20 bytes each.
        """
        if column.dtype == pl.Binary:
            column = "0x" + column.bin.encode("hex")
        if column.dtype.base_type() in (pl.Categorical, pl.Enum):
            column = column.cast(pl.String)
        if column.dtype != pl.String:
            raise _wrong_kind(column, name, "addresses, as text or as 20 bytes")
        _refuse_missing(column, name, start)
        if len(column) > 1 and (column == column[0]).all():
            return np.full(len(column), self.numbers(column.head(1), name, start)[0])
        # Were a number forgotten or given twice, all would be wrong: the newest must be the same.
        asked = pl.Series([self.texts[-1]]).append(column).cast(pl.Categorical(self._categories))
        numbers = asked.to_physical().to_numpy()
        assert numbers[0] == len(self.texts) - 1
        numbers = numbers[1:]
        fresh = np.flatnonzero(numbers >= len(self.texts))
        if len(fresh):
            found, first_at = np.unique(numbers[fresh], return_index=True)
            assert found[-1] == len(self.texts) + len(found) - 1
            at = fresh[first_at]
            texts = column.gather(at)
            wrong = ~texts.str.contains(_ADDRESS)
            if wrong.any():
                first = int(wrong.arg_max() or 0)
                raise DataError(
                    f"{name}, row {start + int(at[first])}",
                    found=texts[first],
                    wanted="an address: 0x and 40 hexadecimal digits",
                    row=start + int(at[first]),
                )
            self.texts += texts.to_list()
        return numbers


def _refuse_missing(column: pl.Series, name: str, start: int) -> None:
    if column.null_count():
        row = start + int(column.is_null().arg_max() or 0)
        raise DataError(f"{name}, row {row}: nothing is there", row=row, column=name)


def _wrong_kind(column: pl.Series, name: str, wanted: str) -> DataError:
    floats = column.dtype.is_float() or isinstance(column.dtype, pl.Decimal)
    return DataError(
        f"column {name}",
        found=str(column.dtype),
        wanted=wanted,
        next_step="export it as text: numbers with a fraction have lost digits" if floats else None,
        column=name,
    )


def _wrong_cell(
    column: pl.Series, name: str, start: int, wrong: pl.Series, wanted: str
) -> DataError:
    at = int(wrong.arg_max() or 0)
    return DataError(
        f"{name}, row {start + at}", found=column[at], wanted=wanted, row=start + at, column=name
    )
