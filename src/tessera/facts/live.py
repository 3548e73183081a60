"""Facts as the indexer keeps them: read from its tables, while it writes or not.

What was known at a time is what was written by then and not taken back by then; a reorganization
that came later hides nothing of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, Table, and_, func, or_, select

from tessera.bindings.logs import decode_event
from tessera.errors import DataError
from tessera.facts.addresses import ABSENT, Addresses, address_bytes, address_text
from tessera.facts.amounts import Amounts
from tessera.facts.observations import (
    Blocks,
    Calls,
    Coverage,
    Event,
    Head,
    Kind,
    Moment,
    Origin,
    Read,
    Seen,
)
from tessera.facts.transfers import Transfers
from tessera.storage import facts_schema as schema
from tessera.storage.facts_database import FactsDatabase

__all__ = ["Live"]

_K = TypeVar("_K")
_T = TypeVar("_T")
_WORD: Final = 32
_SELECTOR: Final = 4


class Live:
    """A source of facts: the tables that an indexer fills.

    Parameters
    ----------
    database
        Opened for reading; whoever opened it closes it.

    Raises
    ------
    DataError
        No indexer has written there yet.
    """

    def __init__(self, database: FactsDatabase) -> None:
        self._database = database
        row = database.read(lambda c: c.execute(select(schema.chain)).one_or_none())
        if row is None:
            raise DataError(
                "facts",
                found="none yet",
                wanted="those of a chain",
                next_step="tessera index --once",
            )
        self._chain_id = int(row.chain_id)

    @property
    def chain_id(self) -> int:
        """EIP-155 number of the chain."""
        return self._chain_id

    @property
    def known_at(self) -> int:
        """Unix seconds at which something was last written."""
        return int(self._rows(select(schema.chain.c.known_at))[0][0])

    @property
    def origin(self) -> tuple[Origin, ...]:
        """An indexer, which read them from nodes."""
        first = self._rows(select(func.min(schema.ranges.c.known_at)))[0][0]
        known = "nothing yet" if first is None else f"from {first} to {self.known_at}, unix seconds"
        return (Origin(f"nodes of chain {self._chain_id}, by an indexer", note=f"read {known}"),)

    @property
    def kinds(self) -> frozenset[Kind]:
        """What was observed at all."""
        whole = bool(self._ranges("chain", None))
        kept = {
            Kind.TRANSFERS: True,
            Kind.CALLS: whole,
            Kind.EVENTS: whole,
            Kind.CODE: self._any(schema.codes),
            Kind.SLOTS: self._any(schema.slots),
            Kind.READS: self._any(schema.reads),
            Kind.HEADERS: whole,
        }
        return frozenset(kind for kind, there in kept.items() if there)

    def head(self, moment: Moment | None) -> Head:
        """Return the newest block that was read, up to a moment.

        Raises
        ------
        DataError
            None was.
        """
        known_at = None if moment is None else moment.known_at

        def query(connection: Connection) -> tuple[int | None, int | None]:
            seen = _seen(connection, schema.ranges, known_at)
            last = connection.execute(select(func.max(schema.ranges.c.last)).where(seen)).scalar()
            if last is not None and moment is not None:
                last = min(last, moment.block)
            table = schema.blocks
            time = connection.execute(
                select(func.max(table.c.time)).where(
                    _seen(connection, table, known_at), table.c.number <= (last or 0)
                )
            ).scalar()
            return last, time

        block, time = self._database.read(query)
        if block is None or time is None:
            raise DataError(
                "facts",
                found="no block that was read"
                + ("" if moment is None else f" up to block {moment.block} at that time"),
                wanted="one at least",
                next_step="tessera index --once; or ask as of a later block",
            )
        return Head(block, time)

    def tokens(self, moment: Moment) -> tuple[str, ...]:
        """Return the tokens that were looked at or moved, ascending."""
        found = (row[0] for row in self._rows(select(schema.tokens.c.token)))
        named = sorted(address_text(token) for token in found)
        return tuple(token for token in named if self.coverage(token, moment) is not None)

    def coverage(self, token: str, moment: Moment) -> Coverage | None:
        """Return which blocks were read for a token; None where none was."""
        ranges = _joined(
            [
                *self._ranges("chain", moment.known_at),
                *self._ranges(f"token:{token}", moment.known_at),
            ]
        )
        if not ranges:
            return None
        created = self._rows(
            select(schema.tokens.c.created).where(schema.tokens.c.token == address_bytes(token))
        )
        born = created[0][0] if created and created[0][0] is not None else 0
        # What was read of the time before a token was there says nothing of it.
        ranges = [(max(low, born), high) for low, high in ranges if high >= born] or ranges[-1:]
        gaps = tuple((low[1] + 1, high[0] - 1) for low, high in itertools.pairwise(ranges))
        known = bool(created and created[0][0] is not None) or ranges[0][0] == 0
        found = Coverage(
            ranges[0][0],
            ranges[-1][1],
            gaps,
            complete=known and not gaps and ranges[0][0] <= born,
        )
        return found.up_to(moment.block)

    def transfers(self, token: str, moment: Moment) -> Transfers:
        """Return a token's transfers."""
        table = schema.transfers
        rows = self._timed(
            table,
            ("block", "tx", "log", "source", "target", "amount"),
            moment,
            table.c.token == address_bytes(token),
        )
        if not rows:
            return Transfers.none(token, Addresses.of([]))
        block, tx, log, source, target, amount, time = zip(*rows, strict=True)
        addresses, (sources, targets) = _numbered([source, target])
        return Transfers(
            token,
            addresses,
            np.array(block, np.int64),
            _whole(time),
            np.array(tx, np.int32),
            np.array(log, np.int32),
            sources,
            targets,
            _amounts(amount),
        )

    def calls(self, to: str | None, sender: str | None, moment: Moment) -> Calls:
        """Return transactions; None means any."""
        table = schema.calls
        chosen = []
        if to is not None:
            chosen.append(table.c.target == address_bytes(to))
        if sender is not None:
            chosen.append(table.c.sender == address_bytes(sender))
        columns = ("block", "tx", "hash", "sender", "target", "value", "data", "ok")
        rows = self._timed(table, columns, moment, *chosen)
        if not rows:
            return Calls.none(Addresses.of([]))
        block, tx, hashes, senders, targets, value, data, ok, time = zip(*rows, strict=True)
        addresses, (sender_ids, to_ids) = _numbered([senders, targets])
        inputs = np.empty(len(data), np.object_)
        inputs[:] = data
        return Calls(
            addresses,
            np.array(block, np.int64),
            _whole(time),
            np.array(tx, np.int32),
            np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, _WORD),
            sender_ids,
            to_ids,
            _amounts(value),
            np.array(
                [int.from_bytes(d[:_SELECTOR]) if len(d) >= _SELECTOR else 0 for d in data],
                np.uint32,
            ),
            np.array(ok, np.bool_),
            inputs,
        )

    def events(
        self, contract: str | None, name: str | None, address: str | None, moment: Moment
    ) -> tuple[Event, ...]:
        """Return our own contracts' events, decoded by the code that was at their address."""
        table = schema.events
        chosen = [table.c.kind == contract if contract is not None else table.c.kind != ""]
        if address is not None:
            chosen.append(table.c.address == address_bytes(address))
        columns = ("block", "log", "tx", "hash", "address", "kind", "topics", "data")
        rows = self._timed(table, columns, moment, *chosen)
        found = []
        for row, time in zip(rows, _whole([row.time for row in rows]), strict=True):
            topics = [row.topics[at : at + _WORD] for at in range(0, len(row.topics), _WORD)]
            event = decode_event(topics, row.data, contract=row.kind)
            if event is None or row.kind != event.CONTRACT or name not in (None, event.NAME):
                continue
            found.append(
                Event(
                    row.block,
                    int(time),
                    row.tx,
                    row.log,
                    f"0x{row.hash.hex()}",
                    address_text(row.address),
                    event,
                )
            )
        return tuple(found)

    def code(self, address: str, moment: Moment) -> bytes | None:
        """Return the newest code observed; None: nobody looked."""
        table = schema.codes
        found = self._newest(table, moment, table.c.address == address_bytes(address))
        return None if found is None else bytes(found.code)

    def slot(self, address: str, key: int, moment: Moment) -> int | None:
        """Return the newest value observed of a storage slot; None: nobody looked."""
        table = schema.slots
        mine = and_(table.c.address == address_bytes(address), table.c.key == key.to_bytes(_WORD))
        found = self._newest(table, moment, mine)
        return None if found is None else int.from_bytes(found.value)

    def reads(self, contract: str, calldata: bytes, moment: Moment) -> tuple[Read, ...]:
        """Return what a contract answered, by block."""
        table = schema.reads

        def query(connection: Connection) -> Sequence[Any]:
            return connection.execute(
                select(table)
                .where(
                    table.c.contract == address_bytes(contract),
                    table.c.calldata == calldata,
                    table.c.block <= moment.block,
                    _seen(connection, table, moment.known_at),
                )
                .order_by(table.c.block)
            ).fetchall()

        rows = self._database.read(query)
        return tuple(Read(row.block, row.ok, bytes(row.answer)) for row in rows)

    def blocks(self, moment: Moment) -> Blocks:
        """Return the headers that are known."""
        table = schema.blocks

        def query(connection: Connection) -> Sequence[Any]:
            return connection.execute(
                select(table.c.number, table.c.time)
                .where(_seen(connection, table, moment.known_at), table.c.number <= moment.block)
                .order_by(table.c.number)
            ).fetchall()

        times = [tuple(row) for row in self._database.read(query)]
        both = np.array(times, np.int64).reshape(-1, 2)
        return Blocks(both[:, 0].copy(), both[:, 1].copy())

    def seen(self, moment: Moment) -> Seen:
        """Return all code, slots and answers that are kept, for whoever copies them."""

        def query(connection: Connection) -> list[Sequence[Any]]:
            return [
                connection.execute(
                    select(table)
                    .where(table.c.block <= moment.block, _seen(connection, table, moment.known_at))
                    .order_by(table.c.block)
                ).fetchall()
                for table in (schema.codes, schema.slots, schema.reads)
            ]

        codes, slots, reads = self._database.read(query)
        return Seen(
            _gathered((address_text(row.address), (row.block, bytes(row.code))) for row in codes),
            _gathered(
                (
                    (address_text(row.address), int.from_bytes(row.key)),
                    (row.block, int.from_bytes(row.value)),
                )
                for row in slots
            ),
            _gathered(
                (
                    (address_text(row.contract), bytes(row.calldata)),
                    Read(row.block, row.ok, bytes(row.answer)),
                )
                for row in reads
            ),
        )

    # --- Inside ----------------------------------------------------------------------------------

    def _timed(
        self, table: Table, columns: Sequence[str], moment: Moment, *chosen: Any
    ) -> Sequence[Any]:
        """Return rows in the order of the chain, each with the time of its block."""
        place = table.c.tx if table is schema.calls else table.c.log
        heads = schema.blocks

        def query(connection: Connection) -> Sequence[Any]:
            mine = and_(heads.c.number == table.c.block, _seen(connection, heads, moment.known_at))
            return connection.execute(
                select(*(table.c[name] for name in columns), heads.c.time)
                .select_from(table.outerjoin(heads, mine))
                .where(
                    *chosen,
                    table.c.block <= moment.block,
                    _seen(connection, table, moment.known_at),
                )
                .order_by(table.c.block, place)
            ).fetchall()

        return self._database.read(query)

    def _rows(self, asked: Select[Any]) -> Sequence[Any]:
        return self._database.read(lambda connection: connection.execute(asked).fetchall())

    def _any(self, table: Table) -> bool:
        return bool(self._rows(select(table.c.block).where(table.c.gone == 0).limit(1)))

    def _ranges(self, stream: str, known_at: int | None) -> list[tuple[int, int]]:
        table = schema.ranges

        def query(connection: Connection) -> Sequence[Any]:
            return connection.execute(
                select(table.c.first, table.c.last).where(
                    table.c.stream == stream, _seen(connection, table, known_at)
                )
            ).fetchall()

        return [(row.first, row.last) for row in self._database.read(query)]

    def _newest(self, table: Table, moment: Moment, mine: Any) -> Any:
        def query(connection: Connection) -> Any:
            return connection.execute(
                select(table)
                .where(
                    mine,
                    table.c.block <= moment.block,
                    _seen(connection, table, moment.known_at),
                )
                .order_by(table.c.block.desc())
                .limit(1)
            ).one_or_none()

        return self._database.read(query)


def _seen(connection: Connection, table: Table, known_at: int | None) -> Any:
    """Return the condition of what was known at a time, and not taken back by then."""
    if known_at is None:
        return table.c.gone == 0
    reorgs = schema.reorgs
    latest = connection.execute(
        select(func.max(reorgs.c.id)).where(reorgs.c.at <= known_at)
    ).scalar()
    return and_(table.c.known_at <= known_at, or_(table.c.gone == 0, table.c.gone > (latest or 0)))


def _whole(times: Sequence[int | None]) -> NDArray[np.int64]:
    if None in times:
        raise DataError(
            "facts",
            found="rows of a block whose head is not there",
            wanted="the head of each block",
            next_step="make them anew: tessera index --facts ANOTHER",
        )
    return np.array(times, np.int64)


def _numbered(columns: list[Sequence[bytes | None]]) -> tuple[Addresses, list[Any]]:
    """Return a table of all addresses in some columns, and the columns as ids."""
    table: dict[bytes | None, int] = {bytes(20): 0}
    for column in columns:
        for each in column:
            if each is not None and each not in table:
                table[each] = len(table)
    addresses = Addresses(
        np.frombuffer(b"".join(each for each in table if each is not None), np.uint8).reshape(
            -1, 20
        )
    )
    table[None] = ABSENT
    return addresses, [
        np.fromiter(map(table.__getitem__, column), np.int32, len(column)) for column in columns
    ]


def _amounts(column: Sequence[bytes]) -> Amounts:
    data = b"".join(each.rjust(_WORD, b"\0")[::-1] for each in column)
    return Amounts.from_limbs(np.frombuffer(data, "<u8").astype(np.uint64).reshape(-1, 4))


def _gathered(rows: Iterable[tuple[_K, _T]]) -> dict[_K, tuple[_T, ...]]:
    found: dict[_K, list[_T]] = {}
    for key, each in rows:
        found.setdefault(key, []).append(each)
    return {key: tuple(all_of) for key, all_of in found.items()}


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return found
