"""Calls that an order of Access covers: no voucher, one signature by the order's user.

What is signed is worth something to the operator for this order alone, and the receipt of the
answer is checked as a paid one is.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from typing import Any, Final

import httpx

from tessera.client.exchange import Answer, Fetch, Flow, Wait, is_stream
from tessera.client.gateway import GatewayView, ModelCard
from tessera.client.scanner import ReceiptScanner
from tessera.errors import InputError, SignatureRejected
from tessera.payments.header import (
    ACCESS_HEADER,
    CALL_DEADLINE_HEADER,
    CALL_HEADER,
    CALL_SIGNATURE_HEADER,
    ORDER_HEADER,
    PROOF_HEADER,
    USE_HEADER,
    SignedReceipt,
    parse_proof,
    parse_receipt,
)
from tessera.payments.ports import TypedSigner
from tessera.payments.purse import Ticket
from tessera.serving.bodies import PAID_PATHS, model_of
from tessera.spec.access import access_domain, use_digest
from tessera.spec.signatures import Address, Domain, address_text, keccak

__all__ = ["OrderExchange"]

_GOOD_FOR_S: Final = 300
_FIRST_REFUSAL: Final = 400


class OrderExchange:
    """Covers the calls of one client with an order.

    Parameters
    ----------
    gateway
        What is known about the gateway.
    signer
        The order's user.
    domain
        Chain and Channels contract, which receipts are signed for.
    access, order
        The product and the number of the order.
    use
        What answers are for beyond inference, such as `commercial`; empty for nothing.
    on_receipt
        Told of every receipt that was believed.
    clock
        Unix seconds.
    """

    def __init__(
        self,
        gateway: GatewayView,
        signer: TypedSigner,
        domain: Domain,
        access: Address,
        order: int,
        *,
        use: str = "",
        on_receipt: Callable[[SignedReceipt], None] = lambda _receipt: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._signer = signer
        self._domain = domain
        self._access = access
        self._order = order
        self._use = use
        self._on_receipt = on_receipt
        self._clock = clock

    @property
    def keeps(self) -> bool:
        """No: bodies of calls that an order pays for are not kept."""
        return False

    def run(self, request: httpx.Request) -> Flow:
        """Answer a request; its body has been read.

        Raises
        ------
        SignatureRejected
            The gateway's receipt is missing or forged, or about another call.
        """
        request.headers["accept-encoding"] = "identity"
        path = self._gateway.path_of(request.url)
        if request.method != "POST" or path not in PAID_PATHS:
            return Answer((yield Fetch(request)))
        try:
            card = yield from self._card(model_of(request.content))
        except InputError:
            # The gateway says it in the words that OpenAI's clients understand.
            return Answer((yield Fetch(request)))
        ticket = Ticket(secrets.token_hex(16), card.key, 0, keccak(request.content))
        self._sign(request, ticket)
        response: httpx.Response = yield Fetch(request)
        if response.status_code >= _FIRST_REFUSAL:
            return Answer(response)
        if is_stream(response):
            return Answer(response, ticket)
        proof = response.headers.get(PROOF_HEADER)
        if proof is None:
            raise SignatureRejected(
                f"answer to call {ticket.call}", found="no receipt", wanted="Tessera-Proof"
            )
        self._take(ticket, parse_proof(proof), keccak(response.content))
        return Answer(response)

    def finish_stream(self, ticket: Ticket, scanner: ReceiptScanner) -> None:
        """Take the receipt of a stream that has ended; one that broke off has none."""
        if scanner.receipt is not None:
            self._take(ticket, parse_receipt(scanner.receipt), scanner.hash.digest())

    def _sign(self, request: httpx.Request, ticket: Ticket) -> None:
        deadline = int(self._clock()) + _GOOD_FOR_S
        digest = use_digest(
            access_domain(self._domain.chain_id, self._access),
            self._order,
            bytes.fromhex(ticket.call),
            ticket.request,
            deadline,
        )
        request.headers[ACCESS_HEADER] = address_text(self._access)
        request.headers[ORDER_HEADER] = str(self._order)
        request.headers[CALL_HEADER] = ticket.call
        request.headers[CALL_DEADLINE_HEADER] = str(deadline)
        request.headers[CALL_SIGNATURE_HEADER] = "0x" + self._signer.sign(digest).hex()
        if self._use:
            request.headers[USE_HEADER] = self._use

    def _take(self, ticket: Ticket, receipt: SignedReceipt, response: bytes) -> None:
        operator = self._gateway.operator
        if operator is None:
            raise InputError("operator", wanted="the gateway's list of models first")
        receipt.verify(self._domain, operator)
        signed = receipt.receipt
        for what, found, wanted in (
            ("asset", signed.asset, ticket.key.asset),
            ("request", signed.request, ticket.request),
            ("response", signed.response, response),
            ("charge", signed.charged, 0),
        ):
            if found != wanted:
                raise SignatureRejected(
                    f"receipt of order {self._order}: {what}", found=found, wanted=str(wanted)
                )
        self._on_receipt(receipt)

    def _card(self, model: str) -> Generator[Fetch | Wait, Any, ModelCard]:
        if not self._gateway.known:
            self._gateway.take_models((yield Fetch(self._gateway.models_request())))
        return self._gateway.card(model)
