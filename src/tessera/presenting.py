"""How a refusal leaves the program: its exit code, its HTTP status, its JSON, and the way back.

The one table of these, shared by all doors. The rooms below know neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from tessera.errors import (
    BackendFailed,
    BudgetSpent,
    ChainError,
    Conflict,
    DataError,
    InputError,
    InvariantViolation,
    KeyRevoked,
    NotAllowed,
    NotFinal,
    NotFound,
    Overloaded,
    PaymentRequired,
    QuotaExceeded,
    RpcUnavailable,
    ServingError,
    SignatureRejected,
    StorageFull,
    TesseraError,
    TooLarge,
    TransactionReverted,
    Unprocessable,
)

__all__ = [
    "EXIT_CODES",
    "EXIT_INTERRUPTED",
    "EXIT_UNEXPECTED",
    "HTTP_STATUS",
    "error_body",
    "error_of",
    "exit_code",
    "http_status",
    "openai_error_body",
    "retry_headers",
]

_T = TypeVar("_T")

_MOST_TOLD: Final = 2_000
_FIRST_FAILURE: Final = 500

EXIT_UNEXPECTED: Final = 70
"""An exception that is no TesseraError is our bug, as an InvariantViolation is (sysexits: 70)."""

EXIT_INTERRUPTED: Final = 130
"""Ctrl-C, as shells count it: 128 + SIGINT."""

EXIT_CODES: Final[dict[type[TesseraError], int]] = {
    TesseraError: 1,
    InputError: 2,
    NotAllowed: 3,
    Conflict: 4,
    ChainError: 5,
    DataError: 6,
    ServingError: 7,
    InvariantViolation: EXIT_UNEXPECTED,
}

HTTP_STATUS: Final[dict[type[TesseraError], int]] = {
    TesseraError: 500,
    InputError: 400,
    NotFound: 404,
    TooLarge: 413,
    Unprocessable: 422,
    NotAllowed: 403,
    SignatureRejected: 401,
    KeyRevoked: 401,
    PaymentRequired: 402,
    Conflict: 409,
    ChainError: 502,
    RpcUnavailable: 503,
    NotFinal: 503,
    DataError: 500,
    StorageFull: 507,
    ServingError: 502,
    BackendFailed: 502,
    QuotaExceeded: 429,
    Overloaded: 503,
    InvariantViolation: 500,
}

# What the official clients of the OpenAI API switch on; the rest they call an API error.
_OPENAI_TYPES: Final[dict[type[TesseraError], str]] = {
    TesseraError: "server_error",
    InputError: "invalid_request_error",
    Conflict: "invalid_request_error",
    NotAllowed: "permission_error",
    SignatureRejected: "authentication_error",
    KeyRevoked: "authentication_error",
    PaymentRequired: "payment_required",
    QuotaExceeded: "rate_limit_error",
    BudgetSpent: "insufficient_quota",
}


def exit_code(error: TesseraError) -> int:
    """Return the exit code of the nearest class in the table."""
    return _nearest(EXIT_CODES, type(error))


def http_status(error: TesseraError) -> int:
    """Return the HTTP status of the nearest class in the table."""
    return _nearest(HTTP_STATUS, type(error))


def error_body(error: TesseraError, request_id: str | None = None) -> dict[str, object]:
    """Return the JSON of a refusal at every door but `/v1`.

    Returns
    -------
    dict
        `ok` (false), `code`, `message`, `details`, `retryable`, and `request_id` where there is
        a request.
    """
    body: dict[str, object] = {
        "ok": False,
        "code": error.code,
        "message": error.message,
        "details": error.details(),
        "retryable": error.retryable,
    }
    if request_id is not None:
        body["request_id"] = request_id
    return body


def openai_error_body(error: TesseraError, request_id: str | None = None) -> dict[str, object]:
    """Return the JSON of a refusal on `/v1`: OpenAI's error object, with our details inside.

    Returns
    -------
    dict
        `{"error": {"message", "type", "param", "code", "details"[, "request_id"]}}`; `param` is
        the operand of that name, or None.
    """
    inner: dict[str, object] = {
        "message": error.message,
        "type": _nearest(_OPENAI_TYPES, type(error)),
        "param": error.operands.get("param"),
        "code": error.code,
        "details": error.details(),
    }
    if request_id is not None:
        inner["request_id"] = request_id
    return {"error": inner}


def retry_headers(error: TesseraError) -> list[tuple[bytes, bytes]]:
    """Return the headers that say whether a refusal is worth repeating, and when.

    The official clients repeat every 409 and 5xx unless they are told what is in vain.
    """
    headers = [(b"x-should-retry", b"true" if error.retryable else b"false")]
    after = error.operands.get("retry_after_s")
    if isinstance(after, int):
        headers.append((b"retry-after", b"%d" % after))
    return headers


def error_of(body: object, status: int | None = None, *, about: str = "") -> TesseraError:
    """Return the refusal that somebody else's JSON tells of; it may be anybody's and anything.

    Parameters
    ----------
    body
        What `error_body` or `openai_error_body` made, decoded, or the object within the latter.
    status
        HTTP status it came with; decides where the code is unknown here.
    about
        Put before the sentence where it does not say so itself, such as "model digits".

    Returns
    -------
    TesseraError
        Of the class that has the code, or of its nearest ancestor in `tessera.errors`; with its
        sentence, and its details as operands.
    """
    outer = body if isinstance(body, Mapping) else {}
    told = outer["error"] if isinstance(outer.get("error"), Mapping) else outer
    kind = _kind_of(told.get("code"), status)
    given = told.get("details")
    details: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    said = told.get("message")
    sentence = _printable(said if isinstance(said, str) and said else f"status {status}")
    if about and about not in sentence:
        sentence = f"{about}: {sentence}"
    error = kind(_text(details.pop("thing", None)) or sentence)
    error.wanted = _text(details.pop("wanted", None))
    error.next_step = _text(details.pop("next_step", None))
    error.operands.update(details)
    error.message = sentence
    error.args = (sentence,)
    return error


def _kind_of(code: object, status: int | None) -> type[TesseraError]:
    for kind in _all_below(TesseraError):
        # Over HTTP speaks somebody else: what must never be true there is no mistake of ours.
        if kind.code == code and not (status and issubclass(kind, InvariantViolation)):
            # What a room or a contract adds to its refusals cannot be made of JSON.
            return next(
                ancestor
                for ancestor in kind.__mro__
                if ancestor.__module__ == TesseraError.__module__
                and ancestor is not TransactionReverted
            )
    if status is None:
        return TesseraError
    if status >= _FIRST_FAILURE:
        return BackendFailed
    return next((kind for kind, known in HTTP_STATUS.items() if known == status), InputError)


def _all_below(kind: type[TesseraError]) -> Iterator[type[TesseraError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _all_below(child)


def _text(value: object) -> str | None:
    return _printable(value) if isinstance(value, str) else None


def _printable(text: str) -> str:
    # It may end on a terminal, and comes from a stranger.
    shown = "".join(c if c.isprintable() else " " for c in text[: _MOST_TOLD + 1])
    return shown if len(shown) <= _MOST_TOLD else f"{shown[:_MOST_TOLD]}…"


def _nearest(table: dict[type[TesseraError], _T], kind: type[TesseraError]) -> _T:
    return next(table[ancestor] for ancestor in kind.__mro__ if ancestor in table)
