"""What a call must pay, and the 402 that says so to whoever did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tessera.errors import InputError, NotAllowed, PaymentRequired, SignatureRejected
from tessera.gateway.catalogue import Offer
from tessera.gateway.messages import Scope, header
from tessera.payments.callers import SignedRequest
from tessera.payments.header import (
    ACCESS_HEADER,
    CALL_DEADLINE_HEADER,
    CALL_HEADER,
    CALL_SIGNATURE_HEADER,
    ORDER_HEADER,
    PAYMENT_HEADER,
    TERMS_HEADER,
    USE_HEADER,
    parse_call_deadline,
    parse_call_id,
    parse_call_signature,
    parse_order,
    parse_payment,
    parse_terms,
)
from tessera.payments.ledger import Call, Ledger, Quote
from tessera.payments.rights import SignedUse, parse_use
from tessera.serving.bodies import Asked
from tessera.serving.turns import NO_STAKES, Stakes
from tessera.spec.access import Scope as Licence
from tessera.spec.signatures import Address, Domain, address_text

__all__ = ["Cashier", "PaymentTerms"]

_INFERENCE: Final = Licence.INFERENCE


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
    stakes
        Who has locked how much, for terms that only holders have.
    """

    def __init__(self, ledger: Ledger, terms: PaymentTerms, stakes: Stakes = NO_STAKES) -> None:
        self.ledger = ledger
        self.terms = terms
        self._stakes = stakes

    def offer_under(self, scope: Scope, offer: Offer) -> Offer:
        """Return the offer under the terms that the request names, or as it is.

        Raises
        ------
        PaymentRequired
            There are no such terms, any more; the operands say which there are.
        InputError
            An order pays, which has terms of its own.
        """
        named = header(scope, TERMS_HEADER)
        if named is None:
            return offer
        if header(scope, ORDER_HEADER) is not None:
            raise InputError(TERMS_HEADER, found="beside an order", wanted="one of them")
        terms = parse_terms(named)
        found = offer.under(terms)
        if found is None:
            others = f" or {offer.discount.terms} (holders')" if offer.discount else ""
            raise PaymentRequired(
                f"call to {offer.slug}",
                found=f"terms {terms}",
                wanted=f"terms {offer.terms}{others}",
                next_step="look at the model's card again",
                payment=self.terms.shown(),
                model=offer.card(),
            )
        return found

    async def check_stake(self, call: Call, offer: Offer) -> None:
        """Refuse a call under holders' terms whose payer locked too little.

        Raises
        ------
        NotAllowed
            He has locked fewer of the asset's shares than these terms take.
        ChainError
            The chain was asked and does not answer.
        """
        if not offer.min_locked:
            return
        locked = 0 if call.payer is None else await self._stakes.amount(offer.asset, call.payer)
        if locked < offer.min_locked:
            raise NotAllowed(
                f"terms {offer.terms} of {offer.slug}",
                found=f"{locked} raw shares locked",
                wanted=f"{offer.min_locked} locked by the payer in the asset's governance",
                next_step="lock more, or call without Tessera-Terms at the price of all",
                locked=str(locked),
                min_locked=str(offer.min_locked),
            )

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
        SignatureRejected, Conflict, Closed, NotAllowed, InputError, ChainError
            As `Ledger.accept` and `Ledger.accept_order`.
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
        if header(scope, ORDER_HEADER) is not None or header(scope, ACCESS_HEADER) is not None:
            if payment is not None:
                raise InputError("payment", found="a voucher and an order", wanted="one of them")
            use = _signed_use(scope, request)
            return await self.ledger.accept_order(use, quote, stream=asked.stream)
        if payment is None:
            if quote.maximum == 0:
                return self.ledger.accept_free(quote, call_id)
            raise PaymentRequired(
                f"call to {offer.slug}",
                found="no payment",
                wanted=f"a voucher for up to {quote.maximum} base units of {self.terms.symbol}",
                next_step="open a channel and send Tessera-Payment, or name an order; "
                "tessera.Client does both",
                **self._how(offer, quote),
            )
        signed = parse_payment(payment)
        signature = header(scope, CALL_SIGNATURE_HEADER)
        by = None if signature is None else parse_call_signature(signature)
        try:
            return await self.ledger.accept(signed, quote, SignedRequest(call_id, request, by))
        except PaymentRequired as error:
            error.operands.update(self._how(offer, quote))
            error.operands["channel"] = await self.channel(signed.voucher.channel)
            raise

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


def _signed_use(scope: Scope, request: bytes) -> SignedUse:
    access, order = parse_order(header(scope, ACCESS_HEADER), header(scope, ORDER_HEADER))
    name, signature = header(scope, CALL_HEADER), header(scope, CALL_SIGNATURE_HEADER)
    if name is None or signature is None:
        raise SignatureRejected(
            f"call on order {order}",
            found="no name" if name is None else "no signature",
            wanted="Tessera-Call and Tessera-Call-Signature, by the order's user",
        )
    purpose = header(scope, USE_HEADER)
    return SignedUse(
        access=access,
        order=order,
        name=parse_call_id(name),
        body=request,
        deadline=parse_call_deadline(header(scope, CALL_DEADLINE_HEADER)),
        signature=parse_call_signature(signature),
        use=_INFERENCE if purpose is None else parse_use(purpose.decode("ascii", "replace")),
    )
