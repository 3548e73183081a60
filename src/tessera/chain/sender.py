"""Sending: many transactions of one account at once, each of them mined once or refused by name.

A revert is found before anything is sent. From then on a transaction belongs to the sender and not
to whoever waits for it: a caller that is cancelled leaves no gap in the nonces. What the network
forgets is sent again as it was signed; what it does not take in time is signed again for more.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from tessera.bindings.calls import Call
from tessera.chain.fees import FeeOracle, Fees
from tessera.chain.flights import Flight, Payload
from tessera.chain.jsonrpc import RpcRefused
from tessera.chain.reader import ChainReader
from tessera.chain.receipts import TransactionReceipt
from tessera.chain.refusals import Refusal, refusal_kind
from tessera.chain.reverts import revert_of
from tessera.chain.wallet import Account, OutgoingTransaction
from tessera.contracts import load_artifact
from tessera.errors import (
    ChainError,
    Closed,
    Conflict,
    InputError,
    NotFinal,
    RpcUnavailable,
    TesseraError,
    TransactionReverted,
)

__all__ = ["AccountUnfunded", "GasSpent", "NonceMoved", "Sender", "TransactionReplaced"]

_TRANSFER_GAS: Final = 21_000
_FILL: Final = "fill a gap"
_MOST_IN_BATCH: Final = 100
_MOST_RENUMBERED: Final = 8
_MOST_RAISED: Final = 40
# A node may show the nonce of a block before it shows the block's receipts, and behind one address
# there may be several nodes: each look is `resend_after_s` after the one before.
_LOOKS_BEFORE_REPLACED: Final = 3
# A node that is busy or behind may refuse one look and answer the next.
_LOOKS_BEFORE_REFUSED: Final = 10
_CLOSING_S: Final = 5.0


class TransactionReplaced(Conflict):
    """Another transaction of the same account was mined with that nonce; this one never will be."""


class NonceMoved(Conflict):
    """The next nonce is not the one that the caller counted on; nothing was sent."""


class AccountUnfunded(InputError):
    """The account cannot pay for the gas."""


@dataclass(frozen=True, slots=True)
class GasSpent:
    """What transactions that were mined have cost, whether they succeeded or not.

    Attributes
    ----------
    transactions
        How many.
    gas, wei
        In all, and what was paid for it.
    """

    transactions: int = 0
    gas: int = 0
    wei: int = 0

    def __add__(self, other: GasSpent) -> GasSpent:
        return GasSpent(
            self.transactions + other.transactions, self.gas + other.gas, self.wei + other.wei
        )


class Sender:
    """Sends the transactions of one account. Use it as an async context manager, or `close` it.

    Parameters
    ----------
    reader
        Of the chain.
    account
        Signs. Another program that uses it at the same time is noticed, and costs time.
    confirmations
        Blocks that a transaction must be deep, its own included; 1 is enough where blocks are
        never replaced.
    watched
        Blocks that it must be deep until it is no longer looked after, where whoever sent it waits
        for fewer: if its block is replaced it is sent again, so no nonce is left out.
    longest_poll_s
        Between two looks for receipts; the first come sooner.
    resend_after_s
        Time after which a transaction that is not mined is sent again, or for more.
    give_up_after_s
        Time after which whoever waits gets NotFinal; the transaction is still looked after.
    most_in_flight
        Transactions that wait to be mined at once; further ones wait for their turn.
    fee_ceiling
        Wei per gas that is never exceeded; None for no limit.
    how_to_fund
        What whoever reads AccountUnfunded can do, where the chain has a way of its own.
    on_signed
        Called before a transaction is sent, as an outbox that outlives the process would want.
    clock
        Monotonic seconds.

    Attributes
    ----------
    spent
        On transactions that were mined.

    Examples
    --------
    ::

        async with Sender(reader, account) as sender:
            receipt = await sender.send(Registry(address).publish(publication, endpoint))
            asset = receipt.one_of(AssetRegistered).asset
    """

    def __init__(
        self,
        reader: ChainReader,
        account: Account,
        *,
        confirmations: int = 1,
        watched: int = 1,
        longest_poll_s: float = 1.0,
        resend_after_s: float = 30.0,
        give_up_after_s: float = 600.0,
        most_in_flight: int = 256,
        fee_ceiling: int | None = None,
        how_to_fund: str = "send it some of the chain's own coin",
        on_signed: Callable[[OutgoingTransaction], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reader = reader
        self.account = account
        self.spent = GasSpent()
        self._confirmations = max(1, confirmations)
        self._watched = watched
        self._longest_poll_s = longest_poll_s
        self._resend_after_s = resend_after_s
        self._give_up_after_s = give_up_after_s
        self._how_to_fund = how_to_fund
        self._on_signed = on_signed
        self._clock = clock
        self._fees = FeeOracle(reader, ceiling=fee_ceiling, clock=clock)
        self._slots = asyncio.Semaphore(most_in_flight)
        self._nonces = asyncio.Lock()
        self._next: int | None = None
        self._free: list[int] = []
        self._flights: dict[int, Flight] = {}
        self._outgoing: list[tuple[OutgoingTransaction, asyncio.Future[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def address(self) -> str:
        """The account's."""
        return self.account.address

    async def close(self) -> None:
        """Let what is being sent reach the node, and stop watching.

        What was sent is mined or not without us; nobody waits for it here any more.
        """
        self._closed = True
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_CLOSING_S)
        ending = [*self._tasks, *([self._watcher] if self._watcher else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for flight in self._flights.values():
            flight.settle(
                Closed(
                    f"sender of {self.address}: closed while {flight.payload} was on its way",
                    next_step=f"look for transaction {flight.hash}",
                    tx_hash=flight.hash,
                )
            )

    async def idle(self) -> None:
        """Wait until everything that was submitted here is mined or refused."""
        while waiting := {f.outcome for f in self._flights.values() if not f.outcome.done()}:
            await asyncio.wait(waiting)

    async def send(
        self, call: Call[Any], *, gas: int | None = None, confirmations: int | None = None
    ) -> TransactionReceipt:
        """Send a call and wait until it is mined and confirmed.

        Parameters
        ----------
        call
            From a binding.
        gas
            Limit; estimated where None.
        confirmations
            Where this one needs others than the sender's.

        Raises
        ------
        TransactionReverted
            The contract refuses; the subclass of its string. Nothing was sent, or, where the
            error has a `tx_hash`, the state changed between the estimate and the block.
        AccountUnfunded
            The account cannot pay for the gas.
        TransactionReplaced, NotFinal, RpcUnavailable, WrongChain, RpcRefused
            What may happen on the way.
        """
        flight = await self.submit(call, gas=gas, confirmations=confirmations)
        return await flight.receipt()

    async def estimate(self, call: Call[Any]) -> int:
        """Return the limit of gas that a call would be sent with now.

        Raises
        ------
        TransactionReverted, AccountUnfunded, RpcUnavailable, WrongChain, RpcRefused
            As for `send`.
        """
        payload = Payload(call.contract, call.function, call.to, call.value, call.data, 0)
        return (await self._estimated(payload)).gas

    async def submit(
        self,
        call: Call[Any],
        *,
        gas: int | None = None,
        confirmations: int | None = None,
        nonce: int | None = None,
        fee_ceiling: int | None = None,
    ) -> Flight:
        """Send a call without waiting for it; `Flight.receipt` does that.

        Parameters
        ----------
        nonce
            The next one, as the caller expects it; for transactions that depend on their number.
        fee_ceiling
            Wei per gas that this one never offers more than, beside the sender's own limit.

        Raises
        ------
        NonceMoved
            The next nonce is another one.
        """
        payload = Payload(call.contract, call.function, call.to, call.value, call.data, gas or 0)
        return await self._launch(payload, confirmations, nonce, fee_ceiling)

    async def create(
        self,
        contract: str,
        arguments: bytes = b"",
        *,
        confirmations: int | None = None,
        nonce: int | None = None,
    ) -> Flight:
        """Deploy a contract of ours, without waiting for it.

        Parameters
        ----------
        contract
            Name of an artifact.
        arguments
            From the binding's `encode_constructor`.
        nonce
            As for `submit`; the address depends on it.
        """
        code = load_artifact(contract).bytecode + arguments
        return await self._launch(
            Payload(contract, "__init__", None, 0, code, 0), confirmations, nonce
        )

    async def transfer(self, to: str, wei: int) -> TransactionReceipt:
        """Send the chain's own coin, which pays for gas."""
        flight = await self._launch(Payload("account", "transfer", to, wei, b"", 0), None, None)
        return await flight.receipt()

    # Taking off: estimate, nonce, signature. Nothing below waits between the nonce and the task
    # that sends, so whoever has a nonce also sends.

    async def _launch(
        self,
        payload: Payload,
        confirmations: int | None,
        nonce: int | None,
        fee_ceiling: int | None = None,
    ) -> Flight:
        self._check_open()
        if not payload.gas:
            payload = await self._estimated(payload)
        await self._slots.acquire()
        try:
            fees = (await self._fees.suggest()).at_most(fee_ceiling)
            async with self._nonces:
                await self._know_next()
                if nonce is not None and nonce != self._peek():
                    # Our own count may be behind another program's.
                    self._next = None
                    await self._know_next()
                if nonce is not None and nonce != self._peek():
                    raise NonceMoved(
                        f"nonce of {self.address}",
                        found=self._peek(),
                        wanted=f"{nonce} for {payload}",
                        next_step="start again from the present one",
                    )
                self._check_open()
                flight = self._registered(payload, self._take(), fees, confirmations, fee_ceiling)
        except BaseException:
            self._slots.release()
            raise
        flight.outcome.add_done_callback(self._landed)
        self._start(self._delivered(flight))
        return flight

    def _landed(self, outcome: asyncio.Future[TransactionReceipt]) -> None:
        self._slots.release()
        if not outcome.cancelled() and outcome.exception() is None:
            receipt = outcome.result()
            self.spent += GasSpent(1, receipt.gas_used, receipt.gas_used * receipt.gas_price)

    async def _estimated(self, payload: Payload) -> Payload:
        request = {"from": self.address, "data": f"0x{payload.data.hex()}"}
        if payload.to is not None:
            request["to"] = payload.to
        if payload.value:
            request["value"] = hex(payload.value)
        try:
            gas = int(await self.reader.rpc.call("eth_estimateGas", request), 16)
        except RpcRefused as refused:
            raise await self._understood(refused, payload) from refused
        # The state may be another one by then: a slot that was warm is cold, a zero is written.
        gas += gas // 4 + 10_000
        return Payload(
            payload.contract, payload.function, payload.to, payload.value, payload.data, gas
        )

    def _registered(
        self,
        payload: Payload,
        nonce: int,
        fees: Fees,
        confirmations: int | None,
        fee_ceiling: int | None = None,
    ) -> Flight:
        flight = Flight(
            payload,
            self._sign(payload, nonce, fees),
            confirmations=confirmations or self._confirmations,
            now=self._clock(),
            explain=self._explained,
            fee_ceiling=fee_ceiling,
        )
        self._flights[nonce] = flight
        self._see_that_it_is_watched()
        return flight

    def _see_that_it_is_watched(self) -> None:
        # A watcher ends when nothing is on its way, also for the moment of a renumbering.
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch(), name="tessera-sender")

    def _sign(self, payload: Payload, nonce: int, fees: Fees) -> OutgoingTransaction:
        return self.account.sign_transaction(
            chain_id=self.reader.chain_id,
            nonce=nonce,
            gas=payload.gas,
            max_fee=fees.max_fee,
            max_priority_fee=fees.max_priority_fee,
            to=payload.to,
            value=payload.value,
            data=payload.data,
        )

    # Nonces: the next one is known here, and asked for again whenever the node disagrees.

    async def _know_next(self) -> None:
        if self._next is not None:
            return
        waiting = await self.reader.nonce(self.address, at="pending")
        ahead = max(self._flights, default=-1) + 1
        self._next = max(waiting, ahead)
        self._free = [nonce for nonce in range(waiting, self._next) if nonce not in self._flights]

    def _peek(self) -> int:
        assert self._next is not None, "known before"
        return self._free[0] if self._free else self._next

    def _take(self) -> int:
        nonce = self._peek()
        if self._free:
            self._free.remove(nonce)
        else:
            self._next = nonce + 1
        return nonce

    def _give_back(self, flight: Flight) -> None:
        """Free a nonce that nothing can be mined with; those behind it must not wait for ever."""
        if self._next is None or flight.nonce >= self._next:
            return
        bisect.insort(self._free, flight.nonce)
        while self._free and self._free[-1] == self._next - 1:
            self._next = self._free.pop()
        # A filler that was refused would be refused again; `_tend` tries once more later.
        if flight.payload.function != _FILL:
            self._start(self._filled())

    async def _filled(self) -> None:
        """Fill the first gap with a transaction that does nothing, if others wait behind it."""
        fees = await self._fees.suggest()
        if self._free and any(nonce > self._free[0] for nonce in self._flights):
            payload = Payload("account", _FILL, self.address, 0, b"", _TRANSFER_GAS)
            await self._delivered(self._registered(payload, self._take(), fees, None))

    # On the way.

    async def _delivered(self, flight: Flight) -> None:
        """Send what was signed last, and act on a refusal."""
        for _ in range(_MOST_RENUMBERED):
            flight.on_its_way = True
            signed = flight.signed[-1]
            try:
                if self._on_signed is not None:
                    await self._on_signed(signed)
                await self._posted(signed)
            except RpcUnavailable:
                # It may have arrived. The watcher finds out, and sends it again if not.
                return
            except RpcRefused as refused:
                if not await self._mended(flight, refused):
                    return
            except TesseraError as error:
                self._drop(flight, error)
                return
            else:
                flight.look_now = True
                self._wake.set()
                return
            finally:
                flight.on_its_way = False
                flight.last_sent = self._clock()
        self._drop(
            flight,
            Conflict(
                f"account {self.address}: somebody else uses it too fast for us",
                next_step="stop the other program, or use another account",
            ),
        )

    async def _mended(self, flight: Flight, refused: RpcRefused) -> bool:
        """Return whether the flight should be sent again as it is now."""
        kind = refusal_kind(refused)
        if kind is Refusal.KNOWN:
            flight.look_now = True
            self._wake.set()
            return False
        if kind is Refusal.UNDERPRICED and len(flight.signed) > 1:
            # Ours waits there already, and the node wants more than we added.
            refused_one = flight.signed[-1]
            more = self._raised(flight, Fees(refused_one.max_fee, 0))
            flight.signed.remove(refused_one)
            return more
        if kind in (Refusal.NONCE_TOO_LOW, Refusal.UNDERPRICED):
            if await self._anywhere(flight):
                flight.look_now = True
                self._wake.set()
                return False
            await self._renumber(flight)
            return True
        if len(flight.signed) > 1:
            # The first one still waits; that it cannot be raised now is no end.
            flight.signed.pop()
            return False
        self._drop(flight, await self._understood(refused, flight.payload))
        return False

    async def _anywhere(self, flight: Flight) -> bool:
        """Tell whether the chain or the node's pool has any of what was signed."""
        asked = [("eth_getTransactionByHash", (signed.hash,)) for signed in flight.signed]
        return any(isinstance(found, dict) for found in await self.reader.rpc.batch(asked))

    async def _renumber(self, flight: Flight) -> None:
        fees = (await self._fees.suggest()).at_most(flight.fee_ceiling)
        async with self._nonces:
            self._flights.pop(flight.nonce, None)
            self._next = None
            await self._know_next()
            signed = self._sign(flight.payload, self._take(), fees)
            flight.renumbered(signed, self._clock())
            self._flights[flight.nonce] = flight
            self._see_that_it_is_watched()

    def _raised(self, flight: Flight, suggested: Fees) -> bool:
        last = flight.signed[-1]
        fees = Fees(last.max_fee, last.max_priority_fee)
        raised = self._fees.bounded(fees.raised_ceil(suggested)).at_most(flight.fee_ceiling)
        if raised.max_fee <= last.max_fee or len(flight.signed) > _MOST_RAISED:
            return False
        flight.signed.append(self._sign(flight.payload, flight.nonce, raised))
        return True

    def _drop(self, flight: Flight, error: Exception) -> None:
        if self._flights.get(flight.nonce) is flight:
            del self._flights[flight.nonce]
            self._give_back(flight)
        flight.settle(error)

    async def _posted(self, signed: OutgoingTransaction) -> None:
        """Send, together with all that is to be sent in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._outgoing:
            loop.call_soon(self._flush)
        arrived: asyncio.Future[None] = loop.create_future()
        self._outgoing.append((signed, arrived))
        await arrived

    def _flush(self) -> None:
        waiting = sorted(self._outgoing, key=lambda entry: entry[0].nonce)
        self._outgoing = []
        for start in range(0, len(waiting), _MOST_IN_BATCH):
            self._start(self._post(waiting[start : start + _MOST_IN_BATCH]))

    async def _post(self, batch: list[tuple[OutgoingTransaction, asyncio.Future[None]]]) -> None:
        requests = [("eth_sendRawTransaction", (f"0x{signed.raw.hex()}",)) for signed, _ in batch]
        try:
            answers = await self.reader.rpc.batch(requests)
        except TesseraError as error:
            answers = [error] * len(batch)
        for (_, arrived), answer in zip(batch, answers, strict=True):
            if arrived.done():
                continue
            if isinstance(answer, TesseraError):
                arrived.set_exception(answer)
            else:
                arrived.set_result(None)

    # Watching.

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = 0.05
        round_at = loop.time() + pause_s
        while self._flights and not self._closed:
            # However often those that were just sent wake us, all others have their turn in time.
            try:
                async with asyncio.timeout_at(round_at):
                    await self._wake.wait()
                all_are_due = loop.time() >= round_at
            except TimeoutError:
                all_are_due = True
            self._wake.clear()
            looked_at = [f for f in self._flights.values() if all_are_due or f.look_now]
            if all_are_due:
                pause_s = min(self._longest_poll_s, pause_s * 1.5)
                round_at = loop.time() + pause_s
            for flight in looked_at:
                flight.look_now = False
            try:
                if await self._look(looked_at):
                    pause_s = 0.05
                    round_at = min(round_at, loop.time() + pause_s)
                await self._tend(looked_at)
            except RpcUnavailable as error:
                self._give_up_waiting(error)
            except TesseraError as error:
                # Another chain, or nonsense: waiting does not mend it, and the nonces are unknown.
                for flight in list(self._flights.values()):
                    flight.settle(error)
                self._flights.clear()
                self._next = None

    async def _look(self, flights: list[Flight]) -> bool:
        """Look for receipts; return whether there was anything new."""
        asked = [(flight, signed.hash) for flight in flights for signed in flight.signed]
        if not asked:
            return False
        answers = await self.reader.rpc.batch(
            [
                *(("eth_getTransactionReceipt", (tx_hash,)) for _, tx_hash in asked),
                ("eth_blockNumber", ()),
            ]
        )
        head = answers.pop()
        mined: dict[int, TransactionReceipt] = {}
        refused: dict[int, RpcRefused] = {}
        for (flight, _), answer in zip(asked, answers, strict=True):
            if isinstance(head, RpcRefused):
                refused[flight.nonce] = head
            elif isinstance(answer, RpcRefused):
                refused[flight.nonce] = answer
            elif isinstance(answer, dict) and answer.get("blockNumber"):
                mined[flight.nonce] = TransactionReceipt.from_json(answer)
        news = False
        for flight in flights:
            receipt = mined.get(flight.nonce)
            if receipt is not None:
                flight.refused = 0
                news = news or flight.mined_in != receipt.block_hash
                flight.mined_in = receipt.block_hash
                deep = int(head, 16) - receipt.block + 1
                if deep >= flight.confirmations:
                    flight.settle(receipt)
                if deep >= max(flight.confirmations, self._watched):
                    self._flights.pop(flight.nonce, None)
            elif flight.nonce in refused:
                self._not_shown(flight, refused[flight.nonce])
            elif flight.mined_in is not None:
                # Its block was replaced. Most nodes put it back into the pool; not all do.
                flight.mined_in = None
                self._resend(flight)
        return news

    def _not_shown(self, flight: Flight, refused: RpcRefused) -> None:
        """Count a receipt that the node refuses to show; the other flights are none the worse."""
        flight.refused += 1
        if flight.refused >= _LOOKS_BEFORE_REFUSED:
            self._flights.pop(flight.nonce, None)
            # It may be mined or not.
            self._next = None
            flight.settle(refused)

    async def _tend(self, looked_at: list[Flight]) -> None:
        """Send again, or for more, what was looked for and is not mined in time."""
        now = self._clock()
        late = [
            flight
            for flight in looked_at
            if flight.mined_in is None
            and self._flights.get(flight.nonce) is flight
            and not flight.on_its_way
            and not flight.refused
            and now - flight.last_sent >= self._resend_after_s
        ]
        self._give_up_waiting(None)
        if not late:
            return
        if self._free:
            self._start(self._filled())
        count = await self.reader.nonce(self.address)
        known = await self.reader.rpc.batch(
            [("eth_getTransactionByHash", (flight.hash,)) for flight in late]
        )
        fees = await self._fees.suggest()
        for flight, found in zip(late, known, strict=True):
            if self._flights.get(flight.nonce) is not flight:
                continue
            if count > flight.nonce:
                flight.overtaken += 1
                # The next look is not before it is late again.
                flight.last_sent = now
                if flight.overtaken >= _LOOKS_BEFORE_REPLACED:
                    self._replaced(flight)
            elif found is None:
                # Dropped: the very same transaction, so that it cannot be mined twice.
                self._resend(flight)
            elif self._raised(flight, fees):
                self._resend(flight)
            else:
                flight.last_sent = now

    def _resend(self, flight: Flight) -> None:
        flight.on_its_way = True
        flight.last_sent = self._clock()
        self._start(self._delivered(flight))

    def _replaced(self, flight: Flight) -> None:
        self._flights.pop(flight.nonce, None)
        self._next = None
        flight.settle(
            TransactionReplaced(
                f"{flight.payload} (nonce {flight.nonce} of {self.address})",
                found="another transaction mined with that nonce",
                wanted=f"transaction {flight.hash}",
                next_step="look at what the account did, then decide whether to send it again",
                tx_hash=flight.hash,
            )
        )

    def _give_up_waiting(self, error: RpcUnavailable | None) -> None:
        now = self._clock()
        for flight in list(self._flights.values()):
            if now - flight.first_sent < self._give_up_after_s:
                continue
            flight.settle(
                error
                or NotFinal(
                    f"{flight.payload} (transaction {flight.hash})",
                    found=f"not mined after {now - flight.first_sent:.0f} s",
                    wanted=f"{flight.confirmations} confirmation(s)",
                    next_step="it is still on its way: look for it later, do not send it twice",
                    tx_hash=flight.hash,
                )
            )

    # Saying why.

    async def _understood(self, refused: RpcRefused, payload: Payload) -> Exception:
        reverted = revert_of(
            refused, payload.contract, function=payload.function, address=payload.to
        )
        if reverted is not None and refusal_kind(refused) is not Refusal.UNFUNDED:
            return reverted
        if refusal_kind(refused) is Refusal.UNFUNDED:
            balance = await self.reader.balance(self.address)
            return AccountUnfunded(
                f"account {self.address}: wei for the gas of {payload}",
                found=balance,
                wanted="more",
                next_step=self._how_to_fund,
                address=self.address,
            )
        return refused

    async def _explained(self, flight: Flight, receipt: TransactionReceipt) -> Exception:
        """Find out why a mined transaction reverted, by making the call again around its block."""
        payload = flight.payload
        request = {
            "from": self.address,
            "data": f"0x{payload.data.hex()}",
            "gas": hex(payload.gas),
            **({"to": payload.to} if payload.to else {}),
            **({"value": hex(payload.value)} if payload.value else {}),
        }
        reverted: TransactionReverted | None = None
        # The state that it met lies between that of the block before and that of its own.
        for block in (receipt.block - 1, receipt.block):
            try:
                await self.reader.rpc.call("eth_call", request, hex(block))
            except RpcRefused as refused:
                reverted = revert_of(
                    refused,
                    payload.contract,
                    tx_hash=receipt.tx_hash,
                    function=payload.function,
                    address=payload.to,
                )
            if reverted is not None and reverted.reason:
                return reverted
        if receipt.gas_used >= payload.gas:
            return TransactionReverted(
                payload.contract,
                "out of gas",
                receipt.tx_hash,
                next_step="send it again: the state had changed since the estimate",
                function=payload.function,
            )
        return reverted or TransactionReverted(
            payload.contract, "", receipt.tx_hash, function=payload.function
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The watcher goes on with what is in flight; only this step is lost.
            self._wake.set()
            if not isinstance(error, ChainError):
                task.get_loop().call_exception_handler(
                    {"message": "sender: a step failed", "exception": error, "task": task}
                )

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"sender of {self.address}: it is closed", next_step="make a new one")
