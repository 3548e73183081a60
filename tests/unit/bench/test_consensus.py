"""The bench of the consensus compares equals, and says what it missed."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.consensus import __main__ as bench


def test_four_versions_of_a_small_epoch_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    size = ["--validators", "6", "--models", "40", "--rounds", "1", "--reference"]
    assert bench.main([*size, "--figures", str(page)]) == 0
    assert "| Yuma 3, liquid alpha |" in capsys.readouterr().out
    # Figures of another size are nobody's.
    assert not page.exists()


def test_a_page_keeps_what_is_around_the_figures(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- consensus -->\nold\n<!-- end consensus -->\nafter\n")
    bench.write(page, "Last run, today", "| a |\n")
    text = page.read_text()
    assert text.startswith("before\n<!-- consensus -->\n\nLast run, ")
    assert text.endswith("|\n<!-- end consensus -->\nafter\n")
    assert "old" not in text


def test_a_difference_is_told_and_ends_with_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "same", lambda *_: "bonds")
    assert bench.main(["--validators", "5", "--models", "30", "--rounds", "1"]) == 70
    assert "bonds of the versions differ" in capsys.readouterr().err


def test_what_is_slow_is_missed() -> None:
    slow = bench.Figures(plain=200, fast=101, near=61, reference=None)
    assert len(bench.verdicts("Yuma 2", slow)) == 3
    quick = bench.Figures(plain=301, fast=100, near=60, reference=None)
    assert bench.verdicts("Yuma 2", quick) == []
