"""Events a second into facts, beside plain loops over `eth_getLogs`: `make bench-indexer`.

`python -m bench.indexer [SCALE] [--figures FILE]`. One anvil on loopback, whose blocks hold 250
transfers each, is read in steps of 100 blocks by web3.py as its documentation does
(`contract.events.Transfer.get_logs`), by web3.py with topics read by hand, and by our own typed
reader, each with its blocks' times, into a SQLite table with a commit for each step; and by the
indexer, which also checks what it reads, into its tables. The plain loops read a part of the chain,
as they take longer for it than the indexer for all; there all must find the same transfers. Exits 1
where the indexer is not ten times as fast as the first loop.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop
from web3 import Web3

from bench.emitter import EMITTER, emitted
from tessera.bindings.test_dollar import Transfer
from tessera.chain.anvil import find_anvil
from tessera.chain.reader import ChainReader
from tessera.facts.facts import Facts
from tessera.facts.live import Live
from tessera.indexer.book import Book
from tessera.indexer.fetching import Fetcher
from tessera.indexer.following import Indexer
from tessera.indexer.nodes import Nodes
from tessera.indexer.pieces import Selection
from tessera.storage.facts_database import open_facts

CHAIN_ID: Final = 31_337
TOKEN: Final = "0x" + "77" * 20
PAYER: Final = "0x" + "aa" * 20
PER_BLOCK: Final = 250
BLOCKS: Final = 480
PLAIN_PART: Final = 8
STEP: Final = 100
GOAL: Final = 10.0
TRANSFER_ABI: Final = [
    {
        "type": "event",
        "name": "Transfer",
        "anonymous": False,
        "inputs": [
            {"name": "from", "type": "address", "indexed": True},
            {"name": "to", "type": "address", "indexed": True},
            {"name": "value", "type": "uint256", "indexed": False},
        ],
    }
]
MARK: Final = "<!-- indexer -->"


class Node:
    """An anvil whose chain holds transfers."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [str(find_anvil()), "--port", str(port), "--accounts", "0", "--quiet", "--no-mining"],
            env={**os.environ, "HOME": str(home)},
        )
        self._client = httpx.Client(timeout=60)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.rpc("eth_chainId")
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def rpc(self, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post(self.url, json=body).json()
        if "error" in answer:
            raise SystemExit(f"the node refused {method}: {answer['error']}")
        return answer["result"]

    def fill(self, blocks: int) -> None:
        self.rpc("anvil_setCode", TOKEN, f"0x{EMITTER.hex()}")
        self.rpc("anvil_setBalance", PAYER, hex(10**24))
        self.rpc("anvil_impersonateAccount", PAYER)
        made = {"from": PAYER, "to": TOKEN, "data": emitted(PER_BLOCK), "gas": hex(2_000_000)}
        for _ in range(blocks):
            self.rpc("eth_sendTransaction", made)
            self.rpc("evm_mine")

    def end(self) -> None:
        self._client.close()
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Result:
    name: str
    events: int
    compared: tuple[int, int]
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def table(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "CREATE TABLE transfers (block INTEGER, time INTEGER, log INTEGER, source TEXT, "
        "target TEXT, amount TEXT, PRIMARY KEY (block, log))"
    )
    return connection


def put(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    connection.executemany("INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.commit()


def counted(connection: sqlite3.Connection) -> tuple[int, int]:
    amounts = [int(row[0]) for row in connection.execute("SELECT amount FROM transfers")]
    connection.close()
    return len(amounts), sum(amounts)


def with_contract(url: str, head: int, file: Path) -> tuple[int, int]:
    web3 = Web3(Web3.HTTPProvider(url))
    contract = web3.eth.contract(address=Web3.to_checksum_address(TOKEN), abi=TRANSFER_ABI)
    connection = table(file)
    for first in range(0, head + 1, STEP):
        last = min(head, first + STEP - 1)
        times: dict[int, int] = {}
        rows = []
        for log in contract.events.Transfer.get_logs(from_block=first, to_block=last):
            args = log["args"]
            place = (log["blockNumber"], time_of(web3, log["blockNumber"], times), log["logIndex"])
            rows.append((*place, args["from"], args["to"], str(args["value"])))
        put(connection, rows)
    return counted(connection)


def with_web3(url: str, head: int, file: Path) -> tuple[int, int]:
    web3 = Web3(Web3.HTTPProvider(url))
    asked = {"address": Web3.to_checksum_address(TOKEN), "topics": [f"0x{Transfer.TOPIC.hex()}"]}
    connection = table(file)
    for first in range(0, head + 1, STEP):
        last = min(head, first + STEP - 1)
        times: dict[int, int] = {}
        rows = []
        for log in web3.eth.get_logs({**asked, "fromBlock": first, "toBlock": last}):
            parties = (f"0x{topic[12:].hex()}" for topic in log["topics"][1:])
            place = (log["blockNumber"], time_of(web3, log["blockNumber"], times), log["logIndex"])
            rows.append((*place, *parties, str(int.from_bytes(log["data"]))))
        put(connection, rows)
    return counted(connection)


def time_of(web3: Any, block: int, times: dict[int, int]) -> int:
    if block not in times:
        times[block] = web3.eth.get_block(block)["timestamp"]
    return times[block]


async def with_reader(url: str, head: int, file: Path) -> tuple[int, int]:
    connection = table(file)
    async with ChainReader(url, chain_id=CHAIN_ID) as reader:
        for first in range(0, head + 1, STEP):
            times: dict[int, int] = {}
            rows = []
            found = await reader.logs(
                Transfer, address=TOKEN, first=first, last=min(head, first + STEP - 1)
            )
            for log in found:
                if log.block not in times:
                    times[log.block] = (await reader.block(log.block)).timestamp
                event = log.event
                place = (log.block, times[log.block], log.index)
                rows.append((*place, event.sender, event.receiver, str(event.value)))
            put(connection, rows)
    return counted(connection)


async def with_indexer(url: str, file: Path, *, whole: bool, last: int | None = None) -> None:
    chosen = Selection(whole=True) if whole else Selection(tokens=frozenset({TOKEN}))
    async with Nodes([url], chain_id=CHAIN_ID) as nodes:
        with open_facts(file, write=True) as database:
            book = Book(database, now=time.time)
            indexer = Indexer(Fetcher(nodes), book, chosen, chain_id=CHAIN_ID, first=0, last=last)
            await indexer.catch_up()


def facts_of(file: Path, last: int) -> tuple[int, int, int]:
    """Return how many transfers there are, and how many up to a block with their sum."""
    with open_facts(file) as database:
        transfers = Facts(Live(database)).transfers(TOKEN)
        part = transfers.up_to(last)
        return len(transfers), len(part), part.amount.total()


def timed(name: str, read: Callable[[], object], found: Callable[[], tuple[int, ...]]) -> Result:
    began, busy = time.perf_counter(), time.process_time()
    read()
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - busy
    events, count, total = found()
    return Result(name, events, (count, total), seconds, cpu_s)


def measure(url: str, head: int, home: Path) -> list[Result]:
    def run(work: Any) -> Any:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)

    kept: dict[str, tuple[int, int]] = {}

    def keep(name: str, work: Callable[[], tuple[int, int]]) -> Result:
        def read() -> None:
            kept[name] = work()

        return timed(name, read, lambda: (kept[name][0], *kept[name]))

    token, whole = home / "token.sqlite", home / "whole.sqlite"
    # Rates are of an event, so a part is enough of what takes longest.
    part = head // PLAIN_PART
    # What is imported when first used is paid before the clocks run.
    run(with_indexer(url, home / "first.sqlite", whole=True, last=1))
    return [
        keep(
            "web3.py, contract.events.get_logs",
            lambda: with_contract(url, part, home / "contract.db"),
        ),
        keep("web3.py, topics by hand", lambda: with_web3(url, part, home / "web3.db")),
        keep("our typed reader", lambda: run(with_reader(url, part, home / "reader.db"))),
        timed(
            "indexer, one token",
            lambda: run(with_indexer(url, token, whole=False)),
            lambda: facts_of(token, part),
        ),
        timed(
            "indexer, whole chain (transactions and receipts, each filter checked)",
            lambda: run(with_indexer(url, whole, whole=True)),
            lambda: facts_of(whole, part),
        ),
    ]


def lines(results: list[Result]) -> list[str]:
    plain = results[0].rate
    found = ["| what | events/s | beside the first | CPU of the reader, µs an event |"]
    found += ["|---|---|---|---|"]
    found += [
        f"| {r.name} | {r.rate:,.0f} | {r.rate / plain:.1f} x | {r.cpu_s / r.events * 1e6:.0f} |"
        for r in results
    ]
    return found


def write(figures: Path, results: list[Result]) -> None:
    """Put the table between the marks of a page."""
    text = figures.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARK)
    _, _, behind = rest.partition(MARK)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    told = "\n".join(
        [
            f"{results[-1].events:,} transfers in blocks of {PER_BLOCK}, {machine}:",
            "",
            *lines(results),
        ]
    )
    figures.write_text(f"{before}{MARK}\n{told}\n{MARK}{behind}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scale", type=float, nargs="?", default=1.0)
    parser.add_argument("--figures", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder))
        try:
            node.fill(max(10, int(BLOCKS * options.scale)))
            head = int(node.rpc("eth_blockNumber"), 16)
            results = measure(node.url, head, Path(folder))
        finally:
            node.end()
    print("\n".join(lines(results)))
    if len({result.compared for result in results}) != 1:
        print("they found different transfers", file=sys.stderr)
        return 1
    if options.figures:
        write(options.figures, results)
    if results[3].rate < GOAL * results[0].rate:
        print(f"missed: wanted {GOAL:g} times the first loop", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
