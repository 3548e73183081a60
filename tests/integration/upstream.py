"""A real OpenAI-compatible server on a loopback port, with every way of failing that we know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class Upstream:
    """What was asked of the server, and how it is to behave."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.mode = "well"

    async def models(self, request: Request) -> Response:
        await self._note(request)
        return JSONResponse({"data": [{"id": "tiny:latest"}, {"id": "embedder"}]})

    async def embeddings(self, request: Request) -> Response:
        body = await self._note(request)
        rows = [{"index": i, "embedding": [float(len(t)), 1]} for i, t in enumerate(body["input"])]
        return self._broken() or JSONResponse({"data": rows[::-1], "usage": {"prompt_tokens": 5}})

    async def moderations(self, request: Request) -> Response:
        body = await self._note(request)
        return JSONResponse(
            {"results": [{"category_scores": {"hate": 0.1}} for _ in body["input"]]}
        )

    async def chat(self, request: Request) -> Response:
        body = await self._note(request)
        if self.mode == "slow":
            await asyncio.sleep(5)
        if broken := self._broken():
            return broken
        if body.get("stream"):
            return StreamingResponse(self._events(body), media_type="text/event-stream")
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        texts = 1 if self.mode == "one text" else body.get("n", 1)
        choices = [{"index": index, **_choice(body)} for index in range(texts)]
        if self.mode == "refuses":
            choices[0]["message"] = {"role": "assistant", "content": "", "refusal": "I cannot."}
        return JSONResponse({"choices": choices, "usage": usage})

    async def completions(self, request: Request) -> Response:
        """Say how probable each word of a text is, and write one more, as vLLM does."""
        body = await self._note(request)
        if broken := self._broken():
            return broken
        words = [word + " " for word in body["prompt"].split(" ")]
        words[-1] = words[-1][:-1]
        text = body["prompt"] + " indeed"
        if self.mode == "no echo":
            return JSONResponse({"choices": [{"text": " indeed", "logprobs": None}]})
        logs: list[float | None] = [None, *(-float(len(word)) for word in words[1:])]
        if self.mode == "lying logs":
            logs[-1] = 0.5
        found = {
            "tokens": [*words, " indeed"],
            "token_logprobs": [*logs, -0.5],
            "top_logprobs": [None, *({word: -0.125} for word in words[1:]), {" indeed": -0.5}],
            "text_offset": [*accumulate(map(len, words), initial=0)],
        }
        if self.mode == "no offsets":
            del found["text_offset"]
        return JSONResponse({"choices": [{"index": 0, "text": text, "logprobs": found}]})

    async def _events(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        assert body["stream_options"] == {"include_usage": True}
        if body.get("tools") or self.mode == "refuses":
            for event in _call_of_a_tool() if body.get("tools") else REFUSED:
                yield b"data: " + json.dumps(event).encode() + b"\n\n"
            yield b"data: [DONE]\n\n"
            return
        yield b": a comment\r\n\r\n"
        for number, word in enumerate(("Hel", "lo ", "thé", "re")):
            if number == 2 and self.mode == "breaks off":
                raise ConnectionResetError("the upstream lost its model")
            if number == 2 and self.mode == "ends early":
                return
            if number == 2 and self.mode == "error event":
                yield b'data: {"error": {"message": "out of memory at /srv/models"}}\n\n'
                return
            if number == 2 and self.mode == "goes on and on":
                event = {"choices": [{"delta": {"content": "x"}, "logprobs": "y" * 9_000}]}
                while True:
                    yield b"data: " + json.dumps(event).encode() + b"\n\n"
                    await asyncio.sleep(0)
            if number == 2 and self.mode == "stalls":
                await asyncio.sleep(5)
            if number == 2 and self.mode == "garbage":
                yield b"data: {not json\n\n"
            event = b"data: " + json.dumps({"choices": [{"delta": {"content": word}}]}).encode()
            # Cut in the middle of a line, as networks do.
            yield event[:11]
            await asyncio.sleep(0)
            yield event[11:] + b"\r\n\r\n"
        yield b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n'
        if self.mode != "no usage":
            usage = {"prompt_tokens": 7, "completion_tokens": 4}
            yield b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"

    def _broken(self) -> Response | None:
        match self.mode:
            case "400":
                return JSONResponse({"error": {"message": "context too long"}}, 400)
            case "401":
                return JSONResponse({"error": {"message": "bad key sk-secret"}}, 401)
            case "500":
                return Response("traceback of the operator", 500)
            case "redirect":
                return Response(status_code=307, headers={"location": "http://127.0.0.1:9/"})
            case "huge":
                return Response(b"[" + b"1," * (1 << 20))
            case "nan":
                return Response(b'{"data": [{"embedding": [NaN]}]}')
            case _:
                return None

    async def _note(self, request: Request) -> Any:
        self.headers.append(dict(request.headers))
        raw = await request.body()
        body = json.loads(raw) if raw else {}
        self.asked.append(body)
        return body


TOOL_CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"place": "Bonn"}'},
}
REFUSED: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"refusal": "I "}}]},
    {"choices": [{"index": 0, "delta": {"refusal": "cannot."}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
LOGPROBS: dict[str, Any] = {
    "content": [{"token": "Hello", "logprob": -0.25, "bytes": None, "top_logprobs": []}],
    "refusal": None,
}


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as a server does that follows every field."""
    message: dict[str, Any] = {"role": "assistant", "content": "Hello there"}
    finish = "stop"
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        message, finish = {**message, "content": None, "tool_calls": [TOOL_CALL]}, "tool_calls"
    if body.get("response_format", {}).get("type") == "json_schema":
        message["content"] = '{"greeting": "hello"}'
    shown = {"message": message, "finish_reason": finish}
    return {**shown, "logprobs": LOGPROBS} if body.get("logprobs") else shown


def _call_of_a_tool() -> list[dict[str, Any]]:
    name = {**TOOL_CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": TOOL_CALL["function"]["arguments"]}}
    return [
        {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": [name]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [rest]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}},
    ]


@asynccontextmanager
async def running_upstream() -> AsyncIterator[Upstream]:
    """Run the server for a context."""
    behaviour = Upstream()
    app = Starlette(
        routes=[
            Route("/v1/models", behaviour.models),
            Route("/v1/embeddings", behaviour.embeddings, methods=["POST"]),
            Route("/v1/moderations", behaviour.moderations, methods=["POST"]),
            Route("/v1/chat/completions", behaviour.chat, methods=["POST"]),
            Route("/v1/completions", behaviour.completions, methods=["POST"]),
        ]
    )
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    behaviour.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield behaviour
    finally:
        server.should_exit = True
        server.force_exit = True
        await serving
