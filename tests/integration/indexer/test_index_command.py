"""`tessera index` as people run it: killed, run again, asked how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.chain_client.bare_node import CHAIN_ID
from tests.integration.indexer.conftest import TOKEN, Market, Observed

from tessera.cli.running import run
from tessera.indexer.pieces import Selection

COMMAND = (sys.executable, "-m", "tessera.cli", "index")
WITHIN_S = 60.0


def arguments(market: Market, home: Path, file: Path) -> list[str]:
    return [
        *("--data-dir", str(home), "--rpc", market.url, "--chain-id", str(CHAIN_ID)),
        *("--facts", str(file)),
    ]


def said(*given: str) -> tuple[int, dict[str, Any]]:
    """Run it in this process, and return its exit code and what it said."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(["index", *given, "--json"])
    return code, json.loads(out.getvalue())


def rows_in(file: Path) -> int:
    if not file.exists():
        return 0
    with contextlib.closing(sqlite3.connect(file)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM facts_calls").fetchone()[0])
        except sqlite3.OperationalError:
            # Its tables come a moment after the file.
            return 0


def killed_within(given: list[str], file: Path) -> int:
    """Run it slowly, kill it when it has written something, and return how much."""
    process = subprocess.Popen([*COMMAND, *given, "--rate", "200", "--every", "1s"])
    try:
        deadline = time.monotonic() + WITHIN_S
        while not rows_in(file):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    return rows_in(file)


def test_an_indexer_that_is_killed_goes_on_where_it_was_and_reads_nothing_twice(
    market: Market, observed: Callable[[str], Observed], tmp_path: Path
) -> None:
    """The attack: power and people end programs at any moment; facts are whole all the same."""
    market.transfers(*([1, 2] * 60))
    killed = observed("killed")
    given = arguments(market, tmp_path, killed.path)
    kept = killed_within(given, killed.path)
    assert 0 < kept < 120
    code, outcome = said(*given, "--once")
    assert code == 0
    assert outcome["rows"] > 0
    fresh = observed("fresh")
    asyncio.run(fresh.catch_up(Selection(whole=True)))
    tables = ("facts_blocks", "facts_transfers", "facts_calls", "facts_events")
    assert killed.contents(*tables) == fresh.contents(*tables)
    code, status = said(*given, "--status")
    assert (code, status["head"]["block"]) == (0, market.head())
    assert status["streams"] == {"chain": [{"first": 0, "last": market.head()}]}
    assert status["rows"]["calls"] == 120


def test_a_token_that_is_none_and_facts_that_are_not_there_are_said_with_a_next_step(
    market: Market, tmp_path: Path
) -> None:
    given = arguments(market, tmp_path, tmp_path / "facts.sqlite")
    code, body = said(*given, "--status")
    assert (code, body["code"]) == (2, "not_found")
    assert "tessera index --once" in body["message"]
    code, body = said(*given, "--once", "--token", "0x" + "99" * 20)
    assert (code, body["code"]) == (2, "input_error")
    assert TOKEN not in body["message"]
