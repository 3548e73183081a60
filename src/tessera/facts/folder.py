"""Facts in a folder of Parquet files: written once, read by slices.

::

    facts.json          what there is: chain, head, tokens with their rows, SHA-256 of each file
    addresses.parquet   20 bytes each; an id is its row
    transfers-N.parquet at most a million rows each, by token and then in the order of the chain
    headers.parquet  calls.parquet  events.parquet  code.parquet  slots.parquet  reads.parquet

An amount is its 64-bit limbs, the least significant first: `amount_0`, `amount_1` and so on. A file
is held against its hash when it is first read.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tessera.bindings import CONTRACTS
from tessera.bindings import calls as bindings
from tessera.errors import DataError, InputError
from tessera.facts.addresses import ABSENT, Addresses
from tessera.facts.amounts import Amounts
from tessera.facts.facts import Facts
from tessera.facts.manifest import (
    FORM,
    MANIFEST,
    ROWS_A_GROUP,
    Manifest,
    Segment,
    TokenRows,
    sha256_of,
)
from tessera.facts.memory import Memory
from tessera.facts.observations import Blocks, Calls, Coverage, Event, Head, Kind, Read
from tessera.facts.transfers import Transfers

__all__ = ["open_folder"]

_COLUMNS: Final[Mapping[str, type[np.generic]]] = {
    "block": np.int64, "time": np.int64, "tx": np.int32, "log": np.int32,
    "source": np.int32, "target": np.int32,
}  # fmt: skip
_WORD: Final = 32
_MOST_LIMBS: Final = 4
_TOKEN: Final = re.compile(r"0x[0-9a-f]{40}")
_NAME: Final = re.compile(r"[a-z]+(-\d+)?\.parquet")


_MOST: Final = 10**11
"""Blocks and seconds above it are nobody's, and no calendar shows them."""


@dataclass(frozen=True, eq=False)
class _Folder(Memory):
    """A memory whose transfers and headers are read when they are asked for."""

    files: _Files | None = None
    kept: frozenset[Kind] = frozenset()

    @property
    def kinds(self) -> frozenset[Kind]:
        return self.kept

    @functools.cached_property
    def _headers(self) -> Blocks:
        assert self.files is not None
        frame = self.files.read("headers.parquet")
        return Blocks(_numbers(frame["number"], np.int64), _numbers(frame["time"], np.int64))


def open_folder(path: Path) -> Facts:
    """Return the facts in a folder, as of its newest block. Transfers are read when asked for.

    Raises
    ------
    InputError
        There is no such folder, or it is none of facts.
    DataError
        A file is missing, damaged, or not the one that was written.
    """
    manifest = _manifest_of(path)
    files = _Files(path, manifest)
    return Facts(
        _Folder(
            chain_id=manifest.chain_id,
            newest=Head(manifest.block, manifest.time),
            held=_Held(files, manifest),
            covered={
                token: Coverage(each.first, each.last, each.gaps, each.complete)
                for token, each in manifest.tokens.items()
            },
            known_at=manifest.known_at,
            made=files.calls() if Kind.CALLS in manifest.kinds else None,
            emitted=files.events() if Kind.EVENTS in manifest.kinds else None,
            codes=files.codes(),
            slots=files.slots(),
            answers=files.answers(),
            origin=manifest.origin,
            files=files,
            kept=frozenset(manifest.kinds),
        )
    )


def _manifest_of(path: Path) -> Manifest:
    try:
        found = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}",
            wanted=f"a folder of facts, with {MANIFEST}",
            next_step="tessera facts import, to make one of a table",
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"{path / MANIFEST} is damaged: {error}") from error
    if found.form != FORM:
        raise DataError(f"{path / MANIFEST}", found=found.form, wanted=FORM)
    for token, kept in found.tokens.items():
        if not _TOKEN.fullmatch(token):
            raise DataError(f"{path / MANIFEST}", found=token, wanted="an address, lower case")
        if not 0 <= kept.first <= kept.last <= _MOST:
            raise DataError(
                f"{path / MANIFEST}: blocks of {token}",
                found=f"{kept.first} to {kept.last}",
                wanted="a first one that is not after the last",
            )
    for name, number in (
        ("chain_id", found.chain_id), ("block", found.block), ("time", found.time),
        ("known_at", found.known_at),
    ):  # fmt: skip
        if not 0 <= number <= _MOST:
            raise DataError(f"{path / MANIFEST}: {name}", found=number, wanted=f"0 to {_MOST:,}")
    return found


class _Held(Mapping[str, Transfers]):
    """Transfers by token, read from their files when they are asked for, and kept."""

    def __init__(self, files: _Files, manifest: Manifest) -> None:
        self._files = files
        self._manifest = manifest
        self._read: dict[str, Transfers] = {}

    def __getitem__(self, token: str) -> Transfers:
        if token not in self._read:
            self._read[token] = self._files.transfers(token, self._manifest.tokens[token])
        return self._read[token]

    def __contains__(self, token: object) -> bool:
        return token in self._manifest.tokens

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifest.tokens)

    def __len__(self) -> int:
        return len(self._manifest.tokens)


class _Files:
    """The files of a folder, each held against its hash once."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path = path
        self._manifest = manifest
        self._sound: set[str] = set()

    def read(self, name: str) -> pl.DataFrame:
        """Return a whole file."""
        return self._collected(name, self._opened(name))

    def transfers(self, token: str, kept: TokenRows) -> Transfers:
        """Return one token's rows."""
        count = sum(part.rows for part in kept.segments)
        lazy = {part.file: self._opened(part.file) for part in kept.segments}
        width = max((_width(frame, "amount") for frame in lazy.values()), default=1)
        limbs = np.zeros((count, width), np.uint64)
        columns = {name: np.zeros(count, kind) for name, kind in _COLUMNS.items()}
        filled = {**columns, **{f"amount_{limb}": limbs[:, limb] for limb in range(width)}}
        row = 0
        for part in kept.segments:
            self._fill(filled, part, lazy[part.file], slice(row, row + part.rows))
            row += part.rows
        found = Transfers(token, self.addresses, amount=Amounts.from_limbs(limbs), **columns)
        found.refuse_unsound()
        return found

    def _fill(
        self,
        columns: Mapping[str, NDArray[Any]],
        part: Segment,
        lazy: pl.LazyFrame,
        rows: slice,
    ) -> None:
        # Another file of the token may hold wider amounts; what is missing else, is missing.
        names = [*_COLUMNS, *(f"amount_{limb}" for limb in range(_width(lazy, "amount")))]
        # Of many rows one column after the other is read, so that little is held twice.
        groups = [names] if part.rows <= ROWS_A_GROUP else [[name] for name in names]
        for group in groups:
            asked = lazy.select(group).slice(part.first, part.rows)
            read = self._collected(part.file, asked)
            if len(read) != part.rows:
                raise DataError(f"{part.file}", found=len(read), wanted=f"{part.rows} rows")
            for name in group:
                columns[name][rows] = _numbers(read[name], columns[name].dtype.type)

    @functools.cached_property
    def addresses(self) -> Addresses:
        """The one table of all files."""
        known = self.read("addresses.parquet")["address"]
        sound = known.dtype == pl.Binary and not known.null_count() and len(known) > 0
        if not (sound and (known.bin.size() == 20).all() and known.is_unique().all()):
            raise DataError(f"{self._path}: its addresses are none, or there twice")
        data = b"".join(known.to_list())
        if any(data[:20]):
            raise DataError(f"{self._path}: its first address is not the zero address")
        return Addresses(np.frombuffer(data, np.uint8).reshape(-1, 20))

    def calls(self) -> Calls:
        """Return all transactions."""
        frame = self.read("calls.parquet")
        width = _width(frame.lazy(), "value")
        columns = [_numbers(frame[f"value_{limb}"], np.uint64) for limb in range(width)]
        limbs = np.stack(columns, axis=1)
        data = np.empty(len(frame), np.object_)
        data[:] = frame["data"].to_list()
        hashes = np.frombuffer(b"".join(frame["hash"].to_list()), np.uint8)
        block, sender = _numbers(frame["block"], np.int64), _numbers(frame["sender"], np.int32)
        to, known = _numbers(frame["to"], np.int32), len(self.addresses)
        inside = ((sender >= 0) & (sender < known) & (to >= ABSENT) & (to < known)).all()
        if not inside or (block[1:] < block[:-1]).any():
            raise DataError(f"{self._path / 'calls.parquet'}: a call that cannot be")
        return Calls(
            self.addresses,
            block,
            _numbers(frame["time"], np.int64),
            _numbers(frame["index"], np.int32),
            hashes.reshape(-1, _WORD),
            sender,
            to,
            Amounts.from_limbs(np.ascontiguousarray(limbs)),
            _numbers(frame["selector"], np.uint32),
            frame["ok"].to_numpy(),
            data,
        )

    def events(self) -> tuple[Event, ...]:
        """Return our own contracts' events."""
        return tuple(
            Event(
                row["block"], row["time"], row["tx"], row["log"], row["transaction"],
                row["address"], _event_of(row["contract"], row["name"], row["fields"]),
            )
            for row in self.read("events.parquet").iter_rows(named=True)
        )  # fmt: skip

    def codes(self) -> dict[str, tuple[tuple[int, bytes], ...]]:
        """Return code by address."""
        return _gathered(
            (address, (at, code)) for address, at, code in self._rows("code", Kind.CODE)
        )

    def slots(self) -> dict[tuple[str, int], tuple[tuple[int, int], ...]]:
        """Return storage by address and key."""
        return _gathered(
            ((address, int.from_bytes(key, "big")), (at, int.from_bytes(value, "big")))
            for address, key, at, value in self._rows("slots", Kind.SLOTS)
        )

    def answers(self) -> dict[tuple[str, bytes], tuple[Read, ...]]:
        """Return answers by contract and call."""
        return _gathered(
            ((contract, calldata), Read(at, ok, answer))
            for contract, calldata, at, ok, answer in self._rows("reads", Kind.READS)
        )

    def _rows(self, name: str, kind: Kind) -> Iterator[tuple[Any, ...]]:
        if kind not in self._manifest.kinds:
            return iter(())
        return self.read(f"{name}.parquet").iter_rows()

    def _opened(self, name: str) -> pl.LazyFrame:
        path = self._path / name
        if name not in self._sound:
            wanted = self._manifest.files.get(name) if _NAME.fullmatch(name) else None
            found = sha256_of(path) if path.is_file() else "no such file"
            if found != wanted:
                raise DataError(
                    f"{path} is damaged, or not what was written",
                    found=found,
                    wanted=wanted or "a file that the folder lists",
                    next_step="make the folder again",
                )
            self._sound.add(name)
        return pl.scan_parquet(path, glob=False)

    def _collected(self, name: str, lazy: pl.LazyFrame) -> pl.DataFrame:
        try:
            return lazy.collect()
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{self._path / name} cannot be read: {error}") from error


def _width(frame: pl.LazyFrame, name: str) -> int:
    width = sum(column.startswith(f"{name}_") for column in frame.collect_schema())
    if not 1 <= width <= _MOST_LIMBS:
        raise DataError(f"{name}", found=f"{width} limbs", wanted=f"1 to {_MOST_LIMBS}")
    return width


def _numbers(column: pl.Series, kind: type[np.generic]) -> NDArray[Any]:
    if column.null_count() or not column.dtype.is_integer():
        raise DataError(
            f"column {column.name}", found=str(column.dtype), wanted="whole numbers in all rows"
        )
    return column.to_numpy().astype(kind, copy=False)


def _gathered(rows: Iterator[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, list[Any]] = {}
    for key, value in rows:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def _event_of(contract: str, name: str, text: str) -> bindings.Event:
    kind = _event_kinds(contract).get(name)
    if kind is None:
        raise DataError(
            f"event {contract}.{name}: unknown here",
            next_step="read the folder with the version of tessera that wrote it",
        )
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise DataError(f"event {contract}.{name} cannot be read: {error}") from error


@functools.cache
def _event_kinds(contract: str) -> dict[str, type[bindings.Event]]:
    if contract not in CONTRACTS:
        return {}
    kind: type[bindings.Contract] = getattr(importlib.import_module(CONTRACTS[contract]), contract)
    return {event.NAME: event for event in kind.EVENTS}
