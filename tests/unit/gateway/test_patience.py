"""Calls wait for a model so long and no longer; who cancels them is told apart."""

from __future__ import annotations

import asyncio

import pytest

from tessera.errors import Overloaded
from tessera.gateway.draining import Drain
from tessera.gateway.patience import Patience


async def slept(patience: Patience, seconds: float) -> str:
    await patience.wait(asyncio.sleep(seconds))
    return "done"


async def test_each_has_its_own_time() -> None:
    patience = Patience(0.05, Drain())
    first = asyncio.create_task(slept(patience, 1))
    await asyncio.sleep(0.03)
    second = asyncio.create_task(slept(patience, 1))
    third = asyncio.create_task(slept(patience, 0.01))
    await asyncio.sleep(0.03)
    assert isinstance(first.exception(), TimeoutError)
    assert third.result() == "done"
    assert not second.done()
    with pytest.raises(TimeoutError):
        await second
    assert not second.cancelling()
    assert await slept(patience, 0.01) == "done"


async def test_the_gateways_end_is_the_end_of_waiting() -> None:
    drain = Drain()
    patience = Patience(5, drain)
    waiting = asyncio.create_task(slept(patience, 5))
    await asyncio.sleep(0)
    drain.cut()
    with pytest.raises(Overloaded):
        await waiting
    with pytest.raises(Overloaded):
        await slept(patience, 5)


async def test_a_call_that_somebody_else_cancels_is_cancelled() -> None:
    """A gateway that is told to stop at once must not take its own calls for late."""
    drain = Drain()
    patience = Patience(0.02, drain)
    task = asyncio.create_task(slept(patience, 5))
    await asyncio.sleep(0)
    task.cancel()
    drain.cut()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not patience._waits


async def test_a_failure_is_passed_on_as_it_is() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("theirs")

    with pytest.raises(ValueError, match="theirs"):
        await Patience(1, Drain()).wait(fails())
