"""What a call must pay, and the 402 that says so to whoever did not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tessera.errors import InputError, NotAllowed, NotFound, PaymentRequired
from tessera.gateway.catalogue import Offer
from tessera.gateway.discovery import bazaar_of, paths_of
from tessera.gateway.x402_offers import example_quote, resource_of
from tessera.payments.header import ORDER_HEADER, TERMS_HEADER, parse_terms
from tessera.payments.ledger import Call, Ledger, Quote
from tessera.payments.tender import Demand, Head, Held, Tender
from tessera.payments.tenders import FreeCalls, Orders, Vouchers, shown_channel
from tessera.payments.x402.tender import X402Payments
from tessera.payments.x402.wire import Response
from tessera.serving.bodies import Asked
from tessera.serving.runner import Units
from tessera.serving.turns import NO_STAKES, Stakes
from tessera.spec.signatures import Address, Domain, address_text

__all__ = ["Cashier", "PaymentTerms"]


@dataclass(frozen=True, slots=True)
class PaymentTerms:
    """How to pay this operator.

    Attributes
    ----------
    domain
        Chain and Channels contract that vouchers are signed for.
    operator
        Whom channels are opened toward.
    operator_key
        Its public key, 33 bytes: with it a consumer makes the code of each request.
    currency
        The contract of the token that everything is priced in.
    decimals, symbol
        Of the currency.
    withdraw_delay_s
        Between a consumer's request to withdraw and the money.
    """

    domain: Domain
    operator: Address
    operator_key: bytes
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
            "operator_key": "0x" + self.operator_key.hex(),
            "currency": address_text(self.currency),
            "decimals": self.decimals,
            "symbol": self.symbol,
            "withdraw_delay_s": self.withdraw_delay_s,
        }


class Cashier:
    """Takes what pays for a call, or says what is missing.

    Parameters
    ----------
    ledger
        Judges vouchers and keeps what calls cost.
    terms
        How to pay.
    stakes
        Who has locked how much, for terms that only holders have.
    tenders
        Further ways of paying, beside vouchers and orders.
    """

    def __init__(
        self,
        ledger: Ledger,
        terms: PaymentTerms,
        stakes: Stakes = NO_STAKES,
        tenders: Iterable[Tender] = (),
    ) -> None:
        self.ledger = ledger
        self.terms = terms
        self.tenders: tuple[Tender, ...] = (Vouchers(ledger), Orders(ledger), *tenders)
        self.x402 = next((t for t in self.tenders if isinstance(t, X402Payments)), None)
        self._free = FreeCalls(ledger)
        self._stakes = stakes

    def offer_under(self, head: Head, offer: Offer) -> Offer:
        """Return the offer under the terms that the request names, or as it is.

        Raises
        ------
        PaymentRequired
            There are no such terms, any more; the operands say which there are.
        InputError
            An order pays, which has terms of its own.
        """
        named = head.get(TERMS_HEADER)
        if named is None:
            return offer
        if head.get(ORDER_HEADER) is not None:
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
        self, head: Head, offer: Offer, asked: Asked, units: Units, name: str, request: bytes
    ) -> Held:
        """Reserve the most that the call can cost, by the one tender that the request brings.

        Parameters
        ----------
        head, offer, asked
            The request.
        units
            The most that it can be charged for: `asked.most`.
        name
            Of the answer; names the call where the consumer did not.
        request
            Keccak-256 of the body's exact bytes.

        Raises
        ------
        PaymentRequired
            Nothing pays, or not enough; the operands say how to pay.
        SignatureRejected, Conflict, Closed, NotAllowed, InputError, ChainError
            As `Tender.take`.
        """
        quote = Quote(
            offer.key,
            offer.version,
            int(offer.runner.identity),
            offer.price.cost_ceil(units.input, units.output),
        )
        demand = Demand(offer.slug, quote, name, request, asked.stream)
        tender = self._tender(head)
        if tender is None:
            if quote.maximum:
                error = PaymentRequired(
                    f"call to {offer.slug}",
                    found="no payment",
                    wanted=f"a voucher for up to {quote.maximum} base units of {self.terms.symbol}",
                    next_step="open a channel and send Tessera-Payment, or name an order; "
                    "tessera.Client does both",
                )
                self._explain(error, head, offer, demand)
                raise error
            tender = self._free
        try:
            return Held(tender, await tender.take(head, demand))
        except PaymentRequired as error:
            self._explain(error, head, offer, demand)
            raise

    async def refund(self, head: Head, offer: Offer) -> Response:
        """Give back what is left of an x402 channel, or say how a model is paid.

        Raises
        ------
        PaymentRequired
            Nobody asks for money back, or it cannot be given; the operands say how to pay.
        NotFound
            x402 is not taken here.
        ChainError
            The chain does not take it.
        """
        if self.x402 is None:
            raise NotFound("x402", found="off", wanted="a gateway that takes it")
        quote = example_quote(offer)
        demand = Demand(offer.slug, quote, "", b"", stream=False)
        try:
            if not self.x402.offered(head):
                raise PaymentRequired(
                    f"model {offer.slug}",
                    found="no payment",
                    wanted="one for each call",
                    next_step=f"POST to /x402/{offer.slug}/v1/... as to /v1/...",
                )
            return await self.x402.refund(head, quote)
        except PaymentRequired as error:
            self._explain(error, head, offer, demand)
            # Who looks by GET is told how to call, too; paid calls are not made longer by it.
            path = next(paths_of(offer))
            error.operands["extensions"] = {"bazaar": bazaar_of(offer, path)}
            raise

    def ways(self, demand: Demand) -> list[dict[str, Any]]:
        """Return how a call can be paid by x402: the entries of `accepts`."""
        return [dict(one) for tender in self.tenders for one in tender.accepts(demand)]

    def _tender(self, head: Head) -> Tender | None:
        found = [tender for tender in self.tenders if tender.offered(head)]
        if len(found) > 1:
            both = " and ".join(tender.name for tender in found)
            raise InputError("payment", found=both, wanted="one of them")
        return found[0] if found else None

    async def channel(self, number: int) -> dict[str, Any] | None:
        """Return a channel as this operator sees it; None where there is none."""
        return await shown_channel(self.ledger, number)

    def _explain(self, error: PaymentRequired, head: Head, offer: Offer, demand: Demand) -> None:
        """Add to a refusal how the call can be paid."""
        error.operands.update(
            payment=self.terms.shown(), model=offer.card(), maximum=str(demand.quote.maximum)
        )
        offers = self.ways(demand)
        if offers:
            error.operands.setdefault("accepts", offers)
            error.operands["resource"] = resource_of(head, offer)
