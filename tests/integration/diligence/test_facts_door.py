"""`tessera facts` as an analyst runs it: tables in, a folder, and tables out again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.cli.running import run
from tessera.facts import Facts

TOKEN, DOLLAR = "0x" + "1" * 40, "0x" + "2" * 40
HOLDER, BUYER, ZERO = ("0x" + digit * 40 for digit in "ab0")
HEAD = "token,block_number,block_timestamp,transaction_index,log_index,from,to,value"
ROWS = (
    f"{TOKEN},100,1700000000,0,0,{ZERO},{HOLDER},{2**256 - 1}",
    f"{TOKEN},200,1700100000,0,0,{HOLDER},{BUYER},300000000000000000000000001",
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return written(tmp_path / "transfers.csv", *ROWS)


def written(file: Path, *rows: str, head: str = HEAD) -> Path:
    file.write_text("\n".join([head, *rows]) + "\n")
    return file


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["facts", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out + err


def test_tables_become_a_folder_and_a_table_again(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tessera.facts.opening import open_facts

    dollars = written(
        tmp_path / "dollars.csv", f"{DOLLAR},150,1700050000,0,0,{ZERO},{BUYER},1000000"
    )
    folder = tmp_path / "facts"
    code, out = asked(
        capsys, "import", table, dollars, "--into", folder, "--chain-id", 8453, "--complete"
    )
    assert code == 0, out
    assert "block 200" in out
    assert "yes" in out
    code, out = asked(capsys, "info", folder, "--json")
    told = json.loads(out)
    assert (told["chain_id"], told["head"]["block"], told["kinds"]) == (8453, 200, ["transfers"])
    assert [(each["token"], each["transfers"], each["last"]) for each in told["tokens"]] == [
        (TOKEN, 2, 200),
        (DOLLAR, 1, 200),
    ]
    again = tmp_path / "again.csv"
    code, out = asked(capsys, "export", folder, "--into", again)
    assert code == 0, out
    first, second = open_facts(folder), open_facts(again)
    assert {t: first.transfers(t).digest() for t in first.tokens()} == digests(second)
    code, out = asked(capsys, "export", folder, "--into", tmp_path / "then", "--as-of", 150)
    assert code == 0, out
    assert len(open_facts(tmp_path / "then").transfers(TOKEN)) == 1


def digests(facts: Facts) -> dict[str, str]:
    return {token: facts.transfers(token).digest() for token in facts.tokens()}


def test_times_are_told_or_estimated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = "block,log,from,to,value"
    bare = written(tmp_path / "bare.csv", f"100,0,{ZERO},{HOLDER},5", head=head)
    options = ["import", bare, "--token", TOKEN, "--into"]
    code, out = asked(capsys, *options, tmp_path / "a")
    assert code == 2
    assert "no column of times" in out
    code, out = asked(capsys, *options, tmp_path / "a", "--clock", "90@1000@2500")
    assert code == 0, out
    assert "times are estimated" in out
    headers = written(tmp_path / "headers.csv", "100,1234", head="block,time")
    code, out = asked(
        capsys, *options, tmp_path / "b", "--headers", headers, "--head", "120@2000", "--json"
    )
    assert json.loads(out)["head"] == {"block": 120, "time": 2000}
    code, out = asked(capsys, "export", tmp_path / "b", "--into", tmp_path / "b.csv")
    assert code == 0, out
    assert (tmp_path / "b.csv").read_text().splitlines()[0] == (
        "token,block,time,log_index,from,to,amount"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--clock", "90@1000"], "wanted BLOCK@TIME@MILLISECONDS"),
        (["--head", "x@y"], "wanted BLOCK@TIME"),
        (["--head", "100@1"], "block 200 at 1700100000 or later"),
        (["--token", "0x12"], "wanted 0x and 40 hexadecimal digits"),
        (["--headers", "none.csv", "--clock", "1@1@1"], "wanted one of both"),
    ],
)
def test_what_is_no_option_is_refused_and_nothing_is_left(
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    code, out = asked(capsys, "import", table, "--into", tmp_path / "facts", *options)
    assert code == 2
    assert said in " ".join(out.split())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["transfers.csv"]


def test_nothing_is_written_over(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "facts").mkdir()
    for verb in ("import", "export"):
        code, out = asked(capsys, verb, table, "--into", tmp_path / "facts")
        assert code == 2
        assert "exists" in out


def test_one_token_in_two_tables_is_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = asked(capsys, "import", table, table, "--into", tmp_path / "facts")
    assert code == 2
    assert "in two tables" in out


def test_a_folder_that_was_tampered_with_says_so(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(capsys, "import", table, "--into", tmp_path / "facts")
    part = tmp_path / "facts" / "transfers-0.parquet"
    part.write_bytes(part.read_bytes()[:-30])
    code, out = asked(capsys, "info", tmp_path / "facts")
    assert code not in (0, 2)
    assert "is damaged, or not what was written" in " ".join(out.split())
