"""How much of an asset its payers have locked, as the gateway's queues want to know it: at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final

from tessera.bindings import Governor
from tessera.chain.reader import ChainReader
from tessera.errors import TesseraError
from tessera.spec.signatures import Address, address_text

__all__ = ["Locked", "LockedShares", "read_from"]

_AT_ONCE: Final = 8
_MOST_KNOWN: Final = 65_536

_log = logging.getLogger("tessera.stakes")


@dataclass(frozen=True, slots=True)
class Locked:
    """Raw shares of an asset that an account has locked, and all that there are."""

    amount: int
    supply: int

    @property
    def part(self) -> float:
        """The locked part of the supply, 0 to 1."""
        return self.amount / self.supply if self.supply else 0.0


ReadLocked = Callable[[int, bytes], Awaitable[Locked]]
"""Asks the chain how much of an asset's shares an account has locked."""

_NOTHING: Final = Locked(0, 0)


def read_from(
    reader: ChainReader, governor: Governor, supply_of: Callable[[int], int]
) -> ReadLocked:
    """Return what asks the Governor.

    Parameters
    ----------
    supply_of
        All raw shares of an asset, which never change; 0 where it has none.
    """

    async def read(asset: int, account: bytes) -> Locked:
        supply = supply_of(asset)
        if supply == 0:
            return _NOTHING
        holder = address_text(Address(account))
        return Locked(await reader.read(governor.locked_of(asset, holder)), supply)

    return read


class LockedShares:
    """Remembers what is locked, and looks it up again behind the caller's back.

    Parameters
    ----------
    read
        Asks the chain.
    clock
        Seconds that never go back.
    fresh_s
        How old an answer may be before it is looked up again.

    Notes
    -----
    In a queue an account that was never looked up counts as without shares, for as long as one
    read takes; and while the chain does not answer, what was known counts on, since nothing can be
    unlocked meanwhile. Where money is decided (`amount`), nothing that is not fresh counts.
    """

    def __init__(
        self, read: ReadLocked, clock: Callable[[], float], *, fresh_s: float = 5.0
    ) -> None:
        self._read = read
        self._clock = clock
        self._fresh_s = fresh_s
        self._known: dict[tuple[int, bytes], tuple[Locked, float]] = {}
        self._reading: dict[tuple[int, bytes], asyncio.Task[Locked]] = {}
        self._failing = False

    def locked(self, asset: int, payer: Hashable) -> float:
        """Return the part that was locked when it was last looked up; 0 where that never was."""
        if not isinstance(payer, bytes):
            # Who calls for nothing is nobody in particular.
            return 0.0
        known, fresh = self._remembered(asset, payer)
        # Beyond a few at once its next call asks again.
        if not fresh and len(self._reading) < _AT_ONCE:
            self._look_up((asset, payer))
        return known.part

    async def amount(self, asset: int, payer: Hashable) -> int:
        """Return the raw shares that are locked, no older than `fresh_s`.

        Raises
        ------
        ChainError
            The chain had to be asked, and does not answer.
        """
        if not isinstance(payer, bytes):
            return 0
        known, fresh = self._remembered(asset, payer)
        if not fresh:
            known = await asyncio.shield(self._look_up((asset, payer)))
        return known.amount

    async def close(self) -> None:
        """End the reads under way."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _remembered(self, asset: int, payer: bytes) -> tuple[Locked, bool]:
        known, read_at = self._known.get((asset, payer), (_NOTHING, float("-inf")))
        return known, self._clock() - read_at <= self._fresh_s

    def _look_up(self, key: tuple[int, bytes]) -> asyncio.Task[Locked]:
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda done: self._heard(key, done))
        return task

    async def _ask(self, key: tuple[int, bytes]) -> Locked:
        found = await self._read(*key)
        # Behind all others: the first to be forgotten was looked up longest ago.
        self._known.pop(key, None)
        self._known[key] = (found, self._clock())
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return found

    def _heard(self, key: tuple[int, bytes], done: asyncio.Task[Locked]) -> None:
        self._reading.pop(key, None)
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, TesseraError) and not self._failing:
            _log.warning("locked shares stay as they were known: %s", error.message)
        elif error is not None and not isinstance(error, TesseraError):
            _log.error("locked shares cannot be read", exc_info=error)
        self._failing = error is not None
