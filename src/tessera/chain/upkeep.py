"""Keeps one node process alive: replaces it when it is lost, and has its readers wait meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tessera.chain.anvil import LaunchFailed
from tessera.chain.ipc import IpcLost, IpcTimeout
from tessera.chain.replica import ReplayInterrupted, Replica
from tessera.errors import RpcUnavailable, TesseraError

__all__ = ["Upkeep"]

_ATTEMPTS: Final = 10
_ATTEMPTS_WITHOUT_CAUSE: Final = 4
_PAUSE_S: Final = 0.02
_CRASHES_OF_A_POISONED_BLOCK: Final = 3
_WAIT_S: Final = 60.0
# A process that ended is noticed a moment after its connections broke.
_LOSSES_BY_A_RUNNING_NODE: Final = 5

_log = logging.getLogger("tessera.chain.node")
_Result = TypeVar("_Result")


class Upkeep:
    """The current node process of a chain, whichever that is.

    Parameters
    ----------
    boot
        Makes a node with the journal's history.
    withdraw
        Asked when a block crashed the node in several replays: takes its record back and returns
        True, or returns False where it was ever made.
    on_loss
        Called when the process has ended, whoever notices.

    Attributes
    ----------
    replica
        The node; None while it is being replaced.
    restarts
        How often it was replaced.
    failure
        Why there will be no other; set by `give_up`.
    """

    def __init__(
        self,
        *,
        boot: Callable[[], Awaitable[Replica]],
        withdraw: Callable[[int], Awaitable[bool]],
        on_loss: Callable[[], None],
    ) -> None:
        self._boot = boot
        self._withdraw = withdraw
        self._on_loss = on_loss
        self._ready = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._begun = False
        self.replica: Replica | None = None
        self.restarts = 0
        self.failure: TesseraError | None = None

    async def renew(self, look: Callable[[Replica], Awaitable[_Result]]) -> _Result:
        """Replace the node, and return what `look` finds out about the new one.

        Readers go on only after `look` is done; it may run several times, where the new node is
        lost as well.

        Raises
        ------
        LaunchFailed, ReplayInterrupted, IpcLost
            No node stayed up, in several attempts.
        HistoryDiverged, DataError
            As `Replica.boot`.
        """
        self.restarts += self._begun
        self._begun = True
        attempt = crashes = 0
        while True:
            await self.drop()
            try:
                replica = self.replica = await self._boot()
                found = await look(replica)
            except (LaunchFailed, ReplayInterrupted, IpcLost) as error:
                attempt += 1
                _log.warning("node start %d failed: %s", attempt, error)
                withdrawn = False
                if isinstance(error, ReplayInterrupted) and error.crashed:
                    crashes += 1
                    if crashes == _CRASHES_OF_A_POISONED_BLOCK:
                        withdrawn = await self._withdraw(error.number)
                most = _ATTEMPTS if _killed(error) else _ATTEMPTS_WITHOUT_CAUSE
                if attempt >= most and not withdrawn:
                    raise
                await asyncio.sleep(_PAUSE_S * 2**attempt)
            else:
                break
        self._watcher = asyncio.create_task(self._watch(replica), name="tessera-node-watch")
        self._ready.set()
        return found

    async def ask(self, question: Callable[[Replica], Awaitable[_Result]]) -> _Result:
        """Put a question that changes nothing, to the next node again where one is lost over it.

        Raises
        ------
        RpcUnavailable
            No node answered in time, or there is none any more.
        """
        deadline = time.monotonic() + _WAIT_S
        losses = 0
        while True:
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self._ready.wait()
            except TimeoutError:
                raise RpcUnavailable(
                    "embedded node: still restarting", next_step="ask again in a few seconds"
                ) from None
            if self.failure is not None:
                raise self.failure
            replica = self.replica
            if replica is not None:
                try:
                    return await question(replica)
                except IpcTimeout:
                    raise
                except IpcLost:
                    losses += replica.process.running
                    if losses == _LOSSES_BY_A_RUNNING_NODE or time.monotonic() > deadline:
                        raise
            await asyncio.sleep(_PAUSE_S)

    async def drop(self) -> None:
        """End the node, if there is one; readers wait from now on."""
        if self.failure is None:
            self._ready.clear()
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        if self.replica is not None:
            replica, self.replica = self.replica, None
            await replica.end()

    def give_up(self, failure: TesseraError) -> None:
        """Answer all questions with `failure` from now on."""
        if self.failure is None:
            self.failure = failure
        self._ready.set()

    async def _watch(self, replica: Replica) -> None:
        await replica.process.wait()
        if self.failure is None:
            self._ready.clear()
        self._on_loss()


def _killed(error: LaunchFailed | ReplayInterrupted | IpcLost) -> bool:
    match error:
        case LaunchFailed():
            return error.killed
        case ReplayInterrupted():
            return not error.crashed
        case _:
            return True
