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
import hashlib
import importlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
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
from tessera.facts.memory import Memory
from tessera.facts.observations import Blocks, Calls, Coverage, Event, Head, Kind, Origin, Read
from tessera.facts.transfers import Transfers
from tessera.storage.folders import write_whole

__all__ = ["MANIFEST", "open_folder", "write_folder"]

MANIFEST: Final = "facts.json"
"""Its being there makes a folder one of facts."""

_FORM: Final = "tessera facts 1"
_ROWS_A_FILE: Final = 1 << 20
_ROWS_A_GROUP: Final = 1 << 16
_COLUMNS: Final[Mapping[str, type[np.generic]]] = {
    "block": np.int64, "time": np.int64, "tx": np.int32, "log": np.int32,
    "source": np.int32, "target": np.int32,
}  # fmt: skip
_WORD: Final = 32
_MOST_LIMBS: Final = 4
_TOKEN: Final = re.compile(r"0x[0-9a-f]{40}")
_NAME: Final = re.compile(r"[a-z]+(-\d+)?\.parquet")


class _Segment(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one token in one file."""

    file: str
    first: int
    rows: int


class _Token(msgspec.Struct, frozen=True):
    """Where a token's transfers are, and which blocks were looked at."""

    segments: tuple[_Segment, ...]
    first: int
    last: int
    gaps: tuple[tuple[int, int], ...]
    complete: bool


class _Manifest(msgspec.Struct, frozen=True):
    """What a folder holds."""

    form: str
    chain_id: int
    block: int
    time: int
    known_at: int
    kinds: tuple[Kind, ...]
    origin: tuple[Origin, ...]
    tokens: dict[str, _Token]
    files: dict[str, str]


# --- Writing ----------------------------------------------------------------------------------


def write_folder(
    facts: Facts, path: Path, *, progress: Callable[[int], None] | None = None
) -> None:
    """Write all that is known up to the facts' head to a new folder.

    Parameters
    ----------
    path
        Does not exist yet. It appears under its name when all of it is there.
    progress
        Called with the number of transfers written so far.

    Raises
    ------
    InputError
        The folder exists, or cannot be written.
    """
    if path.exists():
        raise InputError(f"{path}: exists", next_step="name a folder that does not exist yet")
    growing = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        growing.mkdir(parents=True)
        _Writer(facts, growing).write(progress or (lambda rows: None))
        growing.rename(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path}: cannot be written: {error}", next_step="look at its disk and its permissions"
        ) from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)


class _Writer:
    """One folder while it grows; ids of all tables of addresses become those of one."""

    def __init__(self, facts: Facts, path: Path) -> None:
        self._facts = facts
        self._path = path
        self._ids: dict[bytes, int] = {bytes(20): 0}
        self._maps: dict[int, tuple[Addresses, NDArray[np.int32]]] = {}
        self._files: dict[str, str] = {}

    def write(self, progress: Callable[[int], None]) -> None:
        facts = self._facts
        tokens = self._transfers(progress)
        blocks = facts.blocks
        self._put("headers.parquet", pl.DataFrame({"number": blocks.number, "time": blocks.time}))
        if Kind.CALLS in facts.kinds:
            self._put("calls.parquet", self._calls(facts.calls()))
        if Kind.EVENTS in facts.kinds:
            self._put("events.parquet", _frame_of_events(facts.events()))
        self._lookups()
        table = pl.DataFrame({"address": list(self._ids)}, schema={"address": pl.Binary})
        self._put("addresses.parquet", table)
        manifest = _Manifest(
            form=_FORM,
            chain_id=facts.chain_id,
            block=facts.head.block,
            time=facts.head.time,
            known_at=facts.known_at,
            kinds=tuple(sorted(facts.kinds)),
            origin=facts.origin,
            tokens=tokens,
            files=self._files,
        )
        encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        write_whole(self._path / MANIFEST, encoded, private=False)

    def _transfers(self, progress: Callable[[int], None]) -> dict[str, _Token]:
        segments: dict[str, list[_Segment]] = {}
        waiting: list[pl.DataFrame] = []
        held = written = 0
        number = 0

        def flush() -> None:
            nonlocal held, number
            if waiting:
                # Tokens with wide amounts give the others columns of zeros.
                frame = pl.concat(waiting, how="diagonal")
                wide = [name for name in frame.columns if name.startswith("amount_")]
                frame = frame.with_columns(pl.col(wide).fill_null(0))
                self._put(f"transfers-{number}.parquet", frame)
                waiting.clear()
                held = 0
                number += 1

        for token in self._facts.tokens():
            rows = self._facts.transfers(token)
            segments[token] = []
            for start in range(0, len(rows), _ROWS_A_FILE):
                part = rows.select(slice(start, start + _ROWS_A_FILE))
                if held and held + len(part) > _ROWS_A_FILE:
                    flush()
                segments[token].append(_Segment(f"transfers-{number}.parquet", held, len(part)))
                waiting.append(self._frame(part))
                held += len(part)
                written += len(part)
                progress(written)
        flush()
        return {token: self._token(token, tuple(parts)) for token, parts in segments.items()}

    def _token(self, token: str, segments: tuple[_Segment, ...]) -> _Token:
        seen = self._facts.coverage(token)
        return _Token(segments, seen.first, seen.last, seen.gaps, seen.complete)

    def _frame(self, rows: Transfers) -> pl.DataFrame:
        ids = self._mapped(rows.addresses)
        columns: dict[str, NDArray[Any]] = {
            "block": rows.block,
            "time": rows.time,
            "tx": rows.tx,
            "log": rows.log,
            "source": ids[rows.source],
            "target": ids[rows.target],
        }
        return pl.DataFrame({**columns, **_limb_columns("amount", rows.amount)})

    def _calls(self, calls: Calls) -> pl.DataFrame:
        ids = self._mapped(calls.addresses)
        to = np.where(calls.to == ABSENT, ABSENT, ids[calls.to])
        columns: dict[str, Any] = {
            "block": calls.block,
            "time": calls.time,
            "index": calls.index,
            "hash": _cells(calls.hash),
            "sender": ids[calls.sender],
            "to": to.astype(np.int32),
            "selector": calls.selector,
            "ok": calls.ok,
            "data": pl.Series(calls.data.tolist(), dtype=pl.Binary),
        }
        return pl.DataFrame({**columns, **_limb_columns("value", calls.value)})

    def _lookups(self) -> None:
        seen = self._facts.seen()
        codes = [(address, at, code) for address, each in seen.codes.items() for at, code in each]
        slots = [
            (address, _word(key), at, _word(value))
            for (address, key), each in seen.slots.items()
            for at, value in each
        ]
        answers = [
            (contract, calldata, read.block, read.ok, read.answer)
            for (contract, calldata), each in seen.answers.items()
            for read in each
        ]
        for kind, name, rows in (
            (Kind.CODE, "code", codes),
            (Kind.SLOTS, "slots", slots),
            (Kind.READS, "reads", answers),
        ):
            if kind in self._facts.kinds:
                self._put(f"{name}.parquet", pl.DataFrame(rows, _LOOKUPS[name], orient="row"))

    def _mapped(self, addresses: Addresses) -> NDArray[np.int32]:
        """Return the id in the folder of each id of a table."""
        known = self._maps.get(id(addresses))
        if known is None:
            data = addresses.table.tobytes()
            ids = self._ids
            found = np.array(
                [
                    ids.setdefault(data[at : at + 20], len(ids))
                    for at in range(0, len(data), 20)
                ],
                np.int32,
            )  # fmt: skip
            # Kept with the table: the id of an object that is gone may be another's.
            known = self._maps[id(addresses)] = (addresses, found)
        return known[1]

    def _put(self, name: str, frame: pl.DataFrame) -> None:
        path = self._path / name
        frame.write_parquet(path, row_group_size=_ROWS_A_GROUP, compression_level=3)
        self._files[name] = _sha256(path)


# --- Reading ----------------------------------------------------------------------------------


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


def _manifest_of(path: Path) -> _Manifest:
    try:
        found = msgspec.json.decode((path / MANIFEST).read_bytes(), type=_Manifest)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}",
            wanted=f"a folder of facts, with {MANIFEST}",
            next_step="tessera facts import, to make one of a table",
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"{path / MANIFEST} is damaged: {error}") from error
    if found.form != _FORM:
        raise DataError(f"{path / MANIFEST}", found=found.form, wanted=_FORM)
    for token in found.tokens:
        if not _TOKEN.fullmatch(token):
            raise DataError(f"{path / MANIFEST}", found=token, wanted="an address, lower case")
    return found


class _Held(Mapping[str, Transfers]):
    """Transfers by token, read from their files when they are asked for, and kept."""

    def __init__(self, files: _Files, manifest: _Manifest) -> None:
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

    def __init__(self, path: Path, manifest: _Manifest) -> None:
        self._path = path
        self._manifest = manifest
        self._sound: set[str] = set()

    def read(self, name: str) -> pl.DataFrame:
        """Return a whole file."""
        return self._collected(name, self._opened(name))

    def transfers(self, token: str, kept: _Token) -> Transfers:
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
        part: _Segment,
        lazy: pl.LazyFrame,
        rows: slice,
    ) -> None:
        # Another file of the token may hold wider amounts; what is missing else, is missing.
        names = [*_COLUMNS, *(f"amount_{limb}" for limb in range(_width(lazy, "amount")))]
        # Of many rows one column after the other is read, so that little is held twice.
        groups = [names] if part.rows <= _ROWS_A_GROUP else [[name] for name in names]
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
            found = _sha256(path) if path.is_file() else "no such file"
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


# --- Cells ------------------------------------------------------------------------------------

_LOOKUPS: Final[Mapping[str, dict[str, Any]]] = {
    "code": {"address": pl.String, "block": pl.Int64, "code": pl.Binary},
    "slots": {"address": pl.String, "key": pl.Binary, "block": pl.Int64, "value": pl.Binary},
    "reads": {
        "contract": pl.String, "calldata": pl.Binary, "block": pl.Int64, "ok": pl.Boolean,
        "answer": pl.Binary,
    },
}  # fmt: skip


def _limb_columns(name: str, amounts: Amounts) -> dict[str, NDArray[np.uint64]]:
    limbs = amounts.significant()
    return {f"{name}_{limb}": limbs[:, limb] for limb in range(limbs.shape[1])}


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


def _cells(rows: NDArray[np.uint8]) -> pl.Series:
    return pl.Series([row.tobytes() for row in rows], dtype=pl.Binary)


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _gathered(rows: Iterator[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, list[Any]] = {}
    for key, value in rows:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def _frame_of_events(events: tuple[Event, ...]) -> pl.DataFrame:
    plain = [field.name for field in fields(Event) if field.name != "event"]
    kinds = {"block": pl.Int64, "time": pl.Int64, "tx": pl.Int32, "log": pl.Int32}
    columns: dict[str, pl.Series] = {
        name: pl.Series([getattr(each, name) for each in events], dtype=kinds.get(name, pl.String))
        for name in plain
    }
    texts = {
        "contract": [each.contract for each in events],
        "name": [each.name for each in events],
        "fields": [msgspec.json.encode(each.event).decode() for each in events],
    }
    return pl.DataFrame(
        {**columns, **{name: pl.Series(each, dtype=pl.String) for name, each in texts.items()}}
    )


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


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
