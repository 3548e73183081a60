"""An analyst's table of transfers, as facts: Parquet or CSV from whoever exported it.

The names of columns are those that exports of chains have. Rows may be in any order; what
contradicts itself is refused with its rows: a log that is there twice, a position that runs against
another, a block with two times. Nothing is guessed: a table without times needs a second one, or a
clock that says that it is an estimate.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tessera.errors import DataError, InputError
from tessera.facts.addresses import ABSENT, ZERO, Addresses, address_bytes, address_text
from tessera.facts.amounts import Amounts
from tessera.facts.cells import Interned, amounts_of, integers_of, times_of
from tessera.facts.memory import Memory
from tessera.facts.observations import Blocks, Coverage, Head, Origin
from tessera.facts.transfers import Transfers

__all__ = ["COLUMNS", "Clock", "read_headers", "read_transfers"]

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("token", "token_address", "contract_address", "contract", "erc20"),
    "block": ("block", "block_number"),
    "time": ("time", "timestamp", "block_timestamp", "block_time", "evt_block_time"),
    "tx": ("tx_index", "transaction_index", "tx", "evt_tx_index"),
    "log": ("log_index", "log", "evt_index"),
    "from": ("from", "from_address", "source", "sender"),
    "to": ("to", "to_address", "target", "receiver", "recipient"),
    "amount": (
        "amount", "value", "value_raw", "amount_raw", "raw_amount", "value_string", "value_binary",
    ),
}  # fmt: skip
"""What a column may be called, the first that is there; capitals do not count."""

_OPTIONAL: Final = frozenset({"token", "time", "tx"})
_ROWS_AT_ONCE: Final = 100_000
_LOG_BITS: Final = 24
_MOST_LOG: Final = (1 << _LOG_BITS) - 1
_MOST_BLOCK: Final = (1 << 38) - 1
_MOST_TX: Final = 2**31 - 1
_SUFFIXES: Final = frozenset({".csv", ".tsv", ".parquet", ".pq"})


@dataclass(frozen=True, slots=True)
class Clock:
    """Estimates of times where an export has none: blocks at one pace.

    Attributes
    ----------
    block, time
        A block whose time is known, in unix seconds.
    pace_ms
        Milliseconds from a block to the next.
    """

    block: int
    time: int
    pace_ms: int

    def times(self, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the estimated time of each block, rounded down."""
        return self.time + (blocks - self.block) * self.pace_ms // 1000


def read_transfers(
    path: Path,
    *,
    chain_id: int = 0,
    token: str | None = None,
    head: Head | None = None,
    times: Blocks | Clock | None = None,
    complete: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Memory:
    """Read a table of transfers of one or more tokens.

    Parameters
    ----------
    path
        `.parquet`, or text with commas (`.csv`) or tabs (`.tsv`) and a line of names.
    chain_id
        0 where nobody says.
    token
        Whose transfers these are, where no column says; else one that must be among them. What
        users pay in may be in the same table, so the others stay.
    head
        The block until which the exporter looked; the newest in the table where None.
    times
        Headers, or a clock, where the table has no column of times.
    complete
        The exporter says that it starts at each token's creation and leaves nothing out.
    progress
        Called with the number of rows read so far.

    Returns
    -------
    Memory
        With one table of addresses for all tokens.

    Raises
    ------
    InputError
        There is no such file, or no token or time is known.
    DataError
        The table is truncated, lacks a column, or a cell or an order in it is impossible.
    """
    with ThreadPoolExecutor(1) as aside:
        lazy = _opened(path)
        hashed = aside.submit(_sha256, path)
        columns = _columns_of(lazy, path, COLUMNS, _OPTIONAL)
        if "token" not in columns and token is None:
            raise InputError(
                f"{path}: no column says whose transfers these are",
                next_step="name the token: tessera facts import --token ADDRESS",
            )
        if "time" not in columns and times is None:
            raise InputError(
                f"{path}: no column of times",
                wanted=" or ".join(COLUMNS["time"]),
                next_step=f"tessera facts import {path.name} --into FOLDER --headers BLOCKS.csv; "
                "or estimate them: --clock BLOCK@TIME@MILLISECONDS",
            )
        table = _Table(columns, token, times)
        for part in _parts(lazy, path, columns):
            with _naming(path):
                table.add(part)
            if progress is not None:
                progress(table.rows)
        digest = hashed.result()
    with _naming(path):
        held = table.finished()
    if not held:
        raise DataError(f"{path}: found no transfers")
    newest = _newest_of(path, held.values(), head)
    estimated = "time" not in columns and isinstance(times, Clock)
    return Memory(
        chain_id=chain_id,
        newest=newest,
        held=held,
        covered={
            name: Coverage(int(rows.block[0]), newest.block, (), complete)
            for name, rows in held.items()
        },
        origin=(Origin(path.name, digest, "times are estimated" if estimated else ""),),
    )


def read_headers(path: Path) -> Blocks:
    """Read a table of blocks and their times, in any order.

    Raises
    ------
    InputError
        There is no such file.
    DataError
        It is truncated, lacks a column, has an impossible cell, or contradicts itself.
    """
    lazy = _opened(path)
    columns = _columns_of(lazy, path, {name: COLUMNS[name] for name in ("block", "time")}, ())
    numbers, times, start = [], [], 1
    with _naming(path):
        for part in _parts(lazy, path, columns):
            block, time = columns["block"], columns["time"]
            numbers.append(integers_of(part[block], block, start, _MOST_BLOCK))
            times.append(times_of(part[time], time, start))
            start += len(part)
        if not numbers:
            raise DataError("found no blocks")
        number, time_s = np.concatenate(numbers), np.concatenate(times)
        order = np.argsort(number, kind="stable")
        number, time_s = number[order], time_s[order]
        for wrong, what in (
            (np.diff(number) == 0, "the same block"),
            (np.diff(time_s) < 0, "a block and a later one that says it was before"),
        ):
            if wrong.any():
                at = int(np.argmax(wrong))
                raise DataError(f"rows {int(order[at]) + 1} and {int(order[at + 1]) + 1}: {what}")
    return Blocks(number, time_s)


class _Table:
    """Columns that grow; what is done with them once all rows are there."""

    def __init__(
        self, columns: Mapping[str, str], token: str | None, times: Blocks | Clock | None
    ) -> None:
        self.rows = 0
        self._columns = columns
        self._names = Interned()
        self._times = None if "time" in columns else times
        self._token = None if token is None else address_text(address_bytes(token))
        self._grown: dict[str, _Growing] = {}

    def add(self, part: pl.DataFrame) -> None:
        start = self.rows + 1
        named = {name: (part[column], column, start) for name, column in self._columns.items()}
        key = integers_of(*named["block"], _MOST_BLOCK) << _LOG_BITS
        key |= integers_of(*named["log"], _MOST_LOG)
        self._grow("key", key)
        if "time" in named:
            self._grow("time", times_of(*named["time"]))
        if "tx" in named:
            self._grow("tx", integers_of(*named["tx"], _MOST_TX).astype(np.int32))
        for name in ("token", "from", "to"):
            if name in named:
                self._grow(name, self._names.numbers(*named[name]))
        self._grow("amount", amounts_of(*named["amount"]).limbs)
        self.rows += len(part)

    def _grow(self, name: str, rows: NDArray[Any]) -> None:
        if name not in self._grown:
            self._grown[name] = _Growing(rows.dtype)
        self._grown[name].add(rows)

    def finished(self) -> dict[str, Transfers]:
        """Return the transfers by token; what was read is used up."""
        if not self.rows:
            return {}
        key = self._taken("key")
        order = None if (key[1:] > key[:-1]).all() else np.argsort(key, kind="stable")
        if order is not None:
            key = key[order]
        log = (key & _MOST_LOG).astype(np.int32)
        block = np.right_shift(key, _LOG_BITS, out=key)
        same = block[1:] == block[:-1]
        refuse = functools.partial(_refuse, order, block)
        refuse(same & (log[1:] == log[:-1]), "are the same log of block {block}")
        if "tx" in self._grown:
            tx = self._ordered("tx", order)
            refuse(same & (tx[1:] < tx[:-1]), "have log and tx of block {block} in two orders")
        else:
            tx = np.full(self.rows, ABSENT, np.int32)
        time = self._timed(block, order)
        refuse(same & (time[1:] != time[:-1]), "give two times of block {block}")
        refuse(time[1:] < time[:-1], "say that block {block} was after a later one")
        addresses, ids = self._addresses()
        source = ids[self._ordered("from", order)]
        target = ids[self._ordered("to", order)]
        limbs = self._ordered("amount", order)
        if "token" not in self._grown:
            assert self._token is not None
            rows = Transfers(
                self._token, addresses, block, time, tx, log, source, target,
                Amounts.from_limbs(limbs),
            )  # fmt: skip
            return {self._token: rows}
        token = ids[self._ordered("token", order)]
        held: dict[str, Transfers] = {}
        by_token = np.argsort(token, kind="stable")
        token = token[by_token]
        starts = np.flatnonzero(np.diff(token, prepend=-1))
        for first, end in zip(starts, [*starts[1:], len(token)], strict=True):
            at: NDArray[np.int64] | slice = by_token[first:end]
            if len(starts) == 1:
                at = slice(0, len(token))
            name = addresses[int(token[first])]
            held[name] = Transfers(
                name, addresses, block[at], time[at], tx[at], log[at], source[at], target[at],
                Amounts.from_limbs(limbs[at]),
            )  # fmt: skip
        if self._token is not None and self._token not in held:
            raise DataError(
                "token", found=self._token, wanted=f"one of the {len(held)} that the table holds"
            )
        return dict(sorted(held.items()))

    def _taken(self, name: str) -> NDArray[Any]:
        return self._grown.pop(name).rows

    def _ordered(self, name: str, order: NDArray[np.int64] | None) -> NDArray[Any]:
        rows = self._taken(name)
        return rows if order is None else rows[order]

    def _timed(
        self, block: NDArray[np.int64], order: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        if self._times is None:
            return self._ordered("time", order)
        if isinstance(self._times, Clock):
            return self._times.times(block)
        at = np.searchsorted(self._times.number, block)
        at = np.minimum(at, len(self._times) - 1)
        unknown = self._times.number[at] != block
        if unknown.any():
            raise DataError(f"block {int(block[np.argmax(unknown)])}: not among the headers given")
        return self._times.time[at]

    def _addresses(self) -> tuple[Addresses, NDArray[np.int32]]:
        # Two spellings of an address are one address; and zero is always the first.
        ids: dict[str, int] = {ZERO: 0}
        texts = self._names.texts
        at = [ABSENT, *(ids.setdefault(text.lower(), len(ids)) for text in texts[1:])]
        table = np.frombuffer(bytes.fromhex("".join(text[2:] for text in ids)), np.uint8)
        return Addresses(table.reshape(-1, 20)), np.array(at, np.int32)


def _refuse(
    order: NDArray[np.int64] | None, block: NDArray[np.int64], wrong: NDArray[np.bool_], what: str
) -> None:
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    rows = (at, at + 1) if order is None else (int(order[at]), int(order[at + 1]))
    first, second = sorted(row + 1 for row in rows)
    raise DataError(
        f"rows {first} and {second} {what.format(block=int(block[at]))}",
        next_step="export the table again",
        rows=(first, second),
    )


class _Growing:
    """Rows of one kind, added in parts without ever being held twice."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self.rows: NDArray[Any] = np.zeros(0, kind)

    def add(self, rows: NDArray[Any]) -> None:
        count = len(self.rows)
        if rows.ndim == 2:
            width = max(rows.shape[1], self.rows.shape[1] if self.rows.ndim == 2 else 0)
            if self.rows.ndim != 2 or width > self.rows.shape[1]:
                wider = np.zeros((count, width), rows.dtype)
                if count:
                    wider[:, : self.rows.shape[1]] = self.rows
                self.rows = wider
            self.rows.resize((count + len(rows), width), refcheck=False)
            self.rows[count:, : rows.shape[1]] = rows
            return
        # The allocator moves pages of something large, not bytes.
        self.rows.resize(count + len(rows), refcheck=False)
        self.rows[count:] = rows


def _opened(path: Path) -> pl.LazyFrame:
    kinds = [suffix for suffix in path.suffixes[-2:] if suffix.lower() != ".gz"]
    kind = kinds[-1].lower() if kinds else ""
    if kind not in _SUFFIXES:
        raise InputError(f"{path}", found=kind, wanted=f"a file of {', '.join(sorted(_SUFFIXES))}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if not path.stat().st_size:
        raise DataError(f"{path}: found an empty file")
    if kind in {".parquet", ".pq"}:
        return pl.scan_parquet(path, glob=False)
    if path.suffix.lower() != ".gz":
        _refuse_half_line(path)
    # All as text: what a number is, we decide.
    return pl.scan_csv(
        path, infer_schema=False, separator="\t" if kind == ".tsv" else ",", glob=False
    )


def _refuse_half_line(path: Path) -> None:
    with path.open("rb") as opened:
        opened.seek(-1, 2)
        if opened.read(1) != b"\n":
            raise DataError(
                f"{path}: the last line does not end, so the file may be truncated",
                next_step="export it again; if the last line is whole, end it with a newline",
            )


def _columns_of(
    lazy: pl.LazyFrame,
    path: Path,
    wanted: Mapping[str, tuple[str, ...]],
    optional: Collection[str],
) -> dict[str, str]:
    """Return what each of our columns is called in the table."""
    with _damage(path):
        there = lazy.collect_schema().names()
    folded = {name.strip().lower(): name for name in reversed(there)}
    found = {
        ours: folded[next(name for name in names if name in folded)]
        for ours, names in wanted.items()
        if any(name in folded for name in names)
    }
    for ours in wanted:
        if ours not in found and ours not in optional:
            raise DataError(
                f"{path}: no column of {ours}",
                found=", ".join(there[:20]),
                wanted=" or ".join(wanted[ours]),
                column=ours,
            )
    return found


def _parts(lazy: pl.LazyFrame, path: Path, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    with _damage(path):
        yield from lazy.select(list(columns.values())).collect_batches(
            chunk_size=_ROWS_AT_ONCE, maintain_order=True
        )


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} is damaged or truncated: {str(error).splitlines()[0]}",
            next_step="export it again",
        ) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        operands: dict[str, Any] = error.operands
        raise DataError(
            f"{path}: {error.thing}", wanted=error.wanted, next_step=error.next_step, **operands
        ) from error


def _newest_of(path: Path, held: Iterable[Transfers], head: Head | None) -> Head:
    last = max(held, key=lambda rows: int(rows.block[-1]))
    seen = Head(int(last.block[-1]), int(last.time[-1]))
    if head is None:
        return seen
    if head.block < seen.block or head.time < seen.time:
        raise InputError(
            f"{path}: the block until which the export looked",
            found=f"{head.block} at {head.time}",
            wanted=f"block {seen.block} at {seen.time} or later, where the last transfer is",
        )
    return head


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
