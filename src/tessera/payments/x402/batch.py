"""Taking `batch-settlement`: vouchers of the standard's channels, deposits, and giving money back.

Nothing is believed that can be computed: the channel's name from its terms, the base from the
voucher, the receiver from asset and terms. A deposit is on the chain before anything is served on
it. The standard allows one call at a time per channel; further ones wait in line.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tessera.errors import (
    Busy,
    Closed,
    InvariantViolation,
    PaymentRequired,
    TransactionReverted,
)
from tessera.payments.header import SignedReceipt
from tessera.payments.ledger import Call, Evidence, Quote
from tessera.payments.ports import Clock
from tessera.payments.risk import Exposures
from tessera.payments.tender import Outcome
from tessera.payments.x402 import rows
from tessera.payments.x402.book import ChannelBook, KeptVoucher, named_charge
from tessera.payments.x402.judging import (
    TO_BE_MINED_S,
    ChannelTerms,
    check_channel,
    check_deposit_signature,
    check_voucher_signature,
    check_window,
)
from tessera.payments.x402.ports import Claim, X402Chain
from tessera.payments.x402.rates import PerParty
from tessera.payments.x402.rules import Books, Till, X402Rules
from tessera.payments.x402.wire import (
    BATCH,
    Accept,
    Deposit,
    Payment,
    Reason,
    Response,
    Voucher,
    hex_text,
    refused,
)
from tessera.spec.signatures import Address, address_text
from tessera.spec.vouchers import TillKey
from tessera.spec.x402_digests import deposit_nonce

__all__ = ["BatchCall", "BatchSettlement"]

_READS_AT_ONCE: Final = 8
_READS_WAITING: Final = 256
_WAITING_PER_CHANNEL: Final = 32

_LOOK_AGAIN_S: Final = 0.5
"""A deposit that arrived after the last read is looked for at most so often per channel."""

_IN_MEMORY: Final = 10_000
"""Channels that are kept in memory; of more the one that was idle longest is read again."""

_HOUR_S: Final = 3_600.0
_ALL: Final = b""

_NONE: Final = KeptVoucher(0, b"")


@dataclass(slots=True)
class _Channel:
    """A channel in memory.

    Attributes
    ----------
    book
        As calls see it; it may be ahead of the disk by what is being written.
    turn, waiting
        Held while a call is answered, and how many wait for it.
    read_at
        When the chain was asked, steady seconds; None before that.
    lost
        Whether something could not be written, so that the book is not to be believed.
    used_at
        When a call last ended on it, steady seconds; None where none did in this process.
    claiming
        The most that this process has claimed, or is about to.
    in_flight
        The most that the call that is being answered may cost.
    """

    book: ChannelBook
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    read_at: float | None = None
    lost: bool = False
    used_at: float | None = None
    claiming: int = 0
    in_flight: int = 0


class BatchCall(Call):
    """A call that a voucher of the standard pays for; it has its channel to itself.

    Attributes
    ----------
    held
        The channel.
    signed, base
        The voucher, and what it says its client believes to have been charged.
    before
        What was charged before the call.
    deposited, transaction
        What the same request brought, and how.
    """

    held: _Channel | None = None
    signed: KeptVoucher = _NONE
    base: int = 0
    before: int = 0
    deposited: int = 0
    transaction: str = ""

    @property
    def book(self) -> ChannelBook:
        """The channel's book."""
        if self.held is None:
            raise InvariantViolation(f"call {self.id} has no x402 channel")
        return self.held.book

    @property
    def payer(self) -> Address | None:
        """Whose place in a queue it takes, and whose locked shares count: who signs the vouchers.

        Not the channel's payer: anybody may bring money into a channel that names another.
        """
        return self.book.config.payer_authorizer


class BatchSettlement:
    """The receiver's side of the standard's channels.

    Parameters
    ----------
    books
        Where it is written what was charged.
    chain
        Where channels are.
    rules
        What is asked of them.
    till
        Who is paid for (asset, terms).
    clock
        Unix seconds.
    steady
        Seconds that nobody sets.
    exposures
        What is at stake with each payer, over all ways of paying.
    """

    def __init__(
        self,
        books: Books,
        chain: X402Chain,
        rules: X402Rules,
        till: Till,
        clock: Clock,
        steady: Callable[[], float] = time.monotonic,
        exposures: Exposures | None = None,
    ) -> None:
        self._books = books
        self._chain = chain
        self._rules = rules
        self._till = till
        self._clock = clock
        self._steady = steady
        # In the order in which they were last used.
        self._channels: dict[bytes, _Channel] = {}
        self._exposures = exposures or Exposures()
        # Claimed, and in a block that may still be replaced.
        self._unfinal: dict[bytes, int] = {}
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._reads_waiting = 0
        self._refunds, self._refunds_of_all = (
            PerParty(
                most,
                steady,
                window_s=_HOUR_S,
                what=what,
                next_step="ask again then, or withdraw after the channel's delay",
            )
            for most, what in (
                (rules.refunds_of_payer, "x402 refunds of one payer in an hour"),
                (rules.refunds_per_hour, "x402 refunds in an hour"),
            )
        )

    def accept(self, quote: Quote) -> Accept:
        """Return the offer to take a call's most."""
        return self._rules.accept(BATCH, quote.maximum, self._till(*quote.key))

    async def open(self) -> None:
        """Count what the books say is due, before the first call of whoever owes it."""
        for book in await self.due():
            self._exposures.note(book.config.payer_authorizer, book.id, book.due)

    # --- Calls --------------------------------------------------------------------------------

    async def take(self, payment: Payment, quote: Quote, name: str, *, stream: bool) -> BatchCall:
        """Reserve the most that a call can cost on a channel.

        Raises
        ------
        PaymentRequired
            The channel's terms are not those announced, or the voucher or the deposit is not good
            for the call. Whoever signed a voucher that is behind hears where the channel stands.
        Closed
            The payer asked for his money back.
        RiskReached
            As much of his is charged and not final as is risked.
        ChainError
            The chain cannot be asked, or does not take the deposit now.
        """
        voucher = payment.voucher
        if voucher is None:
            raise InvariantViolation("batch settlement", found="no voucher", wanted="one")
        self._check(voucher, self._till(*quote.key))
        if payment.deposit is not None:
            self._check_deposit(voucher, payment.deposit)
        channel = await self._turn(voucher, quote)
        try:
            return await self._taken(channel, payment, voucher, quote, name, stream=stream)
        except BaseException:
            self._leave(channel)
            raise

    async def _taken(
        self,
        channel: _Channel,
        payment: Payment,
        voucher: Voucher,
        quote: Quote,
        name: str,
        *,
        stream: bool,
    ) -> BatchCall:
        await self._refresh(channel)
        book, deposit = channel.book, payment.deposit
        signed = KeptVoucher(voucher.maximum, voucher.signature)
        drawn = deposit is None or await self._is_drawn(book, deposit)
        if not drawn and deposit is not None:
            await self._base(book, signed, quote, arriving=deposit.amount)
            # Once it is on its way, whether it arrives depends on nobody who waits for it.
            transaction = await asyncio.shield(
                asyncio.ensure_future(self._deposit(channel, deposit, quote))
            )
        else:
            transaction = ""
            if voucher.maximum > book.chain.balance and self._age(channel) > _LOOK_AGAIN_S:
                # There may be a deposit since the chain was read.
                await self._read(channel)
        base = await self._base(channel.book, signed, quote)
        self._exposures.check(book.config.payer_authorizer, book.id, quote.maximum)
        channel.in_flight = quote.maximum
        self._note(channel)
        call = BatchCall(
            quote,
            name,
            None,
            held=channel,
            signed=signed,
            base=base,
            before=book.charged,
            deposited=deposit.amount if deposit else 0,
            transaction=transaction,
        )
        if stream:
            # What is written as a stream goes on is charged on it; it is on the disk before.
            book.keep(signed)
            await self._books.keep(rows.channel_change(book))
        self._books.begin(call)
        return call

    async def finish(self, call: BatchCall, cost: int, evidence: Evidence) -> SignedReceipt:
        """Charge a call; its voucher, the charge and the receipt reach the disk together.

        Raises
        ------
        MeterMismatch
            It would cost more than its most; it costs nothing instead.
        DataError
            The charge could not be written; it was taken back.
        """
        channel = call.held
        if channel is None or call.ended:
            raise InvariantViolation(f"call {call.id} was ended twice")
        channel.book.charge(call.signed, call.quote.maximum, cost)
        call.ended = True
        # To the end, whoever still waits for it: half a charge would be none.
        return await asyncio.shield(
            asyncio.ensure_future(self._charged(call, channel, cost, evidence))
        )

    async def _charged(
        self, call: BatchCall, channel: _Channel, cost: int, evidence: Evidence
    ) -> SignedReceipt:
        book = channel.book
        try:
            return await self._books.issue(
                call, cost, book.charged, evidence, rows.channel_change(book)
            )
        except BaseException:
            channel.lost = True
            raise
        finally:
            channel.used_at = self._steady()
            self._books.end(call)
            self._leave(channel)

    def fail(self, call: BatchCall) -> None:
        """End a call without an answer: it costs nothing. Ending twice is once."""
        if not call.ended and call.held is not None:
            call.ended = True
            call.book.drop(call.signed)
            self._books.end(call)
            self._leave(call.held)

    def response(self, call: BatchCall, outcome: Outcome, cost: int) -> Response:
        """Return `PAYMENT-RESPONSE`, which keeps the client's base right (`book`)."""
        ceiling = call.quote.maximum
        match outcome:
            case Outcome.BEGUN:
                named = named_charge(call.before, call.base, ceiling, None)
            case Outcome.EARNED:
                named = named_charge(call.before, call.base, ceiling, cost)
            case Outcome.FAILED:
                # A success all the same: else the client would not know of its deposit.
                named = 0
        return Response(
            success=True,
            network=self._rules.network,
            transaction=call.transaction,
            payer=address_text(call.book.config.payer),
            amount=str(call.deposited) if call.transaction else "",
            extra={
                "chargedAmount": str(named),
                "channelState": _state(call.book, call.base + named),
            },
        )

    # --- Giving money back --------------------------------------------------------------------

    async def refund(self, payment: Payment, quote: Quote) -> Response:
        """Give money back that was neither charged nor claimed, on the word of the payer.

        Raises
        ------
        PaymentRequired
            He did not sign up to what was charged, or there is not so much.
        QuotaExceeded
            As much was given back in this hour as the operator pays gas for.
        ChainError
            The chain does not take it.
        """
        voucher, wish = payment.voucher, payment.refund
        if voucher is None or wish is None:
            raise refused(Reason.REFUND_PAYLOAD, found="no refund", wanted="one with a voucher")
        self._check(voucher, self._till(*quote.key))
        channel = await self._turn(voucher, quote)
        try:
            await self._read(channel)
            book = channel.book
            signed = KeptVoucher(voucher.maximum, voucher.signature)
            if signed.maximum < book.charged:
                await self._correct(book, signed, quote, Reason.AMOUNT_MISMATCH)
            if not book.free:
                raise refused(
                    Reason.REFUND_NO_BALANCE, found="nothing left", wanted="an open balance"
                )
            amount = book.free if wish.amount is None else wish.amount
            if not 0 < amount <= book.free:
                raise refused(
                    Reason.REFUND_AMOUNT, found=amount, wanted=f"1 to {book.free} base units"
                )
            self._check_quiet(channel, signed)
            self._refunds.check(book.config.payer)
            self._refunds_of_all.check(_ALL)
            return await self._give_back(channel, amount)
        finally:
            self._leave(channel)

    async def _give_back(self, channel: _Channel, amount: int) -> Response:
        book = channel.book
        claims = await self.claims_of([book])
        try:
            transaction = await self._chain.refund(book.config, amount, claims)
        except TransactionReverted as error:
            raise refused(
                Reason.REFUND_FAILED,
                found=error.reason,
                wanted="a refund that the contract takes",
                next_step="ask again, or withdraw after the channel's delay",
            ) from error
        await self._read(channel)
        await self._books.keep(rows.channel_change(channel.book))
        return Response(
            success=True,
            network=self._rules.network,
            transaction=transaction,
            payer=address_text(book.config.payer),
            amount=str(amount),
            extra={"channelState": _state(channel.book, channel.book.charged)},
        )

    # --- Settling -----------------------------------------------------------------------------

    async def due(self) -> list[ChannelBook]:
        """Return every channel that was charged more than is claimed, as it stands on the disk."""
        return await self._books.look_up(rows.load_due)

    async def tills(self) -> dict[TillKey, Address]:
        """Return whose Tills channels have ever paid."""
        return await self._books.look_up(rows.load_tills)

    async def claims_of(self, books: Sequence[ChannelBook]) -> list[Claim]:
        """Return what claims these channels; from now on their vouchers count as published.

        Parameters
        ----------
        books
            As they stand on the disk: what was not written is not claimed.
        """
        # In memory, where calls would find them: what is written of a channel is never older than
        # what they charged since `books` were read.
        held: list[_Channel | None] = []
        try:
            # One by one: what is held is let go of below, if the next one cannot be read.
            for kept in books:
                held += [await self._held(kept.id)]
            while lost := [channel for channel in held if channel is not None and channel.lost]:
                await self._restore(lost[0])
            made: list[Claim] = []
            changes = []
            for kept, channel in zip(books, held, strict=True):
                voucher = kept.best()
                if voucher is None or channel is None:
                    continue
                channel.book.publish(voucher.maximum)
                channel.claiming = max(channel.claiming, kept.charged)
                changes.append(rows.channel_change(channel.book))
                made.append(Claim(kept.config, voucher.maximum, voucher.signature, kept.charged))
            if changes:
                await self._books.keep(*changes)
            return made
        finally:
            self._let_go(held)

    async def look(self, channel: bytes) -> ChannelBook | None:
        """Read a channel anew, and keep what the chain said; None where nobody knows it."""
        found = await self._held(channel)
        if found is None:
            return None
        try:
            await self._read(found)
            await self._restore(found)
            await self._books.keep(rows.channel_change(found.book))
        finally:
            self._let_go([found])
        return found.book

    def set_unfinal(self, channel: bytes, amount: int) -> None:
        """Learn how much of what the chain has claimed of a channel is not final."""
        if amount:
            self._unfinal[channel] = amount
        else:
            self._unfinal.pop(channel, None)
        if (found := self._channels.get(channel)) is not None:
            self._note(found)

    async def _held(self, name: bytes) -> _Channel | None:
        """Return a channel that stays in memory until `_let_go`, whoever else uses it."""
        found = self._channels.get(name)
        if found is None:
            book = await self._books.look_up(lambda reading: rows.load_channel(reading, name))
            if book is None:
                return None
            found = self._channels.get(name) or _Channel(book)
            self._remember(found)
        found.waiting += 1
        try:
            await self._restore(found)
        except BaseException:
            self._let_go([found])
            raise
        return found

    @staticmethod
    def _let_go(held: Sequence[_Channel | None]) -> None:
        for channel in held:
            if channel is not None:
                channel.waiting -= 1

    async def _restore(self, channel: _Channel) -> None:
        """Take the book from the disk where something of it could not be written."""
        if not channel.lost:
            return
        lost, name = channel.book, channel.book.id
        kept = await self._books.look_up(lambda reading: rows.load_channel(reading, name))
        # Of several who wait for it the first does it; what the second read may be old by then.
        if channel.lost and channel.book is lost:
            channel.book = kept or ChannelBook(name, lost.config, lost.asset, lost.terms)
            channel.read_at, channel.lost = None, False
            self._note(channel)

    # --- Inside -------------------------------------------------------------------------------

    def _check(self, voucher: Voucher, till: Address) -> None:
        """Refuse what can be told from the payment alone."""
        rules = self._rules
        check_channel(
            voucher,
            ChannelTerms(
                chain_id=rules.chain_id,
                receiver=till,
                authorizer=rules.operator,
                token=rules.token.contract,
                least_delay_s=rules.least_delay_s,
            ),
        )
        check_voucher_signature(rules.chain_id, voucher)

    def _check_deposit(self, voucher: Voucher, deposit: Deposit) -> None:
        rules = self._rules
        if deposit.amount < rules.least_deposit:
            raise refused(
                Reason.DEPOSIT_BELOW_MINIMUM,
                found=f"{deposit.amount} base units",
                wanted=f"{rules.least_deposit} or more",
            )
        check_window(deposit, now=int(self._clock()), lasts_s=TO_BE_MINED_S)
        check_deposit_signature(rules.token, voucher, deposit)

    def _note(self, channel: _Channel) -> None:
        """Say what is at stake on a channel: with whoever signs, whom nobody else can name."""
        book = channel.book
        at_stake = book.due + self._unfinal.get(book.id, 0) + channel.in_flight
        self._exposures.note(book.config.payer_authorizer, book.id, at_stake)

    def _check_quiet(self, channel: _Channel, signed: KeptVoucher) -> None:
        """Refuse a stranger with a claim's voucher, who would end a channel that is in use."""
        if signed.maximum not in channel.book.published or channel.used_at is None:
            return
        left = channel.used_at + self._rules.quiet_s - self._steady()
        if left > 0:
            raise refused(
                Reason.CHANNEL_BUSY,
                found="a voucher that others know, for a channel that is in use",
                wanted=f"a channel that was quiet for {self._rules.quiet_s:g} s",
                next_step="ask again then",
                retry_after_s=int(left) + 1,
            )

    async def _turn(self, voucher: Voucher, quote: Quote) -> _Channel:
        """Wait until the channel is ours, and return it."""
        name = voucher.channel
        channel = self._channels.get(name)
        if channel is None:
            book = await self._books.look_up(lambda reading: rows.load_channel(reading, name))
            book = book or ChannelBook(name, voucher.config, quote.key.asset, quote.key.terms)
            channel = self._channels.get(name) or _Channel(book)
        self._remember(channel)
        if channel.waiting >= _WAITING_PER_CHANNEL:
            raise _busy()
        channel.waiting += 1
        try:
            async with asyncio.timeout(self._rules.wait_s):
                await channel.turn.acquire()
        except TimeoutError as error:
            raise _busy() from error
        finally:
            channel.waiting -= 1
        try:
            await self._restore(channel)
        except BaseException:
            self._leave(channel)
            raise
        return channel

    def _leave(self, channel: _Channel) -> None:
        channel.in_flight = 0
        self._note(channel)
        channel.turn.release()
        # Channels that anybody can invent must not fill the memory.
        if not channel.waiting and not channel.book.chain.balance:
            self._forget(channel)

    def _remember(self, channel: _Channel) -> None:
        """Keep a channel in memory as the latest; let go of those that were idle longest."""
        self._channels.pop(channel.book.id, None)
        self._channels[channel.book.id] = channel
        if len(self._channels) > _IN_MEMORY:
            idle = (
                c
                for c in self._channels.values()
                if not (c.waiting or c.turn.locked() or c.book.id in self._unfinal)
            )
            if (oldest := next(idle, channel)) is not channel:
                self._forget(oldest)

    def _forget(self, channel: _Channel) -> None:
        self._channels.pop(channel.book.id, None)

    async def _refresh(self, channel: _Channel) -> None:
        if self._age(channel) > self._rules.refresh_s:
            await self._read(channel)
        if channel.book.chain.withdraw_at:
            raise Closed(
                f"x402 channel {hex_text(channel.book.id)}",
                found=f"a withdrawal, asked for at {channel.book.chain.withdraw_at}",
                wanted="a channel without one",
                next_step="finalize it and deposit again, or use another salt",
            )

    async def _read(self, channel: _Channel) -> None:
        # Anybody can invent names of channels; so those wait in a bounded line.
        if self._reads_waiting >= _READS_WAITING and not channel.book.chain.balance:
            raise Busy("x402 channels", found=f"{self._reads_waiting} waiting to be looked up")
        self._reads_waiting += 1
        try:
            async with self._reads:
                seen = await self._chain.read_channel(channel.book.id)
        finally:
            self._reads_waiting -= 1
        known = max(channel.book.chain.claimed, channel.claiming)
        channel.book.chain = seen
        if seen.claimed > known:
            # A command claimed from these books, or a process that died: any voucher may be public.
            for voucher in channel.book.vouchers:
                channel.book.publish(voucher.maximum)
        # What the chain has and these books do not was charged by books that are lost.
        channel.book.charged = max(channel.book.charged, seen.claimed)
        channel.read_at = self._steady()
        self._note(channel)

    def _age(self, channel: _Channel) -> float:
        return math.inf if channel.read_at is None else self._steady() - channel.read_at

    async def _base(
        self, book: ChannelBook, signed: KeptVoucher, quote: Quote, *, arriving: int = 0
    ) -> int:
        if not book.chain.balance and not arriving:
            raise refused(
                Reason.CHANNEL_NOT_FOUND,
                found=f"nothing in channel {hex_text(book.id)}",
                wanted="a deposit",
                next_step="send one with the voucher; official clients do",
            )
        try:
            return book.base(signed.maximum, quote.maximum, arriving=arriving)
        except PaymentRequired as error:
            reason = Reason(str(error.operands["x402"]))
            if reason in {Reason.AMOUNT_MISMATCH, Reason.BELOW_CLAIMED}:
                error.operands["accepts"] = [await self._corrected(book, signed, quote)]
            raise

    async def _correct(
        self, book: ChannelBook, signed: KeptVoucher, quote: Quote, reason: Reason
    ) -> None:
        raise refused(
            reason,
            found=f"a voucher up to {signed.maximum}",
            wanted=f"one up to the {book.charged} that were charged",
            accepts=[await self._corrected(book, signed, quote)],
        )

    async def _corrected(
        self, book: ChannelBook, signed: KeptVoucher, quote: Quote
    ) -> dict[str, Any]:
        """Return the offer with the channel's state, as clients that can ask a chain take it."""
        known = book.published
        told = book.told(signed)
        if book.published != known:
            await self._books.keep(rows.channel_change(book))
        offer = self.accept(quote)
        extra = {**offer.extra, "channelState": _state(book, book.charged)}
        if told is not None:
            extra["voucherState"] = {
                "signedMaxClaimable": str(told.maximum),
                "signature": hex_text(told.signature),
            }
        made: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(offer, extra=extra))
        return made

    async def _is_drawn(self, book: ChannelBook, deposit: Deposit) -> bool:
        """Tell whether this very deposit was made before: its answer got lost, or was copied."""
        nonce = deposit_nonce(book.id, deposit.salt)
        kept = await self._books.look_up(lambda reading: rows.load_payment(reading, nonce))
        if kept is None or kept.state is rows.State.REFUSED:
            return False
        if kept.state is rows.State.DONE:
            return True
        return await self._chain.is_used(book.config.payer, nonce)

    async def _deposit(self, channel: _Channel, deposit: Deposit, quote: Quote) -> str:
        book = channel.book
        payment = rows.KeptPayment(
            nonce=deposit_nonce(book.id, deposit.salt),
            kind=rows.Kind.DEPOSIT,
            state=rows.State.INTENDED,
            payer=book.config.payer,
            asset=quote.key.asset,
            terms=quote.key.terms,
            amount=deposit.amount,
            tx="",
            request=b"",
            time=int(self._clock()),
        )
        # Whoever waited may have gone; the channel stays in memory until this is over.
        channel.waiting += 1
        try:
            return await self._drawn(channel, deposit, payment)
        finally:
            channel.waiting -= 1

    async def _drawn(self, channel: _Channel, deposit: Deposit, payment: rows.KeptPayment) -> str:
        book = channel.book
        await self._books.keep(rows.payment_change(payment))
        try:
            transaction = await self._chain.deposit(book.config, deposit)
        except TransactionReverted as error:
            before = book.chain.balance
            await self._read(channel)
            # Anybody may hand it in; what counts is that the money is in the channel.
            if book.chain.balance < before + deposit.amount:
                gone = payment._replace(state=rows.State.REFUSED)
                await self._books.keep(rows.payment_change(gone))
                raise refused(
                    Reason.DEPOSIT_FAILED,
                    found=error.reason,
                    wanted="a deposit that the contracts take",
                    next_step=f"see that {address_text(book.config.payer)} has the money",
                ) from error
            transaction = ""
        await self._read(channel)
        done = payment._replace(state=rows.State.DONE, tx=transaction)
        await self._books.keep(rows.payment_change(done), rows.channel_change(channel.book))
        return transaction


def _busy() -> PaymentRequired:
    return refused(
        Reason.CHANNEL_BUSY,
        found="a call that is being answered",
        wanted="one at a time on a channel",
        next_step="ask again, or open further channels: one per salt",
        retry_after_s=1,
    )


def _state(book: ChannelBook, charged: int) -> dict[str, Any]:
    return {**book.chain.shown(book.id), "chargedCumulativeAmount": str(charged)}
