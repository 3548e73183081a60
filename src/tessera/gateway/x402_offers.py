"""What a 402 says to clients of x402: the header that they read, beside the body that people do."""

from __future__ import annotations

import re
from typing import Any, Final

from tessera.errors import PaymentRequired
from tessera.gateway.catalogue import Offer
from tessera.payments.ledger import Quote
from tessera.payments.tender import Head
from tessera.payments.x402.wire import REQUIRED_HEADER, Required, Resource, encode_header, reason_of

__all__ = ["example_quote", "origin_of", "required_headers", "resource_of"]

_HOST: Final = re.compile(rb"[A-Za-z0-9.\-_\[\]:]{1,255}")
_EXAMPLE_UNITS: Final = 1_000
_UNPAID: Final = "Payment required"


def resource_of(head: Head, offer: Offer) -> dict[str, str]:
    """Return what is paid for: a URL per model, as the client itself calls this gateway."""
    return {
        "url": f"{origin_of(head)}/x402/{offer.slug}",
        "description": f"{offer.slug}: {', '.join(sorted(offer.runner.tasks))}",
        "mimeType": "application/json",
    }


def origin_of(head: Head) -> str:
    """Return this gateway's URL, as the client itself calls it."""
    host = head.get("host") or b""
    if not _HOST.fullmatch(host):
        host = b"localhost"
    scheme = "https" if head.get("x-forwarded-proto") == b"https" else "http"
    return f"{scheme}://{host.decode()}"


def example_quote(offer: Offer) -> Quote:
    """Return what a call of 1,000 units in and out would cost at most, for who only looks."""
    return Quote(
        offer.key,
        offer.version,
        int(offer.runner.identity),
        offer.price.cost_ceil(_EXAMPLE_UNITS, _EXAMPLE_UNITS),
    )


def required_headers(error: PaymentRequired) -> list[tuple[bytes, bytes]]:
    """Return `PAYMENT-REQUIRED` where a refusal names offers of x402; nothing else."""
    accepts, resource = error.operands.get("accepts"), error.operands.get("resource")
    if not isinstance(accepts, list) or not accepts or not isinstance(resource, dict):
        return []
    extensions: Any = error.operands.get("extensions")
    needed = Required(
        Resource(resource["url"], resource["description"], resource["mimeType"]),
        accepts,
        error=reason_of(error) if "x402" in error.operands else _UNPAID,
        extensions=extensions if isinstance(extensions, dict) else None,
    )
    return [(REQUIRED_HEADER.encode(), encode_header(needed))]
