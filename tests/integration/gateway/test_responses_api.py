"""OpenAI's Responses API through the official client, on a model of ours and on an upstream."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall
from tests.integration.upstream import TOOL_CALL, Upstream

TOOLS = [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]


async def test_a_text_is_answered(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="parrot", instructions="Repeat.", input="one two", metadata={"run": "7"}
    )
    assert answer.output_text == "one two "
    assert (answer.status, answer.metadata, answer.store) == ("completed", {"run": "7"}, False)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 2)
    cut = await client.responses.create(
        model="parrot",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "a b c"}]}],
        max_output_tokens=2,
    )
    assert cut.output_text == "a b "


async def test_a_stream_ends_with_the_whole_response(client: openai.AsyncOpenAI) -> None:
    said, kinds, last = "", [], None
    async for event in await client.responses.create(model="parrot", input="a b", stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            said += event.delta
        last = event
    assert said == "a b "
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert last is not None
    assert last.type == "response.completed"
    assert last.response.output_text == "a b "
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 2
    async with client.responses.stream(model="parrot", input="a b") as stream:
        final = await stream.get_final_response()
    assert final.output_text == "a b "


async def test_a_stream_that_breaks_off_is_an_error_of_the_official_client(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in await client.responses.create(
            model="parrot", input="a [break] b", stream=True
        ):
            pass


async def test_a_function_is_called_and_its_output_goes_back(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    first = await client.responses.create(
        model="tiny",
        input="How is the weather?",
        tools=TOOLS,  # type: ignore[arg-type]
        tool_choice={"type": "function", "name": "weather"},
    )
    (call,) = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert json.loads(call.arguments) == {"place": "Bonn"}
    assert upstream.asked[-1]["tools"][0]["function"]["name"] == "weather"
    assert upstream.asked[-1]["tool_choice"]["function"] == {"name": "weather"}
    second = await client.responses.create(
        model="tiny",
        input=[
            {"role": "user", "content": "How is the weather?"},
            call.model_dump(exclude_none=True),  # type: ignore[list-item]
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
        ],
        tools=TOOLS,  # type: ignore[arg-type]
    )
    assert second.output_text == "Hello there"
    assert [turn["role"] for turn in upstream.asked[-1]["messages"]] == [
        "user", "assistant", "tool",
    ]  # fmt: skip
    assert upstream.asked[-1]["messages"][1]["tool_calls"] == [TOOL_CALL]


async def test_a_functions_call_is_streamed(client: openai.AsyncOpenAI) -> None:
    arguments, last = "", None
    async for event in await client.responses.create(
        model="tiny",
        input="x",
        tools=TOOLS,  # type: ignore[arg-type]
        stream=True,
    ):
        if event.type == "response.function_call_arguments.delta":
            arguments += event.delta
        last = event
    assert json.loads(arguments) == {"place": "Bonn"}
    assert last is not None
    assert last.type == "response.completed"
    assert [item.type for item in last.response.output] == ["function_call"]


async def test_a_model_that_refuses_says_so_whole_and_in_pieces(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.mode = "refuses"
    whole = await client.responses.create(model="tiny", input="x")
    async with client.responses.stream(model="tiny", input="x") as stream:
        told = [event async for event in stream]
        streamed = await stream.get_final_response()
    for answer in (whole, streamed):
        assert answer.output_text == ""
        (message,) = answer.output
        assert [part.model_dump() for part in message.content] == [  # type: ignore[union-attr]
            {"type": "refusal", "refusal": "I cannot."}
        ]
    assert [event.delta for event in told if event.type == "response.refusal.delta"] == [
        "I ", "cannot.",
    ]  # fmt: skip
    assert [event.refusal for event in told if event.type == "response.refusal.done"] == [
        "I cannot."
    ]


async def test_a_text_that_reached_its_length_is_incomplete_whole_and_in_pieces(
    client: openai.AsyncOpenAI,
) -> None:
    asked = {"model": "parrot", "input": "a b c", "max_output_tokens": 2}
    whole = await client.responses.create(**asked)  # type: ignore[call-overload]
    last = None
    async for event in await client.responses.create(**asked, stream=True):  # type: ignore[call-overload]
        last = event
    assert last is not None
    assert last.type == "response.incomplete"
    for answer in (whole, last.response):
        assert answer.status == "incomplete"
        assert answer.incomplete_details.reason == "max_output_tokens"


async def test_a_format_is_handed_on(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    schema = {"type": "object", "properties": {"greeting": {"type": "string"}}}
    answer = await client.responses.create(
        model="tiny",
        input="x",
        text={"format": {"type": "json_schema", "name": "greeting", "schema": schema}},
    )
    assert json.loads(answer.output_text) == {"greeting": "hello"}
    wanted = {"type": "json_schema", "json_schema": {"name": "greeting", "schema": schema}}
    assert upstream.asked[-1]["response_format"] == wanted


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input",
        ),
    ],
)
async def test_what_needs_memory_or_eyes_is_refused_by_name(
    client: openai.AsyncOpenAI, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        await client.responses.create(model="parrot", **{"input": "x", **fields})  # type: ignore[call-overload]
    assert refused.value.param == param
