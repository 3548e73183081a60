"""The benches of speed run to their end; what they print is the machine's business."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench import embedded_node, paid_calls
from bench.gateway.__main__ import measure
from bench.gateway.contenders import BOOKS, checked
from bench.gateway.machine import Cores
from bench.gateway.stage import Stage
from rich.console import Console


def test_paid_calls_are_all_answered(capsys: pytest.CaptureFixture[str]) -> None:
    paid_calls.main(64)
    shown = capsys.readouterr().out
    assert "64 paid calls over 32 connections" in shown
    assert re.search(r"[1-9][\d,]* calls/s", shown)


def test_our_rows_of_the_gateway_bench_are_paid_receipted_and_in_the_books(tmp_path: Path) -> None:
    """A moment of each, without peers; the books are read after SIGKILL."""
    stage = Stage(tmp_path, Cores.of_this_machine(), seconds=1, rounds=1, warm_s=0.1, plain=True)
    ours = list(BOOKS)
    with stage.upstreams():
        figures = measure(stage, ours, Console(stderr=True), told := [])
    assert not told
    assert all(figures[who].per_s > 0 and figures[who].cpu_us > 0 for who in ours)
    for who in ours:
        assert "answered" in checked(stage, who)


@pytest.mark.deep
def test_the_node_keeps_what_the_bench_sends_it(capsys: pytest.CaptureFixture[str]) -> None:
    embedded_node.main(0.1)
    shown = capsys.readouterr().out
    assert "16 clients:" in shown
    assert "the same without a snapshot:" in shown
