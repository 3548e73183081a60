"""What was paid is there to be sent again, for a while and within bounds."""

from __future__ import annotations

import pytest

from tessera.gateway import repeats
from tessera.gateway.messages import Reply
from tessera.gateway.repeats import KEPT_S, Repeats


def test_an_answer_is_found_by_its_payment_and_its_request_for_ten_minutes() -> None:
    now = [100.0]
    kept = Repeats(lambda: now[0])
    reply = Reply(200, b"answer")
    kept.keep(b"payment", b"request", reply)
    assert kept.find(b"payment", b"request") is reply
    assert kept.find(b"payment", b"another") is None
    assert kept.find(b"other", b"request") is None
    now[0] += KEPT_S + 1
    assert kept.find(b"payment", b"request") is None


def test_the_oldest_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "KEPT_BYTES", 10)
    kept = Repeats()
    for number in range(5):
        kept.keep(bytes([number]), b"", Reply(200, b"1234"))
    assert [kept.find(bytes([number]), b"") is not None for number in range(5)] == [
        *[False] * 3,
        True,
        True,
    ]
