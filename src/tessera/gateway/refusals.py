"""Errors as HTTP answers, in OpenAI's shape where its clients read them."""

from __future__ import annotations

import logging

from tessera.errors import InputError, InvariantViolation, PaymentRequired, TesseraError
from tessera.gateway.messages import Headers, Reply, json_reply
from tessera.gateway.x402_offers import required_headers
from tessera.presenting import error_body, http_status, openai_error_body, retry_headers

__all__ = ["refusal", "refused", "wrong_method"]

logger = logging.getLogger(__name__)


def refused(error: Exception, method: str, path: str, name: str, more: Headers = ()) -> Reply:
    """Answer a request that failed; what is our bug is logged, and told without its details."""
    if not isinstance(error, TesseraError) or isinstance(error, InvariantViolation):
        logger.error("%s %r failed", method, path, exc_info=error)
    if not isinstance(error, TesseraError):
        error = InvariantViolation("the gateway failed; its log says how", request=name)
    return refusal(error, path, name, more)


def refusal(error: TesseraError, path: str, name: str, more: Headers = ()) -> Reply:
    """Write an error as the answer to a request on a path."""
    shape = openai_error_body if f"{path}/".startswith("/v1/") else error_body
    headers = [*retry_headers(error), *more]
    if isinstance(error, PaymentRequired):
        headers += required_headers(error)
    return json_reply(shape(error, name), http_status(error), headers)


def wrong_method(method: str, allowed: str, path: str, name: str) -> Reply:
    """Refuse a method that a path does not know."""
    error = InputError("method", found=method, wanted=allowed)
    reply = refusal(error, path, name)
    return Reply(405, reply.body, (*reply.headers, (b"allow", allowed.encode())))
