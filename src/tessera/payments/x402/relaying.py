"""Sending for others at one's own expense: once for each thing asked, and within bounds.

Whoever relays pays the gas of strangers. So gas is counted in a budget by the hour, and requests by
party (`rates`); and what was asked again is answered with what came of it the first time. Payers
cost nothing to invent, so what they cause leaves half of the budget to servers, whose claims
cannot wait.
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
        The most gas in any hour, and half of it for payments. What is on its way counts with its
        limit.
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
        self._used: deque[tuple[float, int, bool]] = deque()
        # By whether it is a payment.
        self._on_its_way = {True: 0, False: 0}

    @property
    def address(self) -> str:
        """Who sends."""
        return self._sender.address

    @property
    def gas_left(self) -> int:
        """What is left of the budget now."""
        return self._gas_per_hour - self._spent(payments=True) - self._spent(payments=False)

    @property
    def gas_left_for_payments(self) -> int:
        """What payments may take of it."""
        return min(self.gas_left, self._gas_per_hour // 2 - self._spent(payments=True))

    def _spent(self, *, payments: bool) -> int:
        start = self._steady() - _HOUR_S
        while self._used and self._used[0][0] <= start:
            self._used.popleft()
        return self._on_its_way[payments] + sum(
            gas for _, gas, paid in self._used if paid is payments
        )

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

    async def send(self, call: Call[Any], gas: int, *, payment: bool) -> TransactionReceipt:
        """Send a call, and wait until it is mined.

        Parameters
        ----------
        gas
            Its limit, from `check`.
        payment
            Whether a payer causes it, and not a server.

        Raises
        ------
        QuotaExceeded
            The budget does not cover it; the operands say when it may.
        TransactionReverted
            The contract refuses; with a `tx_hash` where it did so in a block.
        AccountUnfunded, ChainError
            As `Sender.send`.
        """
        left = self.gas_left_for_payments if payment else self.gas_left
        if gas > left:
            raise QuotaExceeded(
                "facilitator: gas in an hour",
                found=f"{gas} more",
                wanted=f"{max(0, left)} or less of {self._gas_per_hour}"
                + (", half of which is for claims and refunds" if payment else ""),
                next_step="ask again later, or settle by another facilitator",
                retry_after_s=self._next_in_s(),
            )
        self._on_its_way[payment] += gas
        used = gas
        try:
            receipt = await self._sender.send(call, gas=gas)
            used = receipt.gas_used
            return receipt
        finally:
            self._on_its_way[payment] -= gas
            self._used.append((self._steady(), used, payment))

    def _next_in_s(self) -> int:
        if not self._used:
            return math.ceil(_MINUTE_S)
        return max(1, math.ceil(self._used[0][0] + _HOUR_S - self._steady()))
