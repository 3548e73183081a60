"""What a call must pay, and the 402 that says so to whoever did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tessera.errors import Conflict, PaymentRequired, SignatureRejected
from tessera.gateway.catalogue import Offer
from tessera.gateway.messages import Scope, header
from tessera.payments.header import (
    CALL_HEADER,
    CALL_SIGNATURE_HEADER,
    PAYMENT_HEADER,
    parse_call_id,
    parse_call_signature,
    parse_payment,
)
from tessera.payments.ledger import Call, Ledger, Quote
from tessera.serving.bodies import Asked
from tessera.spec.signatures import Address, Domain, address_text, recover
from tessera.spec.vouchers import call_digest

__all__ = ["Cashier", "PaymentTerms"]

_CALLS_REMEMBERED: Final = 65_536


@dataclass(frozen=True, slots=True)
class PaymentTerms:
    """How to pay this operator.

    Attributes
    ----------
    domain
        Chain and Channels contract that vouchers are signed for.
    operator
        Whom channels are opened toward.
    currency
        The contract of the token that everything is priced in.
    decimals, symbol
        Of the currency.
    withdraw_delay_s
        Between a consumer's request to withdraw and the money.
    """

    domain: Domain
    operator: Address
    currency: Address
    decimals: int
    symbol: str
    withdraw_delay_s: int

    def shown(self) -> dict[str, Any]:
        """Return them as JSON values; a client compares them with what it knows of the chain."""
        return {
            "chain_id": self.domain.chain_id,
            "channels": address_text(self.domain.contract),
            "operator": address_text(self.operator),
            "currency": address_text(self.currency),
            "decimals": self.decimals,
            "symbol": self.symbol,
            "withdraw_delay_s": self.withdraw_delay_s,
        }


class Cashier:
    """Takes the voucher of a call, or says what is missing.

    Parameters
    ----------
    ledger
        Judges vouchers and keeps what calls cost.
    terms
        How to pay.
    """

    def __init__(self, ledger: Ledger, terms: PaymentTerms) -> None:
        self.ledger = ledger
        self.terms = terms
        self._asked: dict[tuple[int, str], None] = {}

    async def accept(
        self, scope: Scope, offer: Offer, asked: Asked, name: str, request: bytes
    ) -> Call:
        """Reserve the most that the call can cost.

        Parameters
        ----------
        scope, offer, asked
            The request.
        name
            Of the answer; names the call where the consumer did not.
        request
            Keccak-256 of the body's exact bytes.

        Raises
        ------
        PaymentRequired
            There is no voucher, or it is not enough; the operands say how to pay.
        Conflict
            This very request was answered already: somebody sends a copy of it.
        SignatureRejected, Closed, NotAllowed, InputError, ChainError
            As `Ledger.accept`; also where the request itself is not signed.
        """
        units = asked.most
        quote = Quote(
            offer.key,
            offer.version,
            int(offer.runner.identity),
            offer.price.cost_ceil(units.input, units.output),
        )
        chosen = header(scope, CALL_HEADER)
        call_id = name if chosen is None else parse_call_id(chosen)
        payment = header(scope, PAYMENT_HEADER)
        if payment is None:
            if quote.maximum == 0:
                return self.ledger.accept_free(quote, call_id)
            raise PaymentRequired(
                f"call to {offer.slug}",
                found="no payment",
                wanted=f"a voucher for up to {quote.maximum} base units of {self.terms.symbol}",
                next_step="open a channel and send Tessera-Payment; tessera.Client does both",
                **self._how(offer, quote),
            )
        signed = parse_payment(payment)
        try:
            call = await self.ledger.accept(signed, quote, call_id)
        except PaymentRequired as error:
            error.operands.update(self._how(offer, quote))
            error.operands["channel"] = await self.channel(signed.voucher.channel)
            raise
        try:
            self._check_caller(call, header(scope, CALL_SIGNATURE_HEADER), request)
        except BaseException:
            self.ledger.fail(call)
            raise
        return call

    def _check_caller(self, call: Call, signature: bytes | None, request: bytes) -> None:
        # A voucher is in the calldata of its settlement, for all to copy. It says how much may be
        # spent; that the one who spends it is who signed it, this signature says.
        wanted = "the request signed by whoever signed the voucher"
        if signature is None:
            raise SignatureRejected("Tessera-Call-Signature", found="none", wanted=wanted)
        name = bytes.fromhex(call.id)
        digest = call_digest(self.ledger.domain, call.channel, name, request)
        signer = recover(digest, parse_call_signature(signature))
        account = call.account
        if account is None or account.chain is None or signer != account.chain.signer:
            raise SignatureRejected(
                f"call {call.id} on channel {call.channel}",
                found=f"signed by {address_text(signer)}",
                wanted=wanted,
            )
        if (call.channel, call.id) in self._asked:
            raise Conflict(
                f"call {call.id} on channel {call.channel}",
                found="asked before",
                wanted="a name that was not used yet",
            )
        self._asked[call.channel, call.id] = None
        if len(self._asked) > _CALLS_REMEMBERED:
            del self._asked[next(iter(self._asked))]

    async def channel(self, number: int) -> dict[str, Any] | None:
        """Return a channel as this operator sees it; None where there is none."""
        account = await self.ledger.account(number)
        if account is None or account.chain is None:
            return None
        return {
            "channel": str(number),
            "operator": address_text(self.terms.operator),
            "payer": address_text(account.chain.payer),
            "signer": address_text(account.chain.signer),
            "balance": str(account.chain.balance),
            "available_at": account.chain.available_at,
            "lines": [
                {
                    "asset": str(key.asset),
                    "terms": key.terms,
                    "charged": str(line.charged),
                    "settled": str(line.settled),
                    "in_flight": str(line.in_flight),
                }
                for key, line in sorted(account.lines.items())
            ],
        }

    def _how(self, offer: Offer, quote: Quote) -> dict[str, Any]:
        return {
            "payment": self.terms.shown(),
            "model": offer.card(),
            "maximum": str(quote.maximum),
        }
