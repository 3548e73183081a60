"""What passes between the Python runner and its child: frames of MessagePack, never pickles.

A frame is a four-byte big-endian length and that many bytes. Both sides refuse a frame over the
limit before they read or write it. The child's side is written by code that the publisher's code
shares a process with, so the parent takes every frame for hostile.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

__all__ = [
    "Begun",
    "Call",
    "Cancel",
    "Done",
    "Failed",
    "FromChild",
    "HEADER",
    "Hello",
    "LOG_PROBABILITIES",
    "Part",
    "Ready",
    "SCORE_TEXT",
    "ToChild",
    "framed",
]

HEADER = struct.Struct(">I")

LOG_PROBABILITIES = "log_probabilities"
"""A call of this task asks how probable a text is; so is the function called that says it."""


SCORE_TEXT = "score_text"
"""A call of this task asks for the tokens of a text as it stands, and how probable each is."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first frame to a child: what to load and within what."""

    folder: str
    file: str
    callable: str
    parent: int
    memory_bytes: int
    file_bytes: int
    cpu_s: int
    frame_bytes: int
    readable: list[str]


class Call(msgspec.Struct, frozen=True, tag="call"):
    """One call: the task, and its arguments as plain values."""

    number: int
    task: str
    arguments: list[Any]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop streaming the call of this number."""

    number: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The child has loaded the publisher's code; what it could be denied."""

    filtered: bool
    """System calls are filtered: no processes, no programs, no network."""

    landlocked: bool
    """Files are closed but for the bundle and Python itself."""

    scores: bool = False
    """The publisher's code can say how probable it finds a text after a conversation."""

    scores_texts: bool = False
    """It can say so of a text as it stands, token by token."""


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """A text begins; the tokens of the conversation where the publisher's code counts them."""

    number: int
    prompt_tokens: int | None


class Part(msgspec.Struct, frozen=True, tag="part"):
    """A piece of a streamed text; `tokens` where the publisher's code counts them."""

    number: int
    text: str
    tokens: int | None


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The end of a call and its value, which the parent decodes as what the task promises.

    After a text the value is its finish reason, or nothing.
    """

    number: int
    value: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The publisher's code raised: the exception's type and last line, no traceback."""

    number: int
    kind: str
    line: str


ToChild = Hello | Call | Cancel
FromChild = Ready | Begun | Part | Done | Failed


def framed(message: ToChild | FromChild, limit: int) -> bytes | None:
    """Encode one frame.

    Returns
    -------
    bytes or None
        The frame with its header; None where it would exceed `limit` bytes.
    """
    body = msgspec.msgpack.encode(message)
    if len(body) > limit:
        return None
    return HEADER.pack(len(body)) + body
