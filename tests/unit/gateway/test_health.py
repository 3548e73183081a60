"""What `/readyz` looks at, one obstacle at a time."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tessera.errors import StorageFull
from tessera.gateway.draining import Drain
from tessera.gateway.health import (
    Readiness,
    books_are_written,
    chain_answers,
    clock_agrees,
    disk_has_room,
)


class Now:
    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


def test_a_gateway_without_obstacles_is_ready() -> None:
    reply = Readiness(lambda: None).reply()
    assert reply.status == 200
    assert msgspec.json.decode(reply.body) == {"ok": True, "reasons": []}


def test_every_obstacle_is_named_and_the_first_is_the_message() -> None:
    drain = Drain()
    drain.begin()
    failing = books_are_written(lambda: StorageFull("books", found="full", wanted="room"))
    reply = Readiness(drain.obstacle, failing).reply()
    assert reply.status == 503
    body = msgspec.json.decode(reply.body)
    assert [reason["code"] for reason in body["reasons"]] == ["draining", "books_behind"]
    assert body["message"] == body["reasons"][0]["message"]
    assert body["code"] == "not_ready"
    assert dict(reply.headers)[b"retry-after"] == b"5"


def test_books_that_failed_are_tried_again_after_a_while_and_what_they_say_then_counts() -> None:
    now, failure = Now(), [StorageFull("books", found="full", wanted="room")]
    check = books_are_written(lambda: failure[0], now)
    assert check() is not None
    now.at += 9
    assert check() is not None
    now.at += 2
    assert check() is None, "no call comes to show that it works again"
    failure[0] = StorageFull("books", found="full", wanted="room")
    assert check() is not None


def test_a_full_disk_is_seen_before_a_commit_fails(tmp_path: Path) -> None:
    assert disk_has_room(tmp_path, least=0)() is None
    found = disk_has_room(tmp_path, least=2**62)()
    assert found is not None
    assert found.code == "disk_full"


def test_a_silent_chain_is_an_obstacle_after_a_while_and_none_when_it_speaks_again() -> None:
    now, seen = Now(), [1_000.0]
    check = chain_answers(lambda: seen[0], 30, now)
    now.at = 1_030
    assert check() is None
    now.at = 1_031
    found = check()
    assert found is not None
    assert found.code == "chain_unreachable"
    assert "31 s" in found.message
    seen[0] = 1_031
    assert check() is None


def test_a_clock_off_the_chain_by_five_minutes_is_an_obstacle_either_way() -> None:
    for gap, wanted in ((0.0, None), (299.0, None), (301.0, "ahead"), (-301.0, "behind")):
        found = clock_agrees(lambda gap=gap: gap)()
        assert (found is None) == (wanted is None)
        assert wanted is None or wanted in found.message
    assert clock_agrees(lambda: None)() is None


def test_whether_a_balancer_watches_is_known_for_a_minute() -> None:
    now = Now()
    readiness = Readiness(now=now)
    assert not readiness.watched
    readiness.reply()
    now.at += 59
    assert readiness.watched
    now.at += 2
    assert not readiness.watched


def test_who_watches_a_drain_hears_of_its_end_once_and_at_once_where_it_is_over() -> None:
    drain, heard = Drain(), []
    stays, goes = object(), object()
    drain.watch(stays, lambda: heard.append("stays"))
    drain.watch(goes, lambda: heard.append("goes"))
    drain.forget(goes)
    drain.forget(goes)
    assert drain.obstacle() is None
    drain.begin()
    assert heard == []
    drain.cut()
    assert heard == ["stays"]
    drain.watch(object(), lambda: heard.append("late"))
    assert heard == ["stays", "late"]
