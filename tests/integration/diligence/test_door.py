"""`tessera diligence` as an analyst runs it: from files, with what goes wrong in them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tessera.cli.running import run

TOKEN = "0x" + "1" * 40
HOLDERS = ["0x" + digit * 40 for digit in "abc"]
ZERO = "0x" + "0" * 40
HEAD = "token,block_number,block_timestamp,transaction_index,log_index,from,to,value"
ROWS = (
    f"{TOKEN},100,1700000000,0,0,{ZERO},{HOLDERS[0]},1000000000000000000000000000",
    f"{TOKEN},200,1700100000,0,0,{HOLDERS[0]},{HOLDERS[1]},300000000000000000000000001",
    f"{TOKEN},300,1700200000,1,5,{HOLDERS[1]},{HOLDERS[2]},7",
)
NAME = "<script>alert(1)</script>\\u001b[2J\\u202e"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "transfers.csv"
    file.write_text("\n".join([HEAD, *ROWS]) + "\n")
    return file


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["diligence", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_file_of_transfers_becomes_a_report(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out" / "report.html"
    code, out, _ = asked(capsys, TOKEN, "--facts", table, "--html", page)
    assert code == 0
    assert "VERDICT" in out
    assert "as of block 300" in out
    assert page.read_text().startswith("<!doctype html>")
    code, out, _ = asked(capsys, TOKEN, "--facts", table, "--json", "--as-of", "200")
    told = json.loads(out)
    assert (code, told["ok"], told["as_of_block"], told["transfers"]) == (0, True, 200, 2)
    assert told["verdict"] in {"undecided", "flag", "severe"}
    assert [flag["name"] for flag in told["flags"]] == ["RF1", "RF2", "RF3", "RF4"]
    assert told["origin"][0]["sha256"]


def test_an_as_of_report_is_the_same_whatever_happened_later(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who wrote the report then saw no more: the future may hold anything."""
    shorter = tmp_path / "shorter.csv"
    shorter.write_text("\n".join([HEAD, *ROWS[:2]]) + "\n")
    reports = []
    for file in (table, shorter):
        _, out, _ = asked(capsys, TOKEN, "--facts", file, "--json", "--as-of", "200")
        told = json.loads(out)
        reports.append([told[part] for part in ("metrics", "flags", "findings", "failures")])
    assert reports[0] == reports[1]


def test_a_hostile_description_harms_neither_screen_nor_page(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, page = tmp_path / "about.toml", tmp_path / "report.html"
    about.write_text(f'token = "{TOKEN}"\nname = "{NAME}"\n[holders]\npromise = "{NAME}"\n')
    code, out, err = asked(capsys, about, "--facts", table, "--html", page, "--evidence")
    assert code == 0
    for shown in (out, err, page.read_text()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<script" not in page.read_text()


def test_two_tokens_stand_side_by_side(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = "0x" + "2" * 40
    with table.open("a") as opened:
        opened.write(f"{other},150,1700050000,0,0,{ZERO},{HOLDERS[0]},5\n")
    code, out, _ = asked(capsys, TOKEN, "--against", other, "--facts", table)
    assert code == 0
    assert TOKEN in out
    assert other in out
    _, out, _ = asked(capsys, TOKEN, "--against", other, "--facts", table, "--json")
    assert [each["token"]["address"] for each in json.loads(out)["reports"]] == [TOKEN, other]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "wanted one to look at"),
        (("banana",), 2, "0x and 40 hexadecimal digits"),
        (("7",), 2, "no assets of ours"),
        (("0x12",), 2, "0x and 40 hexadecimal digits"),
        (("\x1b[2J",), 2, "0x and 40 hexadecimal digits"),
        ((TOKEN, "--as-of", "999"), 2, "wanted 0 to 300"),
        ((TOKEN, "--limit", "top01=3"), 2, "did you mean 'top10'"),
        ((TOKEN, "--limit", "top10=much"), 2, "name=number"),
        (("nowhere.toml",), 2, "No such file"),
        ((TOKEN, "--repo", "nowhere"), 2, "a folder that exists"),
        (("0x" + "3" * 40,), 6, "wanted one of the 1"),
        ((TOKEN, "--watch", "--against", TOKEN), 2, "wanted one to watch"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_next_step(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    table: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, out, err = asked(capsys, *arguments, "--facts", table)
    assert (found, out) == (code, "")
    assert said in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", 6, ""),
        (b"a,b\n1,2\n", 6, "column"),
        (
            (HEAD + "\n" + ROWS[0].replace("1000000000000000000000000000", "-5") + "\n").encode(),
            6,
            "-5",
        ),
        ((HEAD + "\n" + ROWS[0] + "\n" + ROWS[0] + "\n").encode(), 6, "100"),
        ((HEAD + "\n" + ROWS[0][:-60]).encode(), 6, ""),
        (b"\x00\xff\xfe" * 100, 6, ""),
    ],
    ids=["empty", "other columns", "negative", "a log twice", "cut off", "no text"],
)
def test_a_file_that_contradicts_itself_is_refused(
    content: bytes, code: int, said: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_bytes(content)
    found, out, err = asked(capsys, TOKEN, "--facts", table)
    assert (found, out) == (code, ""), err
    assert said in err


def test_a_truncated_parquet_is_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = table.with_suffix(".parquet")
    file.write_bytes(b"PAR1" + b"\x00" * 50)
    code, out, err = asked(capsys, TOKEN, "--facts", file)
    assert (code, out) == (6, ""), err


def test_limits_are_listed_and_set(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSERA_LIMITS", "top10=55%,subsidy=off")
    _, out, _ = asked(capsys, "--limits", "--json", "--data-dir", tmp_path)
    bounds = {each["name"]: (each["bound"], each["source"]) for each in json.loads(out)["limits"]}
    assert bounds["top10"] == (0.55, "your setting")
    assert "subsidy" not in bounds
    _, out, _ = asked(capsys, "--limits", "--json", "--data-dir", tmp_path, "--limit", "top10=0.7")
    bounds = {each["name"]: each["bound"] for each in json.loads(out)["limits"]}
    assert bounds["top10"] == 0.7


def test_a_watch_says_what_changed_and_goes_on_where_a_file_is_half_written(table: Path) -> None:
    """A holder sells all to one; meanwhile the export is cut off for a moment."""
    command = [sys.executable, "-m", "tessera.cli", "diligence", TOKEN, "--facts", str(table)]
    command += ["--json", "--watch", "--every", "1s"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stderr is not None
            first = json.loads(child.stdout.readline())
            assert first["as_of_block"] == 300
            whole = table.read_text()
            table.write_text(whole[:-20])
            assert "looking again in 1 s" in child.stderr.readline()
            row = f"{TOKEN},400,1700300000,0,0,{HOLDERS[0]},{HOLDERS[1]},5\n"
            replaced = table.with_suffix(".new")
            replaced.write_text(whole + row)
            replaced.replace(table)
            told = json.loads(child.stdout.readline())
            assert told["as_of_block"] == 400
            assert told["changes"]
            assert all(each["before"] != each["after"] for each in told["changes"])
            child.send_signal(signal.SIGINT)
            assert child.wait(20) == 130
        finally:
            child.kill()
