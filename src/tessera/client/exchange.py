"""One paid call, step by step, without doing any of its I/O.

A generator says what is to be sent or waited for and is told what came of it; the synchronous and
the asynchronous transport both drive the same one, so both pay alike.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import httpx
import msgspec

from tessera.client.evidence import PaidCall
from tessera.client.gateway import GatewayView, ModelCard
from tessera.client.scanner import ReceiptScanner
from tessera.errors import InputError, PaymentRequired, ServingError, SignatureRejected
from tessera.payments.header import (
    CALL_HEADER,
    CALL_MAC_HEADER,
    CALL_SIGNATURE_HEADER,
    PAYMENT_HEADER,
    PROOF_HEADER,
    TERMS_HEADER,
    SignedReceipt,
    parse_payment,
    parse_proof,
    parse_receipt,
    payment_header,
)
from tessera.payments.purse import Purse, Ticket
from tessera.serving.bodies import PAID_PATHS, model_of, read_body
from tessera.spec.signatures import keccak

__all__ = ["MOST", "Answer", "Exchange", "Fetch", "Flow", "Payer", "Wait"]

_T = TypeVar("_T")

_PAYMENT_REQUIRED: Final = 402
_FIRST_REFUSAL: Final = 400
_ATTEMPTS: Final = 3

MOST: Final = "tessera.most"
"""Extension of a request: what this call may cost at most, base units."""


class Payer(Protocol):
    """Whatever pays for the calls of a transport."""

    @property
    def keeps(self) -> bool:
        """Whether it wants the bodies of calls, not only their receipts."""

    def run(self, request: httpx.Request) -> Flow:
        """Answer a request; its body has been read."""

    def finish_stream(self, ticket: Ticket, scanner: ReceiptScanner) -> None:
        """Take the receipt of a stream that has ended."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send this; the answer comes back with its body read, unless it is a stream of events."""

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for this."""

    future: Future[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets.

    Attributes
    ----------
    response
        The gateway's.
    ticket
        Set where it is a stream that is still to be paid: its receipt comes at its end.
    """

    response: httpx.Response
    ticket: Ticket | None = None


Flow = Generator[Fetch | Wait, Any, Answer]
Asking = Generator[Fetch | Wait, Any, None]


class Exchange:
    """Pays for the calls of one client.

    Parameters
    ----------
    gateway
        What is known about the gateway.
    purse
        Opens the channel when the first call must be paid; the same purse every time.
    max_call_cost
        No call that could cost more is sent, base units.
    holders
        Call under the terms of those who locked shares, where a model has such.
    top_up
        Makes the deposit cover a further call that costs so much; None refuses.
    on_receipt
        Told of every receipt that was believed.
    on_call
        Given every such call with its bodies.
    """

    def __init__(
        self,
        gateway: GatewayView,
        purse: Callable[[], Future[Purse]],
        *,
        max_call_cost: int,
        holders: bool = False,
        top_up: Callable[[int], Future[None]] | None = None,
        on_receipt: Callable[[SignedReceipt], None] = lambda _receipt: None,
        on_call: Callable[[PaidCall], None] | None = None,
    ) -> None:
        self._on_call = on_call
        self._bodies: dict[str, bytes] = {}
        self._gateway = gateway
        self._purse = purse
        self._max_call_cost = max_call_cost
        self._holders = holders
        self._top_up = top_up
        self._on_receipt = on_receipt

    @property
    def keeps(self) -> bool:
        """Whether somebody wants the bodies of calls."""
        return self._on_call is not None

    def run(self, request: httpx.Request) -> Flow:
        """Answer a request; its body has been read.

        Raises
        ------
        PaymentRequired
            The call could cost more than the client allows.
        SignatureRejected
            The gateway's receipt is missing, forged, or charges more than was signed.
        """
        # The receipt names the hash of the answer's bytes, so nobody may repack them; and what
        # unpacks to a thousand times its size has no place here.
        request.headers["accept-encoding"] = "identity"
        path = self._gateway.path_of(request.url)
        if request.method != "POST" or path not in PAID_PATHS:
            return Answer((yield Fetch(request)))
        body = request.content
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                card = yield from self.card(model_of(body))
                request.headers.pop(TERMS_HEADER, None)
                if self._holders and card.holders is not None:
                    card = card.holders
                    request.headers[TERMS_HEADER] = str(card.key.terms)
                units = read_body(path, body, card.limits).most
            except InputError:
                # The gateway says it in the words that OpenAI's clients understand.
                return Answer((yield Fetch(request)))
            maximum = card.price.cost_ceil(units.input, units.output)
            if maximum == 0:
                return Answer((yield Fetch(request)))
            self._check_cost(card, maximum, request.extensions.get(MOST, self._max_call_cost))
            purse: Purse = yield Wait(self._purse())
            yield from self._ask_about_lost(purse)
            ticket = Ticket(secrets.token_hex(16), card.key, maximum, keccak(body))
            answer = yield from self._pay(purse, ticket, request)
            if answer.response.status_code != _PAYMENT_REQUIRED or attempt == _ATTEMPTS:
                return answer
            if not (yield from self._learn(purse, ticket, answer.response)):
                return answer
        raise AssertionError("the last attempt returns")

    def finish_stream(self, ticket: Ticket, scanner: ReceiptScanner) -> None:
        """Take the receipt of a stream that has ended; without one, ask about it later."""
        purse: Purse = self._purse().result()
        body = self._bodies.pop(ticket.call, None)
        if scanner.receipt is None:
            purse.lose(ticket)
            return
        try:
            receipt = parse_receipt(scanner.receipt)
            self._take(purse, ticket, receipt, scanner.hash.digest())
        except BaseException:
            purse.lose(ticket)
            raise
        if self._on_call is not None and body is not None:
            self._on_call(PaidCall(body, scanner.kept, receipt))

    def _pay(
        self, purse: Purse, ticket: Ticket, request: httpx.Request
    ) -> Generator[Fetch | Wait, Any, Answer]:
        request.headers[PAYMENT_HEADER] = payment_header(purse.begin(ticket))
        request.headers[CALL_HEADER] = ticket.call
        for header in (CALL_MAC_HEADER, CALL_SIGNATURE_HEADER):
            request.headers.pop(header, None)
        header, value = purse.vouch(ticket, self._gateway.operator_key)
        request.headers[header] = value
        try:
            response: httpx.Response = yield Fetch(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            purse.cancel(ticket)
            raise
        except BaseException:
            purse.lose(ticket)
            raise
        if response.status_code >= _FIRST_REFUSAL:
            purse.cancel(ticket)
            return Answer(response)
        if is_stream(response):
            if self._on_call is not None:
                self._bodies[ticket.call] = request.content
            return Answer(response, ticket)
        try:
            proof = response.headers.get(PROOF_HEADER)
            if proof is None:
                raise SignatureRejected(
                    f"answer to call {ticket.call}", found="no receipt", wanted="Tessera-Proof"
                )
            receipt = parse_proof(proof)
            self._take(purse, ticket, receipt, keccak(response.content))
        except BaseException:
            purse.lose(ticket)
            raise
        if self._on_call is not None:
            self._on_call(PaidCall(request.content, response.content, receipt))
        return Answer(response)

    def _take(
        self, purse: Purse, ticket: Ticket, receipt: SignedReceipt, response: bytes | None
    ) -> None:
        purse.end(ticket, receipt, response)
        self._on_receipt(receipt)

    def _check_cost(self, card: ModelCard, maximum: int, own: int) -> None:
        most = min(own, self._max_call_cost)
        if maximum > most:
            raise PaymentRequired(
                f"call to {card.id}",
                found=f"a price of up to {maximum} base units",
                wanted=f"at most {most}, as this client allows",
                next_step="ask for fewer tokens, or raise max_call_cost",
            )

    def forget(self) -> None:
        """Ask the gateway for its list again before the next call."""
        self._gateway.forget()

    def card(self, model: str) -> Generator[Fetch | Wait, Any, ModelCard]:
        """Return what the gateway lists of a model; asks for the list where it is not known."""
        if not self._gateway.known:
            self._gateway.take_models((yield Fetch(self._gateway.models_request())))
        return self._gateway.card(model)

    def _ask_about_lost(self, purse: Purse) -> Asking:
        for ticket in purse.lost:
            path = f"/v1/channels/{purse.channel}/calls/{ticket.call}"
            response: httpx.Response = yield Fetch(self._gateway.request(path))
            if response.status_code >= _FIRST_REFUSAL:
                continue
            found = _decoded(response, _CallState)
            if bytes(found.receipt) != b"null":
                self._take(purse, ticket, parse_receipt(bytes(found.receipt)), None)
            elif found.state == "unknown":
                purse.cancel(ticket)

    def _learn(
        self, purse: Purse, ticket: Ticket, refusal: httpx.Response
    ) -> Generator[Fetch | Wait, Any, bool]:
        """Find out why a voucher was not enough; tell whether to try again."""
        details = _details(refusal)
        if details.short is not None:
            if self._top_up is None:
                return False
            yield Wait(self._top_up(ticket.maximum))
            return True
        self._gateway.forget()
        response: httpx.Response = yield Fetch(
            self._gateway.request(f"/v1/channels/{purse.channel}/receipts")
        )
        if response.status_code < _FIRST_REFUSAL:
            latest = _decoded(response, _Latest)
            try:
                voucher = parse_payment(latest.voucher) if latest.voucher else None
            except InputError as error:
                # It is the gateway that says so, and nothing that the caller could mend.
                raise SignatureRejected(
                    f"voucher that channel {purse.channel} is said to have signed",
                    found=str(error), wanted="a voucher",
                ) from error  # fmt: skip
            for receipt in latest.data:
                purse.learn(parse_receipt(bytes(receipt)), voucher)
        return True


class _CallState(msgspec.Struct):
    state: str
    receipt: msgspec.Raw = msgspec.Raw(b"null")


class _Latest(msgspec.Struct):
    data: list[msgspec.Raw]
    voucher: str | None = None


class _Details(msgspec.Struct):
    short: int | str | None = None


class _Error(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


class _Refusal(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


def _details(response: httpx.Response) -> _Details:
    try:
        return msgspec.json.decode(response.content, type=_Refusal).error.details
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Details()


def _decoded(response: httpx.Response, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError, httpx.ResponseNotRead) as error:
        raise ServingError(
            "gateway's answer about a channel", found=str(error), wanted="what a gateway says there"
        ) from error


def is_stream(response: httpx.Response) -> bool:
    """Tell whether an answer comes piece by piece."""
    kind: str = response.headers.get("content-type", "")
    return kind.startswith("text/event-stream")
