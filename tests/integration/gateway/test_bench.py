"""The benches of speed run to their end; what they print is the machine's business."""

from __future__ import annotations

import re

import pytest
from bench import embedded_node, paid_calls


def test_paid_calls_are_all_answered(capsys: pytest.CaptureFixture[str]) -> None:
    paid_calls.main(64)
    shown = capsys.readouterr().out
    assert "64 paid calls over 32 connections" in shown
    assert re.search(r"[1-9][\d,]* calls/s", shown)


@pytest.mark.deep
def test_the_node_keeps_what_the_bench_sends_it(capsys: pytest.CaptureFixture[str]) -> None:
    embedded_node.main(0.1)
    shown = capsys.readouterr().out
    assert "16 clients:" in shown
    assert "the same without a snapshot:" in shown
