"""A loop in a thread: what runs when it is closed is ended, and who waits is told."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from tessera.client.background import BackgroundLoop


def test_what_still_runs_when_it_is_closed_ends_and_is_told() -> None:
    """A top-up that waits for a block must neither hang its caller nor be left behind."""
    loop, began, undone = BackgroundLoop(), threading.Event(), threading.Event()

    async def top_up() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            undone.set()

    waited_for = loop.submit(top_up())
    assert began.wait(10)
    loop.close()
    assert undone.is_set()
    with pytest.raises(CancelledError):
        waited_for.result(10)
    loop.close()
    assert not [each for each in threading.enumerate() if each.name == "tessera-client"]


def test_it_begins_again_after_it_was_closed() -> None:
    loop = BackgroundLoop()
    for _ in range(2):
        assert loop.submit(asyncio.sleep(0, "answered")).result(10) == "answered"
        loop.close()
