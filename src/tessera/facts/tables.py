"""Transfers as a table for other programs: one line each, in the order of the chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from tessera.errors import InputError
from tessera.facts.addresses import ABSENT
from tessera.facts.facts import Facts
from tessera.facts.transfers import Transfers

__all__ = ["write_table"]

_COLUMNS: Final = ("token", "block", "time", "tx_index", "log_index", "from", "to", "amount")
_ROWS_AT_ONCE: Final = 200_000


def write_table(
    facts: Facts,
    tokens: Sequence[str],
    path: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the transfers of some tokens as a new CSV, which `read_transfers` reads again.

    Parameters
    ----------
    path
        Does not exist yet. It appears under its name when all of it is there.
    progress
        Called with the number of rows written so far.

    Raises
    ------
    InputError
        The file exists, or cannot be written.
    NotFound
        Nobody looked at a token.
    """
    growing = path.with_name(f".{path.name}.new")
    held = [facts.transfers(token) for token in tokens]
    # A table says of all rows or of none where their transactions were.
    columns = [name for name in _COLUMNS if name != "tx_index" or all(map(_is_placed, held))]
    done = 0
    try:
        with growing.open("wb") as opened:
            opened.write(",".join(columns).encode() + b"\n")
            for rows in held:
                names = pl.Series(list(rows.addresses))
                for start in range(0, len(rows), _ROWS_AT_ONCE):
                    part = rows.select(slice(start, start + _ROWS_AT_ONCE))
                    frame = _frame(part, names).select(columns)
                    frame.write_csv(opened, include_header=False)
                    done += len(part)
                    if progress is not None:
                        progress(done)
        path.hardlink_to(growing)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        growing.unlink(missing_ok=True)


def _is_placed(rows: Transfers) -> bool:
    return not (rows.tx == ABSENT).any()


def _frame(rows: Transfers, names: pl.Series) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "token": pl.Series([rows.token]).new_from_index(0, len(rows)),
            "block": rows.block,
            "time": rows.time,
            "tx_index": rows.tx,
            "log_index": rows.log,
            "from": names.gather(rows.source),
            "to": names.gather(rows.target),
            "amount": [str(amount) for amount in rows.amount],
        }
    )
