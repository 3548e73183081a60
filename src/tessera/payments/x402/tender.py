"""x402 as one way of paying, whichever of its two schemes a request brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tessera.errors import InvariantViolation
from tessera.payments.header import SignedReceipt
from tessera.payments.ledger import Call, Evidence, Quote
from tessera.payments.tender import Demand, Head, Outcome
from tessera.payments.x402.batch import BatchCall, BatchSettlement
from tessera.payments.x402.exact import ExactCall, ExactPayments
from tessera.payments.x402.wire import (
    BATCH,
    EXACT,
    RESPONSE_HEADER,
    SIGNATURE_HEADER,
    Accept,
    Payment,
    Reason,
    Response,
    encode_header,
    parse_payment,
    refused,
)

__all__ = ["X402Payments"]

_RESPONSE: Final = RESPONSE_HEADER.encode()


class X402Payments:
    """The tender of x402.

    Parameters
    ----------
    batch
        Takes vouchers.
    exact
        Takes one-time payments; None where these are not wanted.
    """

    name: Final = "x402"

    def __init__(self, batch: BatchSettlement, exact: ExactPayments | None) -> None:
        self.batch = batch
        self.exact = exact

    def offered(self, head: Head) -> bool:
        """Tell whether there is a payment of the standard."""
        return head.get(SIGNATURE_HEADER) is not None

    def accepts(self, demand: Demand) -> Sequence[Mapping[str, Any]]:
        """Return both schemes, or the one that is worth it; clients take the first they know."""
        return [msgspec.to_builtins(offer) for offer in self._offers(demand.quote)]

    async def take(self, head: Head, demand: Demand) -> Call:
        """As `BatchSettlement.take` or `ExactPayments.take`.

        Raises
        ------
        PaymentRequired
            The payment is for another offer than this call's.
        """
        payment = self._chosen(head, demand.quote)
        name = demand.call_of(head)
        if payment.refund is not None:
            raise refused(
                Reason.PAYLOAD_TYPE, found="a refund", wanted="a voucher; refunds come by GET"
            )
        if payment.voucher is not None:
            return await self.batch.take(payment, demand.quote, name, stream=demand.stream)
        if self.exact is None:
            raise InvariantViolation("x402 payment", found="exact", wanted="an offered scheme")
        return await self.exact.take(payment, demand.quote, name, demand.request)

    async def finish(self, call: Call, cost: int, evidence: Evidence) -> SignedReceipt:
        """As `BatchSettlement.finish` or `ExactPayments.finish`."""
        if isinstance(call, BatchCall):
            return await self.batch.finish(call, cost, evidence)
        if isinstance(call, ExactCall) and self.exact is not None:
            return await self.exact.finish(call, evidence)
        raise InvariantViolation(f"call {call.id} was not paid by x402")

    def fail(self, call: Call) -> None:
        """As `BatchSettlement.fail` or `ExactPayments.fail`."""
        if isinstance(call, BatchCall):
            self.batch.fail(call)
        elif isinstance(call, ExactCall) and self.exact is not None:
            self.exact.fail(call)

    def headers(self, call: Call, outcome: Outcome, cost: int = 0) -> Sequence[tuple[bytes, bytes]]:
        """Return `PAYMENT-RESPONSE`."""
        if isinstance(call, BatchCall):
            made = self.batch.response(call, outcome, cost)
        elif isinstance(call, ExactCall) and self.exact is not None:
            made = self.exact.response(call, outcome)
        else:
            return ()
        return ((_RESPONSE, encode_header(made)),)

    async def refund(self, head: Head, quote: Quote) -> Response:
        """Give the rest of a channel back, as its payer asks in the header.

        Raises
        ------
        PaymentRequired
            It is no such wish, or cannot be granted.
        """
        return await self.batch.refund(self._chosen(head, quote), quote)

    def _offers(self, quote: Quote) -> list[Accept]:
        made = [self.batch.accept(quote)]
        if self.exact is not None and self.exact.is_offered(quote):
            made.append(self.exact.accept(quote))
        return made

    def _chosen(self, head: Head, quote: Quote) -> Payment:
        payment = parse_payment(head.get(SIGNATURE_HEADER) or b"")
        theirs = payment.accepted
        for ours in self._offers(quote):
            # What a client repeats of `extra` is checked where it counts: in what it signed.
            if msgspec.structs.replace(theirs, extra=ours.extra) == ours:
                return payment
        if theirs.scheme == EXACT and self.exact is not None and not self.exact.is_offered(quote):
            raise refused(
                Reason.NO_MATCH,
                found=f"a one-time payment for a call of at most {quote.maximum} base units",
                wanted=f"{BATCH}, or a call of at most {self.exact.least} or more",
                next_step="open a channel, or let the call cost more: by another max_tokens",
            )
        raise refused(
            Reason.NO_MATCH,
            found=f"a payment of {theirs.amount[:40]} by {theirs.scheme[:40]} "
            f"on {theirs.network[:40]}",
            wanted="one of the offers for this very request",
            next_step="ask without a payment first: prices change, and follow the request",
        )
