"""The gateway as an ASGI application: routes, refusals, and one paid call from end to end.

Raw ASGI, because a framework's share of the time would be larger than ours
(`docs/adr/0051-raw-asgi.md`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from tessera.errors import (
    BackendFailed,
    Closed,
    InputError,
    InvariantViolation,
    NotFound,
    TesseraError,
    Unprocessable,
)
from tessera.gateway.answers import Result, whole_answer
from tessera.gateway.catalogue import Catalogue, Offer
from tessera.gateway.describing import describe
from tessera.gateway.messages import (
    JSON,
    Headers,
    Limits,
    Receive,
    Reply,
    RequestHead,
    Scope,
    Send,
    has_left,
    json_reply,
    left,
    read_all,
    send_reply,
)
from tessera.gateway.paying import Cashier
from tessera.gateway.streaming import stream_chat
from tessera.payments.header import (
    CHARGED_HEADER,
    COST_HEADER,
    PROOF_HEADER,
    RECEIPT_HEADER,
    SignedReceipt,
    parse_call_id,
    parse_order,
    payment_header,
    proof_header,
    receipt_json,
)
from tessera.payments.ledger import Call, Evidence
from tessera.payments.ports import Clock
from tessera.payments.tender import Held, Outcome
from tessera.presenting import error_body, http_status, openai_error_body
from tessera.serving.bodies import PAID_PATHS, Asked, model_of, read_body
from tessera.serving.runner import (
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    PredictRequest,
    Task,
)
from tessera.serving.turns import Turn, Turns
from tessera.spec.signatures import keccak
from tessera.units import MAX_UINT64

__all__ = ["Gateway"]

logger = logging.getLogger(__name__)

Handler = Callable[[Scope], Awaitable[Reply]]

_MAX_CHANNEL_DIGITS: Final = 20
_RECEIPT_ID_DIGITS: Final = 64
# A label is what both kinds of text classifiers make; each route serves both.
_ALSO: Final = {Task.MODERATION: Task.CLASSIFICATION, Task.CLASSIFICATION: Task.MODERATION}


class Gateway:
    """Serves models over HTTP.

    Parameters
    ----------
    catalogue
        What is offered.
    cashier
        Who pays for it.
    clock
        Unix seconds, for `created` fields.
    limits
        What one request may take.
    turns
        Who is answered first where more is asked than a model can answer.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        cashier: Cashier,
        clock: Clock,
        limits: Limits | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.cashier = cashier
        self.limits = limits or Limits()
        self.turns = turns or Turns()
        self._clock = clock
        self._pages: dict[str, Handler] = {
            "/healthz": self._health,
            "/v1/models": self._models,
            "/openapi.json": self._document,
        }
        self._folders: dict[str, Handler] = {
            "/v1/models/": self._model,
            "/receipts/": self._receipt,
            "/v1/channels/": self._channel,
            "/v1/orders/": self._order,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise InvariantViolation("gateway", found=scope["type"], wanted="http")
        name = os.urandom(16).hex()
        path: str = scope["path"]
        more = ((b"x-request-id", name.encode()),)
        try:
            if path in PAID_PATHS:
                reply = await self._paid(scope, receive, send, name)
            else:
                reply = await self._page(scope, path, name)
        except Exception as error:  # noqa: BLE001 - every failure is answered
            reply = _refused(error, scope, name)
        if reply is not None:
            await send_reply(send, reply, more=more, head=scope["method"] == "HEAD")

    # --- Paid calls ---------------------------------------------------------------------------

    async def _paid(self, scope: Scope, receive: Receive, send: Send, name: str) -> Reply | None:
        path = scope["path"]
        if scope["method"] != "POST":
            return _wrong_method(scope, "POST", name)
        body = await read_all(scope, receive, self.limits)
        head = RequestHead(scope)
        offer = self.cashier.offer_under(head, self.catalogue.find(model_of(body)))
        asked = read_body(path, body, offer.limits)
        _check_task(offer, asked)
        held = await self.cashier.accept(head, offer, asked, name, keccak(body))
        turn: Turn | None = None
        try:
            await self.cashier.check_stake(held.call, offer)
            turn = await self._turn(held.call, offer, asked, receive)
            if asked.stream:
                await stream_chat(
                    held,
                    offer,
                    asked,
                    turn=turn,
                    terms=self.cashier.terms,
                    request_hash=keccak(body),
                    receive=receive,
                    send=send,
                    name=name,
                    now=int(self._clock()),
                    limits=self.limits,
                )
                return None
            return await self._answer(held, offer, asked, turn, body, receive, name)
        except Exception as error:  # noqa: BLE001 - every failure is answered
            held.fail()
            return _refused(error, scope, name, held.headers(Outcome.FAILED))
        finally:
            if turn is not None:
                turn.leave()
            held.fail()

    async def _turn(self, call: Call, offer: Offer, asked: Asked, receive: Receive) -> Turn:
        line = self.turns.line(offer.asset, offer.version, offer.slug, offer.runner.at_once)
        # Whoever pays, with whichever of his channels; all who do not pay are one.
        payer = call.payer
        most = asked.most.total
        return line.at_once(payer, most) or await line.wait(payer, most, left(receive))

    async def _answer(
        self,
        held: Held,
        offer: Offer,
        asked: Asked,
        turn: Turn,
        body: bytes,
        receive: Receive,
        name: str,
    ) -> Reply:
        try:
            async with asyncio.timeout(self.limits.answer_timeout_s):
                result = await _ask(offer, asked)
            turn.units = result.units.total
        except TimeoutError as error:
            raise BackendFailed(
                f"model {offer.slug!r} did not answer within {self.limits.answer_timeout_s:g} s",
                next_step="the call is not charged",
            ) from error
        finally:
            # What is left to do is ours; the model may go on.
            turn.leave()
        answer = whole_answer(
            asked,
            result,
            model=f"{offer.slug}@{offer.version}",
            name=name,
            now=int(self._clock()),
        )
        cost = offer.price.cost_ceil(result.units.input, result.units.output)
        if await has_left(receive):
            # Nobody gets this answer, so nobody pays for it. The model was not stopped: for some
            # that is a restart, which leaving must not bring about for nothing.
            raise Closed(
                "the client went away before its answer was made",
                next_step="the call is not charged",
            )
        evidence = Evidence(keccak(body), keccak(answer), result.units.total)
        signed = await held.finish(cost, evidence)
        more = held.headers(Outcome.EARNED, signed.cost)
        return Reply(200, answer, (JSON, *self._receipt_headers(signed), *more))

    def _receipt_headers(self, signed: SignedReceipt) -> tuple[tuple[bytes, bytes], ...]:
        return (
            (RECEIPT_HEADER.encode(), signed.id(self.cashier.terms.domain).encode()),
            (CHARGED_HEADER.encode(), str(signed.receipt.charged).encode()),
            (COST_HEADER.encode(), str(signed.cost).encode()),
            (PROOF_HEADER.encode(), proof_header(self._receipt_json(signed)).encode()),
        )

    def _receipt_json(self, signed: SignedReceipt) -> bytes:
        return receipt_json(signed, self.cashier.terms.domain, self.cashier.terms.operator)

    # --- Everything else ----------------------------------------------------------------------

    async def _page(self, scope: Scope, path: str, name: str) -> Reply:
        handler = self._pages.get(path)
        if handler is None:
            handler = next(
                (found for start, found in self._folders.items() if path.startswith(start)), None
            )
        if handler is None:
            raise NotFound.among("route", path, [*self._pages, *PAID_PATHS])
        if scope["method"] not in {"GET", "HEAD"}:
            return _wrong_method(scope, "GET", name)
        return await handler(scope)

    async def _health(self, _scope: Scope) -> Reply:
        in_flight, waiting = self.cashier.ledger.in_flight, self.turns.waiting
        return json_reply({"ok": True, "in_flight": in_flight, "waiting": waiting})

    async def _models(self, _scope: Scope) -> Reply:
        return json_reply(
            {
                "object": "list",
                "data": [offer.card() for offer in self.catalogue.offers()],
                "tessera": self.cashier.terms.shown(),
            }
        )

    async def _model(self, scope: Scope) -> Reply:
        name = scope["path"].removeprefix("/v1/models/")
        return json_reply(self.catalogue.find(name).card())

    async def _document(self, _scope: Scope) -> Reply:
        return json_reply(describe(self.catalogue.offers()))

    async def _receipt(self, scope: Scope) -> Reply:
        name = scope["path"].removeprefix("/receipts/").removeprefix("0x")
        if len(name) != _RECEIPT_ID_DIGITS or not set(name) <= set("0123456789abcdef"):
            raise InputError("receipt", found=name, wanted="64 lower-case hexadecimal digits")
        signed = await self.cashier.ledger.receipt(name)
        if signed is None:
            raise NotFound("receipt", found=name, wanted="the id of an answered call")
        return Reply(200, self._receipt_json(signed))

    async def _channel(self, scope: Scope) -> Reply:
        number, *rest = scope["path"].removeprefix("/v1/channels/").split("/")
        if not (number.isascii() and number.isdigit()) or len(number) > _MAX_CHANNEL_DIGITS:
            raise InputError("channel", found=number, wanted="its number in decimal digits")
        channel = int(number)
        if channel > MAX_UINT64:
            raise InputError("channel", found=number, wanted="a uint64")
        ledger = self.cashier.ledger
        match rest:
            case []:
                shown = await self.cashier.channel(channel)
                if shown is None:
                    raise NotFound("channel", found=channel, wanted="one toward this operator")
                return json_reply(shown)
            case ["receipts"]:
                latest = await ledger.latest_receipts(channel)
                account = await ledger.account(channel)
                voucher = account.voucher if account else None
                return json_reply(
                    {
                        "object": "list",
                        "data": [msgspec.Raw(self._receipt_json(signed)) for signed in latest],
                        "voucher": voucher and payment_header(voucher),
                    }
                )
            case ["calls", call]:
                call_id = parse_call_id(call.encode())
                answering = ledger.is_answering(channel, call_id)
                found = await ledger.receipt_of_call(channel, call_id)
                return json_reply(
                    {
                        "call": call_id,
                        "state": "answering" if answering else "answered" if found else "unknown",
                        "receipt": found and msgspec.Raw(self._receipt_json(found)),
                    }
                )
            case _:
                raise NotFound("route", found=scope["path"], wanted="/v1/channels/{channel}")

    async def _order(self, scope: Scope) -> Reply:
        parts = scope["path"].removeprefix("/v1/orders/").split("/")
        rights = self.cashier.ledger.rights
        if len(parts) != 2 or rights is None:
            raise NotFound("route", found=scope["path"], wanted="/v1/orders/{access}/{order}")
        access, order = parse_order(parts[0].encode(), parts[1].encode())
        return json_reply(await rights.shown(access, order))


async def _ask(offer: Offer, asked: Asked) -> Result:
    match asked.request:
        case EmbeddingsRequest():
            return await offer.runner.embed(asked.request)
        case ChatRequest():
            return await offer.runner.chat(asked.request)
        case ClassifyRequest():
            return await offer.runner.classify(asked.request)
        case PredictRequest():
            return await offer.runner.predict(asked.request)


def _check_task(offer: Offer, asked: Asked) -> None:
    tasks = offer.runner.tasks
    if asked.task not in tasks and _ALSO.get(asked.task) not in tasks:
        raise Unprocessable(
            f"model {offer.slug!r}",
            found=str(asked.task),
            wanted=" or ".join(sorted(tasks)),
            param="model",
        )


def _refused(error: Exception, scope: Scope, name: str, more: Headers = ()) -> Reply:
    if not isinstance(error, TesseraError) or isinstance(error, InvariantViolation):
        logger.error("%s %r failed", scope["method"], scope["path"], exc_info=error)
    if not isinstance(error, TesseraError):
        error = InvariantViolation("the gateway failed; its log says how", request=name)
    return _refusal(error, scope["path"], name, more)


def _refusal(error: TesseraError, path: str, name: str, more: Headers = ()) -> Reply:
    shape = openai_error_body if f"{path}/".startswith("/v1/") else error_body
    # The official clients repeat every 409 and 5xx unless they are told what is in vain.
    retry = b"true" if error.retryable else b"false"
    headers = [(b"x-should-retry", retry), *more]
    after = error.operands.get("retry_after_s")
    if isinstance(after, int):
        headers.append((b"retry-after", str(after).encode()))
    return json_reply(shape(error, name), http_status(error), headers)


def _wrong_method(scope: Scope, allowed: str, name: str) -> Reply:
    error = InputError("method", found=scope["method"], wanted=allowed)
    refusal = _refusal(error, scope["path"], name)
    return Reply(405, refusal.body, (*refusal.headers, (b"allow", allowed.encode())))


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
