"""One token's transfers, as columns in the order of the chain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tessera.errors import DataError
from tessera.facts.addresses import ZERO_ID, Addresses, address_bytes, address_text
from tessera.facts.amounts import Amounts

__all__ = ["Row", "Span", "Transfers"]


class Row(NamedTuple):
    """One transfer, for where there are few; addresses as text, the amount in base units."""

    block: int
    time: int
    tx: int
    log: int
    source: str
    target: str
    amount: int


class Span(Protocol):
    """A stretch of time: from `start`, to just before `end`, both in unix seconds."""

    @property
    def start(self) -> int:
        """The first second within."""

    @property
    def end(self) -> int:
        """The first second after."""


@dataclass(frozen=True, eq=False)
class Transfers:
    """Transfers of one token by (block, position of the transaction, position of the log).

    All columns are for reading only: facts do not change, and a compiled kernel meets one kind.
    A mint comes from the zero address and a burn goes to it; its id is 0 in every table.

    Attributes
    ----------
    token
        Its address, lower case.
    addresses
        What the ids mean. May hold addresses that no row names.
    block
        int64 of shape (n,), never falling.
    time
        int64 of shape (n,): unix seconds of the block's header.
    tx
        int32 of shape (n,): position of the transaction within the block.
    log
        int32 of shape (n,): position of the log within the block. (block, log) names a transfer.
    source, target
        int32 of shape (n,): ids of who gave and who got.
    amount
        n exact amounts in base units.
    """

    token: str
    addresses: Addresses
    block: NDArray[np.int64]
    time: NDArray[np.int64]
    tx: NDArray[np.int32]
    log: NDArray[np.int32]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    amount: Amounts
    _digest: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        count = len(self.block)
        for name in ("block", "time"):
            assert getattr(self, name).dtype == np.int64, name
        for name in ("tx", "log", "source", "target"):
            assert getattr(self, name).dtype == np.int32, name
        assert len(self.amount) == count
        for name in ("block", "time", "tx", "log", "source", "target"):
            column = getattr(self, name).view()
            assert len(column) == count, name
            column.flags.writeable = False
            object.__setattr__(self, name, column)

    @classmethod
    def none(cls, token: str, addresses: Addresses) -> Transfers:
        """Return a token's transfers where there are none."""
        long, short = np.zeros(0, np.int64), np.zeros(0, np.int32)
        return cls(token, addresses, long, long, short, short, short, short, Amounts.of([]))

    @classmethod
    def of(cls, token: str, rows: Iterable[Row], addresses: Addresses | None = None) -> Transfers:
        """Return a token's transfers from rows in any order.

        Parameters
        ----------
        addresses
            The table to use, which holds all that the rows name; a new one where None.

        Raises
        ------
        InputError
            An address is none.
        DataError
            An amount is out of range.
        """
        held = sorted(rows, key=lambda row: (row.block, row.tx, row.log))
        ends = [end for row in held for end in (row.source, row.target)]
        table = Addresses.of(ends) if addresses is None else addresses
        ids = table.ids_of(ends)
        assert not len(ids) or ids.min() >= 0
        columns = list(zip(*held, strict=True)) or [()] * len(Row._fields)
        return cls(
            address_text(address_bytes(token)),
            table,
            np.array(columns[0], np.int64),
            np.array(columns[1], np.int64),
            np.array(columns[2], np.int32),
            np.array(columns[3], np.int32),
            ids[0::2],
            ids[1::2],
            Amounts.of(columns[6]),
        )

    def refuse_unsound(self) -> None:
        """Refuse rows that somebody else wrote where they cannot be: a kernel trusts them all.

        Raises
        ------
        DataError
            An id is none of the table's, or a row comes before the one that it follows.
        """
        for name in ("source", "target"):
            ids = getattr(self, name)
            if len(ids) and not (ids.min() >= 0 and ids.max() < len(self.addresses)):
                raise DataError(f"transfers of {self.token}: a {name} that is no address")
        block, tx, log, time = self.block, self.tx, self.log, self.time
        same = block[1:] == block[:-1]
        wrong = (block[1:] < block[:-1]) | (time[1:] < time[:-1])
        wrong |= same & ((log[1:] <= log[:-1]) | (tx[1:] < tx[:-1]) | (time[1:] != time[:-1]))
        if wrong.any():
            row = int(np.argmax(wrong)) + 1
            raise DataError(
                f"transfers of {self.token}: row {row} cannot follow the one before it",
                found=f"block {int(block[row])}, log {int(log[row])}",
                row=row,
            )

    def __len__(self) -> int:
        return len(self.block)

    def select(self, chosen: NDArray[np.bool_] | slice) -> Transfers:
        """Return the rows of a mask or of a slice, in the same order and with the same ids."""
        return Transfers(
            self.token,
            self.addresses,
            self.block[chosen],
            self.time[chosen],
            self.tx[chosen],
            self.log[chosen],
            self.source[chosen],
            self.target[chosen],
            self.amount[chosen],
        )

    def before(self, block: int) -> Transfers:
        """Return what happened in blocks before this one."""
        return self.select(slice(0, int(np.searchsorted(self.block, block, side="left"))))

    def up_to(self, block: int) -> Transfers:
        """Return what happened until the end of this block."""
        return self.before(block + 1)

    def within(self, window: Span) -> Transfers:
        """Return what happened within a window, of which the end is outside."""
        first, last = np.searchsorted(self.time, [window.start, window.end], side="left")
        return self.select(slice(int(first), int(last)))

    @property
    def mints(self) -> NDArray[np.bool_]:
        """Rows that come from nowhere, of shape (n,)."""
        return np.equal(self.source, ZERO_ID)

    @property
    def burns(self) -> NDArray[np.bool_]:
        """Rows that go to the zero address, of shape (n,)."""
        return np.equal(self.target, ZERO_ID)

    def participants(self) -> NDArray[np.int32]:
        """Return the ids of all who gave or got, ascending, without the zero address."""
        seen = np.zeros(len(self.addresses), dtype=np.bool_)
        seen[self.source] = True
        seen[self.target] = True
        seen[ZERO_ID] = False
        return np.flatnonzero(seen).astype(np.int32)

    def digest(self) -> str:
        """Return what these transfers are, as SHA-256 in hexadecimal.

        It depends on the rows alone: not on ids, nor on how wide amounts are held.
        """
        if not self._digest:
            self._digest.append(self._computed())
        return self._digest[0]

    def _computed(self) -> str:
        ends = np.empty(2 * len(self), dtype=np.int32)
        ends[0::2], ends[1::2] = self.source, self.target
        # The last write stays: from the end, that is where each id comes first.
        first = np.full(len(self.addresses), -1, dtype=np.int64)
        first[ends[::-1]] = np.arange(len(ends) - 1, -1, -1)
        known = np.flatnonzero(first >= 0)
        known = known[np.argsort(first[known])]
        rank = np.zeros(len(self.addresses), dtype="<i4")
        rank[known] = np.arange(len(known))
        limbs = self.amount.significant()
        said = hashlib.sha256(b"tessera transfers 1\0")
        said.update(f"{self.token} {len(self)} {len(known)} {limbs.shape[1]}\0".encode())
        said.update(self.addresses.table[known].data)
        for column, kind in (
            (self.block, "<i8"),
            (self.time, "<i8"),
            (self.tx, "<i4"),
            (self.log, "<i4"),
            (rank[ends], "<i4"),
            (limbs, "<u8"),
        ):
            said.update(np.ascontiguousarray(column, dtype=kind).data)
        return said.hexdigest()
