"""What a call is charged for: the units of each task, their bounds, and nothing about prices.

==================  =================================================  ======================
task                input units                                        output units
==================  =================================================  ======================
embeddings          begun groups of 4 UTF-8 bytes, per text            0
classification,     the same                                           0
moderation
chat                the model's own tokens of all messages; where it   its tokens of the
                    has no tokenizer, begun groups of 4 bytes          answer; else the same;
                    (tools and formats count as they are written)      of all texts together
predict             rows                                               0
a text's            the model's own tokens of it                       0
probability
==================  =================================================  ======================

A tokenizer is the publisher's or the upstream's, so its counts are believed only inside bounds
that anyone can compute from the texts: a token is at least one byte of what the consumer sent
(plus a fixed allowance per message for what a template adds), or of what he received, and an
answer never has more tokens than he allowed. `most` is that bound before the call; a voucher that
covers it covers whatever the call turns out to cost.
"""

from __future__ import annotations

from collections.abc import Iterable

from tessera.errors import Unprocessable
from tessera.serving.runner import (
    ChatRequest,
    Fields,
    Message,
    PredictRequest,
    Request,
    ScoreRequest,
    Units,
)

__all__ = [
    "BYTES_PER_UNIT",
    "TEMPLATE_UNITS",
    "chat_input",
    "chat_output",
    "fields_bytes",
    "most",
    "score_input",
    "text_units",
    "texts_units",
]

BYTES_PER_UNIT = 4
"""UTF-8 bytes of one unit where no tokenizer counts; near the tokens of English text."""

TEMPLATE_UNITS = 16
"""What a chat template may add per message: role names and separators."""


def text_units(text: str) -> int:
    """Count one text without a tokenizer.

    Returns
    -------
    int
        UTF-8 bytes / 4, rounded up: the operator keeps the begun group.

    Examples
    --------
    >>> text_units("hello"), text_units("")
    (2, 0)
    """
    return _groups(byte_length(text))


def byte_length(text: str) -> int:
    """Count the UTF-8 bytes of a text.

    Raises
    ------
    Unprocessable
        The text holds half of a surrogate pair, which no encoding of Unicode can carry.
    """
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise Unprocessable(
            f"text: character {error.start}", found=text[error.start], wanted="Unicode text"
        ) from error


def texts_units(texts: Iterable[str]) -> int:
    """Count texts that are embedded or classified, each rounded up on its own."""
    return sum(text_units(text) for text in texts)


def chat_input(request: ChatRequest, counted: int | None) -> int:
    """Charge for a conversation.

    Parameters
    ----------
    request
        What the consumer sent.
    counted
        The tokens that the model's tokenizer found; None where it has none.

    Returns
    -------
    int
        `counted` inside [0, bytes + 16 per message]; without it, begun groups of 4 bytes.
    """
    if counted is None:
        written = sum(_groups(message_bytes(message)) for message in request.messages)
        return written + _groups(fields_bytes(request.passed))
    return max(0, min(counted, _input_bound(request)))


def chat_output(received_bytes: int, counted: int | None, request: ChatRequest) -> int:
    """Charge for the texts of an answer.

    Parameters
    ----------
    received_bytes
        UTF-8 bytes that the consumer got.
    counted
        The tokens that the model says these are; None where it does not say.
    request
        What the consumer allowed.

    Returns
    -------
    int
        At most `max_tokens` for each text that was wanted, and at most one per byte received.
    """
    said = _groups(received_bytes) if counted is None else counted
    return max(0, min(said, received_bytes, request.n * request.max_tokens))


def score_input(request: ScoreRequest, counted: int) -> int:
    """Charge for a text whose probability was asked: its tokens, at most one for each byte."""
    return min(counted, byte_length(request.text))


def most(
    request: Request,
) -> Units:
    """Bound the units of a call before it is made.

    Returns
    -------
    Units
        No result of this request is ever charged more, in either part.
    """
    match request:
        case PredictRequest():
            return Units(input=len(request.rows))
        case ScoreRequest():
            return Units(input=byte_length(request.text))
        case ChatRequest():
            return Units(input=_input_bound(request), output=request.n * request.max_tokens)
        case _:
            return Units(input=texts_units(request.texts))


def message_bytes(message: Message) -> int:
    """Count the UTF-8 bytes of a turn, with all that it has beside its text."""
    size = byte_length(message.content)
    return size + fields_bytes(message.more) if message.more else size


def fields_bytes(fields: Fields) -> int:
    """Count the bytes of parts that are handed on as they are written."""
    return sum(map(len, fields.values())) if fields else 0


def _groups(count: int) -> int:
    return -(-count // BYTES_PER_UNIT)


def _input_bound(request: ChatRequest) -> int:
    templates = TEMPLATE_UNITS * len(request.messages)
    return templates + sum(map(message_bytes, request.messages)) + fields_bytes(request.passed)
