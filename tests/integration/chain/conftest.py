"""A node as a process of its own, so that it can really be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount


class RpcFailure(Exception):
    """The node answered with a JSON-RPC error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


def rpc(client: httpx.Client, url: str, method: str, *params: object) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = client.post(url, json=request).raise_for_status().json()
    if "error" in answer:
        raise RpcFailure(answer["error"])
    return answer["result"]


def runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class NodeChild:
    """`python -m tessera.chain.node` on one data folder; started and killed as often as wanted."""

    def __init__(self, data: Path, prefunded: Sequence[str]) -> None:
        self.data = data
        self.url = ""
        self.ready: dict[str, Any] = {}
        self.client = httpx.Client(timeout=60)
        self._prefunded = prefunded
        self._process: subprocess.Popen[bytes] | None = None
        self._log = data.with_suffix(".log")

    def start(self) -> None:
        command = [sys.executable, "-m", "tessera.chain.node", "--data", str(self.data)]
        for address in self._prefunded:
            command += ["--prefund", f"{address}={10**24}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the node did not start:\n{self.log()[-3000:]}"
        self.ready = json.loads(line)
        self.url = self.ready["url"]

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def rpc(self, method: str, *params: object) -> Any:
        return rpc(self.client, self.url, method, *params)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def anvil_pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads((self.data / "run" / "process.json").read_bytes())["pid"])
        return None

    def kill_anvil(self) -> None:
        pid = self.anvil_pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill -9 our own process, and see its node end with it."""
        anvil = self.anvil_pid
        assert self._process is not None
        self._process.kill()
        self._reap()
        deadline = time.monotonic() + 30
        while anvil is not None and runs(anvil) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert anvil is None or not runs(anvil), "the node outlived its parent"

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask our process to end and return its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._reap()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._reap()
        self.client.close()

    def _reap(self) -> int:
        assert self._process is not None
        status = self._process.wait(timeout=60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status


@pytest.fixture(scope="session")
def consumers() -> list[LocalAccount]:
    return [Account.from_key(bytes([7] * 31 + [number])) for number in range(1, 7)]


@pytest.fixture
def node_child(tmp_path: Path, consumers: list[LocalAccount]) -> Iterator[NodeChild]:
    child = NodeChild(tmp_path / "chain", [consumer.address for consumer in consumers])
    try:
        yield child
    finally:
        child.close()


def signed_transfer(
    consumer: LocalAccount,
    nonce: int,
    *,
    to: str = "0x1000000000000000000000000000000000000001",
    value: int = 1,
    fee: int = 2 * 10**9,
    tip: int = 1,
    gas: int = 21_000,
    data: str = "0x",
    chain_id: int = 31337,
) -> str:
    signed = consumer.sign_transaction({
        "type": 2, "chainId": chain_id, "nonce": nonce, "to": to, "value": value, "gas": gas,
        "maxFeePerGas": fee, "maxPriorityFeePerGas": tip, "data": data,
    })  # fmt: skip
    return "0x" + signed.raw_transaction.hex()


@pytest.fixture(scope="session")
def transfer() -> Callable[..., str]:
    """Sign a transfer: (consumer, nonce, to=, value=, fee=, tip=, gas=, data=, chain_id=)."""
    return signed_transfer
