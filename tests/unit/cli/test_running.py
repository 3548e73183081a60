"""What the program says where it is asked for nothing in particular."""

from __future__ import annotations

import pytest

from tessera.cli.running import run


@pytest.mark.parametrize("arguments", [[], ["account"]])
def test_without_a_command_it_shows_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(" ".join(["Usage: tessera", *arguments]))
    assert shown.out.endswith("\n")
    assert "see:" not in shown.out
    assert shown.err == ""
