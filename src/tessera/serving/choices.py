"""Several texts of one chat, from models that write one at a time.

A model whose server takes `n` itself (`Runner.follows`) is asked once. Any other is asked once per
text, each with a seed of its own, so that equal requests go on giving equal answers. What was sent
counts once, what was written counts for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from tessera.serving.runner import ChatDelta, ChatEnd, ChatRequest, ChatResult, Runner, Units

__all__ = ["write_chat", "write_chat_stream"]


async def write_chat(runner: Runner, request: ChatRequest) -> ChatResult:
    """Answer with as many whole texts as are wanted; if one fails, all fail."""
    if request.n == 1 or "n" in runner.follows:
        return await runner.chat(request)
    tasks = [asyncio.create_task(runner.chat(one)) for one in _each(request)]
    try:
        results = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return ChatResult(
        tuple(result.choices[0] for result in results),
        Units(results[0].units.input, sum(result.units.output for result in results)),
    )


def write_chat_stream(runner: Runner, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
    """Answer piece by piece; where the model writes one at a time, one text after the other."""
    if request.n == 1 or "n" in runner.follows:
        return runner.chat_stream(request)
    return _one_by_one(runner, request)


async def _one_by_one(runner: Runner, request: ChatRequest) -> AsyncGenerator[ChatDelta | ChatEnd]:
    ends: list[ChatEnd] = []
    for index, one in enumerate(_each(request)):
        before = sum(end.units.output for end in ends)
        pieces = runner.chat_stream(one)
        try:
            async for piece in pieces:
                if isinstance(piece, ChatEnd):
                    ends.append(piece)
                    break
                units = Units(piece.units.input, before + piece.units.output)
                yield msgspec.structs.replace(piece, index=index, units=units)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        if len(ends) <= index:
            # It broke off: whoever reads on sees no end, and that is a failure.
            return
    units = Units(ends[0].units.input, sum(end.units.output for end in ends))
    yield ChatEnd(ends[0].finish, units, tuple(end.finish for end in ends[1:]))


def _each(request: ChatRequest) -> list[ChatRequest]:
    return [
        msgspec.structs.replace(
            request, n=1, seed=None if request.seed is None else request.seed ^ index
        )
        for index in range(request.n)
    ]
