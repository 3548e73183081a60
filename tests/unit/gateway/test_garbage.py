"""A serving process does not interrupt its calls to look for garbage that is not there."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from tessera.gateway.garbage import collect_seldom


class Node:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def own_habits() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def rounds() -> int:
    return sum(stats["collections"] for stats in gc.get_stats())


def test_objects_of_many_calls_in_hand_start_no_search() -> None:
    collect_seldom()
    before = rounds()
    in_hand = [[number] for number in range(5_000)]
    assert rounds() == before
    assert len(in_hand) == 5_000


def test_what_was_there_is_left_alone_and_new_garbage_still_found() -> None:
    collect_seldom()
    assert gc.get_freeze_count() > 0
    lost = weakref.ref(Node())
    kept = [[number] for number in range(40_000)]
    assert lost() is None
    assert len(kept) == 40_000
