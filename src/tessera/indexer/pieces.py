"""What was read of some blocks, and whether it fits together."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tessera.indexer.wire import (
    TRANSFER,
    BadAnswer,
    Block,
    CallRow,
    EventRow,
    Header,
    Log,
    Receipt,
    TransferRow,
    bloom_of,
    data_bytes,
    hash_bytes,
    in_bloom,
    number,
    transfer_rows,
)

__all__ = ["Piece", "Seen", "Selection", "check_block", "moved", "transfers_of", "unasked"]

_Row = TypeVar("_Row", TransferRow, CallRow, EventRow)


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a chain is read.

    Parameters
    ----------
    tokens, contracts
        Addresses, lower case, whose transfers are read, and whose logs are kept as they are.
    whole
        Everything: all blocks, transactions, transfers and events of our own contracts.
    """

    tokens: frozenset[str] = frozenset()
    contracts: frozenset[str] = frozenset()
    whole: bool = False

    @property
    def streams(self) -> tuple[str, ...]:
        """Names under which what was read is written down."""
        return (
            *(["chain"] if self.whole else []),
            *(f"token:{token}" for token in sorted(self.tokens)),
            *(f"contract:{contract}" for contract in sorted(self.contracts)),
        )

    def may_be_in(self, bloom: str) -> bool:
        """Tell whether a block with this filter may have something of it."""
        return any(in_bloom(bloom, token, TRANSFER) for token in self.tokens) or any(
            in_bloom(bloom, contract) for contract in self.contracts
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """A block that was seen; its time in unix seconds."""

    number: int
    hash: bytes
    time: int

    @classmethod
    def of(cls, header: Header) -> Seen:
        """Read a head.

        Raises
        ------
        BadAnswer
            It is malformed.
        """
        return cls(number(header.number), hash_bytes(header.hash), number(header.timestamp))


@dataclass(slots=True)
class Piece:
    """What was read of some blocks: all of what was asked for.

    Attributes
    ----------
    first, last
        Blocks, both included.
    parent
        Hash of the block before the first.
    blocks
        Those that were seen, by number; the last one always.
    """

    first: int
    last: int
    parent: bytes
    blocks: dict[int, Seen] = field(default_factory=dict)
    transfers: list[TransferRow] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How much it is."""
        return len(self.transfers) + len(self.calls) + len(self.events)

    def see(self, seen: Seen, node: str) -> None:
        """Note a block.

        Raises
        ------
        BadAnswer
            Another one with this number was seen.
        """
        if self.blocks.setdefault(seen.number, seen).hash != seen.hash:
            raise moved(seen.number, node)

    def put_in_order(self, node: str) -> None:
        """Sort what was read as the chain has it.

        Raises
        ------
        BadAnswer
            Something is there twice, or a block was before an earlier one.
        """
        seen = [self.blocks[at] for at in sorted(self.blocks)]
        for former, latter in itertools.pairwise(seen):
            if latter.time < former.time:
                raise BadAnswer(
                    f"node {node}: time of block {latter.number}",
                    found=latter.time,
                    wanted=f"{former.time} or later, as the block before it",
                    next_step="name another node with --rpc",
                )
        self.transfers = _ascending(self.transfers, 1, 2, node)
        self.calls = _ascending(self.calls, 0, 1, node)
        self.events = _ascending(self.events, 0, 1, node)

    def forget_empty(self) -> None:
        """Keep only the blocks in which something is, and the last."""
        used = {row.block for row in self.transfers} | {row.block for row in self.calls}
        used |= {row.block for row in self.events} | {self.last}
        self.blocks = {at: seen for at, seen in self.blocks.items() if at in used}

    def join(self, behind: Piece) -> Piece:
        """Append the piece that follows, and return this one."""
        self.last = behind.last
        self.blocks |= behind.blocks
        self.transfers += behind.transfers
        self.calls += behind.calls
        self.events += behind.events
        return self


def transfers_of(logs: Sequence[Log], wanted: Iterable[str], piece: Piece) -> list[TransferRow]:
    """Return the transfers that logs are, those of these tokens and blocks.

    Raises
    ------
    BadAnswer
        A log was not asked for: of another contract, another block, or taken back.
    """
    rows = transfer_rows(logs)
    tokens = {bytes.fromhex(token[2:]) for token in wanted}
    if (
        not {row.token for row in rows} <= tokens
        or any(log.removed for log in logs)
        or not all(piece.first <= row.block <= piece.last for row in rows)
    ):
        raise unasked(piece)
    return rows


def unasked(piece: Piece) -> BadAnswer:
    """Return the refusal of logs that nobody asked for."""
    return BadAnswer(
        f"logs of blocks {piece.first} to {piece.last}",
        found="some of other contracts or blocks, or taken back",
        wanted="those that were asked for",
        next_step="name another node with --rpc",
    )


def check_block(block: Block, receipts: Sequence[Receipt], node: str) -> None:
    """Hold a block's receipts against it: one for each transaction, and the logs of its filter.

    Raises
    ------
    BadAnswer
        They are of another block, or logs are left out or made up.
    """
    hashes = [made.hash for made in block.transactions]
    if [receipt.transaction_hash for receipt in receipts] != hashes or any(
        receipt.block_hash != block.hash for receipt in receipts
    ):
        raise moved(number(block.number), node)
    logs = [log for receipt in receipts for log in receipt.logs]
    if any(log.block_hash != block.hash or log.removed for log in logs):
        raise moved(number(block.number), node)
    if bloom_of(logs) != data_bytes(block.logs_bloom):
        raise BadAnswer(
            f"node {node}: block {number(block.number)}",
            found=f"{len(logs)} logs that are not those of its filter",
            wanted="all logs of the block, and no others",
            next_step="name another node with --rpc",
        )


def moved(block: int, node: str) -> BadAnswer:
    """Return the refusal of what is of two forks at once."""
    return BadAnswer(
        f"node {node}: block {block}",
        found="another block than a moment ago, or another number of logs",
        wanted="one and the same while it is read",
        next_step="the chain may have moved: run it again; or name another node with --rpc",
    )


def _ascending(rows: list[_Row], block: int, place: int, node: str) -> list[_Row]:
    where = operator.itemgetter(block, place)
    places = list(map(where, rows))
    if all(map(operator.lt, places, places[1:])):
        return rows
    ordered = sorted(rows, key=where)
    for former, latter in itertools.pairwise(map(where, ordered)):
        if former == latter:
            raise BadAnswer(
                f"node {node}",
                found=f"two at place {former[1]} of block {former[0]}",
                wanted="one log or transaction at each place",
                next_step="name another node with --rpc",
            )
    return ordered
