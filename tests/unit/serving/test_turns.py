"""Waiting for one's turn in an event loop, and what becomes of a place when its caller is gone."""

from __future__ import annotations

import asyncio

import pytest

from tessera.serving.fairness import QueueRules
from tessera.serving.turns import NO_STAKES, Line


def line(at_once: int = 1) -> Line:
    return Line("parrot", 1, at_once, QueueRules(length=4, wait_s=5.0), NO_STAKES)


async def never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("steps", range(8))
async def test_whoever_is_cancelled_in_the_moment_of_his_turn_keeps_no_place(steps: int) -> None:
    """A caller is ended just when the model is free for him.

    Between the moment in which the place is his and the one in which he knows lie a few steps of
    the event loop. A cancellation in one of them once took the place along for good: a model that
    answers one call at a time never answered again.
    """
    parrot = line()
    first = parrot.at_once("first", 1)
    assert first is not None
    waiting = asyncio.create_task(parrot.wait("second", 1, never()))
    await asyncio.sleep(0.01)
    assert parrot.queue.waiting == 1
    first.leave()
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    try:
        turn = await waiting
    except asyncio.CancelledError:
        pass
    else:
        turn.leave()
    assert parrot.idle


async def test_whoever_leaves_while_he_waits_lets_the_next_one_through() -> None:
    parrot = line()
    first = parrot.at_once("first", 1)
    assert first is not None
    second = asyncio.create_task(parrot.wait("second", 1, never()))
    third = asyncio.create_task(parrot.wait("third", 1, never()))
    await asyncio.sleep(0.01)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    first.leave()
    (await third).leave()
    assert parrot.idle
