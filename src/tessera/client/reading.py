"""Answers of paid routes read off the wire, as any client would read them.

They may be anything: what is no answer is read as none, and never raises.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import Any, Final

import msgspec
import numpy as np

from tessera.serving.bodies import COMPLETIONS_PATH, PAID_PATHS, RESPONSES_PATH
from tessera.serving.equality.exact import (
    Item,
    outputs_item,
    scores_item,
    text_item,
    tokens_item,
    vector_item,
)
from tessera.serving.runner import Task
from tessera.serving.sse import EventReader

__all__ = ["items_of_answer", "path_of", "texts_of"]

_NONE: Final = (
    msgspec.MsgspecError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading something that is no answer fails with."""


def path_of(task: Task, request: bytes = b"") -> str:
    """Return the route that a task is asked on; a writer of texts has three."""
    path = next(path for path, known in PAID_PATHS.items() if known is task)
    if task is not Task.CHAT:
        return path
    with contextlib.suppress(*_NONE):
        asked = msgspec.json.decode(request)
        if "messages" not in asked and "input" in asked:
            return RESPONSES_PATH
        if "messages" not in asked and "prompt" in asked:
            return COMPLETIONS_PATH
    return path


def items_of_answer(task: Task, body: bytes) -> list[Item]:
    """Read an answer off the wire; empty where it is none."""
    if task is Task.CHAT and (texts := texts_of(body)):
        return [text_item(text, finish) for text, finish in texts]
    try:
        found = msgspec.json.decode(body)
        match task:
            case Task.CHAT:
                logs = [choice["logprobs"] for choice in found["choices"]]
                return [tokens_item(each["tokens"], each["token_logprobs"]) for each in logs]
            case Task.EMBEDDINGS:
                return [vector_item(_vector(entry["embedding"])) for entry in found["data"]]
            case Task.PREDICT:
                return [outputs_item(row) for row in found["outputs"]]
            case Task.MODERATION:
                return [
                    scores_item(
                        entry["category_scores"],
                        tuple(sorted(name for name, yes in entry["categories"].items() if yes)),
                    )
                    for entry in found["results"]
                ]
            case _:
                return [scores_item(entry["scores"], (entry["label"],)) for entry in found["data"]]
    except _NONE:
        return []


def texts_of(body: bytes) -> list[tuple[str, str]]:
    """Read texts and their ends from a whole answer or a stream; empty where it is neither."""
    try:
        if body.startswith((b"data:", b"event:")):
            return _streamed(body)
        return _whole(msgspec.json.decode(body))
    except _NONE:
        return []


def _whole(answer: Any) -> list[tuple[str, str]]:
    if "output" in answer:
        parts = (part for item in answer["output"] for part in item.get("content", ()))
        text = "".join(part["text"] for part in parts if part["type"] == "output_text")
        return [(text, "length" if answer["status"] == "incomplete" else "stop")]
    return [
        (str(choice["message"]["content"] or ""), str(choice["finish_reason"]))
        for choice in answer["choices"]
    ]


def _streamed(body: bytes) -> list[tuple[str, str]]:
    pieces: dict[int, list[str]] = {}
    ends: dict[int, str] = {}
    for data in EventReader().feed(body):
        if data == b"[DONE]":
            break
        event = msgspec.json.decode(data)
        if "choices" not in event:
            # A response says all of it once more in its last event.
            if event["type"] in {"response.completed", "response.incomplete"}:
                return _whole(event["response"])
            continue
        for choice in event["choices"]:
            index = int(choice.get("index", 0))
            pieces.setdefault(index, []).append(choice["delta"].get("content") or "")
            ends[index] = choice["finish_reason"] or ends.get(index, "")
    return [("".join(pieces[index]), ends[index]) for index in sorted(pieces)]


def _vector(given: Any) -> list[float]:
    if isinstance(given, list):
        return [float(number) for number in given]
    try:
        packed = base64.b64decode(given, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
    return [float(number) for number in np.frombuffer(packed, dtype="<f4")]
