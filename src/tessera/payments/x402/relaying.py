"""Sending for others at one's own expense: once for each thing asked, and within bounds.

Whoever relays pays the gas of strangers. So gas is counted in a budget by the hour, and requests by
party (`rates`); and what was asked again is answered with what came of it the first time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from tessera.bindings.calls import Call
from tessera.chain.jsonrpc import RpcRefused
from tessera.chain.reader import ChainReader
from tessera.chain.receipts import TransactionReceipt
from tessera.chain.reverts import revert_of
from tessera.chain.sender import Sender
from tessera.errors import QuotaExceeded

__all__ = ["Once", "Relay", "to_the_end"]

Answer = TypeVar("Answer")

_HOUR_S: Final = 3_600.0
_MINUTE_S: Final = 60.0
_ANSWERS_KEPT: Final = 10_000


async def to_the_end(work: Awaitable[Answer]) -> Answer:
    """Wait for something that goes on whoever still waits for it."""
    task = asyncio.ensure_future(work)
    # Looked at, as perhaps nobody waits for it any more.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)


class Once:
    """Answers for what was asked before; while the first is at work the others wait for it."""

    def __init__(self) -> None:
        self._at_work: dict[bytes, asyncio.Task[Any]] = {}
        self._answers: OrderedDict[bytes, Any] = OrderedDict()

    async def do(
        self,
        key: bytes,
        work: Callable[[], Awaitable[Answer]],
        *,
        keep: Callable[[Answer], bool],
    ) -> Answer:
        """Return what `work` answers, or answered to the same key before.

        The work goes on to its end, whoever still waits for it.

        Parameters
        ----------
        keep
            Whether an answer stays the answer; what failed may be tried again.
        """
        if key in self._answers:
            kept: Answer = self._answers[key]
            return kept
        task = self._at_work.get(key)
        if task is None:
            task = asyncio.ensure_future(self._done(key, work, keep))
            self._at_work[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        answer: Answer = await asyncio.shield(task)
        return answer

    def _ended(self, key: bytes, task: asyncio.Task[Any]) -> None:
        del self._at_work[key]
        if not task.cancelled():
            # Looked at here, as perhaps nobody waits for it any more.
            task.exception()

    async def _done(
        self,
        key: bytes,
        work: Callable[[], Awaitable[Answer]],
        keep: Callable[[Answer], bool],
    ) -> Answer:
        answer = await work()
        if keep(answer):
            self._answers[key] = answer
            if len(self._answers) > _ANSWERS_KEPT:
                self._answers.popitem(last=False)
        return answer


class Relay:
    """Sends calls from one account, within a budget of gas.

    Parameters
    ----------
    reader, sender
        Of the chain.
    gas_per_hour
        The most gas in any hour. What is on its way counts with its limit.
    steady
        Seconds that nobody sets.
    """

    def __init__(
        self,
        reader: ChainReader,
        sender: Sender,
        *,
        gas_per_hour: int,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._gas_per_hour = gas_per_hour
        self._steady = steady
        self._used: deque[tuple[float, int]] = deque()
        self._on_its_way = 0

    @property
    def address(self) -> str:
        """Who sends."""
        return self._sender.address

    @property
    def gas_left(self) -> int:
        """What is left of the budget now."""
        start = self._steady() - _HOUR_S
        while self._used and self._used[0][0] <= start:
            self._used.popleft()
        return self._gas_per_hour - self._on_its_way - sum(gas for _, gas in self._used)

    async def check(self, call: Call[Any]) -> int:
        """Try a call without sending it; the gas limit that it needs.

        Raises
        ------
        TransactionReverted
            The contract refuses.
        ChainError
            The node.
        """
        request = {
            "from": self._sender.address,
            "to": call.to,
            "data": f"0x{call.data.hex()}",
        }
        try:
            gas = int(await self._reader.rpc.call("eth_estimateGas", request), 16)
        except RpcRefused as refused:
            raise revert_of(refused, call.contract, function=call.function) or refused from refused
        # What was estimated may cost more when it is mined; claims most of all.
        return gas * 13 // 10 + 10_000

    async def send(self, call: Call[Any]) -> TransactionReceipt:
        """Send a call, and wait until it is mined.

        Raises
        ------
        QuotaExceeded
            The budget does not cover it; the operands say when it may.
        TransactionReverted
            The contract refuses; with a `tx_hash` where it did so in a block.
        AccountUnfunded, ChainError
            As `Sender.send`.
        """
        gas = await self.check(call)
        if gas > self.gas_left:
            raise QuotaExceeded(
                "facilitator: gas in an hour",
                found=f"{gas} more",
                wanted=f"{max(0, self.gas_left)} or less of {self._gas_per_hour}",
                next_step="ask again later, or settle by another facilitator",
                retry_after_s=self._next_in_s(),
            )
        self._on_its_way += gas
        used = gas
        try:
            receipt = await self._sender.send(call, gas=gas)
            used = receipt.gas_used
            return receipt
        finally:
            self._on_its_way -= gas
            self._used.append((self._steady(), used))

    def _next_in_s(self) -> int:
        if not self._used:
            return math.ceil(_MINUTE_S)
        return max(1, math.ceil(self._used[0][0] + _HOUR_S - self._steady()))
