"""What OpenAI's chat has beyond text, through the official client and a real upstream."""

from __future__ import annotations

import asyncio

import openai
import pytest
from pydantic import BaseModel
from tests.integration.upstream import LOGPROBS, TOOL_CALL, Upstream

SAY = [{"role": "user", "content": "How is the weather in Bonn?"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


async def test_a_tool_is_called_and_its_answer_goes_back(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    first = await client.chat.completions.create(
        model="tiny", messages=SAY, tools=TOOLS, tool_choice="auto", parallel_tool_calls=False
    )  # type: ignore[call-overload]
    (choice,) = first.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls[0].model_dump() == TOOL_CALL
    answered = [
        *SAY,
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    second = await client.chat.completions.create(model="tiny", messages=answered, tools=TOOLS)  # type: ignore[call-overload]
    assert second.choices[0].message.content == "Hello there"
    sent = upstream.asked[-1]
    assert sent["tools"] == TOOLS
    assert sent["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [TOOL_CALL],
    }
    assert sent["messages"][2]["tool_call_id"] == "call_1"
    assert upstream.asked[-2]["parallel_tool_calls"] is False


async def test_a_tools_call_is_streamed_in_pieces(client: openai.AsyncOpenAI) -> None:
    arguments, finish = "", None
    stream = await client.chat.completions.create(
        model="tiny", messages=SAY, tools=TOOLS, stream=True
    )  # type: ignore[call-overload]
    async for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            arguments += call.function.arguments
        finish = chunk.choices[0].finish_reason or finish
    assert (arguments, finish) == (TOOL_CALL["function"]["arguments"], "tool_calls")


async def test_several_texts_with_log_probabilities(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="tiny", messages=SAY, n=3, logprobs=True, top_logprobs=1
    )  # type: ignore[call-overload]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.choices[2].logprobs.content[0].logprob == LOGPROBS["content"][0]["logprob"]


async def test_an_answer_in_a_format_is_parsed_by_the_official_client(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    class Greeting(BaseModel):
        greeting: str

    answer = await client.chat.completions.parse(
        model="tiny",
        messages=SAY,  # type: ignore[arg-type]
        response_format=Greeting,
    )
    assert answer.choices[0].message.parsed == Greeting(greeting="hello")
    assert upstream.asked[-1]["response_format"]["type"] == "json_schema"


async def test_how_a_text_is_to_be_drawn_is_handed_on(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    wished = {
        "temperature": 0.5, "top_p": 0.25, "seed": 7, "frequency_penalty": 0.5,
        "presence_penalty": -0.5, "logit_bias": {"17": -100.0}, "reasoning_effort": "low",
    }  # fmt: skip
    await client.chat.completions.create(
        model="tiny", messages=SAY, stop=["\n", "END"], max_completion_tokens=9, **wished
    )  # type: ignore[call-overload]
    sent = upstream.asked[-1]
    assert {name: sent[name] for name in wished} == wished
    assert (sent["stop"], sent["max_tokens"]) == (["\n", "END"], 9)
    await client.chat.completions.create(model="tiny", messages=SAY, stop="one")  # type: ignore[call-overload]
    assert upstream.asked[-1]["stop"] == ["one"]
    assert "seed" not in upstream.asked[-1]


async def test_a_server_that_writes_fewer_texts_than_were_asked_for_is_not_paid(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.mode = "one text"
    with pytest.raises(openai.InternalServerError, match="1 texts where 2 were asked for"):
        await client.chat.completions.create(model="tiny", messages=SAY, n=2)  # type: ignore[call-overload]


async def test_a_model_of_ours_writes_several_texts_one_by_one(
    client: openai.AsyncOpenAI,
) -> None:
    said = [{"role": "user", "content": "one two"}]
    whole, streamed = await asyncio.gather(
        client.chat.completions.create(model="parrot", messages=said, n=2),  # type: ignore[call-overload]
        client.chat.completions.create(
            model="parrot", messages=said, n=2, stream=True, stream_options={"include_usage": True}
        ),  # type: ignore[call-overload]
    )
    assert [choice.message.content for choice in whole.choices] == ["one two "] * 2
    # What was sent counts once, what was written twice.
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 4)
    texts, usage, finishes = ["", ""], None, 0
    async for chunk in streamed:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finishes += choice.finish_reason == "stop"
        usage = chunk.usage or usage
    assert (texts, finishes) == (["one two "] * 2, 2)
    assert usage.completion_tokens == 4


async def test_a_model_that_does_not_follow_a_field_says_so(client: openai.AsyncOpenAI) -> None:
    for name, value in (("tools", TOOLS), ("logprobs", True), ("presence_penalty", 0.5)):
        with pytest.raises(openai.UnprocessableEntityError, match="does not follow") as refused:
            await client.chat.completions.create(
                model="parrot", messages=SAY, extra_body={name: value}
            )  # type: ignore[call-overload]
        assert refused.value.param == name


async def test_a_given_text_goes_to_the_server_and_comes_back_with_its_logarithms(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    """What the server writes behind the text is left out, and nobody pays for it."""
    answer = await client.completions.create(
        model="tiny", prompt="so it is", echo=True, logprobs=2, max_tokens=1
    )
    sent = upstream.asked[-1]
    assert (sent["prompt"], sent["echo"], sent["logprobs"]) == ("so it is", True, 2)
    logs = answer.choices[0].logprobs
    assert logs is not None
    assert logs.tokens == ["so ", "it ", "is"]
    assert logs.text_offset == [0, 3, 6]
    assert logs.token_logprobs == [None, -3.0, -2.0]  # type: ignore[comparison-overlap]
    assert logs.top_logprobs == [None, {"it ": -0.125}, {"is": -0.125}]  # type: ignore[comparison-overlap]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 0)


@pytest.mark.parametrize(
    ("mode", "error", "said"),
    [
        ("no echo", openai.UnprocessableEntityError, "does not say how probable"),
        ("lying logs", openai.InternalServerError, "of another text, or none"),
    ],
)
async def test_a_server_that_cannot_say_how_probable_a_text_is_is_not_paid(
    client: openai.AsyncOpenAI, upstream: Upstream, mode: str, error: type, said: str
) -> None:
    upstream.mode = mode
    with pytest.raises(error, match=said):
        await client.completions.create(model="tiny", prompt="so it is", echo=True, logprobs=0)
