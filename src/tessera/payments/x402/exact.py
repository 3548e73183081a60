"""Taking `exact`: one authorization of the currency pays for one call, at its highest price.

No promise stands before the money: the answer is made, then the authorization is used on the chain,
then the answer leaves. A call that fails before uses nothing, and the authorization dies by its own
deadline. What was used and not answered, because the process died in between, pays for one repeat.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from tessera.errors import InvariantViolation, TesseraError, TransactionReverted
from tessera.payments.header import SignedReceipt
from tessera.payments.ledger import Call, Evidence, Quote
from tessera.payments.ports import Clock
from tessera.payments.tender import Outcome, PaymentSpent
from tessera.payments.x402 import rows
from tessera.payments.x402.judging import check_transfer
from tessera.payments.x402.ports import X402Chain
from tessera.payments.x402.rules import Books, Till, X402Rules
from tessera.payments.x402.wire import (
    EXACT,
    Accept,
    Authorization,
    Payment,
    Reason,
    Response,
    hex_text,
    reason_of,
    refused,
)
from tessera.spec.signatures import Address, address_text

__all__ = ["ExactCall", "ExactPayments"]


class ExactCall(Call):
    """A call that an authorization pays for.

    Attributes
    ----------
    authorization
        The payer's.
    used
        Whether the chain had used it before this call: nothing is sent again.
    transaction
        What moved the money; "" before.
    reason
        Why it failed, in the standard's words.
    """

    authorization: Authorization | None = None
    used: bool = False
    transaction: str = ""
    reason: str = str(Reason.NOT_SERVED)

    @property
    def by(self) -> Authorization:
        """The payer's authorization."""
        if self.authorization is None:
            raise InvariantViolation(f"call {self.id} has no authorization")
        return self.authorization

    @property
    def payer(self) -> Address | None:
        """Whose place in a queue it takes."""
        return self.by.payer


class ExactPayments:
    """The receiver's side of one-time payments.

    Parameters
    ----------
    books
        Where it is written what was paid.
    chain
        Where the currency is.
    rules
        What is asked of authorizations.
    till
        Who is paid for (asset, terms).
    clock
        Unix seconds.
    """

    def __init__(
        self, books: Books, chain: X402Chain, rules: X402Rules, till: Till, clock: Clock
    ) -> None:
        self._books = books
        self._chain = chain
        self._rules = rules
        self._till = till
        self._clock = clock
        # What each authorization in hand is to bring: of one payer's money each wants its own part.
        self._open: dict[bytes, int] = {}
        self._promised: Counter[Address] = Counter()

    @property
    def least(self) -> int:
        """The least that a payment brings, base units."""
        return self._rules.exact_least

    def is_offered(self, quote: Quote) -> bool:
        """Tell whether a call brings enough for a transaction of its own."""
        return quote.maximum >= self.least

    def accept(self, quote: Quote) -> Accept:
        """Return the offer to take a call's most."""
        return self._rules.accept(EXACT, quote.maximum, self._till(*quote.key))

    async def take(self, payment: Payment, quote: Quote, name: str, request: bytes) -> ExactCall:
        """See that an authorization would pay for a call.

        Raises
        ------
        PaymentRequired
            It is for another amount or receiver, not signed by its payer, used, or without money.
        ChainError
            The chain cannot be asked.
        """
        by = payment.authorization
        if by is None:
            raise InvariantViolation("exact payment", found="no authorization", wanted="one")
        check_transfer(
            self._rules.token,
            by,
            receiver=self._till(*quote.key),
            units=quote.maximum,
            now=int(self._clock()),
            lasts_s=self._rules.answer_s,
        )
        if _key(by) in self._open:
            raise _used(by)
        # From here on a copy of this request is refused.
        self._open[_key(by)] = 0
        try:
            used, transaction = await self._is_unanswered(by, request)
            if not used:
                held = await self._chain.money_of(by.payer)
                wanted = by.value + self._promised[by.payer]
                if held < wanted:
                    raise refused(
                        Reason.EXACT_BALANCE,
                        found=f"{held} base units",
                        wanted=f"the {wanted} authorized for this call and others in hand",
                        next_step=f"send {address_text(by.payer)} some",
                    )
                self._open[_key(by)] = by.value
                self._promised[by.payer] = wanted
        except BaseException:
            self._forget(by)
            raise
        call = ExactCall(
            quote,
            name,
            None,
            held_back=_key(by),
            authorization=by,
            used=used,
            transaction=transaction,
        )
        self._books.begin(call)
        return call

    async def finish(self, call: ExactCall, evidence: Evidence) -> SignedReceipt:
        """Use the authorization, and write the receipt down; the answer may leave then.

        Raises
        ------
        PaymentRequired
            The currency refused; nothing was taken.
        ChainError, DataError
            It is not known whether it was used, or that could not be written. If it was, it pays
            for a repeat of the same request.
        """
        if call.ended:
            raise InvariantViolation(f"call {call.id} was ended twice")
        call.ended = True
        return await asyncio.shield(asyncio.ensure_future(self._paid(call, evidence)))

    async def _paid(self, call: ExactCall, evidence: Evidence) -> SignedReceipt:
        by, quote = call.by, call.quote
        payment = rows.KeptPayment(
            nonce=_key(by),
            kind=rows.Kind.EXACT,
            state=rows.State.INTENDED,
            payer=by.payer,
            asset=quote.key.asset,
            terms=quote.key.terms,
            amount=by.value,
            tx=call.transaction,
            request=evidence.request,
            time=int(self._clock()),
        )
        try:
            if not call.used:
                # Before it is sent: whoever starts after a crash must know what to look for.
                await self._books.keep(rows.payment_change(payment))
                call.transaction = await self._transferred(by)
                self._promises_no_more(by)
            done = payment._replace(state=rows.State.DONE, tx=call.transaction)
            return await self._books.issue(
                call, by.value, by.value, evidence, rows.payment_change(done)
            )
        except TesseraError as error:
            call.reason = reason_of(error)
            raise
        finally:
            self._close(call)

    async def _transferred(self, by: Authorization) -> str:
        try:
            return await self._chain.transfer(by)
        except TransactionReverted as error:
            # Anybody may hand an authorization in; what counts is that the money moved.
            if transaction := await self._chain.transferred(by):
                return transaction
            raise refused(
                Reason.TRANSACTION_FAILED,
                found=error.reason,
                wanted="an authorization that the currency takes",
                next_step="nothing was taken; ask again with another one",
            ) from error

    def fail(self, call: ExactCall) -> None:
        """End a call without an answer: its authorization is not used. Ending twice is once."""
        if not call.ended:
            call.ended = True
            self._close(call)

    def response(self, call: ExactCall, outcome: Outcome) -> Response:
        """Return `PAYMENT-RESPONSE`."""
        by = call.by
        if outcome is Outcome.EARNED:
            return Response(
                success=True,
                network=self._rules.network,
                transaction=call.transaction,
                payer=address_text(by.payer),
                amount=str(by.value),
            )
        return Response(
            success=False,
            network=self._rules.network,
            payer=address_text(by.payer),
            error_reason=call.reason,
            error_message="nothing was taken",
        )

    # --- Inside -------------------------------------------------------------------------------

    async def _is_unanswered(self, by: Authorization, request: bytes) -> tuple[bool, str]:
        """Tell whether it was used for this very request, which then was not answered.

        Raises
        ------
        PaymentRequired
            It was used, and was answered or was not ours.
        """
        key = _key(by)
        kept = await self._books.look_up(lambda reading: rows.load_payment(reading, key))
        if kept is not None and kept.state is rows.State.DONE:
            raise _used(by)
        if not await self._chain.is_used(by.payer, by.nonce):
            return False, ""
        if kept is None or kept.request != request:
            raise _used(by)
        # A nonce can be cancelled, or used up for somebody else.
        transaction = await self._chain.transferred(by)
        if not transaction:
            raise _used(by)
        return True, transaction

    def _close(self, call: ExactCall) -> None:
        self._forget(call.by)
        self._books.end(call)

    def _forget(self, by: Authorization) -> None:
        self._promises_no_more(by)
        self._open.pop(_key(by), None)

    def _promises_no_more(self, by: Authorization) -> None:
        self._promised[by.payer] -= self._open.get(_key(by), 0)
        self._open[_key(by)] = 0
        if not self._promised[by.payer]:
            del self._promised[by.payer]


def _key(by: Authorization) -> bytes:
    # The currency counts nonces per payer, so two payers may choose the same.
    return by.payer + by.nonce


def _used(by: Authorization) -> PaymentSpent:
    spent = PaymentSpent(
        "x402 payment",
        found=hex_text(by.nonce),
        wanted="a nonce that was not used",
        next_step="sign a new authorization for each call",
        x402=str(Reason.EXACT_NONCE_USED),
    )
    spent.payment = _key(by)
    return spent
