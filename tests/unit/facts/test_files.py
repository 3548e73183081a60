"""A table of transfers becomes facts, exactly; what is wrong with it is said with its row."""

import datetime as dt
import gzip
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pl = pytest.importorskip("polars")

from tessera.errors import DataError, InputError  # noqa: E402
from tessera.facts import ZERO, Facts, Head, Row, Transfers  # noqa: E402
from tessera.facts.cells import amounts_of, times_of  # noqa: E402
from tessera.facts.files import Clock, read_headers, read_transfers  # noqa: E402
from tessera.facts.opening import open_facts  # noqa: E402
from tessera.units import MAX_UINT256  # noqa: E402

TOKEN, OTHER = "0x" + "7a" * 20, "0x" + "7b" * 20
HOLDER, BUYER = f"0x{0xA1:040x}", f"0x{0xB2:040x}"
ROWS = [
    Row(10, 100, 0, 0, ZERO, HOLDER, 10**27 + 1),
    Row(10, 100, 3, 7, HOLDER, BUYER, 4),
    Row(12, 124, 0, 1, BUYER, ZERO, MAX_UINT256),
]


def table(rows=ROWS, token=TOKEN):
    columns = [list(column) for column in zip(*rows, strict=True)]
    return pl.DataFrame(
        {
            "block_number": columns[0], "block_timestamp": columns[1],
            "transaction_index": columns[2], "log_index": columns[3],
            "from_address": columns[4], "to_address": columns[5],
            "value": [str(amount) for amount in columns[6]],
            "token_address": [token] * len(rows),
        }
    )  # fmt: skip


def written(folder, frame, name="transfers.parquet"):
    path = folder / name
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
    return path


@pytest.mark.parametrize("name", ["transfers.parquet", "transfers.csv"])
def test_a_table_becomes_exact_facts(tmp_path, name):
    memory = read_transfers(written(tmp_path, table(), name), chain_id=1, complete=True)
    facts = Facts(memory)
    assert facts.head == Head(12, 124)
    assert facts.tokens() == (TOKEN,)
    assert facts.coverage(TOKEN).complete
    assert facts.transfers(TOKEN).digest() == Transfers.of(TOKEN, ROWS).digest()
    assert facts.transfers(TOKEN).amount.tolist() == [row.amount for row in ROWS]
    assert [origin.what for origin in facts.origin] == [name]
    assert len(facts.origin[0].sha256) == 64


def test_rows_in_any_order_and_any_spelling_are_the_same_facts(tmp_path):
    many = [
        Row(block, block * 12, log // 2, log, HOLDER, BUYER, block * log)
        for block in range(20)
        for log in range(5)
    ]
    others = [row._replace(tx=9, log=9 + row.log) for row in many[:7]]
    frame = pl.concat([table(many), table(others, OTHER)])
    frame = frame.sample(fraction=1, shuffle=True, seed=3).with_columns(
        from_address="0x" + pl.col("from_address").str.slice(2).str.to_uppercase()
    )
    memory = read_transfers(written(tmp_path, frame))
    assert memory.held[TOKEN].digest() == Transfers.of(TOKEN, many).digest()
    assert len(memory.held[OTHER]) == 7
    assert memory.held[TOKEN].addresses is memory.held[OTHER].addresses
    named = read_transfers(written(tmp_path, frame), token=OTHER.upper().replace("X", "x"))
    assert set(named.held) == {TOKEN, OTHER}


def test_a_packed_csv_is_read_and_a_truncated_one_refused(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(table().write_csv().encode()))
    assert len(read_transfers(path).held[TOKEN]) == 3
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_transfers(path)


def test_a_truncated_parquet_is_refused(tmp_path):
    path = written(tmp_path, table())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_transfers(path)


def test_a_csv_cut_within_its_last_amount_is_refused_not_read_short(tmp_path):
    """A download broke off within digits: what is left is a number, only a smaller one."""
    frame = table().drop("token_address")
    path = written(tmp_path, frame, "t.csv")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="the last line does not end"):
        read_transfers(path, token=TOKEN)


def setting(**columns):
    return lambda frame: frame.with_columns(**{n: pl.Series(v) for n, v in columns.items()})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("value"), "no column of amount: found"),
        (lambda f: f.drop("log_index"), "no column of log"),
        (setting(value=[1.0, 2.0, 3.0]), "have lost digits"),
        (setting(value=["1", "-2", "3"]), "value, row 2: found '-2'"),
        (setting(value=[1, -2, 3]), "value, row 2: found -2"),
        (setting(value=["1", "2", "1.5"]), "value, row 3"),
        (setting(value=["1", None, "3"]), "row 2: nothing is there"),
        (setting(value=["1", str(2**256), "3"]), "value, row 2"),
        (setting(block_number=[-1, 2, 3]), "block_number, row 1"),
        (setting(block_number=["x", "2", "3"]), "block_number, row 1"),
        (setting(to_address=[HOLDER, "0x12", HOLDER]), "to_address, row 2: found '0x12'"),
        (setting(to_address=[1, 2, 3]), "column to_address: found 'Int64'"),
        (setting(block_timestamp=[10**12] * 3), "block_timestamp, row 1"),
        (lambda f: pl.concat([f, f[1:2]]), "rows 2 and 4 are the same log of block 10"),
        (setting(transaction_index=[5, 3, 0]), "rows 1 and 2 have log and tx of block 10 in two"),
        (setting(block_timestamp=[100, 101, 124]), "rows 1 and 2 give two times of block 10"),
        (setting(block_timestamp=[100, 100, 99]), "rows 2 and 3 say that block 10 was after"),
        (lambda f: f.clear(), "found no transfers"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, change, said):
    with pytest.raises(DataError, match=said) as refused:
        read_transfers(written(tmp_path, change(table())))
    assert "transfers.parquet" in str(refused.value)
    assert str(refused.value).count("found ") == 1 or "found" not in refused.value.operands


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_transfers(tmp_path / "none.csv")
    with pytest.raises(InputError, match="found '.xls'"):
        read_transfers(tmp_path / "t.xls")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="empty file"):
        read_transfers(tmp_path / "empty.csv")


def test_times_are_given_or_estimated_never_guessed(tmp_path):
    path = written(tmp_path, table().drop("block_timestamp"))
    with pytest.raises(InputError, match="no column of times"):
        read_transfers(path)
    memory = read_transfers(path, times=Clock(10, 1_000, 13_300))
    assert memory.held[TOKEN].time.tolist() == [1_000, 1_000, 1_026]
    assert memory.origin[0].note == "times are estimated"
    headers = pl.DataFrame({"number": [12, 10], "time": [99, 77]}).rename({"number": "block"})
    read = read_headers(written(tmp_path, headers, "headers.csv"))
    assert read_transfers(path, times=read).held[TOKEN].time.tolist() == [77, 77, 99]
    with pytest.raises(DataError, match="block 12: not among the headers"):
        read_transfers(path, times=read.up_to(11))
    wrong = pl.concat([headers, headers[:1]])
    with pytest.raises(DataError, match="rows 1 and 3: the same block"):
        read_headers(written(tmp_path, wrong, "headers.csv"))


def test_the_token_and_the_head_are_told_where_the_table_does_not_say(tmp_path):
    path = written(tmp_path, table().drop("token_address"))
    with pytest.raises(InputError, match="whose transfers these are"):
        read_transfers(path)
    memory = read_transfers(path, token=TOKEN, head=Head(99, 999))
    assert Facts(memory).head == Head(99, 999)
    with pytest.raises(InputError, match="wanted block 12 at 124 or later"):
        read_transfers(path, token=TOKEN, head=Head(11, 999))


@given(st.lists(st.integers(0, MAX_UINT256), min_size=1, max_size=30))
def test_digits_and_bytes_of_any_amount_are_read_exactly(values):
    texts = pl.Series([str(value) for value in values])
    assert amounts_of(texts, "amount", 1).tolist() == values
    raw = pl.Series([value.to_bytes(32, "big").lstrip(b"\0") for value in values])
    assert amounts_of(raw, "amount", 1).tolist() == values


@pytest.mark.parametrize(
    "wrong", ["", "-1", "+1", " 1", "1e9", "0x1", "1.0", "٣", str(2**256), "9" * 79]
)
def test_text_that_is_no_whole_amount_is_refused(wrong):
    with pytest.raises(DataError, match="amount, row 8"):
        amounts_of(pl.Series(["5", wrong]), "amount", 7)


def test_decimals_are_amounts_only_without_a_fraction():
    whole = pl.Series(["170000000000000000000000000001"]).cast(pl.Decimal(38, 0))
    assert amounts_of(whole, "amount", 1).tolist() == [170000000000000000000000000001]
    with pytest.raises(DataError, match="column amount"):
        amounts_of(pl.Series(["1.5"]).cast(pl.Decimal(38, 2)), "amount", 1)
    assert amounts_of(pl.Series([2**100], dtype=pl.Int128), "amount", 1).tolist() == [2**100]


def test_moments_of_every_usual_kind_are_unix_seconds():
    moment = dt.datetime(2024, 1, 1, 2, 3, 4)  # noqa: DTZ001
    zoned = moment.replace(tzinfo=dt.UTC)
    for given_as in (
        1704074584, "1704074584", moment, zoned,
        "2024-01-01 02:03:04 UTC", "2024-01-01T02:03:04Z", "2024-01-01 02:03:04.000+00:00",
    ):  # fmt: skip
        assert times_of(pl.Series([given_as]), "time", 1).tolist() == [1704074584]
    for wrong in ("2024-13-01 00:00:00", "2024-01-01 02:03:04+02:00", "yesterday"):
        with pytest.raises(DataError, match="time, row 1"):
            times_of(pl.Series([wrong]), "time", 1)


def test_rows_beyond_one_batch_are_numbered_by_the_file(tmp_path):
    count = 150_000
    frame = pl.DataFrame(
        {
            "block": np.arange(count), "time": np.arange(count), "log": np.zeros(count, np.int32),
            "from": [HOLDER, BUYER] * (count // 2), "to": [BUYER, HOLDER] * (count // 2),
            "amount": random.Random(1).choices(["5", str(10**20), "7"], k=count),
        }
    )  # fmt: skip
    seen = []
    held = read_transfers(written(tmp_path, frame), token=TOKEN, progress=seen.append).held[TOKEN]
    assert seen[-1] == count
    assert held.amount.tolist() == [int(each) for each in frame["amount"]]
    frame = frame.with_columns(
        amount=pl.when(pl.col("block") == 149_990).then(pl.lit("?")).otherwise("amount")
    )
    with pytest.raises(DataError, match="amount, row 149991: found '\\?'"):
        read_transfers(written(tmp_path, frame), token=TOKEN)


@pytest.mark.skipif("TESSERA_REFERENCE_DATA" not in os.environ, reason="no reference data")
def test_the_history_of_all_pool_tokens_is_read():
    path = Path(os.environ["TESSERA_REFERENCE_DATA"]) / "lp_token_transfers.parquet"
    memory = read_transfers(path, chain_id=1, times=Clock(13_153_380, 1_630_000_000, 13_300))
    frame = pl.read_parquet(path)
    assert len(memory.held) == frame["token"].n_unique()
    wanted = sum(map(int, frame["value_raw"]))
    assert sum(rows.amount.total() for rows in memory.held.values()) == wanted
    assert max(map(len, frame["value_raw"])) >= 27


def test_a_table_is_opened_as_facts(tmp_path):
    facts = open_facts(written(tmp_path, table()), chain_id=8453)
    assert (facts.chain_id, facts.head) == (8453, Head(12, 124))


def test_without_the_extra_the_way_to_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    for name in ("cells", "files"):
        monkeypatch.delitem(sys.modules, f"tessera.facts.{name}")
    with pytest.raises(InputError, match=r"pip install 'tessera-market\[analysis\]'"):
        open_facts(tmp_path / "t.csv")
