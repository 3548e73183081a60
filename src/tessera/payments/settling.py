"""One settlement from its plan until it is final, written down at each step.

    PLANNED -> SENT -> MINED -> FINAL
                 ^       |
                 +-------+  its block was replaced; it is sent again as it was
    PLANNED -> REFUSED      the contract reverts: the batch is halved and planned anew
    SENT    -> GIVEN_UP     another transaction took its nonce, or nobody knows it any more

Vouchers are cumulative, so a plan that is sent twice settles nothing twice, and one that is lost is
planned anew from what the chain says. That is why no step holds a channel: calls are answered on it
throughout, and what is settled but not final stays at stake until it is.

Claims of x402 channels go the same way. A channel is a number here; theirs have 256 bits.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, func, select

from tessera.errors import ChainError, Conflict, NotFinal, TransactionReverted
from tessera.payments.books import Change
from tessera.payments.ports import SentSettlement, SettleResult
from tessera.payments.times import Times
from tessera.storage import schema

__all__ = ["Kind", "OpenSettlement", "Settlements", "State"]

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_LOOK_S: Final = 0.05
_LOOK_MOST_S: Final = 1.0


class Kind(enum.IntEnum):
    """Whose channels; as the books keep it."""

    OURS = 0
    X402 = 1


class State(enum.IntEnum):
    """How far a settlement is; as the books keep it."""

    PLANNED = 0
    SENT = 1
    MINED = 2
    FINAL = 3
    REFUSED = 4
    GIVEN_UP = 5


_OPEN: Final = (State.PLANNED, State.SENT, State.MINED)
_WORD_BYTES: Final = 32


class SettledChain(Protocol):
    """Where it is seen what became of settlements; `SettlingChain` is such."""

    async def find(self, hashes: Sequence[str]) -> tuple[SettleResult, int] | None:
        """As `SettlingChain.find`."""


class SettlementBooks(Protocol):
    """Where settlements are written down; `Ledger` is such."""

    @property
    def times(self) -> Times:
        """The clocks."""

    async def keep(self, *changes: Change) -> None:
        """Write rows, and wait until they are on the disk."""

    async def look_up(self, query: Callable[[Connection], Result]) -> Result:
        """Read rows."""

    async def look_at_chain(self, channels: Sequence[int]) -> object:
        """Read channels anew, and believe the chain."""

    def set_unfinal(self, channel: int, amount: int) -> None:
        """Learn how much of what the chain has of a channel is not final."""


@dataclass(slots=True)
class OpenSettlement:
    """A settlement that is not final.

    Attributes
    ----------
    n
        Its number in the books.
    state
        How far it is.
    channels
        Whose vouchers it has.
    value
        What it was to bring, base units.
    fee_ceiling
        Wei per gas that it never offers more than; None for no limit.
    result
        What it did, while a block has it.
    hashes
        Of all that was signed for it.
    nonce, sent
        Of the operator's account, and who sends it: nobody, where an earlier process did.
    reason
        Why it ended without being final.
    began_at
        When it was sent or lost its block, steady seconds.
    lost
        Whether the books were told that no block has it.
    """

    n: int
    state: State
    channels: tuple[int, ...]
    value: int
    fee_ceiling: int | None = None
    result: SettleResult | None = None
    hashes: tuple[str, ...] = ()
    nonce: int | None = None
    sent: SentSettlement | None = None
    reason: str = ""
    began_at: float = 0.0
    lost: bool = False


class Settlements:
    """Sends settlements of one operator and one kind of channels, and follows them.

    Parameters
    ----------
    books
        Where they are written down.
    chain
        Where they are looked for.
    kind
        Of whose channels they are.
    confirmations
        Blocks on top before one is final; 0 where blocks are never replaced.
    patience_s
        How long to wait for a block; from then on `watch` looks for it.
    forget_s
        How long a transaction of an earlier process may be unknown to the node.
    sleep
        How to wait for a block.
    """

    def __init__(
        self,
        books: SettlementBooks,
        chain: SettledChain,
        *,
        kind: Kind = Kind.OURS,
        confirmations: int = 0,
        patience_s: float = 60.0,
        forget_s: float = 600.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._books = books
        self._chain = chain
        self._kind = kind
        self._beside: list[Settlements] = []
        self._confirmations = confirmations
        self._patience_s = patience_s
        self._forget_s = forget_s
        self._sleep = sleep
        self._open: dict[int, OpenSettlement] = {}
        self._next = 0

    def share_account_with(self, other: Settlements) -> None:
        """Learn of settlements that the same account sends: those before wait for none behind."""
        self._beside.append(other)
        other._beside.append(self)

    @property
    def open(self) -> tuple[OpenSettlement, ...]:
        """Those that are not final, oldest first."""
        return tuple(self._open.values())

    @property
    def waiting(self) -> frozenset[int]:
        """Channels with a settlement on its way that no block has."""
        return frozenset(
            channel
            for found in self._open.values()
            if found.state is State.SENT
            for channel in found.channels
        )

    async def recover(self) -> None:
        """Take up what an earlier process left; what it only planned was never sent.

        Done by the first that settles or watches: of several gateways only one does.

        Raises
        ------
        ChainError
            The chain does not say how its channels stand.
        """
        if self._next:
            return
        rows, self._next = await self._books.look_up(lambda reading: _load(reading, self._kind))
        for found in rows:
            self._open[found.n] = found
            found.began_at = self._books.times.steady()
            if found.state is State.PLANNED:
                await self._end(found, State.GIVEN_UP, "the process ended before it was sent")
            else:
                # Whatever became of it meanwhile: it is in no block until one is seen to have it.
                found.state, found.lost = State.SENT, True
        await self.watch()

    async def settle(
        self,
        submit: Callable[[int | None], Awaitable[SentSettlement]],
        channels: Sequence[int],
        value: int,
        fee_ceiling: int | None = None,
    ) -> SettleResult:
        """Send a batch, and wait until a block has it.

        Parameters
        ----------
        submit
            Sends it, offering no more than so many wei per gas.
        channels, value
            Whose vouchers they are, and what they are to bring.
        fee_ceiling
            Wei per gas that it must not offer more than.

        Raises
        ------
        TransactionReverted
            The contract does not take the batch.
        NotFinal
            No block has it in time. It is on its way all the same, and `watch` follows it.
        ChainError
            The chain cannot be reached, or another transaction took its nonce.
        """
        await self.recover()
        found = OpenSettlement(
            self._next, State.PLANNED, tuple(channels), value, fee_ceiling=fee_ceiling
        )
        # The kinds share a table: each goes on by its own numbers.
        self._next += len(Kind)
        found.began_at = self._books.times.steady()
        self._open[found.n] = found
        await self._keep(found)
        for settlements in (self, *self._beside):
            for other in settlements.open:
                # This one waits behind them in the account's order; its haste is theirs.
                if other.sent is not None:
                    other.sent.raise_ceiling(fee_ceiling)
        try:
            found.sent = await submit(fee_ceiling)
        except TransactionReverted as error:
            await self._end(found, State.REFUSED, error.reason)
            raise
        except BaseException as error:
            await self._end(found, State.GIVEN_UP, str(error) or type(error).__name__)
            raise
        found.state = State.SENT
        found.nonce, found.hashes = found.sent.nonce, tuple(found.sent.hashes)
        await self._keep(found)
        return await self._included(found)

    async def watch(self) -> None:
        """Look at everything that is not final.

        Raises
        ------
        ChainError
            The chain does not answer.
        """
        await self.recover()
        for found in list(self._open.values()):
            # What is only planned belongs to whoever is sending it.
            if found.state is not State.PLANNED:
                await self._look(found)

    async def _included(self, found: OpenSettlement) -> SettleResult:
        pause_s = _LOOK_S
        deadline = self._books.times.steady() + self._patience_s
        while True:
            await self._look(found)
            if found.result is not None:
                return found.result
            if found.state is State.REFUSED:
                raise TransactionReverted("Channels", found.reason, found.hashes[-1])
            if found.state is State.GIVEN_UP:
                raise Conflict(
                    f"settlement {found.n}",
                    found=found.reason,
                    wanted="a block that has it",
                    next_step="what it was to settle is planned anew",
                )
            if self._books.times.steady() > deadline:
                raise NotFinal(
                    f"settlement {found.n} (transaction {found.hashes[-1]})",
                    found=f"in no block after {self._patience_s:.0f} s",
                    wanted="a block that has it",
                    next_step="it is on its way; what gas costs may be above what it offers",
                )
            await self._sleep(pause_s)
            pause_s = min(_LOOK_MOST_S, pause_s * 1.5)

    async def _look(self, found: OpenSettlement) -> None:
        """Move a settlement that was sent to where the chain has it."""
        if found.sent is not None:
            found.nonce, found.hashes = found.sent.nonce, tuple(found.sent.hashes)
        try:
            seen = await self._chain.find(found.hashes)
        except TransactionReverted as error:
            await self._end(found, State.REFUSED, error.reason or "reverted in its block")
            return
        if seen is None:
            await self._not_there(found)
            return
        result, depth = seen
        before = found.result
        if before is None or before.block_hash != result.block_hash:
            if before is not None:
                logger.warning(
                    "settlement %d moved to another block: the chain was reorganised", found.n
                )
            found.state, found.result = State.MINED, result
            found.hashes = (*(h for h in found.hashes if h != result.tx_hash), result.tx_hash)
            await self._keep(found)
            self._count_unfinal(found.channels)
            if found.lost or before is not None:
                found.lost = False
                await self._books.look_at_chain(found.channels)
        if depth >= self._confirmations:
            await self._end(found, State.FINAL, "")

    async def _not_there(self, found: OpenSettlement) -> None:
        if found.result is not None:
            logger.warning(
                "settlement %d is in no block any more: the chain was reorganised", found.n
            )
            found.state, found.result, found.lost = State.SENT, None, True
            found.began_at = self._books.times.steady()
            await self._keep(found)
            self._count_unfinal(found.channels)
            # What it had settled is due again until a block has it.
            await self._books.look_at_chain(found.channels)
        if found.sent is None:
            if self._books.times.steady() - found.began_at > self._forget_s:
                await self._end(found, State.GIVEN_UP, "no block has it, and nobody sends it")
        elif found.sent.failure is not None:
            await self._end(found, State.GIVEN_UP, str(found.sent.failure))

    async def _end(self, found: OpenSettlement, state: State, reason: str) -> None:
        found.state, found.reason = state, reason
        self._open.pop(found.n, None)
        await self._keep(found)
        self._count_unfinal(found.channels)
        if state is State.GIVEN_UP:
            logger.warning("settlement %d was given up: %s", found.n, reason)
            try:
                await self._books.look_at_chain(found.channels)
            except ChainError as error:
                logger.warning("its channels could not be looked at: %s", error)

    def _count_unfinal(self, channels: Sequence[int]) -> None:
        wanted = frozenset(channels)
        sums = dict.fromkeys(wanted, 0)
        for other in self._open.values():
            if other.state is State.MINED and other.result is not None:
                for channel, amount in other.result.taken:
                    if channel in wanted:
                        sums[channel] += amount
        for channel, amount in sums.items():
            self._books.set_unfinal(channel, amount)

    async def _keep(self, found: OpenSettlement) -> None:
        await self._books.keep(_change(found, self._kind, self._books.times.stamp()))


class _Body(msgspec.Struct, array_like=True):
    channels: tuple[int | bytes, ...]
    hashes: tuple[str, ...]


def _change(found: OpenSettlement, kind: Kind, now: int) -> Change:
    result = found.result
    row: dict[str, Any] = {
        "n": found.n,
        "kind": int(kind),
        "state": int(found.state),
        "nonce": found.nonce,
        "tx": found.hashes[-1] if found.hashes else "",
        "block": None if result is None else result.block,
        "block_hash": None
        if result is None
        else bytes.fromhex(result.block_hash.removeprefix("0x")),
        "fee": found.fee_ceiling or 0,
        "value": found.value,
        "body": msgspec.msgpack.encode(
            _Body(tuple(_written(channel) for channel in found.channels), found.hashes)
        ),
        "reason": found.reason,
        "time": now,
    }
    return schema.claims, row


def _written(channel: int) -> int | bytes:
    # MessagePack has no integers beyond 64 bits.
    return channel if channel < 2**64 else channel.to_bytes(_WORD_BYTES, "big")


def _read(channel: int | bytes) -> int:
    return channel if isinstance(channel, int) else int.from_bytes(channel, "big")


def _load(connection: Connection, kind: Kind) -> tuple[list[OpenSettlement], int]:
    """Read what is not final, and the next free number of a kind."""
    at = schema.claims.c
    query = (
        select(schema.claims)
        .where(at.kind == int(kind), at.state.in_([int(state) for state in _OPEN]))
        .order_by(at.n)
    )
    found = []
    for row in connection.execute(query):
        body = msgspec.msgpack.decode(row.body, type=_Body)
        found.append(
            OpenSettlement(
                row.n,
                State(row.state),
                tuple(_read(channel) for channel in body.channels),
                row.value,
                fee_ceiling=row.fee or None,
                hashes=body.hashes,
                nonce=row.nonce,
            )
        )
    last = connection.execute(select(func.max(at.n))).scalar_one_or_none() or 0
    return found, last + 1 + (int(kind) - last - 1) % len(Kind)
