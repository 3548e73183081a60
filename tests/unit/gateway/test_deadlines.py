"""A deadline fires at the time last set, never earlier, and not at all once it was cleared."""

from __future__ import annotations

import asyncio

import pytest

from tessera.gateway.deadlines import Deadline


@pytest.mark.parametrize(
    ("steps", "fires_s"),
    [
        ([0.02], 0.02),
        ([0.02, 0.06], 0.06),
        ([0.06, 0.02], 0.02),
        ([0.02, None], None),
        ([0.02, None, 0.04], 0.04),
    ],
)
async def test_the_last_word_counts(steps: list[float | None], fires_s: float | None) -> None:
    loop = asyncio.get_running_loop()
    fired: list[float] = []
    begun = loop.time()
    deadline = Deadline(loop, lambda: fired.append(loop.time() - begun))
    for seconds in steps:
        if seconds is None:
            deadline.clear()
        else:
            deadline.set(seconds)
    await asyncio.sleep(0.1)
    assert len(fired) == (fires_s is not None)
    assert not fired or fires_s is None or fired[0] >= fires_s - 0.001
    deadline.set(0.01)
    deadline.close()
    await asyncio.sleep(0.02)
    assert len(fired) == (fires_s is not None)
