"""The OpenAPI document of the gateway, written from what it really offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tessera.gateway.catalogue import Offer
from tessera.serving.bodies import PAID_PATHS

__all__ = ["describe"]

_PAGES = {
    "/v1/models": "Models, their prices, and how to pay.",
    "/v1/models/{model}": "One model.",
    "/v1/channels/{channel}": "A payment channel as the operator sees it.",
    "/v1/channels/{channel}/receipts": "The latest receipt of each line of a channel.",
    "/v1/channels/{channel}/calls/{call}": "What became of one call.",
    "/v1/orders/{access}/{order}": "An order of Access as the operator sees it.",
    "/receipts/{receipt}": "A signed receipt.",
    "/healthz": "Whether the gateway answers.",
}


def describe(offers: Sequence[Offer]) -> dict[str, Any]:
    """Return the document; a route's `model` lists the models that can do its task."""
    paths: dict[str, Any] = {}
    for path, task in PAID_PATHS.items():
        models = [offer.slug for offer in offers if task in offer.runner.tasks]
        model: dict[str, Any] = {"type": "string"}
        if models:
            model["examples"] = models
        body = {"type": "object", "required": ["model"], "properties": {"model": model}}
        paths[path] = {
            "post": {
                "summary": f"{task}, paid per call",
                "parameters": [
                    _parameter("Tessera-Payment", "header", "A voucher; docs/spec/vouchers.md."),
                    _parameter("Tessera-Call", "header", "32 hexadecimal digits of your choice."),
                    _parameter("Tessera-Call-Mac", "header", "Over the request; the same page."),
                    _parameter("Tessera-Call-Signature", "header", "In its place."),
                    _parameter("Tessera-Terms", "header", "Holders' terms, as the card has them."),
                    _parameter(
                        "Tessera-Access", "header", "In a voucher's place; docs/spec/access.md."
                    ),
                    _parameter("Tessera-Order", "header", "The order's number."),
                    _parameter("Tessera-Call-Deadline", "header", "Of such a call; unix seconds."),
                    _parameter("Tessera-Use", "header", "What for, beyond inference: commercial."),
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": body}},
                },
                "responses": {
                    "200": {"description": "The answer, with Tessera-Receipt."},
                    "402": {"description": "Not paid for; `error.details` says how to pay."},
                    "429": {"description": "The queue is full of calls of this payer."},
                    "503": {"description": "Too much is asked; Retry-After says when again."},
                    "default": {"description": "A refusal or a failure; it costs nothing."},
                },
            }
        }
    for path, summary in _PAGES.items():
        names = [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]
        paths[path] = {
            "get": {
                "summary": summary,
                "parameters": [_parameter(name, "path", name, required=True) for name in names],
                "responses": {"200": {"description": summary}},
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tessera gateway", "version": "1"},
        "paths": paths,
    }


def _parameter(name: str, place: str, text: str, *, required: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": text,
        "schema": {"type": "string"},
    }
