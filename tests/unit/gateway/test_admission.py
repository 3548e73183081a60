"""How many calls are taken in hand, and when the others are told to come back."""

from __future__ import annotations

import msgspec

from tessera.gateway.admission import Admission


class Now:
    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


def test_a_call_beyond_the_limit_is_refused_until_one_ends() -> None:
    admission = Admission(2)
    assert [admission.enter() for _ in range(3)] == [True, True, False]
    assert (admission.in_hand, admission.refused) == (2, 1)
    admission.leave(0.1)
    assert admission.enter()
    assert admission.in_hand == 2


def test_the_limit_may_change_while_calls_are_in_hand() -> None:
    admission = Admission(2)
    assert admission.enter()
    assert admission.enter()
    admission.limit = 1
    admission.leave(0.1)
    assert not admission.enter()
    admission.limit = 2
    assert admission.enter()


def test_a_refusal_is_openai_s_429_and_says_when_to_come_back() -> None:
    reply = Admission(8).refusal()
    headers = dict(reply.headers)
    assert reply.status == 429
    assert int(headers[b"retry-after"]) >= 1
    assert 750 <= int(headers[b"retry-after-ms"]) <= 1_250
    assert headers[b"x-should-retry"] == b"true"
    error = msgspec.json.decode(reply.body)["error"]
    assert error["code"] == "too_busy"
    assert error["details"]["retry_after_s"] == int(headers[b"retry-after"])


def test_those_who_are_refused_together_do_not_come_back_together() -> None:
    admission = Admission(8)
    times = {dict(admission.refusal().headers)[b"retry-after-ms"] for _ in range(16)}
    assert len(times) > 8


def test_the_more_are_refused_the_later_they_are_told_to_come_back() -> None:
    admission = Admission(100)
    for _ in range(2_000):
        admission.in_hand += 1
        admission.leave(2.0)
    assert 1.9 < admission.retry_after_s(0) < 2.1
    assert 5.8 < admission.retry_after_s(200) < 6.2
    assert admission.retry_after_s(1e9) == 60


def test_the_times_named_follow_what_was_refused_lately() -> None:
    now = Now()
    admission = Admission(10, chance=lambda: 0.5, now=now)
    for _ in range(2_000):
        admission.in_hand += 1
        admission.leave(1.0)
    admission.limit = 0
    waits = []
    for _ in range(4):
        for _ in range(80):
            assert not admission.enter()
            admission.limit = 10
            waits.append(int(dict(admission.refusal().headers)[b"retry-after"]))
            admission.limit = 0
        now.at += 1
    assert waits[0] == 1
    # 80 a second before a room of 10: eight more rooms full.
    assert waits[-1] == 9
