"""One transaction on its way: everything that was signed for its nonce, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tessera.chain.receipts import TransactionReceipt
from tessera.chain.wallet import OutgoingTransaction

__all__ = ["Flight", "Payload"]


@dataclass(frozen=True, slots=True)
class Payload:
    """What a transaction is to do, whatever its nonce and fees.

    Parameters
    ----------
    contract, function
        Names, for messages.
    to
        None creates a contract.
    value
        Wei.
    data
        Call data or creation code.
    gas
        Limit.
    """

    contract: str
    function: str
    to: str | None
    value: int
    data: bytes
    gas: int

    def __str__(self) -> str:
        return f"{self.contract}.{self.function}"


class Flight:
    """A transaction that has a nonce; made by a Sender.

    Attributes
    ----------
    nonce
        Of its account.
    payload
        What it does.
    fee_ceiling
        Wei per gas that it never offers more than; None for no limit. May be raised on the way.
    """

    def __init__(
        self,
        payload: Payload,
        signed: OutgoingTransaction,
        *,
        confirmations: int,
        now: float,
        explain: Callable[[Flight, TransactionReceipt], Awaitable[Exception]],
        fee_ceiling: int | None = None,
    ) -> None:
        self.payload = payload
        self.fee_ceiling = fee_ceiling
        self.nonce = signed.nonce
        self.confirmations = confirmations
        self.signed = [signed]
        self.first_sent = now
        self.last_sent = now
        self.on_its_way = True
        self.look_now = False
        self.mined_in: str | None = None
        self.overtaken = 0
        self.refused = 0
        self.outcome: asyncio.Future[TransactionReceipt] = (
            asyncio.get_running_loop().create_future()
        )
        # An outcome that nobody waits for any more is no accident to be reported.
        self.outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._explain = explain

    @property
    def hash(self) -> str:
        """Of what was signed last, 0x-hex; fees that are raised change it."""
        return self.signed[-1].hash

    async def receipt(self) -> TransactionReceipt:
        """Wait until it is mined and confirmed.

        Giving up waiting does not take the transaction back.

        Raises
        ------
        TransactionReverted
            The contract refused; the subclass of its string, with the transaction's hash.
        TransactionReplaced
            Another transaction took the nonce.
        NotFinal
            Not mined in the time that the sender was given.
        RpcUnavailable
            The node went away for that long.
        """
        receipt = await asyncio.shield(self.outcome)
        if not receipt.succeeded:
            raise await self._explain(self, receipt)
        return receipt

    def renumbered(self, signed: OutgoingTransaction, now: float) -> None:
        """Take another nonce, where nothing that was signed can be mined."""
        self.nonce = signed.nonce
        self.signed = [signed]
        self.last_sent = now
        self.overtaken = 0
        self.refused = 0

    def settle(self, outcome: TransactionReceipt | Exception) -> None:
        """End the wait, once."""
        if self.outcome.done():
            return
        if isinstance(outcome, Exception):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)
