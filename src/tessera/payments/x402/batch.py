"""Taking `batch-settlement`: vouchers of the standard's channels, deposits, and giving money back.

Nothing is believed that can be computed: the channel's name from its terms, the base from the
voucher, the receiver from asset and terms. A deposit is on the chain before anything is served on
it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from tessera.errors import (
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
from tessera.payments.x402.held import HeldChannel, HeldChannels
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

_LOOK_AGAIN_S: Final = 0.5
"""A deposit that arrived after the last read is looked for at most so often per channel."""

_HOUR_S: Final = 3_600.0
_ALL: Final = b""

_NONE: Final = KeptVoucher(0, b"")


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

    held: HeldChannel | None = None
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

    Attributes
    ----------
    held
        Channels in memory.
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
        self._exposures = exposures or Exposures()
        self.held = HeldChannels(books, chain, self._exposures, steady, rules.wait_s)
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
        channel = await self.held.turn(voucher, quote.key)
        try:
            return await self._taken(channel, payment, voucher, quote, name, stream=stream)
        except BaseException:
            self.held.leave(channel)
            raise

    async def _taken(
        self,
        channel: HeldChannel,
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
            if voucher.maximum > book.chain.balance and self.held.age(channel) > _LOOK_AGAIN_S:
                # There may be a deposit since the chain was read.
                await self.held.read(channel)
        base = await self._base(channel.book, signed, quote)
        self._exposures.check(book.config.payer_authorizer, book.id, quote.maximum)
        channel.in_flight = quote.maximum
        self.held.note(channel)
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
        self, call: BatchCall, channel: HeldChannel, cost: int, evidence: Evidence
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
            self.held.leave(channel)

    def fail(self, call: BatchCall) -> None:
        """End a call without an answer: it costs nothing. Ending twice is once."""
        if not call.ended and call.held is not None:
            call.ended = True
            call.book.drop(call.signed)
            self._books.end(call)
            self.held.leave(call.held)

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
        channel = await self.held.turn(voucher, quote.key)
        try:
            await self.held.read(channel)
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
            self.held.leave(channel)

    async def _give_back(self, channel: HeldChannel, amount: int) -> Response:
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
        await self.held.read(channel)
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
        held: list[HeldChannel | None] = []
        try:
            # One by one: what is held is let go of below, if the next one cannot be read.
            for kept in books:
                held += [await self.held.hold(kept.id)]
            while lost := [channel for channel in held if channel is not None and channel.lost]:
                await self.held.restore(lost[0])
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
            self.held.let_go(held)

    async def look(self, channel: bytes) -> ChannelBook | None:
        """Read a channel anew, and keep what the chain said; None where nobody knows it."""
        found = await self.held.hold(channel)
        if found is None:
            return None
        try:
            await self.held.read(found)
            await self.held.restore(found)
            await self._books.keep(rows.channel_change(found.book))
        finally:
            self.held.let_go([found])
        return found.book

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

    def _check_quiet(self, channel: HeldChannel, signed: KeptVoucher) -> None:
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

    async def _refresh(self, channel: HeldChannel) -> None:
        if self.held.age(channel) > self._rules.refresh_s:
            await self.held.read(channel)
        if channel.book.chain.withdraw_at:
            raise Closed(
                f"x402 channel {hex_text(channel.book.id)}",
                found=f"a withdrawal, asked for at {channel.book.chain.withdraw_at}",
                wanted="a channel without one",
                next_step="finalize it and deposit again, or use another salt",
            )

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

    async def _deposit(self, channel: HeldChannel, deposit: Deposit, quote: Quote) -> str:
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

    async def _drawn(
        self, channel: HeldChannel, deposit: Deposit, payment: rows.KeptPayment
    ) -> str:
        book = channel.book
        await self._books.keep(rows.payment_change(payment))
        try:
            transaction = await self._chain.deposit(book.config, deposit)
        except TransactionReverted as error:
            before = book.chain.balance
            await self.held.read(channel)
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
        await self.held.read(channel)
        done = payment._replace(state=rows.State.DONE, tx=transaction)
        await self._books.keep(rows.payment_change(done), rows.channel_change(channel.book))
        return transaction


def _state(book: ChannelBook, charged: int) -> dict[str, Any]:
    return {**book.chain.shown(book.id), "chargedCumulativeAmount": str(charged)}
