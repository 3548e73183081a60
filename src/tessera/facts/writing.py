"""Facts into a folder of Parquet files: written once, and there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tessera.errors import InputError
from tessera.facts.addresses import ABSENT, Addresses
from tessera.facts.amounts import Amounts
from tessera.facts.facts import Facts
from tessera.facts.manifest import (
    FORM,
    LOOKUPS,
    MANIFEST,
    ROWS_A_GROUP,
    Manifest,
    Segment,
    TokenRows,
    sha256_of,
)
from tessera.facts.observations import Calls, Event, Kind
from tessera.facts.transfers import Transfers
from tessera.storage.folders import write_whole

__all__ = ["write_folder"]

_ROWS_A_FILE: Final = 1 << 20
_WORD: Final = 32


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
        manifest = Manifest(
            form=FORM,
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

    def _transfers(self, progress: Callable[[int], None]) -> dict[str, TokenRows]:
        segments: dict[str, list[Segment]] = {}
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
                segments[token].append(Segment(f"transfers-{number}.parquet", held, len(part)))
                waiting.append(self._frame(part))
                held += len(part)
                written += len(part)
                progress(written)
        flush()
        return {token: self._token(token, tuple(parts)) for token, parts in segments.items()}

    def _token(self, token: str, segments: tuple[Segment, ...]) -> TokenRows:
        seen = self._facts.coverage(token)
        return TokenRows(segments, seen.first, seen.last, seen.gaps, seen.complete)

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
                self._put(f"{name}.parquet", pl.DataFrame(rows, LOOKUPS[name], orient="row"))

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
        frame.write_parquet(path, row_group_size=ROWS_A_GROUP, compression_level=3)
        self._files[name] = sha256_of(path)


def _limb_columns(name: str, amounts: Amounts) -> dict[str, NDArray[np.uint64]]:
    limbs = amounts.significant()
    return {f"{name}_{limb}": limbs[:, limb] for limb in range(limbs.shape[1])}


def _cells(rows: NDArray[np.uint8]) -> pl.Series:
    return pl.Series([row.tobytes() for row in rows], dtype=pl.Binary)


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


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
