"""One chain at one moment: nothing that happened later, or was learnt later, is seen.

Whoever judges a token asks `Facts` alone. What stands behind it is a `Source`: a folder of Parquet
files, an analyst's CSV, or the tables that the indexer fills. Facts cuts what a source returns at
its block once more, so that no source can show the future by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from tessera.errors import InputError, NotFound
from tessera.facts.addresses import address_bytes, address_text
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

__all__ = ["Facts", "Source"]

_K = TypeVar("_K")
_T = TypeVar("_T")


class Source(Protocol):
    """Where facts are kept. Addresses arrive lower case; rows leave in the order of the chain.

    A method that takes a moment returns what was known at `moment.known_at` (all where that is
    None) of what happened up to `moment.block`.
    """

    @property
    def chain_id(self) -> int:
        """EIP-155 number of the chain."""

    @property
    def known_at(self) -> int:
        """Unix seconds at which it last learnt something."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it keeps."""

    @property
    def origin(self) -> tuple[Origin, ...]:
        """Where it has its facts from."""

    def head(self, moment: Moment | None) -> Head:
        """Return the newest whole block up to a moment; None means now.

        Raises
        ------
        DataError
            It holds no block.
        """

    def tokens(self, moment: Moment) -> tuple[str, ...]:
        """Return the tokens whose transfers it keeps, ascending."""

    def coverage(self, token: str, moment: Moment) -> Coverage | None:
        """Return which blocks were looked at for a token; None where none was."""

    def transfers(self, token: str, moment: Moment) -> Transfers:
        """Return a token's transfers."""

    def calls(self, to: str | None, sender: str | None, moment: Moment) -> Calls:
        """Return transactions; None means any."""

    def events(
        self, contract: str | None, name: str | None, address: str | None, moment: Moment
    ) -> tuple[Event, ...]:
        """Return our own contracts' events by (block, log); None means any."""

    def code(self, address: str, moment: Moment) -> bytes | None:
        """Return the newest code observed; empty: there was none; None: nobody looked."""

    def slot(self, address: str, key: int, moment: Moment) -> int | None:
        """Return the newest value observed of a storage slot; None: nobody looked."""

    def reads(self, contract: str, calldata: bytes, moment: Moment) -> tuple[Read, ...]:
        """Return what a contract answered, by block."""

    def blocks(self, moment: Moment) -> Blocks:
        """Return the headers that are known."""

    def seen(self, moment: Moment) -> Seen:
        """Return all code, slots and answers that are kept, for whoever copies them."""


class Facts:
    """One chain as of a block, and as it was known at a time.

    Parameters
    ----------
    source
        Where the facts are kept; read when first asked for, and each token's transfers once.
    moment
        What may be seen; all that the source holds where None.

    Attributes
    ----------
    head
        The block as of which everything is answered, and its time.
    """

    def __init__(self, source: Source, moment: Moment | None = None) -> None:
        self._source = source
        self.head = source.head(moment)
        self._moment = Moment(self.head.block, None if moment is None else moment.known_at)
        self._transfers: dict[str, Transfers] = {}

    @property
    def chain_id(self) -> int:
        """EIP-155 number of the chain."""
        return self._source.chain_id

    @property
    def known_at(self) -> int:
        """Unix seconds; nothing that was learnt after is seen."""
        known_at = self._moment.known_at
        return self._source.known_at if known_at is None else known_at

    @property
    def kinds(self) -> frozenset[Kind]:
        """What was observed at all; what is missing here is unknown, however empty it looks."""
        return self._source.kinds

    @property
    def origin(self) -> tuple[Origin, ...]:
        """Where the facts come from."""
        return self._source.origin

    def as_of(self, block: int, known_at: int | None = None) -> Facts:
        """Return the same chain at an earlier moment.

        Parameters
        ----------
        block
            The last one that counts.
        known_at
            Unix seconds; None keeps what is known here.

        Raises
        ------
        InputError
            The block is after the head, or the time after what is known here: that is not
            observed yet, or was hidden on purpose.
        """
        if not 0 <= block <= self.head.block:
            raise InputError(
                "block",
                found=block,
                wanted=f"0 to {self.head.block}, the newest that is observed",
                next_step="tessera index, to observe more",
            )
        if known_at is not None and known_at > self.known_at:
            raise InputError("known at", found=known_at, wanted=f"{self.known_at} or earlier")
        kept = self._moment.known_at if known_at is None else known_at
        return Facts(self._source, Moment(block, kept))

    def tokens(self) -> tuple[str, ...]:
        """Return the tokens whose transfers are kept, lower case, ascending."""
        return self._source.tokens(self._moment)

    def coverage(self, token: str) -> Coverage:
        """Return which blocks of a token's history were looked at.

        Raises
        ------
        NotFound
            None was, up to this moment.
        """
        known = address_text(address_bytes(token))
        found = self._source.coverage(known, self._moment)
        seen = found.up_to(self.head.block) if found is not None else None
        if seen is None:
            raise NotFound.among(
                "token", known, self.tokens(), next_step="tessera index --token, to observe it"
            )
        return seen

    def transfers(self, token: str) -> Transfers:
        """Return a token's transfers up to the head.

        Raises
        ------
        NotFound
            The token was not looked at. One that was, and moved nothing, has none.
        """
        known = address_text(address_bytes(token))
        if known not in self._transfers:
            self.coverage(known)
            found = self._source.transfers(known, self._moment)
            self._transfers[known] = found.up_to(self.head.block)
        return self._transfers[known]

    def calls(self, *, to: str | None = None, sender: str | None = None) -> Calls:
        """Return top-level transactions to and from whom is named; any where None.

        None are returned where none are kept: look at `kinds` first.
        """
        found = self._source.calls(_known(to), _known(sender), self._moment)
        return found.up_to(self.head.block)

    def events(
        self, *, contract: str | None = None, name: str | None = None, address: str | None = None
    ) -> tuple[Event, ...]:
        """Return our own contracts' events in the order of the chain; of any where None.

        None are returned where none are kept: look at `kinds` first.

        Parameters
        ----------
        contract
            Name of the contract's kind, such as `Channels`.
        name
            Name of the event, such as `Settled`.
        address
            Of the contract that emitted it.
        """
        found = self._source.events(contract, name, _known(address), self._moment)
        return tuple(event for event in found if event.block <= self.head.block)

    def code(self, address: str) -> bytes | None:
        """Return the runtime code; empty: there is none; None: nobody looked."""
        return self._source.code(address_text(address_bytes(address)), self._moment)

    def slot(self, address: str, key: int) -> int | None:
        """Return what a storage slot holds; None: nobody looked."""
        return self._source.slot(address_text(address_bytes(address)), key, self._moment)

    def reads(self, contract: str, calldata: bytes) -> tuple[Read, ...]:
        """Return what a contract answered to this call, by block; empty: nobody asked."""
        known = address_text(address_bytes(contract))
        found = self._source.reads(known, calldata, self._moment)
        return tuple(read for read in found if read.block <= self.head.block)

    @property
    def blocks(self) -> Blocks:
        """Headers that are known up to the head; of all blocks where `kinds` has headers."""
        return self._source.blocks(self._moment).up_to(self.head.block)

    def seen(self) -> Seen:
        """Return all code, slots and answers that were looked up until the head."""
        found, last = self._source.seen(self._moment), self.head.block
        return Seen(
            _until(found.codes, lambda each: each[0] <= last),
            _until(found.slots, lambda each: each[0] <= last),
            _until(found.answers, lambda each: each.block <= last),
        )


def _until(
    seen: Mapping[_K, tuple[_T, ...]], is_past: Callable[[_T], bool]
) -> dict[_K, tuple[_T, ...]]:
    cut = {key: tuple(filter(is_past, each)) for key, each in seen.items()}
    return {key: each for key, each in cut.items() if each}


def _known(address: str | None) -> str | None:
    return None if address is None else address_text(address_bytes(address))
