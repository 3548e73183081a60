"""Facts that are held in memory: what a file of transfers becomes, and what tests are made of."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tessera.errors import DataError, InputError
from tessera.facts.addresses import Addresses
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

__all__ = ["Memory", "joined"]

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Memory:
    """All that is known of a chain, learnt at one time.

    Attributes
    ----------
    chain_id
        EIP-155 number of the chain.
    newest
        The newest block that was looked at, and its time.
    held
        Transfers by token, lower case.
    covered
        Which blocks were looked at, by token; where a token is missing, from its first transfer
        to `newest`, without a claim to be complete.
    known_at
        Unix seconds at which all this was learnt; the time of `newest` where 0.
    made
        Transactions; None: nobody looked.
    emitted
        Our own contracts' events by (block, log); None: nobody looked.
    codes
        (block, code) by address, ascending.
    slots
        (block, value) by (address, key), ascending.
    answers
        By (contract, calldata), ascending by block.
    headers
        Of all blocks up to the newest; None: only those of transfers and calls are known.
    origin
        Where all this comes from.
    """

    chain_id: int
    newest: Head
    held: Mapping[str, Transfers]
    covered: Mapping[str, Coverage] = field(default_factory=dict)
    known_at: int = 0
    made: Calls | None = None
    emitted: tuple[Event, ...] | None = None
    codes: Mapping[str, tuple[tuple[int, bytes], ...]] = field(default_factory=dict)
    slots: Mapping[tuple[str, int], tuple[tuple[int, int], ...]] = field(default_factory=dict)
    answers: Mapping[tuple[str, bytes], tuple[Read, ...]] = field(default_factory=dict)
    headers: Blocks | None = None
    origin: tuple[Origin, ...] = ()

    def __post_init__(self) -> None:
        if not self.known_at:
            object.__setattr__(self, "known_at", self.newest.time)

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it keeps."""
        kept = {
            Kind.TRANSFERS: True,
            Kind.CALLS: self.made is not None,
            Kind.EVENTS: self.emitted is not None,
            Kind.CODE: bool(self.codes),
            Kind.SLOTS: bool(self.slots),
            Kind.READS: bool(self.answers),
            Kind.HEADERS: self.headers is not None,
        }
        return frozenset(kind for kind, is_kept in kept.items() if is_kept)

    def head(self, moment: Moment | None) -> Head:
        """Return the newest block up to a moment.

        Raises
        ------
        DataError
            Nothing was known at that time, or no header is known that early.
        """
        if moment is None or moment.block >= self.newest.block:
            self._refuse_before(moment)
            return self.newest
        self._refuse_before(moment)
        known = self.blocks(moment)
        if not len(known):
            first = self.blocks(Moment(self.newest.block))
            earliest = int(first.number[0]) if len(first) else self.newest.block
            raise DataError(
                f"facts as of block {moment.block}: no header is known that early",
                next_step=f"ask as of block {earliest} or later",
            )
        return Head(moment.block, int(known.time[-1]))

    def tokens(self, moment: Moment) -> tuple[str, ...]:
        """Return the tokens that were looked at, ascending."""
        return tuple(
            token
            for token in sorted({*self.held, *self.covered})
            if self.coverage(token, moment) is not None
        )

    def coverage(self, token: str, moment: Moment) -> Coverage | None:
        """Return which blocks were looked at; None where none was."""
        found = self.covered.get(token)
        if found is None and token in self.held:
            rows = self.held[token].block
            first = int(rows[0]) if len(rows) else self.newest.block
            found = Coverage(first, self.newest.block)
        return None if found is None else found.up_to(moment.block)

    def transfers(self, token: str, moment: Moment) -> Transfers:
        """Return a token's transfers."""
        found = self.held.get(token)
        if found is None:
            return Transfers.none(token, Addresses.of([]))
        return found.up_to(moment.block)

    def calls(self, to: str | None, sender: str | None, moment: Moment) -> Calls:
        """Return transactions; None means any."""
        if self.made is None:
            return Calls.none(Addresses.of([]))
        found = self.made.up_to(moment.block)
        for address, column in ((to, "to"), (sender, "sender")):
            if address is not None:
                wanted = found.addresses.id_of(address)
                ids: NDArray[np.int32] = getattr(found, column)
                mask = np.zeros(len(ids), np.bool_) if wanted is None else np.equal(ids, wanted)
                found = found.select(mask)
        return found

    def events(
        self, contract: str | None, name: str | None, address: str | None, moment: Moment
    ) -> tuple[Event, ...]:
        """Return our own contracts' events; None means any."""
        return tuple(
            event
            for event in self.emitted or ()
            if event.block <= moment.block
            and contract in (None, event.contract)
            and name in (None, event.name)
            and address in (None, event.address)
        )

    def code(self, address: str, moment: Moment) -> bytes | None:
        """Return the newest code observed."""
        return _newest(self.codes.get(address, ()), moment.block)

    def slot(self, address: str, key: int, moment: Moment) -> int | None:
        """Return the newest value observed of a storage slot."""
        return _newest(self.slots.get((address, key), ()), moment.block)

    def reads(self, contract: str, calldata: bytes, moment: Moment) -> tuple[Read, ...]:
        """Return what a contract answered, by block."""
        found = self.answers.get((contract, calldata), ())
        return tuple(read for read in found if read.block <= moment.block)

    def blocks(self, moment: Moment) -> Blocks:
        """Return the headers that are known."""
        return self._headers.up_to(moment.block)

    def seen(self, moment: Moment) -> Seen:
        """Return all code, slots and answers; facts cut them."""
        return Seen(self.codes, self.slots, self.answers)

    @functools.cached_property
    def _headers(self) -> Blocks:
        if self.headers is not None:
            return self.headers
        columns = [(each.block, each.time) for each in self.held.values()]
        if self.made is not None:
            columns.append((self.made.block, self.made.time))
        columns.append((np.array([self.newest.block]), np.array([self.newest.time])))
        # Each is in order: of a block, its first row will do, and few rows are left to sort.
        firsts = [(block, time, np.diff(block, prepend=-1) > 0) for block, time in columns]
        number = np.concatenate([block[first] for block, _, first in firsts])
        number, at = np.unique(number, return_index=True)
        return Blocks(number, np.concatenate([time[first] for _, time, first in firsts])[at])

    def _refuse_before(self, moment: Moment | None) -> None:
        if moment is not None and moment.known_at is not None and moment.known_at < self.known_at:
            raise DataError(
                "facts", found=moment.known_at, wanted=f"{self.known_at}, when all was learnt"
            )


def joined(parts: Sequence[Memory]) -> Memory:
    """Return tables of one chain as one memory, as of the newest block of them all.

    They are exports of one moment: what one reaches, all do.

    Raises
    ------
    InputError
        A token is in two of them.
    """
    held: dict[str, Transfers] = {}
    covered: dict[str, Coverage] = {}
    newest = max((part.newest for part in parts), key=lambda head: (head.block, head.time))
    for part in parts:
        for token, rows in part.held.items():
            if token in held:
                raise InputError(
                    f"token {token}: in two tables", next_step="put its transfers into one"
                )
            held[token] = rows
            covered[token] = replace(part.covered[token], last=newest.block)
    return Memory(
        chain_id=parts[0].chain_id,
        newest=newest,
        held=dict(sorted(held.items())),
        covered=covered,
        origin=tuple(each for part in parts for each in part.origin),
    )


def _newest(seen: tuple[tuple[int, _T], ...], block: int) -> _T | None:
    return next((value for at, value in reversed(seen) if at <= block), None)
