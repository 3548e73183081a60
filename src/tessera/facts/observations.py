"""What is observed besides transfers: headers, calls, our own events, answers; and how much."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tessera.bindings import calls as bindings
from tessera.facts.addresses import Addresses
from tessera.facts.amounts import Amounts

__all__ = [
    "Blocks",
    "Calls",
    "Coverage",
    "Event",
    "Head",
    "Kind",
    "Moment",
    "Origin",
    "Read",
    "Seen",
]


class Kind(enum.StrEnum):
    """What a source may keep. What it does not keep is unknown, not nothing."""

    TRANSFERS = "transfers"
    CALLS = "calls"
    EVENTS = "events"
    CODE = "code"
    SLOTS = "slots"
    READS = "reads"
    HEADERS = "headers"
    """Headers of all blocks up to the head, not only of those in which something happened."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block whose facts are there.

    Attributes
    ----------
    block
        Its number.
    time
        Unix seconds of the newest header known up to it.
    """

    block: int
    time: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where facts come from.

    Attributes
    ----------
    what
        Name of a file, or a node.
    sha256
        Of the file, in hexadecimal; empty for what is no file.
    note
        What a reader must know of it, such as that its times are estimated; or empty.
    """

    what: str
    sha256: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """What may be seen: until the end of a block, as it was known at a time.

    Attributes
    ----------
    block
        The last block that counts.
    known_at
        Unix seconds; what was learnt after is not seen. None: all that is known by now.
    """

    block: int
    known_at: int | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which blocks of a token's history were looked at.

    Attributes
    ----------
    first, last
        The first and the last of them.
    gaps
        Stretches between that were not, each (first, last), in order.
    complete
        Whether there are no gaps and the first is no later than the token's creation. A source
        says so only where it knows; whether balances agree is for a replay to say.
    """

    first: int
    last: int
    gaps: tuple[tuple[int, int], ...] = ()
    complete: bool = False

    def up_to(self, block: int) -> Coverage | None:
        """Return what of it is no later than this block; None where nothing is."""
        if self.first > block:
            return None
        gaps = tuple((low, min(high, block)) for low, high in self.gaps if low <= block)
        last = min(self.last, block)
        if gaps and gaps[-1][1] >= last:
            last, gaps = gaps[-1][0] - 1, gaps[:-1]
        return Coverage(self.first, last, gaps, self.complete)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Headers that are known, by number.

    Attributes
    ----------
    number
        int64 of shape (n,), rising.
    time
        int64 of shape (n,): unix seconds.
    """

    number: NDArray[np.int64]
    time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.number)

    def time_of(self, block: int) -> int | None:
        """Return the time of a block; None where its header is not known."""
        at = int(np.searchsorted(self.number, block))
        found = at < len(self) and int(self.number[at]) == block
        return int(self.time[at]) if found else None

    def up_to(self, block: int) -> Blocks:
        """Return those up to this one."""
        end = int(np.searchsorted(self.number, block, side="right"))
        return Blocks(self.number[:end], self.time[:end])


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """Top-level transactions in the order of the chain.

    Attributes
    ----------
    addresses
        What the ids mean.
    block, time
        int64 of shape (n,); time in unix seconds of the header.
    index
        int32 of shape (n,): position within the block.
    hash
        uint8 of shape (n, 32).
    sender
        int32 of shape (n,): id of who signed and paid.
    to
        int32 of shape (n,): id of the recipient, `ABSENT` where a contract was created.
    value
        n amounts of the chain's own coin, in wei.
    selector
        uint32 of shape (n,): the first four bytes of the input, big-endian; 0 where it has fewer.
    ok
        Mask of shape (n,): it did not revert.
    data
        n times `bytes`, as objects: the whole input, empty where it is not kept. Left out, empty
        for all.
    """

    addresses: Addresses
    block: NDArray[np.int64]
    time: NDArray[np.int64]
    index: NDArray[np.int32]
    hash: NDArray[np.uint8]
    sender: NDArray[np.int32]
    to: NDArray[np.int32]
    value: Amounts
    selector: NDArray[np.uint32]
    ok: NDArray[np.bool_]
    data: NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, np.object_))

    def __post_init__(self) -> None:
        if not len(self.data):
            object.__setattr__(self, "data", np.full(len(self.block), b"", np.object_))

    @classmethod
    def none(cls, addresses: Addresses) -> Calls:
        """Return calls where there are none."""
        long, short = np.zeros(0, np.int64), np.zeros(0, np.int32)
        return cls(
            addresses, long, long, short, np.zeros((0, 32), np.uint8), short, short,
            Amounts.of([]), np.zeros(0, np.uint32), np.zeros(0, np.bool_),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.block)

    def select(self, chosen: NDArray[np.bool_] | slice) -> Calls:
        """Return the rows of a mask or of a slice, in the same order and with the same ids."""
        return Calls(
            self.addresses,
            self.block[chosen],
            self.time[chosen],
            self.index[chosen],
            self.hash[chosen],
            self.sender[chosen],
            self.to[chosen],
            self.value[chosen],
            self.selector[chosen],
            self.ok[chosen],
            self.data[chosen],
        )

    def up_to(self, block: int) -> Calls:
        """Return what happened until the end of this block."""
        return self.select(slice(0, int(np.searchsorted(self.block, block, side="right"))))


@dataclass(frozen=True, slots=True)
class Event:
    """An event of one of our own contracts, decoded.

    Attributes
    ----------
    block, time
        Where and when; time in unix seconds of the header.
    tx, log
        Positions of the transaction and of the log within the block.
    transaction
        Its hash, 0x-hex.
    address
        Of the contract that emitted it, lower case.
    event
        What it says, as the bindings decode it.
    """

    block: int
    time: int
    tx: int
    log: int
    transaction: str
    address: str
    event: bindings.Event

    @property
    def contract(self) -> str:
        """Name of the contract's kind, such as `Channels`."""
        return self.event.CONTRACT

    @property
    def name(self) -> str:
        """Name of the event, such as `Settled`."""
        return self.event.NAME


@dataclass(frozen=True, slots=True)
class Read:
    """What a contract answered to an `eth_call`.

    Attributes
    ----------
    block
        At the end of which it was asked.
    ok
        False where it reverted.
    answer
        What it returned, or what it reverted with.
    """

    block: int
    ok: bool
    answer: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was looked up, one by one; each list ascending by block.

    Attributes
    ----------
    codes
        (block, code) by address.
    slots
        (block, value) by (address, key).
    answers
        By (contract, calldata).
    """

    codes: Mapping[str, tuple[tuple[int, bytes], ...]]
    slots: Mapping[tuple[str, int], tuple[tuple[int, int], ...]]
    answers: Mapping[tuple[str, bytes], tuple[Read, ...]]
