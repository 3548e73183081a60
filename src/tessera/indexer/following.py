"""Following a chain: what is missing is read, what the chain took back is taken back, for ever.

Nothing is remembered but what is written down, so an end at any moment, kill -9 included, costs the
pieces that were on their way and no more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tessera.errors import ChainError, InputError, ReorgDetected
from tessera.indexer.book import Book, Range, merged, without
from tessera.indexer.fetching import Fetcher
from tessera.indexer.nodes import HistoryMissing, TooMuchAsked
from tessera.indexer.pieces import Piece, Seen, Selection, moved
from tessera.indexer.spans import Span
from tessera.indexer.wire import hash_bytes, number

__all__ = ["UNSETTLED", "Indexer", "Outcome"]

UNSETTLED: Final = 64
"""Blocks below the head that may be replaced while they are read; each is held against its hash."""

_AHEAD: Final = 6
_DEEPEST: Final = 4_096
_MOST_RESTARTS: Final = 8

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What catching up did.

    Attributes
    ----------
    head
        Block up to which everything that was asked for is there.
    blocks
        That were read now.
    rows
        Transfers, calls and events in them.
    taken_back
        Blocks that the chain had replaced.
    behind
        Blocks that the nodes lack of what is there already: they lag.
    """

    head: int
    blocks: int = 0
    rows: int = 0
    taken_back: int = 0
    behind: int = 0


class Indexer:
    """Brings one chain's facts up to date.

    Parameters
    ----------
    fetcher
        Reads pieces.
    book
        Keeps them; whatever it covers is not read again.
    chosen
        What is read.
    chain_id
        The nodes' chain.
    first
        The first block that is read; where None, that of each contract's creation, and 0 of a whole
        chain.
    last
        The last one; the head where None.
    report
        Hears of blocks done and of all.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        book: Book,
        chosen: Selection,
        *,
        chain_id: int,
        first: int | None = None,
        last: int | None = None,
        report: Report = lambda _done, _total: None,
    ) -> None:
        self._fetcher = fetcher
        self._book = book
        self._chosen = chosen
        self._chain_id = chain_id
        self._first = first
        self._last = last
        self._report = report
        self._begun = False
        if chosen.whole:
            self._span = Span(10, rows=2_000, most=50)
        else:
            self._span = Span(20, rows=5_000, most=50_000)

    async def catch_up(self) -> Outcome:
        """Read all that is missing up to the head.

        Raises
        ------
        ReorgDetected
            The chain moves faster than it can be read, or deeper than anything should.
        HistoryMissing
            No node goes back as far as is needed.
        InputError
            The facts are of another chain; or there is no contract at an address.
        ChainError, DataError
            As the fetcher and the book.
        """
        if not self._begun:
            (genesis,) = await self._fetcher.headers([0])
            self._book.begin(self._chain_id, hash_bytes(genesis.hash) if genesis else None)
            self._begun = True
        taken_back = blocks = rows = 0
        for _ in range(_MOST_RESTARTS):
            head = number((await self._fetcher.head()).number)
            gone, behind = await self._reconciled(head)
            taken_back += gone
            end = head if self._last is None else min(head, self._last)
            try:
                for chosen, stretches in await self._missing(end):
                    read = await self._read(chosen, stretches, head)
                    blocks, rows = blocks + read[0], rows + read[1]
            except ReorgDetected:
                # It moved while it was read: what was committed links; the rest is read again.
                continue
            return Outcome(end, blocks, rows, taken_back, behind)
        raise ReorgDetected(
            "chain",
            found=f"moved {_MOST_RESTARTS} times while it was read",
            wanted="blocks that stay for some seconds",
            next_step="try again later, or name one node only with --rpc: several may not agree",
        )

    # --- What the chain took back ----------------------------------------------------------------

    async def _reconciled(self, head: int) -> tuple[int, int]:
        """Find the last common block, and take back what is above it.

        A node that merely lags lacks the last blocks and has the ones before: then nothing is
        taken back.
        """
        newest = self._book.seen_up_to(None, 1)
        if not newest:
            return 0, 0
        behind = max(0, newest[0].number - head)
        count, below = 1, min(newest[0].number, head)
        lowest_wrong: Seen | None = None
        while rows := self._book.seen_up_to(below, count):
            headers = await self._fetcher.headers([row.number for row in rows])
            for row, header in zip(rows, headers, strict=True):
                if header is None:
                    raise HistoryMissing(
                        f"block {row.number}",
                        found="no node that has it",
                        wanted="one, to know whether the chain was reorganized",
                        next_step="name a node with more history with --rpc",
                    )
                if hash_bytes(header.hash) == row.hash:
                    return (self._take_back(row.number) if lowest_wrong else 0), behind
                lowest_wrong = row
            below, count = rows[-1].number - 1, min(256, count * 8)
            if head - below > _DEEPEST:
                break
        raise ReorgDetected(
            "chain",
            found=f"other blocks than were read, {_DEEPEST} deep and more or all of them",
            wanted="a reorganization of fewer",
            next_step="the node is of another chain or lies: name another with --rpc, "
            "or keep other facts: --facts FILE",
        )

    def _take_back(self, fork: int) -> int:
        self._fetcher.forget()
        return self._book.take_back(fork)

    # --- What is missing -------------------------------------------------------------------------

    async def _missing(self, end: int) -> list[tuple[Selection, list[Range]]]:
        """Return what is to be read: stretches, by what of them lacks."""
        whole = self._book.covered("chain")
        lacking: dict[str, list[Range]] = {}
        for stream in self._chosen.streams:
            first = await self._start(stream, end)
            covered = self._book.covered(stream)
            if stream.startswith("token:"):
                covered = merged([*covered, *whole])
            lacking[stream] = without(first, end, covered)
        edges = sorted(
            {
                edge
                for ranges in lacking.values()
                for low, high in ranges
                for edge in (low, high + 1)
            }
        )
        found: dict[Selection, list[Range]] = {}
        for low, high in itertools.pairwise(edges):
            streams = [
                stream
                for stream, ranges in lacking.items()
                if any(first <= low <= last for first, last in ranges)
            ]
            if streams:
                found.setdefault(_selection(streams), []).append((low, high - 1))
        return [(part, merged(found[chosen])) for chosen in found for part in _parts(chosen)]

    async def _start(self, stream: str, end: int) -> int:
        kind, _, address = stream.partition(":")
        if kind == "chain":
            return self._first or 0
        known = self._book.creation(address) if kind == "token" else None
        if known is None:
            known = await self._created(address, end)
            if kind == "token" and known is not None:
                self._book.note_creation(address, known)
        return self._first if self._first is not None else (known or 0)

    async def _created(self, address: str, end: int) -> int | None:
        """Return the first block with code at an address; None where a given start makes do."""
        if not await self._fetcher.has_code(address, end):
            raise InputError(
                f"contract {address}",
                found=f"no code at block {end}",
                wanted="a contract on this chain",
                next_step="check the address and the chain",
            )
        low, high = 0, end
        try:
            while low < high:
                middle = (low + high) // 2
                if await self._fetcher.has_code(address, middle):
                    high = middle
                else:
                    low = middle + 1
        except HistoryMissing:
            if self._first is None:
                raise
            # Whether its history is whole will not be known.
            return None
        return high

    # --- Reading ---------------------------------------------------------------------------------

    async def _read(
        self, chosen: Selection, stretches: Sequence[Range], head: int
    ) -> tuple[int, int]:
        """Read stretches, some pieces ahead of the one that is written."""
        total = sum(last - first + 1 for first, last in stretches)
        plan = deque(stretches)
        ahead: deque[asyncio.Task[Piece]] = deque()
        done = rows = 0
        try:
            while plan or ahead:
                while plan and len(ahead) < _AHEAD:
                    first, last = plan.popleft()
                    stop, settled = self._stop(first, last, head)
                    if stop < last:
                        plan.appendleft((stop + 1, last))
                    piece = self._whole_piece(chosen, first, stop, settled=settled)
                    ahead.append(asyncio.create_task(piece))
                read = await ahead.popleft()
                # In this thread: another one would wait for the interpreter at every row.
                self._book.add(read, chosen.streams)
                done, rows = done + read.last - read.first + 1, rows + read.rows
                self._report(done, total)
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)
        return done, rows

    def _stop(self, first: int, last: int, head: int) -> tuple[int, bool]:
        settled = head - UNSETTLED
        if first > settled:
            return min(last, first + min(self._span.blocks, UNSETTLED) - 1), False
        return min(last, first + self._span.blocks - 1, settled), True

    async def _whole_piece(
        self, chosen: Selection, first: int, last: int, *, settled: bool
    ) -> Piece:
        """Read a piece, in halves where it is too much at once."""
        blocks = last - first + 1
        try:
            piece = await self._fetcher.piece(chosen, first, last, settled=settled)
        except TooMuchAsked as error:
            if blocks == 1:
                raise ChainError(
                    f"block {first}",
                    found=str(error),
                    wanted="a node that answers for one block",
                    next_step="name another with --rpc",
                ) from error
            self._span.refused(blocks)
            middle = first + blocks // 2
            left = await self._whole_piece(chosen, first, middle - 1, settled=settled)
            right = await self._whole_piece(chosen, middle, last, settled=settled)
            if left.blocks[left.last].hash != right.parent:
                raise moved(middle, "asked twice") from error
            return left.join(right)
        if settled:
            self._span.answered(blocks, piece.rows)
        return piece


def _selection(streams: Sequence[str]) -> Selection:
    chosen = Selection()
    for stream in streams:
        kind, _, address = stream.partition(":")
        if kind == "chain":
            chosen = replace(chosen, whole=True)
        elif kind == "token":
            chosen = replace(chosen, tokens=chosen.tokens | {address})
        else:
            chosen = replace(chosen, contracts=chosen.contracts | {address})
    return chosen


def _parts(chosen: Selection) -> list[Selection]:
    """Return a selection that one request cannot read as several."""
    if not chosen.whole:
        return [chosen]
    rest = replace(chosen, whole=False, tokens=frozenset())
    return [Selection(whole=True), *([rest] if rest.contracts else [])]
