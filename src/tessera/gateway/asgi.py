"""The gateway as an ASGI application: its routes.

Raw ASGI, because a framework's share of the time would be larger than ours
(`docs/adr/0051-raw-asgi.md`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from tessera.errors import InputError, InvariantViolation, NotAllowed, NotFound
from tessera.gateway.admission import SMALL_BODY_BYTES
from tessera.gateway.catalogue import Catalogue, Offer
from tessera.gateway.describing import describe
from tessera.gateway.discovery import listed, resources_of
from tessera.gateway.doors import AsgiDoor
from tessera.gateway.facilitating import FacilitatorDoor
from tessera.gateway.key_pages import KEY_FOLDER, KeyPages
from tessera.gateway.messages import (
    CLOSING,
    Headers,
    Limits,
    Receive,
    Reply,
    RequestHead,
    Scope,
    Send,
    header,
    json_reply,
    read_all,
    send_reply,
)
from tessera.gateway.metrics import CONTENT_TYPE
from tessera.gateway.operations import Operations, from_this_machine
from tessera.gateway.paid_call import PaidCalls
from tessera.gateway.paying import Cashier
from tessera.gateway.refusals import refused, wrong_method
from tessera.gateway.x402_offers import example_quote, origin_of
from tessera.payments.header import (
    SignedReceipt,
    parse_call_id,
    parse_order,
    payment_header,
    receipt_json,
)
from tessera.payments.ports import Clock
from tessera.payments.tender import Demand
from tessera.payments.x402.facilitator import Facilitator
from tessera.payments.x402.wire import RESPONSE_HEADER, encode_header
from tessera.serving.bodies import PAID_PATHS, model_of
from tessera.serving.turns import Turns
from tessera.units import MAX_UINT64

__all__ = ["Gateway"]

Handler = Callable[[Scope], Awaitable[Reply]]

_X402: Final = "/x402/"
_FACILITATOR: Final = "/facilitator/"
_MAX_CHANNEL_DIGITS: Final = 20
_RECEIPT_ID_DIGITS: Final = 64


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
    operations
        What those who run it look at.
    facilitator
        Settles x402 payments to what is served; None where that is not done here.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        cashier: Cashier,
        clock: Clock,
        limits: Limits | None = None,
        turns: Turns | None = None,
        operations: Operations | None = None,
        facilitator: Facilitator | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.cashier = cashier
        self.limits = limits or Limits()
        self.operations = operations or Operations()
        self.paid_calls = PaidCalls(
            catalogue, cashier, clock, self.limits, turns or Turns(), self.operations
        )
        self._keys = KeyPages(cashier.ledger)
        self._facilitator: FacilitatorDoor | None = None
        if facilitator is not None:
            self._facilitator = FacilitatorDoor(facilitator, self._resources)
        self._pages: dict[str, Handler] = {
            "/healthz": self._health,
            "/readyz": self._ready,
            "/v1/models": self._models,
            "/openapi.json": self._document,
            "/discovery/resources": self._discovery,
        }
        if self.operations.show_metrics:
            self._pages["/metrics"] = self._metrics
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
        more: Headers = ((b"x-request-id", name.encode()),)
        try:
            if path.startswith(_X402):
                slug, model_path, route = path.removeprefix(_X402).partition("/v1/")
                path = model_path + route or path
                if path in PAID_PATHS:
                    reply = await self._paid(scope, receive, send, name, path, slug)
                else:
                    reply = await self._x402(scope, path, slug, name)
            elif path in PAID_PATHS:
                reply = await self._paid(scope, receive, send, name, path)
            elif path.startswith(KEY_FOLDER):
                reply = await self._keys.answer(scope, receive, name)
            elif self._facilitator is not None and path.startswith(_FACILITATOR):
                route = path.removeprefix(_FACILITATOR)
                reply = await self._facilitator.answer(scope, receive, f"/{route}", name)
            else:
                reply = await self._page(scope, path, name)
        except Exception as error:  # noqa: BLE001 - every failure is answered
            reply = refused(error, scope["method"], path, name)
        if reply is not None:
            if self.operations.drain.begun:
                more = (*more, CLOSING)
            await send_reply(send, reply, more=more, head=scope["method"] == "HEAD")

    # --- Paid calls ---------------------------------------------------------------------------

    async def _paid(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        name: str,
        path: str,
        only: str | None = None,
    ) -> Reply | None:
        if scope["method"] != "POST":
            return wrong_method(scope["method"], "POST", path, name)
        admission = self.operations.admission
        if _is_small(scope):
            body = await read_all(scope, receive, self.limits)
            if not admission.enter():
                return admission.refusal()
        else:
            if not admission.begin_reading():
                return admission.refusal()
            try:
                body = await read_all(scope, receive, self.limits)
            except BaseException:
                admission.give_up_reading()
                raise
            admission.has_read()
        begun = time.monotonic()
        try:
            if only is not None and self.catalogue.find(model_of(body)).slug != only:
                raise InputError("model", found=model_of(body), wanted=f"{only}, as in the URL")
            door = AsgiDoor(receive, send)
            return await self.paid_calls.answer(path, RequestHead(scope), body, name, door)
        finally:
            admission.leave(time.monotonic() - begun)

    async def _x402(self, scope: Scope, path: str, slug: str, name: str) -> Reply:
        """Say how one model is paid by x402, or give money back; no other page has its own 402."""
        if scope["method"] not in {"GET", "HEAD"}:
            return wrong_method(scope["method"], "GET", path, name)
        if path != scope["path"]:
            raise NotFound.among("route", path, PAID_PATHS)
        offer = self.catalogue.find(slug)
        done = await self.cashier.refund(RequestHead(scope), offer)
        headers = ((RESPONSE_HEADER.encode(), encode_header(done)),)
        return json_reply({"refunded": done.amount, "transaction": done.transaction}, 200, headers)

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
            return wrong_method(scope["method"], "GET", path, name)
        return await handler(scope)

    def _receipt_json(self, signed: SignedReceipt) -> bytes:
        return receipt_json(signed, self.cashier.terms.domain, self.cashier.terms.operator)

    async def _health(self, _scope: Scope) -> Reply:
        in_flight, waiting = self.cashier.ledger.in_flight, self.paid_calls.turns.waiting
        return json_reply({"ok": True, "in_flight": in_flight, "waiting": waiting})

    async def _ready(self, _scope: Scope) -> Reply:
        return self.operations.readiness.reply()

    async def _metrics(self, scope: Scope) -> Reply:
        if not from_this_machine(scope):
            raise NotAllowed(
                "metrics",
                found="a request from elsewhere",
                wanted="one from this machine",
                next_step="let the collector run here, or ask through a tunnel",
            )
        page = await self.operations.page()
        return Reply(200, page, ((b"content-type", CONTENT_TYPE),))

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
        offers, facilitator = self.catalogue.offers(), self._facilitator is not None
        shown = describe(offers, metrics=self.operations.show_metrics, facilitator=facilitator)
        return json_reply(shown)

    async def _discovery(self, scope: Scope) -> Reply:
        return json_reply(listed(self._resources(scope), scope["query_string"]))

    def _resources(self, scope: Scope) -> list[dict[str, Any]]:
        def accepts(offer: Offer) -> list[dict[str, Any]]:
            return self.cashier.ways(
                Demand(offer.slug, example_quote(offer), "", b"", stream=False)
            )

        if self.cashier.x402 is None:
            return []
        return resources_of(self.catalogue.offers(), origin_of(RequestHead(scope)), accepts)

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
                answering = await ledger.is_answering(channel, call_id)
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


def _is_small(scope: Scope) -> bool:
    announced = header(scope, "content-length")
    return announced is not None and announced.isdigit() and int(announced) <= SMALL_BODY_BYTES


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
