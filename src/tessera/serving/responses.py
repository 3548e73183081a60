"""The body of OpenAI's Responses API, told as a chat.

The two say the same with other words, so a model that chats answers both. What a response has
beyond a chat is memory on the server, tools that the server itself runs, and work in the
background: a gateway keeps nothing between calls, so each of these is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from tessera.errors import InputError, Unprocessable

__all__ = ["ResponsesBody", "chat_of"]

_T = TypeVar("_T")

_STATELESS: Final = ("previous_response_id", "conversation", "prompt", "background")
_TEXT_PARTS: Final = frozenset({"input_text", "output_text", "text"})


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[_Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[_Part] | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None


class _Format(msgspec.Struct):
    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class ResponsesBody(msgspec.Struct):
    """What `POST /v1/responses` takes; fields that are not here are ignored."""

    model: str
    input: str | Annotated[list[_Item], Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    background: bool | None = None


def chat_of(asked: ResponsesBody) -> dict[str, Any]:
    """Tell a response's body as the body of a chat.

    Returns
    -------
    dict
        As `POST /v1/chat/completions` takes it; what was not given is left out.

    Raises
    ------
    Unprocessable
        It needs memory, a tool or a kind of content that this server does not have.
    InputError
        A part of it misses a field; `param` names it.
    """
    for name in _STATELESS:
        if getattr(asked, name):
            raise _refused(name, getattr(asked, name), "none: this server keeps nothing of a call")
    chat: dict[str, Any] = {
        "model": asked.model,
        "messages": list(_messages(asked)),
        "stream": asked.stream,
        "stream_options": {"include_usage": True},
        "max_tokens": asked.max_output_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "logprobs": bool(asked.top_logprobs) or None,
        "top_logprobs": asked.top_logprobs,
        "tools": [_tool(tool) for tool in asked.tools] if asked.tools else None,
        "tool_choice": _choice(asked.tool_choice),
        "parallel_tool_calls": asked.parallel_tool_calls,
        "response_format": _format(asked.text.format) if asked.text else None,
        "verbosity": asked.text.verbosity if asked.text else None,
        "reasoning_effort": asked.reasoning.effort if asked.reasoning else None,
    }
    return {name: value for name, value in chat.items() if value is not None}


def _messages(asked: ResponsesBody) -> Iterator[dict[str, Any]]:
    if asked.instructions:
        yield {"role": "system", "content": asked.instructions}
    if isinstance(asked.input, str):
        yield {"role": "user", "content": asked.input}
        return
    calls: list[dict[str, Any]] = []
    for number, item in enumerate(asked.input):
        place = f"input[{number}]"
        if item.type == "function_call":
            function = {
                "name": _needed(item.name, place, "name"),
                "arguments": _needed(item.arguments, place, "arguments"),
            }
            called = _needed(item.call_id, place, "call_id")
            calls.append({"id": called, "type": "function", "function": function})
            continue
        if calls:
            # A chat has the calls of one turn together.
            yield {"role": "assistant", "tool_calls": calls}
            calls = []
        yield _message(item, place)
    if calls:
        yield {"role": "assistant", "tool_calls": calls}


def _message(item: _Item, place: str) -> dict[str, Any]:
    if item.type == "function_call_output":
        return {
            "role": "tool",
            "tool_call_id": _needed(item.call_id, place, "call_id"),
            "content": _said(item.output, place, "output"),
        }
    if item.type != "message":
        raise _refused("input", f"an item of type {item.type!r}", "messages and calls of functions")
    role = _needed(item.role, place, "role")
    return {"role": role, "content": _said(item.content, place, "content")}


def _said(content: str | list[_Part] | None, place: str, name: str) -> str:
    if content is None:
        raise _missing(place, name)
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content:
        text = part.refusal if part.type == "refusal" else part.text
        if part.type not in _TEXT_PARTS | {"refusal"}:
            raise _refused("input", f"a part of type {part.type!r}", "text")
        texts.append(_needed(text, place, "text"))
    return "".join(texts)


def _tool(tool: _Tool) -> dict[str, Any]:
    if tool.type != "function":
        raise _refused("tools", f"a tool of type {tool.type!r}", "functions of your own")
    given = {
        "name": _needed(tool.name, "tools", "name"),
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    function = {name: value for name, value in given.items() if value is not None}
    return {"type": "function", "function": function}


def _choice(choice: str | _Choice | None) -> str | dict[str, Any] | None:
    if choice is None or isinstance(choice, str):
        return choice
    if choice.type != "function":
        raise _refused("tool_choice", f"a tool of type {choice.type!r}", "a function")
    return {
        "type": "function",
        "function": {"name": _needed(choice.name, "tool_choice", "name")},
    }


def _format(wanted: _Format | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type != "json_schema":
        return None if wanted is None else {"type": wanted.type}
    given = {
        "name": wanted.name,
        "description": wanted.description,
        "schema": wanted.schema,
        "strict": wanted.strict,
    }
    schema = {name: value for name, value in given.items() if value is not None}
    return {"type": "json_schema", "json_schema": schema}


def _needed(value: _T | None, place: str, name: str) -> _T:
    if value is None:
        raise _missing(place, name)
    return value


def _missing(place: str, name: str) -> InputError:
    return InputError(place, found=f"no {name}", wanted=name, param=place)


def _refused(name: str, found: object, wanted: str) -> Unprocessable:
    return Unprocessable(name, found=found, wanted=wanted, param=name)
