"""The OpenAPI document of the gateway, written from what it really offers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tessera.gateway.catalogue import Offer
from tessera.gateway.discovery import paths_of
from tessera.gateway.shapes import (
    ANSWERS,
    FACILITATOR_PAGES,
    FACILITATOR_WORK,
    PAGES,
    KeyState,
    OpenaiRefusal,
    Ready,
    Refusal,
    Settling,
)
from tessera.payments.key_rules import KeyRules
from tessera.serving.bodies import BODIES, COMPLETIONS_PATH, PAID_PATHS

__all__ = ["describe"]

_TYPES: Final[list[Any]] = [
    *dict.fromkeys(BODIES.values()),
    *ANSWERS.values(),
    *dict.fromkeys(
        shape
        for _, shape in [
            *PAGES.values(),
            *FACILITATOR_PAGES.values(),
            *FACILITATOR_WORK.values(),
        ]
    ),
    Settling,
    KeyRules,
    KeyState,
    OpenaiRefusal,
    Refusal,
]
_SHAPES, _COMPONENTS = msgspec.json.schema_components(
    _TYPES, ref_template="#/components/schemas/{name}"
)
_SHAPE_OF: Final = dict(zip(_TYPES, _SHAPES, strict=True))

_X402: Final = "PAYMENT-SIGNATURE"
_HEADERS: Final = {
    "Tessera-Payment": "A voucher; docs/spec/vouchers.md.",
    "Tessera-Call": "32 hexadecimal digits of your choice.",
    "Tessera-Call-Mac": "Over the request, by a key that only you and the operator have.",
    "Tessera-Call-Signature": "Over the request, in the place of that; the same page.",
    "Tessera-Terms": "Holders' terms, as the card has them.",
    "Tessera-Access": "In a voucher's place; docs/spec/access.md.",
    "Tessera-Order": "The order's number.",
    "Tessera-Call-Deadline": "Of such a call; unix seconds.",
    "Tessera-Use": "What for, beyond inference: commercial.",
    _X402: "In a voucher's place, an x402 payment; docs/guides/x402.md.",
}
_NAMES: Final = {
    "channel": r"^[0-9]{1,20}$",
    "call": r"^[0-9a-f]{32}$",
    "receipt": r"^[0-9a-f]{64}$",
    "access": r"^0x[0-9a-fA-F]{40}$",
    "order": r"^[0-9]{1,20}$",
    "key": r"^tsk_[0-9a-f]{16}$",
}
_REFUSALS: Final = {
    "400": "The request cannot be read; `error.param` names the field.",
    "401": "A signature is missing or somebody else's, or an API key counts no more.",
    "402": "Not paid for; `error.details` says how to pay.",
    "404": "No such model; the message says what is near.",
    "409": "This very request was made before.",
    "413": "Too much at once.",
    "422": "This model does not do that.",
    "429": "More is asked than is answered now; Retry-After says when again.",
    "502": "The model failed; it costs nothing.",
    "503": "Too much is asked of the model; Retry-After says when again.",
    "default": "A refusal or a failure; it costs nothing.",
}


def describe(
    offers: Sequence[Offer], *, metrics: bool = False, facilitator: bool = False
) -> dict[str, Any]:
    """Return the document; a route's `model` lists the models that can do its task.

    Parameters
    ----------
    offers
        What is served.
    metrics
        Whether `/metrics` is answered.
    facilitator
        Whether x402 payments are settled here.
    """
    paths: dict[str, Any] = {path: {"post": _call(path, offers)} for path in PAID_PATHS}
    for path in PAID_PATHS:
        # The same calls, by an URL that names the model, as x402's clients pay for URLs.
        call = paths[path]["post"]
        named = {**call, "parameters": [_named("model"), *call["parameters"]]}
        paths[f"/x402/{{model}}{path}"] = {"post": named}
    paths |= {path: _page(path, *page) for path, page in PAGES.items()}
    if facilitator:
        paths |= {path: _page(path, *page) for path, page in FACILITATOR_PAGES.items()}
        paths |= {path: _settling(path, *work) for path, work in FACILITATOR_WORK.items()}
    refund = paths["/x402/{model}"]["get"]
    refund["parameters"].append(_header(_X402, "A refund, as official clients write it."))
    refund["responses"]["402"] = _answer("No refund; PAYMENT-REQUIRED says how to pay.", Refusal)
    paths["/v1/keys/{key}"] = _key()
    paths["/readyz"]["get"]["responses"]["503"] = _answer("Not now.", Ready)
    if metrics:
        text = {"text/plain": {"schema": {"type": "string"}}}
        paths["/metrics"] = {
            "get": {
                "summary": "What is counted, as Prometheus reads it; to this machine alone.",
                "responses": {
                    "200": {"description": "Counters.", "content": text},
                    "default": _answer("A refusal.", Refusal),
                },
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tessera gateway", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": copy.deepcopy(_COMPONENTS),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _call(path: str, offers: Sequence[Offer]) -> dict[str, Any]:
    task = PAID_PATHS[path]
    models = [offer.slug for offer in offers if path in paths_of(offer)]
    # The model's names are this gateway's own; all else is the same everywhere.
    body: dict[str, Any] = {"allOf": [_SHAPE_OF[BODIES[path]]]}
    if models:
        body["properties"] = {"model": {"type": "string", "examples": models}}
    answered = _answer("The answer, with Tessera-Receipt.", ANSWERS[path])
    if "stream" in BODIES[path].__struct_fields__ and path != COMPLETIONS_PATH:
        # OpenAPI 3.1 has no word for a stream's events; readers take a schema for that of each.
        answered["content"]["text/event-stream"] = {}
    refusal = _refusal(path)
    return {
        "summary": f"{task}, paid per call",
        "parameters": [_header(name, text) for name, text in _HEADERS.items()],
        "security": [{}, {"key": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": answered,
            **{status: _answer(text, refusal) for status, text in _REFUSALS.items()},
        },
    }


def _page(path: str, summary: str, shape: Any) -> dict[str, Any]:
    names = [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]
    return {
        "get": {
            "summary": summary,
            "parameters": [_named(name) for name in names],
            "responses": {
                "200": _answer(summary, shape),
                "default": _answer("A refusal.", _refusal(path)),
            },
        }
    }


def _settling(path: str, summary: str, shape: Any) -> dict[str, Any]:
    asked = {"application/json": {"schema": _SHAPE_OF[Settling]}}
    return {
        "post": {
            **_page(path, summary, shape)["get"],
            "requestBody": {"required": True, "content": asked},
        }
    }


def _key() -> dict[str, Any]:
    state = {
        "200": _answer("How the key stands.", KeyState),
        "default": _answer("A refusal.", OpenaiRefusal),
    }
    signature = _header("Tessera-Key-Signature", "The payer's; docs/spec/http.md.")
    rules = {"application/json": {"schema": _SHAPE_OF[KeyRules]}}
    return {
        "get": {
            "summary": "How an API key stands, for who has it.",
            "parameters": [_named("key")],
            "security": [{"key": []}],
            "responses": state,
        },
        "post": {
            "summary": "Rules for an API key, by who pays for it.",
            "parameters": [_named("key"), signature],
            "requestBody": {"required": True, "content": rules},
            "responses": state,
        },
    }


def _refusal(path: str) -> Any:
    return OpenaiRefusal if path.startswith("/v1/") else Refusal


def _answer(text: str, shape: Any) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": _SHAPE_OF[shape]}},
    }


def _named(name: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": _NAMES[name]} if name in _NAMES else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header(name: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": text,
        "schema": {"type": "string"},
    }
