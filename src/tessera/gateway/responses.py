"""Answers in the shapes of OpenAI's Responses API, whole and as a stream of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from tessera.errors import BackendFailed
from tessera.serving.responses import ResponsesBody
from tessera.serving.runner import ChatDelta, ChatResult, Fields, Units

__all__ = ["ResponseEvents", "response_of"]

# Why a text is not whole, as a response calls it.
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


_T = TypeVar("_T")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    """A tool's call, or a piece of one, as a chat has it."""

    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


_calls = msgspec.json.Decoder(list[_Call])
_text = msgspec.json.Decoder(str)


class _Likely(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


_likely_in = msgspec.json.Decoder(_Likely)


def response_of(
    asked: ResponsesBody, result: ChatResult, *, model: str, name: str, now: int
) -> dict[str, Any]:
    """Return a whole answer.

    Parameters
    ----------
    asked
        What is repeated in the answer.
    result
        One text.
    model, name, now
        As `answers.whole_answer` takes them.
    """
    (choice,) = result.choices
    frame = _Frame(asked, model, name, now)
    output: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    # Beside a call of a tool or a refusal an empty text says nothing, as in a stream.
    if choice.text or not choice.more:
        parts.append(_text_part(choice.text, _likely(choice.logprobs)))
    if "refusal" in choice.more:
        parts.append(_refusal_part(_read(_text, choice.more["refusal"])))
    if parts:
        output.append(frame.message(parts))
    for number, call in enumerate(_tool_calls(choice.more)):
        output.append(
            frame.function_call(number, call.id, call.function.name, call.function.arguments or "")
        )
    return frame.response(output, result.units, choice.finish)


class ResponseEvents:
    """Writes the SSE events of one streamed response; the counterpart of `answers.ChatChunks`.

    Parameters
    ----------
    asked, model, name, now
        As `response_of` takes them.
    """

    DONE: Final = b"data: [DONE]\n\n"
    """Behind the last event, so that readers of either API know where a stream ends."""

    def __init__(self, asked: ResponsesBody, model: str, name: str, now: int) -> None:
        self._frame = _Frame(asked, model, name, now)
        self._number = 0
        self._items: list[_Item] = []
        self._message: _Message | None = None
        self._calls: dict[int, _FunctionCall] = {}
        self._finish = "stop"

    def first(self, _index: int = 0) -> bytes:
        """Begin the response."""
        begun = self._frame.response([], None, None)
        return self._event("response.created", response=begun) + self._event(
            "response.in_progress", response=begun
        )

    def piece(self, piece: ChatDelta) -> bytes:
        """Add text, or what comes beside it."""
        said = b""
        if piece.text:
            said += self._say(piece.text, _likely(piece.logprobs))
        for call in _tool_calls(piece.more):
            said += self._call(call)
        if "refusal" in piece.more:
            said += self._refuse(_read(_text, piece.more["refusal"]))
        return said

    def last(self, finish: str, _index: int = 0) -> bytes:
        """End every item of the output."""
        self._finish = finish
        return b"".join(self._ended(item) for item in self._items)

    def usage(self, units: Units) -> bytes:
        """End the response: all of it once more, with what it counts."""
        output = [item.shown(self._frame) for item in self._items]
        kind = "incomplete" if self._finish in _INCOMPLETE else "completed"
        return self._event(
            f"response.{kind}", response=self._frame.response(output, units, self._finish)
        )

    def _say(self, text: str, logprobs: Sequence[msgspec.Raw]) -> bytes:
        part, begun = self._part(_Text)
        part.text.append(text)
        part.logprobs.extend(logprobs)
        return begun + self._event(
            "response.output_text.delta", **self._place(part), delta=text, logprobs=logprobs
        )

    def _refuse(self, text: str) -> bytes:
        part, begun = self._part(_Refusal)
        part.text.append(text)
        return begun + self._event("response.refusal.delta", **self._place(part), delta=text)

    def _part(self, kind: type[_P]) -> tuple[_P, bytes]:
        """Return the part of the message that grows, and what begins it."""
        begun = b""
        if self._message is None:
            self._message = _Message(len(self._items))
            self._items.append(self._message)
            begun += self._begun(self._message, self._frame.message([]))
        for known in self._message.parts:
            if isinstance(known, kind):
                return known, begun
        part = kind(len(self._message.parts))
        begun += self._event("response.content_part.added", **self._place(part), part=part.shown())
        self._message.parts.append(part)
        return part, begun

    def _call(self, piece: _Call) -> bytes:
        said = b""
        call = self._calls.get(piece.index)
        if call is None:
            call = _FunctionCall(len(self._items), len(self._calls), piece.id, piece.function.name)
            self._calls[piece.index] = call
            self._items.append(call)
            said += self._begun(call, call.shown(self._frame))
        if piece.function.arguments:
            call.text.append(piece.function.arguments)
            said += self._event(
                "response.function_call_arguments.delta",
                item_id=self._frame.call_id(call.number),
                output_index=call.place,
                delta=piece.function.arguments,
            )
        return said

    def _begun(self, item: _Item, shown: Mapping[str, object]) -> bytes:
        return self._event(
            "response.output_item.added",
            output_index=item.place,
            item={**shown, "status": "in_progress"},
        )

    def _ended(self, item: _Item) -> bytes:
        said = b""
        if isinstance(item, _Message):
            for part in item.parts:
                where, shown = self._place(part), part.shown()
                said += self._event(part.DONE, **where, **part.told())
                said += self._event("response.content_part.done", **where, part=shown)
        else:
            said += self._event(
                "response.function_call_arguments.done",
                item_id=self._frame.call_id(item.number),
                output_index=item.place,
                name=item.name,
                arguments="".join(item.text),
            )
        done = item.shown(self._frame)
        return said + self._event("response.output_item.done", output_index=item.place, item=done)

    def _place(self, part: _Text | _Refusal) -> dict[str, Any]:
        return {
            "item_id": self._frame.message_id,
            "output_index": self._message.place if self._message else 0,
            "content_index": part.place,
        }

    def _event(self, kind: str, **fields: object) -> bytes:
        body = msgspec.json.encode({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"


@dataclass(slots=True)
class _Text:
    """A text as it grows, at its place in the message."""

    DONE: ClassVar = "response.output_text.done"

    place: int
    text: list[str] = field(default_factory=list)
    logprobs: list[msgspec.Raw] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        return {"text": "".join(self.text), "logprobs": self.logprobs}

    def shown(self) -> dict[str, Any]:
        return _text_part(**self.told())


@dataclass(slots=True)
class _Refusal:
    """What a model says instead, as it grows."""

    DONE: ClassVar = "response.refusal.done"

    place: int
    text: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        return {"refusal": "".join(self.text)}

    def shown(self) -> dict[str, Any]:
        return _refusal_part(**self.told())


_P = TypeVar("_P", _Text, _Refusal)


@dataclass(slots=True)
class _Message:
    """What is said to the reader as it grows, at its place in the output."""

    place: int
    parts: list[_Text | _Refusal] = field(default_factory=list)

    def shown(self, frame: _Frame) -> dict[str, Any]:
        return frame.message([part.shown() for part in self.parts])


@dataclass(slots=True)
class _FunctionCall:
    """A tool's call as it grows; `number` counts the calls alone."""

    place: int
    number: int
    id: str | None
    name: str | None
    text: list[str] = field(default_factory=list)

    def shown(self, frame: _Frame) -> dict[str, Any]:
        return frame.function_call(self.number, self.id, self.name, "".join(self.text))


_Item = _Message | _FunctionCall


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all parts of one response share."""

    asked: ResponsesBody
    model: str
    name: str
    now: int

    @property
    def message_id(self) -> str:
        return f"msg_{self.name}"

    def call_id(self, number: int) -> str:
        return f"fc_{self.name}_{number}"

    def message(self, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "message",
            "id": self.message_id,
            "status": "completed",
            "role": "assistant",
            "content": parts,
        }

    def function_call(
        self, number: int, call_id: str | None, name: str | None, arguments: str
    ) -> dict[str, Any]:
        return {
            "type": "function_call",
            "id": self.call_id(number),
            "call_id": call_id or self.call_id(number),
            "name": name or "",
            "arguments": arguments,
            "status": "completed",
        }

    def response(
        self, output: Sequence[dict[str, Any]], units: Units | None, finish: str | None
    ) -> dict[str, Any]:
        asked = self.asked
        reason = _INCOMPLETE.get(finish or "")
        status = "in_progress" if finish is None else "incomplete" if reason else "completed"
        return {
            "id": f"resp_{self.name}",
            "object": "response",
            "created_at": self.now,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {
                "effort": asked.reasoning.effort if asked.reasoning else None,
                "summary": None,
            },
            "store": False,
            "temperature": 1.0 if asked.temperature is None else asked.temperature,
            "text": _text_settings(asked),
            "tool_choice": asked.tool_choice or "auto",
            "tools": list(asked.tools or ()),
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": "disabled",
            "usage": None if units is None else _usage(units),
        }


def _text_settings(asked: ResponsesBody) -> dict[str, Any]:
    wanted = asked.text and asked.text.format
    shown = msgspec.to_builtins(wanted) if wanted else {"type": "text"}
    return {"format": {name: value for name, value in shown.items() if value is not None}}


def _usage(units: Units) -> dict[str, Any]:
    return {
        "input_tokens": units.input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": units.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": units.total,
    }


def _text_part(text: str | None, logprobs: Sequence[msgspec.Raw]) -> dict[str, Any]:
    return {
        "type": "output_text",
        "text": text or "",
        "annotations": [],
        "logprobs": logprobs,
    }


def _refusal_part(refusal: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": refusal}


def _likely(logprobs: msgspec.Raw | None) -> Sequence[msgspec.Raw]:
    return () if logprobs is None else _read(_likely_in, logprobs).content or ()


def _tool_calls(more: Fields) -> Iterator[_Call]:
    if "tool_calls" in more:
        yield from _read(_calls, more["tool_calls"])


def _read(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw) -> _T:
    # The gateway hands such parts on unread where a chat is asked for as a chat.
    try:
        return decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise BackendFailed(
            f"the model's server wrote what is no part of an answer: {error}",
            next_step="the call is not charged",
        ) from error
