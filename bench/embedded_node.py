"""What the embedded node does a second: `make bench-node`, `python -m bench.embedded_node [SCALE]`.

Signed transfers over HTTP, each answered when it is in a block that is on the disk: one client,
sixteen at once, batches of a hundred; then reads, and starts after `kill -9` with a snapshot and
without. The load runs on the same machine. Prints, and gates nothing; SCALE 0.1 does a tenth.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tessera.chain.wallet import Account
from tessera.spec.signatures import keccak

CHAIN_ID = 31_337
GWEI = 10**9
RECEIVER = "0x" + "10" * 20
CLIENTS = 16
BATCH = 100
ACCOUNTS = [Account(keccak(b"sender %d" % number)) for number in range(CLIENTS + 1)]


class Node:
    """A node in a process of its own, and how long its start took."""

    def __init__(self, data: Path) -> None:
        began = time.perf_counter()
        prefund = [part for a in ACCOUNTS for part in ("--prefund", f"{a.address}={10**22}")]
        self._log = data.with_name("node.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tessera.chain.node", "--data", str(data), *prefund],
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        if not ready:
            raise SystemExit(f"the node did not start: {data.with_name('node.log').read_text()}")
        self.took_s = time.perf_counter() - began
        self.port = int(json.loads(ready)["url"].rpartition(":")[2])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def end(self, *, kill: bool) -> None:
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


def ask(connection: http.client.HTTPConnection, body: object) -> Any:
    connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())


def request(method: str, *params: object, number: int = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def transfers(account: Account, first: int, count: int) -> list[str]:
    return [
        "0x"
        + account.sign_transaction(
            chain_id=CHAIN_ID,
            nonce=nonce,
            gas=21_000,
            max_fee=2 * GWEI,
            max_priority_fee=1,
            to=RECEIVER,
            value=1,
        ).raw.hex()
        for nonce in range(first, first + count)
    ]


def send(node: Node, signed: Sequence[str], times: list[float]) -> None:
    with closing(node.connect()) as connection:
        for raw in signed:
            began = time.perf_counter()
            answer = ask(connection, request("eth_sendRawTransaction", raw))
            times.append(time.perf_counter() - began)
            if "result" not in answer:
                raise SystemExit(f"the node refused: {answer}")


def measure_sending(node: Node, name: str, lanes: list[list[str]]) -> None:
    times: list[float] = []
    threads = [threading.Thread(target=send, args=(node, lane, times)) for lane in lanes]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - began
    times.sort()
    done = len(times)
    if done != sum(map(len, lanes)):
        raise SystemExit(f"{name}: {done} of {sum(map(len, lanes))} were answered")
    print(
        f"{name}: {done / taken:,.0f} tx/s, p50 {times[done // 2] * 1e3:.1f} ms, "
        f"p99 {times[int(done * 0.99)] * 1e3:.1f} ms"
    )


def measure_batches(node: Node, signed: list[str]) -> None:
    with closing(node.connect()) as connection:
        began = time.perf_counter()
        for start in range(0, len(signed), BATCH):
            part = signed[start : start + BATCH]
            answers = ask(
                connection,
                [request("eth_sendRawTransaction", raw, number=n) for n, raw in enumerate(part)],
            )
            if not all("result" in answer for answer in answers):
                raise SystemExit(f"the node refused: {answers}")
        taken = time.perf_counter() - began
    print(f"batches of {BATCH}: {len(signed) / taken:,.0f} tx/s")


def measure_reads(node: Node, count: int) -> None:
    with closing(node.connect()) as connection:
        began = time.perf_counter()
        for _ in range(count):
            ask(connection, request("eth_getBalance", RECEIVER, "latest"))
        taken = time.perf_counter() - began
    print(f"reads, one client: {count / taken:,.0f} /s")


def main(scale: float) -> None:
    one, each, batched, reads = (
        max(BATCH, int(scale * count)) for count in (1_000, 200, 5_000, 2_000)
    )
    batched -= batched % BATCH
    with tempfile.TemporaryDirectory() as home:
        data = Path(home) / "chain"
        node = Node(data)
        try:
            print(f"first start, Python's included: {node.took_s:.2f} s")
            measure_sending(node, "one client", [transfers(ACCOUNTS[0], 0, one)])
            lanes = [transfers(account, 0, each) for account in ACCOUNTS[1:]]
            measure_sending(node, f"{CLIENTS} clients", lanes)
            measure_batches(node, transfers(ACCOUNTS[0], one, batched))
            measure_reads(node, reads)
            sent = one + CLIENTS * each + batched
            node.end(kill=True)
            node = Node(data)
            print(f"start after kill -9, {sent:,} transactions: {node.took_s:.2f} s")
            node.end(kill=True)
            shutil.rmtree(data / "snapshots", ignore_errors=True)
            node = Node(data)
            print(f"the same without a snapshot: {node.took_s:.2f} s")
        finally:
            node.end(kill=False)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
