"""What the program says where it is asked for nothing in particular."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Self

import pytest

from tessera import __version__
from tessera.cli.calling import _call
from tessera.cli.running import run
from tessera.cli.session import Session
from tessera.config import SETTINGS
from tessera.errors import NotFound


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


def test_a_number_below_zero_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["buy", "digits", "-5"]) == 2
    assert "found '-5', wanted 0 or more" in capsys.readouterr().err
    assert run(["buy", "digits", "--fifty"]) == 2
    assert "No such option: --fifty" in capsys.readouterr().err


def test_help_is_whole_and_shows_what_settings_give(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    assert "..." not in capsys.readouterr().out.replace("[ARGS]...", "")
    assert run(["up", "--help"]) == 0
    shown = capsys.readouterr().out
    for setting in ("node_port", "gateway_port", "data_dir"):
        assert f"({SETTINGS[setting].default})" in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["holders", "fruit"], "tessera disclosure ASSET"),
        (["revenue"], "tessera portfolio"),
        (["account", "balance"], "tessera portfolio NAME"),
        (["govern", "status", "fruit"], "see: tessera govern list ASSET"),
        (["assets", "shw"], "see: tessera assets --help"),
    ],
)
def test_what_newcomers_try_leads_to_what_they_mean(
    typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed) == 2
    assert meant in capsys.readouterr().err


def test_no_input_is_said_to_be_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert run(["call", "sentiment"]) == 2
    assert (
        "input: found 'nothing', wanted a text, --input FILE, or stdin" in capsys.readouterr().err
    )


def test_an_input_that_is_no_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["call", "sentiment", "--input", str(tmp_path / "nofile")]) == 2
    assert "found 'nothing', wanted a file" in capsys.readouterr().err


def test_a_model_that_is_still_made_is_not_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def models(self) -> list[object]:
            return []

    monkeypatch.setattr("tessera.client.Client", Nobody)
    session = Session({}, gateway=None, acting_as=None, as_json=False)
    with pytest.raises(NotFound, match="tessera up is still making the demo's world"):
        _call(session, None, {}, "sentiment", "hi", "the demo's world", {})  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="none yet"):
        _call(session, None, {}, "sentiment", "hi", "", {})  # type: ignore[arg-type]
