"""The view: lazy, shared between threads, and honest about what could not be worked out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tessera.diligence.subject import Currency, Payments, Subject
from tessera.diligence.view import View
from tessera.errors import DataError, NotFound
from tessera.facts import Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

TOKEN, MONEY, OTHER = ("0x" + digit * 40 for digit in "123")
HOLDER = "0x" + "a" * 40
ZERO = "0x" + "0" * 40


def view_of(token: str = TOKEN) -> View:
    held = {
        each: Transfers.of(each, [Row(5, 1_000, 0, 0, ZERO, HOLDER, 7)]) for each in (TOKEN, MONEY)
    }
    facts = Facts(Memory(chain_id=1, newest=Head(9, 2_000), held=held))
    paid = Payments(currencies=(Currency(MONEY, 6), Currency(OTHER, 6)))
    return View(facts, Subject(token=token, payments=paid))


def test_it_sees_the_token_and_the_currencies_that_were_looked_at() -> None:
    view = view_of()
    assert view.transfers.token == TOKEN
    assert list(view.currencies) == [MONEY]
    assert view.transfers is view.transfers


def test_the_window_ends_just_after_the_head() -> None:
    view = view_of()
    assert 2_000 in view.window
    assert 2_001 not in view.window


def test_a_token_nobody_looked_at_is_refused_each_time() -> None:
    view = view_of(OTHER)
    for _ in range(2):
        with pytest.raises(NotFound, match="tessera index --token"):
            view.transfers  # noqa: B018


def test_two_threads_that_ask_at_once_wait_for_one_computation() -> None:
    view, begun, go, made = view_of(), threading.Event(), threading.Event(), []

    def make() -> int:
        begun.set()
        assert go.wait(10)
        made.append(1)
        return 3

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(view.kept, "thing", make) for _ in range(2)]
        assert begun.wait(10)
        go.set()
        assert [each.result(10) for each in asked] == [3, 3]
    assert made == [1]


def test_what_failed_is_not_tried_again_and_fails_everywhere() -> None:
    view, tried = view_of(), []

    def make() -> int:
        tried.append(1)
        raise DataError("history", found="a negative balance", wanted="none")

    for _ in range(2):
        with pytest.raises(DataError, match="negative balance"):
            view.kept("thing", make)
    assert tried == [1]
