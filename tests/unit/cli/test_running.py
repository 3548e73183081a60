"""What the program says where it is asked for nothing in particular."""

from __future__ import annotations

import pytest

from tessera import __version__
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


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tessera {__version__}\n"
