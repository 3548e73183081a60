"""What a call is charged for: the units of each task, their bounds, and nothing about prices.

==================  =================================================  ======================
task                input units                                        output units
==================  =================================================  ======================
embeddings          begun groups of 4 UTF-8 bytes, per text            0
classification,     the same                                           0
moderation
chat                the model's own tokens of all messages; where it   its tokens of the
                    has no tokenizer, begun groups of 4 bytes          answer; else the same
predict             rows                                               0
==================  =================================================  ======================

A tokenizer is the publisher's or the upstream's, so its counts are believed only inside bounds
that anyone can compute from the texts: a token is at least one byte of what the consumer sent
(plus a fixed allowance per message for what a template adds), or of what he received, and an
answer never has more tokens than he allowed. `most` is that bound before the call; a voucher that
covers it covers whatever the call turns out to cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tessera.errors import Unprocessable
from tessera.serving.runner import (
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    Message,
    PredictRequest,
    Units,
)

__all__ = [
    "BYTES_PER_UNIT",
    "TEMPLATE_UNITS",
    "chat_input",
    "chat_output",
    "most",
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
    return -(-byte_length(text) // BYTES_PER_UNIT)


def byte_length(text: str) -> int:
    """Count the UTF-8 bytes of a text.

    Raises
    ------
    Unprocessable
        The text holds half of a surrogate pair, which no encoding of Unicode can carry.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise Unprocessable(
            f"text: character {error.start}", found=text[error.start], wanted="Unicode text"
        ) from error


def texts_units(texts: Iterable[str]) -> int:
    """Count texts that are embedded or classified, each rounded up on its own."""
    return sum(text_units(text) for text in texts)


def chat_input(messages: Sequence[Message], counted: int | None) -> int:
    """Charge for a conversation.

    Parameters
    ----------
    messages
        What the consumer sent.
    counted
        The tokens that the model's tokenizer found; None where it has none.

    Returns
    -------
    int
        `counted` inside [0, bytes + 16 per message]; without it, begun groups of 4 bytes.
    """
    if counted is None:
        return texts_units(message.content for message in messages)
    return max(0, min(counted, _input_bound(messages)))


def chat_output(received_bytes: int, counted: int | None, max_tokens: int) -> int:
    """Charge for a text.

    Parameters
    ----------
    received_bytes
        UTF-8 bytes that the consumer got.
    counted
        The tokens that the model says these are; None where it does not say.
    max_tokens
        The most that the consumer allowed.

    Returns
    -------
    int
        At most `max_tokens` and at most one per byte received.
    """
    own = -(-received_bytes // BYTES_PER_UNIT)
    said = own if counted is None else counted
    return max(0, min(said, received_bytes, max_tokens))


def most(
    request: EmbeddingsRequest | ChatRequest | ClassifyRequest | PredictRequest,
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
        case ChatRequest():
            return Units(input=_input_bound(request.messages), output=request.max_tokens)
        case _:
            return Units(input=texts_units(request.texts))


def _input_bound(messages: Sequence[Message]) -> int:
    return sum(byte_length(message.content) + TEMPLATE_UNITS for message in messages)
